//! An address that a server has named, and that may be asked.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::config::is_off_limits;

/// The URL of something to fetch or to post to. It is https, or http on this machine; it is no address that only this
/// machine's own network answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(Url);

/// Who names the addresses: a server on this machine may name others on it, one elsewhere may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The server is on this machine.
    Loopback,
    /// It is elsewhere.
    World,
}

/// Why an address is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It cannot be read.
    #[error("{0:?} is not an absolute URL")]
    Unreadable(String),
    /// Whoever listens could read the tokens, or it is no address of the web at all.
    #[error("{0} is not https (http is only for servers on this machine)")]
    Unprotected(String),
    /// It has a name or a password in it.
    #[error("an address with a user name in it is not used: {0}")]
    Credentials(String),
    /// The address is one at which clouds and links configure their machines.
    #[error("{0} is a link-local address, which no server may name")]
    LinkLocal(String),
}

impl Reach {
    /// How far a server at `url` may point.
    pub(super) fn of(url: &Url) -> Self {
        if is_loopback(url) { Self::Loopback } else { Self::World }
    }
}

impl Endpoint {
    /// Takes an address that a server has named.
    pub(super) fn parse(text: &str, reach: Reach) -> Result<Self, EndpointError> {
        match Url::parse(text) {
            Ok(url) if text.len() <= LONGEST_URL => Self::check(url, reach),
            _ => Err(EndpointError::Unreadable(text.chars().take(LONGEST).collect())),
        }
    }

    /// Takes an address that the user has configured: it may be on this machine wherever the server is.
    pub(super) fn configured(url: Url) -> Result<Self, EndpointError> {
        Self::check(url, Reach::Loopback)
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    fn check(url: Url, reach: Reach) -> Result<Self, EndpointError> {
        let shown = || shown(&url);
        let protected = match url.scheme() {
            "https" => url.has_host(),
            "http" => reach == Reach::Loopback && is_loopback(&url),
            _ => false,
        };
        if !protected {
            return Err(EndpointError::Unprotected(shown()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials(shown()));
        }
        if address(&url).is_some_and(is_off_limits) {
            return Err(EndpointError::LinkLocal(shown()));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.0))
    }
}

/// Whether a URL's host is this machine, by its own words.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether a name can only be this machine's.
pub(super) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

/// A URL without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that cannot have these has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().chars().take(LONGEST).collect()
}

/// Longer addresses are of no use to anybody, but some would be logged.
const LONGEST_URL: usize = 4096;

/// How much of an address an error shows.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protected_addresses_are_asked() {
        let right = ["https://a.example/x?y=z", "https://10.0.0.1/", "https://[2001:db8::1]:8443/"];
        let local =
            ["http://127.0.0.1:8080/token", "http://localhost/", "http://a.localhost/", "http://[::1]/"];
        let wrong = [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "http://[::ffff:10.0.0.1]/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "/relative",
            "",
            "https://user@a.example/",
            "https://user:word@a.example/",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "http://169.254.169.254/",
        ];
        for text in right {
            assert!(Endpoint::parse(text, Reach::World).is_ok(), "{text}");
            assert!(Endpoint::parse(text, Reach::Loopback).is_ok(), "{text}");
        }
        for text in local {
            assert!(Endpoint::parse(text, Reach::World).is_err(), "{text}");
            assert!(Endpoint::parse(text, Reach::Loopback).is_ok(), "{text}");
        }
        for text in wrong {
            assert!(Endpoint::parse(text, Reach::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_secret_of_an_address_is_shown() {
        for text in ["http://me:word@a.example/x?key=word#word", "https://word@a.example/x?key=word"] {
            let error = Endpoint::parse(text, Reach::World).expect_err("it is not fit").to_string();
            assert!(!error.contains("word"), "{error}");
        }
        let endpoint = Endpoint::parse("https://a.example/x?key=word", Reach::World).expect("it is fit");
        assert_eq!(endpoint.to_string(), "https://a.example/x");
    }
}
