//! An issuer's keys, asked for when they are needed and not more often than is decent.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Invalid;
use super::key_set::KeySet;
use crate::mount::errand::{Errand, Underway};
use crate::oauth::{KeySource, LoginError};

/// What is known of an issuer's keys. They are used while they cannot be renewed, and a token that names one that is not
/// there leads to one question in half a minute, whoever sends how many of these.
#[derive(Debug)]
pub(super) struct Keys {
    shared: Arc<Shared>,
    tracker: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    source: KeySource,
    stop: CancellationToken,
    state: Mutex<State>,
    question: Errand<()>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    /// When they were last got.
    got: Option<Instant>,
    /// When they were last asked for.
    asked: Option<Instant>,
    /// The last question was not answered.
    failed: bool,
}

impl Keys {
    /// Nothing is known yet, but the question is asked at once.
    pub(super) fn new(source: KeySource, tracker: TaskTracker, stop: CancellationToken) -> Self {
        let shared = Arc::new(Shared { source, stop, state: Mutex::default(), question: Errand::default() });
        let keys = Self { shared, tracker };
        keys.ask(&mut keys.shared.state());
        keys
    }

    /// The keys that are known; waits for them only while there are none.
    pub(super) async fn current(&self) -> Result<Arc<KeySet>, Invalid> {
        let question = {
            let mut state = self.shared.state();
            if let Some(set) = state.set.clone() {
                self.renew(&mut state);
                return Ok(set);
            }
            self.ask(&mut state)
        };
        if let Some(question) = question {
            question.outcome().await;
        }
        let state = self.shared.state();
        state.set.clone().ok_or_else(|| state.unavailable())
    }

    /// The keys after `known`, if there are others: in these there is none for some token.
    pub(super) async fn after(&self, known: &KeySet) -> Result<Option<Arc<KeySet>>, Invalid> {
        let newer = |state: &State| state.set.clone().filter(|set| set.generation != known.generation);
        let question = {
            let mut state = self.shared.state();
            match newer(&state) {
                Some(set) => return Ok(Some(set)),
                None => self.ask(&mut state),
            }
        };
        if let Some(question) = question {
            question.outcome().await;
        }
        let state = self.shared.state();
        match newer(&state) {
            // The key may be there by now, for all that is known.
            None if state.failed => Err(state.unavailable()),
            newer => Ok(newer),
        }
    }

    /// Tells the keys of now from others; they are renewed beside that when it is time to.
    pub(super) fn generation(&self) -> Option<u64> {
        let mut state = self.shared.state();
        self.renew(&mut state);
        state.set.as_ref().map(|set| set.generation)
    }

    fn renew(&self, state: &mut State) {
        if state.got.is_none_or(|got| got.elapsed() >= FRESH) {
            self.ask(state);
        }
    }

    /// The question that is asked, if there is one or may be one.
    fn ask(&self, state: &mut State) -> Option<Underway<()>> {
        if let Some(question) = self.shared.question.underway() {
            return Some(question);
        }
        if state.pause().is_some() {
            return None;
        }
        state.asked = Some(Instant::now());
        let shared = Arc::clone(&self.shared);
        Some(self.shared.question.run(&self.tracker, async move {
            let outcome = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                outcome = shared.source.fetch() => outcome,
            };
            shared.note(outcome);
        }))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, outcome: Result<Vec<Value>, LoginError>) {
        let issuer = self.source.issuer();
        let mut state = self.state();
        state.failed = outcome.is_err();
        match outcome {
            Ok(keys) => {
                state.got = Some(Instant::now());
                if state.set.as_ref().is_some_and(|set| set.is(&keys)) {
                    return;
                }
                let generation = state.set.as_ref().map_or(0, |set| set.generation + 1);
                let set = Arc::new(KeySet::read(keys, generation));
                let (usable, first) = (set.len(), state.set.is_none());
                state.set = Some(set);
                drop(state);
                match (usable, first) {
                    (0, _) => tracing::warn!(issuer, "no token can be checked with the keys of the issuer"),
                    (_, true) => tracing::info!(issuer, keys = usable, "tokens of this issuer are checked"),
                    (_, false) => tracing::info!(issuer, keys = usable, "the issuer has other keys"),
                }
            }
            Err(error) => {
                let known = state.set.is_some();
                drop(state);
                let cause = error.source().map(tracing::field::display);
                let then = if known { "those of before are used" } else { "no token can be checked" };
                tracing::warn!(issuer, %error, cause, "the keys of the issuer cannot be had: {then}");
            }
        }
    }
}

impl State {
    /// How long nobody is asked.
    fn pause(&self) -> Option<Duration> {
        let pause = if self.set.is_some() { PAUSE } else { FIRST_PAUSE };
        pause.checked_sub(self.asked?.elapsed()).filter(|left| !left.is_zero())
    }

    fn unavailable(&self) -> Invalid {
        Invalid::KeysUnavailable { retry_after: self.pause().unwrap_or_default().max(Duration::from_secs(1)) }
    }
}

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(30);

/// Between two questions while nothing is known, and nobody can come in.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// How long keys are taken for the issuer's without a question.
const FRESH: Duration = Duration::from_mins(10);
