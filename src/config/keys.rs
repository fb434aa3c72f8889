//! Keys and their owners: in the file, or one on each line of a text.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::error::Problem;
use super::node::{Expansion, Node};

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

impl TokenSpec {
    /// A key that is good for everything.
    pub(super) fn of(name: &str, token: &str) -> Self {
        Self { name: name.to_owned(), digest: digest(token), groups: BTreeSet::new(), allow: None }
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

/// The keys of this text, as [`AuthSpec::add_lines`](super::AuthSpec::add_lines) takes them.
pub(super) fn lines(text: &str) -> Result<Vec<TokenSpec>, String> {
    let mut tokens = Vec::new();
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
        tokens.push(TokenSpec { name: name.to_owned(), digest, groups, allow: None });
    }
    Ok(tokens)
}

/// Reads a key of the file.
pub(super) fn read(
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
            let text = expansion.whole(&node)?;
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
    let groups =
        members.get("groups").map(|node| node.texts("a list of strings")).transpose()?.unwrap_or_default();
    let allow = members.get("allow").map(|node| node.texts("a list of strings")).transpose()?;
    members.refuse_unknown()?;
    members.refuse_nulls()?;
    Ok(TokenSpec { name, digest, groups: groups.into_iter().collect(), allow })
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
