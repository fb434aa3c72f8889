//! Looking into params and results without building them: the raw text that stands at a path.

use super::scan::{MAX_DEPTH, Scanner};
use memchr::{memchr, memchr2_iter, memmem};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

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

/// The string that the member `key` of an object is, if there is no other that some parser would take for it: where a key
/// stands twice they differ, and those of Go do not mind its case. `key` is in small letters, `json` a part of a message, which
/// is known to be JSON.
pub fn only_string<'a>(json: &'a str, key: &str) -> Option<Cow<'a, str>> {
    if let Some(plain) = first_and_only_string(json, key) {
        return Some(plain.into());
    }
    let text = only(json, key)?;
    // Only what has escapes is written anew.
    let plain = serde_json::from_str::<&str>(text).map(Cow::Borrowed);
    plain.or_else(|_| serde_json::from_str(text).map(Cow::Owned)).ok()
}

/// The same where it is easily seen, as in nearly every call of a tool: it is the first member, there are only plain
/// letters, and no other string is like its key.
fn first_and_only_string<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let rest = json.strip_prefix("{\"")?.strip_prefix(key)?.strip_prefix("\":\"")?;
    let end = memchr(b'"', rest.as_bytes())?;
    let (string, rest) = (&rest[..end], &rest.as_bytes()[end + 1..]);
    if !json.is_ascii() || memchr(b'\\', string.as_bytes()).is_some() {
        return None;
    }
    for at in memchr2_iter(b'"', b'\\', rest) {
        let alike = rest.get(at + 1..at + 1 + key.len());
        // Whatever is a key is behind one of these quotes.
        if rest[at] == b'\\' || alike.is_some_and(|alike| alike.eq_ignore_ascii_case(key.as_bytes())) {
            return None;
        }
    }
    Some(string)
}

/// The same for a member of any kind, as raw text.
pub fn only<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let mut scanner = Scanner::new(json.as_bytes(), MAX_DEPTH);
    let (mut found, mut count) = (None, 0);
    let read = scanner.object(|name, value| {
        if is_alike(&json[name.clone()], key) {
            count += 1;
            found = is_key(&json[name], key).then(|| &json[value]);
        }
    });
    read.ok()?;
    found.filter(|_| count == 1)
}

/// Whether a key, as it is written with its quotes, is this one for a parser that minds no case; `key` is in small letters.
pub fn is_alike(written: &str, key: &str) -> bool {
    let inside = &written[1..written.len() - 1];
    if inside.is_ascii() && memchr(b'\\', inside.as_bytes()).is_none() {
        return inside.eq_ignore_ascii_case(key);
    }
    let read = serde_json::from_str::<String>(written);
    // Two letters beyond ASCII are small ones of it to whoever folds cases.
    let folded = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    read.is_ok_and(|read| read.chars().map(folded).eq(key.chars()))
}

/// The `_meta.progressToken` of a request's params, or nothing.
pub fn progress_token(params: &str) -> Option<&str> {
    // The name is searched for first: most requests have no token, and then nothing is parsed. It may be written with
    // escapes, though.
    static NAME: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b"\"progressToken\""));
    if NAME.find(params.as_bytes()).is_none() && memchr(b'\\', params.as_bytes()).is_none() {
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
    // Read as leniently as messages are: what is refused here would be looked for by the server all the same.
    let mut scanner = Scanner::new(object.as_bytes(), MAX_DEPTH);
    let mut found = None;
    scanner
        .object(|name, value| {
            if is_key(&object[name], key) {
                found = Some(&object[value]);
            }
        })
        .ok()?;
    found
}

/// Whether a key, as it is written, is this one. One that is half a surrogate pair is none that anybody asks for.
fn is_key(written: &str, key: &str) -> bool {
    let inside = &written[1..written.len() - 1];
    inside == key
        || (memchr(b'\\', inside.as_bytes()).is_some()
            && serde_json::from_str::<String>(written).is_ok_and(|written| written == key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_key_that_is_no_text_hides_none_of_the_others() {
        let params = r#"{"\ud800":1,"a":"\udfff","n\u0061me":"x","_meta":{"\ud83d":{},"progressToken":7}}"#;
        assert_eq!(find_string(params, &["name"]).as_deref(), Some("x"));
        assert_eq!(progress_token(params), Some("7"));
        assert_eq!(find(params, &["a"]), Some(r#""\udfff""#));
    }

    #[test]
    fn a_string_that_another_parser_might_read_elsewhere_is_none() {
        assert_eq!(only_string(r#"{"a":1,"n\u0061me":"x"}"#, "name").as_deref(), Some("x"));
        for unclear in [
            r#"{"name":"x","name":"y"}"#,
            r#"{"name":"x","Name":"y"}"#,
            r#"{"NAME":"y","name":"x"}"#,
            r#"{"name":"x","n\u0041me":"y"}"#,
            r#"{"Name":"x"}"#,
            r#"{"name":"\ud800"}"#,
            r#"{"name":7}"#,
            "{}",
            "[]",
            "",
        ] {
            assert_eq!(only_string(unclear, "name"), None, "{unclear}");
        }
        assert!(is_alike("\"param\u{17f}\"", "params"));
    }

    proptest! {
        #[test]
        fn the_short_way_to_a_string_finds_nothing_that_the_long_one_does_not(
            json in r#"\{"name":"[a-zé\\"]{0,3}"(,"(name|Name|n.me|\\u006eame|é|x)":(1|"name"|"x"|"\\""|\{"name":1\})){0,2}\}"#
        ) {
            prop_assume!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok());
            if let Some(short) = first_and_only_string(&json, "name") {
                let long = serde_json::from_str::<String>(only(&json, "name").unwrap()).unwrap();
                prop_assert_eq!(short, long);
            }
        }
    }

    #[test]
    fn a_plain_call_goes_the_short_way() {
        assert_eq!(first_and_only_string(r#"{"name":"x","arguments":{"text":"y"}}"#, "name"), Some("x"));
        for long in [
            r#"{"a":1,"name":"x"}"#,
            r#"{"name":"x","Name":"y"}"#,
            r#"{"name":"x","n\u0061me":"y"}"#,
            r#"{"name":1}"#,
        ] {
            assert_eq!(first_and_only_string(long, "name"), None, "{long}");
        }
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
