//! Who asks at a path, and whether he may: between the guard, which knows no names, and the routes.

use super::connection::ConnectionInfo;
use super::endpoint::{Endpoint, Place};
use super::front::Front;
use super::refusal::Refusal;
use super::resource;
use crate::access::{self, Caller};
use crate::auth::oauth::{Invalid, ResourceServer};
use crate::auth::{Authenticator, Challenge, Unknown};
use crate::mount::Mount;
use crate::wire::{Code, RpcError};
use http::{HeaderMap, HeaderValue, Method};

/// Who asks. What needs no name is asked by anybody: whether the process lives, what a browser asks before it asks,
/// where access tokens come from, and the page that asks its reader for a key.
pub(super) async fn caller(
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
    let unknown = match auth.caller(headers, certificate) {
        Ok(caller) => return Ok(caller),
        Err(unknown) => unknown,
    };
    if let Some(operator) = front.operators.caller(headers) {
        return Ok(operator);
    }
    let (Unknown::Invalid, Some(oauth)) = (&unknown, auth.oauth()) else {
        // Who has shown nothing is to be told how he becomes known. A key that is good is never kept waiting by others that
        // are not, even from the same address.
        if unknown == Unknown::Invalid {
            let from = peer.and_then(ConnectionInfo::ip);
            front.failures.count(from).map_err(Refusal::TooManyRequests)?;
            tracing::warn!(?from, "a key was shown that is not known");
        }
        return Err(refused(front, auth, endpoint, &unknown));
    };
    let names = resource::names(front, oauth, endpoint);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    auth.bearer(headers, &names).await.map_err(|unknown| refused(front, auth, endpoint, &unknown))
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
        Place::View(_) if !grant.view(name) => {
            Err(forbidden(caller, format!("the view {name}"), grant.scope_for_view(name)))
        }
        Place::Root if mount.is_aggregate() => {
            if grant.is_empty() {
                Err(Refusal::NothingPermitted)
            } else {
                Ok(())
            }
        }
        Place::Root | Place::Named(_) if !grant.server(access::Place::Open, name) => {
            let scope = grant.scope_for_server(access::Place::Open, name);
            Err(forbidden(caller, format!("the server {name}"), scope))
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

/// What somebody is told who may not use something: who has an access token, also the scope that would do.
fn forbidden(caller: &Caller, what: String, scope: Option<&str>) -> Refusal {
    let refusal = Refusal::Forbidden(what);
    match scope {
        Some(scope) if caller.scopes().is_some() => {
            let error = RpcError::new(Code::NotAllowed, refusal.to_string()).wanting(scope);
            Refusal::Denied { id: None, error }
        }
        _ => refusal,
    }
}

/// A refusal, with what would help: another token, or one at all.
pub(super) fn helpful(front: &Front, endpoint: Endpoint<'_>, caller: &Caller, refusal: Refusal) -> Refusal {
    let auth = front.auth.load();
    let Some(oauth) = auth.as_ref().and_then(|auth| auth.oauth()) else { return refusal };
    match refusal {
        Refusal::Denied { id, error } => {
            let Some(scope) = error.wanted_scope() else { return Refusal::Denied { id, error } };
            let challenge = Challenge::insufficient_scope(error.message.clone());
            let challenge = challenge.scopes(oauth.spec().scopes.iter().cloned()).scopes([scope]);
            let challenge = told(front, Some(oauth), endpoint, challenge);
            Refusal::Insufficient { id, error, challenge }
        }
        // 2026-07-28, authorization: 401 is "Authorization required".
        Refusal::Forbidden(_) | Refusal::NothingPermitted if caller.is_anonymous() => {
            let reason = format!("{refusal}, as long as you show nothing by which you could be known");
            let challenge = told(front, Some(oauth), endpoint, Challenge::unknown());
            Refusal::Unauthorized { reason, challenge }
        }
        other => other,
    }
}

fn is_public(endpoint: Endpoint<'_>) -> bool {
    matches!(
        endpoint,
        Endpoint::Health
            | Endpoint::Healthz
            | Endpoint::Readyz
            | Endpoint::Alive
            | Endpoint::Page
            | Endpoint::Resource(_)
    )
}

fn refused(front: &Front, auth: &Authenticator, endpoint: Endpoint<'_>, unknown: &Unknown) -> Refusal {
    let reason = unknown.to_string();
    if let Unknown::Token(Invalid::KeysUnavailable { retry_after }) = unknown {
        let error = RpcError::new(Code::ServerUnavailable, reason);
        return Refusal::Unavailable { id: None, error, retry_after: *retry_after };
    }
    let challenge = told(front, auth.oauth(), endpoint, unknown.into());
    if let Unknown::Token(Invalid::Scopes { .. }) = unknown {
        let error = RpcError::new(Code::NotAllowed, reason);
        return Refusal::Insufficient { id: None, error, challenge };
    }
    Refusal::Unauthorized { reason, challenge }
}

/// A challenge that says where tokens for an endpoint come from, where it is access tokens that are wanted.
fn told(
    front: &Front,
    oauth: Option<&ResourceServer>,
    endpoint: Endpoint<'_>,
    mut challenge: Challenge,
) -> HeaderValue {
    if let Some(oauth) = oauth {
        let name = resource::names(front, oauth, endpoint).swap_remove(0);
        challenge = challenge.scopes(oauth.spec().scopes.iter().cloned()).metadata(oauth.metadata_url(&name));
    }
    challenge.header()
}
