//! Which of a server's tools are served, and to whom: by their names, by what they say of themselves, and by whether somebody
//! has approved that.

use super::pins::Standing;
use super::sight::{Sight, called};
use super::{Mount, Unserved};
use crate::access::{Caller, ToolRight};
use crate::config::Pin;
use crate::telemetry::EventKind;
use crate::wire::{Code, RpcError};
use std::sync::atomic::Ordering;

impl Mount {
    /// What a caller sees of the server's tools.
    pub(super) fn sight<'a>(&'a self, caller: &'a Caller) -> Sight<'a> {
        Sight::new(&self.rules, self.name().as_str(), caller)
    }

    /// Whether a caller may call a tool, if its name decides that.
    ///
    /// # Errors
    /// What he is told instead.
    pub(super) fn may_call_by_name(&self, tool: &str, caller: &Caller) -> Option<Result<(), RpcError>> {
        match self.sight(caller).by_name(tool) {
            ToolRight::Never => Some(Err(hidden(tool))),
            ToolRight::Always if self.rules.pin() == Pin::Off => Some(Ok(())),
            ToolRight::Always | ToolRight::IfReadOnly => None,
        }
    }

    /// Whether a caller may call a tool, which may have to be looked at first.
    ///
    /// # Errors
    /// What he is told instead.
    pub(super) async fn may_call(&self, tool: &str, caller: &Caller) -> Result<(), RpcError> {
        let by_name = self.sight(caller).by_name(tool);
        if by_name == ToolRight::Never {
            return Err(hidden(tool));
        }
        if self.rules.pin() != Pin::Off {
            self.is_approved(tool, caller).await?;
        }
        if by_name == ToolRight::IfReadOnly {
            let looked_at =
                self.reads_only(tool, caller).await.map_err(|error| not_looked_at(tool, error))?;
            if !looked_at {
                return Err(hidden(tool));
            }
        }
        Ok(())
    }

    async fn is_approved(&self, tool: &str, caller: &Caller) -> Result<(), RpcError> {
        let standing = || self.pins.standing(self.name().as_str(), tool);
        let first = standing();
        let looked = match first {
            Standing::Known | Standing::New => self.look_at(tool, caller).await,
            Standing::Fresh | Standing::Held | Standing::Broken(_) => Ok(()),
        };
        match (standing(), looked) {
            // Where it cannot be looked at now: it said so when it was last seen, and nobody has seen anything else.
            (Standing::Fresh | Standing::Known, _) => Ok(()),
            (Standing::Held, _) => Err(held_back(tool)),
            (Standing::New, Ok(())) => Err(hidden(tool)),
            (Standing::New, Err(error)) => Err(not_looked_at(tool, error)),
            (Standing::Broken(reason), _) => {
                Err(RpcError::new(Code::NotAllowed, format!("no tool of this server is served: {reason}")))
            }
        }
    }

    /// Whether a tool that is listed so may be shown to a caller. What is pinned is noted.
    pub(super) fn shows(&self, caller: &Caller, name: &str, tool: &str) -> bool {
        // It is noted whoever sees it: that he may not use it says nothing about the tool.
        self.notes(name, tool) && self.sight(caller).of(name, tool)
    }

    /// Notes what a tool says of itself, where the server is pinned; whether it may be shown.
    pub(super) fn notes(&self, name: &str, tool: &str) -> bool {
        let pin = self.rules.pin();
        if pin == Pin::Off {
            return true;
        }
        let server = self.name().as_str();
        if !self.rules.admits(server, name) {
            // What nobody sees, nobody needs to approve.
            return false;
        }
        let before = self.pins.standing(server, name);
        let shown = self.pins.see(server, pin, name, tool);
        if (before == Standing::Held) != (self.pins.standing(server, name) == Standing::Held) {
            self.sights.fetch_add(1, Ordering::Relaxed);
            if before != Standing::Held {
                self.tell(
                    EventKind::HeldBack,
                    &format!("the tool {name:?} is held back until it is approved"),
                );
            }
        }
        shown
    }

    /// Whether anybody may see a tool that was listed so once, and may not be any more.
    pub fn still_shows(&self, tool: &str) -> bool {
        let Some(name) = called(tool) else { return false };
        let is_fine = self.rules.pin() == Pin::Off || self.pins.knows(self.name().as_str(), &name, tool);
        is_fine && self.sight(&Caller::anyone()).of(&name, tool)
    }

    /// Whether it is believed when it says that a tool changes nothing.
    pub fn trusts_hints(&self) -> bool {
        self.rules.trusts_hints()
    }

    /// Counts the changes of what is shown of the tools although the server has not changed them.
    pub fn sights(&self) -> u64 {
        self.sights.load(Ordering::Relaxed) + self.pins.edits()
    }
}

/// What is said of a tool that the caller may not use, whether it exists or not.
fn hidden(tool: &str) -> RpcError {
    RpcError::new(Code::NotAllowed, format!("the tool {tool:?} is not served here, or not to you"))
}

fn held_back(tool: &str) -> RpcError {
    let reason = format!(
        "the tool {tool:?} is held back, as it says something of itself that nobody has approved: ask whoever runs this router"
    );
    RpcError::new(Code::NotAllowed, reason)
}

/// Whether the caller may use a tool depends on what it says of itself, and that could not be found out.
fn not_looked_at(tool: &str, error: Unserved) -> RpcError {
    let error = error.into_error();
    RpcError::new(
        Code::NotAllowed,
        format!("the tool {tool:?} cannot be looked at, and is not served unseen: {}", error.message),
    )
}
