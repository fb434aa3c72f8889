//! How many processes a mount runs, which are kept ready, and who shares them.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use support::client::{Client, Hello, code, text};
use support::eventually;
use support::process::{descendants, kill};
use support::router::{Router, demo, pids, script, with};

/// Writes a line with its process id for each process, and one for each message that a process got.
const RECORDED: &str = r#"echo "started $$" >>"$1"; tee -a "$1" | "$0" demo-server"#;

fn pooled(pool: &Value) -> Value {
    with(demo(), &json!({ "pool": pool }))
}

fn able_to(capabilities: Value) -> Hello {
    Hello { capabilities, ..Hello::default() }
}

#[tokio::test]
async fn a_full_mount_gives_up_its_spares_first_and_then_refuses_at_once() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "max": 2, "warm": 2 })) })).await;
    let spares = router.settled("a", 2).await;
    let one = Client::open(&router, "a").await;
    let two = Client::open(&router, "a").await;
    assert_eq!(pids(&router.mount("a").await), spares, "both spares are in use");
    let Err(mut refused) = Client::try_open(&router, "a", &Hello::default()).await else {
        panic!("a third process")
    };
    assert_eq!(refused.status, 503);
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds >= 1);
    let response = refused.response().await;
    assert_eq!((code(&response), &response["id"]), (-31004, &json!(0)), "{response}");
    assert!(response["error"]["data"]["retryAfterMs"].as_u64().is_some(), "{response}");
    // Those who have a process notice nothing, and who leaves makes room: for a spare, as long as nobody comes.
    assert_eq!(one.text("echo", json!({ "text": "1" })).await, "1");
    assert_eq!(two.leave().await, 204);
    let is = |mount: &Value| pids(mount).len() == 2 && pids(mount).iter().any(|pid| !spares.contains(pid));
    router.until("a", "with a session and a spare", is).await;
    Client::open(&router, "a").await;
}

#[tokio::test]
async fn a_spare_is_not_spoken_to_and_is_replaced_when_taken() {
    let router = Router::with_file(|directory| {
        let record = directory.join("record");
        // What it speaks is said, so no process is thrown away to find out.
        let keys = json!({ "pool": { "warm": 2 }, "era": "legacy" });
        json!({ "mcpServers": { "a": with(script(RECORDED, &[&record]), &keys) } })
    })
    .await;
    let spares = router.settled("a", 2).await;
    let record = || std::fs::read_to_string(router.path("record")).unwrap();
    eventually("both spares run", async || (record().matches("started").count() == 3).then_some(())).await;
    // The one handshake is the throw-away process's.
    assert_eq!(record().matches(r#""method":"initialize""#).count(), 1);
    let client = Client::open(&router, "a").await;
    let after = router.until("a", "a session and two spares", |mount| pids(mount).len() == 3).await;
    assert!(spares.iter().all(|spare| pids(&after).contains(spare)), "{spares:?} {after}");
    client.call("echo", json!({ "text": "mine" })).await;
    eventually("the third spare runs", async || (record().matches("started").count() == 4).then_some(()))
        .await;
    assert_eq!(record().matches(r#""method":"initialize""#).count(), 2);
}

#[tokio::test]
async fn a_mount_without_warm_processes_runs_none_until_a_client_comes() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "warm": 0 })) })).await;
    let idle = router.mount("a").await;
    assert_eq!((&idle["state"], &idle["verified_at"]), (&json!("idle"), &Value::Null));
    assert!(descendants(router.pid()).is_empty());
    let _client = Client::open(&router, "a").await;
    let ready = router.mount("a").await;
    assert_eq!((&ready["state"], pids(&ready).len()), (&json!("ready"), 1));
}

#[tokio::test]
async fn spares_that_exit_unasked_are_given_up_after_three() {
    // It serves who speaks in time, and exits when nobody does.
    let impatient = r#"
        echo started >>"$1"
        read -t 0.2 -r line || exit 3
        { printf '%s\n' "$line"; cat; } | "$0" demo-server"#;
    let router = Router::with_file(|directory| {
        let mut entry = script(impatient, &[&directory.join("record")]);
        entry["command"] = json!("bash");
        entry["era"] = json!("legacy");
        json!({ "mcpServers": { "a": entry } })
    })
    .await;
    let given_up = router.until("a", "without spares", |mount| mount["error"].is_string()).await;
    assert!(given_up["error"].as_str().unwrap().contains("without spares"), "{given_up}");
    // The throw-away process, and three spares.
    let record = std::fs::read_to_string(router.path("record")).unwrap();
    assert_eq!(record.lines().count(), 4);
    // It still serves, with a process started for the client.
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("echo", json!({ "text": "cold" })).await, "cold");
    assert_eq!(router.mount("a").await["state"], "ready");
}

#[tokio::test]
async fn all_mounts_together_run_no_more_than_the_limit() {
    let cold = || pooled(&json!({ "warm": 0 }));
    let file = json!({ "mcpServers": { "a": cold(), "b": cold() }, "limits": { "processes": 2 } });
    let router = Router::start(file, &[]).await;
    let one = Client::open(&router, "a").await;
    let _two = Client::open(&router, "b").await;
    for name in ["a", "b"] {
        let Err(mut refused) = Client::try_open(&router, name, &Hello::default()).await else {
            panic!("a third process")
        };
        let response = refused.response().await;
        assert_eq!((refused.status, code(&response)), (503, -31004));
        assert!(response["error"]["message"].as_str().unwrap().contains("limits.processes"), "{response}");
    }
    one.leave().await;
    eventually("there is room again", async || Client::try_open(&router, "b", &Hello::default()).await.ok())
        .await;
}

#[tokio::test]
async fn clients_of_a_shared_mount_share_a_process_and_no_id_or_token_crosses() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "mode": "shared", "warm": 0 })) })).await;
    let clients = join_all((0..5).map(async |_| Client::open(&router, "a").await)).await;
    let mount = router.mount("a").await;
    assert_eq!((pids(&mount).len(), &mount["sessions"]), (1, &json!(5)), "{mount}");
    let sessions: HashSet<&str> = clients.iter().map(Client::session).collect();
    assert_eq!(sessions.len(), 5);

    // All use the same ids and the same progress token at the same time.
    join_all(clients.iter().enumerate().map(async |(who, client)| {
        for round in 0..10 {
            let said = format!("{who}/{round}");
            assert_eq!(client.text("echo", json!({ "text": said })).await, said);
        }
        let to = who + 3;
        let params = json!({
            "name": "count", "arguments": { "to": to, "intervalMs": 20 }, "_meta": { "progressToken": "t" },
        });
        let message = json!({ "jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": params });
        let messages = client.post(&message).await.rest().await;
        let (last, progress) = messages.split_last().unwrap();
        assert_eq!((text(last), &last["id"]), (format!("Counted to {to}."), &json!("same")));
        let told: Vec<&Value> = progress.iter().map(|message| &message["params"]).collect();
        let expected: Vec<Value> = (1..=to)
            .map(|n| {
                let message = format!("{n} of {to}");
                json!({ "progressToken": "t", "progress": n, "total": to, "message": message })
            })
            .collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>());
    }))
    .await;
    // One leaves, and takes nothing from the others.
    assert_eq!(clients[0].leave().await, 204);
    assert_eq!(clients[1].text("echo", json!({ "text": "on" })).await, "on");
    assert_eq!(pids(&router.mount("a").await), pids(&mount));
}

#[tokio::test]
async fn a_question_of_a_shared_server_goes_to_the_only_call_in_flight_or_to_nobody() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "mode": "shared", "warm": 0 })) })).await;
    let hello = able_to(json!({ "elicitation": {} }));
    let one = Client::open_as(&router, "a", &hello).await;
    let two = Client::open_as(&router, "a", &hello).await;
    assert_eq!(pids(&router.mount("a").await).len(), 1);

    let mut reply = one.begin("ask", json!({ "question": "Who?" })).await;
    let question = reply.method("elicitation/create").await;
    assert_eq!(question["params"]["message"], "Who?");
    // Another client cannot answer it.
    let forged = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "cancel" } });
    two.tell(&forged).await;
    one.answer(&question, json!({ "action": "accept", "content": { "answer": "one" } })).await;
    assert_eq!(text(&reply.response().await), "The user answered: one");

    // With two calls in flight the server cannot say whom it means.
    let ask = async {
        router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        two.call("ask", json!({})).await
    };
    let (sleep, response) = join(one.call("sleep", json!({ "ms": 1000 })), ask).await;
    assert_eq!(text(&sleep), "Slept 1000 ms.");
    assert!(
        response.to_string().contains("-32601") || text(&response).contains("no single client"),
        "{response}"
    );
}

#[tokio::test]
async fn a_shared_server_tells_all_of_its_lists_and_subscribers_only_of_updates() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "mode": "shared", "warm": 0 })) })).await;
    let watching = Client::open(&router, "a").await;
    let other = Client::open(&router, "a").await;
    let (mut to_watching, mut to_other) = (watching.listen().await, other.listen().await);
    watching.request("resources/subscribe", json!({ "uri": "demo://counter" })).await;
    other.call("bump", json!({})).await;
    other.call("toggle", json!({})).await;
    let methods = [to_watching.next().await.unwrap(), to_watching.next().await.unwrap()]
        .map(|message| message["method"].as_str().unwrap().to_owned());
    assert_eq!(methods, ["notifications/resources/updated", "notifications/tools/list_changed"]);
    assert_eq!(to_other.next().await.unwrap()["method"], "notifications/tools/list_changed");
    // The last subscriber's word ends it, not the first's.
    other.request("resources/subscribe", json!({ "uri": "demo://counter" })).await;
    watching.request("resources/unsubscribe", json!({ "uri": "demo://counter" })).await;
    watching.call("bump", json!({})).await;
    watching.call("toggle", json!({})).await;
    assert_eq!(to_other.next().await.unwrap()["method"], "notifications/resources/updated");
    assert_eq!(to_watching.next().await.unwrap()["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_shared_server_logs_at_the_most_verbose_level_and_each_client_hears_its_own() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "mode": "shared", "warm": 0 })) })).await;
    let (quiet, chatty) = (Client::open(&router, "a").await, Client::open(&router, "a").await);
    quiet.request("logging/setLevel", json!({ "level": "error" })).await;
    chatty.request("logging/setLevel", json!({ "level": "debug" })).await;
    for (client, level, heard) in [
        (&chatty, "debug", true),
        (&quiet, "debug", false),
        (&quiet, "warning", false),
        (&quiet, "error", true),
    ] {
        let messages = client.begin("log", json!({ "level": level, "text": "x" })).await.rest().await;
        assert_eq!(messages.len(), if heard { 2 } else { 1 }, "{level}: {messages:?}");
    }
    // Who is quiet again makes the server quiet again: it says so itself.
    chatty.request("logging/setLevel", json!({ "level": "alert" })).await;
    let said = quiet.text("log", json!({ "level": "debug", "text": "x" })).await;
    assert!(said.contains("Held back") && said.contains("error"), "{said}");
}

#[tokio::test]
async fn clients_that_declare_other_things_or_speak_another_version_have_another_process() {
    let router = Router::mounting(json!({ "a": pooled(&json!({ "mode": "shared", "warm": 0 })) })).await;
    let processes = async || pids(&router.mount("a").await).len();
    let _plain = Client::open(&router, "a").await;
    assert_eq!(processes().await, 1);
    let _older = Client::open_as(&router, "a", &Hello { version: "2025-03-26", ..Hello::default() }).await;
    assert_eq!(processes().await, 2);
    let sampling = Client::open_as(&router, "a", &able_to(json!({ "sampling": {} }))).await;
    assert_eq!(processes().await, 3);
    // The order of what is declared makes no difference.
    let _two = Client::open_as(&router, "a", &able_to(json!({ "roots": {}, "sampling": {} }))).await;
    let _same = Client::open_as(&router, "a", &able_to(json!({ "sampling": {}, "roots": {} }))).await;
    assert_eq!(processes().await, 4);
    // The server knows what it may ask.
    let mut reply = sampling.begin("sample", json!({ "prompt": "?" })).await;
    let question = reply.method("sampling/createMessage").await;
    let said = json!({ "role": "assistant", "content": { "type": "text", "text": "!" }, "model": "m" });
    sampling.answer(&question, said).await;
    assert_eq!(text(&reply.response().await), "!");
}

#[tokio::test]
async fn a_singleton_is_exactly_one_process_from_its_first_client_on() {
    let router = Router::with_file(|directory| {
        let pool = json!({ "pool": { "mode": "shared", "max": 1, "warm": 1 } });
        json!({ "mcpServers": { "a": with(script(RECORDED, &[&directory.join("record")]), &pool) } })
    })
    .await;
    assert_eq!(router.mount("a").await["state"], "idle");
    assert_eq!(router.get("/readyz").await.0, 200);
    let hellos = [
        Hello::default(),
        Hello { version: "2025-03-26", ..Hello::default() },
        able_to(json!({ "sampling": {}, "roots": {} })),
    ];
    let clients =
        join_all(hellos.iter().cycle().take(9).map(|hello| Client::open_as(&router, "a", hello))).await;
    join_all(clients.iter().enumerate().map(async |(who, client)| {
        let said = who.to_string();
        assert_eq!(client.text("echo", json!({ "text": said })).await, said);
    }))
    .await;
    let record = || std::fs::read_to_string(router.path("record")).unwrap();
    assert_eq!(record().matches("started").count(), 1);
    // When it dies there is one again, never two at a time.
    let before = pids(&router.mount("a").await);
    assert_eq!(before.len(), 1);
    kill(before[0]);
    router.until("a", "going on", |mount| mount["restarts"] == 1).await;
    join_all(clients.iter().map(async |client| {
        assert_eq!(client.text("echo", json!({ "text": "again" })).await, "again");
    }))
    .await;
    assert_eq!(record().matches("started").count(), 2);
    assert_eq!(pids(&router.mount("a").await).len(), 1);
}

#[tokio::test]
async fn without_sessions_all_clients_use_one_process_unless_each_request_is_to_have_its_own() {
    let servers = json!({
        "one": pooled(&json!({ "warm": 0 })),
        "each": pooled(&json!({ "warm": 0, "isolation": "request" })),
    });
    let router = Router::start(json!({ "mcpServers": servers }), &["--stateless"]).await;
    let http = support::http_client();
    let bump = async |name: &str| -> Value {
        let params = json!({ "name": "bump", "arguments": {} });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let url = router.url(&format!("/servers/{name}/mcp"));
        let answer = http.post(url).json(&message).send().await.unwrap();
        assert!(answer.headers().get("mcp-session-id").is_none());
        answer.json().await.unwrap()
    };
    for n in ["1", "2", "3"] {
        assert_eq!(text(&bump("one").await), n);
        assert_eq!(text(&bump("each").await), "1");
    }
    assert_eq!(pids(&router.mount("one").await).len(), 1);
    router.until("each", "without processes", |mount| pids(mount).is_empty()).await;
}

#[tokio::test]
async fn an_unused_shared_process_is_stopped() {
    let file = json!({ "mcpServers": { "a": pooled(&json!({ "mode": "shared", "warm": 0 })) } });
    let router = Router::start(file, &["--timeout", "1"]).await;
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("sleep", json!({ "ms": 1500 })).await, "Slept 1500 ms.");
    assert_eq!(client.leave().await, 204);
    let begun = std::time::Instant::now();
    router.until("a", "idle", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "others could have used it");
    assert!(descendants(router.pid()).is_empty());
}
