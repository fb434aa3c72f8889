//! What a legacy client is told of unasked, from one `subscriptions/listen` of a modern server.

use super::super::replay::MOST_SUBSCRIPTIONS;
use super::super::stage::{Down, notification, request, response};
use super::super::{ExchangeKey, Opened, Output};
use super::LegacyToModern;
use crate::wire::claim::SUBSCRIPTION_ID;
use crate::wire::meta::{find, uri};
use crate::wire::object::array;
use crate::wire::{Code, Kind, Message, Object, RpcError};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The pause before a subscription that has ended is opened again, doubled for each one that ends at once.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What is listened to.
#[derive(Debug, Default)]
pub(super) struct Listening {
    /// The lists whose changes the client is told of: `tools`, `prompts`, `resources`.
    lists: BTreeSet<&'static str>,
    /// URIs that the client is subscribed to, as JSON strings.
    wanted: BTreeSet<Box<str>>,
    /// What has been acknowledged, and is heard.
    current: Option<Current>,
    /// What will take its place.
    next: Option<Next>,
    /// Changes that came while `next` was under way.
    changes: Vec<Change>,
    /// Since nothing was heard any more, something may have changed.
    gap: bool,
    failures: u32,
    again_at: Option<Instant>,
}

/// A subscription that is heard.
#[derive(Debug)]
struct Current {
    exchange: ExchangeKey,
    since: Instant,
}

/// A subscription that is not acknowledged yet.
#[derive(Debug)]
struct Next {
    exchange: ExchangeKey,
    /// What is to be subscribed to once it is.
    wanted: BTreeSet<Box<str>>,
    changes: Vec<Change>,
    /// The server has time until then.
    until: Option<Instant>,
}

/// A request of the client that waits for the acknowledgement.
#[derive(Debug)]
struct Change {
    exchange: ExchangeKey,
    id: Box<str>,
    uri: Box<str>,
    subscribe: bool,
}

impl LegacyToModern {
    /// Listens to the changes of lists that the server announces.
    pub(super) fn listen_to_lists(
        &mut self,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let Some(opened) = opened.filter(|_| self.profile.reachable) else { return };
        let lists: BTreeSet<_> =
            ["tools", "prompts", "resources"].into_iter().filter(|kind| opened.announces(kind)).collect();
        if !lists.is_empty() && self.listening.lists.is_empty() {
            self.listening.lists = lists;
            self.move_on(now, out, down);
        }
    }

    /// The client subscribes to a resource, or does so no more: it is answered when the server has acknowledged it.
    pub(super) fn change_subscription(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        opened: Option<&Opened>,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let id = message.id().unwrap_or_default();
        let refuse = |code, reason: &'static str| RpcError::new(code, reason).to_line(Some(id));
        let offered = opened.and_then(|opened| opened.capabilities.get("resources")?.get("subscribe"));
        if offered.is_none_or(|offered| offered != true) || !self.profile.reachable {
            let line = refuse(Code::MethodNotFound, "the server has no subscriptions to resources");
            return self.answer(exchange, line, true, out);
        }
        let Some(uri) = uri(message.body()) else {
            let line = refuse(Code::InvalidParams, "\"uri\" must be a string of at most 8 KiB");
            return self.answer(exchange, line, true, out);
        };
        let subscribe = message.method() == "resources/subscribe";
        if subscribe && self.listening.wanted.len() >= MOST_SUBSCRIPTIONS {
            let line = refuse(Code::InvalidParams, "too many subscriptions: unsubscribe from some");
            return self.answer(exchange, line, true, out);
        }
        if self.listening.wanted.contains(&uri) == subscribe && self.listening.next.is_none() {
            return self.answer(exchange, response(id, "{}"), false, out);
        }
        self.listening.changes.push(Change { exchange, id: id.into(), uri, subscribe });
        self.move_on(now, out, down);
    }

    /// Opens a new subscription for what has changed, unless one is under way: the old one goes on until the new one is
    /// acknowledged, so that nothing falls between them.
    fn move_on(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        if self.listening.next.is_some() {
            return;
        }
        self.listening.again_at = None;
        let changes = std::mem::take(&mut self.listening.changes);
        let mut wanted = self.listening.wanted.clone();
        for change in &changes {
            if change.subscribe {
                wanted.insert(change.uri.clone());
            } else {
                wanted.remove(&change.uri);
            }
        }
        if self.listening.lists.is_empty() && wanted.is_empty() {
            return self.listen_to_nothing(changes, out, down);
        }
        let exchange = self.own_exchange();
        let mut filter = Object::default();
        for kind in &self.listening.lists {
            filter.set(&format!("{kind}ListChanged"), "true");
        }
        if !wanted.is_empty() {
            filter.set("resourceSubscriptions", array(&wanted));
        }
        let mut params = Object::default();
        params.set("notifications", filter.to_json());
        let params = self.stamped(&params.to_json());
        let until = self.rules.timeout.map(|timeout| now + timeout);
        self.listening.next = Some(Next { exchange, wanted, changes, until });
        down.push(Down::Request { exchange, line: request(exchange, "subscriptions/listen", &params) });
    }

    /// The client has unsubscribed from the last resource, and no list is heard.
    fn listen_to_nothing(&mut self, changes: Vec<Change>, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        self.listening.wanted.clear();
        if let Some(current) = self.listening.current.take() {
            down.push(Down::Cancel(current.exchange));
        }
        for change in changes {
            self.answer(change.exchange, response(&change.id, "{}"), false, out);
        }
    }

    /// The server notifies on a subscription.
    pub(super) fn notified(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let is_next = self.listening.next.as_ref().is_some_and(|next| next.exchange == exchange);
        if message.method() == "notifications/subscriptions/acknowledged" {
            if is_next {
                self.acknowledged(message, now, out, down);
            }
            return;
        }
        if !self.listening.hears(exchange) {
            // The same comes on the other one.
            return;
        }
        if message.method() == "notifications/resources/updated"
            && !uri(message.body()).is_some_and(|uri| self.listening.wanted.contains(&uri))
        {
            return;
        }
        self.announce(notification(message.method(), &without_subscription(message.body())), out);
    }

    /// 2026-07-28, basic/patterns/subscriptions: "The `notifications` field in the acknowledgment reflects the subset the
    /// server agreed to honor."
    fn acknowledged(&mut self, message: &Message, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let Some(next) = self.listening.next.take() else { return };
        self.listening.again_at = None;
        let honoured = find(message.body(), &["notifications", "resourceSubscriptions"]);
        let honoured: BTreeSet<Box<str>> = honoured
            .and_then(|raw| serde_json::from_str::<Vec<String>>(raw).ok())
            .unwrap_or_default()
            .into_iter()
            .map(|uri| serde_json::Value::from(uri).to_string().into())
            .collect();
        // After a gap, what was there before may have changed unheard.
        let gap = std::mem::take(&mut self.listening.gap);
        for kind in self.listening.lists.clone().into_iter().filter(|_| gap) {
            self.announce(notification(&format!("notifications/{kind}/list_changed"), "{}"), out);
        }
        self.listening.wanted = next.wanted.into_iter().filter(|uri| honoured.contains(uri)).collect();
        for change in next.changes {
            if change.subscribe && !honoured.contains(&change.uri) {
                let error =
                    RpcError::new(Code::InvalidParams, "the server has no subscription to this resource");
                self.answer(change.exchange, error.to_line(Some(&change.id)), true, out);
            } else {
                self.answer(change.exchange, response(&change.id, "{}"), false, out);
            }
        }
        let current = Current { exchange: next.exchange, since: now };
        if let Some(before) = self.listening.current.replace(current) {
            down.push(Down::Cancel(before.exchange));
        }
        if !self.listening.changes.is_empty() {
            self.move_on(now, out, down);
        }
    }

    /// A subscription has ended, or was refused.
    pub(super) fn listen_answered(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        now: Instant,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        if let Some(ended) = self.listening.current.take_if(|current| current.exchange == exchange) {
            if now >= ended.since + LONGEST_PAUSE {
                self.listening.failures = 0;
            }
            return self.listen_again(now, out);
        }
        let Some(next) = self.listening.next.take_if(|next| next.exchange == exchange) else { return };
        for change in next.changes {
            let answer = if message.kind() == Kind::Error {
                message.with_id(&change.id)
            } else {
                let error = RpcError::new(Code::InternalError, "the server ended the subscription at once");
                error.to_line(Some(&change.id))
            };
            self.answer(change.exchange, answer, true, out);
        }
        if !self.listening.changes.is_empty() {
            self.move_on(now, out, down);
        } else if self.listening.current.is_none() && (message.kind() == Kind::Result || self.listening.gap) {
            // What was refused from the beginning is not asked for again.
            self.listen_again(now, out);
        }
    }

    fn listen_again(&mut self, now: Instant, out: &mut Vec<Output>) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.listening.failures.min(8)).min(LONGEST_PAUSE);
        self.listening.gap = true;
        self.listening.failures = self.listening.failures.saturating_add(1);
        self.listening.again_at = Some(now + pause);
        out.push(Output::Wake(now + pause));
    }

    pub(super) fn tick_listening(&mut self, now: Instant, out: &mut Vec<Output>, down: &mut Vec<Down>) {
        let late = |next: &mut Next| next.until.is_some_and(|until| now >= until);
        if let Some(next) = self.listening.next.take_if(late) {
            down.push(Down::Cancel(next.exchange));
            let error =
                RpcError::new(Code::RequestTimeout, "the server did not acknowledge the subscription");
            for change in next.changes {
                self.answer(change.exchange, error.to_line(Some(&change.id)), true, out);
            }
            if !self.listening.changes.is_empty() {
                self.move_on(now, out, down);
            } else if self.listening.current.is_none() {
                self.listen_again(now, out);
            }
        }
        let due = self.listening.again_at.is_some_and(|at| now >= at);
        if due && !(self.listening.lists.is_empty() && self.listening.wanted.is_empty()) {
            self.move_on(now, out, down);
        }
    }

    /// Listens to nothing any more; who waits for an acknowledgement is told `error`.
    pub(in crate::protocol) fn stop_listening(&mut self, error: &RpcError, out: &mut Vec<Output>) {
        let listening = std::mem::take(&mut self.listening);
        let waiting = listening.next.map(|next| next.changes).unwrap_or_default();
        for change in waiting.into_iter().chain(listening.changes) {
            self.answer(change.exchange, error.to_line(Some(&change.id)), true, out);
        }
    }
}

impl Listening {
    fn hears(&self, exchange: ExchangeKey) -> bool {
        self.current.as_ref().is_some_and(|current| current.exchange == exchange)
    }
}

/// Params without the id of the subscription, which legacy clients do not know.
fn without_subscription(params: &str) -> String {
    let Some(mut object) = Object::read(params) else { return "{}".to_owned() };
    object.change("_meta", |meta| drop(meta.remove(SUBSCRIPTION_ID)));
    object.to_json()
}
