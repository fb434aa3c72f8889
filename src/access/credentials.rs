//! What a caller brings for a server to use in his name: values of headers, which nothing may show.

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// Bytes of a value: no token is longer, what is longer could not be found in a log that cuts lines, and a process could not
/// be started with much more.
const LONGEST: usize = 16 << 10;

/// What a request has shown in the headers that servers want.
#[derive(Clone)]
pub(super) struct Shown(Arc<Contents>);

struct Contents {
    headers: Vec<(HeaderName, Result<SecretString, Unusable>)>,
    digest: Digest,
}

/// Tells what was shown from everything else, and says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// Why what was shown in a header is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It was not sent.
    #[error("is missing")]
    Missing,
    /// It has no value.
    #[error("is empty")]
    Empty,
    /// It was sent more than once.
    #[error("was sent more than once")]
    Twice,
    /// A variable could not hold it as it was meant.
    #[error("is not plain text")]
    NoText,
    /// It is over the limit.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
}

/// What one server's process gets of one caller: variables of its environment.
#[derive(Debug, Default)]
pub struct Credentials(Vec<(Box<str>, SecretString)>);

impl Shown {
    /// What `headers` has of those that are wanted; nothing if it has none of them.
    pub(super) fn among(headers: &HeaderMap, wanted: &[HeaderName]) -> Option<Self> {
        let sent = wanted.iter().filter(|name| headers.contains_key(*name));
        let headers: Vec<_> = sent.map(|name| (name.clone(), value(headers, name))).collect();
        (!headers.is_empty()).then(|| {
            let digest = Digest::of(headers.iter().map(|(name, value)| (name, value.as_ref().ok())));
            Self(Arc::new(Contents { headers, digest }))
        })
    }

    /// The value of a header.
    pub(super) fn value(&self, name: &HeaderName) -> Result<&SecretString, Unusable> {
        let mut values = self.0.headers.iter().filter(|(shown, _)| shown == name);
        values.next().map_or(Err(Unusable::Missing), |(_, value)| value.as_ref().map_err(|why| *why))
    }

    /// Every value that is of use, by the name of its header.
    pub(super) fn all(&self) -> impl Iterator<Item = (Box<str>, SecretString)> {
        let values = self.0.headers.iter();
        values.filter_map(|(name, value)| Some((name.as_str().into(), value.as_ref().ok()?.clone())))
    }

    /// All of it.
    pub(super) fn digest(&self) -> Digest {
        self.0.digest
    }
}

fn value(headers: &HeaderMap, name: &HeaderName) -> Result<SecretString, Unusable> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::to_str);
    match (values.next(), values.next()) {
        (None, _) => Err(Unusable::Missing),
        (Some(_), Some(_)) => Err(Unusable::Twice),
        (Some(Err(_)), None) => Err(Unusable::NoText),
        (Some(Ok(text)), None) if text.trim().is_empty() => Err(Unusable::Empty),
        (Some(Ok(text)), None) if text.len() > LONGEST => Err(Unusable::TooLong),
        (Some(Ok(text)), None) => Ok(text.trim().into()),
    }
}

impl Digest {
    /// The digest of headers, each with its value if it has one that is of use.
    pub(super) fn of<'a>(values: impl Iterator<Item = (&'a HeaderName, Option<&'a SecretString>)>) -> Self {
        // What stands in memory may be read one day by others: without this number it could not be guessed at.
        static SALT: LazyLock<[u8; 32]> = LazyLock::new(|| {
            let mut salt = [0; 32];
            // The digest tells values apart without it, too.
            let _ = getrandom::fill(&mut salt);
            salt
        });
        let mut digest = Sha256::new_with_prefix(*SALT);
        for (name, value) in values {
            // Neither a name nor a value holds a line break.
            digest.update(name.as_str());
            digest.update(if value.is_some() { "\n+" } else { "\n-" });
            digest.update(value.map_or("", |value| value.expose_secret()));
            digest.update("\n");
        }
        Self(digest.finalize().into())
    }

    /// As a word, which means nothing to anybody.
    pub fn to_word(self) -> String {
        self.0.iter().fold(String::new(), |word, byte| format!("{word}{byte:02x}"))
    }
}

impl Credentials {
    /// Variables, each with its value.
    pub(super) fn new(variables: Vec<(Box<str>, SecretString)>) -> Self {
        Self(variables)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variables and their values, for the environment of the one process that gets them.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.expose_secret()))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.headers.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: HeaderName = HeaderName::from_static("x-github-token");
    const JIRA: HeaderName = HeaderName::from_static("x-jira-token");

    fn shown(pairs: &[(&HeaderName, &[u8])]) -> Option<Shown> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Shown::among(&headers, &[GITHUB, JIRA])
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_nothing_shows_it() {
        let both = shown(&[(&GITHUB, b" hunter2 "), (&HeaderName::from_static("x-other"), b"0")]).unwrap();
        assert_eq!(both.value(&GITHUB).unwrap().expose_secret(), "hunter2");
        assert_eq!(both.value(&JIRA).unwrap_err(), Unusable::Missing);
        let credentials = Credentials::new(vec![("TOKEN".into(), "hunter2".into())]);
        let printed = format!("{both:?} {credentials:?} {:?}", both.digest());
        assert!(printed.contains("x-github-token") && printed.contains("TOKEN"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(shown(&[(&HeaderName::from_static("x-other"), b"0")]).is_none());
    }

    #[test]
    fn a_value_that_is_not_clearly_one_is_none() {
        let why = |pairs: &[(&HeaderName, &[u8])]| shown(pairs).unwrap().value(&GITHUB).unwrap_err();
        assert_eq!(why(&[(&GITHUB, b"one"), (&GITHUB, b"one")]), Unusable::Twice);
        assert_eq!(why(&[(&GITHUB, b" ")]), Unusable::Empty);
        assert_eq!(why(&[(&GITHUB, b"caf\xe9")]), Unusable::NoText);
        assert_eq!(why(&[(&GITHUB, &vec![b'x'; LONGEST + 1])]), Unusable::TooLong);
    }

    #[test]
    fn a_digest_tells_values_headers_and_what_is_missing_apart() {
        let (a, b): (SecretString, SecretString) = ("a".into(), "b".into());
        let empty: SecretString = "".into();
        let of = |values: &[(&HeaderName, Option<&SecretString>)]| Digest::of(values.iter().copied());
        let all = [
            of(&[(&GITHUB, Some(&a)), (&JIRA, Some(&b))]),
            of(&[(&GITHUB, Some(&b)), (&JIRA, Some(&a))]),
            of(&[(&GITHUB, Some(&a)), (&JIRA, None)]),
            of(&[(&GITHUB, None), (&JIRA, Some(&a))]),
            of(&[(&GITHUB, Some(&a))]),
            of(&[(&GITHUB, Some(&empty))]),
            of(&[(&GITHUB, None)]),
            of(&[]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], of(&[(&GITHUB, Some(&a)), (&JIRA, Some(&b))]));
    }
}
