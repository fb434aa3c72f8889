//! One client's session with one server.

use super::Talk;
use super::expected::Expected;
use crate::aggregate::catalog::{Member, Wait};
use crate::aggregate::lists::{self, Lists, Refusal, result_of};
use crate::config::ServerName;
use crate::mount::Unserved;
use crate::protocol::Level;
use crate::protocol::handshake::INITIALIZED;
use crate::protocol::subscription::LISTS;
use crate::session::{Client, EventStream, Form, SessionId, StreamReader};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Kind as MessageKind, Message, Object, Payload, RpcError};
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether what is in flight with a server that is replaced has finished.
const LOOK: Duration = Duration::from_millis(50);

/// One client's session with one server.
pub(super) struct Server {
    member: Arc<Member>,
    client: Arc<Client>,
    /// The result of its `initialize`.
    opened: Box<str>,
    /// What the ids of the router's own requests begin with, as JSON: no client can guess it.
    mark: Box<str>,
    expected: Mutex<Expected>,
    minted: AtomicU64,
    /// Changes of lists that the server has announced.
    announced: AtomicU64,
    /// How many of them what the client is shown has in it.
    shown: tokio::sync::Mutex<u64>,
    over: CancellationToken,
    me: Weak<Self>,
}

impl Server {
    /// Opens a session for a client, with the `initialize` that it has sent. `level`: the log level that it wants.
    pub(super) async fn open(
        talk: Arc<Talk>,
        member: Arc<Member>,
        initialize: &Message,
        level: Option<Level>,
    ) -> Result<Arc<Self>, RpcError> {
        let random =
            SessionId::random().map_err(|error| RpcError::new(Code::InternalError, error.to_string()))?;
        let mark: Box<str> = format!("\"{}/{}/", env!("CARGO_PKG_NAME"), random.as_str()).into();
        let initialize = own(initialize.with_id(&format!("{mark}0\"")))?;
        let seated = member.mount.sit_down(EventStream::patient(), &initialize, &talk.caller).await;
        let (client, mut reader) = seated.map_err(Unserved::into_error)?;
        // Whatever happens until it is open, it is left behind.
        let leaving = Leaving(Some((member.clone(), client.clone())));
        let posted = client.post(Payload::One(initialize), Form::Either).await;
        posted.map(drop).map_err(|refused| refusal(refused.into()))?;
        let opened = loop {
            let Some(line) = reader.next().await else {
                let ended = || RpcError::new(Code::ServerExited, "the server ended before it was open");
                return Err(client.failure().unwrap_or_else(ended));
            };
            let message = own(line)?;
            match message.kind() {
                MessageKind::Result => break message.body().into(),
                MessageKind::Error => return Err(refused(&member, &message)),
                // It has nothing to say yet.
                MessageKind::Request | MessageKind::Notification => {}
            }
        };
        let server = Arc::new_cyclic(|me| Self {
            member,
            client,
            opened,
            mark,
            expected: Mutex::new(Expected::new()),
            minted: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            shown: tokio::sync::Mutex::default(),
            over: CancellationToken::new(),
            me: me.clone(),
        });
        let tracker = talk.endpoint.catalog.tracker().clone();
        tracker.spawn(server.clone().attend(Arc::downgrade(&talk), talk.over.clone(), reader));
        server.post(own(INITIALIZED.into())?).await?;
        if let Some(line) = level.and_then(|level| server.set_level(level)) {
            server.post(own(line)?).await?;
        }
        leaving.stay();
        Ok(server)
    }

    /// The name of the server.
    pub(super) fn name(&self) -> &ServerName {
        self.member.mount.name()
    }

    /// Which of the servers it is with.
    pub(super) fn member_id(&self) -> u64 {
        self.member.id
    }

    /// Whether it can be used no more.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Sends a message.
    pub(super) async fn post(&self, message: Message) -> Result<(), RpcError> {
        let posted = self.client.post(Payload::One(message), Form::Either).await;
        posted.map(drop).map_err(|refused| refusal(refused.into()))
    }

    /// The client has a request under way that the server is to answer, unless what is returned is dropped.
    pub(super) fn expect(
        self: &Arc<Self>,
        request: &Message,
        renamed: Option<(String, String)>,
    ) -> Expecting {
        let id = self.expected().call(request, renamed);
        Expecting(Some((self.clone(), id)))
    }

    /// It has not; whether it had.
    pub(super) fn expect_no_more(&self, id: &str) -> bool {
        self.expected().forget(id)
    }

    /// The request that sets the log level, if the server knows any; what answers it is nobody's.
    pub(super) fn set_level(&self, level: Level) -> Option<Bytes> {
        find(&self.opened, &["capabilities", "logging"])?;
        let id = self.mint();
        let level = level.name();
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#
        );
        Some(line.into())
    }

    fn mint(&self) -> String {
        let mark = &self.mark;
        format!("{mark}{}\"", self.minted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Waits until a server that is to run only while it is used is used no more. Others stay as long as the client does: they
    /// may know what it has done.
    async fn idle(&self) {
        let lazy = self.member.mount.spec().is_lazy();
        let Some(longest) = self.member.mount.idle_timeout().filter(|_| lazy) else {
            return std::future::pending().await;
        };
        loop {
            let quiet = self.expected().quiet();
            match longest.checked_sub(quiet) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }

    /// Waits until another server is served under its name, or none, and what is in flight here has finished.
    async fn replaced(&self) {
        self.member.gone().await;
        while self.expected().is_busy() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Passes on what the server says, until it or the conversation is over.
    async fn attend(self: Arc<Self>, talk: Weak<Talk>, over: CancellationToken, mut reader: StreamReader) {
        loop {
            let line = tokio::select! {
                () = over.cancelled() => break,
                () = self.idle() => break,
                () = self.replaced() => break,
                line = reader.next() => line,
            };
            let (Some(line), Some(talk)) = (line, talk.upgrade()) else { break };
            if !talk.may_reach(self.name()) {
                // What he may has become less since the session was opened.
                break;
            }
            if let Ok(message) = Message::own(line) {
                self.hear(&talk, message).await;
            }
        }
        self.over.cancel();
        self.client.leave();
        let calls = self.expected().end();
        let Some(talk) = talk.upgrade() else { return };
        talk.part_with(&self);
        if talk.hello.get().is_some_and(|hello| hello.own.forget(&self.member)) {
            // It is shown again what all like it are shown.
            for kind in LISTS {
                talk.say_changed(kind);
            }
        }
        let server = self.name();
        let error =
            RpcError::new(Code::ServerExited, format!("the session with {server} has ended: call again"));
        for id in calls {
            talk.forget(&id);
            talk.voice.say(error.to_line(Some(&id)));
        }
    }

    async fn hear(self: &Arc<Self>, talk: &Arc<Talk>, message: Message) {
        match message.kind() {
            MessageKind::Request => talk.ask(self, &message),
            MessageKind::Notification => self.notice(talk, &message),
            MessageKind::Result | MessageKind::Error => {
                let Some(id) = message.id() else { return };
                if id.starts_with(&*self.mark) {
                    let id: Box<str> = id.into();
                    return self.expected().heard(&id, message);
                }
                let call = self.expected().answered(id, message.kind());
                let Some(call) = call else { return };
                talk.forget(id);
                let line = match (message.kind(), talk.hello.get()) {
                    (MessageKind::Result, Some(hello)) => {
                        let renamed = call.renamed.as_ref();
                        talk.endpoint.led(&message, &call.method, &self.member, renamed, &hello.viewer).await
                    }
                    _ => message.raw().clone(),
                };
                talk.voice.say(line);
            }
        }
    }

    fn notice(&self, talk: &Arc<Talk>, message: &Message) {
        let list = message
            .method()
            .strip_prefix("notifications/")
            .and_then(|rest| rest.strip_suffix("/list_changed"));
        if let Some(kind) = list.and_then(|list| LISTS.into_iter().find(|kind| *kind == list)) {
            let announced = self.announced.fetch_add(1, Ordering::Relaxed) + 1;
            if let (Some(server), talk) = (self.me.upgrade(), talk.clone()) {
                let tracker = talk.endpoint.catalog.tracker().clone();
                tracker.spawn(async move { server.show(&talk, kind, announced).await });
            }
            return;
        }
        match message.method() {
            "notifications/cancelled" => {
                if let Some(server) = self.me.upgrade() {
                    talk.withdraw(&server, message);
                }
            }
            "notifications/resources/updated" => talk.voice.say(self.renamed(message)),
            _ => talk.voice.say(message.raw().clone()),
        }
    }

    /// A list has changed, for this client at least: it is shown what the server has for it now. `announced`: which change
    /// this is.
    async fn show(&self, talk: &Talk, kind: &str, announced: u64) {
        let Some(hello) = talk.hello.get() else { return };
        let work = async {
            // One after the other, so that nothing older comes after something newer; and what was asked for after this change
            // was announced, has it.
            let mut shown = self.shown.lock().await;
            if *shown < announced {
                let now = self.announced.load(Ordering::Relaxed);
                // As long as it takes the server: the session's own clock ends it.
                if let Ok(lists) = Lists::of_server(self, &self.opened).await {
                    hello.own.show(&self.member, lists);
                }
                *shown = now;
            }
            drop(shown);
            // From here on the offer is the new one.
            talk.endpoint.offer(&hello.viewer, Wait::No).await;
            talk.say_changed(kind);
        };
        tokio::select! {
            () = self.over.cancelled() => {}
            () = work => {}
        }
    }

    /// A notification about a resource, under the URI that the client knows it by.
    fn renamed(&self, message: &Message) -> Bytes {
        let params = message.body();
        let asked = find_string(params, &["uri"]).and_then(|own| self.expected().shown(&own).cloned());
        match (asked, find(params, &["uri"])) {
            (Some(asked), Some(raw)) => message.spliced("", Some((raw, &Value::from(asked).to_string()))),
            _ => message.raw().clone(),
        }
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl lists::Server for Server {
    async fn ask(&self, method: &'static str, params: Object<'_>) -> Result<Message, Refusal> {
        let id = self.mint();
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{}}}"#, params.to_json());
        let answer = self.expected().question(&id);
        let request = own(line.into()).map_err(|error| Refusal::Other(error.message.into_owned()))?;
        self.post(request).await.map_err(|error| {
            self.expected().forget_question(&id);
            Refusal::Other(error.message.into_owned())
        })?;
        let answer = answer.await.map_err(|_| Refusal::Other("the session has ended".to_owned()))?;
        result_of(method, answer)
    }
}

/// A request that its server is to answer. Dropping it means that the server has not got it.
pub(super) struct Expecting(Option<(Arc<Server>, Box<str>)>);

impl Expecting {
    /// The server has got it.
    pub(super) fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Expecting {
    fn drop(&mut self) {
        if let Some((server, id)) = self.0.take() {
            server.expect_no_more(&id);
        }
    }
}

/// Leaves a session that did not become one.
struct Leaving(Option<(Arc<Member>, Arc<Client>)>);

impl Leaving {
    fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some((member, client)) = self.0.take() {
            member.mount.leave(client.id().as_str());
        }
    }
}

fn own(line: Bytes) -> Result<Message, RpcError> {
    Message::own(line).map_err(|error| RpcError::new(Code::InternalError, error.to_string()))
}

fn refusal(unserved: Unserved) -> RpcError {
    match unserved {
        // It is opened anew by the next request.
        Unserved::NoSession => {
            RpcError::new(Code::ServerExited, "the session with the server has ended: call again")
        }
        other => other.into_error(),
    }
}

/// The server has refused the client's `initialize`.
fn refused(member: &Member, answer: &Message) -> RpcError {
    let message = find_string(answer.body(), &["message"]).unwrap_or_default();
    let server = member.mount.name();
    let code = Code::ALL.into_iter().find(|code| Some(code.number()) == answer.error_code());
    RpcError::new(code.unwrap_or(Code::ProtocolError), format!("{server} refuses the client: {message}"))
}
