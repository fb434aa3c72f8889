//! HTTP: the URL space, its transports, its guard, and the listener.
//!
//! One filter takes every request: the path says what is meant ([`endpoint`]), the method what is to be done, and a
//! handler answers with a response or a [`Refusal`]. A rejection only ever means "not one of our paths".

pub mod accept;
mod admin;
mod approval;
pub mod authority;
pub mod body;
mod clients;
pub mod connection;
pub mod cors;
mod deadline;
pub mod endpoint;
mod entrance;
mod events;
mod exchange;
pub mod exclusive;
mod farewell;
mod feed;
mod front;
pub mod gate;
pub mod guard;
mod incoming;
pub mod ledger;
mod legacy_sse;
mod levels;
pub mod listener;
mod mcp;
mod metrics;
mod modern;
mod opening;
pub mod operator;
pub mod origin;
mod page;
mod pulse;
pub mod refusal;
mod reply;
mod resource;
pub mod serve;
pub mod source;
mod stage;
mod stateless;
mod stream;
pub mod tls;
mod traffic;
#[cfg(unix)]
pub mod unix;
mod unserved;

use crate::access::Caller;
use crate::mount::Mount;
use crate::telemetry::{Carried, Request};
use bytes::Buf;
use connection::ConnectionInfo;
use endpoint::{Endpoint, Place};
use exclusive::{AnyBody, Exclusive};
use futures::Stream;
use gate::Gate;
use http::header::{ALLOW, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use operator::Operator;
use refusal::Refusal;
use std::convert::Infallible;
use std::sync::Arc;
use warp::filters::BoxedFilter;
use warp::host::Authority;
use warp::path::Tail;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

pub use front::Front;

/// The routes behind their guard as a filter, to be combined with others. A path that is not ours is rejected as not
/// found, before the guard is asked.
pub fn filter(front: Arc<Front>) -> BoxedFilter<(Response,)> {
    parts(front.clone())
        .and(warp::body::stream())
        .and(warp::host::optional())
        .then(move |mut parts: Parts, body, host: Option<Authority>| {
            let front = front.clone();
            async move {
                // HTTP/2 has the host in the target, which a filter does not see otherwise.
                if let Some(host) = host.filter(|_| !parts.headers.contains_key(HOST)) {
                    parts
                        .headers
                        .extend(HeaderValue::from_str(host.as_str()).ok().map(|value| (HOST, value)));
                }
                let verdict = front.guard.check(Version::HTTP_11, &Uri::from_static("/"), &parts.headers);
                let mut response = match verdict {
                    Ok(()) => respond(&front, &parts, body).await,
                    Err(refusal) => {
                        front.ledger.refused(&refusal);
                        let response = refusal.into_response();
                        front.ledger.answered(response.status());
                        return response;
                    }
                };
                if let Some(policy) = &front.cors {
                    cors::decorate(response.headers_mut(), parts.headers.get(ORIGIN), policy);
                }
                response
            }
        })
        .boxed()
}

/// The routes without guard; a path that is not ours is answered 404.
fn routes(front: Arc<Front>) -> BoxedFilter<(Response,)> {
    let ledger = front.ledger.clone();
    let ours = parts(front.clone()).and(warp::body::stream()).then(move |parts: Parts, body| {
        let front = front.clone();
        async move { respond(&front, &parts, body).await }
    });
    let others = warp::any().map(move || {
        let refusal = unserved::not_found(None);
        ledger.refused(&refusal);
        let response = refusal.into_response();
        ledger.answered(response.status());
        response
    });
    ours.or(others).unify().boxed()
}

/// The routes behind their guard as a tower service, which answers every request and is always ready.
pub fn service<B>(front: Arc<Front>) -> Gate<impl Service<B>>
where
    B: http_body::Body + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (guard, cors, ledger) = (front.guard.clone(), front.cors.clone(), front.ledger.clone());
    Gate::new(warp::service(routes(front)), guard, cors).counting(ledger)
}

/// [`service`] for an application whose bodies are not `Sync`, such as axum's.
pub fn embedded<B>(front: Arc<Front>) -> AnyBody<Gate<impl Service<Exclusive<B>>>>
where
    B: http_body::Body + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    AnyBody(service(front))
}

/// A tower service for requests with bodies of `B`, as [`warp::service`] gives it.
pub trait Service<B>:
    tower_service::Service<http::Request<B>, Response = Response, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S, B> Service<B> for S where
    S: tower_service::Service<
            http::Request<B>,
            Response = Response,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// What is read of a request before its body.
struct Parts {
    path: Tail,
    method: Method,
    query: String,
    headers: HeaderMap,
    peer: Option<ConnectionInfo>,
}

fn parts(front: Arc<Front>) -> impl Filter<Extract = (Parts,), Error = Rejection> + Clone {
    let ours = warp::path::tail().and_then(move |tail: Tail| {
        let known = front.endpoint(tail.as_str()).is_some();
        std::future::ready(if known { Ok(tail) } else { Err(warp::reject::not_found()) })
    });
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    ours.and(warp::method())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<ConnectionInfo>())
        .map(|path, method, query, headers, peer| Parts { path, method, query, headers, peer })
}

/// The header in which a request has its name, and its answer, too.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header without which there is no context of a trace.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

async fn respond<S, B>(front: &Front, parts: &Parts, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let header = |name: &str| parts.headers.get(name)?.to_str().ok().map(str::to_owned);
    let request = Request::named(parts.headers.get(X_REQUEST_ID).map(HeaderValue::as_bytes));
    // The name is looked up by what is known of it: most have no such header.
    let is_traced = front.traces && parts.headers.contains_key(TRACEPARENT);
    let request = request.carrying(is_traced.then(|| Carried::read(header)).flatten());
    let id = request.id().clone();
    let mut response = request.serve(served(front, parts, body)).await;
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

async fn served<S, B>(front: &Front, parts: &Parts, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let (method, headers) = (&parts.method, &parts.headers);
    let endpoint = front.endpoint(parts.path.as_str());
    let endpoint = endpoint.map(|endpoint| page::negotiated(endpoint, headers, &parts.query));
    let answer = match endpoint {
        Some(endpoint) => {
            match entrance::caller(front, endpoint, method, headers, parts.peer.as_ref()).await {
                Ok(caller) => {
                    let caller = entrance::bringing(front, caller, headers);
                    let answer = answer(front, endpoint, parts, &caller, body).await;
                    answer.map_err(|refusal| entrance::helpful(front, endpoint, &caller, refusal))
                }
                Err(refusal) => Err(refusal),
            }
        }
        None => Err(unserved::not_found(None)),
    };
    let mut response = answer.unwrap_or_else(|refusal| {
        front.ledger.refused(&refusal);
        refusal.into_response()
    });
    front.ledger.answered(response.status());
    page::tell_negotiated(endpoint, response.headers_mut());
    for (name, value) in &front.aliases.headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

async fn answer<S, B>(
    front: &Front,
    endpoint: Endpoint<'_>,
    Parts { method, query, headers, peer, .. }: &Parts,
    caller: &Caller,
    body: S,
) -> Result<Response, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    // While a body was read, what its sender may can have become less, and another mount have taken the place.
    let still = async |mount: &Arc<Mount>, place: Place<'_>| {
        let caller = if caller.has_ended() {
            let caller = entrance::caller(front, endpoint, method, headers, peer.as_ref()).await?;
            entrance::bringing(front, caller, headers)
        } else {
            caller.clone()
        };
        let mount = mount.newest();
        entrance::admit(place, &mount, &caller)?;
        Ok::<_, Refusal>((mount, caller))
    };
    let session = || {
        let header = headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
        header.or_else(|| legacy_sse::session_of(query))
    };
    let mount = |place: Place<'_>| {
        front.touch();
        let mount = front.mount(place, session).ok_or_else(|| unserved::not_found(None))?;
        entrance::admit(place, &mount, caller)?;
        Ok::<_, Refusal>(mount)
    };
    if matches!(endpoint, Endpoint::Log) && (method == Method::PUT || method == Method::POST) {
        let operator = Operator::asking(front, caller, headers, peer.as_ref())?;
        let body = body::bounded_body(body, None, levels::LONGEST, front.limits.body_timeout).await?;
        return levels::set(&operator, &body);
    }
    // Nothing is read before this is awaited: who is refused for another reason need not send a body.
    let payload = incoming::payload(front, headers, body);
    let head = method == Method::HEAD;
    let get = head || method == Method::GET;
    let operator = || Operator::asking(front, caller, headers, peer.as_ref());
    match endpoint {
        _ if method == Method::OPTIONS => Ok(options(front, endpoint, headers)),
        Endpoint::Mcp(place) if method == Method::POST => match mount(place) {
            Ok(mount) => {
                let payload = payload.await?;
                let (mount, caller) = still(&mount, place).await?;
                mcp::post(&mount, headers, payload, &caller).await
            }
            Err(unknown @ Refusal::NotFound { .. }) => {
                Err(payload.await.map_or(unknown, |payload| unserved::no_server(&payload)))
            }
            Err(refused) => Err(refused),
        },
        Endpoint::Mcp(place) if get && !front.stateless => mcp::get(&*mount(place)?, headers, caller, head),
        Endpoint::Mcp(place) if method == Method::DELETE && !front.stateless => {
            mcp::delete(&*mount(place)?, headers, caller)
        }
        Endpoint::Sse(place) if get => {
            legacy_sse::get(front, &mount(place)?, place, caller, headers, peer.as_ref(), head).await
        }
        Endpoint::Sse(place) if method == Method::POST => {
            let (mount, payload) = (mount(place)?, payload.await?);
            let (mount, caller) = still(&mount, place).await?;
            stateless::one_shot(&mount, payload, &caller).await
        }
        Endpoint::Messages(place) if method == Method::POST => {
            let (mount, payload) = (mount(place)?, payload.await?);
            let (mount, caller) = still(&mount, place).await?;
            legacy_sse::post(&mount, query, payload, &caller).await
        }
        Endpoint::Resource(path) if get => resource::document(front, path),
        Endpoint::MountHealth(name) if get => admin::mount_health(front, name, caller),
        Endpoint::Status if get => Ok(admin::status(front, caller)),
        Endpoint::Metrics if get => metrics::metrics(front, caller),
        Endpoint::Page if get => Ok(page::page()),
        Endpoint::Health if get => Ok(admin::health(front)),
        Endpoint::Healthz if get => Ok(admin::healthz()),
        Endpoint::Readyz if get => Ok(admin::readyz(front)),
        Endpoint::Alive if get => Ok(admin::alive()),
        Endpoint::Reload if method == Method::POST => operator::reload(&operator()?).await,
        Endpoint::Events if get => Ok(events::events(front, &operator()?, caller, head)),
        Endpoint::Traffic if get => traffic::traffic(front, &operator()?, caller, query, head),
        Endpoint::Log if get => levels::shown(&operator()?),
        Endpoint::Restart(name) if method == Method::POST => operator::restart(&operator()?, name),
        Endpoint::Approve(name) if get => approval::held_back(&operator()?, name),
        Endpoint::Approve(name) if method == Method::POST => {
            approval::approve(&operator()?, name, query).await
        }
        Endpoint::Mcp(place) | Endpoint::Sse(place) | Endpoint::Messages(place) => {
            // A path that is not there has no methods either.
            mount(place)?;
            Err(Refusal::MethodNotAllowed { allow: endpoint.allow(front.stateless) })
        }
        other => Err(Refusal::MethodNotAllowed { allow: other.allow(front.stateless) }),
    }
}

fn options(front: &Front, endpoint: Endpoint<'_>, headers: &HeaderMap) -> Response {
    let mut response = match &front.cors {
        Some(policy) => cors::preflight(headers, policy),
        None => reply::empty(StatusCode::NO_CONTENT),
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.allow(front.stateless)));
    response
}
