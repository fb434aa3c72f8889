//! A server under a name: its processes, its sessions, its health.

mod admission;
mod approval;
mod catalog;
mod crowd;
mod door;
mod era;
pub(crate) mod errand;
mod figures;
mod gate;
mod group;
mod health;
mod house;
mod inquiry;
mod keeper;
mod list_cache;
mod lodging;
mod personal;
mod pins;
mod place;
mod pool;
mod quota;
mod seat;
mod sight;
mod source;
mod status;
mod successor;
mod table;
mod tools;
mod unserved;
mod visit;
mod warden;

use crate::access::{Caller, Places};
use crate::config::{Config, OnCrash, ServerName, ServerSpec, Target};
use crate::peer::Mask;
use crate::peer::in_process::Service;
use crate::protocol::Opened;
use crate::session::{Parts, Session, SessionId, Settings};
use crate::telemetry::{Conceal, EventKind, Events, Meter, Tally, Traffic};
use catalog::Catalogs;
use crowd::Listeners;
use door::{Door, Way};
use era::Eras;
pub use era::SILENCE;
use gate::Pass;
use group::Groups;
use health::Health;
use lodging::Rooms;
use pool::Pool;
use quota::Quota;
use sight::ToolRules;
use source::Source;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use approval::Approved;
pub use figures::{Census, Figures};
pub use house::House;
pub use inquiry::question;
pub use list_cache::{ListCache, ListKey, Lists};
pub use lodging::Lodging;
pub use pins::{Definition, HeldBack, NotApproved, Pins};
pub use seat::Seat;
pub use sight::serves;
pub use status::{MountStatus, State};
pub use successor::Restarting;
pub use table::Table;
pub use unserved::Unserved;

/// A process counts as starting until it has answered, but no longer than this.
const STARTING: Duration = Duration::from_secs(2);

/// A server under a name.
pub struct Mount {
    spec: ServerSpec,
    stateless: bool,
    settings: Settings,
    /// None: it is disabled, or its entry cannot work.
    pool: Option<Arc<Pool>>,
    facts: Mutex<Facts>,
    /// Clients with a session, by its id.
    seats: Mutex<HashMap<SessionId, Seated>>,
    /// Sessions, as they are counted here, and with streams in all.
    rooms: Arc<Places>,
    house_rooms: Rooms,
    /// What is counted of all that is asked; nothing: nothing is.
    quota: Option<Arc<Quota>>,
    sessions: Mutex<Vec<Weak<Session>>>,
    groups: Groups,
    eras: Eras,
    catalogs: Catalogs,
    /// Which tools are served.
    rules: ToolRules,
    pins: Arc<Pins>,
    /// Counts the changes of what is shown of them.
    sights: AtomicU64,
    /// Calls that wait for their client, by what the client knows them by. Their sessions are kept here, for a session that
    /// serves one request belongs to nobody else once that has been answered with a question.
    parked: Mutex<HashMap<Box<str>, Arc<Session>>>,
    /// A process can take a call to which it may ask questions.
    freed: Arc<Notify>,
    listeners: Listeners,
    tally: Arc<Tally>,
    /// What it is called where views have names, too.
    label: Arc<str>,
    events: Events,
    /// Where operators may look on at what is said, if they may.
    traffic: Option<Traffic>,
    /// What tells of its requests; nothing where nobody listens.
    meter: Option<Meter>,
    /// Whether it shows what that has measured.
    is_measured: bool,
    tracker: TaskTracker,
    /// There is reason to doubt that the server starts.
    doubt: Notify,
    /// The next attempt to start it is to be made at once.
    chance: Notify,
    closing: AtomicBool,
    closed: AtomicBool,
    stop: CancellationToken,
    /// How its sessions find it, or the mount that has taken its place.
    door: Arc<Door>,
    /// How those find it that it has from mounts whose place it took.
    doors: Mutex<Vec<Arc<Door>>>,
    /// The mount that has taken its place.
    next: OnceLock<Weak<Self>>,
    me: Weak<Self>,
}

/// A client with a session: to whom that belongs, and the places that it has.
#[derive(Clone)]
struct Seated {
    owner: Caller,
    seat: Seat,
    _lodging: Arc<Lodging>,
}

/// What was learned about the server.
#[derive(Default)]
struct Facts {
    health: Health,
    opened: Option<Opened>,
    verified_at: Option<SystemTime>,
    last_exit: Option<String>,
}

impl Mount {
    /// Mounts a server; nothing is started before [`start`](Self::start).
    pub fn new(spec: ServerSpec, config: &Config, house: House) -> Arc<Self> {
        Self::make(spec, config, house, None, None)
    }

    /// Mounts a server that is a part of this program.
    pub fn of_service(
        spec: ServerSpec,
        service: Arc<dyn Service>,
        config: &Config,
        house: House,
    ) -> Arc<Self> {
        Self::make(spec, config, house, Some(service), None)
    }

    fn make(
        mut spec: ServerSpec,
        config: &Config,
        house: House,
        service: Option<Arc<dyn Service>>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let ready = !(spec.pool.is_singleton() || spec.is_personal());
        let warm = if ready { spec.pool.warm } else { 0 };
        let tracker = house.tracker.clone();
        let patient = matches!(spec.target, Target::Remote(_));
        let mask = match &spec.target {
            Target::Stdio(command) => Mask::new(command),
            Target::Remote(remote) => Mask::remote(remote),
            Target::Aggregate(_) | Target::Disabled | Target::Broken(_) => Mask::default(),
        };
        let tally: Arc<Tally> = before.map(|before| before.tally.clone()).unwrap_or_default();
        let (label, events, traffic) = (label(&spec), house.events.clone(), house.traffic.clone());
        let meter = house.observer.clone();
        let meter = meter.map(|observer| Meter::new(label.clone(), tally.clone(), observer));
        let house_rooms = house.rooms.clone();
        let rooms = before.map_or_else(|| Places::new(None), |before| before.rooms.clone());
        rooms.set(spec.limits.sessions);
        let same = before.filter(|before| before.spec.limits == spec.limits);
        let quota = same.map_or_else(|| Quota::new(&spec.limits), |before| before.quota.clone());
        let (rules, pins) = (ToolRules::new(&spec.tools), house.pins.clone());
        let stop = CancellationToken::new();
        let source = Source::new(&spec.target, &spec.name, &config.limits, &house, &stop, service)
            .unwrap_or_else(|error| {
                spec.target = Target::Broken(error.to_string());
                None
            });
        let pool = source.map(|source| {
            let before = before.and_then(|before| before.pool.clone());
            let own = spec.env_from_header.clone();
            let size = (warm, spec.pool.max);
            Pool::new(spec.name.clone(), source, own, size, house, tally.clone(), before)
        });
        let settings = Settings {
            name: spec.name.as_str().into(),
            idle: spec.pool.idle_timeout.unwrap_or(config.idle_timeout),
            start: spec.start_timeout,
            timeout: spec.timeout,
            restart: spec.restart.on_crash == OnCrash::Restart,
            attempts: spec.restart.attempts,
            depth: config.limits.depth,
            patient,
            mask: Arc::new(mask),
        };
        Arc::new_cyclic(|me| Self {
            spec,
            stateless: config.stateless,
            settings,
            pool,
            facts: Mutex::default(),
            seats: Mutex::default(),
            rooms,
            house_rooms,
            quota,
            sessions: Mutex::default(),
            groups: Groups::default(),
            eras: Eras::default(),
            catalogs: Catalogs::default(),
            rules,
            pins,
            sights: AtomicU64::new(0),
            parked: Mutex::default(),
            freed: before.map(|before| before.freed.clone()).unwrap_or_default(),
            tally,
            label,
            events,
            traffic,
            meter,
            is_measured: config.metrics,
            listeners: Listeners::default(),
            tracker,
            doubt: Notify::new(),
            chance: Notify::new(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            stop,
            door: Door::to(me.clone()),
            doors: Mutex::default(),
            next: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// Starts what runs without clients: the first handshake, and the spares.
    pub fn start(self: &Arc<Self>) {
        if let Target::Broken(reason) = &self.spec.target {
            self.tell(EventKind::Failed, reason);
        }
        if let Some(pool) = &self.pool {
            self.tracker.spawn(keeper::keep(self.clone(), pool.clone()));
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.spec.name
    }

    /// Its command or URL, as it may be shown.
    pub fn command(&self) -> Option<String> {
        match &self.spec.target {
            Target::Stdio(command) => Some(self.settings.mask.apply(&command.to_string()).into_owned()),
            Target::Remote(remote) => Some(self.settings.mask.apply(&remote.to_string()).into_owned()),
            Target::Aggregate(_) | Target::Disabled | Target::Broken(_) => None,
        }
    }

    /// Something has happened to it.
    pub fn tell(&self, kind: EventKind, text: &str) {
        self.events.tell(Some(&self.label), kind, &self.settings.mask.apply(text));
    }

    /// The text without the secrets of its entry.
    pub fn conceal(&self, text: &str) -> String {
        self.settings.mask.conceal(text).into_owned()
    }

    /// What tells of its requests, where anybody listens.
    pub(super) fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// What it counts.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What it was mounted from.
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    /// Whether it is switched off, so that its paths are not there.
    pub fn is_disabled(&self) -> bool {
        matches!(self.spec.target, Target::Disabled)
    }

    /// Whether it stands for several other mounts.
    pub fn is_aggregate(&self) -> bool {
        matches!(self.spec.target, Target::Aggregate(_))
    }

    /// How long a client may be quiet before it is gone; nothing: for ever.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.settings.idle
    }

    /// Whether requests stand alone on its Streamable HTTP path.
    pub fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// Whether it takes nothing new, because the router ends or the mount does.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether its sessions have ended, and nothing more comes.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Lets the clock do its work in all sessions.
    pub fn tick(&self, now: Instant) {
        if let Some(pool) = &self.pool {
            pool.let_go(now);
        }
        let sessions: Vec<Arc<Session>> = {
            let mut sessions = self.sessions();
            if sessions.is_empty() {
                return;
            }
            sessions.retain(|session| session.strong_count() > 0);
            sessions.iter().filter_map(Weak::upgrade).collect()
        };
        for session in &sessions {
            session.tick(now);
        }
        let before = sessions.len();
        let living: Vec<_> = sessions.into_iter().filter(|session| !session.is_over()).collect();
        if living.len() < before {
            self.sessions().retain(|session| session.upgrade().is_some_and(|session| !session.is_over()));
            self.clear_seats();
        }
    }

    /// Removes the seats whose session ended before they were taken.
    fn clear_seats(&self) {
        // Sessions are asked without the lock on the seats: they take it under their own.
        let taken: Vec<_> =
            self.seats().iter().map(|(id, seated)| (id.clone(), seated.seat.clone())).collect();
        for (id, seat) in taken {
            if matches!(seat, Seat::Taken(client) if client.session().is_over()) {
                self.seats().remove(&id);
            }
        }
    }

    /// Takes nothing new, and ends the streams that would never end by themselves.
    pub fn drain(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.stop.cancel();
        if let Some(pool) = &self.pool {
            pool.close();
        }
        for session in self.living() {
            session.drain();
        }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.living().iter().map(|session| session.in_flight()).sum()
    }

    /// Ends all sessions and their processes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.drain();
        for session in self.living() {
            session.shut_down();
        }
        let seats = std::mem::take(&mut *self.seats());
        for seated in seats.into_values() {
            if let Seat::Standing(_, stream) | Seat::Joining(stream) = seated.seat {
                stream.end();
            }
        }
    }

    /// Ends every process at once.
    pub fn kill(&self) {
        self.close();
        if let Some(pool) = &self.pool {
            pool.kill();
        }
    }

    /// Takes a new session into the mount's care; the pass is held until it has opened, or for [`STARTING`].
    fn adopt(&self, session: &Arc<Session>, pass: Option<Pass>) {
        if let Some(next) = self.next() {
            // It was opened by who had been on his way here.
            return next.inherit_late(session);
        }
        self.sessions().push(Arc::downgrade(session));
        if self.is_closing() {
            // The end has come in between, and has not seen this one.
            return session.shut_down();
        }
        if let Some(pass) = pass {
            let session = session.clone();
            self.tracker.spawn(async move {
                // One that takes longer must not hold up the others for as long as it likes.
                let _ = tokio::time::timeout(STARTING, session.opened()).await;
                drop((pass, session));
            });
        }
    }

    /// What a session is made with whose processes are for a caller, or for him `alone`.
    fn parts(&self, caller: &Caller, alone: bool) -> Parts {
        Parts {
            settings: self.settings.clone(),
            credentials: self.credentials(caller),
            home: Arc::new(Way { door: self.door.clone(), caller: caller.clone(), alone }),
            tally: self.tally.clone(),
            tracker: self.tracker.clone(),
            freed: self.freed.clone(),
        }
    }

    /// What the session of a process is made with that is only asked what it speaks.
    fn parts_of_probe(&self, caller: &Caller) -> Parts {
        Parts { home: Arc::new(door::Closed), ..self.parts(caller, false) }
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Session>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self) -> Vec<Arc<Session>> {
        self.sessions().iter().filter_map(Weak::upgrade).collect()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What its numbers are called by. A server may be called as a view is, or as the whole.
fn label(spec: &ServerSpec) -> Arc<str> {
    match spec.target {
        Target::Aggregate(_) => format!("views/{}", spec.name).into(),
        _ => spec.name.as_str().into(),
    }
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount").field("name", self.name()).finish_non_exhaustive()
    }
}
