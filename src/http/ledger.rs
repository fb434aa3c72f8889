//! What is counted of HTTP, whichever server is meant.

use super::refusal::Refusal;
use crate::access::{Places, Taken};
use crate::telemetry::{Counter, Kinds};
use http::StatusCode;
use std::sync::Arc;

/// Counters of the edge, since the start of the router.
#[derive(Debug)]
pub struct Ledger {
    /// Responses by the class of their status.
    responses: [Counter; CLASSES.len()],
    refusals: Kinds,
    connections: Arc<Places>,
    turned_away: Kinds,
}

/// The classes of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Default for Ledger {
    fn default() -> Self {
        Self {
            responses: Default::default(),
            refusals: Kinds::default(),
            // Who comes in is limited elsewhere: here they are only counted.
            connections: Places::new(None),
            turned_away: Kinds::default(),
        }
    }
}

impl Ledger {
    /// A response is about to be sent.
    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.responses.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            counter.add_one();
        }
    }

    /// A request was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refusals.add(refusal.kind());
    }

    /// A connection was opened; it is until this is dropped.
    pub(super) fn opened(&self) -> Taken {
        self.connections.take_anyway()
    }

    /// A connection was not let in.
    pub(super) fn turned_away(&self, limit: &'static str) {
        self.turned_away.add(limit);
    }

    /// Responses by the class of their status.
    pub(super) fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.responses.iter().map(Counter::count))
    }

    /// Refused requests by kind.
    pub(super) fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.counts()
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> usize {
        self.connections.taken()
    }

    /// Connections that were not let in, by the limit that they were over.
    pub(super) fn all_turned_away(&self) -> Vec<(&'static str, u64)> {
        self.turned_away.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_class_and_connections_while_they_are_open() {
        let ledger = Ledger::default();
        for status in [200, 202, 404, 503, 999] {
            ledger.answered(StatusCode::from_u16(status).expect("a status"));
        }
        let counts: Vec<_> = ledger.responses().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 2, 0, 1, 1]);
        let open = ledger.opened();
        assert_eq!(ledger.connections(), 1);
        drop(open);
        assert_eq!(ledger.connections(), 0);
    }
}
