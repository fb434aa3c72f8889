//! JSON-RPC messages: the envelope is read, params and results stay the bytes they were.

use super::depth;
use super::line::flatten;
use super::meta::span;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// One JSON-RPC message, on one line, with the places of what the router looks at.
#[derive(Clone)]
pub struct Message {
    raw: Bytes,
    kind: Kind,
    id: Range<u32>,
    method: Method,
    body: Range<u32>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has a method and an id: it wants an answer.
    Request,
    /// It has a method and no id.
    Notification,
    /// The answer to a request that succeeded.
    Result,
    /// The answer to a request that failed.
    Error,
}

/// The body of a POST, or a line: one message, or the batch of 2025-03-26.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A single message.
    One(Message),
    /// The messages of an array, at least one.
    Batch(Vec<Message>),
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No JSON at all (-32700).
    #[error("the message is not valid JSON: {0}")]
    NotJson(String),
    /// JSON, but no JSON-RPC 2.0 message (-32600).
    #[error("not a JSON-RPC 2.0 message: {what}")]
    NotJsonRpc {
        /// What is missing or wrong.
        what: &'static str,
        /// The id to answer with, as it was written, where one could be read.
        id: Option<Box<str>>,
    },
    /// Nested deeper than the limit (-31006).
    #[error("the message is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, the outermost container counting as 1.
        limit: usize,
    },
}

#[derive(Clone)]
enum Method {
    None,
    Plain(Range<u32>),
    /// It was written with escapes.
    Decoded(Box<str>),
}

impl Payload {
    /// Reads the body of a POST, or a line.
    pub fn parse(raw: Bytes, depth_limit: usize) -> Result<Self, Malformed> {
        if depth::exceeds(&raw, depth_limit) {
            return Err(Malformed::TooDeep { limit: depth_limit });
        }
        let raw = flatten(raw);
        let text = text(&raw)?;
        if !text.trim_ascii_start().starts_with('[') {
            return envelope(&raw, text).map(Self::One);
        }
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|e| Malformed::NotJson(e.to_string()))?;
        if items.is_empty() {
            return Err(Malformed::NotJsonRpc { what: "the batch is empty", id: None });
        }
        let item = |item: &&RawValue| envelope(&raw.slice_ref(item.get().as_bytes()), item.get());
        items.iter().map(item).collect::<Result<_, _>>().map(Self::Batch)
    }
}

impl Message {
    /// Reads one message; an array is refused.
    pub fn parse(raw: Bytes, depth_limit: usize) -> Result<Self, Malformed> {
        match Payload::parse(raw, depth_limit)? {
            Payload::One(message) => Ok(message),
            Payload::Batch(_) => {
                Err(Malformed::NotJsonRpc { what: "a batch, where one message is wanted", id: None })
            }
        }
    }

    /// A message that the router itself has written.
    ///
    /// # Errors
    /// Only if `line` is no message, which is an error of the router's own.
    pub fn own(line: impl Into<Bytes>) -> Result<Self, Malformed> {
        let raw = line.into();
        envelope(&raw, text(&raw)?)
    }

    /// The whole message; it has no line break.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id as it was written: `1`, `1.0` and `"1"` differ. None for a notification.
    pub fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then(|| self.slice(&self.id))
    }

    /// The method; empty for an answer.
    pub fn method(&self) -> &str {
        match &self.method {
            Method::None => "",
            Method::Plain(span) => self.slice(span),
            Method::Decoded(text) => text,
        }
    }

    /// The raw params of a request or notification, the raw result or error of an answer; empty if none.
    pub fn body(&self) -> &str {
        self.slice(&self.body)
    }

    /// Whether it is an answer, of either kind.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, Kind::Result | Kind::Error)
    }

    /// The bytes of the message with another id, everything else to the letter.
    pub fn with_id(&self, id: &str) -> Bytes {
        self.spliced(id, None)
    }

    /// The bytes of the message with another id (if it has one) and another text in place of `part`, a slice of [`body`](Self::body).
    pub fn spliced(&self, id: &str, part: Option<(&str, &str)>) -> Bytes {
        let text = self.slice(&(0..u32::try_from(self.raw.len()).unwrap_or(u32::MAX)));
        let mut replacements = Vec::with_capacity(2);
        if !self.id.is_empty() {
            replacements.push((self.id.start as usize..self.id.end as usize, id));
        }
        if let Some((old, new)) = part {
            replacements.push((span(text, old), new));
        }
        replacements.sort_by_key(|(span, _)| span.start);
        super::meta::splice(text, &replacements).into()
    }

    fn slice(&self, span: &Range<u32>) -> &str {
        // The whole was checked to be UTF-8, and spans begin and end at ASCII characters.
        std::str::from_utf8(&self.raw[span.start as usize..span.end as usize]).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.raw))
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

fn text(raw: &Bytes) -> Result<&str, Malformed> {
    std::str::from_utf8(raw).map_err(|_| Malformed::NotJson("it is not UTF-8".into()))
}

fn envelope(raw: &Bytes, text: &str) -> Result<Message, Malformed> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => not_json_rpc(text),
        _ => Malformed::NotJson(error.to_string()),
    })?;
    let id = fields.id.map(RawValue::get);
    let fault = |what| Malformed::NotJsonRpc { what, id: id.filter(|id| *id != "null").map(Into::into) };
    if fields.twice {
        return Err(fault("a field of the envelope stands twice"));
    }
    if fields.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(fault("\"jsonrpc\" must be \"2.0\""));
    }
    if id.is_some_and(|id| matches!(id.as_bytes()[0], b'{' | b'[' | b't' | b'f')) {
        return Err(Malformed::NotJsonRpc { what: "\"id\" must be a string or a number", id: None });
    }
    let at = |part: &str| {
        let span = span(text, part);
        // Limits keep messages far below 4 GiB; one beyond is refused here rather than cut.
        Some(u32::try_from(span.start).ok()?..u32::try_from(span.end).ok()?)
    };
    let place =
        |part: Option<&str>| part.map_or(Some(0..0), at).ok_or_else(|| fault("it is larger than 4 GiB"));
    let (kind, body) = match (fields.method, id, fields.result, fields.error) {
        (Some(_), Some("null"), None, None) => return Err(fault("the id of a request must not be null")),
        (Some(_), Some(_), None, None) => (Kind::Request, fields.params),
        (Some(_), None, None, None) => (Kind::Notification, fields.params),
        (None, Some(_), Some(result), None) => (Kind::Result, Some(result)),
        (None, Some(_), None, Some(error)) => (Kind::Error, Some(error)),
        (None, None, None, Some(error)) => (Kind::Error, Some(error)),
        (None, Some(_), None, None) => {
            return Err(fault("it has neither \"method\" nor \"result\" nor \"error\""));
        }
        _ => return Err(fault("it must be a request, a notification or a response")),
    };
    let body = body.map(RawValue::get);
    if matches!(kind, Kind::Request | Kind::Notification)
        && body.is_some_and(|body| !body.starts_with(['{', '[']))
    {
        return Err(fault("\"params\" must be an object"));
    }
    Ok(Message {
        raw: raw.clone(),
        kind,
        id: place(id)?,
        method: method(fields.method, &at).ok_or_else(|| fault("\"method\" must be a string"))?,
        body: place(body)?,
    })
}

fn method(raw: Option<&RawValue>, at: &impl Fn(&str) -> Option<Range<u32>>) -> Option<Method> {
    let Some(raw) = raw.map(RawValue::get) else { return Some(Method::None) };
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(raw).ok().map(Method::Decoded);
    }
    at(inside).map(Method::Plain)
}

fn not_json_rpc(text: &str) -> Malformed {
    // The whole text must still be valid JSON for the client to be told the right thing.
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Malformed::NotJsonRpc { what: "it must be an object", id: None },
        Err(error) => Malformed::NotJson(error.to_string()),
    }
}

/// The fields of an envelope. Written by hand, for `Option<&RawValue>` reads `"result": null` as absent.
#[derive(Default)]
struct Fields<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    twice: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Envelope;
        impl<'de> Visitor<'de> for Envelope {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON-RPC message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(field) = map.next_key()? {
                    let place = match field {
                        Field::Jsonrpc => &mut fields.jsonrpc,
                        Field::Id => &mut fields.id,
                        Field::Method => &mut fields.method,
                        Field::Params => &mut fields.params,
                        Field::Result => &mut fields.result,
                        Field::Error => &mut fields.error,
                        Field::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    fields.twice |= place.replace(map.next_value()?).is_some();
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Message, Malformed> {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), 128)
    }

    #[test]
    fn each_kind_is_told_apart() {
        let table = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Kind::Request, Some("1"), "ping", ""),
            (
                r#"{"method":"a\/b","params":{"x":1},"jsonrpc":"2.0"}"#,
                Kind::Notification,
                None,
                "a/b",
                r#"{"x":1}"#,
            ),
            (r#"{"result":null,"jsonrpc":"2.0","id":"a"}"#, Kind::Result, Some(r#""a""#), "", "null"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Kind::Error, Some("null"), "", "{}"),
            (r#"{"jsonrpc":"2.0","error":{}}"#, Kind::Error, None, "", "{}"),
        ];
        for (text, kind, id, method, body) in table {
            let message = parse(text).unwrap();
            let read = (message.kind(), message.id(), message.method(), message.body());
            assert_eq!(read, (kind, id, method, body), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_the_id_is_kept() {
        let table = [
            (r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, Some("7"), "jsonrpc"),
            (r#"{"jsonrpc":"2.0","id":7}"#, Some("7"), "neither"),
            (r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"x"}"#, Some("8"), "twice"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, None, "id"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, None, "null"),
            (r#"{"jsonrpc":"2.0","id":7,"method":7}"#, Some("7"), "method"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"x","params":1}"#, Some("7"), "params"),
            (r#"{"jsonrpc":"2.0","id":7,"result":1,"error":{}}"#, Some("7"), "request"),
            ("[]", None, "empty"),
            ("7", None, "object"),
        ];
        for (text, id, word) in table {
            match parse(text) {
                Err(Malformed::NotJsonRpc { what, id: found }) => {
                    assert_eq!(found.as_deref(), id, "{text}");
                    assert!(what.contains(word), "{text}: {what}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["", "{", "{\"a\":}", "nonsense", "{} {}", "\u{feff}{}"] {
            assert!(matches!(parse(text), Err(Malformed::NotJson(_))), "{text}");
        }
    }

    #[test]
    fn what_other_parsers_lose_goes_through() {
        let text = r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"result":{"a":1e400,"s":"\ud800","a":1.10}}"#;
        let message = parse(text).unwrap();
        assert_eq!(message.id(), Some("123456789012345678901234567890"));
        assert_eq!(message.raw(), text.as_bytes());
        assert_eq!(message.body(), r#"{"a":1e400,"s":"\ud800","a":1.10}"#);
    }

    #[test]
    fn a_batch_is_cut_into_its_messages() {
        let raw = Bytes::from_static(
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"},\n {\"jsonrpc\":\"2.0\",\"method\":\"b\"}]",
        );
        let Payload::Batch(items) = Payload::parse(raw, 8).unwrap() else { panic!("no batch") };
        assert_eq!(items[0].raw(), &br#"{"jsonrpc":"2.0","id":1,"method":"a"}"#[..]);
        assert_eq!(items[1].method(), "b");
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Payload::parse(Bytes::from(bytes), 8);
        }

        #[test]
        fn another_id_changes_nothing_else(id in "[0-9]{1,9}|\"[a-zé\\\\n]{0,8}\"", new in 0u64.., text in ".{0,20}") {
            let params = serde_json::json!({ "text": text });
            let line = format!(r#"{{"params":{params},"id" : {id},"jsonrpc":"2.0","method":"m"}}"#);
            let Ok(message) = Message::parse(Bytes::from(line.clone()), 8) else { return Ok(()) };
            let changed = Message::own(message.with_id(&new.to_string())).unwrap();
            prop_assert_eq!(changed.id(), Some(&*new.to_string()));
            prop_assert_eq!(changed.body(), message.body());
            prop_assert_eq!(changed.with_id(message.id().unwrap()), Bytes::from(line));
        }
    }
}
