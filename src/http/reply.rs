//! Responses: one JSON body, or an event stream.

use super::accept::Accepted;
use super::refusal::seconds;
use crate::access::Caller;
use crate::session::{First, StreamReader, first};
use crate::wire::sse::{self, Encoder};
use bytes::Bytes;
use futures::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use warp::reply::{Reply, Response};

/// A response that has not come after this becomes an event stream, so that nobody on the way gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// An idle stream says so this often: load balancers cut silent ones after a minute.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// From a JSON body to its status, and to when trying again may help.
pub(super) type Standing = fn(&[u8]) -> (StatusCode, Option<Duration>);

/// What else a response needs to know.
#[derive(Default)]
pub(super) struct Manner {
    /// The messages came as a batch, and their responses go as one.
    pub batch: bool,
    /// An event stream begins with an event that lets the client resume.
    pub prime: bool,
    /// What lives until the response has been sent.
    pub held: Option<Held>,
    /// When an event stream ends at the latest.
    pub until: Option<Until>,
    /// How long the response may be one JSON body; ten seconds if nothing is said.
    pub patience: Option<Duration>,
    /// The status of a JSON body and when to try again, where these depend on it.
    pub status: Option<Standing>,
}

/// The response to a POST: one JSON body if the responses are the first thing that is said, else an event stream.
pub(super) async fn respond(mut reader: StreamReader, accepted: Accepted, manner: Manner) -> Response {
    let answers = if !accepted.json {
        None
    } else if accepted.events {
        match tokio::time::timeout(manner.patience.unwrap_or(PATIENCE), first(&mut reader)).await {
            Ok(First::Answers(answers)) => Some(answers),
            Ok(First::Events) | Err(_) => None,
        }
    } else {
        match first(&mut reader).await {
            First::Answers(answers) => Some(answers),
            First::Events => None,
        }
    };
    match answers {
        Some(answers) => {
            let body = body(answers, manner.batch);
            let (status, retry_after) = manner.status.map_or((StatusCode::OK, None), |status| status(&body));
            let mut response = json(body);
            *response.status_mut() = status;
            if let Some(wait) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, seconds(wait).into());
            }
            response
        }
        None => events(reader, manner.prime, None, manner.held, manner.until),
    }
}

/// A JSON body with status 200.
pub(super) fn json(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// An event stream, which begins with `opening` and, at its end, drops `held`. It ends at `until`, if not before.
pub(super) fn events(
    reader: StreamReader,
    prime: bool,
    opening: Option<Bytes>,
    held: Option<Held>,
    until: Option<Until>,
) -> Response {
    reader.begin();
    let stream = Events {
        reader,
        prime,
        pieces: opening.into_iter().collect(),
        keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
        _held: held,
        until,
    };
    let mut response = warp::reply::stream(stream).into_response();
    set_event_headers(&mut response);
    response
}

/// Whether a response is an event stream.
pub(super) fn is_events(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "text/event-stream")
}

/// What HEAD is answered where GET opens an event stream.
pub(super) fn events_head() -> Response {
    let mut response = empty(StatusCode::OK);
    set_event_headers(&mut response);
    response
}

pub(super) fn set_event_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// What lives as long as a stream does.
pub(super) type Held = Box<dyn std::any::Any + Send + Sync>;

/// What ends a stream that is open for as long as its client likes.
pub(super) type Until = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What ends the streams of a caller: the end of what he has shown.
pub(super) fn while_known(caller: &Caller) -> Option<Until> {
    let caller = caller.clone();
    caller.is_temporary().then(|| Box::pin(async move { caller.ended().await }) as Until)
}

/// The body of an event stream.
struct Events {
    reader: StreamReader,
    prime: bool,
    pieces: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
    _held: Option<Held>,
    until: Option<Until>,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.pieces.is_empty() {
            if this.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(None);
            }
            let mut out = Encoder::default();
            match this.reader.poll_events(cx, this.prime, &mut out) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(())) => this.pieces.extend(out.finish()),
                Poll::Pending => {
                    if this.keep_alive.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.pieces.push_back(Bytes::from_static(sse::KEEP_ALIVE));
                }
            }
            this.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        }
        Poll::Ready(this.pieces.pop_front().map(Ok))
    }
}

fn body(mut answers: Vec<Bytes>, as_batch: bool) -> Bytes {
    if as_batch { batch(&answers) } else { answers.pop().unwrap_or_default() }
}

/// The responses to a batch as one JSON array.
pub(super) fn batch(answers: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 1);
    for (n, answer) in answers.iter().enumerate() {
        body.push(if n == 0 { b'[' } else { b',' });
        body.extend_from_slice(answer);
    }
    body.push(b']');
    body.into()
}
