//! What a client may ask of the server: the rules of its entry and the rights of its caller, before anything is passed on; and
//! what of the answers it is shown.

use super::Mount;
use super::door::Door;
use super::sight::{called, filtered};
use crate::access::Caller;
use crate::session::{Held, Warden};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;

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

fn unnamed() -> RpcError {
    RpcError::new(Code::InvalidParams, "a call must have one \"name\", which is that of its tool")
}

/// The mount is no more, and with it the rules that held.
fn gone() -> RpcError {
    RpcError::new(Code::ShuttingDown, "the server is being unmounted")
}
