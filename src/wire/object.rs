//! An object of which a few members are changed: what is not touched stays as it was written.

use super::scan::{MAX_DEPTH, Scanner};
use serde_json::Value;
use std::borrow::Cow;

/// The members of a JSON object, in order; values are raw JSON text.
///
/// A key that stands twice is kept twice; [`get`](Self::get) gives the last one, as most parsers do, and
/// [`set`](Self::set) and [`remove`](Self::remove) leave none of the others behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object<'a>(Vec<Member<'a>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member<'a> {
    /// The key as it is written, quotes included.
    written: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> Object<'a> {
    /// Reads an object; nothing if `json` is none.
    pub fn read(json: &'a str) -> Option<Self> {
        let mut members = Vec::new();
        let mut scanner = Scanner::new(json.as_bytes(), MAX_DEPTH);
        let read = scanner.object(|key, value| {
            let (written, value) = (Cow::Borrowed(&json[key]), Cow::Borrowed(&json[value]));
            members.push(Member { written, value });
        });
        read.and_then(|()| scanner.end()).ok()?;
        Some(Self(members))
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The raw value of a member.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|member| member.is(key)).map(|member| &*member.value)
    }

    /// The value of a member that is a string, its escapes resolved.
    pub fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// The keys, their escapes resolved, each with its raw value.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        self.0.iter().map(|member| (member.key(), &*member.value))
    }

    /// Gives a member a raw value, in its old place if it has one.
    pub fn set(&mut self, key: &str, value: impl Into<Cow<'a, str>>) {
        let place = self.0.iter().position(|member| member.is(key));
        let value = value.into();
        let Some(place) = place else {
            let written = Cow::Owned(Value::from(key).to_string());
            return self.0.push(Member { written, value });
        };
        self.0[place].value = value;
        let mut at = 0;
        self.0.retain(|member| {
            at += 1;
            at - 1 <= place || !member.is(key)
        });
    }

    /// Takes a member out; its raw value is returned.
    pub fn remove(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let mut removed = None;
        self.0.retain_mut(|member| {
            let is_it = member.is(key);
            if is_it {
                removed = Some(std::mem::take(&mut member.value));
            }
            !is_it
        });
        removed
    }

    /// Changes the members of a member that is an object, and makes one if there is none; an empty one is taken out.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut Object<'_>)) {
        let before = self.get(key).map(str::to_owned).unwrap_or_default();
        let mut inner = Object::read(&before).unwrap_or_default();
        change(&mut inner);
        if inner.is_empty() {
            self.remove(key);
        } else {
            let after = inner.to_json();
            self.set(key, after);
        }
    }

    /// The object as JSON text.
    pub fn to_json(&self) -> String {
        let length: usize = self.0.iter().map(|m| m.written.len() + m.value.len() + 2).sum();
        let mut json = String::with_capacity(length + 2);
        json.push('{');
        for (at, member) in self.0.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(&member.written);
            json.push(':');
            json.push_str(&member.value);
        }
        json.push('}');
        json
    }
}

impl Member<'_> {
    fn is(&self, key: &str) -> bool {
        let inside = &self.written[1..self.written.len() - 1];
        inside == key || (inside.contains('\\') && self.key() == key)
    }

    fn key(&self) -> Cow<'_, str> {
        let inside = &self.written[1..self.written.len() - 1];
        if inside.contains('\\') {
            // Half a surrogate pair is no key that anybody asks for; it is kept as it is written.
            return serde_json::from_str(&self.written).map_or(Cow::Borrowed(inside), Cow::Owned);
        }
        Cow::Borrowed(inside)
    }
}

/// The items of a JSON array as they are written; nothing if `json` is none.
pub fn items(json: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut scanner = Scanner::new(json.as_bytes(), MAX_DEPTH);
    scanner.array(|item| items.push(&json[item])).and_then(|()| scanner.end()).ok()?;
    Some(items)
}

/// An array of raw items.
pub fn array<'a>(items: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> String {
    let mut json = String::from("[");
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push_str(item.as_ref());
    }
    json.push(']');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_touched_stays_to_the_letter() {
        let mut object = Object::read(r#"{ "a" : 1.0, "b\u0062":"\ud800","c":[ 1 ] }"#).unwrap();
        object.set("a", "2");
        object.set("d", "{}");
        assert_eq!(object.to_json(), r#"{"a":2,"b\u0062":"\ud800","c":[ 1 ],"d":{}}"#);
        assert_eq!(object.get("bb"), Some(r#""\ud800""#));
        assert_eq!(object.remove("bb").as_deref(), Some(r#""\ud800""#));
        assert_eq!(object.to_json(), r#"{"a":2,"c":[ 1 ],"d":{}}"#);
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_one_counts_and_none_stays_behind() {
        let twice = || Object::read(r#"{"a":1,"b":0,"\u0061":2}"#).unwrap();
        assert_eq!(twice().get("a"), Some("2"));
        let mut object = twice();
        object.set("a", "3");
        assert_eq!(object.to_json(), r#"{"a":3,"b":0}"#);
        let mut object = twice();
        assert_eq!(object.remove("a").as_deref(), Some("2"));
        assert_eq!(object.to_json(), r#"{"b":0}"#);
    }

    #[test]
    fn an_object_within_is_changed_made_or_taken_out() {
        let mut object = Object::read(r#"{"a":{"b":1,"c":2}}"#).unwrap();
        object.change("a", |inner| drop(inner.remove("b")));
        object.change("d", |inner| inner.set("e", "3"));
        assert_eq!(object.to_json(), r#"{"a":{"c":2},"d":{"e":3}}"#);
        object.change("a", |inner| drop(inner.remove("c")));
        object.change("f", |_| ());
        assert_eq!(object.to_json(), r#"{"d":{"e":3}}"#);
    }

    #[test]
    fn what_is_no_object_is_none() {
        for json in ["[]", "1", "null", "{", r#"{"a":1}x"#, ""] {
            assert_eq!(Object::read(json), None, "{json}");
        }
        assert_eq!(items("[1, {\"a\":[2]}]"), Some(vec!["1", "{\"a\":[2]}"]));
        assert_eq!(items("{}"), None);
        assert_eq!(array(["1", "\"b\""]), r#"[1,"b"]"#);
    }

    proptest! {
        #[test]
        fn reading_and_writing_changes_no_value(keys in proptest::collection::vec(".{0,6}", 0..6)) {
            let value: serde_json::Map<String, Value> =
                keys.into_iter().enumerate().map(|(n, key)| (key, Value::from(n))).collect();
            let json = Value::Object(value).to_string();
            let again = Object::read(&json).unwrap().to_json();
            prop_assert_eq!(again, json);
        }

        #[test]
        fn any_text_never_panics(text in ".{0,60}", key in ".{0,4}") {
            if let Some(mut object) = Object::read(&text) {
                object.set(&key, "1");
                object.remove(&key);
                object.to_json();
            }
            items(&text);
        }
    }
}
