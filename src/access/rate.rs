//! How often something may happen.

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// How often: so many in a minute, evenly, of which some may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// In a minute.
    pub per_minute: NonZeroU32,
    /// At once, after a time without any.
    pub burst: NonZeroU32,
}

/// Counts what happens at a pace.
#[derive(Debug)]
pub struct Rate<C: Clock = DefaultClock>(RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>);

impl Pace {
    /// The same as the limiter says it.
    pub fn quota(self) -> Quota {
        Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }
}

impl Rate {
    /// Nothing has happened yet.
    pub fn new(pace: Pace) -> Self {
        Self::by(pace, DefaultClock::default())
    }
}

impl<C: Clock> Rate<C> {
    /// The same by another clock.
    pub fn by(pace: Pace, clock: C) -> Self {
        Self(RateLimiter::direct_with_clock(pace.quota(), clock))
    }

    /// It is to happen once more.
    ///
    /// # Errors
    /// Not yet, but after this time, if nothing else takes its turn.
    pub fn take(&self) -> Result<(), Duration> {
        self.0.check().map_err(|until| until.wait_time_from(self.0.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn pace(per_minute: u32, burst: u32) -> Pace {
        let number = |number| NonZeroU32::new(number).unwrap();
        Pace { per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn some_come_at_once_and_the_others_evenly() {
        let second = Duration::from_secs(1);
        // (the pace, how many at once, then the pause until the next)
        for (pace, at_once, pause) in [
            (pace(60, 60), 60, second),
            (pace(60, 1), 1, second),
            (pace(6, 3), 3, 10 * second),
            (pace(1, 1), 1, 60 * second),
            (pace(1, 4), 4, 60 * second),
        ] {
            let clock = FakeRelativeClock::default();
            let rate = Rate::by(pace, clock.clone());
            assert!((0..at_once).all(|_| rate.take().is_ok()), "{pace:?}");
            let wait = rate.take().unwrap_err();
            assert!(wait <= pause && wait > Duration::ZERO, "{pace:?}: {wait:?}");
            clock.advance(wait / 4);
            assert!(rate.take().is_err(), "{pace:?}: it is not refused for ever, nor let in early");
            clock.advance(wait.mul_f64(0.75) + Duration::from_nanos(1));
            assert!(rate.take().is_ok(), "{pace:?}");
            assert!(rate.take().is_err(), "{pace:?}: one more and no second one");
            clock.advance(pause * at_once);
            assert!((0..at_once).all(|_| rate.take().is_ok()) && rate.take().is_err(), "{pace:?}");
        }
    }
}
