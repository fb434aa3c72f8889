//! Where log lines go: to stderr or to the system's log, through a bounded queue that never makes anybody wait.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use crate::telemetry::RequestId;
use indicatif::MultiProgress;
use tracing::Metadata;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::arguments::{Format, Level};
use super::journal;
use super::levels::{Levels, Volume};

/// The target of warnings that no level silences.
pub const ALWAYS: &str = "mcp_switchboard::always";

/// Lines that wait to be written; what comes beyond them is dropped and counted.
const QUEUE: usize = 8192;

/// What counts the dropped lines of this process, which has one log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The least severe level of our own lines; libraries are heard from `warning` on.
    pub level: Level,
    /// How a line is written.
    pub format: Format,
    /// To the system's log instead of stderr.
    pub syslog: bool,
}

/// The log while it is open; dropping it writes what waits, for at most a second.
#[derive(Debug)]
pub struct Log {
    dropped: ErrorCounter,
    volume: Arc<Volume>,
    _writer: WorkerGuard,
}

impl Log {
    /// Opens the log of the process. On a terminal, its lines do not tear what `screen` shows.
    ///
    /// # Errors
    /// The system's log was asked for and cannot be reached, or the process has a log already.
    pub fn open(options: Options, screen: MultiProgress) -> io::Result<Self> {
        let journal = !options.syslog && options.format == Format::Text && journal::is_stderr();
        let (sink, colours): (Box<dyn Write + Send>, _) = if options.syslog {
            (system_log()?, false)
        } else {
            (Box::new(Screen(screen)), options.format == Format::Text && !journal && takes_colours())
        };
        let builder =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).thread_name("log");
        let (queue, writer) = builder.finish(sink);
        let dropped = queue.error_counter();
        let _ = DROPPED.set(dropped.clone());
        let lines = Lines { queue, syslog: options.syslog, journal, colours, format: options.format };
        let layer = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(lines);
        let knows_the_time = options.syslog || journal;
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match (options.format, knows_the_time) {
            (Format::Json, _) => layer.json().flatten_event(true).boxed(),
            (Format::Text, true) => layer.without_time().boxed(),
            (Format::Text, false) => layer.boxed(),
        };
        let (filter, handle) = reload::Layer::new(Levels::all(options.level).filter());
        let volume = Arc::new(Volume::new(options.level, handle));
        let registry = tracing_subscriber::registry().with(layer.with_filter(filter));
        registry.try_init().map_err(io::Error::other)?;
        Ok(Self { dropped, volume, _writer: writer })
    }

    /// What is logged.
    pub(super) fn volume(&self) -> Arc<Volume> {
        self.volume.clone()
    }

    /// How many lines were dropped so far because they could not be written fast enough.
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// How many lines this process has dropped so far.
pub(super) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// The number that system logs have for a level.
pub(super) fn severity(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 3,
        tracing::Level::WARN => 4,
        tracing::Level::INFO => 6,
        tracing::Level::DEBUG | tracing::Level::TRACE => 7,
    }
}

fn takes_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

#[cfg(unix)]
fn system_log() -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(super::syslog::Syslog::open()?))
}

#[cfg(not(unix))]
fn system_log() -> io::Result<Box<dyn Write + Send>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has none"))
}

/// stderr, on which the table of mounts may be shown.
struct Screen(MultiProgress);

impl Write for Screen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Makes the writer of each line.
struct Lines {
    queue: NonBlocking,
    syslog: bool,
    journal: bool,
    colours: bool,
    format: Format,
}

/// The writer of one line, which the formatter hands over in one piece.
struct Line {
    queue: NonBlocking,
    prefix: String,
    colours: bool,
    format: Format,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { queue: self.queue.clone(), prefix: String::new(), colours: self.colours, format: self.format }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        #[cfg(unix)]
        if self.syslog {
            return Line { prefix: super::syslog::prefix(*meta.level()), ..self.make_writer() };
        }
        let _ = self.syslog;
        if self.journal {
            return Line { prefix: format!("<{}>", severity(*meta.level())), ..self.make_writer() };
        }
        self.make_writer()
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = one_line(&String::from_utf8_lossy(line), self.colours);
        if let Some(request) = RequestId::current() {
            name_request(&mut text, &request, self.format);
        }
        self.queue.write_all(format!("{}{text}", self.prefix).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes one line of whatever a server put into it: control characters are escaped, but for the end, and for
/// the colours where the formatter writes them (it escapes those of others itself).
fn one_line(text: &str, colours: bool) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if !character.is_control() || (colours && character == '\u{1b}') {
            line.push(character);
        } else {
            line.extend(character.escape_default());
        }
    }
    line.push('\n');
    line
}

/// Adds to a line for which request it was written. A span for each request would do the same, and cost each of them, also
/// those of which nothing is said.
fn name_request(line: &mut String, request: &RequestId, format: Format) {
    let json = format == Format::Json;
    let end = if json { "}\n" } else { "\n" };
    if line.ends_with(end) {
        line.truncate(line.len() - end.len());
        // Such a name needs no escapes.
        let field = if json { format!(",\"request\":\"{request}\"") } else { format!(" request={request}") };
        line.push_str(&field);
        line.push_str(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until the sender is gone, as a stopped terminal does.
    struct Stalled(std::sync::mpsc::Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_stays_one_line_whatever_is_in_it() {
        assert_eq!(one_line("a\nb\r\x1b[31m\u{9b}c\t\n", false), "a\\nb\\r\\u{1b}[31m\\u{9b}c\\t\n");
        assert_eq!(one_line("\x1b[2mx\x1b[0m\n", true), "\x1b[2mx\x1b[0m\n");
    }

    #[test]
    fn a_line_that_is_written_for_a_request_names_it() {
        let request = RequestId::given(b"r-1").unwrap();
        let named = |line: &str, format| {
            let mut line = line.to_owned();
            name_request(&mut line, &request, format);
            line
        };
        assert_eq!(named("a warning\n", Format::Text), "a warning request=r-1\n");
        assert_eq!(named("{\"message\":\"x\"}\n", Format::Json), "{\"message\":\"x\",\"request\":\"r-1\"}\n");
    }

    #[test]
    fn a_line_that_finds_no_room_is_dropped_and_counted() {
        let (release, stalled) = std::sync::mpsc::channel::<()>();
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(2);
        let (queue, guard) = builder.finish(Stalled(stalled));
        let dropped = queue.error_counter();
        let mut line = Line { queue, prefix: String::new(), colours: false, format: Format::Text };
        for _ in 0..10 {
            line.write_all(b"x\n").unwrap();
        }
        assert!(dropped.dropped_lines() >= 7, "{}", dropped.dropped_lines());
        drop(release);
        drop(guard);
    }
}
