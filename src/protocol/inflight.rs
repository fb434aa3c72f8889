//! The requests in flight towards a server, found by the id and the progress token that the server knows them by.

use super::level::Level;
use super::{Addressee, CANCELLED_GRACE, Class, ClientKey, Dropped, ExchangeKey, Load, Output, Rules};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Message, RpcError};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Instant;

/// A request that the server has not answered.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) client: ClientKey,
    pub(super) exchange: ExchangeKey,
    /// The id as the client wrote it.
    pub(super) id: Box<str>,
    /// The progress token as the server knows it and as the client wrote it.
    pub(super) token: Option<(Box<str>, Box<str>)>,
    /// What a successful answer changes.
    pub(super) effect: Effect,
    pub(super) deadline: Option<Instant>,
    pub(super) cancelled: Option<Instant>,
    /// Nobody waits for the answer, not even for that it was cancelled.
    pub(super) unwanted: bool,
    /// The log lines that it wants, where it said so itself.
    pub(super) level: Option<Level>,
    /// The server may ask something because of it.
    pub(super) may_ask: bool,
    /// Which of the requests it is, and since when.
    pub(super) sent: (u64, Option<Instant>),
    /// A server had never heard it, and it was sent to another connection.
    pub(super) resent: bool,
}

impl Flight {
    /// A request of `client`, which knows it by `id`.
    pub(super) fn new(client: ClientKey, exchange: ExchangeKey, id: &str) -> Self {
        Self {
            client,
            exchange,
            id: id.into(),
            token: None,
            effect: Effect::None,
            deadline: None,
            cancelled: None,
            unwanted: false,
            level: None,
            may_ask: false,
            sent: (0, None),
            resent: false,
        }
    }

    /// Whether the server may say something because of it that is for its client.
    fn is_a_clients(&self) -> bool {
        !self.lasts() && !self.exchange.is_own()
    }

    /// Whether it is a subscription, which is answered only when it ends.
    pub(super) fn lasts(&self) -> bool {
        matches!(self.effect, Effect::Listen(_))
    }
}

/// The requests to which a server may answer with a question.
///
/// 2026-07-28, basic/patterns/mrtr: "Servers MUST NOT send `InputRequiredResult` responses on any other client requests."
pub fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Whether a client that has declared `capabilities` can be asked this.
pub(super) fn can_be_asked(capabilities: &Map<String, Value>, method: &str, params: &str) -> bool {
    let has = |name: &str| capabilities.get(name);
    match method {
        "roots/list" => has("roots").is_some(),
        "sampling/createMessage" => has("sampling").is_some(),
        "elicitation/create" => has("elicitation").is_some_and(|declared| {
            let by_url = find_string(params, &["mode"]).as_deref() == Some("url");
            let url = declared.get("url").is_some();
            // 2025-11-25, client/elicitation: "an empty capabilities object is equivalent to declaring support for `form`
            // mode only".
            let form = declared.get("form").is_some() || !url;
            if by_url { url } else { form }
        }),
        _ => false,
    }
}

/// What the session remembers once a request has succeeded, to be able to repeat it to a new process.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    None,
    Initialize,
    SetLevel(Box<str>),
    Subscribe(Box<str>),
    Unsubscribe(Box<str>),
    /// The answer tells what the server speaks.
    Discover,
    /// A subscription of the modern era, which lasts.
    Listen(Box<Listening>),
}

/// A subscription of the modern era.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listening {
    /// The request as its client wrote it, to be repeated to a new process.
    pub(super) request: Message,
    /// Its client was told what it is subscribed to.
    pub(super) acknowledged: bool,
}

/// Why a flight has ended by the clock.
#[derive(Debug, PartialEq, Eq)]
enum Overdue {
    TimedOut,
    Cancelled,
}

/// Requests by the id that the server knows them by.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    flights: HashMap<Box<str>, Flight>,
    tokens: HashMap<Box<str>, Box<str>>,
    /// Flights with a deadline or a cancellation; while none, the clock need not be asked.
    timed: usize,
    /// Flights that last, and keep the server from nothing.
    lasting: usize,
    sent: u64,
    /// The server has answered a later request before an earlier one.
    overtaken: bool,
    /// Requests that have ended without the server, and until when what it says may still be about them.
    late: Vec<(Flight, Instant)>,
    /// The client that stands for many: one of its requests is not as good as another.
    pub(super) many: Option<ClientKey>,
    /// Requests that never reached a remote server, for the next connection.
    unheard: Vec<Unheard>,
}

/// A request that never reached its server.
#[derive(Debug)]
struct Unheard {
    id: Box<str>,
    line: Bytes,
    /// The connection that it was meant for is gone.
    waits: bool,
}

impl Inflight {
    /// Requests in flight, without those that last.
    pub(super) fn len(&self) -> usize {
        self.flights.len() - self.lasting
    }

    /// Whether the server works on nothing that a client wants of it.
    pub(super) fn is_idle(&self) -> bool {
        !self.flights.values().any(Flight::is_a_clients)
    }

    /// How busy the server is. Subscriptions do not count: they keep it from nothing.
    pub(super) fn load(&self, now: Instant) -> Load {
        let since =
            self.flights.values().filter(|flight| !flight.lasts()).filter_map(|flight| flight.sent.1).min();
        let waits = since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        Load { in_flight: self.len(), stuck: !self.overtaken && waits >= super::STUCK_AFTER }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.flights.contains_key(id)
    }

    /// Adds a flight that the server knows by `id`.
    pub(super) fn insert(&mut self, id: Box<str>, mut flight: Flight, now: Instant) {
        self.sent += 1;
        flight.sent = (self.sent, Some(now));
        self.lasting += usize::from(flight.lasts());
        if let Some((token, _)) = &flight.token {
            self.tokens.insert(token.clone(), id.clone());
        }
        self.timed += usize::from(flight.deadline.is_some());
        self.flights.insert(id, flight);
    }

    /// Ends the flight that the server answers with `id`.
    ///
    /// The id is looked for to the letter, then by its value: Node answers `1` to the request `1.0`.
    pub(super) fn take(&mut self, id: &str) -> Option<Flight> {
        if let Some(flight) = self.flights.remove(id) {
            let earlier = |other: &Flight| other.sent.0 < flight.sent.0 && !other.lasts();
            self.overtaken = self.overtaken || self.flights.values().any(earlier);
            return Some(self.forget(id, flight));
        }
        if is_canonical(id) && self.flights.keys().all(|key| is_canonical(key)) {
            return None;
        }
        let value: serde_json::Value = serde_json::from_str(id).ok()?;
        let same = |key: &str| {
            serde_json::from_str::<serde_json::Value>(key).is_ok_and(|key| {
                match (key.as_f64(), value.as_f64()) {
                    (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
                    _ => key == value,
                }
            })
        };
        let key = self.flights.keys().find(|key| same(key))?.clone();
        self.remove(&key)
    }

    /// The flight whose progress the server tells under `token`.
    pub(super) fn by_token(&mut self, token: &str) -> Option<&mut Flight> {
        self.flights.get_mut(self.tokens.get(token)?)
    }

    /// The progress that the server tells of, for the client whose request it belongs to; it restarts that request's clock.
    pub(super) fn progress(&mut self, message: &Message, rules: Rules, now: Instant) -> Output {
        let written = find(message.body(), &["progressToken"]);
        let found = written.and_then(|token| Some((token, self.by_token(token)?)));
        let Some((written, flight)) = found else { return Output::Dropped(Dropped::Unattributable) };
        // A clock that is stopped stays so.
        flight.deadline = flight.deadline.and(rules.timeout).map(|timeout| now + timeout);
        let original = flight.token.as_ref().map_or(written, |(_, original)| original);
        Output::ToClient {
            client: flight.client,
            to: Addressee::Exchange(flight.exchange),
            message: message.spliced("", Some((written, original))),
            class: Class::Passing,
        }
    }

    /// The id that the server knows a client's request by.
    pub(super) fn known_as(&self, client: ClientKey, id: &str) -> Option<Box<str>> {
        let is_it = |flight: &Flight| flight.client == client && *flight.id == *id;
        self.flights.iter().find(|(_, flight)| is_it(flight)).map(|(known, _)| known.clone())
    }

    /// The only request in flight that its client still wants, with the id that the server knows it by.
    ///
    /// There is none while the server may still work on what another client has cancelled, or has waited for in vain.
    pub(super) fn only(&self) -> Option<(&str, &Flight)> {
        self.only_of(Flight::is_a_clients)
    }

    /// The same among the requests of which `which` is true.
    pub(super) fn only_of(&self, which: impl Fn(&Flight) -> bool) -> Option<(&str, &Flight)> {
        let flights = || self.flights.iter().filter(|(_, flight)| which(flight));
        let mut wanted = flights().filter(|(_, flight)| flight.cancelled.is_none());
        let (id, only) = wanted.next()?;
        let same = |other: &Flight| other.client == only.client && self.many != Some(only.client);
        let mut unwanted =
            flights().filter(|(_, flight)| flight.cancelled.is_some()).map(|(_, flight)| flight);
        let mut late = self.late().filter(|flight| which(flight));
        (wanted.next().is_none() && unwanted.all(same) && late.all(same)).then_some((id, only))
    }

    /// A request has ended without the server, which may not know that yet.
    pub(super) fn linger(&mut self, flight: Flight, now: Instant) {
        if !flight.lasts() {
            self.late.push((flight, now + CANCELLED_GRACE));
        }
    }

    /// Requests that have ended without the server, and that what it says may still be about.
    pub(super) fn late(&self) -> impl Iterator<Item = &Flight> {
        self.late.iter().map(|(flight, _)| flight)
    }

    /// The request that waits at `exchange`, with the id that the server knows it by.
    pub(super) fn at(&self, exchange: ExchangeKey) -> Option<(&str, &Flight)> {
        let found = self.flights.iter().find(|(_, flight)| flight.exchange == exchange);
        found.map(|(id, flight)| (&**id, flight))
    }

    /// All requests in flight, by the ids that the server knows them by.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Flight)> {
        self.flights.iter().map(|(id, flight)| (&**id, flight))
    }

    /// The subscription that the server knows by `id`, and whether it was acknowledged before.
    pub(super) fn listening(&mut self, id: &str, acknowledges: bool) -> Option<(&Flight, bool)> {
        let flight = self.flights.get_mut(id)?;
        let Effect::Listen(listening) = &mut flight.effect else { return None };
        let before = listening.acknowledged;
        listening.acknowledged |= acknowledges;
        Some((flight, before))
    }

    /// The ids of the subscriptions that were acknowledged and ask for changes of the tools.
    pub(super) fn listening_to_tools(&self) -> Vec<Box<str>> {
        let wants = |flight: &Flight| match &flight.effect {
            Effect::Listen(listening) => {
                let wanted = find(listening.request.body(), &["notifications", "toolsListChanged"]);
                listening.acknowledged && wanted == Some("true")
            }
            _ => false,
        };
        self.flights.iter().filter(|(_, flight)| wants(flight)).map(|(id, _)| id.clone()).collect()
    }

    /// The flight that the server knows by `id`.
    pub(super) fn get(&self, id: &str) -> Option<&Flight> {
        self.flights.get(id)
    }

    /// Whether a client but this one waits for the server to subscribe it to `uri`.
    pub(super) fn other_subscribes(&self, client: ClientKey, uri: &str) -> bool {
        let is_it = |effect: &Effect| matches!(effect, Effect::Subscribe(wanted) if **wanted == *uri);
        self.flights.values().any(|flight| flight.client != client && is_it(&flight.effect))
    }

    /// Notes that the client of a request wants it no more.
    pub(super) fn cancel(&mut self, id: &str, now: Instant) -> bool {
        let Some(flight) = self.flights.get_mut(id) else { return false };
        if flight.effect == Effect::Initialize {
            return false;
        }
        self.timed += usize::from(flight.deadline.is_none() && flight.cancelled.is_none());
        flight.cancelled.get_or_insert(now);
        true
    }

    /// Nobody wants the answer to the request at `exchange` any more; the id that the server knows it by.
    pub(super) fn give_up(&mut self, exchange: ExchangeKey, now: Instant) -> Option<Box<str>> {
        let id: Box<str> = self.at(exchange)?.0.into();
        self.cancel(&id, now);
        self.flights.get_mut(&id)?.unwanted = true;
        Some(id)
    }

    /// Stops the clocks of the request at `exchange`, or starts them again: until when it must be answered, and since when
    /// the server has been silent over it.
    pub(super) fn hold(&mut self, exchange: ExchangeKey, deadline: Option<Instant>, since: Option<Instant>) {
        let Some(id) = self.at(exchange).map(|(id, _)| Box::<str>::from(id)) else { return };
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let timed = |flight: &Flight| usize::from(flight.deadline.is_some() || flight.cancelled.is_some());
        self.timed -= timed(flight);
        flight.deadline = deadline;
        flight.sent.1 = since;
        self.timed += timed(flight);
    }

    /// Ends what is overdue, and does what is to be done about it.
    pub(super) fn tick(&mut self, now: Instant, rules: Rules, out: &mut Vec<Output>) {
        self.late.retain(|(_, until)| now < *until);
        for (id, flight, why) in self.overdue(now) {
            overdue(&id, &flight, &why, rules, out);
            if why == Overdue::TimedOut {
                self.linger(flight, now);
            }
        }
    }

    /// Answers with an error of the router's own every flight of which `which` is true.
    pub(super) fn fail(&mut self, which: impl Fn(&Flight) -> bool, error: &RpcError, out: &mut Vec<Output>) {
        for (_, flight) in self.drain(which) {
            answer(&flight, error, out);
        }
    }

    /// The server has never heard this line; the request in it, if it is one, waits for another connection.
    pub(super) fn unheard(&mut self, line: Bytes) {
        let id = Message::own(line.clone()).ok().and_then(|message| message.id().map(Box::<str>::from));
        if let Some((id, flight)) = id.and_then(|id| self.flights.get_key_value(&id)) {
            // A server that forgets each session at once would be asked for ever.
            let waits = flight.resent;
            self.unheard.push(Unheard { id: id.clone(), line, waits });
        }
    }

    /// The server is gone. Every flight is answered with `error`, but those that it has never heard: they wait for one
    /// more.
    pub(super) fn exited(&mut self, error: &RpcError, out: &mut Vec<Output>) {
        let kept = std::mem::take(&mut self.unheard);
        let (late, mut kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(|unheard| unheard.waits);
        let late: Vec<_> = late.into_iter().filter_map(|unheard| self.remove(&unheard.id)).collect();
        let is_kept = |id: &str| kept.iter().any(|unheard| *unheard.id == *id);
        let heard: Vec<_> = self.flights.keys().filter(|id| !is_kept(id)).cloned().collect();
        for id in heard {
            if let Some(flight) = self.remove(&id) {
                answer(&flight, error, out);
            }
        }
        let error = RpcError::new(
            Code::ServerUnavailable,
            "no session with the server lasts; nothing of the request was carried out: call again later",
        );
        for flight in &late {
            answer(flight, &error, out);
        }
        for unheard in &mut kept {
            unheard.waits = true;
        }
        self.unheard = kept;
    }

    /// Another connection is open: sends again what the one before never took.
    pub(super) fn resend(&mut self, out: &mut Vec<Output>) {
        for Unheard { id, line, .. } in std::mem::take(&mut self.unheard) {
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.resent = true;
                out.push(Output::Request { exchange: flight.exchange, line });
            }
        }
    }

    /// The server said something unreadable that answers one flight, or, if that cannot be told, any of them.
    pub(super) fn unreadable(&mut self, id: Option<&str>, error: &RpcError, out: &mut Vec<Output>) {
        if id.is_none() && error.code == Code::TooLarge {
            return self.fail(|_| true, error, out);
        }
        let id = id.map(Box::from).or_else(|| self.only().map(|(id, _)| id.into()));
        match id.and_then(|id: Box<str>| self.take(&id)) {
            Some(flight) => answer(&flight, error, out),
            None => out.push(Output::Dropped(Dropped::UnknownAnswer)),
        }
    }

    /// Ends what is overdue, by id.
    fn overdue(&mut self, now: Instant) -> Vec<(Box<str>, Flight, Overdue)> {
        if self.timed == 0 {
            return Vec::new();
        }
        let why = |flight: &Flight| match (flight.cancelled, flight.deadline) {
            (Some(at), _) if now >= at + CANCELLED_GRACE => Some(Overdue::Cancelled),
            (None, Some(deadline)) if now >= deadline => Some(Overdue::TimedOut),
            _ => None,
        };
        let due: Vec<_> =
            self.flights.iter().filter_map(|(id, flight)| Some((id.clone(), why(flight)?))).collect();
        due.into_iter().filter_map(|(id, why)| self.remove(&id).map(|flight| (id, flight, why))).collect()
    }

    /// Ends every flight of which `which` is true.
    pub(super) fn drain(&mut self, which: impl Fn(&Flight) -> bool) -> Vec<(Box<str>, Flight)> {
        let ids: Vec<_> =
            self.flights.iter().filter(|(_, flight)| which(flight)).map(|(id, _)| id.clone()).collect();
        ids.into_iter().filter_map(|id| self.remove(&id).map(|flight| (id, flight))).collect()
    }

    /// Removes a flight. Unlike [`take`](Self::take), it learns nothing from that about how the server works.
    fn remove(&mut self, id: &str) -> Option<Flight> {
        let flight = self.flights.remove(id)?;
        Some(self.forget(id, flight))
    }

    /// Books the end of the flight that the server knew by `id`.
    fn forget(&mut self, id: &str, flight: Flight) -> Flight {
        if let Some((token, _)) = &flight.token {
            // Two requests with one token are the client's mistake; the later one has it.
            if self.tokens.get(token).is_some_and(|owner| **owner == *id) {
                self.tokens.remove(token);
            }
        }
        self.timed -= usize::from(flight.deadline.is_some() || flight.cancelled.is_some());
        self.lasting -= usize::from(flight.lasts());
        flight
    }
}

/// Answers a flight with an error of the router's own.
pub(super) fn answer(flight: &Flight, error: &RpcError, out: &mut Vec<Output>) {
    let message = error.to_line(Some(&flight.id));
    out.push(Output::Answer { client: flight.client, exchange: flight.exchange, message, failed: true });
}

/// The id of the request that the server answers.
///
/// # Errors
/// What the request it may be about is answered, if it names none.
pub(super) fn answered_id(message: &Message) -> Result<&str, RpcError> {
    message.id().filter(|id| *id != "null").ok_or_else(|| {
        let said = find_string(message.body(), &["message"]).unwrap_or_default();
        RpcError::new(Code::ProtocolError, format!("the server answered without an id: {said}"))
    })
}

/// The answer to a request whose id its client uses for another that is in flight.
pub(super) fn id_in_use(id: &str) -> Bytes {
    // "The request ID MUST NOT have been previously used by the requestor within the same session."
    RpcError::new(Code::InvalidRequest, "this id is in use by another request in flight").to_line(Some(id))
}

/// Ends a flight by the clock; `server_id` is the id that the server knows it by.
fn overdue(server_id: &str, flight: &Flight, why: &Overdue, rules: Rules, out: &mut Vec<Output>) {
    match why {
        Overdue::TimedOut => {
            // "the sender SHOULD issue a cancellation notification for that request", but `initialize` MUST NOT be cancelled.
            if flight.effect != Effect::Initialize {
                out.push(Output::ToServer(cancelled(server_id, "the request timed out")));
            }
            let seconds = rules.timeout.unwrap_or_default().as_secs_f32();
            let error = RpcError::new(
                Code::RequestTimeout,
                format!(
                    "the server did not answer within {seconds} s: raise the mount's `timeout`, or call again"
                ),
            );
            answer(flight, &error, out);
        }
        Overdue::Cancelled if rules.answer_cancelled && !flight.unwanted => {
            answer(
                flight,
                &RpcError::new(Code::RequestCancelled, "the request was cancelled by its client"),
                out,
            );
        }
        Overdue::Cancelled => out.push(Output::Forget { client: flight.client, exchange: flight.exchange }),
    }
}

/// The notification that tells a server to stop working on a request.
pub(super) fn cancelled(id: &str, reason: &str) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"{reason}"}}}}"#
    )
    .into()
}

/// Whether no other text has the value of this id: an integer without sign, exponent or fraction, or a string without
/// escapes.
fn is_canonical(id: &str) -> bool {
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    digits || (id.starts_with('"') && !id.contains('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn flight(exchange: u64, id: &str, token: Option<&str>) -> Flight {
        let token = token.map(|token| (token.into(), token.into()));
        Flight { token, ..Flight::new(ClientKey(0), ExchangeKey(exchange), id) }
    }

    #[test]
    fn an_id_is_found_to_the_letter_and_else_by_its_value() {
        let mut table = Inflight::default();
        table.insert("1.0".into(), flight(1, "1.0", None), Instant::now());
        table.insert("\"1\"".into(), flight(2, "\"1\"", None), Instant::now());
        table.insert("\"\\u0061\"".into(), flight(3, "\"\\u0061\"", None), Instant::now());
        assert_eq!(table.take("1").unwrap().exchange, ExchangeKey(1));
        assert_eq!(table.take("\"a\"").unwrap().exchange, ExchangeKey(3));
        assert!(table.take("1").is_none());
        assert_eq!(table.take("\"1\"").unwrap().exchange, ExchangeKey(2));
    }

    #[test]
    fn what_was_cancelled_is_overdue_after_its_grace_and_the_only_other_is_the_only_one() {
        let (mut table, now) = (Inflight::default(), Instant::now());
        table.insert("1".into(), flight(1, "1", Some("\"t\"")), Instant::now());
        table.insert("2".into(), flight(2, "2", None), Instant::now());
        assert!(table.only().is_none());
        assert!(table.cancel("1", now));
        assert_eq!(table.only().unwrap().1.exchange, ExchangeKey(2));
        assert!(table.overdue(now + CANCELLED_GRACE / 2).is_empty());
        let due = table.overdue(now + CANCELLED_GRACE);
        assert_eq!((due.len(), &due[0].2), (1, &Overdue::Cancelled));
        assert!(table.by_token("\"t\"").is_none());
        assert!(table.overdue(now + Duration::from_secs(1000)).is_empty());
        assert_eq!(table.len(), 1);
    }
}
