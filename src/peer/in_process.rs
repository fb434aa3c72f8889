//! A server that is a part of this program: no process, no connection, the same queue in and lines out.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use tokio_util::task::TaskTracker;

use super::life::Life;
use super::stdin::SendError;
use super::{Cause, Listener};
use crate::access::Caller;
use crate::wire::line::Line;

/// A server that is a part of this program.
pub trait Service: Send + Sync + fmt::Debug + 'static {
    /// Begins a conversation of `caller` with it; what it says goes to `voice`.
    fn converse(&self, voice: Voice, caller: &Caller) -> Arc<dyn Conversation>;
}

/// One conversation with such a server.
pub trait Conversation: Send + Sync + 'static {
    /// Takes a message. It is called under the locks of whoever sends: it must not block, and nothing may be said before it
    /// has returned.
    fn hear(&self, line: Bytes);

    /// Nobody listens any more: what is under way is given up.
    fn end(&self);
}

/// How a conversation speaks. It does not keep its peer running.
#[derive(Clone, Debug)]
pub struct Voice(Weak<Link>);

impl Voice {
    /// Says one message, on one line without its end.
    pub fn say(&self, line: Bytes) {
        if let Some(link) = self.0.upgrade()
            && let Some(ear) = link.ear.get().filter(|_| !link.life.stop.is_cancelled())
        {
            ear.line(Line::Whole(line));
        }
    }
}

/// A handle to a conversation. When the last one is dropped, it ends.
#[derive(Clone, Debug)]
pub(super) struct InProcess(Arc<Hold>);

/// What the handles share, and only they.
#[derive(Debug)]
struct Hold(Arc<Link>);

/// What the handles and the conversation share.
struct Link {
    conversation: OnceLock<Arc<dyn Conversation>>,
    ear: OnceLock<Arc<dyn Listener>>,
    life: Arc<Life>,
    tracker: TaskTracker,
}

impl InProcess {
    pub(super) fn new(service: &dyn Service, caller: &Caller, tracker: TaskTracker) -> Self {
        let link = Arc::new(Link {
            conversation: OnceLock::new(),
            ear: OnceLock::new(),
            life: Arc::default(),
            tracker,
        });
        let conversation = service.converse(Voice(Arc::downgrade(&link)), caller);
        let _ = link.conversation.set(conversation);
        Self(Arc::new(Hold(link)))
    }

    pub(super) fn attach(&self, listener: Arc<dyn Listener>) {
        let link = &self.0.0;
        if link.ear.set(listener).is_ok() {
            let link = link.clone();
            // Whoever stops a peer may hold locks that its listener needs: the end is told by a task of its own.
            link.tracker.clone().spawn(async move {
                tokio::select! {
                    () = link.life.stop.cancelled() => {}
                    () = link.life.kill.cancelled() => {}
                }
                link.end();
                if let (Some(ear), Some(exit)) = (link.ear.get(), link.life.exit()) {
                    ear.exited(&exit);
                }
                link.life.gone.cancel();
            });
        }
    }

    pub(super) fn send(&self, line: Bytes) -> Result<(), SendError> {
        let shared = &self.0.0;
        if shared.life.stop.is_cancelled() || shared.life.kill.is_cancelled() {
            return Err(SendError::Closed);
        }
        if let Some(conversation) = shared.conversation.get() {
            conversation.hear(line);
        }
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.0.0.ask_to_stop();
    }

    pub(super) fn life(&self) -> &Arc<Life> {
        &self.0.0.life
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ask_to_stop();
    }
}

impl Link {
    fn ask_to_stop(&self) {
        self.life.ask();
        self.life.stop.cancel();
        if self.ear.get().is_none() {
            self.end();
            self.life.gone.cancel();
        }
    }

    fn end(&self) {
        if let Some(conversation) = self.conversation.get() {
            conversation.end();
        }
        self.life.stop.cancel();
        self.life.ended(Cause::Closed);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("life", &self.life).finish_non_exhaustive()
    }
}
