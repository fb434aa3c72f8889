//! Called as another tool, the program takes that tool's options and serves at its paths.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use http::Method;
use serde_json::{Value, json};
use support::events::Events;
use support::mcp::{Client, hello, notification, request};
use support::router::{BINARY, Router, demo};
use support::site::Site;
use tempfile::TempDir;

/// The demo server as a command line.
fn server() -> String {
    format!("'{BINARY}' demo-server")
}

/// The program called as `name`, by a link of that name.
fn called(name: &str) -> (TempDir, Command) {
    let directory = TempDir::new().unwrap();
    let link = directory.path().join(name);
    std::os::unix::fs::symlink(BINARY, &link).unwrap();
    let mut command = Command::new(link);
    command.stdin(Stdio::null());
    (directory, command)
}

/// A router started as `compat supergateway --stdio SERVER --port 0` and these words.
async fn supergateway(words: &[&str]) -> Router {
    let server = server();
    let mut all = vec!["compat", "supergateway", "--stdio", &server, "--port", "0"];
    all.extend_from_slice(words);
    Router::with_options(&all).await
}

/// What the program says and ends with.
fn run(words: &[&str]) -> Output {
    Command::new(BINARY).args(words).env_clear().output().unwrap()
}

/// Opens a stream of HTTP+SSE, and says what its first event names.
async fn listen(router: &Router, path: &str) -> (Events, String) {
    let mut stream = Client::at(router.url(path)).listen().await;
    let endpoint = stream.next().await.unwrap();
    assert_eq!(endpoint.name.as_deref(), Some("endpoint"));
    (stream, endpoint.data.unwrap())
}

/// Has a whole conversation over HTTP+SSE.
async fn converse(router: &Router, stream: &mut Events, endpoint: &str) {
    let messages = Client::at(router.url(endpoint));
    let call = json!({ "name": "echo", "arguments": { "text": "hello" } });
    for message in [
        request(json!(1), "initialize", hello("2024-11-05", json!({}))),
        notification("notifications/initialized", json!({})),
        request(json!(2), "tools/call", call),
    ] {
        let answer = messages.post(message).await;
        assert_eq!((answer.status.as_u16(), answer.text().await.as_str()), (202, "Accepted"));
    }
    assert_eq!(stream.message().await["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(stream.message().await["result"]["content"][0]["text"], "hello");
}

/// Opens a session over stdin and stdout of the program, calls a tool, and returns the text that it answers with.
fn ask_over_stdio(words: &[&str], tool: &str, arguments: &Value) -> String {
    let mut child = Command::new(BINARY)
        .arg("compat")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let call = request(json!(2), "tools/call", json!({ "name": tool, "arguments": arguments }));
    writeln!(stdin, "{}", request(json!(1), "initialize", hello("2025-06-18", json!({})))).unwrap();
    assert!(lines.next().unwrap().unwrap().contains("2025-06-18"));
    writeln!(stdin, "{}\n{call}", notification("notifications/initialized", json!({}))).unwrap();
    let answer: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn echoes(client: &Client) {
    assert_eq!(client.ask("echo", json!({ "text": "hello" })).await, "hello");
}

#[tokio::test]
async fn supergateway_serves_http_sse_at_its_paths() {
    let router = supergateway(&[]).await;
    let (mut stream, endpoint) = listen(&router, "/sse").await;
    let id = endpoint.strip_prefix("/message?sessionId=").unwrap_or_else(|| panic!("{endpoint}"));
    assert!(id.len() >= 32, "{id}");
    converse(&router, &mut stream, &endpoint).await;
    let ping = request(json!(1), "ping", json!({}));
    for (path, status) in [("/message", 400), ("/message?sessionId=x", 404)] {
        assert_eq!(Client::at(router.url(path)).post(ping.clone()).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn supergateways_clients_do_not_hear_each_other() {
    let router = supergateway(&[]).await;
    let (mut first, endpoint) = listen(&router, "/sse").await;
    let (mut second, other) = listen(&router, "/sse").await;
    assert_ne!(endpoint, other);
    // Both use the same ids, and each finds its own answers, in their order, on its stream.
    converse(&router, &mut first, &endpoint).await;
    converse(&router, &mut second, &other).await;
}

#[tokio::test]
async fn supergateways_paths_base_url_and_headers_can_be_chosen() {
    let router = supergateway(&[
        "--ssePath=/events",
        "--messagePath=/say",
        "--baseUrl=http://gate.example.com:8000/x/",
        "--health-endpoint",
        "/up",
        "/healthz",
        "--header",
        "X-Gateway: one",
    ])
    .await;
    let answer = Client::at(router.url("/events")).events_only().get().await;
    assert_eq!(answer.header("x-gateway"), "one");
    let mut stream = answer.events();
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let path = endpoint.strip_prefix("/x").unwrap_or_else(|| panic!("{endpoint}"));
    assert!(path.starts_with("/say?sessionId="), "{endpoint}");
    converse(&router, &mut stream, path).await;
    for path in ["/up", "/up/", "/healthz"] {
        let answer = Client::at(router.url(path)).with("host", "gate.example.com").get().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-gateway")), (200, "one"), "{path}");
        assert!(answer.header("content-type").starts_with("text/plain"), "{path}");
        assert_eq!(answer.text().await, "ok", "{path}");
    }
    assert_eq!(Client::at(router.url("/up")).post("{}").await.status, 405);
    assert_eq!(router.status().await["servers"]["default"]["urls"][1], "/x/events");
}

#[tokio::test]
async fn supergateways_streamable_http_has_no_sessions() {
    let router = supergateway(&["--outputTransport", "streamableHttp"]).await;
    let client = Client::at(router.url("/mcp"));
    let answer = client.request(json!(1), "initialize", hello("2025-06-18", json!({}))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.get("mcp-session-id").is_none());
    echoes(&client).await;
    assert_eq!(client.get().await.status, 405);
    assert_eq!(client.delete().await.status, 405);
}

#[tokio::test]
async fn supergateways_stateful_streamable_http_has_sessions() {
    let words = ["--outputTransport=streamableHttp", "--stateful", "--streamableHttpPath", "/a/rpc"];
    let router = supergateway(&words).await;
    let client = Client::open(router.url("/a/rpc")).await;
    echoes(&client).await;
    let ping = request(json!(1), "ping", json!({}));
    let stranger = Client::at(router.url("/a/rpc"));
    assert_eq!(stranger.post(ping.clone()).await.status, 400);
    assert_eq!(stranger.with("mcp-session-id", "x").post(ping).await.status, 404);
    assert_eq!(client.delete().await.status, 204);
    assert_eq!(router.status().await["servers"]["default"]["urls"][0], "/a/rpc");
}

#[tokio::test]
async fn supergateways_idle_session_ends() {
    let words = ["--outputTransport=streamableHttp", "--stateful", "--sessionTimeout", "300"];
    let router = supergateway(&words).await;
    let client = Client::open(router.url("/mcp")).await;
    support::eventually("the session ends", async || {
        // Looking at `/status` leaves the session alone; a request of its own would keep it.
        (router.mount("default").await["sessions"] == 0).then_some(())
    })
    .await;
    assert_eq!(client.request(json!(1), "ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn supergateways_cors_lets_pages_read() {
    let page = "https://app.example.com";
    let words = ["--healthEndpoint", "/up", "--cors", page, "http://b.example", r"/\.d\.example$/"];
    let router = supergateway(&words).await;
    for origin in [page, "http://b.example", "https://any.d.example"] {
        let answer = Client::at(router.url("/up")).with("origin", origin).get().await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    assert_eq!(Client::at(router.url("/up")).with("origin", "http://c.example").get().await.status, 403);
    let router = supergateway(&["--cors"]).await;
    let preflight = Client::at(router.url("/message"))
        .with("origin", "http://c.example")
        .with("access-control-request-method", "POST")
        .send(Method::OPTIONS, "")
        .await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-origin")), (204, "*"));
}

#[tokio::test]
async fn a_link_named_supergateway_runs_a_shell_where_the_command_needs_one() {
    let (directory, mut command) = called("supergateway");
    // The server starts only if it was given the variable, and only a shell understands the rest.
    let server = format!("test \"$TOKEN\" = s3cret && SET=here exec {}", server());
    command.arg(format!("--stdio={server}")).args(["--port=0", "--stray", "value"]).env("TOKEN", "s3cret");
    let router = Router::started(directory, command).await;
    let (mut stream, endpoint) = listen(&router, "/sse").await;
    converse(&router, &mut stream, &endpoint).await;
    let log = router.logs("`--stray` is ignored").await;
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn supergateway_ends_with_the_program_that_started_it() {
    let (directory, mut command) = called("supergateway");
    command.args(["--stdio", &server(), "--port", "0"]).stdin(Stdio::piped());
    let mut router = Router::started(directory, command).await;
    let (mut stream, endpoint) = listen(&router, "/sse").await;
    converse(&router, &mut stream, &endpoint).await;
    router.close_stdin();
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn mcp_streamablehttp_proxy_serves_sessions_and_its_health() {
    let (directory, mut command) = called("mcp-streamablehttp-proxy");
    command.args(["--timeout", "600", BINARY, "demo-server"]);
    command.env("MCP_PORT", "0").env("MCP_BIND_HOST", "127.0.0.1");
    let router = Router::started(directory, command).await;
    let client = Client::open(router.url("/mcp/")).await;
    echoes(&client).await;
    let (status, health) = router.get("/health").await;
    assert_eq!((status, &health["status"], &health["active_sessions"]), (200, &json!("healthy"), &json!(1)));
    assert!(health["server_command"].as_str().unwrap().contains("mcp-switchboard"), "{health}");
    let unknown = Client::at(router.url("/mcp")).with("mcp-session-id", "x");
    assert_eq!(unknown.request(json!(1), "ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn mcproxy_serves_the_servers_of_its_file_to_everybody_and_warns() {
    let (directory, mut command) = called("MCProxy");
    let mut entry = demo();
    entry["name"] = json!("demo");
    let file = directory.path().join("servers.json");
    std::fs::write(&file, json!({ "servers": [entry] }).to_string()).unwrap();
    command.args(["--log", "--port", "0", "--config"]).arg(&file);
    let router = Router::started(directory, command).await;
    assert!(router.url("").starts_with("http://0.0.0.0:"), "{}", router.url(""));
    echoes(&Client::open(router.mcp("demo")).await).await;
    // Its own endpoint is that of all servers together: a stream, and single requests that say nothing of what they accept.
    let (_stream, endpoint) = listen(&router, "/sse").await;
    assert!(endpoint.starts_with("/messages/?session_id="), "{endpoint}");
    let plain = Client::at(router.url("/sse")).without("accept");
    let listed = plain.request(json!(1), "tools/list", json!({})).await.json().await;
    assert_eq!(listed["result"]["tools"][0]["name"], "demo__echo");
    let called = plain.call(1, "demo__echo", json!({ "text": "hello" })).await.json().await;
    assert_eq!(called["result"]["content"][0]["text"], "hello");
    router.logs("ANYONE who reaches this address").await;
}

#[test]
fn mcproxy_brings_all_servers_of_its_file_to_stdin_and_stdout() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("servers.json");
    std::fs::write(&file, json!({ "mcpServers": { "demo": demo() } }).to_string()).unwrap();
    let words = ["mcproxy", "--stdio", "--config", file.to_str().unwrap()];
    assert_eq!(ask_over_stdio(&words, "demo__echo", &json!({ "text": "hello" })), "hello");
}

#[tokio::test]
async fn supergateway_and_fastmcps_script_bring_a_url_to_stdin_and_stdout() {
    let router = Router::of_demo().await;
    let (mcp, sse) = (router.mcp("demo"), router.sse("demo"));
    let lines: [&[&str]; 4] = [
        &["supergateway", "--streamableHttp", &mcp],
        &["supergateway", "--sse", &sse, "--port", "9000"],
        &["fastmcp-proxy", &mcp, "--name", "My Proxy"],
        &["mcp_proxy_server", &sse, "--transport-type", "sse", "--transport", "stdio"],
    ];
    for words in lines {
        assert_eq!(ask_over_stdio(words, "echo", &json!({ "text": "hello" })), "hello", "{words:?}");
    }
}

#[tokio::test]
async fn a_url_is_served_over_http_where_the_tool_is_told_so() {
    let behind = Router::of_demo().await;
    let (mcp, sse) = (behind.mcp("demo"), behind.sse("demo"));
    let words = ["compat", "fastmcp-proxy", &mcp, "--transport", "http", "--port", "0", "--name", "My Proxy"];
    let router = Router::with_options(&words).await;
    echoes(&Client::open(router.url("/mcp")).await).await;
    assert!(router.mount("My-Proxy").await.is_object());
    let words =
        ["compat", "supergateway", "--sse", &sse, "--outputTransport", "streamableHttp", "--port", "0"];
    echoes(&Client::at(Router::with_options(&words).await.url("/mcp"))).await;
}

#[tokio::test]
async fn supergateways_headers_are_those_of_its_requests_to_a_url() {
    let site = Site::start().await;
    let url = format!("{}/mcp", site.address);
    let words = ["compat", "supergateway", "--streamableHttp", &url, "--outputTransport=sse", "--port", "0"];
    let headers = ["--header", "X-Key: one: two", "--oauth2Bearer", "t0ken"];
    let router = Router::with_options(&[&words[..], &headers].concat()).await;
    let (_stream, endpoint) = listen(&router, "/sse").await;
    let messages = Client::at(router.url(&endpoint));
    assert_eq!(
        messages.post(request(json!(1), "initialize", hello("2025-06-18", json!({})))).await.status,
        202
    );
    support::eventually("the site is called", async || (!site.sent("x-key").is_empty()).then_some(())).await;
    assert!(site.sent("x-key").iter().all(|value| value == "one: two"));
    assert!(site.sent("authorization").iter().all(|value| value == "Bearer t0ken"));
    assert!(Client::at(router.url("/status")).get().await.headers.get("x-key").is_none());
}

#[test]
fn each_tool_listens_where_it_always_did() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("servers.json");
    std::fs::write(&file, json!({ "mcpServers": { "demo": demo() } }).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["supergateway", "--stdio", "x"], "127.0.0.1:8000"),
        (&["supergateway", "--stdio", "x", "--host", "0.0.0.0"], "0.0.0.0:8000"),
        (&["mcp-streamablehttp-proxy", "x"], "127.0.0.1:3000"),
        (&["mcproxy", "--config", file], "0.0.0.0:12010"),
    ];
    for (words, address) in cases {
        let output = run(&[&["compat", words[0], "--check"], &words[1..]].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("would listen on http://{address}\n")), "{words:?}: {said}");
    }
}

#[test]
fn what_cannot_be_done_ends_with_2_and_says_why() {
    let cases: [(&[&str], &str); 7] = [
        (&["supergateway", "--stdio", "x", "--outputTransport", "ws"], "WebSockets are no transport of MCP"),
        (&["supergateway", "--port", "80"], "one of `--stdio`, `--sse` and `--streamableHttp` is wanted"),
        (&["supergateway", "--stdio", "x", "--port", "many"], "invalid value 'many' for '--port <PORT>'"),
        (&["mcp-streamablehttp-proxy"], "wants the command of a server"),
        (&["fastmcp", "server.py"], "named by an http:// or https:// URL"),
        (&["abacus"], "invalid value 'abacus'"),
        (&[], "<TOOL>"),
    ];
    for (words, message) in cases {
        let output = run(&[&["compat"], words].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(message), "{words:?}: {said}");
    }
}

#[test]
fn compat_is_a_word_of_its_own_only_in_the_first_place() {
    let output = run(&["--check", "--", "compat", "supergateway"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("compat (1 argument)"), "{said}");
    let help = run(&["compat", "supergateway", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Usage: mcp-switchboard"));
}
