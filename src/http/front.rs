//! What every request is answered from: the mounts, the limits, the address.

use super::cors::CorsPolicy;
use super::guard::GuardPolicy;
use crate::access::Caller;
use crate::auth::{Authenticator, Background, Failures};
use crate::config::{Aliases, AuthSpec, Config, Gateway, Limits};
use crate::mount::{House, Mount, Table};
use crate::telemetry::{Events, Traffic};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

use super::endpoint::{Endpoint, Place};
use super::ledger::Ledger;
use super::operator::Operators;
use super::source::Source;

/// The state behind the routes.
#[derive(Debug)]
pub struct Front {
    /// The mounts; a reload replaces the whole table.
    pub table: Arc<ArcSwap<Table>>,
    /// Who is known, and what each may; nothing: everybody may everything.
    pub auth: ArcSwapOption<Authenticator>,
    /// Whoever asks while nobody is asked who he is.
    anyone: ArcSwap<Anyone>,
    /// Those who are not.
    pub failures: Failures,
    background: Background,
    /// Which hosts and pages may ask at all.
    pub guard: GuardPolicy,
    /// Which web pages may read the answers.
    pub cors: Option<CorsPolicy>,
    /// How much of everything.
    pub limits: Limits,
    /// What a reverse proxy puts before our paths.
    pub base_path: String,
    /// Proxies whose `X-Forwarded-Prefix` is believed.
    pub trust_proxies: Vec<ipnet::IpNet>,
    /// What the default server's paths are called besides.
    pub aliases: Aliases,
    /// Streamable HTTP needs no session.
    pub stateless: bool,
    /// Where the configuration comes from, if from a file.
    pub source: ArcSwapOption<Source>,
    /// How operators ask for things.
    pub operators: Operators,
    /// What is counted of HTTP.
    pub ledger: Arc<Ledger>,
    /// Whether requests have traces, so that the context in which they are asked is of use.
    pub traces: bool,
    /// Whether `/metrics` is there.
    pub metrics: bool,
    /// How many lines of the log were lost, where somebody knows.
    lost_lines: OnceLock<fn() -> u64>,
    /// When it began to serve.
    pub born: SystemTime,
    /// What has happened lately.
    pub events: Events,
    /// What is said, where operators may look on.
    pub traffic: Option<Traffic>,
    /// Since when it serves.
    pub started: Instant,
    /// Microseconds since 1970 of the last request to a server.
    last_activity: AtomicU64,
    closing: AtomicBool,
}

/// Whoever asks while nobody is asked who he is, until that changes.
#[derive(Debug)]
struct Anyone {
    caller: Caller,
    revoked: CancellationToken,
}

impl Anyone {
    fn new() -> Self {
        let revoked = CancellationToken::new();
        Self { caller: Caller::anyone().until(revoked.clone()), revoked }
    }
}

impl Front {
    /// The front of a router with these mounts.
    pub fn new(
        config: &Config,
        table: Table,
        bound_to_loopback: bool,
        background: Background,
        house: &House,
    ) -> Arc<Self> {
        let known = |spec| Authenticator::new(spec, None).with_oauth(spec, None, &background);
        Arc::new(Self {
            table: Arc::new(ArcSwap::from_pointee(table)),
            anyone: ArcSwap::from_pointee(Anyone::new()),
            auth: ArcSwapOption::from_pointee(config.auth.as_ref().map(known)),
            failures: Failures::default(),
            background,
            guard: GuardPolicy::new(&config.allow_hosts, &config.allow_origins, bound_to_loopback),
            cors: CorsPolicy::new(&config.allow_origins, &config.expose_headers),
            limits: config.limits.clone(),
            base_path: config.base_path.clone(),
            trust_proxies: config.trust_proxies.clone(),
            aliases: config.aliases.clone(),
            stateless: config.stateless,
            source: ArcSwapOption::empty(),
            operators: Operators::default(),
            ledger: Arc::default(),
            traces: config.traces.is_some(),
            metrics: config.metrics,
            lost_lines: OnceLock::new(),
            born: SystemTime::now(),
            events: house.events().clone(),
            traffic: house.traffic().cloned(),
            started: Instant::now(),
            last_activity: AtomicU64::new(micros(SystemTime::now())),
            closing: AtomicBool::new(false),
        })
    }

    /// What a path without its first slash means: an alias goes before a path of our own.
    pub fn endpoint<'a>(&self, path: &'a str) -> Option<Endpoint<'a>> {
        Endpoint::aliased(path, &self.aliases).or_else(|| Endpoint::parse(path))
    }

    /// Where the default server, or all servers together, are served: the path of Streamable HTTP, and that of HTTP+SSE.
    pub fn default_paths(&self) -> [&str; 2] {
        let Aliases { mcp, sse, .. } = &self.aliases;
        [(mcp, "/mcp"), (sse, "/sse")].map(|(alias, own)| match alias.as_deref() {
            None => own,
            Some("") => "/",
            Some(path) => path,
        })
    }

    /// The mount of a place, if there is one and it is not disabled; or, if a reload has replaced it, the one that still has
    /// the session that the request names.
    pub fn mount<'a>(
        &self,
        place: Place<'_>,
        session: impl FnOnce() -> Option<&'a str>,
    ) -> Option<Arc<Mount>> {
        let table = self.table.load();
        if !table.retired().is_empty()
            && let Some(retired) = session().and_then(|id| table.find_retired(id))
        {
            let retired_name = retired.name().as_str();
            let is_whole = retired.is_aggregate() && retired_name == Gateway::ROOT;
            let is_there = match place {
                Place::Root => {
                    is_whole || table.default_mount().is_some_and(|now| now.name() == retired.name())
                }
                Place::Named(name) => retired_name == name && !retired.is_aggregate(),
                Place::View(name) => retired_name == name && retired.is_aggregate() && !is_whole,
            };
            return is_there.then(|| retired.clone());
        }
        match place {
            Place::Root => table.root().cloned(),
            Place::View(name) => table.view(name).cloned(),
            Place::Named(name) => table.find(name).cloned(),
        }
    }

    /// From now on these are known, and may that. Streams of those who are not known any more end.
    pub fn recognise(&self, spec: Option<&AuthSpec>) {
        let before = self.auth.load_full();
        let next = spec.map(|spec| {
            let next = Authenticator::new(spec, before.as_deref());
            Arc::new(next.with_oauth(spec, before.as_deref(), &self.background))
        });
        if before.is_some() && next.is_none() {
            self.anyone.store(Arc::new(Anyone::new()));
            tracing::warn!("callers are NOT asked for keys any more: `auth` is gone from the configuration");
        }
        self.auth.store(next.clone());
        if let Some(before) = before {
            before.retire(next.as_deref());
        } else if next.is_some() {
            // Who came while the door was open is not known, whatever he has begun.
            self.anyone.load().revoked.cancel();
        }
    }

    /// Whoever asks while nobody is asked who he is.
    pub(super) fn anyone(&self) -> Caller {
        self.anyone.load().caller.clone()
    }

    /// Notes that a server was asked something.
    pub fn touch(&self) {
        self.last_activity.store(micros(SystemTime::now()), Ordering::Relaxed);
    }

    /// When a server was last asked something.
    pub fn last_activity(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.last_activity.load(Ordering::Relaxed))
    }

    /// From now on this is asked how many lines of the log were lost.
    pub fn count_lost_lines(&self, count: fn() -> u64) {
        let _ = self.lost_lines.set(count);
    }

    /// How many lines of the log were lost, where somebody knows.
    pub fn lost_lines(&self) -> Option<u64> {
        self.lost_lines.get().map(|count| count())
    }

    /// The router is ending.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the router is ending.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether the peer is a reverse proxy that may say where we are.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.trust_proxies.iter().any(|net| net.contains(&peer)))
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
