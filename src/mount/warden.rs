//! What a client may ask of the server: the rules of its entry and the rights of its caller, before anything is passed on; and
//! what of the answers it is shown.

use super::door::Door;
use super::pins::Standing;
use super::sight::{ByName, Sight, called, filtered};
use super::{Mount, Unserved};
use crate::access::Caller;
use crate::config::Pin;
use crate::session::{Held, Warden};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Watches over one client of a mount, and of those that take its place.
struct Watch {
    door: Arc<Door>,
    caller: Caller,
}

impl Mount {
    /// Who watches over a caller's requests to this server; nobody where that is done elsewhere.
    pub(super) fn warden(&self, caller: &Caller) -> Option<Arc<dyn Warden>> {
        // What serves others asks the mounts behind it, each of which watches by itself. A session outlives the rules under
        // which it was opened: where there are none, there may be some tomorrow.
        (!self.is_aggregate())
            .then(|| Arc::new(Watch { door: self.door.clone(), caller: caller.clone() }) as Arc<dyn Warden>)
    }

    /// What a caller sees of the server's tools.
    fn sight<'a>(&'a self, caller: &'a Caller) -> Sight<'a> {
        Sight::new(&self.rules, self.name().as_str(), caller)
    }

    /// Whether a caller may call a tool, which may have to be looked at first.
    ///
    /// # Errors
    /// What he is told instead.
    pub(super) async fn may_call(&self, tool: &str, caller: &Caller) -> Result<(), RpcError> {
        let by_name = self.sight(caller).by_name(tool);
        if by_name == ByName::Hidden {
            return Err(hidden(tool));
        }
        if self.rules.pin() != Pin::Off {
            self.is_approved(tool, caller).await?;
        }
        if by_name == ByName::IfReadOnly {
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
            (Standing::Fresh, _) => Ok(()),
            // It said so when it was last seen, and nobody has seen anything else.
            (Standing::Known, _) => Ok(()),
            (Standing::Held, _) => Err(held_back(tool)),
            (Standing::New, Ok(())) => Err(hidden(tool)),
            (Standing::New, Err(error)) => Err(not_looked_at(tool, error)),
            (Standing::Broken(reason), _) => {
                Err(RpcError::new(Code::NotAllowed, format!("no tool of this server is served: {reason}")))
            }
        }
    }

    /// Whether a tool that is listed so may be shown to a caller. What is pinned is noted.
    fn shows(&self, caller: &Caller, name: &str, tool: &str) -> bool {
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

impl Watch {
    async fn judge(&self, request: &Message) -> Result<Held, RpcError> {
        let mount = self.door.mount().ok_or_else(gone)?;
        if request.method() == "tools/call" && !mount.sight(&self.caller).is_clear() {
            let name = called(request.body()).ok_or_else(unnamed)?;
            mount.may_call(&name, &self.caller).await?;
        }
        Ok(None)
    }
}

impl Warden for Watch {
    fn admit<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Held, RpcError>> {
        Box::pin(self.judge(request))
    }

    fn looks_at(&self, request: &Message) -> bool {
        request.method() == "tools/list"
            && self.door.mount().is_none_or(|mount| !mount.sight(&self.caller).is_clear())
    }

    fn shown(&self, answer: Bytes) -> Bytes {
        let Ok(message) = Message::own(answer.clone()) else { return gone().to_line(None) };
        if message.kind() != Kind::Result {
            return answer;
        }
        let Some(mount) = self.door.mount() else { return gone().to_line(message.id()) };
        let result = filtered(message.body(), |name, tool| mount.shows(&self.caller, name, tool));
        match result {
            Some(result) => {
                message.spliced(message.id().unwrap_or("null"), Some((message.body(), result.as_str())))
            }
            None => answer,
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("caller", &self.caller).finish_non_exhaustive()
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

fn unnamed() -> RpcError {
    RpcError::new(Code::InvalidParams, "a call must have one \"name\", which is that of its tool")
}

/// The mount is no more, and with it the rules that held.
fn gone() -> RpcError {
    RpcError::new(Code::ShuttingDown, "the server is being unmounted")
}
