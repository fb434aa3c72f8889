//! Streamable HTTP for modern clients: each request stands alone, and says in its headers what it says in its body.

use super::accept::Accepted;
use super::incoming::names_modern;
use super::refusal::Refusal;
use super::reply::{self, Held, Manner, respond};
use super::unserved::{closing, unserved};
use crate::access::Caller;
use crate::mount::Mount;
use crate::session::Posted;
use crate::wire::claim::{Claim, claimed};
use crate::wire::headers::{METHOD, Mismatch, PROTOCOL_VERSION, check_name, check_plain};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Kind, Message, Payload, Revision, RpcError};
use http::{HeaderMap, HeaderValue, StatusCode};
use memchr::memmem;
use std::time::Duration;
use warp::reply::Response;

/// A subscription that was not refused within this time begins its stream, acknowledged or not.
const UNTIL_IT_LASTS: Duration = Duration::from_secs(1);

/// When a server that could not be had may be tried again, where nothing more is known.
const A_MOMENT: Duration = Duration::from_secs(1);

/// POST: one request, or a notification, of a modern client.
pub(super) async fn post(
    mount: &Mount,
    headers: &HeaderMap,
    message: Message,
    accepted: Accepted,
    caller: &Caller,
) -> Result<Response, Refusal> {
    if message.kind() == Kind::Notification {
        // 2026-07-28, basic/transports/streamable-http: "This revision of the core protocol defines no client-to-server
        // notifications over Streamable HTTP."
        return Ok(reply::empty(StatusCode::ACCEPTED));
    }
    let refuse = |error: RpcError| Refusal::Rpc { id: message.id().map(Into::into), error };
    // "The client MUST include an `Accept` header listing both `application/json` and `text/event-stream`".
    if !accepted.json || !accepted.events {
        return Err(Refusal::NotAcceptable {
            offered: "application/json or text/event-stream, both of them",
        });
    }
    let claim = check(headers, &message).map_err(refuse)?;
    if mount.is_closing() {
        let retry_after = Duration::from_secs(1);
        let id = message.id().map(Into::into);
        return Err(Refusal::Unavailable { id, error: closing(), retry_after });
    }
    check_parameters(mount, headers, &message, &claim, caller).await?;
    let id = || message.id().map(Into::into);
    let lasts = message.method() == "subscriptions/listen";
    let open = lasts.then(|| mount.stream(caller)).transpose().map_err(|error| unserved(error, id()))?;
    let visit = mount.receive(&message, &claim, caller).await.map_err(|error| unserved(error, id()))?;
    match visit.post(Payload::One(message.clone()), accepted.form()).await {
        Ok(Posted::Accepted) => Ok(reply::empty(StatusCode::ACCEPTED)),
        Ok(Posted::Response(reader)) => {
            let held: Held = Box::new((visit, open));
            // A subscription may be refused, which is not said on a stream; else it is one, and soon.
            let patience = lasts.then_some(UNTIL_IT_LASTS);
            let until = if lasts { reply::while_known(caller) } else { None };
            let manner =
                Manner { held: Some(held), status: Some(status), patience, until, ..Manner::default() };
            Ok(respond(reader, accepted, manner).await)
        }
        Err(refused) => Err(unserved(mount.turned_away(refused), id())),
    }
}

/// Checks what every request must say, in its body and in its headers.
///
/// 2026-07-28, basic/transports/streamable-http: "Servers that process the request body MUST reject requests where the values
/// specified in the headers do not match the corresponding values in the request body."
fn check(headers: &HeaderMap, message: &Message) -> Result<Claim, RpcError> {
    let claim = Claim::read(message.body());
    let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    if let Some(version) = claimed(message.body()) {
        check_plain(PROTOCOL_VERSION, values(PROTOCOL_VERSION), &version)
            .map_err(|wrong| mismatch(&wrong))?;
    }
    // What a revision that is not known wants in its headers is not known either.
    if let Err(error) = &claim
        && error.code == Code::UnsupportedVersion
    {
        return claim;
    }
    check_plain(METHOD, values(METHOD), message.method()).map_err(|wrong| mismatch(&wrong))?;
    let name = check_name(message.method(), message.body(), values(crate::wire::headers::NAME));
    name.map_err(|wrong| mismatch(&wrong))?;
    claim
}

/// Checks the headers into which a tool's parameters are mirrored.
///
/// "Any server that processes the message body MUST validate that encoded header values, after decoding if Base64-encoded,
/// match the corresponding values in the request body."
async fn check_parameters(
    mount: &Mount,
    headers: &HeaderMap,
    message: &Message,
    claim: &Claim,
    caller: &Caller,
) -> Result<(), Refusal> {
    if message.method() != "tools/call" {
        return Ok(());
    }
    let Some(tool) = find_string(message.body(), &["name"]) else { return Ok(()) };
    let arguments = find(message.body(), &["arguments"]);
    let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let id = || message.id().map(Into::into);
    let mut refuted = None;
    // What was known may be old: before a request is refused, the tools are listed again.
    for surely in [false, true] {
        // Of a tool that cannot be looked up, it is not known that the headers are right.
        let begun = mount.waits_from();
        let annotations = mount.annotations(&tool, claim, caller, surely).await;
        if annotations.is_err() {
            mount.note_found([message], caller, begun, &annotations);
        }
        let Some(annotations) = annotations.map_err(|error| unserved(error, id()))? else {
            return Ok(());
        };
        match annotations.check(arguments, values) {
            Ok(()) => return Ok(()),
            Err(wrong) => refuted = Some(wrong),
        }
    }
    refuted.map_or(Ok(()), |wrong| Err(Refusal::Rpc { id: id(), error: mismatch(&wrong) }))
}

fn mismatch(mismatch: &Mismatch) -> RpcError {
    RpcError::new(Code::HeaderMismatch, mismatch.to_string())
}

/// The status of a response that is one JSON body.
///
/// "If the server does not implement the requested RPC method, it MUST respond with `404 Not Found`"; the errors that
/// 2026-07-28 has of its own are answered 400.
fn status(body: &[u8]) -> (StatusCode, Option<Duration>) {
    let Some(error) = as_error(body) else { return (StatusCode::OK, None) };
    let is = |known: Code| error.error_code() == Some(known.number());
    if is(Code::MethodNotFound) {
        (StatusCode::NOT_FOUND, None)
    } else if is(Code::HeaderMismatch) || is(Code::MissingCapability) || is(Code::UnsupportedVersion) {
        (StatusCode::BAD_REQUEST, None)
    } else {
        standing(&error)
    }
}

/// What a router has refused behind this one, or behind the aggregate, has the status that it would have had in front, and
/// says when to try again.
pub(super) fn refused_behind(body: &[u8]) -> (StatusCode, Option<Duration>) {
    as_error(body).map_or((StatusCode::OK, None), |error| standing(&error))
}

fn standing(error: &Message) -> (StatusCode, Option<Duration>) {
    let is = |known: Code| error.error_code() == Some(known.number());
    let wait = find(error.body(), &["data", "retryAfterMs"]).and_then(|wait| wait.parse().ok());
    let wait = wait.map(Duration::from_millis);
    if is(Code::NotAllowed) {
        (StatusCode::FORBIDDEN, None)
    } else if is(Code::Overloaded) && wait.is_some() {
        (StatusCode::TOO_MANY_REQUESTS, wait)
    } else if is(Code::Overloaded) || is(Code::ServerUnavailable) || is(Code::ShuttingDown) {
        // Nothing is known of when there is room again: in a moment, as good as any.
        (StatusCode::SERVICE_UNAVAILABLE, Some(wait.unwrap_or(A_MOMENT)))
    } else {
        (StatusCode::OK, None)
    }
}

fn as_error(body: &[u8]) -> Option<Message> {
    // Most answers are results, and are not read again.
    memmem::find(body, b"\"error\"")?;
    Message::own(body.to_vec()).ok().filter(|message| message.kind() == Kind::Error)
}

/// Whether a message is one of a modern client.
pub(super) fn is_modern(message: &Message, header: Option<Revision>) -> bool {
    names_modern(message)
        || (header == Some(Revision::V2026_07_28)
            && message.kind() == Kind::Request
            && message.method() != "initialize")
}
