//! What the router itself has to say to a server, where that is more than a few lines: subscriptions that are made again, or
//! all at once. It is said bit by bit, so that the requests of clients find room in between.

use super::{Conversation, Session};
use crate::peer::{MAX_BYTES, Peer, SendError};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Duration;

/// Lines that are said at once; far fewer than wait for a server that does not read.
pub(super) const BATCH: usize = 64;

/// A batch waits so long for everything before it to be read, and then only for room.
const PACE: Duration = Duration::from_millis(100);

/// Lines of so many bytes may wait.
const MOST_BYTES: usize = 16 << 20;

/// Lines that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The process that they are for; another one hears other things.
    generation: u64,
    lines: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    /// Whether nothing waits for the process of this generation.
    pub(super) fn is_empty(&self, generation: u64) -> bool {
        self.lines.is_empty() || self.generation != generation
    }

    /// Says the next lines; whether more wait.
    fn say(&mut self, peer: &Peer) -> bool {
        for _ in 0..BATCH {
            let Some(line) = self.lines.front() else { return false };
            match peer.send(line.clone()) {
                Ok(()) => {
                    self.bytes -= line.len();
                    self.lines.pop_front();
                }
                Err(SendError::Full) => return true,
                Err(SendError::Closed) => {
                    self.lines.clear();
                    return false;
                }
            }
        }
        !self.lines.is_empty()
    }
}

impl Session {
    /// Lets a line wait for its turn; false if too many do.
    pub(super) fn say_later(&self, state: &mut Conversation, line: Bytes) -> bool {
        let Some(peer) = state.link.peer().cloned() else { return true };
        let generation = state.generation;
        if state.backlog.is_empty(generation) {
            state.backlog = Backlog { generation, ..Backlog::default() };
            self.tracker.spawn(work_off(self.me.clone(), peer, generation));
        }
        if state.backlog.bytes + line.len() > MOST_BYTES {
            return false;
        }
        state.backlog.bytes += line.len();
        state.backlog.lines.push_back(line);
        true
    }
}

/// Says what waits for a process, until nothing does or another is in its place.
async fn work_off(session: Weak<Session>, peer: Peer, generation: u64) {
    loop {
        // So much fits only where nothing else waits.
        let _ = tokio::time::timeout(PACE, peer.room(MAX_BYTES)).await;
        peer.room(1).await;
        let Some(session) = session.upgrade() else { return };
        let mut state = session.lock();
        if state.backlog.generation != generation || !state.backlog.say(&peer) {
            return;
        }
    }
}
