//! The parameters of a server's tools that modern clients mirror into headers.
//!
//! Whoever reads a request's body must check those headers, and which they are stands in the tool's schema. So the tools
//! are listed once, and again when the list may have changed.

use super::inquiry::{answered, question};
use super::unserved::RETRY_FULL;
use super::{Mount, Unserved};
use crate::access::{Caller, Digest};
use crate::wire::headers::Annotations;
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Claim, Code, Kind, Object};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A list this old is fetched anew.
const HOLDS: Duration = Duration::from_mins(1);

/// A list this old is fetched anew before a request is refused because of it, or for a tool that is not on it.
const FRESH: Duration = Duration::from_secs(1);

/// A server that does not list its tools in this time is not asked again for as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// Users of whom it is known which tools they have.
const MOST_USERS: usize = 256;

/// What is known of the tools of a mount: of all clients together that may use the same, or, where each brings his own
/// credentials, of each.
#[derive(Debug, Default)]
pub(super) struct Catalogs(Mutex<HashMap<Whose, Arc<Catalog>>>);

/// Who has the same tools: those with the same rights, who are shown the same, and bring the same where that matters.
type Whose = (u64, Option<Digest>);

/// What is known of the tools that some clients have.
#[derive(Debug, Default)]
struct Catalog {
    known: Mutex<Known>,
    /// Held while they are listed, so that a crowd of calls lists them once.
    listing: tokio::sync::Mutex<()>,
}

/// What came of listing them.
#[derive(Debug, Default)]
struct Known {
    listed: Option<(Instant, Arc<Tools>)>,
    /// When the server last did not answer.
    silent: Option<Instant>,
}

/// The annotations of each tool; none for a tool whose schema breaks the rules, as conforming clients do not use it.
type Tools = HashMap<Box<str>, Annotations>;

impl Mount {
    /// The annotations of a tool. `refuted`: the request does not fit what was known, so it must be known for sure.
    ///
    /// # Errors
    /// The tools could not be listed, and never were.
    pub async fn annotations(
        &self,
        tool: &str,
        claim: &Claim,
        caller: &Caller,
        refuted: bool,
    ) -> Result<Option<Annotations>, Unserved> {
        let marks = self.marks(caller).filter(|_| self.is_personal());
        let catalog = self.catalogs.of((caller.grant().id(), marks));
        let known = catalog.known().of(tool, refuted);
        let tools = if let Some(tools) = known {
            tools
        } else {
            let _alone = catalog.listing.lock().await;
            // Somebody else may have listed them while this one waited.
            let meanwhile = catalog.known().of(tool, refuted);
            if let Some(tools) = meanwhile { tools } else { self.list_anew(&catalog, claim, caller).await }
        };
        Ok(tools?.get(tool).cloned())
    }

    /// What is known once they were listed again; where that fails, it is what was known before: one client's failure must
    /// not let another's headers pass.
    async fn list_anew(
        &self,
        catalog: &Catalog,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Arc<Tools>, Unserved> {
        let listed = self.list(claim, caller).await;
        let mut known = catalog.known();
        match listed {
            Ok(Some(tools)) => {
                let tools = Arc::new(tools);
                *known = Known { listed: Some((Instant::now(), tools.clone())), silent: None };
                Ok(tools)
            }
            Ok(None) => {
                known.silent = Some(Instant::now());
                known.before(unlisted("it does not answer `tools/list`"))
            }
            Err(unserved) => known.before(unserved),
        }
    }

    /// All tools, in the name of the client that calls one; nothing if the server does not answer.
    async fn list(&self, claim: &Claim, caller: &Caller) -> Result<Option<Tools>, Unserved> {
        let mut tools = Tools::new();
        let mut cursor: Option<String> = None;
        let mut left = PATIENCE;
        for _ in 0..MOST_PAGES {
            let mut params = Object::default();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor.as_str());
            }
            let request = question("tools/list", &claim.capabilities_raw, params);
            // A process may have to be started first, which takes as long as it takes.
            let visit = self.receive(&request, claim, caller).await?;
            let begun = Instant::now();
            let Ok(answer) = tokio::time::timeout(left, answered(&visit, request)).await else {
                return Ok(None);
            };
            left = left.saturating_sub(begun.elapsed());
            let answer = answer.map_err(|refused| self.turned_away(refused))?;
            let Some(answer) = answer else { return Ok(None) };
            if answer.kind() != Kind::Result {
                // A server without tools.
                if answer.error_code() == Some(Code::MethodNotFound.number()) {
                    return Ok(Some(tools));
                }
                return Err(unlisted(&find_string(answer.body(), &["message"]).unwrap_or_default()));
            }
            for tool in find(answer.body(), &["tools"]).and_then(items).unwrap_or_default() {
                let name = find_string(tool, &["name"]).unwrap_or_default();
                let schema = find(tool, &["inputSchema"]).unwrap_or("{}");
                let annotations = Annotations::read(schema).unwrap_or_else(|error| {
                    let tool = self.fit_to_show(&name, caller);
                    tracing::warn!(server = %self.name(), tool, "{error}; its headers are not checked");
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
        Ok(Some(tools))
    }
}

impl Catalogs {
    fn of(&self, user: Whose) -> Arc<Catalog> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_USERS && !all.contains_key(&user) {
            // Who comes and goes is up to them: what nobody looks at just now is forgotten.
            all.retain(|_, catalog| Arc::strong_count(catalog) > 1);
        }
        all.entry(user).or_default().clone()
    }
}

impl Catalog {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What need not be looked up again.
    fn of(&self, tool: &str, refuted: bool) -> Option<Result<Arc<Tools>, Unserved>> {
        if let Some((at, tools)) = &self.listed {
            let holds = if refuted || !tools.contains_key(tool) { FRESH } else { HOLDS };
            if at.elapsed() < holds {
                return Some(Ok(tools.clone()));
            }
        }
        let silent = self.silent.is_some_and(|at| at.elapsed() < PATIENCE);
        silent.then(|| self.before(unlisted("it did not answer `tools/list`")))
    }

    /// What was known before, where listing has failed.
    fn before(&self, failure: Unserved) -> Result<Arc<Tools>, Unserved> {
        self.listed.as_ref().map(|(_, tools)| tools.clone()).ok_or(failure)
    }
}

fn unlisted(why: &str) -> Unserved {
    let reason =
        format!("the headers of a call cannot be checked, as the server does not list its tools: {why}");
    Unserved::unavailable(reason, RETRY_FULL)
}
