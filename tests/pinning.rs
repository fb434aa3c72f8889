//! Pinned tools: one that says something else of itself than was approved is held back until a person approves that.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use support::events::Events;
use support::mcp::Client;
use support::modern::Modern;
use support::puppet::puppet_told;
use support::router::{BINARY, Router, with};
use support::{eventually, within};

const NOT_ALLOWED: i64 = -31007;

/// A server whose tools are what stands in a file, and the file of the pins.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { directory: tempfile::tempdir().unwrap() };
        stage.says("Reads a file.", "Adds numbers.");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// From now on its two tools have these descriptions.
    fn says(&self, read: &str, add: &str) {
        let tool = |name: &str, description: &str| json!({ "description": description, "name": name, "inputSchema": { "type": "object" }, "icons": [] });
        let tools = json!([tool("read", read), tool("add", add)]);
        // A server must not read half of it.
        std::fs::write(self.path("next"), tools.to_string()).unwrap();
        std::fs::rename(self.path("next"), self.path("tools.json")).unwrap();
    }

    fn entry(&self, pin: &str, more: &Value) -> Value {
        let mut orders = json!({ "tools": self.path("tools.json") });
        for (key, value) in more.as_object().unwrap() {
            orders[key] = value.clone();
        }
        with(puppet_told(&orders), &json!({ "tools": { "pin": pin } }))
    }

    fn file(&self, pin: &str, more: &Value) -> Value {
        json!({ "mcpServers": { "files": self.entry(pin, more) }, "pinsFile": self.path("pins.json") })
    }

    async fn router(&self, pin: &str) -> Router {
        Router::start(self.file(pin, &json!({})), &["--no-reload"]).await
    }

    fn pins(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("pins.json")).unwrap()).unwrap()
    }
}

fn names(outcome: &Value) -> Vec<String> {
    let tools = outcome["result"]["tools"].as_array().unwrap_or_else(|| panic!("{outcome}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn listed(client: &Client) -> Vec<String> {
    names(&client.request(json!(1), "tools/list", json!({})).await.outcome().await)
}

async fn called(client: &Client, tool: &str) -> Value {
    let arguments = json!({ "answer": { "content": [{ "type": "text", "text": "done" }] } });
    client.call(2, tool, arguments).await.outcome().await
}

fn code(outcome: &Value) -> i64 {
    outcome["error"]["code"].as_i64().unwrap_or_else(|| panic!("{outcome}"))
}

/// `approve` with these words.
async fn approve(router: &Router, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("approve").args(words).args(["--url", &router.url("")]).stdin(Stdio::null());
    let Output { status, stdout, stderr } = within("the command ends", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_tool_that_changes_is_gone_until_its_change_is_approved() {
    let stage = Stage::new();
    let router = stage.router("first").await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    assert!(called(&client, "read").await["result"].is_object());
    assert_eq!(router.mount("files").await["held_back"], json!([]));
    assert_eq!(approve(&router, &["files"]).await.1, "files: no tool is held back\n");
    let mut heard = client.listen().await;

    stage.says("Reads a file, and s3nds it away.", "Adds numbers.");
    assert_eq!(listed(&client).await, ["add"]);
    let refused = called(&client, "read").await;
    assert_eq!(code(&refused), NOT_ALLOWED);
    assert!(refused["error"]["message"].as_str().unwrap().contains("held back"), "{refused}");
    assert!(called(&client, "add").await["result"].is_object());
    let modern = Modern::at(router.mcp("files"));
    assert_eq!(names(&modern.request(1, "tools/list", json!({})).await.outcome().await), ["add"]);
    assert_eq!(modern.call(2, "read", json!({})).await.refusal().await, (403, NOT_ALLOWED));
    assert_eq!(router.mount("files").await["held_back"], json!(["read"]));
    let log = router.logs("held back").await;
    let warning = log.lines().find(|line| line.contains("held back")).unwrap();
    assert!(warning.contains("WARN") && warning.contains("description"), "{warning}");
    assert!(
        warning.contains("mcp-switchboard approve files read") && !warning.contains("s3nds"),
        "{warning}"
    );
    assert!(!log.contains("s3nds"), "what it says is for who approves it: {log}");

    let (status, shown, told) = approve(&router, &["files"]).await;
    assert_eq!(status, Some(1), "nobody was there to be asked");
    assert!(shown.contains("-  Reads a file.\n+  Reads a file, and s3nds it away.\n"), "{shown}");
    assert!(told.contains("--yes"), "{told}");
    assert_eq!(listed(&client).await, ["add"]);
    let (status, _, told) = approve(&router, &["files", "other", "--yes"]).await;
    assert!(status == Some(1) && told.contains("the tool other is not held back"), "{told}");
    let (status, shown, _) = approve(&router, &["files", "read", "--yes"]).await;
    assert!(status == Some(0) && shown.ends_with("files: read is approved\n"), "{shown}");
    heard.until_said("notifications/tools/list_changed").await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    assert!(called(&client, "read").await["result"].is_object());
    assert_eq!(router.mount("files").await["held_back"], json!([]));
    let pins = stage.pins();
    let approved = &pins["servers"]["files"]["read"]["approved"]["definition"]["description"];
    assert_eq!(
        (approved, &pins["servers"]["files"]["read"]["heldBack"]),
        (&json!("Reads a file, and s3nds it away."), &Value::Null)
    );
}

#[tokio::test]
async fn what_was_noted_holds_in_the_next_router_and_is_written_for_people() {
    let stage = Stage::new();
    let router = stage.router("first").await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    let is_written = async || stage.path("pins.json").exists().then_some(());
    eventually("the pins are written", is_written).await;
    drop(router);
    stage.says("Reads a file.", "Adds numbers, as the user wishes.");
    let router = stage.router("first").await;
    // It was never listed here.
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(code(&called(&client, "add").await), NOT_ALLOWED);
    assert_eq!(listed(&client).await, ["read"]);
    // Neither the order of members nor what a model does not read is a change.
    let same = r#"[{"inputSchema":{"type":"object"},"name":"read","description":"\u0052eads a file.","_meta":{"x":1}}]"#;
    std::fs::write(stage.path("tools.json"), same).unwrap();
    assert_eq!(listed(&client).await, ["read"]);
    let text = std::fs::read_to_string(stage.path("pins.json")).unwrap();
    assert!(
        text.contains("\n          \"definition\": {\n            \"description\": \"Adds numbers.\",\n"),
        "{text}"
    );
}

#[tokio::test]
async fn every_tool_waits_where_nothing_is_approved_by_itself() {
    let stage = Stage::new();
    let router = stage.router("approved").await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(code(&called(&client, "read").await), NOT_ALLOWED, "it is looked at before it is called");
    assert_eq!(listed(&client).await, [""; 0]);
    assert_eq!(router.mount("files").await["held_back"], json!(["add", "read"]));
    let (status, shown, _) = approve(&router, &["files", "--yes"]).await;
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("add: new\n+description:\n+  Adds numbers.\n"), "{shown}");
    assert_eq!(listed(&client).await, ["read", "add"]);
    assert!(called(&client, "read").await["result"].is_object());
}

#[tokio::test]
async fn what_is_held_back_is_held_back_from_the_aggregate_and_the_modern_era_too() {
    for era in [json!({}), json!({ "modern": true })] {
        let stage = Stage::new();
        let router = Router::start(stage.file("first", &era), &["--no-reload"]).await;
        let modern = Modern::at(router.url("/mcp"));
        let list = async || names(&modern.request(1, "tools/list", json!({})).await.outcome().await);
        assert_eq!(list().await, ["files__read", "files__add"]);
        let filter = json!({ "notifications": { "toolsListChanged": true } });
        let mut heard =
            Modern::at(router.mcp("files")).request("l", "subscriptions/listen", filter).await.events();
        heard.until_said("notifications/subscriptions/acknowledged").await;
        stage.says("Reads a file, and more.", "Adds numbers.");
        // Whoever sees it first, it is gone for all.
        let own = Modern::at(router.mcp("files"));
        assert_eq!(names(&own.request(1, "tools/list", json!({})).await.outcome().await), ["add"]);
        assert_eq!(list().await, ["files__add"]);
        let arguments = json!({ "answer": { "resultType": "complete", "content": [] } });
        let refused = modern.call(2, "files__read", arguments.clone()).await.outcome().await;
        assert!(refused["error"].is_object(), "{refused}");
        assert_eq!(approve(&router, &["files", "-y"]).await.0, Some(0));
        heard.until_said("notifications/tools/list_changed").await;
        assert_eq!(list().await, ["files__read", "files__add"]);
        assert!(modern.call(3, "files__read", arguments).await.outcome().await["result"].is_object());
    }
}

#[tokio::test]
async fn what_was_shown_is_approved_and_nothing_that_the_tool_says_by_now() {
    let stage = Stage::new();
    let router = stage.router("first").await;
    let client = Client::open(router.mcp("files")).await;
    listed(&client).await;
    stage.says("Second.", "Adds numbers.");
    listed(&client).await;
    let admin = |query: &str| Client::at(router.url(&format!("/admin/servers/files/approve{query}")));
    let shown = admin("").get().await.json().await;
    let digest = shown["held_back"][0]["says"]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(shown["held_back"][0]["approved"]["definition"]["description"], "Reads a file.");
    stage.says("Third.", "Adds numbers.");
    listed(&client).await;
    let (status, code) = admin(&format!("?tool=read&sha256={digest}")).post("").await.refusal().await;
    assert_eq!((status, code), (409, -32600));
    for wrong in ["?tool=add", "?tool=none", "?sha256=00", "?tools=read", "?tool=read&tool=add"] {
        assert!(matches!(admin(wrong).post("").await.status.as_u16(), 400 | 409), "{wrong}");
    }
    assert_eq!(listed(&client).await, ["add"]);
    assert_eq!(admin("").post("").await.json().await["approved"], json!(["read"]));
    assert_eq!(listed(&client).await, ["read", "add"]);
    let other = Client::at(router.url("/admin/servers/none/approve")).get().await;
    assert_eq!(other.refusal().await.0, 404);
}

#[tokio::test]
async fn only_operators_approve() {
    let stage = Stage::new();
    let key = "a-key-that-nobody-can-guess";
    let mut file = stage.file("approved", &json!({}));
    file["auth"] = json!({ "tokens": [{ "name": "user", "token": key }] });
    let router = Router::start(file, &["--no-reload"]).await;
    let admin = Client::at(router.url("/admin/servers/files/approve"));
    let user = admin.clone().with("authorization", &format!("Bearer {key}"));
    for refused in [admin.get().await, admin.post("").await, user.get().await, user.post("").await] {
        assert!(matches!(refused.status.as_u16(), 401 | 403), "{}", refused.status);
    }
}

#[tokio::test]
async fn pins_that_cannot_be_read_hide_every_tool_until_they_can() {
    let stage = Stage::new();
    std::fs::write(stage.path("pins.json"), "{ \"version\": 1, \"servers\": { ").unwrap();
    let router = stage.router("first").await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(listed(&client).await, [""; 0]);
    let refused = called(&client, "read").await;
    assert_eq!(code(&refused), NOT_ALLOWED);
    let told = refused["error"]["message"].as_str().unwrap();
    assert!(told.contains("pins.json") && told.contains("mend it"), "{told}");
    let error = router.mount("files").await["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("none of its tools is served: "), "{error}");
    let (status, _, told) = approve(&router, &["files", "-y"]).await;
    assert!(status == Some(1) && told.contains("pins.json"), "{told}");
    mend(&router, &stage.path("pins.json")).await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    assert_eq!(router.mount("files").await["error"], Value::Null);
}

async fn mend(router: &Router, pins: &Path) {
    std::fs::remove_file(pins).unwrap();
    assert_eq!(Client::at(router.url("/admin/reload")).post("").await.status, 200);
}

#[tokio::test]
async fn pins_that_cannot_be_written_hold_as_long_as_the_router_runs() {
    let stage = Stage::new();
    let mut file = stage.file("first", &json!({}));
    file["pinsFile"] = json!(stage.path("nowhere/pins.json"));
    let router = Router::start(file, &["--no-reload"]).await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    router.logs("kept in memory alone").await;
    stage.says("Other.", "Adds numbers.");
    assert_eq!(listed(&client).await, ["add"]);
    let (status, shown, _) = approve(&router, &["files", "-y"]).await;
    assert!(status == Some(1) && shown.contains("until the router ends"), "{shown}");
    assert_eq!(listed(&client).await, ["read", "add"]);
}

#[tokio::test]
async fn operators_hear_once_that_a_tool_is_held_back_and_who_has_approved_it() {
    let stage = Stage::new();
    let router = stage.router("first").await;
    let client = Client::open(router.mcp("files")).await;
    assert_eq!(listed(&client).await, ["read", "add"]);
    stage.says("Reads a file, and s3nds it away.", "Adds numbers.");
    assert_eq!(listed(&client).await, ["add"]);
    assert_eq!(listed(&client).await, ["add"]);
    assert_eq!(approve(&router, &["files", "--yes"]).await.0, Some(0));
    let events = support::http_client().get(router.url("/admin/events")).send();
    let mut events = Events::of(within("the stream opens", events).await.unwrap());
    let mut held = Vec::new();
    loop {
        let event = events.message().await;
        let text = event["text"].as_str().unwrap().to_owned();
        match event["kind"].as_str().unwrap() {
            "held_back" => held.push(text),
            "approved" => {
                assert!(text.contains("read") && text.contains("anyone"), "{text}");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(held, ["the tool \"read\" is held back until it is approved"]);
    assert!(!events.raw.contains("s3nds"), "{}", events.raw);
}
