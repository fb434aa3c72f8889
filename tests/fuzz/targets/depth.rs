//! Depth: the scanner takes what JSON is, no container nested deeper than the limit, and tells where things stand.

use super::choice::Choice;
use super::oracle::{self, Fault, Value};
use bytes::Bytes;
use mcp_switchboard::wire::scan::{self, MAX_DEPTH, Scanner};
use mcp_switchboard::wire::{Malformed, Payload};

pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let limit = choice.among(&[0, 1, 2, 3, 8, 64, 128, MAX_DEPTH, usize::MAX]);
    agree(data, limit);
    // The same deep inside, near the limit or near the deepest that there is.
    let room = choice.among(&[0, 1, 2, 5]);
    let levels = limit.min(MAX_DEPTH).saturating_sub(room);
    let (open, close) = choice.among(&[("[", "]"), ("{\"a\":", "}"), ("[0,{\"[\":", "}]")]);
    let buried = [open.repeat(levels).as_bytes(), data, close.repeat(levels).as_bytes()].concat();
    agree(&buried, limit);
    agree(&buried[..choice.below(buried.len() + 1)], limit);
}

fn agree(json: &[u8], limit: usize) {
    let expected = oracle::parse(json, limit.min(MAX_DEPTH));
    let mut scanner = Scanner::new(json, limit);
    let read = scanner.value().and_then(|span| scanner.end().map(|()| span));
    match (&read, &expected) {
        (Ok(span), Ok(tree)) => {
            assert_eq!(&json[span.clone()], tree.text);
            let broken = json.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
            assert_eq!(scanner.has_line_breaks(), broken);
            assert!(std::str::from_utf8(json).is_ok() || !scanner.is_ascii(), "it passes for UTF-8");
            parts_stand_where_they_are(json, limit, tree);
        }
        (Err(scan::Fault::TooDeep), Err(Fault::TooDeep))
        | (Err(scan::Fault::Unexpected(_) | scan::Fault::Cut), Err(Fault::Bad)) => {}
        _ => panic!("limit {limit}: {read:?}, but {:?}", expected.map(|_| "it is JSON")),
    }
    let parsed = Payload::parse(&Bytes::copy_from_slice(json), limit);
    match (&parsed, expected.map(|_| ())) {
        (Err(Malformed::NotJson(_)), Ok(())) => assert!(std::str::from_utf8(json).is_err()),
        (Err(Malformed::TooDeep { .. }), Err(Fault::TooDeep))
        | (Err(Malformed::NotJson(_)), Err(Fault::Bad))
        | (Ok(_) | Err(Malformed::NotJsonRpc { .. }), Ok(())) => {}
        (_, expected) => panic!("limit {limit}: {parsed:?}, but {expected:?}"),
    }
}

fn parts_stand_where_they_are(json: &[u8], limit: usize, tree: &oracle::Json<'_>) {
    match &tree.value {
        Value::Object(members) => {
            let mut found = Vec::new();
            let read = Scanner::new(json, limit).object(|key, value| found.push((&json[key], &json[value])));
            assert_eq!(read, Ok(()));
            let expected: Vec<_> = members.iter().map(|member| (member.written, member.value.text)).collect();
            assert_eq!(found, expected);
        }
        Value::Array(items) => {
            let mut found = Vec::new();
            assert_eq!(Scanner::new(json, limit).array(|item| found.push(&json[item])), Ok(()));
            assert_eq!(found, items.iter().map(|item| item.text).collect::<Vec<_>>());
        }
        _ => {}
    }
}
