//! Tools that all servers together cannot show, because two of them would be called the same.

use crate::aggregate::{Clash, SEPARATOR, clashes, full};
use crate::cli::doctor::finding::Finding;
use crate::config::{AggregateSpec, Config, Prefix, ServerName};
use crate::shell::on_one_line;

/// Names that are shown of many.
const SHOWN: usize = 3;

/// What is missing where several servers are served together. `listed`: the tools of each server that was asked.
pub(in crate::cli::doctor) fn together(config: &Config, listed: &[(&ServerName, &[String])]) -> Vec<Finding> {
    let root = config.gateway.root.iter().filter(|_| config.default_server.is_none());
    let root = root.map(|spec| ("/mcp".to_owned(), spec));
    let views = config.gateway.views.iter().map(|(name, spec)| (format!("/views/{name}/mcp"), spec));
    let mut findings: Vec<Finding> = Vec::new();
    for (place, spec) in root.chain(views) {
        let mut left = clashes(spec, listed);
        // Two servers clash in all their tools for one reason.
        while let Some(first) = left.first() {
            let servers = owners(first);
            let (alike, others): (Vec<Clash>, Vec<Clash>) =
                left.into_iter().partition(|clash| owners(clash) == servers);
            findings.push(finding(&place, spec, &servers, &alike));
            left = others;
        }
    }
    findings
}

fn owners(clash: &Clash) -> Vec<ServerName> {
    let mut owners: Vec<ServerName> = clash.tools.iter().map(|(server, _)| server.clone()).collect();
    owners.dedup();
    owners
}

fn finding(place: &str, spec: &AggregateSpec, servers: &[ServerName], alike: &[Clash]) -> Finding {
    let quoted: Vec<String> = servers.iter().map(|server| format!("`{server}`")).collect();
    let mut names: Vec<String> =
        alike.iter().take(SHOWN).map(|clash| format!("{:?}", on_one_line(&clash.name))).collect();
    if alike.len() > SHOWN {
        names.push(format!("and {} more", alike.len() - SHOWN));
    }
    let what = format!(
        "{place} shows no {}: tools of {} would be called so",
        names.join(", "),
        quoted.join(" and of ")
    );
    Finding::warning("name-clash", what, advice(spec, &alike[0]))
}

fn advice(spec: &AggregateSpec, clash: &Clash) -> String {
    let keys: Vec<String> = clash.tools.iter().map(|(server, tool)| full(server, SEPARATOR, tool)).collect();
    let (last, key) = (&clash.tools[clash.tools.len() - 1].0, &keys[keys.len() - 1]);
    if keys[0] == *key {
        // No rule can tell them apart.
        return format!(
            "rename one of the servers: in the names of tools `.` is `_`, so `{last}` needs another name"
        );
    }
    let rename = format!("`aggregate.tools.rename` ({:?}: \"…\")", on_one_line(key));
    if spec.tools.rename.contains_key(key) || spec.prefix == Prefix::Always {
        format!("rename one of the servers, or give one of the tools another name by {rename}")
    } else {
        format!("set `aggregate.prefix` to \"always\", or give one of the tools another name by {rename}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_are_named_and_what_mends_it() {
        let [dot, line, other]: [ServerName; 3] =
            ["my.server", "my_server", "b"].map(|name| name.parse().unwrap());
        let tools: Vec<String> = ["w", "x", "y", "z"].map(str::to_owned).into();
        let mut config = Config::default();
        let found = together(&config, &[(&dot, &tools), (&line, &tools), (&other, &tools)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("tools of `my.server` and of `my_server`"), "{found:?}");
        assert!(found[0].what.starts_with("/mcp shows no \"my_server__w\", "), "{found:?}");
        assert!(found[0].what.contains("and 1 more"), "{found:?}");
        assert!(found[0].advice.starts_with("rename one of the servers"), "{found:?}");
        config.gateway.root.as_mut().unwrap().prefix = Prefix::Never;
        let found = together(&config, &[(&line, &tools), (&other, &tools)]);
        assert!(found[0].advice.contains("`aggregate.prefix` to \"always\""), "{found:?}");
        assert!(found[0].advice.contains("(\"b__w\": "), "{found:?}");
    }
}
