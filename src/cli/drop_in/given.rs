//! What stood on a tool's command line, once its parser's rules are applied.

use super::Translation;

/// An option of a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// Its name, without dashes.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) takes: Takes,
}

/// How many words an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// None: it is a switch.
    Nothing,
    /// One.
    One,
    /// All that follow, up to the next option.
    All,
    /// `true` or `false`, or none, which is true.
    Truth,
}

/// The options and words of a command line.
#[derive(Debug, Default)]
pub(super) struct Given {
    options: Vec<(&'static str, Vec<String>)>,
    /// The words that are no options, as far as the parser took them for the tool's own.
    pub(super) words: Vec<String>,
    /// What it did not take: options that the tool does not have, and in some parsers the words behind them.
    pub(super) left: Vec<String>,
}

/// Options of the router that no tool has, and that a tool's user may need: the router asks who calls it and whom it calls,
/// and they do not.
pub(super) const OURS: &[Flag] = &[
    Flag::one("host"),
    Flag::one("allow-host"),
    Flag::one("allow-origin"),
    Flag::one("trust-proxy"),
    Flag::one("base-path"),
    Flag::one("cwd"),
    Flag::one("log-format"),
    Flag::switch("allow-http"),
    Flag::switch("allow-link-local"),
    Flag::switch("check"),
];

impl Flag {
    pub(super) const fn one(name: &'static str) -> Self {
        Self { name, takes: Takes::One }
    }

    pub(super) const fn switch(name: &'static str) -> Self {
        Self { name, takes: Takes::Nothing }
    }
}

impl Given {
    /// Notes an option and the words that it took.
    pub(super) fn add(&mut self, name: &'static str, values: Vec<String>) {
        self.options.push((name, values));
    }

    /// Whether an option is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(other, _)| *other == name)
    }

    /// The value of an option; of several the last, and an empty one is none.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All values of an option, wherever it stands.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &String> {
        self.options.iter().filter(move |(other, _)| *other == name).flat_map(|(_, values)| values)
    }

    /// Whether a switch is on; of several the last counts.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let last = self.options.iter().rfind(|(other, _)| *other == name);
        last.is_some_and(|(_, values)| values.first().is_none_or(|value| value != "false"))
    }

    /// Passes an option on if it is there, under a name of the router's.
    pub(super) fn pass(&self, name: &str, ours: &str, to: &mut Translation) {
        if let Some(value) = self.value(name) {
            to.option(ours, value);
        }
    }

    /// Passes the router's own options on.
    pub(super) fn pass_ours(&self, to: &mut Translation) {
        self.pass_ours_but("", to);
    }

    /// Passes the router's own options on, but for one that is the tool's own.
    pub(super) fn pass_ours_but(&self, tools: &str, to: &mut Translation) {
        for (name, values) in self.options.iter().filter(|(name, _)| *name != tools) {
            match OURS.iter().find(|flag| flag.name == *name).map(|flag| flag.takes) {
                Some(Takes::Nothing) => to.switch(name),
                Some(_) => values.iter().for_each(|value| to.option(name, value)),
                None => {}
            }
        }
    }
}
