//! A value of the body in the form that its header has.

use crate::wire::scan::{MAX_DEPTH, Scanner};
use std::borrow::Cow;

/// A value of the body that a header must repeat.
///
/// What counts is the value, not the type that the schema gives it: whether a string may stand where an integer is
/// declared is for the server to say, which knows the whole schema; the header has only to repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// A string, or `true` or `false`.
    Text(Cow<'a, str>),
    /// A number, as it stands in the body.
    Number(&'a str),
    /// A string with half a surrogate pair, as it stands in the body: no header can repeat it.
    Broken(&'a str),
}

impl<'a> Mirrored<'a> {
    /// Reads a raw JSON value. Null, arrays and objects have no header.
    pub fn read(json: &'a str) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => Some(string(json).map_or(Self::Broken(json), Self::Text)),
            b't' | b'f' => Some(Self::Text(Cow::Borrowed(json))),
            b'-' | b'0'..=b'9' => Some(Self::Number(json)),
            _ => None,
        }
    }

    /// What the header says, before it is encoded; nothing if it cannot be said.
    ///
    /// 2026-07-28, Streamable HTTP, Value Encoding: "`string`: Use the value as-is", "`integer`: Convert to decimal
    /// string representation (e.g., `42`, `-7`)", "`boolean`: Convert to lowercase `"true"` or `"false"`".
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(raw) => {
                Some(Decimal::parse(raw).and_then(|n| n.integer()).map_or(Cow::Borrowed(*raw), Cow::Owned))
            }
            Self::Broken(_) => None,
        }
    }

    /// Whether a decoded header says the same.
    ///
    /// 2026-07-28, Streamable HTTP, Server Validation: "When validating integer parameter values, servers SHOULD compare
    /// the header value and the body value numerically rather than as strings (e.g., `42.0` and `42` are considered
    /// equal)." Digits are compared, never floats, so that 2⁵³ and 2⁵³ + 1 differ. An exponent passes only in a header
    /// that repeats the body to the letter, for it is not the decimal representation that intermediaries look for.
    pub fn is(&self, header: &str) -> bool {
        match self {
            Self::Text(text) => text == header,
            Self::Number(raw) if *raw == header => true,
            Self::Number(raw) => {
                let plain =
                    Some(header).filter(|header| !header.contains(['e', 'E'])).and_then(Decimal::parse);
                plain.is_some() && plain == Decimal::parse(raw)
            }
            Self::Broken(_) => false,
        }
    }

    /// As it is told to people.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(raw) | Self::Broken(raw) => raw,
        }
    }
}

/// The raw value of a member; of two with the same name the last counts, as in most parsers.
pub(super) fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    members(json, |key, value| {
        if key == name {
            found = Some(value);
        }
    });
    found
}

/// Gives each member of an object, its name and its raw value; what is no object has none.
///
/// Names that are no text are passed over, and do not hide the others: a client must not escape the check by them.
pub(super) fn members<'a>(json: &'a str, mut member: impl FnMut(&str, &'a str)) {
    let mut scanner = Scanner::new(json.as_bytes(), MAX_DEPTH);
    // The caller has read the whole message; a fault here only means that there is no object.
    let _ = scanner.object(|key, value| {
        if let Some(name) = string(&json[key]) {
            member(&name, &json[value]);
        }
    });
}

/// The text of a raw JSON string; nothing if it is no Unicode.
fn string(json: &str) -> Option<Cow<'_, str>> {
    if json.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    json.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// A number as `0.digits × 10^exponent`, without zeros at either end: equal numbers are equal here.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it; one whose exponent does not fit is none.
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let all = [whole, fraction].concat();
        let digits = all.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let places = i64::try_from(whole.len()).ok()? - i64::try_from(all.len() - digits.len()).ok()?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(places)?;
        Some(Self { negative, digits: digits.trim_end_matches('0').to_owned(), exponent })
    }

    /// Its digits without point and exponent, if it is an integer of reasonable length.
    fn integer(&self) -> Option<String> {
        let places = usize::try_from(self.exponent).ok().filter(|places| *places <= LONGEST_INTEGER)?;
        if self.digits.len() > places {
            return None;
        }
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        Some(format!("{sign}{digits:0<places$}"))
    }
}

/// Digits of an integer that is written without its exponent; the specification allows sixteen.
const LONGEST_INTEGER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_value_has_its_text() {
        let table = [
            (r#""us-west1""#, "us-west1"),
            (r#""caf\u00e9""#, "café"),
            (r#""""#, ""),
            ("true", "true"),
            ("false", "false"),
            ("42", "42"),
            ("-7", "-7"),
            ("0", "0"),
            ("-0", "0"),
            ("42.0", "42"),
            ("4.20e1", "42"),
            ("100", "100"),
            ("1e3", "1000"),
            ("9007199254740993", "9007199254740993"),
            ("3.14159", "3.14159"),
            ("1e-7", "1e-7"),
            ("1e65", "1e65"),
            ("1e99999999999999999999", "1e99999999999999999999"),
        ];
        for (json, text) in table {
            let value = Mirrored::read(json).unwrap();
            assert_eq!(value.text().unwrap(), text, "{json}");
            assert!(value.is(text), "{json}");
        }
        for json in ["null", "[1]", r#"{"a":1}"#, ""] {
            assert_eq!(Mirrored::read(json), None, "{json}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_all_else_as_text() {
        let same = [
            ("42", "42.0"),
            ("42.0", "42"),
            ("42", "42.000"),
            ("0", "-0.0"),
            ("1e3", "1000"),
            ("0.5", "0.50"),
        ];
        for (json, header) in same {
            assert!(Mirrored::read(json).unwrap().is(header), "{json} {header}");
        }
        let different = [
            ("42", "43"),
            ("42", "-42"),
            ("42", "420"),
            ("42", "4.2"),
            ("42", "4.2e1"),
            ("42", "042"),
            ("42", "+42"),
            ("42", " 42"),
            ("42", "0x2a"),
            ("42", "42."),
            ("42", ""),
            ("9007199254740992", "9007199254740993"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            (r#""42""#, "42.0"),
            (r#""a""#, "A"),
            ("true", "True"),
            ("true", "1"),
            (r#""\ud800""#, "\u{fffd}"),
        ];
        for (json, header) in different {
            assert!(!Mirrored::read(json).unwrap().is(header), "{json} {header}");
        }
    }

    #[test]
    fn the_last_of_two_members_counts_and_no_name_hides_another() {
        assert_eq!(member(r#"{"a":1,"\u0061":2}"#, "a"), Some("2"));
        assert_eq!(member(r#"{"\ud800":0,"a":1e400}"#, "a"), Some("1e400"));
        assert_eq!(member(r#"["a"]"#, "a"), None);
        assert_eq!(member("", "a"), None);
    }

    proptest! {
        #[test]
        fn integers_and_their_floats_are_one(n in any::<i64>(), zeros in 0usize..4) {
            let json = n.to_string();
            let header = format!("{n}.0{}", "0".repeat(zeros));
            prop_assert!(Mirrored::Number(&json).is(&header));
            let float = Mirrored::Number(&header);
            prop_assert_eq!(float.text().unwrap(), json);
        }

        #[test]
        fn two_numbers_are_the_same_if_they_are(a in -999i32..999, b in -999i32..999, scale in 0u32..4) {
            let plain = (i64::from(b) * 10i64.pow(scale)).to_string();
            prop_assert_eq!(Mirrored::Number(&format!("{a}e{scale}")).is(&plain), a == b);
        }

        #[test]
        fn any_text_never_panics(json in ".{0,20}", header in "[-0-9.eE]{0,8}") {
            if let Some(value) = Mirrored::read(&json) {
                let _ = (value.text(), value.is(&header));
            }
            let _ = Mirrored::Number(&header).text();
            members(&json, |_, _| ());
        }
    }
}
