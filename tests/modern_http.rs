//! Streamable HTTP of 2026-07-28: what a request must say, and what it is answered. The server behind it is a legacy one.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::mcp::{Client, request};
use support::modern::Modern;
use support::puppet::{puppet, puppet_told};
use support::router::{Router, demo, script, with};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

#[tokio::test]
async fn a_request_that_says_all_it_must_is_answered_and_gets_no_session() {
    let router = Router::of_demo().await;
    let modern = Modern::at(router.mcp("demo"));
    let answer = modern.call(json!(1), "add", json!({ "a": 2, "b": 3 })).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("mcp-session-id"));
    let outcome = answer.json().await;
    assert_eq!((&outcome["id"], &outcome["result"]["structuredContent"]), (&json!(1), &json!({ "sum": 5 })));
    assert_eq!(outcome["result"]["resultType"], "complete");
    assert_eq!(
        outcome["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "mcp-switchboard-demo"
    );
    // What belongs to the other era is ignored.
    let stray = modern.with("mcp-session-id", "nonsense").with("last-event-id", "7-7");
    let answer = stray.call("s", "echo", json!({ "text": "hi" })).await;
    assert!(!answer.headers.contains_key("mcp-session-id"));
    assert_eq!(answer.json().await["result"]["content"][0]["text"], "hi");
}

#[tokio::test]
async fn discovery_tells_every_version_that_the_url_serves() {
    let router = Router::of_demo().await;
    let outcome =
        Modern::at(router.mcp("demo")).request("d", "server/discover", json!({})).await.json().await;
    let result = &outcome["result"];
    let versions = json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]);
    assert_eq!(result["supportedVersions"], versions);
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
    assert!(result["capabilities"]["tools"].is_object() && result["instructions"].is_string(), "{outcome}");
}

#[tokio::test]
async fn what_the_headers_and_the_body_say_must_be_there_and_be_the_same() {
    let router = Router::of_demo().await;
    let plain = Client::at(router.mcp("demo"));
    let claim = json!({ VERSION: "2026-07-28", CAPABILITIES: {} });
    let list = |meta: &Value| request(json!("m"), "tools/list", json!({ "_meta": meta }));
    let versioned = |version: &str| plain.clone().with("mcp-protocol-version", version);
    let whole = |method: &str| versioned("2026-07-28").with("mcp-method", method);
    let call = request(
        json!("m"),
        "tools/call",
        json!({ "_meta": claim, "name": "echo", "arguments": { "text": "" } }),
    );
    let old = json!({ VERSION: "1900-01-01", CAPABILITIES: {} });
    let discover = request(json!("m"), "server/discover", json!({}));
    let number = json!({ VERSION: 7, CAPABILITIES: {} });
    let table = [
        ("no version header", plain.clone().with("mcp-method", "tools/list"), list(&claim), -32020),
        (
            "another version header",
            versioned("2025-11-25").with("mcp-method", "tools/list"),
            list(&claim),
            -32020,
        ),
        ("no method header", versioned("2026-07-28"), list(&claim), -32020),
        ("another method header", whole("tools/call"), list(&claim), -32020),
        ("another case", whole("Tools/List"), list(&claim), -32020),
        ("no name header", whole("tools/call"), call.clone(), -32020),
        ("another name header", whole("tools/call").with("mcp-name", "add"), call.clone(), -32020),
        ("a broken name header", whole("tools/call").with("mcp-name", "=?base64?!?="), call.clone(), -32020),
        (
            "a version that nobody has",
            versioned("1900-01-01").with("mcp-method", "tools/list"),
            list(&old),
            -32022,
        ),
        ("no capabilities", whole("tools/list"), list(&json!({ VERSION: "2026-07-28" })), -32602),
        ("a header without a claim", whole("tools/list"), list(&json!({})), -32602),
        ("discovery without a claim", plain.clone(), discover, -32020),
        ("a claim that is a number", whole("tools/list"), list(&number), -32020),
    ];
    for (what, client, body, code) in table {
        let answer = client.post(body).await;
        let session = answer.headers.contains_key("mcp-session-id");
        assert_eq!((answer.refusal().await, session), ((400, code), false), "{what}");
    }
    // The name may be encoded, and then it is compared by what it means.
    let encoded = whole("tools/call").with("mcp-name", "=?base64?ZWNobw==?=");
    assert_eq!(encoded.post(call).await.status, 200);
}

#[tokio::test]
async fn a_refused_version_is_told_which_ones_there_are() {
    let router = Router::of_demo().await;
    let meta = json!({ VERSION: "2030-01-01", CAPABILITIES: {} });
    let client = Client::at(router.mcp("demo")).with("mcp-protocol-version", "2030-01-01");
    let refused = client.request(json!("v"), "tools/list", json!({ "_meta": meta })).await.json().await;
    let data = &refused["error"]["data"];
    assert_eq!((&refused["id"], &data["requested"]), (&json!("v"), &json!("2030-01-01")));
    assert_eq!(data["supported"][0], "2026-07-28");
}

#[tokio::test]
async fn statuses_tell_what_is_unknown_and_what_is_not_taken() {
    let router = Router::of_demo().await;
    let modern = Modern::at(router.mcp("demo"));
    for gone in ["ping", "logging/setLevel", "resources/subscribe", "tasks/list", "no/such"] {
        assert_eq!(modern.request("u", gone, json!({})).await.refusal().await, (404, -32601), "{gone}");
    }
    let nowhere = Modern::at(router.mcp("nowhere"));
    assert_eq!(nowhere.request("n", "tools/list", json!({})).await.refusal().await, (404, -31010));
    for accept in ["application/json", "text/event-stream"] {
        let client = modern.clone().with("accept", accept);
        assert_eq!(client.request("a", "tools/list", json!({})).await.status, 406, "{accept}");
    }
    for accept in ["*/*", "text/event-stream, application/json;q=0.5"] {
        let client = modern.clone().with("accept", accept);
        assert_eq!(client.request("a", "tools/list", json!({})).await.status, 200, "{accept}");
    }
    let text = modern.clone().with("content-type", "text/plain");
    assert_eq!(text.request("t", "tools/list", json!({})).await.status, 415);
    let one =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": modern.params(json!({})) });
    assert_eq!(modern.client.post(json!([one]).to_string()).await.refusal().await, (400, -32600));
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": modern.params(json!({ "requestId": 1 })) });
    assert_eq!(modern.client.post(note.to_string()).await.status, 202);
    // A server's own error about the params is an answer.
    let unknown = modern.call("x", "no-such-tool", json!({})).await;
    assert_eq!(unknown.status, 200);
}

#[tokio::test]
async fn both_eras_are_served_on_one_path_at_once() {
    let router = Router::of_demo().await;
    let (modern, legacy) = (Modern::at(router.mcp("demo")), Client::open(router.mcp("demo")).await);
    let slow = legacy.call(1, "sleep", json!({ "ms": 300 }));
    let quick = async { modern.ask("echo", json!({ "text": "modern" })).await };
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!(quick, "modern");
    assert_eq!(slow.outcome().await["id"], 1);
    legacy.assert_serves().await;
}

#[tokio::test]
async fn parameters_that_a_tool_mirrors_into_headers_are_checked_on_either_kind_of_server() {
    let router =
        Router::mounting(json!({ "old": puppet(), "new": puppet_told(&json!({ "modern": true })) })).await;
    for mount in ["old", "new"] {
        let modern = Modern::at(router.mcp(mount));
        let call = async |client: &Modern, arguments: Value| {
            let answer = client.call("c", "query", arguments).await;
            if answer.status == 200 { (200, 0) } else { answer.refusal().await }
        };
        let region = json!({ "region": "é" });
        assert_eq!(call(&modern, region.clone()).await, (400, -32020), "{mount}: it is missing");
        let wrong = modern.clone().with("mcp-param-region", "e");
        assert_eq!(call(&wrong, region.clone()).await, (400, -32020), "{mount}: it is another");
        let right = modern.clone().with("mcp-param-region", "=?base64?w6k=?=");
        assert_eq!(call(&right, region).await, (200, 0), "{mount}");
        assert_eq!(call(&modern, json!({})).await, (200, 0), "{mount}: there is nothing to mirror");
        let other = modern.with("mcp-param-other", "x");
        assert_eq!(call(&other, json!({})).await, (200, 0), "{mount}: nobody declared it");
    }
}

#[tokio::test]
async fn progress_and_the_logs_that_were_asked_for_precede_the_answer_on_its_stream() {
    let router = Router::of_demo().await;
    let modern = Modern::at(router.mcp("demo"));
    let params = json!({ "name": "count", "arguments": { "to": 2 }, "_meta": { "progressToken": "mine" } });
    let answer = modern.request("p", "tools/call", params).await;
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let mut events = answer.events();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        // Nothing can be resumed, so nothing has an id.
        assert_eq!(event.id, None);
        seen.extend(event.message());
    }
    assert_eq!(seen.len(), 3);
    assert!(seen[..2].iter().all(|note| note["params"]["progressToken"] == "mine"), "{seen:?}");
    assert_eq!(seen[2]["id"], "p");
    let log = json!({ "level": "warning", "text": "look" });
    let quiet = modern.call("q", "log", log.clone()).await.messages().await;
    assert_eq!(quiet.len(), 1, "it did not ask for logs: {quiet:?}");
    let errors = modern.clone().logging("error").call("e", "log", log.clone()).await.messages().await;
    assert_eq!(errors.len(), 1, "it asked for worse: {errors:?}");
    let all = modern.logging("debug").call("l", "log", log).await.messages().await;
    assert_eq!((all.len(), &all[0]["method"]), (2, &json!("notifications/message")), "{all:?}");
}

#[tokio::test]
async fn a_mount_of_the_demo_server_says_which_era_it_speaks() {
    let router =
        Router::mounting(json!({ "demo": demo(), "new": puppet_told(&json!({ "modern": true })) })).await;
    router.until("demo", "known to speak one era", |mount| mount["era"] == "legacy").await;
    router.until("new", "known to speak the other", |mount| mount["era"] == "modern").await;
}

#[tokio::test]
async fn who_hangs_up_while_the_tools_are_listed_leaves_no_request_behind() {
    let silent = r#"grep --line-buffered -v '"tools/list"' | "$0" demo-server"#;
    let keys = json!({ "era": "legacy", "pool": { "warm": 0 } });
    let router = Router::mounting(json!({ "demo": with(script(silent, &[]), &keys) })).await;
    let modern = Modern::at(router.mcp("demo"));
    tokio::select! {
        _ = modern.call(1, "echo", json!({ "text": "x" })) => panic!("its headers are unchecked"),
        _ = router.until("demo", "listing", |mount| mount["in_flight"] == 1) => {}
    }
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
    // A server that never says which headers to check gets no calls, and is not waited for each time.
    let refusal = modern.call(2, "echo", json!({ "text": "x" })).await.refusal().await;
    assert_eq!(refusal, (503, -31001));
    assert_eq!(modern.call(3, "echo", json!({ "text": "x" })).await.refusal().await, refusal);
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_client_that_gets_no_process_opens_the_headers_of_nobody() {
    let entry = with(puppet(), &json!({ "era": "legacy", "pool": { "warm": 0, "max": 1 } }));
    let router = Router::mounting(json!({ "puppet": entry })).await;
    let modern = Modern::at(router.mcp("puppet"));
    let listening = json!({ "notifications": { "toolsListChanged": true } });
    let mut events = modern.request("l", "subscriptions/listen", listening).await.events();
    events.next().await.expect("it keeps the process");
    let lying = modern.clone().with("mcp-param-region", "eu");
    let call = async || lying.call(1, "query", json!({ "region": "us" })).await.refusal().await;
    assert_eq!(call().await, (400, -32020));
    // After a second a tool that is not on the list makes it be fetched anew, for which this client has no process.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let other = Modern::able_to(router.mcp("puppet"), json!({ "experimental": {} }));
    assert_eq!(other.call(2, "unknown", json!({})).await.refusal().await, (503, -31004));
    assert_eq!(call().await, (400, -32020));
}

#[tokio::test]
async fn a_request_whose_process_ends_while_it_waits_is_not_told_of_a_session() {
    let once = r#"if [ -e "$1" ]; then sleep 1; exit 1; fi; touch "$1"; exec "$0" demo-server"#;
    let router = Router::with_file(|directory| {
        let keys = json!({ "era": "legacy", "pool": { "warm": 0 }, "restart": { "attempts": 2 } });
        json!({ "mcpServers": { "demo": with(script(once, &[&directory.join("started")]), &keys) } })
    })
    .await;
    let modern = Modern::at(router.mcp("demo"));
    modern.ask("echo", json!({ "text": "it is up" })).await;
    assert_eq!(modern.call(1, "crash", json!({})).await.outcome().await["error"]["code"], -31002);
    let (status, code) = modern.request(2, "tools/list", json!({})).await.refusal().await;
    assert_eq!((status, code), (503, -31001));
}
