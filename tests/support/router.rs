//! The router under test: the real binary, with real servers, on a port of its own.

use std::io::Read;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use super::events::PATIENCE;

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-switchboard");

/// A running router. Dropping it ends it and its servers.
pub struct Router {
    child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
    log: NamedTempFile,
    _stdout: Lines<BufReader<ChildStdout>>,
    _directory: Option<TempDir>,
}

/// The entry of the demo server.
pub fn demo() -> Value {
    json!({ "command": BINARY, "args": ["demo-server"] })
}

/// The entry of a server that says what it is told: see `puppet.py`.
pub fn puppet() -> Value {
    json!({ "command": python(), "args": ["-S", "-E", PUPPET] })
}

/// The entry of a puppet that follows orders before it reads anything.
pub fn puppet_told(orders: &Value) -> Value {
    json!({ "command": python(), "args": ["-S", "-E", PUPPET, orders.to_string()] })
}

/// `entry` with another field.
pub fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

impl Router {
    /// A router of one demo server, mounted as `demo`.
    pub async fn of_demo() -> Self {
        Self::mounting(json!({ "demo": demo() })).await
    }

    /// A router of one puppet, mounted as `puppet`.
    pub async fn of_puppet() -> Self {
        Self::mounting(json!({ "puppet": puppet() })).await
    }

    /// A router of these servers.
    pub async fn mounting(servers: Value) -> Self {
        Self::configured(json!({ "mcpServers": servers }), &[]).await
    }

    /// A router with this file and these options.
    pub async fn configured(file: Value, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("servers.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let mut words = vec!["--named-server-config", path.to_str().unwrap()];
        words.extend(options);
        let mut router = Self::started(&words).await;
        router._directory = Some(directory);
        router
    }

    /// A router with these options.
    pub async fn started(options: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = Command::new(BINARY)
            .args(["--port", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, stdout.next_line()).await.unwrap().unwrap();
        let first = first.unwrap_or_else(|| panic!("no router: {}", read(&log)));
        let address = first.strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, log, _stdout: stdout, _directory: None }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The URL of a mount's Streamable HTTP.
    pub fn mcp(&self, mount: &str) -> String {
        self.url(&format!("/servers/{mount}/mcp"))
    }

    /// The URL of a mount's HTTP+SSE.
    pub fn sse(&self, mount: &str) -> String {
        self.url(&format!("/servers/{mount}/sse"))
    }

    /// What `/status` says about a mount.
    pub async fn status(&self, mount: &str) -> Value {
        let answer = reqwest::get(self.url("/status")).await.unwrap();
        answer.json::<Value>().await.unwrap()["servers"][mount].take()
    }

    /// Waits until `/status` says about a mount what is wanted. It has no events to wait for.
    pub async fn until(&self, mount: &str, wanted: impl Fn(&Value) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status(mount).await;
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < until, "{status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Sends bytes on a connection of their own; returns everything that comes until the router closes it.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("the router keeps the connection open").unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Waits until the log says something. The log has no events to wait for.
    pub async fn logged(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(Instant::now() < until, "{text:?} was not logged: {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the router's log:\n{}", self.log());
        }
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return };
        // The second signal ends calls that are still in flight.
        let _ = kill_process(pid, Signal::TERM);
        let _ = kill_process(pid, Signal::INT);
        let until = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

const PUPPET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/puppet.py");

/// The interpreter itself: what is found as `python3` may be a script that looks for it on every start.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = ["-c", "import sys; print(sys.executable)"];
        let output = std::process::Command::new("python3").args(asked).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

fn read(log: &NamedTempFile) -> String {
    let mut text = Vec::new();
    log.reopen().unwrap().read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}
