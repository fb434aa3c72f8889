//! Reading JSON without building it: one pass that checks the grammar and the depth, and tells where things stand.
//!
//! It is written for the one thing that every message needs. Strings, which make up nearly all of a large message, are
//! passed over in blocks; nothing is copied, nothing is recursive.

use std::ops::Range;

/// Deeper than this nothing is read, whatever the limit.
pub const MAX_DEPTH: usize = 1024;

/// Bytes of a string that are looked at together; the compiler turns the loop into vector instructions.
const BLOCK: usize = 64;

/// Bytes of a string that are looked at before any block.
const SHORT: usize = 16;

/// Why a text was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The grammar was broken at this byte.
    #[error("unexpected byte at offset {0}")]
    Unexpected(usize),
    /// The text ended in the middle.
    #[error("it ends in the middle")]
    Cut,
    /// A container is nested deeper than allowed.
    #[error("it is nested too deeply")]
    TooDeep,
}

/// A place in a JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    limit: usize,
    depth: usize,
    /// The bits that all bytes of strings have in common.
    bits: u8,
    /// A line break stood between two tokens.
    broken: bool,
    /// For each open container whether it is an object.
    objects: [u64; MAX_DEPTH / 64],
}

impl<'a> Scanner<'a> {
    /// Begins at the start of `json`. Containers may be nested `limit` deep, the outermost counting as 1.
    pub fn new(json: &'a [u8], limit: usize) -> Self {
        Self {
            json,
            at: 0,
            limit: limit.min(MAX_DEPTH),
            depth: 0,
            bits: 0,
            broken: false,
            objects: [0; MAX_DEPTH / 64],
        }
    }

    /// Reads the object here, and gives each member: its key and its value as they are written, quotes included.
    pub fn object(&mut self, mut member: impl FnMut(Range<usize>, Range<usize>)) -> Result<(), Fault> {
        self.expect(b'{')?;
        self.open(true)?;
        if self.peek()? == b'}' {
            return self.close();
        }
        loop {
            let key = self.key()?;
            let value = self.value()?;
            member(key, value);
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.close(),
                _ => return Err(Fault::Unexpected(self.at)),
            }
        }
    }

    /// Reads the array here, and gives each item as it is written.
    pub fn array(&mut self, mut item: impl FnMut(Range<usize>)) -> Result<(), Fault> {
        self.expect(b'[')?;
        self.open(false)?;
        if self.peek()? == b']' {
            return self.close();
        }
        loop {
            item(self.value()?);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return self.close(),
                _ => return Err(Fault::Unexpected(self.at)),
            }
        }
    }

    /// Reads the value here, whatever it is.
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        let base = self.depth;
        self.space();
        let start = self.at;
        loop {
            match self.peek()? {
                byte @ (b'{' | b'[') => {
                    let object = byte == b'{';
                    self.at += 1;
                    self.open(object)?;
                    if self.peek()? == if object { b'}' } else { b']' } {
                        self.close()?;
                    } else {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b'"' => {
                    self.string()?;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(Fault::Unexpected(self.at)),
            }
            if !self.another(base)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.json.len() { Ok(()) } else { Err(Fault::Unexpected(self.at)) }
    }

    /// Whether all that was read is ASCII; if it is not, it need not be UTF-8.
    pub fn is_ascii(&self) -> bool {
        self.bits.is_ascii()
    }

    /// Whether what was read has line breaks; they can only stand between tokens.
    pub fn has_line_breaks(&self) -> bool {
        self.broken
    }

    /// The next byte that is no white space, without passing it.
    pub fn peek(&mut self) -> Result<u8, Fault> {
        self.space();
        self.json.get(self.at).copied().ok_or(Fault::Cut)
    }

    /// Behind a value: closes what ends here. True if another value follows before `base` is reached.
    fn another(&mut self, base: usize) -> Result<bool, Fault> {
        while self.depth > base {
            let object = self.in_object();
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                b'}' if object => self.close()?,
                b']' if !object => self.close()?,
                _ => return Err(Fault::Unexpected(self.at)),
            }
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<Range<usize>, Fault> {
        if self.peek()? != b'"' {
            return Err(Fault::Unexpected(self.at));
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn string(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            let (run, bits) = self.json.get(self.at..).and_then(plain_run).ok_or(Fault::Cut)?;
            self.at += run;
            self.bits |= bits;
            match self.json[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                b'\\' => self.escape()?,
                _ => return Err(Fault::Unexpected(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.json.get(self.at).ok_or(Fault::Cut)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            // Half of a surrogate pair alone is let pass: some servers write it, and it is not ours to judge.
            b'u' => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.json.get(self.at).ok_or(Fault::Cut)?.is_ascii_hexdigit() {
                        return Err(Fault::Unexpected(self.at));
                    }
                }
                self.at += 1;
            }
            _ => return Err(Fault::Unexpected(self.at)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.skip_one(b'-');
        if !self.skip_one(b'0') {
            self.digits()?;
        }
        if self.skip_one(b'.') {
            self.digits()?;
        }
        if self.skip_one(b'e') || self.skip_one(b'E') {
            let _ = self.skip_one(b'+') || self.skip_one(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        match count {
            0 if rest.is_empty() => Err(Fault::Cut),
            0 => Err(Fault::Unexpected(self.at)),
            _ => Ok(()),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.json.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(Fault::Unexpected(self.at))
    }

    fn skip_one(&mut self, byte: u8) -> bool {
        let is_it = self.json.get(self.at) == Some(&byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\n' | b'\r' | b'\t')) = self.json.get(self.at) {
            self.broken |= matches!(byte, b'\n' | b'\r');
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek()? != byte {
            return Err(Fault::Unexpected(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, object: bool) -> Result<(), Fault> {
        if self.depth >= self.limit {
            return Err(Fault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        Ok(())
    }

    /// Passes the byte that closes the innermost container.
    fn close(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.depth = self.depth.checked_sub(1).ok_or(Fault::Unexpected(self.at))?;
        Ok(())
    }

    fn in_object(&self) -> bool {
        let innermost = self.depth.saturating_sub(1);
        self.objects[innermost / 64] >> (innermost % 64) & 1 == 1
    }
}

/// A run of plain characters inside a string: how many bytes come before a quote, a backslash or a control character,
/// and the bits that they and some bytes behind them have in common. None if there is no such end.
fn plain_run(text: &[u8]) -> Option<(usize, u8)> {
    // Bitwise, so that a block is looked at without a branch.
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "branches would keep the loop from being turned into vectors"
    )]
    let is_special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    let (mut at, mut bits) = (0, 0);
    // Keys and single words, which are most strings of a message, end here: a block would be more than they are.
    if let Some(end) = plain_words(text.as_chunks().0.iter().take(SHORT / 8), &mut at, &mut bits) {
        return Some((end, bits));
    }
    if text.len() - at > BLOCK {
        for block in text[at..].as_chunks::<BLOCK>().0 {
            let (found, all) = block.iter().fold((false, 0), |(f, all), &b| (f | is_special(b), all | b));
            bits |= all;
            if found {
                break;
            }
            at += BLOCK;
        }
    }
    let (words, rest) = text[at..].as_chunks();
    if let Some(end) = plain_words(words.iter(), &mut at, &mut bits) {
        return Some((end, bits));
    }
    let end = rest.iter().position(|&byte| is_special(byte))?;
    Some((at + end, rest[..end].iter().fold(bits, |bits, &byte| bits | byte)))
}

/// Passes over words of which the first begins `at`, up to the first special byte: where that is, if there is one.
#[inline]
fn plain_words<'a>(words: impl Iterator<Item = &'a [u8; 8]>, at: &mut usize, bits: &mut u8) -> Option<usize> {
    for word in words {
        let word = u64::from_le_bytes(*word);
        let found = specials(word);
        *bits |= if word & HIGH == 0 { 0 } else { 0x80 };
        if found != 0 {
            return Some(*at + found.trailing_zeros() as usize / 8);
        }
        *at += 8;
    }
    None
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The highest bit of each byte that is special, exact up to the first of them.
fn specials(word: u64) -> u64 {
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let zero = |word: u64| below(word, 1);
    below(word, 0x20) | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn read(json: &[u8], limit: usize) -> Result<(), Fault> {
        let mut scanner = Scanner::new(json, limit);
        scanner.value()?;
        scanner.end()
    }

    #[test]
    fn members_and_items_are_given_as_they_are_written() {
        let json = br#" { "a" : [1, "x\"}"] ,"b\u0062":{} , "c":-0.5e+3 } "#;
        let mut found = Vec::new();
        let text = |span: Range<usize>| std::str::from_utf8(&json[span]).unwrap().to_owned();
        Scanner::new(json, 9).object(|key, value| found.push((text(key), text(value)))).unwrap();
        let expected = [("\"a\"", r#"[1, "x\"}"]"#), (r#""b\u0062""#, "{}"), ("\"c\"", "-0.5e+3")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let mut items = Vec::new();
        Scanner::new(b"[1 , [2],{\"a\":3}]", 9).array(|item| items.push(item)).unwrap();
        assert_eq!(items, [1..2, 5..8, 9..16]);
    }

    #[test]
    fn what_other_parsers_refuse_passes() {
        for text in [r#""\ud800""#, "1e400", "123456789012345678901234567890"] {
            assert_eq!(read(text.as_bytes(), 1), Ok(()), "{text}");
        }
    }

    #[test]
    fn depth_is_counted_without_recursion_and_brackets_in_strings_do_not_count() {
        assert_eq!(read("[".repeat(200_000).as_bytes(), usize::MAX), Err(Fault::TooDeep));
        for (json, depth) in [(r#"{"a":"[[[[\"[["}"#, 1), (r#"{"a":["]]]"]}"#, 2), ("[[],[[]],{}]", 3)] {
            assert_eq!(read(json.as_bytes(), depth), Ok(()), "{json}");
            assert_eq!(read(json.as_bytes(), depth - 1), Err(Fault::TooDeep), "{json}");
        }
        let nested = ["[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)].concat();
        assert_eq!(read(nested.as_bytes(), MAX_DEPTH), Ok(()));
    }

    #[test]
    fn what_is_not_ascii_and_what_is_not_one_line_is_noticed() {
        let long = "x".repeat(200);
        for at in [0, 1, 7, 8, 63, 64, 65, 130, 199, 200] {
            let mut text = long.clone();
            text.insert(at, 'é');
            let json = format!("[\"{text}\"]");
            let mut scanner = Scanner::new(json.as_bytes(), 9);
            scanner.value().unwrap();
            assert!(!scanner.is_ascii(), "{at}");
        }
        let read = |json: &str| {
            let mut scanner = Scanner::new(json.as_bytes(), 9);
            scanner.value().unwrap();
            (scanner.is_ascii(), scanner.has_line_breaks())
        };
        assert_eq!(read(&format!("[\"{long}\", \"\\n\"]")), (true, false));
        assert_eq!(read("[1,\r2]"), (true, true));
        assert_eq!(read("[1,\n2]"), (true, true));
    }

    /// Texts that are nearly JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(","),
            Just(":"),
            Just("\"a\""),
            Just("\"\\n\""),
            Just("\"\\u12aF\""),
            Just("\"\\x\""),
            Just("\"\t\""),
            Just("1"),
            Just("-0"),
            Just("01"),
            Just("1.5e-7"),
            Just("1."),
            Just("-"),
            Just("true"),
            Just("nul"),
            Just("null"),
            Just(" "),
            Just("\n"),
        ];
        proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
        prop_assert_eq!(read(text.as_bytes(), MAX_DEPTH).is_ok(), expected, "{}", text);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_takes_exactly_what_json_is(text in nearly_json()) {
            agrees(&text)?;
        }

        #[test]
        fn real_json_is_taken_and_broken_json_is_not(
            strings in proptest::collection::vec(".{0,80}", 1..4),
            cut in 0usize..200,
            byte in any::<u8>(),
        ) {
            let json = serde_json::json!({ "a": strings, "b": [{ "c": strings[0] }, 1.5, null, true] }).to_string();
            agrees(&json)?;
            let cut = cut.min(json.len());
            let mut broken = json.clone().into_bytes();
            broken.truncate(cut);
            agrees(&String::from_utf8_lossy(&broken))?;
            let mut changed = json.into_bytes();
            if let Some(place) = changed.get_mut(cut) {
                *place = byte;
            }
            if let Ok(text) = std::str::from_utf8(&changed) {
                agrees(text)?;
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), limit in 0usize..4) {
            let _ = read(&bytes, limit);
            let _ = Scanner::new(&bytes, limit).object(|_, _| ());
            let _ = Scanner::new(&bytes, limit).array(|_| ());
        }
    }
}
