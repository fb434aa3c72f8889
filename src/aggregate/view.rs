//! Which of the servers' things are shown behind an endpoint, and as what: the rules of its configuration, applied.

use super::lists::{Kind, Lists};
use super::{names, uri};
use crate::config::{AggregateSpec, Prefix, Rules, ServerName};
use crate::protocol::legacy_tool;
use crate::wire::meta::find_string;
use crate::wire::{Era, Object};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use wildmatch::WildMatch;

/// What is shown of one kind, and where each comes from.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// In the order of the servers, and in that of each server.
    pub(super) items: Vec<Item>,
    /// By the name that is shown.
    by_name: HashMap<Box<str>, usize>,
    /// By the server and its own name.
    by_origin: HashMap<(usize, Box<str>), usize>,
    /// Names that several things would have, and why none has it.
    refused: HashMap<Box<str>, String>,
}

/// Something that is shown.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What it is called here.
    pub(super) name: Box<str>,
    /// Which of the servers it is of.
    pub(super) server: usize,
    /// What the server calls it.
    pub(super) own: Box<str>,
    /// As it is listed.
    pub(super) json: Box<str>,
    /// As it is listed for legacy clients, where that is not the same.
    older: Option<Box<str>>,
}

/// Whether somebody may use a thing of a server: its own name, and what is said of it.
pub(super) type MayUse<'a> = dyn Fn(Kind, &ServerName, &str, &str) -> bool + 'a;

/// The rules for one kind of things.
#[derive(Debug)]
struct Gate {
    allow: Option<Vec<WildMatch>>,
    deny: Vec<WildMatch>,
}

/// Something on its way onto the shelf.
struct Candidate<'a> {
    server: usize,
    own: String,
    full: String,
    json: &'a str,
}

impl Item {
    /// As it is listed for clients of an era.
    pub(super) fn listed(&self, era: Era) -> &str {
        self.older.as_deref().filter(|_| era == Era::Legacy).unwrap_or(&self.json)
    }
}

impl Shelf {
    /// What of `servers`' lists an endpoint shows.
    pub(super) fn new(
        spec: &AggregateSpec,
        kind: Kind,
        servers: &[(&ServerName, Option<&Lists>)],
        may_use: &MayUse<'_>,
    ) -> Self {
        match kind {
            Kind::Tools => Self::named(spec, &spec.tools, kind, servers, may_use),
            Kind::Prompts => Self::named(spec, &spec.prompts, kind, servers, may_use),
            Kind::Resources | Kind::Templates => Self::addressed(&spec.resources, kind, servers),
        }
    }

    /// The item of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Item> {
        self.by_name.get(name).map(|at| &self.items[*at])
    }

    /// The item of a server that it calls so.
    pub(super) fn of(&self, server: usize, own: &str) -> Option<&Item> {
        self.by_origin.get(&(server, own.into())).map(|at| &self.items[*at])
    }

    /// Why nothing has this name, if several things would have it.
    pub(super) fn refusal(&self, name: &str) -> Option<&str> {
        self.refused.get(name).map(String::as_str)
    }

    /// The names that nothing has because several things would have them, each with the reason.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&str, &str)> {
        self.refused.iter().map(|(name, reason)| (&**name, reason.as_str()))
    }

    /// Where the item of this name stands.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn named(
        spec: &AggregateSpec,
        rules: &Rules,
        kind: Kind,
        servers: &[(&ServerName, Option<&Lists>)],
        may_use: &MayUse<'_>,
    ) -> Self {
        let gate = Gate::new(rules);
        let mut candidates = Vec::new();
        let mut seen = HashSet::new();
        for (server, (name, lists)) in servers.iter().enumerate() {
            for json in lists.iter().flat_map(|lists| &lists.of(kind).items) {
                let Some(own) = find_string(json, &[kind.key()]) else { continue };
                let full = names::full(name, names::SEPARATOR, &own);
                // One that a server lists twice is listed once.
                if gate.admits(&full) && may_use(kind, name, &own, json) && seen.insert((server, own.clone()))
                {
                    candidates.push(Candidate { server, own, full, json });
                }
            }
        }
        let things = candidates
            .iter()
            .map(|candidate| (servers[candidate.server].0, candidate.own.as_str(), candidate.full.as_str()));
        let shown = names::shown(spec, rules, things);
        let mut shelf = Self::default();
        let named: Vec<_> = shown.into_iter().zip(&candidates).collect();
        let mut of_name: HashMap<&str, Vec<&Candidate<'_>>> = HashMap::new();
        for (name, candidate) in &named {
            of_name.entry(name).or_default().push(candidate);
        }
        for (name, candidate) in &named {
            let rivals = &of_name[name.as_str()];
            if rivals.len() > 1 {
                if shelf.refused.contains_key(name.as_str()) {
                    continue;
                }
                let fulls: HashSet<_> = rivals.iter().map(|rival| &rival.full).collect();
                // Rules and prefixes tell them apart by their full names; of servers whose names look alike they are the same.
                let is_hopeless = fulls.len() < rivals.len();
                let told = |rival: &&Candidate<'_>| {
                    if is_hopeless {
                        format!("{:?} of {}", rival.own.as_str(), servers[rival.server].0)
                    } else {
                        rival.full.clone()
                    }
                };
                let all = rivals.iter().map(told).collect::<Vec<_>>().join(" and of ");
                let advice = match spec.prefix {
                    _ if is_hopeless => "rename one of the servers",
                    Prefix::Always => "rename one",
                    Prefix::Never | Prefix::OnConflict => {
                        "rename one, or set `aggregate.prefix` to \"always\""
                    }
                };
                let reason = format!("{name:?} would be the name of {all}: {advice}");
                shelf.refused.insert(name.as_str().into(), reason);
                continue;
            }
            let Some(mut item) = Object::read(candidate.json) else { continue };
            item.set(kind.key(), Value::from(name.as_str()).to_string());
            if let Some(description) = rules.describe.get(&candidate.full) {
                item.set("description", Value::from(description.as_str()).to_string());
            }
            shelf.put(name, candidate.server, &candidate.own, item.to_json());
        }
        shelf
    }

    /// Things that are known by a URI keep it; where two servers have the same, that of the second names its server.
    fn addressed(rules: &Rules, kind: Kind, servers: &[(&ServerName, Option<&Lists>)]) -> Self {
        let gate = Gate::new(rules);
        let mut shelf = Self::default();
        for (server, (name, lists)) in servers.iter().enumerate() {
            for json in lists.iter().flat_map(|lists| &lists.of(kind).items) {
                let Some(own) = find_string(json, &[kind.key()]) else { continue };
                if !gate.admits(&own) || shelf.of(server, &own).is_some() {
                    continue;
                }
                // A URI that names a server leads to that one, and not to whoever lists it.
                if shelf.by_name.contains_key(own.as_str()) || uri::split(&own).is_some() {
                    let Some(mut item) = Object::read(json) else { continue };
                    let shown = uri::prefixed(name.as_str(), &own);
                    item.set(kind.key(), Value::from(shown.as_str()).to_string());
                    shelf.put(&shown, server, &own, item.to_json());
                } else {
                    shelf.put(&own, server, &own, json.to_string());
                }
            }
        }
        shelf
    }

    fn put(&mut self, name: &str, server: usize, own: &str, json: String) {
        let older = legacy_tool(&json).map(Into::into);
        self.by_name.insert(name.into(), self.items.len());
        self.by_origin.insert((server, own.into()), self.items.len());
        self.items.push(Item { name: name.into(), server, own: own.into(), json: json.into(), older });
    }
}

/// Whether the rules let a thing be seen and used that is called so in full.
pub(super) fn admits(rules: &Rules, full: &str) -> bool {
    Gate::new(rules).admits(full)
}

impl Gate {
    fn new(rules: &Rules) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| WildMatch::new(text)).collect();
        Self { allow: rules.allow.as_deref().map(patterns), deny: patterns(&rules.deny) }
    }

    fn admits(&self, full: &str) -> bool {
        let fits = |patterns: &[WildMatch]| patterns.iter().any(|pattern| pattern.matches(full));
        self.allow.as_deref().is_none_or(fits) && !fits(&self.deny)
    }
}

#[cfg(test)]
mod tests;
