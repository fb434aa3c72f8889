//! What the mounts of a router share: how many processes there may be, and how they are started.

use super::era::Verdicts;
use super::gate::Gate;
use super::lodging::Rooms;
use super::pins::Pins;
use crate::access::Places;
use crate::config::{Config, Target};
use crate::telemetry::{Events, Observer, Traffic};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// What all pools of a router share.
#[derive(Clone, Debug)]
pub struct House {
    pub(super) gate: Arc<Gate>,
    pub(super) processes: Arc<Semaphore>,
    /// What applies the sandboxes of commands.
    pub(super) sandbox_helper: Option<Arc<Path>>,
    pub(super) rooms: Rooms,
    /// Children inherit the whole environment.
    pub(super) pass_environment: bool,
    /// Bytes of a line, at most.
    pub(super) line_limit: usize,
    /// What is known of every command and URL.
    pub(super) verdicts: Verdicts,
    /// What is noted of the tools of servers that are pinned.
    pub(super) pins: Arc<Pins>,
    /// Who hears of requests; nobody where nothing is measured.
    pub(super) observer: Option<Observer>,
    /// What happens to the mounts.
    pub(super) events: Events,
    /// What is said, where operators may look on.
    pub(super) traffic: Option<Traffic>,
    /// Owns the tasks of all processes.
    pub(super) tracker: TaskTracker,
}

impl House {
    /// The house of a router with as many processes as its limits say; at most 2 x cores of them start at a time. `observer` hears of
    /// their requests.
    pub fn new(config: &Config, observer: Option<Observer>, tracker: TaskTracker) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            gate: Gate::new(2 * cores),
            processes: Arc::new(Semaphore::new(config.limits.processes.min(Semaphore::MAX_PERMITS))),
            rooms: Rooms {
                sessions: Places::new(Some(config.limits.sessions)),
                streams: Places::new(Some(config.limits.streams)),
            },
            sandbox_helper: config.sandbox_helper.as_deref().map(Arc::from),
            pass_environment: config.pass_environment,
            line_limit: config.limits.line,
            verdicts: Verdicts::default(),
            pins: Pins::of(config, tracker.clone()),
            observer,
            events: Events::default(),
            traffic: config.traffic.then(Traffic::default),
            tracker,
        }
    }

    /// What is noted of the tools of servers that are pinned.
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// What happens to the mounts, and to the router.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// What is said, where operators may look on.
    pub fn traffic(&self) -> Option<&Traffic> {
        self.traffic.as_ref()
    }

    /// Forgets what it knows of commands and URLs that are not served any more.
    pub fn forget_all_but(&self, config: &Config) {
        let served: HashSet<&Target> =
            config.servers.iter().chain(&config.default_server).map(|server| &server.target).collect();
        self.verdicts.retain(|target| served.contains(target));
    }
}
