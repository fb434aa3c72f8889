//! What Streamable HTTP promises to legacy clients: sessions, forms of answers, statuses.

mod support;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::mcp::{Client, hello, log_line, request, result};
use support::puppet::router_of_puppet;
use support::router::{Router, demo};

#[tokio::test]
async fn initialize_opens_a_session_and_passes_the_clients_own_words_through() {
    let router = router_of_puppet().await;
    let client = Client::at(router.mcp("puppet"));
    let words = r#"{ "method":"initialize", "params":{"clientInfo":{"version":"1e0","name":"\u00e9"},"x":1.10,
        "protocolVersion":"2025-06-18","capabilities":{"unknown":{}}}, "id":0e0, "jsonrpc":"2.0"}"#;
    let answer = client.post(words).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("mcp-session-id").to_owned();
    assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    let outcome = answer.json().await;
    assert_eq!(outcome["result"]["serverInfo"]["name"], "puppet");
    assert_eq!(outcome["result"]["protocolVersion"], "2025-06-18");
    let received = client.with("mcp-session-id", &id).received().await;
    assert_eq!(received[0], words.replace('\n', " "));
}

#[tokio::test]
async fn a_version_that_no_legacy_revision_has_is_forwarded_as_2025_11_25() {
    let router = router_of_puppet().await;
    for version in ["2026-07-28", "1999-01-01"] {
        let client = Client::at(router.mcp("puppet"));
        let answer = client.request(json!(1), "initialize", hello(version, json!({}))).await;
        let client = client.with("mcp-session-id", answer.header("mcp-session-id"));
        assert_eq!(answer.json().await["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(
            client.received().await[0],
            request(json!(1), "initialize", hello("2025-11-25", json!({})))
        );
    }
}

#[tokio::test]
async fn what_the_server_answers_to_initialize_reaches_the_client_also_when_it_refuses() {
    let router = router_of_puppet().await;
    let client = Client::at(router.mcp("puppet"));
    let error = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32000, "message": "not you" } });
    let mut params = hello("2025-11-25", json!({}));
    params["say"] = json!([error.to_string()]);
    let answer = client.request(json!(1), "initialize", params).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("mcp-session-id"));
    assert_eq!(answer.json().await, error);
}

#[tokio::test]
async fn an_answer_that_comes_first_is_one_json_body() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let answer = client.call(1, "echo", json!({ "text": "hello" })).await;
    assert!(answer.is_json());
    assert!(!answer.headers.contains_key("mcp-session-id"));
    let content = json!([{ "type": "text", "text": "hello" }]);
    assert_eq!(answer.json().await["result"]["content"], content);
    let failed = client.call(2, "no such tool", json!({})).await;
    assert!(failed.is_json());
    assert_eq!(failed.status, 200);
}

#[tokio::test]
async fn what_precedes_the_answer_makes_it_an_event_stream() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let lines = [log_line("before"), result(1, json!("done")), log_line("after")];
    let answer = client.call(1, "any", json!({ "say": lines })).await;
    assert!(answer.is_stream());
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("cache-control"), "no-store");
    let messages = answer.messages().await;
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["params"]["data"], "before");
    assert_eq!(messages[1]["result"], "done");
}

#[tokio::test]
async fn a_client_of_event_streams_only_gets_one() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await.events_only();
    let answer = client.call(1, "echo", json!({ "text": "hello" })).await;
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let events = answer.events().rest().await;
    assert_eq!(events.last().unwrap().name.as_deref(), Some("message"));
    assert_eq!(events.last().unwrap().message().unwrap()["result"]["content"][0]["text"], "hello");
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_ten_seconds_becomes_an_event_stream() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let begun = Instant::now();
    let answer = client.call(1, "any", json!({ "say": [] })).await;
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(answer.is_stream());
    client.have_said(&[result(1, json!("late"))]).await;
    assert_eq!(answer.outcome().await["result"], "late");
}

#[tokio::test]
async fn any_accept_header_that_allows_an_answer_gets_one() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    for (accept, json, events) in [
        ("*/*", true, true),
        ("application/*", true, false),
        ("application/json", true, false),
        ("text/event-stream", false, true),
        ("application/json;q=0.1, text/html", true, false),
        ("Text/Event-Stream, APPLICATION/json", true, true),
    ] {
        let client = Client::open(router.mcp("demo")).await.with("accept", accept);
        let early = client.call(1, "echo", json!({ "text": "hello" })).await;
        assert_eq!((early.is_json(), early.is_stream()), (json, !json), "{accept}");
        assert_eq!(early.outcome().await["result"]["content"][0]["text"], "hello");
        let late = client.call_with_progress(1, "count", json!({ "to": 1 })).await;
        assert_eq!((late.is_json(), late.is_stream()), (!events, events), "{accept}");
        late.outcome().await;
    }
    let bare = client.clone().without("accept");
    assert!(bare.call(1, "echo", json!({ "text": "hello" })).await.is_json());
    for accept in ["text/html", "image/*, text/plain", "*/*;q=0"] {
        let client = client.clone().with("accept", accept);
        assert_eq!(client.call(1, "echo", json!({ "text": "hello" })).await.refusal().await, (406, -32600));
        assert_eq!(client.get().await.refusal().await, (406, -32600));
        client.notify("notifications/anything", json!({})).await;
    }
    assert_eq!(client.json_only().get().await.refusal().await, (406, -32600));
}

#[tokio::test]
async fn notifications_and_answers_are_accepted_without_a_body() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let messages = [
        json!({ "jsonrpc": "2.0", "method": "notifications/anything" }),
        json!({ "jsonrpc": "2.0", "id": 9, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": "s", "error": { "code": -1, "message": "no" } }),
    ];
    for message in &messages {
        client.tell(message.clone()).await;
    }
    let received = client.received().await;
    assert_eq!(received[2..5], messages.map(|message| message.to_string()));
}

#[tokio::test]
async fn ids_are_echoed_to_the_letter() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    for id in [
        "1",
        "1.0",
        "\"1\"",
        "1e2",
        "-0",
        "0",
        "123456789012345678901234567890",
        "3.141592653589793238462643383279",
        "\"\"",
        r#""\u00e9\/\n""#,
        r#""\ud83d\ude00""#,
        "\"é\u{7f}\"",
    ] {
        let answer = client.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).await;
        let body = answer.text().await;
        assert!(
            body.contains(&format!(r#""id":{id},"#)) || body.contains(&format!(r#""id":{id}}}"#)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_request_whose_id_is_in_use_is_refused_and_the_first_one_goes_on() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let first = client.events_only().call(1, "any", json!({ "say": [] })).await;
    let second = client.call(1, "any", json!({})).await;
    assert_eq!(second.refusal().await, (200, -32600));
    client.have_said(&[result(1, json!("first"))]).await;
    assert_eq!(first.outcome().await["result"], "first");
    assert_eq!(client.call(1, "any", json!({})).await.outcome().await["result"], json!({}));
}

#[tokio::test]
async fn delete_ends_the_session_at_once_and_then_everything_is_404() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let other = Client::open(router.mcp("demo")).await;
    let stream = client.listen().await;
    let call = client.events_only().call(1, "sleep", json!({ "ms": 60_000 })).await;
    let begun = Instant::now();
    let deleted = client.delete().await;
    assert_eq!(deleted.status, 204);
    assert_eq!(deleted.text().await, "");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(call.outcome().await["error"]["code"].is_number());
    assert!(stream.messages().await.is_empty());
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let body = request(json!(1), "ping", json!({}));
        assert_eq!(client.send(method, body).await.refusal().await, (404, -32001));
    }
    let notice = client.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!(notice.refusal().await, (404, -32001));
    other.assert_serves().await;
}

#[tokio::test]
async fn every_id_that_is_no_session_here_gets_the_same_404() {
    let router = Router::mounting(json!({ "demo": demo(), "other": demo() })).await;
    let client = Client::open(router.mcp("demo")).await;
    let elsewhere = Client::open(router.mcp("other")).await;
    let mut sse = Client::at(router.sse("demo")).listen().await;
    let endpoint = sse.next().await.unwrap().data.unwrap();
    let ids = [
        "unknown".to_owned(),
        "1.00000000000000000000000000000000".to_owned(),
        elsewhere.session().to_owned(),
        endpoint.split_once('=').unwrap().1.to_owned(),
        client.session()[..client.session().len() - 1].to_owned(),
        format!("{}0", client.session()),
        client.session().to_uppercase() + "A",
        "x".repeat(10 << 10),
        "../../etc/passwd".to_owned(),
        String::new(),
    ];
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let mut bodies = Vec::new();
        for id in &ids {
            let body = request(json!(1), "ping", json!({}));
            let stranger = client.clone().with("mcp-session-id", id);
            let answer = stranger.send(method.clone(), body).await;
            assert_eq!(answer.status, 404, "{method} {id}");
            bodies.push(answer.text().await);
        }
        bodies.dedup();
        let [body] = &bodies[..] else { panic!("{method}: {bodies:?}") };
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["error"]["code"], -32001);
        let nowhere = Client { url: router.mcp("nowhere"), ..client.clone() };
        let answer = nowhere.send(method, request(json!(1), "ping", json!({}))).await;
        assert_eq!(answer.status, 404);
    }
    client.assert_serves().await;
    elsewhere.assert_serves().await;
}

#[tokio::test]
async fn a_request_without_a_session_is_400_and_says_what_to_do() {
    let router = Router::of_demo().await;
    let client = Client::at(router.mcp("demo"));
    let answer = client.request(json!("mine"), "tools/list", json!({})).await;
    assert_eq!(answer.status, 400);
    let error = answer.json().await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!("mine"), &json!(-32600)));
    assert!(error["error"]["message"].as_str().unwrap().contains("initialize"), "{error}");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(client.send(method, "").await.refusal().await, (400, -32600));
    }
    assert_eq!(router.mount("demo").await["sessions"], 0);
}

#[tokio::test]
async fn two_session_ids_in_one_request_are_400() {
    let router = Router::of_demo().await;
    let mut client = Client::open(router.mcp("demo")).await;
    let id = client.headers["mcp-session-id"].clone();
    client.headers.append("mcp-session-id", id);
    assert_eq!(client.request(json!(1), "ping", json!({})).await.refusal().await, (400, -32600));
}

#[tokio::test]
async fn an_unknown_protocol_version_is_400_and_an_absent_one_is_fine() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    for version in ["2025-11-26", "latest", "", "2025-06-18, 2025-06-18"] {
        let client = client.clone().with("mcp-protocol-version", version);
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let answer = client.send(method, request(json!(1), "ping", json!({}))).await;
            assert_eq!(answer.refusal().await, (400, -32600), "{version:?}");
        }
    }
    client.clone().without("mcp-protocol-version").assert_serves().await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        client.clone().with("mcp-protocol-version", version).assert_serves().await;
    }
}

#[tokio::test]
async fn batches_pass_in_2025_03_26_and_are_refused_in_what_came_later() {
    let router = Router::of_demo().await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/anything" },
        { "jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": { "name": "add", "arguments": { "a": 1, "b": 2 } } },
    ]);
    let old = Client::open_as(router.mcp("demo"), "2025-03-26", json!({})).await;
    let answer = old.post(batch.to_string()).await;
    assert_eq!(answer.status, 200);
    let mut answers = answer.json().await;
    let answers = answers.as_array_mut().unwrap();
    answers.sort_by_key(|answer| answer["id"].to_string());
    assert_eq!(answers.iter().map(|answer| &answer["id"]).collect::<Vec<_>>(), [&json!("b"), &json!(1)]);
    assert_eq!(answers[0]["result"]["content"][0]["text"], "3");
    old.tell(json!([{ "jsonrpc": "2.0", "method": "notifications/anything" }])).await;
    let streamed = old.events_only().post(batch.to_string()).await.messages().await;
    assert_eq!(streamed.len(), 2, "{streamed:?}");
    for revision in ["2025-06-18", "2025-11-25"] {
        let new = Client::open_as(router.mcp("demo"), revision, json!({})).await;
        assert_eq!(new.post(batch.to_string()).await.refusal().await, (400, -32600));
        new.assert_serves().await;
    }
}

#[tokio::test]
async fn both_spellings_of_a_path_are_served_without_a_redirect() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo") + "/").await;
    client.assert_serves().await;
    Client { url: router.mcp("demo"), ..client.clone() }.assert_serves().await;
    assert_eq!(client.delete().await.status, 204);
}

#[tokio::test]
async fn head_says_what_get_would_say_without_opening_a_stream() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let answer = client.events_only().send(Method::HEAD, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.text().await, "");
    let unknown = client.clone().with("mcp-session-id", "unknown").send(Method::HEAD, "").await;
    assert_eq!((unknown.status, unknown.text().await), (StatusCode::NOT_FOUND, String::new()));
    client.assert_serves().await;
}

#[tokio::test]
async fn options_and_405_name_the_methods_that_are_served() {
    let router = Router::of_demo().await;
    for (path, methods) in [
        ("/servers/demo/mcp", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/servers/demo/sse/", "GET, HEAD, POST, OPTIONS"),
        ("/servers/demo/messages", "POST, OPTIONS"),
        ("/status", "GET, HEAD, OPTIONS"),
    ] {
        let client = Client::at(router.url(path));
        let options = client.send(Method::OPTIONS, "").await;
        assert_eq!((options.status, options.header("allow")), (StatusCode::NO_CONTENT, methods), "{path}");
        for method in [Method::PUT, Method::PATCH, Method::from_bytes(b"BREW").unwrap()] {
            let answer = client.send(method, "").await;
            assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, methods));
            assert_eq!(answer.json().await["error"]["code"], -32600);
        }
    }
}

#[tokio::test]
async fn only_plain_json_bodies_are_read() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    for (name, value) in
        [("content-type", "text/plain"), ("content-type", "application/xml"), ("content-encoding", "gzip")]
    {
        let answer = client.clone().with(name, value).request(json!(1), "ping", json!({})).await;
        assert_eq!(answer.refusal().await, (415, -32600), "{name}: {value}");
    }
    let bare = client.clone().without("content-type").post("{}").await;
    assert_eq!(bare.refusal().await, (415, -32600));
    client.clone().with("content-type", "Application/JSON; charset=utf-8").assert_serves().await;
    client.clone().with("content-encoding", "identity").assert_serves().await;
}

#[tokio::test]
async fn two_clients_who_use_the_same_ids_never_see_each_others_messages() {
    let router = router_of_puppet().await;
    let a = Client::open(router.mcp("puppet")).await;
    let b = Client::open(router.mcp("puppet")).await;
    assert_ne!(a.session(), b.session());
    let (stream_a, stream_b) = (a.listen().await, b.listen().await);
    let call_a = a.events_only().call_with_progress(1, "any", json!({ "say": [] })).await;
    let call_b = b.events_only().call_with_progress(1, "any", json!({ "say": [] })).await;
    for (client, name) in [(&a, "a"), (&b, "b")] {
        let progress = json!({ "progressToken": 1, "progress": 1, "message": name });
        let lines = [
            support::mcp::notification("notifications/progress", progress),
            support::mcp::notification("notifications/tools/list_changed", json!({ "of": name })),
            log_line(name),
            result(1, json!(name)),
        ];
        client.have_said(&lines).await;
    }
    for (client, stream, call, name, other) in
        [(&a, stream_a, call_a, "a", "\"b\""), (&b, stream_b, call_b, "b", "\"a\"")]
    {
        let messages = call.messages().await;
        assert_eq!(messages.last().unwrap()["result"], name);
        client.delete().await;
        let unasked = stream.messages().await;
        assert_eq!(unasked.len(), 1, "{unasked:?}");
        assert!(!format!("{messages:?}{unasked:?}").contains(other), "{messages:?} {unasked:?}");
    }
}

#[tokio::test]
async fn a_named_server_of_the_command_line_is_served_like_one_of_the_file() {
    let binary = demo()["command"].as_str().unwrap().to_owned();
    let command = format!("{} demo-server", shlex::try_quote(&binary).unwrap());
    let router = Router::with_options(&[
        "--port",
        "0",
        "--named-server",
        "a",
        &command,
        "--named-server",
        "b",
        &command,
    ])
    .await;
    for name in ["a", "b"] {
        let client = Client::open(router.mcp(name)).await;
        assert_eq!(client.ask("echo", json!({ "text": name })).await, name);
    }
}
