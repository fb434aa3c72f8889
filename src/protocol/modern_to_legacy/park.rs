//! Calls that wait for their client: what was asked, and by what the client is known when it comes back.
//!
//! A legacy server's question does not name the call that it belongs to, so there is one call at a time in a process that
//! may ask. It is the mount that lets only one in.

use super::super::inflight::can_be_asked;
use super::super::stage::Down;
use super::super::{Dropped, ExchangeKey, Output};
use super::ModernToLegacy;
use super::call::Waiter;
use super::origin::Origin;
use super::parks::Park;
use super::question::{Question, input_required, needed, short};
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Message, Object, RpcError};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Questions that come within this time are asked together.
const TOGETHER: Duration = Duration::from_millis(30);

/// A client that does not come back within this time will not.
pub(super) const PARKED: Duration = Duration::from_mins(10);

/// A call that is asked more often than this does not end by itself.
const MOST_ROUNDS: u32 = 10;

impl ModernToLegacy {
    /// The server asks something because of a call.
    pub(super) fn asked(
        &mut self,
        key: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let id = message.id().unwrap_or("null");
        let method = message.method();
        let can_be_asked = can_be_asked(&self.capabilities, method, message.body());
        let mut call = self.calls.get_mut(&key).filter(|call| !call.given_up);
        if let Some(call) = call.as_mut().filter(|_| !can_be_asked) {
            call.lacks.extend(needed(method, message.body()).map(|(name, what)| (name.to_owned(), what)));
        }
        let Some(call) = call.filter(|call| can_be_asked && call.may_be_asked) else {
            // 2026-07-28, basic/patterns/mrtr: `inputRequests` "values are request objects that MUST be one of" three, and
            // "Servers MUST NOT send an `inputRequests` that the client has not declared support for in its capabilities."
            let error =
                RpcError::new(Code::MethodNotFound, "a client of 2026-07-28 cannot be asked this here");
            return down.push(Down::Notice(error.to_line(Some(id))));
        };
        call.asked += 1;
        let question = Question::read(message);
        call.questions.insert(format!("{}-{}", short(method), call.asked).into(), question);
        if call.ask_at.is_none() {
            call.ask_at = Some(now + TOGETHER);
            out.push(Output::Wake(now + TOGETHER));
        }
    }

    /// The server wants no answer to a question any more.
    pub(super) fn withdrawn(&mut self, key: ExchangeKey, message: &Message, out: &mut Vec<Output>) {
        let Some(id) = find(message.body(), &["requestId"]) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let before = call.questions.len();
        call.questions.retain(|_, question| *question.id != *id);
        if call.questions.len() == before {
            out.push(Output::Dropped(Dropped::UnknownQuestion));
        }
    }

    pub(super) fn tick_parks(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let due: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, call)| call.ask_at.is_some_and(|at| now >= at))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.park(key, now, out, down);
        }
        if self.parks.is_empty() {
            return;
        }
        let (states, calls) = self.parks.overdue(now);
        for state in states {
            if let Some(Park::Again { first, .. }) = self.parks.remove(&state) {
                // The next client is asked.
                self.held.extend(first.into_values());
            }
            out.push(Output::Unparked(state));
        }
        for key in calls {
            let finished = self.calls.get(&key).is_some_and(|call| call.finished.is_some());
            if finished {
                self.calls.remove(&key);
                out.extend(self.parks.forget(key).into_iter().map(Output::Unparked));
            } else {
                self.give_up(key, out, down);
            }
        }
    }

    /// Asks the client all that is open, which ends its request; the call waits for it to come back.
    ///
    /// 2026-07-28, basic/patterns/mrtr: "Servers MAY respond to any supported client request with an
    /// `InputRequiredResult`."
    pub(super) fn park(
        &mut self,
        key: ExchangeKey,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.ask_at = None;
        if call.questions.is_empty() || call.waiter.is_none() {
            // Withdrawn meanwhile; or more questions to a client that will see them when it comes back.
            return;
        }
        call.rounds += 1;
        let Some(waiter) = call.waiter.take() else { return };
        let state = if call.rounds > MOST_ROUNDS {
            let why = "the server asked again and again, and did not answer";
            Err(RpcError::new(Code::InternalError, why))
        } else {
            self.secrets.mint().ok_or_else(no_secret)
        };
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                waiter.refuse(&error, out);
                return self.give_up(key, out, down);
            }
        };
        let mut questions = Object::default();
        for (key, question) in &call.questions {
            questions.set(key, question.to_json());
        }
        let line = input_required(&waiter.id, &questions.to_json(), &state);
        let forgotten = self.parks.spend(key, &call.origin, &line, false, now);
        out.extend(forgotten.into_iter().map(Output::Unparked));
        self.parks.insert(state.clone(), Park::Waits { call: key, until: now + PARKED });
        down.push(Down::Hold(key, true));
        out.push(Output::Parked(state));
        waiter.answer(line, false, out);
    }

    /// The server wants its user to visit a URL before the call is made again: that call is over.
    pub(super) fn url_required(
        &mut self,
        key: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(call) = self.calls.remove(&key) else { return };
        let Some(waiter) = call.waiter else { return self.parks.call_again(key, &call.origin) };
        let mut questions = Object::default();
        let urls = find(message.body(), &["data", "elicitations"]).and_then(items).unwrap_or_default();
        for (n, url) in urls.into_iter().enumerate() {
            let question =
                Question { id: "null".into(), method: "elicitation/create".into(), params: url.into() };
            questions.set(&format!("url-{}", n + 1), question.to_json());
        }
        let can_visit = can_be_asked(&self.capabilities, "elicitation/create", r#"{"mode":"url"}"#);
        if questions.is_empty() || !call.may_be_asked || !can_visit {
            let said = find_string(message.body(), &["message"]).unwrap_or_default();
            let required = json!({ "elicitation": { "url": {} } });
            let error = RpcError::new(
                Code::MissingCapability,
                format!("the client must be able to visit a URL: {said}"),
            );
            return waiter.refuse(&error.with("requiredCapabilities", required), out);
        }
        let Some(state) = self.secrets.mint() else { return waiter.refuse(&no_secret(), out) };
        let line = input_required(&waiter.id, &questions.to_json(), &state);
        let forgotten = self.parks.spend(key, &call.origin, &line, false, now);
        out.extend(forgotten.into_iter().map(Output::Unparked));
        self.parks.insert(
            state.clone(),
            Park::Again { origin: call.origin, first: BTreeMap::new(), until: now + PARKED },
        );
        out.push(Output::Parked(state));
        waiter.answer(line, false, out);
    }

    /// Asks a client what the server wanted to know without a call, before its own call is made.
    pub(super) fn ask_first(&mut self, waiter: &Waiter, origin: Origin, now: Instant, out: &mut Vec<Output>) {
        let Some(state) = self.secrets.mint() else { return waiter.refuse(&no_secret(), out) };
        let mut questions = Object::default();
        let mut first = BTreeMap::new();
        for (n, question) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let key = format!("{}-{n}", short(&question.method));
            questions.set(&key, question.to_json());
            first.insert(key.into(), question);
        }
        let line = input_required(&waiter.id, &questions.to_json(), &state);
        self.parks.insert(state.clone(), Park::Again { origin, first, until: now + PARKED });
        out.push(Output::Parked(state));
        waiter.answer(line, false, out);
    }

    /// The server does not want to know any more what it asked without a call.
    pub(super) fn release(&mut self, message: &Message) {
        let Some(id) = find(message.body(), &["requestId"]) else { return };
        self.held.retain(|question| *question.id != *id);
        self.parks.release(id);
    }

    pub(super) fn finished(
        &mut self,
        key: ExchangeKey,
        waiter: &Waiter,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(call) = self.calls.remove(&key) else { return };
        let Some((line, failed)) = call.finished else { return };
        let line = Message::own(line.clone()).map_or(line, |message| message.with_id(&waiter.id));
        let forgotten = self.parks.spend(key, &call.origin, &line, failed, now);
        out.extend(forgotten.into_iter().map(Output::Unparked));
        waiter.answer(line, failed, out);
    }
}

/// Without random numbers a call could be another's.
fn no_secret() -> RpcError {
    RpcError::new(
        Code::InternalError,
        "the system has no random numbers: this call cannot wait for its client",
    )
}
