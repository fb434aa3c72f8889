//! Client mode: a URL as a stdio server.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use support::router::{BINARY, Router};
use support::site::{Site, Trick};
use support::{eventually, within};
use tokio::sync::mpsc;

/// The binary in client mode, and the program that started it.
struct Bridge {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Bridge {
    fn to(url: &str) -> Self {
        Self::with(&[url], &[])
    }

    fn with(words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(BINARY)
            .args(words)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("it is piped");
        #[expect(clippy::disallowed_methods, reason = "a story reads all that there is")]
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    fn say(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(format!("{message}\n").as_bytes()).expect("it reads");
    }

    /// The next message on stdout, where nothing else may be.
    async fn hear(&mut self) -> Value {
        let line = within("a message on stdout", self.lines.recv()).await.expect("stdout is open");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.hear().await
    }

    async fn call(&mut self, id: u64, tool: &str, arguments: Value) -> Value {
        self.ask(id, "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    async fn open(&mut self) -> Value {
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "desk", "version": "1" },
        });
        let opened = self.ask(0, "initialize", hello).await;
        if opened.get("result").is_some() {
            self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        }
        opened
    }

    /// Ends stdin, and waits for the end of the program.
    async fn end(mut self) -> (Vec<Value>, std::process::Output) {
        drop(self.stdin.take());
        eventually("it ends", async || self.child.try_wait().expect("it is our child")).await;
        let mut rest = Vec::new();
        while let Some(line) = within("stdout ends", self.lines.recv()).await {
            rest.push(serde_json::from_str(&line).expect("a message"));
        }
        (rest, self.child.wait_with_output().expect("it has ended"))
    }
}

/// The params of a modern request whose client can be asked.
fn modern(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
    });
    params
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_url_is_a_stdio_server_with_every_feature() {
    let router = Router::of_demo().await;
    for url in [router.mcp("demo"), router.sse("demo")] {
        let mut bridge = Bridge::with(&["--debug", &url], &[]);
        let opened = bridge.open().await;
        assert_eq!(opened["result"]["serverInfo"]["name"], "mcp-switchboard-demo", "{url}");
        assert_eq!(text(&bridge.call(1, "add", json!({ "a": 2, "b": 3 })).await), "5");

        let question = bridge.call(2, "ask", json!({ "question": "Who?" })).await;
        assert_eq!(question["method"], "elicitation/create");
        let answer = json!({ "action": "accept", "content": { "answer": "Ada" } });
        bridge.say(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }));
        assert!(text(&bridge.hear().await).contains("Ada"));

        let params = json!({ "name": "count", "arguments": { "to": 2 }, "_meta": { "progressToken": "p" } });
        assert_eq!(bridge.ask(3, "tools/call", params).await["params"]["progress"], 1);
        assert_eq!(bridge.hear().await["params"]["progress"], 2);
        assert_eq!(bridge.hear().await["id"], 3);
        let (rest, output) = bridge.end().await;
        assert_eq!((rest, output.status.code()), (vec![], Some(0)), "{url}");
        assert!(!output.stderr.is_empty(), "the log is on stderr");
        router.until("demo", "without sessions", |mount| mount["sessions"] == 0).await;
    }
}

#[tokio::test]
async fn both_eras_are_spoken_over_one_pair_of_pipes() {
    let router = Router::of_demo().await;
    let mut bridge = Bridge::to(&router.mcp("demo"));
    let discovered = bridge.ask(1, "server/discover", modern(json!({}))).await;
    assert_eq!(discovered["result"]["resultType"], "complete");
    let call = |arguments: Value| modern(json!({ "name": "ask", "arguments": arguments }));
    let asked = bridge.ask(2, "tools/call", call(json!({ "question": "Who?" }))).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    let key =
        asked["result"]["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("one").clone();
    let mut again = call(json!({ "question": "Who?" }));
    again["requestState"] = asked["result"]["requestState"].clone();
    again["inputResponses"] = json!({ key: { "action": "accept", "content": { "answer": "Ada" } } });
    assert!(text(&bridge.ask(3, "tools/call", again).await).contains("Ada"));
    bridge.open().await;
    assert_eq!(text(&bridge.call(4, "echo", json!({ "text": "a" })).await), "a");
}

#[tokio::test]
async fn a_modern_request_that_is_cancelled_is_given_up() {
    let site = Site::modern().await;
    let mut bridge = Bridge::to(&format!("{}/mcp", site.address));
    site.next(Trick::Wait);
    let params = modern(json!({ "name": "where", "arguments": { "region": "north" } }));
    bridge.say(&json!({ "jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": params }));
    eventually("it is under way", async || (site.calls() == 1).then_some(())).await;
    let cancelled = json!({ "requestId": "slow" });
    bridge.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled }));
    let params = modern(json!({ "name": "where", "arguments": { "region": "north" } }));
    let next = bridge.ask(2, "tools/call", params).await;
    assert_eq!((&next["id"], text(&next)), (&json!(2), "2"), "nothing is said to the cancelled one");
    let (rest, output) = bridge.end().await;
    assert_eq!((rest, output.status.code()), (vec![], Some(0)));
}

#[tokio::test]
async fn nothing_is_said_to_a_request_that_a_legacy_client_has_cancelled() {
    let router = Router::of_demo().await;
    let mut bridge = Bridge::to(&router.mcp("demo"));
    bridge.open().await;
    let sleep = |id: u64, seconds: f64| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": "sleep", "arguments": { "seconds": seconds } } })
    };
    bridge.say(&sleep(1, 60.0));
    bridge
        .say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }));
    // Longer than the router leaves the cancelled one unanswered.
    bridge.say(&sleep(2, 1.5));
    assert_eq!(bridge.hear().await["id"], 2);
    let (rest, output) = bridge.end().await;
    assert_eq!((rest, output.status.code()), (vec![], Some(0)));
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_and_the_next_request_tries_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut bridge = Bridge::to(&format!("http://127.0.0.1:{port}/servers/demo/mcp"));
    let refused = bridge.open().await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
    let server = format!("{BINARY} demo-server");
    let words = ["--port", &port.to_string(), "--named-server", "demo", &server];
    let _router = Router::with_options(&words).await;
    assert!(bridge.open().await.get("result").is_some());
    assert_eq!(text(&bridge.call(1, "echo", json!({ "text": "a" })).await), "a");
}

#[tokio::test]
async fn what_is_sent_behind_initialize_is_not_lost_where_the_server_speaks_the_other_era() {
    let site = Site::modern().await;
    let mut bridge = Bridge::to(&format!("{}/mcp", site.address));
    let info = json!({ "name": "desk", "version": "1" });
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let call = json!({ "name": "where", "arguments": { "region": "north" } });
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }));
    bridge.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call }));
    let (one, two) = (bridge.hear().await, bridge.hear().await);
    let (opened, called) = if one["id"] == 1 { (one, two) } else { (two, one) };
    assert_eq!(opened["result"]["serverInfo"]["name"], "site", "{opened}");
    assert_eq!(called["id"], 2, "an answer in any case: {called}");
}

#[tokio::test]
async fn requests_do_not_wait_one_after_the_other_for_a_server_that_is_away() {
    let site = Site::start().await;
    let mut bridge = Bridge::to(&format!("{}/mcp", site.address));
    bridge.open().await;
    site.refuse(1000);
    site.forget();
    let begun = std::time::Instant::now();
    for id in 1..=3 {
        let params = json!({ "name": "count", "arguments": {} });
        bridge.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }
    for _ in 0..3 {
        assert_eq!(bridge.hear().await["error"]["code"], -31001);
    }
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    site.refuse(0);
    assert!(bridge.call(4, "count", json!({})).await.get("result").is_some());
}

#[tokio::test]
async fn calls_in_flight_finish_after_the_end_of_stdin() {
    let router = Router::of_demo().await;
    let mut bridge = Bridge::to(&router.mcp("demo"));
    bridge.open().await;
    let params = json!({ "name": "sleep", "arguments": { "seconds": 0.5 } });
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    let (rest, output) = bridge.end().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((&rest[0]["id"], output.status.code()), (&json!(1), Some(0)));
}

#[tokio::test]
async fn calls_in_flight_finish_after_a_signal() {
    let site = Site::start().await;
    let mut bridge = Bridge::to(&format!("{}/mcp", site.address));
    bridge.open().await;
    site.next(Trick::Wait);
    let params = json!({ "name": "count", "arguments": {} });
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    eventually("it is under way", async || (site.calls() == 1).then_some(())).await;
    support::process::signal(bridge.child.id(), rustix::process::Signal::TERM);
    site.go_on();
    let answer = bridge.hear().await;
    assert_eq!((&answer["id"], text(&answer)), (&json!(1), "1"));
    eventually("it ends", async || bridge.child.try_wait().expect("it is our child")).await;
    assert_eq!(site.sessions(), 0);
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let router = Router::start(
        json!({ "mcpServers": { "demo": support::router::demo() }, "limits": { "body": 20_000_000 } }),
        &[],
    )
    .await;
    let mut bridge = Bridge::to(&router.mcp("demo"));
    bridge.open().await;
    let long = "x".repeat(10 << 20);
    let answer = bridge.call(1, "echo", json!({ "text": long })).await;
    assert_eq!(text(&answer).len(), long.len());
}

#[tokio::test]
async fn a_client_that_reads_late_loses_nothing() {
    const CALLS: usize = 60;
    let site = Site::start().await;
    let mut child = Command::new(BINARY)
        .arg(format!("{}/mcp", site.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    let mut lines = vec![json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello })];
    lines.push(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    for id in 1..=CALLS {
        site.next(Trick::Long(1 << 20));
        let params = json!({ "name": "count", "arguments": {} });
        lines.push(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }
    std::thread::spawn(move || {
        for line in lines {
            stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads at last");
        }
    });
    // More than any queue on the way holds is waiting by now.
    eventually("many calls are answered", async || (site.calls() >= 9).then_some(())).await;
    let stdout = child.stdout.take().expect("it is piped");
    let read = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let messages = lines.map(|line| serde_json::from_str::<Value>(&line).expect("a message"));
        messages
            .filter_map(|message| message["result"]["content"].is_array().then(|| message["id"].clone()))
            .count()
    });
    assert_eq!(within("everything is read", read).await.expect("no panic"), CALLS);
    assert!(child.wait().expect("it is our child").success());
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_disturbs_nothing() {
    let router = Router::of_demo().await;
    let mut bridge = Bridge::to(&router.mcp("demo"));
    bridge.open().await;
    bridge.stdin.as_mut().unwrap().write_all(b"no json\n\n[1]\n").unwrap();
    assert_eq!(bridge.hear().await["error"]["code"], -32700);
    assert_eq!(bridge.hear().await["error"]["code"], -32600);
    assert_eq!(text(&bridge.call(1, "echo", json!({ "text": "a" })).await), "a");
}

#[tokio::test]
async fn a_request_before_initialize_is_told_what_comes_first() {
    let site = Site::start().await;
    let mut bridge = Bridge::to(&format!("{}/mcp", site.address));
    let refused = bridge.ask(1, "tools/list", json!({})).await;
    assert_eq!(refused["error"]["code"], -32600);
    assert_eq!(bridge.ask(2, "ping", json!({})).await["result"], json!({}));
    assert_eq!(site.opened(), 0);
}

#[tokio::test]
async fn the_token_of_the_environment_is_sent_and_shown_nowhere() {
    let site = Site::start().await;
    let url = format!("{}/mcp", site.address);
    let mut bridge = Bridge::with(&["--log-level", "trace", &url], &[("API_ACCESS_TOKEN", "s3cret-token")]);
    bridge.open().await;
    let (_, output) = bridge.end().await;
    assert!(site.sent("authorization").iter().all(|value| value == "Bearer s3cret-token"));
    assert!(!site.sent("authorization").is_empty());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("s3cret"), "{log}");
    assert_eq!(site.sessions(), 0, "the session was ended");
}
