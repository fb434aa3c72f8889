//! A client whose server speaks only the other era: its process is replaced, and its bridge, before it notices.

use super::{Bridge, Link, Session, life, seed};
use crate::protocol::{Guest, Input, Member, ModernLane, OpeningError, Output, Rules, TurnedDown};
use crate::wire::{Code, RpcError};
use serde_json::Map;
use std::sync::Arc;
use std::time::Instant;

/// An `initialize` that the server has refused, and that waits for another process.
#[derive(Debug)]
pub(super) struct Waiting {
    turned_down: TurnedDown,
    /// The other process is there.
    pub(super) changed: bool,
}

/// The bridge before a process of the modern era.
pub(super) fn lane(name: &Arc<str>, rules: Rules) -> Bridge {
    Bridge::Modern(Box::new(ModernLane::new(seed(), name.clone(), rules)))
}

/// A legacy client with a session, of which nothing is known before its `initialize`.
pub(super) fn guest() -> Guest {
    Guest::Legacy(Member { revision: None, capabilities: Map::new(), reachable: true })
}

impl Waiting {
    pub(super) fn new(turned_down: TurnedDown) -> Self {
        Self { turned_down, changed: false }
    }

    /// The request, to be made to the new process.
    pub(super) fn request(self) -> Input {
        let TurnedDown { client, exchange, initialize, .. } = self.turned_down;
        Input::Request { client, exchange, message: initialize }
    }

    /// What the first process answered.
    pub(super) fn answer(self) -> Output {
        let TurnedDown { client, exchange, answer, .. } = self.turned_down;
        Output::Answer { client, exchange, message: answer, failed: true }
    }
}

impl Session {
    /// Finds out whether the server only speaks the modern era, and goes on in that era; else the client gets the answer.
    pub(super) async fn change_era(self: Arc<Self>, certain: bool) {
        let peer = self.home.turned_down(certain).await;
        let (now, rules) = (Instant::now(), self.rules());
        let mut state = self.lock();
        let Some(waiting) = &mut state.turned_down else {
            if let Some(peer) = peer {
                peer.stop();
            }
            return;
        };
        let client = waiting.turned_down.client;
        waiting.changed = true;
        let Some(peer) = peer else {
            let Some(waiting) = state.turned_down.take() else { return };
            let reason = OpeningError::Refused(life::refusal(&waiting.turned_down.answer));
            return self.perform(&mut state, vec![waiting.answer(), Output::Failed(reason)], now);
        };
        // What came behind the `initialize` was for the process that has refused it.
        let error = RpcError::new(Code::ServerExited, "the server was opened anew in another era: ask again");
        self.handle(&mut state, Input::Exited(error), now);
        state.bridge = lane(&self.settings().name, rules);
        state.bridge.join(client, guest());
        state.generation += 1;
        let before = std::mem::replace(&mut state.link, Link::Opening(peer));
        if let Some(before) = before.peer().cloned() {
            before.stop();
        }
        state.opening_until = None;
        self.greet(&mut state, now);
        drop(state);
        self.attach();
    }
}
