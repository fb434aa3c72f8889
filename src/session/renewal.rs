//! A process that is replaced while it is well: because its server is, or because it may still work on what was given up.

use super::usage::ON_THE_WAY;
use super::{Conversation, Link, Session, Settings};
use crate::protocol::Input;
use crate::wire::{Code, RpcError};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

/// A request waits this long for a remote server that was lost.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

impl Session {
    /// Goes on with another process as soon as nothing is in flight, and at `until` in any case; or ends then, if its mount
    /// wishes that for sessions whose process dies.
    pub fn replace_process(&self, until: Instant) {
        let (mut state, now) = (self.lock(), Instant::now());
        if matches!(state.link, Link::Ended(_)) {
            return;
        }
        state.replace_by = Some(until);
        if state.is_to_be_replaced(now) {
            self.renew_or_end(state, now);
        }
    }

    /// Whether it still has the process that is to be replaced.
    pub fn is_to_be_replaced(&self) -> bool {
        let state = self.lock();
        state.replace_by.is_some() && !matches!(state.link, Link::Ended(_))
    }

    /// From now on it belongs to a mount with these settings.
    pub fn settle(&self, settings: Settings) {
        self.lock().bridge.set_timeout(settings.timeout);
        self.settings.store(Arc::new(settings.hiding(&self.credentials)));
    }

    /// How long a request waits for a process that is being replaced.
    pub(super) fn patience(&self) -> Duration {
        let settings = self.settings();
        if settings.patient { settings.start.min(REACHED_WITHIN) } else { settings.start }
    }

    /// The time has come to replace the process.
    pub(super) fn renew_or_end(&self, mut state: MutexGuard<'_, Conversation>, now: Instant) {
        let empty = state.clients.is_empty() && !state.dedicated && !state.bridge.is_awaited();
        if empty || !self.settings().restart {
            return self.end(&mut state, None, now);
        }
        self.renew(state, now);
    }

    /// Stops the process and goes on with another: subscriptions are made again, and their listeners stay.
    pub(super) fn renew(&self, mut state: MutexGuard<'_, Conversation>, now: Instant) {
        let link = std::mem::replace(&mut state.link, Link::Down);
        // Its end is not a crash, and what it still says is not heard.
        state.generation += 1;
        let error = RpcError::new(Code::ServerExited, "the server is being replaced: call again");
        self.handle(&mut state, Input::Exited(error), now);
        state.forget_questions();
        if let Some(peer) = link.peer() {
            peer.stop();
        }
        drop(state);
        self.changed.notify_waiters();
        if let Some(session) = self.me.upgrade() {
            self.tracker.spawn(session.restart(0));
        }
    }
}

impl Conversation {
    /// Whether the process is to be replaced now.
    pub(super) fn is_to_be_replaced(&self, now: Instant) -> bool {
        // Whoever had it opened may be on his way.
        let awaited = !self.dedicated
            && self.next_client == 0
            && self.resumed_at.is_some_and(|at| now < at + ON_THE_WAY);
        let due = |by: Instant| now >= by || (self.bridge.in_flight() == 0 && !awaited);
        matches!(self.link, Link::Up(_)) && self.replace_by.is_some_and(due)
    }
}
