//! Mounts that are started before they are found, so that the first client does not wait for them.

use crate::mount::{Mount, State};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A new mount is found after this long at the latest, started or not.
const WITHIN: Duration = Duration::from_secs(3);

/// How often it is looked whether it has started.
const LOOK: Duration = Duration::from_millis(20);

/// Mounts that nobody finds yet. They are ended with this, unless they have become the heirs of others.
#[derive(Debug, Default)]
pub(super) struct Fresh(Vec<(Arc<Mount>, Option<Arc<Mount>>)>);

impl Fresh {
    /// Starts a mount, perhaps in the place of one that there is.
    pub(super) fn start(&mut self, mount: Arc<Mount>, before: Option<&Arc<Mount>>) -> Arc<Mount> {
        mount.start();
        self.0.push((mount.clone(), before.cloned()));
        mount
    }

    /// Waits until they have started, or have failed to; not long, and not where `ending`.
    pub(super) async fn settle(&self, ending: impl Fn() -> bool) {
        let until = Instant::now() + WITHIN;
        let starting = || self.0.iter().any(|(mount, _)| mount.state() == State::Starting);
        while starting() && Instant::now() < until && !ending() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// They are found from now on. Those in whose place others were have their sessions: the one before, and the heir.
    pub(super) fn heirs(mut self) -> Vec<(Arc<Mount>, Arc<Mount>)> {
        let heirs =
            std::mem::take(&mut self.0).into_iter().filter_map(|(next, before)| Some((before?, next)));
        let heirs: Vec<_> = heirs.filter(|(before, next)| before.can_go_on_in(next)).collect();
        for (before, next) in &heirs {
            before.introduce(next);
        }
        heirs
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Nobody has spoken to them but ourselves.
        self.0.iter().for_each(|(mount, _)| mount.kill());
    }
}
