//! What must not be shown: not in a log, not in `/status`, not in an error.

use crate::access::Credentials;
use crate::config::{CommandSpec, RemoteSpec};
use std::borrow::Cow;

/// Shortest value that is taken for a secret: masking every `1` and `on` would hide the log, not the secret.
const SHORTEST_SECRET: usize = 4;

/// Longest secret that is still found where a line is cut.
const LONGEST_SECRET: usize = 16 << 10;

/// The secrets of a command: the values of its environment, and what `${}` has produced.
#[derive(Debug, Default)]
pub struct Mask {
    /// Longest first, so that a secret that holds another is masked whole.
    secrets: Box<[Box<str>]>,
    pub(super) longest: usize,
}

impl Mask {
    /// What must not be shown of a command.
    pub fn new(command: &CommandSpec) -> Self {
        Self::of(command.secrets.iter().chain(command.env.values()).map(String::as_str))
    }

    /// What must not be shown of a remote server: what is sent in its headers, and in its URL behind the path.
    pub fn remote(remote: &RemoteSpec) -> Self {
        let mut values = remote.secrets.clone();
        for value in remote.headers.values() {
            // The scheme of an Authorization is no secret, and what follows it may be repeated alone.
            values.extend(value.split_once(' ').map(|(_, token)| token.to_owned()));
            values.push(value.clone());
        }
        values.extend(remote.login.iter().filter_map(|login| login.client_secret.clone()));
        values.extend(remote.url.query_pairs().map(|(_, value)| value.into_owned()));
        values.extend(remote.url.password().map(str::to_owned));
        Self::of(values.iter().map(String::as_str))
    }

    /// The same, and what a process has of its caller.
    #[must_use]
    pub fn and(&self, credentials: &Credentials) -> Self {
        let own = credentials.reveal().map(|(_, value)| value);
        Self::of(self.secrets.iter().map(|secret| &**secret).chain(own))
    }

    fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        // What has lines, like a key, appears in lines.
        let mut secrets: Vec<Box<str>> = values
            .flat_map(|value| value.lines())
            .map(str::trim)
            .filter(|line| line.len() >= SHORTEST_SECRET)
            .map(Box::from)
            .collect();
        secrets.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        let longest = secrets.first().map_or(0, |secret| secret.len().min(LONGEST_SECRET));
        Self { secrets: secrets.into(), longest }
    }

    /// The secrets, longest first.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|secret| &**secret)
    }

    /// The text without the secrets.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(&**secret) {
                text = text.replace(&**secret, "***").into();
            }
        }
        text
    }
}
