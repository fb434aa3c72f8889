//! A value of the file with its place, and what it may be read as.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Problem;
use super::expand::{Variables, expand};
use super::json::{Json, JsonPath};

/// Longest time that a key may give: far beyond any use, and safe to add to any clock.
const LONGEST: f64 = 1e9;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) json: &'a Json,
    pub(super) path: JsonPath,
}

/// An object that is read key by key, and knows afterwards which keys nobody asked for.
#[derive(Debug)]
pub(super) struct Members<'a> {
    pairs: &'a [(String, Json)],
    path: JsonPath,
    known: Vec<&'static str>,
}

/// Expands the strings of one mount, and keeps what came of it.
pub(super) struct Expansion<'a> {
    variables: Variables<'a>,
    /// What was put into strings; never to be shown.
    pub(super) produced: Vec<String>,
    /// What could not be replaced, each with its place.
    pub(super) failures: Vec<(JsonPath, String)>,
}

impl<'a> Node<'a> {
    /// The value at the top of the file.
    pub(super) fn root(json: &'a Json) -> Self {
        Self { json, path: JsonPath::default() }
    }

    /// The refusal of this value.
    pub(super) fn wanted(&self, wanted: impl Into<String>) -> Problem {
        let (path, found) = (self.path.clone(), self.json.describe());
        Problem::Value { path, found, wanted: wanted.into() }
    }

    /// The value as an object.
    pub(super) fn members(&self, wanted: &str) -> Result<Members<'a>, Problem> {
        match self.json {
            Json::Object(members) => {
                Ok(Members { pairs: members, path: self.path.clone(), known: Vec::new() })
            }
            _ => Err(self.wanted(wanted)),
        }
    }

    /// The value as a list.
    pub(super) fn items(&self, wanted: &str) -> Result<impl Iterator<Item = Self> + use<'a>, Problem> {
        let Json::List(items) = self.json else { return Err(self.wanted(wanted)) };
        let path = self.path.clone();
        Ok(items.iter().enumerate().map(move |(index, json)| Self { json, path: path.index(index) }))
    }

    /// The value as a string, as it was written.
    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        match self.json {
            Json::Text(text) => Ok(text),
            _ => Err(self.wanted("a string")),
        }
    }

    /// The value as a list of strings, as they were written.
    pub(super) fn texts(&self, wanted: &str) -> Result<Vec<String>, Problem> {
        self.items(wanted)?.map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The value as true or false.
    pub(super) fn flag(&self) -> Result<bool, Problem> {
        match self.json {
            Json::Bool(flag) => Ok(*flag),
            _ => Err(self.wanted("true or false")),
        }
    }

    /// The value as a whole number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is whole and within a range that a usize holds"
    )]
    pub(super) fn count(&self, range: RangeInclusive<u32>) -> Result<usize, Problem> {
        match self.json {
            Json::Number(number)
                if number.fract() == 0.0
                    && (f64::from(*range.start())..=f64::from(*range.end())).contains(number) =>
            {
                Ok(*number as usize)
            }
            _ => Err(self.wanted(format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// The value as a time in seconds; `None` is 0, which stands for no limit.
    pub(super) fn seconds(&self) -> Result<Option<Duration>, Problem> {
        match self.json {
            Json::Number(number) if (0.0..=LONGEST).contains(number) => {
                Ok((*number > 0.0).then(|| Duration::from_secs_f64(*number)))
            }
            _ => Err(self.wanted("a number of seconds, 0 for no limit")),
        }
    }

    /// The value as a time in seconds, of which 0 is none.
    pub(super) fn positive_seconds(&self) -> Result<Duration, Problem> {
        let wanted = || self.wanted("a number of seconds above 0");
        self.seconds().map_err(|_| wanted())?.filter(|time| !time.is_zero()).ok_or_else(wanted)
    }

    /// The value as one of `words`, in any case.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Problem> {
        let wanted = || words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        let written = self.text().map_err(|_| self.wanted(wanted()))?;
        words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(written))
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| Problem::Value {
                path: self.path.clone(),
                found: format!("{written:?}"),
                wanted: wanted(),
            })
    }
}

impl<'a> Members<'a> {
    /// The member `key`. Null counts as not given: other tools write it so.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let json = self.pairs.iter().find(|(written, _)| written == key).map(|(_, json)| json)?;
        (*json != Json::Null).then(|| Node { json, path: self.path.key(key) })
    }

    /// The member `key`, which protects something: another spelling of it is refused, and so is null.
    pub(super) fn protecting(&mut self, key: &'static str) -> Result<Option<Node<'a>>, Problem> {
        self.refuse_misspelt(key)?;
        self.refuse_null(key)?;
        Ok(self.get(key))
    }

    /// Every member in its order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a, '_> {
        self.pairs.iter().map(|(key, json)| (key.as_str(), Node { json, path: self.path.key(key) }))
    }

    /// Refuses the file if one of `keys` is there, in whatever case and with `_` or `-` in it.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<(), Problem> {
        match self.iter().find(|(written, _)| keys.iter().any(|key| plain(key) == plain(written))) {
            Some((key, node)) => Err(Problem::Unsupported { path: node.path, key: key.to_owned() }),
            None => Ok(()),
        }
    }

    /// Refuses the file if `key` is there in another spelling: what protects is neither guessed nor passed over.
    pub(super) fn refuse_misspelt(&self, key: &str) -> Result<(), Problem> {
        match self.iter().find(|(written, _)| *written != key && plain(written) == plain(key)) {
            Some((written, node)) => Err(Problem::Value {
                path: node.path,
                found: format!("the key `{written}`"),
                wanted: format!("it to be spelt `{key}`"),
            }),
            None => Ok(()),
        }
    }

    /// Refuses the file if the value of `key` is null: where it protects, whoever wrote it may believe that it closes something.
    pub(super) fn refuse_null(&self, key: &str) -> Result<(), Problem> {
        match self.iter().find(|(written, node)| *written == key && *node.json == Json::Null) {
            Some((_, node)) => Err(node.wanted("a value; leave the key out for none")),
            None => Ok(()),
        }
    }

    /// Refuses the file if any value is null.
    pub(super) fn refuse_nulls(&self) -> Result<(), Problem> {
        self.iter().try_for_each(|(key, _)| self.refuse_null(key))
    }

    /// Refuses the file if there is a key that is nearly one of `keys`, which protect: what was meant to close must not stay open.
    pub(super) fn refuse_near(&self, keys: &[&'static str]) -> Result<(), Problem> {
        let is_near = |written: &str, key: &str| {
            let most = if key.len() < 7 { 1 } else { 2 };
            strsim::osa_distance(&plain(written), &plain(key)) <= most
        };
        for (written, node) in self.iter().filter(|(written, _)| !self.known.contains(written)) {
            if let Some(key) = keys.iter().find(|key| is_near(written, key)) {
                return Err(Problem::Value {
                    path: node.path,
                    found: format!("the key `{written}`"),
                    wanted: format!("`{key}`, if that is meant: what protects is not guessed"),
                });
            }
        }
        Ok(())
    }

    /// A warning for each key that nobody asked for.
    pub(super) fn unknown(&self) -> impl Iterator<Item = String> + use<'a, '_> {
        self.iter().filter(|(key, _)| !self.known.contains(key)).map(|(key, node)| {
            match self.known.iter().find(|known| plain(known) == plain(key)) {
                Some(meant) => format!("{}: unknown key, ignored; is `{meant}` meant?", node.path),
                None => format!("{}: unknown key, ignored", node.path),
            }
        })
    }

    /// Refuses the file if there is a key that nobody asked for: for objects that protect something.
    pub(super) fn refuse_unknown(&self) -> Result<(), Problem> {
        match self.iter().find(|(key, _)| !self.known.contains(key)) {
            Some((_, node)) => Err(Problem::Unknown { path: node.path, known: self.known.clone() }),
            None => Ok(()),
        }
    }
}

impl<'a> Expansion<'a> {
    /// Nothing expanded yet.
    pub(super) fn new(variables: Variables<'a>) -> Self {
        Self { variables, produced: Vec::new(), failures: Vec::new() }
    }

    /// The value as a string, expanded; empty where that failed, which is kept in `failures`.
    pub(super) fn text(&mut self, node: &Node<'_>) -> Result<String, Problem> {
        match expand(node.text()?, self.variables) {
            Ok(expanded) => {
                self.produced.extend(expanded.produced);
                Ok(expanded.text)
            }
            Err(reason) => {
                self.failures.push((node.path.clone(), reason.to_string()));
                Ok(String::new())
            }
        }
    }

    /// The value as a string, expanded, where it cannot do without.
    pub(super) fn whole(&mut self, node: &Node<'_>) -> Result<String, Problem> {
        let text = self.text(node)?;
        match self.failures.pop() {
            Some((path, reason)) => Err(Problem::Expansion { path, reason }),
            None => Ok(text),
        }
    }

    /// The value as one of `words`, in any case; the first of them where expanding it failed.
    pub(super) fn word<T: Copy>(&mut self, node: &Node<'_>, words: &[(&str, T)]) -> Result<T, Problem> {
        let written = node.text().unwrap_or_default();
        if !written.contains("${") {
            return node.word(words);
        }
        let failures = self.failures.len();
        let meant = self.text(node)?;
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&meant));
        match (found, words.first()) {
            (Some((_, meaning)), _) => Ok(*meaning),
            (None, Some((_, first))) if self.failures.len() > failures => Ok(*first),
            // What a variable holds is not shown.
            (None, _) => node.word(words),
        }
    }

    /// Why the mount that needs these strings cannot work, if one of them could not be expanded.
    pub(super) fn reason(&self) -> Option<String> {
        let reasons = self.failures.iter().map(|(path, reason)| format!("{path}: {reason}"));
        (!self.failures.is_empty()).then(|| reasons.collect::<Vec<_>>().join("; "))
    }

    /// The value as a list of strings, expanded.
    pub(super) fn texts(&mut self, node: &Node<'_>) -> Result<Vec<String>, Problem> {
        node.items("a list of strings")?.map(|item| self.text(&item)).collect()
    }
}

/// A key without what its spellings differ in.
fn plain(key: &str) -> String {
    key.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}
