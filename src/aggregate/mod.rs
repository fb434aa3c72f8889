//! Many servers behind one endpoint.
//!
//! An [`Aggregate`] is a server that is a part of this program, and speaks both eras. To a modern client each request stands
//! alone, and so it does behind it ([`modern`]); a legacy client has a session, and behind it one with each server that it
//! calls ([`legacy`]). Whichever era the servers speak, it comes to them through the bridges of their mounts. What they
//! offer is in the [`Catalog`], which all endpoints share.

mod catalog;
mod discover;
mod legacy;
mod links;
mod lists;
mod modern;
mod names;
mod offer;
mod part;
mod route;
mod uri;
mod view;
mod viewer;
mod watch;

use crate::config::{AggregateSpec, ServerName};
use crate::peer::in_process::{Conversation, Service, Voice};
use crate::wire::Message;
use bytes::Bytes;
use catalog::{Member, Piece, Wait};
use offer::Offer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use viewer::Viewer;

pub use catalog::Catalog;

/// Kinds of clients for whom an offer is kept.
const MOST_OFFERS: usize = 16;

/// Many servers behind one endpoint.
#[derive(Clone, Debug)]
pub struct Aggregate(Arc<Endpoint>);

/// What its conversations share.
struct Endpoint {
    /// What the log calls it.
    name: ServerName,
    spec: AggregateSpec,
    catalog: Arc<Catalog>,
    /// By the clients' capabilities.
    offers: Mutex<HashMap<Box<str>, Made>>,
}

/// An offer, and what it was made of.
struct Made {
    versions: Vec<u64>,
    offer: Arc<Offer>,
}

impl Made {
    fn new(spec: &AggregateSpec, pieces: Vec<Piece>) -> Self {
        let versions = pieces.iter().map(|piece| piece.version).collect();
        Self { versions, offer: Arc::new(Offer::new(spec, pieces)) }
    }

    fn is_of(&self, pieces: &[Piece]) -> bool {
        self.versions.len() == pieces.len()
            && pieces.iter().zip(&self.versions).all(|(piece, version)| piece.version == *version)
            && pieces
                .iter()
                .zip(&self.offer.servers)
                .all(|(piece, server)| Arc::ptr_eq(&piece.member, server))
    }
}

impl Aggregate {
    /// An endpoint for servers of `catalog`, which the log calls by `name`.
    pub fn new(name: ServerName, spec: AggregateSpec, catalog: Arc<Catalog>) -> Self {
        Self(Arc::new(Endpoint { name, spec, catalog, offers: Mutex::default() }))
    }
}

impl Service for Aggregate {
    fn converse(&self, voice: Voice) -> Arc<dyn Conversation> {
        Arc::new(Talk { endpoint: self.0.clone(), voice, begun: OnceLock::new() })
    }
}

/// A conversation, whose era is that of its first message.
struct Talk {
    endpoint: Arc<Endpoint>,
    voice: Voice,
    begun: OnceLock<Arc<dyn Conversation>>,
}

impl Conversation for Talk {
    fn hear(&self, line: Bytes) {
        let begun = self.begun.get_or_init(|| {
            let first = Message::own(line.clone());
            if first.is_ok_and(|first| first.method() == "initialize") {
                legacy::begin(self.endpoint.clone(), self.voice.clone())
            } else {
                modern::begin(self.endpoint.clone(), self.voice.clone())
            }
        });
        begun.hear(line);
    }

    fn end(&self) {
        if let Some(begun) = self.begun.get() {
            begun.end();
        }
    }
}

impl Endpoint {
    /// The servers behind it, in their order.
    fn members(&self) -> Vec<Arc<Member>> {
        let shown = |member: &&Arc<Member>| {
            self.spec.servers.as_ref().is_none_or(|names| names.contains(member.mount.name()))
        };
        self.catalog.members().iter().filter(shown).cloned().collect()
    }

    /// What it offers to a client.
    async fn offer(&self, viewer: &Viewer, wait: Wait) -> Arc<Offer> {
        let capabilities = &*viewer.capabilities;
        let members = self.members();
        let mut pieces = self.catalog.pieces(&members, capabilities, wait).await;
        if let Some(own) = viewer.own.as_ref().filter(|own| !own.is_empty()) {
            own.replace(&mut pieces);
            let mut last = own.made.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(made) = last.as_ref().filter(|made| made.is_of(&pieces)) {
                return made.offer.clone();
            }
            let made = Made::new(&self.spec, pieces);
            let offer = made.offer.clone();
            *last = Some(made);
            return offer;
        }
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = offers.get(capabilities).filter(|made| made.is_of(&pieces)) {
            return made.offer.clone();
        }
        let made = Made::new(&self.spec, pieces);
        let offer = made.offer.clone();
        let before = offers.get(capabilities).map(|made| made.offer.clone());
        tell(&self.name, &offer, before.as_deref());
        if before.is_none() && offers.len() >= MOST_OFFERS {
            offers.clear();
        }
        offers.insert(capabilities.into(), made);
        offer
    }
}

/// Says in the log what is not offered, where that is new.
fn tell(endpoint: &ServerName, offer: &Offer, before: Option<&Offer>) {
    for (server, reason) in &offer.missing {
        let known = before
            .is_some_and(|before| before.missing.iter().any(|(name, why)| name == server && why == reason));
        if !known {
            tracing::warn!(%server, "not in the lists of {endpoint}: {reason}");
        }
    }
    for kind in lists::Kind::ALL {
        for reason in offer.of(kind).refusals() {
            let known = before.is_some_and(|before| before.of(kind).refusals().any(|other| other == reason));
            if !known {
                tracing::warn!("not in the lists of {endpoint}: {reason}");
            }
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("spec", &self.spec).finish_non_exhaustive()
    }
}
