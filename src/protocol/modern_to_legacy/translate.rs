//! Params and results between the eras, as far as the other one reads them differently.

use crate::wire::claim::{CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION, SERVER_INFO};
use crate::wire::object::{array, items};
use crate::wire::{Code, Object};
use memchr::memmem;

/// Resource not found, until 2025-11-25.
const OLD_NOT_FOUND: &str = "-32002";

/// URL elicitation required, in 2025-11-25 only.
pub(super) const URL_ELICITATION_REQUIRED: i64 = -32042;

/// The params of a modern request as a legacy server reads them: without what they say of the client and of earlier tries.
pub(super) fn params(params: &str) -> String {
    let Some(mut object) = Object::read(params) else { return params.to_owned() };
    object.remove("inputResponses");
    object.remove("requestState");
    object.change("_meta", |meta| {
        for key in [PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL] {
            meta.remove(key);
        }
    });
    object.to_json()
}

/// A legacy result as a modern client reads it; nothing if it is no object. `server`: the raw `serverInfo`.
///
/// 2026-07-28, basic/index: "The `result` MUST include a `resultType` field"; server/utilities/caching: lists and contents
/// say how long they hold.
pub(super) fn result(method: &str, result: &str, server: Option<&str>) -> Option<String> {
    let mut object = Object::read(result)?;
    if method == "tools/list" {
        without_task_support(&mut object);
    }
    object.set("resultType", "\"complete\"");
    if is_cacheable(method) {
        // A legacy server says nothing of it, so nothing is promised.
        for (key, value) in [("ttlMs", "0"), ("cacheScope", "\"private\"")] {
            if object.get(key).is_none() {
                object.set(key, value);
            }
        }
    }
    if let Some(server) = server {
        object.change("_meta", |meta| meta.set(SERVER_INFO, server.to_owned()));
    }
    Some(object.to_json())
}

/// An error's body as a modern client may read it; `code` as the server wrote it.
pub(super) fn error(error: &str, code: &str) -> String {
    let Some(mut object) = Object::read(error) else { return error.to_owned() };
    let reserved = [Code::HeaderMismatch, Code::MissingCapability, Code::UnsupportedVersion];
    if code == OLD_NOT_FOUND {
        // 2026-07-28, basic/index: "Implementations of this protocol version MUST NOT emit these codes".
        object.set("code", Code::InvalidParams.number().to_string());
    } else if reserved.iter().any(|reserved| reserved.number().to_string() == code) {
        // It would describe the request of the client, which the server has not seen.
        object.set("code", Code::InternalError.number().to_string());
    }
    object.to_json()
}

fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "resources/read"
    )
}

/// Tools without what they say of tasks of 2025-11-25.
fn without_task_support(result: &mut Object<'_>) {
    let Some(tools) =
        result.get("tools").filter(|tools| memmem::find(tools.as_bytes(), b"execution").is_some())
    else {
        return;
    };
    let Some(tools) = items(tools) else { return };
    let without = |tool: &str| {
        let mut object = Object::read(tool)?;
        object.remove("execution").map(|_| object.to_json())
    };
    let tools: Vec<_> =
        tools.into_iter().map(|tool| without(tool).unwrap_or_else(|| tool.to_owned())).collect();
    let tools = array(tools);
    result.set("tools", tools);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_a_request_says_of_its_client_is_taken_off() {
        let with = json!({
            "name": "x", "arguments": { "n": 1 }, "requestState": "s", "inputResponses": {},
            "_meta": { PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {}, LOG_LEVEL: "info", CLIENT_INFO: {} },
        });
        assert_eq!(params(&with.to_string()), r#"{"arguments":{"n":1},"name":"x"}"#);
        let kept = r#"{"_meta":{"progressToken":1.0,"traceparent":"t"}}"#;
        assert_eq!(params(kept), kept);
    }

    #[test]
    fn a_result_gets_what_it_must_have_and_keeps_what_it_has() {
        let get = |method: &str, text: &str| -> Value {
            let result = result(method, text, Some(r#"{"name":"s"}"#));
            serde_json::from_str(&result.unwrap()).unwrap()
        };
        let list =
            get("tools/list", r#"{"tools":[{"name":"a","execution":{"taskSupport":"optional"}}],"ttlMs":7}"#);
        let expected = json!({ "tools": [{ "name": "a" }], "resultType": "complete", "ttlMs": 7, "cacheScope": "private",
            "_meta": { SERVER_INFO: { "name": "s" } } });
        assert_eq!(list, expected);
        let call = get("tools/call", r#"{"content":[],"_meta":{"a":1}}"#);
        let expected = json!({ "content": [], "resultType": "complete", "_meta": { "a": 1, SERVER_INFO: { "name": "s" } } });
        assert_eq!(call, expected);
    }

    #[test]
    fn codes_that_mean_something_else_now_are_changed() {
        let code = |code: &str| {
            let text = error(&format!(r#"{{"code":{code},"message":"m"}}"#), code);
            serde_json::from_str::<Value>(&text).unwrap()["code"].as_i64().unwrap()
        };
        assert_eq!(
            [code("-32002"), code("-32021"), code("-32022"), code("-32602"), code("-32000")],
            [-32602, -32603, -32603, -32602, -32000]
        );
    }
}
