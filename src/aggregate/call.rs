//! A request that one of the servers answers.

use super::Endpoint;
use super::catalog::Wait;
use super::lists::Kind;
use super::offer::Offer;
use super::route::Route;
use crate::mount::Unserved;
use crate::peer::in_process::Voice;
use crate::protocol::Principal;
use crate::session::{Form, Posted};
use crate::wire::claim::RELATED_REQUEST;
use crate::wire::meta::{find, find_string, span, splice};
use crate::wire::object::{array, items};
use crate::wire::{Claim, Code, Kind as MessageKind, Message, Object, Payload, RpcError};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use std::sync::Arc;

impl Endpoint {
    /// Has the server of a request answer it, and says everything that it says.
    ///
    /// # Errors
    /// What the client is told if the server did not take it.
    pub(super) async fn call(&self, message: &Message, claim: &Claim, voice: &Voice) -> Result<(), RpcError> {
        let capabilities = super::conversation::canonical(claim);
        let Route { member, request, renamed } = self.route(message, &capabilities).await?;
        let visit =
            member.mount.receive(&request, claim, Principal::anyone()).await.map_err(Unserved::into_error)?;
        let posted = visit.post(Payload::One(request), Form::Events).await;
        let posted = posted.map_err(|refused| member.mount.turned_away(refused).into_error())?;
        let Posted::Response(mut reader) = posted else { return Ok(()) };
        while let Some(line) = reader.next().await {
            let Ok(said) = Message::own(line.clone()) else { continue };
            match said.kind() {
                MessageKind::Notification => voice.say(related(&said, message)),
                MessageKind::Request => {}
                MessageKind::Error => {
                    voice.say(line);
                    return Ok(());
                }
                MessageKind::Result => {
                    let line = match &renamed {
                        Some((asked, own)) if message.method() == "resources/read" => {
                            contents(&said, own, asked)
                        }
                        _ if names_resources(&said) => {
                            let offer = self.offer(&capabilities, Wait::No).await;
                            let place = offer.place(&member);
                            place.and_then(|place| self.linked(&said, &offer, place)).unwrap_or(line)
                        }
                        _ => line,
                    };
                    voice.say(line);
                    return Ok(());
                }
            }
        }
        let server = member.mount.name();
        Err(RpcError::new(Code::ServerExited, format!("the server {server} ended before it answered")))
    }

    /// A result whose links to resources lead to the server that gave them: a URI that would lead to another one, or nowhere,
    /// says which server is meant.
    fn linked(&self, result: &Message, offer: &Arc<Offer>, place: usize) -> Option<Bytes> {
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
                let there = self.resource(offer, &own);
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

/// A notification that says which request it belongs to: on the way out there may be many.
fn related(said: &Message, request: &Message) -> Bytes {
    if said.method() == "notifications/progress" {
        return said.raw().clone();
    }
    let mut params = Object::read(said.body()).unwrap_or_default();
    params.change("_meta", |meta| meta.set(RELATED_REQUEST, request.id().unwrap_or("null").to_owned()));
    format!(r#"{{"jsonrpc":"2.0","method":{},"params":{}}}"#, Value::from(said.method()), params.to_json())
        .into()
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
