//! How much of a server its callers may have, and how much one principal may: the keys `limits` of an entry, of `auth` and
//! of its rules.

use std::num::NonZeroU32;
use std::time::Duration;

use super::error::Problem;
use super::node::{Members, Node};

/// How often, and how many at once; nothing: as one likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaSpec {
    /// How often.
    pub pace: Option<PaceSpec>,
    /// Requests in flight.
    pub concurrent: Option<usize>,
}

/// How often: so many in a minute, of which some may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceSpec {
    /// In a minute.
    pub per_minute: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// How much of a server all its callers together may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountLimits {
    /// Requests.
    pub requests: QuotaSpec,
    /// Requests that may wait for one of those in flight to be answered, and how long.
    pub queue: Option<(usize, Duration)>,
    /// Sessions.
    pub sessions: Option<usize>,
    /// Calls of the tools whose names fit a pattern, all of them together.
    pub tools: Vec<(String, QuotaSpec)>,
}

/// How much one principal may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrincipalLimits {
    /// Requests.
    pub requests: QuotaSpec,
    /// Sessions.
    pub sessions: Option<usize>,
    /// Open streams.
    pub streams: Option<usize>,
    /// Processes that run for him alone.
    pub processes: Option<usize>,
}

impl PrincipalLimits {
    /// What holds where both are said: of each key the smaller one.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let pace = match (self.requests.pace, other.requests.pace) {
            (Some(one), Some(other)) => Some(PaceSpec {
                per_minute: one.per_minute.min(other.per_minute),
                burst: one.burst.min(other.burst),
            }),
            (one, other) => one.or(other),
        };
        let smaller = |one: Option<usize>, other: Option<usize>| one.into_iter().chain(other).min();
        let concurrent = smaller(self.requests.concurrent, other.requests.concurrent);
        Self {
            requests: QuotaSpec { pace, concurrent },
            sessions: smaller(self.sessions, other.sessions),
            streams: smaller(self.streams, other.streams),
            processes: smaller(self.processes, other.processes),
        }
    }

    /// The same; where it says nothing, what `other` says.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let pace = self.requests.pace.or(other.requests.pace);
        let concurrent = self.requests.concurrent.or(other.requests.concurrent);
        Self {
            requests: QuotaSpec { pace, concurrent },
            sessions: self.sessions.or(other.sessions),
            streams: self.streams.or(other.streams),
            processes: self.processes.or(other.processes),
        }
    }
}

/// Reads `limits` of an entry.
pub(super) fn of_mount(node: &Node<'_>) -> Result<MountLimits, Problem> {
    let mut members = node.members("an object of limits")?;
    let mut limits = MountLimits { requests: quota(&mut members)?, ..MountLimits::default() };
    limits.sessions = count(&mut members, "sessions")?;
    let queue = members.protecting("queue")?;
    let waits = members.protecting("queueTimeout")?;
    limits.queue = match (queue, waits) {
        (None, None) => None,
        (Some(queue), Some(waits)) => Some((queue.count(1..=MOST)?, waits.positive_seconds()?)),
        (Some(queue), None) => return Err(lonely(&queue, "queue", "queueTimeout")),
        (None, Some(waits)) => return Err(lonely(&waits, "queueTimeout", "queue")),
    };
    if let Some(node) = members.protecting("tools")? {
        for (pattern, node) in node.members("an object of limits, each by a pattern of tools")?.iter() {
            let mut members = node.members("an object of limits")?;
            limits.tools.push((pattern.to_owned(), quota(&mut members)?));
            members.refuse_unknown()?;
        }
    }
    members.refuse_unknown()?;
    let queues = limits.requests.concurrent.is_some()
        || limits.tools.iter().any(|(_, quota)| quota.concurrent.is_some());
    if limits.queue.is_some() && !queues {
        return Err(lonely(node, "queue", "concurrent"));
    }
    Ok(limits)
}

/// Reads `limits` of `auth`, or of a rule.
pub(super) fn of_principal(node: &Node<'_>) -> Result<PrincipalLimits, Problem> {
    let mut members = node.members("an object of limits")?;
    let limits = PrincipalLimits {
        requests: quota(&mut members)?,
        sessions: count(&mut members, "sessions")?,
        streams: count(&mut members, "streams")?,
        processes: count(&mut members, "processes")?,
    };
    members.refuse_unknown()?;
    Ok(limits)
}

fn quota(members: &mut Members<'_>) -> Result<QuotaSpec, Problem> {
    let per_minute = members.protecting("callsPerMinute")?;
    let burst = members.protecting("burst")?;
    let pace = match (per_minute, burst) {
        (None, None) => None,
        (Some(per_minute), None) => {
            let per_minute = number(&per_minute)?;
            Some(PaceSpec { per_minute, burst: per_minute })
        }
        (Some(per_minute), Some(burst)) => {
            Some(PaceSpec { per_minute: number(&per_minute)?, burst: number(&burst)? })
        }
        (None, Some(burst)) => return Err(lonely(&burst, "burst", "callsPerMinute")),
    };
    Ok(QuotaSpec { pace, concurrent: count(members, "concurrent")? })
}

fn count(members: &mut Members<'_>, key: &'static str) -> Result<Option<usize>, Problem> {
    members.protecting(key)?.map(|node| node.count(1..=MOST)).transpose()
}

fn number(node: &Node<'_>) -> Result<NonZeroU32, Problem> {
    let number = u32::try_from(node.count(1..=MOST)?).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| node.wanted("a whole number above 0"))
}

/// A key that means nothing without another one.
fn lonely(node: &Node<'_>, key: &str, wanted: &str) -> Problem {
    Problem::Value {
        path: node.path.clone(),
        found: format!("`{key}` without `{wanted}`"),
        wanted: format!("`{wanted}` beside it"),
    }
}

/// More of anything than a router could serve.
const MOST: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    fn node<T>(text: &str, read: impl FnOnce(&Node<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        let json = Json::parse(&format!(r#"{{"limits": {text}}}"#)).unwrap();
        let node = Node::root(&json).members("an object").unwrap().get("limits").unwrap();
        read(&node)
    }

    fn pace(per_minute: u32, burst: u32) -> PaceSpec {
        let number = |number| NonZeroU32::new(number).unwrap();
        PaceSpec { per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn everything_that_is_said_is_kept() {
        let text = r#"{"callsPerMinute": 60, "burst": 5, "concurrent": 2, "queue": 3, "queueTimeout": 0.5, "sessions": 4,
            "tools": {"slow_*": {"concurrent": 1}, "*": {"callsPerMinute": 9}}}"#;
        let expected = MountLimits {
            requests: QuotaSpec { pace: Some(pace(60, 5)), concurrent: Some(2) },
            queue: Some((3, Duration::from_millis(500))),
            sessions: Some(4),
            tools: vec![
                ("slow_*".to_owned(), QuotaSpec { pace: None, concurrent: Some(1) }),
                ("*".to_owned(), QuotaSpec { pace: Some(pace(9, 9)), concurrent: None }),
            ],
        };
        assert_eq!(node(text, of_mount).unwrap(), expected);
        assert_eq!(node("{}", of_mount).unwrap(), MountLimits::default());
        let text = r#"{"callsPerMinute": 6, "sessions": 1, "streams": 2, "processes": 3}"#;
        let expected = PrincipalLimits {
            requests: QuotaSpec { pace: Some(pace(6, 6)), concurrent: None },
            sessions: Some(1),
            streams: Some(2),
            processes: Some(3),
        };
        assert_eq!(node(text, of_principal).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_or_unknown_refuses_the_file() {
        for (text, expected) in [
            (r#"{"callPerMinute": 1}"#, "limits.callPerMinute: unknown key"),
            (r#"{"calls_per_minute": 1}"#, "limits.calls_per_minute: found the key"),
            (
                r#"{"callsPerMinute": 0}"#,
                "limits.callsPerMinute: found the number 0, wanted a whole number from 1",
            ),
            (r#"{"callsPerMinute": null}"#, "limits.callsPerMinute: found null"),
            (r#"{"burst": 1}"#, "limits.burst: found `burst` without `callsPerMinute`"),
            (r#"{"concurrent": "2"}"#, "limits.concurrent: found a string"),
            (r#"{"concurrent": 1, "queue": 2}"#, "limits.queue: found `queue` without `queueTimeout`"),
            (r#"{"concurrent": 1, "queueTimeout": 2}"#, "limits.queueTimeout: found `queueTimeout` without"),
            (r#"{"queue": 1, "queueTimeout": 2}"#, "limits: found `queue` without `concurrent`"),
            (r#"{"streams": 1}"#, "limits.streams: unknown key"),
            (r#"{"tools": {"x": {"queue": 1}}}"#, "limits.tools.x.queue: unknown key"),
            (r#"{"tools": ["x"]}"#, "limits.tools: found a list"),
        ] {
            let refusal = node(text, of_mount).unwrap_err().to_string();
            assert!(refusal.starts_with(expected), "{refusal}");
        }
        let refusal = node(r#"{"queue": 1}"#, of_principal).unwrap_err().to_string();
        assert!(refusal.starts_with("limits.queue: unknown key"), "{refusal}");
    }

    #[test]
    fn of_several_the_smaller_holds_and_before_the_default_what_is_said() {
        let one = PrincipalLimits {
            requests: QuotaSpec { pace: Some(pace(60, 5)), concurrent: Some(2) },
            sessions: Some(9),
            ..PrincipalLimits::default()
        };
        let other = PrincipalLimits {
            requests: QuotaSpec { pace: Some(pace(30, 8)), concurrent: None },
            sessions: Some(3),
            processes: Some(1),
            ..PrincipalLimits::default()
        };
        let both = one.strictest(&other);
        assert_eq!(both, other.strictest(&one));
        assert_eq!(both.requests, QuotaSpec { pace: Some(pace(30, 5)), concurrent: Some(2) });
        assert_eq!((both.sessions, both.streams, both.processes), (Some(3), None, Some(1)));
        let said = one.or(&other);
        assert_eq!(said.requests, one.requests);
        assert_eq!((said.sessions, said.processes), (Some(9), Some(1)));
    }
}
