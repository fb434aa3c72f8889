//! Foreign text on its way into the log: cut into lines, without secrets, harmless to a terminal, and not too much of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use memchr::memchr;

use super::mask::Mask;
use crate::config::ServerName;

/// Bytes of a line that are logged.
const LINE: usize = 1 << 10;

/// Lines that may come at once.
const BURST: f64 = 50.0;

/// Lines per second after that.
const RATE: f64 = 10.0;

/// The lines of one process's stderr, on their way into the log. It holds no buffer between lines.
#[derive(Debug)]
pub(super) struct Transcript {
    server: ServerName,
    mask: Mask,
    last_words: LastWords,
    pace: Pace,
    partial: Vec<u8>,
    /// The rest of the line is too long to be kept.
    cut: bool,
}

impl Transcript {
    pub(super) fn new(server: ServerName, mask: Mask, last_words: LastWords) -> Self {
        Self { server, mask, last_words, pace: Pace::new(Instant::now()), partial: Vec::new(), cut: false }
    }

    /// Takes the next bytes, and logs the lines that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.log();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Logs the line that lacks its end, and how many were not logged.
    pub(super) fn finish(&mut self) {
        self.log();
        let suppressed = std::mem::take(&mut self.pace.suppressed);
        if suppressed > 0 {
            tracing::info!(target: STDERR, server = %self.server, suppressed, "more lines than are logged");
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (LINE + self.mask.longest).saturating_sub(self.partial.len());
        self.cut |= bytes.len() > room;
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn log(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let cut = std::mem::take(&mut self.cut);
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        let text = shown(&self.mask.apply(&text), cut);
        self.last_words.set(&text);
        let Some(suppressed) = self.pace.admit(Instant::now()) else { return };
        if suppressed > 0 {
            tracing::info!(target: STDERR, server = %self.server, suppressed, "more lines than are logged");
        }
        tracing::info!(target: STDERR, server = %self.server, "{text}");
    }
}

/// The target of what servers write to stderr.
pub const STDERR: &str = "server";

/// What a process last wrote to stderr: often the reason why it ended. Masked, and short.
#[derive(Clone, Debug)]
pub(super) struct LastWords {
    lines: Arc<Mutex<VecDeque<Box<str>>>>,
    kept: usize,
}

/// Characters of the last words.
const LAST_WORDS: usize = 300;

impl LastWords {
    /// Of so many lines, one at least.
    pub(super) fn keeping(kept: usize) -> Self {
        Self { lines: Arc::default(), kept: kept.max(1) }
    }

    fn set(&self, text: &str) {
        let text: String = text.chars().take(LAST_WORDS).collect();
        let mut lines = self.lock();
        if lines.len() >= self.kept {
            lines.pop_front();
        }
        lines.push_back(text.into());
    }

    /// The last line; empty if there was none.
    pub(super) fn get(&self) -> Box<str> {
        self.lock().back().cloned().unwrap_or_default()
    }

    /// The last lines, in order.
    pub(super) fn lines(&self) -> Vec<Box<str>> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text as it may stand in a log: no control character, no direction mark, not too long.
fn shown(text: &str, cut: bool) -> String {
    let mut shown = String::with_capacity(text.len().min(LINE) + 4);
    for character in text.chars() {
        if shown.len() >= LINE {
            shown.push('…');
            return shown;
        }
        if is_harmless(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    if cut {
        shown.push('…');
    }
    shown
}

/// Neither a control character nor one that changes lines or directions.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// How many lines may be logged.
#[derive(Debug)]
struct Pace {
    allowance: f64,
    at: Instant,
    suppressed: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { allowance: BURST, at: now, suppressed: 0 }
    }

    /// How many lines were suppressed before this one, or `None` if it is one of them.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.allowance = (self.allowance + passed * RATE).min(BURST);
        self.at = now;
        if self.allowance < 1.0 {
            self.suppressed += 1;
            return None;
        }
        self.allowance -= 1.0;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandSpec;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn fifty_lines_at_once_then_ten_a_second_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let admitted = (0..70).filter(|_| pace.admit(start).is_some()).count();
        assert_eq!(admitted, 50);
        assert_eq!(pace.admit(start + Duration::from_millis(150)), Some(20));
        assert_eq!(pace.admit(start + Duration::from_millis(160)), None);
    }

    #[test]
    fn as_many_of_the_last_lines_are_kept_as_are_wanted() {
        for (kept, expected) in [(0, &["c"][..]), (2, &["b", "c"]), (9, &["a", "b", "c"])] {
            let words = LastWords::keeping(kept);
            assert_eq!(&*words.get(), "");
            for line in ["a", "b", "c"] {
                words.set(line);
            }
            assert_eq!(words.lines().iter().map(|line| &**line).collect::<Vec<_>>(), expected);
            assert_eq!(&*words.get(), "c");
        }
    }

    #[test]
    fn a_terminal_is_not_moved() {
        assert_eq!(shown("\u{1b}[31mred\u{7}\r\u{202e}", false), "\\u{1b}[31mred\\u{7}\\r\\u{202e}");
        assert_eq!(shown("grüße", false), "grüße");
    }

    #[test]
    fn secrets_are_masked_whole_and_line_by_line() {
        let mut command = CommandSpec::new("x");
        command.env.insert("TOKEN".into(), "abcd".into());
        command.env.insert("KEY".into(), "-----BEGIN\nsecretline\n".into());
        command.env.insert("DEBUG".into(), "1".into());
        command.secrets.push("abcdefgh".into());
        let mask = Mask::new(&command);
        assert_eq!(mask.apply("1: abcdefgh abcd secretline"), "1: *** *** ***");
    }

    proptest! {
        #[test]
        fn a_line_of_any_bytes_is_short_and_printable(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let text = shown(&String::from_utf8_lossy(&bytes), false);
            prop_assert!(text.chars().all(is_harmless));
            prop_assert!(text.len() < LINE + 16);
        }
    }
}
