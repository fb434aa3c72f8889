//! Why a mount does not serve a request, and when asking again may help.

use super::Mount;
use super::warden::tool;
use crate::access::Caller;
use crate::protocol::lost;
use crate::session::Refused;
use crate::telemetry::Outcome;
use crate::wire::{Code, Message, RpcError};
use std::time::Duration;
use tokio::time::Instant;

/// When a client may try again that found a mount full.
pub(super) const RETRY_FULL: Duration = Duration::from_secs(2);

/// Why a mount does not serve a request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unserved {
    /// No process can be had: why, and when trying again may help.
    #[error("{error}")]
    Unavailable {
        /// What the client is told.
        error: RpcError,
        /// When to try again.
        retry_after: Duration,
    },
    /// There is no such session.
    #[error("no such session")]
    NoSession,
    /// The server does not speak the era that it was opened in.
    #[error("{0}")]
    OtherEra(RpcError),
    /// There is no call that waits for this client.
    #[error("no such call")]
    NoCall,
    /// The client may not ask that, or not now.
    #[error("{0}")]
    Denied(RpcError),
    /// The request asks for more than is given to anybody.
    #[error("{0}")]
    TooMuch(&'static str),
}

impl Unserved {
    /// The server cannot be started, or the router cannot do its part.
    pub(super) fn unavailable(reason: String, retry_after: Duration) -> Self {
        Self::Unavailable { error: RpcError::new(Code::ServerUnavailable, reason), retry_after }
    }

    /// What the client is told that has no HTTP to be told by.
    pub fn into_error(self) -> RpcError {
        match self {
            Self::Unavailable { error, .. } | Self::OtherEra(error) | Self::Denied(error) => error,
            Self::NoSession => RpcError::new(
                Code::SessionNotFound,
                "the session has ended: send `initialize` to open another",
            ),
            Self::NoCall => lost(),
            Self::TooMuch(what) => RpcError::new(Code::InvalidRequest, what),
        }
    }

    /// The router ends, or the mount does.
    pub(super) fn shutting_down() -> Self {
        let error =
            RpcError::new(Code::ShuttingDown, "the router is shutting down: try again when it is back");
        Self::Unavailable { error, retry_after: RETRY_FULL }
    }
}

impl Mount {
    /// The time, where anybody wants to know how long requests wait for a process.
    pub fn waits_from(&self) -> Option<Instant> {
        self.meter().map(|_| Instant::now())
    }

    /// Requests of a caller that have waited from then on have found what serves them, or nothing.
    pub fn note_found<'a, T>(
        &self,
        requests: impl IntoIterator<Item = &'a Message>,
        caller: &Caller,
        waited_from: Option<Instant>,
        found: &Result<T, Unserved>,
    ) {
        let (Some(meter), Some(begun)) = (self.meter(), waited_from) else { return };
        for request in requests {
            match found {
                Ok(_) => meter.measured().waited_for_process.add(begun.elapsed()),
                Err(error) => {
                    let outcome = Outcome::refused(error.clone().into_error().code);
                    meter.unserved(request, || tool(request), caller, begun.into_std(), outcome);
                }
            }
        }
    }

    /// Why a visitor's POST was not taken. It has no session that it could be told to open anew: what served it has ended.
    pub fn turned_away(&self, refused: Refused) -> Unserved {
        match refused {
            Refused::Ended if self.is_closing() => Unserved::shutting_down(),
            Refused::Ended => self.of_no_use(),
            other => other.into(),
        }
    }

    /// Nothing that was opened lived long enough to be of use.
    pub(super) fn of_no_use(&self) -> Unserved {
        let reason = format!("the server {} ended before it took the request: see its log", self.name());
        Unserved::unavailable(reason, RETRY_FULL)
    }
}

impl From<Refused> for Unserved {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Ended => Self::NoSession,
            Refused::Denied(error) => Self::Denied(error),
            Refused::Full => Self::Unavailable { error: RpcError::unread(), retry_after: RETRY_FULL },
            Refused::Restarting => Self::Unavailable {
                error: RpcError::new(
                    Code::ServerUnavailable,
                    "the server is being restarted: try again later",
                ),
                retry_after: RETRY_FULL,
            },
        }
    }
}
