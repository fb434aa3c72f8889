//! What a legacy server is, as a modern client asks it, and what the client can do, as a legacy server is told.

use super::super::Opened;
use super::super::handshake::every_version;
use crate::wire::Object;
use crate::wire::claim::SERVER_INFO;
use crate::wire::meta::find;
use serde_json::{Map, Value, json};

/// The result of `server/discover`, made of what the server answered to `initialize`.
///
/// The versions are those that can be spoken at the same URL; all but one of them begin with `initialize`.
pub(super) fn result(opened: Option<&Opened>) -> String {
    let mut result = Object::default();
    result.set("resultType", "\"complete\"");
    result.set("supportedVersions", every_version());
    let mut capabilities = opened.map(|opened| opened.capabilities.clone()).unwrap_or_default();
    // Tasks of 2025-11-25 are not those of the extension, and are not bridged.
    capabilities.remove("tasks");
    result.set("capabilities", Value::Object(capabilities).to_string());
    if let Some(instructions) = opened.and_then(|opened| find(&opened.result, &["instructions"])) {
        result.set("instructions", instructions.to_owned());
    }
    if let Some(info) = opened.and_then(Opened::server_info) {
        result.set("_meta", format!(r#"{{"{SERVER_INFO}":{info}}}"#));
    }
    // What the server says is not known to hold for any time, nor for anybody else.
    result.set("ttlMs", "0");
    result.set("cacheScope", "\"private\"");
    result.to_json()
}

/// The capabilities to open a legacy process with for clients that declare `capabilities`.
pub fn offered(capabilities: &Map<String, Value>) -> Map<String, Value> {
    let mut offered = capabilities.clone();
    offered.remove("tasks");
    if let Some(roots) = offered.get_mut("roots") {
        // A modern client cannot say that its roots have changed.
        *roots = json!({});
    }
    if let Some(Value::Object(extensions)) = offered.get_mut("extensions") {
        extensions.remove("io.modelcontextprotocol/tasks");
        if extensions.is_empty() {
            offered.remove("extensions");
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_legacy_server_is_told_what_it_can_understand() {
        let declared = map(&json!({
            "roots": { "listChanged": true }, "elicitation": { "form": {}, "url": {} }, "tasks": {},
            "extensions": { "io.modelcontextprotocol/tasks": {} },
        }));
        let expected = json!({ "roots": {}, "elicitation": { "form": {}, "url": {} } });
        assert_eq!(offered(&declared), map(&expected));
        let others = json!({ "extensions": { "a/b": {}, "io.modelcontextprotocol/tasks": {} } });
        assert_eq!(offered(&map(&others)), map(&json!({ "extensions": { "a/b": {} } })));
    }
}
