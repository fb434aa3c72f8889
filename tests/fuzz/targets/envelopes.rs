//! Envelopes: what is read of a message is what stands in it, to the letter, and rewriting an id or a progress token
//! changes nothing else.

use super::choice::Choice;
use super::oracle::{self, Json, Value};
use bytes::Bytes;
use mcp_switchboard::wire::claim::{self, Claim, PROTOCOL_VERSION};
use mcp_switchboard::wire::line::flatten;
use mcp_switchboard::wire::meta::{LONGEST_URI, find, progress_token, uri};
use mcp_switchboard::wire::object::{self, Object};
use mcp_switchboard::wire::{Kind, Malformed, Message, Payload};
use serde::de::IgnoredAny;

pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let limit = choice.among(&[4, 20, 128]);
    if let Ok(text) = std::str::from_utf8(data) {
        members(text, &mut choice);
    }
    let payload = match Payload::parse(&Bytes::copy_from_slice(data), limit) {
        Ok(payload) => payload,
        Err(error) => return refused(data, &error),
    };
    let text = std::str::from_utf8(data).expect("what is accepted is UTF-8");
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "what is accepted is JSON");
    let tree = oracle::parse(data, limit).expect("what is accepted is JSON, and not too deep");
    match &payload {
        Payload::One(message) => {
            assert_eq!(message.raw(), &flatten(data));
            accepted(message, &tree, &mut choice);
        }
        Payload::Batch(messages) => {
            assert_eq!(messages.len(), tree.items().len());
            for (message, tree) in messages.iter().zip(tree.items()) {
                assert_eq!(message.raw(), &flatten(tree.text));
                accepted(message, tree, &mut choice);
            }
        }
    }
}

/// The id that a refusal answers is that of the message, and one that may be answered.
fn refused(data: &[u8], error: &Malformed) {
    let Malformed::NotJsonRpc { id: Some(id), .. } = error else { return };
    assert!(data.windows(id.len()).any(|window| window == id.as_bytes()), "{id} stands nowhere");
    let tree = oracle::parse(id.as_bytes(), 0).expect("an id is JSON");
    assert!(matches!(tree.value, Value::String(_) | Value::Number), "{id}");
}

fn accepted(message: &Message, tree: &Json<'_>, choice: &mut Choice) {
    assert!(!message.raw().iter().any(|byte| matches!(byte, b'\r' | b'\n')));
    let text = |name: &str| {
        let flat = |json: &Json<'_>| String::from_utf8(flatten(json.text).to_vec()).expect("it is UTF-8");
        tree.member(name).map(flat)
    };
    assert_eq!(message.id().map(str::to_owned), text("id"));
    let method = tree.member("method").filter(|method| !method.is_null());
    assert_eq!(
        message.method(),
        method.map(|method| method.string().expect("it is Unicode")).unwrap_or_default()
    );
    let (asks, body) = match message.kind() {
        Kind::Request | Kind::Notification => (true, text("params")),
        Kind::Result => (false, text("result")),
        Kind::Error => (false, text("error")),
    };
    assert_eq!(method.is_some(), asks);
    assert_eq!(message.is_answer(), !asks);
    let body = body.filter(|body| !asks || body != "null").unwrap_or_default();
    assert_eq!(message.body(), body);
    same_to_serde(message);
    rewritten(message, choice);
    if asks && !body.is_empty() {
        looked_into(&body);
    }
}

/// What a parser that knows nothing of this makes of the message is what we make of it, where it can read it at all:
/// it wants whole surrogate pairs, and numbers that a float can hold.
fn same_to_serde(message: &Message) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(message.raw()) else { return };
    let read =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("it is a part of what was read");
    assert_eq!(message.id().map(read).as_ref(), value.get("id"));
    assert_eq!(value.get("jsonrpc"), Some(&"2.0".into()));
    let member = match message.kind() {
        Kind::Request | Kind::Notification => "params",
        Kind::Result => "result",
        Kind::Error => "error",
    };
    match message.body() {
        "" => assert!(value.get(member).is_none_or(serde_json::Value::is_null)),
        body => assert_eq!(Some(&read(body)), value.get(member)),
    }
}

fn rewritten(message: &Message, choice: &mut Choice) {
    let new = choice.among(&["0", "1234567890", "\"a\"", "\"\\u0022\"", "-1.5e3"]);
    let changed = Message::own(message.with_id(new)).expect("it is a message with another id");
    assert_eq!(changed.id(), message.id().map(|_| new));
    same(message, &changed);
    assert_eq!(changed.body(), message.body());
    if let Some(id) = message.id() {
        assert_eq!(&changed.with_id(id), message.raw(), "and back");
    }
    let Some(token) = progress_token(message.body()).filter(|_| !message.is_answer()) else { return };
    let spliced =
        Message::own(message.spliced(new, Some((token, "77")))).expect("it is a message with another token");
    same(message, &spliced);
    let new_token = progress_token(spliced.body()).expect("it has a token");
    assert_eq!(new_token, "77");
    let back = spliced.spliced(message.id().unwrap_or_default(), Some((new_token, token)));
    assert_eq!(&back, message.raw(), "and back");
}

fn same(one: &Message, other: &Message) {
    assert_eq!((one.kind(), one.method()), (other.kind(), other.method()));
}

/// What is found in params is what stands there.
fn looked_into(params: &str) {
    let tree = oracle::parse(params.as_bytes(), usize::MAX).expect("it is a part of what was read");
    let meta = tree.member("_meta");
    let in_meta = |name: &str| meta.and_then(|meta| meta.member(name)).map(Json::text);
    assert_eq!(progress_token(params), in_meta("progressToken"));
    assert_eq!(find(params, &["_meta", PROTOCOL_VERSION]), in_meta(PROTOCOL_VERSION));
    assert_eq!(claim::is_claimed(params), in_meta(PROTOCOL_VERSION).is_some());
    assert_eq!(claim::claimed(params).is_some(), in_meta(PROTOCOL_VERSION).is_some());
    if Claim::read(params).is_ok() {
        assert_eq!(claim::claimed(params).as_deref(), Some("2026-07-28"));
    }
    let named = tree.member("uri").and_then(Json::string).filter(|uri| uri.len() <= LONGEST_URI);
    assert_eq!(uri(params).map(|uri| serde_json::from_str(&uri).expect("it is a string")), named);
}

/// An object's members are read, changed and taken out one by one; the others stay as they are written.
fn members(text: &str, choice: &mut Choice) {
    let tree = oracle::parse(text.as_bytes(), mcp_switchboard::wire::scan::MAX_DEPTH);
    let Ok(tree) = tree else {
        return assert!(Object::read(text).is_none() && object::items(text).is_none());
    };
    let items: Vec<_> = tree.items().iter().map(Json::text).collect();
    assert_eq!(object::items(text), matches!(tree.value, Value::Array(_)).then_some(items.clone()));
    if !items.is_empty() {
        assert_eq!(object::items(&object::array(items.iter())), Some(items));
    }
    let Some(object) = Object::read(text) else { return assert!(!tree.is_object()) };
    let written = |tree: &Json<'_>| -> Vec<(String, String)> {
        let pair = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        tree.members().iter().map(|member| (pair(member.written), pair(member.value.text))).collect()
    };
    let reread =
        |json: &str, check: &dyn Fn(&Json<'_>)| check(&oracle::parse(json.as_bytes(), 2000).expect("JSON"));
    reread(&object.to_json(), &|again| assert_eq!(written(again), written(&tree)));
    let keys: Vec<String> =
        tree.members().iter().filter_map(|member| String::from_utf16(&member.key).ok()).collect();
    // A backslash in a key that is asked for may meet half a surrogate pair that is kept as it is written.
    let plain: Vec<&str> = keys.iter().map(String::as_str).filter(|key| !key.contains('\\')).collect();
    for key in &plain {
        assert_eq!(object.get(key), tree.member(key).map(Json::text), "{key}");
    }
    let key = if plain.is_empty() { "new" } else { choice.among(&plain) };
    let others = |tree: &Json<'_>| -> Vec<(String, String)> {
        let units: Vec<u16> = key.encode_utf16().collect();
        let pairs = written(tree).into_iter().zip(tree.members());
        pairs.filter(|(_, member)| member.key != units).map(|(pair, _)| pair).collect()
    };
    let mut changed = object.clone();
    changed.set(key, "[0]");
    assert_eq!(changed.get(key), Some("[0]"));
    reread(&changed.to_json(), &|again| {
        assert_eq!(others(again), others(&tree));
        assert_eq!(again.members().len(), others(&tree).len() + 1);
    });
    let removed = changed.remove(key).map(std::borrow::Cow::into_owned);
    assert_eq!((removed.as_deref(), changed.get(key)), (Some("[0]"), None));
    reread(&changed.to_json(), &|again| assert_eq!(written(again), others(&tree)));
}
