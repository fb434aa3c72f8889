//! The last that a client sees of a connection that ends before HTTP gets to answer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::refusal::Refusal;
use super::stream::Stream;

/// A refusal as the bytes of an HTTP/1.1 response that ends the connection.
pub(super) fn last_words(refusal: &Refusal) -> Bytes {
    let response = refusal.render::<Bytes>();
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body().len()).as_bytes());
    bytes.extend_from_slice(response.body());
    bytes.into()
}

/// Says the last words, as far as the peer takes them.
pub(super) async fn say(stream: &mut Stream, words: &[u8], patience: Duration) {
    let saying = async {
        stream.write_all(words).await?;
        stream.flush().await
    };
    let _ = timeout(patience, saying).await;
}

/// Ends our side and reads what is still coming, for a while: closing a socket with unread bytes makes
/// the peer's system throw away the answer before its program sees it.
pub(super) async fn linger(mut stream: Stream, patience: Duration) {
    let drain = async {
        stream.shutdown().await?;
        // Not on the stack: each connection would hold it all its life.
        let mut unread = vec![0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(patience, drain).await;
}
