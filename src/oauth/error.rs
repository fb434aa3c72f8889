//! Why there is no token. Nothing secret is in these errors, and what a server wrote is in them only as far as it is plain.

use super::endpoint::EndpointError;
use super::fetcher::FetchError;
use super::store::StoreError;

/// Why there is no token to send.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server refused for a reason that a login does not change.
    #[error("the server forbids the request, and names no scope that would be needed for it")]
    Forbidden,
    /// There is no token, and nobody may be asked.
    #[error("the server wants a login, and there is nobody to ask: log in once where there is")]
    NotInteractive,
    /// Logins did not help.
    #[error("the server still wants a login after several: it is asked again some minutes from now")]
    TooOften,
    /// Client credentials have the scopes that their owner gave them.
    #[error("the server wants the scope {scopes:?}, which the client credentials do not have")]
    Insufficient {
        /// What the server named.
        scopes: String,
    },
    /// The metadata belongs to something else.
    #[error("the metadata of the server is for {named:?}, which is something else")]
    OtherResource {
        /// What the metadata is for.
        named: String,
    },
    /// The metadata does not say who issues tokens.
    #[error("the metadata of the server names no authorization server")]
    NoAuthorizationServer,
    /// The authorization server does not describe itself.
    #[error("the authorization server {issuer} has no metadata")]
    NoMetadata {
        /// Who was asked.
        issuer: String,
    },
    /// The authorization server describes somebody else.
    #[error("the metadata of the authorization server {issuer:?} names another issuer")]
    OtherIssuer {
        /// Who was asked.
        issuer: String,
    },
    /// The client is registered elsewhere.
    #[error(
        "the client id belongs to {before:?}, and the server now names {now:?}: register there and configure that client, then remove {file}"
    )]
    IssuerChanged {
        /// The issuer of the last login.
        before: String,
        /// That of this one.
        now: String,
        /// What remembers the last one.
        file: String,
    },
    /// There are no keys where they should be.
    #[error("{url} answered something that is no set of keys")]
    NoKeys {
        /// Who was asked.
        url: String,
    },
    /// There are no keys in time.
    #[error("the authorization server {issuer} takes too long to answer")]
    Slow {
        /// Who was asked.
        issuer: String,
    },
    /// Something that a login needs is not offered.
    #[error("the authorization server has no {which} endpoint")]
    NoEndpoint {
        /// What is missing.
        which: &'static str,
    },
    /// Without it somebody else could use the code.
    #[error(
        "the authorization server does not say that it supports PKCE with S256, without which no login is safe"
    )]
    NoPkce,
    /// The client is unknown there, and cannot make itself known.
    #[error(
        "the authorization server registers no clients by itself: register one there and configure its client id"
    )]
    NoRegistration,
    /// The authorization server did not register this client.
    #[error("the authorization server did not register this client: {reason}")]
    Unregistered {
        /// What it answered.
        reason: String,
    },
    /// The user, or the authorization server, said no.
    #[error("the login was refused: {reason}")]
    Denied {
        /// What the authorization server answered.
        reason: String,
    },
    /// The response to a login came from somebody else.
    #[error(
        "the response to the login does not name the authorization server that was asked, so it is not used"
    )]
    MixedUp,
    /// Nobody logged in.
    #[error("nobody logged in within {minutes} minutes")]
    TimedOut {
        /// How long it was waited for.
        minutes: u64,
    },
    /// The authorization server gives no token for what it got.
    #[error("the authorization server gives no token: {code}")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// Nothing can be made of an answer.
    #[error("{url} answered something that is no answer to a request for a token")]
    Unintelligible {
        /// Who was asked.
        url: String,
    },
    /// The token is the one that the server refused.
    #[error("the authorization server gives the same token again, which the server has refused")]
    Unchanged,
    /// The address at which the browser comes back is taken.
    #[error("127.0.0.1:{port} cannot be listened on, where the browser comes back to")]
    Callback {
        /// The port; 0 is any.
        port: u16,
    },
    /// The program ends.
    #[error("the router is shutting down")]
    Stopped,
    /// Somebody could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Somebody was not asked.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Tokens cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// The refresh token, or the client that it belongs to, is worth nothing any more: only a new login helps.
    pub(super) fn ends_the_grant(&self) -> bool {
        let Self::Refused { code } = self else { return false };
        matches!(code.as_str(), "invalid_grant" | "invalid_client" | "unauthorized_client")
    }
}

/// What may be shown of a text that a server wrote: its beginning, in the characters that OAuth allows for it. No terminal
/// obeys them, and they read as they are written.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|character| (' '..='~').contains(character)).take(LONGEST).collect()
}

const LONGEST: usize = 200;
