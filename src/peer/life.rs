//! The stages of a peer's life that others wait for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::{Cause, Exit};

/// How far a peer has come on its way to its end.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Somebody wanted it to end, before it did.
    asked: AtomicBool,
    /// Its end is to begin.
    pub(super) stop: CancellationToken,
    /// Its end is to be quick.
    pub(super) kill: CancellationToken,
    exit: OnceLock<Exit>,
    /// `exit` is set.
    pub(super) exited: CancellationToken,
    /// What it has said on stderr was read, or is read no further.
    pub(super) silent: CancellationToken,
    /// Nothing of it is left.
    pub(super) gone: CancellationToken,
}

impl Life {
    /// Notes that its end is wanted.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Wants its end, and at once.
    pub(super) fn kill(&self) {
        self.ask();
        self.kill.cancel();
    }

    /// Says how it ended. Only the first word counts.
    pub(super) fn ended(&self, cause: Cause) {
        let asked = self.asked.load(Ordering::Relaxed);
        if self.exit.set(Exit { cause, asked }).is_ok() {
            self.exited.cancel();
        }
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit.get().copied()
    }

    /// Waits until it has ended.
    pub(super) async fn exited(&self) -> Exit {
        self.exited.cancelled().await;
        self.exit().unwrap_or(Exit { cause: Cause::Unknown, asked: true })
    }
}
