//! How far the listener is on its way to the end, told to every connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Context;

use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What connections may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Level {
    /// Everything.
    Open,
    /// Finish what they have begun.
    Draining,
    /// Nothing any more.
    Closed,
}

/// The level that holds for all connections of a listener.
///
/// Not a `CancellationToken`: looking at one takes a lock that all connections share, and connections look
/// every time they are polled.
#[derive(Debug, Default)]
pub(super) struct Stage {
    level: AtomicU8,
    changed: Arc<Notify>,
}

impl Stage {
    /// The level that holds now.
    pub(super) fn level(&self) -> Level {
        match self.level.load(Ordering::Acquire) {
            0 => Level::Open,
            1 => Level::Draining,
            _ => Level::Closed,
        }
    }

    /// Goes on to `level` and wakes everyone.
    pub(super) fn advance(&self, level: Level) {
        self.level.fetch_max(level as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until `level` is reached.
    pub(super) async fn reached(&self, level: Level) {
        loop {
            // Made before the look, so that no change falls between the two.
            let changed = self.changed.notified();
            if self.level() >= level {
                return;
            }
            changed.await;
        }
    }
}

pin_project! {
    /// One connection's eye on the stage.
    pub(super) struct Watch {
        stage: Arc<Stage>,
        seen: Level,
        armed: bool,
        #[pin]
        changed: OwnedNotified,
    }
}

impl Watch {
    pub(super) fn new(stage: &Arc<Stage>) -> Self {
        let changed = Arc::clone(&stage.changed).notified_owned();
        Self { stage: Arc::clone(stage), seen: Level::Open, armed: false, changed }
    }

    /// The new level, if it has changed since the last look; else the task is woken when it does.
    pub(super) fn poll_change(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<Level> {
        let mut this = self.project();
        // The task's waker never changes: once is enough to be woken.
        while !*this.armed {
            if this.changed.as_mut().poll(cx).is_pending() {
                *this.armed = true;
            } else {
                this.changed.set(Arc::clone(&this.stage.changed).notified_owned());
            }
        }
        let level = this.stage.level();
        if level == *this.seen {
            return None;
        }
        *this.seen = level;
        *this.armed = false;
        cx.waker().wake_by_ref();
        Some(level)
    }
}
