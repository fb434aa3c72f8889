//! How long something took, each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes of durations, in seconds; the last class has none. Few: each is a series of every server.
const BOUNDS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The same in nanoseconds.
const NANOSECONDS: [u64; BOUNDS.len()] = [
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// How many of something there were, in classes by what they took, and how long they took together.
#[derive(Debug, Default)]
pub struct Durations {
    classes: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    /// One more, which took so long.
    pub fn add(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let class = NANOSECONDS.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    /// How many, and how long.
    pub fn sum(&self) -> (u64, Duration) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        let count = self.classes.iter().map(|class| class.load(Ordering::Relaxed)).sum();
        (count, Duration::from_nanos(nanoseconds))
    }

    /// How many of each class, with its upper bound in seconds.
    pub fn classes(&self) -> Vec<(f64, u64)> {
        let counts = self.classes.iter().map(|class| class.load(Ordering::Relaxed));
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_both_units() {
        for (seconds, nanoseconds) in BOUNDS.into_iter().zip(NANOSECONDS) {
            assert_eq!(Duration::from_secs_f64(seconds), Duration::from_nanos(nanoseconds));
        }
    }

    #[test]
    fn each_goes_into_the_first_class_that_it_fits() {
        let durations = Durations::default();
        for millis in [0, 1, 2, 30_000, 60_000, 60_001] {
            durations.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = durations.classes().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert_eq!(durations.sum(), (6, Duration::from_millis(150_004)));
    }
}
