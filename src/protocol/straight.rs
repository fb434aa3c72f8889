//! One client, one process, the same era: everything passes both ways unchanged.
//!
//! What is left to do is to know which exchange a message belongs to, to answer what a dead or silent server does not,
//! and to be able to tell a new process what the old one knew.

use super::handshake::{turned_down, with_legacy_version};
use super::inflight::{Effect, Flight, Inflight, answered_id, id_in_use};
use super::replay::{Memory, announce};
use super::{Addressee, Class, ClientKey, Dropped, ExchangeKey, Input, Opened, Output, Rules, TurnedDown};
use crate::wire::meta::{find, progress_token, uri};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// The bridge of a process that belongs to one legacy client.
#[derive(Debug)]
pub struct Straight {
    client: ClientKey,
    rules: Rules,
    inflight: Inflight,
    memory: Memory,
    /// Requests of the router's own, and what they were.
    own: HashMap<Box<str>, Own>,
    minted: u64,
    /// Questions of the server that the client has not answered.
    questions: HashSet<Box<str>>,
    /// Questions of processes that died before the answer: it must not reach the next one, which has ids of its own.
    orphaned: HashSet<Box<str>>,
}

/// A server that asks more than this at once does not wait for answers.
const MOST_QUESTIONS: usize = 1024;

/// A request that the router made in the client's place.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    Initialize,
    Wish,
}

impl Straight {
    /// A bridge for `client`.
    pub fn new(client: ClientKey, rules: Rules) -> Self {
        Self {
            client,
            rules,
            inflight: Inflight::default(),
            memory: Memory::default(),
            own: HashMap::new(),
            minted: 0,
            questions: HashSet::new(),
            orphaned: HashSet::new(),
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.rules.timeout = timeout;
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Request { exchange, message, .. } => self.request(exchange, &message, now, out),
            Input::Notice { message, .. } => self.notice(&message, now, out),
            Input::Server(message) => self.server(&message, now, out),
            Input::Unreadable { id, error } => self.inflight.unreadable(id.as_deref(), &error, out),
            Input::Unsent(exchange) => {
                self.inflight.fail(|flight| flight.exchange == exchange, &RpcError::unread(), out);
            }
            // Its client hangs up or leaves, but never gives up a request by itself.
            Input::Cancel { .. } | Input::Drain => {}
            Input::Unheard(line) => self.inflight.unheard(line),
            Input::Exited(error) => {
                self.own.clear();
                self.orphaned.extend(self.questions.drain());
                self.inflight.exited(&error, out);
            }
            Input::Over(error) => {
                self.own.clear();
                self.inflight.fail(|_| true, &error, out);
            }
            Input::Gone(_) => {
                let error = RpcError::new(Code::RequestCancelled, "the session has ended");
                self.inflight.fail(|_| true, &error, out);
            }
            Input::Tick => self.inflight.tick(now, self.rules, out),
        }
    }

    /// A new process: repeats `initialize`, then (once it is answered) what the client had asked for.
    pub fn resume(&mut self, out: &mut Vec<Output>) {
        let Some(initialize) = self.memory.initialize.clone().filter(|_| self.memory.opened.is_some()) else {
            // The client has not been told anything yet: there is nothing to repeat.
            out.push(Output::Resumed);
            return;
        };
        let id = self.own_id(Own::Initialize);
        if let Ok(message) = Message::own(initialize) {
            out.push(Output::ToServer(message.with_id(&id)));
        }
    }

    /// Requests of the client in flight.
    pub fn in_flight(&self) -> usize {
        self.inflight.len()
    }

    /// What the handshake agreed on, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        self.memory.opened.as_ref()
    }

    fn request(&mut self, exchange: ExchangeKey, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let id = message.id().unwrap_or_default();
        if self.inflight.contains(id) {
            out.push(Output::Answer { client: self.client, exchange, message: id_in_use(id), failed: true });
            return;
        }
        let params = message.body();
        let effect = match message.method() {
            "initialize" => Effect::Initialize,
            "logging/setLevel" => Effect::SetLevel(params.into()),
            "resources/subscribe" => uri(params).map_or(Effect::None, Effect::Subscribe),
            "resources/unsubscribe" => uri(params).map_or(Effect::None, Effect::Unsubscribe),
            _ => Effect::None,
        };
        let line = if effect == Effect::Initialize {
            let line = with_legacy_version(message);
            // A copy: the line is a part of the buffer that the request was read into, and would keep all of it.
            self.memory.initialize = Some(Bytes::copy_from_slice(&line));
            line
        } else {
            message.raw().clone()
        };
        let flight = Flight {
            token: progress_token(params).map(|token| (token.into(), token.into())),
            effect,
            deadline: self.rules.timeout.map(|timeout| now + timeout),
            ..Flight::new(self.client, exchange, id)
        };
        self.inflight.insert(id.into(), flight, now);
        out.push(Output::Request { exchange, line });
    }

    fn notice(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let id = message.id().filter(|_| message.is_answer());
        if id.is_some_and(|id| !self.questions.remove(id) && self.orphaned.remove(id)) {
            return out.push(Output::Dropped(Dropped::UnknownQuestion));
        }
        match message.method() {
            "notifications/initialized" => self.memory.initialized = true,
            "notifications/cancelled" => {
                if let Some(id) = find(message.body(), &["requestId"]) {
                    self.inflight.cancel(id, now);
                }
            }
            _ => {}
        }
        out.push(Output::ToServer(message.raw().clone()));
    }

    fn server(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        match message.kind() {
            Kind::Result | Kind::Error => self.server_answers(message, out),
            Kind::Request => {
                if self.questions.len() + self.orphaned.len() >= MOST_QUESTIONS {
                    let error =
                        RpcError::new(Code::Overloaded, "too many questions wait for the client's answer");
                    return out.push(Output::ToServer(error.to_line(message.id())));
                }
                self.questions.insert(message.id().unwrap_or_default().into());
                self.to_client(Addressee::Anyone, message, Class::Question, out);
            }
            Kind::Notification => {
                let (to, class) = match message.method() {
                    "notifications/progress" => (self.progress(message, now), Class::Passing),
                    "notifications/message" => (Addressee::Anyone, Class::Passing),
                    "notifications/resources/updated" => (Addressee::Announcement, Class::Notice),
                    method if method.ends_with("/list_changed") => (Addressee::Announcement, Class::Notice),
                    _ => (Addressee::Anyone, Class::Notice),
                };
                self.to_client(to, message, class, out);
            }
        }
    }

    fn progress(&mut self, message: &Message, now: Instant) -> Addressee {
        let flight = find(message.body(), &["progressToken"]).and_then(|token| self.inflight.by_token(token));
        // Progress of what is over is news, but must not turn another call's answer into an event stream.
        let Some(flight) = flight else { return Addressee::Announcement };
        // A clock that is stopped stays so.
        flight.deadline = flight.deadline.and(self.rules.timeout).map(|timeout| now + timeout);
        Addressee::Exchange(flight.exchange)
    }

    fn server_answers(&mut self, message: &Message, out: &mut Vec<Output>) {
        let id = match answered_id(message) {
            Ok(id) => id,
            Err(error) => return self.inflight.unreadable(None, &error, out),
        };
        if let Some(own) = self.own.remove(id) {
            self.own_answered(&own, message, out);
            return;
        }
        let Some(flight) = self.inflight.take(id) else {
            out.push(Output::Dropped(Dropped::UnknownAnswer));
            return;
        };
        let line = if *flight.id == *id { message.raw().clone() } else { message.with_id(&flight.id) };
        if flight.effect == Effect::Initialize {
            if let Some(turned_down) = self.turned_down(&flight, message, &line) {
                return out.push(Output::TurnedDown(Box::new(turned_down)));
            }
            match Opened::read(message) {
                Ok(opened) => {
                    self.memory.clear_wishes();
                    self.memory.opened = Some(opened.clone());
                    out.push(Output::Opened(Box::new(opened)));
                }
                Err(error) if self.memory.opened.is_none() => out.push(Output::Failed(error)),
                Err(_) => {}
            }
        } else if message.kind() == Kind::Result {
            self.memory.learn(flight.effect);
        }
        let failed = message.kind() == Kind::Error;
        out.push(Output::Answer { client: flight.client, exchange: flight.exchange, message: line, failed });
    }

    /// The first `initialize` was refused as by a server that only speaks the other era.
    fn turned_down(&self, flight: &Flight, message: &Message, line: &Bytes) -> Option<TurnedDown> {
        let certain = turned_down(message).filter(|_| self.memory.opened.is_none())?;
        let initialize = Message::own(self.memory.initialize.clone()?).ok()?;
        let (client, exchange, answer) = (flight.client, flight.exchange, line.clone());
        Some(TurnedDown { client, exchange, initialize, answer, certain })
    }

    fn own_answered(&mut self, own: &Own, message: &Message, out: &mut Vec<Output>) {
        if *own == Own::Wish {
            return;
        }
        let before = self.memory.opened.as_ref();
        let opened = Opened::read(message).and_then(|opened| match before {
            Some(before) => opened.continues(before).map(|()| opened),
            None => Ok(opened),
        });
        match opened {
            Err(error) => out.push(Output::Failed(error)),
            Ok(opened) => {
                let mut ids: Vec<Box<str>> = Vec::new();
                let mut minted = self.minted;
                let mint = || {
                    minted += 1;
                    ids.push(own_id(minted));
                    own_id(minted)
                };
                self.memory.wishes(mint, out);
                self.minted = minted;
                self.own.extend(ids.into_iter().map(|id| (id, Own::Wish)));
                out.push(Output::Resumed);
                self.inflight.resend(out);
                announce(&opened, self.client, self.memory.wants_warnings(), out);
            }
        }
    }

    fn to_client(&self, to: Addressee, message: &Message, class: Class, out: &mut Vec<Output>) {
        out.push(Output::ToClient { client: self.client, to, message: message.raw().clone(), class });
    }

    fn own_id(&mut self, own: Own) -> Box<str> {
        self.minted += 1;
        let id = own_id(self.minted);
        self.own.insert(id.clone(), own);
        id
    }
}

/// An id that no client uses.
fn own_id(n: u64) -> Box<str> {
    format!("\"{}/{n}\"", env!("CARGO_PKG_NAME")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CANCELLED_GRACE;
    use proptest::prelude::*;
    use std::time::Duration;

    const CLIENT: ClientKey = ClientKey(0);

    fn bridge() -> Straight {
        Straight::new(CLIENT, Rules { timeout: None, answer_cancelled: true })
    }

    fn message(text: &str) -> Message {
        Message::own(text.to_owned()).unwrap()
    }

    fn step(bridge: &mut Straight, input: Input, now: Instant) -> Vec<String> {
        let mut out = Vec::new();
        bridge.handle(input, now, &mut out);
        out.iter().map(show).collect()
    }

    fn show(output: &Output) -> String {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        match output {
            Output::ToServer(line) | Output::Request { line, .. } => format!("server< {}", text(line)),
            Output::Answer { exchange, message, .. } => format!("{}< {}", exchange.0, text(message)),
            Output::ToClient { to, message, .. } => format!("{to:?}< {}", text(message)),
            Output::Opened(opened) => format!("opened {}", opened.version()),
            other => format!("{other:?}"),
        }
    }

    fn ask(bridge: &mut Straight, exchange: u64, text: &str) -> Vec<String> {
        let input =
            Input::Request { client: CLIENT, exchange: ExchangeKey(exchange), message: message(text) };
        step(bridge, input, Instant::now())
    }

    fn open(bridge: &mut Straight, capabilities: &str) {
        ask(
            bridge,
            1,
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#,
        );
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"2025-06-18","capabilities":{capabilities}}}}}"#
        );
        let out = step(bridge, Input::Server(message(&text)), Instant::now());
        assert_eq!(out, ["opened 2025-06-18".to_owned(), format!("1< {text}")]);
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        step(bridge, Input::Notice { client: CLIENT, message: message(initialized) }, Instant::now());
    }

    #[test]
    fn progress_goes_to_its_exchange_and_what_names_none_to_anyone() {
        let mut bridge = bridge();
        ask(
            &mut bridge,
            5,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"p"}}}"#,
        );
        let table = [
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#,
                "Exchange(ExchangeKey(5))",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"q","progress":1}}"#,
                "Announcement",
            ),
            (r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, "Announcement"),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}"#,
                "Announcement",
            ),
            (r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#, "Anyone"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, "Anyone"),
        ];
        for (text, to) in table {
            assert_eq!(
                step(&mut bridge, Input::Server(message(text)), Instant::now()),
                [format!("{to}< {text}")]
            );
        }
    }

    #[test]
    fn a_server_that_answers_twice_or_unasked_reaches_nobody() {
        let mut bridge = bridge();
        ask(&mut bridge, 5, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(
            step(&mut bridge, Input::Server(message(answer)), Instant::now()),
            [format!("5< {answer}")]
        );
        assert_eq!(
            step(&mut bridge, Input::Server(message(answer)), Instant::now()),
            ["Dropped(UnknownAnswer)"]
        );
    }

    #[test]
    fn a_cancelled_request_still_ends() {
        let (mut bridge, now) = (bridge(), Instant::now());
        ask(&mut bridge, 5, r#"{"jsonrpc":"2.0","id":"a","method":"tools/call"}"#);
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        let out = step(&mut bridge, Input::Notice { client: CLIENT, message: message(cancel) }, now);
        assert_eq!(out, [format!("server< {cancel}")]);
        assert!(step(&mut bridge, Input::Tick, now).is_empty());
        let out = step(&mut bridge, Input::Tick, now + CANCELLED_GRACE);
        assert!(out[0].starts_with(r#"5< {"jsonrpc":"2.0","id":"a","error":{"code":-32800"#), "{out:?}");
        assert_eq!(bridge.in_flight(), 0);
    }

    #[test]
    fn a_silent_server_is_told_and_the_client_answered_but_progress_restarts_the_clock() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut bridge = Straight::new(CLIENT, Rules { timeout: Some(second), answer_cancelled: true });
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":7}}}"#;
        let input = Input::Request { client: CLIENT, exchange: ExchangeKey(5), message: message(text) };
        step(&mut bridge, input, now);
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        step(&mut bridge, Input::Server(message(progress)), now + second / 2);
        assert!(step(&mut bridge, Input::Tick, now + second).is_empty());
        let out = step(&mut bridge, Input::Tick, now + second * 2);
        assert!(out[0].contains(r#""method":"notifications/cancelled","params":{"requestId":1"#), "{out:?}");
        assert!(out[1].contains("-31003"), "{out:?}");
    }

    #[test]
    fn a_new_process_is_told_all_that_the_old_one_knew_and_the_client_hears_of_it() {
        let mut bridge = bridge();
        open(&mut bridge, r#"{"tools":{"listChanged":true},"logging":{}}"#);
        for (n, (method, params)) in [
            ("logging/setLevel", r#"{"level":"debug"}"#),
            ("resources/subscribe", r#"{"uri":"a:1"}"#),
            ("resources/subscribe", r#"{"uri":"a:2"}"#),
            ("resources/unsubscribe", r#"{"uri":"a:1"}"#),
        ]
        .into_iter()
        .enumerate()
        {
            ask(
                &mut bridge,
                9,
                &format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#, n + 1),
            );
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, n + 1);
            step(&mut bridge, Input::Server(message(&answer)), Instant::now());
        }
        ask(&mut bridge, 10, r#"{"jsonrpc":"2.0","id":50,"method":"tools/call"}"#);
        let dead = RpcError::new(Code::ServerExited, "gone");
        let out = step(&mut bridge, Input::Exited(dead), Instant::now());
        assert!(out[0].starts_with(r#"10< {"jsonrpc":"2.0","id":50,"error":{"code":-31002"#), "{out:?}");

        let mut out = Vec::new();
        bridge.resume(&mut out);
        assert_eq!(
            out.iter().map(show).collect::<Vec<_>>(),
            [
                r#"server< {"jsonrpc":"2.0","id":"mcp-switchboard/1","method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#
            ]
        );
        let answer = r#"{"jsonrpc":"2.0","id":"mcp-switchboard/1","result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"logging":{},"more":{}}}}"#;
        let out = step(&mut bridge, Input::Server(message(answer)), Instant::now());
        assert_eq!(out[0], r#"server< {"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert!(out[1].ends_with(r#""method":"logging/setLevel","params":{"level":"debug"}}"#), "{out:?}");
        assert!(out[2].ends_with(r#""method":"resources/subscribe","params":{"uri":"a:2"}}"#), "{out:?}");
        assert_eq!(out[3], "Resumed");
        assert!(out[4].contains("notifications/tools/list_changed"), "{out:?}");
        assert!(out[5].contains(r#""level":"warning""#), "{out:?}");
        assert_eq!(out.len(), 6);
        let wish = r#"{"jsonrpc":"2.0","id":"mcp-switchboard/2","result":{}}"#;
        assert!(step(&mut bridge, Input::Server(message(wish)), Instant::now()).is_empty());
    }

    #[test]
    fn what_a_lost_server_never_heard_is_said_to_the_next_one_and_nothing_else_is() {
        let mut bridge = bridge();
        open(&mut bridge, "{}");
        let unheard = r#"{"jsonrpc":"2.0","id":50,"method":"tools/call"}"#;
        ask(&mut bridge, 10, unheard);
        ask(&mut bridge, 11, r#"{"jsonrpc":"2.0","id":51,"method":"tools/call"}"#);
        let lost = || Input::Exited(RpcError::new(Code::ServerExited, "gone"));
        assert!(step(&mut bridge, Input::Unheard(unheard.into()), Instant::now()).is_empty());
        let out = step(&mut bridge, lost(), Instant::now());
        assert!(
            out.len() == 1 && out[0].starts_with(r#"11< {"jsonrpc":"2.0","id":51,"error":{"code":-31002"#),
            "{out:?}"
        );
        bridge.resume(&mut Vec::new());
        let answer = r#"{"jsonrpc":"2.0","id":"mcp-switchboard/1","result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
        let out = step(&mut bridge, Input::Server(message(answer)), Instant::now());
        assert_eq!(out[out.len() - 1], format!("server< {unheard}"), "{out:?}");
        // Not a second time: it may have been heard by then.
        let out = step(&mut bridge, lost(), Instant::now());
        assert!(out[0].starts_with(r#"10< {"jsonrpc":"2.0","id":50,"error":{"code":-31002"#), "{out:?}");
        // One that no connection at all would take is answered, and not kept for ever.
        ask(&mut bridge, 12, r#"{"jsonrpc":"2.0","id":52,"method":"tools/call"}"#);
        step(
            &mut bridge,
            Input::Unheard(r#"{"jsonrpc":"2.0","id":52,"method":"tools/call"}"#.into()),
            Instant::now(),
        );
        assert!(step(&mut bridge, lost(), Instant::now()).is_empty());
        let out = step(&mut bridge, lost(), Instant::now());
        assert!(out[0].starts_with(r#"12< {"jsonrpc":"2.0","id":52,"error":{"code":-31001"#), "{out:?}");
        assert_eq!(bridge.in_flight(), 0);
    }

    #[test]
    fn an_answer_to_a_dead_process_does_not_reach_the_next_one() {
        let mut bridge = bridge();
        open(&mut bridge, "{}");
        let question = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let say = |bridge: &mut Straight| {
            step(bridge, Input::Notice { client: CLIENT, message: message(answer) }, Instant::now())
        };
        step(&mut bridge, Input::Server(message(question)), Instant::now());
        step(&mut bridge, Input::Exited(RpcError::new(Code::ServerExited, "gone")), Instant::now());
        assert_eq!(say(&mut bridge), ["Dropped(UnknownQuestion)"]);
        assert_eq!(say(&mut bridge), [format!("server< {answer}")]);
        step(&mut bridge, Input::Server(message(question)), Instant::now());
        assert_eq!(say(&mut bridge), [format!("server< {answer}")]);
    }

    #[test]
    fn a_new_process_that_can_less_ends_the_session() {
        let mut bridge = bridge();
        open(&mut bridge, r#"{"tools":{},"logging":{}}"#);
        bridge.resume(&mut Vec::new());
        let answer = r#"{"jsonrpc":"2.0","id":"mcp-switchboard/1","result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}}"#;
        let out = step(&mut bridge, Input::Server(message(answer)), Instant::now());
        assert_eq!(out, [r#"Failed(LostCapability("logging"))"#]);
    }

    #[test]
    fn an_error_without_id_goes_to_the_only_one_it_can_mean() {
        let mut bridge = bridge();
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#;
        ask(&mut bridge, 1, r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);
        ask(&mut bridge, 2, r#"{"jsonrpc":"2.0","id":2,"method":"a"}"#);
        assert_eq!(
            step(&mut bridge, Input::Server(message(error)), Instant::now()),
            ["Dropped(UnknownAnswer)"]
        );
        step(&mut bridge, Input::Server(message(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#)), Instant::now());
        let out = step(&mut bridge, Input::Server(message(error)), Instant::now());
        assert!(out[0].starts_with(r#"1< {"jsonrpc":"2.0","id":1,"error":{"code":-31006"#), "{out:?}");
    }

    proptest! {
        /// Whatever is asked, answered, repeated and cancelled in whatever order, each exchange is answered once.
        #[test]
        fn every_exchange_is_answered_exactly_once(events in proptest::collection::vec((0u8..4, 0u64..6), 1..60)) {
            let (mut bridge, mut now) = (bridge(), Instant::now());
            let (mut exchange, mut opened, mut answered) = (0, Vec::new(), Vec::new());
            let mut inputs = Vec::new();
            for (what, id) in events {
                now += Duration::from_millis(300);
                inputs.push((match what {
                    0 | 1 => {
                        exchange += 1;
                        opened.push(exchange);
                        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
                        Input::Request { client: CLIENT, exchange: ExchangeKey(exchange), message: message(&text) }
                    }
                    2 => Input::Server(message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))),
                    _ => {
                        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
                        Input::Notice { client: CLIENT, message: message(&text) }
                    }
                }, now));
                inputs.push((Input::Tick, now));
            }
            inputs.push((Input::Exited(RpcError::new(Code::ServerExited, "gone")), now));
            for (input, now) in inputs {
                let mut out = Vec::new();
                bridge.handle(input, now, &mut out);
                for output in out {
                    if let Output::Answer { exchange, .. } = output {
                        answered.push(exchange.0);
                    }
                }
            }
            answered.sort_unstable();
            prop_assert_eq!(answered, opened);
        }
    }
}
