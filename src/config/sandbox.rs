//! `sandbox` of an entry: what its processes, and all that they start, may not do.

use std::path::{Path, PathBuf};

use super::error::Problem;
use super::json::Json;
use super::node::{Expansion, Members, Node};

/// What the processes of a command may not do. Linux enforces it, and only there can such a command be run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// No program that they run has more rights than they: not by setuid, not by file capabilities.
    pub no_new_privileges: bool,
    /// Bytes of private writable memory of each process.
    pub memory: Option<u64>,
    /// Seconds of processor time of each process.
    pub cpu_seconds: Option<u64>,
    /// Open files of each process.
    pub files: Option<u64>,
    /// Processes and threads of their user, wherever they come from.
    pub processes: Option<u64>,
    /// Bytes of a file that they write.
    pub file_size: Option<u64>,
    /// The only places where they find files, beside what every program needs.
    pub filesystem: Option<Places>,
    /// They have the network of the machine; else one of their own, in which there is nobody.
    pub network: bool,
}

/// Files, and directories with everything below them. All paths are absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// May be read and run.
    pub read: Vec<PathBuf>,
    /// May be written too.
    pub write: Vec<PathBuf>,
}

/// Least memory that may be asked for: a smaller number is one of megabytes.
const LEAST_MEMORY: u64 = 1 << 20;

/// Fewer open files than these, and no program starts.
const FEWEST_FILES: u32 = 16;

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            no_new_privileges: true,
            memory: None,
            cpu_seconds: None,
            files: None,
            processes: None,
            file_size: None,
            filesystem: None,
            network: true,
        }
    }
}

impl Sandbox {
    /// Whether this system can have any.
    pub const IS_SUPPORTED: bool = cfg!(target_os = "linux");
}

/// Reads the key of an entry; `false` is none. What it holds protects: what is not understood refuses the file.
pub(super) fn read(
    members: &mut Members<'_>,
    directory: &Path,
    expansion: &mut Expansion<'_>,
) -> Result<Option<Sandbox>, Problem> {
    let Some(node) = members.protecting("sandbox")? else { return Ok(None) };
    if let Json::Bool(wanted) = node.json {
        return Ok(wanted.then(Sandbox::default));
    }
    let mut members = node.members("true, false or an object")?;
    let mut sandbox = Sandbox::default();
    if let Some(node) = members.get("noNewPrivileges") {
        sandbox.no_new_privileges = node.flag()?;
    }
    if let Some(node) = members.get("memory") {
        sandbox.memory = bytes(&node, LEAST_MEMORY, expansion)?;
    }
    if let Some(node) = members.get("cpuSeconds") {
        sandbox.cpu_seconds = Some(node.count(1..=u32::MAX)? as u64);
    }
    if let Some(node) = members.get("files") {
        sandbox.files = Some(node.count(FEWEST_FILES..=1 << 20)? as u64);
    }
    if let Some(node) = members.get("processes") {
        sandbox.processes = Some(node.count(1..=1 << 22)? as u64);
    }
    if let Some(node) = members.get("fileSize") {
        sandbox.file_size = bytes(&node, 0, expansion)?;
    }
    if let Some(node) = members.get("filesystem") {
        sandbox.filesystem = Some(places(&node, directory, expansion)?);
    }
    if let Some(node) = members.get("network") {
        sandbox.network = node.flag()?;
    }
    members.refuse_nulls()?;
    members.refuse_unknown()?;
    if sandbox.filesystem.is_some() && !sandbox.no_new_privileges {
        let found =
            "`noNewPrivileges` false beside `filesystem`, which the kernel grants only without".to_owned();
        return Err(Problem::Value { path: node.path.clone(), found, wanted: "one of them".to_owned() });
    }
    Ok(Some(sandbox))
}

fn places(node: &Node<'_>, directory: &Path, expansion: &mut Expansion<'_>) -> Result<Places, Problem> {
    let mut members = node.members("an object with `read` and `write`")?;
    let mut places = Places::default();
    if let Some(node) = members.get("read") {
        places.read = paths(&node, directory, expansion)?;
    }
    if let Some(node) = members.get("write") {
        places.write = paths(&node, directory, expansion)?;
    }
    members.refuse_nulls()?;
    members.refuse_unknown()?;
    Ok(places)
}

fn paths(node: &Node<'_>, directory: &Path, expansion: &mut Expansion<'_>) -> Result<Vec<PathBuf>, Problem> {
    let path = |item: Node<'_>| {
        let failures = expansion.failures.len();
        let text = expansion.text(&item)?;
        // What could not be expanded has been noted, and stops this mount.
        let is_empty = text.is_empty() && expansion.failures.len() == failures;
        if is_empty || text.contains('\0') {
            let found = "an empty path, or one with NUL".to_owned();
            return Err(Problem::Value { path: item.path, found, wanted: "a path".to_owned() });
        }
        Ok(directory.join(text))
    };
    node.items("a list of paths")?.map(path).collect()
}

/// A number of bytes, or a text like `512M`. Nothing where the text could not be expanded, which stops the mount.
fn bytes(node: &Node<'_>, least: u64, expansion: &mut Expansion<'_>) -> Result<Option<u64>, Problem> {
    let wanted = || format!("a number of bytes from {least} on, or a text like \"512M\"");
    let number = match node.json {
        Json::Number(number) => whole(*number),
        Json::Text(_) => {
            let failures = expansion.failures.len();
            let text = expansion.text(node)?;
            if expansion.failures.len() > failures {
                return Ok(None);
            }
            size(&text)
        }
        _ => None,
    };
    match number.filter(|number| *number >= least) {
        Some(number) => Ok(Some(number)),
        None => Err(node.wanted(wanted())),
    }
}

/// A whole number of which no digit is lost.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is whole, not negative, and below 2^53"
)]
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
}

/// What `512M` means: digits, and one of `K`, `M`, `G`, `T` for powers of 1024, with `iB` or `B` behind it or not.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_bytes_or_powers_of_1024() {
        let table = [
            ("0", Some(0)),
            ("512M", Some(512 << 20)),
            ("512 MiB", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("1KB", Some(1024)),
            ("7", Some(7)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("1P", None),
            ("99999999999999999999", None),
            ("99999999T", None),
        ];
        for (text, meant) in table {
            assert_eq!(size(text), meant, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_none(text in "\\PC*") {
            let _ = size(&text);
        }

        #[test]
        fn a_number_means_itself(number in 0_u64..1 << 53) {
            prop_assert_eq!(size(&number.to_string()), Some(number));
        }
    }
}
