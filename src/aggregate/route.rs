//! Which server a request is for, and what it is asked about there.

use super::Endpoint;
use super::catalog::{Member, Wait};
use super::lists::Kind;
use super::offer::Offer;
use super::viewer::Viewer;
use super::{names, uri, view};
use crate::access::Caller;
use crate::config::{Prefix, Rules};
use crate::wire::meta::{find, find_string, only_string};
use crate::wire::{Code, Message, RpcError};
use serde_json::Value;
use std::sync::Arc;

/// Where a request goes.
pub(super) struct Route {
    /// The server.
    pub(super) member: Arc<Member>,
    /// The request as the server is to get it.
    pub(super) request: Message,
    /// What the client asked about, and what the server is asked about: URIs, where they differ.
    pub(super) renamed: Option<(String, String)>,
}

/// What a request names.
struct Named<'a> {
    kind: Kind,
    /// The name or URI as it stands in the params, with its quotes.
    raw: &'a str,
    name: String,
}

impl Endpoint {
    /// Finds the way of a request about a tool, a prompt or a resource.
    pub(super) async fn route(&self, message: &Message, viewer: &Viewer) -> Result<Route, RpcError> {
        let named = Named::read(message)?;
        let recent = self.recent(viewer).and_then(|offer| offer.listed(named.kind, &named.name));
        let (member, own) = match recent {
            Some(found) => found,
            None => self.look_for(&named, viewer).await?,
        };
        let request = if own == named.name {
            message.clone()
        } else {
            let id = message.id().unwrap_or("null");
            let line = message.spliced(id, Some((named.raw, &Value::from(own.as_str()).to_string())));
            Message::own(line).map_err(|error| RpcError::new(Code::InternalError, error.to_string()))?
        };
        let renamed = (own != named.name).then_some((named.name, own));
        Ok(Route { member, request, renamed })
    }

    /// Looks at what all servers offer now.
    async fn look_for(&self, named: &Named<'_>, viewer: &Viewer) -> Result<(Arc<Member>, String), RpcError> {
        // Nobody waits for a server that he does not call.
        let offer = self.offer(viewer, Wait::No).await;
        match self.find(&offer, named, &viewer.caller) {
            Err(Unfound::Perhaps) => {
                let offer = self.offer(viewer, Wait::ForCall).await;
                self.find(&offer, named, &viewer.caller).map_err(|unfound| unfound.into_error(named, &offer))
            }
            Err(unfound) => Err(unfound.into_error(named, &offer)),
            Ok(found) => Ok(found),
        }
    }

    /// The server that a resource is of, and its own URI.
    pub(super) fn resource(
        &self,
        offer: &Offer,
        uri: &str,
        caller: &Caller,
    ) -> Option<(Arc<Member>, String)> {
        let named = Named { kind: Kind::Resources, raw: "", name: uri.to_owned() };
        self.find(offer, &named, caller).ok()
    }

    fn find(
        &self,
        offer: &Offer,
        named: &Named<'_>,
        caller: &Caller,
    ) -> Result<(Arc<Member>, String), Unfound> {
        if let Some(found) = offer.listed(named.kind, &named.name) {
            return Ok(found);
        }
        if let Some(reason) = offer.of(named.kind).refusal(&named.name) {
            return Err(Unfound::Ambiguous(reason.to_owned()));
        }
        match named.kind {
            Kind::Tools => self.by_prefix(offer, named, &self.spec.tools),
            Kind::Prompts => self.by_prefix(offer, named, &self.spec.prompts),
            Kind::Resources => self.by_uri(offer, named, caller),
            Kind::Templates => self.by_server(offer, named).unwrap_or(Err(Unfound::Perhaps)),
        }
    }

    /// What is on no list may still be there: the server that the name says decides.
    fn by_prefix(
        &self,
        offer: &Offer,
        named: &Named<'_>,
        rules: &Rules,
    ) -> Result<(Arc<Member>, String), Unfound> {
        let own = |member: &Arc<Member>| {
            names::own(member.mount.name(), &self.spec.separator, &named.name).map(str::to_owned)
        };
        let mut found: Vec<_> =
            offer.servers.iter().filter_map(|member| Some((member.clone(), own(member)?))).collect();
        // Of two servers of which one's name begins with the other's, the longer one is meant.
        found.sort_by_key(|(_, own)| own.len());
        if let [(one, own), (other, same), ..] = &*found
            && own.len() == same.len()
        {
            let (name, one, other) = (&named.name, one.mount.name(), other.mount.name());
            return Err(Unfound::Ambiguous(format!(
                "{name:?} may be of {one} or of {other}: in the names of tools and prompts both are called the same"
            )));
        }
        let Some((member, own)) = found.into_iter().next() else {
            // Where every name says its server, only one that was made otherwise may be that of a list that is missing.
            let says_its_server = self.spec.prefix == Prefix::Always
                && named.name.chars().count() < names::LONGEST
                && !rules.rename.values().any(|name| *name == named.name);
            let known = says_its_server || offer.missing.is_empty();
            return Err(if known { Unfound::Unknown } else { Unfound::Perhaps });
        };
        let full = names::full(member.mount.name(), names::SEPARATOR, &own);
        if rules.rename.contains_key(&full) {
            // It has another name here.
            return Err(Unfound::Unknown);
        }
        if view::admits(rules, &full) { Ok((member, own)) } else { Err(Unfound::Hidden) }
    }

    fn by_uri(
        &self,
        offer: &Offer,
        named: &Named<'_>,
        caller: &Caller,
    ) -> Result<(Arc<Member>, String), Unfound> {
        if let Some(found) = self.by_server(offer, named) {
            return found;
        }
        let templates = &offer.of(Kind::Templates).items;
        if let Some(item) = templates.iter().find(|item| uri::fits(&item.own, &named.name)) {
            let owner = offer.owner(item).clone();
            return self.admitted(owner, named.name.clone());
        }
        // Some servers list nothing of what they have, and name it in what they say.
        let has_resources = |member: &&Arc<Member>| {
            member.greeting(caller).is_some_and(|(capabilities, _)| capabilities.contains_key("resources"))
        };
        let mut with = offer.servers.iter().filter(has_resources);
        match (with.next(), with.next()) {
            (Some(only), None) => self.admitted(only.clone(), named.name.clone()),
            _ => Err(if offer.missing.is_empty() { Unfound::Unknown } else { Unfound::Perhaps }),
        }
    }

    /// The server that a URI names itself.
    fn by_server(&self, offer: &Offer, named: &Named<'_>) -> Option<Result<(Arc<Member>, String), Unfound>> {
        let (server, own) = uri::split(&named.name)?;
        let member = offer.servers.iter().find(|member| member.mount.name().as_str() == server)?;
        Some(self.admitted(member.clone(), own.to_owned()))
    }

    fn admitted(&self, member: Arc<Member>, own: String) -> Result<(Arc<Member>, String), Unfound> {
        // What is on no list is seen only as far as its URI shows it, and there are several ways to write one.
        let admitted = uri::spellings(&own).all(|uri| view::admits(&self.spec.resources, &uri));
        if admitted { Ok((member, own)) } else { Err(Unfound::Hidden) }
    }
}

/// Why there is no way.
enum Unfound {
    /// Nothing is called so.
    Unknown,
    /// Nothing that is known is called so, and not everything is.
    Perhaps,
    /// The rules hide it.
    Hidden,
    /// Several things would be called so.
    Ambiguous(String),
}

impl Unfound {
    fn into_error(self, named: &Named<'_>, offer: &Offer) -> RpcError {
        let (what, name) = (named.what(), &named.name);
        match self {
            Self::Hidden => {
                RpcError::new(Code::NotAllowed, format!("the {what} {name:?} is not served here"))
            }
            Self::Ambiguous(reason) => RpcError::new(Code::InvalidParams, reason),
            Self::Unknown => {
                RpcError::new(Code::InvalidParams, format!("unknown {what}: {name:?} is on no list"))
            }
            Self::Perhaps => {
                let missing: Vec<String> =
                    offer.missing.iter().map(|(name, why)| format!("{name} ({why})")).collect();
                let message = if missing.is_empty() {
                    format!("unknown {what}: {name:?} is on no list")
                } else {
                    format!(
                        "unknown {what}: {name:?} is on no list; missing are those of {}",
                        missing.join(", ")
                    )
                };
                RpcError::new(Code::InvalidParams, message)
            }
        }
    }
}

impl<'a> Named<'a> {
    fn read(message: &'a Message) -> Result<Self, RpcError> {
        let params = message.body();
        let (kind, path): (Kind, &[&str]) = match message.method() {
            "tools/call" => (Kind::Tools, &["name"]),
            "prompts/get" => (Kind::Prompts, &["name"]),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => (Kind::Resources, &["uri"]),
            _ => match find_string(params, &["ref", "type"]).as_deref() {
                Some("ref/prompt") => (Kind::Prompts, &["ref", "name"]),
                Some("ref/resource") => (Kind::Templates, &["ref", "uri"]),
                _ => {
                    let wanted = "\"ref\" must have the type \"ref/prompt\" or \"ref/resource\"";
                    return Err(RpcError::new(Code::InvalidParams, wanted));
                }
            },
        };
        let wanted = || {
            let last = path.last().copied().unwrap_or_default();
            RpcError::new(Code::InvalidParams, format!("{last:?} must be a string, and stand once"))
        };
        let [within @ .., key] = path else { return Err(wanted()) };
        let within = find(params, within).ok_or_else(wanted)?;
        // Only this one is looked at, and given to the server as its own: it must not find another.
        let name = only_string(within, key).ok_or_else(wanted)?;
        let raw = find(within, &[key]).ok_or_else(wanted)?;
        Ok(Self { kind, raw, name: name.into_owned() })
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::Tools => "tool",
            Kind::Prompts => "prompt",
            Kind::Resources => "resource",
            Kind::Templates => "resource template",
        }
    }
}
