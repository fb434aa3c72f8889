//! The servers that may be meant, mounted in this process for as long as it looks at them.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use clap::error::ErrorKind;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::served;
use super::servers::{Servers, lazily};
use crate::cli::arguments::{Arguments, Format, Level};
use crate::cli::logging::Options;
use crate::cli::settings::Unusable;
use crate::cli::signals::Signals;
use crate::cli::{failed, running, serve, settings, tell};
use crate::config::{Config, RemoteSpec, Target};
use crate::mount::Mount;
use crate::peer::orphans;
use crate::router::Router;
use crate::shell::{harmless, nearest};

/// The servers that may be meant.
pub(super) struct Choice {
    pub(super) mounts: Vec<Arc<Mount>>,
    /// How they stand in the router that they are served by, if they are.
    pub(super) states: HashMap<String, String>,
    /// Fires when the user wants no more.
    pub(super) stop: CancellationToken,
    /// Least severe of what the servers are to say.
    pub(super) level: &'static str,
}

impl Choice {
    /// The server of this name, or the only one.
    pub(super) fn find(&self, name: Option<&str>) -> Result<&Arc<Mount>, String> {
        let names = || self.mounts.iter().map(|mount| mount.name().as_str());
        match (name, &self.mounts[..]) {
            (None, [mount]) => Ok(mount),
            (None, _) => {
                let names = names().collect::<Vec<_>>().join(", ");
                Err(format!("which server is meant? NAME is one of: {names}"))
            }
            (Some(name), mounts) => {
                let found = mounts.iter().find(|mount| mount.name().as_str() == name);
                found.ok_or_else(|| unknown("server", name, names()))
            }
        }
    }
}

/// The servers that may be meant, before anything is mounted.
pub(in crate::cli) struct Found {
    pub(in crate::cli) config: Config,
    /// How they stand in the router that they are served by, if they are.
    pub(in crate::cli) states: HashMap<String, String>,
    level: &'static str,
}

/// Mounts the servers that are meant, does `work` with them, and ends them. The first signal asks `work` to come to its end,
/// the second ends everything.
pub(super) fn run(
    task: &str,
    servers: &Servers,
    url: Option<&str>,
    work: impl AsyncFnOnce(Choice) -> ExitCode,
) -> ExitCode {
    let refused = |unusable: &Unusable| refused(task, unusable);
    find(task, servers, url, &servers.arguments(url), refused, async |found: Found, signals: &mut Signals| {
        with(found, work, signals).await
    })
}

/// Finds out which servers are meant, and does `work` with them. `arguments`: the command line that would serve them;
/// `refused` tells why there are none.
pub(in crate::cli) fn find(
    task: &str,
    servers: &Servers,
    url: Option<&str>,
    arguments: &Arguments,
    refused: impl Fn(&Unusable) -> ExitCode,
    work: impl AsyncFnOnce(Found, &mut Signals) -> ExitCode,
) -> ExitCode {
    let is_given = servers.are_given() || url.is_some();
    let base = running::base(servers.router.as_deref(), &|name| std::env::var(name).ok());
    if is_given && servers.router.is_some() {
        return misused(task, "the URL of a server and `--router` exclude each other");
    }
    let elsewhere = |url: &str| RemoteSpec::new(url).is_ok_and(|spec| !spec.is_loopback());
    let level = servers.level(url.map_or(!is_given && elsewhere(&base), elsewhere));
    let options = Options { level, format: Format::Text, syslog: false };
    let heard = if matches!(level, Level::Debug | Level::Trace) { "debug" } else { "info" };
    let given = match is_given.then(|| settings(arguments)).transpose() {
        Ok(given) => given.map(|(config, _)| (config, HashMap::new())),
        Err(unusable) => return refused(&unusable),
    };
    serve::run(options, |_screen, _volume| async move {
        let mut signals = Signals::listen(Vec::new())?;
        let (reaped, tasks) = (CancellationToken::new(), TaskTracker::new());
        serve::adopt_orphans();
        tasks.spawn(orphans::reap_until(reaped.clone()));
        let found = if let Some(given) = given {
            Ok(given)
        } else {
            tokio::select! {
                found = of_a_router(&base, arguments) => found,
                _ = signals.next() => Err(Unusable::File("cancelled".to_owned())),
            }
        };
        let outcome = match found {
            Ok((config, states)) => work(Found { config, states, level: heard }, &mut signals).await,
            Err(unusable) => refused(&unusable),
        };
        reaped.cancel();
        tasks.close();
        tasks.wait().await;
        Ok(outcome)
    })
}

/// Does `work` with the servers of a configuration, and ends them.
async fn with(found: Found, work: impl AsyncFnOnce(Choice) -> ExitCode, signals: &mut Signals) -> ExitCode {
    let Found { mut config, states, level } = found;
    for warning in &config.warnings {
        tell(&format!("warning: {warning}"));
    }
    lazily(&mut config);
    let (router, stop) = (Router::build(config, true), CancellationToken::new());
    let choice = Choice { mounts: router.mounts(), states, stop: stop.clone(), level };
    let mut working = std::pin::pin!(async {
        let outcome = work(choice).await;
        router.stop().await;
        outcome
    });
    tokio::select! {
        outcome = &mut working => return outcome,
        _ = signals.next() => stop.cancel(),
    }
    tokio::select! {
        outcome = working => outcome,
        _ = signals.next() => {
            router.kill();
            ExitCode::FAILURE
        }
    }
}

/// The servers of a running router, and how they stand there.
async fn of_a_router(
    base: &str,
    arguments: &Arguments,
) -> Result<(Config, HashMap<String, String>), Unusable> {
    let at = |url: &str| Arguments { command_or_url: Some(url.to_owned()), ..arguments.clone() };
    let wrong = |error| match error {
        Unusable::Arguments(reason) => Unusable::Arguments(format!("the router at {base}: {reason}")),
        other => other,
    };
    let target = settings(&at(base)).map_err(wrong)?.0.default_server.map(|server| server.target);
    let Some(Target::Remote(spec)) = target else {
        return Err(Unusable::Arguments(format!("the router at {base}: not an http:// or https:// URL")));
    };
    let served = served::servers(base, &spec).await.map_err(Unusable::File)?;
    let (mut all, mut states) = (Config::default(), HashMap::new());
    for server in served {
        let arguments = Arguments {
            command_or_url: Some(server.url),
            name: Some(server.name.clone()),
            ..arguments.clone()
        };
        let (config, _) = settings(&arguments)?;
        all.servers.extend(config.default_server);
        states.insert(server.name, server.state);
    }
    Ok((all, states))
}

/// The words make no sense: why, and how the task is used.
pub(in crate::cli) fn misused(task: &str, message: &str) -> ExitCode {
    let mut command = Arguments::command();
    command.build();
    let command = command.find_subcommand_mut(task).expect("each task is one of its subcommands");
    // A closed stderr leaves nobody to tell.
    let _ = command.error(ErrorKind::InvalidValue, message).print();
    ExitCode::from(2)
}

/// Why there is nothing to look at.
pub(in crate::cli) fn refused(task: &str, unusable: &Unusable) -> ExitCode {
    match unusable {
        Unusable::Arguments(message) => misused(task, message),
        Unusable::File(message) => failed(message),
        Unusable::Nothing => misused(task, NOTHING),
    }
}

/// What is told where no server is named.
pub(in crate::cli) const NOTHING: &str = "there is no server to look at";

/// There is no such thing: what may be meant instead.
pub(super) fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let way_out = match nearest(name, names.clone()) {
        Some(meant) => format!("is `{}` meant?", harmless(meant)),
        None => format!("there are: {}", harmless(&names.collect::<Vec<_>>().join(", "))),
    };
    format!("there is no {what} `{}`; {way_out}", harmless(name))
}
