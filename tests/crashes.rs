//! What becomes of clients when a server's process dies, and when it does not start.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use serde_json::{Value, json};
use support::client::{Client, Hello, code, text};
use support::eventually;
use support::process::{descendants, kill};
use support::router::{BINARY, Router, demo, pids, script, with};

/// Notes each message that a process got in a file.
const RECORDED: &str = r#"tee -a "$1" | "$0" demo-server"#;

/// The demo server with `pool.warm` 0: its only process is the session's.
fn cold(entry: Value) -> Value {
    with(entry, &json!({ "pool": { "warm": 0 } }))
}

async fn only_process(router: &Router, mount: &str) -> u32 {
    let pids = pids(&router.mount(mount).await);
    assert_eq!(pids.len(), 1);
    pids[0]
}

#[tokio::test]
async fn a_killed_process_fails_its_own_calls_within_a_second_and_the_session_goes_on() {
    let router = Router::mounting(json!({ "a": cold(demo()) })).await;
    let victim = Client::open(&router, "a").await;
    let pid = only_process(&router, "a").await;
    let bystander = Client::open(&router, "a").await;
    let mut heard = victim.listen().await;
    let strike = async {
        router.until("a", "in the middle of five calls", |mount| mount["in_flight"] == 5).await;
        kill(pid);
        Instant::now()
    };
    let victims = join_all((0..4).map(|_| victim.call("sleep", json!({ "ms": 60_000 }))));
    let (dead, (unhurt, struck)) =
        join(victims, join(bystander.call("sleep", json!({ "ms": 1500 })), strike)).await;
    assert!(dead.iter().all(|response| code(response) == -31002), "{dead:?}");
    assert_eq!(text(&unhurt), "Slept 1500 ms.");
    // The bystander's answer came last, so the time of the others is taken once more, alone.
    assert!(struck.elapsed() < Duration::from_secs(10));

    assert_eq!(victim.text("echo", json!({ "text": "on" })).await, "on");
    // The client is told: tools may have changed, and something was lost.
    assert_eq!(heard.next().await.unwrap()["method"], "notifications/tools/list_changed");
    let warning = heard.next().await.unwrap();
    assert_eq!(
        (&warning["method"], &warning["params"]["level"]),
        (&json!("notifications/message"), &json!("warning"))
    );
    let status = router.mount("a").await;
    assert_eq!((&status["restarts"], &status["sessions"]), (&json!(1), &json!(2)), "{status}");
    assert!(status["last_exit"].as_str().unwrap().contains("SIGKILL"), "{status}");
    assert!(!pids(&status).contains(&pid));
}

#[tokio::test]
async fn the_answer_to_a_call_whose_process_is_killed_comes_within_a_second() {
    let servers = json!({ "own": cold(demo()), "shared": with(demo(), &json!({ "pool": { "mode": "shared", "warm": 0 } })) });
    let router = Router::mounting(servers).await;
    for name in ["own", "shared"] {
        let client = Client::open(&router, name).await;
        let pid = only_process(&router, name).await;
        let strike = async {
            router.until(name, "in the middle of a call", |mount| mount["in_flight"] == 1).await;
            kill(pid);
            Instant::now()
        };
        let (response, struck) = join(client.call("sleep", json!({ "ms": 60_000 })), strike).await;
        assert!(struck.elapsed() < Duration::from_secs(1), "{name}: {:?}", struck.elapsed());
        assert_eq!(code(&response), -31002, "{name}");
        assert!(response["error"]["data"]["exit"].as_str().unwrap().contains("SIGKILL"), "{response}");
        assert_eq!(client.text("echo", json!({ "text": name })).await, name);
    }
}

#[tokio::test]
async fn a_server_that_exits_by_itself_says_so_to_the_caller() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let client = Client::open(&router, "a").await;
    let response = client.call("crash", json!({ "code": 7 })).await;
    assert_eq!(code(&response), -31002);
    assert_eq!(response["error"]["data"]["exit"], "exited with status 7", "{response}");
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
}

#[tokio::test]
async fn a_client_is_told_only_what_its_server_declared_that_it_would_tell() {
    let plain =
        r#""$0" demo-server | sed -u -e 's/"logging":{},//' -e 's/"tools":{"listChanged":true}/"tools":{}/'"#;
    let router = Router::mounting(json!({ "a": cold(script(plain, &[])) })).await;
    let client = Client::open(&router, "a").await;
    assert_eq!(client.opened["capabilities"]["tools"], json!({}));
    assert_eq!(client.opened["capabilities"]["logging"], Value::Null);
    let mut heard = client.listen().await;
    kill(only_process(&router, "a").await);
    eventually("it goes on", async || (router.mount("a").await["restarts"] == 1).then_some(())).await;
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    assert_eq!(client.leave().await, 204);
    assert_eq!(heard.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_log_level_and_the_subscriptions_hold_on_the_new_process() {
    let servers = json!({
        "own": cold(demo()),
        "shared": with(demo(), &json!({ "pool": { "mode": "shared", "warm": 0 } })),
    });
    let router = Router::mounting(servers).await;
    for name in ["own", "shared"] {
        let client = Client::open(&router, name).await;
        client.request("logging/setLevel", json!({ "level": "error" })).await;
        client.request("resources/subscribe", json!({ "uri": "demo://counter" })).await;
        client.request("resources/subscribe", json!({ "uri": "demo://square/2" })).await;
        client.request("resources/unsubscribe", json!({ "uri": "demo://square/2" })).await;
        let mut heard = client.listen().await;
        kill(only_process(&router, name).await);
        router.until(name, "going on", |mount| mount["restarts"] == 1).await;
        let held = client.text("log", json!({ "level": "warning", "text": "x" })).await;
        assert!(held.contains("Held back") && held.contains("error"), "{name}: {held}");
        assert_eq!(client.text("bump", json!({})).await, "1", "{name}: the process is new");
        assert_eq!(heard.method("notifications/resources/updated").await["params"]["uri"], "demo://counter");
    }
}

#[tokio::test]
async fn no_request_is_sent_twice() {
    let router = Router::with_file(
        |directory| json!({ "mcpServers": { "a": cold(script(RECORDED, &[&directory.join("record")])) } }),
    )
    .await;
    let client = Client::open(&router, "a").await;
    let pid = only_process(&router, "a").await;
    // Some are answered, some are in flight when the process dies, some come while there is none.
    let calls = (0..30).map(async |number| {
        if number >= 20 {
            // A request that is written in the moment of the death has the fate of those before it.
            router.until("a", "known to be dead", |mount| mount["last_exit"].is_string()).await;
        }
        match number % 3 {
            0 => client.call("sleep", json!({ "ms": 60_000 + number })).await,
            _ => client.call("echo", json!({ "text": format!("<{number}>") })).await,
        }
    });
    let strike = async {
        router.until("a", "in the middle of seven calls", |mount| mount["in_flight"] == 7).await;
        kill(pid);
        // What came after the death sleeps in the new process, until that is killed, too.
        router.until("a", "in the middle of three calls", |mount| mount["in_flight"] == 3).await;
        kill(only_process(&router, "a").await);
    };
    let (responses, ()) = join(join_all(calls), strike).await;
    let record = std::fs::read_to_string(router.path("record")).unwrap();
    for (number, response) in responses.iter().enumerate() {
        let mark = if number % 3 == 0 {
            assert_eq!(code(response), -31002, "{response}");
            format!("\"ms\":{}}}", 60_000 + number)
        } else {
            assert_eq!(text(response), format!("<{number}>"));
            format!("\"<{number}>\"")
        };
        assert_eq!(record.matches(&mark).count(), 1, "request {number}");
    }
}

#[tokio::test]
async fn a_session_whose_mount_says_so_ends_with_its_process() {
    let servers =
        json!({ "a": with(demo(), &json!({ "restart": { "onCrash": "end" }, "pool": { "warm": 0 } })) });
    let router = Router::mounting(servers).await;
    let client = Client::open(&router, "a").await;
    let mut heard = client.listen().await;
    assert_eq!(code(&client.call("crash", json!({})).await), -31002);
    assert_eq!(heard.rest().await, Vec::<Value>::new());
    let mut refused = client.ask("ping", json!({})).await;
    assert_eq!((refused.status, refused.code().await), (404, -32001));
    let again = Client::open(&router, "a").await;
    assert_eq!(again.text("echo", json!({ "text": "new" })).await, "new");
}

#[tokio::test]
async fn a_session_whose_process_dies_again_and_again_ends_alone() {
    let router =
        Router::mounting(json!({ "a": with(demo(), &json!({ "restart": { "attempts": 2 } })) })).await;
    let (unlucky, lucky) = (Client::open(&router, "a").await, Client::open(&router, "a").await);
    assert_eq!(code(&unlucky.call("crash", json!({})).await), -31002);
    assert_eq!(unlucky.text("echo", json!({ "text": "once" })).await, "once");
    assert_eq!(code(&unlucky.call("crash", json!({})).await), -31002);
    assert_eq!(unlucky.ask("ping", json!({})).await.status, 404);
    assert_eq!(lucky.text("echo", json!({ "text": "well" })).await, "well");
    let status = router.mount("a").await;
    assert_eq!((&status["state"], &status["sessions"]), (&json!("ready"), &json!(1)), "{status}");
    Client::open(&router, "a").await;
}

#[tokio::test]
async fn a_new_process_that_is_another_server_ends_the_session() {
    // Once the file is there, the server speaks another version, or has lost a capability.
    let version = r#""$0" demo-server | if [ -e "$1" ]; then sed -u 's/"protocolVersion":"2025-11-25"/"protocolVersion":"2025-06-18"/'; else cat; fi"#;
    let capability = r#""$0" demo-server | if [ -e "$1" ]; then sed -u 's/"prompts":{},//'; else cat; fi"#;
    let router = Router::with_file(|directory| {
        let mark = directory.join("mark");
        json!({ "mcpServers": {
            "version": cold(script(version, &[&mark])), "capability": cold(script(capability, &[&mark])),
        } })
    })
    .await;
    let clients = [Client::open(&router, "version").await, Client::open(&router, "capability").await];
    std::fs::write(router.path("mark"), "").unwrap();
    for (client, name) in clients.iter().zip(["version", "capability"]) {
        kill(only_process(&router, name).await);
        router.until(name, "without the session", |mount| mount["sessions"] == 0).await;
        assert_eq!(client.ask("ping", json!({})).await.status, 404, "{name}");
        // The server is well, only another: who comes anew is served.
        let again = Client::open(&router, name).await;
        assert_eq!(again.text("echo", json!({ "text": "new" })).await, "new");
    }
}

#[tokio::test]
async fn one_broken_server_stops_no_other_and_says_what_is_wrong() {
    let attempts = |entry: Value| with(entry, &json!({ "restart": { "attempts": 1 } }));
    let router = Router::mounting(json!({
        "well": demo(),
        "missing": attempts(json!({ "command": "no-such-program-anywhere" })),
        "exits": attempts(script("exit 3", &[])),
        "silent": with(attempts(script("cat >&2", &[])), &json!({ "startTimeout": 1 })),
        "unset": { "command": BINARY, "args": ["${NO_SUCH_VARIABLE_ANYWHERE}"] },
        "off": with(demo(), &json!({ "disabled": true })),
    }))
    .await;
    let client = Client::open(&router, "well").await;
    assert_eq!(client.text("echo", json!({ "text": "well" })).await, "well");
    let reasons = [
        ("missing", "no-such-program-anywhere"),
        ("exits", "exited with status 3"),
        ("silent", "within 1 s"),
        ("unset", "NO_SUCH_VARIABLE_ANYWHERE"),
    ];
    for (name, reason) in reasons {
        let mount = router.until(name, "failed", |mount| mount["state"] == "failed").await;
        assert!(mount["error"].as_str().unwrap().contains(reason), "{mount}");
        let begun = Instant::now();
        let Err(mut refused) = Client::try_open(&router, name, &Hello::default()).await else {
            panic!("{name} serves")
        };
        assert!(begun.elapsed() < Duration::from_millis(900), "{name}: {:?}", begun.elapsed());
        assert_eq!(refused.status, 503);
        assert!(refused.headers.contains_key("retry-after"));
        let response = refused.response().await;
        assert_eq!(code(&response), -31001);
        assert!(response["error"]["message"].as_str().unwrap().contains(reason), "{response}");
        assert_eq!(router.get(&format!("/servers/{name}/health")).await.0, 503);
    }
    assert_eq!(router.mount("off").await["state"], "disabled");
    let Err(off) = Client::try_open(&router, "off", &Hello::default()).await else { panic!("it is off") };
    assert_eq!(off.status, 404);
    assert_eq!(router.get("/readyz").await.0, 200);
    assert_eq!(client.text("echo", json!({ "text": "still" })).await, "still");
}

#[tokio::test]
async fn a_client_of_a_silent_server_gets_503_when_its_time_is_over() {
    let silent = with(cold(script("cat >&2", &[])), &json!({ "startTimeout": 1 }));
    let router = Router::mounting(json!({ "a": silent })).await;
    let begun = Instant::now();
    let Err(mut refused) = Client::try_open(&router, "a", &Hello::default()).await else {
        panic!("it serves")
    };
    assert!((1000..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!((refused.status, refused.code().await), (503, -31001));
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn noise_on_stdout_does_no_harm() {
    let noisy = r#"echo "Welcome!"; echo '{"level":"info"}'; echo '{not json'; echo; exec "$0" demo-server"#;
    let router = Router::mounting(json!({ "a": script(noisy, &[]) })).await;
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("echo", json!({ "text": "heard" })).await, "heard");
    router.logs("Welcome!").await;
}

#[tokio::test]
async fn a_server_that_starts_working_is_served_again_without_a_word_from_anybody() {
    let later = r#"[ -e "$1" ] || exit 1; exec "$0" demo-server"#;
    let router = Router::with_file(|directory| {
        // With more attempts the pauses between them are those of `failing`: half a second, doubled.
        let attempts = json!({ "restart": { "attempts": 50 } });
        json!({ "mcpServers": { "a": with(script(later, &[&directory.join("works")]), &attempts) } })
    })
    .await;
    let failing = router.until("a", "failing", |mount| mount["state"] == "failing").await;
    assert!(failing["error"].as_str().unwrap().contains("exited with status 1"), "{failing}");
    let Err(refused) = Client::try_open(&router, "a", &Hello::default()).await else { panic!("it serves") };
    assert_eq!(refused.status, 503);
    std::fs::write(router.path("works"), "").unwrap();
    let ready = router.until("a", "ready", |mount| mount["state"] == "ready").await;
    assert_eq!(ready["error"], Value::Null);
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("echo", json!({ "text": "back" })).await, "back");
}

#[tokio::test]
async fn one_client_cannot_take_a_mount_away_from_the_others() {
    // It dies of one client's first message only.
    let delicate = r#"
        IFS= read -r line
        case $line in *poison*) exit 9 ;; esac
        { printf '%s\n' "$line"; cat; } | "$0" demo-server"#;
    let servers = json!({ "a": with(script(delicate, &[]), &json!({ "restart": { "attempts": 2 } })) });
    let router = Router::mounting(servers).await;
    let good = Client::open(&router, "a").await;
    let poison = Hello { name: "poison", ..Hello::default() };
    for _ in 0..6 {
        let Err(mut refused) = Client::try_open(&router, "a", &poison).await else { panic!("it survives") };
        assert_eq!((refused.status, refused.code().await), (503, -31001));
        let another = Client::open(&router, "a").await;
        assert_eq!(another.text("echo", json!({ "text": "in" })).await, "in");
        another.leave().await;
    }
    assert_eq!(good.text("echo", json!({ "text": "still" })).await, "still");
    assert_eq!(router.mount("a").await["state"], "ready");
}

#[tokio::test]
async fn what_a_killed_process_leaves_behind_is_ended_and_not_taken_for_the_process() {
    let brood = "sleep 1000 & (setsid sleep 1001 &) ; exec \"$0\" demo-server";
    let router = Router::mounting(json!({ "a": cold(script(brood, &[])) })).await;
    let client = Client::open(&router, "a").await;
    let all = eventually("the brood is there", async || {
        Some(descendants(router.pid())).filter(|all| all.len() == 3)
    })
    .await;
    let pid = only_process(&router, "a").await;
    kill(pid);
    let status = router.until("a", "going on", |mount| mount["restarts"] == 1).await;
    assert!(!pids(&status).contains(&pid), "only its children run: {status}");
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    eventually("the old brood is gone", async || {
        let now = descendants(router.pid());
        (now.len() == 3 && all.iter().all(|pid| !now.contains(pid))).then_some(())
    })
    .await;
}
