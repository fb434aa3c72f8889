//! Looking into params and results without building them: the raw text that stands at a path.

use memchr::{memchr, memmem};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// The raw JSON text at `path` inside `json`, a path being the keys of objects within objects.
///
/// Where a key stands twice the last one counts, as in most parsers.
pub fn find<'a>(json: &'a str, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(json, |text, key| member(text, key))
}

/// The string at `path`, its escapes resolved.
pub fn find_string(json: &str, path: &[&str]) -> Option<String> {
    serde_json::from_str(find(json, path)?).ok()
}

/// The `_meta.progressToken` of a request's params, or nothing.
pub fn progress_token(params: &str) -> Option<&str> {
    // The name is searched for first: most requests have no token, and then nothing is parsed. It may be written with
    // escapes, though.
    if memmem::find(params.as_bytes(), b"\"progressToken\"").is_none()
        && memchr(b'\\', params.as_bytes()).is_none()
    {
        return None;
    }
    find(params, &["_meta", "progressToken"])
}

/// The `uri` of a request's params as a JSON string, written in one way whatever way it came; nothing if there is none
/// of reasonable length.
pub fn uri(params: &str) -> Option<Box<str>> {
    let uri = find_string(params, &["uri"]).filter(|uri| uri.len() <= LONGEST_URI)?;
    Some(serde_json::Value::from(uri).to_string().into())
}

/// Bytes of a URI that is remembered.
pub const LONGEST_URI: usize = 8 << 10;

/// Where `part`, a slice of `whole`, stands in it.
pub fn span(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// `text` with each span replaced; the spans must be in order and apart.
pub fn splice(text: &str, replacements: &[(Range<usize>, &str)]) -> String {
    let grown: usize = replacements.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + grown);
    let mut at = 0;
    for (span, new) in replacements {
        out.push_str(&text[at..span.start]);
        out.push_str(new);
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Member { key }).ok().flatten()
}

struct Member<'k> {
    key: &'k str,
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsKey(self.key))? {
            if is_it {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key in place, so that none is copied.
///
/// As bytes: half a surrogate pair in one key, which is no text, must not hide the others, for servers may well see them.
struct IsKey<'k>(&'k str);

impl<'de> serde::de::DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_the_text_to_the_letter() {
        let params =
            r#"{"name":"x","_meta":{"a":{"progressToken":0},"progress\u0054oken":1.0},"arguments":{}}"#;
        assert_eq!(find(params, &["_meta", "progressToken"]), Some("1.0"));
        assert_eq!(find(params, &["_meta", "a"]), Some(r#"{"progressToken":0}"#));
        assert_eq!(find(params, &["_meta", "nothing"]), None);
        assert_eq!(find("[1]", &["_meta"]), None);
        assert_eq!(find("null", &["_meta"]), None);
    }

    #[test]
    fn a_key_that_is_no_text_hides_no_other() {
        let params = r#"{"\ud800":{"\udfff":1},"_meta":{"\ud800":0,"progressToken":7,"\ud83d\ude00":8}}"#;
        assert_eq!(progress_token(params), Some("7"));
        assert_eq!(find(params, &["_meta", "😀"]), Some("8"));
    }

    #[test]
    fn the_last_of_two_counts() {
        assert_eq!(find(r#"{"a":1,"a":2}"#, &["a"]), Some("2"));
    }

    #[test]
    fn a_splice_changes_nothing_else() {
        let text = r#"{"id": 7, "params":{"_meta":{"progressToken":"t"}}}"#;
        let id = span(text, find(text, &["id"]).unwrap());
        let token = span(text, find(text, &["params", "_meta", "progressToken"]).unwrap());
        let out = splice(text, &[(id, "12345"), (token, "9")]);
        assert_eq!(out, r#"{"id": 12345, "params":{"_meta":{"progressToken":9}}}"#);
    }
}
