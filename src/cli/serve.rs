//! The router at work: from the first line on stdout to the last signal.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::MultiProgress;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activation;
use super::arguments::Arguments;
use super::certificates::{self, Asking};
use super::levels::Volume;
use super::logging::{ALWAYS, Log, Options, dropped_lines};
use super::progress::MountProgress;
use super::reload::Follower;
use super::signals::Signals;
use super::{failed, print, settings, stdin, tell};
use crate::config::file::Written;
use crate::config::{AccessLogPlace, ClientAuth, Config};
use crate::http::operator;
use crate::peer::orphans;
use crate::router::{Inherited, Router};

/// How long processes that were killed are waited for: only what the kernel itself cannot end takes longer.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// How long the runtime is waited for once everything has stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until a signal ends it: 0 after an orderly stop, 1 where it could not start or was told twice.
/// `written`: the file that the configuration was read from.
pub(super) fn serve(
    config: Config,
    options: Options,
    arguments: &Arguments,
    written: Option<Written>,
) -> ExitCode {
    let inherited = match activation::inherited() {
        Ok(inherited) => inherited,
        Err(wrong) => return failed(&wrong),
    };
    run(options, |screen, volume| route(config, screen, volume, arguments.clone(), written, inherited))
}

/// Runs `work` with a log and a runtime, and says how it ended.
pub(super) fn run<W>(options: Options, work: impl FnOnce(MultiProgress, Arc<Volume>) -> W) -> ExitCode
where
    W: Future<Output = anyhow::Result<ExitCode>>,
{
    let screen = MultiProgress::new();
    let log = match Log::open(options, screen.clone()) {
        Ok(log) => log,
        Err(error) => return failed(&format!("failed to open the log: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("failed to start: {error}")),
    };
    let outcome = runtime.block_on(work(screen, log.volume()));
    runtime.shutdown_timeout(PATIENCE);
    let dropped = log.dropped();
    drop(log);
    if dropped > 0 {
        tell(&format!("{dropped} log lines were dropped: they could not be written fast enough"));
    }
    outcome.unwrap_or_else(|error| failed(&error))
}

async fn route(
    config: Config,
    screen: MultiProgress,
    volume: Arc<Volume>,
    arguments: Arguments,
    written: Option<Written>,
    inherited: Inherited,
) -> anyhow::Result<ExitCode> {
    let hangups = Arc::new(Notify::new());
    let has_files = written.is_some() || config.tls.is_some() || !config.files().is_empty();
    let turnovers = Arc::new(Notify::new());
    let has_log = config.access_log.as_ref().is_some_and(|log| matches!(log.place, AccessLogPlace::File(_)));
    let told = [(has_files, &hangups), (has_log, &turnovers)];
    let told = told.into_iter().filter(|(is_told, _)| *is_told).map(|(_, told)| told.clone()).collect();
    let mut signals = Signals::listen(told)?;
    adopt_orphans();
    raise_descriptor_limit(&config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !inherited.is_empty() && is_told_where(&arguments) {
        tracing::warn!("the sockets that systemd has opened are listened on; where else, is ignored");
    }
    let needs_certificate = config
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some() && tls.client_auth == ClientAuth::Required);
    let is_guarded = needs_certificate || config.auth.is_some();
    let (told, files, auth) = (config.warnings.clone(), config.files(), config.auth.clone());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(orphans::reap_until(stop.clone()));
    let router = tokio::select! {
        router = Router::start_on(config, inherited) => Arc::new(router?),
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the start was over");
            return Ok(ExitCode::SUCCESS);
        }
    };
    router.counts_lost_lines(dropped_lines);
    if has_log {
        tasks.spawn(turn_over(Arc::clone(&router), turnovers, stop.clone()));
    }
    router.operators().may_set(volume);
    if let Ok(token) = std::env::var(operator::TOKEN) {
        router.operators().trust(&token);
    }
    if !is_guarded {
        warn_if_exposed(&router);
    }
    if let Some(auth) = &auth {
        let (keys, rules) = (auth.tokens.len(), auth.rules.len());
        let (certificates, tokens) = (auth.certificates, auth.oauth.is_some());
        tracing::info!(keys, rules, certificates, tokens, "callers are asked who they are");
    }
    let ends_with_stdin = arguments.habits.ends_with_stdin;
    let interval = settings::look_interval(&arguments);
    let asking = written.is_none().then(|| Asking { hangups: hangups.clone(), asks: None });
    if router.tls().is_some() {
        let asking = asking.map(|asking| Asking { asks: router.operators().listen(), ..asking });
        tasks.spawn(certificates::follow(Arc::clone(&router), interval, asking, stop.clone()));
    }
    if written.is_none() && !files.is_empty() {
        // Where there is a certificate, SIGHUP is heard for it, and the keys are looked at soon anyway.
        let hangups = router.tls().is_none().then(|| hangups.clone());
        let (arguments, files, router) = (arguments.clone(), files.clone(), Arc::clone(&router));
        tasks.spawn(super::keys_file::follow(arguments, files, router, interval, hangups, stop.clone()));
    }
    if let Some(written) = written {
        let follower = Follower::new(arguments, written, files, told, Arc::clone(&router));
        tasks.spawn(follower.follow(hangups, stop.clone()));
    }
    announce(&router);
    let progress = follow(screen, &router);
    let reason = tokio::select! {
        signal = signals.next() => signal,
        () = stdin::ended(), if ends_with_stdin => "the end of stdin",
    };
    drop(progress);
    super::service::stopping();
    tracing::info!(reason, "stopping; a signal now stops at once");
    let outcome = tokio::select! {
        () = router.stop() => ExitCode::SUCCESS,
        signal = signals.next() => {
            tracing::warn!(signal, "stopping at once");
            router.kill();
            // Until the kernel has ended them all, what left its group too.
            let _ = tokio::time::timeout(LAST_PATIENCE, router.stop()).await;
            ExitCode::FAILURE
        }
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(outcome)
}

/// Opens the access log again whenever that is asked for.
async fn turn_over(router: Arc<Router>, asked: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = asked.notified() => router.reopen_access_log(),
        }
    }
}

/// Only the program does this, never the library: it changes whose children orphans become.
pub(super) fn adopt_orphans() {
    if let Err(error) = orphans::become_subreaper() {
        tracing::warn!(%error, "processes that leave their group cannot be followed");
    }
}

/// Many systems give a process 1024 descriptors to begin with, and more if it asks.
///
/// A connection takes one, a process four: its pipes, and the one by which its end is noticed.
#[cfg(unix)]
fn raise_descriptor_limit(config: &Config) {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let wanted = config
        .limits
        .connections
        .saturating_add(config.limits.processes.saturating_mul(4))
        .saturating_add(64);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
    let raised = setrlimit(Resource::Nofile, limit);
    if raised.is_err() || limit.current < Some(wanted) {
        tracing::warn!(
            descriptors = limit.current,
            wanted,
            "fewer descriptors than `limits.connections` and `limits.processes` may need: raise `ulimit -n`"
        );
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit(_: &Config) {}

/// The first line says where, then comes a line for each mount; nothing else is ever written to stdout.
fn announce(router: &Router) {
    let mut text = String::new();
    let mut places = router.places().iter();
    if let Some(place) = places.next() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "listening on {place}");
    }
    for place in places {
        tracing::info!("listening on {place}, too");
    }
    for mount in router.mount_lines().iter().filter(|mount| mount.state != "disabled") {
        let _ = writeln!(text, "{}", mount.url);
    }
    print(text.as_bytes());
    super::service::ready();
}

fn follow(screen: MultiProgress, router: &Arc<Router>) -> Option<MountProgress> {
    let router = Arc::clone(router);
    let following: io::Result<_> = MountProgress::follow(screen, move || router.mount_lines());
    following.inspect_err(|error| tracing::warn!(%error, "the start of the mounts is not shown")).ok()
}

/// Whether the words say where to listen.
fn is_told_where(arguments: &Arguments) -> bool {
    let Arguments { host, port, sse_host, sse_port, unix_socket, .. } = arguments;
    host.is_some() || port.is_some() || sse_host.is_some() || sse_port.is_some() || unix_socket.is_some()
}

fn warn_if_exposed(router: &Router) {
    for place in router.places().iter().filter(|place| !place.is_local()) {
        tracing::warn!(
            target: ALWAYS,
            address = %place,
            "ANYONE who reaches this address can use every server: it is not a loopback address, and no key is asked \
             for; set MCP_SWITCHBOARD_TOKEN, --tokens-file, or `auth` or `tls.clientCa` in the configuration file"
        );
    }
}
