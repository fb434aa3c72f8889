//! Lines: however a stream is cut the same lines come out, none is longer than the limit, and what follows one that is
//! stays whole.

use super::choice::Choice;
use bytes::Bytes;
use mcp_switchboard::wire::Message;
use mcp_switchboard::wire::line::{Line, LineSplitter, Skipped, flatten};

/// As much as is kept of each end of a line that is too long.
const KEPT: usize = 4 << 10;

pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let limit = choice.among(&[1, 2, 7, 16, 40, 200, 5000]);
    let expected = simply(data, limit);
    assert_eq!(cut(&[data], limit), expected, "in one piece, limit {limit}");
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(cut(&bytes, limit), expected, "byte by byte, limit {limit}");
    let pieces = choice.pieces(data);
    assert_eq!(cut(&pieces, limit), expected, "cut as {pieces:?}, limit {limit}");
    for line in data.split(|byte| *byte == b'\n') {
        an_answer_is_known(line);
    }
    a_flat_text_is_one_line(data);
}

/// What the splitter finds in these pieces.
fn cut(pieces: &[&[u8]], limit: usize) -> Vec<Line> {
    let (mut splitter, mut found) = (LineSplitter::new(limit), Vec::new());
    for piece in pieces {
        splitter.feed(piece, |line| found.push(line));
        assert!(splitter.pending() <= limit, "it holds {} bytes, limit {limit}", splitter.pending());
    }
    found.extend(splitter.finish());
    assert_eq!((splitter.pending(), splitter.finish()), (0, None));
    found
}

/// The lines of a text that is there as a whole.
fn simply(data: &[u8], limit: usize) -> Vec<Line> {
    let line = |raw: &[u8]| {
        if raw.len() > limit {
            let (head, tail) =
                (raw[..raw.len().min(KEPT)].to_vec(), raw[raw.len().saturating_sub(KEPT)..].to_vec());
            return Some(Line::TooLong(Skipped { head, tail, length: raw.len() }));
        }
        let trimmed = raw.trim_ascii();
        (!trimmed.is_empty()).then(|| Line::Whole(Bytes::copy_from_slice(trimmed)))
    };
    data.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Whom an answer is for is told by its two ends, and never told wrong.
fn an_answer_is_known(line: &[u8]) {
    let skipped = |text: &[u8]| {
        let mut splitter = LineSplitter::new(0);
        splitter.feed(text, |_| ());
        match splitter.finish() {
            Some(Line::TooLong(skipped)) => skipped.answered_id(),
            _ => None,
        }
    };
    let answered = skipped(line);
    // Keys in escapes, and brackets within strings, are beyond what is looked for: only the two ends are known.
    let Ok(message) = Message::parse(&Bytes::copy_from_slice(line), 64) else { return };
    if line.windows(2).any(|pair| pair == b"\\u") || line.len() > KEPT || has_bracket_in_string(line) {
        return;
    }
    assert_eq!(answered, skipped(line.trim_ascii()), "space around it makes no difference");
    match answered {
        Some(Some(id)) => assert_eq!(message.id(), Some(&*id), "the id is the answer's own"),
        Some(None) => assert!(message.is_answer(), "what is no answer is not taken for one"),
        None => assert!(!message.is_answer(), "an answer is not passed over"),
    }
}

/// Whether a string of a JSON text has what opens or closes containers elsewhere.
fn has_bracket_in_string(json: &[u8]) -> bool {
    let (mut inside, mut escaped) = (false, false);
    json.iter().any(|byte| {
        let is_text = inside && !escaped;
        escaped = is_text && *byte == b'\\';
        inside ^= *byte == b'"' && (!inside || is_text);
        is_text && matches!(byte, b'{' | b'}' | b'[' | b']')
    })
}

fn a_flat_text_is_one_line(data: &[u8]) {
    let flat = flatten(data);
    assert_eq!(flat.len(), data.len());
    let same = |(flat, byte): (&u8, &u8)| flat == byte || (*flat == b' ' && matches!(byte, b'\r' | b'\n'));
    assert!(flat.iter().zip(data).all(same) && !flat.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
}
