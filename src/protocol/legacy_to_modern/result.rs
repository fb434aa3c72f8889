//! Results of the modern era as a legacy client reads them.
//!
//! What its revision does not know is left out where that is harmless and replaced by a text where it is not: clients of
//! the legacy era refuse a whole list for one member that they do not know.

use crate::wire::meta::find_string;
use crate::wire::object::{array, items};
use crate::wire::{Object, Revision};
use memchr::memmem;
use serde_json::json;

/// What kind of result it is.
///
/// 2026-07-28, basic/index, "ResultType": "clients MUST treat an absent `resultType` as `"complete"`", and "A `resultType` of
/// any value unrecognized by the client MUST be considered invalid."
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is the answer.
    Complete,
    /// The server asks first.
    InputRequired,
    /// Something that only its extension knows.
    Other(String),
}

/// Reads the `resultType` of a result.
pub(super) fn kind(result: &str) -> Kind {
    match crate::wire::meta::find(result, &["resultType"]) {
        None => Kind::Complete,
        Some(raw) => match serde_json::from_str::<String>(raw).as_deref() {
            Ok("complete") => Kind::Complete,
            Ok("input_required") => Kind::InputRequired,
            _ => Kind::Other(raw.trim_matches('"').to_owned()),
        },
    }
}

/// A complete result of `method` for a client of `revision`.
pub(super) fn legacy(method: &str, result: &str, revision: Revision) -> String {
    let Some(mut object) = Object::read(result) else { return result.to_owned() };
    for key in ["resultType", "ttlMs", "cacheScope"] {
        object.remove(key);
    }
    match method {
        "tools/list" => each(&mut object, "tools", legacy_tool),
        "tools/call" => {
            let content = object.get("content").and_then(|content| blocks(content, revision));
            if let Some(content) = content {
                object.set("content", content);
            }
            structured(&mut object);
        }
        "prompts/get" => each(&mut object, "messages", |message| prompt_message(message, revision)),
        _ => {}
    }
    object.to_json()
}

/// Changes the items of a member that is an array; `change` gives nothing where an item may stay.
fn each(object: &mut Object<'_>, key: &str, change: impl Fn(&str) -> Option<String>) {
    let Some(list) = object.get(key).and_then(items) else { return };
    let changed: Vec<_> = list.iter().map(|item| change(item)).collect();
    if changed.iter().all(Option::is_none) {
        return;
    }
    let list = array(list.iter().zip(&changed).map(|(item, changed)| changed.as_deref().unwrap_or(item)));
    object.set(key, list);
}

/// A tool as a legacy client reads it; nothing where that is as it is. An `outputSchema` that is none of an object would cost
/// the client the whole list.
///
/// 2025-11-25, schema: "Currently restricted to type: "object" at the root level."
pub fn legacy_tool(tool: &str) -> Option<String> {
    memmem::find(tool.as_bytes(), b"outputSchema")?;
    let mut object = Object::read(tool)?;
    let is_object = |schema: &str| find_string(schema, &["type"]).as_deref() == Some("object");
    if object.get("outputSchema").is_none_or(is_object) {
        return None;
    }
    object.remove("outputSchema");
    Some(object.to_json())
}

/// `structuredContent` is an object for legacy clients; another value becomes text, if there is none yet.
fn structured(object: &mut Object<'_>) {
    if object.get("structuredContent").is_none_or(|value| value.starts_with('{')) {
        return;
    }
    let value = object.remove("structuredContent").unwrap_or_default().into_owned();
    let content = object.get("content").and_then(items).unwrap_or_default();
    let has_text = content.iter().any(|block| find_string(block, &["type"]).as_deref() == Some("text"));
    if !has_text {
        let text = text(&value);
        let content = array(content.into_iter().chain([&*text]));
        object.set("content", content);
    }
}

/// Content blocks with a text in place of each that the revision does not know; nothing if it knows all.
fn blocks(content: &str, revision: Revision) -> Option<String> {
    let list = items(content)?;
    let changed: Vec<_> = list.iter().map(|block| older_block(block, revision)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    Some(array(list.iter().zip(&changed).map(|(block, changed)| changed.as_deref().unwrap_or(block))))
}

fn prompt_message(message: &str, revision: Revision) -> Option<String> {
    let mut object = Object::read(message)?;
    let content = older_block(object.get("content")?, revision)?;
    object.set("content", content);
    Some(object.to_json())
}

/// A text in place of a block that a client of this revision cannot read.
fn older_block(block: &str, revision: Revision) -> Option<String> {
    if revision >= Revision::V2025_06_18 {
        return None;
    }
    let kind = find_string(block, &["type"])?;
    let since = match kind.as_str() {
        "text" | "image" | "resource" => return None,
        "audio" => Revision::V2025_03_26,
        _ => Revision::V2025_06_18,
    };
    if revision >= since {
        return None;
    }
    let what = match find_string(block, &["uri"]) {
        Some(uri) => format!("[{kind}: {uri}]"),
        None => format!("[{kind}: this client's revision of MCP cannot show it]"),
    };
    Some(text(&what))
}

fn text(text: &str) -> String {
    json!({ "type": "text", "text": text }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn after(method: &str, result: &Value, revision: Revision) -> Value {
        serde_json::from_str(&legacy(method, &result.to_string(), revision)).unwrap()
    }

    #[test]
    fn what_only_the_modern_era_has_is_left_out() {
        let result = json!({ "resultType": "complete", "ttlMs": 1, "cacheScope": "private", "tools": [], "nextCursor": "" });
        assert_eq!(
            after("tools/list", &result, Revision::V2025_11_25),
            json!({ "tools": [], "nextCursor": "" })
        );
        assert_eq!(kind(r#"{"resultType":"complete"}"#), Kind::Complete);
        assert_eq!(kind("{}"), Kind::Complete);
        assert_eq!(kind(r#"{"resultType":"input_required"}"#), Kind::InputRequired);
        assert_eq!(kind(r#"{"resultType":"task"}"#), Kind::Other("task".into()));
        assert_eq!(kind(r#"{"resultType":7}"#), Kind::Other("7".into()));
    }

    #[test]
    fn one_schema_does_not_cost_the_whole_list() {
        let result = json!({ "tools": [
            { "name": "a", "outputSchema": { "type": "array" } },
            { "name": "b", "outputSchema": { "type": "object" } },
            { "name": "c", "outputSchema": { "oneOf": [] } },
        ] });
        let expected = json!({ "tools": [
            { "name": "a" }, { "name": "b", "outputSchema": { "type": "object" } }, { "name": "c" },
        ] });
        assert_eq!(after("tools/list", &result, Revision::V2025_11_25), expected);
    }

    #[test]
    fn structured_content_that_is_no_object_becomes_text() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        for (result, expected) in [
            (json!({ "structuredContent": [1, 2.0] }), json!({ "content": [text("[1,2.0]")] })),
            (json!({ "content": [text("x")], "structuredContent": 7 }), json!({ "content": [text("x")] })),
            (
                json!({ "content": [], "structuredContent": {} }),
                json!({ "content": [], "structuredContent": {} }),
            ),
        ] {
            assert_eq!(after("tools/call", &result, Revision::V2025_11_25), expected);
        }
    }

    #[test]
    fn older_clients_get_a_text_in_place_of_what_they_cannot_read() {
        let result = json!({ "content": [
            { "type": "audio", "data": "" }, { "type": "resource_link", "uri": "x://y" }, { "type": "image", "data": "" },
        ] });
        let kinds = |revision| {
            let result = after("tools/call", &result, revision);
            let kinds = result["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|block| block["type"].as_str().unwrap().to_owned());
            kinds.collect::<Vec<_>>()
        };
        assert_eq!(kinds(Revision::V2024_11_05), ["text", "text", "image"]);
        assert_eq!(kinds(Revision::V2025_03_26), ["audio", "text", "image"]);
        assert_eq!(kinds(Revision::V2025_06_18), ["audio", "resource_link", "image"]);
        let prompt = json!({ "messages": [{ "role": "user", "content": { "type": "audio", "data": "" } }] });
        let prompt = after("prompts/get", &prompt, Revision::V2024_11_05);
        assert_eq!(prompt["messages"][0]["content"]["type"], "text");
    }
}
