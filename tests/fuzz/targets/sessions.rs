//! Session ids: no text finds a session but the id itself, at its own mount, and to look for one costs no memory.

use super::choice::Choice;
use super::served::{Served, assert_well};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use std::sync::LazyLock;
use tower_service::Service;

/// A router with three sessions, and their ids.
static SERVED: LazyLock<(Served, Vec<String>)> = LazyLock::new(|| {
    let served = Served::start(None);
    let ids = (0..3).map(|_| served.open()).collect();
    (served, ids)
});

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

pub fn run(data: &[u8]) {
    let (served, ids) = &*SERVED;
    let mut choice = Choice::of(data);
    let text = String::from_utf8_lossy(data);
    let id = &ids[choice.below(ids.len())];
    let all = candidates(&text, id, &mut choice);
    let mount = served.mount();
    for candidate in &all {
        let mut found = false;
        let cost = allocation_counter::measure(|| found = mount.client(candidate).is_some());
        assert_eq!(found, ids.contains(candidate), "{candidate:?}");
        assert_eq!(cost.count_total, 0, "to look for {} bytes", candidate.len());
    }
    let candidate = &all[choice.below(all.len())];
    asked(served, candidate, ids.contains(candidate), &mut choice);
    assert!(ids.iter().all(|id| mount.client(id).is_some()), "who asks for others ends none");
    assert_well();
}

/// Texts that are nearly an id, or not at all.
fn candidates(text: &str, id: &str, choice: &mut Choice) -> Vec<String> {
    let at = choice.below(id.len());
    let letter = text.chars().next().unwrap_or('\0');
    vec![
        text.to_owned(),
        text.replace("$SESSION", id),
        format!("{id}{text}"),
        format!("{text}{id}"),
        id[..at].to_owned(),
        id[at..].to_owned(),
        format!("{}{letter}{}", &id[..at], &id[at + 1..]),
        id.to_ascii_uppercase(),
        format!(" {id}"),
        text.repeat(1 + (10 << 10) / text.len().max(1)),
        id.repeat(300),
        id.to_owned(),
    ]
}

/// The same over HTTP, in each place where an id may stand.
fn asked(served: &Served, candidate: &str, known: bool, choice: &mut Choice) {
    let method = [Method::POST, Method::GET, Method::DELETE][choice.below(3)].clone();
    let path = choice.among(&["/mcp", "/views/other/mcp", "/messages", "/views/other/messages"]);
    if known && path == "/mcp" {
        return;
    }
    let mut request = Request::builder().method(method).header("host", "localhost");
    request = request.header("content-type", "application/json").header("accept", "*/*");
    if path.ends_with("mcp") {
        let Ok(value) = HeaderValue::from_str(candidate) else { return };
        request = request.uri(path).header("mcp-session-id", value);
    } else {
        let key = choice.among(&["session_id", "sessionId"]);
        request = request.uri(format!("{path}/?{key}={candidate}")).method(Method::POST);
    }
    let Ok(request) = request.body(Full::new(Bytes::from_static(PING.as_bytes()))) else { return };
    let response = served.runtime.block_on(served.router.service().call(request)).expect("it always answers");
    // No text at all is as good as no id.
    let refused = [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&response.status());
    assert!(refused, "{candidate:?} at {path}: {}", response.status());
}
