//! The aggregate: all servers behind one endpoint, and its views. The key `aggregate` of the file.

use std::collections::{BTreeMap, BTreeSet};

use super::ServerName;
use super::error::Problem;
use super::json::Json;
use super::node::{Members, Node};

/// What is served of all servers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Behind `/mcp`, `/sse` and `/messages`, where no default server is; none: it is switched off.
    pub root: Option<AggregateSpec>,
    /// Behind `/views/<name>`, in the order in which they were given.
    pub views: Vec<(ServerName, AggregateSpec)>,
}

impl Gateway {
    /// What the whole is called in `/status` and in the log; no view can be called so.
    pub const ROOT: &str = "aggregate";
}

/// One endpoint for many servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateSpec {
    /// Whether names say which server they are of.
    pub prefix: Prefix,
    /// What stands between the server's name and the tool's.
    pub separator: String,
    /// Items of a page of a list.
    pub page_size: usize,
    /// The servers, by name; none: all of them.
    pub servers: Option<BTreeSet<ServerName>>,
    /// Which tools, and what they are called.
    pub tools: Rules,
    /// Which prompts, and what they are called.
    pub prompts: Rules,
    /// Which resources, by their URIs.
    pub resources: Rules,
}

/// Whether names say which server they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `server__tool`.
    Always,
    /// Only where two servers have a tool of the same name.
    OnConflict,
    /// The tool's own name; one that two servers have is refused.
    Never,
}

/// Which of the things of a kind are shown, and how. Patterns know `*` and `?`, and are compared with the name in full:
/// `server__tool`, whatever the tool is called here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Patterns, of which one must fit; none: everything does.
    pub allow: Option<Vec<String>>,
    /// Patterns, of which none may fit.
    pub deny: Vec<String>,
    /// Other names, by the name in full.
    pub rename: BTreeMap<String, String>,
    /// Other descriptions, by the name in full.
    pub describe: BTreeMap<String, String>,
}

impl Default for AggregateSpec {
    fn default() -> Self {
        Self {
            prefix: Prefix::Always,
            separator: "__".to_owned(),
            page_size: 1000,
            servers: None,
            tools: Rules::default(),
            prompts: Rules::default(),
            resources: Rules::default(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self { root: Some(AggregateSpec::default()), views: Vec::new() }
    }
}

/// Reads the key. `names`: the servers of the file.
pub(super) fn read(
    node: &Node<'_>,
    names: &[ServerName],
    warnings: &mut Vec<String>,
) -> Result<Gateway, Problem> {
    if let Json::Bool(on) = *node.json {
        return Ok(Gateway { root: on.then(AggregateSpec::default), views: Vec::new() });
    }
    let mut members = node.members("an object, true or false")?;
    let enabled = members.get("enabled").map(|node| node.flag()).transpose()?.unwrap_or(true);
    let root = spec(&mut members, &AggregateSpec::default(), names, warnings)?;
    let mut views = Vec::new();
    if let Some(node) = members.get("views") {
        for (name, node) in node.members("an object of views")?.iter() {
            let name: ServerName = name.parse().map_err(|wrong: super::InvalidName| Problem::Value {
                path: node.path.clone(),
                found: format!("the name {name:?}"),
                wanted: wrong.to_string().replacen("a name is ", "", 1),
            })?;
            if name.as_str() == Gateway::ROOT {
                let (path, found) = (node.path.clone(), format!("the name {name}"));
                return Err(Problem::Value {
                    path,
                    found,
                    wanted: "a name that is not that of the whole".to_owned(),
                });
            }
            let mut members = node.members("an object that describes a view")?;
            // How names are made is said once for all.
            let base = AggregateSpec {
                prefix: root.prefix,
                separator: root.separator.clone(),
                page_size: root.page_size,
                ..AggregateSpec::default()
            };
            let view = spec(&mut members, &base, names, warnings)?;
            members.refuse_unknown()?;
            views.push((name, view));
        }
    }
    warnings.extend(members.unknown());
    Ok(Gateway { root: enabled.then_some(root), views })
}

fn spec(
    members: &mut Members<'_>,
    base: &AggregateSpec,
    names: &[ServerName],
    warnings: &mut Vec<String>,
) -> Result<AggregateSpec, Problem> {
    let mut spec = base.clone();
    if let Some(node) = members.get("prefix") {
        spec.prefix = node.word(&[
            ("always", Prefix::Always),
            ("on-conflict", Prefix::OnConflict),
            ("never", Prefix::Never),
        ])?;
    }
    if let Some(node) = members.get("separator") {
        let text = node.text()?;
        if text.is_empty() || text.len() > 8 || !text.chars().all(is_of_names) {
            return Err(node.wanted("1 to 8 of the characters A-Z a-z 0-9 _ - . /"));
        }
        text.clone_into(&mut spec.separator);
    }
    if let Some(node) = members.get("pageSize") {
        spec.page_size = node.count(1..=100_000)?;
    }
    if let Some(node) = members.protecting("servers")? {
        let mut servers = BTreeSet::new();
        for item in node.items("a list of servers' names")? {
            let name = ServerName::derive(item.text()?);
            if !names.contains(&name) {
                warnings.push(format!("{}: there is no server `{name}`", item.path));
            }
            servers.insert(name);
        }
        spec.servers = Some(servers);
    }
    if let Some(node) = members.protecting("tools")? {
        spec.tools = rules(&node, true)?;
    }
    if let Some(node) = members.protecting("prompts")? {
        spec.prompts = rules(&node, true)?;
    }
    if let Some(node) = members.protecting("resources")? {
        spec.resources = rules(&node, false)?;
    }
    Ok(spec)
}

/// What decides who sees what refuses the file when it holds anything that is not understood.
fn rules(node: &Node<'_>, named: bool) -> Result<Rules, Problem> {
    let mut members = node.members("an object with `allow` or `deny`")?;
    let mut rules = Rules::default();
    if let Some(node) = members.get("allow") {
        rules.allow = Some(patterns(&node)?);
    }
    if let Some(node) = members.get("deny") {
        rules.deny = patterns(&node)?;
    }
    if named {
        if let Some(node) = members.get("rename") {
            rules.rename = texts(&node)?;
            let mut taken = BTreeSet::new();
            for (from, to) in &rules.rename {
                let fits = (1..=64).contains(&to.len()) && to.chars().all(is_of_names);
                if !fits || !taken.insert(to) {
                    let path = node.path.key(from);
                    let found =
                        if fits { "a name that another one has" } else { "a name that cannot be one" };
                    let wanted = "1 to 64 of the characters A-Z a-z 0-9 _ - . /, each name once".to_owned();
                    return Err(Problem::Value { path, found: found.to_owned(), wanted });
                }
            }
        }
        if let Some(node) = members.get("describe") {
            rules.describe = texts(&node)?;
        }
    }
    members.refuse_unknown()?;
    members.refuse_nulls()?;
    Ok(rules)
}

/// Whether a character may stand in the name of a tool.
fn is_of_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/')
}

fn patterns(node: &Node<'_>) -> Result<Vec<String>, Problem> {
    node.texts("a list of patterns like \"fetch__*\"")
}

fn texts(node: &Node<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let members = node.members("an object of strings")?;
    members.iter().map(|(key, node)| Ok((key.to_owned(), node.text()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(aggregate: &str) -> Result<(Gateway, Vec<String>), Problem> {
        let json = Json::parse(&format!(r#"{{"aggregate": {aggregate}}}"#)).unwrap();
        let node = Node::root(&json).members("an object").unwrap().get("aggregate").unwrap();
        let mut warnings = Vec::new();
        read(&node, &["a".parse().unwrap(), "b".parse().unwrap()], &mut warnings)
            .map(|gateway| (gateway, warnings))
    }

    fn refusal(aggregate: &str) -> String {
        parsed(aggregate).map(|(gateway, _)| gateway).unwrap_err().to_string()
    }

    #[test]
    fn it_is_there_unless_it_is_switched_off() {
        assert_eq!(parsed("true").unwrap().0, Gateway::default());
        assert_eq!(parsed("{}").unwrap().0, Gateway::default());
        assert_eq!(parsed("false").unwrap().0.root, None);
        let (gateway, _) = parsed(r#"{"enabled": false, "views": {"v": {}}}"#).unwrap();
        assert_eq!((gateway.root, gateway.views.len()), (None, 1));
    }

    #[test]
    fn a_view_makes_names_as_the_whole_does_unless_it_says_otherwise() {
        let (gateway, warnings) = parsed(
            r#"{"prefix": "never", "pageSize": 5, "separator": "-", "views": {
                "v": {"servers": ["a", "x"], "tools": {"allow": ["a-*"], "rename": {"a-x": "y"}}},
                "w": {"prefix": "on-conflict"}}}"#,
        )
        .unwrap();
        let [(_, v), (_, w)] = &gateway.views[..] else { panic!("{gateway:?}") };
        assert_eq!((v.prefix, v.page_size, v.separator.as_str()), (Prefix::Never, 5, "-"));
        assert_eq!(v.tools.allow.as_deref(), Some(&["a-*".to_owned()][..]));
        assert_eq!((w.prefix, w.servers.as_ref()), (Prefix::OnConflict, None));
        assert_eq!(warnings, ["aggregate.views.v.servers[1]: there is no server `x`"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (aggregate, expected) in [
            ("7", "aggregate: found the number 7, wanted an object, true or false"),
            (
                r#"{"prefix": "some"}"#,
                r#"aggregate.prefix: found "some", wanted "always" or "on-conflict" or "never""#,
            ),
            (
                r#"{"separator": ""}"#,
                "aggregate.separator: found an empty string, wanted 1 to 8 of the characters",
            ),
            (r#"{"pageSize": 0}"#, "aggregate.pageSize: found the number 0, wanted a whole number from 1"),
            (r#"{"views": {"a b": {}}}"#, r#"aggregate.views["a b"]: found the name "a b", wanted 1 to 64"#),
            (r#"{"views": {"aggregate": {}}}"#, "aggregate.views.aggregate: found the name aggregate"),
            (
                r#"{"views": {"v": {"tools": {"only": []}}}}"#,
                "aggregate.views.v.tools.only: unknown key, which is not ignored here; known are allow, deny, rename, describe",
            ),
            (
                r#"{"tools": {"deny": "x"}}"#,
                "aggregate.tools.deny: found a string, wanted a list of patterns",
            ),
            (
                r#"{"tools": {"rename": {"a": "b c"}}}"#,
                "aggregate.tools.rename.a: found a name that cannot be one",
            ),
            (
                r#"{"tools": {"rename": {"a": "c", "b": "c"}}}"#,
                "aggregate.tools.rename.b: found a name that another one has",
            ),
            (
                r#"{"resources": {"rename": {}}}"#,
                "aggregate.resources.rename: unknown key, which is not ignored here; known are allow, deny",
            ),
            // What narrows is not left out by mistake.
            (
                r#"{"views": {"v": {"servers": null}}}"#,
                "aggregate.views.v.servers: found null, wanted a value",
            ),
            (r#"{"tools": null}"#, "aggregate.tools: found null, wanted a value"),
            (r#"{"tools": {"allow": null}}"#, "aggregate.tools.allow: found null, wanted a value"),
            (
                r#"{"Servers": ["a"]}"#,
                "aggregate.Servers: found the key `Servers`, wanted it to be spelt `servers`",
            ),
        ] {
            let refusal = refusal(aggregate);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }
}
