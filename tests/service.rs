//! As a service: what the service manager is told.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::PATIENCE;
use support::router::{BINARY, Router};
use tempfile::TempDir;

/// The next thing that it is told.
fn told(socket: &UnixDatagram) -> String {
    let mut text = [0; 256];
    let length = socket.recv(&mut text).expect("the router says something");
    String::from_utf8_lossy(&text[..length]).trim_end().to_owned()
}

#[tokio::test]
async fn systemd_is_told_when_the_router_listens_and_when_it_stops() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time to wait");
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--named-server", "demo", "mcp-switchboard demo-server"]);
    command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null());
    let mut router = Router::started(directory, command).await;
    assert_eq!(told(&socket), "READY=1");
    assert_eq!(router.get("/healthz").await.0, 200);
    router.signal(Signal::TERM);
    assert_eq!(told(&socket), "STOPPING=1");
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn a_manager_that_is_gone_keeps_no_router_from_its_work() {
    let directory = TempDir::new().expect("a directory");
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--named-server", "demo", "mcp-switchboard demo-server"]);
    command.env("NOTIFY_SOCKET", directory.path().join("nobody")).stdin(Stdio::null());
    let router = Router::started(directory, command).await;
    assert_eq!(router.get("/healthz").await.0, 200);
    router.logs("the service manager at NOTIFY_SOCKET cannot be told").await;
}
