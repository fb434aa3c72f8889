//! A modern server's questions, put to a legacy client as requests, and the retry with the answers.

use super::super::stage::{Down, notification, request, response};
use super::super::{Addressee, Class, Dropped, ExchangeKey, Output};
use super::{Call, LegacyToModern};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Kind, Message, Object, Revision, RpcError};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A call that is asked more often than this does not end by itself.
const MOST_ROUNDS: u32 = 10;

/// Questions of one round.
const MOST_QUESTIONS: usize = 64;

/// A client that does not answer for so long has nobody who could.
const PATIENCE: Duration = Duration::from_mins(10);

/// A retry that needs no answers waits this long, so that it does not spin.
const PACE: Duration = Duration::from_millis(250);

/// Which question a client was put.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) exchange: ExchangeKey,
    key: Box<str>,
    is_elicitation: bool,
}

/// What the server wants before it goes on with a call.
#[derive(Debug)]
pub(super) struct Round {
    /// The raw `requestState`, to be given back to the letter.
    state: Option<Box<str>>,
    /// Answers by key; raw JSON.
    answers: BTreeMap<Box<str>, Box<str>>,
    /// Questions without answer.
    open: usize,
    /// No questions: the retry is made then. Else: the client has time until then.
    until: Instant,
}

impl LegacyToModern {
    /// The server answers a call with questions.
    ///
    /// 2026-07-28, basic/patterns/mrtr: "If a client receives an `InputRequiredResult` that contains the `inputRequests`
    /// field, the client MUST construct the requested inputs before retrying the original request."
    pub(super) fn input_required(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(call) = self.calls.get_mut(&exchange) else { return };
        call.rounds += 1;
        if call.rounds > MOST_ROUNDS {
            return self.abandon(exchange, "the server asked again and again, and did not answer", out);
        }
        let state = find(message.body(), &["requestState"]).filter(|state| state.starts_with('"'));
        let questions = find(message.body(), &["inputRequests"]).and_then(Object::read).unwrap_or_default();
        let count = questions.members().count();
        if count > MOST_QUESTIONS || (count == 0 && state.is_none()) {
            return self.abandon(
                exchange,
                "the server asked for input in a way that cannot be passed on",
                out,
            );
        }
        let refused = questions.members().find_map(|(_, question)| {
            let question = Question::read(question);
            (!self.profile.can_be_asked(&question.method, question.params)).then_some(question.method)
        });
        if let Some(method) = refused {
            let capability = method.split('/').next().unwrap_or_default();
            let reason = format!(
                "the server needs to ask the client ({method}), which has not declared the capability {capability:?}"
            );
            return self.abandon(exchange, &reason, out);
        }
        let until = now + if count == 0 { PACE } else { PATIENCE };
        let round = Round { state: state.map(Into::into), answers: BTreeMap::new(), open: count, until };
        if let Some(call) = self.calls.get_mut(&exchange) {
            call.round = Some(round);
        }
        if count == 0 {
            return out.push(Output::Wake(until));
        }
        for (key, question) in questions.members() {
            self.put(exchange, &key, &Question::read(question), out);
        }
    }

    /// Puts one question to the client, on the stream of the call that it is about.
    ///
    /// 2025-11-25, basic/transports: "These messages SHOULD relate to the originating client request."
    fn put(&mut self, exchange: ExchangeKey, key: &str, question: &Question<'_>, out: &mut Vec<Output>) {
        self.minted += 1;
        let id = format!("\"{}/{}\"", env!("CARGO_PKG_NAME"), self.minted);
        let method = &question.method;
        let params = question.for_client(self.profile.revision, &id);
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        let asked = Asked { exchange, key: key.into(), is_elicitation: method == "elicitation/create" };
        self.questions.insert(id.into(), asked);
        let (client, to) = (self.client, Addressee::Exchange(exchange));
        out.push(Output::ToClient { client, to, message: line.into(), class: Class::Question });
    }

    /// The client answers a question.
    pub(super) fn question_answered(
        &mut self,
        message: &Message,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let asked = message.id().and_then(|id| self.questions.remove(id));
        let Some(Asked { exchange, key, is_elicitation }) = asked else {
            return out.push(Output::Dropped(Dropped::UnknownQuestion));
        };
        let answer = match message.kind() {
            Kind::Result => message.body().into(),
            // The schema of 2026-07-28 has no errors among `InputResponses`.
            _ if is_elicitation => declined(message),
            _ => {
                let said = find_string(message.body(), &["message"]).unwrap_or_default();
                let reason = format!("the client did not answer the server's question: {said}");
                return self.abandon(exchange, &reason, out);
            }
        };
        let Some(round) = self.calls.get_mut(&exchange).and_then(|call| call.round.as_mut()) else { return };
        round.answers.insert(key, answer);
        round.open -= 1;
        if round.open == 0 {
            self.retry(exchange, down);
        }
    }

    pub(super) fn tick_questions(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let due =
            |call: &Call| call.round.as_ref().filter(|round| now >= round.until).map(|round| round.open > 0);
        let due: Vec<_> =
            self.calls.iter().filter_map(|(exchange, call)| Some((*exchange, due(call)?))).collect();
        for (exchange, unanswered) in due {
            if unanswered {
                self.abandon(exchange, "the client did not answer the server's question", out);
            } else {
                self.retry(exchange, down);
            }
        }
    }

    /// Makes the request again, with the answers of this round and the state as it came.
    ///
    /// 2026-07-28, basic/patterns/mrtr: "If an `InputRequiredResult` contains the `requestState` field, the client MUST echo
    /// back the exact value of that field when retrying the original request."
    fn retry(&mut self, exchange: ExchangeKey, down: &mut Vec<Down>) {
        let Some(call) = self.calls.get_mut(&exchange) else { return };
        let Some(round) = call.round.take() else { return };
        let request_of = call.request.clone();
        let mut params = Object::read(request_of.body()).unwrap_or_default();
        if !round.answers.is_empty() {
            let mut answers = Object::default();
            for (key, answer) in round.answers {
                answers.set(&key, answer.into_string());
            }
            params.set("inputResponses", answers.to_json());
        }
        if let Some(state) = round.state {
            params.set("requestState", state.into_string());
        }
        let params = self.stamped(&params.to_json());
        down.push(Down::Request { exchange, line: request(exchange, request_of.method(), &params) });
    }

    /// Ends a call that cannot go on, in the way that the client's model can read. What it was asked need not be answered.
    pub(super) fn abandon(&mut self, exchange: ExchangeKey, reason: &str, out: &mut Vec<Output>) {
        for (id, _) in self.questions.iter().filter(|(_, asked)| asked.exchange == exchange) {
            let params = format!(r#"{{"requestId":{id},"reason":"the call has ended"}}"#);
            let message = notification("notifications/cancelled", &params);
            let (client, to) = (self.client, Addressee::Exchange(exchange));
            out.push(Output::ToClient { client, to, message, class: Class::Notice });
        }
        let is_tool = self.calls.get(&exchange).is_some_and(|call| call.request.method() == "tools/call");
        if is_tool {
            let result =
                json!({ "content": [{ "type": "text", "text": reason }], "isError": true }).to_string();
            return self.finish(exchange, |id| response(id, &result), false, out);
        }
        let error = RpcError::new(Code::InternalError, reason.to_owned());
        self.finish(exchange, |id| error.to_line(Some(id)), true, out);
    }
}

/// One of the `inputRequests`.
struct Question<'a> {
    method: String,
    /// Raw JSON.
    params: &'a str,
}

impl<'a> Question<'a> {
    fn read(question: &'a str) -> Self {
        let method = find_string(question, &["method"]).unwrap_or_default();
        Self { method, params: find(question, &["params"]).unwrap_or("{}") }
    }

    /// The params as a client of `revision` reads them, in a request with this id.
    fn for_client(&self, revision: Revision, id: &str) -> String {
        let mut params = Object::read(self.params).unwrap_or_default();
        match params.string("mode").as_deref().filter(|_| self.method == "elicitation/create") {
            // Required in 2025-11-25, gone in 2026-07-28.
            Some("url") if params.get("elicitationId").is_none() => {
                params.set("elicitationId", id.to_owned());
            }
            // 2025-06-18 has no modes.
            Some("form") if revision < Revision::V2025_11_25 => drop(params.remove("mode")),
            _ => {}
        }
        params.to_json()
    }
}

/// What the server is told when an elicitation was answered by an error.
fn declined(message: &Message) -> Box<str> {
    let unable = message.error_code() == Some(Code::MethodNotFound.number());
    if unable { r#"{"action":"decline"}"# } else { r#"{"action":"cancel"}"# }.into()
}
