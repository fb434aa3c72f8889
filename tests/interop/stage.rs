//! The router with real servers behind it, and the client scripts that play before it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::toolbox::{self, Missing};

/// A client script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    PythonV1,
    PythonV2,
    TypescriptV1,
    TypescriptV2,
}

/// Where the SDKs and the servers are installed.
#[derive(Clone, Debug)]
struct Tools {
    python_v1: PathBuf,
    python_v2: PathBuf,
    node: PathBuf,
}

/// A running router with the servers everything, odd-jobs, time, fetch and filesystem.
pub(crate) struct Stage {
    tools: Tools,
    router: Child,
    address: String,
    page: String,
    folder: TempDir,
    web: TaskTracker,
}

impl Stage {
    /// Starts a router that mounts `servers`, with more `options`; nothing where the tools are missing.
    pub(crate) async fn mounting(servers: &[&str], options: &[&str]) -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("big.txt"), big_text()).expect("the folder is writable");
        let all = commands(&tools, folder.path());
        let mounted: HashMap<&str, &Value> = servers.iter().map(|name| (*name, &all[*name])).collect();
        let config = folder.path().join("servers.json");
        fs::write(&config, json!({ "mcpServers": mounted }).to_string()).expect("the folder is writable");

        let log = fs::File::create(folder.path().join("router.log")).expect("the folder is writable");
        let mut router = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
            .args(["--port", "0", "--named-server-config"])
            .arg(&config)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the router starts");
        let mut lines = BufReader::new(router.stdout.take().expect("stdout is piped")).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.expect("the router listens in time");
        let first = first.expect("its stdout is text").unwrap_or_default();
        let Some(address) = first.strip_prefix("listening on ").map(str::to_owned) else {
            panic!("the router's first line is {first:?}; its log:\n{}", log_of(&folder));
        };
        let web = TaskTracker::new();
        // Read on, so that the router never writes into a closed pipe.
        web.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let page = serve_page(&web).await;
        Some(Self { tools, router, address, page, folder, web })
    }

    /// Lets `client` play `scenarios` over `transport` and shows what it printed if one fails.
    pub(crate) async fn play(&self, client: Client, transport: &str, scenarios: &[&str]) {
        let ended = timeout(
            PATIENCE * 4,
            self.script(client).arg(transport).arg(&self.address).args(scenarios).output(),
        );
        let ended = ended.await.expect("the client ends in time").expect("the client starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{client:?} over {transport}:\n{said}");
        assert!(
            ended.status.success(),
            "{client:?} over {transport} failed; the end of the router's log:\n{}",
            log_of(&self.folder)
        );
        let played = said.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(played, scenarios.len(), "every scenario says that it went well");
    }

    /// Ends the router as a supervisor does: it must end well and leave no process behind.
    pub(crate) async fn close(mut self) {
        let id = self.router.id().expect("the router still runs");
        let processes = descendants(id);
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("the router can be signalled");
        let status = timeout(PATIENCE, self.router.wait()).await.expect("the router ends in time");
        let status = status.expect("the router can be waited for");
        assert!(status.success(), "{status}; the end of the router's log:\n{}", log_of(&self.folder));
        let left: Vec<_> = processes.into_iter().filter(Process::lives).collect();
        assert!(left.is_empty(), "processes left behind: {left:?}");
        self.web.close();
    }

    fn script(&self, client: Client) -> Command {
        let scripts = self.tools.node.join("scripts");
        let (program, script) = match client {
            Client::PythonV1 => (self.tools.python_v1.join("bin/python"), "python_v1.py"),
            Client::PythonV2 => (self.tools.python_v2.join("bin/python"), "python_v2.py"),
            Client::TypescriptV1 => ("node".into(), "typescript_v1.mjs"),
            Client::TypescriptV2 => ("node".into(), "typescript_v2.mjs"),
        };
        let mut command = Command::new(&program);
        if program == Path::new("node") {
            command.args(NODE_OPTIONS);
        }
        command
            .arg(scripts.join(script))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("INTEROP_PAGE", &self.page)
            .env("INTEROP_DIRECTORY", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// A process, told from a later one with the same id by the time it started at.
#[derive(Debug, PartialEq)]
struct Process {
    id: u32,
    parent: u32,
    started: String,
}

impl Process {
    /// The process `id` from `/proc`, unless it is gone or only waits for its parent to take note of its end.
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, started) = (*fields.first()?, fields.get(1)?.parse().ok()?, fields.get(19)?);
        (state != "Z").then(|| Self { id, parent, started: (*started).to_owned() })
    }

    fn lives(&self) -> bool {
        Self::read(self.id).is_some_and(|now| now.started == self.started)
    }
}

/// The children of the process `root`, and theirs; none where there is no `/proc`.
fn descendants(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut others: Vec<Process> =
        entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect();
    let mut found: Vec<Process> = Vec::new();
    loop {
        let is_known = |parent| parent == root || found.iter().any(|process| process.id == parent);
        let (mut more, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|process| is_known(process.parent));
        if more.is_empty() {
            return found;
        }
        found.append(&mut more);
        others = rest;
    }
}

fn installed() -> Result<Tools, Missing> {
    static INSTALLED: OnceLock<Result<Tools, Missing>> = OnceLock::new();
    let install = || {
        Ok(Tools {
            python_v1: toolbox::python_environment("v1")?,
            python_v2: toolbox::python_environment("v2")?,
            node: toolbox::node_environment()?,
        })
    };
    INSTALLED.get_or_init(install).clone()
}

/// How each server is started, in the words of the configuration file.
fn commands(tools: &Tools, folder: &Path) -> Value {
    let package =
        |name: &str| tools.node.join(format!("node_modules/@modelcontextprotocol/{name}/dist/index.js"));
    let odd_jobs = tools.node.join("scripts/odd_jobs.mjs");
    json!({
        "everything": { "command": "node", "args": [package("server-everything"), "stdio"] },
        "odd-jobs": { "command": "node", "args": [NODE_OPTIONS[0], NODE_OPTIONS[1], odd_jobs] },
        "time": { "command": tools.python_v2.join("bin/mcp-server-time") },
        "fetch": {
            "command": tools.python_v2.join("bin/mcp-server-fetch"),
            "args": ["--ignore-robots-txt", "--allow-private-ips"],
            "env": { "NO_PROXY": "127.0.0.1" },
        },
        "filesystem": { "command": "node", "args": [package("server-filesystem"), folder] },
    })
}

/// Serves a page on the loopback address and returns its URL.
async fn serve_page(tasks: &TaskTracker) -> String {
    const PAGE: &str = "<html><head><title>A page</title></head><body><article><h1>A page</h1>\
        <p>The switchboard of Zürich connects everyone to everyone else.</p></article></body></html>";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("the listener is bound");
    let answer = || async { axum::response::Html(PAGE) };
    let routes = axum::Router::new().fallback(axum::routing::any(answer));
    tasks.spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/page.html")
}

/// More than 5 MiB of text that is not all ASCII.
fn big_text() -> String {
    let mut text = String::new();
    for number in 0..320_000 {
        writeln!(text, "line {number} äöü").expect("a string takes any text");
    }
    text
}

/// The last lines that the router logged.
fn log_of(folder: &TempDir) -> String {
    let log = fs::read_to_string(folder.path().join("router.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Modules are looked for beside the link to a script, not beside the script.
const NODE_OPTIONS: [&str; 2] = ["--preserve-symlinks", "--preserve-symlinks-main"];

/// How long anything may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);
