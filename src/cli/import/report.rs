//! What the reader of a translation must know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Warnings, each with its place; no value of a file is repeated.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) warnings: Vec<String>,
    /// The file at hand.
    file: PathBuf,
    /// Variables that must be set, each told once.
    told: BTreeMap<String, String>,
    /// What files of variables set.
    set: BTreeMap<String, (String, PathBuf)>,
}

impl Report {
    /// What follows is about this file.
    pub(super) fn about(&mut self, file: &Path) {
        file.clone_into(&mut self.file);
    }

    /// Something to be looked at.
    pub(super) fn warn(&mut self, place: &str, what: &str) {
        self.warnings.push(format!("{}: {place}: {what}", self.file.display()));
    }

    /// A secret that was in clear there, and is here.
    pub(super) fn in_clear(&mut self, place: &str) {
        self.warn(place, "a secret, it seems, that stands in clear, as it did there; `${VAR}` would keep it out of the file");
    }

    /// A variable that takes the place of what only the other program knows.
    pub(super) fn wanted(&mut self, place: &str, variable: String, say: String) {
        match self.told.get(&variable) {
            Some(earlier) if *earlier == say => {}
            Some(_) => self.warn(
                place,
                &format!("{say}; another value has that name already: give it a name of its own"),
            ),
            None => {
                self.warn(place, &say);
                self.told.insert(variable, say);
            }
        }
    }

    /// A variable that a file sets, which our file only names.
    pub(super) fn set_in_file(&mut self, place: &str, name: &str, value: String, file: &Path) {
        match self.set.get(name) {
            Some((other, _)) if *other == value => {}
            Some((_, first)) => {
                let (file, first) = (file.display(), first.display());
                let what = format!(
                    "{name} has another value in {file} than in {first}: give one of the two servers a name of its own for it"
                );
                self.warn(place, &what);
            }
            None => {
                let what = format!(
                    "{name} is set in {}: set it for the router, or copy that line to a `.env` beside the configuration",
                    file.display()
                );
                self.warn(place, &what);
                self.set.insert(name.to_owned(), (value, file.to_owned()));
            }
        }
    }
}
