//! A look at servers from the shell: `tools` and `call`.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::process::{descendants, signal};
use support::puppet::{puppet, puppet_told};
use support::router::{BINARY, Router, demo, script, with};
use support::site::Site;
use support::{eventually, within};
use tempfile::TempDir;

/// What came of a run of the program.
#[derive(Debug)]
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The program with these words, in an environment of its own; `input` is on stdin.
async fn run_with(words: &[&str], environment: &[(&str, &str)], input: &str) -> Run {
    let mut command = Command::new(BINARY);
    command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(environment.iter().copied()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // One that does not read it may have ended already.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
    let output = within("the program ends", ended).await.expect("no panic").expect("it is our child");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Run { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

async fn run(words: &[&str]) -> Run {
    run_with(words, &[], "").await
}

/// `call`, with a demo server.
async fn call_demo(words: &[&str]) -> Run {
    run(&[&["call"], words, &["--", BINARY, "demo-server"]].concat()).await
}

fn file(servers: &Value) -> (TempDir, String) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("servers.json");
    std::fs::write(&path, json!({ "mcpServers": servers }).to_string()).expect("it can be written");
    let path = path.to_str().expect("a readable path").to_owned();
    (directory, path)
}

#[tokio::test]
async fn the_tools_of_all_servers_are_listed_and_a_broken_one_costs_only_its_own() {
    let (_directory, path) = file(&json!({
        "demo": demo(),
        "modern": puppet_told(&json!({ "modern": true })),
        "one": with(demo(), &json!({ "pool": { "mode": "shared", "max": 1 } })),
        "broken": script("echo out of paper >&2; exit 7", &[]),
        "missing": { "command": "no-such-program" },
        "unset": { "command": "x", "env": { "KEY": "${NOT_SET_ANYWHERE}" } },
        "off": with(demo(), &json!({ "disabled": true })),
    }));
    let all = run(&["tools", "--config", &path]).await;
    assert_eq!(all.status, Some(1), "{all:?}");
    let part = |name: &str| {
        let parts: Vec<&str> = all.stdout.split("\n\n").collect();
        let starts = |part: &&&str| part.starts_with(&format!("{name}  "));
        (*parts.iter().find(starts).unwrap_or_else(|| panic!("{name}: {}", all.stdout))).to_owned()
    };
    for name in ["demo", "one"] {
        let part = part(name);
        assert!(part.starts_with(&format!("{name}  ready  mcp-switchboard-demo ")), "{part}");
        assert!(part.contains("\n  add  Adds two numbers."), "{part}");
        assert!(part.contains("\n      a: number, required  The first number\n"), "{part}");
        assert!(part.contains("\n      by: integer  How much to add; may be negative\n"), "{part}");
    }
    assert!(part("modern").ends_with("\n  query\n      region: string"), "{}", part("modern"));
    assert!(part("broken").contains("failed  the server exited with status 7"), "{}", part("broken"));
    assert!(part("broken").contains("out of paper"), "{}", part("broken"));
    assert!(part("missing").contains("no-such-program"), "{}", part("missing"));
    assert!(part("unset").contains("NOT_SET_ANYWHERE"), "{}", part("unset"));
    assert!(all.stdout.contains("off  disabled"), "{}", all.stdout);
    assert!(!all.stdout.contains('\u{1b}'), "plain where it is no terminal");

    let one = run(&["tools", "modern", "--config", &path, "--json"]).await;
    assert_eq!((one.status, one.stderr.as_str()), (Some(0), ""), "{one:?}");
    let lists: Value = serde_json::from_str(&one.stdout).expect("JSON");
    assert_eq!(lists.as_object().expect("an object").len(), 1);
    assert_eq!((&lists["modern"]["state"], &lists["modern"]["error"]), (&json!("ready"), &Value::Null));
    assert_eq!(lists["modern"]["tools"][0]["inputSchema"]["properties"]["region"]["x-mcp-header"], "Region");

    let unknown = run(&["tools", "dmeo", "--config", &path]).await;
    assert_eq!((unknown.status, unknown.stdout.as_str()), (Some(2), ""));
    assert!(unknown.stderr.contains("there is no server `dmeo`; is `demo` meant?"), "{unknown:?}");
}

#[tokio::test]
async fn a_call_prints_its_text_and_its_exit_status_says_how_it_went() {
    let told = call_demo(&["echo", r#"{"text":"one\ntwo"}"#]).await;
    assert_eq!((told.status, told.stdout.as_str(), told.stderr.as_str()), (Some(0), "one\ntwo\n", ""));
    let raw = call_demo(&["default", "add", r#"{"a":1,"b":2}"#, "--json"]).await;
    let result: Value = serde_json::from_str(&raw.stdout).expect("JSON");
    assert_eq!((raw.status, &result["structuredContent"]["sum"]), (Some(0), &json!(3)));
    // The tool has failed.
    let failed = call_demo(&["echo"]).await;
    assert_eq!((failed.status, failed.stdout.as_str()), (Some(1), ""));
    assert_eq!(failed.stderr, "bad arguments: missing field `text`\n");
    // There is no such tool.
    let unknown = call_demo(&["ehco", "{}"]).await;
    assert_eq!((unknown.status, unknown.stdout.as_str()), (Some(1), ""));
    assert_eq!(unknown.stderr, "error: no tool `ehco` (-32602)\nthere is no tool `ehco`; is `echo` meant?\n");
    // The server ends in the middle.
    let crashed = call_demo(&["crash"]).await;
    assert_eq!((crashed.status, crashed.stdout.as_str()), (Some(1), ""));
    assert!(crashed.stderr.contains("(-31002)"), "{crashed:?}");
    // It cannot be started at all.
    let (_directory, path) = file(&json!({ "broken": script("exit 7", &[]) }));
    let broken = run(&["call", "broken", "echo", "--named-server-config", &path]).await;
    assert_eq!((broken.status, broken.stdout.as_str()), (Some(1), ""));
    assert!(broken.stderr.contains("exited with status 7") && broken.stderr.contains("-31001"), "{broken:?}");
}

#[tokio::test]
async fn arguments_come_from_the_words_a_file_or_stdin_and_mistakes_are_told_with_their_place() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("arguments");
    std::fs::write(&path, "{\n  \"text\": \"from a file\"\n}\n").expect("it can be written");
    let from_file = format!("@{}", path.to_str().expect("a readable path"));
    assert_eq!(call_demo(&["echo", &from_file]).await.stdout, "from a file\n");
    let words = ["call", "echo", "-", "--", BINARY, "demo-server"];
    assert_eq!(run_with(&words, &[], r#"{"text":"from stdin"}"#).await.stdout, "from stdin\n");
    let wrong = run_with(&words, &[], "{\"text\":\n  hello}").await;
    assert_eq!((wrong.status, wrong.stdout.as_str()), (Some(2), ""));
    assert!(wrong.stderr.contains("stdin: the arguments are not JSON: line 2, column 3: expected value"));
    std::fs::write(&path, "[1]").expect("it can be written");
    for (arguments, says) in [
        (r#"{"text":}"#, "the arguments are not JSON: line 1, column 9: expected value"),
        (from_file.as_str(), "arguments: the arguments must be one JSON object"),
        ("@/no/such/file", "/no/such/file: cannot be read"),
    ] {
        let wrong = call_demo(&["echo", arguments]).await;
        assert_eq!((wrong.status, wrong.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(
            wrong.stderr.contains(says) && wrong.stderr.contains("Usage: mcp-switchboard call"),
            "{wrong:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_text_is_noted_and_what_is_structured_is_shown_where_there_is_no_text() {
    let (_directory, path) = file(&json!({ "puppet": puppet() }));
    let answer = async |result: Value| {
        let orders = json!({ "answer": result }).to_string();
        run(&["call", "query", &orders, "--config", &path]).await
    };
    let content = json!([
        { "type": "image", "data": "aGVsbG8=", "mimeType": "image/png" },
        { "type": "text", "text": "below it" },
    ]);
    let told = answer(json!({ "content": content, "structuredContent": { "n": 1 } })).await;
    assert_eq!((told.status, told.stdout.as_str()), (Some(0), "[image: image/png, 5 bytes]\nbelow it\n"));
    let told = answer(json!({ "content": [], "structuredContent": { "n": 1 } })).await;
    assert_eq!((told.status, told.stdout.as_str()), (Some(0), "{\"n\": 1}\n"));
    let told = answer(json!({ "content": [{ "type": "text", "text": "no" }], "isError": true })).await;
    assert_eq!((told.status, told.stdout.as_str(), told.stderr.as_str()), (Some(1), "", "no\n"));
}

#[tokio::test]
async fn progress_and_log_lines_are_told_on_stderr_while_it_runs() {
    let counted = call_demo(&["count", r#"{"to":2}"#]).await;
    assert_eq!((counted.status, counted.stdout.as_str()), (Some(0), "Counted to 2.\n"));
    assert_eq!(counted.stderr, "progress 1/2: 1 of 2\nprogress 2/2: 2 of 2\n");
    let logged = call_demo(&["log", r#"{"level":"warning","text":"careful"}"#]).await;
    assert_eq!((logged.stdout.as_str(), logged.stderr.as_str()), ("Sent.\n", "warning (demo): careful\n"));
    // Where nobody can be asked, the server is not told that somebody can.
    for tool in ["ask", "sample"] {
        let asked = call_demo(&[tool, r#"{"prompt":"?"}"#]).await;
        assert_eq!((asked.status, asked.stdout.as_str()), (Some(1), ""), "{asked:?}");
    }
}

#[tokio::test]
async fn the_servers_of_a_running_router_are_asked_over_http_whatever_they_speak() {
    let site = Site::modern().await;
    let router = Router::mounting(json!({
        "demo": demo(),
        "far": site.entry(),
        "off": with(demo(), &json!({ "enabled": false })),
    }))
    .await;
    let (option, environment) = (router.url("/"), [("MCP_SWITCHBOARD_URL", router.url(""))]);
    let environment = environment.each_ref().map(|(name, url)| (*name, url.as_str()));
    let all = run_with(&["tools"], &environment, "").await;
    assert_eq!((all.status, all.stderr.as_str()), (Some(0), ""), "{all:?}");
    assert!(all.stdout.contains("\n  echo  ") && all.stdout.contains("\n  where"), "{}", all.stdout);
    let one = run(&["call", "demo", "echo", r#"{"text":"a"}"#, "--router", &option]).await;
    assert_eq!((one.status, one.stdout.as_str()), (Some(0), "a\n"), "{one:?}");
    let far = run(&["call", "far", "where", r#"{"region":"north"}"#, "--router", &option]).await;
    assert_eq!((far.status, far.stdout.as_str()), (Some(0), "1\n"), "{far:?}");
    let missing = run(&["call", "nowhere", "echo", "--router", &option]).await;
    assert_eq!(missing.status, Some(2));
    assert!(missing.stderr.contains("there is no server `nowhere`; there are: demo, far"), "{missing:?}");
    let unsaid = run(&["call", "echo", "{}", "--router", &option]).await;
    assert!(unsaid.stderr.contains("which server is meant? NAME is one of: demo, far"), "{unsaid:?}");
    // A URL stands in place of a name, whichever transport is there.
    for url in [router.mcp("demo"), router.sse("demo")] {
        let one = run(&["call", &url, "echo", r#"{"text":"a"}"#]).await;
        assert_eq!((one.status, one.stdout.as_str()), (Some(0), "a\n"), "{one:?}");
    }
    router.until("demo", "left by all", |mount| mount["sessions"] == 0).await;
    drop(router);
    let nobody = run(&["tools", "--router", &option]).await;
    assert_eq!((nobody.status, nobody.stdout.as_str()), (Some(1), ""));
    assert!(
        nobody.stderr.contains("no router answers at") && nobody.stderr.contains("--router"),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn why_a_server_of_a_running_router_does_not_work_is_said_in_the_words_of_the_router() {
    let missing = json!({ "command": "no-such-program", "restart": { "attempts": 1 } });
    let router = Router::mounting(json!({ "gone": missing })).await;
    router.until("gone", "failed", |mount| mount["state"] == "failed").await;
    let call = run(&["call", "gone", "x", "--router", &router.url("")]).await;
    assert_eq!(call.status, Some(1));
    assert!(
        call.stderr.contains(r#"cannot be started: "no-such-program" was not found in PATH"#),
        "{call:?}"
    );
}

#[tokio::test]
async fn an_interrupted_call_is_cancelled_at_its_server() {
    let directory = TempDir::new().expect("a directory");
    let record = directory.path().join("record");
    let recorded = r#"tee -a "$1" | "$0" demo-server"#;
    let record_name = record.to_str().expect("a readable path");
    let words = ["call", "sleep", r#"{"ms":60000}"#, "--", "sh", "-c", recorded, BINARY, record_name];
    let child = Command::new(BINARY)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let said = |text: &str| std::fs::read_to_string(&record).is_ok_and(|record| record.contains(text));
    eventually("it is under way", async || said("\"tools/call\"").then_some(())).await;
    let pid = child.id();
    signal(pid, Signal::INT);
    let output = tokio::task::spawn_blocking(|| child.wait_with_output());
    let output = within("it ends", output).await.expect("no panic").expect("it is our child");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: cancelled\n");
    assert!(said("notifications/cancelled"));
    assert!(descendants(pid).is_empty());
}

#[tokio::test]
async fn a_server_may_ask_the_user_at_a_terminal() {
    // A terminal is had from Python, which puppets need anyway.
    let driver = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said, answers = b"", [b"\n", b"Ada\n"]
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    while answers and said.count(b"own words: ") > 2 - len(answers):
        os.write(terminal, answers.pop(0))
print(said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let words = ["-c", driver, BINARY, "call", "ask", r#"{"question":"Who?"}"#, "--", BINARY, "demo-server"];
    let mut command = Command::new("python3");
    command.args(words).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = within("it ends", output).await.expect("no panic").expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("Who?\r\n"), "{said}");
    assert!(said.contains("it is required\r\n"), "{said}");
    assert!(said.ends_with("The user answered: Ada\r\n 0\n"), "{said}");
}
