//! A server in a container, whose stdin must be open, and which has no terminal.

use std::path::Path;

use crate::cli::doctor::finding::Finding;
use crate::config::CommandSpec;

/// What to do about a container that wants a terminal.
pub(super) const WITHOUT_TERMINAL: &str = "leave `-t` out of `args`: `-it` becomes `-i`";

/// A container without a stdin cannot be spoken to.
pub(super) fn deaf(command: &CommandSpec) -> Option<Finding> {
    let (name, options) = run_options(command)?;
    if has_switch(&options, 'i', "interactive") {
        return None;
    }
    Some(Finding::error(
        "container-without-stdin",
        format!("`{name} run` without `-i` gives the server no stdin, so that it hears nothing"),
        "put \"-i\" behind \"run\" in `args`",
    ))
}

/// A container with a terminal is not started where there is none.
pub(super) fn with_terminal(command: &CommandSpec) -> Option<Finding> {
    let (name, options) = run_options(command)?;
    has_switch(&options, 't', "tty").then(|| {
        Finding::error(
            "container-with-terminal",
            format!("`{name} run` with `-t` wants a terminal, and a server has none"),
            WITHOUT_TERMINAL,
        )
    })
}

/// The options of `docker run`, up to the image, without what stands behind them.
fn run_options(command: &CommandSpec) -> Option<(&str, Vec<&str>)> {
    let name = Path::new(&command.program).file_stem()?.to_str()?;
    let mut words = command.args.iter().map(String::as_str);
    if !matches!(name, "docker" | "podman") || words.next() != Some("run") {
        return None;
    }
    let mut options = Vec::new();
    while let Some(word) = words.next().filter(|word| word.len() > 1 && word.starts_with('-')) {
        options.push(word);
        let takes_next = match word.strip_prefix("--") {
            Some(long) => !long.contains('=') && !SWITCHES.contains(&long),
            None => word.find(|c| WITH_VALUE.contains(c)).is_some_and(|at| at + 1 == word.len()),
        };
        if takes_next {
            words.next();
        }
    }
    Some((name, options))
}

fn has_switch(options: &[&str], letter: char, long: &str) -> bool {
    options.iter().any(|option| match option.strip_prefix("--") {
        Some(name) => name == long || name.strip_prefix(long) == Some("=true"),
        None => {
            option.split(|c| WITH_VALUE.contains(c)).next().is_some_and(|letters| letters.contains(letter))
        }
    })
}

/// Options of `docker run` of one letter behind which a value stands.
const WITH_VALUE: &str = "acehlmpuvw";

/// Long options of it behind which none does.
const SWITCHES: &[&str] = &[
    "detach",
    "disable-content-trust",
    "init",
    "interactive",
    "no-healthcheck",
    "oom-kill-disable",
    "privileged",
    "publish-all",
    "quiet",
    "read-only",
    "rm",
    "sig-proxy",
    "tty",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::cause::command_of;

    #[test]
    fn a_container_wants_a_stdin() {
        for (line, is_deaf) in [
            ("docker run --rm mcp/time", true),
            ("docker run -i --rm mcp/time", false),
            ("docker run --rm -it mcp/time", false),
            ("/usr/bin/podman run --interactive mcp/time", false),
            ("docker run --rm -e TOKEN --name i mcp/time -i", true),
            ("docker run -v /in:/in -i mcp/time", false),
            ("docker exec x server", false),
            ("npx run", false),
        ] {
            assert_eq!(deaf(&command_of(line)).is_some(), is_deaf, "{line}");
        }
    }

    #[test]
    fn a_container_of_a_server_has_no_terminal() {
        for (line, has_one) in [
            ("docker run --rm -it mcp/time", true),
            ("docker run -i --tty mcp/time", true),
            ("docker run -e TERM -ti mcp/time", true),
            ("docker run -i -e TERM=t -v/t:/t mcp/time", false),
            ("docker run -i --tty=false mcp/time -t", false),
        ] {
            assert_eq!(with_terminal(&command_of(line)).is_some(), has_one, "{line}");
        }
    }
}
