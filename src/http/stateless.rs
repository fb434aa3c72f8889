//! POSTs that stand alone: no session before them, and none after.

use super::accept::Accepted;
use super::incoming::{as_initialize, has_request, id_of, modern, refuse_batch};
use super::modern::refused_behind;
use super::refusal::Refusal;
use super::reply::{self, Held, Manner, Standing, respond};
use super::unserved::unserved;
use crate::access::Caller;
use crate::mount::Mount;
use crate::protocol::handshake;
use crate::session::Posted;
use crate::wire::{Era, Kind, Payload, Revision};
use http::StatusCode;
use warp::reply::Response;

/// POST to the path of Streamable HTTP on a mount without sessions. `header`: the revision that it says it speaks.
pub(super) async fn post(
    mount: &Mount,
    payload: Payload,
    accepted: Accepted,
    header: Option<Revision>,
    caller: &Caller,
) -> Result<Response, Refusal> {
    if !has_request(&payload) {
        // There is nobody whom it could concern.
        return Ok(reply::empty(StatusCode::ACCEPTED));
    }
    let asked = as_initialize(&payload).map(|message| handshake::asked_for(message).0);
    refuse_batch(&payload, header)?;
    let revision =
        header.filter(|revision| revision.era() == Era::Legacy).or(asked).unwrap_or(Revision::ASSUMED);
    visit(mount, revision, payload, accepted, caller).await
}

/// POST to `/sse`: a single request without a session, answered as plain JSON.
///
/// What opens a conversation gets 405, so that clients that find out the transport fall back to GET (2025-03-26,
/// basic/transports, "Backwards Compatibility").
pub(super) async fn one_shot(mount: &Mount, payload: Payload, caller: &Caller) -> Result<Response, Refusal> {
    let opens = as_initialize(&payload).is_some()
        || payload.messages().iter().any(|message| modern(message).is_some());
    if opens {
        return Err(Refusal::StreamFirst);
    }
    let Payload::One(message) = &payload else {
        return Err(Refusal::invalid("a batch: without a session, post one request at a time"));
    };
    match message.kind() {
        Kind::Request => {
            let json = Accepted { json: true, events: false };
            visit(mount, Revision::NEWEST_LEGACY, payload, json, caller).await
        }
        Kind::Notification => Ok(reply::empty(StatusCode::ACCEPTED)),
        Kind::Result | Kind::Error => Err(Refusal::invalid("an answer: without a session nothing was asked")),
    }
}

/// Has a payload answered by a client that is there for nothing else.
async fn visit(
    mount: &Mount,
    revision: Revision,
    payload: Payload,
    accepted: Accepted,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let id = id_of(&payload);
    let visit =
        mount.visit_for(&payload, revision, caller).await.map_err(|error| unserved(error, id.clone()))?;
    let batch = matches!(payload, Payload::Batch(_));
    match visit.post(payload, accepted.form()).await {
        Ok(Posted::Accepted) => Ok(reply::empty(StatusCode::ACCEPTED)),
        Ok(Posted::Response(reader)) => {
            let held: Held = Box::new(visit);
            // One that stands alone loses nothing by a status.
            let status: Option<Standing> = (!batch).then_some(refused_behind);
            Ok(respond(reader, accepted, Manner { batch, held: Some(held), status, ..Manner::default() })
                .await)
        }
        Err(refused) => Err(unserved(mount.turned_away(refused), id)),
    }
}
