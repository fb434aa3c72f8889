//! The program on the other end, as the mount's client: its session, its modern requests, and what waits for either.

use super::{GRACE, LineLimits};
use crate::access::Caller;
use crate::mount::{Mount, Unserved};
use crate::session::{Client, EventStream, Form, Posted, StreamReader};
use crate::wire::line::Line;
use crate::wire::meta::find;
use crate::wire::{Claim, Code, Kind, Malformed, Message, Payload, RpcError, claim};
use bytes::Bytes;
use futures::FutureExt;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What waits for a server that is away is counted in units of so many bytes, and there may be so many of them.
const UNIT: usize = 64 << 10;
const MOST_WAITING: u32 = 256;

/// While the program has so many bytes to read, nothing more is taken from it.
const MOST_UNREAD: usize = 8 << 20;

/// Cancelled requests that are remembered, most of which nobody answers.
const MOST_CANCELLED: usize = 1024;

/// One program, and what it has under way.
pub(super) struct Desk {
    mount: Arc<Mount>,
    limits: LineLimits,
    out: mpsc::Sender<Bytes>,
    session: Mutex<Option<Arc<Client>>>,
    /// Modern requests under way, by their ids.
    calls: Mutex<HashMap<Box<str>, CancellationToken>>,
    /// Legacy requests that were cancelled, by their ids.
    cancelled: Mutex<HashSet<Box<str>>>,
    tasks: TaskTracker,
    /// What never ends by itself.
    listening: TaskTracker,
    over: CancellationToken,
    /// The session has ended by itself.
    pub(super) lost: CancellationToken,
    /// What may wait for a server that is away.
    room: Arc<Semaphore>,
    /// What the program is still to read.
    behind: Mutex<Option<Arc<EventStream>>>,
}

impl Desk {
    pub(super) fn new(mount: Arc<Mount>, limits: LineLimits, out: mpsc::Sender<Bytes>) -> Arc<Self> {
        Arc::new(Self {
            mount,
            limits,
            out,
            session: Mutex::default(),
            calls: Mutex::default(),
            cancelled: Mutex::default(),
            tasks: TaskTracker::new(),
            listening: TaskTracker::new(),
            over: CancellationToken::new(),
            lost: CancellationToken::new(),
            room: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            behind: Mutex::default(),
        })
    }

    /// Takes a line of the program.
    pub(super) async fn take(self: &Arc<Self>, line: Line) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(skipped) => {
                let error = RpcError::new(
                    Code::TooLarge,
                    format!("a line of {} bytes: raise limits.line, or send less", skipped.length),
                );
                let id = skipped.answered_id().flatten();
                return self.say(error.to_line(id.as_deref())).await;
            }
        };
        match Payload::parse(&line, self.limits.depth) {
            Ok(payload) => self.receive(payload).await,
            Err(malformed) => {
                let (code, id) = match &malformed {
                    Malformed::NotJson(_) => (Code::ParseError, None),
                    Malformed::NotJsonRpc { id, .. } => (Code::InvalidRequest, id.as_deref()),
                    Malformed::TooDeep { .. } => (Code::InvalidRequest, None),
                };
                self.say(RpcError::new(code, malformed.to_string()).to_line(id)).await;
            }
        }
    }

    async fn receive(self: &Arc<Self>, payload: Payload) {
        if let Payload::One(message) = &payload {
            let request = message.kind() == Kind::Request;
            if request && (message.method() == "server/discover" || claim::is_claimed(message.body())) {
                return self.visit(message.clone());
            }
            if message.method() == "notifications/cancelled"
                && let Some(id) = find(message.body(), &["requestId"])
            {
                // 2026-07-28, basic/transports/stdio: "To cancel an in-flight request, the client MUST send a
                // `notifications/cancelled` notification referencing the request's ID."
                if let Some(call) = self.calls().remove(id) {
                    return call.cancel();
                }
                self.expect_no_answer(id);
            }
            if request && let Some(id) = message.id() {
                self.cancelled().remove(id);
            }
            if request && message.method() == "initialize" {
                return self.open(message).await;
            }
            if request && message.method() == "ping" && self.session().is_none() {
                let pong =
                    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, message.id().unwrap_or("null"));
                return self.say(pong.into()).await;
            }
        }
        let client = self.session().clone();
        let Some(client) = client else {
            return self.refuse(&payload, &no_session()).await;
        };
        // Most are taken at once. What has to wait for a server that is away keeps nothing else waiting.
        match client.post(payload.clone(), Form::Either).now_or_never() {
            Some(Ok(_)) => {}
            Some(Err(refused)) => self.refuse(&payload, &Unserved::from(refused).into_error()).await,
            None => self.wait(client, payload).await,
        }
    }

    /// Posts what cannot be taken now in a task of its own; when much waits already, this waits, too.
    async fn wait(self: &Arc<Self>, client: Arc<Client>, payload: Payload) {
        let bytes: usize = payload.messages().iter().map(|message| message.raw().len()).sum();
        let weight = u32::try_from(1 + bytes / UNIT).unwrap_or(MOST_WAITING).min(MOST_WAITING);
        let Ok(room) = self.room.clone().acquire_many_owned(weight).await else { return };
        let token = self.over.child_token();
        let id = match &payload {
            Payload::One(message) if message.kind() == Kind::Request => message.id().map(Box::<str>::from),
            _ => None,
        };
        if let Some(id) = &id {
            self.calls().insert(id.clone(), token.clone());
        }
        let desk = self.clone();
        self.tasks.spawn(async move {
            let posted = tokio::select! {
                () = token.cancelled() => None,
                posted = client.post(payload.clone(), Form::Either) => Some(posted),
            };
            if let Some(id) = id {
                desk.calls().remove(&id);
            }
            drop(room);
            if let Some(Err(refused)) = posted {
                desk.refuse(&payload, &Unserved::from(refused).into_error()).await;
            }
        });
    }

    /// A legacy client begins its session; one that it had before ends.
    async fn open(self: &Arc<Self>, initialize: &Message) {
        let before = self.session().take();
        if let Some(before) = before {
            self.mount.leave(before.id().as_str());
        }
        let payload = Payload::One(initialize.clone());
        match self.mount.sit_down(EventStream::patient(), initialize, &Caller::anyone()).await {
            Ok((client, reader)) => {
                *self.session() = Some(client.clone());
                *self.behind() = Some(reader.stream());
                self.listening.spawn(self.clone().attend(client.clone(), reader));
                if let Err(refused) = client.post(payload.clone(), Form::Either).await {
                    self.refuse(&payload, &Unserved::from(refused).into_error()).await;
                }
            }
            Err(unserved) => self.refuse(&payload, &unserved.into_error()).await,
        }
    }

    /// A modern request, which stands alone.
    fn visit(self: &Arc<Self>, message: Message) {
        let token = self.over.child_token();
        let id: Box<str> = message.id().unwrap_or_default().into();
        if self.calls().insert(id.clone(), token.clone()).is_some() {
            tracing::debug!("a request has the id of another that is in flight");
        }
        let lasts = message.method() == "subscriptions/listen";
        let desk = self.clone();
        let tasks = if lasts { &self.listening } else { &self.tasks };
        tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = desk.answer(&message) => {}
            }
            desk.calls().remove(&id);
        });
    }

    async fn answer(self: &Arc<Self>, message: &Message) {
        let outcome = async {
            let claim = Claim::read(message.body())?;
            let visit = self.mount.receive(message, &claim, &Caller::anyone()).await;
            let visit = visit.map_err(Unserved::into_error)?;
            let posted = visit.post(Payload::One(message.clone()), Form::Events).await;
            match posted.map_err(|refused| self.mount.turned_away(refused).into_error())? {
                Posted::Response(reader) => self.clone().pump(reader).await,
                Posted::Accepted => {}
            }
            Ok::<_, RpcError>(())
        };
        if let Err(error) = outcome.await {
            self.say(error.to_line(message.id())).await;
        }
    }

    /// Writes what comes on the session's stream. A session that was open and has ended by itself cannot be had back: the
    /// program is told by the end of everything.
    async fn attend(self: Arc<Self>, client: Arc<Client>, reader: StreamReader) {
        self.clone().pump(reader).await;
        let current = self.session().as_ref().is_some_and(|session| Arc::ptr_eq(session, &client));
        if current && client.revision().is_some() {
            self.lost.cancel();
        }
    }

    /// Waits while much is still to be read by the program: it gets no more to read by asking.
    pub(super) async fn catch_up(&self) {
        let behind = || self.behind().as_ref().is_some_and(|stream| stream.unsent() > MOST_UNREAD);
        while behind() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Writes what comes on a stream, until it ends.
    async fn pump(self: Arc<Self>, mut reader: StreamReader) {
        while let Some(message) = reader.next().await {
            if !self.is_unwanted(&message) {
                self.say(message).await;
            }
        }
    }

    /// A legacy request was cancelled. What answers it all the same may be meant for a POST that waits, as the -32800 of a
    /// router is; there is none here, and some clients are disturbed by it.
    ///
    /// 2025-11-25, basic/utilities/cancellation: the receiver should not "send a response for the cancelled request".
    fn expect_no_answer(&self, id: &str) {
        let mut cancelled = self.cancelled();
        if cancelled.len() >= MOST_CANCELLED {
            cancelled.clear();
        }
        cancelled.insert(id.into());
    }

    fn is_unwanted(&self, line: &Bytes) -> bool {
        if self.cancelled().is_empty() {
            return false;
        }
        let Ok(message) = Message::own(line.clone()) else { return false };
        message.is_answer() && message.id().is_some_and(|id| self.cancelled().remove(id))
    }

    async fn refuse(&self, payload: &Payload, error: &RpcError) {
        for message in payload.messages().iter().filter(|message| message.kind() == Kind::Request) {
            self.say(error.to_line(message.id())).await;
        }
    }

    async fn say(&self, line: Bytes) {
        // Whoever has closed the pipe does not want to know.
        let _ = self.out.send(line).await;
    }

    /// The program says no more: what is in flight may finish, then its session ends.
    pub(super) async fn leave(&self, finish: bool) {
        self.tasks.close();
        self.listening.close();
        if finish {
            let idle = async {
                self.tasks.wait().await;
                while self.mount.in_flight() > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let _ = tokio::time::timeout(GRACE, idle).await;
        }
        self.over.cancel();
        let session = self.session().take();
        if let Some(client) = session {
            if self.mount.in_flight() > 0 {
                // What is still in flight is told that its fate is not known.
                client.session().shut_down();
            }
            self.mount.leave(client.id().as_str());
        }
        self.tasks.wait().await;
        let _ = tokio::time::timeout(GRACE, self.listening.wait()).await;
    }

    fn session(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancelled(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behind(&self) -> MutexGuard<'_, Option<Arc<EventStream>>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Box<str>, CancellationToken>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_session() -> RpcError {
    RpcError::new(Code::InvalidRequest, "there is no session: send `initialize` first")
}
