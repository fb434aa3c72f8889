//! Event streams: what was written is read, however it is cut; what was read is what the HTML standard says; and no
//! message can be more than one event.

use super::choice::Choice;
use super::parts;
use bytes::Bytes;
use mcp_switchboard::wire::Payload;
use mcp_switchboard::wire::line::flatten;
use mcp_switchboard::wire::sse::{Decoder, Encoder, Event, KEEP_ALIVE, encode, encode_priming};

pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    reading(data, &mut choice);
    limited(data, &mut choice);
    writing(data, &mut choice);
}

fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Vec<Event> {
    let mut found = Vec::new();
    for piece in pieces {
        decoder.feed(piece, |event| found.push(event));
    }
    found
}

fn reading(data: &[u8], choice: &mut Choice) {
    let expected = simply(data);
    let mut decoder = Decoder::default();
    assert_eq!(decode(&mut decoder, &[data]), expected.events);
    assert_eq!(decoder.last_id(), expected.last_id.as_deref());
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(decode(&mut Decoder::default(), &bytes), expected.events);
    let pieces = choice.pieces(data);
    assert_eq!(decode(&mut decoder_restarted(), &pieces), expected.events, "{pieces:?}");
}

/// One that has had another connection, but nothing of it.
fn decoder_restarted() -> Decoder {
    let mut decoder = Decoder::default();
    decoder.feed(b"data: begun", |_| ());
    decoder.restart();
    decoder
}

struct Read {
    events: Vec<Event>,
    last_id: Option<String>,
}

/// HTML, 9.2.6, "Interpreting an event stream", on a stream that is there as a whole.
fn simply(data: &[u8]) -> Read {
    let text = String::from_utf8_lossy(data);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut event, mut has_data, mut read) =
        (Event::default(), false, Read { events: Vec::new(), last_id: None });
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    for line in whole.split_terminator('\n') {
        if line.is_empty() {
            let next = Event { id: event.id.clone(), ..Event::default() };
            read.last_id = event.id.clone().filter(|id| !id.is_empty());
            let ended = std::mem::replace(&mut event, next);
            if std::mem::take(&mut has_data) {
                let data = ended.data.strip_suffix('\n').unwrap_or(&ended.data).to_owned();
                read.events.push(Event { data, ..ended });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                has_data = true;
                event.data += value;
                event.data.push('\n');
            }
            "event" => value.clone_into(&mut event.name),
            "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
            _ => {}
        }
    }
    read
}

/// Events within the limit are whole, those beyond it are told, and little is held of them.
fn limited(data: &[u8], choice: &mut Choice) {
    let limit = choice.among(&[0, 1, 10, 100, 3000]);
    let long = choice.among(&[0, 0, 5000, 20_000]);
    let data = &[data, &b"y".repeat(long)[..], b"\n\ndata: after\n\n"].concat();
    let found = decode(&mut Decoder::new(limit), &[data]);
    let pieces = choice.pieces(data);
    assert_eq!(decode(&mut Decoder::new(limit), &pieces), found, "{pieces:?}, limit {limit}");
    for (event, whole) in found.iter().zip(simply(data).events) {
        match event.too_long {
            None => assert_eq!((&event.data, &event.name), (&whole.data, &whole.name)),
            Some(length) => {
                assert!(length > limit && length >= event.data.len() / 3);
                // Twice the part that is kept, in the longest characters that there are.
                assert!(event.data.len() <= limit.max(2 * (4 << 10)) * 4, "{}", event.data.len());
            }
        }
    }
    assert_eq!(found.len(), simply(data).events.len());
}

/// Messages are one line, as everything that is parsed is; then each of them is one event, and itself.
fn writing(data: &[u8], choice: &mut Choice) {
    let pad = choice.among(&[0, 0, 0, 17 << 10]);
    let mut texts: Vec<Bytes> = parts(data).map(flatten).collect();
    let first = texts.len();
    if let Ok(payload) = Payload::parse(&Bytes::copy_from_slice(data), 128) {
        texts.extend(payload.messages().iter().map(|message| message.raw().clone()));
    }
    if let Some(text) = texts.first_mut() {
        *text = [text.as_ref(), &b" ".repeat(pad)].concat().into();
    }
    let mut out = Encoder::default();
    encode_priming(&mut out, "0-0");
    for (at, text) in texts.iter().enumerate() {
        let id = format!("{at}-1");
        encode(&mut out, "message", (at % 2 == 0).then_some(&*id), text);
    }
    assert!(!out.is_empty());
    let length = out.len();
    let pieces = out.finish();
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), length);
    let bytes = [KEEP_ALIVE, &pieces.concat(), KEEP_ALIVE].concat();
    let found = decode(&mut Decoder::default(), &choice.pieces(&bytes));
    assert_eq!(found.len(), texts.len() + 1, "{found:?}");
    assert_eq!((found[0].data.as_str(), found[0].id.as_deref()), ("", Some("0-0")));
    for (at, (event, text)) in found[1..].iter().zip(&texts).enumerate() {
        assert_eq!(event.data, String::from_utf8_lossy(text));
        assert!(at < first || event.data.as_bytes() == text);
        let id = format!("{}-1", at - at % 2);
        assert_eq!((event.name.as_str(), event.id.as_deref()), ("message", Some(&*id)));
    }
}
