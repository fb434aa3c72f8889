//! A process of the modern era and all who use it: modern clients as they are, each legacy one behind its translation.

use super::legacy_to_modern::LegacyToModern;
use super::modern::Modern;
use super::stage::{Down, Up};
use super::subscription::list_changed;
use super::{ClientKey, ExchangeKey, Guest, Input, Load, Opened, Output, Rules};
use crate::wire::{Code, Message, Revision, RpcError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The clients of a process that was opened in the modern era.
#[derive(Debug)]
pub struct ModernLane {
    modern: Modern,
    /// Legacy clients.
    guests: BTreeMap<ClientKey, LegacyToModern>,
    /// What the server is called if it does not say so itself.
    server: Arc<str>,
    rules: Rules,
}

impl ModernLane {
    /// A lane of one process. `seed` must be random; `server` is the name of the mount.
    pub fn new(seed: u64, server: Arc<str>, rules: Rules) -> Self {
        Self { modern: Modern::new(seed, rules), guests: BTreeMap::new(), server, rules }
    }

    /// Says what a new process must hear first.
    pub fn greet(&mut self, out: &mut Vec<Output>) {
        self.modern.open(out);
    }

    /// Admits a client.
    pub fn join(&mut self, client: ClientKey, guest: Guest) {
        if let Guest::Legacy(member) = guest {
            let guest = LegacyToModern::new(client, member, self.server.clone(), self.rules);
            self.guests.insert(client, guest);
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.rules.timeout = timeout;
        self.modern.set_timeout(timeout);
        self.guests.values_mut().for_each(|guest| guest.set_timeout(timeout));
    }

    /// Tells those who listen that the tools have changed, as the server would.
    pub fn announce_tools(&mut self, now: Instant, out: &mut Vec<Output>) {
        for id in self.modern.listening_to_tools() {
            let line = list_changed("tools", &serde_json::Value::from(&*id).to_string());
            if let Ok(message) = Message::own(line) {
                self.handle(Input::Server(message), now, out);
            }
        }
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        if self.guests.is_empty() {
            return self.modern.handle(input, now, out);
        }
        let mut down = Vec::new();
        match input {
            Input::Request { client, exchange, message } => match self.guests.get_mut(&client) {
                Some(guest) => {
                    guest.request(exchange, &message, self.modern.opened(), now, out, &mut down);
                    self.pass_on(client, down, now, out);
                }
                None => self.modern.handle(Input::Request { client, exchange, message }, now, out),
            },
            Input::Notice { client, message } => match self.guests.get_mut(&client) {
                Some(guest) => {
                    guest.notice(&message, self.modern.opened(), now, out, &mut down);
                    self.pass_on(client, down, now, out);
                }
                None => self.modern.handle(Input::Notice { client, message }, now, out),
            },
            Input::Gone(client) => {
                let error = RpcError::new(Code::RequestCancelled, "the session has ended");
                let Some(mut guest) = self.guests.remove(&client) else {
                    return self.base(Input::Gone(client), now, out);
                };
                guest.end(&error, out);
                let mut said = Vec::new();
                self.modern.handle(Input::Gone(client), now, &mut said);
                out.extend(said.into_iter().filter(|output| !matches!(output, Output::Forget { .. })));
            }
            Input::Tick => {
                self.base(Input::Tick, now, out);
                let clients: Vec<_> = self.guests.keys().copied().collect();
                for client in clients {
                    let mut down = Vec::new();
                    if let Some(guest) = self.guests.get_mut(&client) {
                        guest.tick(now, out, &mut down);
                    }
                    self.pass_on(client, down, now, out);
                }
            }
            Input::Over(error) => {
                for guest in self.guests.values_mut() {
                    guest.end(&error, out);
                }
                self.base(Input::Over(error), now, out);
            }
            Input::Drain => {
                let error = RpcError::new(Code::ShuttingDown, "the server is being stopped");
                for guest in self.guests.values_mut() {
                    guest.stop_listening(&error, out);
                }
                self.base(Input::Drain, now, out);
            }
            other => self.base(other, now, out),
        }
    }

    /// Requests in flight, without subscriptions.
    pub fn in_flight(&self) -> usize {
        // A call of a guest is in flight while its client is asked something, too.
        let asked: usize = self.guests.values().map(LegacyToModern::asking).sum();
        self.modern.in_flight() + asked
    }

    /// How busy the server is.
    pub fn load(&self, now: Instant) -> Load {
        self.modern.load(now)
    }

    /// What the server said that it is, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        self.modern.opened()
    }

    /// The revision that a client was told, or speaks.
    pub fn revision(&self, client: ClientKey) -> Option<Revision> {
        match self.guests.get(&client) {
            Some(guest) => Some(guest.revision()),
            None => Some(Revision::V2026_07_28),
        }
    }

    /// Lets the machine of the process decide; what concerns guests goes by way of their translations.
    fn base(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        let mut said = Vec::new();
        self.modern.handle(input, now, &mut said);
        self.sort(said, now, out);
    }

    fn sort(&mut self, said: Vec<Output>, now: Instant, out: &mut Vec<Output>) {
        for output in said {
            let (client, up) = match output {
                Output::Answer { client, exchange, message, .. } if self.guests.contains_key(&client) => {
                    (client, Message::own(message).ok().map(|message| Up::Answer { exchange, message }))
                }
                Output::ToClient { client, to, message, class } if self.guests.contains_key(&client) => {
                    (client, Message::own(message).ok().map(|message| Up::Said { to, message, class }))
                }
                Output::Forget { client, .. } if self.guests.contains_key(&client) => continue,
                other => {
                    out.push(other);
                    continue;
                }
            };
            let mut down = Vec::new();
            if let (Some(guest), Some(up)) = (self.guests.get_mut(&client), up) {
                guest.hear(up, now, out, &mut down);
            }
            self.pass_on(client, down, now, out);
        }
    }

    fn pass_on(&mut self, client: ClientKey, down: Vec<Down>, now: Instant, out: &mut Vec<Output>) {
        for down in down {
            let input = match down {
                Down::Request { exchange, line } => request(client, exchange, line),
                Down::Notice(line) => {
                    Message::own(line).ok().map(|message| Input::Notice { client, message })
                }
                Down::Cancel(exchange) => Some(Input::Cancel { client, exchange }),
                // Nothing is held here: a server of the modern era answers before it is asked again.
                Down::Hold(..) => None,
            };
            if let Some(input) = input {
                self.base(input, now, out);
            }
        }
    }
}

/// A request that a translation has written.
pub(super) fn request(client: ClientKey, exchange: ExchangeKey, line: bytes::Bytes) -> Option<Input> {
    // What we write can be read; if it could not, nobody would be the wiser for a panic.
    Message::own(line).ok().map(|message| Input::Request { client, exchange, message })
}
