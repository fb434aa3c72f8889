//! The end of a process: asked, then forced, and everything that it left behind with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::time::{Instant, sleep, sleep_until};

use super::group::Group;
use super::process::Shared;
use super::{Cause, orphans};

/// From the closing of stdin to SIGTERM.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// From SIGTERM to SIGKILL.
pub const MERCY: Duration = Duration::from_secs(3);

/// From SIGKILL to giving up: only a process that the kernel itself cannot end lives that long.
const GIVING_UP: Duration = Duration::from_secs(5);

/// How often a group that outlived its leader is looked at: first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(160));

/// The leader, and the task that waits for its end.
pub(super) struct Ladder {
    child: Child,
    group: Group,
    shared: Arc<Shared>,
    /// The leader has been waited for: its process id may be another's by now.
    reaped: bool,
}

/// Whether a step of the ladder was the last one needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Leader and group are gone.
    Ended,
    /// The step's time has passed.
    TooSlow,
    /// Somebody wants it killed at once.
    Hurried,
}

impl Ladder {
    pub(super) fn new(child: Child, shared: Arc<Shared>) -> Self {
        let group = Group::led_by(shared.pid, Arc::clone(&shared.marker));
        Self { child, group, shared, reaped: false }
    }

    /// Waits until the process ends or is to end, then walks the ladder to its end.
    pub(super) async fn walk(mut self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = self.leader_exit() => {}
            () = shared.life.stop.cancelled() => {}
            () = shared.life.kill.cancelled() => {}
        }
        shared.stdin.finish();
        let mut step = self.ended_within(PATIENCE, true).await;
        shared.stdin.close();
        if step == Step::TooSlow {
            self.signal(Group::terminate);
            step = self.ended_within(MERCY, true).await;
        }
        if step != Step::Ended {
            self.signal(Group::kill);
            if !self.reaped {
                // Where there are no groups, at least the leader ends.
                let _ = self.child.start_kill();
            }
            if self.ended_within(GIVING_UP, false).await != Step::Ended {
                tracing::warn!(pid = shared.pid, "a process did not end after SIGKILL");
                shared.life.ended(Cause::Unknown);
            }
        }
        orphans::end(&shared.marker).await;
        shared.life.gone.cancel();
    }

    async fn leader_exit(&mut self) {
        if !self.reaped {
            let status = self.child.wait().await;
            self.reaped = true;
            orphans::forget(self.shared.pid, &self.shared.marker);
            self.shared.life.ended(status.map_or(Cause::Unknown, Cause::from));
        }
    }

    /// Waits for the end of leader and group.
    async fn ended_within(&mut self, time: Duration, hurry: bool) -> Step {
        let deadline = Instant::now() + time;
        let kill = self.shared.life.kill.clone();
        tokio::select! {
            biased;
            () = self.end() => Step::Ended,
            () = kill.cancelled(), if hurry => Step::Hurried,
            () = sleep_until(deadline) => Step::TooSlow,
        }
    }

    async fn end(&mut self) {
        self.leader_exit().await;
        let (mut pause, longest) = LOOKS;
        while self.group.is_alive() {
            // A member that ended is one until somebody waits for it: its new parent, which may be this process.
            orphans::reap();
            if !self.group.is_alive() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn signal(&mut self, send: impl FnOnce(&Group)) {
        // While the leader has not been waited for, nobody else can have its number. Later the number may be given
        // to a stranger as soon as the group is empty.
        if !self.reaped || self.group.is_ours() {
            send(&self.group);
        }
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        // The runtime ended in the middle: nobody will walk the rest.
        if !self.reaped {
            self.group.kill();
        }
    }
}
