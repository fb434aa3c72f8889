//! Who may call, and what: the key `auth` of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wildmatch::WildMatch;

use super::error::Problem;
use super::file::Surroundings;
use super::node::{Expansion, Members, Node};
use super::quota::{self, PrincipalLimits};
use super::resource_server::{self, ResourceServerSpec};

/// Who may call, and what. With it, whoever is not known is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSpec {
    /// Keys, each with its owner.
    pub tokens: Vec<TokenSpec>,
    /// Access tokens of an authorization server are believed.
    pub oauth: Option<ResourceServerSpec>,
    /// Client certificates are names, too; see [`Who::Certificate`].
    pub certificates: bool,
    /// What whom is permitted. Without any, whoever is known may use everything.
    pub rules: Vec<RuleSpec>,
    /// How much each principal may have, where no rule says otherwise.
    pub limits: PrincipalLimits,
    /// Files that were read for it, to be watched.
    pub files: Vec<PathBuf>,
}

/// A key and its owner. The key itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// Whose it is, in the log and for rules.
    pub name: String,
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// Groups that its owner is in.
    pub groups: BTreeSet<String>,
    /// What it is good for; none: what the rules say.
    pub allow: Option<Vec<String>>,
}

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

impl AuthSpec {
    /// A single key, which is good for everything.
    pub fn of_token(name: &str, token: &str) -> Self {
        let token =
            TokenSpec { name: name.to_owned(), digest: digest(token), groups: BTreeSet::new(), allow: None };
        Self { tokens: vec![token], ..Self::default() }
    }

    /// The keys of this text, one on each line: `NAME KEY [GROUP,...]`, where `KEY` may be `sha256:` and 64 hexadecimal
    /// digits. Empty lines and what begins with `#` count for nothing.
    ///
    /// # Errors
    /// What is wrong, with its line, and without the key.
    pub fn add_lines(&mut self, text: &str) -> Result<(), String> {
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(name), Some(key)) = (words.next(), words.next()) else {
                return Err(format!("line {number}: wanted NAME KEY [GROUP,...]"));
            };
            let digest = match key.strip_prefix(HASHED) {
                Some(hex) => of_hexadecimal(hex)
                    .ok_or(format!("line {number}: after `sha256:` 64 hexadecimal digits are wanted"))?,
                None => digest(key),
            };
            if !is_name(name) {
                return Err(format!("line {number}: wanted {NAMELESS}"));
            }
            let groups = words.next().unwrap_or_default().split(',').filter(|group| !group.is_empty());
            let groups = groups.map(str::to_owned).collect();
            if words.next().is_some() {
                return Err(format!("line {number}: there is more than NAME KEY [GROUP,...]"));
            }
            self.tokens.push(TokenSpec { name: name.to_owned(), digest, groups, allow: None });
        }
        Ok(())
    }

    /// Adds the keys of a file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        self.files.push(path.to_owned());
        self.add_lines(&text).map_err(|reason| format!("{}: {reason}", path.display()))
    }

    /// Whether anybody can be known at all, or may come unknown.
    pub fn lets_in_somebody(&self) -> bool {
        let anonymous = || self.rules.iter().any(|rule| rule.who.contains(&Who::Anonymous));
        !self.tokens.is_empty() || self.oauth.is_some() || self.certificates || anonymous()
    }

    /// What rules say of owners of keys of whom there are none: a rule that denies them something denies it to nobody. It is no
    /// reason to refuse the file, for then a key that was withdrawn would still be good.
    pub fn strangers(&self) -> impl Iterator<Item = String> {
        let is_known = |name: &str| self.tokens.iter().any(|token| token.name == name);
        let named =
            self.rules.iter().enumerate().flat_map(|(at, rule)| rule.who.iter().map(move |who| (at, who)));
        named.filter_map(move |(at, who)| match who {
            Who::Token(name) if !is_known(name) => {
                Some(format!("auth.rules[{at}].who: no key is called `{name}`, so that the rule does not concern anybody of that name"))
            }
            _ => None,
        })
    }

    /// The first two keys that are the same, by their owners' names.
    pub fn doubled(&self) -> Option<(&str, &str)> {
        let mut owners: BTreeMap<&[u8; 32], &str> = BTreeMap::new();
        self.tokens.iter().find_map(|token| Some((owners.insert(&token.digest, &token.name)?, &*token.name)))
    }
}

/// The SHA-256 of a key.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A digest as it is written.
pub fn hexadecimal(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A digest as it may be written.
fn of_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    // A sign would be read as a part of a number.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(bytes)
}

/// Reads the key.
pub(super) fn read(
    node: &Node<'_>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<AuthSpec, Problem> {
    let mut members = node.members("an object with `tokens`, `tokensFile`, `oauth` or `certificates`")?;
    let mut expansion = Expansion::new(surroundings.variables);
    let mut spec = AuthSpec::default();
    if let Some(node) = members.get("tokens") {
        for item in node.items("a list of keys")? {
            spec.tokens.push(token(&item, &mut expansion, warnings)?);
        }
    }
    if let Some(node) = members.get("tokensFile") {
        let path = surroundings.directory.join(expanded(&node, &mut expansion)?);
        spec.add_file(&path).map_err(|reason| Problem::Value {
            path: node.path.clone(),
            found: reason,
            wanted: "a file of lines like `alice sha256:9f86… dev`".to_owned(),
        })?;
    }
    if let Some(node) = members.get("oauth") {
        spec.oauth = Some(resource_server::read(&node, surroundings.variables, warnings)?);
    }
    if let Some(node) = members.get("certificates") {
        spec.certificates = node.flag()?;
    }
    if let Some(node) = members.get("rules") {
        for item in node.items("a list of rules")? {
            spec.rules.push(rule(&item)?);
        }
    }
    if let Some(node) = members.protecting("limits")? {
        spec.limits = quota::of_principal(&node)?;
    }
    members.refuse_unknown()?;
    members.refuse_nulls()?;
    if let Some((one, other)) = spec.doubled() {
        return Err(Problem::Value {
            path: node.path.clone(),
            found: format!("the same key for {one} and for {other}"),
            wanted: "a key of its own for each".to_owned(),
        });
    }
    Ok(spec)
}

fn expanded(node: &Node<'_>, expansion: &mut Expansion<'_>) -> Result<String, Problem> {
    let text = expansion.text(node)?;
    match expansion.failures.pop() {
        Some((path, reason)) => Err(Problem::Expansion { path, reason }),
        None => Ok(text),
    }
}

fn token(
    node: &Node<'_>,
    expansion: &mut Expansion<'_>,
    warnings: &mut Vec<String>,
) -> Result<TokenSpec, Problem> {
    let mut members = node.members("an object with `name`, and `token` or `sha256`")?;
    let missing = |what: &str| {
        let path = node.path.clone();
        Problem::Value { path, found: format!("no `{what}`"), wanted: format!("`{what}`") }
    };
    let name = members.get("name").ok_or_else(|| missing("name"))?;
    let name = match name.text()? {
        text if is_name(text) => text.to_owned(),
        _ => return Err(name.wanted(NAMELESS)),
    };
    let digest = match (members.get("token"), members.get("sha256")) {
        (Some(node), None) => {
            let text = expanded(&node, expansion)?;
            if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
                // What it is must not be shown.
                let (path, found) = (node.path, "an empty key, or one with spaces".to_owned());
                return Err(Problem::Value { path, found, wanted: "a key".to_owned() });
            }
            if text.starts_with(HASHED) {
                // It would be a key for whoever knows the digest, and none for whoever has the key.
                let (path, found) = (node.path, format!("a key that begins with `{HASHED}`"));
                return Err(Problem::Value {
                    path,
                    found,
                    wanted: "the digest of a key in `sha256`".to_owned(),
                });
            }
            if text.len() < SHORT {
                warnings.push(format!("{}: a key of less than {SHORT} characters can be guessed", node.path));
            }
            self::digest(&text)
        }
        (None, Some(node)) => of_hexadecimal(node.text()?).ok_or_else(|| Problem::Value {
            path: node.path.clone(),
            found: "something else".to_owned(),
            wanted: "the SHA-256 of the key, 64 hexadecimal digits".to_owned(),
        })?,
        (Some(_), Some(node)) => {
            let (path, found) = (node.path, "`sha256` beside `token`".to_owned());
            return Err(Problem::Value { path, found, wanted: "one of them".to_owned() });
        }
        (None, None) => return Err(missing("token")),
    };
    let groups = members.get("groups").map(|node| texts(&node)).transpose()?.unwrap_or_default();
    let allow = members.get("allow").map(|node| texts(&node)).transpose()?;
    members.refuse_unknown()?;
    members.refuse_nulls()?;
    Ok(TokenSpec { name, digest, groups: groups.into_iter().collect(), allow })
}

fn rule(node: &Node<'_>) -> Result<RuleSpec, Problem> {
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
    let list = |members: &mut Members<'_>, key| members.get(key).map(|node| texts(&node)).transpose();
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

fn texts(node: &Node<'_>) -> Result<Vec<String>, Problem> {
    node.items("a list of strings")?.map(|item| item.text().map(str::to_owned)).collect()
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

/// Whether the owner of a key may be called so: in `who` it must not mean others.
fn is_name(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    !(matches!(text, "" | "*" | "anonymous") || text.chars().any(is_odd))
}

/// What is said of others.
const NAMELESS: &str =
    "a name without spaces and colons, neither `*` nor `anonymous`: those mean others in `who`";

/// Begins a key of which the digest is given.
const HASHED: &str = "sha256:";

/// A key of fewer characters can be guessed.
const SHORT: usize = 20;

/// Of a key nothing is shown, not even its digest.
impl fmt::Debug for TokenSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSpec({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    const KEY: &str = "a-very-long-secret-of-alice";

    fn parsed(auth: &str) -> Result<(AuthSpec, Vec<String>), Problem> {
        let json = Json::parse(&format!(r#"{{"auth": {auth}}}"#)).unwrap();
        let node = Node::root(&json).members("an object").unwrap().get("auth").unwrap();
        let variables = |name: &str| (name == "KEY").then(|| KEY.to_owned());
        let surroundings =
            Surroundings { directory: Path::new("/nowhere"), variables: &variables, is_file: &|_| false };
        let mut warnings = Vec::new();
        read(&node, &surroundings, &mut warnings).map(|spec| (spec, warnings))
    }

    fn refusal(auth: &str) -> String {
        parsed(auth).map(|(spec, _)| spec).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_kept_as_their_digests() {
        let hex = hexadecimal(&digest(KEY));
        let (spec, warnings) = parsed(
            r#"{"tokens": [{"name": "alice", "token": "${KEY}", "groups": ["dev"]}], "rules": [
                {"who": ["alice", "group:dev", "*", "anonymous", "scope:a:b", "sub:x", "cert:y"], "servers": ["f*"],
                  "tools": {"allow": ["f__*"], "deny": ["f__x"]}, "readOnly": true, "admin": true}]}"#,
        )
        .unwrap();
        assert_eq!(spec.tokens[0].digest, digest(KEY));
        assert_eq!(warnings, [""; 0]);
        assert!(!format!("{spec:?}").contains(&hex) && !format!("{spec:?}").contains(KEY));
        assert_eq!(spec.rules[0].who.len(), 7);
        assert_eq!(spec.rules[0].who[4], Who::Scope("a:b".to_owned()));
        let (same, _) =
            parsed(&format!(r#"{{"tokens": [{{"name": "alice", "sha256": "{hex}"}}]}}"#)).unwrap();
        assert_eq!(same.tokens[0].digest, digest(KEY));
        let mut lines = AuthSpec::default();
        lines.add_lines(&format!("# keys\n\nalice sha256:{hex} dev,ops\nbob another-key\n")).unwrap();
        assert_eq!((&*lines.tokens[0].name, lines.tokens[0].digest), ("alice", digest(KEY)));
        assert_eq!(lines.tokens[0].groups, ["dev".to_owned(), "ops".to_owned()].into());
        assert_eq!(lines.tokens[1].digest, digest("another-key"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (auth, expected) in [
            (r#"{"token": "x"}"#, "auth.token: unknown key, which is not ignored here; known are tokens"),
            (r#"{"tokens": [{"token": "x"}]}"#, "auth.tokens[0]: found no `name`, wanted `name`"),
            (r#"{"tokens": [{"name": "a"}]}"#, "auth.tokens[0]: found no `token`"),
            (
                r#"{"tokens": [{"name": "a b", "token": "x"}]}"#,
                "auth.tokens[0].name: found a string, wanted a name",
            ),
            (
                r#"{"tokens": [{"name": "a", "token": "x y"}]}"#,
                "auth.tokens[0].token: found an empty key, or one",
            ),
            (r#"{"tokens": [{"name": "a", "token": "${NO}"}]}"#, "auth.tokens[0].token: "),
            (
                r#"{"tokens": [{"name": "a", "token": "sha256:0"}]}"#,
                "auth.tokens[0].token: found a key that begins with `sha256:`",
            ),
            (
                r#"{"tokens": [{"name": "anonymous", "token": "x"}]}"#,
                "auth.tokens[0].name: found a string, wanted a name",
            ),
            (r#"{"tokens": [{"name": "*", "token": "x"}]}"#, "auth.tokens[0].name: found a string"),
            (r#"{"tokens": [{"name": "a", "sha256": "+1"}]}"#, "auth.tokens[0].sha256: found something else"),
            (
                r#"{"tokens": [{"name": "a", "token": "x", "sha256": "y"}]}"#,
                "auth.tokens[0].sha256: found `sha256` beside",
            ),
            (
                r#"{"tokens": [{"name": "a", "token": "same"}, {"name": "b", "token": "same"}]}"#,
                "auth: found the same key for a and for b",
            ),
            (r#"{"tokensFile": "none"}"#, "auth.tokensFile: found /nowhere/none: No such file"),
            (r#"{"tokens": [], "rules": [{"servers": ["*"]}]}"#, "auth.rules[0]: found no `who`"),
            (
                r#"{"rules": [{"who": ["user:x"]}]}"#,
                "auth.rules[0].who[0]: found a string, wanted the name of a key",
            ),
            (r#"{"rules": [{"who": ["group:"]}]}"#, "auth.rules[0].who[0]: found"),
            (
                r#"{"rules": [{"who": ["*"], "tools": {"deny": ["add"]}}]}"#,
                "auth.rules[0].tools.deny[0]: found a string, wanted a pattern of names like \"server__tool\"",
            ),
            (r#"{"rules": [{"who": ["*"], "server": []}]}"#, "auth.rules[0].server: unknown key"),
        ] {
            let refusal = refusal(auth);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
        let mut spec = AuthSpec::default();
        for (text, expected) in [
            ("alice", "line 1: wanted NAME KEY"),
            ("\nalice sha256:secret", "line 2: after `sha256:` 64"),
            ("alice secret dev more", "line 1: there is more"),
            ("anonymous secret", "line 1: wanted a name without"),
            ("* secret", "line 1: wanted a name without"),
            ("group:dev secret", "line 1: wanted a name without"),
        ] {
            let reason = spec.add_lines(text).unwrap_err();
            assert!(reason.starts_with(expected) && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn a_rule_for_an_owner_of_no_key_is_told_of() {
        let (spec, _) = parsed(
            r#"{"tokens": [{"name": "alice", "token": "${KEY}"}], "rules": [
                {"who": ["alice", "*", "group:a"], "servers": ["*"]},
                {"who": ["alcie"], "tools": {"deny": ["git__push"]}}]}"#,
        )
        .unwrap();
        let told: Vec<_> = spec.strangers().collect();
        assert!(
            matches!(&told[..], [one] if one.starts_with("auth.rules[1].who: no key is called `alcie`")),
            "{told:?}"
        );
    }

    #[test]
    fn a_short_key_is_warned_of() {
        let (_, warnings) = parsed(r#"{"tokens": [{"name": "a", "token": "short"}]}"#).unwrap();
        assert_eq!(warnings, ["auth.tokens[0].token: a key of less than 20 characters can be guessed"]);
    }
}
