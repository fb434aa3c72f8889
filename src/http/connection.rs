//! One client's connection, from its first byte to its close.
//!
//! hyper's own head timer also runs on an idle keep-alive connection, and is allocated anew for each request;
//! it is not used. Instead every connection has one `Deadline` that watches its `Pulse`.

use std::net::{IpAddr, SocketAddr};
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
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::deadline::Deadline;
use super::exchange::Exchanges;
use super::farewell::{last_words, linger, say};
use super::opening::{HttpVersion, Opened, open};
use super::pulse::{Phase, Pulse, Socket};
use super::refusal::Refusal;
use super::stage::{Level, Stage, Watch};
use super::stream::Stream;
use super::tls::{ClientCertificate, Tls};
use crate::config::Limits;

/// Where a request came from: the connection's two ends, and whom its certificate names; in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The client's address; a program that came by a unix socket has none.
    pub peer: Option<SocketAddr>,
    /// Our address, as the client reached it.
    pub local: Option<SocketAddr>,
    /// Whom the client's certificate names, if it showed one; an authority that is trusted for that vouches for it.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl ConnectionInfo {
    /// A connection between these addresses, without certificate.
    pub fn tcp(peer: SocketAddr, local: SocketAddr) -> Self {
        Self { peer: Some(peer), local: Some(local), certificate: None }
    }

    /// A connection by a unix socket.
    pub fn unix() -> Self {
        Self { peer: None, local: None, certificate: None }
    }

    /// The client's address, an IPv4 one as such, however it was reached.
    pub fn ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }

    /// Whether a program on this machine has connected.
    pub fn is_from_here(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

/// How much of everything a connection may have and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Open connections. One more is answered 503 and closed.
    pub connections: usize,
    /// Open connections from one address beyond this machine. One more is answered 429 and closed.
    pub connections_per_client: usize,
    /// Addresses for which that does not hold: proxies, which come with many clients.
    pub proxies: Vec<IpNet>,
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
            connections_per_client: limits.connections_per_client,
            proxies: Vec::new(),
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
    stream: Stream,
    mut info: ConnectionInfo,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared<S>>,
) {
    let begun = Instant::now();
    let opened = tokio::select! {
        () = shared.stage.reached(Level::Draining) => return,
        opened = timeout(shared.settings.head_timeout, open(stream, tls)) => opened,
    };
    let (stream, version) = match opened {
        Ok(Ok(Opened::Http { stream, version, certificate })) => {
            info.certificate = certificate;
            (stream, version)
        }
        Ok(Ok(Opened::InTheClear(stream))) => {
            return dismiss(stream, &Refusal::NotEncrypted, &shared).await;
        }
        Ok(Ok(Opened::Nothing)) | Err(_) => return,
        Ok(Err(error)) => return tracing::debug!(peer = ?info.peer, %error, "no HTTP came of a connection"),
    };
    let pulse = Arc::new(Pulse::new(version == HttpVersion::Two));
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
                    dismiss(stream, &Refusal::HeadTooSlow(shared.settings.head_timeout), &shared).await;
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
                Poll::Ready(Phase::Idle | Phase::Opening) if !*this.finishing => {
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

/// Refuses the client on the bare connection.
async fn dismiss<S>(mut stream: Stream, refusal: &Refusal, shared: &Shared<S>) {
    let words = last_words(refusal);
    tokio::select! {
        () = shared.stage.reached(Level::Closed) => {}
        () = say(&mut stream, &words, shared.settings.linger) => {}
    }
    linger_within(stream, shared).await;
}

async fn linger_within<S>(stream: Stream, shared: &Shared<S>) {
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
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(ERRORS)
        .max_send_buf_size(BUFFER)
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

/// Streams that a client may open and take back before we have looked at them; one more ends the connection.
const RESETS: usize = 20;

/// Streams of one HTTP/2 connection that may break the rules; one more ends it.
const ERRORS: usize = 128;

/// Pings on HTTP/2, and how long their answers may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
