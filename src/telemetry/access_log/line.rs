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
        Some(trace.id_text())
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

/// Writes a line for people. By hand, not by formatters: half of what a line costs would be theirs.
pub(super) fn as_text(note: &Note, clock: &mut Clock, text: &mut String) {
    clock.write(note.at, text);
    text.extend([" server=", &note.server]);
    word(text, " who=", note.who());
    text.extend([" method=", note.method]);
    if let Some(tool) = note.tool() {
        word(text, " tool=", &tool);
    }
    text.extend([" outcome=", note.outcome.as_str()]);
    let mut digits = itoa::Buffer::new();
    if let Some(code) = note.outcome.code() {
        text.extend([" code=", digits.format(code)]);
    }
    let micros = note.took.as_micros();
    text.extend([" ms=", digits.format(micros / 1000)]);
    thousandths(text, micros % 1000);
    text.extend([" bytes_in=", digits.format(note.bytes_in)]);
    text.extend([" bytes_out=", digits.format(note.bytes_out)]);
    if let Some(session) = note.session() {
        word(text, " session=", session);
    }
    if let Some(eras) = note.eras {
        text.extend([" eras=", eras.as_str()]);
    }
    if let Some(request) = note.request() {
        text.extend([" request=", request]);
    }
    if let Some(trace) = note.trace() {
        text.extend([" trace=", &trace]);
    }
}

/// Writes times as RFC 3339. Most lines are of the second of the line before.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    /// That second, but for what comes after its last digit.
    text: String,
}

impl Clock {
    fn write(&mut self, at: SystemTime, text: &mut String) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || since.as_secs() != self.second {
            self.second = since.as_secs();
            self.text = humantime::format_rfc3339_seconds(at).to_string();
            self.text.pop();
        }
        text.extend([&self.text, "."]);
        digits(text, since.subsec_millis().into(), 3);
        text.push('Z');
    }
}

/// The part behind the point, without zeros at its end; nothing for a whole number.
fn thousandths(text: &mut String, rest: u128) {
    let (rest, width) = match rest {
        0 => return,
        rest if rest % 100 == 0 => (rest / 100, 1),
        rest if rest % 10 == 0 => (rest / 10, 2),
        rest => (rest, 3),
    };
    text.push('.');
    digits(text, rest, width);
}

/// A number with zeros before it up to its width.
fn digits(text: &mut String, number: u128, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let number = buffer.format(number);
    text.extend(std::iter::repeat_n('0', width.saturating_sub(number.len())));
    text.push_str(number);
}

/// A text as one word of a line: in quotes, with escapes, unless it is plain.
fn word(text: &mut String, key: &str, word: &str) {
    text.push_str(key);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        text.push_str(word);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(text, "{word:?}");
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
        as_text(&note, &mut Clock::default(), &mut text);
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
    fn times_are_written_as_the_formatters_would() {
        let mut clock = Clock::default();
        for millis in [0_u64, 7, 999, 1000, 1_795_848_928_045, 1_795_848_928_100, 1_795_848_929_000] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let mut text = String::new();
            clock.write(at, &mut text);
            assert_eq!(text, humantime::format_rfc3339_millis(at).to_string());
        }
        for micros in [0_u32, 1, 10, 100, 120, 999, 1000, 1001, 1010, 123_456] {
            let mut text = (micros / 1000).to_string();
            thousandths(&mut text, (micros % 1000).into());
            assert_eq!(text, (f64::from(micros) / 1000.0).to_string());
        }
    }

    #[test]
    fn a_long_name_is_cut_between_its_characters() {
        assert_eq!(*cut(&"\u{e4}".repeat(200)), *format!("{}\u{2026}", "\u{e4}".repeat(128)));
        assert_eq!(&*cut("short"), "short");
    }
}
