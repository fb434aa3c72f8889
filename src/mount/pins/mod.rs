//! What is noted of the tools of servers that are pinned: what each said of itself when that was approved, and what it says
//! now where that is something else, which holds the tool back.
//!
//! It is kept in memory, and in a file that outlives the router. Whoever looks at a list does not wait for the file.

mod definition;
mod file;
mod keeping;

use crate::config::{Config, Pin};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

pub use definition::Definition;

/// Tools of a server that are noted; more are held back.
const MOST_TOOLS: usize = 4096;

/// What was seen of a tool holds so long; then it is looked at again before it is called.
const HOLDS: Duration = Duration::from_mins(1);

/// The pins of all servers.
#[derive(Debug)]
pub struct Pins {
    /// None: they are kept in memory alone.
    path: Option<PathBuf>,
    state: Mutex<State>,
    /// Counts the times that the file said something else.
    edits: AtomicU64,
    tracker: TaskTracker,
}

type Servers = BTreeMap<Box<str>, BTreeMap<Box<str>, Pinned>>;

#[derive(Debug, Default)]
struct State {
    servers: Servers,
    /// Why the file cannot be used, and so nothing is known.
    broken: Option<String>,
    /// What the file does not say yet.
    unsaved: BTreeSet<(Box<str>, Box<str>)>,
    /// Why it was not written the last time.
    unwritten: Option<String>,
    /// Somebody is writing.
    writing: bool,
}

/// What is noted of a tool.
#[derive(Clone, Debug, Default)]
struct Pinned {
    approved: Option<Definition>,
    /// Says something that is not approved, or has said so since it was.
    held: Option<Definition>,
    /// When it was last seen to say what is approved.
    seen: Option<Instant>,
}

/// How a tool stands, as far as is known without looking at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It says what is approved, as was seen a moment ago.
    Fresh,
    /// It said so when it was last seen.
    Known,
    /// It was never seen.
    New,
    /// It is held back.
    Held,
    /// Nothing is known: why.
    Broken(String),
}

/// A tool that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Its name.
    pub tool: String,
    /// What is approved; none: it is new.
    pub approved: Option<Definition>,
    /// What it says now.
    pub says: Definition,
}

/// Why something was not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The file cannot be used.
    #[error("{0}")]
    Broken(String),
    /// No such tool is held back.
    #[error("the tool {0:?} is not held back")]
    NotHeld(String),
    /// It has changed since it was looked at.
    #[error("the tool {0:?} says something else by now: look at it again")]
    Changed(String),
}

impl Pins {
    /// The pins that a configuration asks for.
    pub fn of(config: &Config, tracker: TaskTracker) -> Arc<Self> {
        let pins = Self {
            path: config.pins_file.clone(),
            state: Mutex::default(),
            edits: AtomicU64::new(0),
            tracker,
        };
        pins.read_again(config);
        Arc::new(pins)
    }

    /// Looks at a tool of a server as it is listed, and notes what is new; whether it may be shown.
    pub(super) fn see(self: &Arc<Self>, server: &str, pin: Pin, name: &str, tool: &str) -> bool {
        let definition = Definition::of(tool);
        let mut state = self.lock();
        if state.broken.is_some() {
            return false;
        }
        let tools = state.servers.entry(server.into()).or_default();
        let is_known = tools.contains_key(name);
        let Some(definition) = definition else {
            // There is nothing that could be approved.
            tracing::debug!(server, tool = %name.escape_debug(), "what the tool says of itself is ambiguous: it is not shown");
            return false;
        };
        if !is_known && tools.len() >= MOST_TOOLS {
            return false;
        }
        let pinned = tools.entry(name.into()).or_default();
        let fits = pinned.approved.as_ref().is_some_and(|approved| approved.is(&definition));
        if fits && pinned.held.is_none() {
            pinned.seen = Some(Instant::now());
            return true;
        }
        if !is_known && pin == Pin::First {
            pinned.approved = Some(definition);
            pinned.seen = Some(Instant::now());
            self.save(state, server, name);
            return true;
        }
        if pinned.held.as_ref().is_some_and(|held| held.is(&definition)) {
            return false;
        }
        let changed = pinned.approved.as_ref().map(|approved| approved.changed_in(&definition).join(", "));
        pinned.held = Some(definition);
        pinned.seen = None;
        self.save(state, server, name);
        if fits {
            let tool = name.escape_debug();
            tracing::info!(server, %tool, "a tool that is held back says again what was approved; it stays held back");
        } else {
            warn(server, name, changed.as_deref());
        }
        false
    }

    /// Whether a tool as it once was listed may be shown, without noting anything.
    pub(super) fn knows(&self, server: &str, name: &str, tool: &str) -> bool {
        let state = self.lock();
        let pinned = state.servers.get(server).and_then(|tools| tools.get(name));
        let (Some(pinned), Some(definition)) = (pinned, Definition::of(tool)) else { return false };
        state.broken.is_none()
            && pinned.held.is_none()
            && pinned.approved.as_ref().is_some_and(|approved| approved.is(&definition))
    }

    /// How a tool stands.
    pub(super) fn standing(&self, server: &str, name: &str) -> Standing {
        let state = self.lock();
        if let Some(reason) = &state.broken {
            return Standing::Broken(reason.clone());
        }
        match state.servers.get(server).and_then(|tools| tools.get(name)) {
            None => Standing::New,
            Some(Pinned { held: None, approved: Some(_), seen }) => {
                if seen.is_some_and(|at| at.elapsed() < HOLDS) { Standing::Fresh } else { Standing::Known }
            }
            Some(_) => Standing::Held,
        }
    }

    /// What was seen of a server's tools is to be looked at again.
    pub(super) fn doubt(&self, server: &str) {
        if let Some(tools) = self.lock().servers.get_mut(server) {
            for pinned in tools.values_mut() {
                pinned.seen = None;
            }
        }
    }

    /// Why nothing is known of any tool, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// The tools of a server that are held back.
    pub(super) fn held_back(&self, server: &str) -> Vec<HeldBack> {
        let state = self.lock();
        let tools = state.servers.get(server).into_iter().flatten();
        let held = tools.filter_map(|(tool, pinned)| {
            let says = pinned.held.clone()?;
            Some(HeldBack { tool: tool.to_string(), approved: pinned.approved.clone(), says })
        });
        held.collect()
    }

    /// Approves what a tool of a server says now; `digest`: what it was seen to say.
    pub(super) fn approve(
        self: &Arc<Self>,
        server: &str,
        tool: &str,
        digest: Option<&str>,
    ) -> Result<(), NotApproved> {
        let mut state = self.lock();
        if let Some(reason) = &state.broken {
            return Err(NotApproved::Broken(reason.clone()));
        }
        let pinned = state.servers.get_mut(server).and_then(|tools| tools.get_mut(tool));
        let Some((pinned, held)) = pinned.and_then(|pinned| pinned.held.take().map(|held| (pinned, held)))
        else {
            return Err(NotApproved::NotHeld(tool.to_owned()));
        };
        if digest.is_some_and(|digest| !digest.eq_ignore_ascii_case(&held.digest())) {
            pinned.held = Some(held);
            return Err(NotApproved::Changed(tool.to_owned()));
        }
        pinned.approved = Some(held);
        self.save(state, server, tool);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When it was seen is nothing that is written.
impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        (&self.approved, &self.held) == (&other.approved, &other.held)
    }
}

impl Eq for Pinned {}

/// Says that a tool is held back. `changed`: in which parts; none: it is new.
fn warn(server: &str, tool: &str, changed: Option<&str>) {
    // A name with line breaks in it is nothing that anybody types: all that are held back are shown.
    let word = shlex::try_quote(tool).ok().filter(|_| !tool.contains(char::is_control)).unwrap_or_default();
    let command = format!("{} approve {server} {word}", env!("CARGO_PKG_NAME"));
    let command = command.trim_end();
    let tool = tool.escape_debug();
    if let Some(changed) = changed {
        let changed = if changed.is_empty() { "not known" } else { changed };
        tracing::warn!(
            server, %tool, changed,
            "a tool says something else of itself than what was approved, and is held back; to look at it and approve it: {command}"
        );
    } else {
        tracing::warn!(server, %tool, "a tool is new, and is held back; to look at it and approve it: {command}");
    }
}

#[cfg(test)]
mod tests;
