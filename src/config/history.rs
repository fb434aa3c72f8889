//! `history` in the file: whether calls are recorded, and where.

use super::error::Problem;
use super::expand::Variables;
use super::node::{Expansion, Node};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where calls are recorded, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySpec {
    /// The file.
    pub file: PathBuf,
    /// For how long.
    pub keep: Duration,
    /// How many calls at most.
    pub rows: u64,
    /// With what they were called with.
    pub arguments: bool,
}

impl HistorySpec {
    /// In this file, as long as one is kept where nothing else is said.
    pub fn new(file: PathBuf) -> Self {
        Self { file, keep: Duration::from_hours(30 * 24), rows: 1_000_000, arguments: false }
    }
}

/// Reads the object. A relative path begins in the file's `directory`.
pub(super) fn read(
    node: &Node<'_>,
    variables: Variables<'_>,
    directory: &Path,
    warnings: &mut Vec<String>,
) -> Result<HistorySpec, Problem> {
    let wanted = "an object with `file`, the path of the history";
    let mut members = node.members(wanted)?;
    let file = members.get("file").ok_or_else(|| node.wanted(wanted))?;
    let file = super::file::checked(&file, &mut Expansion::new(variables), "the path of a file", |path| {
        (!path.is_empty()).then(|| directory.join(path))
    })?;
    let mut history = HistorySpec::new(file);
    if let Some(node) = members.get("keep") {
        history.keep = super::file::checked(
            &node,
            &mut Expansion::new(variables),
            "a time like \"30d\" or \"12h\"",
            |text| humantime::parse_duration(text).ok().filter(|keep| !keep.is_zero()),
        )?;
    }
    if let Some(node) = members.get("rows") {
        history.rows = node.count(1..=u32::MAX)? as u64;
    }
    if let Some(node) = members.get("arguments") {
        history.arguments = node.flag()?;
    }
    warnings.extend(members.unknown());
    Ok(history)
}
