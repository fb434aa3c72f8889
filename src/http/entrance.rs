//! Who asks at a path, and whether he may: between the guard, which knows no names, and the routes.

use super::connection::ConnectionInfo;
use super::endpoint::{Endpoint, Place};
use super::front::Front;
use super::refusal::Refusal;
use crate::access::{self, Caller};
use crate::auth::Unknown;
use crate::mount::Mount;
use http::{HeaderMap, HeaderValue, Method};

/// Who asks. What needs no name is asked by anybody: whether the process lives, and what a browser asks before it asks.
pub(super) fn caller(
    front: &Front,
    endpoint: Endpoint<'_>,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<&ConnectionInfo>,
) -> Result<Caller, Refusal> {
    let auth = front.auth.load();
    let Some(auth) = &*auth else { return Ok(front.anyone()) };
    if method == Method::OPTIONS || is_public(endpoint) {
        return Ok(Caller::anyone());
    }
    let certificate = peer.and_then(|peer| peer.certificate.as_deref());
    // A connection may last longer than what it was opened with.
    let certificate = certificate.filter(|certificate| certificate.holds()).map(|shown| &*shown.name);
    auth.caller(headers, certificate)
        .or_else(|unknown| front.operators.caller(headers).ok_or_else(|| refused(&unknown)))
}

/// The caller with what he has brought for servers: nothing is looked at that none of them wants.
pub(super) fn bringing(front: &Front, caller: Caller, headers: &HeaderMap) -> Caller {
    let table = front.table.load();
    if table.wanted().is_empty() { caller } else { caller.showing(headers, table.wanted()) }
}

/// Whether a caller may use what stands at a place.
pub(super) fn admit(place: Place<'_>, mount: &Mount, caller: &Caller) -> Result<(), Refusal> {
    let grant = caller.grant();
    let name = mount.name().as_str();
    match place {
        Place::View(_) if !grant.view(name) => Err(Refusal::Forbidden(format!("the view {name}"))),
        Place::Root if mount.is_aggregate() => {
            let is_empty = grant.is_empty();
            if is_empty { Err(Refusal::Forbidden("every server".to_owned())) } else { Ok(()) }
        }
        Place::Root | Place::Named(_) if !grant.server(access::Place::Open, name) => {
            Err(Refusal::Forbidden(format!("the server {name}")))
        }
        Place::Root | Place::Named(_) | Place::View(_) => Ok(()),
    }
}

/// Whether a caller is told of a mount.
pub(super) fn sees(caller: &Caller, mount: &Mount) -> bool {
    let grant = caller.grant();
    let name = mount.name().as_str();
    grant.administers()
        || if mount.is_aggregate() { grant.view(name) } else { grant.server(caller.place(), name) }
}

fn is_public(endpoint: Endpoint<'_>) -> bool {
    matches!(endpoint, Endpoint::Health | Endpoint::Healthz | Endpoint::Readyz | Endpoint::Alive)
}

fn refused(unknown: &Unknown) -> Refusal {
    // RFC 6750, 3.1: "If the request lacks any authentication information [...], the resource server SHOULD NOT include an
    // error code or other error information."
    let challenge = match unknown {
        Unknown::Nothing => "Bearer realm=\"mcp-switchboard\"",
        Unknown::Unclear(_) => "Bearer realm=\"mcp-switchboard\", error=\"invalid_request\"",
        Unknown::Invalid => "Bearer realm=\"mcp-switchboard\", error=\"invalid_token\"",
    };
    Refusal::Unauthorized { reason: unknown.to_string(), challenge: HeaderValue::from_static(challenge) }
}
