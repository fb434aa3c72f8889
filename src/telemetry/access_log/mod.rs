//! The access log: a line for each request that has ended, without what it asked for.
//!
//! A request only leaves a note; a thread makes lines of the notes some twenty times a second. So nobody waits for a disk,
//! and a line costs little more than its text.

mod line;

use super::{Ended, Sink};
use line::{Clock, Note, as_json, as_text, log};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The target of its lines where they go to the log of the process.
pub const TARGET: &str = "access";

/// Notes that wait to be written; what comes beyond them is dropped and counted.
const MOST: usize = 1 << 14;

/// How long a note may wait for others.
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
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    notes: Vec<Note>,
    dropped: usize,
    reopen: bool,
    closed: bool,
}

impl AccessLog {
    /// Begins one.
    ///
    /// # Errors
    /// The file cannot be opened, or there can be no thread.
    pub fn open(place: Place) -> io::Result<Self> {
        let mut pen = Pen::at(place)?;
        let shared = Arc::<Shared>::default();
        let its = shared.clone();
        let writer = std::thread::Builder::new().name("access".to_owned());
        let writer = writer.spawn(move || {
            let mut notes = Vec::new();
            while its.pass_on(&mut pen, &mut notes) {}
        })?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
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

    fn ended(&self, call: &Ended<'_>) {
        let note = Note::of(call);
        let mut waiting = self.shared.lock();
        if waiting.notes.len() >= MOST {
            waiting.dropped += 1;
            return;
        }
        waiting.notes.push(note);
        let is_first = waiting.notes.len() == 1;
        drop(waiting);
        // The others go with it.
        if is_first {
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    /// Writes the next notes; false if there will be no more. `notes`: memory for them, which is used again.
    fn pass_on(&self, pen: &mut Pen, notes: &mut Vec<Note>) -> bool {
        let is_quiet = |waiting: &mut Waiting| waiting.notes.is_empty() && !waiting.reopen && !waiting.closed;
        let waiting = self.changed.wait_while(self.lock(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        let hurry = |waiting: &mut Waiting| !waiting.reopen && !waiting.closed;
        let gathered = self.changed.wait_timeout_while(waiting, PATIENCE, hurry);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.notes, notes);
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
        pen.write(notes);
        notes.clear();
        if reopen {
            pen.reopen();
        }
        !closed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What writes the lines.
struct Pen {
    place: Place,
    file: Option<File>,
    text: String,
    clock: Clock,
    /// Lines that could not be written since one could; the file may end within one of them.
    lost: usize,
}

impl Pen {
    fn at(place: Place) -> io::Result<Self> {
        let file = match &place {
            Place::Log => None,
            Place::File { path, .. } => Some(append(path)?),
        };
        Ok(Self { place, file, text: String::new(), clock: Clock::default(), lost: 0 })
    }

    fn write(&mut self, notes: &[Note]) {
        let Place::File { json, path } = &self.place else { return notes.iter().for_each(log) };
        if notes.is_empty() {
            return;
        }
        self.text.clear();
        if self.lost > 0 {
            // Whatever stands there half ends.
            self.text.push('\n');
        }
        for note in notes {
            if *json {
                as_json(note, &mut self.text);
            } else {
                as_text(note, &mut self.clock, &mut self.text);
            }
            self.text.push('\n');
        }
        let Some(file) = &mut self.file else { return };
        let before = self.lost;
        match file.write_all(self.text.as_bytes()) {
            Ok(()) if before == 0 => {}
            Ok(()) => {
                self.lost = 0;
                tracing::info!(file = %path.display(), lost = before, "the access log can be written again");
            }
            Err(error) => {
                self.lost += notes.len();
                // A full disk is said once, not for each line.
                if before == 0 {
                    tracing::warn!(file = %path.display(), %error, "the access log cannot be written: its lines are lost until it can");
                }
            }
        }
    }

    fn reopen(&mut self) {
        let Place::File { path, .. } = &self.place else { return };
        match append(path) {
            Ok(file) => {
                self.file = Some(file);
                tracing::info!(file = %path.display(), "the access log was opened again");
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the access log cannot be opened again: it goes on in the file before");
            }
        }
    }
}

/// A file to the end of which is written, and which nobody else may read unless he could before.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Outcome;

    fn ended(server: &Arc<str>) -> Ended<'_> {
        Ended {
            server,
            method: "ping",
            names: None,
            eras: None,
            outcome: Outcome::Ok,
            begun: std::time::Instant::now(),
            took: Duration::ZERO,
            received: 1,
            sent: 1,
        }
    }

    #[test]
    fn what_nobody_writes_is_bounded_and_counted() {
        let shared = Shared::default();
        let server: Arc<str> = "files".into();
        let ended = ended(&server);
        shared.lock().notes.extend((0..MOST).map(|_| Note::of(&ended)));
        let log = AccessLog { shared: Arc::new(shared), writer: Mutex::new(None) };
        log.ended(&ended);
        let waiting = log.shared.lock();
        assert_eq!((waiting.notes.len(), waiting.dropped), (MOST, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn after_a_full_disk_lines_begin_where_lines_begin() {
        let server: Arc<str> = "files".into();
        let notes = |count| (0..count).map(|_| Note::of(&ended(&server))).collect::<Vec<_>>();
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "half a li").unwrap();
        let mut pen = Pen::at(Place::File { path: "/dev/full".into(), json: false }).unwrap();
        pen.write(&notes(2));
        pen.write(&notes(3));
        assert_eq!(pen.lost, 5);
        pen.file = Some(append(&path).unwrap());
        pen.write(&notes(0));
        assert_eq!(pen.lost, 5, "nothing is written yet");
        pen.write(&notes(1));
        assert_eq!(pen.lost, 0);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "half a li"), "{text}");
        assert!(lines[1].contains("server=files"), "{text}");
    }
}
