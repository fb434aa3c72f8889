//! A process that has ended before it answered, or did not answer at all.

use std::time::Duration;

use super::Case;
use super::line::{of_a_crash, of_http, sign};
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::trial::Trial;
use crate::config::CommandSpec;
use crate::peer::{Cause, Exit};

/// Lines of stdout that are shown of a server that has ended.
const LINES: usize = 3;

/// Characters of them.
const SHOWN: usize = 240;

pub(super) fn ended(case: &Case<'_>, trial: &Trial, exit: Exit) -> Finding {
    let lines = lines(case, trial);
    let when = if trial.opened.is_some() { "while it listed its tools" } else { "before it answered" };
    let ended = format!("the server {exit} {when}");
    if let Some(found) = sign(&lines) {
        return said(found, &ended);
    }
    if let Some(web) = of_http(&lines) {
        return of_the_web(web.url.as_deref(), &ended);
    }
    let noise = &trial.noise.lines;
    if trial.opened.is_none() && !noise.is_empty() && exit.cause != Cause::ClosedStdout {
        // What it has to say it says where only messages may be.
        let said: Vec<String> =
            noise[noise.len().saturating_sub(LINES)..].iter().map(|line| case.shown(line)).collect();
        let said: String = said.join(" | ").chars().take(SHOWN).collect();
        let advice = "that says why, or its last lines on stderr do";
        return Finding::error("exited", format!("{ended}; on stdout it says: {said:?}"), advice);
    }
    let advice = match exit.cause {
        Cause::Code(0) => {
            "it took stdin for nothing to wait for: it is no stdio server, or wants an argument to be one (often: --transport stdio)"
        }
        Cause::Code(126) => "126 means that a file may not be run: look at its permissions",
        Cause::Code(127) => "127 means that a command was not found: look at what the script runs",
        Cause::Signal(9) => "it was killed, perhaps for want of memory: look at the log of the system",
        Cause::ClosedStdout => "it must keep its stdout open: a server that goes to the background does not",
        _ if trial.words.is_empty() => {
            "it says nothing on stderr: run the command by hand, in the same `cwd`"
        }
        _ => "its last lines on stderr should say why",
    };
    Finding::error("exited", ended, advice)
}

pub(super) fn silent(case: &Case<'_>, trial: &Trial, patience: Duration) -> Finding {
    let lines = lines(case, trial);
    let asked = if trial.opened.is_some() { "`tools/list`" } else { "the first message" };
    let silent = format!("no answer to {asked} within {} s", patience.as_secs_f64());
    if trial.opened.is_some() {
        let advice = "it hangs: look at what it waits for, and at its last lines on stderr";
        return Finding::error("tools-unlisted", silent, advice);
    }
    if let Some(web) = of_http(&lines) {
        return of_the_web(web.url.as_deref(), &silent);
    }
    if let Some(found) = sign(&lines) {
        return said(found, &silent);
    }
    if let Some(said) = of_a_crash(&lines) {
        return Finding::error(
            "failed-inside",
            format!("the server has failed inside, and lives on without answering: {said:?}; {silent}"),
            "its last lines on stderr say where; it should end when it fails, so that it is started again",
        );
    }
    let Some(command) = case.command() else {
        let advice = "the server is there, but says nothing: look at its log, and whether the URL is right; one that is only slow wants more `--timeout`";
        return Finding::error("silent", silent, advice);
    };
    if let Some(line) = package(case, command) {
        return Finding::error(
            "slow-start",
            format!("{silent}: the first start of a package downloads it"),
            format!(
                "run `{line}` once by hand; if it stays slow, install the package; {}",
                longer(case, patience)
            ),
        );
    }
    Finding::error(
        "silent",
        silent,
        format!(
            "it may be no stdio server, wait for something else than stdin, or keep its answers in a buffer (flush stdout \
             after each line); {}",
            longer(case, patience)
        ),
    )
}

/// What gives a server more time that is only slow.
fn longer(case: &Case<'_>, patience: Duration) -> String {
    let allowed = case.server.start_timeout;
    if patience < allowed {
        return format!(
            "if it only needs longer, give doctor more `--timeout`: the router waits {} s (`startTimeout`)",
            allowed.as_secs_f64()
        );
    }
    "if it only needs longer, raise `startTimeout` of the entry, and try it with as much `--timeout`"
        .to_owned()
}

/// What lines have told, and how it ended.
fn said(found: Finding, so: &str) -> Finding {
    let named = found.what.split('`').nth(1).filter(|_| found.cause == "variable-wanted");
    let advice = match named {
        // What it holds is nobody's business here.
        Some(name) if std::env::var_os(name).is_some() => {
            format!(
                "it is set here, but servers inherit little: pass it on by `\"env\": {{ \"{name}\": \"${{{name}}}\" }}`"
            )
        }
        _ => found.advice,
    };
    Finding { what: format!("{}; {so}", found.what), advice, ..found }
}

/// The line that downloads a package, where a command runs one.
pub(super) fn package(case: &Case<'_>, command: &CommandSpec) -> Option<String> {
    let runner = std::path::Path::new(&command.program).file_stem()?.to_str()?;
    if !matches!(runner, "npx" | "uvx" | "bunx" | "pipx" | "dnx") {
        return None;
    }
    let is_name = |word: &&String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "@/._-".contains(c);
        !word.starts_with('-') && word.chars().all(plain) && *word != "run"
    };
    let name = command.args.iter().find(is_name).map_or_else(|| "…".to_owned(), |word| case.shown(word));
    Some(match runner {
        "npx" => format!("npx -y {name}"),
        "pipx" => format!("pipx run {name}"),
        runner => format!("{runner} {name}"),
    })
}

fn of_the_web(url: Option<&str>, so: &str) -> Finding {
    let what = format!("the server waits for HTTP, not for stdin; {so}");
    let url = match url {
        Some(url) if url.matches('/').count() > 2 => url.to_owned(),
        Some(url) => format!("{url}/mcp"),
        None => "http://127.0.0.1:PORT/mcp".to_owned(),
    };
    Finding::error(
        "http-server",
        what,
        format!(
            "run it by itself and mount its URL: `\"url\": \"{url}\"` in place of `command`; or make it speak on stdio \
             (often: --transport stdio)"
        ),
    )
}

/// Whether it says that it listens somewhere.
pub(in crate::cli::doctor) fn waits_for_http(trial: &Trial) -> bool {
    let lines: Vec<String> = trial.noise.lines.iter().chain(&trial.words).cloned().collect();
    of_http(&lines).is_some()
}

/// What it said beside the protocol; masked.
fn lines(case: &Case<'_>, trial: &Trial) -> Vec<String> {
    let noise = trial.noise.lines.iter().map(|line| case.shown(line));
    noise.chain(trial.words.iter().cloned()).collect()
}
