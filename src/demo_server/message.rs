//! One JSON-RPC message: what a line can hold, and what is wrong with it if it holds none.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A request's id as its sender wrote it: `1`, `1.0` and `"1"` are three ids.
pub(super) type Id = Box<RawValue>;

/// A message from the client.
#[derive(Debug)]
pub(super) enum Message {
    Request { id: Id, method: String, params: Params },
    Notification { method: String, params: Params },
    Answer { id: Id, outcome: Result<Value, String> },
}

/// The params of a request, not yet looked into.
#[derive(Debug, Default)]
pub(super) struct Params(Option<Box<RawValue>>);

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Fault {
    pub(super) code: i32,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
}

/// Text that is no message, and the id of the request that it meant to be, if that could be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) id: Option<Id>,
    pub(super) fault: Fault,
}

impl Message {
    /// Reads one message; `text` is not a batch.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
            let fault = if error.is_data() {
                Fault::invalid_request("not a JSON-RPC message")
            } else {
                Fault::parse_error(error)
            };
            Unreadable { id: None, fault }
        })?;
        envelope.message()
    }
}

impl Params {
    /// The params as `T`; none at all are the same as `{}`.
    pub(super) fn read<T: for<'a> Deserialize<'a>>(&self) -> Result<T, Fault> {
        let text = self.0.as_deref().map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(Fault::invalid_params)
    }
}

impl Fault {
    pub(super) fn parse_error(why: impl fmt::Display) -> Self {
        Self::new(-32700, format!("not JSON: {why}"))
    }

    pub(super) fn invalid_request(why: impl fmt::Display) -> Self {
        Self::new(-32600, why)
    }

    pub(super) fn method_not_found(method: &str) -> Self {
        Self::new(-32601, format!("no method `{method}`"))
    }

    pub(super) fn invalid_params(why: impl fmt::Display) -> Self {
        Self::new(-32602, why)
    }

    pub(super) fn internal(why: impl fmt::Display) -> Self {
        Self::new(-32603, why)
    }

    /// 2025-11-25, server/resources: "Resource not found: `-32002`".
    pub(super) fn no_resource(uri: &str) -> Self {
        let data = Some(serde_json::json!({ "uri": uri }));
        Self { data, ..Self::new(-32002, "no such resource") }
    }

    fn new(code: i32, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), data: None }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    jsonrpc: String,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn message(self) -> Result<Message, Unreadable> {
        let id = self.id.filter(|id| is_id(id));
        let refuse = |why| {
            let fault = Fault::invalid_request(why);
            Err(Unreadable { id: id.map(ToOwned::to_owned), fault })
        };
        if self.jsonrpc != "2.0" {
            return refuse("`jsonrpc` is not \"2.0\"");
        }
        let params = Params(self.params.map(ToOwned::to_owned));
        match (self.method, self.id.is_some(), id) {
            (_, true, None) => refuse("`id` is neither a string nor a number"),
            (Some(method), _, Some(id)) => Ok(Message::Request { id: id.to_owned(), method, params }),
            (Some(method), _, None) => Ok(Message::Notification { method, params }),
            (None, _, Some(id)) => match answer(self.result, self.error) {
                Some(outcome) => Ok(Message::Answer { id: id.to_owned(), outcome }),
                None => refuse("neither a request nor an answer"),
            },
            (None, _, None) => refuse("neither a request nor a notification"),
        }
    }
}

fn answer(result: Option<&RawValue>, error: Option<&RawValue>) -> Option<Result<Value, String>> {
    #[derive(Deserialize)]
    struct Told {
        message: String,
    }
    if let Some(error) = error {
        let told = serde_json::from_str::<Told>(error.get());
        return Some(Err(told.map_or_else(|_| "an error without a message".to_owned(), |told| told.message)));
    }
    result.map(|result| serde_json::from_str(result.get()).map_err(|error| error.to_string()))
}

fn is_id(raw: &RawValue) -> bool {
    matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

/// Tells a `null` that is there from a key that is not.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> (Option<String>, i32) {
        let unreadable = Message::parse(text).unwrap_err();
        (unreadable.id.map(|id| id.get().to_owned()), unreadable.fault.code)
    }

    #[test]
    fn an_id_is_kept_to_the_letter() {
        for id in ["1", "1.0", "\"1\"", "-7", "12345678901234567890123", "\"\\u0041\""] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            match Message::parse(&text).unwrap() {
                Message::Request { id: read, .. } => assert_eq!(read.get(), id),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_message_says_so_with_the_id_it_had() {
        assert_eq!(refusal("{"), (None, -32700));
        assert_eq!(refusal("3"), (None, -32600));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#), (None, -32600));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#), (None, -32600));
        assert_eq!(refusal(r#"{"id":4,"method":"ping"}"#), (Some("4".to_owned()), -32600));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":5}"#), (Some("5".to_owned()), -32600));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0"}"#), (None, -32600));
    }

    #[test]
    fn a_null_result_is_an_answer() {
        let parsed = Message::parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap();
        assert!(matches!(parsed, Message::Answer { outcome: Ok(Value::Null), .. }), "{parsed:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            let _ = Message::parse(&text);
        }

        #[test]
        fn any_envelope_is_read_or_refused(
            id in prop_oneof![Just("1"), Just("null"), Just("{}"), Just("\"a\"")],
            method in prop_oneof![Just("\"ping\""), Just("1"), Just("null")],
            params in prop_oneof![Just("{}"), Just("[]"), Just("null"), Just("1e400"), Just("\"\\ud800\"")],
        ) {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#);
            if let Ok(Message::Request { params, .. }) = Message::parse(&text) {
                let _ = params.read::<Value>();
            }
        }
    }
}
