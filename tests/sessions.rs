//! Each client has a session, each session a process, each mount a pool of its own; nothing crosses.
#![cfg(target_os = "linux")]

mod support;

use futures::future::{join, join_all};
use serde_json::json;
use support::client::{Client, Hello, text};
use support::eventually;
use support::process::{descendants, descriptors};
use support::router::{BINARY, Router, demo, pids, script, with};

#[tokio::test]
async fn two_clients_of_a_and_one_of_b_have_three_processes_beside_the_spares() {
    let command = format!("'{BINARY}' demo-server");
    let options = ["--port", "0", "--named-server", "a", &command, "--named-server", "b", &command];
    let router = Router::with_options(&options).await;
    let spares = [router.settled("a", 1).await, router.settled("b", 1).await].concat();
    let one = Client::open(&router, "a").await;
    let two = Client::open(&router, "a").await;
    let three = Client::open(&router, "b").await;
    // The spares were taken, and replaced.
    let a = router.until("a", "two sessions and a spare", |mount| pids(mount).len() == 3).await;
    let b = router.until("b", "a session and a spare", |mount| pids(mount).len() == 2).await;
    assert_eq!((a["sessions"].as_u64(), b["sessions"].as_u64()), (Some(2), Some(1)));
    assert_eq!(descendants(router.pid()).len(), 5);
    assert!(spares.iter().all(|spare| [pids(&a), pids(&b)].concat().contains(spare)), "{spares:?}");

    // The same ids at the same time; each counter is its own.
    let clients = [&one, &two, &three];
    for (client, by) in clients.iter().zip([1, 10, 100]) {
        assert_eq!(client.text("bump", json!({ "by": by })).await, by.to_string());
    }
    let calls = (0..50).flat_map(|n| clients.iter().enumerate().map(move |(who, client)| (n, who, *client)));
    join_all(calls.map(async |(n, who, client)| {
        let said = format!("{who}/{n}");
        assert_eq!(client.text("echo", json!({ "text": said })).await, said);
    }))
    .await;
}

#[tokio::test]
async fn what_a_server_says_unasked_reaches_its_own_client_only() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let one = Client::open(&router, "a").await;
    let two = Client::open(&router, "a").await;
    let (mut heard_by_one, mut heard_by_two) = (one.listen().await, two.listen().await);
    for client in [&one, &two] {
        client.request("resources/subscribe", json!({ "uri": "demo://counter" })).await;
    }
    one.call("toggle", json!({})).await;
    two.call("bump", json!({})).await;
    assert_eq!(heard_by_one.next().await.unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(heard_by_two.next().await.unwrap()["method"], "notifications/resources/updated");
    // The end of a session ends its streams: nothing else was on them.
    assert_eq!((one.leave().await, two.leave().await), (204, 204));
    assert_eq!((heard_by_one.rest().await, heard_by_two.rest().await), (vec![], vec![]));
}

#[tokio::test]
async fn a_session_of_one_mount_is_unknown_to_another() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let client = Client::open(&router, "a").await;
    let elsewhere = router.url("/servers/b/mcp");
    let ping = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" });
    let http = support::http_client();
    let answer = http.post(elsewhere).header("mcp-session-id", client.session()).json(&ping).send().await;
    assert_eq!(answer.unwrap().status(), 404);
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    assert_eq!(router.mount("b").await["sessions"], 0);
}

#[tokio::test]
async fn the_server_hears_the_client_s_own_handshake() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let capabilities = json!({ "roots": { "listChanged": true } });
        let client = Client::open_as(&router, "a", &Hello { version, capabilities, name: "own" }).await;
        assert_eq!(client.opened["protocolVersion"], version);
        let mut reply = client.begin("roots", json!({})).await;
        let question = reply.method("roots/list").await;
        client.answer(&question, json!({ "roots": [{ "uri": "file:///mine" }] })).await;
        assert_eq!(text(&reply.response().await), "file:///mine");
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_leaves_nothing_but_the_spares() {
    // One grandchild in the server's group, and one that left the group and its parent.
    let brood = "sleep 1000 & (setsid sleep 1001 &) ; exec \"$0\" demo-server";
    let servers = json!({ "a": demo(), "b": with(script(brood, &[]), &json!({ "pool": { "warm": 0 } })) });
    let router = Router::start(json!({ "mcpServers": servers }), &["--timeout", "1"]).await;
    let spare = router.settled("a", 1).await;
    assert_eq!(descendants(router.pid()), spare);
    let at_rest = descriptors(router.pid());

    let clients = join_all((0..6).map(async |n| {
        let client = Client::open(&router, if n % 2 == 0 { "a" } else { "b" }).await;
        client.text("echo", json!({ "text": "here" })).await;
        client
    }))
    .await;
    eventually("a spare, three servers, and three with two grandchildren run", async || {
        (descendants(router.pid()).len() == 1 + 3 + 3 * 3).then_some(())
    })
    .await;
    for name in ["a", "b"] {
        router.until(name, "without sessions", |mount| mount["sessions"] == 0).await;
    }
    for client in &clients {
        let mut reply = client.ask("ping", json!({})).await;
        assert_eq!((reply.status, reply.code().await), (404, -32001));
    }
    drop(clients);
    eventually("only the spare is left", async || {
        // A zombie would count as a descendant, too.
        let left = pids(&router.mount("a").await);
        (left.len() == 1 && descendants(router.pid()) == left).then_some(())
    })
    .await;
    eventually("the descriptors are back", async || (descriptors(router.pid()) <= at_rest).then_some(()))
        .await;
    assert_eq!(router.mount("b").await["state"], "idle");
}

#[tokio::test]
async fn a_call_in_flight_or_an_open_stream_is_not_idle() {
    let router = Router::start(json!({ "mcpServers": { "a": demo() } }), &["--timeout", "1"]).await;
    let working = Client::open(&router, "a").await;
    let listening = Client::open(&router, "a").await;
    let stream = listening.listen().await;
    assert_eq!(working.text("sleep", json!({ "ms": 2500 })).await, "Slept 2500 ms.");
    assert_eq!(listening.text("echo", json!({ "text": "still here" })).await, "still here");
    drop(stream);
    router.until("a", "without sessions", |mount| mount["sessions"] == 0).await;
}

#[tokio::test]
async fn a_mount_has_its_own_idle_time() {
    let servers = json!({
        "short": with(demo(), &json!({ "pool": { "idleTimeout": 1 } })),
        "long": demo(),
    });
    let router = Router::mounting(servers).await;
    let (short, long) = (Client::open(&router, "short").await, Client::open(&router, "long").await);
    router.until("short", "without sessions", |mount| mount["sessions"] == 0).await;
    assert_eq!(short.ask("ping", json!({})).await.status, 404);
    assert_eq!(long.ask("ping", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_session_that_is_deleted_is_gone_at_once_and_its_process_soon() {
    let servers = json!({ "a": with(demo(), &json!({ "pool": { "warm": 0 } })) });
    let router = Router::mounting(servers).await;
    let client = Client::open(&router, "a").await;
    let end = async {
        router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        client.leave().await
    };
    let (mut sleeping, left) = join(client.begin("sleep", json!({ "ms": 60_000 })), end).await;
    assert_eq!(left, 204);
    // An accepted request always gets a response.
    let response = sleeping.response().await;
    assert_eq!(response["error"]["code"], -32800, "{response}");
    assert_eq!((client.ask("ping", json!({})).await.status, client.leave().await), (404, 404));
    eventually("its process is gone", async || descendants(router.pid()).is_empty().then_some(())).await;
    assert_eq!(router.mount("a").await["state"], "idle");
}
