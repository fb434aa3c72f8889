//! A JSON text of somebody else, with its comments left out and its members in their order.

use jsonc_parser::{JsonValue, ParseOptions, parse_to_value};
use serde::ser::{Serialize, Serializer};

/// A value, as it was written or as it will be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Value>),
    Object(Members),
}

/// The members of an object, in their order.
pub(super) type Members = Vec<(String, Value)>;

/// Reads JSON as editors write it: with comments, and with commas before a closing bracket.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The library's own message may repeat what stands there, which may be secret.
    let value = parse_to_value(text, &options).map_err(|error| {
        let (line, column) = (error.line_display(), error.column_display());
        format!("line {line}, column {column}: not JSON, nor JSON with comments")
    })?;
    value.map(Value::from).ok_or_else(|| "the file is empty".to_owned())
}

impl From<JsonValue<'_>> for Value {
    fn from(value: JsonValue<'_>) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Boolean(flag) => Self::Flag(flag),
            // One that no number of ours holds is kept as it stands.
            JsonValue::Number(digits) => {
                digits.parse().map_or_else(|_| Self::Text(digits.to_owned()), Self::Number)
            }
            JsonValue::String(text) => Self::Text(text.into_owned()),
            JsonValue::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            JsonValue::Object(members) => Self::Object(
                members.into_iter().map(|(key, value)| (key.into_owned(), Self::from(value))).collect(),
            ),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    /// The value as an object.
    pub(super) fn members(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member of that name, of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value as text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A string, or what a careless hand wrote in place of one.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// What kind of value it is; never the value, which may be secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_and_commas_at_the_end_are_read_and_the_order_is_kept() {
        let text = "\u{feff}{ // why\n \"b\": [1, 2.5,], /* \"c\": 1, */ \"a\": {\"x\": null, \"url\": \"http://h//p\",},\n}";
        let value = read(text).unwrap();
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            r#"{"b":[1,2.5],"a":{"x":null,"url":"http://h//p"}}"#
        );
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_alone() {
        assert_eq!(
            read("{\n  \"a\": s3cret\n}").unwrap_err(),
            "line 2, column 8: not JSON, nor JSON with comments"
        );
        assert_eq!(read("// nothing\n").unwrap_err(), "the file is empty");
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn no_arrangement_of_json_panics(text in r#"[\[\]{}:,"/*a1 .-]{0,32}"#) {
            let _ = read(&text);
        }
    }
}
