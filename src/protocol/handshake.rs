//! How a process is opened in either era: what is asked, what was agreed on, and what makes it fail.

use crate::wire::claim::{CLIENT_CAPABILITIES, CLIENT_INFO, PROTOCOL_VERSION, SERVER_INFO};
use crate::wire::meta::{find, find_string, span, splice};
use crate::wire::{Code, Kind, Message, Revision};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// What a server answered to `initialize`, or to `server/discover`.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The revision agreed on; None if the server named one that was never published.
    pub revision: Option<Revision>,
    /// The whole result, as the server wrote it.
    pub result: Box<str>,
    /// The server's capabilities.
    pub capabilities: Map<String, Value>,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// The server refused `initialize`; its own message.
    #[error("the server refused to initialize: {0}")]
    Refused(String),
    /// The server refused `initialize` because it only speaks revisions of the modern era; its own message.
    #[error("the server speaks no revision that begins with initialize: {0}")]
    OtherEra(String),
    /// The server refused `server/discover`, or answered it as no modern server does; what it said.
    #[error("the server does not speak 2026-07-28: {0}")]
    NotModern(String),
    /// The answer is no result of `initialize`.
    #[error("the server's answer to initialize is not one: {0}")]
    NotAnAnswer(&'static str),
    /// After a restart: the server agreed on another revision than before.
    #[error("the restarted server speaks {now}, the session began with {before}")]
    OtherRevision {
        /// Agreed on with the first process.
        before: String,
        /// Agreed on with the new one.
        now: String,
    },
    /// After a restart: a capability that the client was told of is gone.
    #[error("the restarted server lacks the capability {0:?}")]
    LostCapability(String),
}

/// The notification that ends a handshake.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The `initialize` that the router itself sends.
pub fn initialize(id: &str, revision: Revision, capabilities: &str) -> Bytes {
    let info = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{info}}}}}"#
    )
    .into()
}

/// The `server/discover` that the router itself sends.
pub fn discover(id: &str) -> Bytes {
    let meta = own_meta();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{"_meta":{meta}}}}}"#).into()
}

/// The `_meta` of a modern request that the router makes for itself: it can be asked nothing.
pub fn own_meta() -> Value {
    json!({
        PROTOCOL_VERSION: Revision::V2026_07_28.as_str(),
        CLIENT_INFO: { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        CLIENT_CAPABILITIES: {},
    })
}

/// The versions that clients may speak at one URL, the newest first, as a JSON array.
pub fn every_version() -> String {
    let versions: Vec<_> = Revision::ALL.iter().rev().map(|revision| revision.as_str()).collect();
    json!(versions).to_string()
}

/// Whether the error that a server answered to `initialize` may mean that it only speaks the modern era; if so, whether
/// that is certain.
///
/// 2026-07-28, basic/versioning: "the server rejects `initialize` with a JSON-RPC error; the exact code is
/// implementation-defined (`initialize` is an unknown method and the request also lacks the required `_meta` fields)".
pub fn turned_down(answer: &Message) -> Option<bool> {
    match answer.error_code()? {
        code if code == Code::UnsupportedVersion.number() => Some(true),
        code if code == Code::MethodNotFound.number() => Some(false),
        code if code == Code::InvalidParams.number() || code == Code::InvalidRequest.number() => Some(false),
        _ => None,
    }
}

/// A client's `initialize` with a version that a legacy server can answer.
///
/// A version that no legacy revision has, 2026-07-28 among them, is asked for as 2025-11-25.
pub fn with_legacy_version(message: &Message) -> Bytes {
    let legacy = |version: &str| version.parse().is_ok_and(|r: Revision| r < Revision::V2026_07_28);
    let params = message.body();
    let Some(written) = find(params, &["protocolVersion"]) else { return message.raw().clone() };
    if find_string(params, &["protocolVersion"]).is_some_and(|version| legacy(&version)) {
        return message.raw().clone();
    }
    let text = String::from_utf8_lossy(message.raw());
    let params_at = text.find(params).unwrap_or_default();
    let at = span(params, written);
    let place = params_at + at.start..params_at + at.end;
    splice(&text, &[(place, &format!("\"{}\"", Revision::NEWEST_LEGACY))]).into()
}

/// What a client asks for in `initialize`: the revision, and its capabilities as raw JSON.
pub fn asked_for(message: &Message) -> (Revision, Box<str>) {
    let params = message.body();
    let revision = find_string(params, &["protocolVersion"])
        .and_then(|version| version.parse().ok())
        .filter(|revision| *revision < Revision::V2026_07_28)
        .unwrap_or(Revision::NEWEST_LEGACY);
    (revision, find(params, &["capabilities"]).unwrap_or("{}").into())
}

impl Opened {
    /// What was agreed on, without anything that the server has said beside it.
    #[must_use]
    pub fn without_words(&self) -> Self {
        Self { revision: self.revision, result: "{}".into(), capabilities: Map::new() }
    }

    /// Reads a server's answer to `initialize`.
    pub fn read(answer: &Message) -> Result<Self, OpeningError> {
        if answer.kind() == Kind::Error {
            let message = find_string(answer.body(), &["message"]).unwrap_or_default();
            return Err(match turned_down(answer) {
                Some(true) => OpeningError::OtherEra(message),
                _ => OpeningError::Refused(message),
            });
        }
        let result = answer.body();
        let version = find_string(result, &["protocolVersion"])
            .ok_or(OpeningError::NotAnAnswer("it has no protocolVersion"))?;
        let capabilities = find(result, &["capabilities"]).and_then(|raw| serde_json::from_str(raw).ok());
        Ok(Self {
            revision: version.parse().ok(),
            result: result.into(),
            capabilities: capabilities.unwrap_or_default(),
        })
    }

    /// Reads a server's answer to `server/discover`.
    ///
    /// 2026-07-28, basic/transports/stdio: "The server returns a `DiscoverResult`: the server is modern."
    pub fn discovered(answer: &Message) -> Result<Self, OpeningError> {
        if answer.kind() == Kind::Error {
            let message = find_string(answer.body(), &["message"]).unwrap_or_default();
            return Err(OpeningError::NotModern(message));
        }
        let result = answer.body();
        let modern = Revision::V2026_07_28;
        let versions = find(result, &["supportedVersions"]);
        let versions: Vec<String> =
            versions.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        if !versions.iter().any(|version| version == modern.as_str()) {
            return Err(OpeningError::NotModern(format!("it supports {versions:?}")));
        }
        let capabilities = find(result, &["capabilities"]).and_then(|raw| serde_json::from_str(raw).ok());
        Ok(Self {
            revision: Some(modern),
            result: result.into(),
            capabilities: capabilities.unwrap_or_default(),
        })
    }

    /// What the server calls itself: the raw `serverInfo`.
    pub fn server_info(&self) -> Option<&str> {
        find(&self.result, &["serverInfo"]).or_else(|| find(&self.result, &["_meta", SERVER_INFO]))
    }

    /// The version as the server wrote it.
    pub fn version(&self) -> String {
        let written = find_string(&self.result, &["protocolVersion"]);
        written.or_else(|| self.revision.map(|revision| revision.to_string())).unwrap_or_default()
    }

    /// Whether the server declared that it announces changes of its `kind` (tools, prompts, resources).
    pub fn announces(&self, kind: &str) -> bool {
        self.capabilities.get(kind).and_then(|c| c.get("listChanged")).is_some_and(|flag| flag == true)
    }

    /// Whether a session that began with `before` may go on with this.
    pub fn continues(&self, before: &Self) -> Result<(), OpeningError> {
        if self.version() != before.version() {
            return Err(OpeningError::OtherRevision { before: before.version(), now: self.version() });
        }
        match before.capabilities.keys().find(|key| !self.capabilities.contains_key(*key)) {
            Some(lost) => Err(OpeningError::LostCapability(lost.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::own(text.to_owned()).unwrap()
    }

    #[test]
    fn a_version_that_no_legacy_server_knows_is_asked_for_as_the_newest() {
        let ask = |version: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"a":1,"protocolVersion":{version}}}}}"#
            );
            let sent = Message::own(with_legacy_version(&message(&text))).unwrap();
            find_string(sent.body(), &["protocolVersion"])
        };
        assert_eq!(ask("\"2024-11-05\"").as_deref(), Some("2024-11-05"));
        for unknown in ["\"2026-07-28\"", "\"1.0\"", "7", "\"DRAFT\""] {
            assert_eq!(ask(unknown).as_deref(), Some("2025-11-25"), "{unknown}");
        }
    }

    #[test]
    fn a_session_goes_on_only_with_all_that_its_client_was_told() {
        let opened = |text: &str| {
            Opened::read(&message(&format!(r#"{{"jsonrpc":"2.0","id":0,"result":{text}}}"#))).unwrap()
        };
        let before = opened(r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"logging":{}}}"#);
        let less = opened(r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}"#);
        let other = opened(r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{},"logging":{}}}"#);
        assert_eq!(before.continues(&less), Ok(()));
        assert_eq!(less.continues(&before), Err(OpeningError::LostCapability("logging".into())));
        assert!(matches!(other.continues(&before), Err(OpeningError::OtherRevision { .. })));
    }
}
