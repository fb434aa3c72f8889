//! A server under a name: its processes, its sessions, its health.

mod gate;
mod group;
mod health;
mod keeper;
mod pool;
mod status;
mod table;

use crate::config::{Config, OnCrash, PoolMode, ServerName, ServerSpec, Target};
use crate::peer::{Exit, Mask, Peer};
use crate::protocol::Opened;
use crate::session::{
    Client, EventStream, Home, Parts, Refused, Session, SessionId, Settings, StreamReader, Tally, Transport,
};
use crate::wire::{Code, Message, RpcError};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use gate::Pass;
use group::Groups;
use health::{Health, Standing};
use pool::{Pool, PoolError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use pool::House;
pub use status::{MountStatus, State};
pub use table::Table;

/// A process counts as starting until it has answered, but no longer than this.
const STARTING: Duration = Duration::from_secs(2);

/// When a client may try again that found a mount full.
const RETRY_FULL: Duration = Duration::from_secs(2);

/// A server under a name.
pub struct Mount {
    spec: ServerSpec,
    stateless: bool,
    settings: Settings,
    /// None: it is disabled, or its entry cannot work.
    pool: Option<Arc<Pool>>,
    facts: Mutex<Facts>,
    /// Clients with a session, by its id.
    seats: Mutex<HashMap<SessionId, Seat>>,
    sessions: Mutex<Vec<Weak<Session>>>,
    groups: Groups,
    tally: Arc<Tally>,
    tracker: TaskTracker,
    /// There is reason to doubt that the server starts.
    doubt: Notify,
    closing: AtomicBool,
    closed: AtomicBool,
    stop: CancellationToken,
    me: Weak<Self>,
}

/// What was learned about the server.
#[derive(Default)]
struct Facts {
    health: Health,
    opened: Option<Opened>,
    verified_at: Option<SystemTime>,
    last_exit: Option<String>,
}

/// A client with a session id.
#[derive(Clone, Debug)]
pub enum Seat {
    /// It takes part in a session.
    Taken(Arc<Client>),
    /// HTTP+SSE on a shared mount: which process fits is not known before `initialize` comes.
    Standing(SessionId, Arc<EventStream>),
}

impl Seat {
    /// Says something to an HTTP+SSE client on its stream; to another one nothing.
    pub fn tell(&self, message: Bytes) {
        match self {
            Self::Taken(client) => client.tell(message),
            Self::Standing(_, stream) => stream.tell(message),
        }
    }
}

/// Why a mount does not serve a request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unserved {
    /// No process can be had: why, and when trying again may help.
    #[error("{error}")]
    Unavailable {
        /// What the client is told.
        error: RpcError,
        /// When to try again.
        retry_after: Duration,
    },
    /// There is no such session.
    #[error("no such session")]
    NoSession,
    /// The request asks for more than is given to anybody.
    #[error("{0}")]
    TooMuch(&'static str),
}

impl Mount {
    /// Mounts a server; nothing is started before [`start`](Self::start).
    pub fn new(spec: ServerSpec, config: &Config, house: House) -> Arc<Self> {
        let singleton = spec.pool.is_singleton();
        let warm = if singleton { 0 } else { spec.pool.warm };
        let tracker = house.tracker.clone();
        let pool = match &spec.target {
            Target::Stdio(command) => {
                Some(Pool::new(spec.name.clone(), command.clone(), warm, spec.pool.max, house))
            }
            Target::Disabled | Target::Broken(_) => None,
        };
        let settings = Settings {
            name: spec.name.as_str().into(),
            idle: spec.pool.idle_timeout.unwrap_or(config.idle_timeout),
            start: spec.start_timeout,
            timeout: spec.timeout,
            restart: spec.restart.on_crash == OnCrash::Restart,
            attempts: spec.restart.attempts,
            depth: config.limits.depth,
            mask: Arc::new(match &spec.target {
                Target::Stdio(command) => Mask::new(command),
                Target::Disabled | Target::Broken(_) => Mask::default(),
            }),
        };
        Arc::new_cyclic(|me| Self {
            spec,
            stateless: config.stateless,
            settings,
            pool,
            facts: Mutex::default(),
            seats: Mutex::default(),
            sessions: Mutex::default(),
            groups: Groups::default(),
            tally: Arc::default(),
            tracker,
            doubt: Notify::new(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            stop: CancellationToken::new(),
            me: me.clone(),
        })
    }

    /// Starts what runs without clients: the first handshake, and the spares.
    pub fn start(self: &Arc<Self>) {
        if let Some(pool) = &self.pool {
            self.tracker.spawn(keeper::keep(self.clone(), pool.clone()));
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.spec.name
    }

    /// Its command, as it may be shown.
    pub fn command(&self) -> Option<String> {
        match &self.spec.target {
            Target::Stdio(command) => Some(self.settings.mask.apply(&command.to_string()).into_owned()),
            Target::Disabled | Target::Broken(_) => None,
        }
    }

    /// What it was mounted from.
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    /// Whether it is switched off, so that its paths are not there.
    pub fn is_disabled(&self) -> bool {
        matches!(self.spec.target, Target::Disabled)
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

    /// What it counts.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Opens a session for the `initialize` of a Streamable HTTP client.
    ///
    /// On a mount whose processes are shared, the handshake has been made when this returns; else the client is to
    /// post its own.
    pub async fn open(&self, initialize: &Message) -> Result<Arc<Client>, Unserved> {
        let id = new_id()?;
        match self.spec.pool.mode {
            PoolMode::Session => self.open_dedicated(id, Transport::Streamable).await,
            PoolMode::Shared => self.join(id, Transport::Streamable, initialize).await,
        }
    }

    /// Opens a session for an HTTP+SSE client, and the stream that is its life.
    pub async fn open_sse(&self) -> Result<(SessionId, StreamReader), Unserved> {
        let id = new_id()?;
        let stream = EventStream::standalone();
        let reader = stream.read();
        match self.spec.pool.mode {
            PoolMode::Session => drop(self.open_dedicated(id.clone(), Transport::Sse(stream)).await?),
            PoolMode::Shared => {
                self.admit()?;
                self.seat(id.clone(), Seat::Standing(id.clone(), stream));
            }
        }
        Ok((id, reader))
    }

    /// Seats an HTTP+SSE client of a shared mount, whose `initialize` has come.
    pub async fn seat_standing(
        &self,
        id: SessionId,
        stream: Arc<EventStream>,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let client = self.seatless(id.clone(), Transport::Sse(stream.clone()), initialize).await?;
        let mut seats = self.seats();
        match seats.get(id.as_str()) {
            Some(Seat::Standing(_, standing)) if Arc::ptr_eq(standing, &stream) => {
                seats.insert(id, Seat::Taken(client.clone()));
                Ok(client)
            }
            // The stream has ended meanwhile, or another `initialize` was faster.
            _ => {
                drop(seats);
                client.leave();
                Err(Unserved::NoSession)
            }
        }
    }

    /// The client with this session id.
    pub fn client(&self, id: &str) -> Option<Seat> {
        if id.len() != SessionId::LENGTH {
            return None;
        }
        self.seats().get(id).cloned()
    }

    /// Ends a client's session.
    pub fn leave(&self, id: &str) {
        let seat = self.seats().remove(id);
        match seat {
            Some(Seat::Taken(client)) => client.leave(),
            Some(Seat::Standing(_, stream)) => stream.close(),
            None => {}
        }
    }

    /// Lets the clock do its work in all sessions.
    pub fn tick(&self, now: Instant) {
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
        let is_over = |session: &Weak<Session>| session.upgrade().is_none_or(|session| session.is_over());
        self.sessions().retain(|session| !is_over(session));
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
        self.living().iter().map(|session| session.load().1).sum()
    }

    /// Ends all sessions and their processes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.drain();
        for session in self.living() {
            session.shut_down();
        }
        let seats = std::mem::take(&mut *self.seats());
        for seat in seats.into_values() {
            if let Seat::Standing(_, stream) = seat {
                stream.close();
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

    async fn open_dedicated(&self, id: SessionId, transport: Transport) -> Result<Arc<Client>, Unserved> {
        let pool = self.admit()?;
        let (peer, pass) = pool.take().await.map_err(|error| self.not_had(&error))?;
        // Over HTTP+SSE nothing is said to the process before the client posts.
        let pass = pass.filter(|_| matches!(transport, Transport::Streamable));
        let client =
            Session::dedicated(peer, id.clone(), transport, self.parts()).map_err(|_| shutting_down())?;
        self.adopt(client.session(), pass);
        self.seat(id, Seat::Taken(client.clone()));
        Ok(client)
    }

    fn seat(&self, id: SessionId, seat: Seat) {
        self.seats().insert(id, seat);
    }

    /// Takes a new session into the mount's care; the pass is held until it has opened.
    fn adopt(&self, session: &Arc<Session>, pass: Option<Pass>) {
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

    /// Whether a process may be had at all now.
    fn admit(&self) -> Result<&Arc<Pool>, Unserved> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(shutting_down());
        }
        let Some(pool) = &self.pool else {
            let reason = match &self.spec.target {
                Target::Broken(reason) => reason.clone(),
                Target::Disabled | Target::Stdio(_) => "the server is disabled".to_owned(),
            };
            return Err(unavailable(
                format!("the server {} cannot be started: {reason}", self.name()),
                health::PROBE_EVERY,
            ));
        };
        let facts = self.facts();
        let attempts = self.spec.restart.attempts;
        let wait = facts.health.wait(Instant::now());
        match (facts.health.standing(attempts), wait) {
            (Standing::Failed, wait) if wait.is_some() || !self.spec.pool.is_singleton() => {
                Err(self.failing(&facts, wait.unwrap_or(Duration::from_secs(1))))
            }
            (Standing::Failing, Some(wait)) => Err(self.failing(&facts, wait)),
            _ => Ok(pool),
        }
    }

    fn failing(&self, facts: &Facts, wait: Duration) -> Unserved {
        let reason = facts.health.reason().unwrap_or("unknown");
        unavailable(format!("the server {} cannot be started: {reason}", self.name()), wait)
    }

    /// What a client is told that gets no process; a failed spawn counts against the mount.
    fn not_had(&self, error: &PoolError) -> Unserved {
        match error {
            PoolError::Full | PoolError::HouseFull => Unserved::Unavailable {
                error: RpcError::new(
                    Code::Overloaded,
                    format!("{error}: try again later, or raise the limit"),
                ),
                retry_after: RETRY_FULL,
            },
            PoolError::Closed => shutting_down(),
            PoolError::Spawn(spawn) => {
                let reason = self.describe(spawn);
                let wait = self.count_failure(&reason);
                self.doubt.notify_one();
                unavailable(format!("the server {} cannot be started: {reason}", self.name()), wait)
            }
        }
    }

    fn count_failure(&self, reason: &str) -> Duration {
        let attempts = self.spec.restart.attempts;
        let mut facts = self.facts();
        let wait = facts.health.failed(reason.to_owned(), attempts, Instant::now());
        let failed = facts.health.standing(attempts) == Standing::Failed;
        drop(facts);
        if failed {
            tracing::error!(server = %self.name(), "failed: {reason}; it is tried again every {} s", wait.as_secs());
        } else {
            tracing::warn!(server = %self.name(), "cannot be started: {reason}");
        }
        wait
    }

    /// An error with its causes, on one line and without secrets.
    fn describe(&self, error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        self.settings.mask.apply(&text).into_owned()
    }

    fn parts(&self) -> Parts {
        Parts {
            settings: self.settings.clone(),
            home: Arc::new(Door(self.me.clone())),
            tally: self.tally.clone(),
            tracker: self.tracker.clone(),
        }
    }

    fn living(&self) -> Vec<Arc<Session>> {
        self.sessions().iter().filter_map(Weak::upgrade).collect()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<SessionId, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mount as its sessions know it: they do not keep it alive.
struct Door(Weak<Mount>);

impl Home for Door {
    fn replace(&self) -> BoxFuture<'static, Result<Peer, RpcError>> {
        let mount = self.0.clone();
        async move {
            let gone = || RpcError::new(Code::ShuttingDown, "the server is being unmounted");
            let mount = mount.upgrade().ok_or_else(gone)?;
            let pool = mount.pool.clone().ok_or_else(gone)?;
            pool.replace().await.map_err(|error| match mount.not_had(&error) {
                Unserved::Unavailable { error, .. } => error,
                Unserved::NoSession | Unserved::TooMuch(_) => gone(),
            })
        }
        .boxed()
    }

    fn opened(&self, opened: &Opened) {
        if let Some(mount) = self.0.upgrade() {
            let mut facts = mount.facts();
            facts.health.succeeded();
            facts.verified_at = Some(SystemTime::now());
            facts.opened = Some(opened.clone());
        }
    }

    fn crashed(&self, exit: &Exit) {
        if let Some(mount) = self.0.upgrade() {
            mount.facts().last_exit = Some(exit.to_string());
        }
    }

    fn not_opened(&self) {
        if let Some(mount) = self.0.upgrade() {
            mount.doubt.notify_one();
        }
    }

    fn left(&self, id: &SessionId) {
        if let Some(mount) = self.0.upgrade() {
            let seat = mount.seats().remove(id);
            drop(seat);
        }
    }
}

impl From<Refused> for Unserved {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Ended => Self::NoSession,
            Refused::Full => Self::Unavailable { error: RpcError::unread(), retry_after: RETRY_FULL },
            Refused::Restarting => Self::Unavailable {
                error: RpcError::new(
                    Code::ServerUnavailable,
                    "the server is being restarted: try again later",
                ),
                retry_after: RETRY_FULL,
            },
        }
    }
}

fn new_id() -> Result<SessionId, Unserved> {
    SessionId::random().map_err(|error| unavailable(error.to_string(), RETRY_FULL))
}

fn unavailable(reason: String, retry_after: Duration) -> Unserved {
    Unserved::Unavailable { error: RpcError::new(Code::ServerUnavailable, reason), retry_after }
}

fn shutting_down() -> Unserved {
    let error = RpcError::new(Code::ShuttingDown, "the router is shutting down: try again when it is back");
    Unserved::Unavailable { error, retry_after: RETRY_FULL }
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount").field("name", self.name()).finish_non_exhaustive()
    }
}
