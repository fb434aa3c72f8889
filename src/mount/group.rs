//! Shared sessions: clients that may share a process of a kind use it together.

use super::errand::{Errand, Underway};
use super::gate::Pass;
use super::pool::{Pool, PoolError};
use super::unserved::RETRY_FULL;
use super::{Mount, Unserved};
use crate::access::{Caller, Identity, Owner};
use crate::config::Isolation;
use crate::peer::Peer;
use crate::protocol::Load;
use crate::session::{self, Interaction, Session};
use crate::wire::{Code, Era, Revision, RpcError};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A process with this many requests in flight is busy: the next client gets another, if there is room.
const BUSY: usize = 16;

/// Bytes of capabilities that tell kinds of clients apart.
pub(super) const LONGEST_CAPABILITIES: usize = 16 << 10;

/// A request that finds every process busy waits so long for one that was begun; a spare is opened sooner than that.
const SPARE_WITHIN: Duration = Duration::from_millis(250);

/// The shared sessions of a mount.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<Kind, Arc<Group>>>);

/// Sessions of one kind.
#[derive(Debug, Default)]
pub(super) struct Group {
    sessions: Mutex<Vec<Arc<Session>>>,
    /// A crowd of clients opens one and not many, and whoever finds a session need not wait for it.
    opening: Errand<Result<Arc<Session>, Unserved>>,
}

/// A session that is being opened.
type Opening = Underway<Result<Arc<Session>, Unserved>>;

/// What there is for a client.
enum Choice {
    /// A session that is good enough.
    Found(Arc<Session>),
    /// One that is busy, while another is being opened.
    Busy(Arc<Session>, Opening),
    /// One whose process is to be replaced.
    Spoiled(Arc<Session>, Option<Opening>),
    /// None.
    None(Opening),
}

/// What another session is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client has none.
    Need,
    /// Those there are, are busy; nobody else is to give up anything for that.
    Growth,
}

/// Whether a session can take a call to which the server may ask questions.
pub(super) enum Free {
    /// This one, by this right.
    Found(Arc<Session>, Interaction),
    /// There are some, and each is in the middle of such a call.
    Taken,
    /// The same, but one of them has only to settle after a call that was given up.
    Calming,
    /// There is none.
    None,
}

/// What clients must have in common to share a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A process of the legacy era.
    Legacy {
        /// The revision asked for.
        revision: Revision,
        /// Canonical JSON of the capabilities declared to the server.
        capabilities: Box<str>,
        /// The era of the clients, and who they are where that keeps them apart; nothing for those of a singleton.
        clients: Option<(Era, Option<Owner>)>,
    },
    /// A process of the modern era, which knows no clients; nothing tells them apart, unless it is to.
    Modern(Option<Identity>, Option<Owner>),
}

impl Kind {
    fn opening(&self) -> session::Opening {
        match self {
            Self::Legacy { revision, capabilities, clients } => session::Opening::Legacy {
                revision: *revision,
                visited: !matches!(clients, Some((Era::Legacy, _))),
                capabilities: serde_json::from_str(capabilities).unwrap_or_default(),
            },
            Self::Modern(..) => session::Opening::Modern,
        }
    }

    /// Whether its processes are for the clients of one principal.
    fn is_of_one(&self) -> bool {
        match self {
            Self::Legacy { clients, .. } => matches!(clients, Some((_, Some(_)))),
            Self::Modern(one, owner) => one.is_some() || owner.is_some(),
        }
    }

    fn era(&self) -> Era {
        match self {
            Self::Legacy { .. } => Era::Legacy,
            Self::Modern(..) => Era::Modern,
        }
    }
}

impl Mount {
    /// The kind of legacy process that a client needs. A singleton has one kind for all: it declares nothing, so that it
    /// never asks a question that the client at hand cannot answer.
    pub(super) fn legacy_kind(
        &self,
        revision: Revision,
        capabilities: &Map<String, Value>,
        era: Era,
        caller: &Caller,
    ) -> Kind {
        if self.spec.pool.is_singleton() {
            let revision = Revision::NEWEST_LEGACY;
            return Kind::Legacy { revision, capabilities: "{}".into(), clients: None };
        }
        let capabilities = Value::Object(capabilities.clone()).to_string().into();
        // Without authentication all clients are one principal, but for what they bring.
        let apart = self.is_personal() || self.spec.pool.isolation != Isolation::Shared;
        let apart = apart.then(|| self.owner(caller));
        Kind::Legacy { revision, capabilities, clients: Some((era, apart)) }
    }

    /// The kind of modern process that a client needs.
    pub(super) fn modern_kind(&self, caller: &Caller) -> Kind {
        let (identity, owner) = self.identity(caller);
        Kind::Modern(identity, owner)
    }

    /// The session of a kind that all its subscriptions are in. It is the first, which is also the first to get a call that
    /// finds several free: what that changes, they hear.
    pub(super) async fn listened_session(
        &self,
        kind: &Kind,
        caller: &Caller,
    ) -> Result<Arc<Session>, Unserved> {
        let group = self.groups.group(kind);
        let opening = {
            let sessions = group.living();
            match sessions.first() {
                // One whose process is being replaced keeps its listeners.
                Some(session) => Err(session.clone()),
                None => Ok(self.begin(kind, caller, &group, Purpose::Need)),
            }
        };
        match opening {
            Ok(opening) => opened(opening).await,
            Err(session) => {
                session.renewed().await;
                Ok(session)
            }
        }
    }

    /// The session of a kind that is the least busy; another is opened when all are.
    pub(super) async fn shared_session(
        &self,
        kind: &Kind,
        caller: &Caller,
    ) -> Result<Arc<Session>, Unserved> {
        match self.choose(kind, caller) {
            Choice::Found(session) => Ok(session),
            Choice::Busy(session, opening) => {
                let until = opening.begun() + SPARE_WITHIN;
                let other = tokio::time::timeout_at(until.into(), opened(opening)).await;
                Ok(other.ok().and_then(Result::ok).unwrap_or(session))
            }
            Choice::Spoiled(session, opening) => {
                if let Some(opening) = opening
                    && let Ok(session) = opened(opening).await
                {
                    return Ok(session);
                }
                session.renewed().await;
                Ok(session)
            }
            Choice::None(opening) => opened(opening).await,
        }
    }

    fn choose(&self, kind: &Kind, caller: &Caller) -> Choice {
        let group = self.groups.group(kind);
        let sessions = group.living();
        let rated = sessions.iter().map(|session| (session.is_spoiled(), session.load(), session));
        let Some((spoiled, load, session)) = rated.min_by_key(|(spoiled, load, _)| (*spoiled, *load)) else {
            return Choice::None(self.begin(kind, caller, &group, Purpose::Need));
        };
        let (session, room) = (session.clone(), sessions.len() < self.spec.pool.max);
        if spoiled {
            return Choice::Spoiled(session, room.then(|| self.begin(kind, caller, &group, Purpose::Growth)));
        }
        if !is_busy(load) || !room {
            return Choice::Found(session);
        }
        let opening = self.begin(kind, caller, &group, Purpose::Growth);
        // One that may do one thing at a time would keep this request waiting; any other takes one more.
        if load.stuck { Choice::Busy(session, opening) } else { Choice::Found(session) }
    }

    /// Opens a session of a kind, unless one is being opened. To be called under the lock of the group's sessions: who finds
    /// none must find what becomes of the opening.
    fn begin(&self, kind: &Kind, caller: &Caller, group: &Arc<Group>, purpose: Purpose) -> Opening {
        let (mount, kind, home, caller) = (self.me.clone(), kind.clone(), group.clone(), caller.clone());
        group.opening.run(&self.tracker, async move {
            let mount = mount.upgrade().ok_or_else(Unserved::shutting_down)?;
            let session = mount.open_shared(&kind, &caller, false, purpose).await?;
            home.lock().push(session.clone());
            Ok(session)
        })
    }

    /// A session of a kind in which a call may be made to which the server may ask questions, and the right to make it.
    pub(super) fn free_session(&self, kind: &Kind) -> Free {
        let group = self.groups.group(kind);
        let sessions = group.living();
        for session in sessions.iter() {
            if let Some(interaction) = session.interact() {
                return Free::Found(session.clone(), interaction);
            }
        }
        if sessions.is_empty() {
            Free::None
        } else if sessions.iter().any(|session| session.is_calming()) {
            Free::Calming
        } else {
            Free::Taken
        }
    }

    /// Opens a session of a kind beside those there are.
    pub(super) async fn another_session(
        &self,
        kind: &Kind,
        caller: &Caller,
    ) -> Result<Arc<Session>, Unserved> {
        let opening = {
            let group = self.groups.group(kind);
            let _sessions = group.living();
            self.begin(kind, caller, &group, Purpose::Need)
        };
        opened(opening).await
    }

    pub(super) async fn open_shared(
        &self,
        kind: &Kind,
        caller: &Caller,
        once: bool,
        purpose: Purpose,
    ) -> Result<Arc<Session>, Unserved> {
        let pool = self.admit(caller)?;
        let alone = once || kind.is_of_one();
        let place = if alone { self.process_of(pool, caller) } else { Ok(None) };
        let place = place.map_err(|error| self.not_had(&error))?;
        let taken = match purpose {
            Purpose::Need => self.take(pool, caller).await,
            Purpose::Growth => pool.take(caller).await,
        };
        let (peer, pass) = taken.map_err(|error| self.not_had(&error))?;
        self.keep_until_gone(&peer, place);
        let session = Session::shared(peer, kind.opening(), once, self.parts(caller, alone));
        self.adopt(&session, pass);
        let Err(error) = session.opened().await else { return Ok(session) };
        let unserved = self.not_opened(kind.era(), error);
        if matches!(unserved, Unserved::OtherEra(_)) {
            // Its place may be needed for one of the other era.
            pool.room().await;
        }
        Err(unserved)
    }

    /// A process for a client alone.
    pub(super) async fn take_alone(&self, caller: &Caller) -> Result<(Peer, Option<Pass>), Unserved> {
        let pool = self.admit(caller)?;
        let place = self.process_of(pool, caller).map_err(|error| self.not_had(&error))?;
        let (peer, pass) = self.take(pool, caller).await.map_err(|error| self.not_had(&error))?;
        self.keep_until_gone(&peer, place);
        Ok((peer, pass))
    }

    /// A process for a client: a mount that is full gives up the one that nobody has used for longest.
    pub(super) async fn take(
        &self,
        pool: &Arc<Pool>,
        caller: &Caller,
    ) -> Result<(Peer, Option<Pass>), PoolError> {
        match pool.take(caller).await {
            Err(PoolError::Full | PoolError::HouseFull) if self.end_unused() || self.make_way().await => {
                pool.take_next(caller).await
            }
            taken => taken,
        }
    }

    /// Ends the shared session that nobody has used for longest; whether there was one.
    pub(super) fn end_unused(&self) -> bool {
        if self.spec.pool.is_singleton() {
            return false;
        }
        let unused = self.living().into_iter().filter_map(|session| Some((session.unused_since()?, session)));
        let Some((_, session)) = unused.min_by_key(|(since, _)| *since) else { return false };
        session.end_unused()
    }

    /// Whether as many calls wait for their clients as may: each keeps a process, and they must not have them all.
    pub(super) fn is_full_of_parked(&self) -> bool {
        let most = (self.spec.pool.max / 2).max(1);
        self.living().iter().filter(|session| session.is_parked()).count() >= most
    }

    /// What a client is told whose process did not open in this era.
    pub(super) fn not_opened(&self, era: Era, error: RpcError) -> Unserved {
        if error.code == Code::UnsupportedVersion {
            // It speaks the other era, and there is nothing wrong with it.
            match era {
                Era::Legacy => self.learn_only_modern(),
                Era::Modern => self.doubt_era(),
            }
            return Unserved::OtherEra(error);
        }
        if error.code == Code::RequestCancelled {
            // It did open, and was over before anybody could use it.
            return self.of_no_use();
        }
        // What a client asked for may be at fault, so the keeper's own handshake decides. A singleton has no keeper's, and
        // asks for nothing.
        let retry_after = if self.spec.pool.is_singleton() {
            self.count_failure(&error.message)
        } else {
            self.doubt.notify_one();
            RETRY_FULL
        };
        Unserved::Unavailable { error, retry_after }
    }
}

/// What has become of an opening.
async fn opened(opening: Opening) -> Result<Arc<Session>, Unserved> {
    // Left undone it is only where the router ends.
    opening.outcome().await.unwrap_or_else(|| Err(Unserved::shutting_down()))
}

fn is_busy(load: Load) -> bool {
    load.stuck || load.in_flight >= BUSY
}

impl Groups {
    /// Its sessions are these from now on, too: clients that come join them.
    pub(super) fn inherit(&self, before: &Self) {
        let before = before.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(before);
    }

    /// Nobody joins those there are any more; they go on for who is in them.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn group(&self, kind: &Kind) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(kind) {
            return group.clone();
        }
        // Kinds are what clients declare, so they are forgotten with their last session.
        let is_used = |group: &Arc<Group>| !group.living().is_empty() || Arc::strong_count(group) > 1;
        groups.retain(|_, group| is_used(group));
        groups.entry(kind.clone()).or_default().clone()
    }
}

impl Group {
    /// The sessions that are not over.
    fn living(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        let mut sessions = self.lock();
        sessions.retain(|session| !session.is_over());
        sessions
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
