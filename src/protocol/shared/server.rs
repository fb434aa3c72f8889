//! What the server of a shared process says, and for which of its clients that is.

use super::super::handshake::{INITIALIZED, Opened};
use super::super::inflight::{Effect, answered_id};
use super::super::level::Level;
use super::super::replay::announce;
use super::super::{Addressee, Class, ClientKey, Dropped, Output};
use super::{Asked, NO_EXCHANGE, Shared};
use crate::wire::meta::{find, uri};
use crate::wire::{Code, Kind, Message, RpcError};
use bytes::Bytes;
use std::time::Instant;

/// A server that asks more than this at once does not wait for answers.
const MOST_QUESTIONS: usize = 64;

impl Shared {
    pub(super) fn server(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        match message.kind() {
            Kind::Result | Kind::Error => self.server_answers(message, out),
            Kind::Request => self.server_asks(message, out),
            Kind::Notification => self.server_notifies(message, now, out),
        }
    }

    fn server_answers(&mut self, message: &Message, out: &mut Vec<Output>) {
        let id = match answered_id(message) {
            Ok(id) => id,
            Err(error) => return self.inflight.unreadable(None, &error, out),
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
        if message.kind() == Kind::Result {
            match flight.effect {
                Effect::Subscribe(uri) => self.members.subscribe(flight.client, uri),
                Effect::Unsubscribe(uri) => self.members.unsubscribe(flight.client, &uri),
                _ => {}
            }
        } else if matches!(flight.effect, Effect::SetLevel(_)) {
            // Whoever asks next must hear the refusal too.
            self.level = None;
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
        self.down = false;
        let again = self.opened.replace(opened.clone()).is_some();
        if !again {
            return out.push(Output::Opened(Box::new(opened)));
        }
        self.repeat_wishes(out);
        out.push(Output::Resumed);
        self.inflight.resend(out);
        for client in self.members.reachable() {
            announce(&opened, client, self.members.wants(client, Level::WARNING), out);
        }
    }

    /// Tells a new process the level and the subscriptions of all clients. Its answers are nobody's.
    fn repeat_wishes(&mut self, out: &mut Vec<Output>) {
        self.level = self.members.most_verbose();
        if let Some(level) = self.level {
            self.ask("logging/setLevel", &format!(r#"{{"level":"{}"}}"#, level.name()), out);
        }
        for uri in self.members.subscriptions() {
            self.ask("resources/subscribe", &format!(r#"{{"uri":{uri}}}"#), out);
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
        let wanted = self.inflight.only().or_else(|| {
            // Of a modern client's requests only some may ask, and one of them at a time is let in.
            let visitors = self.visitors?;
            self.inflight.only_of(|flight| flight.may_ask).filter(|(_, flight)| flight.client == visitors)
        });
        let asked = wanted.map(|(_, flight)| flight).filter(|flight| {
            let member = self.members.member(flight.client);
            // What its modern client can be asked, the translation knows.
            let stands_for_all = Some(flight.client) == self.visitors;
            member.is_some_and(|member| {
                member.reachable && (stands_for_all || member.capabilities.contains_key(capability))
            })
        });
        let asked = asked.filter(|flight| flight.may_ask || Some(flight.client) != self.visitors);
        let asked = asked.filter(|_| self.questions.len() < MOST_QUESTIONS);
        if let Some(flight) = asked {
            let (client, exchange) = (flight.client, flight.exchange);
            let to = Addressee::Exchange(exchange);
            self.questions.insert(id.into(), Asked { client, exchange });
            out.push(Output::ToClient { client, to, message: message.raw().clone(), class: Class::Question });
            return;
        }
        let visitors = self.visitors.and_then(|client| Some((client, self.members.member(client)?)));
        if let Some((client, _)) = visitors.filter(|(_, member)| {
            method == "roots/list"
                && member.capabilities.contains_key("roots")
                && self.inflight.is_idle()
                && self.questions.len() < MOST_QUESTIONS
        }) {
            // Some servers ask as soon as they are opened. A modern client says its roots only within a call: the next one.
            self.questions.insert(id.into(), Asked { client, exchange: NO_EXCHANGE });
            let to = Addressee::Anyone;
            return out.push(Output::ToClient {
                client,
                to,
                message: message.raw().clone(),
                class: Class::Question,
            });
        }
        // A shared process cannot say which of its clients it means.
        let error = RpcError::new(
            Code::MethodNotFound,
            "no single client of this shared server can be asked: several or no requests are in flight, or the client lacks the capability",
        );
        out.push(Output::ToServer(error.to_line(Some(id))));
    }

    fn server_notifies(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        match message.method() {
            "notifications/progress" => out.push(self.inflight.progress(message, self.rules, now)),
            "notifications/cancelled" => self.withdrawn(message, out),
            "notifications/resources/updated" => self.updated(message, out),
            method if method.ends_with("/list_changed") => {
                for client in self.members.reachable() {
                    out.push(notice(client, message));
                }
            }
            _ => self.about_a_request(message, out),
        }
    }

    fn updated(&self, message: &Message, out: &mut Vec<Output>) {
        // A URI too long to be remembered is nobody's.
        let Some(uri) = uri(message.body()) else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        for client in self.members.reachable() {
            if self.members.subscribes(client, &uri) {
                out.push(notice(client, message));
            }
        }
    }

    /// The server wants no answer to its question any more: who was asked is told, and nobody else.
    fn withdrawn(&mut self, message: &Message, out: &mut Vec<Output>) {
        let asked = find(message.body(), &["requestId"]).and_then(|id| self.questions.remove(id));
        let Some(Asked { client, exchange }) = asked else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        let to = if exchange == NO_EXCHANGE { Addressee::Anyone } else { Addressee::Exchange(exchange) };
        out.push(Output::ToClient { client, to, message: message.raw().clone(), class: Class::Notice });
    }

    /// A notification that belongs to a request but does not say to which: log lines, vendors' own.
    fn about_a_request(&self, message: &Message, out: &mut Vec<Output>) {
        let Some((_, flight)) = self.inflight.only() else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        let (client, to) = (flight.client, Addressee::Exchange(flight.exchange));
        let is_log = message.method() == "notifications/message";
        let unwanted = |level| !self.members.wants(client, level);
        if is_log && Level::of(message).is_some_and(unwanted) {
            return;
        }
        let class = if is_log { Class::Passing } else { Class::Notice };
        out.push(Output::ToClient { client, to, message: message.raw().clone(), class });
    }
}

/// What is about the server, for a client's standalone stream.
fn notice(client: ClientKey, message: &Message) -> Output {
    Output::ToClient {
        client,
        to: Addressee::Announcement,
        message: message.raw().clone(),
        class: Class::Notice,
    }
}
