//! A configuration that lives: what is edited is used, what is not edited does not notice.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]
#![expect(clippy::needless_pass_by_value, reason = "json! makes values, and stories pass them as they are")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::client::Client;
use support::mcp;
use support::modern::Modern;
use support::process::is_running;
use support::router::{BINARY, Router, demo, pids, script, with};
use support::{eventually, http_client, within};

/// Looks often, so that stories need not wait long.
const OFTEN: [&str; 2] = ["--reload-interval", "0.05"];

/// Only looks when it is asked to.
const ASKED: [&str; 1] = ["--no-reload"];

async fn start(servers: Value, options: &[&str]) -> Router {
    Router::start(json!({ "mcpServers": servers }), options).await
}

fn file(router: &Router) -> PathBuf {
    router.path("servers.json")
}

fn write(router: &Router, servers: Value) {
    std::fs::write(file(router), json!({ "mcpServers": servers }).to_string()).unwrap();
}

/// `POST /admin/reload`: the status, and the answer.
async fn reload(router: &Router) -> (u16, Value) {
    ask(router, "/admin/reload", &[]).await
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = http_client().post(router.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = within(path, request.send()).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Waits until what `/status` says of the configuration is so.
async fn until(router: &Router, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let look = async || Some(router.status().await["config"].take()).filter(|config| is(config));
    eventually(what, look).await
}

fn names(router: &Value) -> Vec<String> {
    router["servers"].as_object().unwrap().keys().cloned().collect()
}

/// A demo server that is not started before somebody wants it.
fn lazy(which: usize) -> Value {
    with(demo(), &json!({ "pool": { "warm": 0 }, "env": { "WHICH": which.to_string() } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_edits_under_the_load_of_fifty_clients_are_noticed_by_none_of_them() {
    let steady = || with(demo(), &json!({ "pool": { "max": 64 } }));
    let servers = |edit: usize| json!({ "steady": steady(), "edited": lazy(edit) });
    let router = start(servers(0), &OFTEN).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::open(&router, "steady").await);
    }
    let before = router.settled("steady", 51).await;
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for client in clients {
        let (over, calls) = (over.clone(), calls.clone());
        load.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(client.text("echo", json!({ "text": "x" })).await, "x");
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    for edit in 1..=50 {
        write(&router, servers(edit));
        until(&router, "an edit is used", |config| config["reloads"] == edit).await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) >= 50 * 50, "{calls:?}");
    let steady = router.mount("steady").await;
    assert_eq!(pids(&steady), before);
    assert_eq!((&steady["errors"], &steady["restarts"]), (&json!(0), &json!(0)));
    assert_eq!(router.status().await["config"]["error"], Value::Null);
}

#[tokio::test]
async fn fifty_changes_a_second_are_survived_and_the_last_one_counts() {
    let servers =
        |edit: usize| json!({ "steady": demo(), "edited": lazy(edit), format!("n{edit}"): lazy(0) });
    let router = start(servers(0), &OFTEN).await;
    let client = Client::open(&router, "steady").await;
    let before = router.settled("steady", 2).await;
    for edit in 1..=100 {
        // What a writer that is not done has written so far must not be taken for all.
        let text = json!({ "mcpServers": servers(edit) }).to_string();
        std::fs::write(file(&router), &text[..text.len() / 2]).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        std::fs::write(file(&router), &text).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(pids(&router.mount("steady").await), before);
    }
    let is_last = async || names(&router.status().await).contains(&"n100".to_owned()).then_some(());
    eventually("the last change is used", is_last).await;
    let status = router.status().await;
    assert_eq!(
        (names(&status), &status["config"]["error"]),
        (["edited", "n100", "steady"].map(str::to_owned).into(), &Value::Null)
    );
    assert_eq!(router.settled("steady", 2).await, before);
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
}

#[tokio::test]
async fn a_file_that_is_renamed_over_the_old_one_or_stands_behind_a_turned_link_is_used() {
    let router = start(json!({ "a": lazy(0) }), &OFTEN).await;
    let has = async |name: &str| {
        let look = async || names(&router.status().await).contains(&name.to_owned()).then_some(());
        eventually(name, look).await;
    };
    // As editors do.
    let new = router.path("servers.json~");
    std::fs::write(&new, json!({ "mcpServers": { "a": lazy(0), "renamed": lazy(0) } }).to_string()).unwrap();
    std::fs::rename(&new, file(&router)).unwrap();
    has("renamed").await;
    // As Kubernetes does: a link to a link to a directory, which is turned to another one.
    for name in ["first", "second"] {
        let folder = router.path(name);
        std::fs::create_dir(&folder).unwrap();
        let text = json!({ "mcpServers": { "a": lazy(0), name: lazy(0) } }).to_string();
        std::fs::write(folder.join("servers.json"), text).unwrap();
        std::os::unix::fs::symlink(&folder, router.path("..turning")).unwrap();
        std::fs::rename(router.path("..turning"), router.path("..data")).unwrap();
        if name == "first" {
            std::os::unix::fs::symlink(router.path("..data/servers.json"), &new).unwrap();
            std::fs::rename(&new, file(&router)).unwrap();
        }
        has(name).await;
    }
    assert_eq!(names(&router.status().await), ["a", "second"]);
    std::fs::remove_dir_all(router.path("first")).unwrap();
}

#[tokio::test]
async fn a_file_that_is_broken_or_gone_harms_nothing_and_status_says_so_until_it_is_mended() {
    let servers = || json!({ "a": demo() });
    let router = start(servers(), &OFTEN).await;
    let client = Client::open(&router, "a").await;
    let before = router.settled("a", 2).await;
    let first = until(&router, "it is known", |config| config["file"].is_string()).await;
    assert_eq!(first["file"], file(&router).to_str().unwrap());
    assert_eq!((&first["error"], &first["reloads"]), (&Value::Null, &json!(0)));
    let two = json!({ "mcpServers": { "x y": demo(), "x-y": demo() } }).to_string();
    let broken = [("", "line 1"), ("{", "not JSON"), (r#"{"mcpServers": {}}"#, "no servers"), (&two, "x-y")];
    for (text, reason) in broken {
        std::fs::write(file(&router), text).unwrap();
        let says = |config: &Value| config["error"].as_str().is_some_and(|error| error.contains(reason));
        let config = until(&router, reason, says).await;
        assert_eq!(config["loaded_at"], first["loaded_at"]);
        assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    }
    write(&router, servers());
    until(&router, "it is mended", |config| config["error"].is_null()).await;
    std::fs::remove_file(file(&router)).unwrap();
    let gone = |config: &Value| config["error"].as_str().is_some_and(|error| error.contains("gone"));
    until(&router, "it is gone", gone).await;
    write(&router, servers());
    let back = until(&router, "it is back", |config| config["error"].is_null()).await;
    assert_ne!(back["loaded_at"], first["loaded_at"]);
    assert_eq!(router.settled("a", 2).await, before);
    router.logs("not used, the one before stays").await;
}

#[tokio::test]
async fn sighup_reads_the_file_again() {
    let router = start(json!({ "a": lazy(0) }), &ASKED).await;
    write(&router, json!({ "a": lazy(0), "b": lazy(0) }));
    router.signal(Signal::HUP);
    if ignores_hangup() {
        // Under nohup it stays ignored, here as in every program: the file is read when somebody else asks.
        assert_eq!(reload(&router).await.0, 200);
    }
    until(&router, "it was read again", |config| config["reloads"] == 1).await;
    assert_eq!(names(&router.status().await), ["a", "b"]);
}

/// Whether this process, and so what it starts, was told to ignore SIGHUP.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is Linux");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the ignored signals");
    u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1
}

#[tokio::test]
async fn an_operator_is_told_what_a_reload_has_changed_by_name_and_key_only() {
    let router = start(json!({ "kept": lazy(0), "edited": lazy(1), "gone": demo() }), &ASKED).await;
    let client = Client::open(&router, "gone").await;
    let new = with(lazy(2), &json!({ "timeout": 9, "env": { "WHICH": "s3cret" } }));
    let servers = json!({ "kept": lazy(0), "edited": new, "new": demo(), "broken": { "command": "x", "args": ["${UNSET_X}"] } });
    let text = json!({ "mcpServers": servers, "color": 1, "port": 1, "limits": { "body": 1000 } });
    std::fs::write(file(&router), text.to_string()).unwrap();
    let (status, answer) = reload(&router).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["kept"], json!(["kept"]));
    assert_eq!(answer["changed"], json!([{ "name": "edited", "keys": ["env", "timeout"] }]));
    assert_eq!(answer["removed"], json!(["gone"]));
    let mut added: Vec<_> = answer["added"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    added.sort_unstable();
    assert_eq!(added, ["broken", "new"]);
    assert!(answer["warnings"][0].as_str().unwrap().contains("color: unknown key"), "{answer}");
    let needs = answer["needs_restart"].as_array().unwrap();
    assert!(needs.contains(&json!("limits")), "{answer}");
    // It has started before it was to be found.
    assert_eq!(router.mount("new").await["state"], "ready");
    assert_eq!(router.get("/servers/gone/health").await.0, 404);
    let mount = router.mount("broken").await;
    assert!(mount["error"].as_str().unwrap().contains("UNSET_X"), "{mount}");
    assert_eq!(router.status().await["config"]["needs_restart"], answer["needs_restart"]);
    router.logs("keys=\"env, timeout\"").await;
    assert!(
        !router.logs("the change of limits needs a restart").await.contains("s3cret")
            && !answer.to_string().contains("s3cret")
    );
    // A session of what is gone ends once it has nothing in flight.
    let ended = async || (client.ask("ping", json!({})).await.status == 404).then_some(());
    eventually("its session has ended", ended).await;

    std::fs::write(file(&router), "{").unwrap();
    let (status, answer) = reload(&router).await;
    assert_eq!(status, 422);
    assert!(answer["error"]["message"].as_str().unwrap().contains("servers.json: line 1"), "{answer}");
    assert_eq!(router.get("/admin/reload").await.0, 405);
}

#[tokio::test]
async fn only_an_operator_may_ask() {
    let mut command = std::process::Command::new(BINARY);
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("servers.json");
    let looks = r#"env > "$1.$$"; mv "$1.$$" "$1"; exec "$0" demo-server"#;
    let servers = json!({ "a": script(looks, &[&directory.path().join("environment")]) });
    std::fs::write(&path, json!({ "mcpServers": servers }).to_string()).unwrap();
    command.args(["--port", "0", "--pass-environment", "--named-server-config"]).arg(&path);
    command.env("MCP_SWITCHBOARD_ADMIN_TOKEN", "t0ken-of-admin").env("PASSED", "on");
    let router = Router::started(directory, command).await;
    router.settled("a", 1).await;
    let environment = std::fs::read_to_string(router.path("environment")).unwrap();
    assert!(environment.contains("PASSED=on") && !environment.contains("t0ken"), "{environment}");
    for path in ["/admin/reload", "/admin/servers/a/restart"] {
        let refused = [
            [("origin", "https://evil.example")],
            [("x-forwarded-for", "10.1.2.3")],
            [("host", "mcp-switchboard:8080")],
        ];
        for headers in refused {
            let (status, answer) = ask(&router, path, &headers).await;
            assert_eq!((status, &answer["error"]["code"]), (403, &json!(-31007)), "{path} {headers:?}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(!message.is_empty() && !message.contains("t0ken"), "{answer}");
        }
        let shown = |token: &'static str| [("x-forwarded-for", "10.1.2.3"), ("authorization", token)];
        assert_eq!(ask(&router, path, &shown("Bearer t0ken-of-admiN")).await.0, 403);
        assert_eq!(ask(&router, path, &shown("Bearer t0ken-of-admin")).await.0, 200);
        assert_eq!(ask(&router, path, &[("origin", "http://localhost:3000")]).await.0, 200);
        assert_eq!(ask(&router, path, &[]).await.0, 200);
    }
    assert_eq!(ask(&router, "/admin/servers/nobody/restart", &[]).await.0, 404);
    assert!(!router.log().contains("t0ken") && !router.status().await.to_string().contains("t0ken"));

    let without = Router::with_options(&["--port", "0", "--named-server", "a", "true"]).await;
    let (status, answer) = reload(&without).await;
    assert_eq!(status, 409, "{answer}");
    let status = without.status().await;
    assert!(status["config"].is_null() && status.as_object().unwrap().contains_key("config"));
}

#[tokio::test]
async fn a_changed_servers_session_finishes_its_call_and_goes_on_in_a_process_of_the_new_entry() {
    let servers =
        |which: usize| json!({ "a": with(demo(), &json!({ "env": { "WHICH": which.to_string() } })) });
    let router = start(servers(0), &ASKED).await;
    let client = Client::open(&router, "a").await;
    let mut listening = client.listen().await;
    let old = router.settled("a", 2).await;
    let mut call = client.begin("count", json!({ "to": 10, "ms": 100 })).await;
    write(&router, servers(1));
    let (status, answer) = reload(&router).await;
    assert_eq!((status, &answer["changed"][0]["keys"]), (200, &json!(["env"])));
    // Who comes now has a new process.
    let newcomer = Client::open(&router, "a").await;
    assert!(call.response().await["result"].is_object(), "what was in flight has finished");
    // The next call of the old session is for the new process.
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    let new = router.until("a", "new", |mount| pids(mount).iter().all(|pid| !old.contains(pid))).await;
    assert_eq!((&new["sessions"], &new["errors"], &new["restarts"]), (&json!(2), &json!(0), &json!(1)));
    assert!(new["requests"].as_u64() >= Some(4), "it goes on counting: {new}");
    for pid in old {
        eventually("the old processes end", async || (!is_running(pid)).then_some(())).await;
    }
    assert_eq!(newcomer.text("echo", json!({ "text": "too" })).await, "too");
    // The stream for what is said unasked is still the session's.
    client.call("toggle", json!({})).await;
    listening.method("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_server_that_takes_long_to_start_anew_leaves_its_sessions_the_process_that_they_have() {
    let gated = r#"until [ "$WHICH" = 0 ] || [ -e "$1" ]; do sleep 0.05; done; exec "$0" demo-server"#;
    let servers = |directory: &std::path::Path, which: usize| {
        let entry = script(gated, &[&directory.join("go")]);
        json!({ "mcpServers": { "a": with(entry, &json!({ "env": { "WHICH": which.to_string() } })) } })
    };
    let router = Router::with_file(|directory| servers(directory, 0)).await;
    let client = Client::open(&router, "a").await;
    std::fs::write(file(&router), servers(&router.path(""), 1).to_string()).unwrap();
    assert_eq!(reload(&router).await.1["changed"][0]["name"], "a");
    assert_eq!(router.mount("a").await["state"], "starting");
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    assert_eq!(router.mount("a").await["restarts"], 0);
    std::fs::write(router.path("go"), "").unwrap();
    router.until("a", "replaced", |mount| mount["restarts"] == 1).await;
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
}

#[tokio::test]
async fn a_changed_servers_session_ends_where_a_crash_would_end_it() {
    let servers = |which: usize| {
        let end = json!({ "env": { "WHICH": which.to_string() }, "restart": { "onCrash": "end" } });
        json!({ "a": with(demo(), &end) })
    };
    let router = start(servers(0), &ASKED).await;
    let client = Client::open(&router, "a").await;
    let call = client.begin("sleep", json!({ "ms": 500 }));
    let edit = async {
        router.until("a", "busy", |mount| mount["in_flight"] == 1).await;
        write(&router, servers(1));
        assert_eq!(reload(&router).await.0, 200);
    };
    let (mut call, ()) = futures::future::join(call, edit).await;
    assert!(call.response().await["result"].is_object());
    let ended = async || (client.ask("ping", json!({})).await.status == 404).then_some(());
    eventually("its session has ended", ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_call_one_thing_after_the_other_hear_of_no_error_while_their_server_is_changed() {
    let shared = json!({ "pool": { "mode": "shared", "max": 4 } });
    let servers = |which: usize| {
        let which = json!({ "env": { "WHICH": which.to_string() } });
        json!({ "own": with(demo(), &which), "shared": with(with(demo(), &shared), &which) })
    };
    let router = start(servers(0), &ASKED).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut load = tokio::task::JoinSet::new();
    for name in ["own", "shared"] {
        for _ in 0..4 {
            let (client, over) = (Client::open(&router, name).await, over.clone());
            load.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.text("echo", json!({ "text": "x" })).await, "x");
                }
            });
        }
        let (modern, over) = (Modern::at(router.mcp(name)), over.clone());
        load.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(modern.ask("echo", json!({ "text": "y" })).await, "y");
            }
        });
    }
    for which in 1..=6 {
        write(&router, servers(which));
        let (status, answer) = reload(&router).await;
        assert_eq!((status, &answer["changed"][1]["keys"]), (200, &json!(["env"])));
        // Everybody has gone on before it changes again.
        for name in ["own", "shared"] {
            let sessions = if name == "own" { 4 * which } else { which };
            let gone_on = |mount: &Value| mount["restarts"].as_u64() >= Some(sessions as u64);
            router.until(name, "served by new processes", gone_on).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    for name in ["own", "shared"] {
        assert_eq!(router.mount(name).await["errors"], 0);
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_client_is_found_after_its_server_was_changed() {
    let router = start(json!({ "a": demo() }), &ASKED).await;
    let modern = Modern::asked(router.mcp("a"));
    let question = json!({ "question": "name?" });
    let parked = modern.parked("first", "ask", question.clone()).await;
    write(&router, json!({ "a": with(demo(), &json!({ "env": { "WHICH": "1" } })) }));
    assert_eq!(reload(&router).await.1["changed"][0]["name"], "a");
    let answer = json!({ "action": "accept", "content": { "answer": "Ada" } });
    let outcome = modern.come_back("second", ("ask", question), &parked, answer).await.json().await;
    assert_eq!(outcome["result"]["content"][0]["text"], "The user answered: Ada", "{outcome}");
}

#[tokio::test]
async fn a_client_of_http_and_sse_keeps_its_stream_when_its_server_is_changed() {
    let router = start(json!({ "a": demo() }), &ASKED).await;
    let mut stream = mcp::Client::at(router.sse("a")).listen().await;
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let messages = mcp::Client::at(router.url(&endpoint));
    let hello = mcp::hello("2024-11-05", json!({}));
    messages.post(mcp::request(json!(1), "initialize", hello)).await;
    assert!(stream.message().await["result"].is_object());
    messages.post(mcp::notification("notifications/initialized", json!({}))).await;
    let old = pids(&router.mount("a").await);
    write(&router, json!({ "a": with(demo(), &json!({ "env": { "WHICH": "1" } })) }));
    assert_eq!(reload(&router).await.1["changed"][0]["name"], "a");
    let params = json!({ "name": "echo", "arguments": { "text": "on" } });
    messages.post(mcp::request(json!(2), "tools/call", params)).await;
    let answer = loop {
        let message = stream.message().await;
        if message["id"] == 2 {
            break message;
        }
    };
    assert_eq!(answer["result"]["content"][0]["text"], "on");
    let new = router.until("a", "new", |mount| pids(mount).iter().all(|pid| !old.contains(pid))).await;
    assert_eq!(new["sessions"], 1);
}

#[tokio::test]
async fn a_session_that_goes_on_has_all_settings_of_the_new_entry() {
    let servers = |more: &Value| json!({ "own": with(demo(), more), "shared": with(demo(), &json!({ "pool": { "mode": "shared" }, "timeout": more["timeout"] })) });
    let router = start(servers(&json!({ "timeout": 60 })), &ASKED).await;
    let (own, shared) = (Client::open(&router, "own").await, Client::open(&router, "shared").await);
    write(&router, servers(&json!({ "timeout": 0.2 })));
    let (_, answer) = reload(&router).await;
    assert_eq!(answer["changed"][1]["keys"], json!(["timeout"]), "{answer}");
    for client in [&own, &shared] {
        let answer = client.call("sleep", json!({ "ms": 30_000 })).await;
        assert_eq!(support::client::code(&answer), -31003, "{answer}");
    }
}

#[tokio::test]
async fn of_a_changed_singleton_there_are_never_two_processes() {
    let counts = r#"echo up >> "$1"; "$0" demo-server; echo down >> "$1""#;
    let servers = |directory: &std::path::Path, which: usize| {
        let more = json!({ "pool": { "mode": "shared", "max": 1 }, "env": { "WHICH": which.to_string() } });
        json!({ "mcpServers": { "one": with(script(counts, &[&directory.join("life")]), &more) } })
    };
    let router = Router::with_file(|directory| servers(directory, 0)).await;
    let client = Client::open(&router, "one").await;
    for which in 1..4 {
        let directory = router.path("");
        std::fs::write(file(&router), servers(&directory, which).to_string()).unwrap();
        let (_, answer) = reload(&router).await;
        let other = Client::open(&router, "one").await;
        assert_eq!(client.text("echo", json!({ "text": "a" })).await, "a", "{answer}");
        assert_eq!(other.text("echo", json!({ "text": "b" })).await, "b");
    }
    let life = std::fs::read_to_string(router.path("life")).unwrap();
    let life: Vec<_> = life.lines().collect();
    assert_eq!(life, ["up", "down", "up", "down", "up", "down", "up"]);
}

#[tokio::test]
async fn a_router_that_is_stopped_while_it_starts_a_new_server_ends_in_order() {
    let mut router = start(json!({ "a": demo() }), &ASKED).await;
    router.settled("a", 1).await;
    let started = router.path("started");
    write(
        &router,
        json!({ "a": demo(), "new": script(r#"echo $$ > "$1.new"; mv "$1.new" "$1"; cat > /dev/null"#, &[&started]) }),
    );
    let reload = http_client().post(router.url("/admin/reload")).send();
    let stop = async {
        let pid = async || std::fs::read_to_string(&started).ok()?.trim().parse::<u32>().ok();
        let pid = eventually("the new server runs", pid).await;
        router.signal(Signal::TERM);
        assert_eq!(router.exit().await.code(), Some(0));
        assert!(!is_running(pid));
    };
    let (answer, ()) = futures::future::join(reload, stop).await;
    // It is told, unless its connection was closed before that.
    assert!(answer.map_or(503, |answer| answer.status().as_u16()) == 503);
}

#[tokio::test]
async fn a_changed_variable_changes_the_servers_that_use_it() {
    let router = Router::with_file(|directory| {
        std::fs::write(directory.join(".env"), "MODE_OF_A=one\n").unwrap();
        let using = with(lazy(0), &json!({ "env": { "MODE": "${MODE_OF_A}" } }));
        json!({ "mcpServers": { "a": using, "b": lazy(0) } })
    })
    .await;
    std::fs::write(router.path(".env"), "MODE_OF_A=two\n").unwrap();
    until(&router, "it is noticed", |config| config["reloads"] == 1).await;
    let (_, answer) = reload(&router).await;
    assert_eq!(answer["kept"], json!(["a", "b"]));
    std::fs::write(router.path(".env"), "MODE_OF_A=three\n").unwrap();
    let (_, answer) = reload(&router).await;
    assert_eq!((&answer["changed"][0]["name"], &answer["kept"]), (&json!("a"), &json!(["b"])));
    assert_eq!(answer["changed"][0]["keys"], json!(["env"]));
}

#[tokio::test]
async fn servers_given_by_hand_stand_beside_the_default_server() {
    let named = format!("{BINARY} demo-server");
    let words = ["--port", "0", "--named-server", "a", &named, "--named-server", "b", &named, "--", BINARY];
    let words: Vec<&str> = words.into_iter().chain(["demo-server"]).collect();
    let router = Router::with_options(&words).await;
    assert_eq!(names(&router.status().await), ["a", "b", "default"]);
    for name in ["a", "b", "default"] {
        router.settled(name, 1).await;
    }
    let (a, b) = (Client::open(&router, "a").await, Client::open(&router, "b").await);
    assert_eq!(a.text("echo", json!({ "text": "a" })).await, "a");
    assert_eq!(b.text("echo", json!({ "text": "b" })).await, "b");
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "echo", "arguments": { "text": "c" } } });
    let answer = http_client().post(router.url("/sse")).json(&call).send().await.unwrap();
    assert_eq!(support::client::text(&answer.json().await.unwrap()), "c");
}

#[tokio::test]
async fn beside_a_file_servers_given_by_hand_are_ignored_and_the_default_server_stays() {
    let named = format!("{BINARY} demo-server");
    let mut options = vec!["--reload-interval", "0.05", "--named-server", "hand", &named];
    options.extend(["--", BINARY, "demo-server"]);
    let router = start(json!({ "a": lazy(0) }), &options).await;
    assert_eq!(names(&router.status().await), ["a", "default"]);
    let before = router.settled("default", 1).await;
    assert_eq!(router.get("/servers/hand/health").await.0, 404);
    router.logs("`--named-server` is ignored").await;
    write(&router, json!({ "b": lazy(0) }));
    until(&router, "it is used", |config| config["reloads"] == 1).await;
    assert_eq!(names(&router.status().await), ["b", "default"]);
    assert_eq!(router.settled("default", 1).await, before);
    // The default server's name is taken, from the first start on and in every reload.
    write(&router, json!({ "default": lazy(0) }));
    let (status, answer) = reload(&router).await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(names(&router.status().await), ["b", "default"]);
}
