//! One conversation with a server, and the clients that take part in it.
//!
//! A [`Session`] has one process at a time. The bridge, the process and the streams of the clients are behind one lock,
//! which is held while the bridge decides and what it decided is done; nothing waits under it. A *dedicated* session has
//! one client, which makes the handshake; a *shared* one has many, and the router makes it. A client reaches its session
//! through its [`Client`], the process on the task that reads its stdout, the clock through [`Session::tick`]. Where the
//! mount wishes so, the session outlives its process: the handshake is repeated with a new one, and clients keep their ids.

mod backlog;
mod client;
mod era;
mod id;
mod interaction;
mod life;
mod lines;
mod perform;
mod renewal;
mod stream;
mod streams;
mod usage;
mod warden;

use crate::access::Credentials;
use crate::peer::{Exit, Mask, Peer};
use crate::protocol::{Bridge, ClientKey, Guest, Input, LegacyLane, Opened, Output, Secrets, Straight};
use crate::telemetry::Tally;
use crate::wire::{Era, Revision, RpcError};
use arc_swap::ArcSwap;
use backlog::Backlog;
use futures::future::BoxFuture;
use interaction::Interactions;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use streams::Streams;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use warden::Watched;

pub use client::{Client, Posted, Refused, Visit};
pub use id::{NoEntropy, SessionId};
pub use interaction::Interaction;
pub use stream::{EventStream, First, Form, StreamReader};
pub use streams::{Transport, first};

pub use warden::{Held, Verdict, Warden};

/// Why a session takes its first client.
const NEW: &str = "a session of which nothing was heard yet is not over";

/// One conversation with a server.
pub struct Session {
    settings: ArcSwap<Settings>,
    /// What its processes have of the one caller for whom they run.
    credentials: Arc<Credentials>,
    home: Arc<dyn Home>,
    tally: Arc<Tally>,
    tracker: TaskTracker,
    state: Mutex<Conversation>,
    /// The link has changed.
    changed: Notify,
    interactions: Interactions,
    /// Somebody waits for a server that is being replaced.
    wanted: Notify,
    me: Weak<Session>,
}

/// What a session must know of its mount.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mount's name, for the log.
    pub name: Arc<str>,
    /// A client without request and without stream is gone after this; None: never.
    pub idle: Option<Duration>,
    /// Longest silence from the first message written to a process to the end of the handshake.
    pub start: Duration,
    /// Longest time that a request may take.
    pub timeout: Option<Duration>,
    /// The session goes on after the death of its process.
    pub restart: bool,
    /// Deaths within ten seconds that end the session.
    pub attempts: u32,
    /// The server is a remote one: however often it is lost, the session waits for it.
    pub patient: bool,
    /// Deepest nesting of a message.
    pub depth: usize,
    /// What must not be shown of what the server says.
    pub mask: Arc<Mask>,
}

/// What a session asks of its mount, and what it reports. All but [`replace`](Self::replace) is called under the session's
/// lock, and must neither block nor call back.
pub trait Home: Send + Sync + 'static {
    /// A process in place of one that died.
    fn replace(&self) -> BoxFuture<'static, Result<Peer, RpcError>>;
    /// The server has refused to initialize as one does that only speaks the modern era; `certain` if it said so. A
    /// process for that era, if it is so.
    fn turned_down(&self, certain: bool) -> BoxFuture<'static, Option<Peer>>;
    /// A call waits in `session` for its client, who knows it by `state`: until it is unparked, the session is the mount's to
    /// keep, since whoever made the call may have gone.
    fn parked(&self, state: &str, session: Arc<Session>);
    /// Nobody can come back by `state` any more.
    fn unparked(&self, state: &str);
    /// A handshake has succeeded.
    fn opened(&self, opened: &Opened);
    /// A process died that was not asked to.
    fn crashed(&self, exit: &Exit);
    /// The session goes on with a new process.
    fn resumed(&self);
    /// The first process died, or was silent for too long, before the handshake was over.
    fn not_opened(&self);
    /// The server has announced that its tools have changed.
    fn tools_changed(&self);
    /// A client has left, or its session has ended.
    fn left(&self, id: &SessionId);
}

/// Where the conversation stands: everything that the session's lock guards.
struct Conversation {
    bridge: Bridge,
    link: Link,
    clients: BTreeMap<ClientKey, Participant>,
    next_client: u64,
    next_exchange: u64,
    /// When the handshake in progress must be over.
    opening_until: Option<Instant>,
    /// When its process was first spoken to.
    greeted_at: Option<Instant>,
    last_active: Instant,
    deaths: Vec<Instant>,
    /// Peers that were lost, one soon after the other.
    failures: u32,
    /// When the session last began, or went on, with a peer.
    resumed_at: Option<Instant>,
    /// Its one client makes the handshake; it ends with that client.
    dedicated: bool,
    /// It serves one request, and ends.
    once: bool,
    /// Its process is to be replaced as soon as nothing is in flight there, and then at the latest.
    replace_by: Option<Instant>,
    /// Which process it is: what an earlier one still says is not heard.
    generation: u64,
    /// An `initialize` that waits for a process of the other era.
    turned_down: Option<era::Waiting>,
    /// A call is under way to which the server may ask questions.
    interaction: Option<Interaction>,
    backlog: Backlog,
    outputs: Vec<Output>,
}

/// What a session knows of one of its clients.
struct Participant {
    id: SessionId,
    streams: Streams,
    watched: Watched,
    last_active: Instant,
    /// Which era it speaks.
    era: Era,
}

/// Where the process is.
enum Link {
    /// The handshake with the first process is not over.
    Opening(Peer),
    /// The session is open.
    Up(Peer),
    /// The process died; another is on its way.
    Down,
    /// The handshake is being repeated with a new process.
    Replaying(Peer),
    /// The session is over: why, if it never opened.
    Ended(Option<RpcError>),
}

impl Session {
    /// A session with one client, which makes the handshake itself.
    pub fn dedicated(
        peer: Peer,
        id: SessionId,
        transport: Transport,
        warden: Option<Arc<dyn Warden>>,
        make: Parts,
    ) -> Arc<Client> {
        let rules = make.rules(matches!(transport, Transport::Streamable));
        let bridge = Bridge::Straight(Box::new(Straight::new(ClientKey(0), rules)));
        let session = Self::new(peer, bridge, true, make);
        let client = session.enrol(id, transport, None, None, warden).expect(NEW);
        session.attach();
        client
    }

    /// The same before a server that only speaks the modern era: the router opens the process, and answers the handshake.
    pub fn dedicated_across(
        peer: Peer,
        id: SessionId,
        transport: Transport,
        warden: Option<Arc<dyn Warden>>,
        make: Parts,
    ) -> Arc<Client> {
        let lane = era::lane(&make.settings.name, make.rules(matches!(transport, Transport::Streamable)));
        let session = Self::new(peer, lane, true, make);
        let client = session.enrol(id, transport, Some(era::guest()), None, warden).expect(NEW);
        session.attach();
        session.greet(&mut session.lock(), Instant::now());
        client
    }

    /// A session for many clients; the router opens the process.
    pub fn shared(peer: Peer, opening: Opening, once: bool, make: Parts) -> Arc<Self> {
        let rules = make.rules(true);
        let bridge = match opening {
            Opening::Legacy { revision, capabilities, visited } => {
                let secrets = Secrets::new(|| SessionId::random().ok().map(|id| id.as_str().into()));
                let lane = LegacyLane::new(revision, capabilities, visited, seed(), secrets, rules);
                Bridge::Legacy(Box::new(lane))
            }
            Opening::Modern => era::lane(&make.settings.name, rules),
        };
        let session = Self::new(peer, bridge, false, make);
        session.attach();
        let mut state = session.lock();
        state.once = once;
        let now = Instant::now();
        session.greet(&mut state, now);
        drop(state);
        session
    }

    /// Admits a client to a shared session.
    ///
    /// # Errors
    /// [`Refused::Ended`] if the session is over.
    pub fn join(
        self: &Arc<Self>,
        id: SessionId,
        transport: Transport,
        guest: Guest,
        warden: Option<Arc<dyn Warden>>,
    ) -> Result<Arc<Client>, Refused> {
        self.enrol(id, transport, Some(guest), None, warden)
    }

    /// Admits a client to a shared session for one POST. `interaction`: it is to make a call to which the server may ask
    /// questions.
    ///
    /// # Errors
    /// [`Refused::Ended`] if the session is over.
    pub fn visit(
        self: &Arc<Self>,
        id: SessionId,
        guest: Guest,
        interaction: Option<Interaction>,
        warden: Option<Arc<dyn Warden>>,
    ) -> Result<Visit, Refused> {
        self.enrol(id, Transport::Once, Some(guest), interaction, warden).map(Visit::new)
    }

    /// Claims the right to make the one call at a time to which the server may ask questions; none if there is one.
    pub fn interact(&self) -> Option<Interaction> {
        if self.is_over() || self.is_spoiled() {
            return None;
        }
        self.interactions.claim()
    }

    /// Waits until the session is open, or has failed to open.
    pub async fn opened(&self) -> Result<Opened, RpcError> {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.lock();
                match &state.link {
                    Link::Ended(why) => return Err(why.clone().unwrap_or_else(life::ended)),
                    _ => {
                        if let Some(opened) = state.bridge.opened() {
                            return Ok(opened.clone());
                        }
                    }
                }
            }
            changed.await;
        }
    }

    /// Tells its clients that the tools have changed, as far as they hear of that.
    pub fn announce_tools(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        if matches!(state.link, Link::Up(_)) {
            let mut outputs = std::mem::take(&mut state.outputs);
            state.bridge.announce_tools(now, &mut outputs);
            self.perform(&mut state, outputs, now);
        }
    }

    /// Waits while its process is being replaced.
    pub async fn renewed(&self) {
        loop {
            let changed = self.changed.notified();
            if !matches!(self.lock().link, Link::Down | Link::Replaying(_)) {
                return;
            }
            changed.await;
        }
    }

    fn new(peer: Peer, bridge: Bridge, dedicated: bool, make: Parts) -> Arc<Self> {
        let now = Instant::now();
        let state = Conversation {
            bridge,
            link: Link::Opening(peer),
            clients: BTreeMap::new(),
            next_client: 0,
            next_exchange: 0,
            opening_until: None,
            greeted_at: None,
            last_active: now,
            deaths: Vec::new(),
            failures: 0,
            resumed_at: None,
            dedicated,
            once: false,
            replace_by: None,
            generation: 0,
            turned_down: None,
            interaction: None,
            backlog: Backlog::default(),
            outputs: Vec::new(),
        };
        let Parts { settings, credentials, home, tally, tracker, freed } = make;
        Arc::new_cyclic(|me| Self {
            settings: ArcSwap::from_pointee(settings.hiding(&credentials)),
            credentials,
            home,
            tally,
            tracker,
            state: Mutex::new(state),
            changed: Notify::new(),
            interactions: Interactions::new(freed),
            wanted: Notify::new(),
            me: me.clone(),
        })
    }

    fn enrol(
        self: &Arc<Self>,
        id: SessionId,
        transport: Transport,
        guest: Option<Guest>,
        interaction: Option<Interaction>,
        warden: Option<Arc<dyn Warden>>,
    ) -> Result<Arc<Client>, Refused> {
        let mut state = self.lock();
        if matches!(state.link, Link::Ended(_)) {
            return Err(Refused::Ended);
        }
        let key = ClientKey(state.next_client);
        state.next_client += 1;
        let era = match &guest {
            Some(Guest::Modern(_)) => Era::Modern,
            Some(Guest::Legacy(_)) | None => Era::Legacy,
        };
        let participant = Participant {
            era,
            id: id.clone(),
            streams: Streams::new(transport),
            watched: Watched::by(warden.clone()),
            last_active: Instant::now(),
        };
        state.clients.insert(key, participant);
        if let Some(guest) = guest {
            state.bridge.join(key, guest);
        }
        drop(state);
        Ok(Arc::new(Client::new(self.clone(), key, id, interaction, warden)))
    }

    /// Hears what the process of now says.
    fn attach(&self) {
        let (peer, generation) = {
            let state = self.lock();
            (state.link.peer().cloned(), state.generation)
        };
        if let Some(peer) = peer {
            peer.attach(Arc::new(lines::Ear::new(self.me.clone(), generation)));
        }
    }

    /// Lets the bridge speak to a new process, as far as the handshake is the router's to make.
    fn greet(&self, state: &mut Conversation, now: Instant) {
        let mut outputs = std::mem::take(&mut state.outputs);
        state.bridge.greet(&mut outputs);
        self.perform(state, outputs, now);
    }

    /// Lets the bridge decide about `input`, and does what it decides.
    fn handle(&self, state: &mut Conversation, input: Input, now: Instant) {
        let mut outputs = std::mem::take(&mut state.outputs);
        state.bridge.handle(input, now, &mut outputs);
        self.perform(state, outputs, now);
        if state.interaction.is_some() && !state.bridge.is_interacting() {
            state.interaction = None;
        }
    }

    /// What it must know of its mount, now.
    fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    fn lock(&self) -> MutexGuard<'_, Conversation> {
        // A panic under the lock is our bug; the others in the process must still be served.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every session of a mount is made with.
#[derive(Clone)]
pub struct Parts {
    /// What it must know.
    pub settings: Settings,
    /// What its processes have of the one caller for whom they run.
    pub credentials: Arc<Credentials>,
    /// Whom it asks.
    pub home: Arc<dyn Home>,
    /// Where it counts.
    pub tally: Arc<Tally>,
    /// Owns its tasks.
    pub tracker: TaskTracker,
    /// Told when a process can take a call to which it may ask questions.
    pub freed: Arc<Notify>,
}

/// In which era a shared process is opened.
#[derive(Clone, Debug)]
pub enum Opening {
    /// With `initialize`.
    Legacy {
        /// The revision to ask for.
        revision: Revision,
        /// The client capabilities to declare.
        capabilities: Map<String, Value>,
        /// Modern clients come to it.
        visited: bool,
    },
    /// With `server/discover`.
    Modern,
}

impl Settings {
    /// The same, which shows nothing of what a caller has brought either.
    fn hiding(mut self, credentials: &Credentials) -> Self {
        if !credentials.is_empty() {
            self.mask = Arc::new(self.mask.and(credentials));
        }
        self
    }
}

impl Parts {
    fn rules(&self, answer_cancelled: bool) -> crate::protocol::Rules {
        crate::protocol::Rules { timeout: self.settings.timeout, answer_cancelled }
    }
}

/// Without random numbers there were no session ids either.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_default()
}

impl Link {
    fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Opening(peer) | Self::Up(peer) | Self::Replaying(peer) => Some(peer),
            Self::Down | Self::Ended(_) => None,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("mount", &self.settings().name).finish_non_exhaustive()
    }
}
