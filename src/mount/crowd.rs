//! Listeners for the router's own sake, which give way to clients.

use super::Mount;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A process in which nothing but the router's own subscription was left is free within this time.
const WITHIN: Duration = Duration::from_millis(500);

/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// Subscriptions of the router's own in a mount.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    count: AtomicUsize,
    wanted: Notify,
}

/// One of them, for as long as this lives.
struct Listener<'a>(&'a Listeners);

impl Mount {
    /// Waits until a client needs the process in which the router listens for its own sake: there is no other.
    pub async fn crowded(&self) {
        let wanted = self.listeners.wanted.notified();
        self.listeners.count.fetch_add(1, Ordering::Relaxed);
        let _listener = Listener(&self.listeners);
        wanted.await;
    }

    /// Has the router's own listeners leave, where no further process may be started; whether that has made one free.
    pub(super) async fn make_way(&self) -> bool {
        if self.listeners.count.load(Ordering::Relaxed) == 0 || self.spec.pool.is_singleton() {
            return false;
        }
        self.listeners.wanted.notify_waiters();
        let until = Instant::now() + WITHIN;
        while Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            if self.end_unused() {
                return true;
            }
        }
        false
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
