//! A lean MCP client, which says what it is told and hides nothing of the answers.

use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::events::{Events, PATIENCE};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A client with the headers that it sends on every request. A clone shares the session.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub headers: HeaderMap,
}

/// A response whose body may still be coming.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    response: reqwest::Response,
}

impl Client {
    /// A client that accepts everything and has no session.
    pub fn at(url: impl Into<String>) -> Self {
        let client = Self { http: reqwest::Client::new(), url: url.into(), headers: HeaderMap::new() };
        client.with("accept", &format!("{JSON}, {EVENTS}")).with("content-type", JSON)
    }

    /// A client in a session of the newest legacy revision, which can do everything that servers may ask for.
    pub async fn open(url: impl Into<String>) -> Self {
        Self::open_as(url, "2025-11-25", json!({ "sampling": {}, "elicitation": {}, "roots": {} })).await
    }

    /// A client in a session.
    pub async fn open_as(url: impl Into<String>, revision: &str, capabilities: Value) -> Self {
        let mut client = Self::at(url);
        let answer = client.request(json!("initialize"), "initialize", hello(revision, capabilities)).await;
        assert_eq!(answer.status, 200);
        let session = answer.header("mcp-session-id").to_owned();
        assert_eq!(answer.outcome().await["result"]["protocolVersion"], revision);
        client = client.with("mcp-session-id", &session).with("mcp-protocol-version", revision);
        client.notify("notifications/initialized", json!({})).await;
        client
    }

    /// The same client with another header.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same client without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The same session, in which answers are one JSON body.
    pub fn json_only(&self) -> Self {
        self.clone().with("accept", JSON)
    }

    /// The same session, in which answers are event streams: they begin before the server says anything.
    pub fn events_only(&self) -> Self {
        self.clone().with("accept", EVENTS)
    }

    /// The id of its session.
    pub fn session(&self) -> &str {
        self.headers["mcp-session-id"].to_str().unwrap()
    }

    /// Any request.
    pub async fn send(&self, method: Method, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.http.request(method, &self.url).headers(self.headers.clone()).body(body);
        let response = tokio::time::timeout(PATIENCE, request.send()).await;
        let response = response.expect("the router does not answer").unwrap();
        Answer { status: response.status(), headers: response.headers().clone(), response }
    }

    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.send(Method::POST, body).await
    }

    pub async fn get(&self) -> Answer {
        self.send(Method::GET, "").await
    }

    pub async fn delete(&self) -> Answer {
        self.send(Method::DELETE, "").await
    }

    pub async fn request(&self, id: Value, method: &str, params: Value) -> Answer {
        self.post(request(id, method, params)).await
    }

    /// Calls a tool.
    pub async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Answer {
        self.request(id.into(), "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Calls a tool and wants to know how far it is: the token of its progress is the id.
    pub async fn call_with_progress(&self, id: i64, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        self.request(json!(id), "tools/call", params).await
    }

    /// Calls a tool, and returns the text that it answers with.
    pub async fn ask(&self, tool: &str, arguments: Value) -> String {
        let outcome = self.call("ask", tool, arguments).await.outcome().await;
        outcome["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
    }

    /// Sends what needs no answer, and gets none.
    pub async fn tell(&self, message: Value) {
        let answer = self.post(message.to_string()).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.text().await, "");
    }

    pub async fn notify(&self, method: &str, params: Value) {
        self.tell(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// Answers a request of the server.
    pub async fn answer(&self, question: &Value, result: Value) {
        self.tell(json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
    }

    /// Has a puppet do something at once.
    pub async fn order(&self, orders: Value) {
        self.notify("notifications/order", orders).await;
    }

    /// Has a puppet write lines.
    pub async fn have_said(&self, lines: &[String]) {
        self.order(json!({ "say": lines })).await;
    }

    /// What a puppet has read so far.
    pub async fn received(&self) -> Vec<String> {
        let outcome = self.request(json!("received"), "received", json!({})).await.outcome().await;
        serde_json::from_value(outcome["result"]["lines"].clone()).unwrap()
    }

    /// Waits until a puppet has read a line with this text (not counting orders), and returns it.
    pub async fn received_line(&self, text: &str) -> String {
        let client = self.json_only();
        let until = Instant::now() + PATIENCE;
        loop {
            let mut lines = client.received().await.into_iter();
            let line = lines.find(|line| line.contains(text) && !line.contains("notifications/order"));
            if let Some(line) = line {
                return line;
            }
            assert!(Instant::now() < until, "the server was never told {text}");
        }
    }

    /// Opens the stream on which the server speaks unasked.
    pub async fn listen(&self) -> Events {
        self.events_only().get().await.events()
    }

    /// Goes on with a stream behind an event.
    pub async fn resume(&self, after: &str) -> Answer {
        self.events_only().with("last-event-id", after).get().await
    }

    /// Whether the session still serves.
    pub async fn assert_serves(&self) {
        let answer = self.request(json!("still there?"), "ping", json!({})).await;
        assert_eq!(answer.status, 200);
        let outcome = answer.outcome().await;
        assert_eq!((&outcome["id"], &outcome["result"]), (&json!("still there?"), &json!({})), "{outcome}");
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers)).to_str().unwrap()
    }

    pub fn is_json(&self) -> bool {
        self.headers.get("content-type").is_some_and(|value| value == JSON)
    }

    pub fn is_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|value| value == EVENTS)
    }

    /// The body to its end, as it came.
    pub async fn text(self) -> String {
        let text = tokio::time::timeout(PATIENCE, self.response.text()).await;
        text.expect("the body does not end").unwrap()
    }

    /// The one JSON body.
    pub async fn json(self) -> Value {
        assert!(self.is_json(), "{:?}", self.headers);
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The events of a stream.
    pub fn events(self) -> Events {
        assert_eq!(self.status, 200);
        assert!(self.is_stream(), "{:?}", self.headers);
        Events::of(self.response)
    }

    /// Every message until the end, the response last, whichever form they come in.
    pub async fn messages(self) -> Vec<Value> {
        if self.is_json() {
            return vec![self.json().await];
        }
        self.events().messages().await
    }

    /// The response, whichever form it comes in.
    pub async fn outcome(self) -> Value {
        self.messages().await.pop().expect("no response")
    }

    /// The status and the code of the error.
    pub async fn refusal(self) -> (u16, i64) {
        let status = self.status.as_u16();
        (status, self.json().await["error"]["code"].as_i64().unwrap())
    }
}

/// The params of an `initialize`.
pub fn hello(revision: &str, capabilities: Value) -> Value {
    let client = json!({ "name": "story", "version": "1" });
    json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": client })
}

pub fn request(id: Value, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

pub fn notification(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

pub fn result(id: impl Into<Value>, result: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "result": result }).to_string()
}

pub fn log_line(data: &str) -> String {
    notification("notifications/message", json!({ "level": "info", "data": data }))
}
