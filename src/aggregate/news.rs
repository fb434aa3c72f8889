//! News of the lists, for whoever listens to them.

use crate::protocol::subscription::LISTS;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Changes that come so close together are told once: some servers announce each tool that they add.
const GATHER: Duration = Duration::from_millis(100);

/// News of the lists, for one who listens to them.
pub(super) struct News {
    /// Counts the changes of each of [`LISTS`].
    counts: watch::Receiver<[u64; 3]>,
    seen: [u64; 3],
    /// When what has changed is to be told.
    due: Option<Instant>,
}

impl News {
    /// What happens from now on.
    pub(super) fn new(mut counts: watch::Receiver<[u64; 3]>) -> Self {
        let seen = *counts.borrow_and_update();
        Self { counts, seen, due: None }
    }

    /// The lists that have changed since the last time; nothing once nobody counts any more. Dropping this loses nothing.
    pub(super) async fn next(&mut self) -> Option<Vec<&'static str>> {
        while *self.counts.borrow() == self.seen {
            self.counts.changed().await.ok()?;
        }
        sleep_until(*self.due.get_or_insert_with(|| Instant::now() + GATHER)).await;
        self.due = None;
        let before = std::mem::replace(&mut self.seen, *self.counts.borrow_and_update());
        let counts = before.into_iter().zip(self.seen);
        Some(
            LISTS
                .into_iter()
                .zip(counts)
                .filter(|(_, (old, new))| old != new)
                .map(|(list, _)| list)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn changes_that_come_together_are_told_once_and_none_is_lost() {
        let sender = watch::Sender::<[u64; 3]>::default();
        let mut news = News::new(sender.subscribe());
        assert!(news.next().now_or_never().is_none(), "there are none yet");
        sender.send_modify(|counts| counts[0] += 1);
        // Whoever is called away in between hears of it all the same, and no later.
        assert!(news.next().now_or_never().is_none(), "there may be more");
        sender.send_modify(|counts| counts[2] += 2);
        let begun = Instant::now();
        assert_eq!(news.next().await, Some(vec!["tools", "resources"]));
        assert_eq!(begun.elapsed(), GATHER);
        drop(sender);
        assert_eq!(news.next().await, None);
    }
}
