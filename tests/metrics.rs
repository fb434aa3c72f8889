//! `/metrics`: every figure agrees with what clients did, whatever became of it, and nothing of theirs becomes a name.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]
#![expect(clippy::float_cmp, reason = "counts are whole")]

#[path = "metrics/prometheus.rs"]
mod prometheus;
#[path = "metrics/scrape.rs"]
mod scrape;
mod support;

use futures::future::join;
use scrape::Scrape;
use serde_json::{Value, json};
use std::process::Command;
use support::mcp::{Client, hello, log_line, notification, request, result};
use support::modern::Modern;
use support::process::kill;
use support::puppet::{puppet, puppet_told, router_of_puppet};
use support::router::{BINARY, Router, demo, pids, script, with};

const ROOT: &str = "key-of-root-0123456789ab";
const OPERATOR: &str = "t0ken-of-an-operator-0123";
const BOB: &str = "key-of-bob-0123456789abc";

fn cold(entry: Value, more: &Value) -> Value {
    with(with(entry, &json!({ "pool": { "warm": 0 } })), more)
}

async fn error(client: &Client, id: i64, method: &str, params: Value) -> i64 {
    let outcome = client.request(json!(id), method, params).await.outcome().await;
    outcome["error"]["code"].as_i64().unwrap_or_else(|| panic!("{outcome}"))
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

#[tokio::test]
async fn each_request_is_counted_once_by_its_method_and_how_it_ended() {
    let rules = json!({ "timeout": 3, "tools": { "deny": ["bump"] } });
    let router = Router::mounting(json!({ "a": cold(demo(), &rules) })).await;
    let client = Client::open(router.mcp("a")).await;
    for id in 1..=3 {
        assert_eq!(client.call(id, "echo", json!({ "text": "x" })).await.outcome().await["id"], id);
    }
    let failed = client.call(4, "add", json!({ "a": "no number" })).await.outcome().await;
    assert_eq!(failed["result"]["isError"], true, "{failed}");
    assert_eq!(error(&client, 5, "no/such/method", json!({})).await, -32601);
    assert_eq!(error(&client, 6, "tools/call", call("sleep", &json!({ "ms": 60_000 }))).await, -31003);
    assert_eq!(error(&client, 7, "tools/call", call("bump", &json!({}))).await, -31007);
    let cancelled = client.call(8, "sleep", json!({ "ms": 2500 }));
    let cancel = async {
        router.until("a", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        client.notify("notifications/cancelled", json!({ "requestId": 8 })).await;
    };
    join(cancelled, cancel).await;
    client.call(9, "crash", json!({})).await.outcome().await;
    client.assert_serves().await;

    let all = |scrape: &Scrape| scrape.sum("requests_total", &[("server", "a")]);
    let seen = Scrape::until(&router, "everything is counted", |scrape| all(scrape) >= 11.0).await;
    for (method, outcome, count) in [
        ("initialize", "ok", 1.0),
        ("tools/call", "ok", 3.0),
        ("ping", "ok", 1.0),
        ("tools/call", "tool_error", 1.0),
        ("other", "error", 1.0),
        ("tools/call", "request_timeout", 1.0),
        ("tools/call", "not_allowed", 1.0),
        ("tools/call", "cancelled", 1.0),
        ("tools/call", "server_exited", 1.0),
    ] {
        assert_eq!(seen.ended("a", method, outcome), count, "{method} {outcome}:\n{}", seen.text);
    }
    let a = &[("server", "a")];
    assert_eq!(seen.sum("request_duration_seconds_count", a), all(&seen), "each took its time");
    let (took, long) = (seen.sum("request_duration_seconds_sum", a), [("server", "a"), ("le", "0.5")]);
    assert!((1.0..60.0).contains(&took), "{took}");
    assert!(seen.sum("request_duration_seconds_bucket", &long) < all(&seen), "one took a second");
    assert_eq!(seen.sum("requests_in_flight", a), 0.0);
    assert_eq!((seen.sum("sessions", a), seen.sum("restarts_total", a)), (1.0, 1.0));
    assert!(seen.sum("request_bytes_total", a) > 500.0 && seen.sum("response_bytes_total", a) > 500.0);
    // What was refused was never passed on.
    let turn = seen.sum("request_wait_seconds_count", &[("server", "a"), ("for", "turn")]);
    assert_eq!(turn, all(&seen) - 1.0);
    // The same numbers as in the other place where they stand.
    let mount = router.mount("a").await;
    assert_eq!(mount["latency"]["count"].as_f64(), Some(all(&seen)), "{mount}");
    assert_eq!(mount["requests"].as_f64(), Some(all(&seen) - 1.0), "{mount}");
}

#[tokio::test]
async fn processes_are_counted_by_what_they_do_and_by_how_they_end() {
    let servers = json!({
        "a": cold(demo(), &json!({})),
        "spare": with(demo(), &json!({ "env": { "OTHER": "1" } })),
        "broken": with(script("exit 3", &[]), &json!({ "restart": { "attempts": 1 } })),
        "off": with(demo(), &json!({ "enabled": false })),
    });
    let router = Router::mounting(servers).await;
    router.settled("spare", 1).await;
    router.until("broken", "failed", |mount| mount["state"] == "failed").await;
    // Who comes to what does not start is counted, too, with a session to be and without.
    let hello = hello("2025-11-25", json!({}));
    let opened = Client::at(router.mcp("broken")).request(json!(1), "initialize", hello).await;
    let once = Client::at(router.sse("broken")).request(json!(1), "tools/list", json!({})).await;
    assert_eq!((opened.status.as_u16(), once.status.as_u16()), (503, 503));
    let client = Client::open(router.mcp("a")).await;
    client.assert_serves().await;
    let mount = router.until("a", "alone with one process", |mount| pids(mount).len() == 1).await;
    let processes = |scrape: &Scrape, server: &str| {
        ["spare", "working"].map(|state| scrape.sum("processes", &[("server", server), ("state", state)]))
    };
    let seen = Scrape::of(&router).await;
    for method in ["initialize", "tools/list"] {
        assert_eq!(seen.ended("broken", method, "server_unavailable"), 1.0, "{}", seen.text);
    }
    assert_eq!(processes(&seen, "a"), [0.0, 1.0]);
    assert_eq!(processes(&seen, "spare"), [1.0, 0.0]);
    assert!(seen.find("processes", &[("server", "off")]).is_none());
    for (server, state) in [("a", "ready"), ("spare", "ready"), ("broken", "failed"), ("off", "disabled")] {
        assert_eq!(seen.sum("server_state", &[("server", server), ("state", state)]), 1.0, "{server}");
        assert_eq!(seen.sum("server_state", &[("server", server)]), 1.0, "{server} is in one state");
    }
    let exits = |scrape: &Scrape, server: &str, cause: &str| {
        scrape.sum("exits_total", &[("server", server), ("cause", cause)])
    };
    assert_eq!(exits(&seen, "broken", "exited_error"), 1.0, "{}", seen.text);
    let opened = |scrape: &Scrape| scrape.sum("spawn_seconds_count", &[("server", "a")]);
    let before = opened(&seen);
    assert!(before >= 1.0, "{}", seen.text);
    kill(pids(&mount)[0]);
    Scrape::until(&router, "the death counts", |scrape| exits(scrape, "a", "signal") == 1.0).await;
    client.assert_serves().await;
    let seen = Scrape::of(&router).await;
    assert_eq!((exits(&seen, "a", "signal"), opened(&seen)), (1.0, before + 1.0), "{}", seen.text);
    assert_eq!(client.delete().await.status, 204);
    Scrape::until(&router, "the end counts", |scrape| exits(scrape, "a", "stopped") >= 1.0).await;
}

#[tokio::test]
async fn requests_across_the_eras_are_counted_on_every_way() {
    let modern = with(puppet_told(&json!({ "modern": "only" })), &json!({ "era": "modern" }));
    let router = Router::mounting(json!({ "legacy": demo(), "modern": modern })).await;
    let across = Modern::at(router.mcp("legacy"));
    assert_eq!(across.ask("echo", json!({ "text": "x" })).await, "x");
    let back = Client::open(router.mcp("modern")).await;
    back.request(json!(1), "tools/list", json!({})).await.outcome().await;
    let straight = Client::open(router.mcp("legacy")).await;
    assert_eq!(straight.ask("echo", json!({ "text": "x" })).await, "x");
    let bridged = |scrape: &Scrape, server: &str, client: &str, to: &str| {
        let labels = [("server", server), ("client_era", client), ("server_era", to)];
        scrape.sum("bridged_requests_total", &labels)
    };
    let seen = Scrape::of(&router).await;
    assert_eq!(bridged(&seen, "legacy", "modern", "legacy"), 1.0, "{}", seen.text);
    assert_eq!(bridged(&seen, "legacy", "legacy", "modern"), 0.0);
    // `initialize` and the list.
    assert_eq!(bridged(&seen, "modern", "legacy", "modern"), 2.0, "{}", seen.text);
    assert_eq!(seen.ended("legacy", "tools/call", "ok"), 2.0);
    assert_eq!(seen.ended("legacy", "initialize", "ok"), 1.0);
    assert_eq!(seen.ended("modern", "tools/list", "ok"), 1.0);
}

#[tokio::test]
async fn every_transport_and_the_aggregate_are_counted_where_they_are_asked() {
    let servers = json!({ "demo": demo() });
    let file = json!({ "mcpServers": servers, "aggregate": { "views": { "demo": {} } } });
    let router = Router::start(file, &[]).await;
    let calls = |scrape: &Scrape, server: &str| scrape.ended(server, "tools/call", "ok");
    let client = Client::open(router.mcp("demo")).await;
    assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
    assert_eq!(calls(&Scrape::of(&router).await, "demo"), 1.0);

    let once = Client::at(router.sse("demo"));
    let answer = once.request(json!(1), "tools/call", call("echo", &json!({ "text": "x" }))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(calls(&Scrape::of(&router).await, "demo"), 2.0);

    let mut stream = Client::at(router.sse("demo")).listen().await;
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let messages = Client::at(router.url(&endpoint));
    for message in [
        request(json!(1), "initialize", hello("2024-11-05", json!({}))),
        notification("notifications/initialized", json!({})),
        request(json!(2), "tools/call", call("echo", &json!({ "text": "x" }))),
    ] {
        assert_eq!(messages.post(message).await.status, 202);
    }
    stream.message().await;
    assert_eq!(stream.message().await["id"], 2);
    assert_eq!(calls(&Scrape::of(&router).await, "demo"), 3.0);

    let together = Client::open(router.url("/mcp")).await;
    assert_eq!(together.ask("demo__echo", json!({ "text": "x" })).await, "x");
    let seen = Scrape::of(&router).await;
    assert_eq!((calls(&seen, "views/aggregate"), calls(&seen, "demo")), (1.0, 4.0), "{}", seen.text);
    // A view that is called as a server is is another one.
    let view = Modern::at(router.url("/views/demo/mcp"));
    assert_eq!(view.ask("demo__echo", json!({ "text": "x" })).await, "x");
    let seen = Scrape::of(&router).await;
    assert_eq!((calls(&seen, "views/demo"), calls(&seen, "demo")), (1.0, 5.0), "{}", seen.text);
    assert!(seen.find("processes", &[("server", "views/aggregate")]).is_none(), "it is no process");
}

#[tokio::test]
async fn what_waits_is_in_flight_and_how_long_it_waited_is_told() {
    let limits = json!({ "limits": { "concurrent": 1, "queue": 4, "queueTimeout": 10 } });
    let router = Router::mounting(json!({ "a": cold(demo(), &limits) })).await;
    let client = Client::open(router.mcp("a")).await;
    let turn = |le: &'static str| [("server", "a"), ("for", "turn"), ("le", le)];
    let before = Scrape::of(&router).await.sum("request_wait_seconds_bucket", &turn("0.1"));
    let (first, second) = join(client.call(1, "sleep", json!({ "ms": 1500 })), async {
        let busy = |scrape: &Scrape| scrape.sum("requests_in_flight", &[("server", "a")]) == 1.0;
        Scrape::until(&router, "a call is in flight", busy).await;
        client.call(2, "echo", json!({ "text": "x" })).await
    })
    .await;
    assert_eq!(
        (first.outcome().await["id"].as_i64(), second.outcome().await["id"].as_i64()),
        (Some(1), Some(2))
    );
    let seen = Scrape::of(&router).await;
    assert_eq!(seen.sum("request_wait_seconds_bucket", &turn("0.1")), before + 1.0, "{}", seen.text);
    assert_eq!(
        seen.sum("request_wait_seconds_bucket", &turn("+Inf")),
        before + 2.0,
        "one waited for its turn"
    );
    let process = [("server", "a"), ("for", "process")];
    assert_eq!(seen.sum("request_wait_seconds_count", &process), 1.0, "the one that opened the session");
}

#[tokio::test]
async fn what_gets_lost_and_who_comes_back_is_counted() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let named = [("server", "puppet")];
    // A line that is no message, and an answer to nothing.
    client.have_said(&["this is no message".to_owned(), result(4711, json!({}))]).await;
    let lost = |scrape: &Scrape| {
        [scrape.sum("skipped_lines_total", &named), scrape.sum("dropped_notifications_total", &named)]
    };
    Scrape::until(&router, "both are counted", |scrape| lost(scrape) == [1.0, 1.0]).await;
    let said = json!({ "say": [log_line("one"), log_line("two")] });
    let mut events = client.events_only().call_with_progress(7, "any", said).await.events();
    let first = events.next_message().await;
    drop(events);
    client.have_said(&[result(7, json!("done"))]).await;
    assert_eq!(client.resume(first.id.as_deref().unwrap()).await.messages().await.len(), 2);
    assert_eq!(client.resume("9-9").await.status, 404, "what is not there is no resumption");
    assert_eq!(Scrape::of(&router).await.sum("stream_resumptions_total", &named), 1.0);
}

#[tokio::test]
async fn a_server_that_is_removed_takes_its_series_along_and_one_that_changes_goes_on_counting() {
    let entry = |mark: &str| with(demo(), &json!({ "env": { "MARK": mark } }));
    let router =
        Router::start(json!({ "mcpServers": { "stays": entry("1"), "goes": entry("2") } }), &["--no-reload"])
            .await;
    for server in ["stays", "goes"] {
        let client = Client::open(router.mcp(server)).await;
        assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
    }
    let seen = Scrape::of(&router).await;
    assert_eq!((seen.ended("stays", "tools/call", "ok"), seen.ended("goes", "tools/call", "ok")), (1.0, 1.0));
    let file = json!({ "mcpServers": { "stays": entry("3") } });
    std::fs::write(router.path("servers.json"), file.to_string()).unwrap();
    assert_eq!(Client::at(router.url("/admin/reload")).post("").await.status, 200);
    let seen = Scrape::of(&router).await;
    assert!(!seen.text.contains("goes"), "{}", seen.text);
    assert_eq!(seen.ended("stays", "tools/call", "ok"), 1.0);
    let client = Client::open(router.mcp("stays")).await;
    assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
    assert_eq!(Scrape::of(&router).await.ended("stays", "tools/call", "ok"), 2.0);
}

#[tokio::test]
async fn what_clients_make_up_makes_no_series_and_no_secret_is_told() {
    const SECRET: &str = "s3cr3t-that-nobody-may-see";
    let entry = with(demo(), &json!({ "env": { "TOKEN": SECRET } }));
    let router = Router::mounting(json!({ "a": entry })).await;
    let client = Client::open(router.mcp("a")).await.with("authorization", &format!("Bearer {SECRET}"));
    let made_up = async |number: i64| {
        let name = format!("made-up-{number}");
        error(&client, 1, &format!("{name}/{SECRET}"), json!({})).await;
        client.call(2, &name, json!({ "text": SECRET })).await.outcome().await;
        let elsewhere = Client::at(router.mcp(&name)).request(json!(3), "tools/list", json!({})).await;
        assert_eq!(elsewhere.status, 404);
        let foreign = Client::at(router.url("/status")).with("host", &format!("{name}.example")).get().await;
        assert_eq!(foreign.status, 403);
        assert_eq!(Client::at(router.url(&format!("/{name}/{SECRET}"))).get().await.status, 404);
    };
    made_up(0).await;
    // The process that was asked what it speaks is not used, and its end is a series of its own.
    let ended = |scrape: &Scrape| scrape.sum("exits_total", &[("cause", "stopped")]) >= 1.0;
    let before = Scrape::until(&router, "the first process has ended", ended).await;
    for number in 1..20 {
        made_up(number).await;
    }
    let after = Scrape::of(&router).await;
    assert_eq!(after.series(), before.series());
    assert!(!after.text.contains(SECRET) && !after.text.contains("made-up"), "{}", after.text);
    assert_eq!(after.ended("a", "other", "error"), 20.0);
    assert_eq!(after.sum("http_refusals_total", &[("kind", "foreign_host")]), 20.0);
    assert_eq!(after.sum("http_refusals_total", &[("kind", "not_found")]), 40.0);
    assert_eq!(after.sum("http_responses_total", &[("class", "4xx")]), 60.0);
    assert!(after.sum("connections_open", &[]) >= 1.0);
}

#[tokio::test]
async fn only_who_administers_reads_them_where_keys_are_asked_for() {
    let tokens = json!([{ "name": "bob", "token": BOB }, { "name": "root", "token": ROOT }]);
    let rules = json!([{ "who": ["*"], "servers": ["*"] }, { "who": ["root"], "admin": true }]);
    let file = json!({ "mcpServers": { "a": demo() }, "auth": { "tokens": tokens, "rules": rules } });
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("servers.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["--port", "0", "--named-server-config"])
        .arg(path)
        .env("MCP_SWITCHBOARD_ADMIN_TOKEN", OPERATOR);
    let router = Router::started(directory, command).await;
    let at = |key: Option<&str>| {
        let client = Client::at(router.url("/metrics"));
        key.map_or(client.clone(), |key| client.with("authorization", &format!("Bearer {key}")))
    };
    for key in [None, Some("key-of-nobody-0123456789")] {
        let answer = at(key).get().await;
        assert_eq!(answer.status, 401);
        assert!(!answer.text().await.contains("mcp_switchboard"));
    }
    assert_eq!(at(Some(BOB)).get().await.refusal().await, (403, -31007));
    let seen = Scrape::by(&at(Some(ROOT))).await;
    assert_eq!(seen.sum("auth_failures_total", &[]), 2.0);
    assert_eq!(seen.sum("http_refusals_total", &[("kind", "forbidden")]), 1.0);
    assert!(!seen.text.contains(ROOT) && !seen.text.contains("bob"), "{}", seen.text);
    Scrape::by(&at(Some(OPERATOR))).await;
    for method in [http::Method::POST, http::Method::DELETE] {
        assert_eq!(at(Some(ROOT)).send(method, "").await.status, 405);
    }
    let head = at(Some(ROOT)).send(http::Method::HEAD, "").await;
    assert_eq!((head.status.as_u16(), head.text().await.len()), (200, 0));
}

#[tokio::test]
async fn switched_off_there_is_nothing_and_what_was_needed_is_said() {
    let on = json!({ "mcpServers": { "a": demo() } });
    let off = with(on.clone(), &json!({ "metrics": false }));
    for (file, options) in [(on, &["--no-metrics"][..]), (off, &[])] {
        let router = Router::start(file, options).await;
        let client = Client::open(router.mcp("a")).await;
        assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
        let answer = Client::at(router.url("/metrics")).get().await;
        assert_eq!(answer.status, 404);
        let said = answer.text().await;
        assert!(said.contains("--no-metrics") && said.contains("metrics\\\": false"), "{said}");
        let mount = router.mount("a").await;
        assert_eq!((&mount["latency"], &mount["requests"]), (&Value::Null, &json!(2)), "{mount}");
    }
    let wrong = json!({ "mcpServers": { "a": puppet() }, "metrics": "no" });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), wrong.to_string()).unwrap();
    let mut check = Command::new(BINARY);
    let output = check.args(["--check", "--config"]).arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("metrics"), "{said}");
}
