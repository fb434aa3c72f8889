//! What was called, by whom, when, how long it took and how it ended, in a file.
//!
//! A call is put into a queue and forgotten; a thread of its own writes what is in there. What does not fit, because the disk
//! is full, slow, or somebody has locked the file, is counted and said, and hurts nobody.

mod file;
mod query;
mod writer;

pub use file::Unusable;
pub use query::{Filter, Reader, Record, Summary};

use super::{Ended, Events, Sink};
use smol_str::SmolStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Calls that wait to be written.
const WAITING: usize = 8192;

/// Bytes of their arguments.
const WAITING_BYTES: usize = 16 << 20;

/// Longest name of a tool or a caller that is kept: both are somebody else's to choose.
const LONGEST_NAME: usize = 256;

/// How long it is waited for at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// What is recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The file.
    pub file: PathBuf,
    /// For how long.
    pub keep: Duration,
    /// How many calls at most.
    pub rows: u64,
    /// With their arguments.
    pub arguments: bool,
}

/// Records calls.
#[derive(Debug)]
pub struct History {
    options: HistoryOptions,
    queue: SyncSender<Row>,
    shared: Arc<Shared>,
    ahead: Mutex<Ahead>,
}

/// The thread that writes, before it runs and while it does.
#[derive(Debug)]
enum Ahead {
    Unstarted(Receiver<Row>),
    Running(JoinHandle<()>),
    Over,
}

/// What both sides of the queue know.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes of arguments in the queue.
    bytes: AtomicUsize,
    /// Calls that were not written.
    lost: AtomicU64,
    stop: AtomicBool,
}

/// A call as it is written.
#[derive(Debug)]
struct Row {
    /// Microseconds since 1970 when it began.
    at: i64,
    server: Arc<str>,
    method: &'static str,
    tool: Option<SmolStr>,
    caller: SmolStr,
    session: Option<SmolStr>,
    eras: Option<&'static str>,
    outcome: &'static str,
    code: Option<i64>,
    /// Microseconds.
    took: i64,
    received: i64,
    sent: i64,
    arguments: Option<Box<str>>,
}

impl History {
    /// A history of which nothing is written before [`start`](Self::start).
    pub fn new(options: HistoryOptions) -> Arc<Self> {
        let (queue, waiting) = sync_channel(WAITING);
        let ahead = Mutex::new(Ahead::Unstarted(waiting));
        Arc::new(Self { options, queue, shared: Arc::default(), ahead })
    }

    /// Writes from now on. `events`: where it is told when that is not possible.
    pub fn start(&self, events: Events) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let Ahead::Unstarted(waiting) = std::mem::replace(&mut *ahead, Ahead::Over) else { return };
        let (options, shared) = (self.options.clone(), self.shared.clone());
        let write = move || writer::Writer::new(options, shared, events).run(&waiting);
        match std::thread::Builder::new().name("history".to_owned()).spawn(write) {
            Ok(thread) => *ahead = Ahead::Running(thread),
            Err(error) => tracing::error!("no call is recorded: there is no thread for it: {error}"),
        }
    }

    /// Writes what still waits, for a few seconds at most.
    pub async fn finish(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ahead =
            std::mem::replace(&mut *self.ahead.lock().unwrap_or_else(PoisonError::into_inner), Ahead::Over);
        let Ahead::Running(thread) = ahead else { return };
        thread.thread().unpark();
        let until = Instant::now() + LAST_PATIENCE;
        while !thread.is_finished() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Sink for History {
    fn wants_names(&self) -> bool {
        true
    }

    fn wants_arguments(&self) -> bool {
        self.options.arguments
    }

    fn ended(&self, call: &Ended<'_>) {
        let names = call.names;
        // The access log may have asked for them, too.
        let arguments = names.filter(|_| self.options.arguments).and_then(|names| names.arguments.clone());
        let bytes = arguments.as_ref().map_or(0, |arguments| arguments.len());
        if self.shared.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let row = Row {
            at: micros(call.ended - call.took),
            server: call.server.clone(),
            method: call.method,
            tool: names.and_then(|names| names.tool.as_ref()).map(short),
            caller: names.map_or_else(SmolStr::default, |names| short(&names.caller)),
            session: names.and_then(|names| names.session.clone()),
            eras: call.eras.map(super::Eras::as_str),
            outcome: call.outcome.as_str(),
            code: call.outcome.code(),
            took: whole(call.took.as_micros()),
            received: whole(call.received),
            sent: whole(call.sent),
            arguments,
        };
        if self.queue.try_send(row).is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn short(name: &SmolStr) -> SmolStr {
    match name.floor_char_boundary(LONGEST_NAME) {
        end if end < name.len() => name[..end].into(),
        _ => name.clone(),
    }
}

fn micros(time: SystemTime) -> i64 {
    whole(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros())
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Names, Outcome, RequestId};

    fn options(file: PathBuf) -> HistoryOptions {
        HistoryOptions { file, keep: Duration::from_hours(1), rows: 1000, arguments: true }
    }

    /// A call that took so many milliseconds has ended.
    fn end(history: &History, ms: u64, outcome: Outcome, arguments: Option<&str>) {
        let names = Names {
            caller: "ann".into(),
            tool: Some("t".into()),
            session: None,
            arguments: arguments.map(Box::from),
            revision: None,
            request: RequestId::fresh(),
            trace: None,
        };
        history.ended(&Ended {
            server: &"a".into(),
            method: "tools/call",
            names: Some(&names),
            eras: None,
            outcome,
            ended: SystemTime::now(),
            took: Duration::from_millis(ms),
            received: 1,
            sent: 2,
        });
    }

    #[tokio::test]
    async fn what_was_called_is_summed_up_and_what_is_meant_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/calls.db");
        let history = History::new(options(file.clone()));
        history.start(Events::default());
        for ms in (1..=100).rev() {
            let outcome = match ms {
                ms if ms % 10 == 0 => Outcome::ToolError,
                // They are calls, and no errors.
                7 => Outcome::Cancelled,
                8 => Outcome::Abandoned,
                _ => Outcome::Ok,
            };
            end(&history, ms, outcome, Some("{}"));
        }
        history.finish().await;
        let reader = Reader::open(&file).unwrap();
        let [share] = &reader.summary(&Filter::default()).unwrap()[..] else {
            panic!("one tool of one server")
        };
        assert_eq!((share.server.as_str(), share.what.as_str()), ("a", "t"));
        assert_eq!((share.calls, share.errors), (100, 10));
        assert_eq!((share.median, share.p95), (Duration::from_millis(50), Duration::from_millis(95)));
        let filter = Filter {
            outcome: Some("tool_error".to_owned()),
            slow: Some(Duration::from_millis(50)),
            last: Some(2),
            ..Filter::default()
        };
        let calls = reader.calls(&filter).unwrap();
        let took: Vec<_> = calls.iter().map(|call| call.took.as_millis()).collect();
        assert_eq!(took, [60, 50], "the last two of six, the newest last");
        let nobody = Filter { caller: Some("ann' OR '1'='1".to_owned()), ..Filter::default() };
        assert!(reader.calls(&nobody).unwrap().is_empty());
    }

    #[test]
    fn what_nobody_writes_is_counted_and_takes_no_more_room() {
        let history = History::new(options(PathBuf::from("/nowhere")));
        for _ in 0..WAITING + 7 {
            end(&history, 1, Outcome::Ok, None);
        }
        assert_eq!(history.shared.lost.load(Ordering::Relaxed), 7);
        let history = History::new(options(PathBuf::from("/nowhere")));
        let long = "x".repeat(WAITING_BYTES / 4);
        for _ in 0..6 {
            end(&history, 1, Outcome::Ok, Some(&long));
        }
        let Shared { bytes, lost, .. } = &*history.shared;
        assert_eq!((bytes.load(Ordering::Relaxed), lost.load(Ordering::Relaxed)), (WAITING_BYTES, 2));
    }
}
