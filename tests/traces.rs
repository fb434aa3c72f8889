//! Traces: a span of each request reaches a collector, in the trace of whoever asked, and the server is told of it.

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::eventually;
use support::mcp::Client;
use support::modern::Modern;
use support::puppet::{puppet, puppet_told};
use support::router::{Router, demo, with};
use tokio_util::task::TaskTracker;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    received: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
    /// What it answers before it takes anything: a status, and after how many seconds it may be asked again.
    answers: Arc<Mutex<VecDeque<Refusal>>>,
}

type Refusal = (u16, Option<&'static str>);

impl Collector {
    /// One that listens; its URL.
    async fn listen() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        (Self::on(listener), url)
    }

    fn on(listener: tokio::net::TcpListener) -> Self {
        let collector = Self::default();
        let take = async |State(collector): State<Self>, headers: HeaderMap, body: Bytes| {
            if let Some((status, after)) = collector.answers.lock().expect("no panic").pop_front() {
                let answer = Response::builder().status(status);
                let answer =
                    after.into_iter().fold(answer, |answer, after| answer.header("retry-after", after));
                return answer.body(Body::empty()).expect("an answer");
            }
            let sent = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
            collector.received.lock().expect("no panic").push((headers, sent));
            Response::new(Body::empty())
        };
        let service = axum::Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        TaskTracker::new().spawn(async move { axum::serve(listener, service).await });
        collector
    }

    fn answers(&self, refusals: &[Refusal]) {
        self.answers.lock().expect("no panic").extend(refusals);
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("no panic");
        let resources = received.iter().flat_map(|(_, sent)| &sent.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits for the span that is such a one.
    async fn span(&self, what: &str, is: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(|span| is(span))).await
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text.clone()),
        AnyValue::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn is_echo(span: &Span) -> bool {
    span.name == "tools/call echo"
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A router with these servers, whose traces go to `url`.
async fn tracing(url: &str, mut file: Value) -> Router {
    file["traces"]["endpoint"] = json!(url);
    Router::start(file, &[]).await
}

/// The line with which a puppet was asked.
async fn heard(client: &Client, text: &str) -> Value {
    serde_json::from_str(&client.received_line(text).await).expect("a message")
}

#[tokio::test]
async fn a_request_is_a_span_in_the_trace_of_its_client_and_the_server_is_told() {
    let (collector, url) = Collector::listen().await;
    let file = json!({
        "mcpServers": { "puppet": with(puppet(), &json!({ "env": { "KEY": "s3cret-of-the-server" } })) },
        "traces": { "headers": { "x-key": "s3cret-of-the-collector" }, "service": "our-router" },
    });
    let router = tracing(&url, file).await;
    let client = Client::open(router.mcp("puppet")).await;
    let asked = client.clone().with("traceparent", PARENT).with("tracestate", "a=1").with("baggage", "k=v");
    let answer = asked.call(7, "look", json!({ "text": "s3cret-argument" })).await;
    let request = answer.header("x-request-id").to_owned();
    answer.text().await;
    let span = collector.span("the call is a span", |span| span.name == "tools/call look").await;
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!((span.kind(), span.trace_state.as_str()), (SpanKind::Server, "a=1"));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "look"),
        ("gen_ai.operation.name", "execute_tool"),
        ("mcp.protocol.version", "2025-11-25"),
        ("mcp_switchboard.server", "puppet"),
        ("mcp_switchboard.eras", "legacy_to_legacy"),
        ("mcp_switchboard.outcome", "ok"),
        ("mcp_switchboard.request_id", &request),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert!(client.session().starts_with(&attribute(&span, "mcp.session.id").unwrap_or_default()));
    let told = heard(&client, "\"look\"").await;
    assert_eq!(
        told["params"]["_meta"],
        json!({ "traceparent": format!("00-{TRACE}-{}-01", hex(&span.span_id)), "tracestate": "a=1", "baggage": "k=v" })
    );
    assert_eq!(told["params"]["arguments"], json!({ "text": "s3cret-argument" }), "all else is as it was");

    let received = collector.received.lock().expect("no panic");
    let (headers, sent) = &received[0];
    assert_eq!(headers["x-key"], "s3cret-of-the-collector");
    let resource = format!("{:?}", sent.resource_spans[0].resource);
    assert!(resource.contains("our-router") && resource.contains("service.version"), "{resource}");
    let all = format!("{:?}", received.iter().map(|(_, sent)| sent).collect::<Vec<_>>());
    assert!(!all.contains("s3cret") && !all.contains(client.session()), "{all}");
    assert!(!router.log().contains("s3cret"), "{}", router.log());
}

#[tokio::test]
async fn what_a_message_says_of_its_trace_goes_before_what_its_headers_say() {
    let (collector, url) = Collector::listen().await;
    let modern = with(puppet_told(&json!({ "modern": true })), &json!({}));
    let router = tracing(&url, json!({ "mcpServers": { "old": puppet(), "new": modern } })).await;
    let own = PARENT.replace("4bf9", "1111");
    let params =
        |tool: &str| json!({ "name": tool, "arguments": {}, "_meta": { "traceparent": own, "vendor/x": 1 } });
    let old = Client::open(router.mcp("old")).await;
    old.clone()
        .with("traceparent", PARENT)
        .request(json!(1), "tools/call", params("first"))
        .await
        .text()
        .await;
    let span = collector.span("the first call", |span| span.name == "tools/call first").await;
    assert_eq!(hex(&span.trace_id), TRACE.replace("4bf9", "1111"));
    let told = heard(&old, "\"first\"").await;
    let parent = |span: &Span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(told["params"]["_meta"], json!({ "traceparent": parent(&span), "vendor/x": 1 }));

    // A modern client, of a server of each era.
    for (name, tool, eras) in [("old", "second", "modern_to_legacy"), ("new", "third", "modern_to_modern")] {
        let client = Modern::at(router.mcp(name)).with("traceparent", PARENT);
        client.request(2, "tools/call", params(tool)).await.text().await;
        let span = collector.span(tool, |span| span.name == format!("tools/call {tool}")).await;
        assert_eq!(hex(&span.trace_id), TRACE.replace("4bf9", "1111"));
        assert_eq!(attribute(&span, "mcp_switchboard.eras").as_deref(), Some(eras));
    }
    let plain = Modern::at(router.mcp("new"));
    let lines = plain.request(3, "received", json!({})).await.outcome().await["result"]["lines"].take();
    let lines: Vec<String> = serde_json::from_value(lines).expect("lines");
    let line = lines.iter().find(|line| line.contains("\"third\"")).expect("it was asked");
    let line: Value = serde_json::from_str(line).expect("a message");
    let span = collector.span("the third call", |span| span.name == "tools/call third").await;
    assert_eq!(line["params"]["_meta"]["traceparent"], parent(&span));
    assert_eq!(line["params"]["_meta"]["vendor/x"], 1);
}

#[tokio::test]
async fn behind_the_endpoint_of_all_servers_the_call_of_the_server_is_a_child() {
    let (collector, url) = Collector::listen().await;
    let router = tracing(&url, json!({ "mcpServers": { "demo": demo() } })).await;
    let legacy = Client::at(router.url("/mcp")).opened("2025-11-25", json!({})).await;
    let headed = legacy.clone().with("traceparent", PARENT);
    headed.call(1, "demo__echo", json!({ "text": "x" })).await.text().await;
    let modern = Modern::at(router.url("/mcp")).with("traceparent", &PARENT.replace("4bf9", "2222"));
    modern.call(2, "demo__echo", json!({ "text": "x" })).await.text().await;
    for trace in [TRACE.to_owned(), TRACE.replace("4bf9", "2222")] {
        let of = |name: &'static str| {
            let trace = trace.clone();
            move |span: &Span| hex(&span.trace_id) == trace && span.name == name
        };
        let outer = collector.span("the call of all", of("tools/call demo__echo")).await;
        let inner = collector.span("the call of the one", of("tools/call echo")).await;
        assert_eq!(hex(&outer.parent_span_id), "00f067aa0ba902b7");
        assert_eq!(inner.parent_span_id, outer.span_id);
        assert_eq!(attribute(&inner, "mcp_switchboard.server").as_deref(), Some("demo"));
        let request = |span: &Span| attribute(span, "mcp_switchboard.request_id");
        assert_eq!(request(&inner), request(&outer));
    }
}

#[tokio::test]
async fn a_client_decides_whether_its_trace_is_kept_and_else_the_share_does() {
    let (collector, url) = Collector::listen().await;
    let file = json!({ "mcpServers": { "puppet": puppet() }, "traces": { "sample": 0 } });
    let router = tracing(&url, file).await;
    let client = Client::open(router.mcp("puppet")).await;
    let unkept = client.clone().with("traceparent", &PARENT.replace("-01", "-00"));
    unkept.call(1, "unkept", json!({})).await.text().await;
    client.call(2, "nobody_asked", json!({})).await.text().await;
    client.clone().with("traceparent", PARENT).call(3, "kept", json!({})).await.text().await;
    // Spans are sent in their order: with the last one the others would be there, too.
    collector.span("what is to be kept", |span| span.name == "tools/call kept").await;
    assert_eq!(collector.spans().len(), 1);
    // The server learns that it is not kept either.
    let told = heard(&client, "\"unkept\"").await;
    let parent = told["params"]["_meta"]["traceparent"].as_str().expect("it is told");
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert_ne!(parent, PARENT.replace("-01", "-00"));
}

#[tokio::test]
async fn an_error_is_an_error_and_a_refusal_has_its_code() {
    let (collector, url) = Collector::listen().await;
    let hidden = with(demo(), &json!({ "tools": { "deny": ["add"] } }));
    let router = tracing(&url, json!({ "mcpServers": { "demo": hidden } })).await;
    let client = Client::open(router.mcp("demo")).await;
    client.call(1, "add", json!({ "a": 1, "b": 2 })).await.text().await;
    client.request(json!(2), "no/such", json!({})).await.text().await;
    let refused = collector.span("the refused call", |span| span.name == "tools/call add").await;
    let unknown = collector.span("the unknown method", |span| span.name == "other").await;
    for (span, code) in
        [(&refused, attribute(&refused, "rpc.response.status_code")), (&unknown, Some("-32601".to_owned()))]
    {
        assert_eq!(span.status.as_ref().expect("a status").code(), StatusCode::Error);
        assert_eq!(attribute(span, "error.type"), code);
        assert!(code.is_some_and(|code| code.starts_with('-')));
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_said_once_and_gets_what_waits_when_it_is_back() {
    let (_, url) = Collector::listen().await;
    // A port that was free a moment ago, at which nobody listens.
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    assert!(!url.ends_with(&address.port().to_string()));
    let mut router = tracing(&format!("http://{address}"), json!({ "mcpServers": { "demo": demo() } })).await;
    let client = Client::open(router.mcp("demo")).await;
    assert_eq!(client.ask("echo", json!({ "text": "a" })).await, "a");
    router.logs("the collector does not take traces").await;
    assert_eq!(client.ask("echo", json!({ "text": "b" })).await, "b");
    let collector =
        Collector::on(tokio::net::TcpListener::bind(address).await.expect("the port is free again"));
    router.logs("the collector takes traces again").await;
    // Both calls: the first one waited for the collector, the second one for the first.
    let both = async || (collector.spans().iter().filter(|span| is_echo(span)).count() == 2).then_some(());
    eventually("nothing was lost", both).await;
    assert_eq!(router.log().matches("the collector does not take traces").count(), 1, "{}", router.log());
    router.signal(Signal::TERM);
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn a_collector_that_has_too_much_to_do_is_asked_again_and_one_that_refuses_is_not() {
    let (collector, url) = Collector::listen().await;
    collector.answers(&[(503, Some("0")), (429, Some("0")), (400, None)]);
    let router = tracing(&url, json!({ "mcpServers": { "demo": demo() } })).await;
    let client = Client::open(router.mcp("demo")).await;
    client.ask("echo", json!({ "text": "refused" })).await;
    router.logs("it answered 503 Service Unavailable").await;
    let refused = async || collector.answers.lock().expect("no panic").is_empty().then_some(());
    eventually("it was asked three times", refused).await;
    client.ask("echo", json!({ "text": "taken" })).await;
    router.logs("the collector takes traces again").await;
    assert_eq!(collector.spans().iter().filter(|span| is_echo(span)).count(), 1);
    let log = router.log();
    let told = log.lines().find(|line| line.contains("takes traces again")).expect("it was logged");
    assert!(!told.contains("lost=0"), "what was refused is counted: {told}");
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (collector, url) = Collector::listen().await;
    let mut router = tracing(&url, json!({ "mcpServers": { "demo": demo() } })).await;
    let client = Client::open(router.mcp("demo")).await;
    client.ask("echo", json!({ "text": "last" })).await;
    router.signal(Signal::TERM);
    assert!(router.exit().await.success());
    assert!(collector.spans().iter().any(|span| span.name == "tools/call echo"));
}

#[tokio::test]
async fn without_traces_what_a_client_says_of_its_own_passes_untouched() {
    let router = Router::mounting(json!({ "puppet": puppet() })).await;
    let client = Client::open(router.mcp("puppet")).await;
    let params = json!({ "name": "look", "arguments": {}, "_meta": { "traceparent": PARENT } });
    client
        .clone()
        .with("traceparent", PARENT)
        .request(json!(1), "tools/call", params.clone())
        .await
        .text()
        .await;
    assert_eq!(heard(&client, "\"look\"").await["params"], params);
    client.clone().with("traceparent", PARENT).call(2, "again", json!({})).await.text().await;
    assert_eq!(heard(&client, "\"again\"").await["params"], json!({ "name": "again", "arguments": {} }));
}
