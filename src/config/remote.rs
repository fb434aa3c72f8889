//! A remote server: its URL, and what is sent there.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use url::{Host, Url};

use super::LoginOptions;
use super::mask::masked;

/// A server that is reached by a URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteSpec {
    /// Where it is: `http` or `https`, without a fragment.
    pub url: Url,
    /// Headers of every request; values may be secret.
    pub headers: BTreeMap<String, String>,
    /// Which transport it has.
    pub transport: RemoteTransport,
    /// How to log in, if it wants that; nothing: a configured header says who asks.
    pub login: Option<Box<LoginOptions>>,
    /// Which certificates are believed.
    pub verify: Verify,
    /// `http` to another machine is allowed, where everything is sent in the clear.
    pub allow_plain: bool,
    /// Addresses that only one link or a cloud's machines can mean are called, too.
    pub allow_link_local: bool,
    /// Strings that must never be shown: what a `${}` produced.
    pub secrets: Vec<String>,
    /// Nothing of the URL is shown, for one of these is in it in another spelling.
    pub(super) hidden: bool,
}

/// Which transport a remote server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RemoteTransport {
    /// Streamable HTTP is tried first, then HTTP+SSE.
    #[default]
    Auto,
    /// HTTP+SSE is tried first, then Streamable HTTP.
    SseFirst,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// Which certificates of a remote server are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those that a file of certificates in PEM form vouches for, and no others.
    Only(PathBuf),
    /// All.
    Off,
}

/// Why a URL names no server that is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It cannot be read.
    #[error("not an http:// or https:// URL: {0}")]
    Unreadable(String),
    /// What is sent could be read on the way.
    #[error(
        "http:// to another machine sends everything in the clear: use https://, or allow it by `--allow-http`, in the file by `allowHttp`"
    )]
    Plain,
    /// An address that only one link or a cloud's machines can mean.
    #[error(
        "{0} is a link-local or metadata address, where no server is called: allow it by `--allow-link-local`"
    )]
    LinkLocal(IpAddr),
}

impl RemoteSpec {
    /// The server at a URL, with every setting at its default.
    ///
    /// # Errors
    /// What is wrong with the URL; no part of it that may be secret is repeated.
    pub fn new(text: &str) -> Result<Self, InvalidUrl> {
        let mut url = Url::parse(text.trim()).map_err(|error| InvalidUrl::Unreadable(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Unreadable(format!("the scheme is {:?}", url.scheme())));
        }
        url.set_fragment(None);
        let mut headers = BTreeMap::new();
        if let Some(basic) = credentials(&url) {
            headers.insert("Authorization".to_owned(), basic);
            // They are sent in a header, and would only be shown otherwise.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
        }
        Ok(Self {
            url,
            headers,
            transport: RemoteTransport::default(),
            login: None,
            verify: Verify::default(),
            allow_plain: false,
            allow_link_local: false,
            secrets: Vec::new(),
            hidden: false,
        })
    }

    /// Whether something that a `${}` has put into `text`, from which this was read, would be shown in another spelling:
    /// a URL has its host in lower case, its path in escapes, and no password.
    pub(super) fn respells(&self, text: &str, produced: &[String]) -> bool {
        let (text, query) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = &authority[..authority.find(['/', '\\']).unwrap_or(authority.len())];
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        let shown = self.shown();
        produced.iter().filter(|part| !part.is_empty()).any(|part| {
            let times = produced.iter().filter(|other| *other == part).count();
            let found: usize = [&shown, user, query].iter().map(|text| text.matches(&**part).count()).sum();
            found < times
        })
    }

    /// The URL without its query.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }

    /// Whether what is sent may go there.
    ///
    /// # Errors
    /// If it may not, and is not allowed by [`allow_plain`](Self::allow_plain) or
    /// [`allow_link_local`](Self::allow_link_local).
    pub fn check(&self) -> Result<(), InvalidUrl> {
        if self.url.scheme() == "http" && !self.allow_plain && !self.is_loopback() {
            return Err(InvalidUrl::Plain);
        }
        match self.address() {
            Some(address) if is_off_limits(address) && !self.allow_link_local => {
                Err(InvalidUrl::LinkLocal(address))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            _ => self.address().is_some_and(|address| address.to_canonical().is_loopback()),
        }
    }

    /// Whether a header is configured.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.keys().any(|key| key.eq_ignore_ascii_case(name))
    }

    /// Sets a header in place of one of the same name.
    pub fn set_header(&mut self, name: &str, value: String) {
        self.headers.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.headers.insert(name.to_owned(), value);
    }

    fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

/// User and password of a URL, as a header says them.
fn credentials(url: &Url) -> Option<String> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decoded(text);
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn percent_decoded(text: &str) -> String {
    // A query's rules are the same but for the plus sign.
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("x={text}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Whether nobody means this address who asks for a server: a link-local one, or that of a cloud's metadata.
pub fn is_off_limits(address: IpAddr) -> bool {
    const METADATA: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

/// A URL is shown without its query, which may hold a key.
impl fmt::Display for RemoteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hidden {
            return write!(f, "{}://***", self.url.scheme());
        }
        let query = if self.url.query().is_some() { "?…" } else { "" };
        write!(f, "{}{query}", masked(&self.shown(), &self.secrets))
    }
}

impl fmt::Debug for RemoteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSpec({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        let spec = RemoteSpec::new("https://me:pa%24s@host.example:8443/mcp?key=s3cret#part").unwrap();
        assert_eq!(spec.to_string(), "https://host.example:8443/mcp?…");
        assert_eq!(format!("{spec:?}"), "RemoteSpec(https://host.example:8443/mcp?…)");
        // me:pa$s
        assert_eq!(spec.headers["Authorization"], "Basic bWU6cGEkcw==");
    }

    #[test]
    fn what_is_sent_in_the_clear_stays_on_this_machine_unless_allowed() {
        for url in
            ["http://localhost:1/mcp", "http://127.0.0.1/x", "http://[::1]:8/", "https://host.example/mcp"]
        {
            assert_eq!(RemoteSpec::new(url).unwrap().check(), Ok(()), "{url}");
        }
        let mut plain = RemoteSpec::new("http://mcp-switchboard:8080/mcp").unwrap();
        assert_eq!(plain.check(), Err(InvalidUrl::Plain));
        plain.allow_plain = true;
        assert_eq!(plain.check(), Ok(()));
        for url in ["ftp://host", "host/mcp", "http://", "https:///"] {
            assert!(matches!(RemoteSpec::new(url), Err(InvalidUrl::Unreadable(_))), "{url}");
        }
    }

    #[test]
    fn link_local_and_metadata_addresses_are_off_limits() {
        for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"] {
            let mut spec = RemoteSpec::new(&format!("https://{host}/mcp")).unwrap();
            assert!(matches!(spec.check(), Err(InvalidUrl::LinkLocal(_))), "{host}");
            spec.allow_link_local = true;
            assert_eq!(spec.check(), Ok(()));
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "8.8.8.8", "fd00::1", "2606:4700::1111"] {
            assert!(!is_off_limits(address.parse().unwrap()), "{address}");
        }
    }
}
