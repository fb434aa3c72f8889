//! How much one principal may have: calls, sessions, streams and processes.

use super::places::{Places, Taken};
use super::rate::{Pace, Rate};
use crate::wire::{Code, RpcError};
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::time::Duration;

/// How much; nothing: as much as he likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How often he may call.
    pub pace: Option<Pace>,
    /// Calls in flight.
    pub concurrent: Option<usize>,
    /// Sessions.
    pub sessions: Option<usize>,
    /// Open streams.
    pub streams: Option<usize>,
    /// Processes that run for him alone.
    pub processes: Option<usize>,
}

/// What one principal has, whichever of his keys and sessions it is that he uses.
#[derive(Debug)]
pub struct Allowance {
    rate: ArcSwapOption<(Pace, Rate)>,
    calls: Arc<Places>,
    sessions: Arc<Places>,
    streams: Arc<Places>,
    processes: Arc<Places>,
}

impl Allowance {
    /// He has nothing yet.
    pub fn new(terms: &Terms) -> Arc<Self> {
        let allowance = Self {
            rate: ArcSwapOption::empty(),
            calls: Places::new(None),
            sessions: Places::new(None),
            streams: Places::new(None),
            processes: Places::new(None),
        };
        allowance.change(terms);
        Arc::new(allowance)
    }

    /// From now on this holds. What he has, he keeps.
    pub fn change(&self, terms: &Terms) {
        let before = self.rate.load().as_ref().map(|counted| counted.0);
        if before != terms.pace {
            self.rate.store(terms.pace.map(|pace| Arc::new((pace, Rate::new(pace)))));
        }
        self.calls.set(terms.concurrent);
        self.sessions.set(terms.sessions);
        self.streams.set(terms.streams);
        self.processes.set(terms.processes);
    }

    /// He calls; what is given is held until he is answered.
    ///
    /// # Errors
    /// He calls too often, or has too much in flight.
    pub fn call(&self) -> Result<Option<Taken>, RpcError> {
        let taken = match self.calls.most() {
            None => None,
            Some(most) => Some(self.calls.take().ok_or_else(|| full("requests in flight", most))?),
        };
        if let Some(counted) = &*self.rate.load() {
            counted.1.take().map_err(|wait| too_often("you call", counted.0, wait))?;
        }
        Ok(taken)
    }

    /// He opens a session.
    pub fn session(&self) -> Result<Taken, RpcError> {
        place(&self.sessions, "sessions")
    }

    /// He opens a stream.
    pub fn stream(&self) -> Result<Taken, RpcError> {
        place(&self.streams, "open streams")
    }

    /// A process is started for him.
    pub fn process(&self) -> Result<Taken, RpcError> {
        place(&self.processes, "processes")
    }

    /// A process is started for him in place of another that is about to be gone.
    pub fn next_process(&self) -> Taken {
        self.processes.take_anyway()
    }
}

/// What is told to who calls more often than he may; `who` calls.
pub fn too_often(who: &str, pace: Pace, wait: Duration) -> RpcError {
    let per_minute = pace.per_minute;
    let error = RpcError::new(
        Code::Overloaded,
        format!("{who} more often than {per_minute} times a minute, which is the limit: try again later"),
    );
    // Rounded up, so that nobody comes too early.
    error.retry_after(wait + Duration::from_micros(999))
}

/// When something may be free again.
pub const A_MOMENT: Duration = Duration::from_secs(1);

fn place(places: &Arc<Places>, what: &str) -> Result<Taken, RpcError> {
    places.take().ok_or_else(|| full(what, places.most().unwrap_or_default()))
}

fn full(what: &str, most: usize) -> RpcError {
    let error = RpcError::new(
        Code::Overloaded,
        format!("you have {most} {what}, which is the limit: end one of them, or try again later"),
    );
    error.retry_after(A_MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn pace(per_minute: u32) -> Pace {
        let number = NonZeroU32::new(per_minute).unwrap();
        Pace { per_minute: number, burst: number }
    }

    #[test]
    fn what_is_not_limited_is_not_counted() {
        let allowance = Allowance::new(&Terms::default());
        let calls: Vec<_> = (0..1000).map(|_| allowance.call().unwrap()).collect();
        assert!(calls.iter().all(Option::is_none));
        assert!(allowance.session().is_ok() && allowance.stream().is_ok() && allowance.process().is_ok());
    }

    #[test]
    fn a_call_that_has_no_place_is_not_counted_as_one() {
        let allowance =
            Allowance::new(&Terms { pace: Some(pace(2)), concurrent: Some(1), ..Terms::default() });
        let first = allowance.call().unwrap();
        for _ in 0..5 {
            let error = allowance.call().unwrap_err();
            assert!(error.message.starts_with("you have 1 requests in flight"), "{error}");
            assert_eq!((error.code, error.wait()), (Code::Overloaded, Some(A_MOMENT)));
        }
        drop(first);
        drop(allowance.call().unwrap());
        let error = allowance.call().unwrap_err();
        assert!(error.message.starts_with("you call more often than 2 times a minute"), "{error}");
        assert!(error.wait().is_some_and(|wait| wait <= Duration::from_secs(31)));
        assert!(allowance.call().is_err(), "and its place was given back");
    }

    #[test]
    fn what_changes_holds_for_what_there_is() {
        let allowance = Allowance::new(&Terms { sessions: Some(1), ..Terms::default() });
        let first = allowance.session().unwrap();
        assert!(allowance.session().is_err());
        allowance.change(&Terms { sessions: Some(2), processes: Some(1), ..Terms::default() });
        let second = allowance.session().unwrap();
        assert!(allowance.session().is_err());
        let running = allowance.process().unwrap();
        let next = allowance.next_process();
        drop(running);
        assert!(allowance.process().is_err());
        drop((first, second, next));
        assert!(allowance.process().is_ok());
    }
}
