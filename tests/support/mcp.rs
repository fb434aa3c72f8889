//! A lean MCP client, which says what it is told and hides nothing of the answers.

#![expect(clippy::needless_pass_by_value, reason = "a story writes its JSON where it is needed")]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::events::Events;
use super::{eventually, within};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A client with the headers that it sends on every request. A clone shares the session.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
}

/// A response whose body may still be coming.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    response: reqwest::Response,
}

impl Client {
    /// A client that accepts everything and has no session.
    pub(crate) fn at(url: impl Into<String>) -> Self {
        let client = Self { http: super::http_client(), url: url.into(), headers: HeaderMap::new() };
        client.with("accept", &format!("{JSON}, {EVENTS}")).with("content-type", JSON)
    }

    /// A client in a session of the newest legacy revision, which can do everything that servers may ask for.
    pub(crate) async fn open(url: impl Into<String>) -> Self {
        Self::open_as(url, "2025-11-25", json!({ "sampling": {}, "elicitation": {}, "roots": {} })).await
    }

    /// A client in a session.
    pub(crate) async fn open_as(url: impl Into<String>, revision: &str, capabilities: Value) -> Self {
        Self::at(url).opened(revision, capabilities).await
    }

    /// The same client, in a session.
    pub(crate) async fn opened(self, revision: &str, capabilities: Value) -> Self {
        let mut client = self;
        let answer = client.request(json!("initialize"), "initialize", hello(revision, capabilities)).await;
        assert_eq!(answer.status, 200);
        let session = answer.header("mcp-session-id").to_owned();
        assert_eq!(answer.outcome().await["result"]["protocolVersion"], revision);
        client = client.with("mcp-session-id", &session).with("mcp-protocol-version", revision);
        client.notify("notifications/initialized", json!({})).await;
        client
    }

    /// The same client with another header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value of a header"),
        );
        self
    }

    /// The same client without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The same session, in which answers are one JSON body.
    pub(crate) fn json_only(&self) -> Self {
        self.clone().with("accept", JSON)
    }

    /// The same session, in which answers are event streams: they begin before the server says anything.
    pub(crate) fn events_only(&self) -> Self {
        self.clone().with("accept", EVENTS)
    }

    /// The id of its session.
    pub(crate) fn session(&self) -> &str {
        self.headers["mcp-session-id"].to_str().expect("ASCII")
    }

    /// Any request.
    pub(crate) async fn send(&self, method: Method, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.http.request(method, &self.url).headers(self.headers.clone()).body(body);
        let response = within("the router answers", request.send()).await.expect("it is an answer");
        Answer { status: response.status(), headers: response.headers().clone(), response }
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.send(Method::POST, body).await
    }

    pub(crate) async fn get(&self) -> Answer {
        self.send(Method::GET, "").await
    }

    pub(crate) async fn delete(&self) -> Answer {
        self.send(Method::DELETE, "").await
    }

    pub(crate) async fn request(&self, id: Value, method: &str, params: Value) -> Answer {
        self.post(request(id, method, params)).await
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Answer {
        self.request(id.into(), "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Calls a tool and wants to know how far it is: the token of its progress is the id.
    pub(crate) async fn call_with_progress(&self, id: i64, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        self.request(json!(id), "tools/call", params).await
    }

    /// Calls a tool, and returns the text that it answers with.
    pub(crate) async fn ask(&self, tool: &str, arguments: Value) -> String {
        let outcome = self.call("ask", tool, arguments).await.outcome().await;
        outcome["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
    }

    /// Sends what needs no answer, and gets none.
    pub(crate) async fn tell(&self, message: Value) {
        let answer = self.post(message.to_string()).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.text().await, "");
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        self.tell(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// Answers a request of the server.
    pub(crate) async fn answer(&self, question: &Value, result: Value) {
        self.tell(json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
    }

    /// Has a puppet do something at once.
    pub(crate) async fn order(&self, orders: Value) {
        self.notify("notifications/order", orders).await;
    }

    /// Has a puppet write lines.
    pub(crate) async fn have_said(&self, lines: &[String]) {
        self.order(json!({ "say": lines })).await;
    }

    /// What a puppet has read so far.
    pub(crate) async fn received(&self) -> Vec<String> {
        let outcome = self.request(json!("received"), "received", json!({})).await.outcome().await;
        serde_json::from_value(outcome["result"]["lines"].clone()).expect("lines")
    }

    /// Waits until a puppet has read a line with this text (not counting orders), and returns it.
    pub(crate) async fn received_line(&self, text: &str) -> String {
        let client = self.json_only();
        let found = |line: &String| line.contains(text) && !line.contains("notifications/order");
        let look = async || client.received().await.into_iter().find(found);
        eventually(&format!("the server is told {text}"), look).await
    }

    /// Opens the stream on which the server speaks unasked.
    pub(crate) async fn listen(&self) -> Events {
        self.events_only().get().await.events()
    }

    /// Goes on with a stream behind an event.
    pub(crate) async fn resume(&self, after: &str) -> Answer {
        self.events_only().with("last-event-id", after).get().await
    }

    /// Whether the session still serves.
    pub(crate) async fn assert_serves(&self) {
        let answer = self.request(json!("still there?"), "ping", json!({})).await;
        assert_eq!(answer.status, 200);
        let outcome = answer.outcome().await;
        assert_eq!((&outcome["id"], &outcome["result"]), (&json!("still there?"), &json!({})), "{outcome}");
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
            .to_str()
            .expect("ASCII")
    }

    pub(crate) fn is_json(&self) -> bool {
        self.headers.get("content-type").is_some_and(|value| value == JSON)
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|value| value == EVENTS)
    }

    /// The body to its end, as it came.
    pub(crate) async fn text(self) -> String {
        within("the body ends", self.response.text()).await.expect("it comes whole")
    }

    /// The one JSON body.
    pub(crate) async fn json(self) -> Value {
        assert!(self.is_json(), "{:?}", self.headers);
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// The events of a stream.
    pub(crate) fn events(self) -> Events {
        assert_eq!(self.status, 200);
        assert!(self.is_stream(), "{:?}", self.headers);
        Events::of(self.response)
    }

    /// Every message until the end, the response last, whichever form they come in.
    pub(crate) async fn messages(self) -> Vec<Value> {
        if self.is_json() {
            return vec![self.json().await];
        }
        self.events().messages().await
    }

    /// The response, whichever form it comes in.
    pub(crate) async fn outcome(self) -> Value {
        self.messages().await.pop().expect("no response")
    }

    /// The status and the code of the error.
    pub(crate) async fn refusal(self) -> (u16, i64) {
        let status = self.status.as_u16();
        (status, self.json().await["error"]["code"].as_i64().expect("a code"))
    }
}

/// The params of an `initialize`.
pub(crate) fn hello(revision: &str, capabilities: Value) -> Value {
    let client = json!({ "name": "story", "version": "1" });
    json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": client })
}

pub(crate) fn request(id: Value, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

pub(crate) fn notification(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

pub(crate) fn result(id: impl Into<Value>, result: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "result": result }).to_string()
}

pub(crate) fn log_line(data: &str) -> String {
    notification("notifications/message", json!({ "level": "info", "data": data }))
}
