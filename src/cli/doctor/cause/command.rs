//! What is odd about a command as it is written.

use std::path::Path;

use super::{Case, container};
use crate::cli::doctor::finding::Finding;
use crate::config::CommandSpec;

/// Kinds of files, and what runs them.
pub(super) const EXTENSIONS: &[(&str, &str)] = &[
    ("py", "python3"),
    ("js", "node"),
    ("mjs", "node"),
    ("cjs", "node"),
    ("sh", "sh"),
    ("rb", "ruby"),
    ("ts", "npx\", \"tsx"),
];

/// Words by which a shell would be meant.
const OF_A_SHELL: &[&str] = &["&&", "||", "|", ";", ">", ">>", "<", "2>&1"];

/// Commands that only a shell has.
const BUILT_IN: &[&str] = &["cd", "export", "source", "exec", "eval", "alias", "ulimit", "umask"];

/// Programs that replace what a shell replaces.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "fish", "ksh", "ssh", "powershell", "pwsh"];

pub(super) fn odd(case: &Case<'_>) -> Vec<Finding> {
    let Some(command) = case.command() else { return Vec::new() };
    let found = [
        relative(case, command),
        of_windows(command),
        foreign(case, command),
        of_a_shell(case, command),
        unreplaced(case, command),
        container::deaf(command),
        container::with_terminal(command),
    ];
    found.into_iter().flatten().collect()
}

/// What is to be written where a command is a whole line.
pub(super) fn split(case: &Case<'_>, command: &CommandSpec) -> Option<String> {
    let line = command.program.trim();
    if !line.contains(char::is_whitespace) || !command.args.is_empty() {
        return None;
    }
    let words = shlex::split(line)?;
    Some(case.shown(&format!("write `{}`", as_entry(line, &words)?)))
}

/// The entry that does what a line does in a shell.
fn as_entry(line: &str, words: &[String]) -> Option<String> {
    let plain = |words: &[String]| {
        let (program, args) = words.split_first()?;
        let is_plain = !is_of_a_shell(program) && !words.iter().any(|word| wants_a_shell(word));
        is_plain.then(|| format!("\"command\": {program:?}, \"args\": {}", serde_json::json!(args)))
    };
    if let [cd, folder, and, rest @ ..] = words
        && (cd.as_str(), and.as_str()) == ("cd", "&&")
        && !wants_a_shell(folder)
        && let Some(entry) = plain(rest)
    {
        return Some(format!("\"cwd\": {folder:?}, {entry}"));
    }
    let (shell, option) = if cfg!(windows) { ("cmd", "/c") } else { ("sh", "-c") };
    let in_a_shell = || format!("\"command\": {shell:?}, \"args\": {}", serde_json::json!([option, line]));
    (!words.is_empty()).then(|| plain(words).unwrap_or_else(in_a_shell))
}

/// Whether a program is nothing but a word of a shell: a command of its own, or a variable that is set.
pub(super) fn is_of_a_shell(program: &str) -> bool {
    let is_set = program.split_once('=').is_some_and(|(name, _)| is_variable(name));
    BUILT_IN.contains(&program) || is_set
}

fn wants_a_shell(word: &str) -> bool {
    OF_A_SHELL.contains(&word)
        || word.ends_with(';')
        || word.starts_with(['$', '>', '<'])
        || word.starts_with("~/")
        || word.starts_with("2>")
        || word.contains("$(")
        || word == "&"
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The program that a path of Windows names, where it is none of this system's.
pub(super) fn of_windows_path(path: &str) -> Option<String> {
    let is_drive = |path: &str| {
        let mut characters = path.chars();
        characters.next().is_some_and(|c| c.is_ascii_alphabetic())
            && characters.next() == Some(':')
            && matches!(characters.next(), Some('\\' | '/'))
    };
    if cfg!(windows) || !(is_drive(path) || path.starts_with("\\\\")) {
        return None;
    }
    let name = path.rsplit(['\\', '/']).next()?.to_ascii_lowercase();
    let endings = [".exe", ".cmd", ".bat"];
    let program = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    Some(if program == "python" { "python3".to_owned() } else { program.to_owned() })
}

fn relative(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let is_foreign = of_windows_path(&command.program).is_some();
    // Of a whole line the first word is the program.
    let is_line = command.args.is_empty();
    let program = command.program.split_whitespace().next().filter(|_| is_line).unwrap_or(&command.program);
    let program = Path::new(program);
    // What a shell would replace is told where it is not found.
    if is_foreign
        || command.program.starts_with(['~', '$'])
        || program.is_absolute()
        || program.components().count() < 2
        || command.cwd.is_some()
    {
        return None;
    }
    let shown = case.shown(&program.to_string_lossy());
    Some(Finding::warning(
        "relative-command",
        format!("the command {shown:?} is a relative path, which counts from where the router is started"),
        "write the whole path, or give the entry a `cwd`",
    ))
}

fn of_windows(command: &CommandSpec) -> Option<Finding> {
    let program = command.program.to_ascii_lowercase();
    let is_cmd = matches!(program.as_str(), "cmd" | "cmd.exe");
    let wraps = command.args.first().is_some_and(|word| word.eq_ignore_ascii_case("/c"));
    if cfg!(windows) || !is_cmd || !wraps {
        return None;
    }
    let program = command.args.get(1).map_or("npx", String::as_str);
    // What stands behind it may be secret.
    let named = if program.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') { program } else { "npx" };
    Some(Finding::warning(
        "windows-command",
        "`cmd /c` is only for Windows",
        format!("write `\"command\": {named:?}`, and leave `/c` and {named:?} out of `args`"),
    ))
}

/// An argument that is a path of Windows, behind a program that is none.
fn foreign(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let path = command.args.iter().find(|word| of_windows_path(word).is_some())?;
    of_windows_path(&command.program).is_none().then(|| {
        Finding::warning(
            "windows-command",
            format!("{:?} among `args` is a path of Windows", case.shown(path)),
            "write the path as it is on this system",
        )
    })
}

/// What a shell would have replaced.
fn unreplaced(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let stem = Path::new(&command.program).file_stem()?.to_str()?;
    if SHELLS.contains(&stem) {
        return None;
    }
    let value = |word: &'_ str| word.split_once('=').map_or(word, |(_, value)| value).to_owned();
    let (word, name) = command.args.iter().find_map(|word| {
        let value = value(word);
        if value.starts_with("~/") {
            return Some((word, "HOME".to_owned()));
        }
        let path = value.strip_prefix('$')?;
        let name = path.split('/').next()?;
        is_variable(name).then(|| (word, name.to_owned()))
    })?;
    Some(Finding::warning(
        "shell-line",
        format!(
            "{:?} among `args` is passed on as it is: no shell replaces `~` and `${name}`",
            case.shown(word)
        ),
        format!("write the whole path, or `${{{name}}}`, which the router replaces"),
    ))
}

fn of_a_shell(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let word = command.args.iter().find(|word| OF_A_SHELL.contains(&word.as_str()))?;
    let program = case.shown(&command.program);
    Some(Finding::warning(
        "shell-line",
        format!("`{word}` among `args` is passed to `{program}` as it is: no shell is run"),
        "where a shell is wanted, name it: `\"command\": \"sh\", \"args\": [\"-c\", \"…\"]`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::cause::command_of;

    #[test]
    #[cfg(not(windows))]
    fn a_line_is_written_as_an_entry_that_does_the_same() {
        for (line, entry) in [
            ("npx -y a /tmp", r#""command": "npx", "args": ["-y","a","/tmp"]"#),
            ("cd /tmp && python3 s.py", r#""cwd": "/tmp", "command": "python3", "args": ["s.py"]"#),
            ("cd /tmp && a | b", r#""command": "sh", "args": ["-c","cd /tmp && a | b"]"#),
            ("KEY=1 a", r#""command": "sh", "args": ["-c","KEY=1 a"]"#),
            ("a ~/b", r#""command": "sh", "args": ["-c","a ~/b"]"#),
        ] {
            assert_eq!(as_entry(line, &shlex::split(line).unwrap()).as_deref(), Some(entry), "{line}");
        }
    }

    #[test]
    #[cfg(not(windows))]
    fn a_path_of_windows_names_a_program() {
        for (path, program) in [
            (r"C:\Program Files\nodejs\node.exe", Some("node")),
            ("d:/x/Python.EXE", Some("python3")),
            (r"\\share\run.cmd", Some("run")),
            ("/c/x", None),
            ("c:x", None),
        ] {
            assert_eq!(of_windows_path(path).as_deref(), program, "{path}");
        }
    }

    #[test]
    #[cfg(not(windows))]
    fn what_stands_behind_cmd_is_named() {
        let found = of_windows(&command_of("cmd /c npx -y server")).unwrap();
        assert!(found.advice.starts_with("write `\"command\": \"npx\"`"), "{found:?}");
        assert_eq!(of_windows(&command_of("npx -y server")), None);
    }
}
