//! The values of an entry, each as our file writes it.

use super::document::Value;
use super::entry::Reader;
use super::program::{Program, below};
use super::secret;
use super::variables::{is_name, translate};

/// A number of at least this much is a time in milliseconds, where the program's unit is not known.
const IN_MILLISECONDS: f64 = 1000.0;

/// The longest time that our file takes, in seconds.
const LONGEST: f64 = 1e9;

impl Reader<'_> {
    /// The variables of a file, by name: their values stay where they are.
    pub(super) fn env_file(&mut self, place: &str, path: &str) -> Vec<(String, String)> {
        let file = self.base.join(path);
        let text = match (self.read)(&file) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("{} cannot be read ({error}): what it sets is missing", file.display());
                self.report.warn(place, &what);
                return Vec::new();
            }
        };
        let mut env = Vec::new();
        for line in dotenvy::from_read_iter(&text[..]) {
            match line {
                Ok((name, value)) if is_name(&name) => {
                    self.report.set_in_file(place, &name, value, &file);
                    env.push((name.clone(), format!("${{{name}}}")));
                }
                Ok((name, _)) => {
                    self.report.warn(place, &format!("{name:?} is no name of a variable; left out"));
                }
                Err(_) => self.report.warn(place, &format!("{}: a line is not NAME=value", file.display())),
            }
        }
        env
    }

    pub(super) fn seconds(&mut self, place: &str, value: &Value) -> Option<Value> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        let Some(written) = number.filter(|number| *number > 0.0) else {
            self.report.warn(place, "not a time above 0; left out");
            return None;
        };
        let seconds = match self.program {
            Program::ClaudeCode => written / 1000.0,
            Program::McProxy => written,
            _ if written >= IN_MILLISECONDS => {
                let seconds = written / 1000.0;
                self.report.warn(place, &format!("taken as milliseconds: {seconds} seconds"));
                seconds
            }
            _ => written,
        };
        if seconds > LONGEST {
            self.report.warn(place, "longer than any request; left out");
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and within a u64"
        )]
        let number = if seconds.fract() == 0.0 {
            Some((seconds as u64).into())
        } else {
            serde_json::Number::from_f64(seconds)
        };
        number.map(Value::Number)
    }

    pub(super) fn texts(&mut self, place: &str, value: &Value) -> Vec<String> {
        let Value::List(items) = value else {
            self.report.warn(place, &format!("{}, not a list; left out", value.kind()));
            return Vec::new();
        };
        let texts = items.iter().enumerate();
        texts.filter_map(|(index, item)| self.text(&format!("{place}[{index}]"), item)).collect()
    }

    pub(super) fn map(&mut self, place: &str, value: &Value) -> Vec<(String, String)> {
        let Some(members) = value.members() else {
            self.report.warn(place, &format!("{}, not an object; left out", value.kind()));
            return Vec::new();
        };
        let mut map = Vec::new();
        for (key, value) in members {
            let at = below(place, key);
            if *value == Value::Null || key.is_empty() || key.contains(['=', '\0']) {
                self.report.warn(&at, "sets nothing; left out");
                continue;
            }
            let text = self.text(&at, value);
            self.clear(&at, key, text.as_deref());
            map.extend(text.map(|text| (key.clone(), text)));
        }
        map
    }

    /// The value as our file writes it.
    pub(super) fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let Some(text) = value.as_text() else {
            self.report.warn(place, &format!("{}, not a string; left out", value.kind()));
            return None;
        };
        let translated = translate(&text, &self.words);
        for note in &translated.notes {
            self.report.warn(place, note);
        }
        for (variable, say) in translated.wanted {
            self.report.wanted(place, variable, say);
        }
        Some(translated.text)
    }

    pub(super) fn clear(&mut self, place: &str, name: &str, value: Option<&str>) {
        if value.is_some_and(|value| secret::stands_in_clear(name, value)) {
            self.report.in_clear(place);
        }
    }
}
