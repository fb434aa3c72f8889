//! A session with a mount, in which one request is made after the other.

use crate::access::Caller;
use crate::mount::{Mount, Unserved};
use crate::session::{Client, EventStream, Form, Refused, StreamReader};
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Kind, Malformed, Message, Payload, Revision, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A server has this long for each page of a list.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// What was cancelled has this long to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Who is told, and asked, while a request runs.
pub trait Company: Send {
    /// Whether there is somebody who can fill in a form.
    fn can_be_asked(&self) -> bool {
        false
    }

    /// The server says something of its own accord: a method and its params.
    fn hear(&mut self, _method: &str, _params: &str) {}

    /// The server asks its user something: the params of `elicitation/create`, and the result for it.
    fn asked<'a>(&'a mut self, _params: &'a str) -> BoxFuture<'a, Value> {
        Box::pin(async { json!({ "action": "decline" }) })
    }
}

/// Nobody: nothing is heard, and nothing answered.
impl Company for () {}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server, or the router in its place, has answered with an error.
    #[error("{message} ({code})")]
    Refused {
        /// Its code.
        code: i64,
        /// What it says.
        message: String,
    },
    /// It is no message.
    #[error("it cannot be sent: {0}")]
    Unsendable(#[from] Malformed),
    /// The session is over.
    #[error("the server has ended the session")]
    Ended,
    /// Nothing came.
    #[error("the server did not answer `{method}` within {} s", PATIENCE.as_secs())]
    Silent {
        /// What it was asked.
        method: &'static str,
    },
}

/// A session with a mount; it ends when this is dropped.
#[derive(Debug)]
pub struct Conversation {
    mount: Arc<Mount>,
    client: Arc<Client>,
    reader: StreamReader,
    last_id: u64,
    /// The request that is not answered yet.
    in_flight: Option<u64>,
    opened: Box<str>,
}

impl Conversation {
    /// Opens a session, with the capabilities that `company` has.
    pub async fn open(mount: &Arc<Mount>, company: &mut dyn Company) -> Result<Self, Failure> {
        // 2025-11-25, client/elicitation: "Clients that support elicitation MUST declare the `elicitation` capability";
        // a form is what can be filled in here.
        let capabilities =
            if company.can_be_asked() { json!({ "elicitation": { "form": {} } }) } else { json!({}) };
        let info = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
        let hello = json!({
            "protocolVersion": Revision::NEWEST_LEGACY.to_string(), "capabilities": capabilities, "clientInfo": info,
        });
        let first = request(0, "initialize", &hello.to_string())?;
        let (client, reader) = mount.sit_down(EventStream::patient(), &first, &Caller::anyone()).await?;
        let opened = Box::default();
        let mut talk = Self { mount: mount.clone(), client, reader, last_id: 0, in_flight: None, opened };
        talk.post(first).await?;
        talk.opened = talk.answer_to(0, company).await?;
        talk.post(notification("notifications/initialized", "{}")).await?;
        Ok(talk)
    }

    /// The result of the handshake.
    pub fn opened(&self) -> &str {
        &self.opened
    }

    /// The tools that the server lists, each as it was written.
    pub async fn tools(&mut self) -> Result<Vec<Box<str>>, Failure> {
        let mut tools = Vec::new();
        let mut params = "{}".to_owned();
        for _ in 0..MOST_PAGES {
            let page = tokio::time::timeout(PATIENCE, self.request("tools/list", &params, &mut ())).await;
            let page = match page.map_err(|_| Failure::Silent { method: "tools/list" })? {
                // It has none.
                Err(Failure::Refused { code, .. }) if code == Code::MethodNotFound.number() => break,
                page => page?,
            };
            let listed = find(&page, &["tools"]).and_then(items).unwrap_or_default();
            tools.extend(listed.into_iter().map(Box::from));
            match find(&page, &["nextCursor"]).filter(|cursor| cursor.starts_with('"')) {
                Some(cursor) => params = format!(r#"{{"cursor":{cursor}}}"#),
                None => break,
            }
        }
        Ok(tools)
    }

    /// Calls a tool with `arguments`, a JSON object; what its server says meanwhile, `company` hears.
    pub async fn call(
        &mut self,
        tool: &str,
        arguments: &str,
        level: &str,
        company: &mut dyn Company,
    ) -> Result<Box<str>, Failure> {
        if find(&self.opened, &["capabilities", "logging"]).is_some() {
            let level = json!({ "level": level }).to_string();
            // One that has levels, but not this one, has said so.
            let _ = self.request("logging/setLevel", &level, &mut *company).await;
        }
        let name = Value::from(tool);
        let params =
            format!(r#"{{"name":{name},"arguments":{arguments},"_meta":{{"progressToken":"call"}}}}"#);
        self.request("tools/call", &params, company).await
    }

    /// Cancels the request that is not answered yet, if there is one, and gives the server a moment to hear of it.
    pub async fn cancel(&mut self) {
        let Some(id) = self.in_flight.take() else { return };
        let params = format!(r#"{{"requestId":{id},"reason":"the user has cancelled it"}}"#);
        if self.post(notification("notifications/cancelled", &params)).await.is_ok() {
            let _ = tokio::time::timeout(LAST_WORDS, self.answer_to(id, &mut ())).await;
        }
    }

    async fn request(
        &mut self,
        method: &str,
        params: &str,
        company: &mut dyn Company,
    ) -> Result<Box<str>, Failure> {
        self.last_id += 1;
        let id = self.last_id;
        let message = request(id, method, params)?;
        self.in_flight = Some(id);
        self.post(message).await?;
        let answer = self.answer_to(id, company).await;
        self.in_flight = None;
        answer
    }

    /// Waits for the answer to a request.
    async fn answer_to(&mut self, id: u64, company: &mut dyn Company) -> Result<Box<str>, Failure> {
        let id = id.to_string();
        while let Some(line) = self.reader.next().await {
            let Ok(message) = Message::own(line) else { continue };
            let is_it = message.id() == Some(&id);
            match message.kind() {
                Kind::Result if is_it => return Ok(message.body().into()),
                Kind::Error if is_it => {
                    let said = find_string(message.body(), &["message"]).unwrap_or_default();
                    let code = message.error_code().unwrap_or_default();
                    return Err(Failure::Refused { code, message: said });
                }
                Kind::Result | Kind::Error => {}
                Kind::Notification => company.hear(message.method(), message.body()),
                Kind::Request => self.answer(&message, company).await?,
            }
        }
        Err(self.ended())
    }

    /// Why the session is over.
    fn ended(&self) -> Failure {
        self.client.failure().map_or(Failure::Ended, Failure::from)
    }

    /// Answers a question of the server.
    async fn answer(&mut self, question: &Message, company: &mut dyn Company) -> Result<(), Failure> {
        let outcome = match question.method() {
            "ping" => json!({ "result": {} }),
            "elicitation/create" => json!({ "result": company.asked(question.body()).await }),
            method => {
                let code = Code::MethodNotFound.number();
                json!({ "error": { "code": code, "message": format!("{method} is not supported here") } })
            }
        };
        let (key, value) = if outcome.get("result").is_some() {
            ("result", &outcome["result"])
        } else {
            ("error", &outcome["error"])
        };
        let id = question.id().unwrap_or("null");
        self.post(own(format!(r#"{{"jsonrpc":"2.0","id":{id},"{key}":{value}}}"#))).await
    }

    async fn post(&self, message: Message) -> Result<(), Failure> {
        // What comes of it is read from the one stream.
        match self.client.post(Payload::One(message), Form::Either).await {
            Ok(_) => Ok(()),
            Err(Refused::Ended) => Err(self.ended()),
            Err(refused) => Err(Unserved::from(refused).into()),
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.mount.leave(self.client.id().as_str());
    }
}

impl From<Unserved> for Failure {
    fn from(unserved: Unserved) -> Self {
        unserved.into_error().into()
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self::Refused { code: error.code.number(), message: error.message.into_owned() }
    }
}

/// Not all JSON is sent: it may be nested too deep.
fn request(id: u64, method: &str, params: &str) -> Result<Message, Malformed> {
    let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
    Message::own(Bytes::from(line))
}

fn notification(method: &str, params: &str) -> Message {
    own(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#))
}

fn own(line: String) -> Message {
    Message::own(Bytes::from(line)).expect("it is made of valid JSON")
}
