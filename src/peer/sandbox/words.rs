//! What the helper is told, as words of a command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Places, Sandbox};

/// What the helper is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// What to take from itself.
    pub(super) sandbox: Sandbox,
    /// The file to run, absolute.
    pub(super) program: PathBuf,
    /// What the program is told that it is called.
    pub(super) name: OsString,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
}

/// The words for a program, which stand behind [`WORD`](super::WORD).
pub(super) fn encode(sandbox: &Sandbox, program: &Path, name: &str, args: &[String]) -> Vec<OsString> {
    let mut words = Vec::new();
    if sandbox.no_new_privileges {
        words.push(NO_NEW_PRIVILEGES.into());
    }
    if !sandbox.network {
        words.push(NO_NETWORK.into());
    }
    let numbers = [
        (MEMORY, sandbox.memory),
        (CPU_SECONDS, sandbox.cpu_seconds),
        (FILES, sandbox.files),
        (PROCESSES, sandbox.processes),
        (FILE_SIZE, sandbox.file_size),
    ];
    for (word, number) in numbers {
        if let Some(number) = number {
            words.extend([word.into(), number.to_string().into()]);
        }
    }
    if let Some(places) = &sandbox.filesystem {
        words.push(FILESYSTEM.into());
        words.extend(places.read.iter().flat_map(|path| [READ.into(), path.into()]));
        words.extend(places.write.iter().flat_map(|path| [WRITE.into(), path.into()]));
    }
    words.extend([END.into(), program.into(), name.into()]);
    words.extend(args.iter().map(OsString::from));
    words
}

/// What the words mean.
///
/// # Errors
/// A word that is not known, or one that lacks what belongs to it.
pub(super) fn decode(words: impl IntoIterator<Item = OsString>) -> Result<Task, Unclear> {
    let mut words = words.into_iter();
    let mut sandbox = Sandbox { no_new_privileges: false, ..Sandbox::default() };
    loop {
        let word = words.next().ok_or(Unclear)?;
        let Some(word) = word.to_str() else { return Err(Unclear) };
        let places = || Places::default();
        match word {
            END => break,
            NO_NEW_PRIVILEGES => sandbox.no_new_privileges = true,
            NO_NETWORK => sandbox.network = false,
            MEMORY => sandbox.memory = Some(number(words.next().as_ref())?),
            CPU_SECONDS => sandbox.cpu_seconds = Some(number(words.next().as_ref())?),
            FILES => sandbox.files = Some(number(words.next().as_ref())?),
            PROCESSES => sandbox.processes = Some(number(words.next().as_ref())?),
            FILE_SIZE => sandbox.file_size = Some(number(words.next().as_ref())?),
            FILESYSTEM => drop(sandbox.filesystem.get_or_insert_with(places)),
            READ => {
                let path = words.next().ok_or(Unclear)?.into();
                sandbox.filesystem.get_or_insert_with(places).read.push(path);
            }
            WRITE => {
                let path = words.next().ok_or(Unclear)?.into();
                sandbox.filesystem.get_or_insert_with(places).write.push(path);
            }
            _ => return Err(Unclear),
        }
    }
    let program = words.next().ok_or(Unclear)?.into();
    let name = words.next().ok_or(Unclear)?;
    Ok(Task { sandbox, program, name, args: words.collect() })
}

/// The words make no sense. None of them is repeated: they may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the words of the helper make no sense: it is for the router's own use")]
pub(super) struct Unclear;

fn number(word: Option<&OsString>) -> Result<u64, Unclear> {
    word.and_then(|word| word.to_str()?.parse().ok()).ok_or(Unclear)
}

const NO_NEW_PRIVILEGES: &str = "--no-new-privileges";
const NO_NETWORK: &str = "--no-network";
const MEMORY: &str = "--memory";
const CPU_SECONDS: &str = "--cpu-seconds";
const FILES: &str = "--files";
const PROCESSES: &str = "--processes";
const FILE_SIZE: &str = "--file-size";
const FILESYSTEM: &str = "--filesystem";
const READ: &str = "--read";
const WRITE: &str = "--write";
const END: &str = "--";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn path() -> impl Strategy<Value = PathBuf> {
        prop_oneof![
            "/\\PC*".prop_map(PathBuf::from),
            Just(PathBuf::from("--")),
            Just(PathBuf::from("--write"))
        ]
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof!["\\PC*", Just("--".to_owned()), Just("--memory".to_owned()), Just(String::new())]
    }

    fn places() -> impl Strategy<Value = Places> {
        (vec(path(), 0..4), vec(path(), 0..4)).prop_map(|(read, write)| Places { read, write })
    }

    prop_compose! {
        fn sandbox()(
            no_new_privileges: bool,
            network: bool,
            [memory, cpu_seconds, files, processes, file_size] in std::array::from_fn::<_, 5, _>(|_| option::of(any::<u64>())),
            filesystem in option::of(places()),
        ) -> Sandbox {
            Sandbox { no_new_privileges, memory, cpu_seconds, files, processes, file_size, filesystem, network }
        }
    }

    proptest! {
        #[test]
        fn what_is_meant_is_what_is_read(
            sandbox in sandbox(), program in path(), name in word(), args in vec(word(), 0..6),
        ) {
            let words = encode(&sandbox, &program, &name, &args);
            let args = args.into_iter().map(OsString::from).collect();
            prop_assert_eq!(decode(words), Ok(Task { sandbox, program, name: name.into(), args }));
        }

        #[test]
        fn what_is_cut_off_is_noticed(sandbox in sandbox(), keep in 0..100_usize) {
            let words = encode(&sandbox, Path::new("/p"), "p", &[]);
            let kept = keep % words.len();
            prop_assert_eq!(decode(words.into_iter().take(kept)), Err(Unclear));
        }

        #[test]
        fn any_words_are_read_or_refused(words in vec(word(), 0..8)) {
            let _ = decode(words.into_iter().map(OsString::from));
        }
    }
}
