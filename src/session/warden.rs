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
    /// Who looks at the answer.
    pub(super) viewer: Option<Arc<dyn Warden>>,
}

/// The requests of a client that are watched until they have been answered.
#[derive(Default)]
pub(super) struct Watched {
    requests: HashMap<ExchangeKey, (Held, Option<Arc<dyn Warden>>)>,
}

impl Admitted {
    /// Nobody watches.
    pub(super) fn freely() -> Self {
        Self { verdict: Ok(None), viewer: None }
    }

    /// What `warden` says to a request.
    pub(super) async fn by(warden: &Arc<dyn Warden>, request: &Message) -> Self {
        let viewer = warden.looks_at(request).then(|| warden.clone());
        Self { verdict: warden.admit(request).await, viewer }
    }
}

impl Watched {
    /// A request was passed on.
    pub(super) fn begin(&mut self, exchange: ExchangeKey, held: Held, viewer: Option<Arc<dyn Warden>>) {
        if held.is_some() || viewer.is_some() {
            self.requests.insert(exchange, (held, viewer));
        }
    }

    /// It is answered: how its client is to see that.
    pub(super) fn end(&mut self, exchange: ExchangeKey, answer: Bytes) -> Bytes {
        match self.forget(exchange) {
            Some(viewer) => viewer.shown(answer),
            None => answer,
        }
    }

    /// It is not answered any more; who was to look at its answer.
    pub(super) fn forget(&mut self, exchange: ExchangeKey) -> Option<Arc<dyn Warden>> {
        // Most clients are not watched at all.
        if self.requests.is_empty() {
            return None;
        }
        self.requests.remove(&exchange).and_then(|(_held, viewer)| viewer)
    }
}
