//! The usual causes, each recognised by what was seen. Nothing here starts or asks anything.

mod clash;
mod command;
mod container;
mod end;
mod line;
mod listening;
mod pace;
mod remote;
mod revision;
mod start;
mod tools;

use url::Url;

use super::finding::Finding;
use super::trial::{Practice, Trial, Trouble};
use crate::config::{CommandSpec, Config, ServerSpec, Target};
use crate::peer::Mask;
use crate::shell::on_one_line;

pub(super) use clash::together;
pub(super) use end::waits_for_http;
pub(super) use listening::{Taken, at_the_door};
pub(super) use remote::may_be_elsewhere;
pub(super) use tools::served;

/// What was seen of a server.
pub(super) struct Case<'a> {
    pub(super) server: &'a ServerSpec,
    pub(super) config: &'a Config,
    pub(super) practice: &'a Practice,
    pub(super) mask: &'a Mask,
    /// As a client of the legacy era, if it was tried so.
    pub(super) legacy: Option<&'a Trial>,
    /// The same of the modern era.
    pub(super) modern: Option<&'a Trial>,
    /// With the first revision of all, where the newest was refused.
    pub(super) oldest: Option<&'a Trial>,
    /// Where a remote server answers that does not where it is said to be.
    pub(super) elsewhere: Option<&'a Url>,
}

impl<'a> Case<'a> {
    /// The attempt that tells most: one that was served, else that of the first client.
    pub(super) fn first(&self) -> Option<&'a Trial> {
        let tried = [self.legacy, self.modern, self.oldest];
        let best = |is: fn(&Trial) -> bool| tried.into_iter().flatten().find(|trial| is(trial));
        best(Trial::is_well).or_else(|| best(|trial| trial.opened.is_some())).or(self.legacy).or(self.modern)
    }

    fn command(&self) -> Option<&'a CommandSpec> {
        match &self.server.target {
            Target::Stdio(command) => Some(command),
            Target::Remote(_) | Target::Aggregate(_) | Target::Disabled | Target::Broken(_) => None,
        }
    }

    /// What may be shown of something that the server said.
    fn shown(&self, text: &str) -> String {
        on_one_line(&self.mask.apply(text))
    }
}

/// Everything that is wrong with a server that was tried.
pub(super) fn of_trial(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = command::odd(case);
    let Some(trial) = case.first() else { return findings };
    match &trial.trouble {
        None => {}
        Some(Trouble::NotStarted(error)) => findings.extend(start::not_started(case, error)),
        Some(Trouble::NotCalled(error)) => {
            findings.push(Finding::error("not-callable", error.to_string(), "correct the entry"));
        }
        Some(Trouble::Lost(reason)) => findings.push(remote::lost(case, reason)),
        Some(Trouble::Ended(exit)) => findings.push(end::ended(case, trial, *exit)),
        Some(Trouble::Silent(patience)) => findings.push(end::silent(case, trial, *patience)),
        Some(Trouble::Refused { .. } | Trouble::Nonsense(_)) if trial.opened.is_some() => {}
        Some(Trouble::Refused { code, message }) => {
            findings.push(match case.elsewhere {
                Some(url) => remote::refused(case, url, message),
                None => revision::refused(case, *code, message),
            });
        }
        Some(Trouble::Nonsense(why)) => findings.push(revision::nonsense(case, why)),
    }
    findings.extend(other_era(case, trial));
    findings.extend(revision::odd(case, trial));
    findings.extend(tools::odd(case, trial));
    // Some are seen as they are written, and told by the program, too.
    let mut causes = std::collections::HashSet::new();
    findings.retain(|found| found.cause != "container-with-terminal" || causes.insert(found.cause));
    findings.extend(pace::odd(case, trial));
    findings
}

/// Of a server that speaks both eras, what keeps the clients of one from its tools.
fn other_era(case: &Case<'_>, first: &Trial) -> Option<Finding> {
    let (era, other) = [("2026-07-28", case.modern), ("the legacy era", case.legacy)]
        .into_iter()
        .filter_map(|(era, trial)| Some((era, trial?)))
        .find(|(_, trial)| !std::ptr::eq(*trial, first))?;
    let why = match other.trouble.as_ref().filter(|_| first.is_well() && other.opened.is_some())? {
        Trouble::Refused { code, message } => format!("is refused: {:?} ({code})", case.shown(message)),
        Trouble::Ended(exit) => format!("is not served: the server {exit}"),
        Trouble::Lost(reason) => format!("is not served: {}", case.shown(reason)),
        Trouble::Silent(patience) => format!("waits in vain for {} s", patience.as_secs_f64()),
        Trouble::Nonsense(why) => format!("gets what is no list: {}", case.shown(why)),
        Trouble::NotStarted(_) | Trouble::NotCalled(_) => return None,
    };
    Some(Finding::error(
        "tools-unlisted",
        format!("a client of {era} that lists the tools {why}"),
        "mend that in the server, or say by `era` of the entry which of the two it is to be spoken to in",
    ))
}

/// What is wrong with an entry from which nothing can be started.
pub(super) fn of_entry(reason: &str) -> Finding {
    let variable = reason.split_once("the variable `").and_then(|(_, rest)| rest.split_once('`'));
    match variable {
        Some((name, _)) => Finding::error(
            "variable-unset",
            on_one_line(reason),
            format!(
                "set {name} in the environment of the router or in a `.env` beside the file, or give a default: \
                 `${{{name}:-…}}`"
            ),
        ),
        None => Finding::error("entry", on_one_line(reason), ""),
    }
}

/// A command of these words, for tests.
#[cfg(test)]
fn command_of(line: &str) -> crate::config::CommandSpec {
    let mut words = line.split(' ').map(str::to_owned);
    let mut command = crate::config::CommandSpec::new(words.next().unwrap());
    command.args = words.collect();
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_variable_is_named() {
        let found = of_entry(
            "mcpServers.a.env.KEY: the variable `KEY_X` is set neither in the environment nor in .env, and has no default",
        );
        assert_eq!(found.cause, "variable-unset");
        assert!(found.advice.starts_with("set KEY_X in the environment"), "{found:?}");
        assert_eq!(of_entry("the command is empty").cause, "entry");
    }
}
