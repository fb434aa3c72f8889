//! A guarded mount before a real authorization server: who knows nothing but the mount's URL logs in, and gets more when more
//! is wanted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::router::{PATIENCE, Router};
use crate::stage::{NODE_OPTIONS, Tools, installed};
use crate::toolbox;

/// A router whose mount `demo` wants tokens of an authorization server. The scope `mcp:use` is good for the tool `echo` alone,
/// `mcp:admin` for all.
struct Guarded {
    router: Router,
    tools: Tools,
    url: String,
    _authority: Child,
}

impl Guarded {
    async fn start() -> Option<Self> {
        let tools = toolbox::or_skip(installed())?;
        let mut authority = Command::new("node")
            .args(NODE_OPTIONS)
            .arg(tools.node.join("scripts/authorization_server.mjs"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let mut lines = BufReader::new(authority.stdout.take().expect("it is piped")).lines();
        let issuer = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("it starts in time");
            let line = line.expect("its stdout is text").expect("it says where it is");
            if line.starts_with("http://") {
                break line;
            }
        };
        // What it is called by its clients has to be known before it is started.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port().to_string();
        drop(listener);
        let audience = format!("http://127.0.0.1:{port}");
        let url = format!("{audience}/servers/demo/mcp");
        let file = json!({
            "mcpServers": {
                "demo": { "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": ["demo-server"] },
            },
            "auth": {
                "oauth": { "issuer": issuer, "audience": audience, "scopes": ["mcp:use"] },
                "rules": [
                    { "who": ["scope:mcp:use"], "servers": ["demo"], "tools": { "allow": ["demo__echo"] } },
                    { "who": ["scope:mcp:admin"], "servers": ["*"] },
                ],
            },
        });
        let router = Router::configured(&file, &["--port", &port]).await;
        Some(Self { router, tools, url, _authority: authority })
    }

    async fn is_logged_in_at(&self, who: &str, mut client: Command) {
        client.arg(&self.url).stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(PATIENCE, client.output()).await.expect("the client ends in time");
        let ended = ended.expect("the client starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{who}:\n{said}");
        assert!(ended.status.success(), "{who} failed; {}", self.router.log());
        let steps: Vec<&str> = said.lines().filter(|line| line.starts_with("ok ")).collect();
        assert_eq!(steps, ["ok login", "ok step-up"], "{who}");
    }

    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.args(NODE_OPTIONS).arg(self.tools.node.join("scripts").join(script));
        command
    }
}

#[tokio::test]
async fn the_typescript_sdks_log_in_at_a_guarded_mount_through_discovery_alone() {
    let Some(guarded) = Guarded::start().await else { return };
    for version in ["v1", "v2", "v2-auto"] {
        let mut client = guarded.node("oauth_login.mjs");
        client.arg(version);
        guarded.is_logged_in_at(version, client).await;
    }
    guarded.router.close().await;
}

#[tokio::test]
async fn the_python_sdks_log_in_at_a_guarded_mount_through_discovery_alone() {
    let Some(guarded) = Guarded::start().await else { return };
    for environment in [&guarded.tools.python_v1, &guarded.tools.python_v2] {
        let mut client = Command::new(environment.join("bin/python"));
        client.arg("-B").arg(guarded.tools.node.join("scripts/oauth_login.py"));
        guarded.is_logged_in_at(&environment.display().to_string(), client).await;
    }
    guarded.router.close().await;
}

#[tokio::test]
async fn client_mode_logs_in_at_a_guarded_mount_through_discovery_alone() {
    let Some(guarded) = Guarded::start().await else { return };
    let home = tempfile::tempdir().expect("a directory");
    // A desktop's way to open a page.
    let opener = home.path().join("xdg-open");
    let browser = guarded.tools.node.join("scripts/browser.mjs");
    let script = format!("#!/bin/sh\nexec node --preserve-symlinks-main '{}' \"$1\"\n", browser.display());
    fs::write(&opener, script).expect("it can be written");
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("it can be made a program");
    let path = std::env::var("PATH").unwrap_or_default();
    let log = fs::File::create(home.path().join("log")).expect("it can be written");
    let mut client = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
        .arg(&guarded.url)
        .env("PATH", format!("{}:{path}", home.path().display()))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_DATA_HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .env("DISPLAY", ":0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut stdin = client.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();
    let mut ask = async |id: i64, method: &str, params: Value| {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        stdin.write_all(format!("{message}\n").as_bytes()).await.expect("it reads");
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("it answers in time");
            let line = line.expect("its stdout is text");
            let Some(line) = line else {
                panic!("{}", fs::read_to_string(home.path().join("log")).unwrap_or_default())
            };
            let message: Value = serde_json::from_str(&line).expect("a message");
            if message["id"] == id {
                return message;
            }
        }
    };
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "story", "version": "1" },
    });
    let greeting = ask(1, "initialize", hello).await;
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25", "{greeting}");
    for (id, tool, arguments, text) in
        [(2, "echo", json!({ "text": "in" }), "in"), (3, "add", json!({ "a": 1, "b": 2 }), "3")]
    {
        let answer = ask(id, "tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert_eq!(answer["result"]["content"][0]["text"], text, "{tool}: {answer}");
    }
    drop(stdin);
    let status = timeout(PATIENCE, client.wait()).await.expect("it ends with its stdin");
    assert!(status.expect("it is our child").success());
    guarded.router.close().await;
}
