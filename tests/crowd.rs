//! A hundred clients at once, and nothing of them afterwards.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::{Value, json};
use support::client::{Client, code, text};
use support::eventually;
use support::process::{descendants, descriptors, kill, resident_kib};
use support::router::{Router, demo, pids, with};

const CLIENTS: usize = 100;
const CALLS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_with_twenty_calls_at_once_get_what_is_theirs_and_leave_nothing() {
    let crowded = with(demo(), &json!({ "pool": { "max": CLIENTS + 2 } }));
    let router = Router::mounting(json!({ "a": crowded })).await;
    router.settled("a", 1).await;
    warm_up(&router).await;
    let (descriptors_before, memory_before) = (descriptors(router.pid()), resident_kib(router.pid()));

    let clients = join_all((0..CLIENTS).map(async |_| Client::open(&router, "a").await)).await;
    let ids: HashSet<&str> = clients.iter().map(Client::session).collect();
    assert_eq!(ids.len(), CLIENTS);
    let ours = pids(&router.until("a", "crowded", |mount| pids(mount).len() > CLIENTS).await);

    // Every answer is the caller's own: the same ids are in flight a hundred times.
    every_call_is_answered(&clients).await;
    let mount = router.mount("a").await;
    assert_eq!((&mount["errors"], &mount["sessions"]), (&json!(0), &json!(CLIENTS)), "{mount}");

    // One process is killed in the middle of it all.
    let sleeping = clients.iter().map(async |client| {
        let calls = (0..3).map(|_| client.call("sleep", json!({ "ms": 1500 })));
        join_all(calls).await
    });
    let strike = async {
        router.until("a", "busy", |mount| mount["in_flight"] == CLIENTS * 3).await;
        kill(ours[CLIENTS / 2]);
    };
    let (slept, ()) = futures::future::join(join_all(sleeping), strike).await;
    let hurt: Vec<&Vec<Value>> =
        slept.iter().filter(|calls| calls.iter().any(|call| call["error"].is_object())).collect();
    assert_eq!(hurt.len(), 1, "{hurt:?}");
    assert!(hurt[0].iter().all(|call| code(call) == -31002), "{hurt:?}");
    assert_eq!(slept.iter().flatten().filter(|call| call["error"].is_null()).count(), (CLIENTS - 1) * 3);
    // All sessions go on, the one that was hurt among them.
    every_call_is_answered(&clients).await;

    let left = join_all(clients.iter().map(Client::leave)).await;
    assert!(left.iter().all(|status| *status == 204));
    drop(clients);
    eventually("only the spare is left, and no zombie", async || {
        let spares = pids(&router.mount("a").await);
        (spares.len() == 1 && descendants(router.pid()) == spares).then_some(())
    })
    .await;
    eventually("the descriptors are back", async || {
        (descriptors(router.pid()) <= descriptors_before).then_some(())
    })
    .await;
    let grown = resident_kib(router.pid()).saturating_sub(memory_before);
    // The allocator keeps some; a leak of what a session needs would be more.
    assert!(grown < 32 * 1024, "{grown} KiB");
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

/// What is loaded and allocated once only is no part of the comparison.
async fn warm_up(router: &Router) {
    let clients = join_all((0..4).map(async |_| Client::open(router, "a").await)).await;
    every_call_is_answered(&clients).await;
    join_all(clients.iter().map(Client::leave)).await;
    drop(clients);
    eventually("they are gone", async || (descendants(router.pid()).len() == 1).then_some(())).await;
}
