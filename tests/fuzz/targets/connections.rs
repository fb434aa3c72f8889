//! The accept loop: whatever comes on a few connections, each is answered or closed within its deadlines, and the next
//! good client is served.

use super::choice::Choice;
use super::oracle;
use super::parts;
use super::served::{DEADLINE, INITIALIZE, Served, assert_well};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

static SERVED: LazyLock<Served> = LazyLock::new(|| Served::start(Some(IDLE)));

/// Sessions that inputs have opened end after this, so that there is room for others.
const IDLE: Duration = Duration::from_secs(3);

/// All deadlines of the router one after the other, and much time for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands for the id of a session in an input.
const SESSION: &[u8] = b"$SESSION";

/// What stands for more bytes than a head, a body or a target may have.
const MANY: &[u8] = b"$MANY";

/// What begins a part whose client does not hang up when it has sent everything.
const STAYS: u8 = b'~';

/// The parts are what is sent on a connection each.
pub fn run(data: &[u8]) {
    let served = &*SERVED;
    let mut choice = Choice::of(data);
    served.runtime.block_on(async {
        let session = open(served).await;
        let connections = parts(data).take(4).map(|part| {
            let (stays, part) = part.strip_prefix(&[STAYS]).map_or((false, part), |part| (true, part));
            let sent = replace(&replace(part, SESSION, session.as_bytes()), MANY, &[b'x'; 9000]);
            let pieces = choice.pieces(&sent).into_iter().map(<[u8]>::to_vec).collect();
            connection(served, pieces, stays)
        });
        let answers = futures::future::join_all(connections).await;
        for (answer, sent) in answers.iter().zip(parts(data)) {
            is_http(answer, sent);
        }
        close(served, &session).await;
        a_good_client_is_served(served).await;
    });
    assert_well();
}

/// Sends the pieces; what comes until the router closes the connection, or begins a stream that it leaves open.
async fn connection(served: &Served, pieces: Vec<Vec<u8>>, stays: bool) -> Vec<u8> {
    let stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        for piece in pieces {
            // It may have closed the connection before.
            if write.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if !stays {
            // What was asked may be answered first.
            sleep(Duration::from_millis(5)).await;
            let _ = write.shutdown().await;
        }
        write
    };
    let answer = async {
        let (mut answer, mut piece) = (Vec::new(), vec![0; 16 << 10]);
        while let Ok(count @ 1..) = read.read(&mut piece).await {
            answer.extend_from_slice(&piece[..count]);
            if memchr::memmem::find(&answer, b"text/event-stream").is_some() {
                break;
            }
        }
        answer
    };
    let both = async { tokio::join!(sending, answer).1 };
    timeout(PATIENCE, both).await.unwrap_or_else(|_| panic!("it is still open, long after {DEADLINE:?}"))
}

/// What was answered first is a response of HTTP/1 that says no worse than that the request is bad.
fn is_http(answer: &[u8], sent: &[u8]) {
    let answer = answer.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(answer);
    if answer.is_empty() || sent.starts_with(b"PRI") || sent.starts_with(b"~PRI") {
        return;
    }
    let end = memchr::memmem::find(answer, b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {}", answer.escape_ascii()));
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
    let status: u16 = status.and_then(|text| text[..3].parse().ok()).unwrap_or_else(|| panic!("{head}"));
    assert!((200..=599).contains(&status) && status != 500, "{head}");
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let length = field("content-length").and_then(|value| value.parse::<usize>().ok());
    let body = &answer[end + 4..];
    // The answer to HEAD has a length and no body.
    let whole = length.filter(|length| *length > 0 && body.len() >= *length && !body.starts_with(b"HTTP/1."));
    if let (Some(length), Some("application/json")) = (whole, field("content-type")) {
        assert!(oracle::parse(&body[..length], 100).is_ok(), "{}", body.escape_ascii());
    }
}

fn replace(text: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for found in memchr::memmem::find_iter(text, name) {
        out.extend_from_slice(&text[at..found]);
        out.extend_from_slice(value);
        at = found + name.len();
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// A good client opens a session.
async fn open(served: &Served) -> String {
    for _ in 0..40 {
        let answer = good(served, "POST", "", INITIALIZE).await;
        // Sessions that others have opened end when they are idle.
        if answer.starts_with("HTTP/1.1 503 ") {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let id = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        return id.expect("it gives an id").to_owned();
    }
    panic!("no session can be had");
}

/// It opens a session, asks something in it, and closes it.
async fn a_good_client_is_served(served: &Served) {
    for _ in 0..5 {
        let session = open(served).await;
        let answer = good(served, "POST", &session, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await;
        close(served, &session).await;
        // On a busy machine it may be so late that its session was idle for too long; then it begins again.
        if !answer.starts_with("HTTP/1.1 404 ") {
            return assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
    panic!("no session lasts until the next request");
}

async fn close(served: &Served, session: &str) {
    let answer = good(served, "DELETE", session, "").await;
    // It may have ended before: by time, or because somebody else has used it.
    assert!(answer.starts_with("HTTP/1.1 204 ") || answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

async fn good(served: &Served, method: &str, session: &str, body: &str) -> String {
    let session = if session.is_empty() { String::new() } else { format!("Mcp-Session-Id: {session}\r\n") };
    let request = format!(
        "{method} /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{session}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answered = async {
        loop {
            // On a busy machine even a good client may come too late for such short deadlines.
            match exchanged(served, request.as_bytes()).await {
                Ok(answer) if !answer.is_empty() && !answer.starts_with("HTTP/1.1 408 ") => return answer,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("a good client is answered")
}

async fn exchanged(served: &Served, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(served.address).await?;
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
