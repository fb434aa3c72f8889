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

use crate::remote::{Far, Remote};
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

/// How client mode goes to a mount.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Streamable,
    Sse,
}

/// Where the SDKs and the servers are installed.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) python_v1: PathBuf,
    pub(crate) python_v2: PathBuf,
    pub(crate) node: PathBuf,
}

/// A router with some of the servers everything, odd-jobs, time, fetch, filesystem and demo, and what they work on.
pub(crate) struct Stage {
    tools: Tools,
    router: Router,
    /// What stands before a server's name in its URLs: `servers`, or `views`.
    urls: &'static str,
    /// The server that the router calls, where it has none of its own.
    remote: Option<Remote>,
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

    /// Starts a server that listens on HTTP itself, and a router that mounts its URL as everything and odd-jobs.
    pub(crate) async fn calling(far: Far) -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let remote = Remote::listening(far, &tools).await;
        let entry = json!({ "url": remote.url });
        let stage =
            Self::serving(&json!({ "everything": entry, "odd-jobs": entry }), &[], tools, folder).await;
        Some(Self { remote: Some(remote), ..stage })
    }

    /// Starts a router that shows each of `servers` in a view of its own, under the names that the server gives.
    pub(crate) async fn viewing(servers: &[&str]) -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("big.txt"), big_text()).expect("the folder is writable");
        let all = commands(&tools, folder.path());
        let mounts: HashMap<&str, &Value> = servers.iter().map(|name| (*name, &all[*name])).collect();
        let views: HashMap<&str, Value> =
            servers.iter().map(|name| (*name, json!({ "servers": [name], "prefix": "never" }))).collect();
        let file = json!({ "mcpServers": mounts, "aggregate": { "views": views } });
        Some(Self {
            urls: "views",
            ..Self::before(Router::configured(&file, &[]).await, tools, folder).await
        })
    }

    async fn serving(mounts: &Value, options: &[&str], tools: Tools, folder: TempDir) -> Self {
        Self::before(Router::serving(mounts, options).await, tools, folder).await
    }

    async fn before(router: Router, tools: Tools, folder: TempDir) -> Self {
        let web = TaskTracker::new();
        let page = serve_page(&web).await;
        Self { tools, router, urls: "servers", remote: None, page, folder, _web: web }
    }

    /// Lets `client` play `scenarios` over `transport` and shows what it printed if one fails.
    pub(crate) async fn play(&self, client: Client, transport: &str, scenarios: &[&str]) {
        self.play_at(&self.router.address, client, transport, scenarios).await;
    }

    /// The same with client mode in between: to the client each mount is a stdio server, which goes there by `way`. What the
    /// router calls, client mode calls without the router.
    pub(crate) async fn play_by_client_mode(
        &self,
        client: Client,
        transport: &str,
        way: Way,
        scenarios: &[&str],
    ) {
        let mount = |name: &str| {
            let served = format!("{}/servers/{name}", self.router.address);
            let words = match (&self.remote, way) {
                (Some(remote), _) => vec![remote.url.clone()],
                (None, Way::Streamable) => vec![format!("{served}/mcp")],
                (None, Way::Sse) => vec!["--transport-type".into(), "sse".into(), format!("{served}/sse")],
            };
            json!({ "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": words })
        };
        let mounts = json!({ "everything": mount("everything"), "odd-jobs": mount("odd-jobs") });
        let file = self.folder.path().join(format!("{way:?}.json"));
        fs::write(&file, json!({ "mcpServers": mounts }).to_string()).expect("the folder is writable");
        let base = file.to_str().expect("its name is UTF-8");
        self.play_at(base, client, transport, scenarios).await;
    }

    async fn play_at(&self, base: &str, client: Client, transport: &str, scenarios: &[&str]) {
        let mut script = self.script(client);
        script.args([transport, base]).args(scenarios);
        let ended = timeout(PATIENCE * 4, script.output()).await.expect("the client ends in time");
        let ended = ended.expect("the client starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{client:?} over {transport}:\n{said}");
        let far = self.remote.as_ref().map(Remote::log).unwrap_or_default();
        assert!(ended.status.success(), "{client:?} over {transport} failed; {}\n{far}", self.router.log());
        let played = said.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(played, scenarios.len(), "every scenario says that it went well");
    }

    /// Where the router listens, and the page that there is to fetch.
    pub(crate) fn addresses(&self) -> (&str, &str) {
        (&self.router.address, &self.page)
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
            .env("INTEROP_FOLDER", self.urls)
            .env("INTEROP_PAGE", &self.page)
            .env("INTEROP_DIRECTORY", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// What the stories need, installed.
pub(crate) fn installed() -> Result<Tools, Missing> {
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
        "demo": { "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": ["demo-server"] },
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
pub(crate) const NODE_OPTIONS: [&str; 2] = ["--preserve-symlinks", "--preserve-symlinks-main"];
