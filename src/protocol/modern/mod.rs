//! Many requests of modern clients, one process of the modern era: ids, progress tokens and the ids of subscriptions are
//! rewritten by one table and restored to the letter. Everything else passes as it is.
//!
//! Who asks is a client of one request: it goes when its HTTP response has ended, and that cancels what is left.

mod server;
#[cfg(test)]
mod tests;

use super::handshake::{Opened, discover};
use super::inflight::{Effect, Flight, Inflight, Listening, answer, cancelled, id_in_use, may_ask};
use super::level::Level;
use super::subscription::ended;
use super::{ClientKey, ExchangeKey, Input, Load, Output, Rules};
use crate::wire::claim::LOG_LEVEL;
use crate::wire::meta::{find, progress_token};
use crate::wire::{Code, Message, RpcError};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// The bridge of a process that was opened in the modern era.
#[derive(Debug)]
pub struct Modern {
    rules: Rules,
    inflight: Inflight,
    minted: u64,
    /// Makes progress tokens that no client can guess: one that slipped through unread would be another client's.
    seed: u64,
    opening: Option<Box<str>>,
    opened: Option<Opened>,
    /// The process is gone, and no other has said what it is.
    down: bool,
}

impl Modern {
    /// The ids of the subscriptions that were acknowledged and ask for changes of the tools.
    pub(super) fn listening_to_tools(&self) -> Vec<Box<str>> {
        self.inflight.listening_to_tools()
    }

    /// A bridge for one process. `seed` must be random.
    pub fn new(seed: u64, rules: Rules) -> Self {
        Self {
            rules,
            inflight: Inflight::default(),
            minted: 0,
            seed,
            opening: None,
            opened: None,
            down: false,
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.rules.timeout = timeout;
    }

    /// Asks a new process what it is.
    pub fn open(&mut self, out: &mut Vec<Output>) {
        let id = self.mint();
        out.push(Output::ToServer(discover(&id)));
        self.opening = Some(id);
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Request { client, exchange, message } => {
                self.request(client, exchange, &message, now, out);
            }
            Input::Notice { message, .. } => notice(&message, out),
            Input::Cancel { client, exchange } => {
                self.give_up(|flight| flight.client == client && flight.exchange == exchange, now, out);
            }
            Input::Server(message) => self.server(&message, now, out),
            Input::Unreadable { id, error } => self.inflight.unreadable(id.as_deref(), &error, out),
            Input::Unsent(exchange) => {
                self.inflight.fail(|flight| flight.exchange == exchange, &RpcError::unread(), out);
            }
            // A modern server has no session that it could forget.
            Input::Unheard(_) => {}
            Input::Exited(error) => {
                self.opening = None;
                self.down = true;
                // Subscriptions go on with the next process.
                self.inflight.fail(|flight| !flight.lasts(), &error, out);
            }
            Input::Over(error) => {
                self.end_subscriptions(out);
                self.inflight.fail(|_| true, &error, out);
            }
            Input::Drain => self.end_subscriptions(out),
            Input::Gone(client) => self.give_up(|flight| flight.client == client, now, out),
            Input::Tick => self.inflight.tick(now, self.rules, out),
        }
    }

    /// Requests in flight, without subscriptions.
    pub fn in_flight(&self) -> usize {
        self.inflight.len()
    }

    /// How busy the server is.
    pub fn load(&self, now: Instant) -> Load {
        self.inflight.load(now)
    }

    /// What the server said that it is, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    fn request(
        &mut self,
        client: ClientKey,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let id = message.id().unwrap_or_default();
        if self.inflight.known_as(client, id).is_some() {
            out.push(Output::Answer { client, exchange, message: id_in_use(id), failed: true });
            return;
        }
        let params = message.body();
        let lasts = message.method() == "subscriptions/listen";
        let listening =
            || Effect::Listen(Box::new(Listening { request: message.clone(), acknowledged: false }));
        let flight = Flight {
            effect: match message.method() {
                "subscriptions/listen" => listening(),
                "server/discover" => Effect::Discover,
                _ => Effect::None,
            },
            deadline: self.rules.timeout.filter(|_| !lasts).map(|timeout| now + timeout),
            level: find(params, &["_meta", LOG_LEVEL]).and_then(Level::read),
            may_ask: may_ask(message.method()),
            ..Flight::new(client, exchange, id)
        };
        if self.down && !lasts {
            let error = RpcError::new(Code::ServerExited, "the server is being restarted: call again");
            return answer(&flight, &error, out);
        }
        let line = self.take_off(flight, message, now);
        // The next process hears of a subscription once it is there.
        if !self.down {
            out.push(Output::Request { exchange, line });
        }
    }

    /// Gives a request an id and a token of its own; what is to be written is returned.
    fn take_off(&mut self, mut flight: Flight, message: &Message, now: Instant) -> Bytes {
        let minted = self.mint();
        let token = progress_token(message.body());
        let own_token: Box<str> = format!("\"{:016x}.{minted}\"", self.seed).into();
        let line = message.spliced(&minted, token.map(|token| (token, &*own_token)));
        flight.token = token.map(|token| (own_token, token.into()));
        self.inflight.insert(minted, flight, now);
        line
    }

    /// Cancels requests whose client does not want them any more.
    ///
    /// 2026-07-28, basic/transports/stdio: "To cancel an in-flight request, the client MUST send a
    /// `notifications/cancelled` notification referencing the request's ID."
    fn give_up(&mut self, which: impl Fn(&Flight) -> bool, now: Instant, out: &mut Vec<Output>) {
        for (minted, flight) in self.inflight.drain(which) {
            out.push(Output::ToServer(cancelled(&minted, "the client does not wait for it any more")));
            out.push(Output::Forget { client: flight.client, exchange: flight.exchange });
            self.inflight.linger(flight, now);
        }
    }

    /// Ends every subscription in peace.
    fn end_subscriptions(&mut self, out: &mut Vec<Output>) {
        for (minted, flight) in self.inflight.drain(Flight::lasts) {
            out.push(Output::ToServer(cancelled(&minted, "the subscription ends")));
            out.push(subscription_ended(&flight));
        }
    }

    fn mint(&mut self) -> Box<str> {
        self.minted += 1;
        self.minted.to_string().into()
    }
}

/// A client notifies.
fn notice(message: &Message, out: &mut Vec<Output>) {
    // 2026-07-28, basic/transports/stdio: "The client MUST NOT write JSON-RPC responses." Over HTTP nobody cancels by a
    // notification, and the id in it would be another client's here.
    if !message.is_answer() && message.method() != "notifications/cancelled" {
        out.push(Output::ToServer(message.raw().clone()));
    }
}

/// The answer that ends a subscription.
fn subscription_ended(flight: &Flight) -> Output {
    let (client, exchange) = (flight.client, flight.exchange);
    Output::Answer { client, exchange, message: ended(&flight.id), failed: false }
}
