//! Remote servers: mounted beside local ones, lost and found again, and never told anything twice.

mod support;

use serde_json::{Value, json};
use support::client::Client;
use support::eventually;
use support::mcp;
use support::modern::Modern;
use support::router::{Router, demo, with};
use support::site::{Site, Trick};

/// Two routers in a row; the second knows the first by its URLs.
async fn chain() -> (Router, Router) {
    let first = Router::of_demo().await;
    let second = Router::mounting(json!({
        "streamable": { "url": first.mcp("demo") },
        "sse": { "url": first.sse("demo"), "type": "sse" },
        "local": demo(),
    }))
    .await;
    (first, second)
}

async fn before(site: &Site) -> (Router, Client) {
    let router = Router::mounting(json!({ "site": site.entry() })).await;
    let client = Client::open(&router, "site").await;
    (router, client)
}

fn code(answer: &Value) -> &Value {
    &answer["error"]["code"]
}

#[tokio::test]
async fn a_url_is_served_beside_commands_over_either_transport_and_in_either_era() {
    let (_first, second) = chain().await;
    for mount in ["streamable", "sse", "local"] {
        let client = Client::open(&second, mount).await;
        assert_eq!(client.text("add", json!({ "a": 2, "b": 3 })).await, "5", "{mount}");
        let modern = Modern::at(second.mcp(mount));
        assert_eq!(modern.ask("add", json!({ "a": 2, "b": 3 })).await, "5", "{mount}");
    }
    let status = second.mount("streamable").await;
    assert_eq!((&status["state"], &status["pids"]), (&json!("ready"), &json!([])));
    assert_eq!(status["server_info"]["name"], "mcp-switchboard-demo");
}

#[tokio::test]
async fn a_url_of_the_command_line_is_served_again_over_both_transports() {
    let first = Router::of_demo().await;
    let again = Router::with_options(&["--port", "0", "--transport-type", "sse", &first.sse("demo")]).await;
    let client = mcp::Client::open(again.url("/mcp")).await;
    assert_eq!(client.ask("echo", json!({ "text": "a" })).await, "a");
    let one = mcp::Client::at(again.url("/sse")).json_only();
    assert_eq!(one.ask("echo", json!({ "text": "b" })).await, "b", "a request without a session");
    assert_eq!(again.status().await["server_instances"]["default"], "ready");
}

#[tokio::test]
async fn questions_progress_and_announcements_pass_two_routers() {
    let (_first, second) = chain().await;
    for mount in ["streamable", "sse"] {
        let client = mcp::Client::open(second.mcp(mount)).await;
        let mut unasked = client.get().await.events();
        let mut call = client.call_with_progress(7, "count", json!({ "to": 3 })).await.events();
        for wanted in 1..=3 {
            let note = call.message().await;
            assert_eq!(
                (&note["params"]["progressToken"], &note["params"]["progress"]),
                (&json!(7), &json!(wanted))
            );
        }
        assert_eq!(call.message().await["id"], 7);
        let mut call = client.call(8, "ask", json!({ "question": "Who?" })).await.events();
        let question = call.message().await;
        assert_eq!(question["method"], "elicitation/create", "{mount}");
        client.answer(&question, json!({ "action": "accept", "content": { "answer": "Ada" } })).await;
        let answer = call.message().await;
        assert!(
            answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("Ada")),
            "{answer}"
        );
        client.call(9, "toggle", json!({})).await.outcome().await;
        let news = unasked.message().await;
        assert_eq!(news["method"], "notifications/tools/list_changed", "{mount}");
    }
}

#[tokio::test]
async fn no_call_is_made_before_there_is_an_ear_for_what_it_may_cause() {
    let site = Site::hesitant().await;
    let (_router, client) = before(&site).await;
    assert_eq!(client.text("count", json!({})).await, "1");
    assert_eq!(site.early_calls(), 0);
}

#[tokio::test]
async fn no_call_is_made_before_the_level_of_its_log_lines_is_set() {
    let site = Site::hesitant().await;
    let router = Router::mounting(json!({ "site": site.entry() })).await;
    let client = Modern::at(router.mcp("site"));
    assert_eq!(client.clone().logging("warning").ask("count", json!({})).await, "1");
    assert_eq!(client.logging("debug").ask("count", json!({})).await, "2");
    assert_eq!(site.early_calls(), 0);
}

#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_opened_again_and_the_request_sent_once() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    assert_eq!(client.text("count", json!({})).await, "1");
    site.forget();
    assert_eq!(client.text("count", json!({})).await, "2", "the next call works");
    assert_eq!((site.calls(), site.opened()), (2, 2));
}

#[tokio::test]
async fn a_server_that_forgets_every_session_at_once_is_not_asked_for_ever() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    site.next(Trick::Forget(2));
    let answer = client.call("count", json!({})).await;
    assert_eq!(code(&answer), -31001, "{answer}");
    assert_eq!(client.text("count", json!({})).await, "1", "the next call is a new try");
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_too_busy_to_open_another_session_is_asked_again() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    site.refuse(2);
    site.forget();
    let text = eventually("the session goes on", async || {
        let answer = client.call("count", json!({})).await;
        answer["result"]["content"][0]["text"].as_str().map(str::to_owned)
    });
    assert_eq!(text.await, "1");
    assert_eq!((site.calls(), site.opened()), (1, 2));
}

#[tokio::test]
async fn a_server_that_does_not_know_get_keeps_its_session() {
    let site = Site::without_get().await;
    let (_router, client) = before(&site).await;
    for wanted in ["1", "2"] {
        assert_eq!(client.text("count", json!({})).await, wanted);
    }
    assert_eq!(site.opened(), 1);
}

#[tokio::test]
async fn a_modern_client_never_learns_that_the_server_has_forgotten_the_session() {
    let site = Site::start().await;
    let router = Router::mounting(json!({ "site": site.entry() })).await;
    let client = Modern::at(router.mcp("site"));
    assert_eq!(client.ask("count", json!({})).await, "1");
    site.forget();
    assert_eq!(client.ask("count", json!({})).await, "2");
    assert_eq!((site.calls(), site.opened()), (2, 2));
}

#[tokio::test]
async fn a_call_whose_connection_breaks_fails_and_is_not_made_again() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    site.next(Trick::Break);
    let answer = client.call("count", json!({})).await;
    assert_eq!(code(&answer), -31002, "{answer}");
    assert_eq!(site.calls(), 1);
    assert_eq!(client.text("count", json!({})).await, "2", "the session goes on");
    assert_eq!(site.opened(), 1);
}

#[tokio::test]
async fn what_is_in_flight_when_the_session_is_lost_fails_and_runs_once() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    site.next(Trick::Wait);
    let waiting = client.call("count", json!({}));
    let other = async {
        eventually("the call is under way", async || (site.calls() == 1).then_some(())).await;
        site.forget();
        assert_eq!(client.text("count", json!({})).await, "2");
    };
    let (answer, ()) = tokio::join!(waiting, other);
    assert_eq!(code(&answer), -31002, "{answer}");
    site.go_on();
    assert_eq!(site.calls(), 2);
}

#[tokio::test]
async fn an_answer_whose_stream_ended_is_fetched_by_its_event_id() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    site.next(Trick::Resume);
    assert_eq!(client.text("count", json!({})).await, "1");
    assert_eq!(site.sent("last-event-id"), ["half"]);
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_found_again() {
    let mut first = Router::of_demo().await;
    let address = first.url("").replace("http://", "");
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let second = Router::mounting(json!({ "far": { "url": first.mcp("demo") } })).await;
    let client = Client::open(&second, "far").await;
    assert_eq!(client.text("echo", json!({ "text": "a" })).await, "a");
    first.signal(rustix::process::Signal::KILL);
    first.exit().await;
    let answer = client.call("echo", json!({ "text": "b" })).await;
    assert_eq!(code(&answer), -31001, "{answer}");
    let words =
        ["--port", &port, "--named-server", "demo", &format!("{} demo-server", support::router::BINARY)];
    let _again = Router::with_options(&words).await;
    let text = eventually("it is reached again", async || {
        let answer = client.call("echo", json!({ "text": "c" })).await;
        answer["result"]["content"][0]["text"].as_str().map(str::to_owned)
    });
    assert_eq!(text.await, "c");
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_for_the_request_at_hand() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let far = json!({ "url": format!("http://127.0.0.1:{port}/servers/demo/mcp") });
    let router = Router::mounting(json!({ "far": far, "near": demo() })).await;
    let near = Client::open(&router, "near").await;
    assert_eq!(near.text("echo", json!({ "text": "a" })).await, "a");
    for answer in [
        mcp::Client::at(router.mcp("far"))
            .request(json!(1), "initialize", mcp::hello("2025-11-25", json!({})))
            .await,
        Modern::at(router.mcp("far")).call(1, "echo", json!({ "text": "a" })).await,
    ] {
        assert_eq!(answer.status, 503);
        assert_eq!(code(&answer.outcome().await), -31001);
    }
    let words = [
        "--port",
        &port.to_string(),
        "--named-server",
        "demo",
        &format!("{} demo-server", support::router::BINARY),
    ];
    let _far = Router::with_options(&words).await;
    let client = Client::open(&router, "far").await;
    assert_eq!(client.text("echo", json!({ "text": "b" })).await, "b");
}

#[tokio::test]
async fn the_configured_headers_are_sent_and_no_header_of_a_client() {
    let site = Site::start().await;
    let entry = with(site.entry(), &json!({ "headers": { "X-Key": "s3cret-key" } }));
    let router = Router::mounting(json!({ "site": entry })).await;
    let client =
        mcp::Client::at(router.mcp("site")).with("authorization", "Bearer hers").with("cookie", "a=b");
    let answer = client.request(json!(1), "initialize", mcp::hello("2025-11-25", json!({}))).await;
    assert_eq!(answer.status, 200);
    assert!(site.sent("x-key").iter().all(|value| value == "s3cret-key") && !site.sent("x-key").is_empty());
    assert_eq!((site.sent("authorization"), site.sent("cookie")), (vec![], vec![]));
    let shown = router.status().await.to_string() + &router.log();
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn the_headers_of_a_modern_call_are_made_from_the_tools_that_the_server_lists() {
    let site = Site::modern().await;
    let router = Router::mounting(json!({ "site": site.entry() })).await;
    // A legacy client has never heard of such headers.
    let client = Client::open(&router, "site").await;
    assert_eq!(client.text("where", json!({ "region": "north" })).await, "1");
    assert_eq!(site.sent("mcp-param-region"), ["north"]);
    assert!(site.sent("mcp-session-id").is_empty());
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_tool_whose_parameters_cannot_be_headers_is_left_out() {
    let site = Site::modern().await;
    let router = Router::mounting(json!({ "site": site.entry() })).await;
    let names = |answer: &Value| {
        answer["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].clone())
            .collect::<Vec<_>>()
    };
    let listed = Modern::at(router.mcp("site")).request(1, "tools/list", json!({})).await.outcome().await;
    assert_eq!(names(&listed), ["where"], "{listed}");
    let listed = Client::open(&router, "site").await.request("tools/list", json!({})).await;
    assert_eq!(names(&listed), ["where"], "{listed}");
}

#[tokio::test]
async fn a_redirect_to_another_server_is_not_followed() {
    let (site, other) = (Site::start().await, Site::start().await);
    let (_router, client) = before(&site).await;
    site.next(Trick::Redirect(307, format!("{}/mcp?key=s3cret", other.address)));
    let answer = client.call("count", json!({})).await;
    assert_eq!(code(&answer), -31001, "{answer}");
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&other.address) && !message.contains("s3cret"), "{message}");
    site.next(Trick::Redirect(308, format!("{}/elsewhere", site.address)));
    assert_eq!(client.text("count", json!({})).await, "1", "the same server may move");
    assert_eq!((site.calls(), other.calls()), (1, 0));
}

#[tokio::test]
async fn what_is_secret_in_a_url_is_not_shown_because_a_server_repeats_it() {
    let site = Site::start().await;
    let url = format!("{}/${{NO_SUCH_VARIABLE:-s3cret-path}}/mcp", site.address);
    let router = Router::mounting(json!({ "site": { "url": url, "pool": { "warm": 0 } } })).await;
    let client = Client::open(&router, "site").await;
    site.next(Trick::Redirect(307, "http://127.0.0.1:1/s3cret-path/mcp".to_owned()));
    let answer = client.call("count", json!({})).await;
    assert_eq!(code(&answer), -31001, "{answer}");
    let shown = answer.to_string() + &router.status().await.to_string() + &router.log();
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_status_that_is_no_answer_is_told_in_words() {
    let site = Site::start().await;
    let (_router, client) = before(&site).await;
    let cases = [(401, -31001), (403, -31001), (429, -31004), (503, -31001), (502, -31002), (418, -31006)];
    for (status, wanted) in cases {
        site.next(Trick::Status(status, "because"));
        let answer = client.call("count", json!({})).await;
        assert_eq!(code(&answer), wanted, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&status.to_string()) && message.contains("because"), "{message}");
    }
    assert_eq!(client.text("count", json!({})).await, "1");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_the_session_goes_on() {
    let site = Site::start().await;
    let file = json!({ "mcpServers": { "site": site.entry() }, "limits": { "line": 100_000 } });
    let router = Router::start(file, &[]).await;
    let client = Client::open(&router, "site").await;
    site.next(Trick::Long(200_000));
    assert_eq!(code(&client.call("count", json!({})).await), -31005);
    site.next(Trick::Long(90_000));
    assert_eq!(client.text("count", json!({})).await.len(), 90_000);
}

#[tokio::test]
async fn the_session_with_the_server_ends_with_the_clients() {
    let site = Site::start().await;
    let (mut router, client) = before(&site).await;
    assert_eq!(site.sessions(), 1);
    client.leave().await;
    eventually("the session has ended", async || (site.sessions() == 0).then_some(())).await;
    let other = Client::open(&router, "site").await;
    assert_eq!(other.text("count", json!({})).await, "1");
    router.signal(rustix::process::Signal::TERM);
    assert!(router.exit().await.success());
    assert_eq!(site.sessions(), 0, "the router has said goodbye");
}
