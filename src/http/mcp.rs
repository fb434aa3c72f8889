//! Streamable HTTP: clients of both eras on one path. Legacy ones have sessions: POST, GET and DELETE.

use super::accept::{Accepted, accepted};
use super::incoming::{
    as_initialize, has_request, id_of, refuse_batch, refuse_modern_batch, requests, revision, session_id,
};
use super::modern::{self, is_modern};
use super::refusal::Refusal;
use super::reply::{self, Manner, respond};
use super::stateless;
use super::unserved::{closing, not_found, unserved};
use crate::access::Caller;
use crate::mount::{Mount, Seat, Unserved};
use crate::session::{Client, Posted, Refused};
use crate::wire::{Code, Payload, Revision, RpcError};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use warp::reply::Response;

const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// POST: a message of a session, or the `initialize` that opens one.
pub(super) async fn post(
    mount: &Mount,
    headers: &HeaderMap,
    payload: Payload,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let accepted = accepted(headers);
    refuse_modern_batch(&payload)?;
    let header = match payload {
        Payload::One(message) if is_modern(&message, revision(headers).ok().flatten()) => {
            return modern::post(mount, headers, message, accepted, caller).await;
        }
        _ => revision(headers)?,
    };
    if has_request(&payload) && !accepted.json && !accepted.events {
        return Err(Refusal::NotAcceptable { offered: "application/json or text/event-stream" });
    }
    match session_id(headers)? {
        _ if mount.is_stateless() => stateless::post(mount, payload, accepted, header, caller).await,
        Some(id) => {
            let client = find(mount, id, caller).ok_or_else(|| not_found(id_of(&payload)))?;
            in_session(mount, &client, payload, accepted).await
        }
        // Once in a session: no other request makes room for it.
        None if as_initialize(&payload).is_some() => Box::pin(open(mount, payload, accepted, caller)).await,
        None => Err(Refusal::Invalid {
            id: id_of(&payload),
            reason: "there is no Mcp-Session-Id: send `initialize` first, and then the id that it gives"
                .into(),
        }),
    }
}

/// GET: a stream for what the server says unasked, or the rest of one that broke.
pub(super) fn get(
    mount: &Mount,
    headers: &HeaderMap,
    caller: &Caller,
    head_only: bool,
) -> Result<Response, Refusal> {
    let client = known(mount, headers, caller)?;
    if !accepted(headers).events {
        return Err(Refusal::NotAcceptable { offered: "text/event-stream" });
    }
    if head_only {
        return Ok(reply::events_head());
    }
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let open = mount.stream(caller).map_err(|error| unserved(error, None))?;
    let reader = client.listen(last).map_err(|_| not_found(None))?;
    let held = Some(Box::new(open) as reply::Held);
    Ok(reply::events(reader, primes(client.revision()), None, held, reply::while_known(caller)))
}

/// DELETE: the end of a session.
pub(super) fn delete(mount: &Mount, headers: &HeaderMap, caller: &Caller) -> Result<Response, Refusal> {
    let client = known(mount, headers, caller)?;
    mount.leave(client.id().as_str());
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

async fn open(
    mount: &Mount,
    payload: Payload,
    accepted: Accepted,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let id = id_of(&payload);
    let Some(initialize) = as_initialize(&payload) else { return Err(not_found(id)) };
    let client = mount.open(initialize, caller).await.map_err(|error| unserved(error, id.clone()))?;
    // Who hangs up now never learns the session's id.
    let opening = Opening { mount, client: &client, done: false };
    let posted = client.post(payload, accepted.form()).await;
    let mut response = match posted {
        Ok(Posted::Response(reader)) => respond(reader, accepted, Manner::default()).await,
        Ok(Posted::Accepted) => return Err(not_found(id)),
        Err(refused) if client.failure().is_none() => return Err(unserved(refused.into(), id)),
        Err(_) => reply::empty(StatusCode::OK),
    };
    match client.failure() {
        Some(error) if matches!(error.code, Code::ServerUnavailable | Code::ShuttingDown) => {
            let retry_after = std::time::Duration::from_secs(1);
            return Err(Refusal::Unavailable { id, error, retry_after });
        }
        // The server has refused, or was too slow: the response says so, and there is no session.
        _ if !reply::is_events(&response) && !client.is_open() => return Ok(response),
        _ => {}
    }
    let value = HeaderValue::from_str(client.id().as_str()).map_err(|_| not_found(None))?;
    response.headers_mut().insert(MCP_SESSION_ID, value);
    opening.done();
    Ok(response)
}

async fn in_session(
    mount: &Mount,
    client: &Client,
    payload: Payload,
    accepted: Accepted,
) -> Result<Response, Refusal> {
    // Answers and cancellations concern what is in flight, and that may finish.
    if mount.is_closing() && has_request(&payload) {
        return refused_in_session(&payload, &closing());
    }
    let revision = client.revision();
    refuse_batch(&payload, revision)?;
    let batch = matches!(payload, Payload::Batch(_));
    let kept = payload.clone();
    match client.post(payload, accepted.form()).await {
        Ok(Posted::Accepted) => Ok(reply::empty(StatusCode::ACCEPTED)),
        Ok(Posted::Response(reader)) => {
            Ok(respond(reader, accepted, Manner { batch, prime: primes(revision), ..Manner::default() })
                .await)
        }
        Err(Refused::Ended) => Err(not_found(id_of(&kept))),
        Err(refused) => match Unserved::from(refused) {
            // Who can do something about it learns that from the status alone.
            Unserved::Denied(error) if error.wanted_scope().is_some() => {
                Err(unserved(Unserved::Denied(error), id_of(&kept)))
            }
            Unserved::Unavailable { error, .. } | Unserved::Denied(error) => {
                refused_in_session(&kept, &error)
            }
            other => Err(unserved(other, id_of(&kept))),
        },
    }
}

/// In a live session requests are refused in HTTP 200: some clients lose all that they have on any other status.
fn refused_in_session(payload: &Payload, error: &RpcError) -> Result<Response, Refusal> {
    let answers: Vec<Bytes> = requests(payload).map(|request| error.to_line(request.id())).collect();
    match (payload, answers.first()) {
        (_, None) => {
            let retry_after = std::time::Duration::from_secs(1);
            Err(Refusal::Unavailable { id: None, error: error.clone(), retry_after })
        }
        (Payload::One(_), Some(answer)) => Ok(reply::json(answer.clone())),
        (Payload::Batch(_), Some(_)) => Ok(reply::json(reply::batch(&answers))),
    }
}

fn known(mount: &Mount, headers: &HeaderMap, caller: &Caller) -> Result<Arc<Client>, Refusal> {
    revision(headers)?;
    let missing = "there is no Mcp-Session-Id: send the one that `initialize` gave";
    let id = session_id(headers)?.ok_or(Refusal::invalid(missing))?;
    find(mount, id, caller).ok_or_else(|| not_found(None))
}

fn find(mount: &Mount, id: &str, caller: &Caller) -> Option<Arc<Client>> {
    match mount.client(id, caller)? {
        Seat::Taken(client) if !client.is_sse() => Some(client),
        Seat::Taken(_) | Seat::Standing(..) | Seat::Joining(_) => None,
    }
}

/// Whether a client of this revision reads the event that an event stream begins with.
fn primes(revision: Option<Revision>) -> bool {
    revision.is_some_and(|revision| revision >= Revision::V2025_11_25)
}

/// A session whose client does not know of it yet.
struct Opening<'a> {
    mount: &'a Mount,
    client: &'a Client,
    done: bool,
}

impl Opening<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.mount.leave(self.client.id().as_str());
        }
    }
}
