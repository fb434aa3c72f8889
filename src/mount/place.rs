//! Where processes may run: so many in a mount, and so many in the house, which is all mounts together.

use super::pool::PoolError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// In a full pool the next place is waited for as long as this: that of a process which ends is free in a moment.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// The places of a mount.
#[derive(Debug)]
pub(super) struct Places {
    slots: Arc<Semaphore>,
    /// Nothing: what runs elsewhere needs no place in the house.
    house: Option<Arc<Semaphore>>,
}

/// The place of one process, until nothing of it runs any more.
#[derive(Debug)]
pub(super) struct Place {
    _slot: OwnedSemaphorePermit,
    _house: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// `max` places, each of which is one in the house too.
    pub(super) fn new(max: usize, house: Option<Arc<Semaphore>>) -> Self {
        Self { slots: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))), house }
    }

    /// Places for the successor of a server of which only one may run: it waits for the one before.
    pub(super) fn inherited(&self) -> Self {
        Self { slots: self.slots.clone(), house: self.house.clone() }
    }

    /// A place, if there is one.
    pub(super) fn free(&self) -> Result<Place, PoolError> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| PoolError::Full)?;
        let house = self.house.as_ref().map(|house| house.clone().try_acquire_owned()).transpose();
        Ok(Place { _slot: slot, _house: house.map_err(|_| PoolError::HouseFull)? })
    }

    /// The next place that is free: who waits for one comes before those who only look.
    pub(super) async fn next(&self) -> Result<Place, PoolError> {
        let until = tokio::time::Instant::now() + FREE_WITHIN;
        let slot = tokio::time::timeout_at(until, self.slots.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| PoolError::Full)?.map_err(|_| PoolError::Closed)?;
        let Some(house) = &self.house else { return Ok(Place { _slot: slot, _house: None }) };
        let house = tokio::time::timeout_at(until, house.clone().acquire_owned()).await;
        let house = house.map_err(|_| PoolError::HouseFull)?.map_err(|_| PoolError::Closed)?;
        Ok(Place { _slot: slot, _house: Some(house) })
    }
}
