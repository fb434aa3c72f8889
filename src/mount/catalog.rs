//! The parameters of a server's tools that modern clients mirror into headers.
//!
//! Whoever reads a request's body must check those headers, and which they are stands in the tool's schema. So the tools
//! are listed once, and again when the list may have changed.

use super::{Mount, Unserved};
use crate::protocol::Principal;
use crate::session::{First, Form, Posted, first};
use crate::wire::claim::{CLIENT_CAPABILITIES, PROTOCOL_VERSION};
use crate::wire::headers::Annotations;
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Claim, Kind, Message, Object, Payload, Revision};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A list this old is fetched anew.
const HOLDS: Duration = Duration::from_mins(1);

/// A list this old is fetched anew before a request is refused because of it, or for a tool that is not on it.
const FRESH: Duration = Duration::from_secs(1);

/// A server that does not list its tools in this time has none to check.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// What is known of the tools of a mount.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    listed: Mutex<Option<(Instant, Arc<Tools>)>>,
    /// Held while they are listed, so that a crowd of calls lists them once.
    listing: tokio::sync::Mutex<()>,
}

/// The annotations of each tool; none for a tool whose schema breaks the rules, as conforming clients do not use it.
type Tools = HashMap<Box<str>, Annotations>;

impl Mount {
    /// The annotations of a tool. `refuted`: the request does not fit what was known, so it must be known for sure.
    pub async fn annotations(
        &self,
        tool: &str,
        claim: &Claim,
        principal: &Principal,
        refuted: bool,
    ) -> Option<Annotations> {
        let fits = |listed: &Option<(Instant, Arc<Tools>)>| {
            let (at, tools) = listed.as_ref()?;
            let holds = if refuted || !tools.contains_key(tool) { FRESH } else { HOLDS };
            (at.elapsed() < holds).then(|| tools.clone())
        };
        let known = fits(&self.catalog.listed());
        let tools = if let Some(tools) = known {
            tools
        } else {
            let _alone = self.catalog.listing.lock().await;
            // Somebody else may have listed them while this one waited.
            let meanwhile = fits(&self.catalog.listed());
            if let Some(tools) = meanwhile { tools } else { self.list_anew(claim, principal).await }
        };
        tools.get(tool).cloned()
    }

    async fn list_anew(&self, claim: &Claim, principal: &Principal) -> Arc<Tools> {
        let listed = tokio::time::timeout(PATIENCE, self.list(claim, principal)).await;
        let tools = Arc::new(listed.ok().and_then(Result::ok).unwrap_or_default());
        *self.catalog.listed() = Some((Instant::now(), tools.clone()));
        tools
    }

    async fn list(&self, claim: &Claim, principal: &Principal) -> Result<Tools, Unserved> {
        let mut tools = Tools::new();
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let request = page(claim, cursor.as_deref());
            let client = self.receive(&request, claim, principal.clone()).await?;
            let posted = client.post(Payload::One(request), Form::Json).await;
            let answer = match posted? {
                Posted::Response(mut reader) => match first(&mut reader).await {
                    First::Answers(mut answers) => answers.pop(),
                    First::Events => None,
                },
                Posted::Accepted => None,
            };
            client.leave();
            let answer = answer.and_then(|line| Message::own(line).ok());
            let Some(answer) = answer.filter(|answer| answer.kind() == Kind::Result) else { break };
            for tool in find(answer.body(), &["tools"]).and_then(items).unwrap_or_default() {
                let name = find_string(tool, &["name"]).unwrap_or_default();
                let schema = find(tool, &["inputSchema"]).unwrap_or("{}");
                let annotations = Annotations::read(schema).unwrap_or_else(|error| {
                    tracing::warn!(server = %self.name(), tool = %name.escape_debug(), "{error}; its headers are not checked");
                    Annotations::default()
                });
                tools.insert(name.into(), annotations);
            }
            cursor = find(answer.body(), &["nextCursor"])
                .filter(|cursor| cursor.starts_with('"'))
                .map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(tools)
    }
}

impl Catalog {
    fn listed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<Tools>)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request for a page of the tools, in the name of the client that calls one.
fn page(claim: &Claim, cursor: Option<&str>) -> Message {
    let mut meta = Object::default();
    meta.set(PROTOCOL_VERSION, format!("\"{}\"", Revision::V2026_07_28));
    meta.set(CLIENT_CAPABILITIES, &*claim.capabilities_raw);
    let mut params = Object::default();
    params.set("_meta", meta.to_json());
    if let Some(cursor) = cursor {
        params.set("cursor", cursor);
    }
    let params = params.to_json();
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":"{}/tools","method":"tools/list","params":{params}}}"#,
        env!("CARGO_PKG_NAME")
    );
    Message::own(line).expect("it is made of valid JSON")
}
