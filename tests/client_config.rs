//! `client-config`: what it prints is read as its client reads it, and leads to the router.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::mcp::Client;
use support::router::{BINARY, Router, demo};

fn run(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("client-config").args(words).env_remove("MCP_SWITCHBOARD_URL").env_remove("MCP_PROXY_PORT");
    command.envs(environment.iter().copied()).output().expect("the binary runs")
}

/// What is printed for a client.
fn printed(words: &[&str]) -> String {
    let output = run(words, &[]);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    assert!(!output.stderr.is_empty(), "it says where the block belongs");
    String::from_utf8(output.stdout).expect("text")
}

fn json(words: &[&str]) -> Value {
    let text = printed(words);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

fn yaml(words: &[&str]) -> Value {
    let text = printed(words);
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

/// Starts the program that an entry names, as Claude Desktop does, and returns its answer to `initialize`.
fn initialize(entry: &Value) -> Value {
    let args = entry["args"].as_array().expect("a list").iter().map(|arg| arg.as_str().expect("a string"));
    let mut child = Command::new(entry["command"].as_str().expect("a program"))
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "desk", "version": "1" } } });
    let mut stdin = child.stdin.take().expect("it is piped");
    writeln!(stdin, "{hello}").expect("it reads");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it answers");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

async fn assert_serves(url: &str) {
    assert_eq!(Client::open(url).await.ask("add", json!({ "a": 2, "b": 3 })).await, "5");
}

/// The router's address, with another server beside `demo`, one that is off, and a default server.
async fn router() -> Router {
    let off = json!({ "command": "x", "disabled": true });
    let file = json!({ "mcpServers": { "demo": demo(), "more-tools.2": demo(), "off": off } });
    Router::start(file, &["--", BINARY, "demo-server"]).await
}

#[tokio::test]
async fn claude_desktop_starts_this_program_which_reaches_the_router() {
    let router = router().await;
    let address = router.url("");
    for words in [&["claude", "--url", &address, "--server", "demo"][..], &["claude", "--url", &address]] {
        let block = json(words);
        let name = words.get(4).copied().unwrap_or("mcp-switchboard");
        let answer = initialize(&block["mcpServers"][name]);
        assert_eq!(answer["result"]["serverInfo"]["name"], "mcp-switchboard-demo", "{block}");
    }
    // A router elsewhere is reached without encryption only if that is said.
    let block = json(&["claude", "--url", "http://router.example:8080"]);
    let args = &block["mcpServers"]["mcp-switchboard"]["args"];
    assert_eq!(*args, json!(["--allow-http", "http://router.example:8080/mcp"]));
}

#[tokio::test]
async fn every_other_client_is_given_a_url_at_which_the_server_answers() {
    let router = router().await;
    let address = router.url("");
    let at = |client| ["--url", &address, "--server", "demo", client];
    let code = json(&at("claude-code"))["mcpServers"]["demo"].take();
    let cursor = json(&at("cursor"))["mcpServers"]["demo"].take();
    let code_of_ms = json(&at("vscode"))["servers"]["demo"].take();
    let litellm = yaml(&at("litellm"))["mcp_servers"]["demo"].take();
    let openai = json(&at("openai"));
    let url = router.mcp("demo");
    assert_eq!(code, json!({ "type": "http", "url": url }));
    assert_eq!(cursor, json!({ "url": url }));
    assert_eq!(code_of_ms, json!({ "type": "http", "url": url }));
    assert_eq!(litellm, json!({ "url": url, "transport": "http" }));
    let tool =
        json!({ "type": "mcp", "server_label": "demo", "server_url": url, "require_approval": "always" });
    assert_eq!(openai, tool);
    assert_serves(&url).await;
    let everything = json(&["cursor", "--url", &address])["mcpServers"]["mcp-switchboard"]["url"].take();
    assert_eq!(everything, router.url("/mcp"));
    assert_serves(everything.as_str().expect("a URL")).await;
    let view = json(&["cursor", "--url", &address, "--view", "research"]);
    assert_eq!(view["mcpServers"]["research"]["url"], router.url("/views/research/mcp"));
}

#[tokio::test]
async fn all_servers_are_those_that_the_running_router_has() {
    let router = router().await;
    let address = router.url("");
    let cursor = json(&["cursor", "--all", "--url", &address]);
    let expected = json!({
        "default": { "url": router.url("/mcp") },
        "demo": { "url": router.mcp("demo") },
        "more-tools.2": { "url": router.mcp("more-tools.2") },
    });
    assert_eq!(cursor["mcpServers"], expected);
    let litellm = yaml(&["litellm", "--all", "--url", &address]);
    assert_eq!(litellm["mcp_servers"]["more_tools_2"]["url"], router.mcp("more-tools.2"));
    let tools = json(&["openai", "--all", "--url", &address]);
    let labels: Vec<_> = tools.as_array().expect("a list").iter().map(|tool| &tool["server_label"]).collect();
    assert_eq!(labels, ["default", "demo", "more-tools_2"]);
}

#[test]
fn the_address_may_come_from_the_environment_and_a_wrong_one_is_refused() {
    let output = run(&["cursor"], &[("MCP_SWITCHBOARD_URL", "https://mcp.example.com/tools")]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("\"https://mcp.example.com/tools/mcp\""),
        "{output:?}"
    );
    let cases = [
        (
            &["cursor", "--url", "localhost:8080"][..],
            2,
            "the router's address: not an http:// or https:// URL",
        ),
        (&["cursor", "--server", "a__b"], 2, "a name is 1 to 64 of the characters"),
        (&["cursor", "--server", "a", "--all"], 2, "cannot be used with"),
        (&["emacs"], 2, "invalid value 'emacs'"),
        // Port 1 is nobody's.
        (
            &["cursor", "--all", "--url", "http://127.0.0.1:1"],
            1,
            "no router says at http://127.0.0.1:1/status",
        ),
    ];
    for (words, status, message) in cases {
        let output = run(words, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{words:?}: {output:?}");
        assert!(said.contains(message), "{words:?}: {said}");
    }
}

#[test]
fn openai_is_told_that_it_cannot_reach_this_machine() {
    let said = run(&["openai"], &[]).stderr;
    assert!(String::from_utf8_lossy(&said).contains("cannot reach it"));
    let said = run(&["openai", "--url", "https://mcp.example.com"], &[]).stderr;
    assert!(!String::from_utf8_lossy(&said).contains("warning"));
}
