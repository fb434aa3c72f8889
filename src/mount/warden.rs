//! What a client may ask of the server: the rights of its caller, before anything is passed on.

use super::Mount;
use crate::access::Caller;
use crate::session::{Held, Warden};
use crate::wire::meta::{find, find_string, only_string};
use crate::wire::object::{array, items};
use crate::wire::{Code, Kind, Message, Object, RpcError};
use bytes::Bytes;
use futures::future::BoxFuture;
use memchr::memmem;
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
        let free = self.is_aggregate() || (caller.is_anyone() && !self.is_personal());
        (!free).then(|| Arc::new(Watch { mount: self.me.clone(), caller: caller.clone() }) as Arc<dyn Warden>)
    }
}

impl Watch {
    fn judge(&self, request: &Message) -> Result<Held, RpcError> {
        let Some(mount) = self.mount.upgrade() else { return Ok(None) };
        if request.method() == "tools/call" && self.minds(&mount) {
            // What cannot be read for sure, the server may read in another way.
            let Some(name) = only_string(request.body(), "name") else { return Err(unclear()) };
            if !self.may_use(&mount, &name, || false) {
                return Err(hidden(&name));
            }
        }
        Ok(None)
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
        LISTS.contains(&request.method())
    }

    fn shown(&self, answer: Bytes) -> Bytes {
        let Some(mount) = self.mount.upgrade() else { return answer };
        let minds = self.minds(&mount);
        if !minds && memmem::find(&answer, b"ublic").is_none() {
            return answer;
        }
        let Ok(message) = Message::own(answer.clone()) else { return answer };
        if message.kind() != Kind::Result {
            return answer;
        }
        let Some(mut result) = Object::read(message.body()) else { return answer };
        let is_shown = |tool: &&str| {
            let name = find_string(tool, &["name"]).unwrap_or_default();
            self.may_use(&mount, &name, || find(tool, &["annotations", "readOnlyHint"]) == Some("true"))
        };
        let shown = result.get("tools").filter(|_| minds).map(|tools| {
            let tools = items(tools).unwrap_or_default();
            array(tools.into_iter().filter(is_shown))
        });
        // What one is shown holds for nobody else, whatever the server says of it.
        let is_public = result.string("cacheScope").is_some_and(|scope| scope != "private");
        if shown.is_none() && !is_public {
            return answer;
        }
        if let Some(shown) = shown {
            result.set("tools", shown);
        }
        if is_public {
            result.set("cacheScope", "\"private\"");
        }
        let id = message.id().unwrap_or("null");
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, result.to_json()).into()
    }
}

/// What is asked for by these is not the same for everybody.
const LISTS: [&str; 5] =
    ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"];

/// What is said where it is not clear which tool is meant.
fn unclear() -> RpcError {
    RpcError::new(Code::InvalidParams, "\"name\" must be a string, and stand once in the params of a call")
}

/// What is said of a tool that the caller may not use, whether it exists or not.
fn hidden(tool: &str) -> RpcError {
    RpcError::new(Code::NotAllowed, format!("the tool {tool:?} is not served here, or not to you"))
}
