//! Many clients, one process, the same era: ids and progress tokens are rewritten and restored to the letter.
//!
//! The router made the handshake, so each client's own is answered from it. A question or a log line of the server
//! names no client; it goes to the only request in flight, or to nobody.

use super::handshake::{INITIALIZED, Opened, initialize};
use super::inflight::{Effect, Flight, Inflight, answer, cancelled, overdue};
use super::replay::announce;
use super::{Addressee, Class, ClientKey, Dropped, ExchangeKey, Input, Output, Rules};
use crate::wire::meta::{find, find_string, progress_token, span, splice, uri};
use crate::wire::{Code, Kind, Message, Revision, RpcError};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The bridge of a process that many legacy clients use.
#[derive(Debug)]
pub struct Shared {
    rules: Rules,
    revision: Revision,
    capabilities: Box<str>,
    inflight: Inflight,
    members: BTreeMap<ClientKey, State>,
    questions: BTreeMap<Box<str>, Asked>,
    minted: u64,
    /// Makes progress tokens that no client can guess: one that slipped through unread would be another client's.
    seed: u64,
    opening: Option<Box<str>>,
    opened: Option<Opened>,
    /// The level that the server was last asked for.
    level: Option<usize>,
}

/// A client of a shared process.
#[derive(Clone, Debug)]
pub struct Member {
    /// The revision that the client asked for, if it made a handshake.
    pub revision: Option<Revision>,
    /// The capabilities that the client declared; a question beyond them is not put to it.
    pub capabilities: Map<String, Value>,
    /// It can be asked, and told of changes: it has a session, and with it a way back.
    pub reachable: bool,
}

/// Whom a question of the server was put to.
#[derive(Debug)]
struct Asked {
    client: ClientKey,
    exchange: ExchangeKey,
}

/// A server that asks more than this at once does not wait for answers.
const MOST_QUESTIONS: usize = 64;

#[derive(Debug)]
struct State {
    member: Member,
    level: Option<usize>,
    subscriptions: BTreeSet<Box<str>>,
}

/// Where "warning" stands among the levels.
const WARNING: usize = 3;

/// The levels of RFC 5424, the most verbose first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Shared {
    /// A bridge that opens its process with `revision` and `capabilities` (raw JSON). `seed` must be random.
    pub fn new(revision: Revision, capabilities: Box<str>, seed: u64, rules: Rules) -> Self {
        Self {
            rules,
            revision,
            capabilities,
            inflight: Inflight::default(),
            members: BTreeMap::new(),
            questions: BTreeMap::new(),
            minted: 0,
            seed,
            opening: None,
            opened: None,
            level: None,
        }
    }

    /// Speaks the handshake with a new process.
    pub fn open(&mut self, out: &mut Vec<Output>) {
        let id = self.mint();
        out.push(Output::ToServer(initialize(&id, self.revision, &self.capabilities)));
        self.opening = Some(id);
    }

    /// Admits a client.
    pub fn join(&mut self, client: ClientKey, member: Member) {
        self.members.insert(client, State { member, level: None, subscriptions: BTreeSet::new() });
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Request { client, exchange, message } => {
                self.request(client, exchange, &message, now, out);
            }
            Input::Notice { client, message } => self.notice(client, &message, now, out),
            Input::Server(message) => self.server(&message, now, out),
            Input::Unreadable { id, error } => self.unreadable(id.as_deref(), &error, out),
            Input::Unsent(exchange) => {
                for (_, flight) in self.inflight.drain(|flight| flight.exchange == exchange) {
                    answer(&flight, &RpcError::unread(), out);
                }
            }
            Input::Exited(error) => {
                self.questions.clear();
                self.opening = None;
                self.level = None;
                for (_, flight) in self.inflight.drain(|_| true) {
                    answer(&flight, &error, out);
                }
            }
            Input::Gone(client) => self.gone(client, out),
            Input::Tick => {
                for (id, flight, why) in self.inflight.overdue(now) {
                    overdue(&id, &flight, &why, self.rules, out);
                }
            }
        }
    }

    /// Requests of all clients in flight.
    pub fn in_flight(&self) -> usize {
        self.inflight.len()
    }

    /// What the handshake agreed on, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// The revision that a client was told: what it asked for, unless the server is older.
    pub fn revision(&self, client: ClientKey) -> Option<Revision> {
        let agreed = self.opened.as_ref()?.revision?;
        let asked = self.members.get(&client)?.member.revision;
        Some(asked.map_or(agreed, |asked| asked.min(agreed)))
    }

    fn request(
        &mut self,
        client: ClientKey,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if let Some(line) = self.answered_here(client, message) {
            out.push(Output::Answer { client, exchange, message: line, failed: false });
            return;
        }
        let params = message.body();
        let id = message.id().unwrap_or_default();
        let effect = match message.method() {
            "resources/subscribe" => uri(params).map_or(Effect::None, Effect::Subscribe),
            "resources/unsubscribe" => uri(params).map_or(Effect::None, Effect::Unsubscribe),
            _ => Effect::None,
        };
        let minted = self.mint();
        let token = progress_token(params);
        let own_token: Box<str> = format!("\"{:016x}.{minted}\"", self.seed).into();
        let line = if message.method() == "logging/setLevel" {
            let level = self.members.values().filter_map(|state| state.level).min().unwrap_or_default();
            self.level = Some(level);
            set_level(&minted, level)
        } else {
            message.spliced(&minted, token.map(|token| (token, &*own_token)))
        };
        self.inflight.insert(
            minted.clone(),
            Flight {
                client,
                exchange,
                id: id.into(),
                token: token.map(|token| (own_token, token.into())),
                effect,
                deadline: self.rules.timeout.map(|timeout| now + timeout),
                cancelled: None,
            },
        );
        out.push(Output::Request { exchange, line });
    }

    /// What the server need not be asked, because it was, or because others share it.
    fn answered_here(&mut self, client: ClientKey, message: &Message) -> Option<Bytes> {
        let result = |result: &str| {
            let id = message.id().unwrap_or("null");
            Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into())
        };
        let id = message.id();
        match message.method() {
            "initialize" => {
                let opened = self.opened.as_ref()?;
                let told = self.revision(client).map(|revision| format!("\"{revision}\""));
                match (find(&opened.result, &["protocolVersion"]), told) {
                    (Some(written), Some(told)) => {
                        result(&splice(&opened.result, &[(span(&opened.result, written), &told)]))
                    }
                    _ => result(&opened.result),
                }
            }
            "logging/setLevel" => {
                let wanted = find_string(message.body(), &["level"]);
                let level = LEVELS.iter().position(|level| Some(*level) == wanted.as_deref());
                if let (Some(level), Some(state)) = (level, self.members.get_mut(&client)) {
                    state.level = Some(level);
                    let most_verbose = self.members.values().filter_map(|state| state.level).min();
                    return if most_verbose == self.level { result("{}") } else { None };
                }
                let error = RpcError::new(
                    Code::InvalidParams,
                    format!("\"level\" must be one of {}", LEVELS.join(", ")),
                );
                Some(error.to_line(id))
            }
            "resources/unsubscribe" => {
                let uri = uri(message.body())?;
                let others = self
                    .members
                    .iter()
                    .any(|(key, state)| *key != client && state.subscriptions.contains(&uri));
                if !others {
                    return None;
                }
                self.members.get_mut(&client)?.subscriptions.remove(&uri);
                result("{}")
            }
            _ => None,
        }
    }

    fn notice(&mut self, client: ClientKey, message: &Message, now: Instant, out: &mut Vec<Output>) {
        if message.is_answer() {
            let asked = message.id().and_then(|id| self.questions.get(id));
            let asked = asked.is_some_and(|asked| asked.client == client);
            if asked {
                self.questions.remove(message.id().unwrap_or_default());
                out.push(Output::ToServer(message.raw().clone()));
            } else {
                out.push(Output::Dropped(Dropped::UnknownQuestion));
            }
            return;
        }
        match message.method() {
            // The router has said it already, once for all.
            "notifications/initialized" => {}
            "notifications/cancelled" => {
                let Some(written) = find(message.body(), &["requestId"]) else { return };
                let Some(minted) = self.inflight.known_as(client, written) else { return };
                if self.inflight.cancel(&minted, now) {
                    out.push(Output::ToServer(message.spliced("", Some((written, &minted)))));
                }
            }
            // Tokens of questions are the server's own; nothing to restore.
            _ => out.push(Output::ToServer(message.raw().clone())),
        }
    }

    fn server(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        match message.kind() {
            Kind::Result | Kind::Error => self.server_answers(message, out),
            Kind::Request => self.server_asks(message, out),
            Kind::Notification => self.server_notifies(message, now, out),
        }
    }

    fn server_answers(&mut self, message: &Message, out: &mut Vec<Output>) {
        let Some(id) = message.id().filter(|id| *id != "null") else {
            let said = find_string(message.body(), &["message"]).unwrap_or_default();
            let error =
                RpcError::new(Code::ProtocolError, format!("the server answered without an id: {said}"));
            self.unreadable(None, &error, out);
            return;
        };
        if self.opening.as_deref() == Some(id) {
            self.opening = None;
            self.handshake_answered(message, out);
            return;
        }
        let Some(flight) = self.inflight.take(id) else {
            out.push(Output::Dropped(Dropped::UnknownAnswer));
            return;
        };
        self.questions.retain(|_, asked| asked.exchange != flight.exchange);
        if let (Kind::Result, Some(state)) = (message.kind(), self.members.get_mut(&flight.client)) {
            match flight.effect {
                Effect::Subscribe(uri) => drop(state.subscriptions.insert(uri)),
                Effect::Unsubscribe(uri) => drop(state.subscriptions.remove(&uri)),
                _ => {}
            }
        }
        let line = message.with_id(&flight.id);
        let failed = message.kind() == Kind::Error;
        out.push(Output::Answer { client: flight.client, exchange: flight.exchange, message: line, failed });
    }

    fn handshake_answered(&mut self, message: &Message, out: &mut Vec<Output>) {
        let opened = Opened::read(message).and_then(|opened| match &self.opened {
            Some(before) => opened.continues(before).map(|()| opened),
            None => Ok(opened),
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return out.push(Output::Failed(error)),
        };
        out.push(Output::ToServer(Bytes::from_static(INITIALIZED.as_bytes())));
        let again = self.opened.replace(opened.clone()).is_some();
        if !again {
            return out.push(Output::Opened(Box::new(opened)));
        }
        self.repeat_wishes(out);
        out.push(Output::Resumed);
        let reachable = self.members.iter().filter(|(_, state)| state.member.reachable);
        for (client, _) in reachable {
            let wanted = self.members.get(client).and_then(|state| state.level);
            announce(&opened, *client, wanted.is_none_or(|level| level <= WARNING), out);
        }
    }

    /// Tells a new process the level and the subscriptions of all clients. Its answers are nobody's.
    fn repeat_wishes(&mut self, out: &mut Vec<Output>) {
        self.level = self.members.values().filter_map(|state| state.level).min();
        if let Some(level) = self.level {
            let id = self.mint();
            out.push(Output::ToServer(set_level(&id, level)));
        }
        let uris: BTreeSet<Box<str>> =
            self.members.values().flat_map(|s| s.subscriptions.iter().cloned()).collect();
        for uri in uris {
            let id = self.mint();
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/subscribe","params":{{"uri":{uri}}}}}"#
            );
            out.push(Output::ToServer(line.into()));
        }
    }

    fn server_asks(&mut self, message: &Message, out: &mut Vec<Output>) {
        let id = message.id().unwrap_or("null");
        let method = message.method();
        if method == "ping" {
            return out
                .push(Output::ToServer(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into()));
        }
        let capability = method.split('/').next().unwrap_or_default();
        let asked = self.inflight.only().filter(|flight| {
            let member = self.members.get(&flight.client).map(|state| &state.member);
            member.is_some_and(|member| member.reachable && member.capabilities.contains_key(capability))
        });
        let asked = asked.filter(|_| self.questions.len() < MOST_QUESTIONS);
        if let Some(flight) = asked {
            let (client, exchange) = (flight.client, flight.exchange);
            let to = Addressee::Exchange(exchange);
            self.questions.insert(id.into(), Asked { client, exchange });
            out.push(Output::ToClient { client, to, message: message.raw().clone(), class: Class::Question });
            return;
        }
        // A shared process cannot say which of its clients it means.
        let error = RpcError::new(
            Code::MethodNotFound,
            "no single client of this shared server can be asked: several or no requests are in flight, or the client lacks the capability",
        );
        out.push(Output::ToServer(error.to_line(Some(id))));
    }

    fn server_notifies(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let method = message.method();
        let params = message.body();
        if method == "notifications/progress" {
            let written = find(params, &["progressToken"]);
            let timeout = self.rules.timeout;
            let Some((written, flight)) =
                written.and_then(|token| Some((token, self.inflight.by_token(token)?)))
            else {
                return out.push(Output::Dropped(Dropped::Unattributable));
            };
            flight.deadline = timeout.map(|timeout| now + timeout);
            let original = flight.token.as_ref().map_or(written, |(_, original)| original);
            let line = message.spliced("", Some((written, original)));
            let to = Addressee::Exchange(flight.exchange);
            return out.push(Output::ToClient {
                client: flight.client,
                to,
                message: line,
                class: Class::Passing,
            });
        }
        if method == "notifications/resources/updated" || method.ends_with("/list_changed") {
            let uri = uri(params).filter(|_| method.ends_with("/updated"));
            let uri = uri.as_deref();
            for (client, state) in &self.members {
                if state.member.reachable && uri.is_none_or(|uri| state.subscriptions.contains(uri)) {
                    out.push(Output::ToClient {
                        client: *client,
                        to: Addressee::Announcement,
                        message: message.raw().clone(),
                        class: Class::Notice,
                    });
                }
            }
            return;
        }
        // Among them `cancelled` of a question: it goes where the question went.
        let asked = find(params, &["requestId"]).and_then(|id| self.questions.remove(id));
        let to = match (asked, self.inflight.only()) {
            (Some(asked), _) => Some((asked.client, Addressee::Exchange(asked.exchange))),
            (None, Some(flight)) => Some((flight.client, Addressee::Exchange(flight.exchange))),
            (None, None) => None,
        };
        match to {
            Some((client, to)) if self.wants(client, message) => {
                let class = if method == "notifications/message" { Class::Passing } else { Class::Notice };
                out.push(Output::ToClient { client, to, message: message.raw().clone(), class });
            }
            _ => out.push(Output::Dropped(Dropped::Unattributable)),
        }
    }

    /// Whether a log line is at the level that its client asked for, or above.
    fn wants(&self, client: ClientKey, message: &Message) -> bool {
        let wanted = self.members.get(&client).and_then(|state| state.level);
        let Some(wanted) = wanted.filter(|_| message.method() == "notifications/message") else {
            return true;
        };
        let level = find_string(message.body(), &["level"]);
        LEVELS.iter().position(|name| Some(*name) == level.as_deref()).is_none_or(|level| level >= wanted)
    }

    fn unreadable(&mut self, id: Option<&str>, error: &RpcError, out: &mut Vec<Output>) {
        let all = id.is_none() && error.code == Code::TooLarge;
        let ids: Vec<Box<str>> = match id {
            Some(id) => vec![id.into()],
            None if all => Vec::new(),
            None => self
                .inflight
                .only()
                .and_then(|flight| self.inflight.known_as(flight.client, &flight.id))
                .into_iter()
                .collect(),
        };
        if all {
            for (_, flight) in self.inflight.drain(|_| true) {
                answer(&flight, error, out);
            }
            return;
        }
        match ids.first().and_then(|id| self.inflight.take(id)) {
            Some(flight) => answer(&flight, error, out),
            None => out.push(Output::Dropped(Dropped::UnknownAnswer)),
        }
    }

    fn gone(&mut self, client: ClientKey, out: &mut Vec<Output>) {
        let Some(state) = self.members.remove(&client) else { return };
        for (minted, flight) in self.inflight.drain(|flight| flight.client == client) {
            out.push(Output::ToServer(cancelled(&minted, "the client has gone")));
            answer(&flight, &RpcError::new(Code::RequestCancelled, "the session has ended"), out);
        }
        let asked: Vec<Box<str>> = self
            .questions
            .iter()
            .filter(|(_, asked)| asked.client == client)
            .map(|(id, _)| id.clone())
            .collect();
        for id in asked {
            self.questions.remove(&id);
            let error = RpcError::new(Code::InternalError, "the client that was asked has gone");
            out.push(Output::ToServer(error.to_line(Some(&id))));
        }
        for uri in state.subscriptions {
            if !self.members.values().any(|state| state.subscriptions.contains(&uri)) {
                let id = self.mint();
                let line = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/unsubscribe","params":{{"uri":{uri}}}}}"#
                );
                out.push(Output::ToServer(line.into()));
            }
        }
    }

    fn mint(&mut self) -> Box<str> {
        self.minted += 1;
        self.minted.to_string().into()
    }
}

fn set_level(id: &str, level: usize) -> Bytes {
    let level = LEVELS[level];
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#)
        .into()
}
