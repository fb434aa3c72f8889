//! Which file a command's program is.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::SpawnError;
use crate::config::CommandSpec;

/// The directory that the process will run in: `cwd` made absolute, or `None` for our own.
pub(super) fn directory(command: &CommandSpec) -> Result<Option<PathBuf>, SpawnError> {
    let Some(cwd) = &command.cwd else { return Ok(None) };
    let absolute = std::path::absolute(cwd).unwrap_or_else(|_| cwd.clone());
    if absolute.is_dir() { Ok(Some(absolute)) } else { Err(SpawnError::Directory { path: absolute }) }
}

/// The file that the program's name stands for, where `directory` is the process's own and `inherited` its PATH
/// unless the command sets another.
pub(super) fn resolve(
    command: &CommandSpec,
    directory: Option<&Path>,
    inherited: Option<OsString>,
) -> Result<PathBuf, SpawnError> {
    let program = Path::new(&command.program);
    let base = directory.map_or_else(|| env::current_dir().unwrap_or_default(), Path::to_path_buf);
    if program.components().count() > 1 || program.has_root() {
        let path = base.join(program);
        return match Found::at(&path) {
            Found::Program => Ok(path),
            Found::NotExecutable => Err(SpawnError::NotExecutable { path }),
            Found::Nothing => Err(SpawnError::NoFile { path }),
        };
    }
    let (list, whose) = match command.env.get("PATH") {
        Some(own) => (OsString::from(own), Whose::Command),
        None => (inherited.unwrap_or_default(), Whose::Inherited),
    };
    search(&command.program, &base, &list, whose)
}

/// Where the PATH that was searched comes from.
#[derive(Clone, Copy)]
enum Whose {
    /// The command's `env`, whose values are never shown.
    Command,
    Inherited,
}

fn search(program: &str, base: &Path, list: &OsStr, whose: Whose) -> Result<PathBuf, SpawnError> {
    let mut not_executable = None;
    if !program.is_empty() {
        for folder in env::split_paths(list) {
            for name in file_names(program) {
                let path = base.join(&folder).join(name);
                match Found::at(&path) {
                    Found::Program => return Ok(path),
                    Found::NotExecutable => not_executable = not_executable.or(Some(path)),
                    Found::Nothing => {}
                }
            }
        }
    }
    if let Some(path) = itself(program, env::current_exe().ok()) {
        return Ok(path);
    }
    if let Some(path) = not_executable {
        return Err(SpawnError::NotExecutable { path });
    }
    let searched = match whose {
        Whose::Inherited if list.is_empty() => "PATH, which is not set".to_owned(),
        Whose::Inherited => {
            tracing::debug!(program, path = %list.to_string_lossy(), "not found in PATH");
            match env::split_paths(list).count() {
                1 => "PATH (1 directory)".to_owned(),
                count => format!("PATH ({count} directories)"),
            }
        }
        Whose::Command => "the PATH that its \"env\" sets".to_owned(),
    };
    Err(SpawnError::NotInPath { program: program.to_owned(), searched, hint: hint(program) })
}

/// The program that runs now, if that is what is named: its demo server can be mounted before it is installed.
fn itself(program: &str, running: Option<PathBuf>) -> Option<PathBuf> {
    let is_named =
        |path: &PathBuf| program == env!("CARGO_PKG_NAME") && path.file_stem() == Some(OsStr::new(program));
    running.filter(is_named).filter(|path| matches!(Found::at(path), Found::Program))
}

/// What to do about a well-known program that is missing.
fn hint(program: &str) -> &'static str {
    match program {
        "uvx" | "uv" => "; install uv: https://docs.astral.sh/uv/",
        "npx" | "npm" | "node" => "; install Node.js: https://nodejs.org/",
        "docker" => "; install Docker: https://docs.docker.com/get-docker/",
        "python" => "; try \"python3\"",
        _ if program.contains(char::is_whitespace) => "; arguments belong into \"args\"",
        _ => "",
    }
}

/// What is at a path.
enum Found {
    Program,
    NotExecutable,
    Nothing,
}

impl Found {
    fn at(path: &Path) -> Self {
        match path.metadata() {
            Ok(file) if file.is_file() && is_executable(&file) => Self::Program,
            Ok(_) => Self::NotExecutable,
            Err(_) => Self::Nothing,
        }
    }
}

#[cfg(unix)]
fn is_executable(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(not(windows))]
fn file_names(program: &str) -> [String; 1] {
    [program.to_owned()]
}

/// `npx` and `uvx` are `npx.cmd` and `uvx.exe` here.
#[cfg(windows)]
fn file_names(program: &str) -> Vec<String> {
    let extensions = env::var("PATHEXT").unwrap_or_else(|_| ".EXE;.CMD;.BAT".to_owned());
    let with = |extension: &str| format!("{program}{extension}");
    let named = Path::new(program).extension().map(|_| program.to_owned());
    named.into_iter().chain(extensions.split(';').map(with)).collect()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(folder: &Path, name: &str, mode: u32) {
        fs::write(folder.join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_path_of_the_command_is_searched_in_order_and_what_cannot_run_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        fs::create_dir_all(&first).unwrap();
        fs::create_dir_all(&second).unwrap();
        file(&first, "tool", 0o644);
        file(&second, "tool", 0o755);
        let mut command = CommandSpec::new("tool");
        command.env.insert("PATH".into(), format!("{}:{}", first.display(), second.display()));
        assert_eq!(resolve(&command, None, None).unwrap(), second.join("tool"));
        command.env.insert("PATH".into(), first.display().to_string());
        let error = resolve(&command, None, None).unwrap_err();
        assert!(matches!(error, SpawnError::NotExecutable { path } if path == first.join("tool")));
    }

    #[test]
    fn a_relative_program_is_looked_for_in_the_directory_of_the_process() {
        let root = tempfile::tempdir().unwrap();
        file(root.path(), "tool", 0o755);
        let found = resolve(&CommandSpec::new("./tool"), Some(root.path()), None).unwrap();
        assert_eq!(found.canonicalize().unwrap(), root.path().join("tool").canonicalize().unwrap());
        let error = resolve(&CommandSpec::new("./other"), Some(root.path()), None).unwrap_err();
        assert!(error.to_string().contains(root.path().to_str().unwrap()), "{error}");
    }

    #[test]
    fn what_is_missing_is_told_with_a_hint_and_without_the_values_of_env() {
        let error = resolve(&CommandSpec::new("uvx"), None, Some("/nowhere".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"uvx\" was not found in PATH (1 directory); install uv: https://docs.astral.sh/uv/"
        );
        let mut command = CommandSpec::new("npx");
        command.env.insert("PATH".into(), "/secret".into());
        let error = resolve(&command, None, Some("/nowhere".into())).unwrap_err().to_string();
        assert!(error.contains("install Node.js") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn the_running_program_is_found_by_its_name_only() {
        let root = tempfile::tempdir().unwrap();
        file(root.path(), "mcp-switchboard", 0o755);
        file(root.path(), "application", 0o755);
        let running = |name: &str| Some(root.path().join(name));
        assert_eq!(itself("mcp-switchboard", running("mcp-switchboard")), running("mcp-switchboard"));
        assert_eq!(itself("mcp-switchboard", running("application")), None);
        assert_eq!(itself("application", running("application")), None);
        assert_eq!(itself("mcp-switchboard", running("nowhere/mcp-switchboard")), None);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let mut command = CommandSpec::new("sh");
        command.cwd = Some("/nowhere/at/all".into());
        let error = directory(&command).unwrap_err();
        assert_eq!(error.to_string(), "the directory /nowhere/at/all does not exist");
    }
}
