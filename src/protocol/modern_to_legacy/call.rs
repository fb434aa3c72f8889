//! A modern client's request on its way through a legacy server, and its answer.

use super::super::level::Level;
use super::super::stage::response;
use super::super::{Class, ClientKey, ExchangeKey, Opened, Output};
use super::origin::{Origin, Principal};
use super::question::Question;
use super::{ModernToLegacy, to_exchange, translate};
use crate::wire::meta::{find, find_string, progress_token};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// Progress and log lines that wait for the client of a parked call: so many, of so many bytes together.
const KEPT_NOTES: usize = 64;
const KEPT_BYTES: usize = 1 << 20;

/// A request under way.
#[derive(Debug)]
pub(super) struct Call {
    /// Who waits for the answer; nobody while it is parked.
    pub(super) waiter: Option<Waiter>,
    pub(super) origin: Origin,
    /// The server may ask something because of it.
    pub(super) may_be_asked: bool,
    /// The progress token that the server's progress comes under: that of the first try.
    token: Option<Box<str>>,
    /// Questions without an answer, by the keys that the client knows them by.
    pub(super) questions: BTreeMap<Box<str>, Question>,
    /// Questions so far.
    pub(super) asked: u32,
    pub(super) rounds: u32,
    /// The client is asked then, with all that has come by that time.
    pub(super) ask_at: Option<Instant>,
    /// What came while nobody was there.
    notes: VecDeque<(Bytes, Class)>,
    /// The server has answered while nobody was there: the response, and whether it is an error.
    pub(super) finished: Option<(Bytes, bool)>,
    /// What its client would have had to declare for the server to ask what it wanted to.
    pub(super) lacks: Map<String, Value>,
    /// Nobody wants it any more.
    pub(super) given_up: bool,
}

/// Who waits for the answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) client: ClientKey,
    pub(super) exchange: ExchangeKey,
    /// The id as the client wrote it.
    pub(super) id: Box<str>,
    pub(super) token: Option<Box<str>>,
    /// The log lines that it wants.
    pub(super) level: Option<Level>,
}

impl Waiter {
    pub(super) fn new(
        client: ClientKey,
        exchange: ExchangeKey,
        message: &Message,
        level: Option<Level>,
    ) -> Self {
        let token = progress_token(message.body()).map(Into::into);
        Self { client, exchange, id: message.id().unwrap_or("null").into(), token, level }
    }

    /// Answers the request.
    pub(super) fn answer(&self, message: Bytes, failed: bool, out: &mut Vec<Output>) {
        out.push(Output::Answer { client: self.client, exchange: self.exchange, message, failed });
    }

    /// Refuses it with an error of the router's own.
    pub(super) fn refuse(&self, error: &RpcError, out: &mut Vec<Output>) {
        self.answer(error.to_line(Some(&self.id)), true, out);
    }
}

impl Call {
    pub(super) fn new(waiter: Waiter, origin: Origin, may_be_asked: bool) -> Self {
        Self {
            token: waiter.token.clone(),
            waiter: Some(waiter),
            origin,
            may_be_asked,
            questions: BTreeMap::new(),
            asked: 0,
            rounds: 0,
            ask_at: None,
            notes: VecDeque::new(),
            finished: None,
            lacks: Map::new(),
            given_up: false,
        }
    }

    /// Whether the server may still ask because of it.
    pub(super) fn interacts(&self) -> bool {
        self.may_be_asked && self.finished.is_none()
    }

    /// What it is called in an error: the tool, or the method.
    fn name(&self) -> String {
        match find_string(&self.origin.params, &["name"]) {
            Some(name) if &*self.origin.method == "tools/call" => format!("the tool {name:?}"),
            _ => self.origin.method.to_string(),
        }
    }
}

impl ModernToLegacy {
    pub(super) fn origin(&self, waiter: &Waiter, method: &str, params: String) -> Origin {
        let visitor = self.clients.get(&waiter.client);
        let said = visitor.map(|visitor| (visitor.principal.clone(), visitor.capabilities.clone()));
        let (principal, capabilities) = said.unwrap_or_else(|| (Principal::anyone(), Map::new()));
        Origin { principal, capabilities, method: method.into(), params: params.into() }
    }

    /// The server has answered a call, or the router in its place.
    pub(super) fn answered(
        &mut self,
        key: ExchangeKey,
        message: &Message,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.questions.clear();
        call.ask_at = None;
        let mut failed = message.kind() == Kind::Error;
        let code = find(message.body(), &["code"]).filter(|_| failed);
        if code.and_then(|code| code.parse().ok()) == Some(translate::URL_ELICITATION_REQUIRED) {
            return self.url_required(key, message, now, out);
        }
        let id = call.waiter.as_ref().map_or("null", |waiter| &waiter.id);
        let line = match code {
            Some(_) if !call.lacks.is_empty() => missing_capability(call, message).to_line(Some(id)),
            Some("-32601") if needs_task(call, opened) => {
                let reason = format!(
                    "{} runs only as a task of 2025-11-25, which a client of 2026-07-28 cannot start: use a client of 2025-11-25, or a server of 2026-07-28",
                    call.name()
                );
                RpcError::new(Code::ProtocolError, reason).to_line(Some(id))
            }
            Some(code) => {
                let error = translate::error(message.body(), code);
                format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into()
            }
            None => {
                let server = opened.and_then(Opened::server_info);
                let result = translate::result(&call.origin.method, message.body(), server);
                failed = result.is_none();
                result.map_or_else(|| not_a_result(call).to_line(Some(id)), |result| response(id, &result))
            }
        };
        self.deliver(key, line, failed, now, out);
    }

    /// Gives the response to who waits for it, or keeps it until somebody comes back.
    fn deliver(&mut self, key: ExchangeKey, line: Bytes, failed: bool, now: Instant, out: &mut Vec<Output>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(waiter) = call.waiter.take() else {
            if call.given_up {
                self.calls.remove(&key);
            } else {
                call.finished = Some((line, failed));
            }
            return;
        };
        let forgotten = self.parks.spend(key, &call.origin, &line, failed, now);
        out.extend(forgotten.into_iter().map(Output::Unparked));
        self.calls.remove(&key);
        waiter.answer(line, failed, out);
    }

    /// The server notifies about a call: its progress, or a log line.
    pub(super) fn said(&mut self, key: ExchangeKey, message: &Message, class: Class, out: &mut Vec<Output>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match message.method() {
            "notifications/cancelled" => return self.withdrawn(key, message, out),
            // 2026-07-28, client/elicitation: there is no such notification any more.
            "notifications/elicitation/complete" => return,
            _ => {}
        }
        let Some(waiter) = &call.waiter else {
            let bytes: usize = call.notes.iter().map(|(line, _)| line.len()).sum();
            let room = call.notes.len() < KEPT_NOTES && bytes + message.raw().len() <= KEPT_BYTES;
            if room && !call.given_up {
                call.notes.push_back((message.raw().clone(), class));
            }
            return;
        };
        if let Some(line) = note(call.token.as_deref(), waiter, message) {
            out.push(to_exchange(waiter.client, waiter.exchange, line, class));
        }
    }

    /// Somebody waits for a parked call again: it is told what came meanwhile.
    pub(super) fn tell_notes(&mut self, key: ExchangeKey, out: &mut Vec<Output>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(waiter) = &call.waiter else { return };
        for (line, class) in std::mem::take(&mut call.notes) {
            let Ok(message) = Message::own(line) else { continue };
            if let Some(line) = note(call.token.as_deref(), waiter, &message) {
                out.push(to_exchange(waiter.client, waiter.exchange, line, class));
            }
        }
    }
}

/// A notification as this client gets it; nothing if it did not ask for such.
///
/// 2026-07-28, server/utilities/logging: "The server MUST NOT emit `notifications/message` for a request that does not
/// include this field."
fn note(first: Option<&str>, waiter: &Waiter, message: &Message) -> Option<Bytes> {
    match message.method() {
        "notifications/message" => {
            let wanted = waiter.level?;
            Level::of(message).is_none_or(|level| level >= wanted).then(|| message.raw().clone())
        }
        "notifications/progress" => {
            let token = waiter.token.as_deref()?;
            if first == Some(token) {
                return Some(message.raw().clone());
            }
            let written = find(message.body(), &["progressToken"])?;
            Some(message.spliced("", Some((written, token))))
        }
        _ => Some(message.raw().clone()),
    }
}

/// 2026-07-28, basic/index: "If processing a request requires a capability the client did not include [...], the server MUST
/// return a `MissingRequiredClientCapabilityError` (`-32021`) whose `data.requiredCapabilities` lists the missing
/// capabilities." Here it was required only if the call has failed without.
fn missing_capability(call: &Call, message: &Message) -> RpcError {
    let said = find_string(message.body(), &["message"]).unwrap_or_default();
    let error = RpcError::new(
        Code::MissingCapability,
        format!("{} needs client capabilities that the request has not declared: {said}", call.name()),
    );
    error.with("requiredCapabilities", call.lacks.clone())
}

/// 2026-07-28, basic/index: "The `result` MAY follow any JSON object structure."
fn not_a_result(call: &Call) -> RpcError {
    RpcError::new(Code::ProtocolError, format!("{}: the server's result is no object", call.name()))
}

/// 2025-11-25, basic/utilities/tasks: "If [`taskSupport` is] `"required"`, clients MUST invoke the tool as a task. Servers MUST
/// return a `-32601` (Method not found) error if a client does not attempt to do so."
fn needs_task(call: &Call, opened: Option<&Opened>) -> bool {
    let has = |key: &str| opened.is_some_and(|opened| opened.capabilities.contains_key(key));
    &*call.origin.method == "tools/call" && has("tools") && has("tasks")
}
