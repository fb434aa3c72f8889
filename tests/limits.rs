//! What limits promise: how often, how many at once, and who is told so in which way.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use support::events::Events;
use support::mcp::{Answer, Client, hello, notification, request};
use support::modern::Modern;
use support::router::{Router, demo, pids, with};
use support::{eventually, within};
use tokio_util::task::TaskTracker;

const ALICE: &str = "a-key-that-is-long-enough-for-alice";
const BOB: &str = "a-key-that-is-long-enough-for-bob";

/// A demo server, mounted as `demo` with these limits.
async fn limited(limits: Value) -> Router {
    Router::mounting(json!({ "demo": with(demo(), &json!({ "limits": limits })) })).await
}

/// A demo server for the owners of two keys.
async fn guarded(auth: Value) -> Router {
    let tokens = json!([{ "name": "alice", "token": ALICE }, { "name": "bob", "token": BOB }]);
    let auth = with(json!({ "tokens": tokens }), &auth);
    Router::start(json!({ "mcpServers": { "demo": demo() }, "auth": auth }), &[]).await
}

fn keyed(url: String, key: &str) -> Client {
    Client::at(url).with("authorization", &format!("Bearer {key}"))
}

/// A client in a session, by its key.
async fn session(url: String, key: &str) -> Client {
    keyed(url, key).opened("2025-11-25", json!({})).await
}

async fn begin(client: &Client) -> Answer {
    client.request(json!(0), "initialize", hello("2025-11-25", json!({}))).await
}

async fn echo(client: &Client) -> (u16, Value) {
    told(client.call(1, "echo", json!({ "text": "x" })).await).await
}

async fn told(answer: Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.outcome().await)
}

/// That a refusal says when to come back, in the body and in the head.
fn assert_to_wait(answer: &(u16, Value)) {
    let (status, body) = answer;
    assert_eq!((*status, &body["error"]["code"]), (200, &json!(-31004)), "{body}");
    let wait = body["error"]["data"]["retryAfterMs"].as_u64().unwrap_or_else(|| panic!("{body}"));
    assert!((1..=60_000).contains(&wait), "{body}");
}

async fn assert_429(answer: Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    let body = answer.json().await;
    let wait = body["error"]["data"]["retryAfterMs"].as_u64().unwrap_or_else(|| panic!("{body}"));
    assert_eq!((body["error"]["code"].as_i64(), seconds), (Some(-31004), wait.div_ceil(1000)), "{body}");
}

/// A call that lasts, and is in flight when this returns; the router answers when it is awaited.
async fn in_flight(router: &Router, client: &Client, id: i64, before: u64) -> Events {
    let call = client.events_only().call(id, "sleep", json!({ "ms": 600_000 })).await;
    assert_eq!(call.status, 200);
    router.until("demo", "at work", |mount| mount["in_flight"] == before + 1).await;
    call.events()
}

async fn cancel(client: &Client, id: i64) {
    client.notify("notifications/cancelled", json!({ "requestId": id })).await;
}

#[tokio::test]
async fn calls_over_the_rate_are_refused_in_a_session_that_lives_on() {
    let router = limited(json!({ "callsPerMinute": 2, "burst": 3 })).await;
    let client = Client::open(router.mcp("demo")).await;
    for _ in 0..3 {
        assert_eq!(echo(&client).await.1["result"]["content"][0]["text"], "x");
    }
    for _ in 0..3 {
        assert_to_wait(&echo(&client).await);
        client.assert_serves().await;
    }
    let batch = Client::open_as(router.mcp("demo"), "2025-03-26", json!({})).await;
    let call = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {} });
    let ping = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" });
    let answer = batch.json_only().post(json!([call(1), ping, call(2)]).to_string()).await;
    assert_eq!(answer.status, 200);
    let answers = answer.json().await;
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["error"]["code"].clone()).collect();
    assert_eq!(
        codes.iter().filter(|code| **code == -31004).count(),
        2,
        "each is judged by itself: {answers}"
    );
    let status = router.mount("demo").await;
    assert_eq!((&status["refused"], &status["sessions"]), (&json!(5), &json!(2)), "{status}");
}

#[tokio::test]
async fn who_has_no_session_to_lose_gets_429_and_when_to_come_back() {
    let router = limited(json!({ "callsPerMinute": 1 })).await;
    let modern = Modern::at(router.mcp("demo"));
    assert_eq!(modern.ask("echo", json!({ "text": "once" })).await, "once");
    assert_429(modern.call(2, "echo", json!({ "text": "twice" })).await).await;
    let discovered = modern.request(3, "server/discover", json!({})).await;
    assert_eq!(discovered.status, 200, "what is no work is not counted");
    let one_shot = Client::at(router.sse("demo"));
    assert_429(one_shot.call(4, "echo", json!({ "text": "x" })).await).await;
}

#[tokio::test]
async fn over_http_sse_it_is_said_on_the_stream() {
    let router = limited(json!({ "callsPerMinute": 1 })).await;
    let mut stream = Client::at(router.sse("demo")).listen().await;
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let messages = Client::at(router.url(&endpoint));
    let opening = request(json!(0), "initialize", hello("2024-11-05", json!({})));
    assert_eq!(messages.post(opening).await.status, 202);
    stream.message().await;
    messages.post(notification("notifications/initialized", json!({}))).await;
    for (id, code) in [(1, Value::Null), (2, json!(-31004))] {
        let call = request(json!(id), "tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        assert_eq!(messages.post(call).await.status, 202);
        let said = stream.message().await;
        assert_eq!((&said["id"], &said["error"]["code"]), (&json!(id), &code), "{said}");
    }
}

#[tokio::test]
async fn behind_one_endpoint_each_server_has_its_limits_and_a_caller_is_counted_once() {
    let limits = json!({ "tools": { "ec*": { "callsPerMinute": 1 } } });
    let servers = json!({ "demo": with(demo(), &json!({ "limits": limits })), "other": demo() });
    let tokens = json!([{ "name": "alice", "token": ALICE }]);
    let auth = json!({ "tokens": tokens, "limits": { "callsPerMinute": 5 } });
    let router = Router::start(json!({ "mcpServers": servers, "auth": auth }), &[]).await;
    let modern = Modern::at(router.url("/mcp")).with("authorization", &format!("Bearer {ALICE}"));
    let call = async |tool: &str| modern.call(1, tool, json!({ "text": "x" })).await;
    assert_eq!(call("demo__echo").await.status, 200);
    assert_429(call("demo__echo").await).await;
    assert_eq!(call("other__echo").await.status, 200);
    let legacy = session(router.url("/mcp"), ALICE).await;
    let answer = told(legacy.call(1, "demo__echo", json!({ "text": "x" })).await).await;
    assert_to_wait(&answer);
    assert!(answer.1["error"]["message"].as_str().unwrap().starts_with("the tools \"ec*\""), "{answer:?}");
    assert_eq!(call("other__echo").await.status, 200, "the fifth");
    assert_429(call("other__echo").await).await;
    assert_429(keyed(router.sse("demo"), ALICE).call(1, "add", json!({ "a": 1, "b": 2 })).await).await;
}

#[tokio::test]
async fn a_full_server_refuses_until_a_request_is_answered_or_its_client_gone() {
    let router = limited(json!({ "concurrent": 1 })).await;
    let (busy, other) = (Client::open(router.mcp("demo")).await, Client::open(router.mcp("demo")).await);
    let call = in_flight(&router, &busy, 7, 0).await;
    assert_to_wait(&echo(&other).await);
    assert_429(Modern::at(router.mcp("demo")).call(1, "echo", json!({ "text": "x" })).await).await;
    cancel(&busy, 7).await;
    call.rest().await;
    assert!(echo(&other).await.1["result"].is_object(), "it was cancelled");

    let call = in_flight(&router, &busy, 8, 0).await;
    assert_to_wait(&echo(&other).await);
    assert_eq!(busy.delete().await.status, 204);
    call.rest().await;
    eventually("its session has ended", async || echo(&other).await.1.get("result").cloned()).await;

    // A modern request is over when its client hangs up.
    let modern = Modern::at(router.mcp("demo"));
    let hanging = {
        let modern = modern.clone();
        TaskTracker::new()
            .spawn(async move { modern.call(1, "sleep", json!({ "ms": 600_000 })).await.status })
    };
    router.until("demo", "at work", |mount| mount["in_flight"] == 1).await;
    assert_to_wait(&echo(&other).await);
    hanging.abort();
    eventually("nobody is there for it", async || echo(&other).await.1.get("result").cloned()).await;

    let call = in_flight(&router, &other, 9, 0).await;
    for pid in pids(&router.mount("demo").await) {
        support::process::kill(pid);
    }
    call.rest().await;
    eventually("its process has died", async || echo(&other).await.1.get("result").cloned()).await;
}

/// A call that waits in the queue, which has one place, when this returns; what it is answered comes later.
async fn in_queue(router: &Router, id: &'static str) -> (Client, tokio::task::JoinHandle<Value>) {
    let client = Client::open(router.mcp("demo")).await;
    let waits = client.clone();
    let answer = TaskTracker::new().spawn(async move {
        loop {
            let answer = waits.call(id, "echo", json!({ "text": id })).await.outcome().await;
            // It may find somebody there who only looks.
            if answer["error"]["code"] != -31004 {
                return answer;
            }
        }
    });
    let other = Client::open(router.mcp("demo")).await;
    eventually("the queue is full", async || {
        // Who finds a place there himself leaves it again.
        let looked = tokio::time::timeout(Duration::from_millis(50), echo(&other)).await;
        looked.ok().filter(|answer| answer.1["error"]["code"] == -31004).map(drop)
    })
    .await;
    (client, answer)
}

#[tokio::test]
async fn who_waits_is_served_when_it_is_his_turn_and_may_give_up() {
    let router = limited(json!({ "concurrent": 1, "queue": 1, "queueTimeout": 60 })).await;
    let busy = Client::open(router.mcp("demo")).await;
    let call = in_flight(&router, &busy, 1, 0).await;
    let (client, answer) = in_queue(&router, "first").await;
    client.notify("notifications/cancelled", json!({ "requestId": "first" })).await;
    let answer = within("it leaves the queue", answer).await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("first"), &json!(-32800)));

    let (_client, answer) = in_queue(&router, "second").await;
    let batch = Client::open_as(router.mcp("demo"), "2025-03-26", json!({})).await.json_only();
    let list = json!([{ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }]);
    let answers = batch.post(list.to_string()).await.json().await;
    assert_eq!(answers[0]["error"]["code"], -31004, "in a batch none waits");
    cancel(&busy, 1).await;
    call.rest().await;
    let answer = within("it is its turn", answer).await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "second", "{answer}");
}

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    let router = limited(json!({ "concurrent": 1, "queue": 5, "queueTimeout": 0.2 })).await;
    let busy = Client::open(router.mcp("demo")).await;
    let call = in_flight(&router, &busy, 1, 0).await;
    let late = echo(&Client::open(router.mcp("demo")).await).await;
    assert_to_wait(&late);
    assert!(late.1["error"]["message"].as_str().unwrap().contains("none was free in time"), "{late:?}");
    drop(call);
}

#[tokio::test]
async fn principals_do_not_disturb_each_other() {
    let rules = json!([
        { "who": ["*"], "servers": ["*"] },
        { "who": ["bob"], "limits": { "callsPerMinute": 4 } },
    ]);
    let router =
        guarded(json!({ "rules": rules, "limits": { "callsPerMinute": 2, "concurrent": 1, "sessions": 3 } }))
            .await;
    let alice = session(router.mcp("demo"), ALICE).await;
    let bob = session(router.mcp("demo"), BOB).await;
    let again = session(router.mcp("demo"), ALICE).await;
    assert!(echo(&alice).await.1["result"].is_object() && echo(&again).await.1["result"].is_object());
    for client in [&alice, &again] {
        let refused = echo(client).await;
        assert_to_wait(&refused);
        assert!(refused.1["error"]["message"].as_str().unwrap().starts_with("you call more often than 2"));
    }
    for _ in 0..4 {
        assert!(echo(&bob).await.1["result"].is_object(), "a rule gives him more");
    }
    assert_to_wait(&echo(&bob).await);
}

#[tokio::test]
async fn a_place_for_a_session_is_free_again_however_it_ends() {
    let router = guarded(json!({ "limits": { "sessions": 1 } })).await;
    let opens = async |key: &str| begin(&keyed(router.mcp("demo"), key)).await;
    let first = session(router.mcp("demo"), ALICE).await;
    assert_429(opens(ALICE).await).await;
    assert_429(keyed(router.sse("demo"), ALICE).get().await).await;
    assert_eq!(keyed(router.mcp("demo"), BOB).delete().await.status, 400, "another's place is his own");
    assert_eq!(first.delete().await.status, 204);

    let stream = keyed(router.sse("demo"), ALICE).listen().await;
    assert_429(opens(ALICE).await).await;
    drop(stream);
    let answer = eventually("the stream was hung up", async || {
        let answer = opens(ALICE).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    let id = answer.header("mcp-session-id").to_owned();
    assert_eq!(keyed(router.mcp("demo"), ALICE).with("mcp-session-id", &id).delete().await.status, 204);
    let bad = keyed(router.mcp("demo"), ALICE).post("{}").await;
    assert_eq!(bad.status, 400);
    assert_eq!(opens(ALICE).await.status, 200);
}

#[tokio::test]
async fn a_session_that_its_process_takes_along_leaves_its_place() {
    let limits = json!({ "sessions": 1 });
    let entry = with(demo(), &json!({ "limits": limits, "restart": { "onCrash": "end" } }));
    let router = Router::mounting(json!({ "demo": entry })).await;
    let first = Client::open(router.mcp("demo")).await;
    let full = begin(&Client::at(router.mcp("demo"))).await;
    assert_eq!(full.status, 503, "it is the server that is full");
    assert!(full.headers.contains_key("retry-after"));
    first.call(1, "crash", json!({})).await.text().await;
    eventually("its place is free", async || {
        (begin(&Client::at(router.mcp("demo"))).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn open_streams_are_counted_until_their_clients_hang_up() {
    let router = guarded(json!({ "limits": { "streams": 1 } })).await;
    let alice = session(router.mcp("demo"), ALICE).await;
    let bob = session(router.mcp("demo"), BOB).await;
    let stream = alice.listen().await;
    assert_429(alice.events_only().get().await).await;
    assert_429(keyed(router.sse("demo"), ALICE).get().await).await;
    let modern = Modern::at(router.mcp("demo")).with("authorization", &format!("Bearer {ALICE}"));
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    assert_429(modern.request(1, "subscriptions/listen", filter.clone()).await).await;
    assert_eq!(bob.events_only().get().await.status, 200);
    assert!(echo(&alice).await.1["result"].is_object(), "an answer is no stream");
    drop(stream);
    let listening = eventually("the stream was hung up", async || {
        let answer = modern.request(1, "subscriptions/listen", filter.clone()).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_429(alice.events_only().get().await).await;
    drop(listening);
    eventually("the subscription was hung up", async || {
        (alice.events_only().get().await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_house_is_full_with_503() {
    let file = json!({ "mcpServers": { "demo": demo() }, "limits": { "sessions": 2, "streams": 1 } });
    let router = Router::start(file, &[]).await;
    let first = Client::open(router.mcp("demo")).await;
    let _second = Client::open(router.mcp("demo")).await;
    let full = begin(&Client::at(router.mcp("demo"))).await;
    assert_eq!((full.status.as_u16(), full.header("retry-after")), (503, "2"));
    assert_eq!(full.json().await["error"]["code"], -31004);
    let stream = first.listen().await;
    assert_eq!(first.events_only().get().await.status, 503);
    drop(stream);
    assert_eq!(first.delete().await.status, 204);
    assert_eq!(begin(&Client::at(router.mcp("demo"))).await.status, 200);
}

#[tokio::test]
async fn processes_for_one_principal_are_counted_until_they_are_gone() {
    let router = guarded(json!({ "limits": { "processes": 1 } })).await;
    let alice = session(router.mcp("demo"), ALICE).await;
    let full = begin(&keyed(router.mcp("demo"), ALICE)).await;
    assert_429(full).await;
    session(router.mcp("demo"), BOB).await;
    // The one in place of one that has died is not one more.
    alice.call(1, "crash", json!({})).await.text().await;
    eventually("it goes on", async || echo(&alice).await.1.get("result").cloned()).await;
    assert_429(begin(&keyed(router.mcp("demo"), ALICE)).await).await;
    assert_eq!(alice.delete().await.status, 204);
    eventually("its process is gone", async || {
        (begin(&keyed(router.mcp("demo"), ALICE)).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_wrong_keys_is_slowed_and_a_good_key_still_works() {
    let router = guarded(json!({})).await;
    let modern = Modern::at(router.mcp("demo"));
    let with_key = |key: &str| modern.clone().with("authorization", &format!("Bearer {key}"));
    let mut statuses = Vec::new();
    for n in 0..15 {
        let answer = with_key(&format!("wrong-{n}")).call(1, "echo", json!({ "text": "x" })).await;
        statuses.push(answer.status.as_u16());
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 6);
        }
    }
    assert_eq!(statuses[..10], [401; 10], "{statuses:?}");
    assert!(statuses[10..].iter().filter(|status| **status == 429).count() >= 4, "{statuses:?}");
    assert_eq!(with_key(ALICE).ask("echo", json!({ "text": "good" })).await, "good");
    let nothing = modern.call(1, "echo", json!({ "text": "x" })).await;
    assert_eq!(nothing.status, 401, "who shows nothing is told how he becomes known");
    assert!(!router.log().contains("wrong-"));
}

#[tokio::test]
async fn limits_that_change_hold_for_the_sessions_there_are() {
    let tokens = json!([{ "name": "alice", "token": ALICE }]);
    let file = |server: Value, principal: Value| {
        let servers = json!({ "demo": with(demo(), &json!({ "limits": server })) });
        json!({ "mcpServers": servers, "auth": { "tokens": tokens, "limits": principal } }).to_string()
    };
    let auth = json!({ "tokens": tokens });
    let router = Router::start(json!({ "mcpServers": { "demo": demo() }, "auth": auth }), &[]).await;
    let alice = session(router.mcp("demo"), ALICE).await;
    for _ in 0..3 {
        assert!(echo(&alice).await.1["result"].is_object());
    }
    let before = pids(&router.mount("demo").await);
    let path = router.path("servers.json");
    std::fs::write(&path, file(json!({}), json!({ "callsPerMinute": 1 }))).unwrap();
    eventually("she has a limit", async || {
        let answer = echo(&alice).await.1;
        answer["error"]["message"].as_str().filter(|said| said.starts_with("you call")).map(drop)
    })
    .await;
    assert_eq!(pids(&router.mount("demo").await), before, "her session was not disturbed");
    std::fs::write(&path, file(json!({ "callsPerMinute": 1 }), json!({}))).unwrap();
    eventually("the server has a limit", async || {
        let answer = echo(&alice).await.1;
        answer["error"]["message"].as_str().filter(|said| said.starts_with("the server: called")).map(drop)
    })
    .await;
    std::fs::write(&path, file(json!({}), json!({}))).unwrap();
    eventually("there is none", async || {
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(echo(&alice).await.1["result"].is_object());
        }
        answers.iter().all(|served| *served).then_some(())
    })
    .await;
}
