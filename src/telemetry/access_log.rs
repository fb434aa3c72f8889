//! The access log: a line for each request that has ended, without what it asked for.
//!
//! A request only leaves a note; a thread makes lines of the notes some twenty times a second. So nobody waits for a disk,
//! and a line costs little more than its text.

use super::{Ended, Eras, Outcome, RequestId, Sink, Trace};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// The target of its lines where they go to the log of the process.
pub const TARGET: &str = "access";

/// Notes that wait to be written; what comes beyond them is dropped and counted.
const MOST: usize = 1 << 14;

/// How long a note may wait for others.
const PATIENCE: Duration = Duration::from_millis(50);

/// Characters of a text that a client has chosen.
const LONGEST: usize = 128;

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

/// A request that has ended.
#[derive(Debug)]
struct Note {
    at: SystemTime,
    server: Arc<str>,
    who: Arc<str>,
    method: &'static str,
    tool: Option<Box<str>>,
    session: Option<Box<str>>,
    request: Option<RequestId>,
    trace: Option<u128>,
    eras: Option<Eras>,
    outcome: Outcome,
    took: Duration,
    bytes_in: usize,
    bytes_out: usize,
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
        let writer = writer.spawn(move || while its.pass_on(&mut pen) {})?;
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
        let names = call.names;
        let note = Note {
            at: SystemTime::now(),
            server: call.server.clone(),
            who: names.map_or_else(|| "".into(), |names| names.caller.clone()),
            method: call.method,
            tool: names.and_then(|names| names.tool.as_deref()).map(cut),
            session: names.and_then(|names| names.session.clone()),
            request: names.map(|names| names.request),
            trace: call.trace.map(Trace::id),
            eras: call.eras,
            outcome: call.outcome,
            took: call.took,
            bytes_in: call.received,
            bytes_out: call.sent,
        };
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
    /// Writes the next notes; false if there will be no more.
    fn pass_on(&self, pen: &mut Pen) -> bool {
        let is_quiet = |waiting: &mut Waiting| waiting.notes.is_empty() && !waiting.reopen && !waiting.closed;
        let waiting = self.changed.wait_while(self.lock(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        let hurry = |waiting: &mut Waiting| !waiting.reopen && !waiting.closed;
        let gathered = self.changed.wait_timeout_while(waiting, PATIENCE, hurry);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        let (notes, dropped) = (std::mem::take(&mut waiting.notes), std::mem::take(&mut waiting.dropped));
        let (reopen, closed) = (std::mem::take(&mut waiting.reopen), waiting.closed);
        drop(waiting);
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "lines of the access log were dropped: they came faster than they could be written"
            );
        }
        // What was noted before belongs to what was the file until now.
        pen.write(&notes);
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
    /// It is known that nothing can be written.
    failing: bool,
}

impl Pen {
    fn at(place: Place) -> io::Result<Self> {
        let file = match &place {
            Place::Log => None,
            Place::File { path, .. } => Some(append(path)?),
        };
        Ok(Self { place, file, text: String::new(), failing: false })
    }

    fn write(&mut self, notes: &[Note]) {
        let Place::File { json, path } = &self.place else { return notes.iter().for_each(log) };
        self.text.clear();
        for note in notes {
            if *json {
                as_json(note, &mut self.text);
            } else {
                as_text(note, &mut self.text);
            }
            self.text.push('\n');
        }
        let Some(file) = &mut self.file else { return };
        match file.write_all(self.text.as_bytes()) {
            Ok(()) => self.failing = false,
            // A full disk is said once, not for each line.
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                tracing::warn!(file = %path.display(), %error, "the access log cannot be written: its lines are lost until it can");
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

/// Into the log of the process, which knows its form.
fn log(note: &Note) {
    tracing::info!(
        target: TARGET,
        server = &*note.server,
        who = &*note.who,
        method = note.method,
        tool = note.tool.as_deref(),
        outcome = note.outcome.as_str(),
        code = note.outcome.code(),
        ms = milliseconds(note.took),
        bytes_in = note.bytes_in,
        bytes_out = note.bytes_out,
        session = note.session.as_deref(),
        eras = note.eras.map(Eras::as_str),
        request = note.request.as_ref().map(RequestId::as_str),
        trace = note.trace.map(|id| format!("{id:032x}")),
    );
}

// Writing to a string cannot fail.
fn as_text(note: &Note, text: &mut String) {
    let at = humantime::format_rfc3339_millis(note.at);
    let _ = write!(text, "{at} server={} who={} method={}", note.server, Word(&note.who), note.method);
    if let Some(tool) = &note.tool {
        let _ = write!(text, " tool={}", Word(tool));
    }
    let _ = write!(text, " outcome={}", note.outcome.as_str());
    if let Some(code) = note.outcome.code() {
        let _ = write!(text, " code={code}");
    }
    let ms = milliseconds(note.took);
    let _ = write!(text, " ms={ms} bytes_in={} bytes_out={}", note.bytes_in, note.bytes_out);
    if let Some(session) = &note.session {
        let _ = write!(text, " session={}", Word(session));
    }
    if let Some(eras) = note.eras {
        let _ = write!(text, " eras={}", eras.as_str());
    }
    if let Some(request) = &note.request {
        let _ = write!(text, " request={request}");
    }
    if let Some(trace) = note.trace {
        let _ = write!(text, " trace={trace:032x}");
    }
}

fn as_json(note: &Note, text: &mut String) {
    let line = Line {
        at: humantime::format_rfc3339_millis(note.at).to_string(),
        server: &note.server,
        who: &note.who,
        method: note.method,
        tool: note.tool.as_deref(),
        outcome: note.outcome.as_str(),
        code: note.outcome.code(),
        ms: milliseconds(note.took),
        bytes_in: note.bytes_in,
        bytes_out: note.bytes_out,
        session: note.session.as_deref(),
        eras: note.eras.map(Eras::as_str),
        request: note.request.as_ref().map(RequestId::as_str),
        trace: note.trace.map(|id| format!("{id:032x}")),
    };
    // It has nothing that JSON could not say.
    text.push_str(&serde_json::to_string(&line).unwrap_or_default());
}

/// A line for machines.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    server: &'a str,
    who: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    ms: f64,
    bytes_in: usize,
    bytes_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eras: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

/// To the thousandth.
fn milliseconds(took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a request does not take centuries")]
    let micros = took.as_micros() as f64;
    micros / 1000.0
}

/// What a client has chosen may be long.
fn cut(text: &str) -> Box<str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]).into(),
        None => text.into(),
    }
}

/// A text as one word of a line: in quotes, with escapes, unless it is plain.
struct Word<'a>(&'a str);

impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(tool: &str) -> Note {
        Note {
            at: SystemTime::UNIX_EPOCH,
            server: "files".into(),
            who: "alice of sales".into(),
            method: "tools/call",
            tool: Some(cut(tool)),
            session: Some("ab12".into()),
            request: RequestId::given(b"r-1"),
            trace: None,
            eras: None,
            outcome: Outcome::ServerError(-32602),
            took: Duration::from_micros(1234),
            bytes_in: 10,
            bytes_out: 20,
        }
    }

    #[test]
    fn a_request_is_one_line_whatever_its_client_calls_things() {
        let (mut text, mut json) = (String::new(), String::new());
        let note = note("a\nb \"\u{202e}c\u{1b}[31m");
        as_text(&note, &mut text);
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z server=files who=\"alice of sales\" method=tools/call \
             tool=\"a\\nb \\\"\\u{202e}c\\u{1b}[31m\" outcome=error code=-32602 ms=1.234 bytes_in=10 bytes_out=20 \
             session=ab12 request=r-1"
        );
        as_json(&note, &mut json);
        assert!(!json.contains('\n'), "{json}");
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["tool"], &line["code"]), (&"a\nb \"\u{202e}c\u{1b}[31m".into(), &(-32602).into()));
    }

    #[test]
    fn a_long_name_is_cut_between_its_characters() {
        assert_eq!(*cut(&"\u{e4}".repeat(200)), *format!("{}\u{2026}", "\u{e4}".repeat(128)));
        assert_eq!(&*cut("short"), "short");
    }

    #[test]
    fn what_nobody_writes_is_bounded_and_counted() {
        let shared = Shared::default();
        shared.lock().notes.extend((0..MOST).map(|_| note("x")));
        let log = AccessLog { shared: Arc::new(shared), writer: Mutex::new(None) };
        let server: Arc<str> = "files".into();
        log.ended(&Ended {
            server: &server,
            method: "ping",
            names: None,
            eras: None,
            outcome: Outcome::Ok,
            begun: std::time::Instant::now(),
            took: Duration::ZERO,
            received: 1,
            sent: 1,
            trace: None,
        });
        let waiting = log.shared.lock();
        assert_eq!((waiting.notes.len(), waiting.dropped), (MOST, 1));
    }
}
