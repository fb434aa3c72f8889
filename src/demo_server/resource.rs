//! The resources: a counter that changes, and squares computed as they are read.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::lock;
use super::message::{Fault, Params};

const COUNTER: &str = "demo://counter";
const SQUARE: &str = "demo://square/";

/// The template whose variable can be completed.
pub(super) const SQUARE_TEMPLATE: &str = "demo://square/{number}";

/// The resources and who watches them.
#[derive(Default)]
pub(super) struct Resources {
    counter: AtomicI64,
    watched: Mutex<BTreeSet<&'static str>>,
}

#[derive(Deserialize)]
struct Named {
    uri: String,
}

impl Resources {
    /// Adds to the counter, tells a subscriber, and returns the new value.
    pub(super) fn bump(&self, by: i64, client: &Client) -> i64 {
        let before = self.counter.fetch_add(by, Ordering::Relaxed);
        if lock(&self.watched).contains(COUNTER) {
            client.notify("notifications/resources/updated", json!({ "uri": COUNTER }));
        }
        before.wrapping_add(by)
    }

    /// The answer to `resources/read`.
    pub(super) fn read(&self, params: &Params) -> Result<Value, Fault> {
        let Named { uri } = params.read()?;
        let text = if uri == COUNTER {
            self.counter.load(Ordering::Relaxed).to_string()
        } else {
            square(&uri).ok_or_else(|| Fault::no_resource(&uri))?
        };
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
    }

    /// From now on every change is told.
    pub(super) fn subscribe(&self, params: &Params) -> Result<Value, Fault> {
        let Named { uri } = params.read()?;
        if uri == COUNTER {
            lock(&self.watched).insert(COUNTER);
        } else if square(&uri).is_none() {
            return Err(Fault::no_resource(&uri));
        }
        Ok(json!({}))
    }

    /// No change is told any more.
    pub(super) fn unsubscribe(&self, params: &Params) -> Result<Value, Fault> {
        let Named { uri } = params.read()?;
        lock(&self.watched).remove(uri.as_str());
        Ok(json!({}))
    }
}

/// The answer to `resources/list`.
pub(super) fn list() -> Value {
    json!({
        "resources": [{
            "uri": COUNTER,
            "name": "counter",
            "title": "Counter",
            "description": "A number that the tool `bump` changes; subscribe to be told.",
            "mimeType": "text/plain",
        }],
    })
}

/// The answer to `resources/templates/list`.
pub(super) fn templates() -> Value {
    json!({
        "resourceTemplates": [{
            "uriTemplate": SQUARE_TEMPLATE,
            "name": "square",
            "title": "Square",
            "description": "The square of an integer.",
            "mimeType": "text/plain",
        }],
    })
}

fn square(uri: &str) -> Option<String> {
    let number: i64 = uri.strip_prefix(SQUARE)?.parse().ok()?;
    Some((i128::from(number) * i128::from(number)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_integer_has_a_square(number: i64) {
            let expected = i128::from(number).pow(2).to_string();
            prop_assert_eq!(square(&format!("demo://square/{number}")), Some(expected));
        }
    }

    #[test]
    fn other_addresses_have_none() {
        for uri in ["demo://square/", "demo://square/x", "demo://square/1/2", "file:///etc/passwd", ""] {
            assert_eq!(square(uri), None, "{uri}");
        }
    }
}
