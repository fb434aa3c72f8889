//! The binary in client mode before a server that wants a login.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::world::World;

/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running binary; its logins are kept where the world keeps them.
pub(crate) struct Desk {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    log: Arc<Mutex<String>>,
}

impl Desk {
    pub(crate) fn before(world: &World, words: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
            .args(words)
            .arg(world.authority.resource().as_str())
            .env("XDG_STATE_HOME", world.store.path())
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        let log: Arc<Mutex<String>> = Arc::default();
        let kept = log.clone();
        world.tracker.spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
                kept.lock().expect("no panic").push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Self { child, stdin, stdout: BufReader::new(stdout), log }
    }

    /// Sends `initialize`, and returns the answer.
    pub(crate) async fn open(&mut self) -> Value {
        let info = json!({ "name": "desk", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(format!("{hello}\n").as_bytes()).await.expect("it reads");
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stdout.read_line(&mut line)).await.expect("it answers in time");
        assert_ne!(read.expect("text"), 0, "{}", self.log.lock().expect("no panic"));
        serde_json::from_str(&line).expect("a message")
    }

    /// Waits for the address that the log shows, and goes there as a browser does.
    pub(crate) fn visit(&self, world: &World) -> impl Future<Output = ()> + use<> {
        let (log, client) = (self.log.clone(), world.client.clone());
        async move {
            let address = async {
                loop {
                    let shown = log.lock().expect("no panic").clone();
                    let address =
                        shown.split_once("machine: ").and_then(|(_, rest)| rest.split_whitespace().next());
                    if let Some(address) = address {
                        return address.to_owned();
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let address = timeout(PATIENCE, address).await.expect("the log shows where to log in");
            client.get(address).send().await.expect("the page is there");
        }
    }

    /// Ends stdin, waits for the end, and returns the log.
    pub(crate) async fn end(mut self) -> String {
        drop(self.stdin.take());
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time");
        assert!(ended.expect("it was started").success());
        self.log.lock().expect("no panic").clone()
    }
}
