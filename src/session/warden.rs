//! Who watches over a client: what it may ask of the server, and what of the answers it is shown.

use crate::wire::{Message, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::ExchangeKey;

/// Watches over one client of a session, whichever transport and era it has. It is asked before a request is passed on,
/// and again with its answer.
pub trait Warden: Send + Sync + std::fmt::Debug + 'static {
    /// Whether a request may be passed on, which may have to wait; what is given is held until it has been answered.
    ///
    /// # Errors
    /// What the client is told instead.
    fn admit<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Held, RpcError>>;

    /// Whether the answer to a request is to be shown in another way than it came.
    fn looks_at(&self, request: &Message) -> bool;

    /// The answer to such a request as the client may see it. It is called under the session's lock, and must not block.
    fn shown(&self, answer: Bytes) -> Bytes;
}

/// What is held for a request until it has been answered.
pub type Held = Option<Box<dyn Send + Sync>>;

/// A request on its way, and what the warden has said to it.
pub(super) struct Admitted {
    pub(super) verdict: Result<Held, RpcError>,
    pub(super) looked_at: bool,
}

/// The requests of a client that are watched until they have been answered.
#[derive(Default)]
pub(super) struct Watched {
    warden: Option<Arc<dyn Warden>>,
    requests: HashMap<ExchangeKey, (Held, bool)>,
}

impl Admitted {
    /// Nobody watches.
    pub(super) fn freely() -> Self {
        Self { verdict: Ok(None), looked_at: false }
    }

    /// What `warden` says to a request.
    pub(super) async fn by(warden: &dyn Warden, request: &Message) -> Self {
        Self { verdict: warden.admit(request).await, looked_at: warden.looks_at(request) }
    }
}

impl Watched {
    pub(super) fn by(warden: Option<Arc<dyn Warden>>) -> Self {
        Self { warden, requests: HashMap::new() }
    }

    /// A request was passed on.
    pub(super) fn begin(&mut self, exchange: ExchangeKey, held: Held, looked_at: bool) {
        if held.is_some() || looked_at {
            self.requests.insert(exchange, (held, looked_at));
        }
    }

    /// It is answered: how its client is to see that.
    pub(super) fn end(&mut self, exchange: ExchangeKey, answer: Bytes) -> Bytes {
        match (self.forget(exchange), &self.warden) {
            (true, Some(warden)) => warden.shown(answer),
            _ => answer,
        }
    }

    /// It is not answered any more; whether its answer was to be looked at.
    pub(super) fn forget(&mut self, exchange: ExchangeKey) -> bool {
        // Most clients are not watched at all.
        !self.requests.is_empty()
            && self.requests.remove(&exchange).is_some_and(|(_held, looked_at)| looked_at)
    }
}
