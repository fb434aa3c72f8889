//! What a legacy server asks, as a modern client is asked it.

use super::super::stage::response;
use crate::wire::meta::find_string;
use crate::wire::{Code, Message, Object, RpcError};
use bytes::Bytes;
use serde_json::{Value, json};

/// A question of the server that the client has not answered.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The id by which the server knows it.
    pub(super) id: Box<str>,
    pub(super) method: Box<str>,
    pub(super) params: Box<str>,
}

impl Question {
    pub(super) fn read(message: &Message) -> Self {
        let id = message.id().unwrap_or("null").into();
        Self { id, method: message.method().into(), params: message.body().into() }
    }

    /// The answer to the server, with a raw result.
    pub(super) fn answered(&self, result: &str) -> Bytes {
        response(&self.id, result)
    }

    /// The answer to the server when nobody will answer.
    pub(super) fn cancelled(&self) -> Bytes {
        match &*self.method {
            "elicitation/create" => response(&self.id, r#"{"action":"cancel"}"#),
            _ => RpcError::new(Code::InternalError, "the client did not answer").to_line(Some(&self.id)),
        }
    }

    /// The question as one of the `inputRequests`: what has no meaning to a modern client is left out.
    pub(super) fn to_json(&self) -> String {
        let mut params = Object::read(&self.params).unwrap_or_default();
        params.remove("task");
        params.remove("elicitationId");
        params.change("_meta", |meta| drop(meta.remove("progressToken")));
        let method = Value::from(&*self.method);
        if params.is_empty() && &*self.method == "roots/list" {
            return format!(r#"{{"method":{method}}}"#);
        }
        format!(r#"{{"method":{method},"params":{}}}"#, params.to_json())
    }
}

/// The response that ends a request with questions.
pub(super) fn input_required(id: &str, questions: &str, state: &str) -> Bytes {
    let state = Value::from(state);
    response(
        id,
        &format!(r#"{{"resultType":"input_required","inputRequests":{questions},"requestState":{state}}}"#),
    )
}

/// The capability that a client must have declared to be asked this.
pub(super) fn needed(method: &str, params: &str) -> Option<(&'static str, Value)> {
    match method {
        "roots/list" => Some(("roots", json!({}))),
        "sampling/createMessage" => Some(("sampling", json!({}))),
        "elicitation/create" if find_string(params, &["mode"]).as_deref() == Some("url") => {
            Some(("elicitation", json!({ "url": {} })))
        }
        "elicitation/create" => Some(("elicitation", json!({}))),
        _ => None,
    }
}

/// What a question's key begins with.
pub(super) fn short(method: &str) -> &str {
    method.split('/').next().unwrap_or_default()
}
