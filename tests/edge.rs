//! What the router's edge promises to good clients, slow ones and malicious ones, told over raw sockets: in the clear, over
//! TLS, and by a unix socket.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

#[path = "support/pki.rs"]
mod pki;

#[path = "edge/server.rs"]
mod server;

use std::time::{Duration, Instant};

use mcp_switchboard::http::connection::ConnectionSettings;
use server::{Client, PATIENCE, TestServer, Way, on_each_way, patient, quick};
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_silent_connection_is_closed_in_time() {
    on_each_way(quick(), async |server| {
        // A handshake is part of the time.
        let begun = Instant::now();
        let mut client = server.connect().await;
        assert_eq!(client.rest().await, "");
        assert!(begun.elapsed() >= quick().head_timeout);
    })
    .await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408() {
    on_each_way(quick(), async |server| {
        let mut client = server.connect().await;
        client.send("POST /echo HTTP/1.1\r\nHost: local").await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("limits.headTimeout"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_head_byte_by_byte_does_not_stretch_its_time() {
    on_each_way(quick(), async |server| {
        let mut client = server.connect().await;
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(quick().head_timeout / 10);
        for byte in b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(b"x".iter().cycle()) {
            ticks.tick().await;
            if client.try_send(&[*byte]).await.is_err() || client.has_answer().await {
                break;
            }
        }
        assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
        assert!(begun.elapsed() < quick().head_timeout * 4);
    })
    .await;
}

#[tokio::test]
async fn a_second_head_has_its_own_time_and_no_more() {
    on_each_way(ConnectionSettings { idle: PATIENCE, ..quick() }, async |server| {
        let mut client = server.connect().await;
        for _ in 0..3 {
            assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
            // Idle longer than a head may take: that alone is no offence.
            tokio::time::sleep(quick().head_timeout + quick().head_timeout / 2).await;
        }
        client.send("GET /hel").await;
        assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    on_each_way(quick(), async |server| {
        let mut client = server.connect().await;
        client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let begun = Instant::now();
        assert_eq!(client.rest().await, "");
        assert!(begun.elapsed() >= quick().idle / 2);
    })
    .await;
}

#[tokio::test]
async fn an_open_event_stream_is_not_idle() {
    on_each_way(quick(), async |server| {
        let mut client = server.connect().await;
        client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        tokio::time::sleep(quick().idle * 3).await;
        server.event("late").await;
        assert!(client.until("late").await.contains("late"));
    })
    .await;
}

#[tokio::test]
async fn small_events_do_not_wait_for_each_other() {
    on_each_way(patient(), async |server| {
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
    })
    .await;
}

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    on_each_way(patient(), async |server| {
        for (count, status) in [(63, "200"), (64, "431"), (90, "431"), (150, "431"), (1000, "431")] {
            let mut client = server.connect().await;
            let headers: Vec<String> = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
            let headers = headers.concat();
            let answer =
                client.ask(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{count}: {answer}");
        }
        let mut client = server.connect().await;
        let headers = "X: 1\r\n".repeat(64);
        let answer = client.ask(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        assert!(answer.contains("limits.headers"), "{answer}");
        assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
    })
    .await;
}

#[tokio::test]
async fn a_huge_head_is_answered_431_and_a_long_url_414() {
    on_each_way(patient(), async |server| {
        let mut client = server.connect().await;
        let huge = "x".repeat(1 << 20);
        client.send_some(&format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: {huge}\r\n\r\n")).await;
        assert!(client.rest().await.starts_with("HTTP/1.1 431 "));
        let mut client = server.connect().await;
        let long = "x".repeat(9 << 10);
        let answer = client.ask(&format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
        assert!(client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ends_with("hello"));
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_is_answered_408() {
    on_each_way(patient(), async |server| {
        let mut client = server.connect().await;
        client.send(&format!("{POST}Content-Length: 10\r\n\r\n{{\"a")).await;
        assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_while_it_is_still_being_sent() {
    on_each_way(patient(), async |server| {
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
    })
    .await;
}

#[tokio::test]
async fn bodies_of_other_types_are_answered_415() {
    on_each_way(patient(), async |server| {
        let mut client = server.connect().await;
        let start = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n";
        for headers in [
            "",
            "Content-Type: text/plain\r\n",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        ] {
            let answer = client.ask(&format!("{start}{headers}\r\n{{}}")).await;
            assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
        }
        assert!(
            client.ask(&format!("{start}Content-Type: application/json\r\n\r\n{{}}")).await.ends_with("{}")
        );
    })
    .await;
}

#[tokio::test]
async fn chunks_win_over_a_length_and_nothing_is_smuggled() {
    on_each_way(patient(), async |server| {
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
    })
    .await;
}

#[tokio::test]
async fn a_malformed_head_is_answered_400() {
    on_each_way(patient(), async |server| {
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
    })
    .await;
}

#[tokio::test]
async fn exactly_one_host_and_a_known_one() {
    on_each_way(patient(), async |server| {
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
    })
    .await;
}

#[tokio::test]
async fn a_request_knows_both_ends_of_its_connection() {
    let server = TestServer::start(Way::Tcp, patient()).await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let ends = format!("{:?} {:?}", Some(stream.local_addr().unwrap()), Some(server.address));
    let mut client = Client::over(Box::new(stream));
    let answer = client.ask("GET /ends HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.ends_with(&ends), "{answer}");
}

#[tokio::test]
async fn a_request_knows_whom_its_certificate_names() {
    let server = TestServer::start(Way::Tls, patient()).await;
    let who = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for name in ["alice", "bob"] {
        let pair = server.authority.client(name);
        let answer = server.connect_as(&pair).await.ask(who).await;
        let fingerprint = Sha256::digest(pair.der());
        let digits: String =
            fingerprint.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert!(answer.ends_with(&format!("{name} {digits}")), "{answer}");
    }
    assert!(server.connect().await.ask(who).await.ends_with("nobody"));
}

#[tokio::test]
async fn connections_over_the_limit_are_told_and_later_ones_are_served_again() {
    let server = TestServer::start(Way::Tcp, ConnectionSettings { connections: 8, ..patient() }).await;
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
    on_each_way(patient(), async |server| {
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
        server.ended().await;
    })
    .await;
}

#[tokio::test]
async fn cutting_ends_what_will_not_end() {
    on_each_way(patient(), async |server| {
        let mut busy = server.connect().await;
        busy.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        busy.until("\r\n\r\n").await;
        let mut slow = server.connect().await;
        slow.send("GET /hel").await;
        server.stop.drain.cancel();
        server.stop.cut.cancel();
        server.ended().await;
        busy.rest().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_ended() {
    on_each_way(quick(), async |server| {
        let mut client = server.connect().await;
        client.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        server.stop.drain.cancel();
        server.ended().await;
    })
    .await;
}

#[tokio::test]
async fn what_two_readers_could_take_for_different_requests_is_refused_and_the_connection_ended() {
    on_each_way(patient(), async |server| {
        let smuggled = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for (what, head, body) in [
            ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "[]"),
            ("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            ("a coding before", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            ("a coding twice", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            ("a coding behind", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            ("an unknown coding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            ("space before the colon", "Content-Length : 2\r\n", "[]"),
            ("space before the name", " Content-Length: 2\r\n", "[]"),
            ("a folded line", "X-Folded: a\r\n Content-Length: 2\r\n", "[]"),
            ("a bare CR", "X: a\rContent-Length: 2\r\n", "[]"),
            ("a NUL", "X: a\0b\r\nContent-Length: 2\r\n", "[]"),
            ("a size that is none", "Transfer-Encoding: chunked\r\n", "2;x\n[]\r\n0x\r\n\r\n"),
            ("a size beyond numbers", "Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n[]"),
            ("a signed size", "Transfer-Encoding: chunked\r\n", "-2\r\n[]\r\n0\r\n\r\n"),
            ("a chunk longer than its size", "Transfer-Encoding: chunked\r\n", "1\r\n[]\r\n0\r\n\r\n"),
        ] {
            let mut client = server.connect().await;
            client.send_some(&format!("{POST}{head}\r\n{body}{smuggled}")).await;
            let answer = client.rest().await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(matches!(status, "" | "400" | "501"), "{what}: {answer}");
            assert!(
                answer.matches("HTTP/1.1").count() <= 1 && !answer.ends_with("hello"),
                "{what}: {answer}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_said_about_a_chunk_has_an_end() {
    on_each_way(patient(), async |server| {
        let mut client = server.connect().await;
        let endless = "x".repeat(1 << 20);
        client
            .send_some(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n2;{endless}\r\n[]\r\n0\r\n\r\n"))
            .await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let mut client = server.connect().await;
        let trailers = "X: y\r\n".repeat(10_000);
        client.send_some(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n")).await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_body_shorter_than_it_says_is_no_request() {
    on_each_way(patient(), async |server| {
        let mut client = server.connect().await;
        client.send(&format!("{POST}Content-Length: 10\r\n\r\n[1]")).await;
        client.hang_up().await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.ends_with("[1]"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn five_hundred_slow_connections_are_ended_and_a_good_clients_calls_go_on() {
    raise_descriptor_limit();
    let settings =
        ConnectionSettings { connections: 1000, head_timeout: Duration::from_secs(2), ..patient() };
    for way in [Way::Tcp, Way::Tls] {
        let server = TestServer::start(way, settings.clone()).await;
        let mut good = server.connect().await;
        let mut slow = Vec::new();
        for number in 0..500 {
            // Of TLS, half are handshakes that do not end.
            let mut client = if way == Way::Tls && number % 2 == 0 {
                Client::over(server.unready().await)
            } else {
                server.connect().await
            };
            let bytes: &[u8] = match number % 6 {
                0 | 1 => b"",
                2 if way == Way::Tls => &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
                4 if way == Way::Tls => &[22],
                3 => b"POST /echo HTTP/1.1\r\nHost: loc",
                _ => b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[",
            };
            let _ = client.try_send(bytes).await;
            slow.push(client);
            if number % 10 == 0 {
                let answer = good.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                assert!(answer.ends_with("hello"), "{answer}");
            }
        }
        for client in slow {
            let mut client = client;
            client.end().await;
        }
        let answer = good.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

/// Both ends of every connection are in this process; many systems give it 1024 descriptors at first.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
}

const POST: &str = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
