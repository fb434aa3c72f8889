//! The router: from a configuration to mounts and a listener; reload; the order of shutting down.

use crate::aggregate::{Aggregate, Catalog};
use crate::config::{AggregateSpec, Config, Gateway, PoolSpec, ServerName, ServerSpec, Target};
use crate::http::serve::{Stop, serve};
use crate::http::{self, Front};
use crate::mount::{House, ListCache, Mount, State, Table};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::reply::Response;

/// How often sessions look at the clock.
const TICK: Duration = Duration::from_millis(250);

/// Calls in flight when the router is told to stop have this long to finish.
const GRACE: Duration = Duration::from_secs(10);

/// Sessions of a mount that a reload removed or changed have this long to finish what is in flight.
const RELOAD_GRACE: Duration = Duration::from_secs(30);

/// Connections that are still open after everything has ended are closed after this.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A running router. Dropping it does not stop it; [`Router::stop`] does.
#[derive(Debug)]
pub struct Router {
    front: Arc<Front>,
    house: House,
    /// What the servers offer, for those that serve several of them together.
    catalog: Arc<Catalog>,
    config: Mutex<Config>,
    /// Tasks of mounts, sessions and processes.
    tracker: TaskTracker,
    connections: TaskTracker,
    stop: Stop,
    clock: CancellationToken,
    address: Option<SocketAddr>,
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
        let asked = config.listen;
        let bind =
            async { TcpListener::bind(asked).await.and_then(|l| l.local_addr().map(|address| (l, address))) };
        let (listener, address) = bind.await.map_err(|source| StartError::Bind { address: asked, source })?;
        let mut router = Self::make(config, address.ip().is_loopback());
        router.address = Some(address);
        let settings = (&router.front.limits).into();
        let service = http::service(router.front.clone());
        let (stop, connections) = (router.stop.clone(), router.connections.clone());
        router.connections.spawn(serve(listener, service, settings, stop, connections));
        router.start_mounts();
        Ok(router)
    }

    /// Starts the mounts without listening: [`filter`](Self::filter) or [`service`](Self::service) is to be mounted in
    /// an application. Its guard takes web pages on the loopback interface for its own only with `on_loopback`.
    ///
    /// Must be called within a tokio runtime.
    pub fn build(config: Config, on_loopback: bool) -> Self {
        let router = Self::make(config, on_loopback);
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

    /// The address it listens on, if it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
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

    /// Serves `config` from now on. Mounts that are the same keep their sessions; a changed or removed one finishes what
    /// is in flight, at most 30 s, and its sessions end. New ones are started. Addresses, limits, origins and proxies stay as
    /// they were.
    ///
    /// False if the router is ending, and nothing was changed.
    pub fn reload(&self, config: Config) -> bool {
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if self.front.is_closing() {
            return false;
        }
        let table = self.front.table.load_full();
        let alike =
            config.idle_timeout == current.idle_timeout && config.limits.depth == current.limits.depth;
        let keep = |spec: &ServerSpec, old: Option<&Arc<Mount>>| match old {
            Some(mount) if alike && mount.spec() == spec => mount.clone(),
            _ => {
                let mount = Mount::new(spec.clone(), &config, self.house.clone());
                mount.start();
                mount
            }
        };
        let named =
            config.servers.iter().map(|spec| keep(spec, table.find_any(spec.name.as_str()))).collect();
        let default = config.default_server.as_ref().map(|spec| keep(spec, table.default_mount()));
        let next = Table::new(named, default);
        let next = with_aggregates(next, &config, &self.house, &self.catalog, |spec| {
            let view = if spec.name.as_str() == Gateway::ROOT {
                table.aggregate()
            } else {
                table.view(spec.name.as_str())
            };
            view.filter(|mount| alike && mount.spec() == spec).cloned()
        });
        let old: Vec<_> =
            table.served().filter(|old| !next.served().any(|new| Arc::ptr_eq(old, new))).cloned().collect();
        let finishing = table.retired().iter().filter(|mount| !mount.is_closed()).cloned();
        let next = next.retiring(finishing.chain(old.iter().cloned()).collect());
        self.catalog.serve(next.named().cloned());
        self.front.table.store(Arc::new(next));
        self.tell_changes(&table, &config, &current);
        for mount in old {
            self.tracker.spawn(retire(mount));
        }
        *current = config;
        true
    }

    /// Says what a reload changes, and what it cannot change.
    fn tell_changes(&self, before: &Table, config: &Config, current: &Config) {
        let now = self.front.table.load();
        let same = |mount: &Arc<Mount>, table: &Table| table.all().any(|other| Arc::ptr_eq(mount, other));
        for mount in before.named().filter(|mount| !same(mount, &now)) {
            let word = if now.find_any(mount.name().as_str()).is_some() { "changed" } else { "removed" };
            tracing::info!(server = %mount.name(), "{word}; what is in flight may finish");
        }
        for mount in now.named().filter(|mount| before.find_any(mount.name().as_str()).is_none()) {
            let line = self.line(mount, &format!("/servers/{}/mcp", mount.name()));
            tracing::info!(server = %mount.name(), url = line.url, "added");
        }
        let fixed = [
            ("limits", config.limits != current.limits),
            ("allowOrigins", config.allow_origins != current.allow_origins),
            ("allowHosts", config.allow_hosts != current.allow_hosts),
            ("basePath", config.base_path != current.base_path),
            ("trustProxies", config.trust_proxies != current.trust_proxies),
            ("host or port", config.listen != current.listen),
        ];
        for (key, _) in fixed.into_iter().filter(|(_, changed)| *changed) {
            tracing::warn!("the change of {key} needs a restart");
        }
    }

    /// Stops in peace: nothing new is taken, streams end, calls in flight have 10 s, then the processes are stopped.
    /// Returns when nothing runs any more.
    pub async fn stop(&self) {
        self.front.close();
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
    }

    /// Ends every process at once.
    pub fn kill(&self) {
        self.front.close();
        self.front.table.load().all_and_retired().for_each(|mount| mount.kill());
        self.stop.drain.cancel();
        self.stop.cut.cancel();
    }

    fn make(config: Config, on_loopback: bool) -> Self {
        let tracker = TaskTracker::new();
        let limits = &config.limits;
        let house = House::new(limits.processes, config.pass_environment, limits.line, tracker.clone());
        let mount = |spec: &ServerSpec| Mount::new(spec.clone(), &config, house.clone());
        let table =
            Table::new(config.servers.iter().map(mount).collect(), config.default_server.as_ref().map(mount));
        let catalog = Catalog::new(tracker.clone(), ListCache::new(config.cache_dir.as_deref()));
        let table = with_aggregates(table, &config, &house, &catalog, |_| None);
        catalog.serve(table.named().cloned());
        let front = Front::new(&config, table, on_loopback);
        Self {
            front,
            house,
            catalog,
            config: Mutex::new(config),
            tracker,
            connections: TaskTracker::new(),
            stop: Stop::default(),
            clock: CancellationToken::new(),
            address: None,
        }
    }

    fn start_mounts(&self) {
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
        let url = self.address.map_or_else(|| path.to_owned(), |address| format!("http://{address}{path}"));
        MountLine { name: mount.name().to_string(), state: state.as_str(), detail, url }
    }
}

/// The table with what serves several of its mounts together: what `kept` has already, else anew.
fn with_aggregates(
    table: Table,
    config: &Config,
    house: &House,
    catalog: &Arc<Catalog>,
    kept: impl Fn(&ServerSpec) -> Option<Arc<Mount>>,
) -> Table {
    let mount = |name: ServerName, aggregate: &AggregateSpec| {
        let mut spec = ServerSpec::new(name, Target::Aggregate(Box::new(aggregate.clone())));
        spec.pool.max = PoolSpec::MOST_CONNECTIONS;
        kept(&spec).unwrap_or_else(|| {
            let service = Aggregate::new(aggregate.clone(), catalog.clone());
            Mount::of_service(spec, Arc::new(service), config, house.clone())
        })
    };
    // The paths of the root are the default server's, if there is one.
    let is_free = config.default_server.is_none() && !config.servers.is_empty();
    let root = config.gateway.root.as_ref().filter(|_| is_free);
    let root = root.map(|aggregate| mount(ServerName::derive(Gateway::ROOT), aggregate));
    let views = config.gateway.views.iter().map(|(name, view)| mount(name.clone(), view)).collect();
    table.aggregated(root, views)
}

/// Lets a mount finish that is no longer in the table.
async fn retire(mount: Arc<Mount>) {
    mount.drain();
    let until = Instant::now() + RELOAD_GRACE;
    while mount.in_flight() > 0 && Instant::now() < until && !mount.is_closed() {
        tokio::time::sleep(TICK).await;
    }
    mount.close();
}
