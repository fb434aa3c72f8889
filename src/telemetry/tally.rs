//! What a mount counts.

use super::{Durations, Kinds, Requests};
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
    /// Event streams that a client has come back to.
    pub resumptions: Counter,
    /// Processes and connections that have ended, by what ended them.
    pub exits: Kinds,
    /// From the first word to a process until its handshake was done.
    pub openings: Durations,
    /// What was measured of requests, where that is done.
    pub measured: Measured,
}

/// What a mount counts of its requests where they are measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Those that have ended, by method and outcome.
    pub ended: Requests,
    /// How long they took, but for subscriptions, which last as long as their client likes.
    pub took: Durations,
    /// How long they waited for a process that could serve them.
    pub waited_for_process: Durations,
    /// How long they waited until they were passed on: for their turn within limits, or for the process to be replaced.
    pub waited_for_turn: Durations,
    /// Those of clients of the legacy era to servers of the modern one.
    pub legacy_to_modern: Counter,
    /// Those of clients of the modern era to servers of the legacy one.
    pub modern_to_legacy: Counter,
    /// Bytes of those that have ended.
    pub received: Counter,
    /// Bytes of their answers.
    pub sent: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
