//! What is noted of a request, and how that reads as a line.

use super::TARGET;
use crate::telemetry::{Ended, Eras, Names, Outcome};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Characters of a text that a client has chosen.
const LONGEST: usize = 128;

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Note {
    at: SystemTime,
    server: Arc<str>,
    names: Option<Arc<Names>>,
    method: &'static str,
    eras: Option<Eras>,
    outcome: Outcome,
    took: Duration,
    bytes_in: usize,
    bytes_out: usize,
}

impl Note {
    /// What is noted of this one.
    pub(super) fn of(call: &Ended<'_>) -> Self {
        Self {
            at: SystemTime::now(),
            server: call.server.clone(),
            names: call.names.cloned(),
            method: call.method,
            eras: call.eras,
            outcome: call.outcome,
            took: call.took,
            bytes_in: call.received,
            bytes_out: call.sent,
        }
    }

    fn who(&self) -> &str {
        self.names.as_ref().map_or("", |names| &names.caller)
    }

    fn tool(&self) -> Option<Cow<'_, str>> {
        self.names.as_ref()?.tool.as_deref().map(cut)
    }

    fn session(&self) -> Option<&str> {
        self.names.as_ref()?.session.as_deref()
    }

    fn request(&self) -> Option<&str> {
        self.names.as_ref().map(|names| names.request.as_str())
    }

    fn trace(&self) -> Option<String> {
        let trace = self.names.as_ref()?.trace.as_ref()?;
        Some(format!("{:032x}", trace.id()))
    }
}

/// Into the log of the process, which knows its form.
pub(super) fn log(note: &Note) {
    tracing::info!(
        target: TARGET,
        server = &*note.server,
        who = note.who(),
        method = note.method,
        tool = note.tool().as_deref(),
        outcome = note.outcome.as_str(),
        code = note.outcome.code(),
        ms = milliseconds(note.took),
        bytes_in = note.bytes_in,
        bytes_out = note.bytes_out,
        session = note.session(),
        eras = note.eras.map(Eras::as_str),
        request = note.request(),
        trace = note.trace(),
    );
}

// Writing to a string cannot fail.
pub(super) fn as_text(note: &Note, text: &mut String) {
    let at = humantime::format_rfc3339_millis(note.at);
    let _ = write!(text, "{at} server={} who={} method={}", note.server, Word(note.who()), note.method);
    if let Some(tool) = note.tool() {
        let _ = write!(text, " tool={}", Word(&tool));
    }
    let _ = write!(text, " outcome={}", note.outcome.as_str());
    if let Some(code) = note.outcome.code() {
        let _ = write!(text, " code={code}");
    }
    let ms = milliseconds(note.took);
    let _ = write!(text, " ms={ms} bytes_in={} bytes_out={}", note.bytes_in, note.bytes_out);
    if let Some(session) = note.session() {
        let _ = write!(text, " session={}", Word(session));
    }
    if let Some(eras) = note.eras {
        let _ = write!(text, " eras={}", eras.as_str());
    }
    if let Some(request) = note.request() {
        let _ = write!(text, " request={request}");
    }
    if let Some(trace) = note.trace() {
        let _ = write!(text, " trace={trace}");
    }
}

pub(super) fn as_json(note: &Note, text: &mut String) {
    let line = Line {
        at: humantime::format_rfc3339_millis(note.at).to_string(),
        server: &note.server,
        who: note.who(),
        method: note.method,
        tool: note.tool(),
        outcome: note.outcome.as_str(),
        code: note.outcome.code(),
        ms: milliseconds(note.took),
        bytes_in: note.bytes_in,
        bytes_out: note.bytes_out,
        session: note.session(),
        eras: note.eras.map(Eras::as_str),
        request: note.request(),
        trace: note.trace(),
    };
    // It has nothing that JSON could not say.
    text.push_str(&serde_json::to_string(&line).unwrap_or_default());
}

/// A line for machines.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    server: &'a str,
    who: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<Cow<'a, str>>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    ms: f64,
    bytes_in: usize,
    bytes_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eras: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

/// To the thousandth.
fn milliseconds(took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a request does not take centuries")]
    let micros = took.as_micros() as f64;
    micros / 1000.0
}

/// What a client has chosen may be long.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]).into(),
        None => text.into(),
    }
}

/// A text as one word of a line: in quotes, with escapes, unless it is plain.
struct Word<'a>(&'a str);

impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::RequestId;

    fn note(tool: &str) -> Note {
        let names = Names {
            caller: "alice of sales".into(),
            tool: Some(tool.into()),
            session: Some("ab12".into()),
            arguments: None,
            revision: None,
            request: RequestId::given(b"r-1").unwrap(),
            trace: None,
        };
        Note {
            at: SystemTime::UNIX_EPOCH,
            server: "files".into(),
            names: Some(Arc::new(names)),
            method: "tools/call",
            eras: None,
            outcome: Outcome::ServerError(-32602),
            took: Duration::from_micros(1234),
            bytes_in: 10,
            bytes_out: 20,
        }
    }

    #[test]
    fn a_request_is_one_line_whatever_its_client_calls_things() {
        let (mut text, mut json) = (String::new(), String::new());
        let note = note("a\nb \"\u{202e}c\u{1b}[31m");
        as_text(&note, &mut text);
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z server=files who=\"alice of sales\" method=tools/call \
             tool=\"a\\nb \\\"\\u{202e}c\\u{1b}[31m\" outcome=error code=-32602 ms=1.234 bytes_in=10 bytes_out=20 \
             session=ab12 request=r-1"
        );
        as_json(&note, &mut json);
        assert!(!json.contains('\n'), "{json}");
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["tool"], &line["code"]), (&"a\nb \"\u{202e}c\u{1b}[31m".into(), &(-32602).into()));
    }

    #[test]
    fn a_long_name_is_cut_between_its_characters() {
        assert_eq!(*cut(&"\u{e4}".repeat(200)), *format!("{}\u{2026}", "\u{e4}".repeat(128)));
        assert_eq!(&*cut("short"), "short");
    }
}
