//! What is true of a mount now.

use super::health::Standing;
use super::{Mount, Seat};
use crate::access::Caller;
use crate::config::{Startup, Target};
use crate::protocol::Opened;
use serde::Serialize;
use serde_json::value::RawValue;

/// How a mount stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process was spawned; none has answered yet.
    Starting,
    /// A process runs, and the last handshake succeeded.
    Ready,
    /// No process runs; one is started when a client comes.
    Idle,
    /// The last starts failed; it is being tried again.
    Failing,
    /// It cannot be started, and answers 503.
    Failed,
    /// Switched off in the configuration; it answers 404.
    Disabled,
}

/// What `/status` says of a mount. It never changes shape: what is not known is null.
#[derive(Debug, Serialize)]
pub struct MountStatus {
    /// In one word.
    pub state: State,
    /// Why it does not work, or works only in part.
    pub error: Option<String>,
    /// What it was found to speak.
    pub era: Option<&'static str>,
    /// The revision that the last handshake agreed on.
    pub protocol_version: Option<String>,
    /// What the server calls itself.
    pub server_info: Option<Box<RawValue>>,
    /// The processes that run, spares included.
    pub pids: Vec<u32>,
    /// Clients with a session.
    pub sessions: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests since the start.
    pub requests: u64,
    /// Error responses since the start.
    pub errors: u64,
    /// Requests since the start that were not passed on: who asked may not, or not so often, or not so much at once.
    pub refused: u64,
    /// How many requests have ended since the start, and how long they took together; nothing where that is not measured.
    pub latency: Option<LatencyStatus>,
    /// Processes replaced in sessions that went on.
    pub restarts: u64,
    /// Its processes are restricted.
    pub sandbox: bool,
    /// How the last process ended that was not asked to.
    pub last_exit: Option<String>,
    /// Where it is served.
    pub urls: Vec<String>,
    /// When a handshake last succeeded (RFC 3339).
    pub verified_at: Option<String>,
    /// Tools that say something of themselves that nobody has approved.
    pub held_back: Vec<String>,
}

/// What `/status` says of how long requests took. What happened lately is the difference of two of these.
#[derive(Debug, Serialize)]
pub struct LatencyStatus {
    /// Requests that have ended.
    pub count: u64,
    /// Seconds that all of them took together.
    pub seconds: f64,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Ready, Self::Idle, Self::Failing, Self::Failed, Self::Disabled];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Failing => "failing",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }
}

impl Mount {
    /// How it stands, in one word.
    pub fn state(&self) -> State {
        let pool = match (&self.spec.target, &self.pool) {
            (Target::Disabled, _) => return State::Disabled,
            // It runs as long as the router does.
            (Target::Aggregate(_), Some(_)) => return State::Ready,
            (Target::Broken(_), _) | (_, None) => return State::Failed,
            (Target::Stdio(_) | Target::Remote(_), Some(pool)) => pool,
        };
        let facts = self.facts();
        match facts.health.standing(self.spec.restart.attempts) {
            Standing::Failed => State::Failed,
            Standing::Failing => State::Failing,
            Standing::Well if facts.health.proven => {
                // Between the throw-away process and the first spare there is a moment without any.
                // A remote server runs whether it is called or not; one that is lazy is to be left alone.
                if (pool.is_remote() && !self.spec.is_lazy())
                    || pool.processes() > 0
                    || (pool.is_to_be_warm() && !pool.is_without_spares())
                {
                    State::Ready
                } else {
                    State::Idle
                }
            }
            // With spares to come, a first handshake is on its way.
            Standing::Well if pool.processes() > 0 || pool.is_to_be_warm() => State::Starting,
            Standing::Well if pool.is_remote() && !self.spec.is_lazy() => State::Starting,
            Standing::Well if self.is_eager() => State::Starting,
            Standing::Well => State::Idle,
        }
    }

    /// Whether the router's readiness waits for it still.
    pub fn is_waited_for(&self) -> bool {
        if self.is_eager() {
            return !self.is_disabled() && !self.facts().health.proven;
        }
        self.state() == State::Starting && !self.spec.is_lazy()
    }

    /// Whether it is to have answered before the router is ready.
    pub(super) fn is_eager(&self) -> bool {
        self.spec.startup == Startup::Eager && !self.is_personal()
    }

    /// Whether its processes are restricted.
    pub fn is_sandboxed(&self) -> bool {
        matches!(&self.spec.target, Target::Stdio(command) if command.sandbox.is_some())
    }

    /// Why it does not work, or works only in part.
    pub fn error(&self) -> Option<String> {
        if let Target::Broken(reason) = &self.spec.target {
            return Some(reason.clone());
        }
        let without_spares = self.pool.as_ref().is_some_and(|pool| pool.is_without_spares());
        let reason = self.facts().health.reason().map(str::to_owned);
        let unpinned = self.unpinned().map(|reason| format!("none of its tools is served: {reason}"));
        reason.or(unpinned).or_else(|| {
            without_spares.then(|| "runs without spares: they exit before they are used".to_owned())
        })
    }

    /// What the server has said to a caller, without secrets, and on one line.
    pub fn fit_to_show(&self, text: &str, caller: &Caller) -> String {
        let mask = self.mask(caller);
        let masked = mask.apply(text);
        let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        masked.chars().map(plain).collect()
    }

    /// What the server calls itself, and what it speaks.
    pub fn greeting(&self) -> Option<String> {
        let facts = self.facts();
        let opened = facts.opened.as_ref()?;
        let said = |key| crate::wire::meta::find_string(opened.server_info()?, &[key]);
        Some(format!("{} {}, {}", said("name")?, said("version").unwrap_or_default(), opened.version()))
    }

    /// What the server said of itself when it was last opened.
    pub fn opened(&self) -> Option<Opened> {
        self.facts().opened.clone()
    }

    /// Clients with a session, and those of them that speak HTTP+SSE.
    pub fn clients(&self) -> (usize, usize) {
        let standing =
            self.seats().values().filter(|seated| matches!(seated.seat, Seat::Standing(..))).count();
        let sse: usize = self.living().iter().map(|session| session.sse_clients()).sum();
        (self.seats().len(), sse + standing)
    }

    fn latency(&self) -> LatencyStatus {
        let (count, took) = self.tally.measured.took.sum();
        LatencyStatus { count, seconds: took.as_secs_f64() }
    }

    /// Everything, for `/status`. `urls`: where it is served.
    pub fn status(&self, urls: Vec<String>) -> MountStatus {
        let state = self.state();
        let error = self.error();
        let (sessions, _) = self.clients();
        let in_flight = self.in_flight();
        let era = self.spoken().word();
        let facts = self.facts();
        let opened = facts.opened.as_ref();
        let info = opened.and_then(|opened| opened.server_info());
        MountStatus {
            state,
            error,
            era,
            protocol_version: opened.map(Opened::version),
            server_info: info.and_then(|info| RawValue::from_string(info.to_owned()).ok()),
            pids: self.pool.as_ref().map_or_else(Vec::new, |pool| pool.pids()),
            sessions,
            in_flight,
            requests: self.tally.requests.count(),
            errors: self.tally.errors.count(),
            refused: self.tally.refused.count(),
            latency: self.is_measured.then(|| self.latency()),
            restarts: self.tally.restarts.count(),
            sandbox: self.is_sandboxed(),
            last_exit: facts.last_exit.clone(),
            urls,
            verified_at: facts.verified_at.map(|at| humantime::format_rfc3339_micros(at).to_string()),
            held_back: self.held_back().into_iter().map(|held| held.tool).collect(),
        }
    }
}
