//! What the router's edge promises to good clients, slow ones and malicious ones, told over raw sockets.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_switchboard::http::accept::json_body;
use mcp_switchboard::http::body::bounded_body;
use mcp_switchboard::http::connection::{ConnectionInfo, ConnectionSettings};
use mcp_switchboard::http::gate::Gate;
use mcp_switchboard::http::guard::GuardPolicy;
use mcp_switchboard::http::refusal::Refusal;
use mcp_switchboard::http::serve::{Stop, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use warp::Filter;

/// Longer than anything here may take; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_silent_connection_is_closed_in_time() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    let begun = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(begun.elapsed() >= quick().head_timeout);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nHost: local").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("limits.headTimeout"), "{answer}");
}

#[tokio::test]
async fn a_head_byte_by_byte_does_not_stretch_its_time() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(quick().head_timeout / 10);
    for byte in b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(b"x".iter().cycle()) {
        ticks.tick().await;
        if client.stream.write_all(&[*byte]).await.is_err() || client.has_answer() {
            break;
        }
    }
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    assert!(begun.elapsed() < quick().head_timeout * 4);
}

#[tokio::test]
async fn a_second_head_has_its_own_time_and_no_more() {
    let server = TestServer::start(ConnectionSettings { idle: PATIENCE, ..quick() }).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
        // Idle longer than a head may take: that alone is no offence.
        tokio::time::sleep(quick().head_timeout + quick().head_timeout / 2).await;
    }
    client.send("GET /hel").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let begun = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(begun.elapsed() >= quick().idle / 2);
}

#[tokio::test]
async fn an_open_event_stream_is_not_idle() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    tokio::time::sleep(quick().idle * 3).await;
    server.event("late").await;
    assert!(client.until("late").await.contains("late"));
}

#[tokio::test]
async fn small_events_do_not_wait_for_each_other() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        for event in ["one", "two"] {
            server.event(event).await;
            client.until(&format!("{event}\r\n")).await;
        }
        server.end_events();
        client.until("0\r\n\r\n").await;
        times.push(begun.elapsed());
    }
    // Nagle's algorithm would hold each write back until the ACK of the one before, which is delayed by 40 ms.
    times.sort_unstable();
    assert!(times[10] < Duration::from_millis(30), "{times:?}");
}

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    let server = TestServer::start(patient()).await;
    for (count, status) in [(63, "200"), (64, "431"), (90, "431"), (150, "431"), (1000, "431")] {
        let mut client = server.connect().await;
        let headers: Vec<String> = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        let headers = headers.concat();
        let answer = client.ask(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{count}: {answer}");
    }
    let mut client = server.connect().await;
    let headers = "X: 1\r\n".repeat(64);
    let answer = client.ask(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
    assert!(answer.contains("limits.headers"), "{answer}");
    assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
}

#[tokio::test]
async fn a_huge_head_is_answered_431_and_a_long_url_414() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    let huge = "x".repeat(1 << 20);
    client.send_some(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: {huge}\r\n\r\n")).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431 "));
    let mut client = server.connect().await;
    let long = "x".repeat(9 << 10);
    let answer = client.ask(&format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
}

#[tokio::test]
async fn a_slow_body_is_answered_408() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    client.send(&format!("{POST}Content-Length: 10\r\n\r\n{{\"a")).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_while_it_is_still_being_sent() {
    let server = TestServer::start(patient()).await;
    let body = "x".repeat(4 << 20);
    let mut client = server.connect().await;
    client.send_some(&format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 413 "));
    let mut client = server.connect().await;
    client
        .send_some(&format!(
            "{POST}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ))
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn bodies_of_other_types_are_answered_415() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    let start = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n";
    for headers in
        ["", "Content-Type: text/plain\r\n", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"]
    {
        let answer = client.ask(&format!("{start}{headers}\r\n{{}}")).await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    }
    assert!(client.ask(&format!("{start}Content-Type: application/json\r\n\r\n{{}}")).await.ends_with("{}"));
}

#[tokio::test]
async fn chunks_win_over_a_length_and_nothing_is_smuggled() {
    let server = TestServer::start(patient()).await;
    for lengths in [
        "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    ] {
        let mut client = server.connect().await;
        let smuggled = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.send_some(&format!("{POST}{lengths}\r\n3\r\n[1]\r\n0\r\n\r\n{smuggled}")).await;
        // RFC 9112, 6.1: such a message may be smuggling, so the connection ends after its answer.
        let answer = client.rest().await;
        assert!(answer.ends_with("[1]") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    }
    for bad in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +2\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(&format!("{POST}{bad}\r\n[]")).await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
    }
}

#[tokio::test]
async fn a_malformed_head_is_answered_400() {
    let server = TestServer::start(patient()).await;
    for head in [
        "GET /hello\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(head).await;
        assert!(client.rest().await.starts_with("HTTP/1.1 400 "), "{head:?}");
    }
    // A bare LF may end a line (RFC 9112, 2.2), and means the same in every header then.
    let mut client = server.connect().await;
    assert!(client.ask("GET /hello HTTP/1.1\nHost: localhost\n\n").await.ends_with("hello"));
}

#[tokio::test]
async fn exactly_one_host_and_a_known_one() {
    let server = TestServer::start(patient()).await;
    for (head, status) in [
        ("GET /hello HTTP/1.1\r\n\r\n", "400"),
        ("GET /hello HTTP/1.0\r\n\r\n", "400"),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"),
        ("GET http://localhost/hello HTTP/1.1\r\nHost: evil.com\r\n\r\n", "400"),
        ("GET /hello HTTP/1.1\r\nHost: evil.com\r\n\r\n", "403"),
        ("GET /hello HTTP/1.1\r\nHost: localhost.evil.com\r\n\r\n", "403"),
        ("GET /nowhere HTTP/1.1\r\nHost: evil.com\r\n\r\n", "403"),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", "403"),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://127.0.0.1.evil.com\r\n\r\n", "403"),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:1\r\n\r\n", "200"),
        ("GET /hello HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", "200"),
    ] {
        let answer = server.connect().await.ask(head).await;
        assert!(answer.split(' ').nth(1) == Some(status), "{head}: {answer}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served() {
    let server = TestServer::start(patient()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let tasks = TaskTracker::new();
    let ended = tasks.spawn(connection);
    let ask = |path: &str, host: &str, body: &'static str| {
        let request =
            http::Request::post(format!("http://{host}{path}")).header("content-type", "application/json");
        let answer = client.clone().send_request(request.body(body.to_owned()).unwrap());
        async {
            let (head, body) = answer.await.unwrap().into_parts();
            (head.status.as_u16(), body.collect().await.unwrap().to_bytes())
        }
    };
    for answer in futures::future::join_all((0..50).map(|_| ask("/echo", "localhost", "[1]"))).await {
        assert_eq!(answer, (200, Bytes::from("[1]")));
    }
    assert_eq!(ask("/hello", "evil.com", "").await.0, 403);
    assert_eq!(ask(&format!("/{}", "x".repeat(9000)), "localhost", "").await.0, 414);
    assert_eq!(ask("/hello", "localhost", "").await, (200, Bytes::from("hello")));
    server.stop.drain.cancel();
    ended.await.unwrap().unwrap();
    server.ended().await;
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_closed() {
    let server = TestServer::start(quick()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) =
        http2::handshake::<_, _, String>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::time::timeout(PATIENCE, connection).await.expect("the connection is kept").unwrap();
    drop(client);
}

#[tokio::test]
async fn a_request_knows_both_ends_of_its_connection() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    let answer = client.ask("GET /ends HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let ends = format!("{} {}", client.stream.local_addr().unwrap(), server.address);
    assert!(answer.ends_with(&ends), "{answer}");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_and_later_ones_are_served_again() {
    let server = TestServer::start(ConnectionSettings { connections: 8, ..patient() }).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect().await;
        assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
        held.push(client);
    }
    let mut told = 0;
    for _ in 0..1000 {
        let mut client = server.connect().await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.contains("limits.connections"), "{answer}");
        told += usize::from(answer.starts_with("HTTP/1.1 503 "));
    }
    assert!(told > 900, "{told}");
    held.clear();
    // A seat is free again once the server has seen one of them go.
    let back_to_service = async {
        loop {
            let mut client = server.connect().await;
            if client.try_ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, back_to_service).await.unwrap();
}

#[tokio::test]
async fn draining_finishes_what_is_open_and_takes_nothing_new() {
    let server = TestServer::start(patient()).await;
    let mut idle = server.connect().await;
    idle.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    busy.until("\r\n\r\n").await;
    server.stop.drain.cancel();
    assert_eq!(idle.rest().await, "");
    drop(silent);
    server.event("still here").await;
    busy.until("still here").await;
    server.end_events();
    assert!(busy.rest().await.ends_with("0\r\n\r\n"));
    let address = server.address;
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn cutting_ends_what_will_not_end() {
    let server = TestServer::start(patient()).await;
    let mut busy = server.connect().await;
    busy.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    busy.until("\r\n\r\n").await;
    let mut slow = server.connect().await;
    slow.send("GET /hel").await;
    server.stop.drain.cancel();
    server.stop.cut.cancel();
    server.ended().await;
    busy.rest().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_ended() {
    let server = TestServer::start(quick()).await;
    let mut client = server.connect().await;
    client.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    server.stop.drain.cancel();
    server.ended().await;
}

const POST: &str = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

/// Limits that pass quickly.
fn quick() -> ConnectionSettings {
    ConnectionSettings {
        head_timeout: Duration::from_millis(150),
        idle: Duration::from_millis(200),
        ..patient()
    }
}

/// Limits that no honest test reaches.
fn patient() -> ConnectionSettings {
    ConnectionSettings {
        connections: 100,
        head: 64 << 10,
        headers: 64,
        uri: 8 << 10,
        head_timeout: PATIENCE,
        idle: PATIENCE,
        linger: Duration::from_secs(1),
    }
}

struct TestServer {
    address: SocketAddr,
    stop: Stop,
    events: watch::Sender<Option<mpsc::Sender<Bytes>>>,
    tracker: TaskTracker,
}

impl TestServer {
    async fn start(settings: ConnectionSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, _) = watch::channel(None);
        let gate = Gate::new(warp::service(routes(events.clone())), GuardPolicy::new(&[], &[], true), None);
        let (stop, tracker) = (Stop::default(), TaskTracker::new());
        tracker.spawn(serve(listener, gate, settings, stop.clone(), tracker.clone()));
        tracker.close();
        Self { address, stop, events, tracker }
    }

    async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    async fn event(&self, text: &str) {
        let sender = self.events.borrow().clone().unwrap();
        sender.send(Bytes::from(text.to_owned())).await.unwrap();
    }

    fn end_events(&self) {
        self.events.send_replace(None);
    }

    /// Everything has ended: the listener, the connections and their streams.
    async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.tracker.wait()).await.expect("something is still running");
    }
}

fn routes(
    events: watch::Sender<Option<mpsc::Sender<Bytes>>>,
) -> impl Filter<Extract = impl warp::Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static {
    let hello = warp::path!("hello").map(|| "hello");
    let ends = warp::path!("ends")
        .and(warp::ext::get::<ConnectionInfo>())
        .map(|info: ConnectionInfo| format!("{} {}", info.peer, info.local));
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
            let body = bounded_body(body, length, 1 << 20, Duration::from_millis(150)).await?;
            Ok::<_, Refusal>(http::Response::new(body))
        });
    hello.or(ends).or(stream).or(flood).or(echo)
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends what the server may stop reading half way.
    async fn send_some(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// A request and its whole response, which has a length.
    async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.response().await
    }

    async fn try_ask(&mut self, text: &str) -> String {
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
    async fn until(&mut self, mark: &str) -> String {
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
    async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    fn has_answer(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.try_read(&mut bytes) {
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        matches!(read.expect("the server neither answers nor closes"), Ok(1..))
    }
}
