//! What a request says about types: of the answers that it takes, and of its body.

use std::cmp::Reverse;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};

use super::refusal::Refusal;
use crate::session::Form;

/// The kinds of answer that a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// One `application/json` body.
    pub json: bool,
    /// A `text/event-stream`.
    pub events: bool,
}

impl Accepted {
    /// The form in which a POST may be answered.
    pub fn form(self) -> Form {
        match (self.json, self.events) {
            (_, false) => Form::Json,
            (false, true) => Form::Events,
            (true, true) => Form::Either,
        }
    }
}

/// Reads `Accept`. Missing and `*/*` take both, `application/*` takes JSON, `q=0` takes a type away;
/// of several ranges the most specific one decides, as RFC 9110 says.
pub fn accepted(headers: &HeaderMap) -> Accepted {
    let mut json = Preference::default();
    let mut events = Preference::default();
    let mut present = false;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parameters = range.split(';');
            let name = parameters.next().unwrap_or_default().trim();
            if name.is_empty() {
                continue;
            }
            present = true;
            let wanted = !parameters.any(refuses);
            if name.eq_ignore_ascii_case("application/json") {
                json.state(Specificity::Type, wanted);
            } else if name.eq_ignore_ascii_case("text/event-stream") {
                events.state(Specificity::Type, wanted);
            } else if name.eq_ignore_ascii_case("application/*") {
                json.state(Specificity::Family, wanted);
            } else if name.eq_ignore_ascii_case("text/*") {
                events.state(Specificity::Family, wanted);
            } else if name == "*/*" {
                json.state(Specificity::Everything, wanted);
                events.state(Specificity::Everything, wanted);
            }
        }
    }
    if present {
        Accepted { json: json.wanted, events: events.wanted }
    } else {
        Accepted { json: true, events: true }
    }
}

/// Whether a page is wanted rather than JSON, as only browsers do: `text/html` is named, and JSON is not, or for less.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let mut html = None;
    let mut json = None;
    let ranges =
        headers.get_all(ACCEPT).iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    for (place, range) in ranges.enumerate() {
        let mut parameters = range.split(';');
        let name = parameters.next().unwrap_or_default().trim();
        let wish = if name.eq_ignore_ascii_case("text/html") {
            &mut html
        } else if name.eq_ignore_ascii_case("application/json") {
            &mut json
        } else {
            continue;
        };
        let weight = parameters.find_map(weight).unwrap_or(1000);
        // What is named first is meant first.
        *wish = (*wish).max(Some((weight, Reverse(place))));
    }
    html.is_some_and(|(weight, _)| weight > 0) && html > json
}

/// The weight that a parameter gives, in thousandths; one that cannot be read is none at all.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths = format!("{whole}{part:0<3}");
    let is_weight = whole.len() == 1 && part.len() <= 3;
    Some(thousandths.parse().ok().filter(|weight| is_weight && *weight <= 1000).unwrap_or(0))
}

/// The body is JSON, and not compressed.
///
/// # Errors
/// [`Refusal::NotJson`] for another `Content-Type`, none, or several; [`Refusal::Encoded`] for any
/// `Content-Encoding` but `identity`.
pub fn json_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let json = types.next().is_some_and(|value| {
        let bytes = value.as_bytes();
        let end = memchr::memchr(b';', bytes).unwrap_or(bytes.len());
        bytes[..end].trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !json || types.next().is_some() {
        return Err(Refusal::NotJson);
    }
    let plain = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) { Ok(()) } else { Err(Refusal::Encoded) }
}

/// What the most specific range so far says about one type.
#[derive(Default)]
struct Preference {
    specificity: Option<Specificity>,
    wanted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Everything,
    Family,
    Type,
}

impl Preference {
    fn state(&mut self, specificity: Specificity, wanted: bool) {
        match self.specificity {
            Some(known) if known > specificity => {}
            // Among equals one that wants it is enough: ranges may differ in parameters.
            Some(known) if known == specificity => self.wanted |= wanted,
            _ => *self = Self { specificity: Some(specificity), wanted },
        }
    }
}

/// `q=0`, `q=0.0`, ...: not acceptable.
fn refuses(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim();
    name.trim().eq_ignore_ascii_case("q")
        && value.starts_with('0')
        && value.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn accept_is_read() {
        for (values, json, events) in [
            (&[][..], true, true),
            (&[""][..], true, true),
            (&["*/*"][..], true, true),
            (&["application/json, text/event-stream"][..], true, true),
            (&["text/event-stream", "application/json"][..], true, true),
            (&["application/json"][..], true, false),
            (&["Application/JSON; charset=utf-8"][..], true, false),
            (&["application/*"][..], true, false),
            (&["text/event-stream"][..], false, true),
            (&["text/html"][..], false, false),
            (&["text/html, */*;q=0.1"][..], true, true),
            (&["application/json;q=0, */*"][..], false, true),
            (&["*/*, text/event-stream; Q=0.000"][..], true, false),
            (&["application/json;q=0.5"][..], true, false),
            (&["*/*;q=0"][..], false, false),
            (&["application/json-seq, xtext/event-stream"][..], false, false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(accepted(&headers), Accepted { json, events }, "{values:?}");
        }
    }

    #[test]
    fn a_page_is_for_whoever_names_html_and_wants_json_less() {
        for (values, expected) in [
            (&[][..], false),
            (&["*/*"][..], false),
            (&["text/*"][..], false),
            (&["application/json"][..], false),
            (&["text/html"][..], true),
            (&["Text/HTML; charset=utf-8"][..], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"][..], true),
            (&["text/html, application/json"][..], true),
            (&["application/json, text/html"][..], false),
            (&["application/json", "text/html"][..], false),
            (&["application/json;q=0.9, text/html"][..], true),
            (&["application/json, text/html;q=0.9"][..], false),
            (&["text/html;q=0"][..], false),
            (&["text/html;q=0.000"][..], false),
            (&["text/html;q=0.001"][..], true),
            (&["text/html;q=9"][..], false),
            (&["text/html;q=much"][..], false),
            (&["xtext/html, text/htmlx"][..], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(prefers_html(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn only_plain_json_is_read() {
        for (types, encodings, expected) in [
            (&["application/json"][..], &[][..], Ok(())),
            (&["Application/JSON ; charset=UTF-8"][..], &["Identity"][..], Ok(())),
            (&[][..], &[][..], Err(Refusal::NotJson)),
            (&["text/plain"][..], &[][..], Err(Refusal::NotJson)),
            (&["application/json-patch+json"][..], &[][..], Err(Refusal::NotJson)),
            (&["application/json", "text/plain"][..], &[][..], Err(Refusal::NotJson)),
            (&["application/json"][..], &["gzip"][..], Err(Refusal::Encoded)),
            (&["application/json"][..], &["identity", "br"][..], Err(Refusal::Encoded)),
        ] {
            let mut headers = HeaderMap::new();
            for value in types {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            for value in encodings {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(json_body(&headers), expected, "{types:?} {encodings:?}");
        }
    }
}
