//! What a legacy client said of itself, stamped on each of its requests, and what it is told of the server.

use super::super::inflight::can_be_asked;
use super::super::level::Level;
use super::super::{Member, Opened};
use crate::wire::claim::{CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION};
use crate::wire::meta::find;
use crate::wire::{Code, Message, Object, Revision, RpcError};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The extension of tasks, which passes only where both sides share an era.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A client as a modern server sees it.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) revision: Revision,
    /// Raw JSON.
    info: Box<str>,
    capabilities: Map<String, Value>,
    /// It can be asked: it has a session, and with it a way back.
    pub(super) reachable: bool,
    /// What the server is called if it does not say so itself.
    server: Arc<str>,
}

impl Profile {
    pub(super) fn new(member: Member, server: Arc<str>) -> Self {
        let info = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
        let mut profile = Self {
            revision: member.revision.unwrap_or(Revision::NEWEST_LEGACY),
            info: info.to_string().into(),
            capabilities: Map::new(),
            reachable: member.reachable,
            server,
        };
        profile.declare(member.capabilities);
        profile
    }

    /// Takes down what the client says in `initialize`.
    pub(super) fn introduce(&mut self, initialize: &Message) {
        let (revision, capabilities) = super::super::handshake::asked_for(initialize);
        self.revision = revision;
        if let Some(info) = find(initialize.body(), &["clientInfo"]).filter(|info| info.starts_with('{')) {
            self.info = info.into();
        }
        self.declare(serde_json::from_str(&capabilities).unwrap_or_default());
    }

    /// The result of `initialize`.
    ///
    /// 2025-11-25, basic/lifecycle: "If the server supports the requested protocol version, it MUST respond with the same
    /// version." What the server left out of `server/discover` but a legacy client needs, the router fills in.
    pub(super) fn greeting(&self, opened: Option<&Opened>) -> Result<String, RpcError> {
        let opened =
            opened.ok_or_else(|| RpcError::new(Code::InternalError, "the server has not opened yet"))?;
        let mut capabilities = opened.capabilities.clone();
        if let Some(Value::Object(extensions)) = capabilities.get_mut("extensions") {
            extensions.remove(TASKS);
            if extensions.is_empty() {
                capabilities.remove("extensions");
            }
        }
        // "serverInfo" is required in the legacy era and optional in the modern one.
        let unnamed = || json!({ "name": &*self.server, "version": "unknown" }).to_string();
        let info = opened.server_info().map_or_else(unnamed, str::to_owned);
        let mut result = Object::default();
        result.set("protocolVersion", format!("\"{}\"", self.revision));
        result.set("capabilities", Value::Object(capabilities).to_string());
        result.set("serverInfo", info);
        if let Some(instructions) = find(&opened.result, &["instructions"]) {
            result.set("instructions", instructions);
        }
        Ok(result.to_json())
    }

    /// Params with what a modern request must say of its client.
    ///
    /// 2026-07-28, basic/index: "fields marked as required MUST be included on every request".
    pub(super) fn stamp(&self, params: &str, level: Level) -> String {
        let mut params = Object::read(params).unwrap_or_default();
        params.change("_meta", |meta| {
            meta.set(PROTOCOL_VERSION, format!("\"{}\"", Revision::V2026_07_28));
            meta.set(CLIENT_INFO, self.info.to_string());
            meta.set(CLIENT_CAPABILITIES, Value::Object(self.capabilities.clone()).to_string());
            meta.set(LOG_LEVEL, format!("\"{}\"", level.name()));
        });
        // A task of 2025-11-25 is no business of a modern server; it was not offered to the client either.
        params.remove("task");
        params.to_json()
    }

    /// Whether the client can be asked this.
    pub(super) fn can_be_asked(&self, method: &str, params: &str) -> bool {
        can_be_asked(&self.capabilities, method, params)
    }

    fn declare(&mut self, mut capabilities: Map<String, Value>) {
        if !self.reachable {
            capabilities.clear();
        }
        // Not of the modern era: tasks of 2025-11-25, and changes of the roots, which are asked for when needed.
        capabilities.remove("tasks");
        if let Some(Value::Object(roots)) = capabilities.get_mut("roots") {
            roots.remove("listChanged");
        }
        if let Some(Value::Object(extensions)) = capabilities.get_mut("extensions") {
            extensions.remove(TASKS);
        }
        self.capabilities = capabilities;
    }
}
