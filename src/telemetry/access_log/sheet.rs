//! What waits to be written.

use super::line::{Clock, Told, as_json, as_text, log};
use super::{Ended, Place};
use crate::telemetry::{Eras, Names, Outcome};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Memory for lines that is kept for the next ones.
const KEPT: usize = 1 << 20;

/// Requests that wait together.
#[derive(Debug)]
pub(super) struct Sheet {
    entries: Entries,
    with_arguments: bool,
}

/// As they wait.
#[derive(Debug)]
enum Entries {
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
    Notes {
        /// Each of them.
        notes: Vec<Note>,
        /// Bytes of what they were called with.
        bytes: usize,
    },
}

/// A request that has ended, as it is kept.
#[derive(Debug)]
struct Note {
    server: Arc<str>,
    method: &'static str,
    names: Option<Names>,
    eras: Option<Eras>,
    outcome: Outcome,
    ended: SystemTime,
    took: Duration,
    received: usize,
    sent: usize,
}

impl Sheet {
    /// An empty one. `with_arguments`: it says with what tools were called.
    pub(super) fn of(place: &Place, with_arguments: bool) -> Self {
        let entries = match place {
            Place::Log => Entries::Notes { notes: Vec::new(), bytes: 0 },
            Place::File { json, .. } => {
                Entries::Lines { json: *json, clock: Clock::default(), text: String::new(), count: 0 }
            }
        };
        Self { entries, with_arguments }
    }

    /// One more.
    pub(super) fn add(&mut self, call: &Ended<'_>) {
        let told = Told::of(call, self.with_arguments);
        match &mut self.entries {
            Entries::Lines { json, clock, text, count } => {
                if *json {
                    as_json(call, told, text);
                } else {
                    as_text(call, told, clock, text);
                }
                text.push('\n');
                *count += 1;
            }
            Entries::Notes { notes, bytes } => {
                *bytes += told.arguments().map_or(0, str::len);
                notes.push(Note::of(call));
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match &self.entries {
            Entries::Lines { count, .. } => *count,
            Entries::Notes { notes, .. } => notes.len(),
        }
    }

    /// Bytes of all that is long in them.
    pub(super) fn bytes(&self) -> usize {
        match &self.entries {
            Entries::Lines { text, .. } => text.len(),
            Entries::Notes { bytes, .. } => *bytes,
        }
    }

    /// The lines for a file, if there are any.
    pub(super) fn lines(&self) -> Option<&str> {
        match &self.entries {
            Entries::Lines { text, .. } if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Puts what is for the log of the process there.
    pub(super) fn log(&self) {
        if let Entries::Notes { notes, .. } = &self.entries {
            for note in notes {
                note.log(self.with_arguments);
            }
        }
    }

    /// Forgets them all, and keeps their memory.
    pub(super) fn clear(&mut self) {
        match &mut self.entries {
            Entries::Lines { text, count, .. } => {
                text.clear();
                text.shrink_to(KEPT);
                *count = 0;
            }
            Entries::Notes { notes, bytes } => {
                notes.clear();
                *bytes = 0;
            }
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
            ended: call.ended,
            took: call.took,
            received: call.received,
            sent: call.sent,
        }
    }

    /// Puts it into the log of the process.
    fn log(&self, with_arguments: bool) {
        let call = Ended {
            server: &self.server,
            method: self.method,
            names: self.names.as_ref(),
            eras: self.eras,
            outcome: self.outcome,
            ended: self.ended,
            took: self.took,
            received: self.received,
            sent: self.sent,
        };
        log(&call, Told::of(&call, with_arguments));
    }
}
