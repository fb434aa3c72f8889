//! JSON in one way of writing, whatever the order of its members and the spaces in it: for digests, and for files that people
//! compare.
//!
//! Numbers keep their digits, and a key that stands twice is kept twice: what differs for any reader is not the same text.

use super::object::{Object, items};
use serde_json::Value;
use std::borrow::Cow;

/// The text on one line, without a space.
pub fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    write(json, None, &mut text);
    text
}

/// The text with a line for each member and item, two spaces deeper at each level.
pub fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(2 * json.len());
    write(json, Some(0), &mut text);
    text
}

/// Writes a value; `depth`: how deep it stands, where each member has its line.
fn write(json: &str, depth: Option<usize>, text: &mut String) {
    let json = json.trim_ascii();
    match json.as_bytes().first() {
        Some(b'{') => {
            let Some(object) = Object::read(json) else { return text.push_str(json) };
            let mut members: Vec<_> = object.members().collect();
            // Of those with the same key the order stays: which one counts is not the same for every reader.
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            let member = |(key, value): (Cow<'_, str>, &str), depth: Option<usize>, text: &mut String| {
                text.push_str(&Value::from(&*key).to_string());
                text.push_str(if depth.is_some() { ": " } else { ":" });
                write(value, depth, text);
            };
            listed(('{', '}'), members, depth, text, member);
        }
        Some(b'[') => {
            let Some(items) = items(json) else { return text.push_str(json) };
            listed(('[', ']'), items, depth, text, write);
        }
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(string) => text.push_str(&Value::from(string).to_string()),
            // Half a surrogate pair is no text, and stays as it is written.
            Err(_) => text.push_str(json),
        },
        _ => text.push_str(json),
    }
}

fn listed<T>(
    (open, close): (char, char),
    things: Vec<T>,
    depth: Option<usize>,
    text: &mut String,
    one: impl Fn(T, Option<usize>, &mut String),
) {
    let inside = depth.map(|depth| depth + 1);
    let line = |depth: Option<usize>, text: &mut String| {
        if let Some(depth) = depth {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        }
    };
    text.push(open);
    let is_empty = things.is_empty();
    for (at, thing) in things.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        line(inside, text);
        one(thing, inside, text);
    }
    if !is_empty {
        line(depth, text);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_order_spaces_and_escapes_make_no_difference() {
        let one = r#"{ "b" : [ 1.0, {"y":"\u0061\/","x":[]} ], "a":{}, "\u0063": 12345678901234567890123 }"#;
        let other = r#"{"c":12345678901234567890123,"a":{},"b":[1.0,{"x":[],"y":"a/"}]}"#;
        assert_eq!(compact(one), compact(other));
        assert_eq!(compact(one), r#"{"a":{},"b":[1.0,{"x":[],"y":"a/"}],"c":12345678901234567890123}"#);
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            ("1", "1.0"),
            (r#"{"a":1}"#, r#"{"a":1,"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#""a""#, r#""A""#),
            ("null", "{}"),
        ] {
            assert_ne!(compact(one), compact(other));
        }
    }

    #[test]
    fn a_person_can_read_it() {
        let text = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x\"\n}";
        assert_eq!(pretty(r#"{"b":"x","a":[1,{}]}"#), text);
        assert_eq!(compact(text), r#"{"a":[1,{}],"b":"x"}"#);
    }

    proptest! {
        #[test]
        fn any_text_is_written_and_what_is_canonical_stays(text in ".{0,60}") {
            let once = compact(&text);
            prop_assert_eq!(compact(&once), once.clone());
            pretty(&text);
        }
    }
}
