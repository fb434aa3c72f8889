//! What the router and its servers say: one line each, with its server's name, not too many, and in the form that whoever
//! reads it wants.

mod support;

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::eventually;
use support::router::{BINARY, Router, demo, script};

#[tokio::test]
async fn what_servers_write_to_stderr_bears_their_name_and_a_flood_is_counted_and_cut() {
    let flood = r#"i=0; while [ $i -lt 500 ]; do echo "line $i of the flood" >&2; i=$((i+1)); done; exec "$0" demo-server"#;
    let servers = json!({
        "chatty": script(flood, &[]),
        "quiet": script(r#"printf 'one\033[31m word\n' >&2; exec "$0" demo-server"#, &[]),
    });
    let router = Router::start(json!({ "mcpServers": servers }), &["--log-format", "json"]).await;
    router.settled("chatty", 1).await;
    router.settled("quiet", 1).await;
    let lines = || -> Vec<Value> {
        let log = router.log();
        // The last line may not be written to its end yet.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let of = |lines: &[Value], name: &str| -> Vec<Value> {
        let own = lines.iter().filter(|line| line["target"] == "server" && line["server"] == name);
        own.cloned().collect()
    };
    let harmless = async || {
        let lines = of(&lines(), "quiet");
        lines.iter().any(|line| line["message"] == "one\\u{1b}[31m word").then_some(())
    };
    eventually("a quiet server is heard", harmless).await;
    // A flood is counted when there is room for a line again, or when the process has ended.
    let counted = async || {
        let flood = of(&lines(), "chatty");
        let suppressed = flood.iter().filter_map(|line| line["suppressed"].as_u64());
        Some((suppressed.sum::<u64>(), flood.len())).filter(|(suppressed, _)| *suppressed > 0)
    };
    let (suppressed, logged) = eventually("what is not logged is counted", counted).await;
    assert!(suppressed >= 400 && logged < 300, "{suppressed} {logged}");
}

#[tokio::test]
async fn what_a_server_speaks_is_said_once() {
    let router = Router::start(json!({ "mcpServers": { "demo": demo() } }), &["--log-level", "debug"]).await;
    // The answer to the question of the newer era only confirms what the handshake has told.
    let log = router.logs("probed for 2026-07-28").await;
    assert_eq!(log.matches("the server speaks").count(), 1, "{log}");
}

#[tokio::test]
async fn in_the_journal_a_line_begins_with_its_priority_and_has_no_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let stream = |inode: u64| format!("{}:{inode}", log.metadata().unwrap().dev());
    let inode = log.metadata().unwrap().ino();
    for (stream, prefixed) in [(stream(inode), true), (stream(inode + 1), false)] {
        std::fs::write(&path, "").unwrap();
        let mut child = Command::new(BINARY)
            .args(["--port", "0", "--named-server", "a b", "true"])
            .env("JOURNAL_STREAM", stream)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::OpenOptions::new().append(true).open(&path).unwrap())
            .spawn()
            .unwrap();
        let warned = async || {
            let log = std::fs::read_to_string(&path).unwrap();
            log.lines().find(|line| line.contains("cannot stand in a URL")).map(str::to_owned)
        };
        let line = eventually("it is warned", warned).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(line.starts_with("<4> WARN mcp_switchboard"), prefixed, "{line}");
    }
}
