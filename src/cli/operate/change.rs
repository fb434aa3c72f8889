//! What has changed in a tool that is held back, for the person who is to approve it.

use std::fmt::Write as _;

use serde_json::Value;
use similar::TextDiff;

use crate::shell::{harmless, on_one_line};
use crate::wire::canonical::pretty;

/// Lines around a change.
const CONTEXT: usize = 3;

/// A tool that is held back: what it says, or what it says otherwise than before.
pub(super) fn shown(held: &Value) -> String {
    let tool = visible(&on_one_line(held["tool"].as_str().unwrap_or_default()));
    let (old, new) = (text(&held["approved"]), text(&held["says"]));
    let mut shown = String::new();
    // Writing to a string cannot fail.
    let _ = match (&held["approved"], old, new) {
        (_, _, None) => {
            writeln!(
                shown,
                "{tool}: what it says is longer than is kept (SHA-256 {})",
                word(&held["says"]["sha256"])
            )
        }
        (Value::Null, _, Some(new)) => {
            let lines: Vec<&str> = new.lines().collect();
            writeln!(shown, "{tool}: new\n+{}", lines.join("\n+"))
        }
        (_, None, Some(new)) => {
            writeln!(shown, "{tool}: what was approved is not kept; it says now\n{}", new.trim_end())
        }
        (_, Some(old), Some(new)) if old == new => {
            writeln!(shown, "{tool}: it said something else meanwhile, and says again what was approved")
        }
        (_, Some(old), Some(new)) => {
            let diff = TextDiff::from_lines(old.as_str(), new.as_str());
            let diff = diff.unified_diff().context_radius(CONTEXT).to_string();
            writeln!(shown, "{tool}: changed\n{}", diff.trim_end())
        }
    };
    shown.push('\n');
    shown
}

/// What an approval has led to, and whether all is well.
pub(super) fn approved(name: &str, tool: &str, answer: &Value) -> (String, bool) {
    let tool = visible(&on_one_line(tool));
    match answer["unsaved"].as_str() {
        None => (format!("{name}: {tool} is approved\n"), true),
        Some(reason) => {
            let reason = on_one_line(reason);
            (
                format!(
                    "{name}: {tool} is approved until the router ends, as that cannot be noted: {reason}\n"
                ),
                false,
            )
        }
    }
}

/// What a tool says, a part after the other: texts as they are read, schemas as JSON.
fn text(said: &Value) -> Option<String> {
    let parts = said["definition"].as_object()?;
    let mut text = String::new();
    for (part, value) in parts {
        let value = value.as_str().map_or_else(|| pretty(&value.to_string()), str::to_owned);
        let _ = writeln!(text, "{part}:");
        for line in visible(&harmless(&value)).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    Some(text)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), on_one_line)
}

/// Text in which nothing hides: a model reads characters that no terminal shows.
fn visible(text: &str) -> String {
    let hides = |character: char| {
        matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if hides(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(description: &str) -> Value {
        let definition =
            json!({ "name": "t", "description": description, "inputSchema": { "type": "object" } });
        json!({ "sha256": "00", "definition": definition })
    }

    #[test]
    fn a_change_is_shown_by_lines_and_nothing_hides_in_it() {
        let held = json!({ "tool": "t", "approved": said("Reads.\nNo more."), "says": said("Reads.\nAnd \u{e0041}\u{202e}\u{1b}[1A sends.") });
        let expected = "\
t: changed
@@ -1,6 +1,6 @@
 description:
   Reads.
-  No more.
+  And \\u{e0041}\\u{202e}\\u{1b}[1A sends.
 inputSchema:
   {
     \"type\": \"object\"

";
        assert_eq!(shown(&held), expected);
    }

    #[test]
    fn what_is_new_or_not_kept_or_back_is_said() {
        let of =
            |approved: Value, says: Value| shown(&json!({ "tool": "t", "approved": approved, "says": says }));
        assert!(of(Value::Null, said("x")).starts_with("t: new\n+description:\n+  x\n+inputSchema:\n"));
        assert!(of(said("x"), said("x")).starts_with("t: it said something else meanwhile"));
        let unkept = json!({ "sha256": "00", "definition": null });
        assert!(
            of(unkept.clone(), said("x")).starts_with("t: what was approved is not kept; it says now\ndesc")
        );
        assert_eq!(of(said("x"), unkept), "t: what it says is longer than is kept (SHA-256 00)\n\n");
    }

    #[test]
    fn an_approval_that_is_not_noted_is_not_well() {
        let at = |unsaved: Value| approved("a", "t", &json!({ "approved": ["t"], "unsaved": unsaved }));
        assert_eq!(at(Value::Null), ("a: t is approved\n".to_owned(), true));
        let (text, well) = at(json!("p: read-only"));
        assert!(text.contains("until the router ends") && text.contains("p: read-only") && !well);
    }
}
