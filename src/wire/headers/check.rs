//! Whether the headers of a request say what its body says.

use super::annotation::Annotations;
use super::mirror::{Mirrored, member};
use super::shown::shown;
use super::value::{BadValue, decode, plain};
use super::{NAME, name_field};

/// How a header differs from the body; the text is the message of the error -32020.
///
/// It is made for the client, which has sent both. It quotes params, and must not be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// "A required standard header […] is missing", or "Client omits header but value is in body".
    #[error("Header mismatch: {header} header is missing, and the body value is '{body}'")]
    Missing {
        /// Its name.
        header: String,
        /// What it should say.
        body: String,
    },
    /// It is there, and the body has nothing that it could repeat.
    #[error("Header mismatch: {header} header value '{value}' matches no value of the body")]
    Stray {
        /// Its name.
        header: String,
        /// What it says.
        value: String,
    },
    /// It is there twice, and each could be the one that somebody reads.
    #[error("Header mismatch: {header} header is given more than once")]
    Twice {
        /// Its name.
        header: String,
    },
    /// "A header value contains invalid characters."
    #[error("Header mismatch: {header} header value {reason}")]
    Unreadable {
        /// Its name.
        header: String,
        /// Why not. It is in the text, for that is all that a client gets.
        reason: BadValue,
    },
    /// "A header value does not match the corresponding request body value."
    #[error("Header mismatch: {header} header value '{value}' does not match body value '{body}'")]
    Different {
        /// Its name.
        header: String,
        /// What it says.
        value: String,
        /// What it should say.
        body: String,
    },
}

impl Annotations {
    /// Checks the headers of a `tools/call` against its raw `arguments`. `values` gives all values of the header with a
    /// name, which it compares without regard to case; headers that no annotation names are never asked for.
    ///
    /// 2026-07-28, Streamable HTTP, Server Behavior for Custom Headers: "Any server that processes the message body MUST
    /// validate that encoded header values, after decoding if Base64-encoded, match the corresponding values in the
    /// request body."
    ///
    /// Where the arguments have no value, "Server MUST NOT expect the header", and one that comes nonetheless is
    /// refused: the client had to omit it, and the purpose of the check is that nobody is routed by a value that the
    /// body does not have.
    pub fn check<'h, V>(&self, arguments: Option<&str>, values: impl Fn(&str) -> V) -> Result<(), Mismatch>
    where
        V: IntoIterator<Item = &'h [u8]>,
    {
        let mut mirrored = self.mirrored(arguments).into_iter();
        mirrored.try_for_each(|(header, body)| compare(header, values(header), body.as_ref()))
    }
}

/// Checks the values of `Mcp-Name` against the method and the raw params. Where the method has no name, the header is
/// ignored; where the params lack theirs, it is only refused if it has a value, for the server will say it better.
///
/// 2026-07-28, Streamable HTTP, Value Encoding: "servers MUST decode an encoded `Mcp-Name` or `Mcp-Param-{Name}` value
/// before comparing it to the corresponding request body value".
pub fn check_name<'h>(
    method: &str,
    params: &str,
    values: impl IntoIterator<Item = &'h [u8]>,
) -> Result<(), Mismatch> {
    let Some(field) = name_field(method) else { return Ok(()) };
    compare(NAME, values, member(params, field).and_then(Mirrored::read).as_ref())
}

/// Checks the values of a header that is required and never encoded: `Mcp-Method`, `MCP-Protocol-Version`.
///
/// 2026-07-28, Streamable HTTP, Case Sensitivity: "Header values (such as method names) are case-sensitive."
pub fn check_plain<'h>(
    header: &str,
    values: impl IntoIterator<Item = &'h [u8]>,
    body: &str,
) -> Result<(), Mismatch> {
    match only(header, values)?.map(plain).transpose().map_err(|reason| unreadable(header, reason))? {
        None => Err(missing(header, body)),
        Some(value) if value == body => Ok(()),
        Some(value) => Err(different(header, value, body)),
    }
}

fn compare<'h>(
    header: &str,
    values: impl IntoIterator<Item = &'h [u8]>,
    body: Option<&Mirrored<'_>>,
) -> Result<(), Mismatch> {
    // What cannot be read is refused even where the body has no value: "Servers MUST reject requests with a recognized
    // `Mcp-Param-{Name}` header that contains invalid characters".
    let value = only(header, values)?.map(decode).transpose().map_err(|reason| unreadable(header, reason))?;
    match (value, body) {
        (None, None) => Ok(()),
        (None, Some(body)) => Err(missing(header, body.shown())),
        (Some(value), None) => Err(Mismatch::Stray { header: shown(header), value: shown(&value) }),
        (Some(value), Some(body)) if body.is(&value) => Ok(()),
        (Some(value), Some(body)) => Err(different(header, &value, body.shown())),
    }
}

fn only<'h>(header: &str, values: impl IntoIterator<Item = &'h [u8]>) -> Result<Option<&'h [u8]>, Mismatch> {
    let mut values = values.into_iter();
    let first = values.next();
    if values.next().is_some() { Err(Mismatch::Twice { header: shown(header) }) } else { Ok(first) }
}

fn missing(header: &str, body: &str) -> Mismatch {
    Mismatch::Missing { header: shown(header), body: shown(body) }
}

fn unreadable(header: &str, reason: BadValue) -> Mismatch {
    Mismatch::Unreadable { header: shown(header), reason }
}

fn different(header: &str, value: &str, body: &str) -> Mismatch {
    Mismatch::Different { header: shown(header), value: shown(value), body: shown(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn annotations() -> Annotations {
        let schema = json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "limits": { "properties": { "count": { "type": "integer", "x-mcp-header": "Count" } } },
            "dry": { "type": "boolean", "x-mcp-header": "Dry" },
        } });
        Annotations::read(&schema.to_string()).unwrap()
    }

    /// What `check` says, in short.
    fn check(arguments: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let values = |name: &str| -> Vec<&[u8]> {
            let named = headers
                .iter()
                .filter(|(header, _)| name.eq_ignore_ascii_case(&format!("Mcp-Param-{header}")));
            named.map(|(_, value)| value.as_bytes()).collect()
        };
        annotations().check(Some(arguments), values).map_err(|mismatch| mismatch.to_string())
    }

    #[test]
    fn the_table_of_the_specification() {
        // "Parameter value provided | […] | Server MUST validate header matches body".
        assert_eq!(check(r#"{"region":"us-west1"}"#, &[("region", "us-west1")]), Ok(()));
        assert_eq!(
            check(r#"{"region":"b"}"#, &[("Region", "a")]).unwrap_err(),
            "Header mismatch: Mcp-Param-Region header value 'a' does not match body value 'b'"
        );
        // "Parameter value is `null` | […] | Server MUST NOT expect the header".
        assert_eq!(check(r#"{"region":null}"#, &[]), Ok(()));
        // "Parameter not in arguments | […] | Server MUST NOT expect the header".
        assert_eq!(check("{}", &[("Unknown", "\u{1}")]), Ok(()));
        assert_eq!(
            check("{}", &[("Region", "a")]).unwrap_err(),
            "Header mismatch: Mcp-Param-Region header value 'a' matches no value of the body"
        );
        // "Client omits header but value is in body | […] | Server MUST reject the request".
        assert_eq!(
            check(r#"{"region":""}"#, &[]).unwrap_err(),
            "Header mismatch: Mcp-Param-Region header is missing, and the body value is ''"
        );
    }

    #[test]
    fn what_the_conformance_suite_sends() {
        let body = |text: &str| json!({ "region": text }).to_string();
        for (text, header) in [
            ("Hello", "=?base64?SGVsbG8=?="),
            ("SGVsbG8=", "SGVsbG8="),
            ("=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
            ("Hello", "  Hello\t"),
        ] {
            assert_eq!(check(&body(text), &[("Region", header)]), Ok(()), "{header}");
        }
        for header in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?="] {
            let error = check(&body("Hello"), &[("Region", header)]).unwrap_err();
            assert_eq!(error, "Header mismatch: Mcp-Param-Region header value is not valid Base64");
        }
    }

    #[test]
    fn each_type_is_compared_in_its_way() {
        let good = [
            (r#"{"limits":{"count":42}}"#, ("Count", "42.0")),
            (r#"{"limits":{"count":42.0}}"#, ("Count", "42")),
            (r#"{"limits":{"count":42}}"#, ("Count", "=?base64?NDI=?=")),
            (r#"{"limits":{"count":"42"}}"#, ("Count", "42")),
            (r#"{"dry":true}"#, ("Dry", "true")),
            (r#"{"region":7}"#, ("Region", "7")),
        ];
        for (arguments, header) in good {
            assert_eq!(check(arguments, &[header]), Ok(()), "{arguments}");
        }
        let bad = [
            (r#"{"limits":{"count":9007199254740992}}"#, ("Count", "9007199254740993")),
            (r#"{"limits":{"count":"42"}}"#, ("Count", "42.0")),
            (r#"{"limits":{"count":[42]}}"#, ("Count", "42")),
            (r#"{"dry":true}"#, ("Dry", "True")),
            (r#"{"region":"a"}"#, ("Region", "A")),
            (r#"{"region":"\ud800"}"#, ("Region", "\\ud800")),
            (r#"{"\ud800":1,"region":"a"}"#, ("Region", "b")),
            (r#"{"region":"a","r\u0065gion":"b"}"#, ("Region", "a")),
        ];
        for (arguments, header) in bad {
            assert!(check(arguments, &[header]).is_err(), "{arguments}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused_even_if_both_are_right() {
        let error = check(r#"{"region":"a"}"#, &[("Region", "a"), ("REGION", "a")]).unwrap_err();
        assert_eq!(error, "Header mismatch: Mcp-Param-Region header is given more than once");
    }

    #[test]
    fn what_is_invalid_is_refused_even_where_nothing_is_expected() {
        let error = check("{}", &[("Region", "é")]).unwrap_err();
        assert_eq!(
            error,
            "Header mismatch: Mcp-Param-Region header value contains characters that a header cannot carry"
        );
    }

    #[test]
    fn a_message_is_one_short_line() {
        let long = format!("it's \"x\"\r\n\u{202e}{}", "é".repeat(10_000));
        let error = check(&json!({ "region": long }).to_string(), &[("Region", "")]).unwrap_err();
        assert!(error.contains(r#"'it\'s "x"\r\n\u{202e}éé"#) && error.ends_with("é…'"), "{error}");
        assert!(error.len() < 400, "{error}");
    }

    #[test]
    fn the_standard_headers() {
        let name = |method, params, values: &[&'static str]| {
            check_name(method, params, values.iter().map(|value| value.as_bytes()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(name("tools/call", r#"{"name":"foo"}"#, &["  foo "]), Ok(()));
        assert_eq!(name("tools/call", r#"{"name":"日本語"}"#, &["=?base64?5pel5pys6Kqe?="]), Ok(()));
        assert_eq!(
            name("tools/call", r#"{"name":"bar"}"#, &["foo"]).unwrap_err(),
            "Header mismatch: Mcp-Name header value 'foo' does not match body value 'bar'"
        );
        assert!(
            matches!(name("tasks/get", r#"{"taskId":"7"}"#, &[]), Err(error) if error.contains("missing"))
        );
        assert!(name("resources/read", r#"{"uri":"a:b"}"#, &["a:b", "a:b"]).is_err());
        assert_eq!(name("tools/list", "{}", &["anything"]), Ok(()));
        assert_eq!(name("tools/call", "{}", &[]), Ok(()));
        assert!(name("tools/call", "{}", &["foo"]).is_err());

        let method = |values: &[&'static str]| {
            check_plain(super::super::METHOD, values.iter().map(|value| value.as_bytes()), "tools/call")
        };
        assert_eq!(method(&[" tools/call"]), Ok(()));
        for values in
            [&[][..], &["TOOLS/CALL"], &["tools/call", "tools/call"], &["=?base64?dG9vbHMvY2FsbA==?="]]
        {
            assert!(method(values).is_err(), "{values:?}");
        }
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
            Just(json!([1])),
            Just(json!({ "count": 1 })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_generated_is_accepted_and_nothing_less(
            values in (scalar(), scalar(), scalar()),
            absent in any::<[bool; 3]>(),
        ) {
            let (region, count, dry) = values;
            let members = [("region", region), ("limits", json!({ "count": count })), ("dry", dry)];
            let kept = members.into_iter().zip(absent).filter(|(_, absent)| !absent);
            let arguments: Map<_, _> = kept.map(|((name, value), _)| (name.to_owned(), value)).collect();
            let arguments = Value::from(arguments).to_string();
            let annotations = annotations();
            let headers = annotations.headers(Some(&arguments));
            let without = |left_out: Option<usize>| {
                let sent = |name: &str| -> Vec<&[u8]> {
                    let all = headers.iter().enumerate().filter(|(at, _)| Some(*at) != left_out);
                    all.filter(|(_, header)| header.0 == name).map(|(_, header)| header.1.as_bytes()).collect()
                };
                annotations.check(Some(&arguments), sent)
            };
            prop_assert_eq!(without(None), Ok(()));
            for left_out in 0..headers.len() {
                prop_assert!(without(Some(left_out)).is_err());
            }
        }

        #[test]
        fn any_bytes_never_panic(value in proptest::collection::vec(any::<u8>(), 0..30), arguments in ".{0,30}") {
            let _ = annotations().check(Some(&arguments), |_| [&value[..]]);
            let _ = check_name("tools/call", &arguments, [&value[..]]);
            let _ = check_plain("Mcp-Method", [&value[..]], &arguments);
        }
    }
}
