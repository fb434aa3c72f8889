//! A call as it is sent, and the check that its answer is the right one.

use std::io::Write;

use anyhow::{Result, ensure};
use memchr::{memchr, memmem};

use crate::session::Era;

/// A `tools/call` of the echo server, the same each time but for its id.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `"name":"…","arguments":{…}`
    params: String,
    /// The result holds at least so many bytes.
    size: usize,
    /// So many progress notifications precede the result.
    notes: u64,
}

/// What has been seen of the answer to one call.
pub(crate) struct Answer<'a> {
    call: &'a Call,
    id: u64,
    /// The first bytes of the response.
    start: Vec<u8>,
    /// The last bytes of the response.
    end: Vec<u8>,
    length: usize,
    responses: u32,
    notes: u64,
    /// A note was not the successor of the one before it.
    disorder: bool,
    /// The part of an event's line that came without its end.
    partial: Vec<u8>,
}

impl Call {
    /// Returns the text it is given, 100 bytes.
    pub(crate) fn echo() -> Self {
        Self::echo_as(ECHO)
    }

    /// The same, where it has another name.
    pub(crate) fn echo_as(tool: &str) -> Self {
        let text = "0123456789".repeat(10);
        Self { params: format!(r#""name":"{tool}","arguments":{{"text":"{text}"}}"#), size: 100, notes: 0 }
    }

    /// Returns a text of `size` bytes.
    pub(crate) fn large(size: usize) -> Self {
        Self { params: format!(r#""name":"large","arguments":{{"size":{size}}}"#), size, notes: 0 }
    }

    /// Reports progress `notes` times, then returns a short text.
    pub(crate) fn progress(notes: u64) -> Self {
        Self { params: format!(r#""name":"progress","arguments":{{"count":{notes}}}"#), size: 4, notes }
    }

    /// The progress notifications that precede the result.
    pub(crate) fn notes(&self) -> u64 {
        self.notes
    }

    /// Writes the JSON-RPC request with this id; its id is its progress token, too.
    pub(crate) fn write(&self, id: u64, era: Era, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ =
            write!(out, r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{}"#, self.params);
        if era == Era::Modern {
            let _ = write!(out, r#","_meta":{META}"#);
        } else if self.notes > 0 {
            let _ = write!(out, r#","_meta":{{"progressToken":{id}}}"#);
        }
        out.extend_from_slice(b"}}");
    }
}

impl<'a> Answer<'a> {
    /// Nothing seen yet of the answer to `call` sent with `id`.
    pub(crate) fn new(call: &'a Call, id: u64) -> Self {
        Self {
            call,
            id,
            start: Vec::with_capacity(KEPT),
            end: Vec::new(),
            length: 0,
            responses: 0,
            notes: 0,
            disorder: false,
            partial: Vec::new(),
        }
    }

    /// Takes a piece of a body that is one JSON text.
    pub(crate) fn json(&mut self, piece: &[u8]) {
        self.responses = 1;
        self.length += piece.len();
        let room = KEPT - self.start.len();
        self.start.extend_from_slice(&piece[..room.min(piece.len())]);
        if piece.len() >= KEPT {
            self.end.clear();
        }
        self.end.extend_from_slice(&piece[piece.len().saturating_sub(KEPT)..]);
    }

    /// Takes a piece of a body that is an event stream.
    pub(crate) fn events(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            piece = &rest[1..];
            if self.partial.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole);
            }
        }
        self.partial.extend_from_slice(piece);
    }

    /// Takes one message that the server wrote.
    pub(crate) fn message(&mut self, message: &[u8]) {
        if self.call.notes > 0
            && let Some(at) = memmem::find(message, br#""progress":"#)
        {
            self.notes += 1;
            self.disorder |= number(&message[at + 11..]) != Some(self.notes) || self.responses > 0;
        } else {
            self.start.clear();
            self.end.clear();
            self.length = 0;
            let before = self.responses;
            self.json(message);
            self.responses = before + 1;
        }
    }

    /// The answer has come to its end: is it right?
    pub(crate) fn check(&self) -> Result<()> {
        let seen = String::from_utf8_lossy(&self.start);
        ensure!(self.responses == 1, "{} responses to one call", self.responses);
        let id = memmem::find(&self.start, br#""id":"#).and_then(|at| number(&self.start[at + 5..]));
        ensure!(id == Some(self.id), "the answer to another call than {}: {seen}", self.id);
        ensure!(memmem::find(&self.start, br#""result":"#).is_some(), "not a result: {seen}");
        let whole = memmem::find(&self.end, br#""isError":false"#).is_some();
        // Behind it stands what a modern result must have.
        let modern = memmem::find(&self.end, br#""resultType":"complete""#).is_some();
        ensure!(whole || modern, "the result is cut short: {seen}");
        ensure!(self.length >= self.call.size, "{} bytes of at least {}", self.length, self.call.size);
        ensure!(self.notes == self.call.notes, "{} of {} notes", self.notes, self.call.notes);
        ensure!(!self.disorder, "progress out of order");
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        // An event of only an id primes the stream; comments keep it alive.
        match line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) {
            None | Some([]) => {}
            Some(message) => self.message(message),
        }
    }
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// What the echo server calls the tool that returns its text.
pub(crate) const ECHO: &str = "echo";

/// What a request of 2026-07-28 says of itself.
pub(crate) const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Bytes of each end of a response that are looked at.
const KEPT: usize = 128;
