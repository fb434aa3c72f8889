//! Whether a mount's server can be started, and when that may be tried again.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A mount that has failed is tried this often.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(30);

/// What is known of a server's willingness to start. Pure: the time is given.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// A handshake has succeeded, ever.
    pub(super) proven: bool,
    failures: u32,
    reason: Option<String>,
    not_before: Option<Instant>,
}

/// How a mount stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing speaks against it.
    Well,
    /// The last starts failed.
    Failing,
    /// As many starts failed as it takes to give up.
    Failed,
}

impl Health {
    /// A handshake has succeeded.
    pub(super) fn succeeded(&mut self) {
        *self = Self { proven: true, ..Self::default() };
    }

    /// A start failed; it is tried again after the pause that is returned.
    pub(super) fn failed(&mut self, reason: String, attempts: u32, now: Instant) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason);
        let pause = if self.failures >= attempts {
            PROBE_EVERY
        } else {
            FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(8)).min(LONGEST_PAUSE)
        };
        self.not_before = Some(now + pause);
        pause
    }

    /// Nothing speaks against it any more, and nothing for it but what is said here.
    pub(super) fn start_over(&mut self, proven: bool) {
        *self = Self { proven, ..Self::default() };
    }

    /// How it stands, if `attempts` failures make it fail.
    pub(super) fn standing(&self, attempts: u32) -> Standing {
        match self.failures {
            0 => Standing::Well,
            n if n < attempts => Standing::Failing,
            _ => Standing::Failed,
        }
    }

    /// Why the last start failed.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// How long no start should be tried; None if one may be now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before.and_then(|at| at.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_after_as_many_attempts_waits_in_between_and_recovers_at_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.standing(3), Standing::Well);
        assert_eq!(health.failed("a".into(), 3, now), Duration::from_millis(500));
        assert_eq!(health.failed("b".into(), 3, now), Duration::from_secs(1));
        assert_eq!(health.standing(3), Standing::Failing);
        assert_eq!(health.failed("c".into(), 3, now), PROBE_EVERY);
        assert_eq!((health.standing(3), health.reason()), (Standing::Failed, Some("c")));
        assert_eq!(health.wait(now + Duration::from_secs(10)), Some(Duration::from_secs(20)));
        assert_eq!(health.wait(now + PROBE_EVERY), None);
        health.start_over(false);
        assert_eq!((health.standing(3), health.wait(now), health.proven), (Standing::Well, None, false));
        health.failed("d".into(), 3, now);
        health.succeeded();
        assert_eq!((health.standing(3), health.reason(), health.wait(now)), (Standing::Well, None, None));
    }

    #[test]
    fn the_pause_grows_to_half_a_minute() {
        let (mut health, now) = (Health::default(), Instant::now());
        let pauses: Vec<_> = (0..9).map(|_| health.failed(String::new(), 100, now).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    }
}
