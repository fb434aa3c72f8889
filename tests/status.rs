//! `/status` and the health paths tell what is true now, and never change their shape.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::{Client, code};
use support::eventually;
use support::process::{is_running, kill};
use support::router::{Router, demo, pids, script, with};

const KEYS: [&str; 18] = [
    "era",
    "error",
    "errors",
    "held_back",
    "in_flight",
    "last_exit",
    "latency",
    "pids",
    "protocol_version",
    "refused",
    "requests",
    "restarts",
    "sandbox",
    "server_info",
    "sessions",
    "state",
    "urls",
    "verified_at",
];

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_shape_is_the_same_in_every_state_and_what_is_not_known_is_null() {
    let once = json!({ "restart": { "attempts": 1 } });
    let router = Router::mounting(json!({
        "ready": demo(),
        // Another environment: what is known of a command, every mount of it knows.
        "idle": with(demo(), &json!({ "pool": { "warm": 0 }, "env": { "IDLE": "1" } })),
        "starting": script("cat >&2", &[]),
        "failing": with(script("exit 1", &[]), &json!({ "restart": { "attempts": 1000 } })),
        "failed": with(script("exit 1", &[]), &once),
        "disabled": with(demo(), &json!({ "enabled": false })),
    }))
    .await;
    let expected: BTreeSet<&str> = KEYS.into();
    let every = ["ready", "idle", "starting", "failing", "failed", "disabled"];
    for state in every {
        let mount = router.until(state, state, |mount| mount["state"] == state).await;
        assert_eq!(keys(&mount), expected, "{state}");
        let urls = json!([format!("/servers/{state}/mcp"), format!("/servers/{state}/sse")]);
        assert_eq!(mount["urls"], urls);
        for count in ["sessions", "in_flight", "requests", "errors", "refused", "restarts"] {
            assert_eq!(mount[count], 0, "{state}: {count}");
        }
        let known = state == "ready";
        for fact in ["era", "protocol_version", "server_info", "verified_at"] {
            assert_eq!(!mount[fact].is_null(), known, "{state}: {fact}");
        }
        assert_eq!(mount["error"].is_string(), state.starts_with("fail"), "{mount}");
    }
    let status = router.status().await;
    let top = [
        "aggregate",
        "active_sse_connections",
        "api_last_activity",
        "config",
        "server_instances",
        "servers",
        "uptime_seconds",
        "version",
        "views",
    ];
    assert_eq!(keys(&status), top.into());
    let instances: BTreeSet<&str> = every.into();
    assert_eq!(keys(&status["server_instances"]), instances);
    assert!(status["server_instances"].as_object().unwrap().values().all(Value::is_string));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let ready = router.mount("ready").await;
    assert_eq!((&ready["era"], &ready["protocol_version"]), (&json!("legacy"), &json!("2025-11-25")));
    assert_eq!(ready["server_info"]["name"], "mcp-switchboard-demo");
}

#[tokio::test]
async fn the_numbers_are_those_of_now() {
    let router = Router::mounting(json!({ "a": with(demo(), &json!({ "pool": { "warm": 0 } })) })).await;
    let client = Client::open(&router, "a").await;
    assert!(client.call("echo", json!({ "text": "x" })).await["result"].is_object());
    assert_eq!(code(&client.request("no/such/method", json!({})).await), -32601);
    let sleeping = client.call("sleep", json!({ "ms": 500 }));
    let look = async {
        let mount = router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        assert_eq!((&mount["sessions"], &mount["state"]), (&json!(1), &json!("ready")));
        mount
    };
    let (_, during) = futures::future::join(sleeping, look).await;
    // `initialize` is a request, too.
    assert_eq!((&during["requests"], &during["errors"]), (&json!(4), &json!(1)), "{during}");
    assert_eq!(during["latency"]["count"], 3, "what is in flight takes time still");
    let after = router.mount("a").await;
    assert_eq!(after["latency"]["count"], 4, "{after}");
    let seconds = after["latency"]["seconds"].as_f64().unwrap();
    assert!((0.5..10.0).contains(&seconds), "{after}");
    assert_eq!((&after["in_flight"], &after["requests"]), (&json!(0), &json!(4)));
    assert_eq!(client.leave().await, 204);
    assert_eq!(router.mount("a").await["sessions"], 0);
    router.until("a", "idle", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
}

#[tokio::test]
async fn a_killed_process_is_missing_within_a_second() {
    let servers = json!({ "own": demo(), "brood": script("sleep 1000 & exec \"$0\" demo-server", &[]) });
    let router = Router::mounting(servers).await;
    for name in ["own", "brood"] {
        // A spare, and a session's process.
        let client = Client::open(&router, name).await;
        let both = pids(&router.until(name, "with a spare", |mount| pids(mount).len() == 2).await);
        for pid in both {
            kill(pid);
            let struck = Instant::now();
            router.until(name, "without it", |mount| !pids(mount).contains(&pid)).await;
            assert!(struck.elapsed() < Duration::from_secs(1), "{name}: {:?}", struck.elapsed());
        }
        // The spare may have been the session's second process by then.
        let is = |mount: &Value| {
            let pids = pids(mount);
            let whole = pids.len() == 2 && pids.into_iter().all(is_running);
            // A spare that was struck while it started is a failed start, until the next one has answered.
            whole && mount["restarts"].as_u64() >= Some(1) && mount["state"] == "ready"
        };
        router.until(name, "whole again", is).await;
        assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    }
}

#[tokio::test]
async fn the_health_of_the_process_and_of_each_mount() {
    let router = Router::mounting(json!({
        "well": demo(),
        "ill": with(script("exit 1", &[]), &json!({ "restart": { "attempts": 1 } })),
        "off": with(demo(), &json!({ "disabled": true })),
    }))
    .await;
    let _client = Client::open(&router, "well").await;
    router.until("ill", "failed", |mount| mount["state"] == "failed").await;
    let (status, health) = router.get("/health").await;
    assert_eq!((status, &health["status"], &health["active_sessions"]), (200, &json!("healthy"), &json!(1)));
    assert_eq!(keys(&health), ["active_sessions", "server_command", "status"].into());
    assert!(!health.to_string().contains("demo-server"), "arguments may be secret: {health}");
    assert_eq!(router.get("/healthz").await.0, 200);
    let (status, well) = router.get("/servers/well/health").await;
    assert_eq!(
        (status, &well["state"], keys(&well)),
        (200, &json!("ready"), keys(&router.mount("well").await))
    );
    let (status, ill) = router.get("/servers/ill/health/").await;
    assert_eq!((status, &ill["state"]), (503, &json!("failed")));
    assert_eq!(router.get("/servers/off/health").await.0, 404);
    assert_eq!(router.get("/servers/unknown/health").await.0, 404);
    assert_eq!(
        router.get("/readyz").await,
        (
            200,
            json!({ "status": "ready", "waiting_for": [], "servers": { "well": "ready", "ill": "failed" } })
        )
    );
}

#[tokio::test]
async fn it_is_ready_once_every_mount_has_left_starting_and_not_when_all_have_failed() {
    let gated = r#"until [ -e "$1" ]; do sleep 0.05; done; exec "$0" demo-server"#;
    let router = Router::with_file(|directory| {
        json!({ "mcpServers": { "slow": script(gated, &[&directory.join("go")]), "quick": demo() } })
    })
    .await;
    router.until("quick", "ready", |mount| mount["state"] == "ready").await;
    let (status, body) = router.get("/readyz").await;
    assert_eq!(
        (status, &body["status"], &body["servers"]["slow"]),
        (503, &json!("starting"), &json!("starting"))
    );
    assert_eq!(router.get("/servers/slow/health").await.0, 503);
    std::fs::write(router.path("go"), "").unwrap();
    eventually("it is ready", async || (router.get("/readyz").await.0 == 200).then_some(())).await;

    let failed = with(script("exit 1", &[]), &json!({ "restart": { "attempts": 1 } }));
    let router = Router::mounting(json!({ "a": failed })).await;
    router.until("a", "failed", |mount| mount["state"] == "failed").await;
    assert_eq!(router.get("/readyz").await.0, 503);
    assert_eq!(router.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn what_a_server_says_before_it_dies_stands_in_the_log_and_in_the_reason() {
    let servers = json!({
        "a": {
            "command": "sh",
            "args": ["-c", "echo \"no module named $WHAT\" >&2; exit 3"],
            "env": { "WHAT": "plainly-secret" },
        },
    });
    let router = Router::mounting(servers).await;
    let failing = |mount: &Value| mount["error"].is_string();
    let mount = router.until("a", "known not to start", failing).await;
    let error = mount["error"].as_str().unwrap();
    assert!(error.contains("exited with status 3") && error.contains("no module named ***"), "{error}");
    let log = router.logs("no module named ***").await;
    assert!(!log.contains("plainly-secret"), "{log}");
}
