//! Tools of several servers that would be called the same behind one endpoint, so that none of them is shown.

use super::names;
use super::view::admits;
use crate::config::{AggregateSpec, ServerName};
use std::collections::{BTreeMap, HashSet};

/// A name that several tools would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What they would be called.
    pub name: String,
    /// Whose they are: the server, and what that calls it.
    pub tools: Vec<(ServerName, String)>,
}

/// The names that no tool has behind an endpoint, because several would. `servers`: what each of them lists.
pub fn clashes(spec: &AggregateSpec, servers: &[(&ServerName, &[String])]) -> Vec<Clash> {
    let is_in = |server: &ServerName| spec.servers.as_ref().is_none_or(|servers| servers.contains(server));
    let mut seen = HashSet::new();
    let candidates: Vec<(&ServerName, &str, String)> = servers
        .iter()
        .filter(|(server, _)| is_in(server))
        .flat_map(|(server, tools)| tools.iter().map(|own| (*server, own.as_str())))
        .filter(|tool| seen.insert(*tool))
        .map(|(server, own)| (server, own, names::full(server, names::SEPARATOR, own)))
        .filter(|(.., full)| admits(&spec.tools, full))
        .collect();
    let things = candidates.iter().map(|(server, own, full)| (*server, *own, full.as_str()));
    let shown = names::shown(spec, &spec.tools, things);
    let mut of_name: BTreeMap<String, Vec<(ServerName, String)>> = BTreeMap::new();
    for (name, (server, own, _)) in shown.into_iter().zip(&candidates) {
        of_name.entry(name).or_default().push(((*server).clone(), (*own).to_owned()));
    }
    let clash = |(name, tools): (String, Vec<_>)| (tools.len() > 1).then_some(Clash { name, tools });
    of_name.into_iter().filter_map(clash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Prefix;

    fn found(spec: &AggregateSpec, servers: &[(&str, &[&str])]) -> Vec<String> {
        let servers: Vec<(ServerName, Vec<String>)> = servers
            .iter()
            .map(|(name, tools)| {
                (name.parse().unwrap(), tools.iter().map(|tool| (*tool).to_owned()).collect())
            })
            .collect();
        let servers: Vec<_> = servers.iter().map(|(name, tools)| (name, tools.as_slice())).collect();
        let told = |clash: Clash| {
            let of: Vec<_> = clash.tools.iter().map(|(server, tool)| format!("{server}.{tool}")).collect();
            format!("{}: {}", clash.name, of.join(" "))
        };
        clashes(spec, &servers).into_iter().map(told).collect()
    }

    #[test]
    fn tools_that_would_be_called_the_same_are_found_with_whose_they_are() {
        let mut spec = AggregateSpec::default();
        let alike: [(&str, &[&str]); 2] = [("my.server", &["x", "x", "y"]), ("my_server", &["x"])];
        assert_eq!(found(&spec, &alike), ["my_server__x: my.server.x my_server.x"]);
        let two: [(&str, &[&str]); 2] = [("a", &["x", "y"]), ("b", &["x"])];
        assert!(found(&spec, &two).is_empty());
        spec.prefix = Prefix::OnConflict;
        assert!(found(&spec, &two).is_empty());
        spec.prefix = Prefix::Never;
        assert_eq!(found(&spec, &two), ["x: a.x b.x"]);
        spec.tools.rename.insert("b__x".to_owned(), "z".to_owned());
        assert!(found(&spec, &two).is_empty());
        spec.tools.rename.clear();
        spec.tools.deny.push("b__*".to_owned());
        assert!(found(&spec, &two).is_empty());
        spec.tools.deny.clear();
        spec.servers = Some(["a".parse().unwrap()].into());
        assert!(found(&spec, &two).is_empty());
    }
}
