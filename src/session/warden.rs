//! Who watches over a client: what it may ask of the server, and what of the answers it is shown.

use crate::wire::meta::find;
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

use crate::protocol::ExchangeKey;
use crate::telemetry::{Call, Outcome, Side};

/// Watches over one client of a session, whichever transport and era it has. It is asked before a request is passed on,
/// and again with its answer.
pub trait Warden: Send + Sync + std::fmt::Debug + 'static {
    /// Whether a request may be passed on; what is given is held until it has been answered. `may_wait`: it may wait until
    /// it may be passed on. In a batch none may: those before it would wait with it.
    fn admit<'a>(&'a self, request: &'a Message, may_wait: bool) -> Verdict<'a>;

    /// A request begins, of which is told when it ends; nothing where nobody listens.
    fn begin(&self, request: &Message) -> Option<Call>;

    /// Whether anybody looks on at what is said.
    fn is_watched(&self) -> bool;

    /// This is said by a side in the session whose id begins so. It is called under the session's lock, and must not block.
    fn overhear(&self, session: &str, from: Side, message: &Message);

    /// Whether the answer to a request is to be shown in another way than it came.
    fn looks_at(&self, request: &Message) -> bool;

    /// The answer to such a request as the client may see it. It is called under the session's lock, and must not block.
    fn shown(&self, answer: Bytes) -> Bytes;
}

/// What a warden says to a request: what is held for it, or what the client is told instead.
pub enum Verdict<'a> {
    /// This.
    Now(Result<Held, RpcError>),
    /// Something has to be looked at or waited for first.
    Later(BoxFuture<'a, Result<Held, RpcError>>),
}

/// What is held for a request until it has been answered.
pub type Held = Option<Box<dyn Send + Sync>>;

/// A request on its way, and what the warden has said to it.
pub(super) struct Admitted {
    pub(super) verdict: Result<Held, RpcError>,
    pub(super) looked_at: bool,
    pub(super) call: Option<Call>,
}

/// The requests of a client that wait to be passed on, by their ids: nobody else knows them yet who could cancel them.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<Box<str>, CancellationToken>>);

/// The requests of a client that are watched until they have been answered.
#[derive(Default)]
pub(super) struct Watched {
    warden: Option<Arc<dyn Warden>>,
    requests: HashMap<ExchangeKey, Request>,
}

/// One of them.
struct Request {
    _held: Held,
    looked_at: bool,
    call: Option<Call>,
}

impl Admitted {
    /// Nobody watches.
    pub(super) fn freely() -> Self {
        Self { verdict: Ok(None), looked_at: false, call: None }
    }

    /// Whether it is as if nobody watched.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.verdict, Ok(None)) && !self.looked_at && self.call.is_none()
    }
}

impl Verdict<'_> {
    /// What it is in the end.
    pub async fn heard(self) -> Result<Held, RpcError> {
        match self {
            Self::Now(said) => said,
            Self::Later(said) => said.await,
        }
    }
}

impl Waiting {
    /// What `warden` says to a request, unless the client cancels it before.
    pub(super) async fn admitted(&self, warden: &dyn Warden, request: &Message, may_wait: bool) -> Admitted {
        let mut call = warden.begin(request);
        let mut admitted =
            |verdict| Admitted { verdict, looked_at: warden.looks_at(request), call: call.take() };
        let mut said = match warden.admit(request, may_wait) {
            Verdict::Now(said) => return admitted(said),
            Verdict::Later(said) => said,
        };
        // Most need not wait.
        if let Some(said) = (&mut said).now_or_never() {
            return admitted(said);
        }
        let id: Box<str> = request.id().unwrap_or_default().into();
        let _left = Left { waiting: self, id: id.clone() };
        let cancelled = CancellationToken::new();
        self.lock().insert(id, cancelled.clone());
        tokio::select! {
            said = said => admitted(said),
            () = cancelled.cancelled() => {
                let error = RpcError::new(Code::RequestCancelled, "the request was cancelled before it was passed on");
                admitted(Err(error))
            }
        }
    }

    /// Cancels the request that a notification means, if it waits here.
    pub(super) fn hear(&self, message: &Message) {
        if message.kind() != Kind::Notification || message.method() != "notifications/cancelled" {
            return;
        }
        let waiting = find(message.body(), &["requestId"]).and_then(|id| self.lock().get(id).cloned());
        if let Some(waiting) = waiting {
            waiting.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request waits no more.
struct Left<'a> {
    waiting: &'a Waiting,
    id: Box<str>,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.id);
    }
}

impl Watched {
    pub(super) fn by(warden: Option<Arc<dyn Warden>>) -> Self {
        Self { warden, requests: HashMap::new() }
    }

    /// This is said to the client, in the session whose id begins so.
    pub(super) fn overhear(&self, session: &str, message: &Bytes) {
        if let Some(warden) = self.warden.as_ref().filter(|warden| warden.is_watched())
            && let Ok(message) = Message::own(message.clone())
        {
            warden.overhear(session, Side::Server, &message);
        }
    }

    /// A request was passed on.
    pub(super) fn begin(&mut self, exchange: ExchangeKey, held: Held, looked_at: bool, call: Option<Call>) {
        if held.is_some() || looked_at || call.is_some() {
            self.requests.insert(exchange, Request { _held: held, looked_at, call });
        }
    }

    /// It is answered: how its client is to see that. `failed`: by an error.
    pub(super) fn end(&mut self, exchange: ExchangeKey, answer: Bytes, failed: bool) -> Bytes {
        let Some(request) = self.take(exchange) else { return answer };
        let answer = match &self.warden {
            Some(warden) if request.looked_at => warden.shown(answer),
            _ => answer,
        };
        if let Some(call) = request.call {
            let outcome = Outcome::of(&answer, call.is_of_tool(), failed);
            call.end(outcome, answer.len());
        }
        answer
    }

    /// It is not answered any more, as its client has cancelled it.
    pub(super) fn forget(&mut self, exchange: ExchangeKey) {
        if let Some(call) = self.take(exchange).and_then(|request| request.call) {
            call.end(Outcome::Cancelled, 0);
        }
    }

    fn take(&mut self, exchange: ExchangeKey) -> Option<Request> {
        // Most clients are not watched at all.
        if self.requests.is_empty() { None } else { self.requests.remove(&exchange) }
    }
}
