//! Many clients, one process, the same era: ids and progress tokens are rewritten and restored to the letter.
//!
//! The router made the handshake, so each client's own is answered from it. A question or a log line of the server
//! names no client; it goes to the only request in flight, or to nobody.

mod members;
mod server;
#[cfg(test)]
mod tests;

use super::handshake::{Opened, initialize};
use super::inflight::{Effect, Flight, Inflight, answer, cancelled, id_in_use, may_ask};
use super::level::Level;
use super::{ClientKey, Dropped, ExchangeKey, Input, Load, Output, Rules};
use crate::wire::meta::{find, find_string, progress_token, span, splice, uri};
use crate::wire::{Code, Message, Revision, RpcError};
use bytes::Bytes;
use members::Members;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use members::Member;

/// The bridge of a process that many legacy clients use.
#[derive(Debug)]
pub struct Shared {
    rules: Rules,
    revision: Revision,
    capabilities: Box<str>,
    inflight: Inflight,
    members: Members,
    questions: BTreeMap<Box<str>, Asked>,
    minted: u64,
    /// Makes progress tokens that no client can guess: one that slipped through unread would be another client's.
    seed: u64,
    opening: Option<Box<str>>,
    opened: Option<Opened>,
    /// The process is gone, and no other has opened.
    down: bool,
    /// The level that the server was last asked for.
    level: Option<Level>,
    /// The client that stands for all modern ones, if there are any.
    visitors: Option<ClientKey>,
}

/// What a question belongs to that came without a request.
const NO_EXCHANGE: ExchangeKey = ExchangeKey(u64::MAX);

/// Whom a question of the server was put to.
#[derive(Debug)]
struct Asked {
    client: ClientKey,
    exchange: ExchangeKey,
}

impl Shared {
    /// A bridge that opens its process with `revision` and `capabilities` (raw JSON). `seed` must be random.
    pub fn new(revision: Revision, capabilities: Box<str>, seed: u64, rules: Rules) -> Self {
        Self {
            rules,
            revision,
            capabilities,
            inflight: Inflight::default(),
            members: Members::default(),
            questions: BTreeMap::new(),
            minted: 0,
            seed,
            opening: None,
            opened: None,
            down: false,
            level: None,
            visitors: None,
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.rules.timeout = timeout;
    }

    /// Speaks the handshake with a new process.
    pub fn open(&mut self, out: &mut Vec<Output>) {
        let id = self.mint();
        out.push(Output::ToServer(initialize(&id, self.revision, &self.capabilities)));
        self.opening = Some(id);
    }

    /// Admits a client.
    pub fn join(&mut self, client: ClientKey, member: Member) {
        self.members.join(client, member);
    }

    /// Admits the client that stands for all modern ones. Of its requests only those that may ask are asked about, and
    /// whoever lets it in sees to it that there is one of them at a time.
    pub(super) fn join_visitors(&mut self, client: ClientKey, member: Member) {
        self.visitors = Some(client);
        self.inflight.many = Some(client);
        self.members.join(client, member);
        self.members.begin(client);
    }

    /// Stops the clock of a request whose client is asked something, or starts it again.
    pub(super) fn hold(&mut self, exchange: ExchangeKey, held: bool, now: Instant) {
        let deadline = self.rules.timeout.filter(|_| !held).map(|timeout| now + timeout);
        self.inflight.hold(exchange, deadline, Some(now).filter(|_| !held));
    }

    /// How busy the server is.
    pub fn load(&self, now: Instant) -> Load {
        self.inflight.load(now)
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        let before = out.len();
        match input {
            Input::Request { client, exchange, message } => {
                self.request(client, exchange, &message, now, out);
            }
            Input::Notice { client, message } => self.notice(client, &message, now, out),
            Input::Server(message) => self.server(&message, now, out),
            Input::Unreadable { id, error } => self.inflight.unreadable(id.as_deref(), &error, out),
            Input::Unsent(exchange) => {
                self.inflight.fail(|flight| flight.exchange == exchange, &RpcError::unread(), out);
            }
            Input::Cancel { exchange, .. } => {
                if let Some(minted) = self.inflight.give_up(exchange, now) {
                    out.push(Output::ToServer(cancelled(
                        &minted,
                        "the client does not wait for it any more",
                    )));
                }
                self.drop_questions(&[exchange], out);
            }
            Input::Unheard(line) => self.inflight.unheard(line),
            Input::Exited(error) => {
                self.questions.clear();
                self.opening = None;
                self.down = true;
                self.level = None;
                self.inflight.exited(&error, out);
            }
            Input::Over(error) => {
                self.questions.clear();
                self.down = true;
                self.inflight.fail(|_| true, &error, out);
            }
            Input::Drain => {}
            Input::Gone(client) => self.gone(client, now, out),
            Input::Tick => self.inflight.tick(now, self.rules, out),
        }
        self.end_questions(before, out);
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
        let asked = self.members.member(client)?.revision;
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
        self.members.begin(client);
        if let Some(line) = self.answered_here(client, message) {
            out.push(Output::Answer { client, exchange, message: line, failed: false });
            return;
        }
        let params = message.body();
        let id = message.id().unwrap_or_default();
        if self.inflight.known_as(client, id).is_some() {
            out.push(Output::Answer { client, exchange, message: id_in_use(id), failed: true });
            return;
        }
        if self.down {
            let error = RpcError::new(Code::ServerExited, "the server is being restarted: call again");
            return answer(&Flight::new(client, exchange, id), &error, out);
        }
        let effect = match message.method() {
            "resources/subscribe" => uri(params).map_or(Effect::None, Effect::Subscribe),
            "resources/unsubscribe" => uri(params).map_or(Effect::None, Effect::Unsubscribe),
            "logging/setLevel" => Effect::SetLevel(params.into()),
            _ => Effect::None,
        };
        let minted = self.mint();
        let token = progress_token(params);
        let own_token: Box<str> = format!("\"{:016x}.{minted}\"", self.seed).into();
        let line = if message.method() == "logging/setLevel" {
            self.level = self.members.most_verbose();
            let level = self.level.unwrap_or(Level::WARNING).name();
            format!(
                r#"{{"jsonrpc":"2.0","id":{minted},"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#
            )
            .into()
        } else {
            message.spliced(&minted, token.map(|token| (token, &*own_token)))
        };
        let flight = Flight {
            token: token.map(|token| (own_token, token.into())),
            effect,
            deadline: self.rules.timeout.map(|timeout| now + timeout),
            may_ask: may_ask(message.method()),
            ..Flight::new(client, exchange, id)
        };
        self.inflight.insert(minted, flight, now);
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
                if Level::of(message).is_some_and(|level| self.members.set_level(client, level)) {
                    return if self.members.most_verbose() == self.level { result("{}") } else { None };
                }
                Some(Level::unknown().to_line(id))
            }
            "resources/unsubscribe" => {
                let uri = uri(message.body())?;
                // A process that is not there will not be subscribed again.
                if !self.others_subscribe(client, &uri) && !self.down {
                    return None;
                }
                self.members.unsubscribe(client, &uri);
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
                    // Written anew: a second "requestId" would be passed on, and name another client's request.
                    let reason = find_string(message.body(), &["reason"]).map(Value::from);
                    let reason = reason.map(|reason| format!(r#","reason":{reason}"#)).unwrap_or_default();
                    let line = format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{minted}{reason}}}}}"#
                    );
                    out.push(Output::ToServer(line.into()));
                }
            }
            // Tokens of questions are the server's own; nothing to restore.
            _ => out.push(Output::ToServer(message.raw().clone())),
        }
    }

    fn gone(&mut self, client: ClientKey, now: Instant, out: &mut Vec<Output>) {
        let Some(alone) = self.members.leave(client) else { return };
        for (minted, flight) in self.inflight.drain(|flight| flight.client == client) {
            out.push(Output::ToServer(cancelled(&minted, "the client has gone")));
            answer(&flight, &RpcError::new(Code::RequestCancelled, "the session has ended"), out);
            self.inflight.linger(flight, now);
        }
        let alone = alone.into_iter().filter(|uri| !self.inflight.other_subscribes(client, uri));
        for uri in alone.collect::<Vec<_>>() {
            self.ask("resources/unsubscribe", &format!(r#"{{"uri":{uri}}}"#), out);
        }
    }

    /// Whether the server must keep a subscription although this client wants it no more.
    fn others_subscribe(&self, client: ClientKey, uri: &str) -> bool {
        self.members.other_subscribes(client, uri) || self.inflight.other_subscribes(client, uri)
    }

    /// An exchange that has ended takes the questions along that were put to it: nobody will answer them.
    fn end_questions(&mut self, before: usize, out: &mut Vec<Output>) {
        if self.questions.is_empty() {
            return;
        }
        let ended = |output: &Output| match output {
            Output::Answer { exchange, .. } | Output::Forget { exchange, .. } => Some(*exchange),
            _ => None,
        };
        let ended: Vec<_> = out[before..].iter().filter_map(ended).collect();
        self.drop_questions(&ended, out);
    }

    fn drop_questions(&mut self, ended: &[ExchangeKey], out: &mut Vec<Output>) {
        let error = RpcError::new(Code::InternalError, "the request that the question belonged to has ended");
        self.questions.retain(|id, asked| {
            let keep = !ended.contains(&asked.exchange);
            if !keep {
                out.push(Output::ToServer(error.to_line(Some(id))));
            }
            keep
        });
    }

    /// Asks the server something of the router's own; the answer is nobody's.
    fn ask(&mut self, method: &str, params: &str, out: &mut Vec<Output>) {
        let id = self.mint();
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        out.push(Output::ToServer(line.into()));
    }

    fn mint(&mut self) -> Box<str> {
        self.minted += 1;
        self.minted.to_string().into()
    }
}
