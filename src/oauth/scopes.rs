//! What a token is asked to allow.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of scopes, in OAuth's words: names separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes(BTreeSet<String>);

/// Where scopes can come from, for [`Scopes::select`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sources<'a> {
    /// What the user has configured.
    pub(super) configured: &'a [String],
    /// What the server's challenge names.
    pub(super) challenged: Option<&'a Scopes>,
    /// `scopes_supported` of the resource.
    pub(super) supported: Option<&'a Scopes>,
    /// What the token asked for that is to be replaced.
    pub(super) held: Option<&'a Scopes>,
    /// The authorization server knows `offline_access`.
    pub(super) offline: bool,
}

impl Scopes {
    /// What to ask for.
    pub(super) fn select(sources: &Sources<'_>) -> Self {
        let Sources { configured, challenged, supported, held, offline } = *sources;
        // 2026-07-28, authorization: "1. Use `scope` parameter from the initial `WWW-Authenticate` header in the 401
        // response, if provided. 2. If `scope` is not available, use all scopes defined in `scopes_supported` from the
        // Protected Resource Metadata document, omitting the `scope` parameter if `scopes_supported` is undefined."
        // What the user has configured stands in place of the second.
        let mut scopes: Self = configured.iter().map(String::as_str).collect();
        scopes.add(challenged);
        if scopes.is_empty() {
            scopes.add(supported);
        }
        // 2026-07-28: "computing the union of the client's previously requested scope set and the scopes from the
        // current challenge."
        scopes.add(held);
        // 2026-07-28: clients "MAY add `offline_access` to the `scope` parameter [...] when the Authorization Server
        // metadata contains it in `scopes_supported`". Alone it would stand in place of the server's default.
        if offline && !scopes.is_empty() {
            scopes.0.insert(OFFLINE.to_owned());
        }
        scopes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn add(&mut self, more: Option<&Self>) {
        self.0.extend(more.into_iter().flat_map(Self::iter).map(str::to_owned));
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    /// Each item may name several. What cannot be a scope is left out: it comes from outside.
    fn from_iter<I: IntoIterator<Item = &'a str>>(items: I) -> Self {
        let is_scope =
            |scope: &&str| scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let names = items.into_iter().flat_map(|item| item.split(' '));
        Self(names.filter(|name| !name.is_empty()).filter(is_scope).map(str::to_owned).collect())
    }
}

impl From<&str> for Scopes {
    fn from(text: &str) -> Self {
        [text].into_iter().collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}

/// The scope that asks for a refresh token.
pub(super) const OFFLINE: &str = "offline_access";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_comes_first_and_what_the_resource_supports_is_the_fallback() {
        let configured = ["own".to_owned()];
        let (challenged, supported, held) =
            (Scopes::from("read"), Scopes::from("read write"), Scopes::from("old"));
        let (challenged, supported, held) = (Some(&challenged), Some(&supported), Some(&held));
        let table = [
            (Sources::default(), ""),
            (Sources { offline: true, ..Sources::default() }, ""),
            (Sources { supported, ..Sources::default() }, "read write"),
            (Sources { challenged, supported, ..Sources::default() }, "read"),
            (Sources { configured: &configured, supported, ..Sources::default() }, "own"),
            (Sources { configured: &configured, challenged, supported, ..Sources::default() }, "own read"),
            (Sources { challenged, held, ..Sources::default() }, "old read"),
            (Sources { challenged, offline: true, ..Sources::default() }, "offline_access read"),
        ];
        for (sources, wanted) in table {
            assert_eq!(Scopes::select(&sources).to_string(), wanted, "{sources:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_scope_is_left_out() {
        assert_eq!(Scopes::from("b  a\u{7} \"q\" b\\ ä c").to_string(), "b c");
    }
}
