//! A client comes back to its call, with answers to what it was asked.

use super::super::stage::Down;
use super::super::{ExchangeKey, Opened, Output};
use super::ModernToLegacy;
use super::call::{Call, Waiter};
use super::origin::{Origin, state};
use super::parks::Park;
use super::question::Question;
use super::translate;
use crate::wire::meta::find;
use crate::wire::{Code, Message, Object, RpcError};
use std::collections::BTreeMap;
use std::time::Instant;

/// What is to be done about who comes back.
enum Step {
    /// The answer is there already.
    Repeat(bytes::Bytes, bool),
    /// The call goes on with these answers.
    Go(ExchangeKey),
    /// The server is called, for the first time or again.
    Again,
    Refuse(RpcError),
}

impl ModernToLegacy {
    /// A request with a `requestState` of ours.
    ///
    /// 2026-07-28, basic/patterns/mrtr: "servers MUST treat `requestState` as an attacker-controlled input". It is the name
    /// of an entry here, and what the entry holds must fit the request.
    pub(super) fn come_back(
        &mut self,
        waiter: Waiter,
        message: &Message,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let state = state(message.body()).unwrap_or_default();
        let origin = self.origin(&waiter, message.method(), translate::params(message.body()));
        match self.step(&state, &origin) {
            Step::Repeat(line, failed) => {
                let line = Message::own(line.clone()).map_or(line, |message| message.with_id(&waiter.id));
                waiter.answer(line, failed, out);
            }
            Step::Go(key) => {
                if self.calls.get(&key).is_some_and(Call::interacts) {
                    self.raise_level(waiter.level, opened, down);
                }
                self.go_on(key, waiter, message, now, out, down);
            }
            Step::Again => {
                self.raise_level(waiter.level, opened, down);
                self.call_again(waiter, &state, message, origin, out, down);
            }
            Step::Refuse(error) => waiter.refuse(&error, out),
        }
    }

    fn step(&self, state: &str, origin: &Origin) -> Step {
        let fits = |known: &Origin| known.is(origin);
        match self.parks.get(state) {
            Some(Park::Spent { origin, line, failed, .. }) if fits(origin) => {
                Step::Repeat(line.clone(), *failed)
            }
            Some(Park::Again { origin, .. }) if fits(origin) => Step::Again,
            Some(Park::Waits { call, .. }) if self.calls.get(call).is_some_and(|call| fits(&call.origin)) => {
                Step::Go(*call)
            }
            Some(Park::Goes { call }) if self.calls.get(call).is_some_and(|call| fits(&call.origin)) => {
                Step::Refuse(invalid_state("this call is being answered already"))
            }
            // Who is not meant is told the same as who has made it up.
            _ => Step::Refuse(lost()),
        }
    }

    /// Makes the call of which only the questions before it are answered.
    fn call_again(
        &mut self,
        waiter: Waiter,
        state: &str,
        message: &Message,
        origin: Origin,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let answers = match answers(message) {
            Ok(answers) => answers,
            Err(error) => return waiter.refuse(&error, out),
        };
        let Some(Park::Again { first, .. }) = self.parks.get(state) else { return };
        if let Err(error) = check_all(first, &answers) {
            return waiter.refuse(&error, out);
        }
        let Some(Park::Again { first, .. }) = self.parks.remove(state) else { return };
        out.push(Output::Unparked(state.into()));
        for (name, question) in first {
            // Without an answer the server still must not wait for one.
            let answer =
                answers.get(&name).map_or_else(|| question.cancelled(), |answer| question.answered(answer));
            down.push(Down::Notice(answer));
        }
        self.pass(waiter, origin, down);
    }

    fn go_on(
        &mut self,
        key: ExchangeKey,
        waiter: Waiter,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let answers = match answers(message) {
            Ok(answers) => answers,
            Err(error) => return waiter.refuse(&error, out),
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Err(error) = check_all(&call.questions, &answers) {
            return waiter.refuse(&error, out);
        }
        let state = state(message.body()).unwrap_or_default();
        self.parks.insert(state.into(), Park::Goes { call: key });
        if let Some(visitor) = self.clients.get_mut(&waiter.client) {
            visitor.call = Some(key);
        }
        if call.finished.is_some() {
            call.waiter = Some(waiter.clone());
            self.tell_notes(key, out);
            return self.finished(key, &waiter, now, out);
        }
        call.questions.retain(|name, question| match answers.get(name) {
            Some(answer) => {
                down.push(Down::Notice(question.answered(answer)));
                false
            }
            None => true,
        });
        call.waiter = Some(waiter);
        down.push(Down::Hold(key, false));
        self.tell_notes(key, out);
        // 2026-07-28, basic/patterns/mrtr: "the server SHOULD respond with a new `InputRequiredResult` requesting the missing
        // information again, rather than returning an error."
        self.park(key, now, out, down);
    }
}

/// There is no call to go on with.
pub fn lost() -> RpcError {
    invalid_state("there is no such call any more, or it was another's: call again without requestState")
}

fn invalid_state(message: &'static str) -> RpcError {
    RpcError::new(Code::InvalidParams, message).with("reason", "invalid_request_state")
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> RpcError {
    RpcError::new(Code::InvalidParams, message)
}

/// The `inputResponses` of a request.
fn answers(message: &Message) -> Result<Object<'_>, RpcError> {
    match find(message.body(), &["inputResponses"]) {
        None => Ok(Object::default()),
        Some(raw) => Object::read(raw).ok_or_else(|| invalid("\"inputResponses\" must be an object")),
    }
}

fn check_all(questions: &BTreeMap<Box<str>, Question>, answers: &Object<'_>) -> Result<(), RpcError> {
    let answered = questions.iter().filter_map(|(name, question)| Some((name, question, answers.get(name)?)));
    answered.into_iter().try_for_each(|(name, question, answer)| check(&question.method, name, answer))
}

/// Whether an answer has the shape that answers to such questions have.
fn check(method: &str, name: &str, answer: &str) -> Result<(), RpcError> {
    let wrong = |what: &str| Err(invalid(format!("inputResponses[{name:?}] must {what}")));
    let Some(answer) = Object::read(answer) else { return wrong("be an object") };
    match method {
        "elicitation/create" => match answer.string("action").as_deref() {
            Some("accept" | "decline" | "cancel") => Ok(()),
            _ => wrong("have an \"action\": accept, decline or cancel"),
        },
        "sampling/createMessage" if answer.get("content").is_none() => wrong("have \"content\""),
        "roots/list" if answer.get("roots").is_none_or(|roots| !roots.starts_with('[')) => {
            wrong("have \"roots\"")
        }
        _ => Ok(()),
    }
}
