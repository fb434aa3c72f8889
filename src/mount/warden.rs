//! What a client may ask of the server: the rights of its caller and how much of it there is, before anything is passed on.

use super::Mount;
use super::Unserved;
use super::door::Door;
use crate::access::Caller;
use crate::session::{Held, Warden};
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Kind, Message, Object, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Watches over one client of a mount.
#[derive(Debug)]
struct Watch {
    /// To the mount that is found now: the rules of one that another has taken the place of hold no more.
    door: Arc<Door>,
    caller: Caller,
}

impl Mount {
    /// Who watches over a caller's requests to this server; nobody where every request may pass.
    pub(super) fn warden(&self, caller: &Caller) -> Option<Arc<dyn Warden>> {
        // What serves others asks the mounts behind it, each of which watches by itself.
        // A reload can limit what was not limited, and of a caller who is known the rights may change; what serves others has
        // no limits but those of its callers.
        let is_needed = !self.is_aggregate() || caller.allowance_here().is_some();
        let watch = || Watch { door: self.door.clone(), caller: caller.clone() };
        is_needed.then(|| Arc::new(watch()) as Arc<dyn Warden>)
    }
}

impl Watch {
    async fn judge(&self, request: &Message, may_wait: bool) -> Result<Held, RpcError> {
        let Some(mount) = self.door.mount() else { return Err(Unserved::shutting_down().into_error()) };
        if request.method() == "tools/call" && self.minds(&mount) {
            let name = find_string(request.body(), &["name"]).unwrap_or_default();
            if !self.may_use(&mount, &name, || false) {
                return Err(hidden(&name));
            }
        }
        // While it waits, the mount may go.
        let counted = mount.count(&self.caller, request, may_wait);
        drop(mount);
        counted.await
    }

    /// Whether there is a tool that the caller may not use.
    fn minds(&self, mount: &Mount) -> bool {
        !mount.is_aggregate() && !self.caller.grant().every_tool(self.caller.place(), mount.name().as_str())
    }

    fn may_use(&self, mount: &Mount, tool: &str, is_read_only: impl Fn() -> bool) -> bool {
        self.caller.grant().tool(self.caller.place(), mount.name().as_str(), tool, is_read_only)
    }
}

impl Warden for Watch {
    fn is_idle(&self) -> bool {
        self.door.mount().is_some_and(|mount| !self.minds(&mount) && !mount.counts(&self.caller))
    }

    fn admit<'a>(&'a self, request: &'a Message, may_wait: bool) -> BoxFuture<'a, Result<Held, RpcError>> {
        Box::pin(self.judge(request, may_wait))
    }

    fn looks_at(&self, request: &Message) -> bool {
        request.method() == "tools/list" && self.door.mount().is_some_and(|mount| self.minds(&mount))
    }

    fn shown(&self, answer: Bytes) -> Bytes {
        let Some(mount) = self.door.mount() else { return answer };
        let Ok(message) = Message::own(answer.clone()) else { return answer };
        let Some(tools) = find(message.body(), &["tools"]).and_then(items) else { return answer };
        if message.kind() != Kind::Result {
            return answer;
        }
        let is_shown = |tool: &&str| {
            let name = find_string(tool, &["name"]).unwrap_or_default();
            self.may_use(&mount, &name, || find(tool, &["annotations", "readOnlyHint"]) == Some("true"))
        };
        let shown: Vec<&str> = tools.iter().copied().filter(is_shown).collect();
        if shown.len() == tools.len() {
            return answer;
        }
        let Some(mut result) = Object::read(message.body()) else { return answer };
        result.set("tools", format!("[{}]", shown.join(",")));
        let id = message.id().unwrap_or("null");
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, result.to_json()).into()
    }
}

/// What is said of a tool that the caller may not use, whether it exists or not.
fn hidden(tool: &str) -> RpcError {
    RpcError::new(Code::NotAllowed, format!("the tool {tool:?} is not served here, or not to you"))
}
