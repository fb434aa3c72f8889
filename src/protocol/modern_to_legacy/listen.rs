//! `subscriptions/listen` before a legacy server: its `list_changed`, and subscriptions to resources that many share.

use super::super::stage::{Down, request};
use super::super::subscription::{Filter, ended, list_changed, stamped};
use super::super::{Class, ClientKey, ExchangeKey, Opened, Output};
use super::call::Waiter;
use super::{ModernToLegacy, to_exchange};
use crate::wire::meta::uri;
use crate::wire::{Kind, Message};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every open subscription, and what the server was asked for because of them.
#[derive(Debug, Default)]
pub(super) struct Listens {
    open: BTreeMap<ExchangeKey, Listen>,
    /// URIs, as JSON strings.
    resources: BTreeMap<Box<str>, Resource>,
    /// Requests of our own, and which URI they subscribe to.
    asked: HashMap<ExchangeKey, Box<str>>,
}

#[derive(Debug)]
struct Listen {
    waiter: Waiter,
    /// `tools`, `prompts`, `resources`.
    lists: BTreeSet<&'static str>,
    /// URIs that the server has not accepted yet, and those that it has.
    wanted: BTreeSet<Box<str>>,
    accepted: BTreeSet<Box<str>>,
    acknowledged: bool,
}

/// A resource that somebody is subscribed to.
#[derive(Debug, Default)]
struct Resource {
    listeners: usize,
    accepted: bool,
}

impl ModernToLegacy {
    /// Opens a subscription.
    pub(super) fn listen(
        &mut self,
        waiter: Waiter,
        message: &Message,
        opened: Option<&Opened>,
        out: &mut Vec<Output>,
        down: &mut Vec<Down>,
    ) {
        let filter = match Filter::read(message.body()) {
            Ok(filter) => filter,
            Err(error) => return waiter.refuse(&error, out),
        };
        let announced = |kind: &&str| opened.is_some_and(|opened| opened.announces(kind));
        let lists = filter.lists.into_iter().filter(announced).collect();
        let subscribes = opened.and_then(|opened| opened.capabilities.get("resources")?.get("subscribe"));
        let wanted = if subscribes.is_some_and(|flag| flag == true) { filter.uris } else { BTreeSet::new() };
        let key = waiter.exchange;
        let mut listen =
            Listen { waiter, lists, wanted: BTreeSet::new(), accepted: BTreeSet::new(), acknowledged: false };
        for uri in wanted {
            let resource = self.listens.resources.entry(uri.clone()).or_default();
            resource.listeners += 1;
            if resource.accepted {
                listen.accepted.insert(uri);
                continue;
            }
            if resource.listeners == 1 {
                self.minted += 1;
                let exchange = super::own_exchange(u64::MAX, self.minted);
                let params = format!(r#"{{"uri":{uri}}}"#);
                self.listens.asked.insert(exchange, uri.clone());
                down.push(Down::Request {
                    exchange,
                    line: request(exchange, "resources/subscribe", &params),
                });
            }
            listen.wanted.insert(uri);
        }
        listen.acknowledge(out);
        self.listens.open.insert(key, listen);
    }

    /// The server has answered a request of ours: a subscription was accepted, or not.
    pub(super) fn subscribed(&mut self, exchange: ExchangeKey, message: &Message, out: &mut Vec<Output>) {
        let Some(uri) = self.listens.asked.remove(&exchange) else { return };
        let accepted = message.kind() == Kind::Result;
        if let Some(resource) = self.listens.resources.get_mut(&uri) {
            resource.accepted = accepted;
        }
        if !accepted {
            self.listens.resources.remove(&uri);
        }
        for listen in self.listens.open.values_mut() {
            if listen.wanted.remove(&uri) {
                if accepted {
                    listen.accepted.insert(uri.clone());
                }
                listen.acknowledge(out);
            }
        }
    }

    /// The server announces a change.
    ///
    /// 2026-07-28, basic/patterns/subscriptions: "The server MUST NOT send notification types the client has not explicitly
    /// requested", and every one "MUST include `io.modelcontextprotocol/subscriptionId`".
    pub(super) fn announced(&mut self, message: &Message, out: &mut Vec<Output>) {
        let method = message.method().strip_prefix("notifications/").unwrap_or_default();
        let list = method.strip_suffix("/list_changed");
        let updated = (method == "resources/updated").then(|| uri(message.body())).flatten();
        for (key, listen) in &self.listens.open {
            let line = match (list, &updated) {
                (Some(kind), _) if listen.lists.contains(kind) => list_changed(kind, &listen.waiter.id),
                (None, Some(uri)) if listen.accepted.contains(uri) => stamped(message, &listen.waiter.id),
                _ => continue,
            };
            if listen.acknowledged {
                out.push(to_exchange(listen.waiter.client, *key, line, Class::Notice));
            }
        }
    }

    /// A client is gone, and with it its subscription.
    pub(super) fn unlisten(&mut self, client: ClientKey, down: &mut Vec<Down>) {
        let found = self.listens.open.iter().find(|(_, listen)| listen.waiter.client == client);
        let Some(key) = found.map(|(key, _)| *key) else { return };
        let Some(listen) = self.listens.open.remove(&key) else { return };
        for uri in listen.wanted.into_iter().chain(listen.accepted) {
            let Some(resource) = self.listens.resources.get_mut(&uri) else { continue };
            resource.listeners -= 1;
            if resource.listeners == 0 {
                self.listens.resources.remove(&uri);
                self.minted += 1;
                let exchange = super::own_exchange(u64::MAX, self.minted);
                let params = format!(r#"{{"uri":{uri}}}"#);
                down.push(Down::Request {
                    exchange,
                    line: request(exchange, "resources/unsubscribe", &params),
                });
            }
        }
    }

    /// Ends every subscription in peace.
    pub(super) fn end_listens(&mut self, out: &mut Vec<Output>) {
        for listen in std::mem::take(&mut self.listens).open.into_values() {
            listen.waiter.answer(ended(&listen.waiter.id), false, out);
        }
    }
}

impl Listen {
    /// Tells the client what it is subscribed to, once that is known.
    fn acknowledge(&mut self, out: &mut Vec<Output>) {
        if self.acknowledged || !self.wanted.is_empty() {
            return;
        }
        self.acknowledged = true;
        let honoured = Filter { lists: self.lists.clone(), uris: self.accepted.clone() };
        let line = honoured.acknowledged(&self.waiter.id);
        out.push(to_exchange(self.waiter.client, self.waiter.exchange, line, Class::Notice));
    }
}
