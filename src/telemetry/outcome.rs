//! How a request ended.

use crate::wire::meta::find;
use crate::wire::{Code, Kind, Message};
use bytes::Bytes;
use memchr::memmem;
use std::sync::LazyLock;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a result.
    Ok,
    /// With a result that says that the tool has failed (`isError`).
    ToolError,
    /// With an error of the server's, which has this code.
    ServerError(i64),
    /// With an error of the router's own.
    Refused(Code),
    /// Its client has cancelled it.
    Cancelled,
    /// Its client has gone.
    Abandoned,
}

impl Outcome {
    /// Every word that [`as_str`](Self::as_str) has.
    pub const WORDS: [&'static str; 5 + Code::ALL.len()] = words();

    /// What an answer says. `is_call`: to the call of a tool. `failed`: it is known to be an error.
    pub fn of(answer: &Bytes, is_call: bool, failed: bool) -> Self {
        static IS_ERROR: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(KEY));
        // Most results are not read: a result may be large, and many say that they are no errors.
        let may_be_error = || IS_ERROR.find_iter(answer).any(|at| is_true(&answer[at + KEY.len()..]));
        if !(failed || is_call && may_be_error()) {
            return Self::Ok;
        }
        let Ok(message) = Message::own(answer.clone()) else { return Self::Ok };
        if message.kind() == Kind::Result {
            let is_error = is_call && find(message.body(), &["isError"]) == Some("true");
            return if is_error { Self::ToolError } else { Self::Ok };
        }
        let number = find(message.body(), &["code"]).and_then(|code| code.parse().ok()).unwrap_or_default();
        // These are the router's own: what else it answers with looks like a server's.
        let is_own = OWN.contains(&number) || number == Code::RequestCancelled.number();
        let own = Code::ALL.into_iter().find(|code| is_own && code.number() == number);
        own.map_or(Self::ServerError(number), Self::refused)
    }

    /// The router answers with this code of its own. Who has cancelled a request is not refused, whether it was passed on or
    /// not.
    pub fn refused(code: Code) -> Self {
        if code == Code::RequestCancelled { Self::Cancelled } else { Self::Refused(code) }
    }

    /// In one word, of which there are few.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::ServerError(_) => "error",
            Self::Refused(code) => code.as_str(),
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    /// Where its word stands among all of them.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::ToolError => 1,
            Self::ServerError(_) => 2,
            Self::Cancelled => 3,
            Self::Abandoned => 4,
            Self::Refused(code) => 5 + Code::ALL.iter().position(|known| *known == code).unwrap_or_default(),
        }
    }

    /// The code of an error.
    pub const fn code(self) -> Option<i64> {
        match self {
            Self::ServerError(code) => Some(code),
            Self::Refused(code) => Some(code.number()),
            Self::Ok | Self::ToolError | Self::Cancelled | Self::Abandoned => None,
        }
    }
}

const fn words() -> [&'static str; 5 + Code::ALL.len()] {
    let mut words = ["ok", "tool_error", "error", "cancelled", "abandoned"].as_slice();
    let mut all = [""; 5 + Code::ALL.len()];
    let mut at = 0;
    while let [word, more @ ..] = words {
        (all[at], words, at) = (word, more, at + 1);
    }
    while at < all.len() {
        all[at] = Code::ALL[at - 5].as_str();
        at += 1;
    }
    all
}

/// The key by which a result says that it is an error, or is none.
const KEY: &[u8] = b"\"isError\"";

/// Whether what comes behind a key is the value `true`.
fn is_true(behind: &[u8]) -> bool {
    let value = behind.trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
}

/// The numbers that only the router uses.
const OWN: std::ops::RangeInclusive<i64> = -31010..=-31001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_word_of_its_own() {
        let few = [
            Outcome::Ok,
            Outcome::ToolError,
            Outcome::ServerError(1),
            Outcome::Cancelled,
            Outcome::Abandoned,
        ];
        let all = few.into_iter().chain(Code::ALL.into_iter().map(Outcome::Refused));
        let words: Vec<_> = all.map(|outcome| (outcome.index(), outcome.as_str())).collect();
        assert_eq!(words, Outcome::WORDS.into_iter().enumerate().collect::<Vec<_>>());
        assert_eq!(
            words.iter().map(|(_, word)| word).collect::<std::collections::BTreeSet<_>>().len(),
            words.len()
        );
    }

    #[test]
    fn an_answer_tells_how_its_request_ended() {
        let of = |text: &'static str, failed: bool| {
            Outcome::of(&Bytes::from_static(text.as_bytes()), true, failed)
        };
        let result =
            |result: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).leak() as &'static str;
        let error = |code: i64| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"x"}}}}"#).leak()
                as &'static str
        };
        assert_eq!(of(result("{}"), false), Outcome::Ok);
        assert_eq!(of(result(r#"{"isError":true}"#), true), Outcome::ToolError);
        assert_eq!(of(result(r#"{"isError":true}"#), false), Outcome::ToolError);
        assert_eq!(of(result(r#"{"isError":false}"#), false), Outcome::Ok);
        assert_eq!(of(result(r#"{"content":[{"text":"\"isError\":true"}]}"#), false), Outcome::Ok);
        assert_eq!(of(result(r#"{"_meta":{"isError":false},"isError" : true}"#), false), Outcome::ToolError);
        assert_eq!(of(result(r#"{"_meta":{"isError":true},"isError":false}"#), false), Outcome::Ok);
        assert_eq!(of(error(-32602), true), Outcome::ServerError(-32602));
        assert_eq!(of(error(-31003), true), Outcome::Refused(Code::RequestTimeout));
        assert_eq!(of(error(-32800), true), Outcome::Cancelled);
        assert_eq!(of(error(-31007), true).as_str(), "not_allowed");
        assert_eq!(of(error(-32601), true).code(), Some(-32601));
    }
}
