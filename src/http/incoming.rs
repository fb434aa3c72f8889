//! Reading a request to an MCP path: its messages, its session, its revision, its era.

use super::accept;
use super::body::bounded_body;
use super::front::Front;
use super::refusal::Refusal;
use crate::wire::{Kind, Malformed, Message, Payload, Revision, claim};
use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

/// Reads the messages of a POST.
pub(super) async fn payload<S, B>(front: &Front, headers: &HeaderMap, stream: S) -> Result<Payload, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    accept::json_body(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = bounded_body(stream, announced, front.limits.body, front.limits.body_timeout).await?;
    Payload::parse(&body, front.limits.depth).map_err(refuse)
}

/// The session that the client names, if it names one.
pub(super) fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all("mcp-session-id").iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::invalid(
            "there is more than one Mcp-Session-Id: send the one that `initialize` gave",
        ));
    }
    // What is no visible ASCII is no id of ours: it is looked up, and not found.
    Ok(first.map(|value| value.to_str().unwrap_or("?")))
}

/// The revision that the client says it speaks, if it says so.
///
/// 2025-06-18, basic/transports: "If the server receives a request with an invalid or unsupported
/// `MCP-Protocol-Version`, it MUST respond with `400 Bad Request`."
pub(super) fn revision(headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
    let Some(value) = headers.get("mcp-protocol-version") else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    revision.map(Some).ok_or_else(|| {
        let shown = String::from_utf8_lossy(value.as_bytes()).into_owned();
        Refusal::invalid(format!(
            "MCP-Protocol-Version {shown:?} is not supported: send the version that `initialize` agreed on"
        ))
    })
}

/// Refuses a batch in which something is of the modern era, which has none.
pub(super) fn refuse_modern_batch(payload: &Payload) -> Result<(), Refusal> {
    match payload {
        Payload::Batch(messages) if messages.iter().any(names_modern) => {
            Err(Refusal::invalid("2026-07-28 has no batches: send each request by itself"))
        }
        _ => Ok(()),
    }
}

/// Whether a message is one that only a modern client sends.
pub(super) fn names_modern(message: &Message) -> bool {
    match message.method() {
        "" => false,
        "server/discover" => true,
        _ => claim::is_claimed(message.body()),
    }
}

/// The revision that a message claims which can only come from a modern client.
pub(super) fn modern(message: &Message) -> Option<String> {
    let newest = || Revision::V2026_07_28.to_string();
    names_modern(message).then(|| claim::claimed(message.body()).unwrap_or_else(newest))
}

/// A batch came where there are none.
///
/// 2025-06-18, changelog: "Remove support for JSON-RPC batching".
pub(super) fn refuse_batch(payload: &Payload, revision: Option<Revision>) -> Result<(), Refusal> {
    match payload {
        Payload::Batch(_) if revision.is_some_and(|revision| revision > Revision::V2025_03_26) => {
            Err(Refusal::invalid("a batch: this session's revision has none, send each message by itself"))
        }
        _ => Ok(()),
    }
}

/// The one `initialize` that a payload is, if it is one.
pub(super) fn as_initialize(payload: &Payload) -> Option<&Message> {
    match payload {
        Payload::One(message) if is_request(message) && message.method() == "initialize" => Some(message),
        _ => None,
    }
}

/// The id to refuse a payload with.
pub(super) fn id_of(payload: &Payload) -> Option<Box<str>> {
    match payload {
        Payload::One(message) if is_request(message) => message.id().map(Into::into),
        _ => None,
    }
}

/// What in it wants an answer.
pub(super) fn requests(payload: &Payload) -> impl Iterator<Item = &Message> {
    payload.messages().iter().filter(|message| is_request(message))
}

/// Whether something in it wants an answer.
pub(super) fn has_request(payload: &Payload) -> bool {
    payload.messages().iter().any(is_request)
}

fn is_request(message: &Message) -> bool {
    message.kind() == Kind::Request
}

fn refuse(malformed: Malformed) -> Refusal {
    let reason = malformed.to_string().into();
    match malformed {
        Malformed::NotJson(why) => Refusal::Unreadable(why.into()),
        Malformed::NotJsonRpc { id, .. } => Refusal::Invalid { reason, id },
        Malformed::TooDeep { .. } => Refusal::Invalid { reason, id: None },
    }
}
