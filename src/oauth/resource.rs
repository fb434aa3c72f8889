//! The server that a token is for, and what it says about itself: RFC 9728.

use serde::Deserialize;
use url::Url;

use super::challenge::Challenge;
use super::endpoint::{Endpoint, Reach};
use super::error::LoginError;
use super::fetcher::Fetcher;
use super::scopes::Scopes;

/// The URL of a server, as its identifier: without what does not identify it.
#[derive(Clone, Debug)]
pub(super) struct Resource(Url);

/// What is known of a server that wants a login.
#[derive(Debug)]
pub(super) struct Protected {
    /// What it calls itself: the `resource` of RFC 8707.
    pub(super) identifier: String,
    /// The authorization servers whose tokens it takes.
    pub(super) issuers: Vec<String>,
    /// The scopes that it names.
    pub(super) scopes: Option<Scopes>,
}

/// The document as it is written.
#[derive(Deserialize)]
struct Document {
    resource: String,
    authorization_servers: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
}

impl Resource {
    pub(super) fn new(mut url: Url) -> Self {
        // A query may hold a key, and what is in the URL before the host always does.
        url.set_query(None);
        url.set_fragment(None);
        // A URL that cannot have these has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self(url)
    }

    pub(super) fn reach(&self) -> Reach {
        Reach::of(&self.0)
    }

    /// The canonical URI.
    pub(super) fn identifier(&self) -> &str {
        // 2025-11-25, authorization: "implementations SHOULD consistently use the form without the trailing slash".
        // With a longer path it may mean something.
        let text = self.0.as_str();
        if self.0.path() == "/" { text.trim_end_matches('/') } else { text }
    }

    /// Finds the server's metadata, or what stands in its place.
    pub(super) async fn discover(
        &self,
        challenge: &Challenge,
        fetcher: &Fetcher,
    ) -> Result<Protected, LoginError> {
        for address in self.addresses(challenge) {
            let endpoint = match Endpoint::parse(&address, self.reach()) {
                Ok(endpoint) => endpoint,
                // Behind a proxy that speaks TLS, some servers name themselves with http.
                Err(error) => {
                    tracing::debug!(%error, "the address of the resource's metadata is not used");
                    continue;
                }
            };
            if let Some(document) = fetcher.get(&endpoint).await?.document() {
                return self.read(document);
            }
        }
        // 2025-03-26, authorization: "The authorization base URL MUST be determined from the MCP server URL by
        // discarding any existing `path` component." Servers of that revision have no metadata of their own.
        let issuer = self.0.origin().ascii_serialization();
        Ok(Protected { identifier: self.identifier().to_owned(), issuers: vec![issuer], scopes: None })
    }

    /// Where the metadata may be, in the order in which to ask.
    fn addresses(&self, challenge: &Challenge) -> Vec<String> {
        // 2025-11-25, authorization: "use the resource metadata URL from the parsed `WWW-Authenticate` headers when
        // present; otherwise, they MUST fall back to constructing and requesting the well-known URIs": at the path of
        // the endpoint, then at the root.
        let root = format!("{}{WELL_KNOWN}", self.0.origin().ascii_serialization());
        let path = self.0.path().trim_end_matches('/');
        let mut addresses: Vec<_> = challenge.resource_metadata.iter().cloned().collect();
        if !path.is_empty() {
            addresses.push(format!("{root}{path}"));
        }
        addresses.push(root);
        let mut seen = Vec::new();
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(address.clone());
                true
            }
        });
        addresses
    }

    fn read(&self, document: Document) -> Result<Protected, LoginError> {
        let Document { resource, authorization_servers, scopes_supported } = document;
        if !self.is_within(&resource) {
            return Err(LoginError::OtherResource { named: resource.chars().take(200).collect() });
        }
        let issuers = authorization_servers.filter(|issuers| !issuers.is_empty());
        let issuers = issuers.ok_or(LoginError::NoAuthorizationServer)?;
        let scopes = scopes_supported.map(|names| names.iter().map(String::as_str).collect());
        Ok(Protected { identifier: resource, issuers, scopes })
    }

    /// Whether a token for `other` is one for this server too.
    ///
    /// RFC 9728 wants both to be the same. Many servers name their origin, or a path above, and give one token for
    /// all that is below; a token for another origin must never be asked for here.
    fn is_within(&self, other: &str) -> bool {
        let Ok(other) = Url::parse(other) else { return false };
        let (own, above) = (self.0.path().trim_end_matches('/'), other.path().trim_end_matches('/'));
        let below = own.strip_prefix(above);
        other.origin() == self.0.origin()
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(url: &str) -> Resource {
        Resource::new(url.parse().expect("a URL"))
    }

    #[test]
    fn the_identifier_is_canonical() {
        let table = [
            ("https://MCP.example.com", "https://mcp.example.com"),
            ("https://mcp.example.com/", "https://mcp.example.com"),
            ("https://mcp.example.com:443/mcp/", "https://mcp.example.com/mcp/"),
            ("https://me:word@mcp.example.com:8443/mcp?key=word#x", "https://mcp.example.com:8443/mcp"),
        ];
        for (url, wanted) in table {
            assert_eq!(resource(url).identifier(), wanted);
        }
    }

    #[test]
    fn metadata_is_looked_for_where_the_challenge_says_then_at_the_path_then_at_the_root() {
        let named =
            |name: &str| Challenge { resource_metadata: Some(name.to_owned()), ..Challenge::default() };
        let root = "https://a.example/.well-known/oauth-protected-resource";
        let path = "https://a.example/.well-known/oauth-protected-resource/public/mcp";
        let table: [(&str, Challenge, &[&str]); 4] = [
            ("https://a.example/public/mcp", Challenge::default(), &[path, root]),
            ("https://a.example/", Challenge::default(), &[root]),
            ("https://a.example/public/mcp", named("https://b"), &["https://b", path, root]),
            ("https://a.example/public/mcp/", named(path), &[path, root]),
        ];
        for (url, challenge, wanted) in table {
            assert_eq!(resource(url).addresses(&challenge), wanted, "{url} {challenge:?}");
        }
    }

    #[test]
    fn a_token_for_something_else_is_not_asked_for() {
        let own = resource("https://a.example/public/mcp");
        let right = [
            "https://a.example",
            "https://a.example/",
            "https://a.example:443/public",
            "https://A.example/public/mcp",
            "https://a.example/public/mcp/",
        ];
        let wrong = [
            "https://b.example/public/mcp",
            "http://a.example/public/mcp",
            "https://a.example:444",
            "https://a.example/pub",
            "https://a.example/public/mcp/more",
            "https://a.example/other",
            "a.example",
        ];
        for other in right {
            assert!(own.is_within(other), "{other}");
        }
        for other in wrong {
            assert!(!own.is_within(other), "{other}");
        }
    }
}
