//! How much each principal may have, and has.

use crate::access::{Allowance, Caller, Pace, Terms};
use crate::config::{PaceSpec, PrincipalLimits};
use crate::protocol::Principal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The allowances of the principals that have called: each has one, whichever key or token he shows. They outlive the rules
/// that they come from.
#[derive(Clone, Debug)]
pub(super) struct Allowances(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    by: HashMap<Principal, Entry>,
    /// When there are so many, those are forgotten of whom there is nothing to know any more.
    most: usize,
}

#[derive(Debug)]
struct Entry {
    allowance: Arc<Allowance>,
    /// When he was last seen, and how long after that his calls still count.
    seen: Instant,
    counts: Duration,
}

/// So many are never looked through.
const FEW: usize = 4096;

impl Default for Allowances {
    fn default() -> Self {
        Self::keeping(FEW)
    }
}

impl Allowances {
    fn keeping(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Known { by: HashMap::new(), most })))
    }

    /// The same caller, who may have what these limits say.
    pub(super) fn give(&self, caller: &Caller, limits: &PrincipalLimits) -> Caller {
        caller.within(self.change(caller.principal(), limits))
    }

    /// From now on a principal may have this, with all that he has already.
    pub(super) fn change(&self, principal: &Principal, limits: &PrincipalLimits) -> Arc<Allowance> {
        let terms = terms(limits);
        let (seen, counts) = (Instant::now(), terms.pace.map_or(Duration::ZERO, refills_within));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.by.get_mut(principal) {
            entry.allowance.change(&terms);
            (entry.seen, entry.counts) = (seen, counts);
            return entry.allowance.clone();
        }
        if known.by.len() >= known.most {
            known.by.retain(|_, entry| entry.is_needed(seen));
            known.most = known.most.max(2 * known.by.len());
        }
        let allowance = Allowance::new(&terms);
        known.by.insert(principal.clone(), Entry { allowance: allowance.clone(), seen, counts });
        allowance
    }
}

impl Entry {
    /// Whether a session, a key or a request has it; or it would make a difference to begin anew.
    fn is_needed(&self, now: Instant) -> bool {
        Arc::strong_count(&self.allowance) > 1 || now.duration_since(self.seen) < self.counts
    }
}

/// After this time without calls nothing tells one who has called from one who has not.
fn refills_within(pace: Pace) -> Duration {
    Duration::from_mins(1) * pace.burst.get() / pace.per_minute.get()
}

fn terms(limits: &PrincipalLimits) -> Terms {
    let pace = limits.requests.pace.map(|PaceSpec { per_minute, burst }| Pace { per_minute, burst });
    let PrincipalLimits { requests, sessions, streams, processes } = *limits;
    Terms { pace, concurrent: requests.concurrent, sessions, streams, processes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QuotaSpec;
    use std::num::NonZeroU32;

    fn len(allowances: &Allowances) -> usize {
        allowances.0.lock().unwrap().by.len()
    }

    #[test]
    fn a_principal_has_one_allowance_whatever_he_shows_and_changes_hold_at_once() {
        let allowances = Allowances::default();
        let limits = |sessions| PrincipalLimits { sessions: Some(sessions), ..PrincipalLimits::default() };
        let alice = allowances.change(&Principal::named("alice"), &limits(1));
        let session = alice.session().unwrap();
        let again = allowances.change(&Principal::named("alice"), &limits(1));
        assert!(again.session().is_err());
        assert!(allowances.change(&Principal::named("bob"), &limits(1)).session().is_ok());
        allowances.change(&Principal::named("alice"), &limits(2));
        let second = alice.session().unwrap();
        assert!(again.session().is_err());
        drop((session, second));
    }

    #[test]
    fn of_many_those_are_forgotten_who_would_begin_anew_anyway() {
        let allowances = Allowances::keeping(10);
        let number = NonZeroU32::new(1).unwrap();
        let pace = Some(PaceSpec { per_minute: number, burst: number });
        let slow =
            PrincipalLimits { requests: QuotaSpec { pace, ..QuotaSpec::default() }, ..Default::default() };
        let named = |n: usize| Principal::named(&n.to_string());
        let kept = allowances.change(&named(0), &PrincipalLimits::default());
        assert!(allowances.change(&named(1), &slow).call().is_ok());
        for n in 2..1000 {
            allowances.change(&named(n), &PrincipalLimits::default());
        }
        assert!(len(&allowances) <= 10, "{}", len(&allowances));
        assert!(Arc::ptr_eq(&kept, &allowances.change(&named(0), &PrincipalLimits::default())));
        assert!(allowances.change(&named(1), &slow).call().is_err(), "he has called already");
    }
}
