//! What is logged, changed while the router runs: by operators alone, of single targets, and never by what makes no sense.

mod support;

use std::process::{Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use support::mcp::Client;
use support::router::{BINARY, Router, demo};
use support::within;

async fn log(router: &Router, words: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("log").args(words).args(["--url", &router.url("")]).stdin(Stdio::null());
    within("the task ends", command.output()).await.expect("the binary runs")
}

async fn put(router: &Router, body: &str) -> (u16, Value) {
    let answer = Client::at(router.url("/admin/log")).send(Method::PUT, body.to_owned()).await;
    (answer.status.as_u16(), answer.json().await)
}

#[tokio::test]
async fn a_running_router_says_more_or_less_from_one_moment_to_the_next() {
    let router = Router::mounting(json!({ "demo": demo() })).await;
    router.settled("demo", 1).await;
    let output = log(&router, &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"info\n".as_slice()),
        "{output:?}"
    );

    // A handshake is told of in debug lines of the session.
    Client::open(router.mcp("demo")).await;
    assert!(!router.log().contains("a handshake has succeeded"));
    let output = log(&router, &["info,mcp_switchboard::session=debug"]).await;
    assert_eq!(output.stdout, b"info,mcp_switchboard::session=debug\n", "{output:?}");
    Client::open(router.mcp("demo")).await;
    let told = router.logs("a handshake has succeeded").await;
    assert!(told.contains("what is logged was changed by an operator"), "{told}");
    assert_eq!(put(&router, "{\"filter\": \"error\"}").await, (200, json!({ "filter": "error" })));
    let before = router.log().matches("a handshake has succeeded").count();
    Client::open(router.mcp("demo")).await;
    assert_eq!(put(&router, "info").await.0, 200);
    // Lines keep their order: this one comes after what the handshake would have said.
    router.logs("filter=\"info\"").await;
    assert_eq!(router.log().matches("a handshake has succeeded").count(), before);
    assert_eq!(router.get("/admin/log").await, (200, json!({ "filter": "info" })));
}

#[tokio::test]
async fn a_broken_filter_is_said_and_changes_nothing() {
    let router =
        Router::start(json!({ "mcpServers": { "demo": demo() } }), &["--log-level", "warning"]).await;
    for (body, told) in [
        ("loud", "\"loud\" is no level"),
        ("{\"filter\": \"info,=warn\"}", "\"\" is no target"),
        ("{\"filter\": 7}", "{\"filter\": \"...\"}"),
        ("{\"filter\"", "{\"filter\": \"...\"}"),
        ("", "\"\" is no level"),
    ] {
        let (status, answer) = put(&router, body).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(told), "{body}: {status} {answer}");
    }
    assert_eq!(put(&router, &"x".repeat(5000)).await.0, 413);
    assert_eq!(router.get("/admin/log").await, (200, json!({ "filter": "warn" })));
    let output = log(&router, &["server=loud"]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("\"loud\" is no level"), "{output:?}");
}

#[tokio::test]
async fn only_operators_see_and_change_it() {
    let router = Router::mounting(json!({ "demo": demo() })).await;
    let proxied = Client::at(router.url("/admin/log")).with("x-forwarded-for", "10.0.0.1");
    for method in [Method::GET, Method::PUT, Method::POST] {
        let answer = proxied.send(method.clone(), "trace").await;
        assert_eq!(answer.status, 403, "{method}");
    }
    let answer = Client::at(router.url("/admin/log")).delete().await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD, PUT, POST, OPTIONS"));
    assert_eq!(router.get("/admin/log").await, (200, json!({ "filter": "info" })));
}
