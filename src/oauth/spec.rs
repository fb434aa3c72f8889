//! What the user has said about a login.

use std::path::PathBuf;

use url::Url;

use super::browser::Browser;
use super::secret::Secret;

/// How to log in to a server. With client id, client secret and token URL it is a login without a user: client
/// credentials. With a client id it is a client that was registered by hand.
#[derive(Clone, Debug, Default)]
pub struct LoginSpec {
    /// The client's id at the authorization server.
    pub client_id: Option<String>,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// Where client credentials get their token; of use only with both of the above.
    pub token_url: Option<Url>,
    /// Scopes to ask for, in place of those that the server names in its metadata.
    pub scopes: Vec<String>,
    /// The port on 127.0.0.1 at which the browser comes back, if the client is registered with one; else any.
    pub callback_port: Option<u16>,
    /// The directory in which tokens are kept.
    pub store: PathBuf,
    /// The URL of a document about this client, for authorization servers that take one as a client id.
    pub client_metadata_url: Option<Url>,
    /// There is a user who may be asked.
    pub interactive: bool,
    /// How the user is shown where to log in.
    pub browser: Browser,
}

/// A client that acts on its own behalf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credentials<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a Secret,
    pub(super) token_url: &'a Url,
}

impl LoginSpec {
    /// The credentials of a client that needs no user.
    pub(super) fn credentials(&self) -> Option<Credentials<'_>> {
        let Self {
            client_id: Some(client_id),
            client_secret: Some(client_secret),
            token_url: Some(token_url),
            ..
        } = self
        else {
            return None;
        };
        Some(Credentials { client_id, client_secret, token_url })
    }

    /// What tells the tokens of one client from those of another.
    pub(super) fn client(&self) -> &str {
        self.client_id.as_deref().or(self.client_metadata_url.as_ref().map(Url::as_str)).unwrap_or_default()
    }
}
