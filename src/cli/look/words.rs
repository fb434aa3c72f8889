//! The words of `call`: NAME TOOL JSON, of which NAME and JSON may be left out.

use std::io::{self, Read};
use std::path::Path;

use serde_json::value::RawValue;

/// What is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The server's name, or its URL; where there is one server only it may be left out.
    pub(super) name: Option<String>,
    /// The tool.
    pub(super) tool: String,
    /// The arguments as they were written, or where they are.
    pub(super) arguments: Option<String>,
}

impl Words {
    /// Reads the words; nothing if there are too few or too many.
    pub(super) fn read(words: &[String]) -> Option<Self> {
        let written = |word: &String| word.trim_start().starts_with(['{', '[', '"', '@']) || word == "-";
        let (name, tool, arguments) = match words {
            [tool] => (None, tool, None),
            [tool, arguments] if written(arguments) => (None, tool, Some(arguments)),
            [name, tool] => (Some(name), tool, None),
            [name, tool, arguments] => (Some(name), tool, Some(arguments)),
            _ => return None,
        };
        Some(Self { name: name.cloned(), tool: tool.clone(), arguments: arguments.cloned() })
    }

    /// Whether stdin holds the arguments.
    pub(super) fn take_stdin(&self) -> bool {
        self.arguments.as_deref() == Some("-")
    }

    /// The arguments: one JSON object, as it was written but for line breaks.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub(super) fn object(&self) -> Result<String, String> {
        let Some(written) = &self.arguments else { return Ok("{}".to_owned()) };
        let (place, text) = if self.take_stdin() {
            let mut text = String::new();
            let read = io::stdin().lock().read_to_string(&mut text);
            read.map_err(|error| format!("the arguments on stdin cannot be read: {error}"))?;
            ("stdin: ".to_owned(), text)
        } else if let Some(file) = written.strip_prefix('@') {
            let text = std::fs::read_to_string(Path::new(file));
            (format!("{file}: "), text.map_err(|error| format!("{file}: cannot be read: {error}"))?)
        } else {
            (String::new(), written.clone())
        };
        object(&text).map_err(|wrong| format!("{place}{wrong}"))
    }
}

fn object(text: &str) -> Result<String, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let wrong = |error: serde_json::Error| {
        let told = error.to_string();
        let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
        format!("the arguments are not JSON: line {}, column {}: {reason}", error.line(), error.column())
    };
    let _whole: &RawValue = serde_json::from_str(text).map_err(wrong)?;
    if !text.starts_with('{') {
        return Err(r#"the arguments must be one JSON object, like {"text": "hello"}"#.to_owned());
    }
    // A raw line break is only ever white space between tokens, and a message has none.
    Ok(text.replace(['\r', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_arguments_may_be_left_out() {
        let read = |line: &str| {
            let words: Vec<String> = shlex::split(line).unwrap();
            Words::read(&words).map(|words| (words.name, words.tool, words.arguments))
        };
        let some = |text: &str| Some(text.to_owned());
        for (line, expected) in [
            ("echo", Some((None, "echo".to_owned(), None))),
            ("a echo", Some((some("a"), "echo".to_owned(), None))),
            ("echo '{}'", Some((None, "echo".to_owned(), some("{}")))),
            ("echo @file", Some((None, "echo".to_owned(), some("@file")))),
            ("echo -", Some((None, "echo".to_owned(), some("-")))),
            ("a echo text", Some((some("a"), "echo".to_owned(), some("text")))),
            ("", None),
            ("a b c d", None),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn arguments_stay_as_they_were_written_and_what_is_wrong_is_told_with_its_place() {
        assert_eq!(object(" {\"n\":\n 1.0e400}\n"), Ok("{\"n\":  1.0e400}".to_owned()));
        for (text, wrong) in [
            ("{\"a\": 1,}", "the arguments are not JSON: line 1, column 9: key must be a string"),
            ("{\"a\":\n b}", "the arguments are not JSON: line 2, column 2: expected value"),
            ("", "the arguments are not JSON: line 1, column 0: EOF while parsing a value"),
            ("{} {}", "the arguments are not JSON: line 1, column 4: trailing characters"),
            ("[1]", r#"the arguments must be one JSON object, like {"text": "hello"}"#),
            ("7", r#"the arguments must be one JSON object, like {"text": "hello"}"#),
        ] {
            assert_eq!(object(text), Err(wrong.to_owned()), "{text}");
        }
    }
}
