//! An offer that was made, and whether the same would be made again.

use super::catalog::{Member, Piece};
use super::lists::Lists;
use super::offer::Offer;
use crate::access::Caller;
use crate::config::AggregateSpec;
use std::sync::Arc;
use std::time::Instant;

/// An offer, and what it was made of.
pub(super) struct Made {
    /// The servers of the catalog when it was last looked at.
    pub(super) among: Arc<Vec<Arc<Member>>>,
    pub(super) looked_at: Instant,
    /// For whom it was made; see [`rights`].
    pub(super) rights: (u64, bool),
    versions: Vec<u64>,
    lists: Vec<Option<Arc<Lists>>>,
    pub(super) offer: Arc<Offer>,
}

/// What of a caller decides what he is offered: the number of what he may, and whether nobody asks who he is.
pub(super) fn rights(caller: &Caller) -> (u64, bool) {
    (caller.grant().id(), caller.is_anyone())
}

/// What was seen of all servers together.
pub(super) struct Look {
    pub(super) among: Arc<Vec<Arc<Member>>>,
    /// When it began.
    pub(super) at: Instant,
    pub(super) pieces: Vec<Piece>,
}

impl Made {
    /// `made`: offers that were made before for callers with the same rights; one of the same lists is the same.
    pub(super) fn new<'a>(
        spec: &AggregateSpec,
        look: Look,
        caller: &Caller,
        made: impl IntoIterator<Item = &'a Self>,
    ) -> Self {
        let Look { among, at: looked_at, pieces } = look;
        let versions = pieces.iter().map(|piece| piece.version).collect();
        let lists = pieces.iter().map(|piece| piece.lists.clone()).collect();
        let same = made.into_iter().find(|made| made.is_of_lists(&pieces)).map(|made| made.offer.clone());
        let offer = same.unwrap_or_else(|| Arc::new(Offer::new(spec, pieces, caller)));
        Self { among, looked_at, rights: rights(caller), versions, lists, offer }
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
    pub(super) fn again(&mut self, look: &Look) -> Option<Arc<Offer>> {
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
