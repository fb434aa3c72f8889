//! The thread that writes the history.

use super::file::{self, Unusable};
use super::{HistoryOptions, Row, Shared, micros};
use crate::telemetry::{EventKind, Events};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// Calls that end within this are written together.
const TOGETHER: Duration = Duration::from_millis(50);

/// Calls that are written at once, at most.
const BATCH: usize = 2048;

/// A file that cannot be used is tried again after this, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is too old is looked for this often, and more often where little is kept.
const SWEEP: Duration = Duration::from_mins(10);

/// Calls that are deleted at once: nobody who reads waits for long.
const SWEPT: usize = 5000;

const INSERT: &str = "
    INSERT INTO calls
        (at, server, method, tool, caller, session, eras, outcome, code, took, received, sent, arguments)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

pub(super) struct Writer {
    options: HistoryOptions,
    shared: Arc<Shared>,
    events: Events,
    /// None: it could not be opened yet.
    connection: Option<Connection>,
    swept: Option<Instant>,
    /// Calls that were written since.
    written: u64,
    /// Why nothing can be written, as was said; nothing: it can.
    trouble: Option<String>,
    /// Lost calls that were told.
    told: u64,
    pause: Duration,
}

impl Writer {
    pub(super) fn new(options: HistoryOptions, shared: Arc<Shared>, events: Events) -> Self {
        Self {
            options,
            shared,
            events,
            connection: None,
            swept: None,
            written: 0,
            trouble: None,
            told: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// Writes what comes until it is told to stop, and then what is there still.
    pub(super) fn run(mut self, waiting: &Receiver<Row>) {
        let mut batch: Vec<Row> = Vec::new();
        // The file is there from the start, and what is wrong with it is said then.
        self.attend(&mut batch);
        loop {
            let is_last = self.is_told_to_stop();
            if batch.is_empty() && !is_last {
                match waiting.recv_timeout(self.look()) {
                    Ok(row) => batch.push(row),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if !batch.is_empty() {
                    std::thread::park_timeout(TOGETHER);
                }
            }
            while batch.len() < BATCH
                && let Ok(row) = waiting.try_recv()
            {
                batch.push(row);
            }
            if is_last && batch.is_empty() {
                return self.tell_lost();
            }
            let is_written = self.attend(&mut batch);
            self.tell_lost();
            if !is_written {
                if is_last {
                    batch.extend(waiting.try_iter());
                    self.lose(&mut batch);
                    return self.tell_lost();
                }
                std::thread::park_timeout(self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Writes a batch and deletes what is too old, as far as that is possible; whether it was.
    fn attend(&mut self, batch: &mut Vec<Row>) -> bool {
        match self.write(batch) {
            Ok(()) => {
                self.is_well();
                true
            }
            Err(error) => {
                // Who has locked it lets go one day; all else may be over with another file.
                if !error.is_locked() {
                    self.connection = None;
                    self.lose(batch);
                }
                self.is_in_trouble(&error);
                false
            }
        }
    }

    /// What is written is not in the batch any more, even if something else fails afterwards.
    fn write(&mut self, batch: &mut Vec<Row>) -> Result<(), Unusable> {
        let is_due = self.swept.is_none_or(|at| at.elapsed() >= sweep_every(self.options.keep));
        // Somebody may have moved it away, and wants another from then on.
        if self.connection.is_none() || (is_due && !self.options.file.exists()) {
            self.connection = Some(file::open(&self.options.file)?);
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if !batch.is_empty() {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for row in &*batch {
                    insert.execute(rusqlite::params![
                        row.at,
                        &*row.server,
                        row.method,
                        row.tool.as_deref(),
                        &*row.caller,
                        row.session.as_deref(),
                        row.eras,
                        row.outcome,
                        row.code,
                        row.took,
                        row.received,
                        row.sent,
                        row.arguments.as_deref(),
                    ])?;
                }
            }
            transaction.commit()?;
            self.written += batch.len() as u64;
            batch.drain(..).for_each(|row| forget(&self.shared, &row));
        }
        if is_due || self.written > self.options.rows / 10 {
            sweep(connection, &self.options)?;
            self.swept = Some(Instant::now());
            self.written = 0;
        }
        Ok(())
    }

    fn lose(&self, batch: &mut Vec<Row>) {
        for row in batch.drain(..) {
            forget(&self.shared, &row);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long it may be quiet.
    fn look(&self) -> Duration {
        // The end of the router is not waited for any longer than this.
        sweep_every(self.options.keep).min(Duration::from_millis(250))
    }

    fn is_told_to_stop(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn is_in_trouble(&mut self, error: &Unusable) {
        let reason = match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        if self.trouble.as_ref() != Some(&reason) {
            let text = format!("calls are not recorded: {reason}");
            tracing::error!("{text}; it is tried again");
            self.events.tell(None, EventKind::Unrecorded, &text);
            self.trouble = Some(reason);
        }
    }

    fn is_well(&mut self) {
        self.pause = FIRST_PAUSE;
        if self.trouble.take().is_some() {
            tracing::info!("calls are recorded again");
            self.events.tell(None, EventKind::Recorded, "calls are recorded again");
        }
    }

    /// Says how many calls were lost since that was said, once it is over.
    fn tell_lost(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.told && (self.trouble.is_none() || self.is_told_to_stop()) {
            let text = format!("{} calls were not recorded", lost - self.told);
            tracing::warn!("{text}: they came faster than they could be written");
            self.events.tell(None, EventKind::Unrecorded, &text);
            self.told = lost;
        }
    }
}

fn sweep_every(keep: Duration) -> Duration {
    (keep / 10).clamp(Duration::from_millis(500), SWEEP)
}

/// A call is not in the queue any more.
fn forget(shared: &Shared, row: &Row) {
    let bytes = row.arguments.as_ref().map_or(0, |arguments| arguments.len());
    shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
}

/// Deletes what is too old and what is too much, the oldest first. Who came first has the lower id.
fn sweep(connection: &Connection, options: &HistoryOptions) -> rusqlite::Result<()> {
    let oldest = micros(SystemTime::now() - options.keep.min(Duration::from_secs(u32::MAX.into())));
    let old = "DELETE FROM calls WHERE id IN
        (SELECT id FROM (SELECT id, at FROM calls ORDER BY id LIMIT ?1) WHERE at < ?2)";
    let much = "DELETE FROM calls WHERE id IN
        (SELECT id FROM calls WHERE id <= (SELECT max(id) FROM calls) - ?2 ORDER BY id LIMIT ?1)";
    let mut swept = 0;
    for (delete, bound) in [(old, oldest), (much, super::whole(options.rows))] {
        loop {
            let deleted = connection.execute(delete, rusqlite::params![super::whole(SWEPT), bound])?;
            swept += deleted;
            if deleted < SWEPT {
                break;
            }
        }
    }
    if swept > 0 {
        let mut free = connection.prepare("PRAGMA incremental_vacuum(4096)")?;
        let mut pages = free.query([])?;
        while pages.next()?.is_some() {}
    }
    Ok(())
}
