//! Rules: what whom is permitted.

use wildmatch::WildMatch;

use super::error::Problem;
use super::node::{Members, Node};
use super::quota::{self, PrincipalLimits};

/// What whom is permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// Whom it concerns: anybody of these.
    pub who: Vec<Who>,
    /// Patterns of servers that may be used.
    pub servers: Vec<String>,
    /// Patterns of views that may be used.
    pub views: Vec<String>,
    /// Patterns of `server__tool` that may be used; none: all of these servers and views.
    pub allow: Option<Vec<String>>,
    /// Patterns of `server__tool` that may not be used, whatever else is said.
    pub deny: Vec<String>,
    /// Only tools that say of themselves that they change nothing, where the server is believed.
    pub read_only: bool,
    /// The router may be administered.
    pub admin: bool,
    /// How much each of them may have.
    pub limits: PrincipalLimits,
}

/// Whom a rule concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody who is known.
    Everybody,
    /// Who has shown nothing at all.
    Anonymous,
    /// The owner of the keys of this name.
    Token(String),
    /// Everybody in this group.
    Group(String),
    /// Everybody whose access token has this scope.
    Scope(String),
    /// Who is this subject of the authorization server.
    Subject(String),
    /// Who has a certificate of this name.
    Certificate(String),
}

/// Reads a rule.
pub(super) fn read(node: &Node<'_>) -> Result<RuleSpec, Problem> {
    let mut members = node.members("an object with `who`, and `servers` or `views`")?;
    let who = members.get("who").ok_or_else(|| Problem::Value {
        path: node.path.clone(),
        found: "no `who`".to_owned(),
        wanted: "whom it concerns: a list like [\"alice\", \"group:dev\"]".to_owned(),
    })?;
    let mut rule = RuleSpec::default();
    for item in who.items("a list like [\"alice\", \"group:dev\", \"*\"]")? {
        rule.who.push(whom(&item)?);
    }
    let list = |members: &mut Members<'_>, key| {
        members.get(key).map(|node| node.texts("a list of strings")).transpose()
    };
    rule.servers = list(&mut members, "servers")?.unwrap_or_default();
    rule.views = list(&mut members, "views")?.unwrap_or_default();
    if let Some(node) = members.get("tools") {
        let mut members = node.members("an object with `allow` or `deny`")?;
        rule.allow = members.get("allow").map(|node| full_names(&node)).transpose()?;
        rule.deny = members.get("deny").map(|node| full_names(&node)).transpose()?.unwrap_or_default();
        members.refuse_unknown()?;
        members.refuse_nulls()?;
    }
    rule.read_only = members.get("readOnly").map(|node| node.flag()).transpose()?.unwrap_or(false);
    rule.admin = members.get("admin").map(|node| node.flag()).transpose()?.unwrap_or(false);
    if let Some(node) = members.protecting("limits")? {
        rule.limits = quota::of_principal(&node)?;
    }
    members.refuse_unknown()?;
    members.refuse_nulls()?;
    Ok(rule)
}

fn whom(node: &Node<'_>) -> Result<Who, Problem> {
    let text = node.text()?;
    let of = |kind: fn(String) -> Who, name: &str| match name {
        "" => Err(node.wanted("a name after the colon")),
        name => Ok(kind(name.to_owned())),
    };
    match text.split_once(':') {
        None if text == "*" => Ok(Who::Everybody),
        None if text == "anonymous" => Ok(Who::Anonymous),
        None => of(Who::Token, text),
        Some(("group", name)) => of(Who::Group, name),
        Some(("scope", name)) => of(Who::Scope, name),
        Some(("sub", name)) => of(Who::Subject, name),
        Some(("cert", name)) => of(Who::Certificate, name),
        Some(_) => Err(node.wanted(
            "the name of a key, `*`, `anonymous`, or `group:`, `scope:`, `sub:` or `cert:` and a name",
        )),
    }
}

/// Patterns of tools by their full names: one that fits none would protect nothing.
fn full_names(node: &Node<'_>) -> Result<Vec<String>, Problem> {
    let full = |item: Node<'_>| {
        let pattern = item.text()?;
        let fits = pattern.contains("__") || pattern.contains('*');
        if fits {
            Ok(pattern.to_owned())
        } else {
            Err(item.wanted("a pattern of names like \"server__tool\" or \"*__delete_*\""))
        }
    };
    node.items("a list of patterns like \"server__tool\"")?.map(full).collect()
}

/// Patterns, ready to be compared.
pub fn patterns(patterns: &[String]) -> Vec<WildMatch> {
    patterns.iter().map(|pattern| WildMatch::new(pattern)).collect()
}
