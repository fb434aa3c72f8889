//! The authorization server, and what it says about itself: RFC 8414 and `OpenID` Connect Discovery.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::endpoint::{Endpoint, Reach};
use super::error::LoginError;
use super::fetcher::Fetcher;
use super::scopes::Scopes;

/// What an authorization server offers, as far as a login needs it.
#[derive(Debug)]
pub(super) struct Issuer {
    /// Its identifier, to the letter.
    pub(super) name: String,
    pub(super) authorization: Option<Endpoint>,
    pub(super) token: Endpoint,
    pub(super) registration: Option<Endpoint>,
    pub(super) device: Option<Endpoint>,
    /// The scopes that it names.
    pub(super) scopes: Scopes,
    /// The ways in which a client may prove itself at the token endpoint, if it says.
    pub(super) client_proofs: Option<Vec<String>>,
    /// PKCE with S256.
    pub(super) pkce: bool,
    /// A client may be the URL of a document about it.
    pub(super) client_documents: bool,
    /// Each authorization response names it, RFC 9207.
    pub(super) names_itself: bool,
}

/// The document as it is written.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    client_id_metadata_document_supported: Option<bool>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Issuer {
    /// Asks an authorization server that a resource has named.
    pub(super) async fn discover(name: &str, reach: Reach, fetcher: &Fetcher) -> Result<Self, LoginError> {
        let base = Endpoint::parse(name, reach)?;
        let read = |document: Document| Some((document.issuer.clone(), document));
        let document = metadata(name, &base, reach, fetcher, read).await?;
        Self::read(document, reach)
    }

    fn read(document: Document, reach: Reach) -> Result<Self, LoginError> {
        let optional =
            |address: Option<String>| address.map(|address| Endpoint::parse(&address, reach)).transpose();
        let token = document.token_endpoint.ok_or(LoginError::NoEndpoint { which: "token" })?;
        Ok(Self {
            authorization: optional(document.authorization_endpoint)?,
            token: Endpoint::parse(&token, reach)?,
            registration: optional(document.registration_endpoint)?,
            device: optional(document.device_authorization_endpoint)?,
            scopes: document.scopes_supported.iter().flatten().map(String::as_str).collect(),
            client_proofs: document.token_endpoint_auth_methods_supported,
            // 2025-11-25, authorization: "If `code_challenge_methods_supported` is absent, the authorization server
            // does not support PKCE and MCP clients MUST refuse to proceed."
            pkce: document.code_challenge_methods_supported.iter().flatten().any(|method| method == "S256"),
            client_documents: document.client_id_metadata_document_supported == Some(true),
            names_itself: document.authorization_response_iss_parameter_supported == Some(true),
            name: document.issuer,
        })
    }
}

/// Looks for the metadata of the authorization server that calls itself `name`. `read` says what it needs of a document, with
/// the issuer that the document names; a document without what is needed is passed over.
pub(super) async fn metadata<D: DeserializeOwned, T>(
    name: &str,
    base: &Endpoint,
    reach: Reach,
    fetcher: &Fetcher,
    read: impl Fn(D) -> Option<(String, T)>,
) -> Result<T, LoginError> {
    let mut other = None;
    for address in addresses(base.url()) {
        let endpoint = Endpoint::parse(&address, reach)?;
        let Some((issuer, found)) = fetcher.get(&endpoint).await?.document::<D>().and_then(&read) else {
            continue;
        };
        if is_same(&issuer, name) {
            return Ok(found);
        }
        other = Some(LoginError::OtherIssuer { issuer: name.to_owned() });
    }
    Err(other.unwrap_or_else(|| LoginError::NoMetadata { issuer: base.to_string() }))
}

/// Where the metadata may be, in the order that the specification prescribes.
fn addresses(issuer: &Url) -> Vec<String> {
    let origin = issuer.origin().ascii_serialization();
    let path = issuer.path().trim_end_matches('/');
    let mut addresses = vec![format!("{origin}{OAUTH}{path}"), format!("{origin}{OPENID}{path}")];
    if !path.is_empty() {
        addresses.push(format!("{origin}{path}{OPENID}"));
    }
    addresses
}

/// Whether a document is that of the issuer which was asked.
///
/// 2026-07-28, authorization server discovery: "the `issuer` value in the document MUST be identical to the issuer
/// identifier used to construct the well-known URL". A slash at the end is not compared: it is not part of that URL, and
/// libraries that keep the names as URLs add one in the one document and not in the other.
fn is_same(document: &str, named: &str) -> bool {
    let end = |name: &str| name.strip_suffix('/').unwrap_or(name).len();
    document[..end(document)] == named[..end(named)]
}

const OAUTH: &str = "/.well-known/oauth-authorization-server";

const OPENID: &str = "/.well-known/openid-configuration";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_in_the_prescribed_order() {
        let table: [(&str, &[&str]); 4] = [
            (
                "https://auth.example.com",
                &[
                    "https://auth.example.com/.well-known/oauth-authorization-server",
                    "https://auth.example.com/.well-known/openid-configuration",
                ],
            ),
            (
                "https://auth.example.com/",
                &[
                    "https://auth.example.com/.well-known/oauth-authorization-server",
                    "https://auth.example.com/.well-known/openid-configuration",
                ],
            ),
            (
                "https://auth.example.com:8443/tenant1",
                &[
                    "https://auth.example.com:8443/.well-known/oauth-authorization-server/tenant1",
                    "https://auth.example.com:8443/.well-known/openid-configuration/tenant1",
                    "https://auth.example.com:8443/tenant1/.well-known/openid-configuration",
                ],
            ),
            (
                "https://auth.example.com/a/b/",
                &[
                    "https://auth.example.com/.well-known/oauth-authorization-server/a/b",
                    "https://auth.example.com/.well-known/openid-configuration/a/b",
                    "https://auth.example.com/a/b/.well-known/openid-configuration",
                ],
            ),
        ];
        for (issuer, wanted) in table {
            assert_eq!(addresses(&issuer.parse().expect("a URL")), wanted, "{issuer}");
        }
    }

    #[test]
    fn only_the_issuer_that_was_asked_is_believed() {
        assert!(is_same("https://a.example", "https://a.example"));
        assert!(is_same("https://a.example/", "https://a.example"));
        assert!(is_same("https://a.example/x", "https://a.example/x/"));
        assert!(!is_same("https://a.example/x", "https://a.example"));
        assert!(!is_same("https://A.example", "https://a.example"));
        assert!(!is_same("https://a.example//", "https://a.example"));
        assert!(!is_same("", "https://a.example"));
    }

    #[test]
    fn a_document_is_read_with_care() {
        let read = |text: &str| Issuer::read(serde_json::from_str(text).expect("a document"), Reach::World);
        let text = r#"{"issuer": "https://a", "token_endpoint": "https://a/t"}"#;
        let plain = read(text).expect("enough");
        assert!(!plain.pkce && !plain.client_documents && !plain.names_itself && plain.device.is_none());
        let text = r#"{"issuer": "https://a", "token_endpoint": "https://a/t", "code_challenge_methods_supported": ["plain", "S256"]}"#;
        assert!(read(text).expect("enough").pkce);
        let text = r#"{"issuer": "https://a", "token_endpoint": "https://a/t", "code_challenge_methods_supported": ["plain"]}"#;
        assert!(!read(text).expect("enough").pkce);
        let wrong = [
            r#"{"issuer": "https://a"}"#,
            r#"{"issuer": "https://a", "token_endpoint": "http://127.0.0.1/t"}"#,
            r#"{"issuer": "https://a", "token_endpoint": "https://a/t", "authorization_endpoint": "file:///x"}"#,
        ];
        for text in wrong {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
