//! HTTP/2, frame by frame, for what no client of it would send (RFC 9113, RFC 7541).

#![allow(dead_code, reason = "no story uses everything")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{PATIENCE, Stream, TestServer};

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

/// `ENHANCE_YOUR_CALM`
pub(crate) const CALM: u32 = 0xb;
/// `REFUSED_STREAM`
pub(crate) const REFUSED: u32 = 0x7;

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    Continuation = 9,
}

/// A connection whose preface was sent.
pub(crate) struct Frames {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    seen: Seen,
}

/// What has come of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The status of the last answer.
    pub(crate) status: Option<String>,
    /// Why it last gave up a stream.
    pub(crate) reset: Option<u32>,
    /// How often it did.
    pub(crate) resets: usize,
    /// All bytes of answers.
    pub(crate) data: String,
    /// Why it takes no more streams.
    pub(crate) goaway: Option<u32>,
}

impl Frames {
    /// Opens a connection with these settings.
    pub(crate) async fn open(server: &TestServer, given: &[(u16, u32)]) -> Self {
        let mut stream = server.stream(&["h2"]).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&settings(given)).await.unwrap();
        stream.flush().await.unwrap();
        Self { stream, read: Vec::new(), seen: Seen::default() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends what the server may stop reading half way.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends a head, in as many frames as it needs, and no body.
    pub(crate) async fn send_head(&mut self, stream: u32, block: &[u8]) {
        let mut pieces = block.chunks(16_000).peekable();
        let first = pieces.next().unwrap_or_default();
        let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let mut bytes = headers(stream, END_STREAM | end, first);
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            bytes.extend(frame(Kind::Continuation, end, stream, piece));
        }
        // It may refuse the whole before it has come.
        let _ = self.try_send(&bytes).await;
    }

    /// Waits for an answer, or for the end of the stream or the connection.
    pub(crate) async fn answer(&mut self) -> Seen {
        self.until(|seen| seen.status.is_some() || seen.reset.is_some() || seen.goaway.is_some()).await
    }

    /// Reads until `enough`, or to the end of the connection.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            self.parse();
            if enough(&self.seen)
                || !self.more(PATIENCE).await.expect("the server neither answers nor closes")
            {
                return self.seen.clone();
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn ends(&mut self) -> Seen {
        self.until(|_| false).await
    }

    /// Whether the connection ends within that time.
    pub(crate) async fn is_over(&mut self, time: Duration) -> bool {
        matches!(self.more(time).await, Some(false))
    }

    /// Whether more has come; none if nothing has.
    async fn more(&mut self, time: Duration) -> Option<bool> {
        let read = tokio::time::timeout(time, self.stream.read_buf(&mut self.read)).await;
        read.ok().map(|read| matches!(read, Ok(1..)))
    }

    fn parse(&mut self) {
        while self.read.len() >= 9 {
            let length = u32::from_be_bytes([0, self.read[0], self.read[1], self.read[2]]) as usize;
            if self.read.len() < 9 + length {
                return;
            }
            let kind = self.read[3];
            let payload: Vec<u8> = self.read.drain(..9 + length).skip(9).collect();
            let code =
                |at: usize| payload.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().unwrap()));
            if kind == Kind::Headers as u8 {
                self.seen.status = status(&payload).or(self.seen.status.take());
            } else if kind == Kind::Data as u8 {
                self.seen.data.push_str(&String::from_utf8_lossy(&payload));
            } else if kind == Kind::Reset as u8 {
                self.seen.reset = code(0);
                self.seen.resets += 1;
            } else if kind == Kind::GoAway as u8 {
                self.seen.goaway = code(4);
            }
        }
    }
}

/// The status at the beginning of a block: of the static table, or a literal of its name.
fn status(block: &[u8]) -> Option<String> {
    const INDEXED: [&str; 7] = ["200", "204", "206", "304", "400", "404", "500"];
    // A change of the table's size may come first.
    let block = if block.first()? & 0xe0 == 0x20 { &block[1..] } else { block };
    match *block.first()? {
        first @ 0x88..=0x8e => Some(INDEXED[usize::from(first - 0x88)].to_owned()),
        // A literal with the name of entry 8; three digits, or two or three bytes of Huffman code.
        0x48 | 0x08 => match *block.get(1)? {
            3 => String::from_utf8(block.get(2..5)?.to_vec()).ok(),
            0x82 => Some(digits(u32::from_be_bytes([block[2], *block.get(3)?, 0, 0]))),
            0x83 => Some(digits(u32::from_be_bytes([block[2], block[3], *block.get(4)?, 0]))),
            _ => None,
        },
        _ => None,
    }
}

/// Three digits from Huffman code: 0, 1 and 2 have five bits, the others six.
fn digits(mut bits: u32) -> String {
    let mut text = String::new();
    while text.len() < 3 {
        let five = u8::try_from(bits >> 27).unwrap();
        if five <= 2 {
            text.push(char::from(b'0' + five));
            bits <<= 5;
        } else {
            let six = u8::try_from(bits >> 26).unwrap();
            text.push(char::from(b'3' + six.saturating_sub(0x19)));
            bits <<= 6;
        }
    }
    text
}

pub(crate) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(Kind::Headers, flags, stream, block)
}

pub(crate) fn continuation(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(Kind::Continuation, 0, stream, block)
}

pub(crate) fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(Kind::Data, flags, stream, bytes)
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes())
}

pub(crate) fn ping() -> Vec<u8> {
    frame(Kind::Ping, 0, 0, &[0; 8])
}

pub(crate) fn settings(given: &[(u16, u32)]) -> Vec<u8> {
    let payload = given.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(Kind::Settings, 0, 0, &payload.collect::<Vec<_>>())
}

/// The head of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    [vec![0x82, 0x86], literal(b":path", path.as_bytes()), literal(b":authority", b"localhost")].concat()
}

/// A header, written out.
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut length = vec![];
    if text.len() < 127 {
        length.push(u8::try_from(text.len()).unwrap());
    } else {
        length.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            length.push(u8::try_from(rest % 128 + 128).unwrap());
            rest /= 128;
        }
        length.push(u8::try_from(rest).unwrap());
    }
    [length, text.to_vec()].concat()
}

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind as u8, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}
