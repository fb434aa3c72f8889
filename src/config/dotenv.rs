//! The `.env` beside a configuration file: a second place to look variables up in, and nothing more.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// A `.env` as it was read; its text may be secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Dotenv {
    None,
    Text(Vec<u8>),
    Unreadable,
}

/// What a `.env` sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) variables: HashMap<String, String>,
    /// What could not be read of it. Never the text itself: it may hold a secret.
    pub(super) warning: Option<&'static str>,
}

impl Dotenv {
    /// Reads the `.env` of `directory`.
    pub(super) fn read(directory: &Path) -> Self {
        match std::fs::read(directory.join(".env")) {
            Ok(text) => Self::Text(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::None,
            Err(_) => Self::Unreadable,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// What it sets; where there is none, nothing.
    pub(super) fn variables(&self) -> Set {
        match self {
            Self::None => Set::default(),
            Self::Text(text) => parse(text),
            Self::Unreadable => Set { warning: Some(".env cannot be read and is ignored"), ..Set::default() },
        }
    }
}

/// Of a variable that is set twice the last value counts. The process's environment is not touched.
fn parse(text: &[u8]) -> Set {
    let mut dotenv = Set::default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in dotenvy::from_read_iter(text) {
        match line {
            Ok((name, value)) => {
                dotenv.variables.insert(name, value);
            }
            Err(dotenvy::Error::LineParse(..)) => {
                dotenv.warning = Some(".env: a line that is not NAME=value is ignored");
            }
            Err(_) => {
                dotenv.warning =
                    Some(".env is not text in UTF-8: what follows the first wrong byte is ignored");
                break;
            }
        }
    }
    dotenv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spellings_are_read() {
        let dotenv = parse(b"\xef\xbb\xbf# comment\nA=1\nexport B='two words'\nC=\"x\\ny\"\nA=2\n\n");
        assert_eq!(dotenv.warning, None);
        let expected = [("A", "2"), ("B", "two words"), ("C", "x\ny")];
        for (name, value) in expected {
            assert_eq!(dotenv.variables.get(name).map(String::as_str), Some(value));
        }
        assert!(std::env::var_os("B").is_none());
    }

    #[test]
    fn a_line_that_cannot_be_read_spoils_no_other_and_is_not_repeated() {
        let dotenv = parse(b"A=1\nsecret secret\nB=2\n");
        assert_eq!(dotenv.variables.len(), 2);
        assert_eq!(dotenv.warning, Some(".env: a line that is not NAME=value is ignored"));
        assert!(parse(b"A=1\nB=\xff\xfe\n").warning.is_some());
    }
}
