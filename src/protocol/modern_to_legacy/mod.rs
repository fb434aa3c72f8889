//! Modern clients before a process of the legacy era.
//!
//! To the machine that knows the process they are one client. Each request stands alone: what it says of its client is
//! taken off, what a modern result must have is put on. A question of the server ends the request with `input_required`,
//! and the call waits, parked, until its client comes back with the answer.

mod call;
mod discover;
mod listen;
mod origin;
mod park;
mod parks;
mod question;
mod resume;
#[cfg(test)]
mod tests;
mod translate;

use super::level::Level;
use super::stage::{Down, Up, own_exchange, request};
use super::{Addressee, Class, ClientKey, Dropped, ExchangeKey, Opened, Output, may_ask};
use crate::wire::{Claim, Code, Message, RpcError};
use bytes::Bytes;
use call::{Call, Waiter};
use listen::Listens;
use origin::Origin;
use parks::Parks;
use question::Question;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Instant;

pub use discover::offered;
pub use origin::{Principal, Secrets, state as request_state};
pub use resume::lost;

/// The translation for all modern clients of a process.
#[derive(Debug)]
pub struct ModernToLegacy {
    clients: HashMap<ClientKey, Visitor>,
    /// By the exchange of the request that they began with.
    calls: HashMap<ExchangeKey, Call>,
    parks: Parks,
    /// Questions that came without a call: the next client is asked them before its call is made.
    held: Vec<Question>,
    listens: Listens,
    /// The level that the server was last asked for.
    level: Option<Level>,
    /// What the process was told that its clients can be asked.
    capabilities: Map<String, Value>,
    /// The process was opened with capabilities by which it may ask.
    asks: bool,
    past: Past,
    secrets: Secrets,
    minted: u32,
}

/// What the process has done that says how its next question is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// It has asked nothing.
    Silent,
    /// It has asked something.
    Asked,
    /// It may still work on a call that was given up, and had asked nothing until then: what it asks is refused.
    Muted,
    /// It may still ask for a call that was given up: it gets no other, and is replaced.
    Spoiled,
}

/// What a modern client asks.
pub(super) struct Request {
    pub(super) client: ClientKey,
    pub(super) exchange: ExchangeKey,
    pub(super) message: Message,
}

/// A modern client: one request.
#[derive(Debug)]
struct Visitor {
    principal: Principal,
    /// What it can be asked.
    capabilities: Map<String, Value>,
    call: Option<ExchangeKey>,
}

impl ModernToLegacy {
    /// The translation for a process that was opened with these capabilities.
    pub fn new(capabilities: &Map<String, Value>, secrets: Secrets) -> Self {
        let asks = ["roots", "sampling", "elicitation"].iter().any(|kind| capabilities.contains_key(*kind));
        Self {
            clients: HashMap::new(),
            calls: HashMap::new(),
            parks: Parks::default(),
            held: Vec::new(),
            listens: Listens::default(),
            level: None,
            capabilities: capabilities.clone(),
            asks,
            past: Past::Silent,
            secrets,
            minted: 0,
        }
    }

    /// Admits a client.
    pub(super) fn join(&mut self, client: ClientKey, principal: Principal) {
        self.clients.insert(client, Visitor { principal, capabilities: Map::new(), call: None });
    }

    /// Whether a client is one of those behind this translation.
    pub(super) fn has(&self, client: ClientKey) -> bool {
        self.clients.contains_key(&client)
    }

    /// Whether a call is under way to which the server may ask something, or the process can take no other.
    pub(super) fn is_interacting(&self) -> bool {
        self.asks
            && (self.past == Past::Spoiled
                || self.parks.are_to_call()
                || self.calls.values().any(Call::interacts))
    }

    /// Whether all that keeps such a call out is one that was given up a moment ago.
    pub(super) fn is_calming(&self) -> bool {
        let kept = matches!(self.past, Past::Asked | Past::Spoiled) || self.parks.are_to_call();
        let mut calls = self.calls.values().filter(|call| call.interacts()).peekable();
        !kept && calls.peek().is_some() && calls.all(|call| call.given_up)
    }

    /// Whether a call waits for its client.
    pub(super) fn is_parked(&self) -> bool {
        self.parks.wait()
    }

    /// Whether the process can take no call any more to which it may ask something.
    pub(super) fn is_spoiled(&self) -> bool {
        self.past == Past::Spoiled
    }

    /// Whether somebody may come back for the answer to a call.
    pub(super) fn is_awaited(&self) -> bool {
        !self.parks.is_empty()
    }

    /// A client asks.
    pub(super) fn request(
        &mut self,
        Request { client, exchange, message }: &Request,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let (client, exchange) = (*client, *exchange);
        let id = message.id().unwrap_or_default();
        let refuse = |error: &RpcError, out: &mut Vec<Output>| {
            out.push(Output::Answer { client, exchange, message: error.to_line(Some(id)), failed: true });
        };
        let claim = match Claim::read(message.body()) {
            Ok(claim) => claim,
            Err(error) => return refuse(&error, out),
        };
        if let Some(visitor) = self.clients.get_mut(&client) {
            visitor.capabilities = claim.capabilities;
        }
        let level = claim.log_level.as_deref().map(|level| Level::read(level).ok_or_else(Level::unknown));
        let waiter = match level.transpose() {
            Ok(level) => Waiter::new(client, exchange, message, level),
            Err(error) => return refuse(&error, out),
        };
        match message.method() {
            "server/discover" => {
                let result = discover::result(opened);
                waiter.answer(super::stage::response(id, &result), false, out);
            }
            "subscriptions/listen" => self.listen(waiter, message, opened, out, down),
            method if is_gone(method) => {
                let error = RpcError::new(Code::MethodNotFound, format!("2026-07-28 has no {method}"));
                refuse(&error, out);
            }
            method if may_ask(method) && origin::state(message.body()).is_some() => {
                self.come_back(waiter, message, opened, now, out, down);
            }
            method if self.asks && may_ask(method) && !self.held.is_empty() => {
                let origin = self.origin(&waiter, method, translate::params(message.body()));
                self.ask_first(&waiter, origin, now, out);
            }
            _ => self.call(waiter, message, opened, down),
        }
    }

    /// A client is gone: what it asked and did not park is given up.
    ///
    /// 2026-07-28, basic/transports/streamable-http: "Closing the SSE response stream MUST be treated by the server as
    /// cancellation of that request."
    pub(super) fn gone(&mut self, client: ClientKey, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let Some(visitor) = self.clients.remove(&client) else { return };
        self.unlisten(client, down);
        let waits = |call: &Call| call.waiter.as_ref().is_some_and(|waiter| waiter.client == client);
        if let Some(key) = visitor.call.filter(|key| self.calls.get(key).is_some_and(waits)) {
            self.give_up(key, out, down);
        }
    }

    /// The server says something.
    pub(super) fn hear(
        &mut self,
        up: Up,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        match up {
            Up::Answer { exchange, message } if self.calls.contains_key(&exchange) => {
                if is_time_out(&message) && self.calls[&exchange].may_be_asked {
                    self.leave_behind();
                }
                self.answered(exchange, &message, opened, now, out);
            }
            Up::Answer { exchange, message } => self.subscribed(exchange, &message, out),
            Up::Silence(exchange) => {
                if self.calls.remove(&exchange).is_some_and(|call| call.may_be_asked) {
                    self.leave_behind();
                }
            }
            Up::Said { message, class: Class::Question, .. }
                if matches!(self.past, Past::Muted | Past::Spoiled) =>
            {
                self.hush(&message, down);
            }
            Up::Said { to: Addressee::Exchange(exchange), message, class: Class::Question } => {
                self.past = Past::Asked;
                self.asked(exchange, &message, now, out, down);
            }
            Up::Said { to: Addressee::Exchange(exchange), message, class } => {
                self.said(exchange, &message, class, out);
            }
            Up::Said { to: Addressee::Announcement, message, .. } => self.announced(&message, out),
            Up::Said { to: Addressee::Anyone, message, class: Class::Question } => {
                self.past = Past::Asked;
                self.held.push(Question::read(&message));
            }
            Up::Said { message, .. } if message.method() == "notifications/cancelled" => {
                self.release(&message);
            }
            Up::Said { .. } => out.push(Output::Dropped(Dropped::Unattributable)),
        }
    }

    /// The process was told that nobody wants a call any more, and may work on it all the same. What it asks then would be
    /// taken for a question of the next call. One that never asks is kept for all that: to replace it would lose what it
    /// knows of its clients with every call that one of them breaks off.
    fn leave_behind(&mut self) {
        self.past = match self.past {
            Past::Silent | Past::Muted => Past::Muted,
            Past::Asked | Past::Spoiled => Past::Spoiled,
        };
    }

    /// It asks something after all. Nobody can tell for which call: it is refused, and replaced when it is idle.
    fn hush(&mut self, message: &Message, down: &mut Vec<Down>) {
        self.past = Past::Spoiled;
        let error = RpcError::new(
            Code::MethodNotFound,
            "this may belong to a call that was given up: its client cannot be asked",
        );
        down.push(Down::Notice(error.to_line(message.id())));
    }

    /// The process is gone, and with it what it wanted to know.
    pub(super) fn exited(&mut self) {
        if self.past != Past::Spoiled {
            self.past = Past::Silent;
        }
        self.held.clear();
        self.parks.forget_questions();
    }

    /// Another process is open in its place.
    pub(super) fn renewed(&mut self) {
        self.past = Past::Silent;
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        self.tick_parks(now, out, down);
    }

    /// The session is over: subscriptions end, and nobody can come back.
    pub(super) fn end(&mut self, error: &RpcError, out: &mut Vec<Output>) {
        self.end_listens(out);
        for call in std::mem::take(&mut self.calls).into_values() {
            if let Some(waiter) = call.waiter {
                waiter.answer(error.to_line(Some(&waiter.id)), true, out);
            }
        }
        for state in self.parks.clear() {
            out.push(Output::Unparked(state));
        }
    }

    /// What lasts for ever ends now: subscriptions, and calls whose client may never come back.
    pub(super) fn drain(&mut self, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        self.end_listens(out);
        let parked = self.calls.iter().filter(|(_, call)| call.waiter.is_none() && !call.given_up);
        for key in parked.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.give_up(key, out, down);
        }
        for state in self.parks.clear() {
            out.push(Output::Unparked(state));
        }
    }

    /// Passes a request on, once the server logs as much as it wants.
    fn call(&mut self, waiter: Waiter, message: &Message, opened: Option<&Opened>, down: &mut Vec<Down>) {
        self.raise_level(waiter.level, opened, down);
        let origin = self.origin(&waiter, message.method(), translate::params(message.body()));
        self.pass(waiter, origin, down);
    }

    /// Passes a call on to the server.
    fn pass(&mut self, waiter: Waiter, origin: Origin, down: &mut Vec<Down>) {
        let key = waiter.exchange;
        let line = request(key, &origin.method, &origin.params);
        if let Some(visitor) = self.clients.get_mut(&waiter.client) {
            visitor.call = Some(key);
        }
        let may_be_asked = self.asks && may_ask(&origin.method);
        self.calls.insert(key, Call::new(waiter, origin, may_be_asked));
        down.push(Down::Request { exchange: key, line });
    }

    /// Lets the server log as much as the most curious request in flight wants. What a request did not ask for, it does not
    /// get; so the level need not fall again before somebody asks for logs.
    fn raise_level(&mut self, wanted: Option<Level>, opened: Option<&Opened>, down: &mut Vec<Down>) {
        let Some(wanted) = wanted else { return };
        if !opened.is_some_and(|opened| opened.capabilities.contains_key("logging")) {
            return;
        }
        let others = self.calls.values().filter_map(|call| call.waiter.as_ref()?.level);
        let level = others.fold(wanted, Level::min);
        if self.level != Some(level) {
            self.level = Some(level);
            let exchange = self.own_exchange();
            let params = format!(r#"{{"level":"{}"}}"#, level.name());
            down.push(Down::Request { exchange, line: request(exchange, "logging/setLevel", &params) });
        }
    }

    /// Nobody wants a call any more. What it asked is answered, and what it does is cancelled.
    fn give_up(&mut self, key: ExchangeKey, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        for state in self.parks.forget(key) {
            out.push(Output::Unparked(state));
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.finished.is_some() {
            self.calls.remove(&key);
            return;
        }
        call.waiter = None;
        call.given_up = true;
        for question in std::mem::take(&mut call.questions).into_values() {
            down.push(Down::Notice(question.cancelled()));
        }
        down.push(Down::Cancel(key));
    }

    fn own_exchange(&mut self) -> ExchangeKey {
        self.minted += 1;
        own_exchange(u64::MAX, self.minted)
    }
}

/// Methods of the legacy era that the modern one has removed, and those of tasks, which are not bridged.
///
/// 2026-07-28, changelog: `ping`, `logging/setLevel`, `resources/subscribe`, `resources/unsubscribe` are removed.
fn is_gone(method: &str) -> bool {
    matches!(
        method,
        "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
    ) || method.starts_with("tasks/")
}

/// Whether a request was answered because the server did not: it may still work on it.
fn is_time_out(message: &Message) -> bool {
    message.error_code() == Some(Code::RequestTimeout.number())
}

/// A notification of the server that goes to a request's stream.
fn to_exchange(client: ClientKey, exchange: ExchangeKey, message: Bytes, class: Class) -> Output {
    Output::ToClient { client, to: Addressee::Exchange(exchange), message, class }
}
