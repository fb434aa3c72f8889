//! Unix sockets, and sockets that were opened for the router: who gets in by them, and what becomes of their files.

#![cfg(unix)]

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;
use support::router::{BINARY, Router, demo};
use support::{eventually, within};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Asks by a unix socket, and returns the whole answer.
async fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("it listens");
    stream.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    within("it answers", stream.read_to_string(&mut answer)).await.expect("an answer");
    answer
}

fn named(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

#[tokio::test]
async fn a_program_on_this_machine_comes_in_by_a_socket_that_is_only_its_users() {
    let file = |_: &Path| json!({ "mcpServers": { "demo": demo() }, "unixSocket": "router.sock" });
    let mut router = Router::with_file(file).await;
    let socket = router.path("router.sock");
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for host in ["localhost", "router", "x.local", "127.0.0.1:80"] {
        let answer = ask(&socket, &format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let answer = ask(&socket, "GET /healthz HTTP/1.1\r\nHost: evil.com\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = ask(&socket, "POST /admin/reload HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "whoever may connect is an operator: {answer}");
    let forwarded = "POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n";
    let answer = ask(&socket, forwarded).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "a proxy asks for somebody else: {answer}");
    assert_eq!(router.get("/healthz").await.0, 200, "the port is served, too");

    let second = run(&["--unix-socket", named(&socket), "--", BINARY, "demo-server"]).await;
    assert!(!second.0 && second.1.contains("another program listens"), "{}", second.1);
    router.signal(Signal::TERM);
    assert!(router.exit().await.success());
    assert!(!socket.exists(), "its file goes with it");
}

#[tokio::test]
async fn a_socket_may_be_all_that_is_listened_on() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("only.sock");
    drop(UnixListener::bind(&socket).expect("it is writable"));
    let host = format!("unix:{}", named(&socket));
    let words = ["--host", &host, "--unix-socket-mode", "0660", "--named-server", "demo"];
    let server = format!("{BINARY} demo-server");
    let router = Router::with_options(&[&words[..], &[&server]].concat()).await;
    assert_eq!(router.url(""), host, "the first line says where");
    let mode = std::fs::metadata(&socket).expect("it was replaced").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let status = ask(&socket, "GET /status HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(status.contains("\"demo\""), "{status}");
    for words in
        [&["healthcheck", &host][..], &["status", "--url", &host], &["restart", "demo", "--url", &host]]
    {
        let (well, told) = run(words).await;
        assert!(well, "{words:?}: {told}");
    }
    let log = router.log();
    assert!(!log.contains("ANYONE"), "{log}");
}

#[tokio::test]
async fn what_is_no_socket_is_neither_replaced_nor_removed() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("precious");
    std::fs::write(&path, "text").expect("it is writable");
    let (well, told) = run(&["--unix-socket", named(&path), "--", BINARY, "demo-server"]).await;
    assert!(!well && told.contains("precious is there already, and no socket"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "text");
    let (well, told) = run(&["--unix-socket-mode", "0999", "--", BINARY, "demo-server"]).await;
    assert!(!well && told.contains("octal"), "{told}");
}

#[tokio::test]
async fn sockets_that_were_opened_for_the_router_are_listened_on_and_no_server_hears_of_them() {
    let folder = TempDir::new().expect("a folder");
    let opened = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = opened.local_addr().expect("it has one");
    let seen = folder.path().join("environment");
    // What a server sees of the router's environment and descriptors, before it is one. The router may start several: each
    // puts a whole file there.
    let spy = "(env; ls -l /proc/self/fd) >\"$1.$$\"; mv \"$1.$$\" \"$1\"; exec \"$0\" demo-server";
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let server = format!("sh -c '{spy}' {BINARY} {}", seen.display());
    let mut command = Command::new("sh");
    command.args([
        "-c",
        script,
        BINARY,
        "--port",
        "9",
        "--pass-environment",
        "--named-server",
        "demo",
        &server,
    ]);
    command.stdin(Stdio::from(OwnedFd::from(opened)));
    let router = Router::started(folder, command).await;
    assert_eq!(router.url(""), format!("http://{address}"));
    assert_eq!(router.get("/healthz").await.0, 200);
    router.until("demo", "ready", |mount| mount["state"] == "ready").await;
    router.logs("where else, is ignored").await;
    let seen = eventually("the server has started", async || std::fs::read_to_string(&seen).ok()).await;
    assert!(seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("LISTEN_"), "{seen}");
    assert!(!seen.contains("socket:"), "no listener is inherited: {seen}");
}

#[tokio::test]
async fn sockets_that_were_opened_for_another_process_are_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new("sh");
    let script = "LISTEN_FDS=1 LISTEN_PID=1 exec \"$0\" \"$@\"";
    command.args(["-c", script, BINARY, "--port", "0", "--", BINARY, "demo-server"]).stdin(Stdio::null());
    let router = Router::started(folder, command).await;
    assert_eq!(router.get("/healthz").await.0, 200);
}

/// Whether it ended well, and what it said.
async fn run(words: &[&str]) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.args(words).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = within("it ends", ran).await.expect("no panic").expect("the binary runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
