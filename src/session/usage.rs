//! How much a session is used, and whether it still is.

use super::{Conversation, Link, Session};
use crate::protocol::Load;
use std::time::{Duration, Instant};

/// A session that was opened for somebody is his for so long.
pub(super) const ON_THE_WAY: Duration = Duration::from_secs(1);

impl Session {
    /// How busy its server is.
    pub fn load(&self) -> Load {
        self.lock().bridge.load(Instant::now())
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.lock().bridge.in_flight()
    }

    /// Clients that speak HTTP+SSE; not the parts of this program that have a session of their own.
    pub fn sse_clients(&self) -> usize {
        self.lock().clients.values().filter(|participant| participant.streams.is_over_http()).count()
    }

    /// Whether its process is about to be replaced, because it may still work on a call that was given up.
    pub fn is_spoiled(&self) -> bool {
        self.lock().bridge.is_spoiled()
    }

    /// Whether it can take a call to which the server may ask questions in a moment: one was given up, and has to settle.
    pub fn is_calming(&self) -> bool {
        self.lock().bridge.is_calming()
    }

    /// Whether a call waits in it for its client to come back with an answer.
    pub fn is_parked(&self) -> bool {
        self.lock().bridge.is_parked()
    }

    /// Since when nobody uses it, if nobody does.
    pub fn unused_since(&self) -> Option<Instant> {
        let state = self.lock();
        state.is_unused(Instant::now()).then_some(state.last_active)
    }

    /// Ends it, unless somebody uses it after all; whether it did.
    pub fn end_unused(&self) -> bool {
        let (mut state, now) = (self.lock(), Instant::now());
        let unused = state.is_unused(now);
        if unused {
            tracing::debug!(server = %self.settings().name, "an unused shared process makes room for another");
            self.end(&mut state, None, now);
        }
        unused
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.lock().link, Link::Ended(_))
    }
}

impl Conversation {
    /// Whether it is a shared session in which nobody is, and to which nobody will come back.
    fn is_unused(&self, now: Instant) -> bool {
        // Whoever had it opened may be on his way.
        let visited = self.next_client > 0 || now >= self.last_active + ON_THE_WAY;
        let empty = self.clients.is_empty() && !self.dedicated && !self.once;
        // What was given up a moment ago may still be worked on.
        let rests =
            self.bridge.in_flight() == 0 && !self.bridge.is_interacting() && !self.bridge.is_awaited();
        empty && visited && rests && matches!(self.link, Link::Up(_))
    }
}
