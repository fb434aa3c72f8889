//! Server-sent events, as the HTML standard defines them: what we write, and how we read.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// What keeps an idle stream open through load balancers.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Data beyond this many bytes is passed on as it is, without a copy.
const COPIED: usize = 16 << 10;

/// Appends an event to `out`, whose pieces follow one another on the wire.
///
/// `data` must have no line break: a message is one line.
pub fn encode(out: &mut Encoder, name: &str, id: Option<&str>, data: &Bytes) {
    let head = &mut out.tail;
    head.reserve(name.len() + id.map_or(0, str::len) + 32);
    for (field, value) in [("event: ", Some(name)), ("\nid: ", id)] {
        if let Some(value) = value {
            head.extend_from_slice(field.as_bytes());
            head.extend_from_slice(value.as_bytes());
        }
    }
    head.extend_from_slice(b"\ndata: ");
    if data.len() > COPIED {
        out.pieces.push(head.split().freeze());
        out.pieces.push(data.clone());
    } else {
        head.extend_from_slice(data);
    }
    out.tail.extend_from_slice(b"\n\n");
}

/// Appends the event that primes a client to resume: an id and empty data.
///
/// 2025-11-25, basic/transports: "the server SHOULD immediately send an SSE event consisting of an event ID and an
/// empty data field in order to prime the client to reconnect".
pub fn encode_priming(out: &mut Encoder, id: &str) {
    out.tail.extend_from_slice(b"id: ");
    out.tail.extend_from_slice(id.as_bytes());
    out.tail.extend_from_slice(b"\ndata: \n\n");
}

/// Collects events; small ones in one piece, large data in a piece of its own.
#[derive(Debug, Default)]
pub struct Encoder {
    pieces: Vec<Bytes>,
    tail: BytesMut,
}

impl Encoder {
    /// The bytes collected, in order.
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.freeze());
        }
        self.pieces
    }

    /// Bytes collected.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.pieces.is_empty()
    }
}

/// An event as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's name; empty means `message`.
    pub name: String,
    /// The lines of its data, joined by line feeds.
    pub data: String,
    /// The last id that the stream has given, if any.
    pub id: Option<String>,
    /// Its length in bytes, if it was too long to keep: its data is only the beginning of what it was.
    pub too_long: Option<usize>,
}

/// How much is kept of the data of an event that is too long.
const KEPT: usize = 4 << 10;

/// Reads a stream of events, however it is cut.
///
/// Of an event that is longer than the limit only the beginning is kept, so that what is held is bounded.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: Vec<u8>,
    /// Bytes of the event so far.
    length: usize,
    event: Event,
    has_data: bool,
    after_cr: bool,
    begun: bool,
    retry: Option<u64>,
    /// The id of the last event that came to its end: what came of the next one is not had yet.
    last_id: Option<String>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Decoder {
    /// A decoder for events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            length: 0,
            event: Event::default(),
            has_data: false,
            after_cr: false,
            begun: false,
            retry: None,
            last_id: None,
        }
    }

    /// The id of the last whole event, or the one that held for it, if any.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// How many milliseconds to wait before the stream is asked for again, if it has said so.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Takes what comes from another connection: the id and the pause stay, what was begun is dropped.
    pub fn restart(&mut self) {
        let last_id = self.last_id.take();
        let event = Event { id: last_id.clone(), ..Event::default() };
        *self = Self { retry: self.retry, event, last_id, ..Self::new(self.limit) };
    }

    /// Takes the next bytes of the stream, and gives every event that they complete to `found`.
    pub fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Event)) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes);
                return;
            };
            self.keep(&bytes[..end]);
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            if let Some(event) = self.line(&String::from_utf8_lossy(&line)) {
                found(event);
            }
        }
    }

    /// Adds to the line that has begun.
    fn keep(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        if self.length <= self.limit {
            return self.line.extend_from_slice(bytes);
        }
        if self.event.too_long.replace(self.length).is_none() {
            self.event.data = self.event.data.chars().take(KEPT).collect();
            self.line.truncate(KEPT);
            self.line.shrink_to_fit();
        }
        let room = KEPT.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        let line = if self.begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            let id = self.event.id.clone();
            self.last_id.clone_from(&id);
            self.length = 0;
            let event = std::mem::replace(&mut self.event, Event { id, ..Event::default() });
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if self.event.too_long.is_some() && self.event.data.len() >= KEPT => {}
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, |event| events.push(event));
        }
        events
    }

    #[test]
    fn of_an_event_that_is_too_long_the_beginning_is_kept_and_the_next_one_whole() {
        let mut decoder = Decoder::new(10_000);
        let long = format!("id: 2\ndata: {{\"id\":7{}\n\nid: 3\ndata: b\n\n", " ".repeat(1_000_000));
        let mut found = Vec::new();
        for piece in long.as_bytes().chunks(3000) {
            decoder.feed(piece, |event| found.push(event));
            assert!(decoder.line.len() + decoder.event.data.len() <= 20_000);
        }
        assert!(
            found[0].too_long.is_some_and(|length| length > 1_000_000)
                && found[0].data.starts_with("{\"id\":7")
        );
        assert_eq!((found[1].data.as_str(), found[1].too_long, decoder.last_id()), ("b", None, Some("3")));
    }

    #[test]
    fn a_stream_is_resumed_after_its_last_whole_event() {
        let mut decoder = Decoder::default();
        decoder.feed(b"id: 1\nretry: 20\ndata: a\n\nid: 2\ndata: ", |_| ());
        assert_eq!((decoder.last_id(), decoder.retry()), (Some("1"), Some(20)));
        decoder.restart();
        let mut found = Vec::new();
        decoder.feed(b"data: b\n\n", |event| found.push(event));
        assert_eq!((decoder.last_id(), found[0].data.as_str()), (Some("1"), "b"));
    }

    #[test]
    fn every_line_end_comments_and_the_byte_order_mark_are_understood() {
        let events = decode(&[
            "\u{feff}: hello\r\nid:1\r\ndata: a\r\rdata\ndata:  b\nevent: x\nretry: 3\n\n\n".as_bytes(),
        ]);
        let id = Some("1".to_owned());
        assert_eq!(
            events,
            [
                Event { data: "a".into(), id: id.clone(), ..Event::default() },
                Event { name: "x".into(), data: "\n b".into(), id, ..Event::default() },
            ]
        );
    }

    #[test]
    fn large_data_is_not_copied() {
        let data = Bytes::from(vec![b'x'; COPIED + 1]);
        let mut out = Encoder::default();
        encode(&mut out, "message", Some("1-1"), &data);
        let pieces = out.finish();
        assert_eq!(pieces[1].as_ptr(), data.as_ptr());
        assert_eq!(pieces.len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in proptest::collection::vec("[^\\r\\n]{0,40}", 1..6),
            big in any::<bool>(),
            cut in 0usize..400,
        ) {
            let mut out = Encoder::default();
            let mut texts = texts;
            if big {
                texts.push("y".repeat(COPIED * 2));
            }
            for (n, text) in texts.iter().enumerate() {
                encode(&mut out, "message", Some(&n.to_string()), &Bytes::from(text.clone()));
            }
            let bytes = out.finish().concat();
            let cut = cut.min(bytes.len());
            let found: Vec<String> = decode(&[&bytes[..cut], &bytes[cut..]]).into_iter().map(|e| e.data).collect();
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            decode(&[&bytes]);
        }
    }
}
