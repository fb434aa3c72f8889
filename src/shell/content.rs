//! What a tool has answered, as a person reads it.

use crate::wire::meta::{find, find_string};
use crate::wire::object::items;

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its text: what is none is a note of its type and size.
    pub text: String,
    /// The tool has failed.
    pub is_error: bool,
}

impl Content {
    /// Reads the result of `tools/call`. What is structured is shown only where there is no text.
    pub fn read(result: &str) -> Self {
        let blocks = find(result, &["content"]).and_then(items).unwrap_or_default();
        let mut shown: Vec<String> = blocks.iter().map(|block| block_text(block)).collect();
        let has_text = blocks.iter().any(|block| is_text(block));
        if let Some(structured) = find(result, &["structuredContent"]).filter(|_| !has_text) {
            shown.push(structured.to_owned());
        }
        Self { text: shown.join("\n"), is_error: find(result, &["isError"]) == Some("true") }
    }
}

fn is_text(block: &str) -> bool {
    match find_string(block, &["type"]).as_deref() {
        Some("text") => true,
        Some("resource") => find(block, &["resource", "text"]).is_some(),
        _ => false,
    }
}

fn block_text(block: &str) -> String {
    let said = |path: &[&str]| find_string(block, path).unwrap_or_default();
    let kind = said(&["type"]);
    match kind.as_str() {
        "text" => said(&["text"]),
        "image" | "audio" => note(&kind, &said(&["mimeType"]), Some(&said(&["data"])), ""),
        "resource_link" => note("link", &said(&["mimeType"]), None, &said(&["uri"])),
        "resource" => match find_string(block, &["resource", "text"]) {
            Some(text) => text,
            None => note(
                "resource",
                &said(&["resource", "mimeType"]),
                Some(&said(&["resource", "blob"])),
                &said(&["resource", "uri"]),
            ),
        },
        other => format!("[{other}, {} bytes of JSON]", block.len()),
    }
}

/// `data` is in base 64: three bytes in four characters.
fn note(kind: &str, media: &str, data: Option<&str>, place: &str) -> String {
    let size = data.map(|data| format!("{} bytes", data.trim_end_matches('=').len() * 3 / 4));
    let parts = [media.to_owned(), size.unwrap_or_default(), place.to_owned()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("[{kind}: {}]", parts.join(", "))
}

/// Text of others as it may stand on a terminal, where nothing of theirs may move the cursor.
pub fn harmless(text: &str) -> String {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// The same where it must stay on its line, too.
pub fn on_one_line(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, may_stand: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !may_stand(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_and_the_rest_is_noted() {
        let result = r#"{"content":[
            {"type":"text","text":"a\nb"},
            {"type":"image","data":"aGVsbG8=","mimeType":"image/png"},
            {"type":"resource_link","uri":"file:///x","name":"x"},
            {"type":"resource","resource":{"uri":"a://b","text":"inside"}},
            {"type":"resource","resource":{"uri":"a://c","blob":"aGVsbG8h","mimeType":"x/y"}},
            {"type":"new"}],"structuredContent":{"n": 1.0}}"#;
        let expected = "a\nb\n[image: image/png, 5 bytes]\n[link: file:///x]\ninside\n[resource: x/y, 6 bytes, a://c]\n[new, 14 bytes of JSON]";
        assert_eq!(Content::read(result), Content { text: expected.to_owned(), is_error: false });
    }

    #[test]
    fn what_is_structured_is_shown_where_there_is_no_text() {
        let content = Content::read(r#"{"content":[],"structuredContent":{"n": 1.0},"isError":true}"#);
        assert_eq!(content, Content { text: r#"{"n": 1.0}"#.to_owned(), is_error: true });
        assert_eq!(Content::read("{}").text, "");
    }

    #[test]
    fn nothing_of_a_server_moves_the_cursor() {
        assert_eq!(harmless("a\tb\n\u{1b}[2Jc\r\u{9b}1m"), "a\tb\n\\u{1b}[2Jc\\r\\u{9b}1m");
    }
}
