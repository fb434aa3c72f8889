//! Requests that a mount does not serve, as what their clients are told.

use super::incoming::{id_of, names_modern};
use super::refusal::Refusal;
use crate::mount::Unserved;
use crate::protocol::lost;
use crate::wire::{Code, Era, Payload, RpcError};

/// There is no such session, for a legacy client.
pub(super) fn not_found(id: Option<Box<str>>) -> Refusal {
    Refusal::NotFound { id, era: Era::Legacy }
}

/// There is no such server, in the words of the client's era.
pub(super) fn no_server(payload: &Payload) -> Refusal {
    let era = if payload.messages().iter().any(names_modern) { Era::Modern } else { Era::Legacy };
    Refusal::NotFound { id: id_of(payload), era }
}

/// A mount that does not serve, as a response.
pub(super) fn unserved(unserved: Unserved, id: Option<Box<str>>) -> Refusal {
    match unserved {
        Unserved::Unavailable { error, retry_after } => Refusal::Unavailable { id, error, retry_after },
        Unserved::Denied(error) => Refusal::Denied { id, error },
        Unserved::NoSession => not_found(id),
        Unserved::OtherEra(error) => {
            let retry_after = std::time::Duration::from_secs(1);
            Refusal::Unavailable { id, error, retry_after }
        }
        Unserved::NoCall => Refusal::Answered { id, error: lost() },
        Unserved::TooMuch(what) => Refusal::Invalid { id, reason: what.into() },
    }
}

/// What a request in a session is told whose mount lets only finish what is in flight.
pub(super) fn closing() -> RpcError {
    RpcError::new(Code::ShuttingDown, "the server takes no new requests: it is being stopped, or replaced")
}
