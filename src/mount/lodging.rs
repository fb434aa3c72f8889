//! The places that clients take: sessions, streams, and processes that run for one principal alone.

use super::pool::{Pool, PoolError};
use super::unserved::RETRY_FULL;
use super::{Mount, Unserved};
use crate::access::{Allowance, Caller, Places, Taken};
use crate::peer::Peer;
use crate::wire::{Code, RpcError};
use std::sync::Arc;

/// What all mounts together have room for.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    pub(super) sessions: Arc<Places>,
    pub(super) streams: Arc<Places>,
}

/// The places of a session, until it has ended; or of a stream.
#[derive(Debug)]
pub struct Lodging {
    _places: [Option<Taken>; 3],
}

impl Mount {
    /// Places for a session of a caller. Behind what serves several servers it is a part of one that has its places.
    pub(super) fn lodge(&self, caller: &Caller) -> Result<Arc<Lodging>, Unserved> {
        let own = caller.counted(Allowance::session);
        let own = own.map_err(Unserved::Denied)?;
        let here = place(&self.rooms, || format!("the server {} has {{}} sessions", self.name()))?;
        let house = &self.house_rooms.sessions;
        let house = if caller.is_inside() { None } else { Some(place(house, || IN_ALL.to_owned())?) };
        Ok(Arc::new(Lodging { _places: [own, Some(here), house] }))
    }

    /// A place for a stream of a caller that is open for as long as he likes.
    pub fn stream(&self, caller: &Caller) -> Result<Lodging, Unserved> {
        let own = caller.counted(Allowance::stream);
        let own = own.map_err(Unserved::Denied)?;
        let house = place(&self.house_rooms.streams, || "{} streams are open in all".to_owned())?;
        Ok(Lodging { _places: [own, Some(house), None] })
    }

    /// A place for a process that is to run for a caller alone. What runs elsewhere, or for all, needs none.
    pub(super) fn process_of(&self, pool: &Pool, caller: &Caller) -> Result<Option<Taken>, PoolError> {
        let allowance = caller.allowance().filter(|_| self.has_processes_of_one(pool));
        allowance.map(|allowance| allowance.process()).transpose().map_err(PoolError::Yours)
    }

    /// The same for a process in place of one that is about to be gone.
    pub(super) fn next_process_of(&self, pool: &Pool, caller: &Caller) -> Option<Taken> {
        let allowance = caller.allowance().filter(|_| self.has_processes_of_one(pool));
        allowance.map(|allowance| allowance.next_process())
    }

    fn has_processes_of_one(&self, pool: &Pool) -> bool {
        !pool.is_remote() && !self.spec.pool.is_singleton()
    }

    /// A process has its place until nothing of it runs any more.
    pub(super) fn keep_until_gone(&self, peer: &Peer, place: Option<Taken>) {
        let Some(place) = place else { return };
        let peer = peer.witness();
        self.tracker.spawn(async move {
            peer.gone().await;
            drop(place);
        });
    }
}

const IN_ALL: &str = "there are {} sessions in all";

/// A place, or the refusal; `what` says with `{}` how many there are.
fn place(places: &Arc<Places>, what: impl Fn() -> String) -> Result<Taken, Unserved> {
    places.take().ok_or_else(|| {
        let most = places.most().unwrap_or_default().to_string();
        let reason = format!("{}, which is the limit: try again later", what().replace("{}", &most));
        Unserved::Unavailable { error: RpcError::new(Code::Overloaded, reason), retry_after: RETRY_FULL }
    })
}
