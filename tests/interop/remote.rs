//! Servers that listen on HTTP themselves: somebody else's, where no router of ours is.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::router::PATIENCE;
use crate::stage::{NODE_OPTIONS, Tools};

/// Which one; the scripts stand in for the servers everything and odd-jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Far {
    /// server-everything over Streamable HTTP, on the TypeScript SDK 1.x.
    Everything,
    /// The same over HTTP+SSE.
    EverythingSse,
    /// `FastMCP` of the Python SDK 1.x, which answers with event streams.
    PythonV1,
    /// The Python SDK 2.x, in both eras.
    PythonV2,
    /// The TypeScript SDK 2.x, in the modern era alone.
    TypescriptV2,
}

/// A running one; it ends with this.
pub(crate) struct Remote {
    /// Where it is called.
    pub(crate) url: String,
    _child: Child,
    folder: TempDir,
}

impl Remote {
    pub(crate) async fn listening(far: Far, tools: &Tools) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let until = Instant::now() + PATIENCE;
        loop {
            let port = free_port().await;
            let log = fs::File::create(folder.path().join(LOG)).expect("the folder is writable");
            let mut child = command(far, tools, port)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file can be had twice"))
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .expect("the server starts");
            // Nobody announces that it listens. If somebody else was given the port meanwhile, it ends.
            while child.try_wait().expect("it is our child").is_none() {
                let path = if matches!(far, Far::EverythingSse) { "sse" } else { "mcp" };
                let url = format!("http://127.0.0.1:{port}/{path}");
                if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return Self { url, _child: child, folder };
                }
                assert!(Instant::now() < until, "{far:?} does not listen: {}", log_in(&folder));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(Instant::now() < until, "{far:?} ends: {}", log_in(&folder));
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        log_in(&self.folder)
    }
}

fn command(far: Far, tools: &Tools, port: u16) -> Command {
    let everything = tools.node.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let scripts = tools.node.join("scripts");
    let port = port.to_string();
    let python = |environment: &Path, script: &str| {
        let mut command = Command::new(environment.join("bin/python"));
        command.arg(scripts.join(script)).arg(&port);
        command
    };
    let mut command = match far {
        Far::Everything | Far::EverythingSse => {
            let transport = if matches!(far, Far::Everything) { "streamableHttp" } else { "sse" };
            let mut command = Command::new("node");
            command.arg(everything).arg(transport).env("PORT", &port);
            command
        }
        Far::PythonV1 => python(&tools.python_v1, "python_server_v1.py"),
        Far::PythonV2 => python(&tools.python_v2, "python_server_v2.py"),
        Far::TypescriptV2 => {
            let mut command = Command::new("node");
            command.args(NODE_OPTIONS).arg(scripts.join("two_eras.mjs")).args(["--port", &port]);
            command
        }
    };
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    listener.local_addr().expect("the listener is bound").port()
}

fn log_in(folder: &TempDir) -> String {
    let log = fs::read_to_string(folder.path().join(LOG)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("the end of the server's log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
}

const LOG: &str = "server.log";
