//! A conversation of the legacy era: a client with a session here, and one with each server that it calls.
//!
//! A session with a server begins with the first request for it, and with the client's own `initialize`, so that the server
//! knows whom it speaks to and what that one can be asked. What servers ask gets ids that tell them apart.

mod expected;
mod server;

use super::Endpoint;
use super::catalog::{Listening, Member, Wait};
use super::lists::Kind;
use super::modern::unknown;
use super::route::Route;
use super::viewer::{OwnLists, Viewer};
use crate::access::Caller;
use crate::config::ServerName;
use crate::peer::in_process::{Conversation, Voice};
use crate::protocol::{Level, handshake};
use crate::telemetry::Request;
use crate::wire::meta::find;
use crate::wire::{Code, Era, Kind as MessageKind, Message, Object, RpcError};
use bytes::Bytes;
use serde_json::{Value, json};
use server::Server;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio_util::sync::CancellationToken;

/// Where a session with a server is, or is being opened.
type Place = Arc<tokio::sync::Mutex<Option<Arc<Server>>>>;

/// One conversation.
pub(super) struct Talk {
    endpoint: Arc<Endpoint>,
    voice: Voice,
    caller: Caller,
    hello: OnceLock<Hello>,
    /// Sessions with servers, by server: each is opened by whoever needs it first.
    servers: Mutex<HashMap<u64, Place>>,
    state: Mutex<State>,
    /// The client is told of changes.
    announcing: OnceLock<()>,
    minted: AtomicU64,
    over: CancellationToken,
    me: Weak<Self>,
}

/// What the client has said of itself.
struct Hello {
    initialize: Message,
    viewer: Viewer,
    own: Arc<OwnLists>,
}

#[derive(Default)]
struct State {
    /// The client's requests under way, by id, and which server has got each.
    calls: HashMap<Box<str>, Call>,
    /// What servers have asked the client, by the id that it knows.
    questions: HashMap<Box<str>, Question>,
    /// The log level that the client wants.
    level: Option<Level>,
}

struct Call {
    given_up: CancellationToken,
    server: Option<Arc<Server>>,
}

struct Question {
    server: Arc<Server>,
    /// As the server knows it.
    id: Box<str>,
    /// The token of the client's progress with it.
    token: Option<Box<str>>,
}

/// Begins a conversation with an endpoint.
pub(super) fn begin(endpoint: Arc<Endpoint>, voice: Voice, caller: Caller) -> Arc<dyn Conversation> {
    Arc::new_cyclic(|me| Talk {
        endpoint,
        voice,
        caller,
        hello: OnceLock::new(),
        servers: Mutex::default(),
        state: Mutex::default(),
        announcing: OnceLock::new(),
        minted: AtomicU64::new(0),
        over: CancellationToken::new(),
        me: me.clone(),
    })
}

impl Conversation for Talk {
    fn hear(&self, line: Bytes) {
        let Ok(message) = Message::own(line) else { return };
        match message.kind() {
            MessageKind::Request => self.take(message),
            MessageKind::Notification => self.notice(&message),
            MessageKind::Result | MessageKind::Error => {
                let question = message.id().and_then(|id| self.state().questions.remove(id));
                if let Some(question) = question {
                    let line = message.with_id(&question.id);
                    self.tell(question.server, line);
                }
            }
        }
    }

    fn end(&self) {
        self.over.cancel();
        let servers = std::mem::take(&mut *self.servers());
        drop(servers);
    }
}

impl Talk {
    fn take(&self, message: Message) {
        let Some(talk) = self.me.upgrade() else { return };
        let id: Box<str> = message.id().unwrap_or_default().into();
        let given_up = self.over.child_token();
        self.state().calls.insert(id.clone(), Call { given_up: given_up.clone(), server: None });
        self.endpoint.catalog.tracker().spawn(Request::taken_along(async move {
            let answer = tokio::select! {
                () = given_up.cancelled() => return talk.forget(&id),
                answer = talk.answer(&message) => answer,
            };
            match answer {
                // The server answers.
                Ok(None) => {}
                Ok(Some(result)) => {
                    talk.forget(&id);
                    talk.voice.say(super::answer(&id, result));
                }
                Err(error) => {
                    talk.forget(&id);
                    talk.voice.say(error.to_line(Some(&id)));
                }
            }
        }));
    }

    fn notice(&self, message: &Message) {
        match message.method() {
            "notifications/cancelled" => {
                let Some(id) = find(message.body(), &["requestId"]) else { return };
                let call = self.state().calls.remove(id);
                match call {
                    Some(Call { server: Some(server), .. }) => {
                        // It answers no more, or too late.
                        server.expect_no_more(id);
                        self.tell(server, message.raw().clone());
                    }
                    Some(Call { given_up, server: None }) => given_up.cancel(),
                    None => {}
                }
            }
            "notifications/initialized" => {
                if let (Some(talk), Some(hello)) = (self.me.upgrade(), self.hello.get())
                    && self.announcing.set(()).is_ok()
                {
                    let listening = self.endpoint.catalog.listen(&hello.viewer.capabilities);
                    self.endpoint.catalog.tracker().spawn(talk.announce(listening));
                }
            }
            "notifications/progress" => {
                let Some(raw) = find(message.body(), &["progressToken"]) else { return };
                let asked = {
                    let state = self.state();
                    let question = state.questions.get(raw);
                    question.and_then(|question| Some((question.server.clone(), question.token.clone()?)))
                };
                if let Some((server, token)) = asked {
                    self.tell(server, message.spliced("", Some((raw, &token))));
                }
            }
            // The roots have changed, and what else may concern whoever serves the client.
            _ => {
                let line = message.raw().clone();
                self.tell_all(move |_| Some(line.clone()));
            }
        }
    }

    /// The result of a request; nothing if a server answers it.
    async fn answer(&self, message: &Message) -> Result<Option<String>, RpcError> {
        if message.method() == "initialize" {
            return self.initialize(message).await.map(Some);
        }
        let Some(hello) = self.hello.get() else {
            return Err(RpcError::new(Code::InvalidRequest, "a session begins with `initialize`"));
        };
        match message.method() {
            "ping" => Ok(Some("{}".to_owned())),
            "logging/setLevel" => self.set_level(message).map(Some),
            "tools/call"
            | "prompts/get"
            | "resources/read"
            | "completion/complete"
            | "resources/subscribe"
            | "resources/unsubscribe" => self.call(message, &hello.viewer).await.map(|()| None),
            method => {
                let kind = Kind::asked_by(method).ok_or_else(|| unknown(method))?;
                let offer = self.endpoint.offer(&hello.viewer, Wait::Patiently).await;
                offer.page(kind, message.body(), Era::Legacy).map(Some)
            }
        }
    }

    async fn initialize(&self, message: &Message) -> Result<String, RpcError> {
        let (revision, capabilities) = handshake::asked_for(message);
        let own: Arc<OwnLists> = Arc::default();
        let capabilities = serde_json::from_str(&capabilities).unwrap_or_default();
        let viewer = Viewer { own: Some(own.clone()), ..Viewer::of(&capabilities, &self.caller) };
        let hello = Hello { initialize: message.clone(), viewer, own };
        self.hello
            .set(hello)
            .map_err(|_| RpcError::new(Code::InvalidRequest, "the session has begun already"))?;
        let discovered = self.endpoint.discovered(&self.caller).await;
        let mut result = Object::default();
        result.set("protocolVersion", json!(revision.as_str()).to_string());
        result.set("capabilities", find(&discovered, &["capabilities"]).unwrap_or("{}").to_owned());
        result.set("serverInfo", super::offer::server_info().to_string());
        if let Some(instructions) = find(&discovered, &["instructions"]) {
            result.set("instructions", instructions.to_owned());
        }
        Ok(result.to_json())
    }

    /// Gives a request to the server that it is for.
    async fn call(&self, message: &Message, viewer: &Viewer) -> Result<(), RpcError> {
        let Route { member, request, renamed } = self.endpoint.route(message, viewer).await?;
        let server = self.server(&member).await?;
        let id = message.id().unwrap_or_default();
        let expecting = server.expect(&request, renamed);
        // Whoever cancels it until then, ends this.
        if let Err(error) = server.post(request).await {
            // If it is not expected any more, it was answered when the session ended.
            return if server.expect_no_more(id) { Err(error) } else { Ok(()) };
        }
        expecting.stay();
        if let Some(call) = self.state().calls.get_mut(id) {
            call.server = Some(server);
            return Ok(());
        }
        if server.expect_no_more(id) {
            // It was cancelled just now, and the server has got it all the same.
            let params = format!(r#"{{"requestId":{id}}}"#);
            let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
            self.tell(server, line.into());
        }
        Ok(())
    }

    /// Whether the client may use a server.
    fn may_reach(&self, server: &ServerName) -> bool {
        self.caller.grant().server(self.caller.place(), server.as_str())
    }

    /// The client's session with a server, opened if there is none.
    async fn server(&self, member: &Arc<Member>) -> Result<Arc<Server>, RpcError> {
        let place = self.servers().entry(member.id).or_default().clone();
        let mut place = place.lock().await;
        if let Some(server) = place.as_ref().filter(|server| !server.is_over()) {
            return Ok(server.clone());
        }
        let (Some(talk), Some(hello)) = (self.me.upgrade(), self.hello.get()) else {
            return Err(RpcError::new(Code::ShuttingDown, "the session has ended"));
        };
        let level = self.state().level;
        let server = Server::open(talk, member.clone(), &hello.initialize, level).await?;
        *place = Some(server.clone());
        Ok(server)
    }

    fn set_level(&self, message: &Message) -> Result<String, RpcError> {
        let level = Level::of(message).ok_or_else(Level::unknown)?;
        self.state().level = Some(level);
        let talk = self.me.clone();
        // The one that holds when it is the server's turn.
        self.tell_all(move |server| {
            let level = talk.upgrade()?.state().level?;
            server.set_level(level)
        });
        Ok("{}".to_owned())
    }

    /// Tells the client of changes, until the conversation is over.
    async fn announce(self: Arc<Self>, listening: Listening) {
        let mut news = self.endpoint.catalog.news();
        loop {
            let changed = tokio::select! {
                () = self.over.cancelled() => break,
                changed = news.next() => changed,
            };
            let Some(changed) = changed else { break };
            for kind in changed {
                self.say_changed(kind);
            }
        }
        drop(listening);
    }

    /// Says that one of the lists has changed.
    fn say_changed(&self, kind: &str) {
        self.voice.say(format!(r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed"}}"#).into());
    }

    /// Asks the client what a server asks.
    fn ask(&self, server: &Arc<Server>, question: &Message) {
        let id: Box<str> =
            Value::from(format!("s{}", self.minted.fetch_add(1, Ordering::Relaxed) + 1)).to_string().into();
        // Another server may have the same token: to the client it is called as the question is.
        let token = find(question.body(), &["_meta", "progressToken"]);
        let asked = Question {
            server: server.clone(),
            id: question.id().unwrap_or("null").into(),
            token: token.map(Into::into),
        };
        self.state().questions.insert(id.clone(), asked);
        self.voice.say(question.spliced(&id, token.map(|raw| (raw, &*id))));
    }

    /// A server has given up a question.
    fn withdraw(&self, server: &Arc<Server>, cancelled: &Message) {
        let Some(raw) = find(cancelled.body(), &["requestId"]) else { return };
        let mut state = self.state();
        let is_it = |question: &Question| Arc::ptr_eq(&question.server, server) && &*question.id == raw;
        let known = state.questions.iter().find(|(_, question)| is_it(question)).map(|(id, _)| id.clone());
        let Some(id) = known else { return };
        state.questions.remove(&id);
        drop(state);
        self.voice.say(cancelled.spliced("", Some((raw, &id))));
    }

    /// Sends something to a server that needs no answer of it.
    fn tell(&self, server: Arc<Server>, line: Bytes) {
        if let Ok(message) = Message::own(line) {
            self.endpoint.catalog.tracker().spawn(async move {
                if let Err(error) = server.post(message).await {
                    tracing::debug!(server = %server.name(), "not told: {error}");
                }
            });
        }
    }

    /// Sends something to every server with which there is a session, or will be in a moment.
    fn tell_all(&self, line: impl Fn(&Server) -> Option<Bytes> + Clone + Send + 'static) {
        let places: Vec<Place> = self.servers().values().cloned().collect();
        for place in places {
            let (line, over, talk) = (line.clone(), self.over.clone(), self.me.clone());
            let work = async move {
                let server = place.lock().await;
                let reaches =
                    |server: &Server| talk.upgrade().is_some_and(|talk| talk.may_reach(server.name()));
                let server = server.as_ref().filter(|server| !server.is_over() && reaches(server));
                let Some(server) = server else { return };
                let Some(Ok(message)) = line(server).map(Message::own) else { return };
                if let Err(error) = server.post(message).await {
                    tracing::debug!(server = %server.name(), "not told: {error}");
                }
            };
            self.endpoint.catalog.tracker().spawn(async move {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = work => {}
                }
            });
        }
    }

    /// The session with a server is over: what it has asked needs no answer, and its place is empty.
    fn part_with(&self, server: &Arc<Server>) {
        let asked: Vec<Box<str>> = {
            let mut state = self.state();
            let of_it = state.questions.extract_if(|_, question| Arc::ptr_eq(&question.server, server));
            of_it.map(|(id, _)| id).collect()
        };
        for id in asked {
            let params = format!(r#"{{"requestId":{id}}}"#);
            self.voice.say(
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#).into(),
            );
        }
        let mut servers = self.servers();
        // Whoever has found the place already opens another session there.
        if servers.get(&server.member_id()).is_some_and(|place| Arc::strong_count(place) == 1) {
            servers.remove(&server.member_id());
        }
    }

    fn forget(&self, id: &str) {
        self.state().calls.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<u64, Place>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
