//! JSON-RPC messages: the envelope is read, params and results stay the bytes they were.

use super::line::flatten;
use super::meta::{is_alike, span};
use super::scan::{Fault, MAX_DEPTH, Scanner};
use bytes::Bytes;
use bytestring::ByteString;
use std::fmt;
use std::ops::Range;

/// One JSON-RPC message, on one line, with the places of what the router looks at.
#[derive(Clone)]
pub struct Message {
    raw: ByteString,
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
    /// Its messages, in order.
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }

    /// Reads the body of a POST, or a line. Containers may be nested `depth_limit` deep.
    pub fn parse(raw: &Bytes, depth_limit: usize) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(raw, depth_limit);
        let told = |fault| tell(fault, depth_limit);
        if scanner.peek().map_err(told)? != b'[' {
            return envelope(raw.clone(), scanner, depth_limit).map(Self::One);
        }
        let mut items = Vec::new();
        scanner.array(|item| items.push(item)).and_then(|()| scanner.end()).map_err(told)?;
        if items.is_empty() {
            return Err(Malformed::NotJsonRpc { what: "the batch is empty", id: None });
        }
        let message = |item| {
            let raw = raw.slice(item);
            envelope(raw.clone(), Scanner::new(&raw, depth_limit), depth_limit)
        };
        items.into_iter().map(message).collect::<Result<_, _>>().map(Self::Batch)
    }
}

impl Message {
    /// Reads one message; an array is refused.
    pub fn parse(raw: &Bytes, depth_limit: usize) -> Result<Self, Malformed> {
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
        envelope(raw.clone(), Scanner::new(&raw, MAX_DEPTH), MAX_DEPTH)
    }

    /// The whole message; it has no line break.
    pub fn raw(&self) -> &Bytes {
        self.raw.as_bytes()
    }

    /// The same as text.
    pub fn text(&self) -> &str {
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

    /// The code of an error; none if it is no error, or has no code that can be read.
    pub fn error_code(&self) -> Option<i64> {
        super::meta::find(self.body(), &["code"]).filter(|_| self.kind == Kind::Error)?.parse().ok()
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
        let mut replacements = Vec::with_capacity(2);
        if !self.id.is_empty() {
            replacements.push((self.id.start as usize..self.id.end as usize, id));
        }
        if let Some((old, new)) = part {
            replacements.push((span(&self.raw, old), new));
        }
        replacements.sort_by_key(|(span, _)| span.start);
        super::meta::splice(&self.raw, &replacements).into()
    }

    /// The message with what is written in place of `part`, a slice of [`body`](Self::body). It is not read again: the body must
    /// stay what it was, an object or another value. `more`: bytes that are written, about.
    #[must_use]
    pub fn rewritten(&self, part: &str, more: usize, write: impl FnOnce(&mut String)) -> Self {
        let place = span(&self.raw, part);
        let mut text = String::with_capacity(self.raw.len() + more);
        text.push_str(&self.raw[..place.start]);
        write(&mut text);
        let end = text.len();
        text.push_str(&self.raw[place.end..]);
        let moved = |at: u32| match at as usize {
            behind if behind >= place.end => u32::try_from(behind - place.end + end).unwrap_or(u32::MAX),
            _ => at,
        };
        let moved = |span: &Range<u32>| moved(span.start)..moved(span.end);
        let method = match &self.method {
            Method::Plain(span) => Method::Plain(moved(span)),
            other => other.clone(),
        };
        Self { raw: text.into(), kind: self.kind, id: moved(&self.id), method, body: moved(&self.body) }
    }

    fn slice(&self, span: &Range<u32>) -> &str {
        // Spans begin and end at ASCII characters.
        &self.raw[span.start as usize..span.end as usize]
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

fn tell(fault: Fault, limit: usize) -> Malformed {
    match fault {
        Fault::TooDeep => Malformed::TooDeep { limit },
        Fault::Unexpected(_) | Fault::Cut => Malformed::NotJson(fault.to_string()),
    }
}

/// The fields of an envelope, as they stand in the text; what is absent is empty.
#[derive(Default)]
struct Fields {
    jsonrpc: Range<usize>,
    id: Range<usize>,
    method: Range<usize>,
    params: Range<usize>,
    result: Range<usize>,
    error: Range<usize>,
    twice: bool,
    /// A key is one of these for a parser that minds no case.
    alike: bool,
}

impl Fields {
    fn read(raw: &[u8], scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        let mut fields = Self::default();
        scanner.object(|key, value| {
            let place = match &raw[key.start + 1..key.end - 1] {
                name if name.contains(&b'\\') => match serde_json::from_slice::<String>(&raw[key.clone()]) {
                    Ok(name) => fields.place(name.as_bytes()),
                    Err(_) => None,
                },
                name => fields.place(name),
            };
            match place {
                Some(place) => {
                    let twice = !Range::is_empty(place);
                    *place = value;
                    fields.twice |= twice;
                }
                None => fields.alike |= is_alike_to_any(&raw[key]),
            }
        })?;
        scanner.end()?;
        Ok(fields)
    }

    fn place(&mut self, name: &[u8]) -> Option<&mut Range<usize>> {
        match name {
            b"jsonrpc" => Some(&mut self.jsonrpc),
            b"id" => Some(&mut self.id),
            b"method" => Some(&mut self.method),
            b"params" => Some(&mut self.params),
            b"result" => Some(&mut self.result),
            b"error" => Some(&mut self.error),
            _ => None,
        }
    }

    /// What kind of message it is, and where its params, result or error stand.
    fn kind(&self, raw: &[u8]) -> Result<(Kind, Range<usize>), &'static str> {
        // Some serializers write what is absent as null; only a result may be null and be there.
        let has = |place: &Range<usize>| !place.is_empty() && raw.get(place.clone()) != Some(b"null");
        let params = if has(&self.params) { self.params.clone() } else { 0..0 };
        let null_id = &raw[self.id.clone()] == b"null";
        let (has_id, has_result) = (!self.id.is_empty(), !self.result.is_empty());
        match (
            has(&self.method),
            has_id,
            has_result && (has(&self.result) || !has(&self.error)),
            has(&self.error),
        ) {
            (true, true, false, false) if null_id => Err("the id of a request must not be null"),
            (true, true, false, false) => Ok((Kind::Request, params)),
            (true, false, false, false) => Ok((Kind::Notification, params)),
            (false, true, true, false) => Ok((Kind::Result, self.result.clone())),
            (false, _, false, true) => Ok((Kind::Error, self.error.clone())),
            (false, true, false, false) => Err("it has neither \"method\" nor \"result\" nor \"error\""),
            _ => Err("it must be a request, a notification or a response"),
        }
    }
}

/// Whether the server may take a key, as it is written, for a field of the envelope that this is not: it would read another
/// message than was looked at.
fn is_alike_to_any(written: &[u8]) -> bool {
    const FIELDS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
    std::str::from_utf8(written).is_ok_and(|written| FIELDS.iter().any(|field| is_alike(written, field)))
}

fn envelope(raw: Bytes, mut scanner: Scanner<'_>, depth_limit: usize) -> Result<Message, Malformed> {
    if scanner.peek().map_err(|fault| tell(fault, depth_limit))? != b'{' {
        // The whole text must still be valid JSON for the client to be told the right thing.
        scanner.value().and_then(|_| scanner.end()).map_err(|fault| tell(fault, depth_limit))?;
        return Err(Malformed::NotJsonRpc { what: "it must be an object", id: None });
    }
    let fields = Fields::read(&raw, &mut scanner).map_err(|fault| tell(fault, depth_limit))?;
    // Nothing moves: a space takes the place of each line break.
    let raw = if scanner.has_line_breaks() { flatten(&raw) } else { raw };
    let text = ByteString::try_from(raw.clone()).map_err(|_| Malformed::NotJson("it is not UTF-8".into()))?;
    let id = &raw[fields.id.clone()];
    if matches!(id.first(), Some(b'{' | b'[' | b't' | b'f')) {
        return Err(Malformed::NotJsonRpc { what: "\"id\" must be a string or a number", id: None });
    }
    let fault = |what| {
        let id = std::str::from_utf8(id).ok().filter(|id| !id.is_empty() && *id != "null");
        Malformed::NotJsonRpc { what, id: id.map(Into::into) }
    };
    if fields.twice {
        return Err(fault("a field of the envelope stands twice"));
    }
    if fields.alike {
        return Err(fault("a field of the envelope is written with other letters: they are all small"));
    }
    if &raw[fields.jsonrpc.clone()] != b"\"2.0\"" {
        return Err(fault("\"jsonrpc\" must be \"2.0\""));
    }
    let (kind, body) = fields.kind(&raw).map_err(fault)?;
    let asks = matches!(kind, Kind::Request | Kind::Notification);
    if asks && !body.is_empty() && !matches!(raw[body.start], b'{' | b'[') {
        return Err(fault("\"params\" must be an object"));
    }
    let method = method(&raw, fields.method.clone()).ok_or_else(|| fault("\"method\" must be a string"))?;
    // Limits keep messages far below 4 GiB; one beyond is refused here rather than cut.
    match (narrow(&fields.id), narrow(&body)) {
        (Some(id), Some(body)) => Ok(Message { raw: text, kind, id, method, body }),
        _ => Err(fault("it is larger than 4 GiB")),
    }
}

fn method(raw: &Bytes, span: Range<usize>) -> Option<Method> {
    if span.is_empty() {
        return Some(Method::None);
    }
    let inside = raw[span.clone()].strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inside.contains(&b'\\') {
        return serde_json::from_slice(&raw[span]).ok().map(Method::Decoded);
    }
    narrow(&(span.start + 1..span.end - 1)).map(Method::Plain)
}

fn narrow(span: &Range<usize>) -> Option<Range<u32>> {
    Some(u32::try_from(span.start).ok()?..u32::try_from(span.end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Message, Malformed> {
        Message::parse(&Bytes::copy_from_slice(text.as_bytes()), 128)
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
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#, Kind::Result, Some("1"), "", "{}"),
            (r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{}}"#, Kind::Error, Some("1"), "", "{}"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
                Kind::Request,
                Some("1"),
                "ping",
                "",
            ),
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
            (r#"{"jsonrpc":"2.0","id":7,"method":"x","Method":"y"}"#, Some("7"), "other letters"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{},"PARAMS":{}}"#, Some("7"), "other letters"),
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
        let Payload::Batch(items) = Payload::parse(&raw, 8).unwrap() else { panic!("no batch") };
        assert_eq!(items[0].raw(), &br#"{"jsonrpc":"2.0","id":1,"method":"a"}"#[..]);
        assert_eq!(items[1].method(), "b");
    }

    #[test]
    fn line_breaks_between_tokens_become_blanks_and_inside_strings_are_refused() {
        let message = parse("{\"jsonrpc\":\r\n\"2.0\",\n\"id\":1,\"method\":\"a\"}").unwrap();
        assert_eq!(message.raw(), &b"{\"jsonrpc\":  \"2.0\", \"id\":1,\"method\":\"a\"}"[..]);
        for text in [
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\nb\",\"method\":\"c\"}",
            "[{\"jsonrpc\":\"2.0\",\"method\":\"a\rb\"}]",
        ] {
            assert!(matches!(parse(text), Err(Malformed::NotJson(_))), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Payload::parse(&Bytes::from(bytes), 8);
        }

        #[test]
        fn another_id_changes_nothing_else(id in "[0-9]{1,9}|\"[a-zé\\\\n]{0,8}\"", new in 0u64.., text in ".{0,20}") {
            let params = serde_json::json!({ "text": text });
            let line = format!(r#"{{"params":{params},"id" : {id},"jsonrpc":"2.0","method":"m"}}"#);
            let Ok(message) = Message::parse(&Bytes::from(line.clone()), 8) else { return Ok(()) };
            let changed = Message::own(message.with_id(&new.to_string())).unwrap();
            prop_assert_eq!(changed.id(), Some(&*new.to_string()));
            prop_assert_eq!(changed.body(), message.body());
            prop_assert_eq!(changed.with_id(message.id().unwrap()), Bytes::from(line));
            let part = &message.body()[1..message.body().len() - 1];
            let changed = message.rewritten(part, 5, |text| text.push_str("\"n\":1"));
            let read = Message::own(changed.raw().clone()).unwrap();
            prop_assert_eq!((changed.id(), changed.method(), changed.body()), (read.id(), read.method(), r#"{"n":1}"#));
            let back = changed.rewritten(&changed.body()[1..6], 0, |text| text.push_str(part));
            prop_assert_eq!(back.raw(), message.raw());
        }
    }
}
