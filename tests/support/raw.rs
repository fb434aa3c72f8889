//! Bytes on a bare connection, for what no HTTP client would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::router::Router;
use super::within;

/// Sends `request` on a connection of its own; returns everything that comes until the router closes it.
pub(crate) async fn raw(router: &Router, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(router)).await.expect("the router listens");
    stream.write_all(request).await.expect("the router reads");
    let mut answer = Vec::new();
    let closed = within("the router closes the connection", stream.read_to_end(&mut answer)).await;
    closed.expect("the answer comes whole");
    String::from_utf8(answer).expect("the answer is text")
}

/// `127.0.0.1:PORT`
pub(crate) fn address(router: &Router) -> String {
    router.url("").trim_start_matches("http://").to_owned()
}
