//! The authority of a request or of an origin: a host and perhaps a port.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host and perhaps a port, as they stand in `Host`, `:authority` or an origin. Borrows, never allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, where one is written.
    pub port: Option<u16>,
}

/// A host as it is written in an authority.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A dotted quad.
    V4(Ipv4Addr),
    /// An address in brackets.
    V6(Ipv6Addr),
    /// A name of one or more labels, without the dot at its end.
    Name(&'a str),
}

impl<'a> Authority<'a> {
    /// Reads an authority; `None` if it is not one. User information is not part of what is read here.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let host = Host::V6(address.parse().ok()?);
            return if rest.is_empty() {
                Some(Self { host, port: None })
            } else {
                host.at(rest.strip_prefix(':')?)
            };
        }
        match text.split_once(':') {
            Some((host, port)) => Host::parse(host)?.at(port),
            None => Some(Self { host: Host::parse(text)?, port: None }),
        }
    }
}

impl<'a> Host<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.as_bytes().first()?.is_ascii_digit()
            && let Ok(address) = text.parse()
        {
            return Some(Self::V4(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let valid = (1..=253).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..");
        valid.then_some(Self::Name(name))
    }

    /// The host at a port; RFC 3986 lets the port after the colon be empty.
    fn at(self, port: &str) -> Option<Authority<'a>> {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            "" => None,
            // What parses as a number may also begin with a sign.
            port => Some(port.parse().ok().filter(|_| digits)?),
        };
        Some(Authority { host: self, port })
    }

    /// The machine itself: `localhost`, 127.0.0.0/8 or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => address.is_loopback(),
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// A host that no stranger can make a victim's browser reach us by: an address, a name of a single
    /// label, or one under a suffix that public DNS never delegates.
    pub fn is_unownable(&self) -> bool {
        match self {
            Self::V4(_) | Self::V6(_) => true,
            // A browser takes it for an address, and which one is another parser's affair.
            Self::Name(name) if ends_in_number(name) => false,
            Self::Name(name) => {
                !name.contains('.') || PRIVATE_SUFFIXES.iter().any(|suffix| under(name, suffix))
            }
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

/// RFC 6761 (`localhost`), RFC 6762 (`local`), reserved by ICANN (`internal`), Kubernetes (the last).
const PRIVATE_SUFFIXES: [&str; 4] = [".localhost", ".local", ".internal", ".svc.cluster.local"];

/// Whether the last label is a number, which makes an IPv4 address of the whole: `127.1`, `0x7f.0.0.1`, `2130706433`.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    hexadecimal.map_or(!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()), |digits| {
        digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn under(name: &str, suffix: &str) -> bool {
    // Names are ASCII, so every index is a boundary.
    name.len() > suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authorities_are_read() {
        for (text, host, port) in [
            ("127.0.0.1:80", Host::V4(Ipv4Addr::LOCALHOST), Some(80)),
            ("[::1]", Host::V6(Ipv6Addr::LOCALHOST), None),
            ("[::1]:8080", Host::V6(Ipv6Addr::LOCALHOST), Some(8080)),
            ("Example.com.", Host::Name("example.COM"), None),
            ("a_b:", Host::Name("a_b"), None),
            ("127.0.0.1.evil.com", Host::Name("127.0.0.1.evil.com"), None),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            ".",
            "..",
            ".local",
            "a..b",
            "a b",
            "user@host",
            "host:port",
            "host:1:2",
            "host:70000",
            "host:+1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[evil.com]",
            "[fe80::1%25eth0]",
            "a/b",
            "ä",
            "a%00",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse(&"a".repeat(254)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = Authority::parse(&text);
        }

        #[test]
        fn nothing_under_a_public_suffix_is_unownable(name in "[a-z0-9._-]{0,40}") {
            let text = format!("{name}.evil.com");
            if let Some(authority) = Authority::parse(&text) {
                prop_assert!(!authority.host.is_unownable());
                prop_assert!(!authority.host.is_loopback());
            }
        }
    }
}
