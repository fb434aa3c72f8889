//! The measures, one module each: what design and README promise, in figures.

mod aggregate;
mod calls;
mod client;
mod eras;
mod growth;
mod guarded;
mod history;
mod large;
mod memory;
mod observed;
mod progress;
mod sessions;
mod slow;
mod start;
mod tls;
mod told;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::lab::Lab;

/// Something that is measured once in each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Calls per second and latency, answers in JSON
    Calls,
    /// Calls per second, answers as event streams
    Streams,
    /// Calls per second across the eras, beside those within one
    Eras,
    /// What keys, rules and limits add to a call
    Guarded,
    /// What metrics add to a call
    Observed,
    /// What a history adds to a call
    History,
    /// What an access log and traces add to a call
    Told,
    /// What client mode adds to a call
    Client,
    /// Time to the first result of a new session, when the server is slow to start
    Start,
    /// Sessions opened, used and closed per second
    Sessions,
    /// Results of 1 and 10 MiB
    Large,
    /// Progress notifications on the request's own stream
    Progress,
    /// Memory at rest, and of an idle session
    Memory,
    /// What a call costs among many sessions, and among many mounts
    Growth,
    /// A hundred servers of fifty tools behind one endpoint: lists, calls, start and memory
    Aggregate,
    /// Calls over TLS, beside those in the clear
    Tls,
    /// Latency and memory beside five hundred slow or silent connections
    Slow,
}

impl Measure {
    /// Takes one round's readings.
    pub(crate) async fn take(self, lab: &mut Lab) -> Result<()> {
        match self {
            Self::Calls => calls::json(lab).await,
            Self::Streams => calls::streams(lab).await,
            Self::Eras => eras::take(lab).await,
            Self::Guarded => guarded::take(lab).await,
            Self::Observed => observed::take(lab).await,
            Self::History => history::take(lab).await,
            Self::Told => told::take(lab).await,
            Self::Client => client::take(lab).await,
            Self::Start => start::take(lab).await,
            Self::Sessions => sessions::take(lab).await,
            Self::Large => large::take(lab).await,
            Self::Progress => progress::take(lab).await,
            Self::Memory => memory::take(lab).await,
            Self::Growth => growth::take(lab).await,
            Self::Aggregate => aggregate::take(lab).await,
            Self::Tls => tls::take(lab).await,
            Self::Slow => slow::take(lab).await,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", PossibleValue::get_name))
    }
}
