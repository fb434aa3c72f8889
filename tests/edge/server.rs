//! A server with the router's edge and routes of its own, and a client for it.

#![allow(dead_code, reason = "no story uses everything")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::poll_immediate;
use mcp_switchboard::config::{ClientAuth, TlsSpec};
use mcp_switchboard::http::accept::json_body;
use mcp_switchboard::http::body::bounded_body;
use mcp_switchboard::http::connection::{ConnectionInfo, ConnectionSettings};
use mcp_switchboard::http::gate::Gate;
use mcp_switchboard::http::guard::GuardPolicy;
use mcp_switchboard::http::listener::Listener;
use mcp_switchboard::http::refusal::Refusal;
use mcp_switchboard::http::serve::{Stop, serve};
use mcp_switchboard::http::tls::Tls;
use mcp_switchboard::http::unix::UnixSocket;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use warp::Filter;

use crate::pki::{self, Authority, Pair};

/// Longer than anything here may take; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Tls,
    Unix,
}

/// Tells a story three times.
pub(crate) async fn on_each_way(settings: ConnectionSettings, story: impl AsyncFn(TestServer)) {
    for way in [Way::Tcp, Way::Tls, Way::Unix] {
        story(TestServer::start(way, settings.clone()).await).await;
    }
}

/// Limits that pass quickly, but not before a handshake on a busy machine.
pub(crate) fn quick() -> ConnectionSettings {
    ConnectionSettings {
        head_timeout: Duration::from_millis(400),
        idle: Duration::from_millis(500),
        ..patient()
    }
}

/// Limits that no honest test reaches.
pub(crate) fn patient() -> ConnectionSettings {
    ConnectionSettings {
        connections: 100,
        connections_per_client: 100,
        proxies: Vec::new(),
        head: 64 << 10,
        headers: 64,
        uri: 8 << 10,
        head_timeout: PATIENCE,
        idle: PATIENCE,
        linger: Duration::from_secs(1),
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    way: Way,
    pub(crate) authority: Authority,
    folder: TempDir,
    pub(crate) stop: Stop,
    events: watch::Sender<Option<mpsc::Sender<Bytes>>>,
    tracker: TaskTracker,
}

impl TestServer {
    /// A server that is reached in one way only.
    pub(crate) async fn start(way: Way, settings: ConnectionSettings) -> Self {
        let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = match way {
            Way::Tcp => Listener::tcp(socket, None),
            Way::Tls => {
                let (cert, key) = authority.server().write(folder.path(), "server");
                let authorities = folder.path().join("ca.pem");
                std::fs::write(&authorities, authority.pem()).unwrap();
                let client_ca = Some(authorities);
                let spec = TlsSpec { cert, key, client_ca, client_auth: ClientAuth::Optional };
                Listener::tcp(socket, Some(Arc::new(Tls::load(spec).await.unwrap().0)))
            }
            Way::Unix => Listener::unix(UnixSocket::bind(&folder.path().join("socket"), 0o600).unwrap()),
        };
        let (events, _) = watch::channel(None);
        let gate = Gate::new(warp::service(routes(events.clone())), GuardPolicy::new(&[], &[], true), None);
        let (stop, tracker) = (Stop::default(), TaskTracker::new());
        tracker.spawn(serve(vec![listener], gate, settings, Arc::default(), stop.clone(), tracker.clone()));
        tracker.close();
        Self { address, way, authority, folder, stop, events, tracker }
    }

    /// A connection that is ready for HTTP/1.
    pub(crate) async fn connect(&self) -> Client {
        Client::over(self.stream(&["http/1.1"]).await)
    }

    /// A connection over TLS on which that certificate is shown.
    pub(crate) async fn connect_as(&self, shown: &Pair) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let config = self.authority.believer(Some(shown), &["http/1.1"]);
        Client::over(Box::new(pki::encrypted(stream, config).await.unwrap()))
    }

    /// A connection over which no handshake was made.
    pub(crate) async fn unready(&self) -> Box<dyn Stream> {
        Box::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A connection that is ready for one of these.
    pub(crate) async fn stream(&self, protocols: &[&str]) -> Box<dyn Stream> {
        match self.way {
            Way::Tcp => Box::new(TcpStream::connect(self.address).await.unwrap()),
            Way::Tls => {
                let stream = TcpStream::connect(self.address).await.unwrap();
                Box::new(pki::encrypted(stream, self.authority.believer(None, protocols)).await.unwrap())
            }
            Way::Unix => Box::new(UnixStream::connect(self.folder.path().join("socket")).await.unwrap()),
        }
    }

    pub(crate) async fn event(&self, text: &str) {
        let sender = self.events.borrow().clone().unwrap();
        sender.send(Bytes::from(text.to_owned())).await.unwrap();
    }

    pub(crate) fn end_events(&self) {
        self.events.send_replace(None);
    }

    /// Everything has ended: the listener, the connections and their streams.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.tracker.wait()).await.expect("something is still running");
    }
}

fn routes(
    events: watch::Sender<Option<mpsc::Sender<Bytes>>>,
) -> impl Filter<Extract = impl warp::Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static {
    let hello = warp::path!("hello").map(|| "hello");
    let ends = warp::path!("ends")
        .and(warp::ext::get::<ConnectionInfo>())
        .map(|info: ConnectionInfo| format!("{:?} {:?}", info.peer, info.local));
    let who = warp::path!("who").and(warp::ext::get::<ConnectionInfo>()).map(|info: ConnectionInfo| {
        let certificate = info.certificate.as_deref();
        certificate.map_or_else(|| "nobody".to_owned(), |who| format!("{} {}", who.name, who.fingerprint))
    });
    let stream = warp::path!("events").map(move || {
        let (sender, receiver) = mpsc::channel::<Bytes>(16);
        events.send_replace(Some(sender));
        let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (Ok::<_, std::convert::Infallible>(chunk), receiver))
        });
        warp::reply::stream(chunks)
    });
    let flood = warp::path!("flood").map(|| {
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        warp::reply::stream(futures::stream::repeat(chunk).map(Ok::<_, std::convert::Infallible>))
    });
    let echo = warp::path!("echo")
        .and(warp::header::headers_cloned())
        .and(warp::header::optional::<u64>("content-length"))
        .and(warp::body::stream())
        .then(|headers: http::HeaderMap, length, body| async move {
            json_body(&headers)?;
            let body = bounded_body(body, length, 1 << 20, Duration::from_millis(500)).await?;
            Ok::<_, Refusal>(http::Response::new(body))
        });
    hello.or(ends).or(who).or(stream).or(flood).or(echo)
}

/// A client that sends what it is told to.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// A connection of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Client {
    pub(crate) fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).await.unwrap();
    }

    /// Sends what the server may stop reading half way.
    pub(crate) async fn send_some(&mut self, text: &str) {
        let _ = self.try_send(text.as_bytes()).await;
    }

    /// A request and its whole response, which has a length.
    pub(crate) async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.response().await
    }

    pub(crate) async fn try_ask(&mut self, text: &str) -> String {
        self.send_some(text).await;
        self.response().await
    }

    async fn response(&mut self) -> String {
        let head = self.until("\r\n\r\n").await;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.parse().unwrap());
        while self.read.len() < length && self.more().await {}
        head + &String::from_utf8(self.read.drain(..length.min(self.read.len())).collect()).unwrap()
    }

    /// What comes up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(found) = self.read.windows(mark.len()).position(|window| window == mark.as_bytes()) {
                return String::from_utf8(self.read.drain(..found + mark.len()).collect()).unwrap();
            }
            if !self.more().await {
                return String::from_utf8(std::mem::take(&mut self.read)).unwrap();
            }
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends its own side.
    pub(crate) async fn hang_up(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Waits for the end, whatever comes before it.
    pub(crate) async fn end(&mut self) {
        while self.more().await {}
    }

    /// Whether something has come already, or the end.
    pub(crate) async fn has_answer(&mut self) -> bool {
        poll_immediate(Box::pin(self.stream.read_buf(&mut self.read))).await.is_some()
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        matches!(read.expect("the server neither answers nor closes"), Ok(1..))
    }
}
