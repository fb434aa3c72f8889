//! Where a line is written for each request.

use super::error::Problem;
use super::file::{Surroundings, checked};
use super::json::Json;
use super::node::{Expansion, Node};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the access log goes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogSpec {
    /// Where.
    pub place: AccessLogPlace,
    /// The lines of a file are JSON.
    pub json: bool,
    /// With what tools were called with.
    pub arguments: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogPlace {
    /// Into the log of the process.
    Log,
    /// To the end of a file.
    File(PathBuf),
}

impl AccessLogSpec {
    /// There, as text, without what was asked.
    pub fn new(place: AccessLogPlace) -> Self {
        Self { place, json: false, arguments: false }
    }
}

impl AccessLogPlace {
    /// The file of that path; `-` is the log of the process.
    pub fn named(path: PathBuf) -> Self {
        if path == Path::new("-") { Self::Log } else { Self::File(path) }
    }
}

impl fmt::Display for AccessLogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("the log"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Reads whether there is one, where it goes and what is in it.
pub(super) fn read(
    node: &Node<'_>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<AccessLogSpec>, Problem> {
    let wanted = "true, false, the path of a file, or an object with `file` and `arguments`";
    match node.json {
        Json::Bool(is_wanted) => Ok(is_wanted.then_some(AccessLogSpec::new(AccessLogPlace::Log))),
        Json::Text(_) => place(node, surroundings, wanted).map(AccessLogSpec::new).map(Some),
        Json::Object(_) => {
            let mut members = node.members(wanted)?;
            let file = members.get("file");
            let file =
                file.map(|file| place(&file, surroundings, "the path of a file, or \"-\" for the log"));
            let mut spec = AccessLogSpec::new(file.transpose()?.unwrap_or(AccessLogPlace::Log));
            if let Some(node) = members.get("arguments") {
                spec.arguments = node.flag()?;
            }
            warnings.extend(members.unknown());
            Ok(Some(spec))
        }
        _ => Err(node.wanted(wanted)),
    }
}

fn place(node: &Node<'_>, surroundings: &Surroundings<'_>, wanted: &str) -> Result<AccessLogPlace, Problem> {
    let place = |path: &str| match path.trim() {
        "" => None,
        "-" => Some(AccessLogPlace::Log),
        path => Some(AccessLogPlace::File(surroundings.directory.join(path))),
    };
    checked(node, &mut Expansion::new(surroundings.variables), wanted, place)
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::part;
    use super::*;

    fn access_log(text: &str) -> Result<(Option<AccessLogSpec>, Vec<String>), String> {
        part(text, "/etc/it", ("NAME", "calls"), read).map_err(|problem| problem.to_string())
    }

    #[test]
    fn it_goes_into_a_file_or_the_log_with_arguments_if_that_is_asked_for() {
        let spec = |text: &str| access_log(text).unwrap().0;
        let log = AccessLogSpec::new(AccessLogPlace::Log);
        let file = AccessLogSpec::new(AccessLogPlace::File("/etc/it/calls.log".into()));
        assert_eq!(spec("false"), None);
        for text in ["true", "\"-\"", "{}", r#"{ "file": "-", "arguments": false }"#] {
            assert_eq!(spec(text), Some(log.clone()), "{text}");
        }
        for text in [r#""${NAME}.log""#, r#"{ "file": "calls.log" }"#] {
            assert_eq!(spec(text), Some(file.clone()), "{text}");
        }
        let asked = spec(r#"{ "file": "calls.log", "arguments": true }"#);
        assert_eq!(asked, Some(AccessLogSpec { arguments: true, ..file }));
        let (_, warnings) = access_log(r#"{ "argument": true }"#).unwrap();
        assert!(warnings[0].contains("argument"), "{warnings:?}");
        for wrong in ["1", "\" \"", r#"{ "file": "" }"#, r#"{ "arguments": "yes" }"#] {
            assert!(access_log(wrong).unwrap_err().contains("wanted"), "{wrong}");
        }
    }
}
