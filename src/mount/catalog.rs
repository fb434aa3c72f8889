//! What must be known of a server's tools before one is called: the parameters that modern clients mirror into headers, and
//! what decides whether somebody may use it.
//!
//! Whoever reads a request's body must check those headers, and which they are stands in the tool's schema. So the tools
//! are listed once, and again when the list may have changed; all of them, whoever asks.

use super::inquiry::{answered, question};
use super::sight::is_read_only;
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

/// Whether somebody may use a tool is decided by a list that is not older than this.
const SURE: Duration = Duration::from_secs(10);

/// A server that does not list its tools in this time is not asked again for as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// Users of whom it is known which tools they have.
const MOST_USERS: usize = 256;

/// What is known of the tools of a mount: of all clients together, or, where each brings his own credentials, of each.
#[derive(Debug, Default)]
pub(super) struct Catalogs(Mutex<HashMap<Option<Digest>, Arc<Catalog>>>);

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
    /// The server may say something else by now.
    doubtful: bool,
    /// When the server last did not answer.
    silent: Option<Instant>,
}

type Tools = HashMap<Box<str>, Tool>;

/// What is known of a tool.
#[derive(Debug)]
struct Tool {
    /// None for a tool whose schema breaks the rules, as conforming clients do not use it.
    annotations: Annotations,
    /// It says that it changes nothing.
    reads_only: bool,
}

/// How much must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// As much as a request needs that fits.
    Some,
    /// The request does not fit what was known.
    Refuted,
    /// It decides what somebody may do: what was known before is not enough where listing fails.
    Sure,
}

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
        if self.may_call(tool, caller).await.is_err() {
            // He is told so when he calls it, and learns nothing of what it wants.
            return Ok(None);
        }
        let need = if refuted { Need::Refuted } else { Need::Some };
        let tools = self.tools_with(tool, claim, caller, need).await?;
        Ok(tools.get(tool).map(|tool| tool.annotations.clone()))
    }

    /// Whether a tool says now that it changes nothing; one that is not listed does not.
    ///
    /// # Errors
    /// The tools could not be listed.
    pub(super) async fn reads_only(&self, tool: &str, caller: &Caller) -> Result<bool, Unserved> {
        let tools = self.tools_with(tool, &own_claim()?, caller, Need::Sure).await?;
        Ok(tools.get(tool).is_some_and(|tool| tool.reads_only))
    }

    /// Has what a tool says of itself noted as it is now.
    ///
    /// # Errors
    /// The tools could not be listed.
    pub(super) async fn look_at(&self, tool: &str, caller: &Caller) -> Result<(), Unserved> {
        self.tools_with(tool, &own_claim()?, caller, Need::Sure).await.map(drop)
    }

    /// The server may say something else of its tools by now.
    pub(super) fn doubt_tools(&self) {
        self.catalogs.doubt();
        self.pins.doubt(self.name().as_str());
    }

    /// The tools, among which is this one if the server has it.
    async fn tools_with(
        &self,
        tool: &str,
        claim: &Claim,
        caller: &Caller,
        need: Need,
    ) -> Result<Arc<Tools>, Unserved> {
        let catalog = self.catalogs.of(self.marks(caller).filter(|_| self.is_personal()));
        let known = catalog.known().of(tool, need);
        if let Some(tools) = known {
            return tools;
        }
        let _alone = catalog.listing.lock().await;
        // Somebody else may have listed them while this one waited.
        let meanwhile = catalog.known().of(tool, need);
        match meanwhile {
            Some(tools) => tools,
            // It is seldom needed, and large: every call would make room for it.
            None => Box::pin(self.list_anew(&catalog, claim, caller, need)).await,
        }
    }

    /// What is known once they were listed again; where that fails, it is what was known before: one client's failure must
    /// not let another's headers pass.
    async fn list_anew(
        &self,
        catalog: &Catalog,
        claim: &Claim,
        caller: &Caller,
        need: Need,
    ) -> Result<Arc<Tools>, Unserved> {
        // What is announced from now on may not be on the list any more.
        catalog.known().doubtful = false;
        let listed = self.list(claim, caller).await;
        let mut known = catalog.known();
        match listed {
            Ok(Some(tools)) => {
                let tools = Arc::new(tools);
                known.listed = Some((Instant::now(), tools.clone()));
                known.silent = None;
                Ok(tools)
            }
            Ok(None) => {
                known.doubtful = true;
                known.silent = Some(Instant::now());
                known.before(need, unlisted("it does not answer `tools/list`"))
            }
            Err(unserved) => {
                known.doubtful = true;
                known.before(need, unserved)
            }
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
            // The router wants to know it, and not the client.
            let visit = self.receive_unwatched(&request, claim, &caller.inside()).await?;
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
                self.notes(&name, tool);
                tools.insert(name.into(), Tool { annotations, reads_only: is_read_only(tool) });
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
    fn of(&self, user: Option<Digest>) -> Arc<Catalog> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_USERS && !all.contains_key(&user) {
            // Who comes and goes is up to them: what nobody looks at just now is forgotten.
            all.retain(|_, catalog| Arc::strong_count(catalog) > 1);
        }
        all.entry(user).or_default().clone()
    }

    /// The server may say something else by now, whoever asks.
    fn doubt(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for catalog in all.values() {
            catalog.known().doubtful = true;
        }
    }
}

impl Catalog {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What need not be looked up again.
    fn of(&self, tool: &str, need: Need) -> Option<Result<Arc<Tools>, Unserved>> {
        if let Some((at, tools)) = &self.listed {
            let holds = match need {
                Need::Some if tools.contains_key(tool) => HOLDS,
                Need::Sure if tools.contains_key(tool) => SURE,
                Need::Some | Need::Sure | Need::Refuted => FRESH,
            };
            if at.elapsed() < holds && !self.doubtful {
                return Some(Ok(tools.clone()));
            }
        }
        let silent = self.silent.is_some_and(|at| at.elapsed() < PATIENCE);
        silent.then(|| self.before(need, unlisted("it did not answer `tools/list`")))
    }

    /// What was known before, where listing has failed.
    fn before(&self, need: Need, failure: Unserved) -> Result<Arc<Tools>, Unserved> {
        self.listed.as_ref().filter(|_| need != Need::Sure).map(|(_, tools)| tools.clone()).ok_or(failure)
    }
}

/// What is declared where the router itself wants to know.
fn own_claim() -> Result<Claim, Unserved> {
    let request = question("tools/list", "{}", Object::default());
    Claim::read(request.body()).map_err(|error| unlisted(&error.message))
}

fn unlisted(why: &str) -> Unserved {
    let reason = format!("the call cannot be checked, as the server does not list its tools: {why}");
    Unserved::unavailable(reason, RETRY_FULL)
}
