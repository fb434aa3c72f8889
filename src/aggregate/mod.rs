//! Many servers behind one endpoint.
//!
//! An [`Aggregate`] is a server that is a part of this program, and speaks 2026-07-28: clients of both eras come to it through
//! the bridge of its mount, and it comes to its servers through the bridges of theirs. It holds no state of a client: a
//! question of a server becomes `input_required`, and the retry finds its way by the tool's name. What the servers offer
//! is in the [`Catalog`], which all endpoints share.

mod call;
mod catalog;
mod conversation;
mod discover;
mod listen;
mod lists;
mod names;
mod offer;
mod part;
mod route;
mod uri;
mod view;
mod watch;

use crate::config::AggregateSpec;
use crate::peer::in_process::{Conversation, Service, Voice};
use catalog::{Member, Piece, Wait};
use offer::Offer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use catalog::Catalog;

/// Kinds of clients for whom an offer is kept.
const MOST_OFFERS: usize = 16;

/// Many servers behind one endpoint.
#[derive(Clone, Debug)]
pub struct Aggregate(Arc<Endpoint>);

/// What its conversations share.
struct Endpoint {
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
    /// An endpoint for servers of `catalog`.
    pub fn new(spec: AggregateSpec, catalog: Arc<Catalog>) -> Self {
        Self(Arc::new(Endpoint { spec, catalog, offers: Mutex::default() }))
    }
}

impl Service for Aggregate {
    fn converse(&self, voice: Voice) -> Arc<dyn Conversation> {
        conversation::begin(self.0.clone(), voice)
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

    /// What it offers to clients with these capabilities.
    async fn offer(&self, capabilities: &str, wait: Wait) -> Arc<Offer> {
        let members = self.members();
        let pieces = self.catalog.pieces(&members, capabilities, wait).await;
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = offers.get(capabilities).filter(|made| made.is_of(&pieces)) {
            return made.offer.clone();
        }
        let versions = pieces.iter().map(|piece| piece.version).collect();
        let offer = Arc::new(Offer::new(&self.spec, pieces));
        let before = offers.get(capabilities).map(|made| made.offer.clone());
        tell(&offer, before.as_deref());
        if before.is_none() && offers.len() >= MOST_OFFERS {
            offers.clear();
        }
        offers.insert(capabilities.into(), Made { versions, offer: offer.clone() });
        offer
    }
}

/// Says in the log what is not offered, where that is new.
fn tell(offer: &Offer, before: Option<&Offer>) {
    for (server, reason) in &offer.missing {
        let known = before
            .is_some_and(|before| before.missing.iter().any(|(name, why)| name == server && why == reason));
        if !known {
            tracing::warn!(%server, "not in the lists of the aggregate: {reason}");
        }
    }
    for kind in lists::Kind::ALL {
        for reason in offer.of(kind).refusals() {
            let known = before.is_some_and(|before| before.of(kind).refusals().any(|other| other == reason));
            if !known {
                tracing::warn!("not in the lists of the aggregate: {reason}");
            }
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("spec", &self.spec).finish_non_exhaustive()
    }
}
