//! What HTTP+SSE of 2024-11-05 promises, and the one-shot POST beside it.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

mod support;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::events::Events;
use support::mcp::{Client, hello, log_line, notification, request, result};
use support::puppet::{puppet, puppet_told, router_of_puppet};
use support::router::{Router, demo, pids, script, with};

/// A client of HTTP+SSE: its stream, and where it posts.
struct Sse {
    stream: Events,
    messages: Client,
}

impl Sse {
    /// Opens the stream at a URL.
    async fn listen(router: &Router, url: String) -> Self {
        let mut stream = Client::at(url).listen().await;
        let endpoint = stream.next().await.unwrap();
        assert_eq!((endpoint.name.as_deref(), &endpoint.id), (Some("endpoint"), &None));
        Self { stream, messages: Client::at(router.url(&endpoint.data.unwrap())) }
    }

    /// Opens the stream of a mount, and the session.
    async fn open(router: &Router, mount: &str) -> Self {
        let mut sse = Self::listen(router, router.sse(mount)).await;
        let capabilities = json!({ "sampling": {}, "elicitation": {}, "roots": {} });
        let opened = sse.ask(json!("initialize"), "initialize", hello("2024-11-05", capabilities)).await;
        assert_eq!(opened["result"]["protocolVersion"], "2024-11-05");
        sse.post(&notification("notifications/initialized", json!({}))).await;
        sse
    }

    async fn post(&self, message: &str) {
        let answer = self.messages.post(message.to_owned()).await;
        assert_eq!((answer.status, answer.text().await.as_str()), (StatusCode::ACCEPTED, "Accepted"));
    }

    /// Posts a request, and returns the next message.
    async fn ask(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.post(&request(id, method, params)).await;
        self.stream.message().await
    }

    async fn echo(&mut self, text: &str) {
        let params = json!({ "name": "echo", "arguments": { "text": text } });
        let answer = self.ask(json!(text), "tools/call", params).await;
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(text), &json!(text)));
    }
}

#[tokio::test]
async fn the_status_counts_streams_of_clients_and_none_of_the_routers_own() {
    let router = Router::of_demo().await;
    // What serves all servers together has sessions with each of them.
    let together = Client::open(router.url("/mcp")).await;
    assert_eq!(together.ask("demo__echo", json!({ "text": "x" })).await, "x");
    assert_eq!(router.status().await["active_sse_connections"], 0);
    let _stands = Sse::listen(&router, router.sse("demo")).await;
    let _speaks = Sse::open(&router, "demo").await;
    assert_eq!(router.status().await["active_sse_connections"], 2);
}

#[tokio::test]
async fn the_stream_begins_with_the_endpoint() {
    let router = Router::of_demo().await;
    for path in ["/servers/demo/sse", "/servers/demo/sse/"] {
        let answer = Client::at(router.url(path)).without("content-type").get().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-accel-buffering"), "no");
        let mut stream = answer.events();
        stream.next().await.unwrap();
        let start = "event: endpoint\ndata: /servers/demo/messages/?session_id=";
        let id = stream.raw.strip_prefix(start).unwrap_or_else(|| panic!("{}", stream.raw));
        let id = id.strip_suffix("\n\n").unwrap_or_else(|| panic!("{}", stream.raw));
        assert!(
            id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'),
            "{id}"
        );
    }
}

#[tokio::test]
async fn answers_come_on_the_stream_as_bare_events() {
    let router = Router::of_demo().await;
    let mut sse = Sse::open(&router, "demo").await;
    sse.echo("hello").await;
    let id = r#""\u00e9""#;
    sse.post(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).await;
    let event = sse.stream.next().await.unwrap();
    assert_eq!((event.name.as_deref(), event.id.as_deref()), (Some("message"), None));
    assert!(event.data.unwrap().contains(&format!(r#""id":{id}"#)));
}

#[tokio::test]
async fn every_spelling_of_the_path_and_of_the_session_is_taken() {
    let router = Router::of_demo().await;
    let mut sse = Sse::open(&router, "demo").await;
    let id = sse.messages.url.split_once('=').unwrap().1.to_owned();
    for path in
        ["messages/?session_id=", "messages?session_id=", "messages/?sessionId=", "messages?x=1&sessionId="]
    {
        sse.messages.url = router.url(&format!("/servers/demo/{path}{id}"));
        sse.echo(path).await;
    }
}

#[tokio::test]
async fn everything_of_a_conversation_comes_on_the_one_stream() {
    let router = Router::of_demo().await;
    let mut sse = Sse::open(&router, "demo").await;
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments, "_meta": { "progressToken": "p" } });
    let question = sse.ask(json!(1), "tools/call", call("sample", json!({ "prompt": "hi" }))).await;
    assert_eq!(question["method"], "sampling/createMessage");
    let content =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "there" } });
    sse.post(&result(question["id"].clone(), content)).await;
    assert_eq!(sse.stream.message().await["result"]["content"][0]["text"], "there");
    let first = sse.ask(json!(2), "tools/call", call("count", json!({ "to": 3 }))).await;
    assert_eq!(first["params"]["progress"], 1);
    assert_eq!(sse.stream.message().await["params"]["progress"], 2);
    assert_eq!(sse.stream.message().await["params"]["progress"], 3);
    assert_eq!(sse.stream.message().await["id"], 2);
    let change = sse.ask(json!(3), "tools/call", call("toggle", json!({}))).await;
    assert_eq!(change["method"], "notifications/tools/list_changed");
    assert_eq!(sse.stream.message().await["id"], 3);
}

#[tokio::test]
async fn a_cancelled_request_gets_no_response() {
    let router = router_of_puppet().await;
    let mut sse = Sse::open(&router, "puppet").await;
    sse.post(&request(json!("slow"), "tools/call", json!({ "say": [] }))).await;
    sse.post(&notification("notifications/cancelled", json!({ "requestId": "slow" }))).await;
    // Longer than a cancelled request is given on Streamable HTTP: 2024-11-05 wants no response.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(sse.ask(json!("next"), "ping", json!({})).await["id"], "next");
}

#[tokio::test]
async fn two_clients_who_use_the_same_ids_never_see_each_others_messages() {
    let router = router_of_puppet().await;
    let (mut a, mut b) = (Sse::open(&router, "puppet").await, Sse::open(&router, "puppet").await);
    for (sse, name) in [(&mut a, "a"), (&mut b, "b")] {
        let lines = json!([log_line(name), result(1, json!(name))]);
        sse.post(&request(json!(1), "any", json!({ "say": lines }))).await;
    }
    for (sse, name) in [(&mut a, "a"), (&mut b, "b")] {
        assert_eq!(sse.stream.message().await["params"]["data"], name);
        assert_eq!(sse.stream.message().await["result"], name);
        assert_eq!(sse.ask(json!(2), "ping", json!({})).await["id"], 2);
    }
}

#[tokio::test]
async fn a_post_without_a_session_is_400_and_with_an_unknown_one_404() {
    let router = Router::mounting(json!({ "demo": demo(), "other": demo() })).await;
    let sse = Sse::open(&router, "demo").await;
    let elsewhere = Sse::open(&router, "other").await;
    let streamable = Client::open(router.mcp("demo")).await;
    let ping = request(json!(1), "ping", json!({}));
    let at = |query: &str| Client::at(router.url(&format!("/servers/demo/messages/{query}")));
    assert_eq!(at("").post(ping.clone()).await.refusal().await, (400, -32600));
    let foreign = elsewhere.messages.url.split_once('=').unwrap().1;
    let own = sse.messages.url.split_once('=').unwrap().1;
    let mut bodies = Vec::new();
    for id in ["", "unknown", foreign, streamable.session(), &own[..own.len() - 1], &"x".repeat(4096)] {
        let answer = at(&format!("?session_id={id}")).post(ping.clone()).await;
        assert_eq!(answer.status, 404, "{id}");
        bodies.push(answer.text().await);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let wrong = sse.messages.get().await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST, OPTIONS"));
}

#[tokio::test]
async fn a_malformed_message_is_refused_in_the_post_and_the_session_goes_on() {
    let router = Router::of_demo().await;
    let mut sse = Sse::open(&router, "demo").await;
    for (body, code) in [("{", -32700), ("[]", -32600), ("{}", -32600), ("", -32700)] {
        assert_eq!(sse.messages.post(body).await.refusal().await, (400, code), "{body}");
    }
    let text = sse.messages.clone().with("content-type", "text/plain");
    assert_eq!(text.post("{}").await.refusal().await, (415, -32600));
    sse.echo("still there").await;
}

#[tokio::test]
async fn the_endpoint_names_the_base_path() {
    let file = json!({ "mcpServers": { "demo": demo() } });
    let router = Router::start(file, &["--base-path", "/tools/mcp"]).await;
    // A proxy that is not trusted is not believed.
    let client = Client::at(router.sse("demo")).with("x-forwarded-prefix", "/elsewhere");
    let endpoint = client.listen().await.next().await.unwrap().data.unwrap();
    assert!(endpoint.starts_with("/tools/mcp/servers/demo/messages/?session_id="), "{endpoint}");
}

#[tokio::test]
async fn a_trusted_proxy_says_where_we_are() {
    let file = json!({ "mcpServers": { "demo": demo() } });
    let router = Router::start(file, &["--base-path", "/base", "--trust-proxy", "127.0.0.0/8"]).await;
    for (said, prefix) in [
        ("/outside", "/outside"),
        ("/outside/", "/outside"),
        ("/a/b-c_d.e~f", "/a/b-c_d.e~f"),
        ("", "/base"),
        ("//evil.example", "/base"),
        ("https://evil.example", "/base"),
        ("/a b", "/base"),
        ("/a?b", "/base"),
    ] {
        let client = Client::at(router.sse("demo")).with("x-forwarded-prefix", said);
        let endpoint = client.listen().await.next().await.unwrap().data.unwrap();
        assert!(endpoint.starts_with(&format!("{prefix}/servers/demo/messages/?")), "{said}: {endpoint}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_stream_ends_its_session_and_its_process() {
    let entry = with(puppet(), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "puppet": entry })).await;
    let sse = Sse::open(&router, "puppet").await;
    assert_eq!(router.mount("puppet").await["pids"].as_array().unwrap().len(), 1);
    let Sse { stream, messages } = sse;
    drop(stream);
    router
        .until("puppet", "without sessions", |status| status["sessions"] == 0 && status["pids"] == json!([]))
        .await;
    let late = messages.post(request(json!(1), "ping", json!({}))).await;
    assert_eq!(late.refusal().await, (404, -32001));
}

#[tokio::test]
async fn a_stream_on_which_nobody_initializes_leaves_nothing_behind() {
    let entry = with(demo(), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "demo": entry })).await;
    let sse = Sse::listen(&router, router.sse("demo")).await;
    let early = sse.messages.post(request(json!(1), "tools/list", json!({}))).await;
    assert!(early.status == 202 || early.status == 400, "{}", early.status);
    drop(sse);
    router
        .until("demo", "without sessions", |status| status["sessions"] == 0 && status["pids"] == json!([]))
        .await;
}

#[tokio::test]
async fn clients_of_a_shared_mount_share_a_process_and_nothing_else() {
    let entry = with(demo(), &json!({ "pool": { "mode": "shared", "warm": 0 } }));
    let router = Router::mounting(json!({ "demo": entry })).await;
    let (mut a, mut b) = (Sse::open(&router, "demo").await, Sse::open(&router, "demo").await);
    a.echo("of a").await;
    b.echo("of b").await;
    let sleep = json!({ "name": "count", "arguments": { "to": 2 }, "_meta": { "progressToken": 1 } });
    for sse in [&a, &b] {
        sse.post(&request(json!(1), "tools/call", sleep.clone())).await;
    }
    for sse in [&mut a, &mut b] {
        for progress in [1, 2] {
            let message = sse.stream.message().await;
            let params = &message["params"];
            assert_eq!((&params["progressToken"], &params["progress"]), (&json!(1), &json!(progress)));
        }
        assert_eq!(sse.stream.message().await["id"], 1);
    }
    assert_eq!(router.mount("demo").await["pids"].as_array().unwrap().len(), 1);
    let messages = a.messages.clone();
    drop(a);
    router.until("demo", "down to one session", |status| status["sessions"] == 1).await;
    assert_eq!(messages.post(request(json!(1), "ping", json!({}))).await.status, 404);
    b.echo("still there").await;
}

#[tokio::test]
async fn one_request_without_a_session_is_answered_as_plain_json() {
    let router = Router::of_demo().await;
    for path in ["/servers/demo/sse", "/servers/demo/sse/"] {
        let client = Client::at(router.url(path));
        let call = json!({ "name": "echo", "arguments": { "text": "hello" } });
        let answer = client.request(json!("o"), "tools/call", call).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key("mcp-session-id"));
        let answer = answer.json().await;
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!("o"), &json!("hello")));
        // Also where something precedes the answer, and whatever the client accepts.
        let count = json!({ "name": "count", "arguments": { "to": 3 }, "_meta": { "progressToken": 1 } });
        for client in [client.clone(), client.clone().without("accept"), client.json_only()] {
            let answer = client.request(json!(1), "tools/call", count.clone()).await.json().await;
            assert_eq!(answer["result"]["content"][0]["text"], "Counted to 3.");
        }
        client.notify("notifications/anything", json!({})).await;
    }
}

#[tokio::test]
async fn what_opens_a_conversation_is_sent_to_get_instead() {
    let router = Router::of_demo().await;
    let client = Client::at(router.sse("demo"));
    let claim = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } });
    for (method, params) in [
        ("initialize", hello("2025-11-25", json!({}))),
        ("initialize", claim.clone()),
        ("server/discover", json!({})),
        ("tools/list", claim),
    ] {
        let answer = client.request(json!(1), method, params).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET"),
            "{method}"
        );
        assert!(answer.header("content-type").starts_with("text/plain"));
        assert!(answer.text().await.contains("GET"));
    }
}

#[tokio::test]
async fn head_and_unknown_names_open_nothing() {
    let entry = with(demo(), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "demo": entry })).await;
    let head = Client::at(router.sse("demo")).send(Method::HEAD, "").await;
    assert_eq!((head.status, head.header("content-type")), (StatusCode::OK, "text/event-stream"));
    let nowhere = Client::at(router.sse("nowhere")).get().await;
    assert_eq!(nowhere.refusal().await, (404, -32001));
    let json_only = Client::at(router.sse("demo")).json_only().get().await;
    assert_eq!(json_only.refusal().await, (406, -32600));
    assert_eq!(router.mount("demo").await["sessions"], 0);
}

#[tokio::test]
async fn an_initialize_that_is_posted_twice_while_the_server_starts_ends_nothing() {
    let slow = script(r#"sleep 1; exec "$0" demo-server"#, &[]);
    let entry = with(slow, &json!({ "era": "legacy", "pool": { "mode": "shared", "warm": 0 } }));
    let router = Router::mounting(json!({ "demo": entry })).await;
    let mut sse = Sse::listen(&router, router.sse("demo")).await;
    let opening = request(json!(1), "initialize", hello("2024-11-05", json!({})));
    let again = async {
        router.until("demo", "starting", |mount| !pids(mount).is_empty()).await;
        sse.messages.post(opening.clone()).await.status
    };
    let (first, again) = futures::future::join(sse.messages.post(opening.clone()), again).await;
    assert_eq!((first.status, again), (StatusCode::ACCEPTED, StatusCode::BAD_REQUEST));
    assert_eq!(sse.stream.message().await["id"], 1);
    sse.echo("it goes on").await;
}

#[tokio::test]
async fn what_was_posted_behind_an_initialize_in_the_wrong_era_is_answered_too() {
    let refuses_once = r#"
        if [ -e "$1" ]; then shift; exec "$@"; fi
        touch "$1"; read -r line; sleep 0.5
        echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}'
        cat >/dev/null"#;
    let router = Router::with_file(|directory| {
        let modern = puppet_told(&json!({ "modern": true }));
        let words = modern["args"].as_array().unwrap().iter();
        let words: Vec<_> =
            std::iter::once(&modern["command"]).chain(words).filter_map(Value::as_str).collect();
        let mut entry = script(refuses_once, &[&directory.join("refused")]);
        entry["args"].as_array_mut().unwrap().extend(words.into_iter().map(Value::from));
        json!({ "mcpServers": { "puppet": with(entry, &json!({ "pool": { "warm": 0 } })) } })
    })
    .await;
    let mut sse = Sse::listen(&router, router.sse("puppet")).await;
    sse.post(&request(json!(1), "initialize", hello("2024-11-05", json!({})))).await;
    sse.post(&request(json!(2), "ping", json!({}))).await;
    let (one, two) = (sse.stream.message().await, sse.stream.message().await);
    assert_eq!((&one["id"], &one["error"]["code"]), (&json!(2), &json!(-31002)), "{one}");
    assert_eq!((&two["id"], two["result"].is_object()), (&json!(1), true), "{two}");
}
