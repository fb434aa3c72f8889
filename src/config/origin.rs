//! The origins that may read answers.

use regex_lite::Regex;

/// The text cannot be an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is * or like https://app.example.com:8443, without a path, or a regular expression between slashes"
)]
pub struct InvalidOrigin;

/// Reads an origin as a browser would send it: `*`, or scheme, `://`, host and perhaps a port, in lower case. Or a
/// [pattern](origin_pattern) of origins, which stays as it is.
pub fn origin(text: &str) -> Result<String, InvalidOrigin> {
    if text == "*" || origin_pattern(text).is_some() {
        return Ok(text.to_owned());
    }
    let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let scheme_is_plain = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority_is_plain = !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    if scheme_is_plain && authority_is_plain {
        Ok(format!("{scheme}://{authority}").to_ascii_lowercase())
    } else {
        Err(InvalidOrigin)
    }
}

/// The pattern of origins that the text is: a regular expression between slashes. Like every such expression it finds a
/// part of the origin, unless it begins with `^` and ends with `$`.
pub fn origin_pattern(text: &str) -> Option<Regex> {
    let inner = text.strip_prefix('/')?.strip_suffix('/').filter(|inner| !inner.is_empty())?;
    Regex::new(inner).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_a_browser_sends_it() {
        let cases = [
            ("*", "*"),
            ("https://App.example.com", "https://app.example.com"),
            ("http://localhost:3000/", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            (r"/^https:\/\/[a-z]+\.Example\.com$/", r"/^https:\/\/[a-z]+\.Example\.com$/"),
        ];
        for (written, meant) in cases {
            assert_eq!(origin(written).as_deref(), Ok(meant));
        }
        for wrong in [
            "",
            "null",
            "example.com",
            "://a",
            "https://",
            "https://a/path",
            "https://a b",
            "https://*.a.com",
            "/",
            "//",
            "/(/",
        ] {
            assert_eq!(origin(wrong), Err(InvalidOrigin), "{wrong:?}");
        }
    }
}
