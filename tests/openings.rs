//! How clients that share processes get one: nobody stands in anybody's way.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use futures::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::eventually;
use support::mcp::Client;
use support::modern::Modern;
use support::router::{Router, demo, pids, script, with};

/// Starts at once the first time, and takes longer than any client likes to wait from then on.
const SLOW_BUT_FIRST: &str = r#"if [ -e "$1" ]; then sleep 15; fi; touch "$1"; exec "$0" demo-server"#;

/// Writes a line for each process, and takes a second.
const SLOW: &str = r#"echo started >>"$1"; sleep 1; exec "$0" demo-server"#;

/// A router that mounts a script as `a`, whose `$1` is a path named `record`.
async fn mounting(text: &str, keys: Value) -> Router {
    Router::with_file(|directory| {
        let entry = with(script(text, &[&directory.join("record")]), &keys);
        json!({ "mcpServers": { "a": entry } })
    })
    .await
}

async fn list_quickly(modern: &Modern, what: &str) {
    let begun = Instant::now();
    let listed = modern.request("list", "tools/list", json!({})).await.outcome().await;
    assert!(listed["result"]["tools"].is_array(), "{listed}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{what}: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_process_that_is_slow_to_start_holds_up_nobody_who_can_be_served_by_another() {
    let router = mounting(SLOW_BUT_FIRST, json!({ "era": "legacy", "pool": { "warm": 0 } })).await;
    let modern = Modern::at(router.mcp("a"));
    modern.ask("echo", json!({ "text": "the tools are known" })).await;
    let calls = async {
        join_all((0..16).map(|id| modern.call(id, "sleep", json!({ "ms": 30_000 })))).await;
    };
    let lists = async {
        router.until("a", "busy", |mount| mount["in_flight"] == 16).await;
        list_quickly(&modern, "the one that finds all busy").await;
        list_quickly(&modern, "the one that comes while another process starts").await;
    };
    tokio::select! {
        () = calls => panic!("they take longer"),
        () = lists => {}
    }
    // The same where the process is opened for a call that may be asked something.
    let asked = Modern::asked(router.mcp("a"));
    std::fs::remove_file(router.path("record")).unwrap();
    asked.parked(1, "ask", json!({ "question": "?" })).await;
    tokio::select! {
        _ = asked.call(2, "ask", json!({ "question": "?" })) => panic!("it takes longer"),
        () = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            list_quickly(&asked, "beside a call that waits for a process of its own").await;
        } => {}
    }
}

#[tokio::test]
async fn who_hangs_up_while_a_process_starts_takes_it_from_nobody() {
    let router = mounting(SLOW, json!({ "era": "legacy", "pool": { "warm": 0 } })).await;
    let modern = Modern::at(router.mcp("a"));
    let started = || std::fs::read_to_string(router.path("record")).unwrap_or_default().lines().count();
    let first = tokio::time::timeout(Duration::from_millis(700), modern.request(1, "tools/list", json!({})));
    let second = async {
        eventually("the process starts", async || (started() == 1).then_some(())).await;
        modern.request(2, "tools/list", json!({})).await.outcome().await
    };
    let (first, second) = futures::future::join(first, second).await;
    assert!(first.is_err(), "it has hung up");
    assert!(second["result"]["tools"].is_array(), "{second}");
    assert_eq!(started(), 1);
}

#[tokio::test]
async fn a_process_is_started_though_no_client_waits_as_long_as_it_takes() {
    let router = mounting(SLOW, json!({ "era": "legacy", "pool": { "warm": 0 } })).await;
    let modern = Modern::at(router.mcp("a"));
    eventually("it is there when somebody comes again", async || {
        let asked = modern.request(1, "tools/list", json!({}));
        tokio::time::timeout(Duration::from_millis(400), asked).await.ok().map(drop)
    })
    .await;
    assert_eq!(std::fs::read_to_string(router.path("record")).unwrap().lines().count(), 1);
}

/// A server that says nothing to `server/discover`.
const MUTE: &str = r#"grep --line-buffered -v server/discover | "$0" demo-server"#;

/// How long it is waited for is the lesser of ten seconds and this.
fn mute() -> Value {
    with(script(MUTE, &[]), &json!({ "startTimeout": 2, "pool": { "warm": 0 } }))
}

#[tokio::test]
async fn what_a_server_speaks_is_found_out_though_no_client_waits_as_long_as_it_takes() {
    let router = Router::mounting(json!({ "a": mute() })).await;
    let modern = Modern::at(router.mcp("a"));
    eventually("it is known when somebody comes again", async || {
        let asked = modern.request(1, "tools/list", json!({}));
        tokio::time::timeout(Duration::from_secs(1), asked).await.ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn what_a_server_speaks_is_found_out_once_for_all_who_wait() {
    let router = Router::mounting(json!({ "a": mute() })).await;
    let modern = Modern::at(router.mcp("a"));
    let begun = Instant::now();
    let answers = join_all((0..4).map(async |id| {
        modern.request(id, "tools/list", json!({})).await.outcome().await["result"]["tools"].is_array()
    }));
    assert_eq!(answers.await, [true; 4]);
    assert!(begun.elapsed() < Duration::from_secs(4), "one after another: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_must_know_what_a_server_speaks_goes_before_the_spares_of_others() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let slow = |n: usize| {
        with(script(r#"sleep 10; exec "$0" demo-server"#, &[]), &json!({ "env": { "N": n.to_string() } }))
    };
    let mut servers: serde_json::Map<String, Value> =
        (0..4 * cores).map(|n| (format!("slow-{n}"), slow(n))).collect();
    servers.insert("a".into(), with(demo(), &json!({ "pool": { "warm": 0 } })));
    let router = Router::mounting(Value::Object(servers)).await;
    router.until("slow-0", "starting", |mount| !pids(mount).is_empty()).await;
    list_quickly(&Modern::at(router.mcp("a")), "behind what nobody waits for").await;
}

#[tokio::test]
async fn where_no_other_process_may_run_a_spare_tells_what_the_server_speaks() {
    let file = json!({ "mcpServers": { "a": demo() }, "limits": { "processes": 1 } });
    let router = Router::start(file, &[]).await;
    router.settled("a", 1).await;
    let modern = Modern::at(router.mcp("a"));
    eventually("it serves modern clients", async || {
        let outcome = modern.request(1, "tools/list", json!({})).await.outcome().await;
        outcome["result"]["tools"].is_array().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_mount_gives_up_the_process_that_nobody_has_used_for_longest() {
    let keys = json!({ "era": "legacy", "pool": { "warm": 0, "max": 2 } });
    let router = Router::mounting(json!({ "a": with(demo(), &keys) })).await;
    let able_to = |capability: &str| Modern::able_to(router.mcp("a"), json!({ capability: {} }));
    // As many kinds of clients as there are need a process each.
    for capability in ["experimental", "roots", "sampling"] {
        list_quickly(&able_to(capability), capability).await;
    }
    let legacy = Client::open(router.mcp("a")).await;
    // Whoever listens uses it, and so does whoever has a session.
    let listening = json!({ "notifications": { "toolsListChanged": true } });
    let mut events = able_to("roots").request("l", "subscriptions/listen", listening).await.events();
    events.next().await.expect("it has a process");
    let refusal = able_to("sampling").request(1, "tools/list", json!({})).await.refusal().await;
    assert_eq!(refusal, (503, -31004));
    legacy.assert_serves().await;
}

#[tokio::test]
async fn calls_that_wait_for_their_clients_leave_processes_for_others() {
    let keys = json!({ "era": "legacy", "pool": { "warm": 0, "max": 4 } });
    let router = Router::mounting(json!({ "a": with(demo(), &keys) })).await;
    let asked = Modern::asked(router.mcp("a"));
    for id in 0..2 {
        asked.parked(id, "ask", json!({ "question": "?" })).await;
    }
    let refusal = asked.call(3, "ask", json!({ "question": "?" })).await.refusal().await;
    assert_eq!(refusal, (503, -31004));
    Client::open(router.mcp("a")).await.assert_serves().await;
    list_quickly(&Modern::at(router.mcp("a")), "another kind of client").await;
}
