//! The address on this machine to which the browser comes back.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use url::Url;

use super::answer::{Expected, Meaning};
use super::error::LoginError;
use super::secret::Secret;

/// A listener for one answer.
pub(super) struct Callback {
    listener: TcpListener,
    redirect: Url,
}

impl Callback {
    /// Listens on `port`, or on a free one.
    pub(super) async fn listen(port: Option<u16>) -> Result<Self, LoginError> {
        let port = port.unwrap_or(0);
        let taken = |_| LoginError::Callback { port };
        // RFC 8252, section 8.3: not `localhost`, which may be another address than the one that is listened on.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(taken)?;
        let bound = listener.local_addr().map_err(taken)?;
        let redirect = redirect(Some(bound.port())).ok_or(LoginError::Callback { port })?;
        Ok(Self { listener, redirect })
    }

    /// Where the browser is to come back to.
    pub(super) fn redirect(&self) -> &Url {
        &self.redirect
    }

    /// Waits for the answer; what else comes is shown the door.
    pub(super) async fn answer(self, expected: &Expected) -> Result<Secret, LoginError> {
        // Side by side: browsers open connections that they do not use.
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                    Ok((stream, _)) => connections.push(serve(stream, expected)),
                    Err(_) => sleep(PAUSE).await,
                },
                Some(outcome) = connections.next() => if let Some(outcome) = outcome {
                    return outcome;
                },
            }
        }
    }
}

/// The address of a callback on this machine; without a port for logins that do not come back there.
pub(super) fn redirect(port: Option<u16>) -> Option<Url> {
    let mut url: Url = "http://127.0.0.1/callback".parse().ok()?;
    url.set_port(port).ok()?;
    Some(url)
}

/// Answers one request, and says what it means once the page has been sent.
async fn serve(stream: TcpStream, expected: &Expected) -> Option<Result<Secret, LoginError>> {
    let outcome = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let meaning = meaning(&request, expected);
        let response = meaning.as_ref().map_or_else(|| page(StatusCode::NOT_FOUND, STRAY), respond);
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = meaning.and_then(Meaning::outcome);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(PATIENCE, connection).await;
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn meaning(request: &Request<Incoming>, expected: &Expected) -> Option<Meaning> {
    let is_callback = request.method() == Method::GET && request.uri().path() == "/callback";
    is_callback.then(|| expected.judge(request.uri().query().unwrap_or_default()))
}

fn respond(meaning: &Meaning) -> Response<String> {
    match meaning {
        Meaning::Code(_) => page(StatusCode::OK, "You have logged in. You may close this page."),
        Meaning::Stray => page(StatusCode::BAD_REQUEST, STRAY),
        Meaning::Denied(_) | Meaning::MixedUp => {
            page(StatusCode::BAD_REQUEST, "The login has failed; the log says why. You may close this page.")
        }
    }
}

/// A page that says one thing, and nothing that came with the request.
fn page(status: StatusCode, text: &str) -> Response<String> {
    let body = format!("<!doctype html><meta charset=utf-8><title>mcp-switchboard</title><p>{text}</p>\n");
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        // The address of this page has the code in it.
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

const STRAY: &str = "No login that is waited for comes back here.";

const MOST_CONNECTIONS: usize = 16;

/// How long a connection may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a connection that could not be had.
const PAUSE: Duration = Duration::from_millis(100);
