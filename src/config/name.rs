//! The name of a mount.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name a server is mounted under; safe in a URL path, a log line, and a metric label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// The text cannot be a server's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 64 of the characters A-Z a-z 0-9 _ . - without \"__\", beginning with a letter or a digit"
)]
pub struct InvalidName;

impl ServerName {
    /// The name under which `text` is mounted: itself if it is valid, else the nearest name that is.
    ///
    /// Each run of foreign characters becomes `-`, each run of `_` one `_`; what cannot stand first is
    /// left out, and so is what goes beyond 64 characters. Where nothing remains, it is `server`.
    pub fn derive(text: &str) -> Self {
        if let Ok(name) = text.parse() {
            return name;
        }
        let mut plain = String::with_capacity(text.len().min(64));
        let mut foreign = false;
        for character in text.chars() {
            let allowed = character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
            match (allowed, character) {
                (false, _) if !foreign => plain.push('-'),
                (false, _) => {}
                (true, '_') if plain.ends_with('_') => {}
                (true, _) => plain.push(character),
            }
            foreign = !allowed;
        }
        let mut name = plain.trim_start_matches(|first: char| !first.is_ascii_alphanumeric());
        name = &name[..name.len().min(64)];
        Self(if name.is_empty() { "server" } else { name }.into())
    }

    /// The name as it stands in a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let valid = (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(plain)
            && !text.contains("__");
        if valid { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_is_not_one_becomes_the_nearest_that_is() {
        let cases = [
            ("fetch", "fetch"),
            ("b c", "b-c"),
            ("a  b", "a-b"),
            ("my__server", "my_server"),
            ("a____b", "a_b"),
            ("../etc", "etc"),
            ("@scope/name", "scope-name"),
            ("日本", "server"),
            ("", "server"),
            ("a/", "a-"),
        ];
        for (written, name) in cases {
            assert_eq!(ServerName::derive(written).as_str(), name, "{written:?}");
        }
    }

    proptest! {
        #[test]
        fn a_derived_name_is_valid_and_stays_the_same(text in any::<String>()) {
            let name = ServerName::derive(&text);
            prop_assert_eq!(name.as_str().parse::<ServerName>(), Ok(name.clone()));
            prop_assert_eq!(ServerName::derive(name.as_str()), name);
        }

        #[test]
        fn a_long_name_with_underscores_is_valid(text in "[_a ]{60,90}") {
            let name = ServerName::derive(&text);
            prop_assert_eq!(name.as_str().parse::<ServerName>(), Ok(name));
        }
    }
}
