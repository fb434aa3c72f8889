//! What a session must say again to a new process, so that its client notices nothing but the announcement.

use super::handshake::INITIALIZED;
use super::inflight::Effect;
use super::{Addressee, Class, ClientKey, Opened, Output};
use crate::wire::meta::find;
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeSet;

/// More subscriptions than this are not repeated; no client has as many.
pub(super) const MOST_SUBSCRIPTIONS: usize = 10_000;

/// What a client has told the server, and what it was told, that a new process does not know.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The client's `initialize`, as the server got it.
    pub(super) initialize: Option<Bytes>,
    pub(super) initialized: bool,
    pub(super) opened: Option<Opened>,
    /// Raw params of `logging/setLevel`.
    level: Option<Box<str>>,
    /// URIs, as JSON strings.
    subscriptions: BTreeSet<Box<str>>,
}

impl Memory {
    /// Takes note of a request that has succeeded.
    pub(super) fn learn(&mut self, effect: Effect) {
        match effect {
            Effect::SetLevel(params) => self.level = Some(params),
            Effect::Subscribe(params) if self.subscriptions.len() < MOST_SUBSCRIPTIONS => {
                self.subscriptions.insert(params);
            }
            Effect::Subscribe(_)
            | Effect::None
            | Effect::Initialize
            | Effect::Discover
            | Effect::Listen(_) => {}
            Effect::Unsubscribe(params) => {
                self.subscriptions.remove(&params);
            }
        }
    }

    /// Whether the client's level lets a warning pass.
    pub(super) fn wants_warnings(&self) -> bool {
        let above = ["\"error\"", "\"critical\"", "\"alert\"", "\"emergency\""];
        let level = self.level.as_deref().and_then(|params| find(params, &["level"]));
        level.is_none_or(|level| !above.contains(&level))
    }

    /// Forgets the level and the subscriptions.
    pub(super) fn clear_wishes(&mut self) {
        self.level = None;
        self.subscriptions.clear();
    }

    /// What follows the repeated `initialize`; `own_id` mints an id for each request.
    pub(super) fn wishes(&self, mut own_id: impl FnMut() -> Box<str>, out: &mut Vec<Output>) {
        if self.initialized {
            out.push(Output::ToServer(Bytes::from_static(INITIALIZED.as_bytes())));
        }
        let mut ask = |method: &str, params: &str| {
            let id = own_id();
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
            out.push(Output::ToServer(line.into()));
        };
        if let Some(params) = &self.level {
            ask("logging/setLevel", params);
        }
        for uri in &self.subscriptions {
            ask("resources/subscribe", &format!(r#"{{"uri":{uri}}}"#));
        }
    }
}

/// Tells a client that its server is a new process, as far as the server had declared that it would.
pub(super) fn announce(opened: &Opened, client: ClientKey, warn: bool, out: &mut Vec<Output>) {
    for kind in ["tools", "prompts", "resources"] {
        if opened.announces(kind) {
            let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed"}}"#);
            out.push(Output::ToClient {
                client,
                to: Addressee::Announcement,
                message: message.into(),
                class: Class::Notice,
            });
        }
    }
    if warn && opened.capabilities.contains_key("logging") {
        let message = json!({
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {
                "level": "warning",
                "logger": env!("CARGO_PKG_NAME"),
                "data": "the server goes on in a new process: what only the old one knew is lost, and calls that were in flight there have failed",
            },
        });
        out.push(Output::ToClient {
            client,
            to: Addressee::Announcement,
            message: message.to_string().into(),
            class: Class::Notice,
        });
    }
}
