//! How the pins are kept: read when the router starts and when it reads its configuration again, written after each change by
//! somebody for whom nobody waits.

use super::{Pinned, Pins, Servers, State, file};
use crate::config::{Config, Pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

impl Pins {
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
    pub(in super::super) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    fn unusable(&self, reason: &str) -> String {
        format!("{}: {reason}: mend it, or remove it to have all tools noted anew, and reload", self.called())
    }

    /// How the file is called where it is spoken of.
    pub(super) fn called(&self) -> String {
        self.path.as_ref().map_or_else(|| "the pins".to_owned(), |path| path.display().to_string())
    }

    /// Waits until the file says everything, or why it does not.
    pub(in super::super) async fn saved(self: &Arc<Self>) -> Result<(), String> {
        let pins = self.clone();
        let written = tokio::task::spawn_blocking(move || pins.write_all()).await;
        written.map_err(|error| error.to_string())?;
        self.lock().unwritten.clone().map_or(Ok(()), Err)
    }

    /// Has a change written, by whoever writes already or somebody new.
    pub(super) fn save(self: &Arc<Self>, mut state: MutexGuard<'_, State>, server: &str, tool: &str) {
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
}

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
