//! Work that several may want done at the same time: it is done once, by a task of its own, and all hear what came of it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Something that is done once for all who want it while it is done. Who gives up waiting does not stop it.
#[derive(Debug)]
pub(crate) struct Errand<T>(Mutex<Option<Underway<T>>>);

/// An errand that somebody is on.
#[derive(Clone, Debug)]
pub(crate) struct Underway<T> {
    begun: Instant,
    outcome: watch::Receiver<Option<T>>,
}

impl<T: Clone + Send + Sync + 'static> Errand<T> {
    /// The errand that is under way; else `work` is, from now on.
    pub(crate) fn run<F>(&self, tracker: &TaskTracker, work: F) -> Underway<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(underway) = latest.as_ref().filter(|underway| underway.is_so()) {
            return underway.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let underway = Underway { begun: Instant::now(), outcome };
        *latest = Some(underway.clone());
        tracker.spawn(async move {
            let outcome = work.await;
            sender.send_replace(Some(outcome));
        });
        underway
    }
}

impl<T: Clone> Errand<T> {
    /// The errand that somebody is on, if there is one.
    pub(crate) fn underway(&self) -> Option<Underway<T>> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|underway| underway.is_so()).cloned()
    }
}

impl<T: Clone> Underway<T> {
    /// Since when.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Waits for what comes of it; nothing if it was left undone.
    pub(crate) async fn outcome(mut self) -> Option<T> {
        self.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

impl<T> Underway<T> {
    /// Whoever is on it is gone once it is done, and also when he failed to do it.
    fn is_so(&self) -> bool {
        self.outcome.has_changed().is_ok()
    }
}

impl<T> Default for Errand<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn it_is_done_once_for_all_who_wait_and_goes_on_without_who_began_it() {
        let (errand, tracker) = (Errand::default(), TaskTracker::new());
        let go = Arc::new(Semaphore::new(0));
        let work = |told: &'static str| {
            let go = go.clone();
            async move {
                go.acquire().await.unwrap().forget();
                told
            }
        };
        let mut first = Box::pin(errand.run(&tracker, work("first")).outcome());
        let second = errand.run(&tracker, work("second"));
        assert!((&mut first).now_or_never().is_none());
        drop(first);
        go.add_permits(1);
        assert_eq!(second.outcome().await, Some("first"));
        tracker.close();
        tracker.wait().await;
        go.add_permits(1);
        assert_eq!(errand.run(&tracker, work("third")).outcome().await, Some("third"));
    }

    #[tokio::test]
    async fn one_that_was_left_undone_is_begun_anew() {
        let (errand, tracker) = (Errand::<u8>::default(), TaskTracker::new());
        let failed = errand.run(&tracker, async { panic!("the work fails") });
        assert_eq!(failed.outcome().await, None);
        assert_eq!(errand.run(&tracker, async { 1 }).outcome().await, Some(1));
    }
}
