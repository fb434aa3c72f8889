//! Who called what, when, how long it took and how it ended: recorded beside the calls, and never in their way.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::events::Events;
use support::mcp::Client;
use support::modern::Modern;
use support::router::{BINARY, Router, demo, with};
use support::{eventually, http_client, within};

const SECRET: &str = "s3cret-of-the-entry";
const KEY: &str = "ann-key-that-is-long-enough";

async fn history(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("history").args(words).stdin(Stdio::null());
    let Output { status, stdout, stderr } = within("the command ends", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The calls that these words choose, once there are `count` of them.
async fn recorded(file: &Path, words: &[&str], count: usize) -> Vec<Value> {
    let file = file.to_str().unwrap();
    let words: Vec<&str> = ["--history", file, "--json"].into_iter().chain(words.iter().copied()).collect();
    eventually("the calls are recorded", async || {
        let (status, stdout, _) = history(&words).await;
        let calls: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (status == Some(0) && calls.len() == count).then_some(calls)
    })
    .await
}

#[tokio::test]
async fn a_call_is_found_with_who_and_what_and_how_long_and_how_it_ended() {
    let router = Router::with_file(|directory| {
        let auth = json!({ "tokens": [{ "name": "ann", "token": KEY }], "rules": [{ "who": ["ann"], "servers": ["*"] }] });
        let entry = with(demo(), &json!({ "env": { "KEY": SECRET } }));
        json!({ "mcpServers": { "a": entry, "b": demo() }, "auth": auth, "history": { "file": directory.join("calls.db") } })
    })
    .await;
    let file = router.path("calls.db");
    let bearer = format!("Bearer {KEY}");
    let client =
        Client::at(router.mcp("a")).with("authorization", &bearer).opened("2025-11-25", json!({})).await;
    client.call(1, "sleep", json!({ "ms": 120 })).await.outcome().await;
    client.call(2, "nobody", json!({})).await.outcome().await;
    let modern = Modern::at(router.mcp("b")).with("authorization", &bearer);
    modern
        .request(3, "tools/call", json!({ "name": "echo", "arguments": { "text": SECRET } }))
        .await
        .outcome()
        .await;
    let all =
        Client::at(router.url("/mcp")).with("authorization", &bearer).opened("2025-11-25", json!({})).await;
    all.call(4, "a__add", json!({ "a": 1, "b": 2 })).await.outcome().await;

    let slow = recorded(&file, &["--tool", "sleep"], 1).await.remove(0);
    assert_eq!(
        (&slow["server"], &slow["method"], &slow["outcome"]),
        (&json!("a"), &json!("tools/call"), &json!("ok"))
    );
    assert_eq!((&slow["caller"], &slow["session"]), (&json!("ann"), &json!(client.session()[..8])));
    assert_eq!(slow["eras"], "legacy_to_legacy");
    let took = slow["ms"].as_f64().unwrap();
    assert!((120.0..5000.0).contains(&took), "{slow}");
    assert!(slow["received"].as_u64().unwrap() > 50 && slow["sent"].as_u64().unwrap() > 50, "{slow}");
    let unknown = recorded(&file, &["--tool", "nobody"], 1).await.remove(0);
    assert_ne!(unknown["outcome"], "ok", "{unknown}");
    let bridged = recorded(&file, &["--tool", "echo", "--server", "b"], 1).await.remove(0);
    assert_eq!((&bridged["eras"], &bridged["caller"]), (&json!("modern_to_legacy"), &json!("ann")));
    recorded(&file, &["--tool", "a__add", "--server", "views/aggregate", "--caller", "ann"], 1).await;
    recorded(&file, &["--tool", "add", "--server", "a"], 1).await;
    recorded(&file, &["--slow", "100", "--tool", "sleep"], 1).await;
    recorded(&file, &["--caller", "bob"], 0).await;
    recorded(&file, &["--since", "2100-01-01T00:00:00Z"], 0).await;
    recorded(&file, &["--last", "2", "--since", "1h"], 2).await;

    let name = file.to_str().unwrap();
    let config = router.path("servers.json");
    let (status, table, _) = history(&["--config", config.to_str().unwrap(), "--tool", "sleep"]).await;
    assert_eq!(status, Some(0));
    assert!(table.starts_with("AT ") && table.contains("ann") && table.lines().count() == 2, "{table}");
    let (_, csv, _) = history(&["--history", name, "--csv", "--tool", "sleep"]).await;
    assert!(
        csv.starts_with("at,server,method,tool,caller,") && csv.contains(",tools/call,sleep,ann,"),
        "{csv}"
    );
    let (_, summary, _) = history(&["--history", name, "--summary", "--json", "--tool", "sleep"]).await;
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(
        (&summary["calls"], &summary["errors"], &summary["what"]),
        (&json!(1), &json!(0), &json!("sleep"))
    );
    assert_eq!((&summary["p50_ms"], &summary["p95_ms"]), (&slow["ms"], &slow["ms"]));
    recorded(&file, &["--since", "2100-01-01"], 0).await;
    for form in ["--json", "--csv", "--summary"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = tokio::process::Command::new(BINARY);
        command.args(["history", "--history", name, form]).stdout(full).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let output = within("the command ends", child.wait_with_output()).await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains("stdout cannot be written"),
            "{form}: {told}"
        );
    }
    // Nobody has asked for what they were called with.
    for name in ["calls.db", "calls.db-wal"] {
        let path = router.path(name);
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains(SECRET) && !text.contains(KEY), "{name}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn arguments_are_recorded_where_that_is_wished_without_secrets_and_cut() {
    let router = Router::with_file(|directory| {
        let entry = with(demo(), &json!({ "env": { "KEY": SECRET } }));
        json!({ "mcpServers": { "a": entry }, "history": { "file": directory.join("calls.db"), "arguments": true } })
    })
    .await;
    let client = Client::open(router.mcp("a")).await;
    client.ask("echo", json!({ "text": format!("with {SECRET}"), "password": "hunter22" })).await;
    client.ask("echo", json!({ "text": "z".repeat(50_000) })).await;
    let calls = recorded(&router.path("calls.db"), &["--tool", "echo"], 2).await;
    assert_eq!(calls[0]["arguments"], r#"{"password":"***","text":"with ***"}"#);
    let long = calls[1]["arguments"].as_str().unwrap();
    assert!(long.len() < 17 << 10 && long.ends_with('…'), "{}", long.len());

    // What the access log asks for is none of the history's business.
    let router = Router::with_file(|directory| {
        let access_log = json!({ "file": "access.log", "arguments": true });
        let history = json!({ "file": directory.join("calls.db") });
        json!({ "mcpServers": { "a": demo() }, "accessLog": access_log, "history": history })
    })
    .await;
    Client::open(router.mcp("a")).await.ask("echo", json!({ "text": "x" })).await;
    let calls = recorded(&router.path("calls.db"), &["--tool", "echo"], 1).await;
    assert!(!calls[0]["arguments"].is_string(), "{calls:?}");
    let written = async || {
        let text = std::fs::read_to_string(router.path("access.log")).ok();
        text.filter(|text| text.contains(r#"arguments="{\"text\":\"x\"}""#))
    };
    eventually("the access log has them", written).await;
}

#[tokio::test]
async fn a_file_that_somebody_has_locked_slows_no_call_and_what_was_lost_is_said() {
    let mut router = Router::with_file(|directory| {
        json!({ "mcpServers": { "a": demo() }, "history": { "file": directory.join("calls.db") } })
    })
    .await;
    let file = router.path("calls.db");
    let client = Client::open(router.mcp("a")).await;
    recorded(&file, &["--server", "a"], 1).await;
    let lock = Connection::open(&file).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    for n in 0..50 {
        assert_eq!(client.ask("echo", json!({ "text": n.to_string() })).await, n.to_string());
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let events = http_client().get(router.url("/admin/events")).send();
    let mut events = Events::of(within("the stream opens", events).await.unwrap());
    let told = within("it is told", async {
        loop {
            let event = events.message().await;
            if event["kind"] == "unrecorded" {
                return event;
            }
        }
    });
    assert!(told.await["text"].as_str().unwrap().contains("locked"));
    lock.execute_batch("ROLLBACK").unwrap();
    recorded(&file, &["--tool", "echo"], 50).await;
    router.logs("calls are recorded again").await;
    assert_eq!(router.log().matches("calls are not recorded").count(), 1, "{}", router.log());
    router.signal(rustix::process::Signal::TERM);
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn what_was_called_last_is_recorded_before_the_end() {
    let mut router = Router::with_file(|directory| {
        json!({ "mcpServers": { "a": demo() }, "history": { "file": directory.join("calls.db") } })
    })
    .await;
    let client = Client::open(router.mcp("a")).await;
    client.ask("echo", json!({ "text": "last" })).await;
    router.signal(rustix::process::Signal::TERM);
    assert!(router.exit().await.success());
    assert!(!router.path("calls.db-wal").exists(), "the file alone is all of it");
    recorded(&router.path("calls.db"), &["--tool", "echo"], 1).await;
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_deleted() {
    let router = Router::with_file(|directory| {
        let history = |name: &str, more: Value| with(json!({ "file": directory.join(name) }), &more);
        json!({ "mcpServers": { "a": demo() }, "history": history("calls.db", json!({ "keep": "2s", "rows": 5 })) })
    })
    .await;
    let file = router.path("calls.db");
    let client = Client::open(router.mcp("a")).await;
    for n in 0..20 {
        client.ask("echo", json!({ "text": n.to_string() })).await;
    }
    let count = || {
        let reader = Connection::open(&file).unwrap();
        reader.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0)).unwrap_or(-1)
    };
    eventually("only five are left", async || (count() == 5).then_some(())).await;
    eventually("none is left", async || (count() == 0).then_some(())).await;

    // What is too much goes before it is old.
    let router = Router::with_file(|directory| {
        let history = json!({ "file": directory.join("few.db"), "rows": 5 });
        json!({ "mcpServers": { "a": demo() }, "history": history })
    })
    .await;
    let client = Client::open(router.mcp("a")).await;
    for n in 0..20 {
        client.ask("echo", json!({ "text": n.to_string() })).await;
    }
    let few = async || {
        let reader = Connection::open(router.path("few.db")).ok()?;
        let kept = "SELECT count(*), max(id) FROM calls";
        let kept: (i64, i64) = reader.query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
        (kept.0 == 5 && kept.1 >= 20).then_some(())
    };
    eventually("the last five are left", few).await;
}

#[tokio::test]
async fn a_file_that_is_no_history_is_left_as_it_is_and_said() {
    let router = Router::with_file(|directory| {
        std::fs::write(directory.join("notes.txt"), "these are notes, and no database at all\n".repeat(100))
            .unwrap();
        json!({ "mcpServers": { "a": demo() }, "history": { "file": directory.join("notes.txt") } })
    })
    .await;
    router.logs("is not a history of mcp-switchboard").await;
    let client = Client::open(router.mcp("a")).await;
    assert_eq!(client.ask("echo", json!({ "text": "on" })).await, "on");
    assert!(std::fs::read_to_string(router.path("notes.txt")).unwrap().starts_with("these are notes"));

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let refused = async |words: &[&str], code: i32, why: &str| {
        let (status, stdout, stderr) = history(words).await;
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    };
    refused(&["--history", &path("none.db")], 1, "there is no history at").await;
    refused(&["--history", router.path("notes.txt").to_str().unwrap()], 1, "is not a history").await;
    let other = Connection::open(path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    refused(&["--history", &path("other.db")], 1, "is not a history").await;
    other.execute_batch("PRAGMA application_id = 1296257864; PRAGMA user_version = 7").unwrap();
    refused(&["--history", &path("other.db")], 1, "use a newer mcp-switchboard").await;
    refused(&[], 2, "which history").await;
    refused(&["--history", "x", "--since", "yesterday"], 2, "how long ago").await;
    std::fs::write(path("servers.json"), json!({ "mcpServers": { "a": demo() } }).to_string()).unwrap();
    refused(&["--config", &path("servers.json")], 1, "it has no `history`").await;
}
