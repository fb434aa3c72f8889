//! What a mount counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one mount, since the start of the router.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests of clients.
    pub requests: Counter,
    /// Responses that were errors, the server's and the router's own.
    pub errors: Counter,
    /// Requests that were not passed on, because their client may not make them, or not now.
    pub refused: Counter,
    /// Processes that were replaced in a session that went on.
    pub restarts: Counter,
    /// Notifications and answers that reached nobody.
    pub dropped: Counter,
    /// Lines of servers that were no messages.
    pub skipped_lines: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
