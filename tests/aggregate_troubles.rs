//! All servers behind one endpoint, on a bad day: what ends, changes or is given up while somebody waits for it.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::mcp::Client;
use support::modern::Modern;
use support::process::kill;
use support::puppet::puppet;
use support::router::{Router, demo, pids, script, with};
use support::{eventually, within};

fn text(outcome: &Value) -> &str {
    outcome["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{outcome}"))
}

#[tokio::test]
async fn a_call_finishes_although_a_reload_has_removed_its_server() {
    let file = json!({ "mcpServers": { "a": demo(), "b": demo() } });
    let router = Router::start(file, &["--reload-interval", "0.1"]).await;
    let (legacy, modern) = (Client::open(router.url("/mcp")).await, Modern::at(router.url("/mcp")));
    let slow = json!({ "ms": 2000 });
    let calls = futures::future::join(
        legacy.call(1, "b__sleep", slow.clone()),
        modern.call(1, "b__sleep", slow.clone()),
    );
    let removed = async {
        router.until("b", "called twice", |mount| mount["in_flight"] == 2).await;
        let less = json!({ "mcpServers": { "a": demo() } });
        std::fs::write(router.path("servers.json"), less.to_string()).expect("the file is written");
        router.until("b", "gone", Value::is_null).await;
    };
    let ((old, new), ()) = futures::future::join(calls, removed).await;
    assert_eq!(text(&new.outcome().await), "Slept 2000 ms.");
    assert_eq!(text(&old.outcome().await), "Slept 2000 ms.");
    let refused = legacy.call(2, "b__sleep", slow).await.outcome().await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}

#[tokio::test]
async fn told_to_end_the_router_lets_calls_of_all_servers_finish() {
    let mut router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let (legacy, modern) = (Client::open(router.url("/mcp")).await, Modern::at(router.url("/mcp")));
    let slow = json!({ "ms": 1500 });
    let calls =
        futures::future::join(legacy.call(1, "b__sleep", slow.clone()), modern.call(1, "b__sleep", slow));
    let told = async {
        router.until("b", "called twice", |mount| mount["in_flight"] == 2).await;
        router.signal(Signal::TERM);
    };
    let ((old, new), ()) = futures::future::join(calls, told).await;
    assert_eq!(text(&new.outcome().await), "Slept 1500 ms.");
    assert_eq!(text(&old.outcome().await), "Slept 1500 ms.");
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn a_lazy_server_stops_after_a_call_that_was_given_up() {
    let lazy = with(demo(), &json!({ "lazy": true, "pool": { "idleTimeout": 1 } }));
    let router = Router::mounting(json!({ "a": demo(), "lazy": lazy })).await;
    let legacy = Client::open(router.url("/mcp")).await;
    let cancel = async {
        router.until("lazy", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        legacy.notify("notifications/cancelled", json!({ "requestId": 5 })).await;
    };
    let (answer, ()) =
        futures::future::join(legacy.call(5, "lazy__sleep", json!({ "ms": 60_000 })), cancel).await;
    assert_eq!(answer.outcome().await["error"]["code"], -32800);
    router.until("lazy", "idle", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
}

#[tokio::test]
async fn a_client_that_begins_twice_is_told_of_a_change_once() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let legacy = Client::open_as(router.url("/mcp"), "2025-11-25", json!({})).await;
    legacy.notify("notifications/initialized", json!({})).await;
    legacy.notify("notifications/initialized", json!({})).await;
    let mut unasked = legacy.listen().await;
    let modern = Modern::at(router.url("/mcp"));
    // Once its server is being listened to.
    router.until("a", "listened to", |mount| mount["requests"] == 1).await;
    modern.ask("a__toggle", json!({})).await;
    unasked.until_said("notifications/tools/list_changed").await;
    // What comes next on this stream is something else.
    legacy.request(json!(1), "resources/subscribe", json!({ "uri": "demo://counter" })).await.outcome().await;
    legacy.ask("a__bump", json!({})).await;
    let next = within("something else is said", unasked.message()).await;
    assert_eq!(next["method"], "notifications/resources/updated", "{next}");
}

#[tokio::test]
async fn a_client_may_call_its_requests_what_it_likes() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let legacy = Client::open(router.url("/mcp")).await;
    for id in
        [json!("mcp-switchboard/0"), json!("mcp-switchboard/1"), json!("s1"), json!(-1), json!("\u{e4}")]
    {
        let call = legacy.call(id.clone(), "a__echo", json!({ "text": "x" }));
        let outcome = within("it is answered", call).await.outcome().await;
        assert_eq!((&outcome["id"], text(&outcome)), (&id, "x"));
    }
}

#[tokio::test]
async fn a_server_with_room_for_one_process_serves_a_client_of_the_whole() {
    let one = with(demo(), &json!({ "pool": { "max": 1 } }));
    let router = Router::mounting(json!({ "a": demo(), "one": one })).await;
    // Its first handshake takes the only place for a moment.
    router.settled("one", 1).await;
    let legacy = Client::open(router.url("/mcp")).await;
    legacy.request(json!(1), "tools/list", json!({})).await.outcome().await;
    router.until("one", "listened to", |mount| mount["requests"].as_u64() > Some(5)).await;
    assert_eq!(legacy.ask("one__echo", json!({ "text": "x" })).await, "x");
}

#[tokio::test]
async fn a_log_level_that_is_set_while_a_server_starts_is_the_servers_own() {
    let router = Router::with_file(|directory| {
        let go = directory.join("go");
        let late = script("while [ ! -e \"$1\" ]; do sleep 0.05; done; exec \"$0\" demo-server", &[&go]);
        json!({ "mcpServers": { "late": late } })
    })
    .await;
    let legacy = Client::open(router.url("/mcp")).await;
    let log = json!({ "text": "hear this", "level": "debug" });
    let call = legacy.call(1, "late__log", log);
    let set = async {
        router.until("late", "called", |mount| mount["in_flight"].as_u64() > Some(0)).await;
        let level = legacy.request(json!(2), "logging/setLevel", json!({ "level": "debug" })).await;
        assert!(level.outcome().await["result"].is_object());
        std::fs::write(router.path("go"), "").expect("a file");
    };
    let (answer, ()) = futures::future::join(call, set).await;
    drop(answer.messages().await);
    // The second one comes after the level for sure.
    let log = json!({ "text": "and this", "level": "debug" });
    let said = async || {
        let messages = legacy.call(3, "late__log", log.clone()).await.messages().await;
        messages.into_iter().find(|message| message["method"] == "notifications/message")
    };
    let line = eventually("the line is heard", said).await;
    assert_eq!(line["params"]["level"], "debug");
}

#[tokio::test]
async fn the_first_to_come_waits_no_longer_for_a_silent_server_than_a_list_may() {
    let router = Router::mounting(json!({ "a": demo(), "silent": script("exec cat >/dev/null", &[]) })).await;
    router.settled("a", 1).await;
    let modern = Modern::at(router.url("/mcp"));
    let begun = Instant::now();
    assert_eq!(modern.ask("a__echo", json!({ "text": "x" })).await, "x");
    let called = begun.elapsed();
    modern.request(1, "tools/list", json!({})).await.outcome().await;
    let listed = begun.elapsed();
    assert!(called < Duration::from_secs(1) && listed < Duration::from_millis(3900), "{called:?} {listed:?}");
}

#[tokio::test]
async fn changes_are_told_of_a_server_whose_session_has_ended_for_good() {
    let router =
        Router::mounting(json!({ "a": with(demo(), &json!({ "restart": { "onCrash": "end" } })) })).await;
    let modern = Modern::at(router.url("/mcp"));
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut events = modern.request(1, "subscriptions/listen", params).await.events();
    router.until("a", "listened to", |mount| mount["requests"] == 1).await;
    let asked = router.settled("a", 2).await;
    asked.into_iter().for_each(kill);
    // It is listened to again, and its lists are looked at: that is told by itself.
    let served = async || {
        let outcome = modern.call(2, "a__toggle", json!({})).await.outcome().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        outcome["result"].is_object().then_some(())
    };
    for _ in 0..3 {
        eventually("a serves", served).await;
    }
    events.until_said("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn progress_with_a_question_goes_to_the_server_that_has_asked_it() {
    let router = Router::mounting(json!({ "a": puppet(), "b": puppet() })).await;
    let legacy = Client::open(router.url("/mcp")).await;
    let question = |server: &str| {
        let params =
            json!({ "messages": [], "maxTokens": 1, "_meta": { "progressToken": 7, "server": server } });
        json!({ "jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": params }).to_string()
    };
    let mut tokens = Vec::new();
    for server in ["a", "b"] {
        let order = json!({ "say": [question(server)], "answer": { "content": [] } });
        let messages = legacy.call(server, &format!("{server}__query"), order).await.messages().await;
        let asked = messages.iter().find(|message| message["method"] == "sampling/createMessage");
        let asked = asked.unwrap_or_else(|| panic!("{messages:?}"));
        assert_eq!(asked["params"]["_meta"]["server"], server);
        tokens.push(asked["params"]["_meta"]["progressToken"].clone());
    }
    for (server, token) in ["a", "b"].into_iter().zip(tokens) {
        let progress = json!({ "progressToken": token, "progress": 1, "message": server });
        legacy.notify("notifications/progress", progress).await;
    }
    for server in ["a", "b"] {
        let heard = async || {
            let outcome =
                legacy.call(9, &format!("{server}__query"), json!({ "recall": true })).await.outcome().await;
            let lines = outcome["result"]["lines"].as_array().cloned().unwrap_or_default();
            let mut lines = lines.into_iter().filter_map(|line| line.as_str().map(str::to_owned));
            lines.find(|line| line.contains("notifications/progress"))
        };
        let line = eventually("it hears of the progress", heard).await;
        let heard: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&heard["params"]["message"], &heard["params"]["progressToken"]),
            (&json!(server), &json!(7))
        );
    }
}

#[tokio::test]
async fn the_session_of_a_server_that_a_reload_has_removed_is_not_one_of_the_whole() {
    let file = json!({ "mcpServers": { "a": demo(), "b": demo() } });
    let router = Router::start(file, &["--reload-interval", "0.1"]).await;
    let own = Client::open(router.mcp("b")).await;
    let removed = async {
        router.until("b", "called", |mount| mount["in_flight"] == 1).await;
        let less = json!({ "mcpServers": { "a": demo() } });
        std::fs::write(router.path("servers.json"), less.to_string()).expect("the file is written");
        router.until("b", "gone", Value::is_null).await;
        let whole = Client { url: router.url("/mcp"), ..own.clone() };
        assert_eq!(whole.request(json!(1), "ping", json!({})).await.status, 404);
        // At its own path it is known, although it takes nothing new.
        let refused = own.request(json!(1), "ping", json!({})).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.outcome().await["error"]["code"]),
            (200, &json!(-31009))
        );
    };
    let (slept, ()) = futures::future::join(own.call(2, "sleep", json!({ "ms": 3000 })), removed).await;
    assert_eq!(text(&slept.outcome().await), "Slept 3000 ms.");
}
