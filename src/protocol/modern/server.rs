//! What a modern server says, and which request that belongs to.

use super::super::handshake::Opened;
use super::super::handshake::every_version;
use super::super::inflight::{Effect, Flight, Listening, answered_id};
use super::super::level::Level;
use super::super::stage::{notification, response};
use super::super::subscription::{LISTS, list_changed};
use super::super::{Addressee, Class, Dropped, Output};
use super::{Modern, subscription_ended};
use crate::wire::claim::{RELATED_REQUEST, SUBSCRIPTION_ID};
use crate::wire::meta::find;
use crate::wire::{Code, Kind, Message, Object, RpcError};
use std::time::Instant;

impl Modern {
    pub(super) fn server(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        match message.kind() {
            Kind::Result | Kind::Error => self.server_answers(message, now, out),
            Kind::Request => {
                // 2026-07-28, basic/transports/stdio: "The server MUST NOT write JSON-RPC requests to `stdout`."
                let error = RpcError::new(
                    Code::MethodNotFound,
                    "2026-07-28 has no requests from the server: answer with `input_required`",
                );
                out.push(Output::ToServer(error.to_line(message.id())));
            }
            Kind::Notification => self.server_notifies(message, now, out),
        }
    }

    fn server_answers(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let id = match answered_id(message) {
            Ok(id) => id,
            Err(error) => return self.inflight.unreadable(None, &error, out),
        };
        if self.opening.as_deref() == Some(id) {
            self.opening = None;
            return self.discovered(message, now, out);
        }
        let Some(flight) = self.inflight.take(id) else {
            return out.push(Output::Dropped(Dropped::UnknownAnswer));
        };
        let failed = message.kind() == Kind::Error;
        let (client, exchange) = (flight.client, flight.exchange);
        if flight.lasts() && !failed {
            return out.push(subscription_ended(&flight));
        }
        let line = if matches!(flight.effect, Effect::Discover) && !failed {
            response(&flight.id, &with_every_version(message.body()))
        } else {
            message.with_id(&flight.id)
        };
        out.push(Output::Answer { client, exchange, message: line, failed });
    }

    fn discovered(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let opened = Opened::discovered(message).and_then(|opened| match &self.opened {
            Some(before) => opened.continues(before).map(|()| opened),
            None => Ok(opened),
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return out.push(Output::Failed(error)),
        };
        self.down = false;
        let again = self.opened.replace(opened.clone()).is_some();
        if !again {
            return out.push(Output::Opened(Box::new(opened)));
        }
        self.subscribe_again(now, out);
        out.push(Output::Resumed);
    }

    /// Opens every subscription again with a new process, and tells of what may have changed meanwhile.
    ///
    /// 2026-07-28, basic/transports/stdio: "Active `subscriptions/listen` streams must also be re-established after
    /// restart."
    fn subscribe_again(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (_, flight) in self.inflight.drain(Flight::lasts) {
            let Effect::Listen(listening) = &flight.effect else { continue };
            let Listening { request, acknowledged } = (**listening).clone();
            let (client, to, id) = (flight.client, Addressee::Exchange(flight.exchange), flight.id.clone());
            let line = self.take_off(flight, &request, now);
            out.push(Output::ToServer(line));
            for kind in LISTS.into_iter().filter(|_| acknowledged) {
                let wanted = find(request.body(), &["notifications", &format!("{kind}ListChanged")]);
                if wanted == Some("true") {
                    let message = list_changed(kind, &id);
                    out.push(Output::ToClient { client, to, message, class: Class::Notice });
                }
            }
        }
    }

    fn server_notifies(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>) {
        let params = message.body();
        if let Some(subscription) = find(params, &["_meta", SUBSCRIPTION_ID]) {
            return self.of_a_subscription(subscription, message, out);
        }
        if let Some(request) = find(params, &["_meta", RELATED_REQUEST]) {
            return self.of_a_request(request, message, out);
        }
        match message.method() {
            "notifications/progress" => out.push(self.inflight.progress(message, self.rules, now)),
            "notifications/cancelled" => self.torn_down(message, out),
            "notifications/message" => self.log_line(message, out),
            _ => self.about_a_request(message, out),
        }
    }

    /// A notification that names its subscription, by the id that the server knows it by.
    fn of_a_subscription(&mut self, subscription: &str, message: &Message, out: &mut Vec<Output>) {
        let acknowledges = message.method() == "notifications/subscriptions/acknowledged";
        let Some((flight, before)) = self.inflight.listening(unquoted(subscription), acknowledges) else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        if acknowledges && before {
            // A process that took over says nothing new.
            return;
        }
        out.push(Output::ToClient {
            client: flight.client,
            to: Addressee::Exchange(flight.exchange),
            message: message.spliced("", Some((subscription, &flight.id))),
            class: Class::Notice,
        });
    }

    /// A notification that names its request, by the id that the server knows it by: a part of this program says so.
    fn of_a_request(&self, request: &str, message: &Message, out: &mut Vec<Output>) {
        let Some(flight) = self.inflight.get(request) else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        let mut params = Object::read(message.body()).unwrap_or_default();
        params.change("_meta", |meta| drop(meta.remove(RELATED_REQUEST)));
        out.push(Output::ToClient {
            client: flight.client,
            to: Addressee::Exchange(flight.exchange),
            message: notification(message.method(), &params.to_json()),
            class: Class::Passing,
        });
    }

    /// 2026-07-28, basic/patterns/cancellation: "A server MUST send `notifications/cancelled` referencing a
    /// `subscriptions/listen` request ID when it tears down that subscription stream".
    fn torn_down(&mut self, message: &Message, out: &mut Vec<Output>) {
        let id = find(message.body(), &["requestId"])
            .filter(|id| self.inflight.get(id).is_some_and(Flight::lasts));
        match id.and_then(|id| self.inflight.take(id)) {
            Some(flight) => out.push(subscription_ended(&flight)),
            None => out.push(Output::Dropped(Dropped::Unattributable)),
        }
    }

    /// A log line names no request. It belongs to the only one that asked for lines like it, unless it may be about another
    /// client's that was given up a moment ago.
    ///
    /// 2026-07-28, server/utilities/logging: "The server MUST NOT emit `notifications/message` for a request that does not
    /// include this field."
    fn log_line(&mut self, message: &Message, out: &mut Vec<Output>) {
        let level = Level::of(message);
        let wants = |flight: &Flight| {
            !flight.lasts() && flight.level.is_some_and(|wanted| level.is_none_or(|level| level >= wanted))
        };
        let mut asked = self.inflight.iter().map(|(_, flight)| flight).filter(|flight| wants(flight));
        match (asked.next(), asked.next()) {
            (Some(flight), None)
                if self.inflight.late().all(|late| late.client == flight.client || !wants(late)) =>
            {
                out.push(Output::ToClient {
                    client: flight.client,
                    to: Addressee::Exchange(flight.exchange),
                    message: message.raw().clone(),
                    class: Class::Passing,
                });
            }
            _ => out.push(Output::Dropped(Dropped::Unattributable)),
        }
    }

    /// What no revision that is known here defines: it belongs to the only request in flight, or to nobody.
    fn about_a_request(&self, message: &Message, out: &mut Vec<Output>) {
        let Some((_, flight)) = self.inflight.only() else {
            return out.push(Output::Dropped(Dropped::Unattributable));
        };
        out.push(Output::ToClient {
            client: flight.client,
            to: Addressee::Exchange(flight.exchange),
            message: message.raw().clone(),
            class: Class::Notice,
        });
    }
}

/// What a server says of itself, for clients of this URL.
///
/// 2026-07-28, server/discover: `supportedVersions` are "Protocol versions the server supports. The client should choose one
/// of these for subsequent requests." Here all can be spoken, whichever the process speaks.
fn with_every_version(result: &str) -> String {
    let Some(mut object) = Object::read(result) else { return result.to_owned() };
    object.set("supportedVersions", every_version());
    object.to_json()
}

/// Some servers name a subscription by a string although its id is a number.
fn unquoted(id: &str) -> &str {
    let inside = id.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
    inside.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(id)
}
