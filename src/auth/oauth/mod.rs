//! Tokens of an authorization server: the resource server's side of OAuth, as the MCP specification wants it.
//!
//! A [`ResourceServer`] believes the tokens of one issuer. A `token` says which of the issuer's `keys` has signed it; what it
//! says beside that (`verified`) is looked at with each request, for a token is good for one resource and for a time. Nothing
//! that a token says leads to a question to anybody but its issuer, and seldom enough to that one.

mod invalid;
mod key_set;
mod keys;
mod known;
mod signature;
#[cfg(test)]
mod tests;
mod token;
mod verified;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use invalid::Invalid;
pub use verified::Verified;

use super::Background;
use crate::config::ResourceServerSpec;
use crate::oauth::{Fetcher, KeySource, LoginError};
use key_set::KeySet;
use keys::Keys;
use known::Known;
use token::Token;
use verified::Signed;

/// Believes the tokens of one issuer.
#[derive(Debug)]
pub struct ResourceServer {
    spec: ResourceServerSpec,
    issuer: Arc<str>,
    keys: Keys,
    known: Known,
}

impl ResourceServer {
    /// Begins to ask for the issuer's keys as the configuration says; nothing if that cannot be, so that no token is believed.
    pub fn start(spec: &ResourceServerSpec, background: &Background) -> Option<Arc<Self>> {
        let Background { tracker, stop } = background;
        let unusable = |error: &dyn std::error::Error| {
            tracing::error!(issuer = spec.issuer, %error, "no token of this issuer can be checked");
        };
        let fetcher = Fetcher::towards(&spec.issuer).map_err(|error| unusable(&error)).ok()?;
        let server = Self::new(spec.clone(), fetcher, tracker.clone(), stop);
        server.map(Arc::new).map_err(|error| unusable(&error)).ok()
    }

    /// Begins to ask for the issuer's keys, in a task on `tracker` that ends with `stop`.
    ///
    /// # Errors
    /// The address of the keys is one that is not asked.
    pub fn new(
        spec: ResourceServerSpec,
        fetcher: Fetcher,
        tracker: TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, LoginError> {
        signature::install();
        let source = KeySource::new(spec.issuer.clone(), spec.jwks.clone(), fetcher)?;
        let keys = Keys::new(source, tracker, stop.clone());
        Ok(Self { issuer: spec.issuer.as_str().into(), spec, keys, known: Known::default() })
    }

    /// What it was made from.
    pub fn spec(&self) -> &ResourceServerSpec {
        &self.spec
    }

    /// What a token says that is sent to something which goes by one of the names `audiences`, to the letter. Waits while no
    /// key of the issuer is known, and where a token names a key that is not.
    pub async fn verify(&self, token: &str, audiences: &[&str]) -> Result<Arc<Verified>, Invalid> {
        self.verify_at(token, audiences, SystemTime::now()).await
    }

    async fn verify_at(
        &self,
        text: &str,
        audiences: &[&str],
        now: SystemTime,
    ) -> Result<Arc<Verified>, Invalid> {
        if text.len() > LONGEST {
            return Err(Invalid::TooLong);
        }
        let digest = known::digest_of(text);
        let remembered = self.keys.generation().and_then(|generation| self.known.find(&digest, generation));
        let signed = if let Some(signed) = remembered {
            signed
        } else {
            let (signed, keys) = self.signed(&Token::read(text, &self.spec.algorithms)?).await?;
            let signed = Arc::new(signed);
            self.known.keep(digest, signed.clone(), keys.generation);
            signed
        };
        let outcome = signed.check(audiences, &self.spec, now);
        if outcome == Err(Invalid::Expired) {
            self.known.forget(&digest);
        }
        outcome.map(|()| signed.verified.clone())
    }

    /// What a token says, and with which keys that was found.
    async fn signed(&self, token: &Token<'_>) -> Result<(Signed, Arc<KeySet>), Invalid> {
        let mut keys = self.keys.current().await?;
        let claims = match token.claims(&keys) {
            // Where no key is named, the one that is meant may be new.
            Err(invalid) if invalid == Invalid::UnknownKey || !token.names_key() => {
                keys = self.keys.after(&keys).await?.ok_or(invalid)?;
                token.claims(&keys)?
            }
            outcome => outcome?,
        };
        Ok((Signed::read(&claims, &self.spec, &self.issuer)?, keys))
    }

    /// What a client has to know of a resource to get a token for it: the document of RFC 9728.
    pub fn metadata(&self, resource: &str) -> Value {
        let mut document = json!({
            "resource": resource,
            "authorization_servers": [self.spec.issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "mcp-switchboard",
        });
        if !self.spec.scopes.is_empty() {
            document["scopes_supported"] = json!(self.spec.scopes);
        }
        document
    }

    /// Where the document of a resource is.
    ///
    /// RFC 9728, section 3.1: the well-known string is inserted "between the host component and the path and/or query
    /// components, if any".
    pub fn metadata_url(&self, resource: &str) -> String {
        match Url::parse(resource) {
            Ok(url) => {
                let path = url.path().trim_end_matches('/');
                format!("{}{WELL_KNOWN}{path}", url.origin().ascii_serialization())
            }
            Err(_) => format!("{}{WELL_KNOWN}", self.spec.audience),
        }
    }
}

/// Where the documents are.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Longer tokens fit into no header that proxies pass.
const LONGEST: usize = 8192;
