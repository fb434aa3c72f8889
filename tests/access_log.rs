//! The access log: one line for each request, without what it asked for unless that is wished, and a name that ties it to its
//! answer and to what else is logged for it.

#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::eventually;
use support::mcp::Client;
use support::modern::Modern;
use support::router::{BINARY, Router, demo, script, with};

/// Waits until the access log at `path` has such a line, and returns it.
async fn line(path: &Path, is: impl Fn(&Value) -> bool) -> Value {
    let seen = async || lines(path).into_iter().find(|line| is(line));
    eventually("the access log has the line", seen).await
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn each_request_is_one_line_that_says_who_what_and_how_it_ended_and_never_what_was_asked() {
    let file = |directory: &Path| {
        std::fs::write(directory.join("access.log"), "{\"at\":\"before\"}\n").unwrap();
        json!({ "mcpServers": { "demo": demo() }, "accessLog": "access.log" })
    };
    let router = Router::with_file_and(file, &["--log-format", "json"]).await;
    let path = router.path("access.log");
    let client = Client::open(router.mcp("demo")).await;
    let answer = client.call(1, "echo", json!({ "text": "s3cret-argument" })).await;
    let request = answer.header("x-request-id").to_owned();
    let body = answer.text().await;
    let call = line(&path, |line| line["tool"] == "echo").await;
    assert_eq!(
        (&call["server"], &call["who"], &call["method"], &call["outcome"], &call["eras"]),
        (&json!("demo"), &json!("anyone"), &json!("tools/call"), &json!("ok"), &json!("legacy_to_legacy"))
    );
    assert_eq!(call["request"], json!(request));
    assert_eq!(call["bytes_out"], json!(body.len()));
    assert!(call["bytes_in"].as_u64().unwrap() > 80 && call["ms"].as_f64().unwrap() > 0.0, "{call}");
    let session = call["session"].as_str().unwrap();
    assert!(client.session().starts_with(session) && session.len() < client.session().len() / 2, "{call}");

    // What a client chooses stays within its line.
    client.call(2, "no\nsuch \"tool\u{1b}[31m", json!({})).await.text().await;
    let odd = line(&path, |line| line["tool"] == "no\nsuch \"tool\u{1b}[31m").await;
    assert_ne!(odd["outcome"], "ok");
    client.request(json!(3), "no/such\nmethod", json!({})).await.text().await;
    let unknown = line(&path, |line| line["method"] == "other").await;
    assert_eq!((&unknown["outcome"], &unknown["code"]), (&json!("error"), &json!(-32601)));
    Modern::at(router.mcp("demo")).ask("echo", json!({ "text": "s3cret-argument" })).await;
    line(&path, |line| line["eras"] == "modern_to_legacy" && line["tool"] == "echo").await;

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"at\":\"before\"}\n"), "what was there stays: {text}");
    assert!(!text.contains("s3cret") && !router.log().contains("s3cret"), "{text}");
}

#[tokio::test]
async fn what_is_not_passed_on_has_its_line_with_all_that_is_known_of_it() {
    let hidden = with(demo(), &json!({ "tools": { "deny": ["add"] } }));
    let broken = with(script("exit 3", &[]), &json!({ "era": "modern" }));
    let servers = json!({ "demo": hidden, "broken": broken });
    let file = |_: &Path| json!({ "mcpServers": servers, "accessLog": "access.log" });
    let router = Router::with_file_and(file, &["--log-format", "json"]).await;
    let client = Client::open(router.mcp("demo")).await;
    client.call(1, "add", json!({ "a": 1, "b": 2 })).await.text().await;
    let refused = line(&router.path("access.log"), |line| line["tool"] == "add").await;
    assert_ne!(refused["outcome"], "ok");
    assert!(client.session().starts_with(refused["session"].as_str().unwrap_or("none")), "{refused}");
    Modern::at(router.mcp("broken")).call(2, "look", json!({})).await.text().await;
    let unserved = line(&router.path("access.log"), |line| line["server"] == "broken").await;
    assert_eq!((&unserved["tool"], &unserved["outcome"]), (&json!("look"), &json!("server_unavailable")));
    assert!(unserved["bytes_in"].as_u64().unwrap_or_default() > 50, "{unserved}");
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone_and_sighup_turns_it_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let option = ["--access-log", path.to_str().unwrap(), "--log-format", "json"];
    let server = format!("'{BINARY}' demo-server");
    let router = Router::with_options(&[
        "--port",
        "0",
        "--named-server",
        "demo",
        &server,
        option[0],
        option[1],
        option[2],
        option[3],
    ])
    .await;
    let client = Client::open(router.mcp("demo")).await;
    client.ask("echo", json!({ "text": "x" })).await;
    line(&path, |line| line["tool"] == "echo").await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let old = directory.path().join("access.log.1");
    std::fs::rename(&path, &old).unwrap();
    router.signal(Signal::HUP);
    router.logs("the access log was opened again").await;
    client.ask("add", json!({ "a": 1, "b": 2 })).await;
    line(&path, |line| line["tool"] == "add").await;
    assert!(lines(&old).iter().all(|line| line["tool"] != "add"), "the old file is left alone");
}

#[tokio::test]
async fn without_a_file_the_lines_go_into_the_log_whatever_its_level() {
    let file = json!({ "mcpServers": { "demo": demo() }, "accessLog": true });
    let router = Router::start(file, &["--log-level", "error", "--log-format", "json"]).await;
    Client::open(router.mcp("demo")).await.ask("echo", json!({ "text": "x" })).await;
    let log = router.logs("\"tool\":\"echo\"").await;
    let line = log.lines().find(|line| line.contains("\"tool\":\"echo\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["target"], &line["server"]), (&json!("access"), &json!("demo")));
    assert_eq!(line["outcome"], "ok");
}

#[tokio::test]
async fn with_what_a_tool_was_called_is_said_where_that_is_asked_for_and_nowhere_else() {
    let secret = "a-secret-of-the-server";
    let call = json!({ "text": format!("a \"{secret}\"\nand more") });
    let demo = with(demo(), &json!({ "env": { "API_KEY": secret } }));
    for place in ["access.log", "-"] {
        let file = |_: &Path| {
            let asked = json!({ "file": place, "arguments": true });
            json!({ "mcpServers": { "demo": demo }, "accessLog": asked, "aggregate": {} })
        };
        let router = Router::with_file_and(file, &["--log-format", "json"]).await;
        Client::open(router.url("/mcp")).await.ask("demo__echo", call.clone()).await;
        let written = async || {
            let text = match place {
                "-" => router.log(),
                place => std::fs::read_to_string(router.path(place)).unwrap_or_default(),
            };
            // The line of all servers together comes last.
            Some(text).filter(|text| text.contains("\"tool\":\"demo__echo\""))
        };
        let text = eventually("both lines are there", written).await;
        let told = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let told: Vec<Value> = told.filter(|line: &Value| line.get("arguments").is_some()).collect();
        assert_eq!(told.len(), 1, "all servers together do not know whose secrets these are: {text}");
        assert_eq!(told[0]["server"], "demo");
        assert_eq!(told[0]["arguments"], r#"{"text":"a \"***\"\nand more"}"#);
        assert!(!text.contains(secret), "{text}");
    }
    // What the history asks for is none of the access log's business.
    let file = |_: &Path| {
        let history = json!({ "file": "calls.db", "arguments": true });
        json!({ "mcpServers": { "demo": demo }, "accessLog": "access.log", "history": history })
    };
    let router = Router::with_file_and(file, &["--log-format", "json"]).await;
    Client::open(router.mcp("demo")).await.ask("echo", call).await;
    let line = line(&router.path("access.log"), |line| line["tool"] == "echo").await;
    assert_eq!(line.get("arguments"), None);
}

#[tokio::test]
async fn what_waits_is_written_before_the_end() {
    let file = |_: &Path| json!({ "mcpServers": { "demo": demo() }, "accessLog": "access.log" });
    let mut router = Router::with_file_and(file, &[]).await;
    let client = Client::open(router.mcp("demo")).await;
    client.ask("echo", json!({ "text": "x" })).await;
    router.signal(Signal::TERM);
    assert!(router.exit().await.success());
    let text = std::fs::read_to_string(router.path("access.log")).unwrap();
    let call = text.lines().find(|line| line.contains(" tool=echo ")).unwrap();
    assert!(call.contains(" server=demo who=anyone method=tools/call tool=echo outcome=ok ms="), "{call}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_said_at_the_start() {
    let words = ["--port", "0", "--named-server", "a", "true", "--access-log", "/nowhere/access.log"];
    let output = Command::new(BINARY).args(words).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("/nowhere/access.log") && told.contains("No such file"), "{told}");
}

#[tokio::test]
async fn the_name_of_a_request_is_in_its_answer_its_lines_and_the_log() {
    let file = json!({
        "mcpServers": { "demo": demo() },
        "aggregate": {},
        "accessLog": true,
        "auth": { "tokens": [{ "name": "alice", "token": "a-key-of-alice-for-this-story" }] },
    });
    let router = Router::start(file, &["--log-format", "json"]).await;
    let known =
        || Client::at(router.url("/mcp")).with("authorization", "Bearer a-key-of-alice-for-this-story");
    // What a client calls it is taken over where that is short and plain.
    let client = known().opened("2025-11-25", json!({})).await;
    let answer = client
        .clone()
        .with("x-request-id", "story-1.a_b")
        .call(1, "demo__echo", json!({ "text": "x" }))
        .await;
    assert_eq!(answer.header("x-request-id"), "story-1.a_b");
    answer.text().await;
    let is_its = |line: &&str| {
        line.contains("\"request\":\"story-1.a_b\"")
            && line.contains("tools/call")
            && line.contains("\"target\":\"access\"")
    };
    let both = async || {
        let log = router.log();
        let lines: Vec<Value> =
            log.lines().filter(is_its).filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 2).then_some(lines)
    };
    // The call through the endpoint of all servers, and the call of the server behind it.
    let lines = eventually("both calls are told of", both).await;
    let mut tools: Vec<_> = lines.iter().map(|line| line["tool"].as_str().unwrap()).collect();
    tools.sort_unstable();
    assert_eq!(tools, ["demo__echo", "echo"]);
    assert!(lines.iter().all(|line| line["who"] == "alice"), "{lines:?}");

    let lengthy = "x".repeat(65);
    for odd in ["with space", "\"quoted\"", lengthy.as_str()] {
        let answer = client.clone().with("x-request-id", odd).request(json!(2), "ping", json!({})).await;
        let own = answer.header("x-request-id").to_owned();
        assert!(own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
    }
    // Who is refused can name what he was refused, and the log says why.
    let refused = Client::at(router.url("/mcp"))
        .with("authorization", "Bearer wrong")
        .request(json!(3), "ping", json!({}))
        .await;
    assert_eq!(refused.status, 401);
    let request = refused.header("x-request-id").to_owned();
    let told = router.logs(&format!("\"request\":\"{request}\"")).await;
    let line = told.lines().find(|line| line.contains(&request)).unwrap();
    assert!(line.contains("a key was shown that is not known"), "{line}");
}
