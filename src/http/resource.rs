//! What the router is to an authorization server: a resource for each place at which it serves, which access tokens are for.

use super::endpoint::{Endpoint, Place};
use super::front::Front;
use super::refusal::Refusal;
use super::reply;
use super::unserved::not_found;
use crate::auth::oauth::ResourceServer;
use url::Url;
use warp::reply::Response;

/// The names of what stands at an endpoint; access tokens are for one of these. The first is what clients are told.
pub(super) fn names(front: &Front, oauth: &ResourceServer, endpoint: Endpoint<'_>) -> Vec<String> {
    let spec = oauth.spec();
    let of = |place: Place<'_>, last: &str| match place {
        Place::Named(name) => spec.resource(&format!("/servers/{name}/{last}")),
        Place::View(name) => spec.resource(&format!("/views/{name}/{last}")),
        Place::Root => spec.resource(&format!("/{last}")),
    };
    let (place, first, second) = match endpoint {
        Endpoint::Mcp(place) => (place, "mcp", "sse"),
        Endpoint::Sse(place) | Endpoint::Messages(place) => (place, "sse", "mcp"),
        Endpoint::MountHealth(name) => (Place::Named(name), "mcp", "sse"),
        _ => return vec![spec.audience.clone()],
    };
    let mut names = vec![of(place, first), of(place, second)];
    if place == Place::Root {
        // Other tools have other paths for it, and it is also what the router is as a whole.
        let own = front.default_paths().map(|path| spec.resource(path.trim_end_matches('/')));
        let at = usize::from(first == "sse");
        names.insert(0, own[at].clone());
        names.push(own[1 - at].clone());
        names.push(spec.audience.clone());
    }
    names
}

/// `GET /.well-known/oauth-protected-resource…`: the document of RFC 9728. Whether there is such a server is not said here,
/// where nobody has to be known.
pub(super) fn document(front: &Front, path: &str) -> Result<Response, Refusal> {
    let auth = front.auth.load();
    let oauth = auth.as_ref().and_then(|auth| auth.oauth()).ok_or_else(|| not_found(None))?;
    let audience = Url::parse(&oauth.spec().audience).map_err(|_| not_found(None))?;
    let base = audience.path().trim_end_matches('/');
    let place = path.strip_prefix(base).ok_or_else(|| not_found(None))?;
    let is_one = match place.strip_prefix('/') {
        None => place.is_empty(),
        Some(place) => matches!(front.endpoint(place), Some(Endpoint::Mcp(_) | Endpoint::Sse(_))),
    };
    if !is_one {
        return Err(not_found(None));
    }
    let document = oauth.metadata(&oauth.spec().resource(place));
    Ok(reply::json(document.to_string().into()))
}
