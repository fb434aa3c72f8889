//! One call at a time to which the server may ask questions: a legacy server's question does not name its call.

use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Whether such a call may be made.
#[derive(Debug)]
pub(super) struct Interactions {
    free: Arc<Semaphore>,
    freed: Arc<Notify>,
}

/// The right to make such a call. Its drop tells those who wait for it.
#[derive(Debug)]
pub struct Interaction {
    permit: Option<OwnedSemaphorePermit>,
    freed: Arc<Notify>,
}

impl Interactions {
    pub(super) fn new(freed: Arc<Notify>) -> Self {
        Self { free: Arc::new(Semaphore::new(1)), freed }
    }

    pub(super) fn claim(&self) -> Option<Interaction> {
        let permit = self.free.clone().try_acquire_owned().ok();
        permit.map(|permit| Interaction { permit: Some(permit), freed: self.freed.clone() })
    }
}

impl Drop for Interaction {
    fn drop(&mut self) {
        // Whoever is told must find it free.
        drop(self.permit.take());
        self.freed.notify_waiters();
    }
}
