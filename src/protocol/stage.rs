//! What a translation between the eras says to the machine that knows the process, and what it hears from it.

use super::{Addressee, Class, ExchangeKey};
use crate::wire::Message;
use bytes::Bytes;
use std::fmt::Write as _;

/// Said to the server, by way of the machine that knows its process.
#[derive(Debug)]
pub(super) enum Down {
    /// A request whose answer belongs to `exchange`.
    Request {
        /// A client's exchange, or one of the translation's own.
        exchange: ExchangeKey,
        /// The request, in the server's era.
        line: Bytes,
    },
    /// A notification, or the answer to a question of the server.
    Notice(Bytes),
    /// A request is given up.
    Cancel(ExchangeKey),
    /// The clock of a request is stopped (true) while its client is asked something, or goes on.
    Hold(ExchangeKey, bool),
}

/// Heard from the server.
#[derive(Debug)]
pub(super) enum Up {
    /// The answer to a request, or an error in its place.
    Answer {
        /// Whose.
        exchange: ExchangeKey,
        /// The response, with the id that the request had.
        message: Message,
    },
    /// A notification or a question.
    Said {
        /// What it is about.
        to: Addressee,
        /// The message.
        message: Message,
        /// What may become of it.
        class: Class,
    },
    /// A request was given up, and the server has said nothing to it since.
    Silence(ExchangeKey),
}

/// The exchange number `n` of a translation's own, before the client with this number.
pub(super) fn own_exchange(client: u64, n: u32) -> ExchangeKey {
    ExchangeKey(1 << 63 | (client & 0x7fff_ffff) << 32 | u64::from(n))
}

/// A request in a translation's own words; params are raw JSON, and left out if empty. Its id is the number of its exchange.
pub(super) fn request(exchange: ExchangeKey, method: &str, params: &str) -> Bytes {
    let method = serde_json::Value::from(method);
    let mut line = format!(r#"{{"jsonrpc":"2.0","id":{},"method":{method}"#, exchange.0);
    if !params.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(line, r#","params":{params}"#);
    }
    line.push('}');
    line.into()
}

/// A response with a raw result.
pub(super) fn response(id: &str, result: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into()
}

/// A notification with raw params.
pub(super) fn notification(method: &str, params: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#).into()
}
