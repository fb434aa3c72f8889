//! One endpoint for several servers: which they are, and what it offers of them to whom.

use super::catalog::{Catalog, Member, Wait};
use super::lists::Kind;
use super::made::{Look, Made, rights};
use super::offer::Offer;
use super::viewer::Viewer;
use crate::access::{Caller, Digest};
use crate::config::{AggregateSpec, Gateway, ServerName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Kinds of clients for whom an offer is kept.
const MOST_OFFERS: usize = 64;

/// An offer is believed so long without another look at every server, by whoever finds in it what he calls: what has moved since
/// he cannot know either.
const RECENT: Duration = Duration::from_millis(50);

/// What those have in common who are offered the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    /// Servers show themselves differently to different clients.
    capabilities: Box<str>,
    /// The number of what they may, and whether nobody asks who they are: what is for everybody is for all of those.
    rights: (u64, bool),
    /// What they bring for servers that show each of them his own.
    marks: Option<Digest>,
}

/// One endpoint for several servers: what its conversations share.
pub(super) struct Endpoint {
    /// What the log calls it.
    name: ServerName,
    /// What it is called, if it is a view.
    pub(super) view: Option<ServerName>,
    pub(super) spec: AggregateSpec,
    pub(super) catalog: Arc<Catalog>,
    offers: Mutex<HashMap<Alike, Made>>,
}

impl Endpoint {
    /// An endpoint for servers of `catalog`.
    pub(super) fn new(name: ServerName, spec: AggregateSpec, catalog: Arc<Catalog>) -> Self {
        let view = (name.as_str() != Gateway::ROOT).then(|| name.clone());
        Self { name, view, spec, catalog, offers: Mutex::default() }
    }

    /// The servers behind it that a caller may reach, in their order.
    pub(super) fn members(&self, caller: &Caller) -> Vec<Arc<Member>> {
        self.shown(&self.catalog.members(), caller)
    }

    fn shown(&self, members: &[Arc<Member>], caller: &Caller) -> Vec<Arc<Member>> {
        let shown = |member: &&Arc<Member>| {
            let name = member.mount.name();
            self.spec.servers.as_ref().is_none_or(|names| names.contains(name))
                && caller.grant().server(caller.place(), name.as_str())
        };
        members.iter().filter(shown).cloned().collect()
    }

    fn alike(&self, viewer: &Viewer) -> Alike {
        let members = self.catalog.members();
        let is_personal = |member: &Arc<Member>| member.mount.is_personal();
        let marks = viewer.caller.shown().filter(|_| members.iter().any(is_personal));
        Alike { capabilities: viewer.capabilities.clone(), rights: rights(&viewer.caller), marks }
    }

    /// What it offered to a client a moment ago, if the servers are still the same.
    pub(super) fn recent(&self, viewer: &Viewer) -> Option<Arc<Offer>> {
        let is_recent = |made: &&Made| {
            made.looked_at.elapsed() < RECENT && Arc::ptr_eq(&made.among, &self.catalog.members())
        };
        if let Some(own) = viewer.own.as_ref().filter(|own| !own.is_empty()) {
            let (made, rights) = (own.made(), rights(&viewer.caller));
            let made = made.as_ref().filter(|made| made.rights == rights);
            return made.filter(is_recent).map(|made| made.offer.clone());
        }
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.get(&self.alike(viewer)).filter(is_recent).map(|made| made.offer.clone())
    }

    /// What it offers to a client.
    pub(super) async fn offer(&self, viewer: &Viewer, wait: Wait) -> Arc<Offer> {
        let (among, at) = (self.catalog.members(), Instant::now());
        let pieces = self.catalog.pieces(&self.shown(&among, &viewer.caller), viewer, wait).await;
        let mut look = Look { among, at, pieces };
        if let Some(own) = viewer.own.as_ref().filter(|own| !own.is_empty()) {
            // Held until the offer is made: what is shown from then on makes it a thing of the past.
            let mut last = own.made();
            own.replace(&mut look.pieces);
            // In a session that goes on, what its owner may can have become another.
            let rights = rights(&viewer.caller);
            let made = last.as_mut().filter(|made| made.rights == rights);
            if let Some(offer) = made.and_then(|made| made.again(&look)) {
                return offer;
            }
            let made = Made::new(&self.spec, look, &viewer.caller, None);
            let offer = made.offer.clone();
            *last = Some(made);
            return offer;
        }
        let key = self.alike(viewer);
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = offers.get_mut(&key).and_then(|made| made.again(&look)) {
            return offer;
        }
        let alike = offers.iter().filter(|(other, _)| other.rights == key.rights).map(|(_, made)| made);
        let made = Made::new(&self.spec, look, &viewer.caller, alike);
        let offer = made.offer.clone();
        let before = offers.get(&key).map(|made| made.offer.clone());
        tell(&self.name, &offer, before.as_deref());
        if before.is_none() && offers.len() >= MOST_OFFERS {
            offers.clear();
        }
        offers.insert(key, made);
        offer
    }
}

/// Says in the log what is not offered, where that is new.
fn tell(endpoint: &ServerName, offer: &Offer, before: Option<&Offer>) {
    for (server, reason) in &offer.missing {
        let known = before
            .is_some_and(|before| before.missing.iter().any(|(name, why)| name == server && why == reason));
        let mut named = offer.servers.iter().filter(|member| member.mount.name() == server);
        if named.any(|member| member.mount.is_personal()) {
            // It says something about who asks, and not about the server.
            tracing::debug!(%server, "not in the lists of {endpoint}: {reason}");
        } else if !known {
            tracing::warn!(%server, "not in the lists of {endpoint}: {reason}");
        }
    }
    for kind in Kind::ALL {
        for (name, reason) in offer.of(kind).refusals() {
            if before.and_then(|before| before.of(kind).refusal(name)) != Some(reason) {
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
