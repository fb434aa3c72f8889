//! The errors that the router itself answers with, and how they look on the wire.
//!
//! What a server answers passes through unchanged and never becomes one of these.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::revision::{Era, Revision};

/// The code of an error that the router itself gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// -32700: what came is not JSON.
    ParseError,
    /// -32600: JSON, but not a message that may be sent here and now.
    InvalidRequest,
    /// -32601: the receiver does not know the method.
    MethodNotFound,
    /// -32602: the parameters do not fit the method.
    InvalidParams,
    /// -32603: something failed that has no code of its own.
    InternalError,
    /// -32020: the headers of a request say something else than its body.
    HeaderMismatch,
    /// -32021: the server needs a capability that the client has not declared.
    MissingCapability,
    /// -32022: the revision that the request speaks is not served.
    UnsupportedVersion,
    /// -32800: its client cancelled the request.
    RequestCancelled,
    /// -32001: no such server or session, to a legacy request.
    SessionNotFound,
    /// -31001: the server cannot be started.
    ServerUnavailable,
    /// -31002: the server died while the request was in flight.
    ServerExited,
    /// -31003: the mount's `timeout` passed.
    RequestTimeout,
    /// -31004: a queue or the pool is full.
    Overloaded,
    /// -31005: a body or a line is over its limit.
    TooLarge,
    /// -31006: the server answered something that is not MCP, or nested too deep.
    ProtocolError,
    /// -31007: the router forbids it: a hidden tool, a missing scope, a foreign host or origin.
    NotAllowed,
    /// -31009: the router is stopping.
    ShuttingDown,
    /// -31010: no such server, to a modern request.
    NotFound,
}

impl Code {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 19] = [
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::InternalError,
        Self::HeaderMismatch,
        Self::MissingCapability,
        Self::UnsupportedVersion,
        Self::RequestCancelled,
        Self::SessionNotFound,
        Self::ServerUnavailable,
        Self::ServerExited,
        Self::RequestTimeout,
        Self::Overloaded,
        Self::TooLarge,
        Self::ProtocolError,
        Self::NotAllowed,
        Self::ShuttingDown,
        Self::NotFound,
    ];

    /// The number on the wire.
    pub const fn number(self) -> i64 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::InternalError => -32603,
            Self::HeaderMismatch => -32020,
            Self::MissingCapability => -32021,
            Self::UnsupportedVersion => -32022,
            Self::RequestCancelled => -32800,
            Self::SessionNotFound => -32001,
            Self::ServerUnavailable => -31001,
            Self::ServerExited => -31002,
            Self::RequestTimeout => -31003,
            Self::Overloaded => -31004,
            Self::TooLarge => -31005,
            Self::ProtocolError => -31006,
            Self::NotAllowed => -31007,
            Self::ShuttingDown => -31009,
            Self::NotFound => -31010,
        }
    }

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "parse_error",
            Self::InvalidRequest => "invalid_request",
            Self::MethodNotFound => "method_not_found",
            Self::InvalidParams => "invalid_params",
            Self::InternalError => "internal_error",
            Self::HeaderMismatch => "header_mismatch",
            Self::MissingCapability => "missing_capability",
            Self::UnsupportedVersion => "unsupported_version",
            Self::RequestCancelled => "request_cancelled",
            Self::SessionNotFound => "session_not_found",
            Self::ServerUnavailable => "server_unavailable",
            Self::ServerExited => "server_exited",
            Self::RequestTimeout => "request_timeout",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::ProtocolError => "protocol_error",
            Self::NotAllowed => "not_allowed",
            Self::ShuttingDown => "shutting_down",
            Self::NotFound => "not_found",
        }
    }
}

/// A JSON-RPC error of the router's own. Its text must hold no secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} ({})", code.number())]
pub struct RpcError {
    /// What kind of failure.
    pub code: Code,
    /// What was wrong and what to do about it.
    pub message: Cow<'static, str>,
    /// The members of `data`; without any, `data` is left out.
    pub data: Map<String, Value>,
}

const REQUIRED_SCOPE: &str = "requiredScope";

impl RpcError {
    /// An error without data.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: Map::new() }
    }

    /// The server does not read its input, and nothing more fits.
    pub fn unread() -> Self {
        Self::new(Code::Overloaded, "the server does not read its input: try again later")
            .retry_after(Duration::from_secs(1))
    }

    /// A request claims the revision `requested`, which no request may claim.
    ///
    /// 2026-07-28, basic/versioning: the server "MUST respond with an `UnsupportedProtocolVersionError` listing the
    /// versions it does support". The newest comes first; all but that one begin with `initialize`.
    pub fn unsupported_version(requested: &str) -> Self {
        Self::new(
            Code::UnsupportedVersion,
            "no request may claim this revision: claim 2026-07-28, or open a session with `initialize`",
        )
        .with("supported", Revision::ALL.into_iter().rev().map(Revision::as_str).collect::<Vec<_>>())
        .with("requested", requested)
    }

    /// A modern request came over HTTP+SSE, which only has sessions: clients of both eras then fall back to `initialize`.
    pub fn session_first(requested: &str) -> Self {
        let legacy = Revision::ALL.into_iter().filter(|revision| revision.era() == Era::Legacy);
        Self::new(
            Code::UnsupportedVersion,
            "HTTP+SSE serves the revisions that begin with `initialize`: open a session with it",
        )
        .with("supported", legacy.map(Revision::as_str).collect::<Vec<_>>())
        .with("requested", requested)
    }

    /// The same error with one more member of `data`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    /// The same error with `data.requiredScope`: with it, an access token would do.
    #[must_use]
    pub fn wanting(self, scope: &str) -> Self {
        self.with(REQUIRED_SCOPE, scope)
    }

    /// What `data.requiredScope` says, if it says something.
    pub fn wanted_scope(&self) -> Option<&str> {
        self.data.get(REQUIRED_SCOPE)?.as_str()
    }

    /// The same error with `data.retryAfterMs`.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.with("retryAfterMs", u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// What `data.retryAfterMs` says, if it says something.
    pub fn wait(&self) -> Option<Duration> {
        self.data.get("retryAfterMs").and_then(Value::as_u64).map(Duration::from_millis)
    }

    /// The response to the request with this id, on one line without its end. `id` is raw JSON text and
    /// is echoed to the letter; without one it is `null`.
    pub fn to_line(&self, id: Option<&str>) -> Bytes {
        let id = id.unwrap_or("null");
        let code = self.code.number();
        // A `Value` made of a string prints as a JSON string and cannot fail.
        let message = Value::from(self.message.as_ref());
        let line = if self.data.is_empty() {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#)
        } else {
            let data = serde_json::to_string(&self.data).unwrap_or_else(|_| String::from("{}"));
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message},"data":{data}}}}}"#
            )
        };
        Bytes::from(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_id_is_echoed_to_the_letter() {
        let error =
            RpcError::new(Code::Overloaded, "the queue is full").retry_after(Duration::from_millis(1500));
        for id in ["1", "1.0", "1e0", "\"1\"", "\"\\u0041\"", "123456789012345678901234567890"] {
            assert_eq!(
                error.to_line(Some(id)),
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-31004,"message":"the queue is full","data":{{"retryAfterMs":1500}}}}}}"#
                )
            );
        }
    }

    #[test]
    fn no_two_codes_share_a_number_or_a_name() {
        let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.number()).collect();
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((numbers.len(), names.len()), (Code::ALL.len(), Code::ALL.len()));
    }

    proptest! {
        #[test]
        fn any_text_makes_one_line_of_valid_json(message in any::<String>(), reason in any::<String>()) {
            let error = RpcError::new(Code::ServerUnavailable, message.clone()).with("reason", reason.clone());
            let line = error.to_line(None);
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(
                serde_json::from_slice::<Value>(&line).unwrap(),
                json!({"jsonrpc": "2.0", "id": null,
                    "error": {"code": -31001, "message": message, "data": {"reason": reason}}})
            );
        }
    }
}
