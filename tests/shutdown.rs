//! The end: calls in flight finish, streams end properly, nothing is left behind.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use futures::future::join;
use rustix::process::Signal;
use serde_json::json;
use support::client::{Client, Hello, code, text};
use support::eventually;
use support::process::{descendants, is_running};
use support::router::{Router, demo, script, with};

#[tokio::test]
async fn told_to_end_it_lets_calls_finish_ends_streams_and_leaves_nothing() {
    let shared = with(demo(), &json!({ "pool": { "mode": "shared" } }));
    let mut router = Router::mounting(json!({ "own": demo(), "shared": shared })).await;
    router.settled("own", 1).await;
    let own = Client::open(&router, "own").await;
    let shared = Client::open(&router, "shared").await;
    let (mut to_own, mut to_shared) = (own.listen().await, shared.listen().await);
    let end = async {
        for name in ["own", "shared"] {
            router.until(name, "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        }
        let all = descendants(router.pid());
        router.signal(Signal::TERM);
        // The streams end at once, and with their proper end: nothing is cut off.
        assert!(to_own.rest().await.is_empty());
        assert!(to_shared.rest().await.is_empty());
        all
    };
    let params = json!({ "to": 10, "intervalMs": 150 });
    let params = json!({ "name": "count", "arguments": params, "_meta": { "progressToken": 1 } });
    let calls = join(async { shared.begin("sleep", json!({ "ms": 1500 })).await.rest().await }, async {
        own.ask("tools/call", params).await.rest().await
    });
    let ((slept, counted), all) = join(calls, end).await;
    assert_eq!(text(slept.last().unwrap()), "Slept 1500 ms.");
    assert_eq!((counted.len(), text(counted.last().unwrap()).as_str()), (11, "Counted to 10."));
    assert!(router.exit().await.success());
    assert!(all.len() >= 3 && !all.iter().any(|pid| is_running(*pid)), "{all:?}");
}

#[tokio::test]
async fn what_comes_during_the_end_is_refused_with_a_reason_and_what_is_in_flight_is_not() {
    let mut router = Router::mounting(json!({ "a": demo() })).await;
    let hello = Hello { capabilities: json!({ "elicitation": {} }), ..Hello::default() };
    let client = Client::open_as(&router, "a", &hello).await;
    let mut asking = client.begin("ask", json!({})).await;
    let question = asking.method("elicitation/create").await;
    router.signal(Signal::TERM);
    eventually("it is not ready", async || {
        let (status, body) = router.get("/readyz").await;
        (status == 503 && body["status"] == "shutting down").then_some(())
    })
    .await;
    assert_eq!(router.get("/health").await.0, 503);
    let mut refused = client.ask("ping", json!({})).await;
    assert_eq!((refused.status, refused.code().await), (200, -31009));
    let Err(mut refused) = Client::try_open(&router, "a", &Hello::default()).await else {
        panic!("a session")
    };
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!((refused.status, refused.code().await), (503, -31009));
    // The call in flight waits for its client, who may still answer.
    client.answer(&question, json!({ "action": "accept", "content": { "answer": "late" } })).await;
    assert_eq!(text(&asking.response().await), "The user answered: late");
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn a_call_that_does_not_end_is_answered_after_ten_seconds() {
    let mut router = Router::mounting(json!({ "a": demo() })).await;
    let client = Client::open(&router, "a").await;
    let end = async {
        router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        router.signal(Signal::TERM);
        Instant::now()
    };
    let (response, told) = join(client.call("sleep", json!({ "ms": 600_000 })), end).await;
    assert_eq!(code(&response), -31009);
    assert!((9..13).contains(&told.elapsed().as_secs()), "{:?}", told.elapsed());
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // It ignores the end of stdin and SIGTERM, and has a grandchild that left the group.
    let stubborn = r#"(setsid sleep 1000 &); trap '' TERM; "$0" demo-server; while :; do sleep 1000; done"#;
    let mut router =
        Router::mounting(json!({ "a": with(script(stubborn, &[]), &json!({ "pool": { "warm": 0 } })) }))
            .await;
    let client = Client::open(&router, "a").await;
    let all =
        eventually("all run", async || Some(descendants(router.pid())).filter(|all| all.len() >= 3)).await;
    let begun = Instant::now();
    let end = async {
        router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        router.signal(Signal::TERM);
        router.logs("stopping").await;
        router.signal(Signal::TERM);
    };
    let url = router.url("/servers/a/mcp");
    let call = support::http_client().post(url);
    let params = json!({ "name": "sleep", "arguments": { "ms": 600_000 } });
    let message = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params });
    let call = call.header("mcp-session-id", client.session()).json(&message).send();
    // Whether the call is answered or cut off does not matter.
    let (_, ()) = join(call, end).await;
    assert_eq!(router.exit().await.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    eventually("nothing is left", async || (!all.iter().any(|pid| is_running(*pid))).then_some(())).await;
}

#[tokio::test]
async fn told_to_end_during_the_start_it_ends_and_leaves_nothing() {
    let slow = with(script("exec sleep 1000", &[]), &json!({ "startTimeout": 60 }));
    let mut router = Router::mounting(json!({ "a": slow, "b": demo() })).await;
    let all =
        eventually("both run", async || Some(descendants(router.pid())).filter(|all| all.len() >= 2)).await;
    router.signal(Signal::TERM);
    assert!(router.exit().await.success());
    assert!(!all.iter().any(|pid| is_running(*pid)), "{all:?}");
}

#[tokio::test]
async fn a_client_that_waits_for_a_server_to_start_is_told() {
    let gated = with(script("cat >&2", &[]), &json!({ "pool": { "warm": 0 } }));
    let mut router = Router::mounting(json!({ "a": gated })).await;
    let end = async {
        eventually("it starts", async || (!descendants(router.pid()).is_empty()).then_some(())).await;
        router.signal(Signal::INT);
    };
    let (refused, ()) = join(Client::try_open(&router, "a", &Hello::default()), end).await;
    let Err(mut refused) = refused else { panic!("it serves") };
    assert_eq!((refused.status, refused.code().await), (503, -31009));
    assert!(router.exit().await.success());
}
