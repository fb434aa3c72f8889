//! Whether a process may be had now, and what it leads to when one cannot be started.

use super::health::{self, Standing};
use super::pool::{Pool, PoolError};
use super::unserved::RETRY_FULL;
use super::{Facts, Mount, Unserved};
use crate::access::Caller;
use crate::config::Target;
use crate::telemetry::EventKind;
use crate::wire::{Code, RpcError};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Mount {
    /// Whether a process for a caller may be had at all now.
    pub(super) fn admit(&self, caller: &Caller) -> Result<&Arc<Pool>, Unserved> {
        self.demand(caller)?;
        if self.is_closing() {
            return Err(Unserved::shutting_down());
        }
        let Some(pool) = &self.pool else {
            let reason = match &self.spec.target {
                Target::Broken(reason) => reason.clone(),
                Target::Disabled | Target::Stdio(_) | Target::Remote(_) | Target::Aggregate(_) => {
                    "the server is disabled".to_owned()
                }
            };
            return Err(Unserved::unavailable(
                format!("the server {} cannot be started: {reason}", self.name()),
                health::PROBE_EVERY,
            ));
        };
        if pool.is_remote() {
            // Nothing is started, and to ask costs nothing: it may be back.
            return Ok(pool);
        }
        let facts = self.facts();
        let attempts = self.spec.restart.attempts;
        let wait = facts.health.wait(Instant::now());
        match (facts.health.standing(attempts), wait) {
            (Standing::Failed, wait) if wait.is_some() || !self.is_alone() => {
                Err(self.failing(&facts, wait.unwrap_or(Duration::from_secs(1))))
            }
            (Standing::Failing, Some(wait)) => Err(self.failing(&facts, wait)),
            _ => Ok(pool),
        }
    }

    fn failing(&self, facts: &Facts, wait: Duration) -> Unserved {
        let reason = facts.health.reason().unwrap_or("unknown");
        Unserved::unavailable(format!("the server {} cannot be started: {reason}", self.name()), wait)
    }

    /// What a client is told that gets no process; a failed spawn counts against the mount.
    pub(super) fn not_had(&self, error: &PoolError) -> Unserved {
        match error {
            PoolError::Full | PoolError::HouseFull => Unserved::Unavailable {
                error: RpcError::new(
                    Code::Overloaded,
                    format!("{error}: try again later, or raise the limit"),
                ),
                retry_after: RETRY_FULL,
            },
            PoolError::Lack(lack) => self.lacking(lack),
            PoolError::Yours(error) => Unserved::Denied(error.clone()),
            PoolError::Closed => Unserved::shutting_down(),
            PoolError::Spawn(spawn) => {
                let reason = self.describe(spawn);
                let wait = self.count_failure(&reason);
                self.doubt.notify_one();
                Unserved::unavailable(format!("the server {} cannot be started: {reason}", self.name()), wait)
            }
        }
    }

    /// Notes that a start failed; the pause before the next one is returned.
    pub(super) fn count_failure(&self, reason: &str) -> Duration {
        let attempts = self.spec.restart.attempts;
        let mut facts = self.facts();
        let before = (facts.health.standing(attempts), facts.health.reason().map(str::to_owned));
        let wait = facts.health.failed(reason.to_owned(), attempts, Instant::now());
        let standing = facts.health.standing(attempts);
        drop(facts);
        let failed = standing == Standing::Failed;
        // What was said already is not said again with every try.
        let again = before == (standing, Some(reason.to_owned()));
        match (failed, again) {
            (_, true) => tracing::debug!(server = %self.name(), "still cannot be started: {reason}"),
            (true, false) => {
                tracing::error!(server = %self.name(), "failed: {reason}; it is tried again every {} s", wait.as_secs());
            }
            (false, false) => {
                tracing::warn!(server = %self.name(), "cannot be started, it is tried again: {reason}");
            }
        }
        // A transition is told once, whatever the reasons are that follow.
        if before.0 != standing {
            let kind = if failed { EventKind::Failed } else { EventKind::Failing };
            self.tell(kind, reason);
        }
        wait
    }

    /// An error with its causes, on one line and without secrets.
    pub(super) fn describe(&self, error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        self.settings.mask.apply(&text).into_owned()
    }
}
