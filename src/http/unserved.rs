//! Requests that a mount does not serve, as what their clients are told.

use super::refusal::Refusal;
use crate::mount::Unserved;
use crate::wire::{Code, Era, RpcError};

/// There is no such session, for a legacy client.
pub(super) fn not_found(id: Option<Box<str>>) -> Refusal {
    Refusal::NotFound { id, era: Era::Legacy }
}

/// A mount that does not serve, as a response.
pub(super) fn unserved(unserved: Unserved, id: Option<Box<str>>) -> Refusal {
    match unserved {
        Unserved::Unavailable { error, retry_after } => Refusal::Unavailable { id, error, retry_after },
        Unserved::NoSession => not_found(id),
        Unserved::TooMuch(what) => Refusal::Invalid { id, reason: what.into() },
    }
}

/// What a request in a session is told whose mount lets only finish what is in flight.
pub(super) fn closing() -> RpcError {
    RpcError::new(Code::ShuttingDown, "the server takes no new requests: it is being stopped, or replaced")
}
