//! Host and Origin: what is read of them is what a browser's parser of URLs reads, and nothing passes that a stranger
//! could own.

use super::choice::Choice;
use super::parts;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri, Version};
use mcp_switchboard::http::authority::{Authority, Host};
use mcp_switchboard::http::guard::GuardPolicy;
use mcp_switchboard::http::origin::{AllowedOrigins, Origin};
use std::net::Ipv4Addr;
use url::Url;

/// Suffixes under which anybody can have a name.
const PUBLIC: [&str; 5] = ["evil.com", "com", "co.uk", "github.io", "localhost.evil.com"];

/// RFC 6761 and 6762, ICANN's reservation, and the one of Kubernetes, label by label.
const PRIVATE: [&[&str]; 4] = [&["localhost"], &["local"], &["internal"], &["svc", "cluster", "local"]];

/// What the operator has allowed.
const ALLOWED_HOST: &str = "mcp.example";
const ALLOWED_ORIGIN: &str = "https://app.example:8443";

/// The parts are the Host, the Origin, and the authority of the request's target.
pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let all: Vec<&[u8]> = parts(data).take(3).collect();
    let texts: Vec<&str> = all.iter().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    for text in &texts {
        authority(text);
        origin(text);
    }
    if let [one, other, ..] = texts[..] {
        the_same_origin(one, other);
    }
    guard(&all, &mut choice);
}

/// What a browser makes of a URL.
struct Page {
    url: Url,
    /// It has an IPv4 address in another spelling than four plain numbers. We read that as a name, which is never
    /// believed to be of this machine or network.
    is_odd: bool,
}

impl Page {
    fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let authority = text.split_once("://")?.1.trim_end_matches('/');
        let host = authority.split_once(':').map_or(authority, |(host, _)| host);
        let is_odd = matches!(url.host(), Some(url::Host::Ipv4(_))) && host.parse::<Ipv4Addr>().is_err();
        Some(Self { url, is_odd })
    }

    fn of_host(scheme: &str, host: &str) -> Option<Self> {
        Self::read(&format!("{scheme}://{host}/"))
    }

    fn is_web(&self) -> bool {
        matches!(self.url.scheme(), "http" | "https")
    }

    /// Whether public DNS can never give its host to a stranger.
    fn is_unownable(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => {
                let labels: Vec<&str> = name.strip_suffix('.').unwrap_or(name).split('.').collect();
                let under = |suffix: &&[&str]| labels.len() > suffix.len() && labels.ends_with(suffix);
                labels.len() == 1 || PRIVATE.iter().any(under)
            }
            Some(url::Host::Ipv4(_)) => !self.is_odd,
            Some(url::Host::Ipv6(_)) => true,
            None => false,
        }
    }

    fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name) == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback() && !self.is_odd,
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The scheme, host and port, without the dot that a name may end with.
    fn origin(&self) -> (&str, &str, Option<u16>) {
        let host = self.url.host_str().unwrap_or_default();
        (self.url.scheme(), host.strip_suffix('.').unwrap_or(host), self.url.port_or_known_default())
    }
}

fn authority(text: &str) {
    let Some(authority) = Authority::parse(text) else { return };
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    let host = authority.host;
    if let Some(page) = Page::of_host("http", text) {
        assert_eq!(page.url.port_or_known_default(), Some(authority.port.unwrap_or(80)), "{text:?}");
        same_host(&host, &page);
        assert_eq!(host.is_unownable(), page.is_unownable(), "{text:?}");
        assert_eq!(host.is_loopback(), page.is_loopback(), "{text:?}");
        assert_eq!((page.url.path(), page.url.query(), page.url.username()), ("/", None, ""), "{text:?}");
    } else {
        // No browser gets there, and it must not pass for what it is not.
        assert!(!host.is_loopback(), "{text:?}");
    }
    if let Host::Name(name) = host {
        for suffix in PUBLIC {
            let below = format!("{name}.{suffix}");
            let Some(below) = Authority::parse(&below) else { continue };
            assert!(!below.host.is_unownable() && !below.host.is_loopback(), "{name}.{suffix}");
        }
    }
}

fn same_host(host: &Host<'_>, page: &Page) {
    match (host, page.url.host().expect("http has a host")) {
        (Host::V4(one), url::Host::Ipv4(other)) => assert_eq!(*one, other),
        (Host::V6(one), url::Host::Ipv6(other)) => assert_eq!(*one, other),
        (Host::Name(one), url::Host::Domain(other)) => {
            assert!(one.eq_ignore_ascii_case(other.strip_suffix('.').unwrap_or(other)), "{one} {other}");
        }
        (Host::Name(_), url::Host::Ipv4(_)) => assert!(page.is_odd),
        (one, other) => panic!("{one:?} {other:?}"),
    }
}

fn origin(text: &str) {
    let Some(origin) = Origin::parse(text) else { return };
    assert!(AllowedOrigins::new(&["*".into()]).allows(&origin));
    assert!(!AllowedOrigins::new(&[]).allows(&origin));
    let Some(page) = Page::read(text).filter(Page::is_web) else {
        return assert!(!origin.is_loopback(), "{text:?}");
    };
    assert_eq!(origin.is_loopback(), page.is_loopback(), "{text:?}");
    assert_eq!((page.url.path(), page.url.query(), page.url.username()), ("/", None, ""), "{text:?}");
}

/// Two origins are the same if a browser says so, and an origin is of a host if it is the one that the host's URL has.
fn the_same_origin(host: &str, text: &str) {
    let Some((origin, page)) = Origin::parse(text).zip(Page::read(text)) else { return };
    if !page.is_web() || page.is_odd {
        return;
    }
    for other in [host, &format!("{}://{host}", page.url.scheme())] {
        if let (Some(one), Some(there)) = (Origin::parse(other), Page::read(other)) {
            let same = page.origin() == there.origin() && !there.is_odd;
            assert_eq!(origin == one, same, "{text:?} {other:?}");
            assert_eq!(AllowedOrigins::new(&[other.into()]).names(&origin), same, "{text:?} {other:?}");
        }
    }
    if let (Some(authority), Some(there)) = (Authority::parse(host), Page::of_host(page.url.scheme(), host)) {
        let same = page.origin() == there.origin() && !there.is_odd;
        assert_eq!(origin.is_of(&authority), same, "{text:?} {host:?}");
    }
}

/// Nothing passes the guard but what is allowed, whichever way it comes.
fn guard(all: &[&[u8]], choice: &mut Choice) {
    let mut headers = HeaderMap::new();
    for (name, part) in [HOST, ORIGIN].into_iter().zip(all) {
        // Behind a comma comes another header of the same name.
        for value in part.split(|byte| *byte == b',').filter_map(|value| HeaderValue::from_bytes(value).ok())
        {
            headers.append(&name, value);
        }
    }
    let target = all.get(2).and_then(|part| std::str::from_utf8(part).ok());
    let target = target.and_then(|text| format!("http://{text}/mcp").parse().ok());
    let uri: Uri = target.unwrap_or(Uri::from_static("/mcp"));
    let version = choice.among(&[Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]);
    let on_loopback = choice.below(2) == 0;
    let policy = GuardPolicy::new(&[ALLOWED_HOST.into()], &[ALLOWED_ORIGIN.into()], on_loopback);
    if policy.check(version, &uri, &headers).is_err() {
        return;
    }
    let given = |name| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().expect("what passes is text").to_owned()).collect()
    };
    let (hosts, origins) = (given(HOST), given(ORIGIN));
    let target = uri.authority().map(http::uri::Authority::as_str);
    let host = match (&hosts[..], target) {
        ([host], None) => host.as_str(),
        ([host], Some(target)) if host.eq_ignore_ascii_case(target) => host.as_str(),
        ([], Some(target)) if version == Version::HTTP_2 => target,
        _ => panic!("it passes with the hosts {hosts:?} and the target {uri}"),
    };
    if let Some(page) = Page::of_host("http", host) {
        assert!(page.is_unownable() || page.origin().1 == ALLOWED_HOST, "{host:?}");
    }
    let [origin] = &origins[..] else {
        return assert!(origins.is_empty(), "it passes with the origins {origins:?}");
    };
    let Some(page) = Page::read(origin) else {
        // What no browser can read is no page; it passes only as what the client itself has called the host.
        return assert!(
            origin.to_ascii_lowercase().contains(&host.to_ascii_lowercase()),
            "{origin:?} at {host:?}"
        );
    };
    let of_host = Page::of_host(page.url.scheme(), host).is_some_and(|there| there.origin() == page.origin());
    let of_machine = on_loopback && page.is_web() && page.is_loopback();
    let allowed = Page::read(ALLOWED_ORIGIN).is_some_and(|allowed| allowed.origin() == page.origin());
    assert!(of_host || of_machine || allowed, "{origin:?} at {host:?}");
}
