//! How a request reads as a line.

use super::TARGET;
use crate::telemetry::{Ended, Eras, Names, Trace};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Characters of a text that a client has chosen.
const LONGEST: usize = 128;

/// Who called what, as a line has it.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    names: Option<&'a Names>,
    with_arguments: bool,
}

impl<'a> Told<'a> {
    /// What is told of this one.
    pub(super) fn of(call: &Ended<'a>, with_arguments: bool) -> Self {
        Self { names: call.names, with_arguments }
    }

    /// With what a tool was called, if that is asked for. Another sink may have asked for it, too.
    pub(super) fn arguments(self) -> Option<&'a str> {
        self.names?.arguments.as_deref().filter(|_| self.with_arguments)
    }

    fn who(self) -> &'a str {
        self.names.map_or("", |names| &names.caller)
    }

    fn tool(self) -> Option<Cow<'a, str>> {
        self.names?.tool.as_deref().map(cut)
    }

    fn session(self) -> Option<&'a str> {
        self.names?.session.as_deref()
    }

    fn request(self) -> Option<&'a str> {
        self.names.map(|names| names.request.as_str())
    }

    fn trace(self) -> Option<&'a Trace> {
        self.names?.trace.as_ref()
    }
}

/// Into the log of the process, which knows its form.
pub(super) fn log(call: &Ended<'_>, told: Told<'_>) {
    tracing::info!(
        target: TARGET,
        server = &**call.server,
        who = told.who(),
        method = call.method,
        tool = told.tool().as_deref(),
        outcome = call.outcome.as_str(),
        code = call.outcome.code(),
        ms = milliseconds(call.took),
        bytes_in = call.received,
        bytes_out = call.sent,
        session = told.session(),
        eras = call.eras.map(Eras::as_str),
        request = told.request(),
        trace = told.trace().map(Trace::id_text),
        arguments = told.arguments(),
    );
}

/// Writes a line for people. By hand, not by formatters: half of what a line costs would be theirs.
pub(super) fn as_text(call: &Ended<'_>, told: Told<'_>, clock: &mut Clock, text: &mut String) {
    clock.write(call.ended, text);
    text.extend([" server=", call.server]);
    word(text, " who=", told.who());
    text.extend([" method=", call.method]);
    if let Some(tool) = told.tool() {
        word(text, " tool=", &tool);
    }
    text.extend([" outcome=", call.outcome.as_str()]);
    let mut digits = itoa::Buffer::new();
    if let Some(code) = call.outcome.code() {
        text.extend([" code=", digits.format(code)]);
    }
    let micros = u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX);
    text.extend([" ms=", digits.format(micros / 1000)]);
    thousandths(text, micros % 1000);
    text.extend([" bytes_in=", digits.format(call.received)]);
    text.extend([" bytes_out=", digits.format(call.sent)]);
    if let Some(session) = told.session() {
        word(text, " session=", session);
    }
    if let Some(eras) = call.eras {
        text.extend([" eras=", eras.as_str()]);
    }
    if let Some(request) = told.request() {
        text.extend([" request=", request]);
    }
    if let Some(trace) = told.trace() {
        text.push_str(" trace=");
        trace.write_id(text);
    }
    if let Some(arguments) = told.arguments() {
        word(text, " arguments=", arguments);
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
fn thousandths(text: &mut String, rest: u64) {
    let (rest, width) = match rest {
        0 => return,
        rest if rest.is_multiple_of(100) => (rest / 100, 1),
        rest if rest.is_multiple_of(10) => (rest / 10, 2),
        rest => (rest, 3),
    };
    text.push('.');
    digits(text, rest, width);
}

/// A number with zeros before it up to its width, which is three at most.
fn digits(text: &mut String, number: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let number = buffer.format(number);
    text.push_str("000".get(..width.saturating_sub(number.len())).unwrap_or_default());
    text.push_str(number);
}

/// A text as one word of a line: in quotes, with escapes, unless it is plain.
fn word(text: &mut String, key: &str, word: &str) {
    text.push_str(key);
    if !word.is_empty() && word.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        text.push_str(word);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(text, "{word:?}");
    }
}

/// Which bytes a word may have without quotes.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        plain[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/' | b'@' | b'+');
        byte += 1;
    }
    plain
};

/// Writes a line for machines.
pub(super) fn as_json(call: &Ended<'_>, told: Told<'_>, text: &mut String) {
    let line = Line {
        at: humantime::format_rfc3339_millis(call.ended).to_string(),
        server: call.server,
        who: told.who(),
        method: call.method,
        tool: told.tool(),
        outcome: call.outcome.as_str(),
        code: call.outcome.code(),
        ms: milliseconds(call.took),
        bytes_in: call.received,
        bytes_out: call.sent,
        session: told.session(),
        eras: call.eras.map(Eras::as_str),
        request: told.request(),
        trace: told.trace().map(Trace::id_text),
        arguments: told.arguments(),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
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
    use crate::telemetry::{Outcome, RequestId};

    #[test]
    fn a_request_is_one_line_whatever_its_client_calls_things() {
        let names = Names {
            caller: "alice of sales".into(),
            tool: Some("a\nb \"\u{202e}c\u{1b}[31m".into()),
            session: Some("ab12".into()),
            arguments: Some("{\"a\":\"b\\n\"}".into()),
            revision: None,
            request: RequestId::given(b"r-1").unwrap(),
            trace: None,
        };
        let call = Ended {
            server: &"files".into(),
            names: Some(&names),
            method: "tools/call",
            eras: None,
            outcome: Outcome::ServerError(-32602),
            ended: SystemTime::UNIX_EPOCH,
            took: Duration::from_micros(1234),
            received: 10,
            sent: 20,
        };
        let (mut text, mut json) = (String::new(), String::new());
        let (silent, asked) = (Told::of(&call, false), Told::of(&call, true));
        as_text(&call, silent, &mut Clock::default(), &mut text);
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z server=files who=\"alice of sales\" method=tools/call \
             tool=\"a\\nb \\\"\\u{202e}c\\u{1b}[31m\" outcome=error code=-32602 ms=1.234 bytes_in=10 bytes_out=20 \
             session=ab12 request=r-1"
        );
        let plain = text.clone();
        text.clear();
        as_text(&call, asked, &mut Clock::default(), &mut text);
        assert_eq!(text, plain + r#" arguments="{\"a\":\"b\\n\"}""#);
        as_json(&call, silent, &mut json);
        assert!(!json.contains('\n') && !json.contains("arguments"), "{json}");
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
