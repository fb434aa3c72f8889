//! Sessions that call side by side, each with one call in flight, and how two fleets are compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::future::try_join_all;
use tokio::task::JoinSet;

use crate::call::Call;
use crate::contestant::{Contestant, Place};
use crate::session::{Accept, Era, Session};

/// The sessions of one contestant that call.
pub(crate) struct Fleet {
    sessions: Vec<Session>,
    tally: Tally,
}

/// What a fleet has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Time spent calling.
    pub(crate) time: Duration,
    /// The time of each right answer, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// Calls that failed, or had a wrong answer. A session ends with the first.
    pub(crate) errors: Vec<String>,
}

/// How long fleets call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long a fleet calls before it is the other one's turn.
    pub(crate) slice: Duration,
    /// Turns of each fleet.
    pub(crate) turns: u32,
}

impl Fleet {
    /// Opens so many sessions, a few at a time.
    pub(crate) async fn open(contestant: &Contestant, accept: Accept, sessions: usize) -> Result<Self> {
        let mut fleet = Self { sessions: Vec::with_capacity(sessions), tally: Tally::default() };
        let numbers: Vec<usize> = (0..sessions).collect();
        for some in numbers.chunks(OPENED_AT_ONCE) {
            let opening = some.iter().map(|&number| contestant.session(accept, number));
            fleet.sessions.extend(try_join_all(opening).await?);
        }
        Ok(fleet)
    }

    /// The sessions of clients of one era on a mount.
    pub(crate) async fn of(contestant: &Contestant, mount: &str, era: Era, clients: usize) -> Result<Self> {
        let mut fleet = Self { sessions: Vec::with_capacity(clients), tally: Tally::default() };
        for number in 0..clients {
            fleet.sessions.push(contestant.client(mount, era, number).await?);
        }
        Ok(fleet)
    }

    /// The sessions of clients of one era somewhere.
    pub(crate) async fn at(contestant: &Contestant, place: &Place, era: Era, clients: usize) -> Result<Self> {
        let mut fleet = Self { sessions: Vec::with_capacity(clients), tally: Tally::default() };
        for number in 0..clients {
            fleet.sessions.push(contestant.visitor(place, era, number).await?);
        }
        Ok(fleet)
    }

    /// Opens the GET stream of every session.
    pub(crate) async fn listen(&mut self) -> Result<()> {
        for some in self.sessions.chunks_mut(OPENED_AT_ONCE) {
            try_join_all(some.iter_mut().map(Session::listen)).await?;
        }
        Ok(())
    }

    /// Makes one call in the first session.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Duration> {
        self.sessions.first_mut().ok_or_else(|| anyhow!("a fleet without sessions"))?.call(call).await
    }

    /// Calls with `callers` of its sessions for so long; the others stay idle.
    async fn run(&mut self, call: &Arc<Call>, callers: usize, time: Duration) {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for session in self.sessions.drain(self.sessions.len().saturating_sub(callers)..) {
            tasks.spawn(repeat(session, call.clone(), begun + time));
        }
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok((session, latencies, error)) => {
                    self.sessions.extend(session);
                    self.tally.latencies.extend(latencies);
                    self.tally.errors.extend(error.map(|error| format!("{error:#}")));
                }
                Err(panic) => self.tally.errors.push(panic.to_string()),
            }
        }
        self.tally.time += begun.elapsed();
    }
}

impl Tally {
    /// Right answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// Tells on stderr what went wrong first.
    pub(crate) fn complain(&self, what: &str) {
        if let Some(error) = self.errors.first() {
            eprintln!("{what}: {error}");
        }
    }

    /// The latency in nanoseconds that this part (0 to 1) of the calls did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * part).round() as usize).map_or(f64::NAN, |&nanos| nanos as f64)
    }
}

/// Lets fleets call in turn, slice by slice, so that what else the machine does meets all of them. Of each fleet so
/// many sessions call.
pub(crate) async fn race<const N: usize>(
    fleets: [&mut Fleet; N],
    call: Call,
    callers: usize,
    pace: Pace,
) -> [Tally; N] {
    let call = Arc::new(call);
    race_each(fleets.map(|fleet| (fleet, call.clone())), callers, pace).await
}

/// The same, where each fleet has a call of its own.
pub(crate) async fn race_each<const N: usize>(
    mut fleets: [(&mut Fleet, Arc<Call>); N],
    callers: usize,
    pace: Pace,
) -> [Tally; N] {
    for (fleet, call) in &mut fleets {
        fleet.run(call, callers, pace.slice / 2).await;
        // Only errors of the warm-up count.
        fleet.tally = Tally { errors: std::mem::take(&mut fleet.tally.errors), ..Tally::default() };
    }
    for turn in 0..pace.turns {
        for place in 0..N {
            // Who begins changes with each turn.
            let (fleet, call) = &mut fleets[(place + turn as usize) % N];
            fleet.run(call, callers, pace.slice).await;
        }
    }
    fleets.map(|(fleet, _)| std::mem::take(&mut fleet.tally))
}

async fn repeat(
    mut session: Session,
    call: Arc<Call>,
    deadline: Instant,
) -> (Option<Session>, Vec<u64>, Option<anyhow::Error>) {
    let mut latencies = Vec::new();
    while Instant::now() < deadline {
        match session.call(&call).await {
            Ok(time) => latencies.push(time.as_nanos() as u64),
            Err(error) => return (None, latencies, Some(error)),
        }
    }
    (Some(session), latencies, None)
}

/// Few enough that the start of their processes is no test of its own.
const OPENED_AT_ONCE: usize = 8;
