//! `doctor`: every server of a configuration is tried as clients would, and what is wrong is named, with what to do.
//!
//! A server is started as the router starts it, in a process that is thrown away, once for a client of each era
//! (`trial`). What was seen is an `examination`, in which the usual causes are recognised (`cause`).

mod cause;
mod door;
mod ear;
mod examination;
mod finding;
mod page;
mod trial;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arguments::{Arguments, seconds};
use super::compat::is_url;
use super::look::choice::{Found, NOTHING, find, misused, refused};
use super::look::{Servers, paper};
use super::settings::Unusable;
use super::signals::Signals;
use super::{deliver, failed, tell};
use crate::config::{Config, ServerName, Target};
use crate::shell::on_one_line;
use examination::{Examination, State};
use finding::Finding;
use trial::{Patience, Practice};

/// Whoever sits at a terminal is told after so long that a server is waited for.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

/// The options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// A configuration file, or the URL of a server.
    #[arg(conflicts_with_all = ["router", "named_server_config"])]
    pub file: Option<String>,
    /// How long each attempt to talk to a server may take [default: as long as its `startTimeout`, at least 30, and 30
    /// more for the list of its tools].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<f64>,
    /// All that was found, as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where the router is to listen, if not where the file says [env: `MCP_PROXY_HOST`].
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// The port that it is to have [env: `MCP_PROXY_PORT`].
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// More host names under which it is to be addressed; repeatable, or separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Which servers are meant.
    #[command(flatten)]
    pub servers: Servers,
}

/// Examines what the words name: 0 if every server works, 1 if one does not, 2 if the words make no sense.
pub(super) fn run(words: &Doctor) -> ExitCode {
    let task = "doctor";
    if words.timeout.is_some_and(|timeout| timeout <= 0.0) {
        return misused(task, "`--timeout` wants more than 0 seconds");
    }
    let mut servers = words.servers.clone();
    let url = words.file.as_deref().filter(|word| is_url(word));
    if url.is_none() {
        let file = words.file.as_ref().map(Into::into);
        servers.named_server_config = file.or(servers.named_server_config);
    }
    let arguments = Arguments {
        host: words.host.clone(),
        port: words.port,
        allow_host: words.allow_host.clone(),
        ..servers.arguments(url)
    };
    let refused = |unusable: &Unusable| {
        // A machine reads stdout.
        if words.json
            && let Err(wrong) = deliver(page::json(&[], &[unfit(unusable)], false).as_bytes())
        {
            tell(&format!("error: {wrong}"));
        }
        refused(task, unusable)
    };
    find(task, &servers, url, &arguments, refused, async |found: Found, signals: &mut Signals| {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let practice = Practice {
            limits: found.config.limits.clone(),
            pass_environment: found.config.pass_environment,
            sandbox_helper: found.config.sandbox_helper.clone(),
            tracker: tracker.clone(),
            stop: stop.clone(),
            patience: words.timeout.map(Duration::from_secs_f64),
            path: env::var_os("PATH").unwrap_or_default(),
            home: env::home_dir(),
        };
        let examining =
            async { examine(words, found, &practice).await.unwrap_or_else(|wrong| failed(&wrong)) };
        let outcome = tokio::select! {
            outcome = examining => outcome,
            // What was started ends with who holds it.
            _ = signals.next() => ExitCode::FAILURE,
        };
        stop.cancel();
        tracker.close();
        tokio::select! {
            () = tracker.wait() => outcome,
            _ = signals.next() => ExitCode::FAILURE,
        }
    })
}

/// Examines every server, and prints what was found.
///
/// # Errors
/// It cannot be printed.
async fn examine(words: &Doctor, mut found: Found, practice: &Practice) -> Result<ExitCode, String> {
    settle(&mut found.config);
    let is_served = !found.states.is_empty();
    let mut findings: Vec<Finding> = found
        .config
        .warnings
        .iter()
        .map(|warning| Finding::warning("configuration", on_one_line(warning), ""))
        .collect();
    if !is_served {
        findings.extend(door::findings(&found.config).await);
    }
    let paper = paper();
    if !words.json {
        deliver(page::chapter("configuration", &findings, paper).as_bytes())?;
    }
    let servers = found.config.servers.iter().chain(&found.config.default_server);
    let states = &found.states;
    let examining = servers.map(|server| {
        let state = states.get(server.name.as_str()).map(String::as_str);
        let patience = Patience::with(practice.patience, server.start_timeout);
        patiently(&server.name, patience, Examination::of(server, state, &found.config, practice))
    });
    let mut examining = futures::stream::iter(examining).buffered(at_once());
    let mut all = Vec::new();
    while let Some(examined) = examining.next().await {
        if !words.json {
            deliver(format!("{}\n", page::block(&examined, paper)).as_bytes())?;
        }
        all.push(examined);
    }
    if !is_served {
        let servers = found.config.servers.iter().map(|server| &server.name);
        let named = |name: &ServerName| all.iter().find(|examined| examined.name == name.as_str());
        let listed: Vec<(&ServerName, &[String])> =
            servers.filter_map(|name| Some((name, named(name)?.names.as_slice()))).collect();
        let together = cause::together(&found.config, &listed);
        if !words.json {
            deliver(page::chapter("all servers together", &together, paper).as_bytes())?;
        }
        findings.extend(together);
    }
    let is_well =
        all.iter().all(|examined| examined.state != State::Broken) && !findings.iter().any(Finding::is_error);
    let end = if words.json { page::json(&all, &findings, is_well) } else { page::sum(&all, &findings) };
    deliver(end.as_bytes())?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for what is found of a server, and says so to whoever sits at a terminal.
async fn patiently(
    name: &ServerName,
    patience: Patience,
    examining: impl Future<Output = Examination>,
) -> Examination {
    let mut examining = std::pin::pin!(examining);
    if io::stderr().is_terminal() {
        if let Ok(examined) = timeout(WORTH_A_WORD, &mut examining).await {
            return examined;
        }
        let seconds = patience.answer.as_secs_f64();
        tell(&format!("{name}: waiting up to {seconds} s for its first answer (`--timeout` says how long)"));
    }
    examining.await
}

/// Why nothing can be examined, as a machine reads it.
fn unfit(unusable: &Unusable) -> Finding {
    let what = match unusable {
        Unusable::Arguments(message) | Unusable::File(message) => on_one_line(message),
        Unusable::Nothing => NOTHING.to_owned(),
    };
    Finding::error("unusable", what, "")
}

/// Nobody is asked to log in: that a server wants it is what is to be found.
fn settle(config: &mut Config) {
    for server in config.servers.iter_mut().chain(&mut config.default_server) {
        if let Target::Remote(remote) = &mut server.target
            && let Some(login) = &mut remote.login
        {
            login.interactive = false;
        }
    }
}

/// Servers that are tried side by side: as many as the router starts at a time.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| 2 * cores.get())
}
