//! Why no process could be started at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use strsim::normalized_damerau_levenshtein;

use super::Case;
use super::command::{EXTENSIONS, is_of_a_shell, of_windows_path, split};
use crate::cli::doctor::finding::Finding;
use crate::config::CommandSpec;
use crate::peer::SpawnError;

/// Well-known programs that run servers, and what brings them.
const RUNNERS: &[(&str, &str)] = &[
    ("npx", "install Node.js: https://nodejs.org/ (Debian and Ubuntu: apt install npm)"),
    ("npm", "install Node.js: https://nodejs.org/ (Debian and Ubuntu: apt install npm)"),
    ("node", "install Node.js: https://nodejs.org/ (Debian and Ubuntu: apt install nodejs)"),
    ("uvx", "install uv: https://docs.astral.sh/uv/ (or: pip install uv)"),
    ("uv", "install uv: https://docs.astral.sh/uv/ (or: pip install uv)"),
    ("docker", "install Docker: https://docs.docker.com/get-docker/"),
    ("podman", "install Podman: https://podman.io/"),
    ("bunx", "install Bun: https://bun.sh/"),
    ("bun", "install Bun: https://bun.sh/"),
    ("deno", "install Deno: https://deno.com/"),
    ("pipx", "install pipx: pip install pipx"),
    ("python", "it is often called `python3`; else install Python: https://www.python.org/"),
    ("python3", "install Python: https://www.python.org/ (Debian and Ubuntu: apt install python3)"),
    ("java", "install a Java runtime: https://adoptium.net/"),
    ("dotnet", "install .NET: https://dotnet.microsoft.com/"),
    ("dnx", "install .NET 10 or newer: https://dotnet.microsoft.com/"),
];

/// Where such programs are that are not on PATH, below the home directory and elsewhere.
const PLACES_AT_HOME: &[&str] = &[
    ".local/bin",
    ".cargo/bin",
    ".bun/bin",
    ".deno/bin",
    ".volta/bin",
    ".pyenv/shims",
    ".asdf/shims",
    ".local/share/mise/shims",
    "n/bin",
];
const PLACES: &[&str] =
    &["/usr/local/bin", "/opt/homebrew/bin", "/snap/bin", "/usr/bin", "/usr/local/go/bin"];

/// A name that is less like another than this is not taken for it.
const ALIKE: f64 = 0.7;

/// Names that are looked at in a directory.
const MOST_NAMES: usize = 20_000;

/// The kernel's answer to a file that is neither a program for this machine nor begins with `#!`.
const NO_EXECUTABLE: i32 = 8;

pub(super) fn not_started(case: &Case<'_>, error: &SpawnError) -> Option<Finding> {
    let command = case.command()?;
    let told = case.shown(&error.to_string());
    Some(match error {
        SpawnError::NotInPath { program, .. } => not_in_path(case, command, program),
        SpawnError::NoFile { path } => no_file(case, command, path),
        SpawnError::NotExecutable { path } => not_executable(case, path),
        SpawnError::Directory { path } => Finding::error(
            "no-directory",
            format!("the working directory {} does not exist", case.shown(&path.to_string_lossy())),
            "make it, or correct `cwd`; a relative `cwd` counts from the directory of the file",
        ),
        SpawnError::Refused { path, source } => refused(case, path, source),
        SpawnError::NoHelper | SpawnError::Helper { .. } | SpawnError::Sandbox { .. } => {
            Finding::error("sandbox", told, "do what it says, or remove `sandbox` from the entry")
        }
        SpawnError::ShuttingDown => return None,
    })
}

/// What brings a well-known program that runs servers.
pub(super) fn runner(program: &str) -> Option<&'static str> {
    RUNNERS.iter().find(|(runner, _)| *runner == program).map(|(_, advice)| *advice)
}

/// A program as Windows names it, on another system.
fn foreign(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let program = of_windows_path(&command.program)?;
    let what = format!("{:?} is a path of Windows", case.shown(&command.program));
    let advice =
        format!("write `\"command\": {program:?}`, and the paths in `args` as they are on this system");
    Some(Finding::error("windows-command", what, advice))
}

fn not_in_path(case: &Case<'_>, command: &CommandSpec, program: &str) -> Finding {
    let name = case.shown(program);
    if let Some(found) = foreign(case, command) {
        return found;
    }
    if is_of_a_shell(program) {
        let what = format!("`{name}` is a word of a shell, and none is run");
        let advice = "to run something in a directory, write `\"cwd\": \"DIR\"`; for a line of a shell, `\"command\": \"sh\", \"args\": [\"-c\", \"…\"]`";
        return Finding::error("shell-line", what, advice);
    }
    if let Some(advice) = split(case, command) {
        let what = format!("the command {name:?} is a whole line, and no shell splits it into words");
        return Finding::error("shell-line", what, advice);
    }
    let own = command.env.get("PATH");
    let searched = match own {
        // What an entry sets is never shown.
        Some(_) => "the PATH that its `env` sets".to_owned(),
        None if case.practice.path.is_empty() => "PATH, which is not set".to_owned(),
        None => format!("PATH ({})", case.practice.path.to_string_lossy()),
    };
    let what = format!("`{name}` is not in {searched}");
    let list = own.map_or(case.practice.path.as_os_str(), OsStr::new);
    if let Some(advice) = runner(program) {
        let advice = match elsewhere(program, case.practice.home.as_deref()) {
            Some(path) => {
                let folder = path.parent().unwrap_or(&path).display().to_string();
                format!("it is at {}: write that as `command`, or put {folder} into PATH", path.display())
            }
            None => advice.to_owned(),
        };
        return Finding::error("runner-missing", what, advice);
    }
    if matches!(program.to_ascii_lowercase().as_str(), "cmd" | "cmd.exe" | "powershell" | "powershell.exe") {
        let advice = "write the program itself: `\"command\": \"npx\"`, and in `args` what stands behind it";
        return Finding::error("windows-command", format!("{what}: it belongs to Windows"), advice);
    }
    let names = std::env::split_paths(list).flat_map(|folder| names_in(&folder));
    let advice = match nearest(program, names) {
        Some(meant) => format!("is `{meant}` meant? Else install it, or write its whole path"),
        None => "install it, write its whole path, or put its directory into PATH".to_owned(),
    };
    Finding::error("command-not-found", what, advice)
}

fn no_file(case: &Case<'_>, command: &CommandSpec, path: &Path) -> Finding {
    let written = &command.program;
    let what = format!("the program {} does not exist", case.shown(&path.to_string_lossy()));
    if let Some(found) = foreign(case, command) {
        return found;
    }
    if written.starts_with("~/") || written.starts_with('$') {
        let advice = "no shell replaces `~` and `$HOME`: write the whole path, or `${HOME}/…`";
        return Finding::error("command-not-found", what, advice);
    }
    if let Some(advice) = split(case, command) {
        return Finding::error("shell-line", format!("{what}: it is a whole line"), advice);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.parent().map(names_in).unwrap_or_default();
    let advice = match nearest(&name, beside.into_iter()) {
        Some(meant) => format!("is `{}` meant?", case.shown(&path.with_file_name(meant).to_string_lossy())),
        None if Path::new(written).is_relative() => {
            "a relative path counts from `cwd`, else from where the router was started: write the whole path"
                .to_owned()
        }
        None => "correct the path, or install what belongs there".to_owned(),
    };
    Finding::error("command-not-found", what, advice)
}

fn not_executable(case: &Case<'_>, path: &Path) -> Finding {
    let shown = case.shown(&path.to_string_lossy());
    if path.is_dir() {
        let what = format!("{shown} is a directory");
        return Finding::error("not-executable", what, "name the program that is in it");
    }
    let what = format!("{shown} is not an executable file");
    let advice = match interpreter_of(path) {
        Some(program) => format!(
            "make it executable: chmod +x {shown}; or write `\"command\": \"{program}\", \"args\": [\"{shown}\", …]`"
        ),
        None => format!("make it executable: chmod +x {shown}"),
    };
    Finding::error("not-executable", what, advice)
}

fn refused(case: &Case<'_>, path: &Path, source: &io::Error) -> Finding {
    let shown = case.shown(&path.to_string_lossy());
    let first = first_line(path);
    let interpreter = first.as_deref().and_then(|line| line.strip_prefix("#!"));
    match (source.kind(), interpreter) {
        (io::ErrorKind::NotFound, Some(line)) if line.ends_with('\r') => Finding::error(
            "interpreter-missing",
            format!("the first line of {shown} ends as lines do on Windows, so its interpreter is not found"),
            format!("write it with the line ends of Unix: sed -i 's/\\r$//' {shown}"),
        ),
        (io::ErrorKind::NotFound, Some(line)) => {
            let program = case.shown(line.split_whitespace().next().unwrap_or_default());
            Finding::error(
                "interpreter-missing",
                format!("{shown} wants the interpreter {program}, which does not exist"),
                format!(
                    "install it, correct the first line (`#!{program}`), or name an interpreter as `command` and the file in `args`"
                ),
            )
        }
        (io::ErrorKind::NotFound, None) => Finding::error(
            "interpreter-missing",
            format!("{shown} is there, but what it needs to be loaded is not"),
            "it was built for another system: its loader is missing (a program for glibc on Alpine, or the other way round)",
        ),
        (_, None) if source.raw_os_error() == Some(NO_EXECUTABLE) => Finding::error(
            "not-executable",
            format!("{shown} is no program for this machine, and its first line names no interpreter"),
            "begin a script with a line like `#!/usr/bin/env python3`; a program must be built for this processor",
        ),
        (io::ErrorKind::PermissionDenied, _) => Finding::error(
            "not-executable",
            format!("{shown} may not be run: {source}"),
            "look at its permissions, at those of the directories above it, and whether its file system is mounted `noexec`",
        ),
        _ => Finding::error("not-started", format!("{shown} cannot be run: {source}"), ""),
    }
}

/// Where a program is although PATH does not lead there.
fn elsewhere(program: &str, home: Option<&Path>) -> Option<PathBuf> {
    let at_home = home.into_iter().flat_map(|home| PLACES_AT_HOME.iter().map(|place| home.join(place)));
    let nvm = home.map(|home| home.join(".nvm/versions/node"));
    let of_nvm = nvm.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let of_nvm = of_nvm.map(|version| version.path().join("bin"));
    let elsewhere = PLACES.iter().map(PathBuf::from);
    at_home.chain(of_nvm).chain(elsewhere).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten().take(MOST_NAMES);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The name that is most like one, if it is like it: of so many, nearly any name is a little like some.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let rated = names.map(|other| (normalized_damerau_levenshtein(name, &other), other));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// The program that runs files of this kind.
fn interpreter_of(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, program)| *program)
}

fn first_line(path: &Path) -> Option<String> {
    let mut beginning = [0; 256];
    let count = File::open(path).and_then(|mut file| file.read(&mut beginning)).ok()?;
    let line = beginning[..count].split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_much_like_another_is_taken_for_it() {
        let names = || ["python3", "node", "npx", "perl"].map(str::to_owned).into_iter();
        assert_eq!(nearest("pyhton3", names()).as_deref(), Some("python3"));
        assert_eq!(nearest("no-such-program", names()), None);
    }

    #[test]
    fn a_program_is_found_where_its_installer_puts_it() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(".nvm/versions/node/v22.1.0/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("npx-of-a-test"), "").unwrap();
        assert_eq!(elsewhere("npx-of-a-test", Some(home.path())), Some(bin.join("npx-of-a-test")));
        assert_eq!(elsewhere("npx-of-no-test", Some(home.path())), None);
    }
}
