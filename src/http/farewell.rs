//! The last that a client sees of a connection that ends before HTTP gets to answer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::refusal::Refusal;

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

/// Ends our side and reads what is still coming, for a while: closing a socket with unread bytes makes
/// the peer's system throw away the answer before its program sees it.
pub(super) async fn linger(mut stream: TcpStream, patience: Duration) {
    let drain = async {
        stream.shutdown().await?;
        loop {
            stream.readable().await?;
            match stream.try_read(&mut [0; 4096]) {
                Ok(0) => return io::Result::Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    let _ = timeout(patience, drain).await;
}
