//! What clients may come back for, and by what they are known when they do.

use super::super::ExchangeKey;
use super::origin::Origin;
use super::question::Question;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// An answer is kept so long for a client that comes again because it was lost.
const KEPT: Duration = Duration::from_mins(1);

/// What clients may come back for, by the `requestState` that they were given.
#[derive(Debug, Default)]
pub(super) struct Parks {
    parks: HashMap<Box<str>, Park>,
    /// Bytes of the calls that were answered, and of their answers.
    spent: usize,
}

/// Calls that were answered take no more bytes than this: the oldest are forgotten first.
const MOST_SPENT: usize = 16 << 20;

/// What a `requestState` stands for.
#[derive(Debug)]
pub(super) enum Park {
    /// A call that waits for its client.
    Waits { call: ExchangeKey, until: Instant },
    /// Its client has come back and waits for the answer.
    Goes { call: ExchangeKey },
    /// It was answered; the answer is kept in case it was lost.
    Spent { origin: Origin, line: Bytes, failed: bool, until: Instant },
    /// The server is to be called, or called again, by a call of this origin; before that, it gets answers to what it asked
    /// without a call.
    Again { origin: Origin, first: BTreeMap<Box<str>, Question>, until: Instant },
}

impl Park {
    /// Bytes that are kept in case an answer was lost.
    fn spent(&self) -> usize {
        match self {
            Self::Spent { origin, line, .. } => origin.params.len() + line.len(),
            Self::Waits { .. } | Self::Goes { .. } | Self::Again { .. } => 0,
        }
    }
}

impl Parks {
    pub(super) fn is_empty(&self) -> bool {
        self.parks.is_empty()
    }

    /// Whether a call waits for its client, so that the process can take no other.
    pub(super) fn wait(&self) -> bool {
        self.parks.values().any(|park| matches!(park, Park::Waits { .. } | Park::Again { .. }))
    }

    /// Whether somebody may come back to make a call.
    pub(super) fn are_to_call(&self) -> bool {
        self.parks.values().any(|park| matches!(park, Park::Again { .. }))
    }

    pub(super) fn get(&self, state: &str) -> Option<&Park> {
        self.parks.get(state)
    }

    pub(super) fn insert(&mut self, state: Box<str>, park: Park) {
        self.parks.insert(state, park);
    }

    pub(super) fn remove(&mut self, state: &str) -> Option<Park> {
        let park = self.parks.remove(state);
        self.spent -= park.as_ref().map_or(0, Park::spent);
        park
    }

    /// Forgets everything; what was known is returned.
    pub(super) fn clear(&mut self) -> Vec<Box<str>> {
        std::mem::take(self).parks.into_keys().collect()
    }

    /// Forgets a call; by what it was known is returned.
    pub(super) fn forget(&mut self, key: ExchangeKey) -> Vec<Box<str>> {
        let is_it = |park: &Park| match park {
            Park::Waits { call, .. } | Park::Goes { call } => *call == key,
            Park::Spent { .. } | Park::Again { .. } => false,
        };
        let states: Vec<_> =
            self.parks.iter().filter(|(_, park)| is_it(park)).map(|(state, _)| state.clone()).collect();
        for state in &states {
            self.parks.remove(state);
        }
        states
    }

    /// A question that came without a call is withdrawn.
    pub(super) fn release(&mut self, id: &str) {
        for park in self.parks.values_mut() {
            if let Park::Again { first, .. } = park {
                first.retain(|_, question| *question.id != *id);
            }
        }
    }

    /// Nobody wants answers any more to what was asked without a call.
    pub(super) fn forget_questions(&mut self) {
        for park in self.parks.values_mut() {
            if let Park::Again { first, .. } = park {
                first.clear();
            }
        }
    }

    /// A call is over that its client was to come back to: when it does, it is to be made again.
    pub(super) fn call_again(&mut self, key: ExchangeKey, origin: &Origin) {
        for park in self.parks.values_mut() {
            if let Park::Waits { call, until } = park
                && *call == key
            {
                *park = Park::Again { origin: origin.clone(), first: BTreeMap::new(), until: *until };
            }
        }
    }

    /// Keeps the answer to a client that had come back for it; by what is returned, nobody can come back any more.
    pub(super) fn spend(
        &mut self,
        key: ExchangeKey,
        origin: &Origin,
        line: &Bytes,
        failed: bool,
        now: Instant,
    ) -> Vec<Box<str>> {
        for park in self.parks.values_mut() {
            if matches!(park, Park::Goes { call } if *call == key) {
                *park = Park::Spent { origin: origin.clone(), line: line.clone(), failed, until: now + KEPT };
                self.spent += park.spent();
            }
        }
        let mut forgotten = Vec::new();
        while self.spent > MOST_SPENT {
            let spent = self.parks.iter().filter_map(|(state, park)| match park {
                Park::Spent { until, .. } => Some((*until, state)),
                _ => None,
            });
            let Some(oldest) = spent.min().map(|(_, state)| state.clone()) else { break };
            self.remove(&oldest);
            forgotten.push(oldest);
        }
        forgotten
    }

    /// What nobody will come back for: states to forget, and calls to give up.
    pub(super) fn overdue(&self, now: Instant) -> (Vec<Box<str>>, BTreeSet<ExchangeKey>) {
        let (mut states, mut calls) = (Vec::new(), BTreeSet::new());
        for (state, park) in &self.parks {
            match park {
                Park::Waits { call, until } if now >= *until => drop(calls.insert(*call)),
                Park::Spent { until, .. } | Park::Again { until, .. } if now >= *until => {
                    states.push(state.clone());
                }
                _ => {}
            }
        }
        (states, calls)
    }
}
