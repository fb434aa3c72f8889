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

use crate::config::AggregateSpec;
use crate::peer::in_process::{Conversation, Service, Voice};
use crate::wire::Message;
use bytes::Bytes;
use catalog::{Member, Piece, Wait};
use lists::Lists;
use offer::Offer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use viewer::Viewer;

pub use catalog::Catalog;

/// Kinds of clients for whom an offer is kept.
const MOST_OFFERS: usize = 16;

/// An offer is believed so long without another look at every server, by whoever finds in it what he calls: what has moved since
/// he cannot know either.
const RECENT: Duration = Duration::from_millis(50);

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
    /// The servers of the catalog when it was last looked at.
    among: Arc<Vec<Arc<Member>>>,
    looked_at: Instant,
    versions: Vec<u64>,
    lists: Vec<Option<Arc<Lists>>>,
    offer: Arc<Offer>,
}

/// What was seen of all servers together.
struct Look {
    among: Arc<Vec<Arc<Member>>>,
    /// When it began.
    at: Instant,
    pieces: Vec<Piece>,
}

impl Made {
    /// `made`: offers that were made before; one of the same lists is the same.
    fn new<'a>(spec: &AggregateSpec, look: Look, made: impl IntoIterator<Item = &'a Self>) -> Self {
        let Look { among, at: looked_at, pieces } = look;
        let versions = pieces.iter().map(|piece| piece.version).collect();
        let lists = pieces.iter().map(|piece| piece.lists.clone()).collect();
        let same = made.into_iter().find(|made| made.is_of_lists(&pieces)).map(|made| made.offer.clone());
        let offer = same.unwrap_or_else(|| Arc::new(Offer::new(spec, pieces)));
        Self { among, looked_at, versions, lists, offer }
    }

    /// Whether nothing is missing, neither in it nor in the pieces, and both have the same lists of the same servers.
    fn is_of_lists(&self, pieces: &[Piece]) -> bool {
        let same = |(piece, lists): (&Piece, &Option<Arc<Lists>>)| match (&piece.lists, lists) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            _ => false,
        };
        self.is_of_servers(pieces) && pieces.iter().zip(&self.lists).all(same)
    }

    fn is_of_servers(&self, pieces: &[Piece]) -> bool {
        let mut both = pieces.iter().zip(&self.offer.servers);
        self.offer.servers.len() == pieces.len()
            && both.all(|(piece, server)| Arc::ptr_eq(&piece.member, server))
    }

    /// The offer, if that is what it would be made of now.
    fn again(&mut self, look: &Look) -> Option<Arc<Offer>> {
        self.is_of(&look.pieces).then(|| {
            (self.among, self.looked_at) = (look.among.clone(), look.at);
            self.offer.clone()
        })
    }

    fn is_of(&self, pieces: &[Piece]) -> bool {
        self.is_of_servers(pieces)
            && pieces.iter().zip(&self.versions).all(|(piece, version)| piece.version == *version)
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
        self.shown(&self.catalog.members())
    }

    fn shown(&self, members: &[Arc<Member>]) -> Vec<Arc<Member>> {
        let shown = |member: &&Arc<Member>| {
            self.spec.servers.as_ref().is_none_or(|names| names.contains(member.mount.name()))
        };
        members.iter().filter(shown).cloned().collect()
    }

    /// What it offered to a client a moment ago, if the servers are still the same.
    fn recent(&self, viewer: &Viewer) -> Option<Arc<Offer>> {
        let is_recent = |made: &&Made| {
            made.looked_at.elapsed() < RECENT && Arc::ptr_eq(&made.among, &self.catalog.members())
        };
        if let Some(own) = viewer.own.as_ref().filter(|own| !own.is_empty()) {
            return own.made().as_ref().filter(is_recent).map(|made| made.offer.clone());
        }
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.get(&viewer.capabilities).filter(is_recent).map(|made| made.offer.clone())
    }

    /// What it offers to a client.
    async fn offer(&self, viewer: &Viewer, wait: Wait) -> Arc<Offer> {
        let capabilities = &*viewer.capabilities;
        let (among, at) = (self.catalog.members(), Instant::now());
        let pieces = self.catalog.pieces(&self.shown(&among), capabilities, wait).await;
        let mut look = Look { among, at, pieces };
        if let Some(own) = viewer.own.as_ref().filter(|own| !own.is_empty()) {
            // Held until the offer is made: what is shown from then on makes it a thing of the past.
            let mut last = own.made();
            own.replace(&mut look.pieces);
            if let Some(offer) = last.as_mut().and_then(|made| made.again(&look)) {
                return offer;
            }
            let made = Made::new(&self.spec, look, None);
            let offer = made.offer.clone();
            *last = Some(made);
            return offer;
        }
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = offers.get_mut(capabilities).and_then(|made| made.again(&look)) {
            return offer;
        }
        let made = Made::new(&self.spec, look, offers.values());
        let offer = made.offer.clone();
        let before = offers.get(capabilities).map(|made| made.offer.clone());
        tell(&offer, before.as_deref());
        if before.is_none() && offers.len() >= MOST_OFFERS {
            offers.clear();
        }
        offers.insert(capabilities.into(), made);
        offer
    }
}

/// The answer to a request. A long result stays where it is.
fn answer(id: &str, mut result: String) -> Bytes {
    result.insert_str(0, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
    result.push('}');
    result.into()
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
        for (name, reason) in offer.of(kind).refusals() {
            if before.and_then(|before| before.of(kind).refusal(name)) != Some(reason) {
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
