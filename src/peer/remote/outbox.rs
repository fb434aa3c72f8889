//! What waits to be posted: a queue that is bounded, requests included whose answer has not begun.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::peer::{SendError, room};

/// Messages on their way to a remote server.
const MAX_MESSAGES: usize = 1024;

/// Bytes of them; a single message may be longer.
const MAX_BYTES: usize = 64 << 20;

/// The queue into a connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Something waits, or nothing more will.
    filled: Notify,
    /// Room was made, or the queue was closed.
    room: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Bytes>,
    /// Those under way included.
    messages: usize,
    bytes: usize,
    closed: bool,
}

/// The room that a message takes until it is known to have arrived.
#[derive(Debug)]
pub(super) struct Load {
    outbox: Arc<Outbox>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&self, line: Bytes) -> Result<(), SendError> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(SendError::Closed);
        }
        if !queue.fits(line.len()) {
            return Err(SendError::Full);
        }
        queue.messages += 1;
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// The next message, and the room that it takes; None once the queue is closed and empty. For one task only.
    pub(super) async fn next(self: &Arc<Self>) -> Option<(Bytes, Load)> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(line) = queue.lines.pop_front() {
                    let load = Load { outbox: self.clone(), bytes: line.len() };
                    return Some((line, load));
                }
                if queue.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Accepts nothing more; what waits can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// Whether a message of this length fits, or the queue is closed.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let queue = self.lock();
        queue.closed || queue.fits(bytes)
    }

    /// Waits until a message of this length fits, or the queue is closed.
    pub(super) async fn room(&self, bytes: usize) {
        room::until(&self.room, || self.has_room(bytes)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn fits(&self, bytes: usize) -> bool {
        self.messages == 0 || (self.messages < MAX_MESSAGES && self.bytes + bytes <= MAX_BYTES)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut queue = self.outbox.lock();
        queue.messages -= 1;
        queue.bytes -= self.bytes;
        drop(queue);
        self.outbox.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_message_takes_its_room_until_it_has_arrived() {
        let outbox = Arc::new(Outbox::default());
        for _ in 0..MAX_MESSAGES {
            outbox.push("{}".into()).unwrap();
        }
        assert_eq!(outbox.push("{}".into()), Err(SendError::Full));
        let (line, load) = outbox.next().now_or_never().flatten().unwrap();
        assert_eq!(line, "{}");
        assert!(!outbox.has_room(2) && outbox.room(2).now_or_never().is_none(), "it is under way");
        drop(load);
        assert!(outbox.has_room(2) && outbox.room(2).now_or_never().is_some());
        outbox.close();
        assert_eq!(outbox.push("{}".into()), Err(SendError::Closed));
        assert!(outbox.next().now_or_never().flatten().is_some(), "what waits can be taken");
    }

    #[test]
    fn a_single_message_may_be_longer_than_the_room() {
        let outbox = Arc::new(Outbox::default());
        outbox.push(vec![b' '; MAX_BYTES + 1].into()).unwrap();
        assert_eq!(outbox.push("{}".into()), Err(SendError::Full));
    }
}
