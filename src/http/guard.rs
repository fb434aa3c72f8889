//! Who may speak to the router at all: the Host and Origin of a request, judged before routing.
//!
//! A web page of a stranger can make its visitor's browser send requests to this machine, and by DNS
//! rebinding even read the answers. What it cannot do is forge `Host` and `Origin`.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::authority::Authority;
use super::origin::{AllowedOrigins, Origin};
use super::refusal::Refusal;

/// Which hosts and origins pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardPolicy {
    hosts: Vec<String>,
    origins: AllowedOrigins,
    bound_to_loopback: bool,
}

impl GuardPolicy {
    /// The policy of `--allow-host` (`name` or `name:port`) and `--allow-origin`, on a router that
    /// listens on the loopback interface only, or beyond.
    pub fn new(allow_hosts: &[String], allow_origins: &[String], bound_to_loopback: bool) -> Self {
        Self { hosts: allow_hosts.to_vec(), origins: AllowedOrigins::new(allow_origins), bound_to_loopback }
    }

    /// Judges the head of a request. Allocates only to refuse.
    pub fn check(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = host_of(version, uri, headers)?;
        let host = Authority::parse(text).ok_or(Refusal::BadHost("it cannot be read"))?;
        if !host.host.is_unownable() && !self.allows_host(&host) {
            return Err(Refusal::ForeignHost(text.to_owned()));
        }
        match one(headers, &ORIGIN) {
            One::None => Ok(()),
            One::Value(value) => self.check_origin(value, &host),
            One::Several => Err(Refusal::ForeignOrigin(String::from("(several)"))),
        }
    }

    /// Whether the request comes from no web page, or from one of this machine, of the host itself, or that is allowed by
    /// name: `*` names none.
    pub fn is_named_page(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(Authority::parse);
        match one(headers, &ORIGIN) {
            One::None => true,
            One::Several => false,
            One::Value(value) => value.to_str().ok().and_then(Origin::parse).is_some_and(|origin| {
                (self.bound_to_loopback && origin.is_loopback())
                    || host.is_some_and(|host| origin.is_of(&host))
                    || self.origins.names(&origin)
            }),
        }
    }

    fn allows_host(&self, host: &Authority<'_>) -> bool {
        self.hosts.iter().filter_map(|allowed| Authority::parse(allowed)).any(|allowed| {
            allowed.host == host.host && allowed.port.is_none_or(|port| host.port == Some(port))
        })
    }

    fn check_origin(&self, value: &HeaderValue, host: &Authority<'_>) -> Result<(), Refusal> {
        let passes = |origin: &Origin<'_>| {
            (self.bound_to_loopback && origin.is_loopback())
                || origin.is_of(host)
                || self.origins.allows(origin)
        };
        match value.to_str().ok().and_then(Origin::parse) {
            Some(origin) if passes(&origin) => Ok(()),
            _ => Err(Refusal::ForeignOrigin(String::from_utf8_lossy(value.as_bytes()).into_owned())),
        }
    }
}

/// The one host that the request names: `Host`, or on HTTP/2 `:authority`; where both stand, or the
/// target of an HTTP/1 request is a whole URL, they must be equal.
fn host_of<'a>(version: Version, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    let header = match one(headers, &HOST) {
        One::None => None,
        One::Value(value) => Some(value.to_str().map_err(|_| Refusal::BadHost("it cannot be read"))?),
        One::Several => return Err(Refusal::BadHost("there are several")),
    };
    match (uri.authority().map(http::uri::Authority::as_str), header) {
        (None, Some(host)) => Ok(host),
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(host),
        (Some(_), Some(_)) => Err(Refusal::BadHost("it differs from the one in the request target")),
        (Some(authority), None) if version >= Version::HTTP_2 => Ok(authority),
        (_, None) => Err(Refusal::BadHost("there is none")),
    }
}

enum One<'a> {
    None,
    Value(&'a HeaderValue),
    Several,
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> One<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => One::None,
        (Some(value), None) => One::Value(value),
        (Some(_), Some(_)) => One::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(policy: &GuardPolicy, hosts: &[&str], origins: &[&str]) -> u16 {
        status(policy, Version::HTTP_11, "/mcp", hosts, origins)
    }

    fn status(policy: &GuardPolicy, version: Version, uri: &str, hosts: &[&str], origins: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        match policy.check(version, &uri.parse().unwrap(), &headers) {
            Ok(()) => 200,
            Err(refusal) => refusal.render::<bytes::Bytes>().status().as_u16(),
        }
    }

    fn plain() -> GuardPolicy {
        GuardPolicy::new(&[], &[], true)
    }

    #[test]
    fn hosts_that_no_stranger_can_own_pass() {
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "192.168.1.7:80",
            "[::1]:8080",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "app.localhost",
            "printer.local",
            "host.docker.internal",
            "mcp.default.svc.cluster.local",
            "mcp-switchboard:8080",
            "my_service",
        ] {
            assert_eq!(verdict(&plain(), &[host], &[]), 200, "{host}");
        }
    }

    #[test]
    fn other_hosts_need_to_be_allowed() {
        for host in [
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.com:80",
            "127.1",
            "2130706433",
            "0x7f000001:80",
            "local.evil",
            "xlocal.com",
        ] {
            assert_eq!(verdict(&plain(), &[host], &[]), 403, "{host}");
        }
        let allowing = GuardPolicy::new(&["mcp.example.com".into(), "two.example:8443".into()], &[], false);
        for (host, status) in [
            ("mcp.example.com", 200),
            ("MCP.Example.com.:9", 200),
            ("two.example:8443", 200),
            ("two.example", 403),
            ("two.example:1", 403),
            ("a.mcp.example.com", 403),
            ("mcp.example.com.evil.com", 403),
        ] {
            assert_eq!(verdict(&allowing, &[host], &[]), status, "{host}");
        }
    }

    #[test]
    fn exactly_one_host_is_demanded() {
        assert_eq!(verdict(&plain(), &[], &[]), 400);
        assert_eq!(verdict(&plain(), &["localhost", "localhost"], &[]), 400);
        assert_eq!(verdict(&plain(), &[""], &[]), 400);
        assert_eq!(verdict(&plain(), &["user@localhost"], &[]), 400);
        for (version, uri, hosts, expected) in [
            (Version::HTTP_2, "http://localhost:80/mcp", &[][..], 200),
            (Version::HTTP_2, "http://localhost:80/mcp", &["LOCALHOST:80"][..], 200),
            (Version::HTTP_2, "http://localhost:80/mcp", &["127.0.0.1:80"][..], 400),
            (Version::HTTP_2, "http://evil.com/mcp", &[][..], 403),
            (Version::HTTP_2, "/mcp", &["localhost"][..], 200),
            (Version::HTTP_2, "/mcp", &[][..], 400),
            (Version::HTTP_11, "http://localhost/mcp", &["localhost"][..], 200),
            (Version::HTTP_11, "http://evil.com/mcp", &["localhost"][..], 400),
            (Version::HTTP_11, "http://localhost/mcp", &[][..], 400),
        ] {
            assert_eq!(status(&plain(), version, uri, hosts, &[]), expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn origins_are_those_of_the_machine_the_host_or_the_list() {
        let wide = GuardPolicy::new(&["mcp.example".into()], &["https://app.example".into()], false);
        for (host, origin, on_loopback, beyond) in [
            ("127.0.0.1:8080", "http://localhost:5173", 200, 403),
            ("127.0.0.1:8080", "https://127.9.9.9", 200, 403),
            ("127.0.0.1:8080", "http://[::1]:1", 200, 403),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", 200, 200),
            ("127.0.0.1:8080", "http://127.0.0.1:8081", 200, 403),
            ("box:80", "http://box", 200, 200),
            ("box", "https://box:443", 200, 200),
            ("box", "https://box:80", 403, 403),
            ("box", "ftp://box", 403, 403),
            ("box", "https://app.example", 403, 200),
            ("box", "null", 403, 403),
            ("box", "", 403, 403),
            ("box", "box", 403, 403),
            ("box", "http://127.0.0.1.evil.com", 403, 403),
            ("box", "http://localhost.evil.com", 403, 403),
            ("box", "http://localhost@evil.com", 403, 403),
            ("box", "chrome-extension://localhost", 403, 403),
        ] {
            assert_eq!(verdict(&plain(), &[host], &[origin]), on_loopback, "loopback: {host} {origin}");
            assert_eq!(verdict(&wide, &[host], &[origin]), beyond, "beyond: {host} {origin}");
        }
        assert_eq!(verdict(&plain(), &["box"], &["http://box", "http://box"]), 403);
        let any = GuardPolicy::new(&[], &["*".into()], false);
        assert_eq!(verdict(&any, &["box"], &["https://any.example"]), 200);
        assert_eq!(verdict(&any, &["box"], &["null"]), 403);
    }

    #[test]
    fn a_refusal_names_the_option() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("evil.com"));
        let refusal = plain().check(Version::HTTP_11, &Uri::from_static("/"), &headers).unwrap_err();
        assert!(refusal.to_string().contains("--allow-host evil.com"));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict(host in proptest::collection::vec(any::<u8>(), 0..60), origin in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut headers = HeaderMap::new();
            for (name, bytes) in [(HOST, host), (ORIGIN, origin)] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.insert(name, value);
                }
            }
            let _ = plain().check(Version::HTTP_11, &Uri::from_static("/"), &headers);
        }

        #[test]
        fn an_evil_suffix_never_passes(
            start in prop_oneof![Just("localhost"), Just("127.0.0.1"), Just("[::1]"), Just("a.local"), Just("app.example")],
            glue in prop_oneof![Just("."), Just("@"), Just(":80@"), Just(":80."), Just("/."), Just("#."), Just("%2e")],
            label in "[a-z0-9-]{0,8}",
        ) {
            let policy = GuardPolicy::new(&["app.example".into()], &["http://app.example".into()], true);
            let evil = format!("{start}{glue}{label}.evil.com");
            prop_assert_ne!(verdict(&policy, &[&evil], &[]), 200);
            let origin = format!("http://{evil}");
            prop_assert_eq!(verdict(&policy, &["localhost"], &[&origin]), 403);
        }
    }
}
