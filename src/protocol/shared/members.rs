//! The clients of a shared process: what each declared, the log level it asked for, and what it subscribed to.

use super::super::ClientKey;
use super::super::level::Level;
use super::super::replay::MOST_SUBSCRIPTIONS;
use crate::wire::Revision;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A client of a shared process.
#[derive(Clone, Debug)]
pub struct Member {
    /// The revision that the client asked for, if it made a handshake.
    pub revision: Option<Revision>,
    /// The capabilities that the client declared; a question beyond them is not put to it.
    pub capabilities: Map<String, Value>,
    /// It can be asked, and told of changes: it has a session, and with it a way back.
    pub reachable: bool,
}

/// All clients of a process, and what they wish of it.
#[derive(Debug, Default)]
pub(super) struct Members {
    wishes: BTreeMap<ClientKey, Wishes>,
}

#[derive(Debug)]
struct Wishes {
    member: Member,
    level: Option<Level>,
    /// URIs, as JSON strings.
    subscriptions: BTreeSet<Box<str>>,
    /// It has been answered: before that it expects nothing else.
    begun: bool,
}

impl Members {
    pub(super) fn join(&mut self, client: ClientKey, member: Member) {
        let wishes = Wishes { member, level: None, subscriptions: BTreeSet::new(), begun: false };
        self.wishes.insert(client, wishes);
    }

    /// A client has asked something, and is told of changes from now on.
    ///
    /// 2025-11-25, basic/lifecycle: "The server SHOULD NOT send requests other than pings and logging before receiving the
    /// `initialized` notification." To some clients anything but the answer to `initialize` is the end.
    pub(super) fn begin(&mut self, client: ClientKey) {
        if let Some(wishes) = self.wishes.get_mut(&client) {
            wishes.begun = true;
        }
    }

    /// Removes a client. What it alone was subscribed to is returned; None if it was no member.
    pub(super) fn leave(&mut self, client: ClientKey) -> Option<Vec<Box<str>>> {
        let left = self.wishes.remove(&client)?;
        Some(left.subscriptions.into_iter().filter(|uri| !self.other_subscribes(client, uri)).collect())
    }

    /// What a client declared.
    pub(super) fn member(&self, client: ClientKey) -> Option<&Member> {
        self.wishes.get(&client).map(|wishes| &wishes.member)
    }

    /// The clients that can be told of changes.
    pub(super) fn reachable(&self) -> impl Iterator<Item = ClientKey> {
        let told = |wishes: &Wishes| wishes.member.reachable && wishes.begun;
        self.wishes.iter().filter(move |(_, wishes)| told(wishes)).map(|(client, _)| *client)
    }

    /// Notes the level that a client asked for; false if it is no member.
    pub(super) fn set_level(&mut self, client: ClientKey, level: Level) -> bool {
        let wishes = self.wishes.get_mut(&client);
        wishes.map(|wishes| wishes.level = Some(level)).is_some()
    }

    /// The level that the server must log at for every client to get what it asked for.
    pub(super) fn most_verbose(&self) -> Option<Level> {
        self.wishes.values().filter_map(|wishes| wishes.level).min()
    }

    /// Whether a line at `level` is one that the client asked for; one that asked for nothing gets all.
    pub(super) fn wants(&self, client: ClientKey, level: Level) -> bool {
        self.wishes.get(&client).and_then(|wishes| wishes.level).is_none_or(|wanted| level >= wanted)
    }

    pub(super) fn subscribe(&mut self, client: ClientKey, uri: Box<str>) {
        let wishes = self.wishes.get_mut(&client);
        if let Some(wishes) = wishes.filter(|wishes| wishes.subscriptions.len() < MOST_SUBSCRIPTIONS) {
            wishes.subscriptions.insert(uri);
        }
    }

    pub(super) fn unsubscribe(&mut self, client: ClientKey, uri: &str) {
        if let Some(wishes) = self.wishes.get_mut(&client) {
            wishes.subscriptions.remove(uri);
        }
    }

    pub(super) fn subscribes(&self, client: ClientKey, uri: &str) -> bool {
        self.wishes.get(&client).is_some_and(|wishes| wishes.subscriptions.contains(uri))
    }

    /// Whether any client but this one is subscribed.
    pub(super) fn other_subscribes(&self, client: ClientKey, uri: &str) -> bool {
        self.wishes.iter().any(|(other, wishes)| *other != client && wishes.subscriptions.contains(uri))
    }

    /// What anybody is subscribed to, each once.
    pub(super) fn subscriptions(&self) -> BTreeSet<Box<str>> {
        self.wishes.values().flat_map(|wishes| wishes.subscriptions.iter().cloned()).collect()
    }
}
