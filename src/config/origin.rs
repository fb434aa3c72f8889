//! The origins that may read answers.

/// The text cannot be an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is * or like https://app.example.com:8443, without a path")]
pub struct InvalidOrigin;

/// Reads an origin as a browser would send it: `*`, or scheme, `://`, host and perhaps a port, in lower case.
pub fn origin(text: &str) -> Result<String, InvalidOrigin> {
    if text == "*" {
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
        ] {
            assert_eq!(origin(wrong), Err(InvalidOrigin), "{wrong:?}");
        }
    }
}
