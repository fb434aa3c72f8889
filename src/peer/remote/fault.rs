//! Why a message to a remote server got no answer, and what its sender is told.

use std::error::Error;

use http::StatusCode;

use crate::wire::{Code, RpcError};

/// Why a message got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection could be had: nothing was sent.
    Unreachable(String),
    /// The server is said to be somewhere else: nothing was done.
    Moved(String),
    /// The server does not know the session any more: nothing was done.
    NoSession,
    /// The connection broke: what was asked may have been done.
    Broken(String),
    /// The server wants to know who asks, or that one must not: nothing was done.
    Unauthorized(StatusCode, String),
    /// The server answered with a status and no message.
    Status(StatusCode, String),
    /// The answer is not one.
    NotAnAnswer(String),
    /// The answer is longer than this many bytes.
    TooLarge(usize),
}

impl Fault {
    /// What went wrong with a request of which no answer's head has come.
    pub(super) fn of_sending(error: reqwest::Error) -> Self {
        // Its URL may hold a key.
        let error = error.without_url();
        let reason = reasons(&error);
        if error.is_redirect() {
            Self::Moved(reason)
        } else if error.is_connect() || error.is_builder() {
            Self::Unreachable(reason)
        } else {
            Self::Broken(reason)
        }
    }

    /// What went wrong while an answer was read.
    pub(super) fn of_reading(error: reqwest::Error) -> Self {
        Self::Broken(reasons(&error.without_url()))
    }

    /// What the sender of the request is told.
    pub(super) fn to_error(&self) -> RpcError {
        let unknown = "it may have been carried out: call again only if that does no harm";
        match self {
            Self::Unreachable(reason) | Self::Moved(reason) => {
                RpcError::new(Code::ServerUnavailable, format!("the server cannot be reached: {reason}"))
            }
            Self::NoSession => {
                RpcError::new(Code::ServerExited, "the server has forgotten the session: call again")
            }
            Self::Broken(reason) => RpcError::new(
                Code::ServerExited,
                format!(
                    "the connection to the server was lost while the request was in flight ({reason}); {unknown}"
                ),
            ),
            Self::Unauthorized(status, reason) => {
                RpcError::new(Code::ServerUnavailable, format!("the server answered {status}{reason}"))
            }
            Self::Status(status, body) => {
                let code = match *status {
                    StatusCode::TOO_MANY_REQUESTS => Code::Overloaded,
                    StatusCode::SERVICE_UNAVAILABLE => Code::ServerUnavailable,
                    status if status.is_server_error() => Code::ServerExited,
                    _ => Code::ProtocolError,
                };
                let more = match code {
                    Code::ServerExited => format!("; {unknown}"),
                    Code::ProtocolError => "; is the URL right?".to_owned(),
                    _ => String::new(),
                };
                let said = if body.is_empty() { String::new() } else { format!(": {body}") };
                RpcError::new(code, format!("the server answered {status}{said}{more}"))
                    .with("status", status.as_u16())
            }
            Self::NotAnAnswer(what) => {
                RpcError::new(Code::ProtocolError, format!("the server's answer is not one of MCP: {what}"))
            }
            Self::TooLarge(limit) => RpcError::new(
                Code::TooLarge,
                format!(
                    "the server's answer is longer than {limit} bytes: raise limits.line, or ask for less"
                ),
            ),
        }
    }
}

/// An error with its causes, on one line.
pub(super) fn reasons(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.to_string();
        // What stands in between says only that something went wrong.
        let says_more = !said.starts_with("error sending request") && !said.starts_with("client error");
        // Many errors repeat what caused them.
        if !text.contains(&said) && (says_more || error.source().is_none()) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
