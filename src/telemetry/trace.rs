//! Which trace a request belongs to, and what its server is told of that.

use super::Carried;
use super::request::{hex, hex_digits, unlike_any};
use crate::wire::Message;
use crate::wire::meta::{find, span, splice};
use memchr::{memchr, memmem};
use serde_json::Value;
use std::sync::LazyLock;

/// Which of the traces that begin here are kept: so many of 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

/// The trace of a request, and its own span in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    span: u64,
    parent: Option<u64>,
    sampled: bool,
    state: Option<Box<str>>,
    baggage: Option<Box<str>>,
    /// The request came without a `_meta`.
    is_bare: bool,
}

impl Share {
    /// From 0, none, to 1, all.
    pub fn of(share: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share is from 0 to 1, and need not be exact"
        )]
        let most = (share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self(most)
    }

    fn keeps(self, trace: u128) -> bool {
        // As the SDKs do, so that all who see a trace decide alike: by the lower half of its id.
        let [_, lower] = halves(trace);
        lower >> 1 < self.0
    }
}

impl Trace {
    /// The trace of a request with these params, which came by a request of HTTP with that context: what the message says
    /// of itself goes before what its transport says.
    pub(super) fn of(params: &str, carried: Option<&Carried>, share: Share) -> Self {
        // What cannot be read says nothing.
        let is_bare = has_no_meta(params);
        let own = if is_bare { None } else { Carried::of_params(params) };
        let own = own.filter(|own| own.parent.is_some() || carried.is_none());
        let carried = own.as_ref().or(carried);
        let (state, baggage) =
            carried.map(|carried| (carried.state.clone(), carried.baggage.clone())).unwrap_or_default();
        let span = unlike_any().max(1);
        if let Some(parent) = carried.and_then(|carried| carried.parent) {
            let (id, sampled) = (parent.trace, parent.sampled);
            return Self { id, span, parent: Some(parent.span), sampled, state, baggage, is_bare };
        }
        let id = u128::from(unlike_any()) << 64 | u128::from(unlike_any().max(1));
        Self { id, span, parent: None, sampled: share.keeps(id), state, baggage, is_bare }
    }

    /// The id of the trace.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The same in 32 digits.
    pub fn id_text(&self) -> String {
        let mut text = String::with_capacity(32);
        self.write_id(&mut text);
        text
    }

    /// Writes that.
    pub fn write_id(&self, text: &mut String) {
        for half in halves(self.id) {
            text.push_str(hex(&hex_digits(half)));
        }
    }

    /// The request's own span.
    pub fn span(&self) -> u64 {
        self.span
    }

    /// The span in which it was asked.
    pub fn parent(&self) -> Option<u64> {
        self.parent
    }

    /// Whether it is kept.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The state of the trace's other systems, as it came.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The request as its server gets it: with the span of here as its parent, and to the letter otherwise. Nothing if there
    /// is no place for that.
    ///
    /// 2026-07-28, basic: `traceparent`, `tracestate` and `baggage` in `_meta` are what W3C Trace Context and Baggage say.
    pub fn told_with(&self, request: &Message) -> Option<Message> {
        let params = request.body();
        if params.is_empty() {
            let text = request.text();
            if memmem::find(text.as_bytes(), b"\"params\"").is_some() {
                // `null`, or another oddity: it stays as it is.
                return None;
            }
            let end = text.rfind('}')?;
            let mut params = ",\"params\":{\"_meta\":{".to_owned();
            self.write(&mut params, self.members());
            params.push_str("}}");
            return Message::own(splice(text, &[(end..end, &params)])).ok();
        }
        let meta = if self.is_bare { None } else { find(params, &["_meta"]) };
        if let Some(meta) = meta {
            let told = self.within(meta)?;
            return Some(request.rewritten(meta, told.len(), |text| text.push_str(&told)));
        }
        let (at, comma) = first_place(params)?;
        Some(request.rewritten(&params[at..at], self.length(), |text| {
            text.push_str("\"_meta\":{");
            self.write(text, self.members());
            text.extend(["}", comma]);
        }))
    }

    /// A `_meta` with the context of here in place of the one that it had.
    fn within(&self, meta: &str) -> Option<String> {
        let mut replaced = Vec::new();
        let mut missing = Vec::new();
        for key in self.members() {
            if let Some(old) = find(meta, &[key]) {
                let mut value = String::new();
                self.write_value(key, &mut value);
                replaced.push((span(meta, old), value));
            } else {
                missing.push(key);
            }
        }
        if let Some(old) = find(meta, &["tracestate"]).filter(|_| self.state.is_none()) {
            // It came with a parent that cannot be read, and is not of the trace that this is.
            replaced.push((span(meta, old), "\"\"".to_owned()));
        }
        replaced.sort_by_key(|(place, _)| place.start);
        let replaced: Vec<_> =
            replaced.iter().map(|(place, value)| (place.clone(), value.as_str())).collect();
        let kept = splice(meta, &replaced);
        if missing.is_empty() {
            return Some(kept);
        }
        let (at, comma) = first_place(&kept)?;
        let mut more = String::new();
        self.write(&mut more, missing.into_iter());
        more.push_str(comma);
        Some(splice(&kept, &[(at..at, &more)]))
    }

    /// Writes these members, as JSON.
    fn write(&self, text: &mut String, members: impl Iterator<Item = &'static str>) {
        let mut comma = "";
        for key in members {
            text.extend([comma, "\"", key, "\":"]);
            self.write_value(key, text);
            comma = ",";
        }
    }

    /// The members that there are.
    fn members(&self) -> impl Iterator<Item = &'static str> + use<> {
        let members = [
            ("traceparent", true),
            ("tracestate", self.state.is_some()),
            ("baggage", self.baggage.is_some()),
        ];
        members.into_iter().filter_map(|(key, is_there)| is_there.then_some(key))
    }

    fn write_value(&self, key: &str, text: &mut String) {
        let other = match key {
            "tracestate" => &self.state,
            "baggage" => &self.baggage,
            // It is ASCII.
            _ => return text.push_str(std::str::from_utf8(&self.traceparent()).unwrap_or_default()),
        };
        text.push_str(&Value::from(other.as_deref()).to_string());
    }

    /// The span of here as somebody's parent, in quotes.
    fn traceparent(&self) -> [u8; NOBODY.len()] {
        let mut text = *NOBODY;
        let [upper, lower] = halves(self.id);
        text[4..20].copy_from_slice(&hex_digits(upper));
        text[20..36].copy_from_slice(&hex_digits(lower));
        text[37..53].copy_from_slice(&hex_digits(self.span));
        text[55] = if self.sampled { b'1' } else { b'0' };
        text
    }

    /// Bytes of its members, about.
    fn length(&self) -> usize {
        let texts = [&self.state, &self.baggage].into_iter().flatten();
        texts.fold(88, |length, text| length + text.len() + 16)
    }
}

/// How a parent is written.
const NOBODY: &[u8; 57] = b"\"00-00000000000000000000000000000000-0000000000000000-00\"";

/// The upper and the lower half.
#[expect(clippy::cast_possible_truncation, reason = "that is what a half is")]
fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

/// Whether there is surely no `_meta`, however that would be written.
fn has_no_meta(params: &str) -> bool {
    static NAME: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\"_meta\""));
    NAME.find(params.as_bytes()).is_none() && memchr(b'\\', params.as_bytes()).is_none()
}

/// Where the first member of an object would stand, and what would come between it and the next one; nothing if it is none.
fn first_place(object: &str) -> Option<(usize, &'static str)> {
    let inside = object.strip_prefix('{')?;
    Some((1, if inside.trim_start().starts_with('}') { "" } else { "," }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried(parent: &str) -> Option<Carried> {
        Carried::read(|key| (key == "traceparent").then(|| parent.to_owned()))
    }

    fn trace(params: &str) -> Trace {
        Trace { span: 0xabc, ..Trace::of(params, None, Share::of(1.0)) }
    }

    fn told(line: &str) -> String {
        let request = Message::own(line.as_bytes().to_vec()).unwrap();
        let trace = Trace { id: 1, ..trace(request.body()) };
        let told = trace.told_with(&request).unwrap();
        assert_eq!(told.id(), request.id());
        String::from_utf8(told.raw().to_vec()).unwrap()
    }

    #[test]
    fn what_the_message_says_goes_before_what_its_transport_says() {
        let header = carried(PARENT);
        let other = PARENT.replace("4bf9", "1111");
        let params = format!(r#"{{"_meta":{{"traceparent":"{other}","tracestate":"a=1"}}}}"#);
        let own = Trace::of(&params, header.as_ref(), Share::of(0.0));
        assert_eq!(
            (own.id >> 112, own.parent, own.state()),
            (0x1111, Some(0x00f0_67aa_0ba9_02b7), Some("a=1"))
        );
        assert!(own.is_sampled(), "the parent has decided");
        let from_header = Trace::of("{}", header.as_ref(), Share::of(0.0));
        assert_eq!(from_header.id >> 112, 0x4bf9);
        let unread = Trace::of(r#"{"_meta":{"traceparent":"?"}}"#, header.as_ref(), Share::of(0.0));
        assert_eq!(unread.id >> 112, 0x4bf9, "what cannot be read hides nothing");
        let fresh = Trace::of("{}", None, Share::of(0.0));
        assert!(fresh.parent.is_none() && !fresh.is_sampled() && fresh.id != 0);
    }

    #[test]
    fn a_share_of_the_traces_is_kept() {
        let kept = |share| (0..1000).filter(|_| Trace::of("", None, Share::of(share)).is_sampled()).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 1000));
        assert!((150..350).contains(&kept(0.25)));
    }

    #[test]
    fn the_server_is_told_of_the_span_and_of_everything_else_to_the_letter() {
        let own = |sampled: &str| format!("\"traceparent\":\"00-{:032x}-{:016x}-{sampled}\"", 1, 0xabc);
        let context = own("01");
        for (line, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
                format!(r#"{{"jsonrpc":"2.0","id":1.0,"method":"ping","params":{{"_meta":{{{context}}}}}}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"m","params": { "n": 1e2 } }"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":"a","method":"m","params": {{"_meta":{{{context}}}, "n": 1e2 }} }}"#
                ),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#,
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{{context}}}}}}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":1.0},"n":1}}"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{{context},"progressToken":1.0}},"n":1}}}}"#
                ),
            ),
        ] {
            assert_eq!(told(line), expected);
        }
        let with = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{"x":1.0,"tracestate":"a=1","traceparent":"{}","baggage":"k=v"}}}}}}"#,
            PARENT.replace("-01", "-00")
        );
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{"x":1.0,"tracestate":"a=1",{},"baggage":"k=v"}}}}}}"#,
            own("00")
        );
        assert_eq!(told(&with), expected);
        let unread = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"?","tracestate":"a=1"}}}"#;
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{{context},"tracestate":""}}}}}}"#
        );
        assert_eq!(told(unread), expected);
    }

    #[test]
    fn where_there_is_no_place_for_it_a_request_stays_as_it_is() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":null}}"#,
        ] {
            let request = Message::own(line.as_bytes().to_vec()).unwrap();
            assert_eq!(trace(request.body()).told_with(&request), None, "{line}");
        }
    }
}
