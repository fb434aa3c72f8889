//! `Mcp-*` headers: what is written is read again, what a client of the specification sends passes, and what passes says
//! the same as the body.

use super::choice::Choice;
use super::oracle::{self, Json, Value};
use super::parts;
use http::{HeaderName, HeaderValue};
use mcp_switchboard::wire::headers::{
    Annotations, METHOD, NAME, Name, PARAM_PREFIX, check_name, check_plain, decode, encode, name_of,
};
use mcp_switchboard::wire::scan::MAX_DEPTH;
use std::collections::HashSet;

/// The parts are the value of a header, the arguments or params, and the schema of a tool.
pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let all: Vec<&[u8]> = parts(data).take(3).collect();
    value(all[0]);
    let text = |at: usize| all.get(at).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or("{}");
    plain(all[0], text(1));
    named(all[0], text(1), &mut choice);
    annotated(all[0], text(1), text(2));
}

fn value(raw: &[u8]) {
    let text = String::from_utf8_lossy(raw);
    let encoded = encode(&text);
    assert!(
        encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')) && encoded.trim() == encoded,
        "{encoded:?}"
    );
    HeaderValue::from_str(&encoded).expect("a header can carry it");
    assert_eq!(decode(encoded.as_bytes()).expect("it was encoded"), text);
    let decoded = decode(raw).ok().map(std::borrow::Cow::into_owned);
    assert_eq!(decoded, simply(raw), "{text:?}");
}

/// The rules of the specification, as the SDKs have them: visible ASCII, space and tab; space around it does not count;
/// what stands between the markers is strict Base64 of UTF-8.
fn simply(raw: &[u8]) -> Option<String> {
    let text =
        std::str::from_utf8(raw).ok().filter(|text| text.chars().all(|c| matches!(c, ' '..='~' | '\t')))?;
    let text = text.trim_matches([' ', '\t']);
    let wrapped = text.len() >= 11 && text.starts_with("=?base64?") && text.ends_with("?=");
    if wrapped { String::from_utf8(base64(&text[9..text.len() - 2])?).ok() } else { Some(text.to_owned()) }
}

/// RFC 4648, 4, with padding and without bits left over.
fn base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let digits =
        text[..text.len() - padding].bytes().map(|byte| LETTERS.iter().position(|letter| *letter == byte));
    let digits: Vec<usize> = digits.collect::<Option<_>>()?;
    let mut bits = digits.iter().map(|digit| format!("{digit:06b}")).collect::<Vec<_>>().concat();
    let rest = bits.split_off(bits.len() / 8 * 8);
    if rest.len() != 2 * padding || rest.contains('1') {
        return None;
    }
    bits.as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).ok()?, 2).ok())
        .collect()
}

fn plain(raw: &[u8], body: &str) {
    let visible = raw.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let same = visible && String::from_utf8_lossy(raw).trim_matches([' ', '\t']) == body;
    assert_eq!(check_plain(METHOD, [raw], body).is_ok(), same);
    assert!(check_plain(METHOD, [], body).is_err() && check_plain(METHOD, [raw, raw], body).is_err());
}

fn named(raw: &[u8], params: &str, choice: &mut Choice) {
    let (method, field) = choice.among(&[
        ("tools/call", "name"),
        ("resources/read", "uri"),
        ("tasks/get", "taskId"),
        ("ping", ""),
    ]);
    let tree = oracle::parse(params.as_bytes(), MAX_DEPTH).ok();
    // The params of a message have been read as a whole before.
    let Some(tree) = tree else { return drop((name_of(method, params), check_name(method, params, [raw]))) };
    let name = tree.member(field).filter(|_| !field.is_empty());
    let expected = match (field, name.and_then(Json::string)) {
        ("", _) => Name::Unneeded,
        (_, None) => Name::Missing,
        (_, Some(name)) => Name::Is(name),
    };
    assert_eq!(name_of(method, params), expected);
    let checked = check_name(method, params, [raw]);
    if field.is_empty() {
        return assert_eq!(checked, Ok(()));
    }
    assert_eq!(checked.is_ok(), name.is_some_and(|name| says(raw, name)), "{checked:?}");
    if let Name::Is(name) = expected {
        let encoded = encode(&name);
        assert_eq!(check_name(method, params, [encoded.as_bytes()]), Ok(()));
        assert!(check_name(method, params, []).is_err());
        assert!(check_name(method, params, [encoded.as_bytes(), raw]).is_err(), "two are refused");
    }
    if let Err(mismatch) = checked {
        let text = mismatch.to_string();
        assert!(text.len() < 3000 && !text.contains(char::is_control) && text.contains(NAME), "{text:?}");
    }
}

/// Whether a header says the same as a value of the body.
fn says(raw: &[u8], body: &Json<'_>) -> bool {
    let Some(header) = simply(raw) else { return false };
    match &body.value {
        Value::String(_) => body.string() == Some(header),
        Value::Bool => body.text() == header,
        Value::Number => body.text() == header || same_number(body.text(), &header),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Digit by digit: both are shifted until neither has a fraction or an exponent. Only the body may have an exponent.
fn same_number(body: &str, header: &str) -> bool {
    let is_plain = oracle::parse(header.as_bytes(), 0).is_ok_and(|tree| {
        matches!(tree.value, Value::Number) && tree.text == header.as_bytes() && !header.contains(['e', 'E'])
    });
    let (Some(one), Some(other)) = (digits(body), digits(header)) else { return false };
    is_plain && one == other
}

/// The sign, the digits from the first to the last that is no zero, and the place of the first.
fn digits(number: &str) -> Option<(bool, String, i128)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let zeros = all.len() - all.trim_start_matches('0').len();
    if zeros == all.len() {
        return Some((false, String::new(), 0));
    }
    let place = i128::from(exponent) + i128::try_from(whole.len()).ok()? - i128::try_from(zeros).ok()?;
    Some((negative, all.trim_matches('0').to_owned(), place))
}

fn annotated(raw: &[u8], arguments: &str, schema: &str) {
    let annotations = match Annotations::read(schema) {
        Ok(annotations) => annotations,
        Err(invalid) => {
            let text = invalid.to_string();
            return assert!(!text.contains(char::is_control) && text.len() < 2000, "{text:?}");
        }
    };
    let arguments = oracle::parse(arguments.as_bytes(), MAX_DEPTH).is_ok().then_some(arguments);
    let mirrored = annotations.mirrored(arguments);
    let names: HashSet<String> = mirrored.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!(names.len(), mirrored.len(), "no header is that of two properties");
    for (name, _) in &mirrored {
        assert!(name.starts_with(PARAM_PREFIX));
        HeaderName::from_bytes(name.as_bytes()).expect("it is the name of a header");
    }
    let headers = annotations.headers(arguments);
    let check = |left_out: Option<usize>, changed: Option<usize>| {
        annotations.check(arguments, |name| -> Vec<&[u8]> {
            let all =
                headers.iter().enumerate().filter(|(at, header)| header.0 == name && Some(*at) != left_out);
            all.map(|(at, header)| if Some(at) == changed { raw } else { header.1.as_bytes() }).collect()
        })
    };
    // A string that is no Unicode has no header, and none will do for it.
    let sendable =
        mirrored.iter().all(|(_, value)| value.as_ref().is_none_or(|value| value.text().is_some()));
    assert_eq!(check(None, None).is_ok(), sendable);
    for (at, (name, written)) in headers.iter().enumerate() {
        HeaderValue::from_str(written).expect("a header can carry it");
        assert!(check(Some(at), None).is_err(), "{name} is left out");
        let body =
            mirrored.iter().find(|(mirrored, _)| mirrored == name).and_then(|(_, value)| value.as_ref());
        let same = simply(raw).is_some_and(|value| body.is_some_and(|body| body.is(&value)));
        assert_eq!(check(None, Some(at)).is_ok(), same && sendable, "{name}");
    }
}
