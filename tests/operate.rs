//! The tasks that talk to a running router: `status` shows what is true, `restart` replaces processes and keeps sessions.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use support::client::{Client, code};
use support::process::is_running;
use support::router::{BINARY, Router, demo, pids, script, with};
use support::{eventually, within};

/// Runs the program, and waits for its end.
async fn run(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(words).env_remove("MCP_PROXY_PORT").envs(environment.iter().copied());
    command.stdin(Stdio::null());
    within("the task ends", command.output()).await.unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[tokio::test]
async fn the_status_of_a_router_is_a_table_or_all_that_it_says() {
    let once = json!({ "restart": { "attempts": 1 } });
    let router = Router::mounting(json!({ "well": demo(), "ill": with(script("exit 3", &[]), &once) })).await;
    router.settled("well", 1).await;
    router.until("ill", "failed", |mount| mount["state"] == "failed").await;
    let _client = Client::open(&router, "well").await;
    router.until("well", "in use", |mount| pids(mount).len() == 2).await;
    let base = router.url("");
    let by_option = run(&["status", "--url", &base], &[]).await;
    let by_environment = run(&["status"], &[("MCP_SWITCHBOARD_URL", &format!("{base}/"))]).await;
    for output in [by_option, by_environment] {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let lines: Vec<_> = stdout(&output).lines().collect();
        assert!(lines[0].starts_with(&format!("mcp-switchboard 0.1.0 at {base}, up ")), "{output:?}");
        assert!(lines[1].starts_with("configuration ") && lines[1].contains("servers.json"), "{output:?}");
        let words = |name: &str| {
            let line = lines.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let url = |name: &str| format!("{base}/servers/{name}/mcp");
        assert_eq!(words("well"), ["well", "ready", "legacy", "2", "1", "0", "0", &url("well")]);
        assert_eq!(words("ill"), ["ill", "failed", "-", "0", "0", "0", "0", &url("ill")]);
        assert!(stdout(&output).contains("\nill: ") && stdout(&output).contains("status 3"), "{output:?}");
    }
    let output = run(&["status", "--json", "--url", &base], &[]).await;
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["servers"]["ill"]["error"], router.mount("ill").await["error"]);
}

#[tokio::test]
async fn where_no_router_answers_is_said() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = free.port().to_string();
    let output = run(&["status"], &[("MCP_PROXY_PORT", &port)]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("nobody listens at http://{free}")), "{output:?}");
    assert!(stderr(&output).contains("--url"), "{output:?}");
    let output = run(&["restart", "a", "--url", "localhost:80"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("not a URL like"), "{output:?}");
}

#[tokio::test]
async fn a_restarted_servers_sessions_go_on_in_new_processes() {
    let shared = json!({ "pool": { "mode": "shared", "max": 1 } });
    let router = Router::mounting(json!({ "own": demo(), "one": with(demo(), &shared) })).await;
    let base = router.url("");
    for name in ["own", "one"] {
        let client = Client::open(&router, name).await;
        assert_eq!(client.text("echo", json!({ "text": "x" })).await, "x");
        let old = pids(&router.mount(name).await);
        let mut call = client.begin("count", json!({ "to": 5, "ms": 100 })).await;
        let output = run(&["restart", name, "--url", &base], &[]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).contains("1 session went on; it is "), "{output:?}");
        assert!(call.response().await["result"].is_object(), "what was in flight has finished");
        assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
        for pid in old {
            eventually("the old processes end", async || (!is_running(pid)).then_some(())).await;
        }
        let mount = router.mount(name).await;
        assert_eq!(
            (&mount["restarts"], &mount["errors"], &mount["sessions"]),
            (&json!(1), &json!(0), &json!(1))
        );
    }
    let output = run(&["restart", "none", "--url", &base], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no server none"), "{output:?}");
}

#[tokio::test]
async fn a_client_whose_server_was_restarted_hears_of_a_new_process_and_of_no_death() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let client = Client::open(&router, "a").await;
    let mut heard = client.listen().await;
    let output = run(&["restart", "a", "--url", &router.url("")], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = within("the client is told", async {
        loop {
            let message = heard.next().await.unwrap();
            if message["method"] == "notifications/message" {
                return message["params"]["data"].as_str().unwrap().to_owned();
            }
        }
    })
    .await;
    assert!(said.contains("a new process") && !said.contains("died"), "{said}");
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_answered_when_its_server_is_restarted() {
    let router = Router::mounting(json!({ "a": demo() })).await;
    let client = Client::open(&router, "a").await;
    let call = client.call("sleep", json!({ "ms": 60_000 }));
    let restart = async {
        router.until("a", "busy", |mount| mount["in_flight"] == 1).await;
        run(&["restart", "a", "--url", &router.url("")], &[]).await
    };
    let (answer, output) = futures::future::join(call, restart).await;
    assert_eq!(code(&answer), -31002, "{answer}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
}

#[tokio::test]
async fn a_failed_server_is_tried_again_at_once() {
    let needs = r#"[ -e "$1" ] || exit 1; exec "$0" demo-server"#;
    let router = Router::with_file(|directory| {
        let once = json!({ "restart": { "attempts": 1 } });
        let broken = json!({ "command": "x", "args": ["${UNSET_X}"] });
        json!({ "mcpServers": { "a": with(script(needs, &[&directory.join("go")]), &once), "b": broken } })
    })
    .await;
    router.until("a", "failed", |mount| mount["state"] == "failed").await;
    let base = router.url("");
    let output = run(&["restart", "a", "--url", &base], &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("it is failed: "), "{output:?}");
    std::fs::write(router.path("go"), "").unwrap();
    let output = run(&["restart", "a", "--url", &base], &[]).await;
    assert_eq!(
        (output.status.code(), stdout(&output).contains("it is ready")),
        (Some(0), true),
        "{output:?}"
    );
    let output = run(&["restart", "b", "--url", &base], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot be restarted") && stderr(&output).contains("UNSET_X"),
        "{output:?}"
    );
}
