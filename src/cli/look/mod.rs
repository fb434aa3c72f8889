//! A look at servers from the shell: `tools` and `call`.
//!
//! The servers are mounted in this process, where nothing listens; those of a running router as what they are from here,
//! remote ones. So whatever can be mounted can be looked at.

mod page;
mod running;
mod servers;
mod user;
mod words;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use clap::error::ErrorKind;
use console::Term;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arguments::{Arguments, Level};
use super::compat::is_url;
use super::logging::Options;
use super::settings::Unusable;
use super::signals::Signals;
use super::{failed, print, serve, settings, tell};
use crate::config::{Config, RemoteSpec, Target};
use crate::mount::{Mount, State};
use crate::peer::orphans;
use crate::router::Router;
use crate::shell::{Content, Conversation, Failure, Tool, harmless, nearest};
use page::{Look, Paper, page};
use user::User;
use words::Words;

pub use servers::Servers;

/// The servers that may be meant.
struct Choice {
    mounts: Vec<Arc<Mount>>,
    /// How they stand in the router that they are served by, if they are.
    states: HashMap<String, String>,
    /// Fires when the user wants no more.
    stop: CancellationToken,
    /// Least severe of what the servers are to say.
    level: &'static str,
}

/// Lists the tools of all servers, or of one.
pub(super) fn tools(servers: &Servers, name: Option<&str>, json: bool) -> ExitCode {
    let task = "tools";
    let url = name.filter(|name| is_url(name));
    run(task, servers, url, async |choice| {
        let chosen = match name.filter(|_| url.is_none()) {
            Some(name) => match choice.find(Some(name)) {
                Ok(mount) => vec![mount],
                Err(wrong) => return misused(task, &wrong),
            },
            None => choice.mounts.iter().collect(),
        };
        let looking = join_all(chosen.into_iter().map(|mount| look(&choice, mount)));
        let looks = tokio::select! {
            looks = looking => looks,
            () = choice.stop.cancelled() => return ExitCode::FAILURE,
        };
        let text = if json { page::json(&looks) } else { page(&looks, paper()) };
        print(text.as_bytes());
        if looks.iter().all(Look::is_well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

/// Calls a tool and prints what it answers.
pub(super) fn call(servers: &Servers, words: &[String], json: bool) -> ExitCode {
    let task = "call";
    let Some(words) = Words::read(words) else {
        return misused(task, "`call` wants NAME TOOL JSON; NAME and JSON may be left out");
    };
    // Before anything is started.
    let arguments = match words.object() {
        Ok(arguments) => arguments,
        Err(wrong) => return misused(task, &wrong),
    };
    let url = words.name.as_deref().filter(|name| is_url(name));
    run(task, servers, url, async |choice| {
        let mount = match choice.find(words.name.as_deref().filter(|_| url.is_none())) {
            Ok(mount) => mount,
            Err(wrong) => return misused(task, &wrong),
        };
        let mut user = User::new(words.take_stdin());
        let opening = Conversation::open(mount, &mut user);
        let opened = tokio::select! {
            opened = opening => opened,
            () = choice.stop.cancelled() => return failed(&"cancelled"),
        };
        let mut conversation = match opened {
            Ok(conversation) => conversation,
            Err(failure) => return failed(&told(&failure)),
        };
        let answered = tokio::select! {
            answered = conversation.call(&words.tool, &arguments, choice.level, &mut user) => Some(answered),
            () = choice.stop.cancelled() => None,
        };
        let Some(answered) = answered else {
            conversation.cancel().await;
            return failed(&"cancelled");
        };
        show(answered, &mut conversation, &words.tool, json, &choice.stop).await
    })
}

/// Prints what a call has led to.
async fn show(
    answered: Result<Box<str>, Failure>,
    conversation: &mut Conversation,
    tool: &str,
    json: bool,
    stop: &CancellationToken,
) -> ExitCode {
    let content = answered.as_deref().map(Content::read);
    let well = content.as_ref().is_ok_and(|content| !content.is_error);
    match (&answered, &content) {
        (Ok(result), _) if json => print(format!("{result}\n").as_bytes()),
        (_, Ok(content)) if content.is_error => {
            let text =
                if content.text.is_empty() { "the tool has failed, and says nothing" } else { &content.text };
            tell(&harmless(text));
        }
        (_, Ok(content)) if io::stdout().is_terminal() => {
            print(format!("{}\n", harmless(&content.text)).as_bytes());
        }
        (_, Ok(content)) => print(format!("{}\n", content.text).as_bytes()),
        (_, Err(failure)) => tell(&format!("error: {}", told(failure))),
    }
    if well {
        return ExitCode::SUCCESS;
    }
    // So they answer to a tool that they do not have, too; what they do have is asked only now. An error of the router's own
    // is about something else.
    let own = matches!(answered, Err(Failure::Refused { code: -31_099..=-31_000, .. } | Failure::Ended));
    if own {
        return ExitCode::FAILURE;
    }
    let listed = tokio::select! {
        tools = conversation.tools() => tools.ok(),
        () = stop.cancelled() => None,
    };
    if let Some(tools) = listed {
        let names: Vec<String> =
            tools.iter().filter_map(|tool| Tool::read(tool)).map(|tool| tool.name).collect();
        if !names.iter().any(|name| name == tool) {
            tell(&unknown("tool", tool, names.iter().map(String::as_str)));
        }
    }
    ExitCode::FAILURE
}

impl Choice {
    /// The server of this name, or the only one.
    fn find(&self, name: Option<&str>) -> Result<&Arc<Mount>, String> {
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

async fn look(choice: &Choice, mount: &Arc<Mount>) -> Look {
    let name = mount.name().to_string();
    let served = choice.states.get(&name);
    if mount.is_disabled() || served.is_some_and(|state| state == State::Disabled.as_str()) {
        let state = State::Disabled.as_str().to_owned();
        return Look { name, state, opened: None, greeting: None, tools: None };
    }
    let mut opened = None;
    let tools = async {
        let mut conversation = Conversation::open(mount, &mut ()).await?;
        opened = Some(conversation.opened().into());
        conversation.tools().await
    };
    let tools = tools.await.map_err(|failure| told(&failure));
    let state = match (served, &tools) {
        (Some(state), _) => state.clone(),
        (None, Ok(_)) => State::Ready.as_str().to_owned(),
        (None, Err(_)) => State::Failed.as_str().to_owned(),
    };
    Look { name, state, opened, greeting: mount.greeting(), tools: Some(tools) }
}

/// Mounts the servers that are meant, does `work` with them, and ends them. The first signal asks `work` to come to its end,
/// the second ends everything.
fn run(
    task: &str,
    servers: &Servers,
    url: Option<&str>,
    work: impl AsyncFnOnce(Choice) -> ExitCode,
) -> ExitCode {
    let arguments = servers.arguments(url);
    let is_given = servers.are_given() || url.is_some();
    let base = running::base(servers.router.as_deref(), &|name| std::env::var(name).ok());
    if is_given && servers.router.is_some() {
        return misused(task, "the URL of a server and `--router` exclude each other");
    }
    let elsewhere = |url: &str| RemoteSpec::new(url).is_ok_and(|spec| !spec.is_loopback());
    let level = servers.level(url.map_or(!is_given && elsewhere(&base), elsewhere));
    let options = Options { level, format: super::arguments::Format::Text, syslog: false };
    let heard = if matches!(level, Level::Debug | Level::Trace) { "debug" } else { "info" };
    let given = match is_given.then(|| settings(&arguments)).transpose() {
        Ok(given) => given.map(|(config, _)| (config, HashMap::new())),
        Err(unusable) => return refused(task, &unusable),
    };
    serve::run(options, |_screen| async move {
        let mut signals = Signals::listen()?;
        let (reaped, tasks) = (CancellationToken::new(), TaskTracker::new());
        serve::adopt_orphans();
        tasks.spawn(orphans::reap_until(reaped.clone()));
        let found = match given {
            Some(given) => Ok(given),
            None => of_a_router(&base, &arguments).await,
        };
        let outcome = match found {
            Ok((config, states)) => with(config, states, heard, work, &mut signals).await,
            Err(unusable) => refused(task, &unusable),
        };
        reaped.cancel();
        tasks.close();
        tasks.wait().await;
        Ok(outcome)
    })
}

/// Does `work` with the servers of a configuration, and ends them.
async fn with(
    mut config: Config,
    states: HashMap<String, String>,
    level: &'static str,
    work: impl AsyncFnOnce(Choice) -> ExitCode,
    signals: &mut Signals,
) -> ExitCode {
    for warning in &config.warnings {
        tell(&format!("warning: {warning}"));
    }
    servers::lazily(&mut config);
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
    let served = running::servers(base, &spec).await.map_err(Unusable::File)?;
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
fn misused(task: &str, message: &str) -> ExitCode {
    let mut command = Arguments::command();
    command.build();
    let command = command.find_subcommand_mut(task).expect("each task is one of its subcommands");
    // A closed stderr leaves nobody to tell.
    let _ = command.error(ErrorKind::InvalidValue, message).print();
    ExitCode::from(2)
}

fn refused(task: &str, unusable: &Unusable) -> ExitCode {
    match unusable {
        Unusable::Arguments(message) => misused(task, message),
        Unusable::File(message) => failed(message),
        Unusable::Nothing => misused(task, "there is no server to look at"),
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Refused { code, message } => format!("{} ({code})", harmless(message)),
        failure => failure.to_string(),
    }
}

fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let way_out = match nearest(name, names.clone()) {
        Some(meant) => format!("is `{}` meant?", harmless(meant)),
        None => format!("there are: {}", harmless(&names.collect::<Vec<_>>().join(", "))),
    };
    format!("there is no {what} `{}`; {way_out}", harmless(name))
}

fn paper() -> Paper {
    let term = Term::stdout();
    if !term.is_term() {
        return Paper { width: None, styled: false };
    }
    let width = term.size_checked().map(|(_, columns)| usize::from(columns));
    Paper { width, styled: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) }
}
