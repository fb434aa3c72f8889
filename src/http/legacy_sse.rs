//! HTTP+SSE of 2024-11-05: a stream that names where to post, and the POSTs.

use super::connection::ConnectionInfo;
use super::endpoint::Place;
use super::front::Front;
use super::incoming::{as_initialize, id_of, modern, refuse_batch, requests};
use super::refusal::Refusal;
use super::reply;
use super::unserved::{closing, not_found, unserved};
use crate::access::Caller;
use crate::config::Aliases;
use crate::mount::{Mount, Seat, Unserved};
use crate::session::{Form, Posted, SessionId};
use crate::wire::{Message, Payload, RpcError};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use warp::reply::{Reply, Response};

/// GET: opens a session, whose life is the stream.
pub(super) async fn get(
    front: &Front,
    mount: &Arc<Mount>,
    place: Place<'_>,
    caller: &Caller,
    headers: &HeaderMap,
    peer: Option<&ConnectionInfo>,
    head_only: bool,
) -> Result<Response, Refusal> {
    if !super::accept::accepted(headers).events {
        return Err(Refusal::NotAcceptable { offered: "text/event-stream" });
    }
    if head_only {
        return Ok(reply::events_head());
    }
    let prefix = prefix(front, headers, peer);
    let open = mount.stream(caller).map_err(|error| unserved(error, None))?;
    let (id, reader) = mount.open_sse(caller).await.map_err(|error| unserved(error, None))?;
    let held = Box::new((Leave { mount: mount.clone(), id: id.clone() }, open));
    let endpoint = endpoint_event(&front.aliases, &prefix, place, &id);
    Ok(reply::events(reader, false, Some(endpoint), Some(held), reply::while_known(caller)))
}

/// POST to `/messages`: a message of a session; the response comes on the stream.
pub(super) async fn post(
    mount: &Mount,
    query: &str,
    payload: Payload,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let id = session_of(query).ok_or_else(|| Refusal::Invalid {
        id: id_of(&payload),
        reason: "there is no session_id in the query: post to the path that the `endpoint` event names"
            .into(),
    })?;
    let request = id_of(&payload);
    let seat = mount.client(id, caller);
    if let (Some(seat), Payload::One(message)) = (&seat, &payload) {
        // To the server it would be the opening of another era; the client is to fall back to `initialize`.
        if let Some(requested) = modern(message) {
            seat.tell(RpcError::session_first(&requested).to_line(message.id()));
            return Ok(accepted());
        }
    }
    let client = match seat {
        Some(Seat::Taken(client)) if client.is_sse() => client,
        Some(Seat::Standing(id, stream)) => {
            let initialize = as_initialize(&payload).ok_or_else(|| Refusal::Invalid {
                id: request.clone(),
                reason: "a session begins with `initialize`".into(),
            })?;
            mount
                .seat_standing(id, stream, initialize)
                .await
                .map_err(|error| unserved(error, request.clone()))?
        }
        Some(Seat::Joining(_)) => {
            return Err(Refusal::Invalid {
                id: request,
                reason: "`initialize` was posted already: wait for its answer".into(),
            });
        }
        Some(Seat::Taken(_)) | None => return Err(not_found(request)),
    };
    refuse_batch(&payload, client.revision())?;
    let requests: Vec<Message> = requests(&payload).cloned().collect();
    let refused = if mount.is_closing() && !requests.is_empty() {
        closing()
    } else {
        match client.post(payload, Form::Either).await.map_err(Unserved::from) {
            Ok(Posted::Accepted | Posted::Response(_)) => return Ok(accepted()),
            Err(Unserved::Unavailable { error, .. } | Unserved::Denied(error)) if !requests.is_empty() => {
                error
            }
            Err(other) => return Err(unserved(other, request)),
        }
    };
    // In a live session a request is refused by its response: some clients lose all that they have on any other status.
    for request in requests {
        client.tell(refused.to_line(request.id()));
    }
    Ok(accepted())
}

fn accepted() -> Response {
    warp::reply::with_status("Accepted", StatusCode::ACCEPTED).into_response()
}

/// Where to post, as the first event says it: absolute from the root, and with a slash before the query unless an
/// alias is spelled otherwise.
fn endpoint_event(aliases: &Aliases, prefix: &str, place: Place<'_>, id: &SessionId) -> Bytes {
    let id = id.as_str();
    match (place, &aliases.messages) {
        (Place::Root, Some(path)) => {
            format!("event: endpoint\ndata: {prefix}{path}?sessionId={id}\n\n")
        }
        (Place::Root, None) => format!("event: endpoint\ndata: {prefix}/messages/?session_id={id}\n\n"),
        (Place::View(name), _) => {
            format!("event: endpoint\ndata: {prefix}/views/{name}/messages/?session_id={id}\n\n")
        }
        (Place::Named(name), _) => {
            format!("event: endpoint\ndata: {prefix}/servers/{name}/messages/?session_id={id}\n\n")
        }
    }
    .into()
}

/// What stands before our paths: as a trusted proxy says, else as configured.
fn prefix(front: &Front, headers: &HeaderMap, peer: Option<&ConnectionInfo>) -> String {
    let said = headers.get("x-forwarded-prefix").filter(|_| front.trusts(peer.and_then(ConnectionInfo::ip)));
    let said = said.and_then(|value| value.to_str().ok()).map(|text| text.trim().trim_end_matches('/'));
    // Only a plain path: the value goes into an event, and from there into a URL.
    let plain = |text: &&str| {
        text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte))
    };
    said.filter(plain).map_or_else(|| front.base_path.clone(), str::to_owned)
}

/// The session that a query names.
pub(super) fn session_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| match pair.split_once('=')? {
        ("session_id" | "sessionId", id) => Some(id),
        _ => None,
    })
}

/// Ends the session with its stream.
struct Leave {
    mount: Arc<Mount>,
    id: SessionId,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.mount.leave(self.id.as_str());
    }
}
