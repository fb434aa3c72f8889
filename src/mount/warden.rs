//! What a client may ask of the server: the rules of its entry, the rights of its caller and how much of it there is, before anything
//! is passed on; and what of the answers it is shown.

use super::Mount;
use super::door::Door;
use super::sight::{called, filtered};
use crate::access::{Caller, ToolRight};
use crate::peer::Mask;
use crate::session::{Held, Verdict, Warden};
use crate::telemetry::{Call, Side, Traffic, arguments_shown};
use crate::wire::meta::{find, span, splice};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::sync::Arc;

/// Watches over one client of a mount, and of those that take its place.
struct Watch {
    door: Arc<Door>,
    caller: Caller,
    /// Where operators may look on.
    traffic: Option<Traffic>,
}

impl Mount {
    /// Who watches over a caller's requests to this server; nobody where that is done elsewhere.
    pub(super) fn warden(&self, caller: &Caller) -> Option<Arc<dyn Warden>> {
        // What serves others asks the mounts behind it, each of which watches by itself, and has no limits but those of its
        // callers. A session outlives the rules, rights and limits under which it was opened: where there are none, there may
        // be some tomorrow.
        let traffic = self.traffic.clone();
        let is_needed =
            !self.is_aggregate() || caller.is_counted() || self.meter().is_some() || traffic.is_some();
        let watch = || Watch { door: self.door.clone(), caller: caller.clone(), traffic };
        is_needed.then(|| Arc::new(watch()) as Arc<dyn Warden>)
    }
}

impl Watch {
    /// What is said to a request at once, which is nearly always something.
    fn at_once<'a>(&'a self, request: &'a Message, may_wait: bool) -> Result<Verdict<'a>, RpcError> {
        let mount = self.door.mount().ok_or_else(gone)?;
        if request.method() == "tools/call" && self.minds(&mount) {
            let name = called(request.body()).ok_or_else(unnamed)?;
            match mount.may_call_by_name(&name, &self.caller) {
                Some(judged) => judged.map_err(|error| self.with_scope(&mount, &name, error))?,
                None => {
                    return Ok(Verdict::Later(Box::pin(self.after_a_look(mount, name, request, may_wait))));
                }
            }
        }
        mount.count(&self.caller, request, may_wait)
    }

    async fn after_a_look(
        &self,
        mount: Arc<Mount>,
        tool: Cow<'_, str>,
        request: &Message,
        may_wait: bool,
    ) -> Result<Held, RpcError> {
        let judged = mount.may_call(&tool, &self.caller).await;
        judged.map_err(|error| self.with_scope(&mount, &tool, error))?;
        let counted = mount.count(&self.caller, request, may_wait)?;
        // While it waits, the mount may go.
        drop(mount);
        counted.heard().await
    }

    /// What is said of a tool that the caller may not use; with the scope, where one would help.
    fn with_scope(&self, mount: &Mount, tool: &str, error: RpcError) -> RpcError {
        let (grant, place, server) = (self.caller.grant(), self.caller.place(), mount.name().as_str());
        // Where his rights would do, it is something else that hides it.
        let scope = self.caller.scopes().filter(|_| grant.tool(place, server, tool) == ToolRight::Never);
        match scope.and_then(|_| grant.scope_for_tool(place, server, tool)) {
            Some(scope) => error.wanting(scope),
            None => error,
        }
    }

    /// What must not be shown of what is said. What the caller has brought is not, whether this server works with it or not.
    fn mask(&self, mount: &Mount) -> Mask {
        mount.settings.mask.and(&self.caller.brought())
    }

    /// Whether what the caller is shown may differ from what others are: he is known, or brings what the server works with.
    fn is_somebody(&self) -> bool {
        !self.caller.is_anyone() || self.door.mount().is_none_or(|mount| mount.is_personal())
    }

    /// Whether there may be a tool that the caller may not use.
    fn minds(&self, mount: &Mount) -> bool {
        !mount.is_aggregate() && !mount.sight(&self.caller).is_clear()
    }
}

impl Warden for Watch {
    fn admit<'a>(&'a self, request: &'a Message, may_wait: bool) -> Verdict<'a> {
        self.at_once(request, may_wait).unwrap_or_else(|error| Verdict::Now(Err(error)))
    }

    fn begin(&self, request: &Message) -> Option<Call> {
        let mount = self.door.mount()?;
        let meter = mount.meter()?;
        let is_call = request.method() == "tools/call";
        let arguments = || {
            // What serves others does not know their secrets; each of them tells of its own call.
            let is_told = is_call && !mount.is_aggregate();
            let arguments = find(request.body(), &["arguments"]).filter(|_| is_told)?;
            Some(arguments_shown(arguments, &self.mask(&mount)))
        };
        Some(meter.begin(request, || tool(request), arguments, &self.caller))
    }

    fn is_watched(&self) -> bool {
        self.traffic.as_ref().is_some_and(Traffic::is_watched)
    }

    fn overhear(&self, session: &str, from: Side, message: &Message) {
        if let (Some(traffic), Some(mount)) = (&self.traffic, self.door.mount()) {
            traffic.pass(&mount.label, session, from, message, Arc::new(self.mask(&mount)));
        }
    }

    fn looks_at(&self, request: &Message) -> bool {
        // What somebody is shown because of who he is, nobody may keep for others.
        let is_kept = CACHEABLE.contains(&request.method()) && self.is_somebody();
        is_kept
            || request.method() == "tools/list" && self.door.mount().is_none_or(|mount| self.minds(&mount))
    }

    fn shown(&self, answer: Bytes) -> Bytes {
        let Ok(message) = Message::own(answer.clone()) else { return gone().to_line(None) };
        if message.kind() != Kind::Result {
            return answer;
        }
        let Some(mount) = self.door.mount() else { return gone().to_line(message.id()) };
        let mut result = Cow::Borrowed(message.body());
        if self.minds(&mount)
            && let Some(shown) = filtered(&result, |name, tool| mount.shows(&self.caller, name, tool))
        {
            result = shown.into();
        }
        if self.is_somebody()
            && let Some(private) = kept_from_others(&result)
        {
            result = private.into();
        }
        match result {
            Cow::Owned(result) => {
                message.spliced(message.id().unwrap_or("null"), Some((message.body(), result.as_str())))
            }
            Cow::Borrowed(_) => answer,
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// What is asked that may be kept by whoever stands between, if it says so.
///
/// 2026-07-28, server/utilities/caching: a result whose `cacheScope` is `public` may be shared between users.
const CACHEABLE: [&str; 6] = [
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
];

/// The same result, which only whoever has asked may keep; nothing if it says so already.
fn kept_from_others(result: &str) -> Option<String> {
    let scope = find(result, &["cacheScope"]).filter(|scope| *scope == "\"public\"")?;
    Some(splice(result, &[(span(result, scope), "\"private\"")]))
}

fn unnamed() -> RpcError {
    RpcError::new(Code::InvalidParams, "a call must have one \"name\", which is that of its tool")
}

/// The mount is no more, and with it the rules that held.
fn gone() -> RpcError {
    RpcError::new(Code::ShuttingDown, "the server is being unmounted")
}
/// Which tool a request calls.
pub(super) fn tool(request: &Message) -> Option<SmolStr> {
    if request.method() == "tools/call" { called(request.body()).map(SmolStr::new) } else { None }
}
