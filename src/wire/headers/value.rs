//! The text of a header: what may stand in it as it is, and how the rest is wrapped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Why a header has no value that could be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// A byte other than visible ASCII, space and tab.
    #[error("contains characters that a header cannot carry")]
    Character,
    /// What the markers enclose is not Base64, to the last bit.
    #[error("is not valid Base64")]
    Base64(#[source] base64::DecodeError),
    /// What the markers enclose is Base64, but not of a text.
    #[error("is Base64 of something that is not UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
}

/// `value` as it may stand in a header.
///
/// 2026-07-28, Streamable HTTP, Value Encoding: "When a value cannot be safely represented as a plain ASCII header value
/// (e.g., it contains non-ASCII characters, control characters, or has leading/trailing whitespace), clients MUST use
/// Base64 encoding of the UTF-8 representation", and "clients MUST also Base64-encode any plain-ASCII value that matches
/// the sentinel pattern (i.e., starts with `=?base64?` and ends with `?=`)".
///
/// A tab is wrapped wherever it stands, for it is a control character: RFC 9110 lets a header carry it, but SEP-2243 and
/// the conformance suite do not. The empty string stays empty, as the table of SEP-2243 has it.
pub fn encode(value: &str) -> Cow<'_, str> {
    let padded = value.starts_with(' ') || value.ends_with(' ');
    let wrapped = value.starts_with(OPEN) && value.ends_with(CLOSE);
    if !padded && !wrapped && value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(value)))
}

/// The value that a header carries.
///
/// 2026-07-28, Streamable HTTP, Value Encoding: "These markers are case-sensitive and MUST appear exactly as shown
/// (lowercase)"; where one of the two is missing, the value is what it is. Base64 without its padding, or with bits left
/// over, is refused: SEP-2243 and the conformance suite want it so.
pub fn decode(raw: &[u8]) -> Result<Cow<'_, str>, BadValue> {
    let text = plain(raw)?;
    let Some(base64) = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Ok(Cow::Borrowed(text));
    };
    let bytes = STANDARD.decode(base64).map_err(BadValue::Base64)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|error| BadValue::Utf8(error.utf8_error()))
}

/// The value of a header that is never encoded.
pub(super) fn plain(raw: &[u8]) -> Result<&str, BadValue> {
    // 2026-07-28, Streamable HTTP, Value Encoding: "HTTP header field values must consist of visible ASCII characters
    // (0x21-0x7E), space (0x20), and horizontal tab (0x09)."
    let is_allowed = |byte| matches!(byte, b' '..=b'~' | b'\t');
    let text = std::str::from_utf8(raw).ok().filter(|text| text.bytes().all(is_allowed));
    // RFC 9110, 5.5: "a field parsing implementation MUST exclude such whitespace prior to evaluating the field value".
    // HTTP/1 parsers do it; in HTTP/2 the bytes come as they were sent.
    text.map(|text| text.trim_matches([' ', '\t'])).ok_or(BadValue::Character)
}

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tables_of_the_specification_and_of_its_proposal() {
        let table = [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            (" us-west1", "=?base64?IHVzLXdlc3Qx?="),
            ("us-west1 ", "=?base64?dXMtd2VzdDEg?="),
            (" us-west1 ", "=?base64?IHVzLXdlc3QxIA==?="),
            ("us west 1", "us west 1"),
            ("日本語", "=?base64?5pel5pys6Kqe?="),
            ("line1\r\nline2", "=?base64?bGluZTENCmxpbmUy?="),
            ("\tindented", "=?base64?CWluZGVudGVk?="),
            ("a\tb", "=?base64?YQli?="),
            ("", ""),
            ("file:///path/to/file%20name.txt", "file:///path/to/file%20name.txt"),
            ("https://example.com/resource?id=123", "https://example.com/resource?id=123"),
            // Both markers share the question mark: read by two tests of its ends, it is wrapped.
            ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
        ];
        for (value, encoded) in table {
            assert_eq!(encode(value), encoded, "{value:?}");
            assert_eq!(decode(encoded.as_bytes()).unwrap(), value, "{encoded}");
        }
    }

    #[test]
    fn what_is_not_wrapped_in_both_markers_is_itself() {
        for text in
            ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", "=?base64?=", "a\tb"]
        {
            assert_eq!(decode(text.as_bytes()).unwrap(), text);
        }
        assert_eq!(decode(b"=?base64?SGVsbG8=?=").unwrap(), "Hello");
        assert_eq!(decode(b"=?base64??=").unwrap(), "");
        assert_eq!(decode(b" \t us west \t").unwrap(), "us west");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        for bad in ["SGVsbG8", "SGVs!!!bG8=", "SGVsbG9=", "SGVs bG8=", "SGVsbG8==", "_-8="] {
            let wrapped = format!("=?base64?{bad}?=");
            assert!(matches!(decode(wrapped.as_bytes()), Err(BadValue::Base64(_))), "{bad}");
        }
        assert!(matches!(decode(b"=?base64?/w==?="), Err(BadValue::Utf8(_))));
        for bad in [&b"a\nb"[..], b"a\0", b"\x7f", "é".as_bytes(), b"\xff", b"=?base64?SGVs\nbG8=?="] {
            assert_eq!(decode(bad), Err(BadValue::Character), "{bad:?}");
        }
    }

    /// Texts in which the markers are likely.
    fn text() -> impl Strategy<Value = String> {
        let marked = ("(=\\?base64\\?)?", ".{0,12}", "(\\?=)?").prop_map(|(a, b, c)| [a, b, c].concat());
        prop_oneof![any::<String>(), "[ -~\t]{0,20}", marked]
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(value in text()) {
            let encoded = encode(&value);
            prop_assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", encoded);
            prop_assert_eq!(encoded.trim(), &*encoded);
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap(), &*value);
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
            let _ = decode(&[OPEN.as_bytes(), &bytes, CLOSE.as_bytes()].concat());
        }
    }
}
