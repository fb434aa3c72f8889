//! URIs in what a server answers: they lead to that server, whoever else has the same.

use super::Endpoint;
use super::catalog::{Member, Wait};
use super::lists::Kind;
use super::offer::Offer;
use super::viewer::Viewer;
use crate::access::Caller;
use crate::wire::Message;
use crate::wire::meta::{find, find_string, span, splice};
use crate::wire::object::{array, items};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use std::sync::Arc;

impl Endpoint {
    /// The result of a server to a request of `method`, in which every URI leads to it. `renamed`: what the client asked about,
    /// and what the server was asked about.
    pub(super) async fn led(
        &self,
        result: &Message,
        method: &str,
        member: &Arc<Member>,
        renamed: Option<&(String, String)>,
        viewer: &Viewer,
    ) -> Bytes {
        match renamed {
            Some((asked, own)) if method == "resources/read" => contents(result, own, asked),
            _ if names_resources(result) => {
                let offer = self.offer(viewer, Wait::No).await;
                let place = offer.place(member);
                let linked = place.and_then(|place| self.linked(result, &offer, place, &viewer.caller));
                linked.unwrap_or_else(|| result.raw().clone())
            }
            _ => result.raw().clone(),
        }
    }

    /// A result whose links to resources lead to the server that gave them: a URI that would lead to another one, or nowhere,
    /// says which server is meant.
    fn linked(&self, result: &Message, offer: &Arc<Offer>, place: usize, caller: &Caller) -> Option<Bytes> {
        let body = result.body();
        let (list, at): (&str, &[&str]) = match (find(body, &["content"]), find(body, &["messages"])) {
            (Some(list), _) => (list, &[]),
            (None, Some(list)) => (list, &["content"]),
            (None, None) => return None,
        };
        let server = &offer.servers[place];
        let shown = |item: &str| -> Option<String> {
            let block = if at.is_empty() { item } else { find(item, at)? };
            if find_string(block, &["type"])? != "resource_link" {
                return None;
            }
            let raw = find(block, &["uri"])?;
            let own: String = serde_json::from_str(raw).ok()?;
            let leads = offer.of(Kind::Resources).of(place, &own).map(|listed| listed.name.to_string());
            let shown = leads.or_else(|| {
                let there = self.resource(offer, &own, caller);
                let right = there.is_some_and(|(owner, uri)| Arc::ptr_eq(&owner, server) && uri == own);
                (!right).then(|| super::uri::prefixed(server.mount.name().as_str(), &own))
            })?;
            (shown != own).then(|| splice(item, &[(span(item, raw), &Value::from(shown).to_string())]))
        };
        let before = items(list)?;
        let after: Vec<Option<String>> = before.iter().map(|item| shown(item)).collect();
        if after.iter().all(Option::is_none) {
            return None;
        }
        let after = array(before.iter().zip(&after).map(|(old, new)| new.as_deref().unwrap_or(old)));
        Some(result.spliced(result.id()?, Some((list, &after))))
    }
}

/// Whether a result may link to resources; most do not, and are not read any further.
fn names_resources(result: &Message) -> bool {
    memmem::find(result.body().as_bytes(), b"resource_link").is_some()
}

/// The contents of a resource, under the URI by which it was asked for.
fn contents(result: &Message, own: &str, asked: &str) -> Bytes {
    let renamed = || {
        let list = find(result.body(), &["contents"])?;
        let asked = Value::from(asked).to_string();
        let named = items(list)?.into_iter().map(|item| match find(item, &["uri"]) {
            Some(raw) if serde_json::from_str::<String>(raw).is_ok_and(|uri| uri == own) => {
                splice(item, &[(span(item, raw), &asked)])
            }
            _ => item.to_owned(),
        });
        let named = array(named.collect::<Vec<_>>());
        Some(result.spliced(result.id()?, Some((list, &named))))
    };
    renamed().unwrap_or_else(|| result.raw().clone())
}
