//! How much of a server all its callers together may have: rates, and requests at once, for all it does and for some tools.

use super::Mount;
use crate::access::{A_MOMENT, Allowance, Caller, Pace, Places, Rate, too_often};
use crate::config::{MountLimits, PaceSpec, QuotaSpec};
use crate::session::Verdict;
use crate::wire::meta::find_string;
use crate::wire::{Code, Message, RpcError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wildmatch::WildMatch;

/// What is counted of a mount, where something is.
#[derive(Debug)]
pub(super) struct Quota {
    all: Measure,
    tools: Vec<(WildMatch, Measure)>,
    /// Requests that wait, and how long one may.
    queue: Arc<Places>,
    patience: Duration,
}

/// How often, and how many at once.
#[derive(Debug)]
struct Measure {
    /// What it is of, as a client is told.
    what: String,
    rate: Option<(Pace, Rate)>,
    places: Option<(usize, Arc<Semaphore>)>,
}

/// Requests that are no work for a server, or last as long as their client likes.
const FREE: [&str; 4] = ["ping", "initialize", "server/discover", "subscriptions/listen"];

impl Quota {
    /// What these limits count; nothing where they limit nothing that is asked.
    pub(super) fn new(limits: &MountLimits) -> Option<Arc<Self>> {
        let is_limited = |quota: &QuotaSpec| *quota != QuotaSpec::default();
        if !is_limited(&limits.requests) && !limits.tools.iter().any(|(_, quota)| is_limited(quota)) {
            return None;
        }
        let (queue, patience) = limits.queue.unwrap_or_default();
        let tool = |(pattern, quota): &(String, QuotaSpec)| {
            (WildMatch::new(pattern), Measure::new(&format!("the tools {pattern:?}"), quota))
        };
        Some(Arc::new(Self {
            all: Measure::new("the server", &limits.requests),
            tools: limits.tools.iter().map(tool).collect(),
            queue: Places::new(Some(queue)),
            patience,
        }))
    }

    /// A request is to be passed on, the call of a tool if one is named; what is given is held until it has been answered.
    async fn take(&self, tool: Option<&str>, may_wait: bool) -> Result<Vec<OwnedSemaphorePermit>, RpcError> {
        let fitting = self.tools.iter().filter(|(pattern, _)| tool.is_some_and(|tool| pattern.matches(tool)));
        // In this order always: who waits for one has only those before it.
        let measures = || fitting.clone().map(|(_, measure)| measure).chain([&self.all]);
        let until = Instant::now() + self.patience;
        let mut held = Vec::new();
        let mut waiting = None;
        for measure in measures() {
            let Some((most, places)) = &measure.places else { continue };
            if let Ok(place) = places.clone().try_acquire_owned() {
                held.push(place);
                continue;
            }
            if waiting.is_none() && may_wait {
                waiting = self.queue.take();
            }
            if waiting.is_none() {
                return Err(measure.full(*most, "try again later"));
            }
            let place = tokio::time::timeout_at(until, places.clone().acquire_owned()).await;
            let place = place.ok().and_then(Result::ok);
            held.push(place.ok_or_else(|| measure.full(*most, "none was free in time, try again later"))?);
        }
        // What is refused for want of a place is not counted; and what a tool's own limit refuses, not for all of them.
        for measure in measures() {
            measure.count()?;
        }
        Ok(held)
    }
}

impl Measure {
    fn new(what: &str, quota: &QuotaSpec) -> Self {
        let pace = quota.pace.map(pace);
        Self {
            what: what.to_owned(),
            rate: pace.map(|pace| (pace, Rate::new(pace))),
            places: quota.concurrent.map(|most| (most, Arc::new(Semaphore::new(most)))),
        }
    }

    fn count(&self) -> Result<(), RpcError> {
        let Some((pace, rate)) = &self.rate else { return Ok(()) };
        rate.take().map_err(|wait| too_often(&format!("{}: called", self.what), *pace, wait))
    }

    fn full(&self, most: usize, advice: &str) -> RpcError {
        let what = &self.what;
        let reason = format!("{what}: {most} requests are in flight, which is the limit: {advice}");
        RpcError::new(Code::Overloaded, reason).retry_after(A_MOMENT)
    }
}

impl Mount {
    /// Counts a request of a caller. What is given is held until it has been answered. `may_wait`: it may wait for that of
    /// another, if so many may.
    ///
    /// # Errors
    /// There are too many of them, or too often.
    pub(super) fn count(
        &self,
        caller: &Caller,
        request: &Message,
        may_wait: bool,
    ) -> Result<Verdict<'static>, RpcError> {
        let method = request.method();
        // What servers list is asked by the router itself, too, for all its clients; and so is the log level set.
        let is_own = || method.ends_with("/list") || method == "logging/setLevel";
        let is_free = FREE.contains(&method) || (caller.is_inside() && is_own());
        if is_free {
            return Ok(Verdict::Now(Ok(None)));
        }
        // First his own: what he may not have, he does not take from the others.
        let own = caller.counted(Allowance::call)?.flatten();
        let Some(quota) = self.quota.clone() else {
            return Ok(Verdict::Now(Ok(own.map(|own| Box::new(own) as Box<dyn Send + Sync>))));
        };
        // The body is read again only where a name in it counts.
        let is_named = method == "tools/call" && !quota.tools.is_empty();
        let tool = is_named.then(|| find_string(request.body(), &["name"]).unwrap_or_default());
        Ok(Verdict::Later(Box::pin(async move {
            let ours = quota.take(tool.as_deref(), may_wait).await?;
            let is_nothing = own.is_none() && ours.is_empty();
            Ok((!is_nothing).then(|| Box::new((own, ours)) as Box<dyn Send + Sync>))
        })))
    }
}

/// A pace as it is configured.
fn pace(PaceSpec { per_minute, burst }: PaceSpec) -> Pace {
    Pace { per_minute, burst }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use tokio::time::{advance, timeout};

    fn at_once(concurrent: usize) -> QuotaSpec {
        QuotaSpec { pace: None, concurrent: Some(concurrent) }
    }

    fn per_minute(number: u32) -> QuotaSpec {
        let number = NonZeroU32::new(number).unwrap();
        QuotaSpec { pace: Some(PaceSpec { per_minute: number, burst: number }), concurrent: None }
    }

    fn limits(requests: QuotaSpec, tools: &[(&str, QuotaSpec)]) -> MountLimits {
        let tools = tools.iter().map(|(pattern, quota)| ((*pattern).to_owned(), *quota)).collect();
        MountLimits { requests, tools, ..MountLimits::default() }
    }

    #[tokio::test]
    async fn where_nothing_is_limited_nothing_is_counted() {
        assert!(Quota::new(&MountLimits::default()).is_none());
        assert!(Quota::new(&MountLimits { sessions: Some(1), ..MountLimits::default() }).is_none());
        assert!(Quota::new(&limits(QuotaSpec::default(), &[("x", QuotaSpec::default())])).is_none());
    }

    #[tokio::test]
    async fn every_pattern_that_fits_counts_and_what_one_refuses_is_not_counted_for_all() {
        let tools = [("slow*", at_once(1)), ("*", per_minute(3))];
        let quota = Quota::new(&limits(per_minute(5), &tools)).unwrap();
        let slow = quota.take(Some("slow_one"), true).await.unwrap();
        let full = quota.take(Some("slow_two"), true).await.unwrap_err();
        assert!(full.message.starts_with("the tools \"slow*\": 1 requests are in flight"), "{full}");
        assert!(full.wait().is_some());
        assert!(quota.take(Some("quick"), true).await.is_ok());
        drop(slow);
        assert!(quota.take(Some("slow_two"), true).await.is_ok());
        for _ in 0..5 {
            let error = quota.take(Some("quick"), true).await.unwrap_err();
            assert!(error.message.starts_with("the tools \"*\": called more often than 3"), "{error}");
        }
        // What is no tool has two left of the five.
        assert!(quota.take(None, true).await.is_ok() && quota.take(None, true).await.is_ok());
        let error = quota.take(None, true).await.unwrap_err();
        assert!(error.message.starts_with("the server: called more often than 5"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_first_is_served_first_and_who_gives_up_leaves_the_queue() {
        let queue = Some((2, Duration::from_secs(10)));
        let quota = Quota::new(&MountLimits { queue, ..limits(at_once(1), &[]) }).unwrap();
        let take = |may_wait| {
            let quota = quota.clone();
            Box::pin(async move { quota.take(None, may_wait).await })
        };
        let held = take(true).await.unwrap();
        let (mut first, mut second) = (take(true), take(true));
        assert!(timeout(Duration::ZERO, &mut first).await.is_err());
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        assert!(take(true).await.is_err(), "the queue is full");
        drop(first);
        let mut third = take(true);
        assert!(timeout(Duration::ZERO, &mut third).await.is_err(), "there is room in the queue again");
        assert!(take(false).await.is_err(), "who may not wait does not");
        drop(held);
        assert!(timeout(Duration::ZERO, &mut third).await.is_err(), "the second is before it");
        let held = timeout(Duration::ZERO, &mut second).await.unwrap().unwrap();
        advance(Duration::from_secs(10)).await;
        let late = third.await.unwrap_err();
        assert!(late.message.contains("none was free in time"), "{late}");
        drop(held);
        assert!(take(false).await.is_ok());
    }
}
