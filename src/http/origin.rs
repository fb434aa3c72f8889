//! The origin of a web page, and which origins the configuration allows.

use super::authority::Authority;
use crate::config::origin_pattern;
use regex_lite::Regex;

/// Where a web page comes from: the scheme and authority in `Origin`. Borrows, never allocates.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    text: &'a str,
    scheme: &'a str,
    authority: Authority<'a>,
}

/// The origins of `--allow-origin`, and patterns of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    exact: Vec<String>,
    patterns: Vec<Pattern>,
}

/// Any origin in which the expression finds something.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl<'a> Origin<'a> {
    /// Reads an origin; `None` for `null` and for everything else that is not one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let valid = scheme.as_bytes().first()?.is_ascii_alphabetic() && scheme.bytes().all(plain);
        valid.then_some(())?;
        Some(Self { text, scheme, authority: Authority::parse(authority)? })
    }

    /// A page of this machine itself, on any port.
    pub fn is_loopback(&self) -> bool {
        self.default_port().is_some() && self.authority.host.is_loopback()
    }

    /// A page that came from the very host and port that it calls. Behind a proxy that ends TLS the
    /// request does not tell its scheme, so the origin's own says which port an unwritten one is.
    pub fn is_of(&self, host: &Authority<'_>) -> bool {
        let Some(default) = self.default_port() else { return false };
        self.authority.host == host.host
            && self.authority.port.unwrap_or(default) == host.port.unwrap_or(default)
    }

    /// Browsers give http and https pages their ports; other schemes (extensions, editors) have none.
    fn default_port(&self) -> Option<u16> {
        if self.scheme.eq_ignore_ascii_case("http") {
            Some(80)
        } else if self.scheme.eq_ignore_ascii_case("https") {
            Some(443)
        } else {
            None
        }
    }
}

/// The same origin: an unwritten port is the scheme's own.
impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        let default = self.default_port();
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.host == other.authority.host
            && self.authority.port.or(default) == other.authority.port.or(default)
    }
}

impl Eq for Origin<'_> {}

impl AllowedOrigins {
    /// The origins as they were given; `*` among them allows all. A slash at the end, which people
    /// copy from the address bar, does not matter.
    pub fn new(origins: &[String]) -> Self {
        let mut allowed = Self { any: origins.iter().any(|origin| origin == "*"), ..Self::default() };
        for origin in origins {
            match origin_pattern(origin) {
                Some(pattern) => allowed.patterns.push(Pattern(pattern)),
                None => allowed.exact.push(origin.trim_end_matches('/').to_owned()),
            }
        }
        allowed
    }

    /// No origin is allowed at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Every origin is allowed.
    pub fn any(&self) -> bool {
        self.any
    }

    /// This origin is allowed.
    pub fn allows(&self, origin: &Origin<'_>) -> bool {
        self.any || self.names(origin)
    }

    /// This origin is allowed, and not only because every one is.
    pub fn names(&self, origin: &Origin<'_>) -> bool {
        self.exact.iter().any(|exact| Origin::parse(exact).as_ref() == Some(origin))
            || self.patterns.iter().any(|Pattern(pattern)| pattern.is_match(origin.text))
    }
}

/// The same expression, as it is written.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &[&str], origin: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        Origin::parse(origin).is_some_and(|origin| AllowedOrigins::new(&allowed).allows(&origin))
    }

    #[test]
    fn an_origin_is_allowed_exactly() {
        assert!(allows(&["https://app.example/"], "https://APP.example:443"));
        assert!(allows(&["vscode-webview://1a2b"], "vscode-webview://1a2b"));
        assert!(allows(&["*"], "https://anything.example"));
        assert!(!allows(&["https://app.example"], "http://app.example"));
        assert!(!allows(&["https://app.example"], "https://app.example:8443"));
        assert!(!allows(&["https://app.example"], "https://app.example.evil.com"));
        assert!(!allows(&["*"], "null"));
        assert!(!allows(&[], "https://app.example"));
    }

    #[test]
    fn a_pattern_allows_what_it_finds_something_in() {
        assert!(allows(&[r"/\.example\.com$/"], "https://app.example.com"));
        assert!(!allows(&[r"/\.example\.com$/"], "https://app.example.com.evil.org"));
        assert!(allows(&[r"/^https:\/\/(a|b)\.example$/", "https://c.example"], "https://b.example"));
        assert!(allows(&[r"/^https:\/\/(a|b)\.example$/", "https://c.example"], "https://c.example"));
        assert!(!allows(&[r"/^https:\/\/(a|b)\.example$/"], "http://b.example"));
        assert!(!allows(&["/./"], "null"), "what is no origin is no page's");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "null",
            "http://",
            "://a",
            "http:/a",
            "http://a/",
            "http://a/b",
            "http://u@a",
            "1http://a",
            "http://a?",
        ] {
            assert!(Origin::parse(text).is_none(), "{text}");
        }
    }
}
