//! What is said about a `subscriptions/listen` of 2026-07-28, by whoever serves one.

use super::stage::notification;
use crate::wire::claim::SUBSCRIPTION_ID;
use crate::wire::meta::{LONGEST_URI, find};
use crate::wire::object::array;
use crate::wire::{Code, Message, Object, RpcError};
use bytes::Bytes;
use std::collections::BTreeSet;

/// URIs of one subscription.
const MOST_URIS: usize = 1000;

/// The lists that may change.
pub const LISTS: [&str; 3] = ["tools", "prompts", "resources"];

/// What a client wants to be told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of [`LISTS`], those whose changes it wants to hear of.
    pub lists: BTreeSet<&'static str>,
    /// Resources whose changes it wants to hear of: their URIs as JSON strings, each written in one way.
    pub uris: BTreeSet<Box<str>>,
}

impl Filter {
    /// Reads the params of a `subscriptions/listen`.
    pub fn read(params: &str) -> Result<Self, RpcError> {
        let wrong = |what: &'static str| RpcError::new(Code::InvalidParams, what);
        let filter = find(params, &["notifications"]).and_then(Object::read);
        let filter =
            filter.ok_or_else(|| wrong("\"notifications\" must be an object: what to be told of"))?;
        let mut lists = BTreeSet::new();
        for kind in LISTS {
            match filter.get(&format!("{kind}ListChanged")) {
                Some("true") => drop(lists.insert(kind)),
                None | Some("false" | "null") => {}
                Some(_) => return Err(wrong("what ends in ListChanged must be true or false")),
            }
        }
        let uris = match filter.get("resourceSubscriptions").filter(|raw| *raw != "null") {
            None => BTreeSet::new(),
            Some(raw) => {
                let uris: Vec<String> = serde_json::from_str(raw)
                    .map_err(|_| wrong("\"resourceSubscriptions\" must be an array of strings"))?;
                if uris.iter().any(|uri| uri.len() > LONGEST_URI) {
                    return Err(wrong("a URI of \"resourceSubscriptions\" is longer than 8 KiB"));
                }
                if uris.len() > MOST_URIS {
                    return Err(wrong("\"resourceSubscriptions\" has more than 1000 URIs"));
                }
                uris.into_iter().map(|uri| serde_json::Value::from(uri).to_string().into()).collect()
            }
        };
        Ok(Self { lists, uris })
    }

    /// The filter as JSON, for the params of a request or of an acknowledgement.
    pub fn to_json(&self) -> String {
        let mut filter = Object::default();
        for kind in &self.lists {
            filter.set(&format!("{kind}ListChanged"), "true");
        }
        if !self.uris.is_empty() {
            filter.set("resourceSubscriptions", array(&self.uris));
        }
        filter.to_json()
    }

    /// What the client that knows the subscription by `id` is told first: this much of what it wanted it will hear.
    ///
    /// 2026-07-28, basic/patterns/subscriptions: "The server MUST send `notifications/subscriptions/acknowledged` as the first
    /// message", with "the subset the server agreed to honor".
    pub fn acknowledged(&self, id: &str) -> Bytes {
        let honoured = self.to_json();
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}},"notifications":{honoured}}}}}"#
        )
        .into()
    }
}

/// A change of a list, for the subscription that its client knows by `id`.
pub fn list_changed(kind: &str, id: &str) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed","params":{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}}}"#
    )
    .into()
}

/// The answer that ends a subscription in peace, for the client that knows it by `id`.
///
/// 2026-07-28, basic/patterns/subscriptions: "it SHOULD respond to the original `subscriptions/listen` request with a
/// completion result before closing the stream".
pub fn ended(id: &str) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}}}"#
    )
    .into()
}

/// A notification with the subscription that it belongs to.
pub fn stamped(message: &Message, id: &str) -> Bytes {
    let mut params = Object::read(message.body()).unwrap_or_default();
    params.change("_meta", |meta| meta.set(SUBSCRIPTION_ID, id.to_owned()));
    notification(message.method(), &params.to_json())
}
