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
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogPlace {
    /// Into the log of the process.
    Log,
    /// To the end of a file.
    File(PathBuf),
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

/// Reads where it goes; nothing: there is none.
pub(super) fn read(
    node: &Node<'_>,
    surroundings: &Surroundings<'_>,
) -> Result<Option<AccessLogPlace>, Problem> {
    let wanted = "true, false, or the path of a file";
    match node.json {
        Json::Bool(is_wanted) => Ok(is_wanted.then_some(AccessLogPlace::Log)),
        Json::Text(_) => {
            let mut expansion = Expansion::new(surroundings.variables);
            let place = |path: &str| match path.trim() {
                "" => None,
                "-" => Some(AccessLogPlace::Log),
                path => Some(AccessLogPlace::File(surroundings.directory.join(path))),
            };
            checked(node, &mut expansion, wanted, place).map(Some)
        }
        _ => Err(node.wanted(wanted)),
    }
}
