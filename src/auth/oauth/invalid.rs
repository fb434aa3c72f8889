//! Why a token is refused.

use std::time::Duration;

use http::StatusCode;

/// Why a token is refused. The texts are told to whoever has sent it, and nothing of it is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is longer than any token has to be.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// It is no signed JWT, or one of its parts cannot be read.
    #[error("the token is not a signed JWT that can be read")]
    Malformed,
    /// It is of another type: some other thing that the issuer signs.
    #[error("the token is not an access token")]
    Kind,
    /// It wants something to be understood that is not.
    #[error("the token has a critical header that is not understood")]
    Critical,
    /// It is signed in a way that is not allowed here, or not at all.
    #[error("the token is signed with an algorithm that is not allowed")]
    Algorithm,
    /// The issuer has no such key, or one that is not for such signatures.
    #[error("the token is signed with a key that its issuer does not have")]
    UnknownKey,
    /// The signature is not its issuer's.
    #[error("the signature of the token is wrong")]
    Signature,
    /// Somebody else has issued it.
    #[error("the token is from another issuer")]
    Issuer,
    /// It is for something else.
    #[error("the token is for another resource")]
    Audience,
    /// It does not end, which is not allowed, or when cannot be read.
    #[error("the token does not say when it expires")]
    Endless,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// It does not say whom it stands for.
    #[error("the token does not name its subject")]
    NoSubject,
    /// Only who has some key may use it, which is not checked here.
    #[error("the token is bound to a key of its client, and is no bearer token")]
    Bound,
    /// It is good, but not for this.
    #[error("the token lacks a scope that is needed")]
    Scopes {
        /// All that are needed.
        required: Vec<String>,
    },
    /// Nobody can tell now.
    #[error("the keys of the issuer cannot be had now, so no token can be checked")]
    KeysUnavailable {
        /// When they are asked for again.
        retry_after: Duration,
    },
}

impl Invalid {
    /// The status of the refusal.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Scopes { .. } => StatusCode::FORBIDDEN,
            Self::KeysUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
