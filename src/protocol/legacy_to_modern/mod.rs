//! One legacy client before a server of the modern era.
//!
//! The handshake is answered from what the server said of itself. What a client says once, every modern request must
//! carry: it is stamped on each. A question that comes as `input_required` is put to the client, and the request made
//! again with the answer. Subscriptions and changes of lists come by one `subscriptions/listen`.

mod ask;
mod listen;
mod profile;
pub(super) mod result;
#[cfg(test)]
mod tests;

use super::level::Level;
use super::stage::{Down, Up, own_exchange, request, response};
use super::{Addressee, Class, ClientKey, Dropped, ExchangeKey, Member, Opened, Output, Rules};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Kind, Message, Revision, RpcError};
use ask::{Asked, Round};
use bytes::Bytes;
use listen::Listening;
use profile::{Profile, TASKS};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The translation for one legacy client.
#[derive(Debug)]
pub struct LegacyToModern {
    client: ClientKey,
    rules: Rules,
    profile: Profile,
    /// What the client set; before that, legacy servers may log as they like.
    level: Level,
    calls: HashMap<ExchangeKey, Call>,
    /// Questions that the client has not answered, by their ids.
    questions: HashMap<Box<str>, Asked>,
    listening: Listening,
    /// Questions and exchanges of our own so far.
    minted: u32,
}

/// A request of the client that is not answered.
#[derive(Debug)]
struct Call {
    /// The request as the client wrote it.
    request: Message,
    rounds: u32,
    /// The server wants answers before it goes on.
    round: Option<Round>,
}

impl LegacyToModern {
    /// The translation for `client`. `server`: what the server is called if it does not say so itself.
    pub fn new(client: ClientKey, member: Member, server: Arc<str>, rules: Rules) -> Self {
        Self {
            client,
            rules,
            profile: Profile::new(member, server),
            level: Level::INFO,
            calls: HashMap::new(),
            questions: HashMap::new(),
            listening: Listening::default(),
            minted: 0,
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.rules.timeout = timeout;
    }

    /// The revision that the client was told, or speaks without having asked.
    pub fn revision(&self) -> Revision {
        self.profile.revision
    }

    /// Calls that wait for their client's answer, and not for the server.
    pub(super) fn asking(&self) -> usize {
        self.calls.values().filter(|call| call.round.is_some()).count()
    }

    /// The client asks.
    pub(super) fn request(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let id = message.id().unwrap_or_default();
        if self.calls.values().any(|call| call.request.id() == Some(id)) {
            return self.answer(exchange, super::inflight::id_in_use(id), true, out);
        }
        let here = match message.method() {
            "initialize" => {
                self.profile.introduce(message);
                self.profile.greeting(opened)
            }
            "ping" => Ok("{}".to_owned()),
            "logging/setLevel" => self.set_level(message, opened),
            method @ ("server/discover" | "subscriptions/listen") => {
                let revision = self.profile.revision;
                Err(RpcError::new(Code::MethodNotFound, format!("{revision} has no {method}")))
            }
            "resources/subscribe" | "resources/unsubscribe" => {
                return self.change_subscription(exchange, message, opened, now, out, down);
            }
            _ => {
                let line = request(exchange, message.method(), &self.stamped(message.body()));
                let call = Call { request: message.clone(), rounds: 0, round: None };
                self.calls.insert(exchange, call);
                return down.push(Down::Request { exchange, line });
            }
        };
        match here {
            Ok(result) => self.answer(exchange, response(id, &result), false, out),
            Err(error) => self.answer(exchange, error.to_line(Some(id)), true, out),
        }
    }

    /// The client notifies, or answers a question.
    pub(super) fn notice(
        &mut self,
        message: &Message,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        if message.is_answer() {
            return self.question_answered(message, out, down);
        }
        match message.method() {
            "notifications/initialized" => self.listen_to_lists(opened, now, out, down),
            "notifications/cancelled" => self.cancelled(message, out, down),
            // A modern server asks for roots whenever it needs them, and no question of it has a progress token.
            "notifications/roots/list_changed" | "notifications/progress" => {}
            _ => down.push(Down::Notice(message.raw().clone())),
        }
    }

    /// The server says something.
    pub(super) fn hear(&mut self, up: Up, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        match up {
            Up::Answer { exchange, message } if self.calls.contains_key(&exchange) => {
                self.call_answered(exchange, &message, now, out);
            }
            Up::Answer { exchange, message } => self.listen_answered(exchange, &message, now, out, down),
            Up::Said { to: Addressee::Exchange(exchange), message, class } => {
                if self.calls.contains_key(&exchange) {
                    let (client, to) = (self.client, Addressee::Exchange(exchange));
                    out.push(Output::ToClient { client, to, message: message.raw().clone(), class });
                } else {
                    self.notified(exchange, &message, now, out, down);
                }
            }
            Up::Silence(_) => {}
            Up::Said { .. } => out.push(Output::Dropped(Dropped::Unattributable)),
        }
    }

    /// Nothing more comes from the server: what is asked is answered with `error`.
    pub(super) fn end(&mut self, error: &RpcError, out: &mut Vec<Output>) {
        self.stop_listening(error, out);
        for exchange in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(exchange, |id| error.to_line(Some(id)), true, out);
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        self.tick_questions(now, out, down);
        self.tick_listening(now, out, down);
    }

    fn call_answered(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if message.kind() == Kind::Error {
            return self.call_failed(exchange, message, out);
        }
        let Some(call) = self.calls.get(&exchange) else { return };
        let method = call.request.method();
        match result::kind(message.body()) {
            result::Kind::Complete => {
                let result = result::legacy(method, message.body(), self.profile.revision);
                self.finish(exchange, |id| response(id, &result), false, out);
            }
            result::Kind::InputRequired => self.input_required(exchange, message, now, out),
            result::Kind::Other(kind) => {
                let error = RpcError::new(
                    Code::ProtocolError,
                    format!(
                        "{}: the server answered with resultType {kind:?}, which a client of this session's revision cannot read",
                        self.named(exchange)
                    ),
                );
                self.finish(exchange, |id| error.to_line(Some(id)), true, out);
            }
        }
    }

    fn call_failed(&mut self, exchange: ExchangeKey, message: &Message, out: &mut Vec<Output>) {
        let code = message.error_code();
        let said = find_string(message.body(), &["message"]).unwrap_or_default();
        if code == Some(Code::MissingCapability.number()) {
            let wanted = find(message.body(), &["data", "requiredCapabilities"]).unwrap_or("{}");
            if find(wanted, &["extensions", TASKS]).is_some() {
                let error = RpcError::new(
                    Code::ProtocolError,
                    format!(
                        "{} runs only as a task of 2026-07-28, which a client of this session's revision cannot start: use a client of 2026-07-28",
                        self.named(exchange)
                    ),
                );
                return self.finish(exchange, |id| error.to_line(Some(id)), true, out);
            }
            let reason = format!(
                "the server needs client capabilities that this client has not declared: {wanted} ({said})"
            );
            return self.abandon(exchange, &reason, out);
        }
        if code == Some(Code::UnsupportedVersion.number()) || code == Some(Code::HeaderMismatch.number()) {
            // It describes what the router said, not what the client did.
            let error = RpcError::new(
                Code::InternalError,
                format!("the server refused the router's request: {said}"),
            );
            return self.finish(exchange, |id| error.to_line(Some(id)), true, out);
        }
        self.finish(exchange, |id| message.with_id(id), true, out);
    }

    fn cancelled(&mut self, message: &Message, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let Some(id) = find(message.body(), &["requestId"]) else { return };
        let found = self.calls.iter().find(|(_, call)| call.request.id() == Some(id));
        let Some(exchange) = found.map(|(exchange, _)| *exchange) else { return };
        down.push(Down::Cancel(exchange));
        if self.rules.answer_cancelled {
            let error = RpcError::new(Code::RequestCancelled, "the request was cancelled by its client");
            self.finish(exchange, |id| error.to_line(Some(id)), true, out);
        } else {
            self.questions.retain(|_, asked| asked.exchange != exchange);
            self.calls.remove(&exchange);
            out.push(Output::Forget { client: self.client, exchange });
        }
    }

    fn set_level(&mut self, message: &Message, opened: Option<&Opened>) -> Result<String, RpcError> {
        if !opened.is_some_and(|opened| opened.capabilities.contains_key("logging")) {
            return Err(RpcError::new(Code::MethodNotFound, "the server does not log"));
        }
        self.level = Level::of(message).ok_or_else(Level::unknown)?;
        Ok("{}".to_owned())
    }

    fn stamped(&self, params: &str) -> String {
        self.profile.stamp(params, self.level)
    }

    /// Ends a call with a response made for its id; what it asked is asked no more.
    fn finish(
        &mut self,
        exchange: ExchangeKey,
        make: impl FnOnce(&str) -> Bytes,
        failed: bool,
        out: &mut Vec<Output>,
    ) {
        self.questions.retain(|_, asked| asked.exchange != exchange);
        if let Some(call) = self.calls.remove(&exchange) {
            self.answer(exchange, make(call.request.id().unwrap_or("null")), failed, out);
        }
    }

    fn answer(&self, exchange: ExchangeKey, message: Bytes, failed: bool, out: &mut Vec<Output>) {
        out.push(Output::Answer { client: self.client, exchange, message, failed });
    }

    /// What a call is called in an error: the tool, or the method.
    fn named(&self, exchange: ExchangeKey) -> String {
        let Some(call) = self.calls.get(&exchange) else { return "the request".to_owned() };
        match find_string(call.request.body(), &["name"]) {
            Some(name) if call.request.method() == "tools/call" => format!("the tool {name:?}"),
            _ => call.request.method().to_owned(),
        }
    }

    fn own_exchange(&mut self) -> ExchangeKey {
        self.minted += 1;
        own_exchange(self.client.0, self.minted)
    }

    fn announce(&self, message: Bytes, out: &mut Vec<Output>) {
        let (client, to) = (self.client, Addressee::Announcement);
        out.push(Output::ToClient { client, to, message, class: Class::Notice });
    }
}
