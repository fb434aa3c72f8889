//! A hundred clients at once, and nothing of them afterwards.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashSet;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use support::client::{Client, code, text};
use support::eventually;
use support::modern::Modern;
use support::process::{descendants, descriptors, kill, resident_kib};
use support::router::{Router, demo, pids, with};

const CLIENTS: usize = 100;
const CALLS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_with_twenty_calls_at_once_get_what_is_theirs_and_leave_nothing() {
    let crowded = with(demo(), &json!({ "pool": { "max": CLIENTS + 2 } }));
    // Two thousand connections at once: on a busy machine it is this end that may take long to say its first word.
    let file = json!({ "mcpServers": { "a": crowded }, "limits": { "headTimeout": 60 } });
    let router = Router::start(file, &[]).await;
    router.settled("a", 1).await;
    let at_rest = descriptors(router.pid());
    come_and_go(&router).await;
    eventually("the descriptors are back", async || (descriptors(router.pid()) <= at_rest).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_and_go_leave_no_memory_behind() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    router.settled("a", 1).await;
    let visits = async |rounds: usize| {
        for _ in 0..rounds {
            join_all((0..5).map(async |_| {
                let client = Client::open(&router, "a").await;
                client.text("echo", json!({ "text": "x".repeat(10_000) })).await;
                client.leave().await;
            }))
            .await;
        }
    };
    // What is allocated once only, and what the allocator keeps.
    visits(20).await;
    let before = resident_kib(router.pid());
    visits(60).await;
    let grown = resident_kib(router.pid()).saturating_sub(before);
    // What an idle session needs, kept three hundred times, would be far more.
    assert!(grown < 4 * 1024, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_modern_clients_share_few_processes_of_a_legacy_server_and_no_reply_crosses() {
    let max = 4;
    let router = Router::mounting(json!({ "a": with(demo(), &json!({ "pool": { "max": max } })) })).await;
    let most = std::sync::atomic::AtomicUsize::new(0);
    let rounds = 5;
    let calls = join_all((0..2 * CLIENTS).map(|who| {
        let modern = Modern::at(router.mcp("a"));
        async move {
            for round in 0..rounds {
                // All ids are the same, and so are the progress tokens.
                let said = format!("{who}/{round}");
                let params =
                    json!({ "name": "echo", "arguments": { "text": said }, "_meta": { "progressToken": 1 } });
                let outcome = modern.request(1, "tools/call", params).await.outcome().await;
                assert_eq!(
                    (&outcome["id"], &outcome["result"]["content"][0]["text"]),
                    (&json!(1), &json!(said))
                );
            }
        }
    }));
    let watch = async {
        let all = (2 * CLIENTS * rounds) as u64;
        router
            .until("a", "done", |mount| {
                most.fetch_max(pids(mount).len(), std::sync::atomic::Ordering::Relaxed);
                mount["requests"].as_u64().is_some_and(|count| count >= all)
            })
            .await
    };
    let (_, mount) = join(calls, watch).await;
    assert_eq!(mount["errors"], 0, "{mount}");
    assert!(most.into_inner() <= max, "more processes than the pool allows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_modern_clients_that_can_be_asked_take_turns() {
    let max = 4;
    let router = Router::mounting(json!({ "a": with(demo(), &json!({ "pool": { "max": max } })) })).await;
    let asking = (0..2 * CLIENTS).map(|who| {
        let modern = Modern::asked(router.mcp("a"));
        async move {
            let call = ("ask", json!({ "question": format!("who is {who}?") }));
            let asked = modern.call(1, call.0, call.1.clone()).await.outcome().await;
            let Some(requests) = asked["result"]["inputRequests"].as_object() else {
                // Whoever has waited too long is told so, and nothing worse.
                assert_eq!(asked["error"]["code"], -31004, "{asked}");
                return 0;
            };
            let (key, question) = requests.iter().next().expect("a question");
            assert_eq!(question["params"]["message"], call.1["question"]);
            let parked = (key.clone(), asked["result"]["requestState"].clone());
            let answer = json!({ "action": "accept", "content": { "answer": who.to_string() } });
            let outcome = modern.come_back(2, call, &parked, answer).await.outcome().await;
            assert_eq!(outcome["result"]["content"][0]["text"], format!("The user answered: {who}"));
            1
        }
    });
    let served: usize = join_all(asking).await.into_iter().sum();
    assert_eq!(served, 2 * CLIENTS, "each takes a moment, so each has its turn");
    assert!(pids(&router.mount("a").await).len() <= max);
}

async fn come_and_go(router: &Router) {
    let clients = join_all((0..CLIENTS).map(async |_| Client::open(router, "a").await)).await;
    let ids: HashSet<&str> = clients.iter().map(Client::session).collect();
    assert_eq!(ids.len(), CLIENTS);

    // Every answer is the caller's own: the same ids are in flight a hundred times.
    let before = router.mount("a").await;
    every_call_is_answered(&clients).await;
    let mount = router.until("a", "crowded", |mount| pids(mount).len() > CLIENTS).await;
    assert_eq!((&mount["errors"], &mount["sessions"]), (&before["errors"], &json!(CLIENTS)), "{mount}");

    // One process is killed in the middle of it all; it may be the spare, so a few are.
    let sleeping = clients.iter().map(async |client| {
        let calls = (0..3).map(|_| client.call("sleep", json!({ "ms": 1500 })));
        join_all(calls).await
    });
    let strike = async {
        router.until("a", "busy", |mount| mount["in_flight"] == CLIENTS * 3).await;
        pids(&mount).into_iter().take(2).for_each(kill);
    };
    let (slept, ()) = join(join_all(sleeping), strike).await;
    let is_hurt = |calls: &&Vec<Value>| calls.iter().any(|call| call["error"].is_object());
    let hurt: Vec<&Vec<Value>> = slept.iter().filter(is_hurt).collect();
    assert!((1..=2).contains(&hurt.len()), "{hurt:?}");
    assert!(hurt.iter().copied().flatten().all(|call| code(call) == -31002), "{hurt:?}");
    let restarts = before["restarts"].as_u64().expect("a count") + hurt.len() as u64;
    router.until("a", "going on", |mount| mount["restarts"] == restarts).await;
    // All sessions go on, those that were hurt among them.
    every_call_is_answered(&clients).await;

    let left = join_all(clients.iter().map(Client::leave)).await;
    assert!(left.iter().all(|status| *status == 204), "{left:?}");
    drop(clients);
    eventually("only the spare is left, and no zombie", async || {
        let spares = pids(&router.mount("a").await);
        (spares.len() == 1 && descendants(router.pid()) == spares).then_some(())
    })
    .await;
}

async fn every_call_is_answered(clients: &[Client]) {
    join_all(clients.iter().enumerate().map(async |(who, client)| {
        let calls = (0..CALLS).map(async |call| {
            let said = format!("{who}/{call}");
            assert_eq!(text(&client.call("echo", json!({ "text": said })).await), said);
        });
        join_all(calls).await;
    }))
    .await;
}
