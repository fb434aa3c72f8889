//! Who this program is to an authorization server.

use serde::{Deserialize, Serialize};
use url::Url;

use super::endpoint::Endpoint;
use super::error::{LoginError, plain};
use super::fetcher::Fetcher;
use super::issuer::Issuer;
use super::secret::Secret;
use super::spec::LoginSpec;

/// A client, as an authorization server knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) client_id: String,
    #[serde(default, serialize_with = "Secret::write_option", skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<Secret>,
    pub(super) proof: Proof,
}

/// How a client that has a secret proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
    #[serde(rename = "none")]
    None,
}

/// What the client will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Code,
    Device,
}

/// How the client becomes known.
#[derive(Debug)]
enum Way<'a> {
    Configured(&'a str),
    Document(&'a Url),
    Dynamic(&'a Endpoint),
}

#[derive(Serialize)]
struct Request<'a> {
    client_name: &'static str,
    application_type: &'static str,
    redirect_uris: [&'a str; 1],
    grant_types: &'static [&'static str],
    response_types: &'static [&'static str],
    token_endpoint_auth_method: Proof,
}

#[derive(Deserialize)]
struct Response {
    client_id: String,
    client_secret: Option<Secret>,
    token_endpoint_auth_method: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl Registration {
    /// The client to log in with, registered first if need be.
    pub(super) async fn obtain(
        spec: &LoginSpec,
        issuer: &Issuer,
        flow: Flow,
        redirect: &Url,
        fetcher: &Fetcher,
    ) -> Result<Self, LoginError> {
        let endpoint = match Way::choose(spec, issuer)? {
            Way::Configured(id) => return Ok(Self::configured(id, spec.client_secret.clone(), issuer)),
            Way::Document(url) => return Ok(Self::configured(url.as_str(), None, issuer)),
            Way::Dynamic(endpoint) => endpoint,
        };
        let answer = fetcher.post(endpoint, &Request::new(flow, redirect, issuer)).await?;
        if let Some(response) = answer.document::<Response>() {
            return Ok(response.into());
        }
        let reason = match answer.json::<Refusal>() {
            Some(Refusal { error, error_description: Some(text) }) => {
                format!("{}: {}", plain(&error), plain(&text))
            }
            Some(Refusal { error, .. }) => plain(&error),
            None => format!("it answered with status {}", answer.status.as_u16()),
        };
        Err(LoginError::Unregistered { reason })
    }

    /// A client that was registered by hand.
    fn configured(id: &str, secret: Option<Secret>, issuer: &Issuer) -> Self {
        let proof = if secret.is_some() { issuer.proof_of_secret() } else { Proof::None };
        Self { client_id: id.to_owned(), client_secret: secret, proof }
    }
}

impl<'a> Way<'a> {
    fn choose(spec: &'a LoginSpec, issuer: &'a Issuer) -> Result<Self, LoginError> {
        // 2026-07-28, client registration: "1. Use pre-registered client information [...] 2. Use Client ID Metadata
        // Documents if the Authorization Server indicates that it supports them [...] 3. Use Dynamic Client
        // Registration as a fallback [...] 4. Prompt the user to enter the client information".
        if let Some(id) = &spec.client_id {
            return Ok(Self::Configured(id));
        }
        // "The `client_id` URL MUST use the "https" scheme and contain a path component".
        let is_document =
            |url: &&Url| issuer.client_documents && url.scheme() == "https" && url.path() != "/";
        if let Some(url) = spec.client_metadata_url.as_ref().filter(is_document) {
            return Ok(Self::Document(url));
        }
        issuer.registration.as_ref().map(Self::Dynamic).ok_or(LoginError::NoRegistration)
    }
}

impl<'a> Request<'a> {
    fn new(flow: Flow, redirect: &'a Url, issuer: &Issuer) -> Self {
        let public =
            issuer.client_proofs.as_ref().is_none_or(|proofs| proofs.iter().any(|proof| proof == "none"));
        Self {
            client_name: "mcp-switchboard",
            // 2026-07-28, client registration: "MCP clients MUST specify an appropriate `application_type`".
            application_type: "native",
            redirect_uris: [redirect.as_str()],
            grant_types: match flow {
                Flow::Code => &["authorization_code", "refresh_token"],
                Flow::Device => &["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
            },
            response_types: match flow {
                Flow::Code => &["code"],
                Flow::Device => &[],
            },
            token_endpoint_auth_method: if public { Proof::None } else { issuer.proof_of_secret() },
        }
    }
}

impl From<Response> for Registration {
    fn from(response: Response) -> Self {
        let Response { client_id, client_secret, token_endpoint_auth_method } = response;
        let proof = match token_endpoint_auth_method.as_deref() {
            _ if client_secret.is_none() => Proof::None,
            Some("client_secret_post") => Proof::Post,
            Some("none") => Proof::None,
            // RFC 7591: "If unspecified or omitted, the default is `client_secret_basic`".
            _ => Proof::Basic,
        };
        let client_secret = client_secret.filter(|_| proof != Proof::None);
        Self { client_id, client_secret, proof }
    }
}

impl Issuer {
    /// How a client with a secret proves itself here. RFC 8414: what is not said is `client_secret_basic`.
    fn proof_of_secret(&self) -> Proof {
        let has = |name: &str| self.client_proofs.iter().flatten().any(|proof| proof == name);
        if has("client_secret_post") && !has("client_secret_basic") { Proof::Post } else { Proof::Basic }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::endpoint::Reach;

    fn issuer(proofs: Option<&[&str]>, documents: bool, registers: bool) -> Issuer {
        let endpoint =
            |path: &str| Endpoint::parse(&format!("https://a.example/{path}"), Reach::World).expect("fit");
        Issuer {
            name: "https://a.example".to_owned(),
            authorization: None,
            token: endpoint("token"),
            registration: registers.then(|| endpoint("register")),
            device: None,
            scopes: "".into(),
            client_proofs: proofs.map(|proofs| proofs.iter().map(|&proof| proof.to_owned()).collect()),
            pkce: true,
            client_documents: documents,
            names_itself: false,
        }
    }

    #[test]
    fn a_client_becomes_known_in_the_prescribed_order() {
        let configured = LoginSpec { client_id: Some("me".to_owned()), ..LoginSpec::default() };
        let document = Some("https://b.example/client.json".parse().expect("a URL"));
        let document = LoginSpec { client_metadata_url: document, ..LoginSpec::default() };
        let both = LoginSpec { client_id: Some("me".to_owned()), ..document.clone() };
        let nothing = LoginSpec::default();
        assert!(matches!(Way::choose(&configured, &issuer(None, true, true)), Ok(Way::Configured("me"))));
        assert!(matches!(Way::choose(&both, &issuer(None, true, true)), Ok(Way::Configured("me"))));
        assert!(matches!(Way::choose(&document, &issuer(None, true, true)), Ok(Way::Document(_))));
        assert!(matches!(Way::choose(&document, &issuer(None, false, true)), Ok(Way::Dynamic(_))));
        assert!(matches!(Way::choose(&nothing, &issuer(None, true, true)), Ok(Way::Dynamic(_))));
        assert!(matches!(Way::choose(&nothing, &issuer(None, true, false)), Err(LoginError::NoRegistration)));
    }

    #[test]
    fn the_way_to_prove_oneself_is_one_that_the_server_knows() {
        let table: [(Option<&[&str]>, Proof, Proof); 5] = [
            (None, Proof::None, Proof::Basic),
            (Some(&["none"]), Proof::None, Proof::Basic),
            (Some(&["client_secret_post"]), Proof::Post, Proof::Post),
            (Some(&["client_secret_post", "client_secret_basic"]), Proof::Basic, Proof::Basic),
            (Some(&["client_secret_post", "none"]), Proof::None, Proof::Post),
        ];
        let redirect = "http://127.0.0.1:1/callback".parse().expect("a URL");
        for (proofs, asked, with_secret) in table {
            let issuer = issuer(proofs, false, true);
            assert_eq!(
                Request::new(Flow::Code, &redirect, &issuer).token_endpoint_auth_method,
                asked,
                "{proofs:?}"
            );
            let registration = Registration::configured("me", Some(Secret::new("s")), &issuer);
            assert_eq!(registration.proof, with_secret, "{proofs:?}");
        }
    }

    #[test]
    fn a_registration_is_taken_as_the_server_made_it() {
        let table = [
            (r#"{"client_id": "a"}"#, Proof::None, false),
            (r#"{"client_id": "a", "client_secret": "s"}"#, Proof::Basic, true),
            (
                r#"{"client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}"#,
                Proof::Post,
                true,
            ),
            (
                r#"{"client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "none"}"#,
                Proof::None,
                false,
            ),
            (
                r#"{"client_id": "a", "token_endpoint_auth_method": "client_secret_basic"}"#,
                Proof::None,
                false,
            ),
        ];
        for (text, proof, secret) in table {
            let response: Response = serde_json::from_str(text).expect("a response");
            let registration = Registration::from(response);
            assert_eq!((registration.proof, registration.client_secret.is_some()), (proof, secret), "{text}");
        }
    }
}
