//! A JSON text as it was written: members in their order, duplicates included, and paths into it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::Problem;

/// A JSON value that forgets nothing that a configuration's reader must know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Where a value stands: `mcpServers.fetch.args[1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPath(String);

impl Json {
    /// Reads a whole text; a byte order mark before it is skipped, a duplicate key anywhere in it is refused.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let json: Self = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        json.refuse_duplicates(&JsonPath::default())?;
        Ok(json)
    }

    /// The kind of the value, with its article; the content only where it cannot be a secret.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) if text.is_empty() => "an empty string".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }

    fn refuse_duplicates(&self, path: &JsonPath) -> Result<(), Problem> {
        match self {
            Self::List(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| item.refuse_duplicates(&path.index(index))),
            Self::Object(members) => {
                let mut seen = std::collections::HashSet::with_capacity(members.len());
                members.iter().try_for_each(|(key, value)| {
                    let path = path.key(key);
                    if !seen.insert(key) {
                        let (found, wanted) =
                            ("this key a second time".to_owned(), "each key once".to_owned());
                        return Err(Problem::Value { path, found, wanted });
                    }
                    value.refuse_duplicates(&path)
                })
            }
            _ => Ok(()),
        }
    }
}

impl JsonPath {
    /// The member `key` of what stands here.
    pub(super) fn key(&self, key: &str) -> Self {
        let mut letters = key.chars();
        let plain = letters.next().is_some_and(|first| first.is_alphabetic() || matches!(first, '_' | '$'))
            && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$'));
        match (plain, self.0.is_empty()) {
            (true, true) => Self(key.to_owned()),
            (true, false) => Self(format!("{self}.{key}")),
            (false, _) => Self(format!("{}[{key:?}]", self.0)),
        }
    }

    /// The item `index`, counted from 0, of what stands here.
    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "top level" } else { &self.0 })
    }
}

fn syntax(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // serde_json ends its text with the place, which is told apart here.
    let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
    Problem::Syntax { line: error.line(), column: error.column(), reason }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    #[expect(clippy::cast_precision_loss, reason = "no key wants a number beyond 2^53")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "no key wants a number beyond 2^53")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Json::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_text_that_is_not_json_is_refused_with_its_place() {
        assert_eq!(refusal("{\n  \"a\": 1,\n}"), "line 3, column 1: not JSON: trailing comma");
        assert_eq!(refusal(""), "line 1, column 0: not JSON: EOF while parsing a value");
        assert_eq!(refusal("{} x"), "line 1, column 4: not JSON: trailing characters");
        assert!(refusal(&"[".repeat(100_000)).ends_with("recursion limit exceeded"));
    }

    #[test]
    fn a_duplicate_key_is_refused_wherever_it_is() {
        let text = r#"{"mcpServers": {"a": {"args": [{"x": 1, "y": 2, "x": 3}]}}}"#;
        assert_eq!(
            refusal(text),
            "mcpServers.a.args[0].x: found this key a second time, wanted each key once"
        );
    }

    #[test]
    fn a_path_quotes_what_would_not_read_as_a_key() {
        let path = JsonPath::default().key("mcpServers").key("b c").key("args").index(1);
        assert_eq!(path.to_string(), "mcpServers[\"b c\"].args[1]");
        assert_eq!(JsonPath::default().key("a\nb").to_string(), "[\"a\\nb\"]");
        assert_eq!(JsonPath::default().to_string(), "top level");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(Json::parse("\u{feff}[]"), Ok(Json::List(Vec::new())));
    }
}
