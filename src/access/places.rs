//! How many there may be at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many places. How many may change: who has one keeps it, and nobody gets one before there is room again.
#[derive(Debug)]
pub struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
}

/// A place, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Taken(Arc<Places>);

impl Places {
    /// So many; nothing: as many as are wanted.
    pub fn new(most: Option<usize>) -> Arc<Self> {
        Arc::new(Self { most: AtomicUsize::new(most.unwrap_or(usize::MAX)), taken: AtomicUsize::new(0) })
    }

    /// So many from now on.
    pub fn set(&self, most: Option<usize>) {
        self.most.store(most.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// How many there are, if that is limited.
    pub fn most(&self) -> Option<usize> {
        Some(self.most.load(Ordering::Relaxed)).filter(|most| *most != usize::MAX)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A place, if one is free.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |taken| (taken < most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Taken(self.clone()))
    }

    /// A place, even if none is free: for what is there already, and only to be counted.
    pub fn take_anyway(self: &Arc<Self>) -> Taken {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Taken(self.clone())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_left_and_fewer_places_take_none_away() {
        let places = Places::new(Some(2));
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none());
        drop(first);
        let third = places.take().unwrap();
        places.set(Some(1));
        drop(second);
        assert!(places.take().is_none(), "one is still there");
        let beyond = places.take_anyway();
        drop(third);
        assert!(places.take().is_none(), "what is beyond counts, too");
        drop(beyond);
        assert!(places.take().is_some());
        places.set(None);
        let many: Vec<_> = (0..100).filter_map(|_| places.take()).collect();
        assert_eq!((many.len(), places.most()), (100, None));
    }
}
