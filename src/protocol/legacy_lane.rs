//! A process of the legacy era and all who use it: legacy clients as they are, all modern ones behind one translation.

use super::modern_lane::request;
use super::modern_to_legacy::{ModernToLegacy, Request, Secrets};
use super::shared::Shared;
use super::stage::{Down, Up};
use super::{ClientKey, Guest, Input, Load, Member, Opened, Output, Rules};
use crate::wire::{Message, Revision};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// The client that stands for all modern ones, to the machine of the process.
const VISITORS: ClientKey = ClientKey(u64::MAX);

/// The clients of a process that was opened in the legacy era by the router.
#[derive(Debug)]
pub struct LegacyLane {
    shared: Shared,
    visitors: ModernToLegacy,
}

impl LegacyLane {
    /// A lane of one process, to be opened with `revision` and `capabilities`; modern clients come to it or they do not.
    /// `seed` must be random.
    pub fn new(
        revision: Revision,
        capabilities: Map<String, Value>,
        visited: bool,
        seed: u64,
        secrets: Secrets,
        rules: Rules,
    ) -> Self {
        let raw = Value::Object(capabilities.clone()).to_string();
        let mut shared = Shared::new(revision, raw.into(), seed, rules);
        let visitors = ModernToLegacy::new(&capabilities, secrets);
        // Some servers ask as soon as they are open: who is to be asked must be there by then.
        if visited {
            let revision = Some(Revision::NEWEST_LEGACY);
            shared.join_visitors(VISITORS, Member { revision, capabilities, reachable: true });
        }
        Self { shared, visitors }
    }

    /// Says what a new process must hear first.
    pub fn greet(&mut self, out: &mut Vec<Output>) {
        self.shared.open(out);
    }

    /// Admits a client.
    pub fn join(&mut self, client: ClientKey, guest: Guest) {
        match guest {
            Guest::Legacy(member) => self.shared.join(client, member),
            Guest::Modern(principal) => self.visitors.join(client, principal),
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.shared.set_timeout(timeout);
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        let mut down = Vec::new();
        match input {
            Input::Request { client, exchange, message } if self.visitors.has(client) => {
                let request = Request { client, exchange, message };
                self.visitors.request(&request, self.shared.opened(), now, out, &mut down);
            }
            // Over HTTP a modern client has nothing to notify of.
            Input::Notice { client, .. } if self.visitors.has(client) => {}
            Input::Gone(client) if self.visitors.has(client) => self.visitors.gone(client, out, &mut down),
            Input::Tick => {
                self.base(Input::Tick, now, out);
                self.visitors.tick(now, out, &mut down);
            }
            Input::Over(error) => {
                self.base(Input::Over(error.clone()), now, out);
                self.visitors.end(&error, out);
            }
            Input::Exited(error) => {
                self.base(Input::Exited(error), now, out);
                self.visitors.exited();
            }
            Input::Drain => self.visitors.drain(out, &mut down),
            other => self.base(other, now, out),
        }
        self.pass_on(down, now, out);
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// How busy the server is.
    pub fn load(&self, now: Instant) -> Load {
        self.shared.load(now)
    }

    /// Whether a call is under way, or parked, to which the server may ask questions that name no call.
    pub fn is_interacting(&self) -> bool {
        self.visitors.is_interacting()
    }

    /// Whether all that keeps such a call out is one that was given up a moment ago.
    pub fn is_calming(&self) -> bool {
        self.visitors.is_calming()
    }

    /// Whether a call waits for its client to come back with an answer.
    pub fn is_parked(&self) -> bool {
        self.visitors.is_parked()
    }

    /// Whether the process can take no such call any more.
    pub fn is_spoiled(&self) -> bool {
        self.visitors.is_spoiled()
    }

    /// Whether somebody may come back for what the process is doing, or has done.
    pub fn is_awaited(&self) -> bool {
        self.visitors.is_awaited()
    }

    /// What the handshake agreed on, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        self.shared.opened()
    }

    /// The revision that a client was told, or speaks.
    pub fn revision(&self, client: ClientKey) -> Option<Revision> {
        if self.visitors.has(client) {
            return Some(Revision::V2026_07_28);
        }
        self.shared.revision(client)
    }

    /// Lets the machine of the process decide; what concerns modern clients goes by way of their translation.
    fn base(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        let mut said = Vec::new();
        self.shared.handle(input, now, &mut said);
        for output in said {
            let up = match output {
                Output::Answer { client: VISITORS, exchange, message, .. } => {
                    Message::own(message).ok().map(|message| Up::Answer { exchange, message })
                }
                Output::ToClient { client: VISITORS, to, message, class } => {
                    Message::own(message).ok().map(|message| Up::Said { to, message, class })
                }
                Output::Forget { client: VISITORS, exchange } => Some(Up::Silence(exchange)),
                other => {
                    if matches!(other, Output::Resumed) {
                        self.visitors.renewed();
                    }
                    out.push(other);
                    continue;
                }
            };
            let mut down = Vec::new();
            if let Some(up) = up {
                self.visitors.hear(up, self.shared.opened(), now, out, &mut down);
            }
            self.pass_on(down, now, out);
        }
    }

    fn pass_on(&mut self, down: Vec<Down>, now: Instant, out: &mut Vec<Output>) {
        for down in down {
            let input = match down {
                Down::Request { exchange, line } => request(VISITORS, exchange, line),
                Down::Notice(line) => {
                    Message::own(line).ok().map(|message| Input::Notice { client: VISITORS, message })
                }
                Down::Cancel(exchange) => Some(Input::Cancel { client: VISITORS, exchange }),
                Down::Hold(exchange, held) => {
                    self.shared.hold(exchange, held, now);
                    None
                }
            };
            if let Some(input) = input {
                self.base(input, now, out);
            }
        }
    }
}
