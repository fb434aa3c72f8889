//! What a mount counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// How long requests took, where that is measured.
    pub latency: Latency,
}

/// How many requests have ended, and how long all of them took together.
#[derive(Debug, Default)]
pub struct Latency {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Latency {
    /// One more, which took so long.
    pub(super) fn add(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many, and how long.
    pub fn sum(&self) -> (u64, Duration) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(nanoseconds))
    }
}

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
