//! One request and what is said to it, until it is answered.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use serde_json::Value;

use super::body::{self, Events};
use super::headers;
use super::outbox::Load;
use super::post::Refusal;
use super::{Connection, Fault, Way};
use crate::wire::line::Line;
use crate::wire::meta::find;
use crate::wire::{Code, Kind, Message, Payload};

/// Attempts to resume a stream that broke before the answer came, without anything having been heard meanwhile.
const RESUMES: u32 = 5;

/// The pause before a stream is resumed, if the server has not said how long; it grows with each attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// Pages of a list of tools.
const MOST_PAGES: usize = 100;

impl Connection {
    /// Sends a request and gives what is said to it to the listener, an answer in any case.
    pub(super) async fn call(&self, request: Message, load: Load) {
        let by_sse = matches!(self.talk().way, Way::Sse(_));
        let outcome =
            if by_sse { self.call_by_sse(&request).await } else { self.converse(&request, load).await };
        match outcome {
            Ok(()) => {}
            Err(Fault::NoSession) => self.forgotten(Some(request.raw().clone())),
            Err(fault) => self.answer(&request, &fault),
        }
    }

    async fn converse(&self, request: &Message, load: Load) -> Result<(), Fault> {
        let mut load = Some(load);
        loop {
            let response = self.post(request).await?;
            let first = load.take().is_some();
            if response.status().is_success() {
                return self.hear(response, request, &mut |line| self.deliver(line)).await;
            }
            match self.refused(response, Some(request)).await {
                // Refused for its headers, it was not carried out; now they are known.
                Refusal::Answer(line) if first && is_mismatch(&line) && self.list_tools(request).await => {}
                refusal => return self.pass_on(refusal),
            }
        }
    }

    /// A refusal that is an answer reaches the listener.
    pub(super) fn pass_on(&self, refusal: Refusal) -> Result<(), Fault> {
        match refusal {
            Refusal::Answer(line) => {
                self.deliver(line);
                Ok(())
            }
            Refusal::Fault(fault) => Err(fault),
        }
    }

    /// Reads what is said to a request until it is answered, and gives each message to `sink`.
    pub(super) async fn hear(
        &self,
        response: Response,
        request: &Message,
        sink: &mut (dyn FnMut(Bytes) + Send),
    ) -> Result<(), Fault> {
        match headers::is_events(response.headers()) {
            Some(false) => {
                let body = body::whole(response, self.site.line_limit).await?;
                match self.as_answer(&body, request, true, sink)? {
                    Some(line) => {
                        sink(line);
                        Ok(())
                    }
                    None => Err(Fault::NotAnAnswer("it holds no response".to_owned())),
                }
            }
            Some(true) => self.hear_events(response, request, sink).await,
            None => Err(self.no_answer(response.headers())),
        }
    }

    async fn hear_events(
        &self,
        response: Response,
        request: &Message,
        sink: &mut (dyn FnMut(Bytes) + Send),
    ) -> Result<(), Fault> {
        let mut events = Events::new(response, self.site.line_limit);
        let mut attempts = 0;
        loop {
            let ended = match events.next().await {
                Ok(Some(event)) => {
                    let Some(line) = body::message(event) else { continue };
                    attempts = 0;
                    let line = match line {
                        Line::Whole(line) => line,
                        Line::TooLong(skipped) if skipped.answered_id().is_some() => {
                            return Err(Fault::TooLarge(self.site.line_limit));
                        }
                        too_long @ Line::TooLong(_) => {
                            self.hand_on(too_long);
                            continue;
                        }
                    };
                    match self.as_answer(&line, request, false, sink) {
                        Ok(Some(answer)) => {
                            sink(answer);
                            return Ok(());
                        }
                        // What cannot be read is for the listener to judge.
                        Ok(None) | Err(_) => sink(line),
                    }
                    continue;
                }
                Ok(None) => "the event stream ended before the answer".to_owned(),
                Err(Fault::Broken(reason)) => reason,
                Err(fault) => return Err(fault),
            };
            // 2025-11-25, basic/transports: "If the client wishes to resume after a disconnection […] it SHOULD issue an
            // HTTP GET to the MCP endpoint, and include the `Last-Event-ID` header".
            loop {
                attempts += 1;
                let resumable = matches!(self.talk().way, Way::Streamable) && attempts <= RESUMES;
                let Some(last) = events.last_id().filter(|_| resumable).map(str::to_owned) else {
                    return Err(Fault::Broken(ended));
                };
                tokio::time::sleep(events.retry().unwrap_or(PAUSE * attempts)).await;
                match self.get(Some(&last)).await {
                    Ok(response) => {
                        events.go_on(response);
                        break;
                    }
                    Err(Fault::Unreachable(_) | Fault::Broken(_)) => {}
                    Err(Fault::Status(status, _)) if status.is_server_error() => {}
                    Err(_) => return Err(Fault::Broken(ended)),
                }
            }
        }
    }

    /// The answer to a request, if that is what a text holds, with the id that the request has. `only`: nothing else can
    /// be answered by it, so that an answer with another id is this one's all the same.
    fn as_answer(
        &self,
        text: &Bytes,
        request: &Message,
        only: bool,
        sink: &mut (dyn FnMut(Bytes) + Send),
    ) -> Result<Option<Bytes>, Fault> {
        let malformed = |error: crate::wire::Malformed| Fault::NotAnAnswer(error.to_string());
        let id = request.id().unwrap_or_default();
        let mut answer = match Payload::parse(text, self.site.depth).map_err(malformed)? {
            Payload::One(message) if message.is_answer() => message,
            Payload::One(_) => return Ok(None),
            Payload::Batch(messages) => {
                let is_it = |message: &Message| message.is_answer() && message.id() == Some(id);
                let Some(at) = messages.iter().position(is_it) else { return Ok(None) };
                // What stands beside the answer is said, too, and before it: afterwards nobody listens.
                for (_, beside) in messages.iter().enumerate().filter(|(place, _)| *place != at) {
                    sink(beside.raw().clone());
                }
                return Ok(Some(messages[at].raw().clone()));
            }
        };
        let names_none = answer.id().is_none_or(|id| id == "null");
        if !only && !names_none && answer.id() != Some(id) {
            return Ok(None);
        }
        if request.method() == "tools/list" && matches!(self.talk().way, Way::Modern) {
            answer = self.site.catalog.learn(answer, |tool, reason| {
                let (tool, reason) = (self.site.shown(tool), self.site.shown(&reason.to_string()));
                tracing::warn!(server = %self.site.name, tool, "a tool is left out, which nobody is to call: {reason}");
            });
        }
        Ok(Some(if answer.id() == Some(id) { answer.raw().clone() } else { answer.with_id(id) }))
    }

    /// Lists the tools of a modern server, in the name of whoever calls one: which of their parameters are headers.
    ///
    /// 2026-07-28, Streamable HTTP: a client whose call is refused for its headers lists the tools again and retries.
    async fn list_tools(&self, call: &Message) -> bool {
        if call.method() != "tools/call" {
            return false;
        }
        let Some(meta) =
            find(call.body(), &["_meta"]).and_then(|meta| serde_json::from_str::<Value>(meta).ok())
        else {
            return false;
        };
        let mut params = serde_json::json!({ "_meta": meta });
        if let Some(meta) = params["_meta"].as_object_mut() {
            meta.remove("progressToken");
        }
        for page in 0..MOST_PAGES {
            let id = format!("{}/tools-{page}", env!("CARGO_PKG_NAME"));
            let line =
                serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params });
            let Ok(request) = Message::own(line.to_string()) else { return false };
            let mut answer = None;
            let heard = async {
                let response = self.post(&request).await?;
                self.hear(response, &request, &mut |line| answer = Some(line)).await
            };
            if heard.await.is_err() {
                return page > 0;
            }
            let answer = answer.and_then(|line| Message::own(line).ok());
            let Some(answer) = answer.filter(|answer| answer.kind() == Kind::Result) else { return page > 0 };
            match find(answer.body(), &["nextCursor"]).filter(|cursor| cursor.starts_with('"')) {
                Some(cursor) => params["cursor"] = serde_json::from_str(cursor).unwrap_or_default(),
                None => return true,
            }
        }
        true
    }
}

fn is_mismatch(line: &Bytes) -> bool {
    let error = Message::own(line.clone()).ok();
    error.and_then(|error| error.error_code()) == Some(Code::HeaderMismatch.number())
}
