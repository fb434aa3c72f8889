//! What an endpoint offers at one moment: the lists of its servers, made into one of each kind.

use super::catalog::{Member, Piece};
use super::lists::Kind;
use super::view::{Item, Shelf};
use crate::access::Caller;
use crate::config::{AggregateSpec, ServerName};
use crate::wire::claim::SERVER_INFO;
use crate::wire::meta::find;
use crate::wire::{Code, Era, RpcError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of a page, whatever the number of its items: some clients refuse an event of more than 1 MiB.
const PAGE_BYTES: usize = 768 << 10;

/// Bytes that stand around the items of a page, and around the page in its answer.
const AROUND: usize = 1 << 10;

/// What an endpoint offers at one moment.
pub(super) struct Offer {
    /// The servers, in their order.
    pub(super) servers: Vec<Arc<Member>>,
    /// Those whose lists are not in it, and why.
    pub(super) missing: Vec<(ServerName, String)>,
    shelves: [Shelf; 4],
    /// For how long each list holds, in milliseconds, and whether for everybody.
    holds: [(u64, bool); 4],
    page_size: usize,
}

impl Offer {
    /// What these pieces make together for a caller, who sees only what he may use.
    pub(super) fn new(spec: &AggregateSpec, pieces: Vec<Piece>, caller: &Caller) -> Self {
        let servers: Vec<_> =
            pieces.iter().map(|piece| (piece.member.mount.name(), piece.lists.as_deref())).collect();
        let trusted: HashSet<&ServerName> = pieces
            .iter()
            .map(|piece| &piece.member.mount)
            .filter(|mount| mount.trusts_hints())
            .map(|mount| mount.name())
            .collect();
        let may_use = |kind: Kind, server: &ServerName, own: &str, json: &str| {
            let is_read_only =
                || trusted.contains(server) && find(json, &["annotations", "readOnlyHint"]) == Some("true");
            kind != Kind::Tools
                || caller.grant().tool(caller.place(), server.as_str(), own).holds(is_read_only)
        };
        let shelves = Kind::ALL.map(|kind| Shelf::new(spec, kind, &servers, &may_use));
        let complete = pieces.iter().all(|piece| piece.missing.is_none());
        // What a server shows one user holds for nobody else, whatever it says of it, nor what is left of it for one who is known.
        let personal = pieces.iter().any(|piece| piece.member.mount.is_personal());
        let holds = Kind::ALL.map(|kind| {
            let lists = || pieces.iter().filter_map(|piece| piece.lists.as_ref()).map(|lists| lists.of(kind));
            // What is not whole holds for no time.
            let ttl = lists().filter(|list| !list.items.is_empty()).map(|list| list.ttl).min();
            let public = !personal
                && caller.is_anyone()
                && lists().all(|list| list.items.is_empty() || list.is_public);
            (ttl.filter(|_| complete).unwrap_or(0), public)
        });
        let missing = pieces
            .iter()
            .filter_map(|piece| Some((piece.member.mount.name().clone(), piece.missing.clone()?)))
            .collect();
        let servers = pieces.into_iter().map(|piece| piece.member).collect();
        Self { servers, missing, shelves, holds, page_size: spec.page_size }
    }

    /// The things of a kind.
    pub(super) fn of(&self, kind: Kind) -> &Shelf {
        &self.shelves[kind as usize]
    }

    /// The server that something is of.
    pub(super) fn owner(&self, item: &Item) -> &Arc<Member> {
        &self.servers[item.server]
    }

    /// The server that something on a list is of, and what that calls it.
    pub(super) fn listed(&self, kind: Kind, name: &str) -> Option<(Arc<Member>, String)> {
        let item = self.of(kind).find(name)?;
        Some((self.owner(item).clone(), item.own.to_string()))
    }

    /// The place of a server among them.
    pub(super) fn place(&self, server: &Arc<Member>) -> Option<usize> {
        self.servers.iter().position(|member| Arc::ptr_eq(member, server))
    }

    /// The result of a list request: a page for clients of an era, beginning where the `cursor` of its params says.
    ///
    /// 2026-07-28, server/utilities/pagination: "Invalid cursors SHOULD result in an error with code -32602 (Invalid params)."
    pub(super) fn page(&self, kind: Kind, params: &str, era: Era) -> Result<String, RpcError> {
        let cursor = match find(params, &["cursor"]).filter(|raw| *raw != "null") {
            None => None,
            Some(raw) => {
                let text = serde_json::from_str::<String>(raw);
                Some(text.map_err(|_| RpcError::new(Code::InvalidParams, "\"cursor\" must be a string"))?)
            }
        };
        let things = self.of(kind);
        let begin = match cursor {
            None => 0,
            Some(cursor) => {
                after(&cursor).and_then(|name| things.position(&name)).map(|at| at + 1).ok_or_else(|| {
                    RpcError::new(
                        Code::InvalidParams,
                        "the cursor is not valid, or the list has changed since: begin again without it",
                    )
                })?
            }
        };
        let items = &things.items[begin..];
        let mut bytes = 0;
        let length = items
            .iter()
            .take(self.page_size)
            .take_while(|item| {
                bytes += item.listed(era).len();
                bytes <= PAGE_BYTES
            })
            .count();
        // One that is larger than a page has one of its own.
        let page = &items[..length.max(1).min(items.len())];
        // Written once, where it is to stay: the memory for a page is dearer than its text.
        let length: usize = page.iter().map(|item| item.listed(era).len() + 1).sum();
        let mut json = String::with_capacity(length + AROUND);
        json.push('{');
        if era == Era::Modern {
            json.push_str(r#""resultType":"complete","#);
        }
        // Writing to a string cannot fail.
        let _ = write!(json, r#""{}":["#, kind.member());
        for (at, item) in page.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(item.listed(era));
        }
        json.push(']');
        if let Some(last) = page.last().filter(|_| page.len() < items.len()) {
            let _ = write!(json, r#","nextCursor":"{}""#, URL_SAFE_NO_PAD.encode(&*last.name));
        }
        if era == Era::Modern {
            let (ttl, public) = self.holds[kind as usize];
            let scope = if public { "public" } else { "private" };
            let _ = write!(json, r#","ttlMs":{ttl},"cacheScope":"{scope}""#);
        }
        let _ = write!(json, r#","_meta":{}}}"#, self.meta());
        Ok(json)
    }

    /// What a result says beside itself: who answers, and what is missing.
    fn meta(&self) -> Value {
        let mut meta = Map::new();
        meta.insert(SERVER_INFO.to_owned(), server_info());
        if !self.missing.is_empty() {
            let missing: Map<String, Value> =
                self.missing.iter().map(|(name, why)| (name.to_string(), why.as_str().into())).collect();
            meta.insert(MISSING.to_owned(), missing.into());
        }
        meta.into()
    }
}

/// The key under which a result names the servers that are not in it, each with the reason.
pub(super) const MISSING: &str = "mcp-switchboard/missing";

/// Who answers.
pub(super) fn server_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

fn after(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}
