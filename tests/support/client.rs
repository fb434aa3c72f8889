//! A lean client of Streamable HTTP, which shows every status, header and event.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::router::Router;
use super::within;

/// What a client says of itself in `initialize`.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) version: &'static str,
    pub(crate) capabilities: Value,
    pub(crate) name: &'static str,
}

/// A client with a session.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    version: String,
    session: String,
    /// The result of `initialize`.
    pub(crate) opened: Value,
    last_id: AtomicU64,
}

/// An answer to a request over HTTP: JSON or events, read message by message.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: Vec<u8>,
    ended: bool,
}

impl Default for Hello {
    fn default() -> Self {
        Self { version: "2025-11-25", capabilities: json!({}), name: "story" }
    }
}

impl Hello {
    /// The message that opens a session.
    pub(crate) fn initialize(&self) -> Value {
        let info = json!({ "name": self.name, "version": "1" });
        let params = json!({
            "protocolVersion": self.version, "capabilities": self.capabilities, "clientInfo": info,
        });
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
    }
}

impl Client {
    /// Opens a session on a mount.
    pub(crate) async fn open(router: &Router, mount: &str) -> Self {
        Self::open_as(router, mount, &Hello::default()).await
    }

    /// Opens a session on a mount, with a handshake of its own.
    pub(crate) async fn open_as(router: &Router, mount: &str, hello: &Hello) -> Self {
        match Self::try_open(router, mount, hello).await {
            Ok(client) => client,
            Err(mut reply) => {
                let said = reply.next().await;
                panic!("{} instead of a session: {said:?}", reply.status)
            }
        }
    }

    /// Tries to open a session; else what the router answered.
    pub(crate) async fn try_open(router: &Router, mount: &str, hello: &Hello) -> Result<Self, Reply> {
        let mut client = Self {
            http: super::http_client(),
            url: router.url(&format!("/servers/{mount}/mcp")),
            version: String::new(),
            session: String::new(),
            opened: Value::Null,
            last_id: AtomicU64::new(0),
        };
        let mut reply = client.post(&hello.initialize()).await;
        let Some(session) = reply.headers.get("mcp-session-id") else { return Err(reply) };
        client.session = session.to_str().expect("visible characters").to_owned();
        let answer = reply.next().await.expect("an answer to initialize");
        client.opened = answer["result"].clone();
        let version = answer["result"]["protocolVersion"].as_str();
        client.version = version.unwrap_or_else(|| panic!("no version: {answer}")).to_owned();
        client.notify("notifications/initialized", json!({})).await;
        Ok(client)
    }

    /// The id of the session.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// POST of one message.
    pub(crate) async fn post(&self, message: &Value) -> Reply {
        self.send(self.on(Method::POST).json(message)).await
    }

    /// A notification, or an answer to a question of the server.
    pub(crate) async fn tell(&self, message: &Value) {
        let reply = self.post(message).await;
        assert_eq!(reply.status, 202, "{message}");
    }

    /// A notification.
    pub(crate) async fn notify(&self, method: &str, params: Value) {
        self.tell(&json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// An answer to a question of the server.
    pub(crate) async fn answer(&self, question: &Value, result: Value) {
        self.tell(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
    }

    /// A request; the reply is read by the caller.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Reply {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await
    }

    /// A request, and the response to it; what precedes the response is dropped.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Value {
        let mut reply = self.ask(method, params).await;
        assert_eq!(reply.status, 200, "{method}");
        reply.response().await
    }

    /// Begins a tool's call.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value) -> Reply {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// The response to a tool's call.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// The text that a tool answers.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        text(&self.call(tool, arguments).await)
    }

    /// GET: a stream for what the server says unasked.
    pub(crate) async fn listen(&self) -> Reply {
        let reply = self.send(self.on(Method::GET)).await;
        assert_eq!(reply.status, 200);
        reply
    }

    /// DELETE: the end of the session. Returns the status.
    pub(crate) async fn leave(&self) -> u16 {
        self.send(self.on(Method::DELETE)).await.status
    }

    fn on(&self, method: Method) -> RequestBuilder {
        let accept = match method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        let request = self.http.request(method, &self.url).header("accept", accept);
        if self.session.is_empty() {
            return request;
        }
        let request = request.header("mcp-session-id", &self.session);
        if self.version.is_empty() { request } else { request.header("mcp-protocol-version", &self.version) }
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        let answer = within("an answer over HTTP", request.send()).await.expect("an answer over HTTP");
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes_stream().boxed(),
            read: Vec::new(),
            ended: false,
        }
    }
}

impl Reply {
    /// The next message; None at the proper end of the body.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let events = self.headers.get("content-type").is_some_and(|of| of == "text/event-stream");
        while events || !self.ended {
            if let Some(message) = self.event().filter(|_| events) {
                return Some(message);
            }
            match within("the next message", self.body.next()).await {
                Some(bytes) => self.read.extend(bytes.expect("the body ends properly")),
                None if events || self.ended => return None,
                None => self.ended = true,
            }
        }
        serde_json::from_slice(&std::mem::take(&mut self.read)).ok()
    }

    /// The response; what precedes it is dropped.
    pub(crate) async fn response(&mut self) -> Value {
        self.until(|message| message.get("method").is_none()).await
    }

    /// The next message of that method; what precedes it is dropped.
    pub(crate) async fn method(&mut self, method: &str) -> Value {
        self.until(|message| message["method"] == method).await
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await.expect("a message before the end");
            if wanted(&message) {
                return message;
            }
        }
    }

    /// Everything to the end.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }

    /// The code of the JSON-RPC error that the body is.
    pub(crate) async fn code(&mut self) -> i64 {
        code(&self.response().await)
    }

    /// The first message among the events read so far.
    fn event(&mut self) -> Option<Value> {
        loop {
            let end = self.read.windows(2).position(|two| two == b"\n\n")?;
            let event = self.read.drain(..end + 2).collect();
            let event = String::from_utf8(event).expect("UTF-8");
            let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            // A comment, or the event that only has an id.
            if !data.concat().trim().is_empty() {
                return Some(serde_json::from_str(&data.concat()).expect("a message"));
            }
        }
    }
}

/// The text of a tool's result.
pub(crate) fn text(response: &Value) -> String {
    let text = response["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {response}")).to_owned()
}

/// The code of an error response.
pub(crate) fn code(response: &Value) -> i64 {
    response["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {response}"))
}
