//! Which tools of a server are served: what is not is neither listed nor callable, by whatever way.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use std::process::Stdio;
use support::events::Events;
use support::mcp::{Client, hello, notification, request};
use support::modern::Modern;
use support::puppet::{puppet, puppet_told};
use support::router::{BINARY, Router, demo, with};
use support::{eventually, within};

const NOT_ALLOWED: i64 = -31007;
const KEY: &str = "a-key-that-nobody-can-guess";

/// A demo server without two of its tools: one is named as it is called here, one as all servers together call it.
fn ruled() -> Value {
    with(demo(), &json!({ "tools": { "allow": ["*"], "deny": ["add", "demo__bum?"] } }))
}

fn names(outcome: &Value) -> Vec<String> {
    let tools = outcome["result"]["tools"].as_array().unwrap_or_else(|| panic!("{outcome}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// What is listed has `echo` and neither of the hidden ones; what comes before the names is not looked at.
fn assert_ruled(outcome: &Value) {
    let names = names(outcome);
    let has = |tool: &str| names.iter().any(|name| name == tool || name == &format!("demo__{tool}"));
    assert!(has("echo") && has("count") && !has("add") && !has("bump"), "{names:?}");
}

fn call(tool: &str) -> Value {
    json!({ "name": tool, "arguments": { "text": "x", "a": 1, "b": 2 } })
}

fn echo(tool: &str) -> Value {
    json!({ "name": tool, "arguments": { "text": "x" } })
}

fn code(outcome: &Value) -> i64 {
    outcome["error"]["code"].as_i64().unwrap_or_else(|| panic!("{outcome}"))
}

#[tokio::test]
async fn a_hidden_tool_is_not_there_for_a_client_with_a_session() {
    for pool in [json!({}), json!({ "mode": "shared" })] {
        let router = Router::mounting(json!({ "demo": with(ruled(), &json!({ "pool": pool })) })).await;
        let client = Client::open(router.mcp("demo")).await;
        assert_ruled(&client.request(json!(1), "tools/list", json!({})).await.outcome().await);
        for tool in ["add", "bump", "demo__bump"] {
            let refused = client.request(json!(2), "tools/call", call(tool)).await;
            assert_eq!(refused.status, 200);
            let refused = refused.outcome().await;
            let message = refused["error"]["message"].as_str().unwrap();
            if tool != "demo__bump" {
                assert_eq!((code(&refused), &refused["id"]), (NOT_ALLOWED, &json!(2)));
                assert!(message.contains(tool) && message.contains("not served here"), "{message}");
            }
        }
        assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
        let batches = Client::open_as(router.mcp("demo"), "2025-03-26", json!({})).await;
        let (hidden, shown) =
            (request(json!(1), "tools/call", call("add")), request(json!(2), "tools/call", echo("echo")));
        let list = request(json!(3), "tools/list", json!({}));
        let answer = batches.post(format!("[{hidden},{shown},{list}]")).await;
        assert_eq!(answer.status, 200);
        let answers: Vec<Value> = if answer.is_json() {
            serde_json::from_value(answer.json().await).unwrap()
        } else {
            answer.messages().await
        };
        let of = |id: i64| answers.iter().find(|answer| answer["id"] == id).unwrap();
        assert_eq!(code(of(1)), NOT_ALLOWED);
        assert_eq!(of(2)["result"]["content"][0]["text"], "x");
        assert_ruled(of(3));
    }
}

#[tokio::test]
async fn a_hidden_tool_is_not_there_over_http_and_sse_and_for_a_single_request() {
    let router = Router::mounting(json!({ "demo": ruled() })).await;
    let mut stream: Events = Client::at(router.sse("demo")).listen().await;
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let messages = Client::at(router.url(&endpoint));
    let mut ask = async |id: i64, method: &str, params: Value| {
        assert_eq!(messages.post(request(json!(id), method, params)).await.status, 202);
        stream.message().await
    };
    ask(0, "initialize", hello("2024-11-05", json!({}))).await;
    messages.post(notification("notifications/initialized", json!({}))).await;
    assert_ruled(&ask(1, "tools/list", json!({})).await);
    assert_eq!(code(&ask(2, "tools/call", call("add")).await), NOT_ALLOWED);
    assert!(ask(3, "tools/call", echo("echo")).await["result"].is_object());

    let once = Client::at(router.sse("demo"));
    assert_ruled(&once.request(json!(1), "tools/list", json!({})).await.json().await);
    assert_eq!(code(&once.request(json!(2), "tools/call", call("bump")).await.json().await), NOT_ALLOWED);
    assert_eq!(once.ask("echo", json!({ "text": "x" })).await, "x");

    let servers = json!({ "mcpServers": { "demo": ruled() } });
    let stateless = Router::start(servers, &["--stateless"]).await;
    let client = Client::at(stateless.mcp("demo")).with("mcp-protocol-version", "2025-11-25");
    assert_ruled(&client.request(json!(1), "tools/list", json!({})).await.outcome().await);
    assert_eq!(code(&client.request(json!(2), "tools/call", call("add")).await.outcome().await), NOT_ALLOWED);
}

#[tokio::test]
async fn a_hidden_tool_is_not_there_for_a_modern_client_and_its_parameters_are_not_told() {
    let tools = json!({ "tools": { "deny": ["query"] } });
    for era in [json!({}), json!({ "modern": true })] {
        let router = Router::mounting(json!({
            "demo": ruled(),
            "puppet": with(puppet_told(&era), &tools),
            "open": puppet_told(&era),
        }))
        .await;
        let modern = Modern::at(router.mcp("demo"));
        assert_ruled(&modern.request(1, "tools/list", json!({})).await.outcome().await);
        let refused = modern.call(2, "add", json!({ "a": 1, "b": 2 })).await;
        assert_eq!(refused.refusal().await, (403, NOT_ALLOWED));
        assert_eq!(modern.ask("echo", json!({ "text": "x" })).await, "x");
        // It wants a header, which is not there.
        let open = Modern::at(router.mcp("open")).call(3, "query", json!({ "region": "x" })).await;
        assert_eq!(open.refusal().await, (400, -32020));
        let hidden = Modern::at(router.mcp("puppet")).call(4, "query", json!({ "region": "x" })).await;
        assert_eq!(hidden.refusal().await, (403, NOT_ALLOWED));
    }
}

#[tokio::test]
async fn a_hidden_tool_is_not_there_among_those_of_all_servers_together() {
    let file = json!({
        "mcpServers": { "demo": ruled(), "other": demo() },
        "aggregate": { "views": { "dev": { "servers": ["demo"], "tools": { "rename": { "demo__add": "sum" } } } } },
    });
    let router = Router::start(file, &[]).await;
    for path in ["/mcp", "/views/dev/mcp"] {
        let (modern, legacy) = (Modern::at(router.url(path)), Client::open(router.url(path)).await);
        let listed = modern.request(1, "tools/list", json!({})).await.outcome().await;
        assert_ruled(&listed);
        assert_eq!(names(&listed).contains(&"other__add".to_owned()), path == "/mcp");
        assert_ruled(&legacy.request(json!(1), "tools/list", json!({})).await.outcome().await);
        for tool in ["demo__add", "demo__bump", "sum"] {
            assert!(
                legacy.request(json!(2), "tools/call", call(tool)).await.outcome().await["error"].is_object()
            );
            assert!(
                modern.call(3, tool, json!({ "a": 1, "b": 2 })).await.outcome().await["error"].is_object()
            );
        }
        assert_eq!(legacy.ask("demo__echo", json!({ "text": "x" })).await, "x");
    }
}

#[tokio::test]
async fn a_hidden_tool_is_not_there_for_the_commands_and_in_client_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("servers.json");
    std::fs::write(&path, json!({ "mcpServers": { "demo": ruled() } }).to_string()).unwrap();
    let path = path.to_str().unwrap();
    let run = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(BINARY);
        let command = command.args(words).args(["--named-server-config", path]).stdin(Stdio::null());
        within("the command ends", command.output()).await.unwrap()
    };
    let listed = run(&["tools", "--json"]).await;
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("\"echo\"") && !text.contains("\"add\"") && !text.contains("\"bump\""), "{text}");
    let called = run(&["call", "demo", "add", r#"{"a":1,"b":2}"#]).await;
    let told = String::from_utf8(called.stderr).unwrap();
    assert!(
        !called.status.success() && told.contains("not served here") && told.contains("-31007"),
        "{told}"
    );
    assert!(run(&["call", "demo", "echo", r#"{"text":"x"}"#]).await.status.success());

    let mut child = tokio::process::Command::new(BINARY)
        .args(["--transport", "stdio", "--named-server-config", path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
    let mut ask = async |id: i64, method: &str, params: Value| {
        let line = request(json!(id), method, params) + "\n";
        tokio::io::AsyncWriteExt::write_all(&mut stdin, line.as_bytes()).await.unwrap();
        loop {
            let line = within("it answers", lines.next_line()).await.unwrap().unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    };
    ask(0, "initialize", hello("2025-11-25", json!({}))).await;
    assert_ruled(&ask(1, "tools/list", json!({})).await);
    assert!(ask(2, "tools/call", call("demo__add")).await["error"].is_object());
    assert!(ask(3, "tools/call", echo("demo__echo")).await["result"].is_object());
}

#[tokio::test]
async fn what_is_left_of_a_list_stays_to_the_letter_and_so_do_its_pages() {
    let router =
        Router::mounting(json!({ "p": with(puppet(), &json!({ "tools": { "deny": ["b*"] } })) })).await;
    let client = Client::open(router.mcp("p")).await;
    let tool = |name: &str| format!(r#"{{"name":  "{name}", "x": 1.0, "inputSchema": {{}}}}"#);
    let line = |tools: &str| {
        // The puppet's own spaces, and the id that it was asked by.
        format!(
            r#"{{ "result": {{"nextCursor": "n\\u0065xt", "tools": [{tools}], "_meta": {{"z":1,"a":2}}}}, "jsonrpc" :"2.0", "id": 7 }}"#
        )
    };
    let all = line(&format!("{} ,  {}, {}", tool("a"), tool("b1"), tool("c")));
    let answer = client.request(json!(7), "tools/list", json!({ "say": [all] })).await.text().await;
    assert!(answer.ends_with(&line(&format!("{}, {}", tool("a"), tool("c")))), "{answer}");
    let none = line(&tool("b1"));
    let answer = client.request(json!(7), "tools/list", json!({ "say": [none] })).await.text().await;
    assert!(answer.ends_with(&line("")), "{answer}");
}

#[tokio::test]
async fn a_call_that_two_readers_would_read_differently_is_not_passed_on() {
    let router = Router::mounting(json!({ "demo": ruled() })).await;
    let client = Client::open(router.mcp("demo")).await;
    for params in [
        r#"{"name":"add","name":"echo","arguments":{"a":1,"b":2}}"#,
        r#"{"name":"echo","Name":"add","arguments":{"a":1,"b":2}}"#,
        r#"{"NAME":"add","arguments":{"a":1,"b":2}}"#,
        r#"{"arguments":{"a":1,"b":2}}"#,
    ] {
        let refused = client
            .post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#))
            .await;
        assert_eq!(code(&refused.outcome().await), -32602, "{params}");
    }
    let escaped = r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"\u0061dd","arguments":{"a":1,"b":2}}}"#;
    assert_eq!(code(&client.post(escaped).await.outcome().await), NOT_ALLOWED);
    let other = r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}"#;
    assert_eq!(code(&client.post(other).await.json().await), -32600);
}

#[tokio::test]
async fn rules_that_change_are_followed_in_the_sessions_there_are() {
    let file = |tools: Value| json!({ "mcpServers": { "demo": with(demo(), &json!({ "tools": tools })) } });
    let router = Router::start(file(json!({})), &["--no-reload"]).await;
    let reload = async |tools: Value| {
        std::fs::write(router.path("servers.json"), file(tools).to_string()).unwrap();
        Client::at(router.url("/admin/reload")).post("").await.json().await
    };
    let client = Client::open(router.mcp("demo")).await;
    let sum = async || client.call(1, "add", json!({ "a": 1, "b": 2 })).await.outcome().await;
    assert!(sum().await["result"].is_object());
    let mut heard = client.listen().await;
    let diff = reload(json!({ "deny": ["add"] })).await;
    assert_eq!(diff["changed"], json!([{ "name": "demo", "keys": ["tools"] }]));
    assert_eq!(code(&sum().await), NOT_ALLOWED);
    assert_ruled_without_add(&client).await;
    heard.until_said("notifications/tools/list_changed").await;
    reload(json!({})).await;
    eventually("it is served again", async || sum().await["result"].is_object().then_some(())).await;
}

async fn assert_ruled_without_add(client: &Client) {
    let names = names(&client.request(json!(1), "tools/list", json!({})).await.outcome().await);
    assert!(names.contains(&"echo".to_owned()) && !names.contains(&"add".to_owned()), "{names:?}");
}

/// A file in which the owner of [`KEY`] may use tools that change nothing.
fn for_readers(servers: &Value) -> Value {
    json!({
        "mcpServers": servers,
        "auth": {
            "tokens": [{ "name": "reader", "token": KEY }],
            "rules": [{ "who": ["reader"], "servers": ["*"], "views": ["*"], "readOnly": true }],
        },
    })
}

#[tokio::test]
async fn who_may_only_read_sees_what_changes_nothing_where_the_server_is_believed() {
    let trusted = with(demo(), &json!({ "tools": { "trustHints": true } }));
    let router = Router::start(for_readers(&json!({ "sure": trusted, "unsure": demo() })), &[]).await;
    let bearer = format!("Bearer {KEY}");
    let modern = |path: &str| Modern::at(router.url(path)).with("authorization", &bearer);
    let listed =
        async |path: &str| names(&modern(path).request(1, "tools/list", json!({})).await.outcome().await);
    let sure = listed("/servers/sure/mcp").await;
    assert!(sure.contains(&"echo".to_owned()) && !sure.contains(&"bump".to_owned()), "{sure:?}");
    assert_eq!(listed("/servers/unsure/mcp").await, [""; 0]);
    let together = listed("/mcp").await;
    assert!(together.contains(&"sure__echo".to_owned()), "{together:?}");
    assert!(
        !together.iter().any(|name| name == "sure__bump" || name.starts_with("unsure__")),
        "{together:?}"
    );
    let at = modern("/servers/sure/mcp");
    assert_eq!(at.ask("echo", json!({ "text": "x" })).await, "x");
    assert_eq!(at.call(2, "bump", json!({})).await.refusal().await, (403, NOT_ALLOWED));
    let unsure = modern("/servers/unsure/mcp").call(2, "echo", json!({ "text": "x" })).await;
    assert_eq!(unsure.refusal().await, (403, NOT_ALLOWED));
    assert_eq!(modern("/mcp").ask("sure__echo", json!({ "text": "x" })).await, "x");
    assert!(modern("/mcp").call(3, "sure__bump", json!({})).await.outcome().await["error"].is_object());
}

#[tokio::test]
async fn a_tool_that_says_otherwise_of_itself_is_seen_as_it_is_now() {
    let directory = tempfile::tempdir().unwrap();
    let tools = directory.path().join("tools.json");
    let says = |reads: bool| {
        let tool = json!([{ "name": "t", "inputSchema": {}, "annotations": { "readOnlyHint": reads } }]);
        std::fs::write(&tools, tool.to_string()).unwrap();
    };
    says(true);
    let entry = with(puppet_told(&json!({ "tools": tools })), &json!({ "tools": { "trustHints": true } }));
    let router = Router::start(for_readers(&json!({ "p": entry })), &[]).await;
    let bearer = format!("Bearer {KEY}");
    let client = Client::at(router.mcp("p")).with("authorization", &bearer);
    let opened = client.request(json!(0), "initialize", hello("2025-11-25", json!({}))).await;
    let session = opened.header("mcp-session-id").to_owned();
    opened.outcome().await;
    let client = client.with("mcp-session-id", &session).with("mcp-protocol-version", "2025-11-25");
    client.notify("notifications/initialized", json!({})).await;
    let call = async |more: Value| {
        let mut arguments = json!({ "answer": { "content": [{ "type": "text", "text": "x" }] } });
        for (key, value) in more.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        client.call(1, "t", arguments).await.outcome().await
    };
    assert!(call(json!({})).await["result"].is_object());
    says(false);
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    assert!(call(json!({ "say": [changed] })).await["result"].is_object());
    assert_eq!(code(&call(json!({})).await), NOT_ALLOWED);
}
