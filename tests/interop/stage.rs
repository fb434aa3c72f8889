//! The router with real servers behind it, and the client scripts that play before it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::router::{PATIENCE, Router};
use crate::toolbox::{self, Missing};

/// A client script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    PythonV1,
    PythonV2,
    TypescriptV1,
    TypescriptV2,
}

/// What `two_eras.mjs` speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Posture {
    Legacy,
    Dual,
    Modern,
}

/// Where the SDKs and the servers are installed.
#[derive(Clone, Debug)]
struct Tools {
    python_v1: PathBuf,
    python_v2: PathBuf,
    node: PathBuf,
}

/// A router with some of the servers everything, odd-jobs, time, fetch and filesystem, and what they work on.
pub(crate) struct Stage {
    tools: Tools,
    router: Router,
    page: String,
    folder: TempDir,
    /// The web server of the page; it ends with the test's runtime.
    _web: TaskTracker,
}

impl Stage {
    /// Starts a router that mounts `servers`, with more `options`; nothing where the tools are missing.
    pub(crate) async fn mounting(servers: &[&str], options: &[&str]) -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("big.txt"), big_text()).expect("the folder is writable");
        let all = commands(&tools, folder.path());
        let mounts: HashMap<&str, &Value> = servers.iter().map(|name| (*name, &all[*name])).collect();
        Some(Self::serving(&json!(mounts), options, tools, folder).await)
    }

    /// Starts a router whose servers everything and odd-jobs are the same script, which speaks as `posture` says.
    pub(crate) async fn standing_in(posture: Posture, options: &[&str]) -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = two_eras(&tools.node, posture);
        let mounts = json!({ "everything": script, "odd-jobs": script });
        Some(Self::serving(&mounts, options, tools, folder).await)
    }

    async fn serving(mounts: &Value, options: &[&str], tools: Tools, folder: TempDir) -> Self {
        let router = Router::serving(mounts, options).await;
        let web = TaskTracker::new();
        let page = serve_page(&web).await;
        Self { tools, router, page, folder, _web: web }
    }

    /// Lets `client` play `scenarios` over `transport` and shows what it printed if one fails.
    pub(crate) async fn play(&self, client: Client, transport: &str, scenarios: &[&str]) {
        let mut script = self.script(client);
        script.args([transport, &self.router.address]).args(scenarios);
        let ended = timeout(PATIENCE * 4, script.output()).await.expect("the client ends in time");
        let ended = ended.expect("the client starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{client:?} over {transport}:\n{said}");
        assert!(ended.status.success(), "{client:?} over {transport} failed; {}", self.router.log());
        let played = said.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(played, scenarios.len(), "every scenario says that it went well");
    }

    /// Ends the router, which must leave nothing behind.
    pub(crate) async fn close(self) {
        self.router.close().await;
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

/// How `two_eras.mjs` is started, in the words of the configuration file.
pub(crate) fn two_eras(node: &Path, posture: Posture) -> Value {
    let posture = match posture {
        Posture::Legacy => "legacy",
        Posture::Dual => "dual",
        Posture::Modern => "modern",
    };
    let script = node.join("scripts/two_eras.mjs");
    json!({ "command": "node", "args": [NODE_OPTIONS[0], NODE_OPTIONS[1], script, "--posture", posture] })
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

/// Modules are looked for beside the link to a script, not beside the script.
const NODE_OPTIONS: [&str; 2] = ["--preserve-symlinks", "--preserve-symlinks-main"];
