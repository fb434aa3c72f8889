//! What is odd about a command as it is written.

use std::path::Path;

use super::Case;
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

pub(super) fn odd(case: &Case<'_>) -> Vec<Finding> {
    let Some(command) = case.command() else { return Vec::new() };
    let found = [relative(case, command), of_windows(command), of_a_shell(case, command), deaf(command)];
    found.into_iter().flatten().collect()
}

/// What is to be written where a command is a whole line.
pub(super) fn split(case: &Case<'_>, command: &CommandSpec) -> Option<String> {
    if !command.program.trim().contains(char::is_whitespace) || !command.args.is_empty() {
        return None;
    }
    let words = shlex::split(&command.program)?;
    let (program, args) = words.split_first()?;
    let args = serde_json::json!(args).to_string();
    Some(case.shown(&format!("write `\"command\": {program:?}, \"args\": {args}`")))
}

fn relative(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let program = Path::new(&command.program);
    // What a shell would replace is told where it is not found.
    if command.program.starts_with(['~', '$'])
        || program.is_absolute()
        || program.components().count() < 2
        || command.cwd.is_some()
    {
        return None;
    }
    let shown = case.shown(&command.program);
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

fn of_a_shell(case: &Case<'_>, command: &CommandSpec) -> Option<Finding> {
    let word = command.args.iter().find(|word| OF_A_SHELL.contains(&word.as_str()))?;
    let program = case.shown(&command.program);
    Some(Finding::warning(
        "shell-line",
        format!("`{word}` among `args` is passed to `{program}` as it is: no shell is run"),
        "where a shell is wanted, name it: `\"command\": \"sh\", \"args\": [\"-c\", \"…\"]`",
    ))
}

/// A container without a stdin cannot be spoken to.
fn deaf(command: &CommandSpec) -> Option<Finding> {
    let name = Path::new(&command.program).file_stem()?.to_str()?;
    let runs = matches!(name, "docker" | "podman") && command.args.first().is_some_and(|word| word == "run");
    let is_open = |word: &String| {
        word == "--interactive"
            || word == "--interactive=true"
            || (word.starts_with('-') && !word.starts_with("--") && word.contains('i'))
    };
    if !runs || command.args.iter().any(is_open) {
        return None;
    }
    Some(Finding::error(
        "container-without-stdin",
        format!("`{name} run` without `-i` gives the server no stdin, so that it hears nothing"),
        "put \"-i\" behind \"run\" in `args`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> CommandSpec {
        let mut words = line.split(' ').map(str::to_owned);
        let mut command = CommandSpec::new(words.next().unwrap());
        command.args = words.collect();
        command
    }

    #[test]
    fn a_container_wants_a_stdin() {
        for (line, is_deaf) in [
            ("docker run --rm mcp/time", true),
            ("docker run -i --rm mcp/time", false),
            ("docker run --rm -it mcp/time", false),
            ("/usr/bin/podman run --interactive mcp/time", false),
            ("docker exec x server", false),
            ("npx run", false),
        ] {
            assert_eq!(deaf(&command(line)).is_some(), is_deaf, "{line}");
        }
    }

    #[test]
    #[cfg(not(windows))]
    fn what_stands_behind_cmd_is_named() {
        let found = of_windows(&command("cmd /c npx -y server")).unwrap();
        assert!(found.advice.starts_with("write `\"command\": \"npx\"`"), "{found:?}");
        assert_eq!(of_windows(&command("npx -y server")), None);
    }
}
