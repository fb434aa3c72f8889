//! A word that nobody but its addressee may read.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer};

/// A token or a client's secret. Nothing that prints it shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the word as it is.
    pub fn new(word: impl Into<Box<str>>) -> Self {
        Self(word.into())
    }

    /// The word itself, for its addressee.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// Writes the word down. There is no `Serialize`, so that each place that does so has to say it.
    pub(super) fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }

    /// Writes the word down, if there is one.
    #[expect(clippy::ref_option, reason = "serde's `serialize_with` gives a reference to the field")]
    pub(super) fn write_option<S: Serializer>(word: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        match word {
            Some(word) => word.write(serializer),
            None => serializer.serialize_none(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2"), Some(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
