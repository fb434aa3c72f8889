//! An operator looks on at what is said: every message both ways, as it was said, and no secret.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use support::events::Events;
use support::mcp::Client;
use support::modern::Modern;
use support::router::{Router, demo, with};
use support::{eventually, http_client, within};

const SECRET: &str = "s3cret \"of\" the environment/é";

async fn look_on(router: &Router, query: &str) -> Events {
    let answer = http_client().get(router.url(&format!("/admin/traffic{query}"))).send();
    let answer = within("the stream opens", answer).await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    Events::of(answer)
}

/// The next message of that side that holds `words`, as it is told.
async fn said(events: &mut Events, from: &str, words: &str) -> Value {
    loop {
        let told = events.message().await;
        if told["from"] == from && told["message"].as_str().unwrap().contains(words) {
            return told;
        }
    }
}

fn entry() -> Value {
    with(demo(), &json!({ "env": { "KEY": SECRET } }))
}

async fn watched() -> Router {
    Router::start(json!({ "mcpServers": { "a": entry(), "b": demo() }, "traffic": true }), &[]).await
}

#[tokio::test]
async fn what_is_said_is_seen_both_ways_with_its_session() {
    let router = watched().await;
    let client = Client::open(router.mcp("a")).await;
    let mut events = look_on(&router, &format!("?server=a&session={}", client.session())).await;
    let mut others = look_on(&router, "?server=b").await;
    let stranger = Client::open(router.mcp("a")).await;
    stranger.ask("echo", json!({ "text": "a stranger's" })).await;
    let mut answer = client.call_with_progress(7, "count", json!({ "to": 2 })).await.events();
    answer.until_said("notifications/progress").await;
    let told = said(&mut events, "client", "tools/call").await;
    let short = &client.session()[..8];
    assert_eq!(
        (&told["server"], &told["session"], &told["kind"]),
        (&json!("a"), &json!(short), &json!("request"))
    );
    assert_eq!((&told["method"], &told["cut"]), (&json!("tools/call"), &json!(false)));
    let message: Value = serde_json::from_str(told["message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["id"], &message["params"]["name"]), (&json!(7), &json!("count")));
    assert_eq!(told["bytes"], told["message"].as_str().unwrap().len());
    let told = said(&mut events, "server", "progress").await;
    assert_eq!((&told["kind"], &told["method"]), (&json!("notification"), &json!("notifications/progress")));
    let told = said(&mut events, "server", "Counted to 2.").await;
    assert_eq!((&told["kind"], &told["method"]), (&json!("response"), &Value::Null));
    assert!(!events.raw.contains("a stranger's"), "{}", events.raw);
    // The first thing that the other one hears is of its own server.
    Modern::at(router.mcp("b")).request(1, "tools/list", json!({})).await.outcome().await;
    let told = others.message().await;
    assert_eq!((&told["server"], &told["method"]), (&json!("b"), &json!("tools/list")), "{told}");
}

#[tokio::test]
async fn secrets_are_not_shown_however_they_are_written_and_long_messages_are_cut() {
    let router = watched().await;
    let client = Client::open(router.mcp("a")).await;
    let mut events = look_on(&router, "").await;
    let nested = json!({ "key": SECRET, "authorization": "Bearer an-unknown-one-1" }).to_string();
    client.ask("echo", json!({ "text": SECRET })).await;
    client.ask("echo", json!({ "text": nested })).await;
    client.ask("echo", json!({ "text": "x".repeat(100_000) })).await;
    let all = Client::open(router.url("/mcp")).await;
    all.ask("a__echo", json!({ "text": format!("through all of them: {SECRET}") })).await;
    let mut cut = said(&mut events, "server", "xxxx").await;
    assert_eq!((&cut["cut"], cut["message"].as_str().unwrap().len() <= 64 << 10), (&json!(true), true));
    assert!(cut["bytes"].take().as_u64().unwrap() > 100_000);
    let through = said(&mut events, "server", "through all of them").await;
    assert!(through["message"].as_str().unwrap().contains("***"), "{through}");
    said(&mut events, if through["server"] == "a" { "server" } else { "client" }, "").await;
    for part in ["s3cret", "the environment", "an-unknown-one"] {
        assert!(!events.raw.contains(part), "{part}: {}", events.raw);
    }
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_how_much_he_has_missed_and_slows_nobody() {
    let router = watched().await;
    let client = Client::open(router.mcp("a")).await;
    let mut events = look_on(&router, "?server=a").await;
    // More than fits on the way to a reader who does not read.
    let text = "y".repeat(30_000);
    for _ in 0..600 {
        client.ask("echo", json!({ "text": text })).await;
    }
    let missed = within("it is told", async {
        loop {
            let told = events.message().await;
            if let Some(missed) = told["missed"].as_u64() {
                return missed;
            }
        }
    });
    assert!(missed.await > 0);
}

#[tokio::test]
async fn nobody_looks_on_where_that_was_not_wished_and_only_operators_do() {
    let off = Router::mounting(json!({ "a": demo() })).await;
    let (status, answer) = off.get("/admin/traffic").await;
    assert_eq!(status, 409);
    assert!(answer["error"]["message"].as_str().unwrap().contains("--traffic"), "{answer}");

    let mut router = Router::start(json!({ "mcpServers": { "a": demo() } }), &["--traffic"]).await;
    let foreign = http_client().get(router.url("/admin/traffic")).header("x-forwarded-for", "10.1.2.3");
    assert_eq!(within("an answer", foreign.send()).await.unwrap().status(), 403);
    assert_eq!(router.get("/admin/traffic?sever=a").await.0, 400);
    let events = look_on(&router, "").await;
    eventually("it runs", async || (router.mount("a").await["state"] == "ready").then_some(())).await;
    router.signal(rustix::process::Signal::TERM);
    events.messages().await;
    assert!(router.exit().await.success());

    let rules = json!([{ "who": ["ann"], "servers": ["*"] }]);
    let auth =
        json!({ "tokens": [{ "name": "ann", "token": "ann-key-that-is-long-enough" }], "rules": rules });
    let guarded = json!({ "mcpServers": { "a": demo() }, "traffic": true, "auth": auth });
    let router = Router::start(guarded, &[]).await;
    let ask = |key: &str| http_client().get(router.url("/admin/traffic")).bearer_auth(key.to_owned()).send();
    assert_eq!(within("an answer", ask("wrong")).await.unwrap().status(), 401);
    assert_eq!(within("an answer", ask("ann-key-that-is-long-enough")).await.unwrap().status(), 403);
}
