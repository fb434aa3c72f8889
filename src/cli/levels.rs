//! What is logged: the least severe level of everything, and of single targets, changed while the program runs.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::reload::Handle;

use super::arguments::Level;
use super::logging::ALWAYS;
use crate::http::operator;
use crate::peer::STDERR;
use crate::telemetry::access_log;

/// Targets of which something is said, at most.
const MOST: usize = 64;

/// The least severe level of everything, and of single targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    all: Level,
    targets: Vec<(String, LevelFilter)>,
}

/// The levels of a log that is open.
#[derive(Debug)]
pub(super) struct Volume {
    now: Mutex<Levels>,
    at_first: Level,
    handle: Handle<Targets, Registry>,
}

impl Levels {
    /// The same for all of our own lines.
    pub(super) fn all(all: Level) -> Self {
        Self { all, targets: Vec::new() }
    }

    /// As `info,server=warn` says it: a level for everything, else `otherwise`, and levels for targets.
    fn read(text: &str, otherwise: Level) -> Result<Self, String> {
        let (mut all, mut targets) = (None, Vec::new());
        for part in text.split(',').map(str::trim) {
            let twice = match part.split_once('=') {
                None => all.replace(level(part)?).is_some(),
                Some((target, word)) => {
                    let (target, word) = (target.trim(), word.trim());
                    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte);
                    if target.is_empty() || !target.bytes().all(is_plain) {
                        return Err(format!(
                            "{target:?} is no target: one is like `mcp_switchboard::http` or `server`"
                        ));
                    }
                    let filter = if word.eq_ignore_ascii_case("off") {
                        LevelFilter::OFF
                    } else {
                        filter(level(word)?)
                    };
                    let twice = targets.iter().any(|(known, _)| known == target);
                    targets.push((target.to_owned(), filter));
                    twice
                }
            };
            if twice {
                return Err(format!("{part:?}: of that it is said twice"));
            }
        }
        if targets.len() > MOST {
            return Err(format!("it names {} targets: {MOST} are the most", targets.len()));
        }
        Ok(Self { all: all.unwrap_or(otherwise), targets })
    }

    /// What the log asks of each line. Libraries are heard from warnings on.
    pub(super) fn filter(&self) -> Targets {
        let own = filter(self.all);
        Targets::new()
            .with_default(own.min(LevelFilter::WARN))
            .with_target("mcp_switchboard", own)
            .with_target(STDERR, own)
            .with_target(access_log::TARGET, LevelFilter::INFO)
            .with_targets(self.targets.iter().cloned())
            .with_target(ALWAYS, own.max(LevelFilter::WARN))
    }
}

impl Volume {
    /// Of a log that asks this handle.
    pub(super) fn new(at_first: Level, handle: Handle<Targets, Registry>) -> Self {
        Self { now: Mutex::new(Levels::all(at_first)), at_first, handle }
    }
}

impl operator::Levels for Volume {
    fn shown(&self) -> String {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }

    fn set(&self, text: &str) -> Result<String, String> {
        let levels = Levels::read(text, self.at_first)?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails only where the log is closed.
        self.handle.reload(levels.filter()).map_err(|error| error.to_string())?;
        *now = levels;
        Ok(now.to_string())
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", filter(self.all))?;
        self.targets.iter().try_for_each(|(target, level)| write!(f, ",{target}={level}"))
    }
}

fn level(word: &str) -> Result<Level, String> {
    Level::from_str(word, true).map_err(|_| {
        format!("{word:?} is no level: there are trace, debug, info, warning, error, critical, and off for a target")
    })
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warning => LevelFilter::WARN,
        Level::Error | Level::Critical => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as Severity;

    #[test]
    fn libraries_are_heard_from_warnings_on_and_some_warnings_always() {
        let debug = Levels::all(Level::Debug).filter();
        assert!(debug.would_enable("mcp_switchboard::peer", &Severity::DEBUG));
        assert!(!debug.would_enable("hyper::proto", &Severity::INFO));
        assert!(debug.would_enable("hyper::proto", &Severity::WARN));
        let critical = Levels::all(Level::Critical).filter();
        assert!(!critical.would_enable("mcp_switchboard::peer", &Severity::WARN));
        assert!(!critical.would_enable("hyper", &Severity::WARN));
        assert!(critical.would_enable(ALWAYS, &Severity::WARN));
        assert!(critical.would_enable(access_log::TARGET, &Severity::INFO));
    }

    #[test]
    fn a_target_has_a_level_of_its_own() {
        let levels =
            Levels::read(" warn, mcp_switchboard::http=Debug,server=off,hyper=info", Level::Info).unwrap();
        assert_eq!(levels.to_string(), "warn,mcp_switchboard::http=debug,server=off,hyper=info");
        let filter = levels.filter();
        assert!(filter.would_enable("mcp_switchboard::http::guard", &Severity::DEBUG));
        assert!(!filter.would_enable("mcp_switchboard::peer", &Severity::INFO));
        assert!(!filter.would_enable(STDERR, &Severity::ERROR));
        assert!(filter.would_enable("hyper", &Severity::INFO));
        assert_eq!(Levels::read("server=warning", Level::Debug).unwrap().to_string(), "debug,server=warn");
        let all = Levels::read("mcp_switchboard::always=off,access=off", Level::Info).unwrap().filter();
        assert!(
            all.would_enable(ALWAYS, &Severity::WARN)
                && !all.would_enable(access_log::TARGET, &Severity::ERROR)
        );
    }

    #[test]
    fn what_is_no_filter_is_said() {
        for (text, told) in [
            ("", "\"\" is no level"),
            ("loud", "\"loud\" is no level"),
            ("info,server=loud", "\"loud\" is no level"),
            ("info,=warn", "\"\" is no target"),
            ("a b=warn", "\"a b\" is no target"),
            ("info,debug", "twice"),
            ("server=info,server=warn", "twice"),
        ] {
            let error = Levels::read(text, Level::Info).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let many: Vec<String> = (0..65).map(|number| format!("t{number}=info")).collect();
        assert!(Levels::read(&many.join(","), Level::Info).is_err());
    }
}
