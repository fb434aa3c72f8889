//! What a client may ask of the server: the rights of its caller, before anything is passed on.

use super::Mount;
use crate::access::Caller;
use crate::session::{Held, Warden};
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Kind, Message, Object, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::{Arc, Weak};

/// Watches over one client of a mount.
#[derive(Debug)]
struct Watch {
    mount: Weak<Mount>,
    caller: Caller,
}

impl Mount {
    /// Who watches over a caller's requests to this server; nobody where every request may pass.
    pub(super) fn warden(&self, caller: &Caller) -> Option<Arc<dyn Warden>> {
        // What serves others asks the mounts behind it, each of which watches by itself.
        // Of a caller who is known, the rights may change.
        let free = self.is_aggregate() || caller.is_anyone();
        (!free).then(|| Arc::new(Watch { mount: self.me.clone(), caller: caller.clone() }) as Arc<dyn Warden>)
    }
}

impl Watch {
    fn judge(&self, request: &Message) -> Result<Held, RpcError> {
        let Some(mount) = self.mount.upgrade() else { return Ok(None) };
        if request.method() == "tools/call" && self.minds(&mount) {
            let name = find_string(request.body(), &["name"]).unwrap_or_default();
            if !self.may_use(&mount, &name, || false) {
                return Err(self.hidden(&mount, &name));
            }
        }
        Ok(None)
    }

    /// What is said of a tool that the caller may not use, whether it exists or not; with the scope, where one would help.
    fn hidden(&self, mount: &Mount, tool: &str) -> RpcError {
        let error = hidden(tool);
        let grant = self.caller.grant();
        match grant.scope_for_tool(self.caller.place(), mount.name().as_str(), tool) {
            Some(scope) if self.caller.scopes().is_some() => error.wanting(scope),
            _ => error,
        }
    }

    /// Whether there is a tool that the caller may not use.
    fn minds(&self, mount: &Mount) -> bool {
        !self.caller.grant().every_tool(self.caller.place(), mount.name().as_str())
    }

    fn may_use(&self, mount: &Mount, tool: &str, is_read_only: impl Fn() -> bool) -> bool {
        self.caller.grant().tool(self.caller.place(), mount.name().as_str(), tool, is_read_only)
    }
}

impl Warden for Watch {
    fn admit<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Held, RpcError>> {
        Box::pin(std::future::ready(self.judge(request)))
    }

    fn looks_at(&self, request: &Message) -> bool {
        request.method() == "tools/list" && self.mount.upgrade().is_some_and(|mount| self.minds(&mount))
    }

    fn shown(&self, answer: Bytes) -> Bytes {
        let Some(mount) = self.mount.upgrade() else { return answer };
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
