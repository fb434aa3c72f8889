//! The router: from a configuration to mounts and a listener; the order of shutting down.

mod fresh;
mod listening;
mod reload;
mod sinks;

use crate::aggregate::{Aggregate, Catalog};
use crate::auth::Background;
use crate::config::{AggregateSpec, Config, Gateway, PoolSpec, ServerName, ServerSpec, Target};
use crate::http::connection::ConnectionSettings;
use crate::http::operator::Operators;
use crate::http::serve::{Stop, serve};
use crate::http::source::Source;
use crate::http::tls::{Tls, TlsError};
#[cfg(unix)]
use crate::http::unix::UnixError;
use crate::http::{self, Front};
use crate::mount::{House, ListCache, Mount, State, Table};
use crate::peer::in_process::Service;
use crate::telemetry::{EventKind, Events};
use listening::Listening;
use sinks::Sinks;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::reply::Response;

pub use listening::{Inherited, Place};

/// How often sessions look at the clock.
const TICK: Duration = Duration::from_millis(250);

/// Calls in flight when the router is told to stop have this long to finish.
const GRACE: Duration = Duration::from_secs(10);

/// Connections that are still open after everything has ended are closed after this.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A running router. Dropping it does not stop it; [`Router::stop`] does.
#[derive(Debug)]
pub struct Router {
    front: Arc<Front>,
    house: House,
    /// What the servers offer, for those that serve several of them together.
    catalog: Arc<Catalog>,
    /// What is served; the lock lets one reload follow the other.
    config: Mutex<Config>,
    /// Tasks of mounts, sessions and processes.
    tracker: TaskTracker,
    connections: TaskTracker,
    stop: Stop,
    clock: CancellationToken,
    sinks: Sinks,
    /// Where it listens.
    places: Vec<Place>,
    tls: Option<Arc<Tls>>,
}

/// Why a router could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (choose another with --host and --port; port 0 takes a free one)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The unix socket cannot be listened on.
    #[cfg(unix)]
    #[error(transparent)]
    Unix(#[from] UnixError),
    /// Connections cannot be encrypted as they should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of the access log cannot be opened.
    #[error(
        "the access log cannot be written to {path} (`--access-log` or `accessLog` names it; `-` is the log itself)"
    )]
    AccessLog {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Traces cannot be sent.
    #[error("traces cannot be sent to {endpoint}: {reason}")]
    Traces {
        /// Where to.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// A socket that was opened for it cannot be used.
    #[error("a socket that was opened for the router cannot be used")]
    Inherited(#[source] io::Error),
}

/// How a mount stands, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine {
    /// Its name.
    pub name: String,
    /// How it stands, in one word.
    pub state: &'static str,
    /// Why, or what the server calls itself.
    pub detail: Option<String>,
    /// Where it is served.
    pub url: String,
}

impl Router {
    /// Binds, listens, and starts the mounts side by side; none of them can stop the others.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_on(config, Inherited::default()).await
    }

    /// The same on sockets that were opened for it, if there are any: then it listens nowhere else.
    pub async fn start_on(config: Config, inherited: Inherited) -> Result<Self, StartError> {
        let Listening { listeners, places, tls, warnings } = Listening::begin(&config, inherited).await?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let sinks = Sinks::open(&config)?;
        let mut router = Self::make(config, places.iter().all(Place::is_local), sinks);
        (router.places, router.tls) = (places, tls);
        let proxies = router.front.trust_proxies.clone();
        let settings = ConnectionSettings { proxies, ..(&router.front.limits).into() };
        let service = http::service(router.front.clone());
        let ledger = router.front.ledger.clone();
        let (stop, connections) = (router.stop.clone(), router.connections.clone());
        router.connections.spawn(serve(listeners, service, settings, ledger, stop, connections));
        router.start_mounts();
        Ok(router)
    }

    /// Starts the mounts without listening: [`filter`](Self::filter) or [`service`](Self::service) is to be mounted in
    /// an application. Its guard takes web pages on the loopback interface for its own only with `on_loopback`.
    ///
    /// Must be called within a tokio runtime.
    pub fn build(config: Config, on_loopback: bool) -> Self {
        let sinks = Sinks::open(&config).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "nobody is told of requests");
            Sinks::default()
        });
        let router = Self::make(config, on_loopback, sinks);
        router.start_mounts();
        router
    }

    /// All paths as a warp filter. A path that is not the router's is rejected as not found.
    pub fn filter(&self) -> BoxedFilter<(Response,)> {
        http::filter(self.front.clone())
    }

    /// All paths as a tower service, which answers every request.
    pub fn service<B>(
        &self,
    ) -> http::exclusive::AnyBody<http::gate::Gate<impl http::Service<http::exclusive::Exclusive<B>> + use<B>>>
    where
        B: http_body::Body + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        http::embedded(self.front.clone())
    }

    /// The mount behind the root paths, if there is one: the default server, or all servers together.
    pub fn root_mount(&self) -> Option<Arc<Mount>> {
        self.front.table.load().root().cloned()
    }

    /// The default server, if there is one.
    pub fn default_mount(&self) -> Option<Arc<Mount>> {
        self.front.table.load().default_mount().cloned()
    }

    /// Every mount, the default one first.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.front.table.load().all().cloned().collect()
    }

    /// Whom it takes for an operator, and where their wishes go.
    pub fn operators(&self) -> &Operators {
        &self.front.operators
    }

    /// From now on this is asked, for `/metrics`, how many lines of the log were lost.
    pub fn counts_lost_lines(&self, count: fn() -> u64) {
        self.front.count_lost_lines(count);
    }

    /// What happens to it and its mounts.
    pub fn events(&self) -> &Events {
        self.house.events()
    }

    /// Where its configuration comes from, for `/status`.
    pub fn comes_from(&self, source: Source) {
        self.front.source.store(Some(Arc::new(source)));
    }

    /// The address it listens on, if it listens on one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.places.iter().find_map(|place| match place {
            Place::Http(address) | Place::Https(address) => Some(*address),
            Place::Unix(_) => None,
        })
    }

    /// Where it listens; the first is where its URLs lead.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What its connections are encrypted with, if they are.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// How each mount stands: the default server or all servers together first, views last.
    pub fn mount_lines(&self) -> Vec<MountLine> {
        let table = self.front.table.load();
        let [mcp, _] = self.front.default_paths();
        let default = table.root().map(|mount| self.line(mount, mcp));
        let views = table.views().map(|view| self.line(view, &format!("/views/{}/mcp", view.name())));
        let named = table.named().map(|mount| self.line(mount, &format!("/servers/{}/mcp", mount.name())));
        default.into_iter().chain(named).chain(views).collect()
    }

    /// Opens the file of the access log again, if there is one: who turns logs over gives the old one another name before.
    pub fn reopen_access_log(&self) {
        self.sinks.reopen();
    }

    /// Stops in peace: nothing new is taken, streams end, calls in flight have 10 s, then the processes are stopped.
    /// Returns when nothing runs any more.
    pub async fn stop(&self) {
        self.front.close();
        self.events().tell(None, EventKind::Stopped, "the router is shutting down");
        // A reload that is under way sees that, and leaves the table as it is.
        drop(self.config.lock().await);
        let mounts: Vec<Arc<Mount>> = self.front.table.load().all_and_retired().cloned().collect();
        for mount in &mounts {
            mount.drain();
        }
        // It still listens: who asks is told, and whom a server asks can answer.
        let idle = async {
            while mounts.iter().any(|mount| mount.in_flight() > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, idle).await;
        self.close_feeds();
        self.stop.drain.cancel();
        for mount in &mounts {
            mount.close();
        }
        self.connections.close();
        if tokio::time::timeout(LAST_BYTES, self.connections.wait()).await.is_err() {
            self.stop.cut.cancel();
        }
        self.clock.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.sinks.close().await;
    }

    /// Ends every process at once.
    pub fn kill(&self) {
        self.front.close();
        self.close_feeds();
        self.front.table.load().all_and_retired().for_each(|mount| mount.kill());
        self.stop.drain.cancel();
        self.stop.cut.cancel();
    }

    /// What operators hear and see ends.
    fn close_feeds(&self) {
        self.events().close();
        if let Some(traffic) = self.house.traffic() {
            traffic.close();
        }
    }

    fn make(config: Config, on_loopback: bool, sinks: Sinks) -> Self {
        let tracker = TaskTracker::new();
        let observer = sinks.observer(config.metrics);
        let house = House::new(&config, observer, tracker.clone());
        let mount = |spec: &ServerSpec| Mount::new(spec.clone(), &config, house.clone());
        let table =
            Table::new(config.servers.iter().map(mount).collect(), config.default_server.as_ref().map(mount));
        let catalog = Catalog::new(tracker.clone(), ListCache::new(config.cache_dir.as_deref()));
        let table = with_aggregates(table, &config, &catalog, |spec, service| {
            Mount::of_service(spec, service, &config, house.clone())
        });
        catalog.serve(table.named().cloned());
        let clock = CancellationToken::new();
        let background = Background { tracker: tracker.clone(), stop: clock.clone() };
        let front = Front::new(&config, table, on_loopback, background, &house);
        Self {
            front,
            house,
            catalog,
            config: Mutex::new(config),
            tracker,
            connections: TaskTracker::new(),
            stop: Stop::default(),
            clock,
            sinks,
            places: Vec::new(),
            tls: None,
        }
    }

    fn start_mounts(&self) {
        self.sinks.start(self.events());
        let count = self.front.table.load().all().count();
        let text = format!("version {}, mounts: {count}", env!("CARGO_PKG_VERSION"));
        self.events().tell(None, EventKind::Started, &text);
        self.front.table.load().all().for_each(Mount::start);
        let (front, stop) = (self.front.clone(), self.clock.clone());
        self.tracker.spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let now = Instant::now();
                front.table.load().all_and_retired().for_each(|mount| mount.tick(now));
            }
        });
    }

    fn line(&self, mount: &Mount, path: &str) -> MountLine {
        let state = mount.state();
        let detail = match state {
            State::Failed | State::Failing => mount.error(),
            _ => mount.error().or_else(|| mount.greeting()),
        };
        // Here, on this machine: what a reverse proxy takes off before is not ours to answer.
        let url = self.places.first().map_or_else(|| path.to_owned(), |place| place.url(path));
        MountLine { name: mount.name().to_string(), state: state.as_str(), detail, url }
    }
}

/// The table with what serves several of its mounts together, each a `mount` of such a service.
fn with_aggregates(
    table: Table,
    config: &Config,
    catalog: &Arc<Catalog>,
    mut mount: impl FnMut(ServerSpec, Arc<dyn Service>) -> Arc<Mount>,
) -> Table {
    let mut mount = |name: ServerName, aggregate: &AggregateSpec| {
        let mut spec = ServerSpec::new(name.clone(), Target::Aggregate(Box::new(aggregate.clone())));
        spec.pool.max = PoolSpec::MOST_CONNECTIONS;
        mount(spec, Arc::new(Aggregate::new(name, aggregate.clone(), catalog.clone())))
    };
    // The paths of the root are the default server's, if there is one.
    let is_free = config.default_server.is_none() && !config.servers.is_empty();
    let root = config.gateway.root.as_ref().filter(|_| is_free);
    let root = root.map(|aggregate| mount(ServerName::derive(Gateway::ROOT), aggregate));
    let views = config.gateway.views.iter().map(|(name, view)| mount(name.clone(), view)).collect();
    table.aggregated(root, views)
}
