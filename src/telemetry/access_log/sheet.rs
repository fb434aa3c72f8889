//! What waits to be written.

use super::line::{Clock, as_json, as_text, log};
use super::{Ended, Place};
use crate::telemetry::{Eras, Names, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Memory for lines that is kept for the next ones.
const KEPT: usize = 1 << 20;

/// Requests that wait together.
#[derive(Debug)]
pub(super) enum Sheet {
    /// For a file: the lines as they will stand there.
    Lines {
        /// They are JSON.
        json: bool,
        /// Writes their times.
        clock: Clock,
        /// Each with its end.
        text: String,
        /// How many there are.
        count: usize,
    },
    /// For the log of the process, which writes them its own way.
    Notes(Vec<Note>),
}

/// A request that has ended, as it is kept.
#[derive(Debug)]
pub(super) struct Note {
    server: Arc<str>,
    method: &'static str,
    names: Option<Arc<Names>>,
    eras: Option<Eras>,
    outcome: Outcome,
    begun: Instant,
    ended: SystemTime,
    took: Duration,
    received: usize,
    sent: usize,
}

impl Sheet {
    /// An empty one.
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Log => Self::Notes(Vec::new()),
            Place::File { json, .. } => {
                Self::Lines { json: *json, clock: Clock::default(), text: String::new(), count: 0 }
            }
        }
    }

    /// One more.
    pub(super) fn add(&mut self, call: &Ended<'_>) {
        match self {
            Self::Lines { json, clock, text, count } => {
                if *json {
                    as_json(call, text);
                } else {
                    as_text(call, clock, text);
                }
                text.push('\n');
                *count += 1;
            }
            Self::Notes(notes) => notes.push(Note::of(call)),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Lines { count, .. } => *count,
            Self::Notes(notes) => notes.len(),
        }
    }

    /// Forgets them all, and keeps their memory.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Lines { text, count, .. } => {
                text.clear();
                text.shrink_to(KEPT);
                *count = 0;
            }
            Self::Notes(notes) => notes.clear(),
        }
    }
}

impl Note {
    fn of(call: &Ended<'_>) -> Self {
        Self {
            server: call.server.clone(),
            method: call.method,
            names: call.names.cloned(),
            eras: call.eras,
            outcome: call.outcome,
            begun: call.begun,
            ended: call.ended,
            took: call.took,
            received: call.received,
            sent: call.sent,
        }
    }

    /// Puts it into the log of the process.
    pub(super) fn log(&self) {
        log(&Ended {
            server: &self.server,
            method: self.method,
            names: self.names.as_ref(),
            eras: self.eras,
            outcome: self.outcome,
            begun: self.begun,
            ended: self.ended,
            took: self.took,
            received: self.received,
            sent: self.sent,
        });
    }
}
