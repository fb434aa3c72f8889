//! The command line: what its words mean, and what comes of them.
//!
//! [`run`] is all of the program. Called as another tool, it first makes words of its own of that tool's ([`drop_in`]).
//! The words go through [`compat`], which settles what users of mcp-proxy
//! mean by them, then through clap into [`arguments`], and with the environment and the file into a
//! [`Config`] by [`settings`](mod@settings).

mod activation;
pub mod arguments;
mod certificates;
pub mod check;
pub mod client_config;
pub mod compat;
pub mod doctor;
pub mod drop_in;
pub mod history;
pub mod import;
mod journal;
mod key;
mod keys_file;
mod levels;
pub mod logging;
pub mod look;
mod operate;
pub mod places;
pub mod progress;
mod reload;
mod remote;
mod running;
mod serve;
mod service;
pub mod settings;
mod signals;
mod stdin;
mod stdio;
#[cfg(unix)]
mod syslog;
mod watched;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Task};
use drop_in::Tool;
use settings::{Outside, Unusable};

use crate::config::{Config, ConfigError, file};
use crate::peer::sandbox;

/// Does what the words ask for, of which the first is the program's name, and says how that ended: 0 well, 1 badly, 2
/// not understood.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let tool = words.next().and_then(|program| Tool::called(&program.to_string_lossy()));
    let mut words = words.peekable();
    if tool.is_none() && words.next_if(|word| *word == *sandbox::WORD).is_some() {
        return sandbox::run(words);
    }
    let words = words.map(OsString::into_string).collect::<Result<Vec<_>, _>>();
    let Ok(words) = words else { return misused("an argument is not text in UTF-8") };
    perform(tool.map_or_else(|| parse(&words), |tool| parse_as(tool, &words)))
}

fn perform(arguments: Result<Arguments, clap::Error>) -> ExitCode {
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match &arguments.task {
        Some(Task::Completions { shell }) => completions(*shell),
        Some(Task::DemoServer) => match crate::demo_server::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Some(Task::Compat { tool, words }) => perform(parse_as(*tool, words)),
        Some(Task::ClientConfig(words)) => client_config::run(words),
        Some(Task::History(words)) => history::run(words),
        Some(Task::Import(words)) => import::run(words),
        Some(Task::Status { url, cacert, json }) => operate::status(url.as_deref(), cacert.as_deref(), *json),
        Some(Task::Key { name, group }) => key::run(name, group),
        Some(Task::Approve { name, tools, yes, url, cacert }) => {
            operate::approve(name, tools, *yes, url.as_deref(), cacert.as_deref())
        }
        Some(Task::Restart { name, url, cacert }) => {
            operate::restart(name, url.as_deref(), cacert.as_deref())
        }
        Some(Task::Log { filter, url, cacert }) => {
            operate::log(filter.as_deref(), url.as_deref(), cacert.as_deref())
        }
        Some(Task::Healthcheck { url, cacert }) => crate::healthcheck::run(url.as_deref(), cacert.as_deref()),
        Some(Task::Tools { name, json, servers }) => look::tools(servers, name.as_deref(), *json),
        Some(Task::Doctor(words)) => doctor::run(words),
        Some(Task::Call { words, json, servers }) => look::call(servers, words, *json),
        None => route(&arguments),
    }
}

/// Reads the words after the program's name.
pub fn parse(words: &[String]) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    command.build();
    let words = compat::canonical(words, &command)
        .map_err(|refused| Arguments::command().error(refused.kind, refused.message))?;
    let program = [Arguments::command().get_name().to_owned()];
    let matches = Arguments::command().try_get_matches_from(program.into_iter().chain(words))?;
    Arguments::from_arg_matches(&matches)
}

/// Reads the words of another tool.
fn parse_as(tool: Tool, words: &[String]) -> Result<Arguments, clap::Error> {
    let translation = tool
        .translate(words, &|name| std::env::var(name).ok())
        .map_err(|refused| Arguments::command().error(refused.kind, refused.message))?;
    Ok(Arguments { habits: translation.habits, ..parse(&translation.words)? })
}

fn route(arguments: &Arguments) -> ExitCode {
    let written = written(arguments);
    let settings = written.and_then(|written| Ok((settings_with(arguments, written.as_ref())?, written)));
    let ((config, level), written) = match settings {
        Ok(settings) => settings,
        Err(Unusable::Arguments(message)) => return misused(&message),
        Err(Unusable::File(message)) => return failed(&message),
        Err(Unusable::Nothing) => return help(),
    };
    if arguments.check {
        for warning in &config.warnings {
            tell(&format!("warning: {warning}"));
        }
        let report = check::report(&config);
        print(report.text.as_bytes());
        return if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let options = logging::Options { level, format: arguments.log_format, syslog: arguments.syslog };
    if settings::is_client_mode(arguments, &config) {
        return stdio::serve(config, options);
    }
    serve::serve(config, options, arguments, written)
}

/// The file that the words name, as it is now.
fn written(arguments: &Arguments) -> Result<Option<file::Written>, Unusable> {
    let read = |path: &PathBuf| file::read(path).map_err(|error| Unusable::File(told(error)));
    arguments.named_server_config.as_ref().map(read).transpose()
}

/// What the words, the environment and the file say together, as they are now.
fn settings(arguments: &Arguments) -> Result<(Config, arguments::Level), Unusable> {
    settings_with(arguments, written(arguments)?.as_ref())
}

/// The same of a file that was read already.
fn settings_with(
    arguments: &Arguments,
    written: Option<&file::Written>,
) -> Result<(Config, arguments::Level), Unusable> {
    let environment = |name: &str| std::env::var(name).ok();
    let resolve = |host: &str, port: u16| Ok((host, port).to_socket_addrs()?.collect());
    let is_terminal = io::stderr().is_terminal();
    let read = |path: &std::path::Path| std::fs::read_to_string(path);
    let outside = Outside { environment: &environment, resolve: &resolve, read: &read, is_terminal };
    let meaning =
        |written: &file::Written| written.meaning(&environment).map_err(|error| Unusable::File(told(error)));
    let file = written.map(meaning).transpose()?;
    Ok((settings::config(arguments, file, &outside)?, settings::level(arguments, &outside)?))
}

/// A refused file as a person is told: with the cause, where reading has failed.
fn told(error: ConfigError) -> String {
    match error {
        error @ ConfigError::Read { .. } => format!("{:#}", anyhow::Error::new(error)),
        error => error.to_string(),
    }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mcp-switchboard", &mut script);
    print(&script);
    ExitCode::SUCCESS
}

fn help() -> ExitCode {
    tell(&Arguments::command().render_help().to_string());
    tell("error: nothing to serve: give a COMMAND, `--named-server` or `--named-server-config`");
    ExitCode::from(2)
}

fn misused(message: &str) -> ExitCode {
    let _ = Arguments::command().error(ErrorKind::InvalidValue, message).print();
    ExitCode::from(2)
}

fn failed(error: &dyn Display) -> ExitCode {
    tell(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

/// Writes to stdout. Whoever closed it does not want to know.
fn print(text: &[u8]) {
    let _ = deliver(text);
}

/// Writes to stdout what somebody may rely on: that it could not be written is an error, unless whoever reads it has closed it.
fn deliver(text: &[u8]) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("stdout cannot be written: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to stderr, before there is a log or beside it.
fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
