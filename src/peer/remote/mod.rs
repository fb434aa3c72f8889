//! A connection to a remote server, over Streamable HTTP of every revision or HTTP+SSE of 2024-11-05.
//!
//! Each message is a POST. One task, the courier, takes them from the queue in order: the handshake is made by it alone,
//! each request gets a task of its own that reads the answer, notifications and answers go one after the other. The peer
//! ends when it is stopped, or when the server has forgotten the session; then the messages are given back that it
//! never heard, and whoever owns the peer may go on with another.

mod address;
mod body;
mod call;
mod catalog;
mod courier;
mod fault;
mod headers;
mod legacy_sse;
mod open;
mod outbox;
mod post;
mod site;
mod standalone;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::life::Life;
use super::stdin::SendError;
use super::{Cause, Listener};
use crate::wire::Message;
use crate::wire::line::Line;
use fault::Fault;
use outbox::Outbox;

pub use headers::{InvalidHeader, configured};
pub use site::{Site, SiteError};

/// A handle to a connection. When the last one is dropped, the session with the server is ended.
#[derive(Clone, Debug)]
pub(super) struct Remote(Arc<Hold>);

/// What the handles share, and only they: its drop means that nobody wants the connection any more.
#[derive(Debug)]
struct Hold(Arc<Connection>);

/// What the handles and the tasks of a connection share.
#[derive(Debug)]
pub(super) struct Connection {
    site: Arc<Site>,
    outbox: Arc<Outbox>,
    life: Arc<Life>,
    ear: OnceLock<Arc<dyn Listener>>,
    talk: Mutex<Talk>,
    /// Requests under way by their ids: what is cancelled is read no further.
    calls: Mutex<HashMap<Box<str>, (u64, CancellationToken)>>,
    /// How many there ever were.
    counted: AtomicU64,
    /// What the server says unasked is listened to.
    listening: AtomicBool,
    /// Everything that reads.
    readers: TaskTracker,
    /// The session cannot go on.
    lost: CancellationToken,
    /// What is still read is of no use any more.
    over: CancellationToken,
    words: Mutex<Box<str>>,
    unheard: Mutex<Vec<Bytes>>,
}

/// What the handshake has agreed on.
#[derive(Clone, Debug, Default)]
struct Talk {
    way: Way,
    session: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

/// How messages get there.
#[derive(Clone, Debug, Default)]
enum Way {
    /// Nothing has been answered yet.
    #[default]
    Unknown,
    /// By POST to the server's URL, each request for itself: the modern era.
    Modern,
    /// By POST to the server's URL, in a session: the legacy era.
    Streamable,
    /// By POST to the URL that the event stream named.
    Sse(Url),
}

impl Remote {
    pub(super) fn new(site: Arc<Site>) -> Self {
        let connection = Connection {
            site,
            outbox: Arc::default(),
            life: Arc::default(),
            ear: OnceLock::new(),
            talk: Mutex::default(),
            calls: Mutex::default(),
            counted: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            readers: TaskTracker::new(),
            lost: CancellationToken::new(),
            over: CancellationToken::new(),
            words: Mutex::default(),
            unheard: Mutex::default(),
        };
        Self(Arc::new(Hold(Arc::new(connection))))
    }

    pub(super) fn attach(&self, listener: Arc<dyn Listener>) {
        let connection = &self.0.0;
        // Also one that is to end by now: its end is the courier's work.
        if connection.ear.set(listener).is_ok() {
            connection.site.tracker.spawn(courier::carry(connection.clone()));
        }
    }

    pub(super) fn send(&self, line: Bytes) -> Result<(), SendError> {
        self.0.0.outbox.push(line)
    }

    pub(super) async fn room(&self, bytes: usize) {
        self.0.0.outbox.room(bytes).await;
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.0.0.outbox.has_room(bytes)
    }

    pub(super) fn stop(&self) {
        self.0.0.ask_to_stop();
    }

    pub(super) fn life(&self) -> &Arc<Life> {
        &self.0.0.life
    }

    pub(super) fn last_words(&self) -> Box<str> {
        self.0.0.words().clone()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ask_to_stop();
    }
}

impl Connection {
    fn ask_to_stop(&self) {
        self.life.ask();
        self.outbox.close();
        self.life.stop.cancel();
        if self.ear.get().is_none() {
            // Nothing was ever said, and nobody waits for the end.
            self.life.ended(Cause::Closed);
            self.life.gone.cancel();
        }
    }

    /// Gives a message of the server to whoever listens.
    fn deliver(&self, line: Bytes) {
        self.hand_on(Line::Whole(line));
    }

    /// The same for one that may be too long.
    fn hand_on(&self, line: Line) {
        if let Some(ear) = self.ear.get().filter(|_| !self.over.is_cancelled()) {
            ear.line(line);
        }
    }

    /// Answers a request in the server's place.
    fn answer(&self, request: &Message, fault: &Fault) {
        let mut error = fault.to_error();
        error.message = self.site.mask.apply(&error.message).into_owned().into();
        self.deliver(error.to_line(request.id()));
    }

    /// The server does not know the session any more; `unheard`: a message that it therefore never heard.
    fn forgotten(&self, unheard: Option<Bytes>) {
        self.talk().session = None;
        self.lose("the server has forgotten the session", unheard);
    }

    /// The session cannot go on, and why; `unheard`: a message that the server never heard.
    fn lose(&self, reason: impl AsRef<str>, unheard: Option<Bytes>) {
        if let Some(line) = unheard {
            self.unheard().push(line);
        }
        let mut words = self.words();
        if words.is_empty() {
            *words = self.site.mask.apply(reason.as_ref()).into();
            tracing::debug!(server = %self.site.name, "a connection is lost: {words}");
        }
        drop(words);
        self.lost.cancel();
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Box<str>, (u64, CancellationToken)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn words(&self) -> MutexGuard<'_, Box<str>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unheard(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
