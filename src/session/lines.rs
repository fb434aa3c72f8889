//! What a process says: each line becomes a message of the session, or is skipped.

use super::{Conversation, Session};
use crate::peer::{Exit, Listener};
use crate::protocol::Input;
use crate::wire::line::{Line, Skipped};
use crate::wire::{Code, Kind, Malformed, Message, Payload, RpcError, meta};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::sync::Weak;
use std::time::Instant;

/// Listens to a process for a session, without keeping it alive.
pub(super) struct Ear {
    session: Weak<Session>,
    /// Which of the session's processes it listens to.
    generation: u64,
}

/// A skipped line is shown in the log up to this length.
const SHOWN: usize = 200;

impl Ear {
    pub(super) fn new(session: Weak<Session>, generation: u64) -> Self {
        Self { session, generation }
    }
}

impl Listener for Ear {
    fn line(&self, line: Line) {
        let Some(session) = self.session.upgrade() else { return };
        let now = Instant::now();
        let from = self.generation;
        match line {
            Line::Whole(line) => match Payload::parse(&line, session.settings().depth) {
                Ok(Payload::One(message)) => session.hear(from, message, now),
                Ok(Payload::Batch(messages)) => {
                    for message in messages {
                        session.hear(from, message, now);
                    }
                }
                Err(malformed) => session.hear_malformed(from, &line, &malformed, now),
            },
            Line::TooLong(skipped) => session.hear_too_long(from, &skipped, now),
        }
    }

    fn unheard(&self, line: Bytes) {
        if let Some(session) = self.session.upgrade() {
            session.with_living(self.generation, |state| {
                session.handle(state, Input::Unheard(line), Instant::now());
            });
        }
    }

    fn exited(&self, exit: &Exit) {
        if let Some(session) = self.session.upgrade() {
            session.died(exit, self.generation);
        }
    }
}

/// What is told of a message that cannot be read whole.
#[derive(Default)]
struct Outline {
    id: Option<Box<str>>,
    /// It has a method: it is no answer.
    method: bool,
}

impl Outline {
    /// Reads on behind what is nested too deep for us, for which nothing is kept.
    fn of(line: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            method: Option<&'a RawValue>,
        }
        if let Ok(Fields { id, method }) = serde_json::from_slice(line) {
            return Self { id: id.map(|id| id.get().into()), method: method.is_some() };
        }
        // One whose keys are odd, and that is not too deep.
        let Ok(text) = std::str::from_utf8(line) else { return Self::default() };
        let id = meta::find(text, &["id"]).map(Into::into);
        Self { id, method: meta::find(text, &["method"]).is_some() }
    }
}

impl Session {
    fn hear(&self, from: u64, message: Message, now: Instant) {
        if message.kind() == Kind::Notification && message.method() == "notifications/tools/list_changed" {
            self.home.tools_changed();
        }
        self.with_living(from, |state| self.handle(state, Input::Server(message), now));
    }

    fn hear_malformed(&self, from: u64, line: &Bytes, malformed: &Malformed, now: Instant) {
        let error = match malformed {
            Malformed::TooDeep { limit } => RpcError::new(
                Code::ProtocolError,
                format!("the server's answer is nested deeper than {limit} levels"),
            ),
            Malformed::NotJsonRpc { what, id: Some(_) } => RpcError::new(
                Code::ProtocolError,
                format!("the server's answer is no JSON-RPC message: {what}"),
            ),
            Malformed::NotJson(_) | Malformed::NotJsonRpc { .. } => return self.skip(line),
        };
        let Outline { id, method } = Outline::of(line);
        if method {
            // Not an answer, whatever its id: the server's ids are its own.
            self.tally.skipped_lines.add_one();
            tracing::warn!(server = %self.settings().name, "skipped a message of the server: {malformed}");
            return;
        }
        self.with_living(from, |state| self.handle(state, Input::Unreadable { id, error }, now));
    }

    fn hear_too_long(&self, from: u64, skipped: &Skipped, now: Instant) {
        tracing::warn!(server = %self.settings().name, bytes = skipped.length, "a line over the limit was skipped");
        let error = RpcError::new(
            Code::TooLarge,
            format!(
                "the server wrote a line of {} bytes: raise limits.line, or ask for less",
                skipped.length
            ),
        );
        // Only an answer ends an exchange; whatever else it was is lost.
        let Some(id) = skipped.answered_id() else { return };
        self.with_living(from, |state| self.handle(state, Input::Unreadable { id, error }, now));
    }

    fn skip(&self, line: &Bytes) {
        self.tally.skipped_lines.add_one();
        let count = self.tally.skipped_lines.count();
        // A server that talks on stdout would fill the log: the first lines, then every power of two.
        if count <= 10 || count.is_power_of_two() {
            let text = String::from_utf8_lossy(line);
            let masked = self.settings().mask.apply(&text);
            let text: String = masked.chars().take(SHOWN).flat_map(char::escape_debug).collect();
            tracing::warn!(server = %self.settings().name, %count, "skipped a line of stdout that is no message: {text}");
        }
    }

    fn with_living(&self, from: u64, act: impl FnOnce(&mut Conversation)) {
        let mut state = self.lock();
        if state.link.peer().is_some() && state.generation == from {
            act(&mut state);
        }
    }
}
