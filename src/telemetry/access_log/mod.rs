//! The access log: a line for each request that has ended, without what it asked for unless that is wished.
//!
//! A line is written into memory where its request ends; a thread puts what is there into the file some twenty times a second.
//! So nobody waits for a disk, and a line costs little more than its text.

mod line;
mod pen;
mod sheet;

use super::{Ended, Sink};
use pen::Pen;
use sheet::Sheet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The target of its lines where they go to the log of the process.
pub const TARGET: &str = "access";

/// Lines that wait to be written, and their bytes; what comes beyond them is dropped and counted.
const MOST: usize = 1 << 14;
const MOST_BYTES: usize = 16 << 20;

/// How long a line may wait for others.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the log of the process, with its form.
    Log,
    /// To the end of a file.
    File {
        /// Its path.
        path: PathBuf,
        /// As JSON, for machines.
        json: bool,
    },
}

/// Writes a line for each request. Dropped, it writes what waits.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    with_arguments: bool,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting {
    sheet: Sheet,
    dropped: usize,
    reopen: bool,
    closed: bool,
}

impl AccessLog {
    /// Begins one. `with_arguments`: it says with what tools were called, too, as far as that may be shown.
    ///
    /// # Errors
    /// The file cannot be opened, or there can be no thread.
    pub fn open(place: Place, with_arguments: bool) -> io::Result<Self> {
        let mut sheet = Sheet::of(&place, with_arguments);
        let shared = Arc::new(Shared::new(Sheet::of(&place, with_arguments)));
        let mut pen = Pen::at(place)?;
        let its = shared.clone();
        let writer = std::thread::Builder::new().name("access".to_owned());
        let writer = writer.spawn(move || while its.pass_on(&mut pen, &mut sheet) {})?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)), with_arguments })
    }

    /// Opens the file again: the one that was written to may have another name by now.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.changed.notify_one();
    }

    /// Writes what waits, and waits until that is done.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It has not panicked: it returns whatever happens to it.
        let _ = writer.map(JoinHandle::join);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Sink for AccessLog {
    fn wants_names(&self) -> bool {
        true
    }

    fn wants_arguments(&self) -> bool {
        self.with_arguments
    }

    fn ended(&self, call: &Ended<'_>) {
        let mut waiting = self.shared.lock();
        if waiting.sheet.count() >= MOST || waiting.sheet.bytes() >= MOST_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.sheet.add(call);
        let is_first = waiting.sheet.count() == 1;
        drop(waiting);
        // The others go with it.
        if is_first {
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn new(sheet: Sheet) -> Self {
        let waiting = Waiting { sheet, dropped: 0, reopen: false, closed: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Writes the next lines; false if there will be no more. `sheet`: an empty one for those that come meanwhile.
    fn pass_on(&self, pen: &mut Pen, sheet: &mut Sheet) -> bool {
        let is_quiet =
            |waiting: &mut Waiting| waiting.sheet.count() == 0 && !waiting.reopen && !waiting.closed;
        let waiting = self.changed.wait_while(self.lock(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        let hurry = |waiting: &mut Waiting| !waiting.reopen && !waiting.closed;
        let gathered = self.changed.wait_timeout_while(waiting, PATIENCE, hurry);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.sheet, sheet);
        let dropped = std::mem::take(&mut waiting.dropped);
        let (reopen, closed) = (std::mem::take(&mut waiting.reopen), waiting.closed);
        drop(waiting);
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "lines of the access log were dropped: they came faster than they could be written"
            );
        }
        // What was noted before belongs to what was the file until now.
        pen.write(sheet);
        sheet.clear();
        if reopen {
            pen.reopen();
        }
        !closed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Names, Outcome, RequestId};
    use std::time::SystemTime;

    pub(super) fn ended(server: &Arc<str>) -> Ended<'_> {
        Ended {
            server,
            method: "ping",
            names: None,
            eras: None,
            outcome: Outcome::Ok,
            ended: SystemTime::now(),
            took: Duration::ZERO,
            received: 1,
            sent: 1,
        }
    }

    #[test]
    fn what_nobody_writes_is_bounded_and_counted() {
        for place in [Place::Log, Place::File { path: PathBuf::new(), json: true }] {
            let log = || {
                let shared = Arc::new(Shared::new(Sheet::of(&place, true)));
                AccessLog { shared, writer: Mutex::new(None), with_arguments: true }
            };
            let server: Arc<str> = "files".into();
            let many = log();
            (0..=MOST).for_each(|_| many.ended(&ended(&server)));
            let waiting = many.shared.lock();
            assert_eq!((waiting.sheet.count(), waiting.dropped), (MOST, 1));
            drop(waiting);

            let names = Names {
                caller: "ann".into(),
                tool: None,
                session: None,
                arguments: Some("x".repeat(MOST_BYTES / 4).into()),
                revision: None,
                request: RequestId::fresh(),
                trace: None,
            };
            let large = log();
            (0..6).for_each(|_| large.ended(&Ended { names: Some(&names), ..ended(&server) }));
            let waiting = large.shared.lock();
            assert_eq!((waiting.sheet.count(), waiting.dropped), (4, 2));
        }
    }
}
