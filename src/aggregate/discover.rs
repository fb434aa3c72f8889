//! What an endpoint says of itself: the capabilities of its servers united, and their instructions joined.

use super::catalog::Member;
use super::offer::server_info;
use super::{Endpoint, lists};
use crate::access::Caller;
use crate::protocol::Opened;
use crate::protocol::handshake::every_version;
use crate::wire::Object;
use crate::wire::claim::SERVER_INFO;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether a server that is starting has said what it is.
const LOOK: Duration = Duration::from_millis(20);

impl Endpoint {
    /// The result of `server/discover` for a caller. Servers that are starting are waited for, for a moment, once.
    pub(super) async fn discovered(&self, caller: &Caller) -> String {
        let members = self.members(caller);
        let is_awaited = |member: &Arc<Member>| member.awaited().is_some_and(|until| Instant::now() < until);
        while members.iter().any(is_awaited) {
            tokio::time::sleep(LOOK).await;
        }
        let mut capabilities = Map::new();
        let mut instructions = String::new();
        for member in &members {
            let Some((declared, said)) = member.greeting(caller) else {
                // What it can do is not known yet: nothing may be missing when it is.
                for (name, value) in every_capability() {
                    unite(&mut capabilities, name, value);
                }
                continue;
            };
            for (name, value) in declared {
                unite(&mut capabilities, name, value);
            }
            if let Some(said) = said.filter(|said| !said.trim().is_empty()) {
                // Writing to a string cannot fail.
                let _ = write!(instructions, "# {}\n\n{}\n\n", member.mount.name(), said.trim());
            }
        }
        // The lists change with the servers, whatever each of them says of its own.
        let lists = |kind: &str| {
            if kind == "resources" {
                return json!({ "listChanged": true, "subscribe": true });
            }
            json!({ "listChanged": true })
        };
        capabilities.entry("tools").or_insert(Value::Null);
        for kind in ["tools", "prompts", "resources"] {
            if let Some(value) = capabilities.get_mut(kind) {
                *value = lists(kind);
            }
        }
        let mut result = Object::default();
        result.set("resultType", "\"complete\"");
        result.set("supportedVersions", every_version());
        result.set("capabilities", Value::Object(capabilities).to_string());
        if !instructions.is_empty() {
            result.set("instructions", Value::from(instructions.trim_end()).to_string());
        }
        result.set("ttlMs", "0");
        result.set("cacheScope", "\"private\"");
        result.set("_meta", json!({ SERVER_INFO: server_info() }).to_string());
        result.to_json()
    }
}

impl Member {
    /// What the server said when it was last opened, unless it said that to one user alone.
    pub(super) fn opened(&self) -> Option<Opened> {
        if self.mount.is_personal() { None } else { self.mount.opened() }
    }

    /// The capabilities and the instructions that the server gave when it was last opened, or, if it does not run or each
    /// user has one of his own, when this caller last asked.
    pub(super) fn greeting(&self, caller: &Caller) -> Option<(Map<String, Value>, Option<String>)> {
        let opened = self.opened().map(|opened| (opened.capabilities, opened.result));
        let remembered = || {
            let lists = self.any_lists(caller)?;
            let capabilities = crate::wire::meta::find(&lists.discovered, &["capabilities"])?;
            Some((serde_json::from_str(capabilities).ok()?, lists.discovered.clone()))
        };
        let (mut capabilities, result): (Map<String, Value>, Box<str>) = opened.or_else(remembered)?;
        // Tasks cannot be routed by a name.
        capabilities.remove("tasks");
        capabilities.remove("extensions");
        Some((capabilities, crate::wire::meta::find_string(&result, &["instructions"])))
    }
}

/// What one server says is added to what others have said.
fn unite(all: &mut Map<String, Value>, name: String, value: Value) {
    match (all.get_mut(&name), value) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            for (name, value) in more {
                match known.get_mut(&name) {
                    Some(Value::Bool(known)) => *known |= value == true,
                    Some(_) => {}
                    None => drop(known.insert(name, value)),
                }
            }
        }
        (Some(_), _) => {}
        (None, value) => drop(all.insert(name, value)),
    }
}

fn every_capability() -> impl Iterator<Item = (String, Value)> {
    let names = lists::Kind::ALL.iter().map(|kind| kind.capability());
    names.chain(["completions", "logging"]).map(|name| (name.to_owned(), json!({})))
}
