//! When a server is started: with the router, before the router is ready, or when somebody wants something of it.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use support::client::Client;
use support::eventually;
use support::modern::Modern;
use support::process::descendants;
use support::router::{Router, demo, pids, script, with};
use support::site::Site;

/// Writes a line for each process, and then is the demo server.
const RECORDED: &str = r#"echo "started $$" >>"$1"; exec "$0" demo-server"#;

/// Idle for so long, a server is stopped.
const IDLE: f64 = 0.5;

fn lazy(entry: Value, pool: Value) -> Value {
    with(entry, &json!({ "lazy": true, "pool": with(pool, &json!({ "idleTimeout": IDLE })) }))
}

fn starts(router: &Router) -> usize {
    std::fs::read_to_string(router.path("record")).map_or(0, |record| record.matches("started").count())
}

async fn until_idle(router: &Router, name: &str) {
    router.until(name, "idle", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
    eventually("nothing of it runs", async || descendants(router.pid()).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_lazy_server_starts_on_first_use_stops_when_idle_and_starts_anew_for_clients_of_either_era() {
    let pools = [json!({}), json!({ "mode": "shared" }), json!({ "mode": "shared", "max": 1 })];
    let story = async |pool: Value| {
        let router = Router::with_file(|directory| {
            let entry = lazy(script(RECORDED, &[&directory.join("record")]), pool.clone());
            json!({ "mcpServers": { "a": entry } })
        })
        .await;
        let (code, ready) = router.get("/readyz").await;
        assert_eq!((code, &ready["servers"]["a"], &ready["waiting_for"]), (200, &json!("idle"), &json!([])));
        assert_eq!((starts(&router), descendants(router.pid())), (0, vec![]), "{pool}");
        for round in 0..2 {
            let before = starts(&router);
            let client = Client::open(&router, "a").await;
            assert_eq!(client.text("echo", json!({ "text": "legacy" })).await, "legacy");
            // Longer than it may be idle: a call under way is none.
            assert_eq!(client.text("sleep", json!({ "ms": 1200 })).await, "Slept 1200 ms.", "{pool}");
            assert_eq!(router.mount("a").await["state"], "ready");
            drop(client);
            until_idle(&router, "a").await;
            let between = starts(&router);
            assert!(between > before, "{pool}, round {round}");
            let modern = Modern::at(router.mcp("a"));
            assert_eq!(modern.ask("echo", json!({ "text": "modern" })).await, "modern", "{pool}");
            until_idle(&router, "a").await;
            assert!(starts(&router) > between, "{pool}, round {round}");
            assert_eq!(router.get("/readyz").await.0, 200);
        }
    };
    join_all(pools.map(story)).await;
}

#[tokio::test]
async fn a_process_that_was_made_ready_for_a_client_that_hung_up_is_not_kept() {
    // While it is found out what the server speaks, a process is made ready for the client.
    let hesitant = r#"read -r line; sleep 1; { printf '%s\n' "$line"; cat; } | "$0" demo-server"#;
    let router = Router::mounting(json!({ "a": lazy(script(hesitant, &[]), json!({})) })).await;
    let modern = Modern::at(router.mcp("a"));
    let asking = modern.ask("echo", json!({ "text": "x" }));
    let hung_up = tokio::time::timeout(Duration::from_millis(300), asking).await;
    assert!(hung_up.is_err(), "it was slow");
    assert!(!descendants(router.pid()).is_empty());
    until_idle(&router, "a").await;
}

#[tokio::test]
async fn nothing_is_said_to_a_lazy_remote_server_before_somebody_wants_something_of_it() {
    let sites = [Site::start().await, Site::modern().await];
    let servers = json!({
        "old": lazy(sites[0].entry(), json!({})),
        "new": lazy(sites[1].entry(), json!({})),
        "usual": with(sites[0].entry(), &json!({ "pool": {} })),
    });
    let router = Router::mounting(servers).await;
    router.until("usual", "ready", |mount| mount["state"] == "ready").await;
    let usual = sites[0].sent("accept").len();
    for name in ["old", "new"] {
        assert_eq!(router.mount(name).await["state"], "idle");
    }
    assert_eq!(sites[1].sent("accept").len(), 0);
    assert_eq!(router.get("/readyz").await.0, 200);
    for name in ["old", "new"] {
        let client = Client::open(&router, name).await;
        client.request("tools/list", json!({})).await;
        assert_eq!(router.mount(name).await["state"], "ready");
        drop(client);
        router.until(name, "idle again", |mount| mount["state"] == "idle").await;
        Client::open(&router, name).await.request("tools/list", json!({})).await;
    }
    assert!(sites[0].sent("accept").len() > usual && !sites[1].sent("accept").is_empty());
}

#[tokio::test]
async fn the_router_is_ready_only_when_an_eager_server_has_answered() {
    let slow = r#"while ! test -e "$1"; do sleep 0.05; done; exec "$0" demo-server"#;
    let failing = r#"test -e "$1" || exit 3; exec "$0" demo-server"#;
    let singleton = json!({ "mode": "shared", "max": 1 });
    let router = Router::with_file(|directory| {
        let mount = |text: &str, pool: Value| {
            let entry = script(text, &[&directory.join("go")]);
            with(entry, &json!({ "pool": pool, "restart": { "attempts": 50 } }))
        };
        let servers = json!({
            "slow": mount(slow, json!({ "warm": 0 })),
            "one": mount(slow, singleton),
            "failing": mount(failing, json!({})),
            "lazy": with(demo(), &json!({ "lazy": true })),
            "usual": with(demo(), &json!({ "startup": "normal" })),
        });
        json!({ "startup": "eager", "mcpServers": servers })
    })
    .await;
    router.until("usual", "ready", |mount| mount["state"] == "ready").await;
    router.until("failing", "failing", |mount| mount["state"] == "failing").await;
    let (code, body) = router.get("/readyz").await;
    assert_eq!((code, &body["status"]), (503, &json!("starting")), "{body}");
    assert_eq!(body["waiting_for"], json!(["failing", "one", "slow"]), "{body}");
    std::fs::write(router.path("go"), "").unwrap();
    let ready = async || {
        let (code, body) = router.get("/readyz").await;
        (code == 200).then_some(body)
    };
    let body = eventually("the router is ready", ready).await;
    assert_eq!((&body["waiting_for"], &body["servers"]["lazy"]), (&json!([]), &json!("idle")), "{body}");
    for name in ["slow", "one", "failing"] {
        assert!(router.mount(name).await["verified_at"].is_string(), "{name}");
    }
    // The one process of a singleton is the one that its clients get.
    let one = pids(&router.mount("one").await);
    assert_eq!(Client::open(&router, "one").await.text("echo", json!({ "text": "a" })).await, "a");
    assert_eq!((one.len(), pids(&router.mount("one").await)), (1, one));
}
