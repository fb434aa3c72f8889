//! Everything passes both ways: questions of the server, progress, cancellation, logs, changes, and time.

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::mcp::{Client, notification, request, result};
use support::puppet::{puppet, router_of_puppet};
use support::router::{Router, demo, with};

#[tokio::test]
async fn a_server_asks_the_clients_model_its_user_and_for_its_roots_and_gets_the_answers() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let root = json!({ "uri": "file:///home/me" });
    for (tool, arguments, asks, reply, says) in [
        (
            "sample",
            json!({ "prompt": "say hi" }),
            "sampling/createMessage",
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hi" } }),
            "hi",
        ),
        (
            "ask",
            json!({}),
            "elicitation/create",
            json!({ "action": "accept", "content": { "answer": "Ann" } }),
            "The user answered: Ann",
        ),
        ("roots", json!({}), "roots/list", json!({ "roots": [root] }), "file:///home/me"),
    ] {
        let answer = client.call(1, tool, arguments).await;
        let mut events = answer.events();
        let question = events.message().await;
        assert_eq!(question["method"], asks);
        client.answer(&question, reply).await;
        let rest = events.messages().await;
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0]["result"]["content"][0]["text"], says);
    }
}

#[tokio::test]
async fn a_client_may_refuse_what_the_server_asks() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let mut events = client.call(1, "sample", json!({ "prompt": "say hi" })).await.events();
    let question = events.message().await;
    let error = json!({ "code": -1, "message": "the user said no" });
    client.tell(json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })).await;
    let outcome = events.message().await;
    assert_eq!(outcome["result"]["isError"], true);
    assert!(outcome.to_string().contains("the user said no"), "{outcome}");
}

#[tokio::test]
async fn a_ping_of_the_server_is_answered_by_the_client_and_by_nobody_else() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut stream = client.listen().await;
    let ping = r#"{"jsonrpc":"2.0","id":"p\u0069ng","method":"ping"}"#;
    client.have_said(&[ping.to_owned()]).await;
    let heard = stream.next_message().await;
    assert_eq!(heard.data.as_deref(), Some(ping));
    let reply = r#"{"jsonrpc":"2.0","id":"p\u0069ng","result":{"late":1.0}}"#;
    assert_eq!(client.post(reply).await.status, 202);
    let answers: Vec<String> =
        client.received().await.into_iter().filter(|line| line.contains("u0069ng\",\"result")).collect();
    assert_eq!(answers, [reply]);
}

#[tokio::test]
async fn params_and_results_stay_the_bytes_that_they_were() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let odd = r#"{"n":1.000,"big":123456789012345678901234567890,"e":1e400,"s":"\ud800 \u0000\/é","dup":1,"dup":2, "sp" : [ ] }"#;
    let result = format!(r#"{{"id":1,"result":{odd},"jsonrpc":"2.0"}}"#);
    let call = format!(
        r#"{{"params":{{"say":[{}],"odd":{odd}}},"method":"any","id":1,"jsonrpc":"2.0"}}"#,
        serde_json::to_string(&result).unwrap()
    );
    assert_eq!(client.post(call.clone()).await.text().await, result);
    let text = client.request(json!(2), "received", json!({})).await.text().await;
    let received: Vec<Box<serde_json::value::RawValue>> =
        serde_json::from_str(&text[text.find('[').unwrap()..=text.rfind(']').unwrap()]).unwrap();
    let line = received.iter().map(|line| serde_json::from_str::<String>(line.get()).unwrap());
    assert!(line.into_iter().any(|line| line == call), "{text}");
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let messages = client.call_with_progress(7, "count", json!({ "to": 500 })).await.messages().await;
    let (answer, progress) = messages.split_last().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "Counted to 500.");
    assert!(progress.iter().all(|message| message["params"]["progressToken"] == 7));
    let steps: Vec<u64> =
        progress.iter().map(|message| message["params"]["progress"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cancelled_call_ends_with_32800_after_a_second_of_silence() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let call = client.events_only().call("slow", "any", json!({ "say": [] })).await;
    let begun = Instant::now();
    let cancel = json!({ "requestId": "slow", "reason": "no longer wanted" });
    client.notify("notifications/cancelled", cancel.clone()).await;
    let outcome = call.outcome().await;
    assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!("slow"), &json!(-32800)));
    let waited = begun.elapsed();
    assert!((Duration::from_millis(950)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
    let received = client.received().await;
    assert!(received.contains(&notification("notifications/cancelled", cancel)), "{received:?}");
    // What the server says too late goes nowhere, and does no harm.
    client.have_said(&[result("slow", json!("too late"))]).await;
    client.assert_serves().await;
}

#[tokio::test]
async fn a_cancelled_call_that_the_server_still_answers_ends_with_that_answer() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let call = client.events_only().call(1, "any", json!({ "say": [] })).await;
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    client.have_said(&[result(1, json!("done all the same"))]).await;
    assert_eq!(call.outcome().await["result"], "done all the same");
}

#[tokio::test]
async fn a_cancelled_call_no_longer_runs() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let call = client.events_only().call(1, "sleep", json!({ "ms": 60_000 })).await;
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    assert_eq!(call.outcome().await["error"]["code"], -32800);
    // The demo server refuses an id that is still in use.
    assert!(client.call(1, "echo", json!({ "text": "x" })).await.outcome().await["result"].is_object());
}

#[tokio::test]
async fn a_server_can_withdraw_its_question() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let mut events = client.call(1, "ask", json!({})).await.events();
    let question = events.message().await;
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    let withdrawal = events.message().await;
    assert_eq!(withdrawal["method"], "notifications/cancelled");
    assert_eq!(withdrawal["params"]["requestId"], question["id"]);
    assert_eq!(events.message().await["error"]["code"], -32800);
}

#[tokio::test]
async fn log_messages_come_at_the_level_that_was_asked_for() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let set = client.request(json!(1), "logging/setLevel", json!({ "level": "error" })).await;
    assert_eq!(set.json().await["result"], json!({}));
    let quiet = client.call(2, "log", json!({ "level": "warning", "text": "quiet" })).await;
    assert!(quiet.is_json());
    quiet.outcome().await;
    let loud = client.call(3, "log", json!({ "level": "critical", "text": "loud" })).await.messages().await;
    assert_eq!(loud.len(), 2, "{loud:?}");
    assert_eq!(loud[0]["params"], json!({ "level": "critical", "logger": "demo", "data": "loud" }));
}

#[tokio::test]
async fn a_changed_list_is_announced_and_then_there() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let mut stream = client.listen().await;
    client.ask("toggle", json!({})).await;
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");
    let tools = client.request(json!(1), "tools/list", json!({})).await.outcome().await;
    assert!(tools["result"]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "bonus"));
}

#[tokio::test]
async fn a_subscriber_is_told_of_changes_until_it_unsubscribes() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let mut stream = client.listen().await;
    let counter = json!({ "uri": "demo://counter" });
    client.ask("bump", json!({})).await;
    client.request(json!(1), "resources/subscribe", counter.clone()).await.outcome().await;
    client.ask("bump", json!({})).await;
    client.request(json!(2), "resources/unsubscribe", counter.clone()).await.outcome().await;
    client.ask("bump", json!({})).await;
    client.ask("toggle", json!({})).await;
    let updated = stream.message().await;
    assert_eq!(
        (&updated["method"], &updated["params"]),
        (&json!("notifications/resources/updated"), &counter)
    );
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");
    let read = client.request(json!(3), "resources/read", counter).await.outcome().await;
    assert_eq!(read["result"]["contents"][0]["text"], "3");
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_the_others() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let slow = client.events_only().call("slow", "any", json!({ "say": [] })).await;
    for id in 0..50 {
        let answer = client.call(id, "any", json!({})).await;
        assert_eq!(answer.json().await["id"], id);
    }
    client.have_said(&[result("slow", json!("done"))]).await;
    assert_eq!(slow.outcome().await["result"], "done");
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut calls = Vec::new();
    for id in 0..20 {
        calls.push(client.events_only().call(id, "any", json!({ "say": [] })).await);
    }
    let lines: Vec<String> = (0..20).rev().map(|id| result(id, json!({ "of": id }))).collect();
    client.have_said(&lines).await;
    for (id, call) in calls.into_iter().enumerate() {
        let messages = call.messages().await;
        assert_eq!(messages, [serde_json::from_str::<Value>(&result(id, json!({ "of": id }))).unwrap()]);
    }
}

#[tokio::test]
async fn a_call_over_the_timeout_is_answered_and_the_server_told_to_stop() {
    let router = Router::mounting(json!({ "puppet": with(puppet(), &json!({ "timeout": 1 })) })).await;
    let client = Client::open(router.mcp("puppet")).await;
    let begun = Instant::now();
    let answer = client.call("slow", "any", json!({ "say": [] })).await;
    assert_eq!(answer.status, 200);
    let outcome = answer.outcome().await;
    assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!("slow"), &json!(-31003)));
    let waited = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
    let told = client.received_line("notifications/cancelled").await;
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["params"]["requestId"], "slow");
}

#[tokio::test]
async fn progress_restarts_the_clock_of_the_timeout() {
    let router = Router::mounting(json!({ "demo": with(demo(), &json!({ "timeout": 1 })) })).await;
    let client = Client::open(router.mcp("demo")).await;
    let begun = Instant::now();
    let patient = client.call_with_progress(1, "count", json!({ "to": 6, "intervalMs": 300 }));
    let silent = client.call(2, "count", json!({ "to": 6, "intervalMs": 300 }));
    let (patient, silent) = tokio::join!(patient, silent);
    assert_eq!(silent.outcome().await["error"]["code"], -31003);
    assert_eq!(patient.outcome().await["result"]["content"][0]["text"], "Counted to 6.");
    assert!(begun.elapsed() >= Duration::from_millis(1800));
}

#[tokio::test]
async fn requests_of_any_method_pass() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    for method in ["prompts/get", "completion/complete", "x/unknown", "", "notifications/with an id"] {
        let answer = client.post(request(json!(1), method, json!({ "cursor": method }))).await;
        assert_eq!(answer.outcome().await["result"], json!({}), "{method}");
    }
    assert_eq!(client.received().await.len(), 8);
}
