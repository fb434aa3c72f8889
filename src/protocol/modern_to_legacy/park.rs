//! Calls that wait for their client: what was asked, and by what the client is known when it comes back.
//!
//! A legacy server's question does not name the call that it belongs to, so there is one call at a time in a process that
//! may ask. It is the mount that lets only one in.

use super::super::inflight::can_be_asked;
use super::super::stage::{Down, response};
use super::super::{Dropped, ExchangeKey, Output};
use super::ModernToLegacy;
use super::call::Waiter;
use super::origin::Origin;
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Message, Object, RpcError};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Questions that come within this time are asked together.
const TOGETHER: Duration = Duration::from_millis(30);

/// A client that does not come back within this time will not.
pub(super) const PARKED: Duration = Duration::from_mins(10);

/// An answer is kept so long for a client that comes again because it was lost.
const KEPT: Duration = Duration::from_mins(1);

/// A call that is asked more often than this does not end by itself.
const MOST_ROUNDS: u32 = 10;

/// A question of the server that the client has not answered.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The id by which the server knows it.
    id: Box<str>,
    pub(super) method: Box<str>,
    params: Box<str>,
}

/// What clients may come back for, by the `requestState` that they were given.
#[derive(Debug, Default)]
pub(super) struct Parks(HashMap<Box<str>, Park>);

/// What a `requestState` stands for.
#[derive(Debug)]
pub(super) enum Park {
    /// A call that waits for its client.
    Waits { call: ExchangeKey, until: Instant },
    /// Its client has come back and waits for the answer.
    Goes { call: ExchangeKey },
    /// It was answered; the answer is kept in case it was lost.
    Spent { origin: Origin, line: Bytes, failed: bool, until: Instant },
    /// The server is to be called, or called again, by a call of this origin; before that, it gets answers to what it asked
    /// without a call.
    Again { origin: Origin, first: BTreeMap<Box<str>, Question>, until: Instant },
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
    fn to_json(&self) -> String {
        let mut params = Object::read(&self.params).unwrap_or_default();
        params.remove("task");
        params.remove("elicitationId");
        let meta = params.get("_meta").map(str::to_owned);
        if let Some(mut meta) = meta.as_deref().and_then(Object::read) {
            meta.remove("progressToken");
            if meta.is_empty() {
                params.remove("_meta");
            } else {
                params.set("_meta", meta.to_json());
            }
        }
        let method = Value::from(&*self.method);
        if params.is_empty() && &*self.method == "roots/list" {
            return format!(r#"{{"method":{method}}}"#);
        }
        format!(r#"{{"method":{method},"params":{}}}"#, params.to_json())
    }
}

impl Parks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody may come back to make a call.
    pub(super) fn are_to_call(&self) -> bool {
        self.0.values().any(|park| matches!(park, Park::Again { .. }))
    }

    pub(super) fn get(&self, state: &str) -> Option<&Park> {
        self.0.get(state)
    }

    pub(super) fn insert(&mut self, state: Box<str>, park: Park) {
        self.0.insert(state, park);
    }

    pub(super) fn remove(&mut self, state: &str) -> Option<Park> {
        self.0.remove(state)
    }

    /// Forgets everything; what was known is returned.
    pub(super) fn clear(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.0).into_keys().collect()
    }

    /// Forgets a call; by what it was known is returned.
    pub(super) fn forget(&mut self, key: ExchangeKey) -> Vec<Box<str>> {
        let is_it = |park: &Park| match park {
            Park::Waits { call, .. } | Park::Goes { call } => *call == key,
            Park::Spent { .. } | Park::Again { .. } => false,
        };
        let states: Vec<_> =
            self.0.iter().filter(|(_, park)| is_it(park)).map(|(state, _)| state.clone()).collect();
        for state in &states {
            self.0.remove(state);
        }
        states
    }

    /// A question that came without a call is withdrawn.
    fn release(&mut self, id: &str) {
        for park in self.0.values_mut() {
            if let Park::Again { first, .. } = park {
                first.retain(|_, question| *question.id != *id);
            }
        }
    }

    /// Nobody wants answers any more to what was asked without a call.
    pub(super) fn forget_questions(&mut self) {
        for park in self.0.values_mut() {
            if let Park::Again { first, .. } = park {
                first.clear();
            }
        }
    }

    /// A call is over that its client was to come back to: when it does, it is to be made again.
    fn call_again(&mut self, key: ExchangeKey, origin: &Origin) {
        for park in self.0.values_mut() {
            if let Park::Waits { call, until } = park
                && *call == key
            {
                *park = Park::Again { origin: origin.clone(), first: BTreeMap::new(), until: *until };
            }
        }
    }

    /// Keeps the answer to a client that had come back for it.
    pub(super) fn spend(
        &mut self,
        key: ExchangeKey,
        origin: &Origin,
        line: &Bytes,
        failed: bool,
        now: Instant,
    ) {
        for park in self.0.values_mut() {
            if matches!(park, Park::Goes { call } if *call == key) {
                *park = Park::Spent { origin: origin.clone(), line: line.clone(), failed, until: now + KEPT };
            }
        }
    }

    /// What nobody will come back for: states to forget, and calls to give up.
    fn overdue(&self, now: Instant) -> (Vec<Box<str>>, BTreeSet<ExchangeKey>) {
        let (mut states, mut calls) = (Vec::new(), BTreeSet::new());
        for (state, park) in &self.0 {
            match park {
                Park::Waits { call, until } if now >= *until => drop(calls.insert(*call)),
                Park::Spent { until, .. } | Park::Again { until, .. } if now >= *until => {
                    states.push(state.clone());
                }
                _ => {}
            }
        }
        (states, calls)
    }
}

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
        self.parks.spend(key, &call.origin, &line, false, now);
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
        self.parks.spend(key, &call.origin, &line, false, now);
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
        self.parks.spend(key, &call.origin, &line, failed, now);
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

fn input_required(id: &str, questions: &str, state: &str) -> Bytes {
    let state = Value::from(state);
    response(
        id,
        &format!(r#"{{"resultType":"input_required","inputRequests":{questions},"requestState":{state}}}"#),
    )
}

/// The capability that a client must have declared to be asked this.
fn needed(method: &str, params: &str) -> Option<(&'static str, Value)> {
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
fn short(method: &str) -> &str {
    method.split('/').next().unwrap_or_default()
}
