//! One client's connection, from its first byte to its close.
//!
//! hyper's own head timer also runs on an idle keep-alive connection, and is allocated anew for each request;
//! it is not used. Instead every connection has one `Deadline` that watches its `Pulse`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::deadline::Deadline;
use super::exchange::Exchanges;
use super::farewell::{last_words, linger};
use super::pulse::{Phase, Pulse, Socket};
use super::refusal::Refusal;
use super::stage::{Level, Stage, Watch};
use crate::config::Limits;

/// The two ends of the connection that a request came by; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The client's address.
    pub peer: SocketAddr,
    /// Our address, as the client reached it.
    pub local: SocketAddr,
}

/// How much of everything a connection may have and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Open connections. One more is answered 503 and closed.
    pub connections: usize,
    /// Bytes of a request's head, at least 8192.
    pub head: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a request's path and query.
    pub uri: usize,
    /// From connecting, later from the first byte of a head, to the end of the head.
    pub head_timeout: Duration,
    /// A connection without a request, or whose peer takes nothing of what is waiting for it.
    pub idle: Duration,
    /// How long a connection that we end is still read, so that the client sees the answer before the end.
    pub linger: Duration,
}

impl From<&Limits> for ConnectionSettings {
    fn from(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            head: limits.head,
            headers: limits.headers,
            uri: 8 << 10,
            head_timeout: limits.head_timeout,
            idle: limits.idle_connection,
            linger: Duration::from_secs(2),
        }
    }
}

/// What every connection of a listener shares.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) settings: Arc<ConnectionSettings>,
    pub(super) stage: Arc<Stage>,
    pub(super) tracker: TaskTracker,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl<S> Shared<S> {
    pub(super) fn new(service: S, settings: ConnectionSettings, tracker: TaskTracker) -> Self {
        Self {
            http1: http1_builder(&settings),
            http2: http2_builder(&settings, tracker.clone()),
            service,
            settings: Arc::new(settings),
            stage: Arc::default(),
            tracker,
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve_connection<S: Routes>(
    stream: TcpStream,
    info: ConnectionInfo,
    shared: Arc<Shared<S>>,
) {
    let begun = Instant::now();
    let version = tokio::select! {
        () = shared.stage.reached(Level::Draining) => return,
        version = timeout(shared.settings.head_timeout, version_of(&stream)) => version,
    };
    let Ok(Ok(Some(version))) = version else { return };
    let pulse = Arc::new(Pulse::default());
    let exchanges =
        Exchanges::new(shared.service.clone(), info, Arc::clone(&shared.settings), Arc::clone(&pulse));
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&pulse), version == HttpVersion::One));
    let deadline = Deadline::new(begun, pulse, &shared.settings);
    let watch = Watch::new(&shared.stage);
    match version {
        HttpVersion::One => {
            let mut http = shared.http1.serve_connection(io, exchanges);
            let ended = Served { http: &mut http, deadline, watch, finishing: false }.await;
            let (stream, hung_up) = http.into_parts().io.into_inner().into_parts();
            match ended {
                Ended::Done if !hung_up => linger_within(stream, &shared).await,
                Ended::Late(Phase::Head) => {
                    // Whoever is in the middle of a head learns why; what does not fit is not worth waiting for.
                    let _ =
                        stream.try_write(&last_words(&Refusal::HeadTooSlow(shared.settings.head_timeout)));
                    linger_within(stream, &shared).await;
                }
                Ended::Done | Ended::Late(_) | Ended::Cut => {}
            }
        }
        HttpVersion::Two => {
            // Seldom and large: it must not make the task of every HTTP/1 connection as large.
            let mut http = Box::new(shared.http2.serve_connection(io, exchanges));
            Box::pin(Served { http: &mut *http, deadline, watch, finishing: false }).await;
        }
    }
}

/// What answers the requests: a tower service that is always ready, as `warp::service` gives it.
pub trait Routes:
    tower_service::Service<
        Request<Incoming>,
        Response = Response<Self::Content>,
        Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its responses.
    type Content: Content;
}

impl<S, B> Routes for S
where
    S: tower_service::Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<Box<dyn std::error::Error + Send + Sync>>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: Content,
{
    type Content = B;
}

/// The body of a response.
pub trait Content:
    Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Send + 'static
{
}

impl<B> Content for B where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Send + 'static
{
}

/// How serving a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// HTTP says that it is over, in peace or not.
    Done,
    /// The peer took too long in this phase.
    Late(Phase),
    /// We are closing for good.
    Cut,
}

/// A connection of either version, that can be asked to finish.
trait Http: Future + Unpin {
    /// Takes no more requests; finishes the open ones.
    fn finish(&mut self);
}

impl<S: Routes> Http for http1::Connection<TokioIo<Socket>, Exchanges<S>> {
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<S: Routes> Http for http2::Connection<TokioIo<Socket>, Exchanges<S>, Streams> {
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

pin_project! {
    /// Drives a connection, and watches its deadline and the stage of the listener.
    struct Served<'a, C> {
        http: &'a mut C,
        #[pin]
        deadline: Deadline,
        #[pin]
        watch: Watch,
        finishing: bool,
    }
}

impl<C: Http> Future for Served<'_, C> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut this = self.project();
        if let Some(level) = this.watch.poll_change(cx) {
            if level == Level::Closed {
                return Poll::Ready(Ended::Cut);
            }
            this.http.finish();
            this.deadline.as_mut().hasten();
            *this.finishing = true;
        }
        loop {
            if Pin::new(&mut **this.http).poll(cx).is_ready() {
                return Poll::Ready(Ended::Done);
            }
            match this.deadline.as_mut().poll_overdue(cx) {
                Poll::Pending => return Poll::Pending,
                // HTTP/2 says goodbye before it closes.
                Poll::Ready(Phase::Idle) if !*this.finishing => {
                    this.http.finish();
                    this.deadline.as_mut().hasten();
                    *this.finishing = true;
                }
                Poll::Ready(phase) => return Poll::Ready(Ended::Late(phase)),
            }
        }
    }
}

/// Spawns the streams of an HTTP/2 connection.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HttpVersion {
    One,
    Two,
}

/// Tells the version by the first bytes, without taking them; `None` if there are none.
async fn version_of(stream: &TcpStream) -> io::Result<Option<HttpVersion>> {
    // RFC 9113, 3.4: the preface of HTTP/2 begins with the method PRI, which HTTP/1 never has.
    const PREFACE: &[u8] = b"PRI";
    let mut start = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 {
            return Ok(None);
        } else if start[..seen] != PREFACE[..seen] {
            return Ok(Some(HttpVersion::One));
        } else if seen == PREFACE.len() {
            return Ok(Some(HttpVersion::Two));
        }
        // The start of POST, PUT or PRI came alone; what has been seen keeps the socket readable.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn linger_within<S>(stream: TcpStream, shared: &Shared<S>) {
    tokio::select! {
        () = shared.stage.reached(Level::Closed) => {}
        () = linger(stream, shared.settings.linger) => {}
    }
}

fn http1_builder(settings: &ConnectionSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_header_size(settings.head).max_buf_size(settings.head.max(BUFFER));
    if settings.headers > HYPER_HEADERS {
        builder.max_headers(settings.headers);
    }
    builder
}

fn http2_builder(settings: &ConnectionSettings, tracker: TaskTracker) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams(tracker));
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(settings.head).unwrap_or(u32::MAX));
    builder
}

/// As much of a body as is read, and of a response as is written, at once.
const BUFFER: usize = 256 << 10;

/// hyper parses as many headers without being asked to, and allocates to parse more. Up to here a
/// request with too many gets our own answer, beyond hyper's, which is 431 without a body.
const HYPER_HEADERS: usize = 100;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Pings on HTTP/2, and how long their answers may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
