//! What is known of one server's lists, for clients of one kind: fetched once for all, kept, and fetched again.

use super::lists::{Kind, Lists};
use crate::mount::errand::{Errand, Underway};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// A list waits so long for each server.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What a server says of its lists holds so long, where nobody listens to its changes.
const HOLDS: Duration = Duration::from_secs(30);

/// After a failure it is asked again no sooner than this.
const AGAIN: Duration = Duration::from_secs(1);

/// What is known of one server's lists.
#[derive(Debug, Default)]
pub(super) struct Part {
    known: Mutex<Known>,
    errand: Errand<()>,
}

/// What came of asking.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The last lists that the server gave.
    pub(super) lists: Option<Arc<Lists>>,
    /// Why they could not be had the last time.
    pub(super) failure: Option<String>,
    /// The number of the last change.
    pub(super) version: u64,
    /// When it was last asked, with whatever success.
    asked: Option<Instant>,
    /// The server has announced a change since.
    stale: bool,
    /// Which ones: they are told with what is found when it is asked.
    announced: Changes,
    /// An answer was given without it.
    missed: bool,
    /// Changes of what is shown of its tools that were known when it was last asked.
    sights: u64,
}

/// What asking has changed, for those who listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Of tools, prompts and resources, which.
    pub(super) kinds: [bool; 3],
}

impl Changes {
    /// These, too.
    fn add(&mut self, more: Self) {
        for (kind, more) in self.kinds.iter_mut().zip(more.kinds) {
            *kind |= more;
        }
    }
}

/// The number of a change. None comes twice: what was forgotten and is learned anew must not pass for what it was.
pub(super) fn next_version() -> u64 {
    static COUNTED: AtomicU64 = AtomicU64::new(0);
    COUNTED.fetch_add(1, Ordering::Relaxed) + 1
}

impl Part {
    /// What is known now.
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Asks the server by `fetch` if it is time to, or `surely`. What is waited for, is returned: nothing if what is known is
    /// good enough, or the server has had its time.
    pub(super) fn refresh<F>(
        self: &Arc<Self>,
        tracker: &TaskTracker,
        running: bool,
        sights: u64,
        fetch: impl FnOnce() -> F,
    ) -> Option<Underway<()>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (due, waits) = {
            let mut known = self.lock();
            // What is hidden or shown since must not be listed as before, whether the server runs or not.
            let is_other = std::mem::replace(&mut known.sights, sights) != sights;
            let age = known.asked.map(|at| at.elapsed());
            match (&known.lists, age) {
                (Some(_), _) if is_other => (true, true),
                // What is known of a server that is started by its first use is believed until it runs.
                (Some(_), _) if !running => (false, false),
                (Some(_), None) => (true, false),
                (None, None) => (true, true),
                // It may be as old as the last client's visit.
                (Some(_), Some(age)) => (known.stale || age >= HOLDS, age >= HOLDS),
                // Nobody waits again for one that an answer was given without.
                (None, Some(age)) => (age >= AGAIN, !known.missed),
            }
        };
        let underway = if due { Some(self.errand.run(tracker, fetch())) } else { self.errand.underway() };
        // One that has had its time is not waited for again.
        underway.filter(|underway| waits && underway.begun().elapsed() < PATIENCE)
    }

    /// The server is being asked.
    pub(super) fn underway(&self) -> Option<Underway<()>> {
        self.errand.underway()
    }

    /// Asks the server anew, since it has `announced` changes or may have, and waits for that.
    pub(super) async fn renew<F>(&self, tracker: &TaskTracker, announced: Changes, fetch: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        {
            let mut known = self.lock();
            known.stale = true;
            known.announced.add(announced);
        }
        // One that was asked before the change may not know of it.
        if let Some(underway) = self.errand.underway() {
            underway.outcome().await;
        }
        self.errand.run(tracker, fetch).outcome().await;
    }

    /// Notes what is known of the server from when it last ran, unless there is something newer.
    pub(super) fn remember(&self, lists: Arc<Lists>) {
        let mut known = self.lock();
        if known.lists.is_none() {
            known.lists = Some(lists);
            known.version = next_version();
        }
    }

    /// Notes what came of asking.
    pub(super) fn settle(&self, outcome: Result<Arc<Lists>, String>) -> Changes {
        let mut known = self.lock();
        let before = known.clone();
        known.asked = Some(Instant::now());
        known.stale = false;
        // Also where the lists are the same as before: there may be a new process behind them.
        let announced = std::mem::take(&mut known.announced);
        let mut changes = Changes::default();
        match outcome {
            Ok(lists) => {
                let same = |kind: Kind| before.lists.as_ref().map(|old| old.of(kind)) == Some(lists.of(kind));
                let kinds = [
                    !same(Kind::Tools),
                    !same(Kind::Prompts),
                    !same(Kind::Resources) || !same(Kind::Templates),
                ];
                // What nobody has missed, nobody needs to hear of.
                if before.missed || before.lists.is_some() {
                    changes.kinds = kinds;
                }
                if kinds.contains(&true) || before.failure.is_some() || before.lists.is_none() {
                    known.version = next_version();
                }
                known.lists = Some(lists);
                known.failure = None;
                known.missed = false;
            }
            Err(reason) => {
                if before.failure.as_ref() != Some(&reason) {
                    known.version = next_version();
                }
                known.failure = Some(reason);
            }
        }
        changes.add(announced);
        changes
    }

    /// An answer is given without it.
    pub(super) fn miss(&self) {
        self.lock().missed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(tool: &str) -> Arc<Lists> {
        let mut lists = Lists::default();
        lists.lists[0].items = vec![format!(r#"{{"name":"{tool}"}}"#).into()];
        lists.into()
    }

    #[tokio::test]
    async fn the_first_to_ask_waits_and_nobody_waits_for_what_is_known() {
        let (part, tracker) = (Arc::new(Part::default()), TaskTracker::new());
        let answer = part.clone();
        let fetch = move || async move {
            answer.settle(Ok(lists("a")));
        };
        part.refresh(&tracker, true, 0, fetch).unwrap().outcome().await;
        assert_eq!(part.known().lists.as_deref(), Some(&*lists("a")));
        assert!(part.refresh(&tracker, true, 0, || async { panic!("it is fresh") }).is_none());
    }

    #[tokio::test]
    async fn what_is_remembered_is_believed_until_the_server_runs() {
        let (part, tracker) = (Arc::new(Part::default()), TaskTracker::new());
        part.remember(lists("a"));
        assert!(part.refresh(&tracker, false, 0, || async { panic!("it is left alone") }).is_none());
        let answer = part.clone();
        assert!(
            part.refresh(&tracker, true, 0, || async move {
                answer.settle(Ok(lists("b")));
            })
            .is_none()
        );
        tracker.close();
        tracker.wait().await;
        assert_eq!(part.known().lists.as_deref(), Some(&*lists("b")));
    }

    #[tokio::test]
    async fn what_is_old_is_asked_for_again_only_where_the_server_runs() {
        let (part, tracker) = (Arc::new(Part::default()), TaskTracker::new());
        part.settle(Ok(lists("a")));
        part.lock().asked = Instant::now().checked_sub(HOLDS);
        assert!(part.refresh(&tracker, false, 0, || async { panic!("it is left alone") }).is_none());
        let answer = part.clone();
        let fetch = || async move {
            answer.settle(Ok(lists("b")));
        };
        part.refresh(&tracker, true, 0, fetch).expect("it is waited for").outcome().await;
        assert_eq!(part.known().lists.as_deref(), Some(&*lists("b")));
    }

    #[tokio::test]
    async fn what_is_shown_of_it_in_another_way_is_asked_for_at_once() {
        let (part, tracker) = (Arc::new(Part::default()), TaskTracker::new());
        part.settle(Ok(lists("a")));
        let answer = part.clone();
        let fetch = || async move {
            answer.settle(Ok(lists("b")));
        };
        part.refresh(&tracker, false, 1, fetch).expect("it is waited for").outcome().await;
        assert_eq!(part.known().lists.as_deref(), Some(&*lists("b")));
        assert!(part.refresh(&tracker, true, 1, || async { panic!("it is fresh") }).is_none());
    }

    #[tokio::test]
    async fn a_change_that_was_announced_is_told_once() {
        let (part, tracker) = (Arc::new(Part::default()), TaskTracker::new());
        part.settle(Ok(lists("a")));
        let (answer, told) = (part.clone(), Arc::new(Mutex::new(Vec::new())));
        let tell = told.clone();
        let announced = Changes { kinds: [true, false, false] };
        part.renew(&tracker, announced, async move {
            let changes = [answer.settle(Ok(lists("b"))), answer.settle(Ok(lists("b")))];
            tell.lock().unwrap().extend(changes);
        })
        .await;
        assert_eq!(*told.lock().unwrap(), [announced, Changes::default()]);
    }

    #[test]
    fn only_what_somebody_has_seen_or_missed_is_a_change() {
        let part = Part::default();
        assert_eq!(part.settle(Ok(lists("a"))), Changes::default());
        assert_eq!(part.settle(Ok(lists("a"))), Changes::default());
        assert_eq!(part.settle(Ok(lists("b"))).kinds, [true, false, false]);
        let late = Part::default();
        assert_eq!(late.settle(Err("slow".into())), Changes::default());
        late.miss();
        assert_eq!(late.settle(Ok(lists("a"))).kinds, [true, true, true]);
        let version = late.known().version;
        late.settle(Ok(lists("a")));
        assert_eq!(late.known().version, version);
        late.settle(Ok(lists("b")));
        assert!(late.known().version > version);
    }
}
