//! How often what happens seldom has happened, by kind.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A counter for each of a few kinds. The words are the program's own: what others write can be none.
#[derive(Debug, Default)]
pub struct Kinds(Mutex<BTreeMap<&'static str, u64>>);

impl Kinds {
    /// One more of a kind.
    pub fn add(&self, kind: &'static str) {
        *self.lock().entry(kind).or_default() += 1;
    }

    /// The kinds of which there was any, and how many.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.lock().iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
