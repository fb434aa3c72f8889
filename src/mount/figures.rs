//! What is counted of a mount, for `/metrics`.

use super::pool::Pool;
use super::{Mount, State};
use crate::telemetry::Tally;

/// A mount in figures.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// What its numbers are called by.
    pub server: &'a str,
    /// How it stands.
    pub state: State,
    /// Whether it can be asked anything: it is not disabled, and its entry can work.
    pub runs: bool,
    /// Requests in flight.
    pub in_flight: usize,
    /// Clients with a session.
    pub sessions: usize,
    /// Its processes, if it has any.
    pub processes: Option<Census>,
    /// What it has counted.
    pub tally: &'a Tally,
}

/// The processes of a mount that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Kept ready for a client.
    pub spare: usize,
    /// All others.
    pub working: usize,
    /// How many there may be.
    pub max: usize,
}

impl Mount {
    /// Itself in figures; nothing where nothing is measured.
    pub fn figures(&self) -> Option<Figures<'_>> {
        let meter = self.meter()?;
        let pool = self.pool.as_ref();
        Some(Figures {
            server: meter.server(),
            state: self.state(),
            runs: pool.is_some(),
            in_flight: self.in_flight(),
            sessions: self.clients().0,
            processes: pool.filter(|pool| !pool.is_remote()).map(|pool| Pool::census(pool)),
            tally: &self.tally,
        })
    }
}
