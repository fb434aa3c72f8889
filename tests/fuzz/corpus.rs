//! The inputs and the words that are kept in `fuzz/`.

use std::path::{Path, PathBuf};

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind)
}

/// The inputs of a target, each with its path, in the order of their names.
pub(crate) fn read(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let input = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

/// The words of a target, in the form of libFuzzer: a line each, in quotes, `\xNN` for a byte.
pub(crate) fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let path = folder("dictionaries").join(target).with_extension("dict");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some(word),
            [b'\\', b'x', high, low, more @ ..] => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = more;
            }
            [b'\\', byte @ (b'\\' | b'"'), more @ ..] | [byte, more @ ..] => {
                word.push(*byte);
                rest = more;
            }
        }
    }
}
