//! Questions of a legacy server to a modern client: the call is parked, and goes on when its client comes back.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use serde_json::{Value, json};
use support::eventually;
use support::modern::Modern;
use support::router::{Router, demo, pids, with};

const ACCEPT: fn(&str) -> Value = |text| json!({ "action": "accept", "content": { "answer": text } });

fn question(text: &str) -> (&'static str, Value) {
    ("ask", json!({ "question": text }))
}

#[tokio::test]
async fn a_question_ends_the_request_and_the_answer_goes_on_with_the_call() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let (tool, arguments) = question("name?");
    let parked = modern.parked("first", tool, arguments.clone()).await;
    assert_eq!(router.mount("demo").await["in_flight"], 1, "the call waits");
    let outcome = modern.come_back("second", (tool, arguments), &parked, ACCEPT("Ada")).await.json().await;
    assert_eq!((&outcome["id"], &outcome["result"]["resultType"]), (&json!("second"), &json!("complete")));
    assert_eq!(outcome["result"]["content"][0]["text"], "The user answered: Ada");
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
}

#[tokio::test]
async fn sampling_and_roots_are_asked_the_same_way() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let sample = ("sample", json!({ "prompt": "say" }));
    let parked = modern.parked(1, sample.0, sample.1.clone()).await;
    let said = json!({ "role": "assistant", "content": { "type": "text", "text": "said" }, "model": "m" });
    let outcome = modern.come_back(2, sample, &parked, said).await.json().await;
    assert!(outcome["result"]["content"][0]["text"].as_str().unwrap().contains("said"), "{outcome}");
    let roots = ("roots", json!({}));
    let parked = modern.parked(3, roots.0, roots.1.clone()).await;
    let mine = json!({ "roots": [{ "uri": "file:///mine" }] });
    let outcome = modern.come_back(4, roots, &parked, mine).await.json().await;
    assert!(outcome["result"]["content"][0]["text"].as_str().unwrap().contains("file:///mine"), "{outcome}");
}

#[tokio::test]
async fn what_does_not_fit_the_parked_call_is_refused_and_the_call_stays_parked() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(1, ask.0, ask.1.clone()).await;
    let code = async |call: (&'static str, Value), parked: (String, Value), answer: Value| {
        let refused = modern.come_back("r", call, &parked, answer).await.json().await;
        (refused["error"]["code"].clone(), refused["error"]["data"]["reason"].clone())
    };
    let lost = (json!(-32602), json!("invalid_request_state"));
    let (key, state) = parked.clone();
    assert_eq!(code(question("other?"), parked.clone(), ACCEPT("x")).await, lost, "another call");
    assert_eq!(code(("echo", ask.1.clone()), parked.clone(), ACCEPT("x")).await, lost, "another tool");
    assert_eq!(code(ask.clone(), (key.clone(), json!("1.00")), ACCEPT("x")).await, lost, "a made-up state");
    let changed =
        Modern::at(router.mcp("demo")).come_back("r", ask.clone(), &parked, ACCEPT("x")).await.json().await;
    assert_eq!(changed["error"]["data"]["reason"], lost.1, "a client that can be asked nothing any more");
    let malformed = code(ask.clone(), parked.clone(), json!("yes")).await;
    assert_eq!(malformed, (json!(-32602), Value::Null), "an answer that is none");
    // Without an answer it is asked again, under another state.
    let again =
        modern.come_back(2, ask.clone(), &("unknown".into(), state.clone()), ACCEPT("x")).await.json().await;
    assert_eq!(again["result"]["resultType"], "input_required", "{again}");
    let next = (key, again["result"]["requestState"].clone());
    assert_ne!(next.1, state);
    let outcome = modern.come_back(3, ask, &next, ACCEPT("Ada")).await.json().await;
    assert_eq!(outcome["result"]["content"][0]["text"], "The user answered: Ada");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_and_nothing_runs_twice() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(1, ask.0, ask.1.clone()).await;
    let first = modern.come_back("a", ask.clone(), &parked, ACCEPT("Ada")).await.json().await;
    let before = router.mount("demo").await["requests"].clone();
    let again = modern.come_back("b", ask, &parked, ACCEPT("Eve")).await.json().await;
    assert_eq!((&again["id"], &again["result"]), (&json!("b"), &first["result"]));
    assert_eq!(router.mount("demo").await["requests"].as_u64(), before.as_u64().map(|n| n + 1));
}

#[tokio::test]
async fn calls_that_may_be_asked_have_a_process_each_and_their_questions_never_cross() {
    let router = Router::mounting(json!({ "demo": with(demo(), &json!({ "pool": { "max": 8 } })) })).await;
    let clients: Vec<_> = (0..4).map(|_| Modern::asked(router.mcp("demo"))).collect();
    let asking = clients.iter().enumerate().map(|(n, client)| async move {
        let (tool, arguments) = question(&format!("who is {n}?"));
        let asked = client.call(1, tool, arguments).await.json().await;
        let requests = asked["result"]["inputRequests"].as_object().expect("a question").clone();
        let (key, request) = requests.into_iter().next().expect("one");
        assert_eq!(request["params"]["message"], format!("who is {n}?"));
        (key, asked["result"]["requestState"].clone())
    });
    let parked = futures::future::join_all(asking).await;
    assert!(pids(&router.mount("demo").await).len() <= 8);
    for (n, (client, parked)) in clients.iter().zip(&parked).enumerate().rev() {
        let call = question(&format!("who is {n}?"));
        let outcome = client.come_back(2, call, parked, ACCEPT(&n.to_string())).await.json().await;
        assert_eq!(outcome["result"]["content"][0]["text"], format!("The user answered: {n}"));
    }
}

#[tokio::test]
async fn a_process_that_waits_for_its_client_still_serves_what_asks_nothing() {
    let router =
        Router::mounting(json!({ "demo": with(demo(), &json!({ "pool": { "max": 1, "warm": 0 } })) })).await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(1, ask.0, ask.1.clone()).await;
    let listed = modern.request(2, "tools/list", json!({})).await.json().await;
    assert!(listed["result"]["tools"].is_array(), "{listed}");
    // Another such call finds no process, and is told so.
    let (status, code) = modern.call(3, ask.0, ask.1.clone()).await.refusal().await;
    assert_eq!((status, code), (503, -31004));
    let outcome = modern.come_back(4, ask.clone(), &parked, ACCEPT("Ada")).await.json().await;
    assert_eq!(outcome["result"]["resultType"], "complete");
    modern.parked(5, ask.0, ask.1).await;
}

#[tokio::test]
async fn a_client_that_can_be_asked_nothing_gets_the_servers_own_way_out() {
    let router = Router::of_demo().await;
    let modern = Modern::at(router.mcp("demo"));
    let outcome = modern.call(1, "ask", json!({ "question": "name?" })).await.json().await;
    assert_eq!(outcome["result"]["isError"], true, "{outcome}");
}

#[tokio::test]
async fn hanging_up_cancels_a_call_and_a_parked_one_outlives_the_connection() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(2, ask.0, ask.1.clone()).await;
    let other = Modern::asked(router.mcp("demo"));
    let outcome = other.come_back(3, ask, &parked, ACCEPT("Ada")).await.json().await;
    assert_eq!(outcome["result"]["resultType"], "complete", "{outcome}");
    let params = json!({ "name": "count", "arguments": { "to": 1000, "intervalMs": 50 }, "_meta": { "progressToken": 1 } });
    let counting = modern.request(1, "tools/call", params).await;
    let mut events = counting.events();
    events.next().await.expect("it has begun");
    router.until("demo", "busy", |mount| mount["in_flight"] == 1).await;
    drop(events);
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_call_whose_process_dies_while_it_is_parked_is_lost_and_never_run_again() {
    let router = Router::mounting(json!({ "demo": with(demo(), &json!({ "pool": { "warm": 0 } })) })).await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(1, ask.0, ask.1.clone()).await;
    let before = pids(&router.mount("demo").await);
    for pid in &before {
        support::process::signal(*pid, rustix::process::Signal::KILL);
    }
    router
        .until("demo", "without that process", |mount| pids(mount).iter().all(|pid| !before.contains(pid)))
        .await;
    let lost = modern.come_back(2, ask.clone(), &parked, ACCEPT("Ada")).await.json().await;
    assert!(lost["error"]["code"] == -31002 || lost["error"]["code"] == -32602, "{lost}");
    eventually("a new call is asked again", async || {
        let outcome = modern.call(3, ask.0, ask.1.clone()).await.json().await;
        (outcome["result"]["resultType"] == "input_required").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_shares_its_process_with_nobody_waits_for_its_client_too() {
    let alone = json!({ "pool": { "isolation": "request", "warm": 0 } });
    let router = Router::mounting(json!({ "demo": with(demo(), &alone) })).await;
    let modern = Modern::asked(router.mcp("demo"));
    let ask = question("name?");
    let parked = modern.parked(1, ask.0, ask.1.clone()).await;
    let waiting = pids(&router.mount("demo").await);
    let outcome = modern.come_back(2, ask.clone(), &parked, ACCEPT("Ada")).await.json().await;
    assert_eq!(outcome["result"]["content"][0]["text"], "The user answered: Ada", "{outcome}");
    assert_eq!(pids(&router.mount("demo").await), waiting, "the process of the call");
    // The answer may have been lost, and is there to be given again.
    let again = modern.come_back(3, ask, &parked, ACCEPT("Eve")).await.json().await;
    assert_eq!(again["result"], outcome["result"]);
}

#[tokio::test]
async fn a_call_that_is_broken_off_does_not_take_the_process_along_that_never_asks() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    assert_eq!(modern.ask("bump", json!({})).await, "1");
    tokio::select! {
        _ = modern.call(1, "sleep", json!({ "ms": 20_000 })) => panic!("it takes longer"),
        _ = router.until("demo", "busy", |mount| mount["in_flight"] == 1) => {}
    }
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
    assert_eq!(modern.ask("bump", json!({})).await, "2", "what the process knows is not lost");
}

#[tokio::test]
async fn what_is_asked_behind_a_call_that_was_broken_off_is_refused_once_and_never_misdirected() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    // The first request of all is the router's own, for the list of tools.
    modern.ask("echo", json!({ "text": "a" })).await;
    tokio::select! {
        _ = modern.call(1, "sleep", json!({ "ms": 20_000 })) => panic!("it takes longer"),
        _ = router.until("demo", "busy", |mount| mount["in_flight"] == 1) => {}
    }
    router.until("demo", "at rest", |mount| mount["in_flight"] == 0).await;
    // For all that can be told, the question is that of the first call.
    let (tool, arguments) = question("name?");
    let outcome = modern.call(2, tool, arguments.clone()).await.outcome().await;
    assert_eq!(outcome["result"]["isError"], true, "{outcome}");
    // In the next process nothing was broken off.
    modern.parked(3, tool, arguments).await;
}
