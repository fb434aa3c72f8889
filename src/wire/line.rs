//! Lines: the framing of the stdio transport.
//!
//! 2025-11-25, basic/transports: "Messages are delimited by newlines, and MUST NOT contain embedded newlines."

use bytes::Bytes;
use memchr::{memchr, memchr2};

/// How much of the two ends of an over-long line is kept, to find the id that it answers.
const KEPT_END: usize = 4 << 10;

/// From here on a line is a long one.
const STEP: usize = 64 << 10;

/// Cuts a stream of bytes into lines, none longer than a limit.
///
/// What comes before the end of a line is kept here, so an idle splitter holds no memory.
#[derive(Debug)]
pub struct LineSplitter {
    limit: usize,
    partial: Vec<u8>,
    skipping: Option<Skipped>,
}

/// What the splitter found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its end; never empty.
    Whole(Bytes),
    /// A line over the limit, of which only the two ends are kept.
    TooLong(Skipped),
}

/// The two ends of a line that was too long to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The first 4 KiB.
    pub head: Vec<u8>,
    /// The last 4 KiB.
    pub tail: Vec<u8>,
    /// Bytes of the line in all.
    pub length: usize,
}

impl LineSplitter {
    /// A splitter that keeps lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, partial: Vec::new(), skipping: None }
    }

    /// Takes the next bytes of the stream, and gives every line that they complete to `found`.
    pub fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Line)) {
        while let Some(end) = memchr(b'\n', bytes) {
            if let Some(line) = self.complete(&bytes[..end]) {
                found(line);
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The stream has ended: the line that lacks its end, if there is one.
    pub fn finish(&mut self) -> Option<Line> {
        self.complete(&[])
    }

    /// Bytes held of a line whose end has not come.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }

    fn complete(&mut self, rest: &[u8]) -> Option<Line> {
        if self.partial.is_empty() && self.skipping.is_none() && rest.len() <= self.limit {
            return whole(rest.trim_ascii()).map(|line| Line::Whole(Bytes::copy_from_slice(line)));
        }
        self.keep(rest);
        if let Some(skipped) = self.skipping.take() {
            return Some(Line::TooLong(skipped));
        }
        let line = Bytes::from(std::mem::take(&mut self.partial));
        whole(line.trim_ascii()).map(|trimmed| Line::Whole(line.slice_ref(trimmed)))
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(skipped) = &mut self.skipping {
            skipped.push(bytes);
        } else if self.partial.len() + bytes.len() > self.limit {
            let mut skipped = Skipped::default();
            skipped.push(&std::mem::take(&mut self.partial));
            skipped.push(bytes);
            self.skipping = Some(skipped);
        } else {
            // A long line grows in large steps: pages that are not written to cost nothing.
            if self.partial.capacity() - self.partial.len() < bytes.len() && self.partial.len() >= STEP {
                let more = (3 * self.partial.len()).min(self.limit - self.partial.len());
                self.partial.reserve_exact(more);
            }
            self.partial.extend_from_slice(bytes);
        }
    }
}

impl Skipped {
    /// The id of the request that the line answered, as far as its two ends tell: None if it was no answer at all,
    /// `Some(None)` if it may have been one, but to what cannot be told.
    ///
    /// The id is a field of the outermost object: at the beginning it stands before any other object, at the end
    /// behind all of them.
    pub fn answered_id(&self) -> Option<Option<Box<str>>> {
        let (head, tail) = (self.head.trim_ascii_start(), self.tail.trim_ascii_end());
        let head = &head[..memchr2(b'{', b'[', head.get(1..)?).map_or(head.len(), |at| at + 1)];
        let tail = &tail[memchr::memrchr2(b'}', b']', tail.split_last()?.1).map_or(0, |at| at + 1)..];
        let has_method = |piece| value_of(b"\"method\"", piece).is_some();
        if has_method(head) || has_method(tail) {
            return None;
        }
        Some(id_in(head).or_else(|| id_in(tail)))
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = KEPT_END.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.length += bytes.len();
        let from = bytes.len().saturating_sub(KEPT_END);
        self.tail.extend_from_slice(&bytes[from..]);
        let excess = self.tail.len().saturating_sub(KEPT_END);
        self.tail.drain(..excess);
    }
}

/// The value of the field `"id"` in a piece of an object that holds no other container.
fn id_in(piece: &[u8]) -> Option<Box<str>> {
    let value = value_of(b"\"id\"", piece)?;
    let end = match value.first()? {
        b'"' => 2 + memchr(b'"', &value[1..])?,
        _ => memchr2(b',', b'}', value)?,
    };
    let text = std::str::from_utf8(value[..end].trim_ascii()).ok()?;
    serde_json::from_str::<serde_json::Value>(text).ok().filter(|id| id.is_number() || id.is_string())?;
    Some(text.into())
}

/// What stands behind a key, given in its quotes, in such a piece. A string that only has the same letters is no key.
fn value_of<'a>(key: &[u8], piece: &'a [u8]) -> Option<&'a [u8]> {
    let behind = |at: usize| piece[at + key.len()..].trim_ascii_start().strip_prefix(b":");
    memchr::memmem::rfind_iter(piece, key).find_map(behind).map(<[u8]>::trim_ascii_start)
}

fn whole(line: &[u8]) -> Option<&[u8]> {
    (!line.is_empty()).then_some(line)
}

/// Makes one line of a JSON text: in valid JSON a raw CR or LF is only white space between tokens, so
/// a space in its place changes nothing.
pub fn flatten(json: &[u8]) -> Bytes {
    json.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(splitter: &mut LineSplitter, bytes: &[u8]) -> Vec<Line> {
        let mut out = Vec::new();
        splitter.feed(bytes, |line| out.push(line));
        out
    }

    #[test]
    fn a_line_over_the_limit_keeps_its_ends_and_the_next_line_is_whole() {
        let mut splitter = LineSplitter::new(10);
        let out = lines(&mut splitter, b"0123456789abcdef\nnext\n");
        assert_eq!(
            out,
            [
                Line::TooLong(Skipped {
                    head: b"0123456789abcdef".to_vec(),
                    tail: b"0123456789abcdef".to_vec(),
                    length: 16
                }),
                Line::Whole(Bytes::from_static(b"next")),
            ]
        );
    }

    #[test]
    fn an_over_long_answer_is_still_known_by_its_id() {
        let long = "x".repeat(3 * KEPT_END);
        let id = |line: String| {
            let mut splitter = LineSplitter::new(100);
            match &lines(&mut splitter, format!("{line}\n").as_bytes())[..] {
                [Line::TooLong(skipped)] => skipped.answered_id(),
                other => panic!("{other:?}"),
            }
        };
        let first = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"id":8,"text":"{long}"}}}}"#);
        let last =
            format!(r#"{{"result":{{"content":[{{"id":8,"text":"{long}"}}]}},"jsonrpc":"2.0","id":"a b"}}"#);
        let neither = format!(r#"{{"result":"{long}"}}"#);
        let question = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"text":"{long}"}}}}"#);
        let named = format!(r#"{{"result":"method","id":9,"jsonrpc":"2.0","x":"{long}"}}"#);
        assert_eq!(id(format!("  {first} \r")), Some(Some("7".into())));
        assert_eq!(id(format!("{last} \r")), Some(Some("\"a b\"".into())));
        assert_eq!(id(named), Some(Some("9".into())));
        assert_eq!(id(first), Some(Some("7".into())));
        assert_eq!(id(last), Some(Some("\"a b\"".into())));
        assert_eq!(id(neither), Some(None));
        assert_eq!(id(question), None);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut splitter = LineSplitter::new(100);
        assert_eq!(lines(&mut splitter, b"a\r\n\r\n b"), [Line::Whole(Bytes::from_static(b"a"))]);
        assert_eq!(splitter.finish(), Some(Line::Whole(Bytes::from_static(b"b"))));
        assert_eq!(splitter.finish(), None);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
            limit in 1usize..40,
        ) {
            let mut whole = LineSplitter::new(limit);
            let mut expected = lines(&mut whole, &text);
            expected.extend(whole.finish());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut pieces = LineSplitter::new(limit);
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                found.extend(lines(&mut pieces, &text[pair[0]..pair[1]]));
            }
            found.extend(pieces.finish());
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn flattening_keeps_the_meaning(depth in 0usize..4, text in "[a-z \\n\\r]{0,12}") {
            let mut value = serde_json::json!({ "text": text });
            for _ in 0..depth {
                value = serde_json::json!([value, 1]);
            }
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            let flat = flatten(&pretty);
            prop_assert!(!flat.contains(&b'\n'));
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&flat).unwrap(), value);
        }
    }
}
