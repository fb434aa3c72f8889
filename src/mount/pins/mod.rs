//! What is noted of the tools of servers that are pinned: what each said of itself when that was approved, and what it says
//! now where that is something else, which holds the tool back.
//!
//! It is kept in memory, and in a file that outlives the router. Whoever looks at a list does not wait for the file.

mod definition;
mod file;

use crate::config::{Config, Pin};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// Reads the file again, if a server needs it; what it does not say yet, stays.
    pub fn read_again(&self, config: &Config) {
        let Some(path) = &self.path else { return };
        if !config.servers.iter().any(|server| server.tools.pin != Pin::Off) {
            return;
        }
        let read = file::read(path);
        let mut state = self.lock();
        match read {
            Ok(servers) => {
                let (was_broken, before) = (state.broken.take().is_some(), state.servers.clone());
                state.merge(servers.unwrap_or_default());
                if was_broken || state.servers != before {
                    self.edits.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(reason) => {
                self.edits.fetch_add(1, Ordering::Relaxed);
                state.break_by(self.unusable(&reason));
            }
        }
    }

    /// Counts the times that the file said something else.
    pub(super) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    fn unusable(&self, reason: &str) -> String {
        format!("{}: {reason}: mend it, or remove it to have all tools noted anew, and reload", self.called())
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
        warn(server, name, changed);
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
            tools.values_mut().for_each(|pinned| pinned.seen = None);
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

    /// Waits until the file says everything, or why it does not.
    pub(super) async fn saved(self: &Arc<Self>) -> Result<(), String> {
        let pins = self.clone();
        let written = tokio::task::spawn_blocking(move || pins.write_all()).await;
        written.map_err(|error| error.to_string())?;
        self.lock().unwritten.clone().map_or(Ok(()), Err)
    }

    /// Has a change written, by whoever writes already or somebody new.
    fn save(self: &Arc<Self>, mut state: MutexGuard<'_, State>, server: &str, tool: &str) {
        state.unsaved.insert((server.into(), tool.into()));
        if self.path.is_none() || std::mem::replace(&mut state.writing, true) {
            return;
        }
        drop(state);
        let pins = self.clone();
        self.tracker.spawn(async move {
            let _ = tokio::task::spawn_blocking(move || {
                pins.write_all();
                pins.lock().writing = false;
                // What came between the two.
                pins.write_all();
            })
            .await;
        });
    }

    /// Writes all that the file does not say yet. It may block.
    fn write_all(&self) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let Some(path) = &self.path else { return };
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.lock().unsaved.is_empty() {
                return;
            }
            // Others may have written to it: another router, the command `call`, a person.
            let read = file::read(path);
            let (servers, written) = {
                let mut state = self.lock();
                match read {
                    Ok(servers) => {
                        if let Some(servers) = servers {
                            state.merge(servers);
                        }
                    }
                    Err(reason) => {
                        return state.break_by(self.unusable(&reason));
                    }
                }
                (state.servers.clone(), state.unsaved.clone())
            };
            let outcome = file::write(path, &servers);
            let mut state = self.lock();
            match outcome {
                Ok(()) => {
                    state.unwritten = None;
                    for change in written {
                        // One that has changed again meanwhile is written again.
                        if state.get(&change) == servers.get(&change.0).and_then(|tools| tools.get(&change.1))
                        {
                            state.unsaved.remove(&change);
                        }
                    }
                }
                Err(error) => {
                    let reason = format!("{}: {error}", self.called());
                    if state.unwritten.as_ref() != Some(&reason) {
                        tracing::error!(
                            "what the tools say of themselves is kept in memory alone, and is forgotten with this router: {reason}"
                        );
                    }
                    state.unwritten = Some(reason);
                    return;
                }
            }
        }
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

impl State {
    fn get(&self, (server, tool): &(Box<str>, Box<str>)) -> Option<&Pinned> {
        self.servers.get(server)?.get(tool)
    }

    /// Takes what the file says for what is known, but for what it does not say yet.
    fn merge(&mut self, mut servers: Servers) {
        for (server, tools) in &mut servers {
            for (tool, pinned) in tools {
                let known = self.servers.get(server).and_then(|tools| tools.get(tool));
                pinned.seen =
                    known.filter(|known| known.approved == pinned.approved).and_then(|known| known.seen);
            }
        }
        for (server, tool) in &self.unsaved {
            if let Some(pinned) = self.servers.get_mut(server).and_then(|tools| tools.remove(tool)) {
                servers.entry(server.clone()).or_default().insert(tool.clone(), pinned);
            }
        }
        self.servers = servers;
    }

    /// From now on no tool is known.
    fn break_by(&mut self, reason: String) {
        if self.broken.as_ref() != Some(&reason) {
            tracing::error!("no tool of a server with `tools.pin` is served: {reason}");
        }
        self.broken = Some(reason);
    }
}

/// Says that a tool is held back: `changed`: in which parts; none: it is new.
fn warn(server: &str, tool: &str, changed: Option<String>) {
    let words = shlex::try_quote(tool).unwrap_or_default();
    let command = format!("{} approve {server} {}", env!("CARGO_PKG_NAME"), words.escape_debug());
    let tool = tool.escape_debug();
    match changed {
        Some(changed) => tracing::warn!(
            server,
            %tool,
            changed = if changed.is_empty() { "nothing, but it had" } else { &changed },
            "a tool says something else of itself than what was approved, and is held back; to look at it and approve it: {command}"
        ),
        None => tracing::warn!(
            server,
            %tool,
            "a tool is new, and is held back; to look at it and approve it: {command}"
        ),
    }
}

#[cfg(test)]
mod tests;
