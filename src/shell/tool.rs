//! A tool as a person reads it: its name, what it does, what it wants.

use crate::wire::Object;
use crate::wire::meta::find;
use serde_json::Value;
use strsim::{jaro_winkler, normalized_damerau_levenshtein};

/// A name that is less like another than this is not taken for it.
const ALIKE: f64 = 0.5;

/// The values of an enumeration are all named up to this many bytes.
const LONGEST_KIND: usize = 60;

/// A tool as its server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The first line of its description, or its title.
    pub description: String,
    /// Its parameters, in the order in which they are listed.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes: a type, or the values that there are.
    pub kind: String,
    /// It must be given.
    pub required: bool,
    /// The first line of its description.
    pub description: String,
}

impl Tool {
    /// Reads an item of `tools/list`; nothing if it has no name.
    pub fn read(item: &str) -> Option<Self> {
        let tool = Object::read(item)?;
        let name = tool.string("name")?;
        let described = ["description", "title"].iter().find_map(|key| tool.string(key));
        let parameters = tool.get("inputSchema").map(parameters).unwrap_or_default();
        Some(Self { name, description: first_line(&described.unwrap_or_default()), parameters })
    }
}

/// The one of `names` that `name` is most like, if it is like any.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let written = plain(name);
    let likeness = |other: &str| {
        let other = plain(other);
        // Of a long name often only a part is remembered.
        let part = if written.len() > 2 && other.contains(&written) { 0.9 } else { 0.0 };
        normalized_damerau_levenshtein(&written, &other).max(part).max(jaro_winkler(&written, &other) - 0.3)
    };
    let rated = names.into_iter().map(|other| (likeness(other), other));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= ALIKE).then_some(best.1)
}

fn parameters(schema: &str) -> Vec<Parameter> {
    let required: Vec<String> =
        find(schema, &["required"]).and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default();
    let Some(properties) = find(schema, &["properties"]).and_then(Object::read) else { return Vec::new() };
    let parameter = |(name, schema): (std::borrow::Cow<'_, str>, &str)| {
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        Parameter {
            required: required.iter().any(|required| *required == name),
            name: name.into_owned(),
            kind: kind(&schema),
            description: first_line(schema["description"].as_str().unwrap_or_default()),
        }
    };
    properties.members().map(parameter).collect()
}

/// What a schema lets through, in a word or few.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return any_of(values.iter().map(Value::to_string));
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return any_of(choices.iter().map(kind));
    }
    match (&schema["type"], schema["$ref"].as_str()) {
        (Value::String(word), _) if word == "array" => match kind(&schema["items"]) {
            item if item.contains('|') => format!("({item})[]"),
            item => format!("{item}[]"),
        },
        (Value::String(word), _) => word.clone(),
        (Value::Array(words), _) => any_of(words.iter().filter_map(Value::as_str).map(str::to_owned)),
        (_, Some(reference)) => reference.rsplit('/').next().unwrap_or(reference).to_owned(),
        _ => "any".to_owned(),
    }
}

fn any_of(words: impl Iterator<Item = String>) -> String {
    let mut kinds: Vec<String> = Vec::new();
    let mut length = 0;
    for word in words {
        if kinds.contains(&word) {
            continue;
        }
        length += word.len();
        if length > LONGEST_KIND {
            kinds.push("…".to_owned());
            break;
        }
        kinds.push(word);
    }
    kinds.join("|")
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_is_read_in_the_order_in_which_it_is_written() {
        let tool = Tool::read(
            r#"{"name":"t","description":"\n Does it. \nAnd more.","inputSchema":{"type":"object","properties":{
                "zone":{"type":"string","description":"Where.\nReally."},"at":{"type":["integer","null"]}},"required":["zone"]}}"#,
        );
        let parameter = |name: &str, kind: &str, required, description: &str| Parameter {
            name: name.to_owned(),
            kind: kind.to_owned(),
            required,
            description: description.to_owned(),
        };
        let parameters =
            vec![parameter("zone", "string", true, "Where."), parameter("at", "integer|null", false, "")];
        assert_eq!(tool, Some(Tool { name: "t".to_owned(), description: "Does it.".to_owned(), parameters }));
        assert_eq!(Tool::read(r#"{"title":"x"}"#), None);
        assert_eq!(Tool::read(r#"{"name":"x","inputSchema":[],"title":"X"}"#).unwrap().description, "X");
    }

    #[test]
    fn a_kind_is_a_word_or_few() {
        for (schema, expected) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "enum": ["a", 1, null] }), "\"a\"|1|null"),
            (json!({ "const": "x" }), "\"x\""),
            (json!({ "type": "array", "items": { "type": "number" } }), "number[]"),
            (json!({ "type": "array", "items": { "enum": [1, 2] } }), "(1|2)[]"),
            (json!({ "type": "array" }), "any[]"),
            (
                json!({ "anyOf": [{ "type": "string" }, { "type": "null" }, { "type": "string" }] }),
                "string|null",
            ),
            (json!({ "$ref": "#/$defs/Place" }), "Place"),
            (json!({}), "any"),
            (json!(true), "any"),
        ] {
            assert_eq!(kind(&schema), expected);
        }
        let many: Vec<_> = (0..100).map(|n| format!("value {n}")).collect();
        assert!(kind(&json!({ "enum": many })).ends_with("|…"));
    }

    #[test]
    fn the_nearest_name_is_one_that_may_be_meant() {
        let names = ["get_current_time", "convert_time", "echo", "add"];
        for (written, meant) in [
            ("ehco", Some("echo")),
            ("Echo", Some("echo")),
            ("get-current-time", Some("get_current_time")),
            ("current_time", Some("get_current_time")),
            ("convert", Some("convert_time")),
            ("ad", Some("add")),
            ("xyzzy", None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written}");
        }
        assert_eq!(nearest("echo", []), None);
    }
}
