//! What the router's edge promises on HTTP/2: in the clear, over TLS, and by a unix socket.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

#[path = "support/pki.rs"]
mod pki;

#[path = "edge/server.rs"]
mod server;

#[path = "edge/frames.rs"]
mod frames;

use std::time::{Duration, Instant};

use bytes::Bytes;
use frames::{Frames, Kind, Seen, get, headers, literal};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_switchboard::http::connection::ConnectionSettings;
use server::{PATIENCE, TestServer, on_each_way, patient, quick};
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn http2_is_served_with_prior_knowledge_or_as_tls_agrees_on_it() {
    on_each_way(patient(), async |server| {
        let stream = server.stream(&["h2"]).await;
        let (client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let tasks = TaskTracker::new();
        let ended = tasks.spawn(connection);
        let ask = |path: &str, host: &str, body: &'static str| {
            let request = http::Request::post(format!("http://{host}{path}"))
                .header("content-type", "application/json");
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
    })
    .await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_whatever_else_it_sends() {
    on_each_way(quick(), async |server| {
        // Nothing; half a head; pings without end.
        for what in [None, Some(headers(1, 0, &get("/hello"))), Some(frames::ping())] {
            let mut client = Frames::open(&server, &[]).await;
            let begun = Instant::now();
            loop {
                if what
                    .as_ref()
                    .is_some_and(|bytes| bytes[3] == Kind::Ping as u8 || begun.elapsed().is_zero())
                {
                    let _ = client.try_send(what.as_deref().unwrap_or_default()).await;
                }
                if client.is_over(Duration::from_millis(10)).await {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "it is kept");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up_when_a_first_one_would_be() {
    on_each_way(ConnectionSettings { idle: PATIENCE * 2, ..quick() }, async |server| {
        let mut client = Frames::open(&server, &[]).await;
        client.send(&headers(1, 0, &get("/hello"))).await;
        client.ends().await;
    })
    .await;
}

#[tokio::test]
async fn streams_that_are_taken_back_at_once_end_their_connection_and_no_other() {
    on_each_way(patient(), async |server| {
        let mut client = Frames::open(&server, &[]).await;
        let mut flood = Vec::new();
        for stream in (1..20_000).step_by(2) {
            flood.extend(headers(stream, frames::END_HEADERS | frames::END_STREAM, &get("/hello")));
            flood.extend(frames::reset(stream));
        }
        let _ = client.try_send(&flood).await;
        let seen = client.ends().await;
        assert!(seen.goaway.is_some_and(|code| code == frames::CALM), "{seen:?}");
        is_well(&server).await;
    })
    .await;
}

#[tokio::test]
async fn a_head_in_pieces_without_end_ends_its_connection() {
    on_each_way(patient(), async |server| {
        let mut client = Frames::open(&server, &[]).await;
        client.send(&headers(1, 0, &get("/hello"))).await;
        let piece = frames::continuation(1, &literal(b"x-more", &[b'x'; 4000]));
        for _ in 0..2000 {
            if client.try_send(&piece).await.is_err() {
                break;
            }
        }
        client.ends().await;
        is_well(&server).await;
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_settings_and_pings_is_ended_with_the_time_for_a_request_and_hinders_nobody() {
    on_each_way(quick(), async |server| {
        let mut client = Frames::open(&server, &[]).await;
        let flood = [frames::settings(&[]), frames::ping()].concat().repeat(1000);
        let begun = Instant::now();
        // Its answers are not read.
        while tokio::time::timeout(PATIENCE, client.try_send(&flood)).await.expect("it is kept").is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it is kept");
        }
        is_well(&server).await;
    })
    .await;
}

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    on_each_way(patient(), async |server| {
        for (count, length) in [(65, 1), (40, 4000), (1000, 100)] {
            let mut client = Frames::open(&server, &[]).await;
            let more: Vec<u8> =
                (0..count).flat_map(|n| literal(format!("x-{n}").as_bytes(), &vec![b'x'; length])).collect();
            client.send_head(1, &[get("/hello"), more].concat()).await;
            let seen = client.answer().await;
            assert!(
                seen.status.as_deref() == Some("431") || seen.reset.is_some() || seen.goaway.is_some(),
                "{count} of {length}: {seen:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_and_the_others_served() {
    on_each_way(patient(), async |server| {
        let mut client = Frames::open(&server, &[]).await;
        let mut requests = Vec::new();
        for stream in (0..200).map(|n| n * 2 + 1) {
            requests.extend(headers(stream, frames::END_HEADERS | frames::END_STREAM, &get("/events")));
        }
        client.send(&requests).await;
        let refused = client.until(|seen| seen.resets >= 200 - 128).await;
        assert_eq!(refused.reset, Some(frames::REFUSED), "{refused:?}");
        is_well(&server).await;
    })
    .await;
}

#[tokio::test]
async fn who_asks_and_takes_nothing_of_the_answer_is_ended() {
    on_each_way(quick(), async |server| {
        for window in [0, 10] {
            // SETTINGS_INITIAL_WINDOW_SIZE
            let mut client = Frames::open(&server, &[(4, window)]).await;
            client.send(&headers(1, frames::END_HEADERS | frames::END_STREAM, &get("/flood"))).await;
            client.ends().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_stream_may_be_silent_for_long() {
    on_each_way(quick(), async |server| {
        let mut client = Frames::open(&server, &[]).await;
        client.send(&headers(1, frames::END_HEADERS | frames::END_STREAM, &get("/events"))).await;
        client.answer().await;
        for event in ["early", "late"] {
            tokio::time::sleep(quick().idle * 3).await;
            server.event(event).await;
            let seen = client.until(|seen| seen.data.contains(event)).await;
            assert!(seen.data.contains(event), "{seen:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn half_a_body_is_answered_408_and_one_that_belies_its_length_is_no_request() {
    on_each_way(patient(), async |server| {
        let post = |length: &str| {
            let host = literal(b":authority", b"localhost");
            let path = literal(b":path", b"/echo");
            let json = literal(b"content-type", b"application/json");
            [vec![0x83, 0x86], host, path, json, literal(b"content-length", length.as_bytes())].concat()
        };
        let mut client = Frames::open(&server, &[]).await;
        client.send(&headers(1, frames::END_HEADERS, &post("10"))).await;
        client.send(&frames::data(1, 0, b"[1")).await;
        let seen = client.answer().await;
        assert_eq!(seen.status.as_deref(), Some("408"), "{seen:?}");
        for (length, body) in [("10", "[1]"), ("2", "[1]")] {
            let mut client = Frames::open(&server, &[]).await;
            client.send(&headers(1, frames::END_HEADERS, &post(length))).await;
            client.send(&frames::data(1, frames::END_STREAM, body.as_bytes())).await;
            let seen = client.answer().await;
            assert!(
                seen.reset.is_some() || seen.goaway.is_some() || seen.status.as_deref() == Some("400"),
                "{length}: {seen:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn exactly_one_host_whatever_it_is_called() {
    on_each_way(patient(), async |server| {
        let base = [vec![0x82, 0x86], literal(b":path", b"/hello")].concat();
        for (hosts, status) in [
            (&[(":authority", "localhost")][..], "200"),
            (&[(":authority", "localhost"), ("host", "localhost")], "200"),
            (&[("host", "localhost")], "200"),
            (&[(":authority", "localhost"), ("host", "evil.com")], "400"),
            (&[(":authority", "evil.com"), ("host", "localhost")], "400"),
            (&[("host", "localhost"), ("host", "localhost")], "400"),
            (&[(":authority", "evil.com")], "403"),
            (&[(":authority", "localhost.evil.com")], "403"),
            (&[(":authority", "localhost"), ("origin", "null")], "403"),
            (&[], "400"),
        ] {
            let mut client = Frames::open(&server, &[]).await;
            let named = hosts.iter().flat_map(|(name, host)| literal(name.as_bytes(), host.as_bytes()));
            client.send_head(1, &base.iter().copied().chain(named).collect::<Vec<_>>()).await;
            let seen = client.answer().await;
            assert_eq!(seen.status.as_deref(), Some(status), "{hosts:?}: {seen:?}");
        }
        // What belongs to HTTP/1 alone is malformed here, and could be smuggled on from here.
        for (name, value) in [("transfer-encoding", "chunked"), ("connection", "close"), ("Upper", "case")] {
            let mut client = Frames::open(&server, &[]).await;
            let head = [get("/hello"), literal(name.as_bytes(), value.as_bytes())].concat();
            client.send_head(1, &head).await;
            let Seen { status, reset, goaway, .. } = client.answer().await;
            assert!(status.as_deref() != Some("200") && (reset.is_some() || goaway.is_some()), "{name}");
        }
    })
    .await;
}

/// Another client is served.
async fn is_well(server: &TestServer) {
    let mut client = server.connect().await;
    let answer = client.ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}
