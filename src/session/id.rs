//! The id of a session.

use std::fmt;
use std::sync::Arc;

/// On one machine every session has the same owner; several routers behind one address will have one name each.
const REPLICA: &str = "1";

/// Names a session and its owner: `<replica>.<random 128 bits>`. Who knows it can use the session.
///
/// 2025-11-25, basic/transports: "The session ID SHOULD be globally unique and cryptographically secure", and "MUST only
/// contain visible ASCII characters".
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

/// No random numbers can be had from the operating system.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoEntropy;

impl SessionId {
    /// The length of every id.
    pub const LENGTH: usize = REPLICA.len() + 1 + 32;

    /// An id that nobody can guess.
    pub fn random() -> Result<Self, NoEntropy> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|_| NoEntropy)?;
        Ok(Self(format!("{REPLICA}.{:032x}", u128::from_be_bytes(bits)).into()))
    }

    /// Its beginning, by which people tell sessions apart: the whole would be a credential.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }

    /// The id as it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Looked up by the text of a header, without an allocation.
impl std::borrow::Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// In logs only the beginning: the whole would be a credential.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.short())
    }
}
