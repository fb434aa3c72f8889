//! What a tool says of itself: all that a model reads of it, and all that says what it takes and gives.

use crate::protocol::legacy_tool;
use crate::wire::Object;
use crate::wire::canonical::compact;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The members that count.
const PARTS: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// A longer text is known by its digest alone.
const LONGEST: usize = 256 << 10;

/// What a tool says of itself. Neither the order of members nor the spaces between them make a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    digest: [u8; 32],
    /// In one way of writing; none where it is too long to be kept.
    text: Option<Box<str>>,
}

impl Definition {
    /// Of a tool as it is listed; nothing if readers might differ about what it says, as a part of it stands twice.
    pub(in super::super) fn of(tool: &str) -> Option<Self> {
        // Clients of both eras are to see the same, and the older ones do not see every schema.
        let older = legacy_tool(tool);
        let tool = Object::read(older.as_deref().unwrap_or(tool))?;
        let mut said = Object::default();
        let mut seen = Vec::with_capacity(PARTS.len());
        for (key, value) in tool.members() {
            // Some readers do not tell upper case from lower case.
            let Some(part) = PARTS.into_iter().find(|part| part.eq_ignore_ascii_case(&key)) else { continue };
            if *key != *part || seen.contains(&part) {
                return None;
            }
            seen.push(part);
            said.set(part, value.to_owned());
        }
        Some(Self::of_text(&said.to_json()))
    }

    /// Of a text that was written by [`text`](Self::text), by whomever it was formatted since.
    pub(super) fn of_text(text: &str) -> Self {
        let text = compact(text);
        let digest = Sha256::digest(text.as_bytes()).into();
        Self { digest, text: (text.len() <= LONGEST).then(|| text.into()) }
    }

    /// Of which only the digest is known.
    pub(super) fn of_digest(hex: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
        }
        Some(Self { digest, text: None })
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// What the tool says, as JSON, where that is kept.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Whether both say the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// In which parts `now` says something else; none where it is not known what was said.
    pub(super) fn changed_in(&self, now: &Self) -> Vec<&'static str> {
        let (Some(old), Some(new)) = (self.text().and_then(Object::read), now.text().and_then(Object::read))
        else {
            return Vec::new();
        };
        PARTS.into_iter().filter(|part| old.get(part) != new.get(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str) -> Definition {
        Definition::of(tool).unwrap()
    }

    #[test]
    fn what_a_model_reads_counts_and_nothing_else_does() {
        let tool = r#"{"name":"a","description":"x","inputSchema":{"type":"object","required":["p"]}}"#;
        for same in [
            r#"{ "inputSchema": {"required":["p"], "type":"object"}, "description":"\u0078", "name":"a" }"#,
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","required":["p"]},"icons":[],"_meta":{"a":1}}"#,
            // Which legacy clients do not see.
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","required":["p"]},"outputSchema":{"type":"array"}}"#,
        ] {
            assert!(of(tool).is(&of(same)), "{same}");
        }
        for (other, parts) in [
            (
                r#"{"name":"a","description":"y","inputSchema":{"type":"object","required":["p"]}}"#,
                vec!["description"],
            ),
            (
                r#"{"name":"a","title":"t","description":"x","inputSchema":{"type":"object","required":["P"]}}"#,
                vec!["title", "inputSchema"],
            ),
            (
                r#"{"name":"a","description":"x","inputSchema":{"type":"object","required":["p"]},"annotations":{},"outputSchema":{"type":"object"}}"#,
                vec!["outputSchema", "annotations"],
            ),
        ] {
            assert!(!of(tool).is(&of(other)));
            assert_eq!(of(tool).changed_in(&of(other)), parts);
        }
    }

    #[test]
    fn what_readers_may_read_differently_is_not_read_at_all() {
        for tool in [
            r#"{"name":"a","description":"x","description":"y"}"#,
            r#"{"name":"a","description":"x","d\u0065scription":"y"}"#,
            r#"{"name":"a","description":"x","Description":"y"}"#,
            r#"{"Name":"a"}"#,
            "[]",
        ] {
            assert_eq!(Definition::of(tool), None, "{tool}");
        }
    }

    #[test]
    fn a_digest_is_written_and_read() {
        let whole = of(r#"{"name":"a"}"#);
        let by_digest = Definition::of_digest(&whole.digest()).unwrap();
        assert!(by_digest.is(&whole) && by_digest.text().is_none());
        assert!(Definition::of_text("{ \"name\" : \"a\" }").is(&whole));
        assert_eq!(by_digest.changed_in(&of(r#"{"name":"b"}"#)), [""; 0]);
        assert_eq!(Definition::of_digest(&"+1".repeat(32)), None);
        assert_eq!(Definition::of_digest("12"), None);
        let long = of(&format!(r#"{{"name":"{}"}}"#, "a".repeat(LONGEST)));
        assert!(long.text().is_none() && !long.is(&whole));
    }
}
