//! Who may call, and what: the key `auth` of the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::file::Surroundings;
use super::keys::{self, TokenSpec};
use super::node::{Expansion, Node};
use super::quota::{self, PrincipalLimits};
use super::resource_server::{self, ResourceServerSpec};
use super::rules::{self, RuleSpec, Who};

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

impl AuthSpec {
    /// A single key, which is good for everything.
    pub fn of_token(name: &str, token: &str) -> Self {
        Self { tokens: vec![TokenSpec::of(name, token)], ..Self::default() }
    }

    /// The keys of this text, one on each line: `NAME KEY [GROUP,...]`, where `KEY` may be `sha256:` and 64 hexadecimal
    /// digits. Empty lines and what begins with `#` count for nothing.
    ///
    /// # Errors
    /// What is wrong, with its line, and without the key.
    pub fn add_lines(&mut self, text: &str) -> Result<(), String> {
        self.tokens.extend(keys::lines(text)?);
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
            spec.tokens.push(keys::read(&item, &mut expansion, warnings)?);
        }
    }
    if let Some(node) = members.get("tokensFile") {
        let path = surroundings.directory.join(expansion.whole(&node)?);
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
            spec.rules.push(rules::read(&item)?);
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

#[cfg(test)]
mod tests {
    use super::super::file::tests::part;
    use super::super::keys::{digest, hexadecimal};
    use super::*;

    const KEY: &str = "a-very-long-secret-of-alice";

    fn parsed(auth: &str) -> Result<(AuthSpec, Vec<String>), Problem> {
        let file = format!(r#"{{"auth": {auth}}}"#);
        part(&file, "/nowhere", ("KEY", KEY), |node, surroundings, warnings| {
            let node = node.members("an object").unwrap().get("auth").unwrap();
            read(&node, surroundings, warnings)
        })
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
