//! Shared sessions: clients that may share a process of a kind use it together.

use super::unserved::RETRY_FULL;
use super::{Mount, Unserved};
use crate::protocol::{Load, Principal};
use crate::session::{Opening, Session};
use crate::wire::{Code, Era, Revision, RpcError};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// A process with this many requests in flight is busy: the next client gets another, if there is room.
const BUSY: usize = 16;

/// Bytes of capabilities that tell kinds of clients apart.
pub(super) const LONGEST_CAPABILITIES: usize = 16 << 10;

/// The shared sessions of a mount.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<Kind, Arc<Group>>>);

/// Sessions of one kind. The lock is held while one is opened, so that a crowd of clients opens one and not many.
pub(super) type Group = AsyncMutex<Vec<Arc<Session>>>;

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
        clients: Option<(Era, Option<Principal>)>,
    },
    /// A process of the modern era, which knows no clients.
    Modern,
}

impl Kind {
    fn opening(&self) -> Opening {
        match self {
            Self::Legacy { revision, capabilities, clients } => Opening::Legacy {
                revision: *revision,
                visited: !matches!(clients, Some((Era::Legacy, _))),
                capabilities: serde_json::from_str(capabilities).unwrap_or_default(),
            },
            Self::Modern => Opening::Modern,
        }
    }

    fn era(&self) -> Era {
        match self {
            Self::Legacy { .. } => Era::Legacy,
            Self::Modern => Era::Modern,
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
        clients: (Era, Option<Principal>),
    ) -> Kind {
        if self.spec.pool.is_singleton() {
            let revision = Revision::NEWEST_LEGACY;
            return Kind::Legacy { revision, capabilities: "{}".into(), clients: None };
        }
        let capabilities = Value::Object(capabilities.clone()).to_string().into();
        Kind::Legacy { revision, capabilities, clients: Some(clients) }
    }

    /// The session of a kind that all its subscriptions are in. It is the first, which is also the first to get a call that
    /// finds several free: what that changes, they hear.
    pub(super) async fn listened_session(&self, kind: &Kind) -> Result<Arc<Session>, Unserved> {
        let group = self.groups.group(kind);
        let mut sessions = group.lock().await;
        sessions.retain(|session| !session.is_over());
        // One whose process is being replaced keeps its listeners.
        if let Some(session) = sessions.first().cloned() {
            drop(sessions);
            session.renewed().await;
            return Ok(session);
        }
        let session = self.open_shared(kind, false).await?;
        sessions.push(session.clone());
        Ok(session)
    }

    /// The session of a kind that is the least busy; another is opened when all are.
    pub(super) async fn shared_session(&self, kind: &Kind) -> Result<Arc<Session>, Unserved> {
        let group = self.groups.group(kind);
        let mut sessions = group.lock().await;
        sessions.retain(|session| !session.is_over());
        let rated = sessions.iter().map(|session| (session.is_spoiled(), session.load(), session));
        let least = rated.min_by_key(|(spoiled, load, _)| (*spoiled, *load));
        if let Some((spoiled, load, session)) = least {
            let session = session.clone();
            let room = sessions.len() < self.spec.pool.max;
            if spoiled {
                if room && let Ok(session) = self.open_shared(kind, false).await {
                    sessions.push(session.clone());
                    return Ok(session);
                }
                drop(sessions);
                session.renewed().await;
                return Ok(session);
            }
            // One that may do one thing at a time would keep this request waiting: a spare can serve it at once.
            if load.stuck && room && self.pool.as_ref().is_some_and(|pool| pool.has_spare()) {
                if let Ok(session) = self.open_shared(kind, false).await {
                    sessions.push(session.clone());
                    return Ok(session);
                }
            } else if is_busy(load) && room {
                drop(sessions);
                self.grow(kind.clone(), group);
            }
            return Ok(session);
        }
        let session = self.open_shared(kind, false).await?;
        sessions.push(session.clone());
        Ok(session)
    }

    /// Opens another process of a kind beside those that are busy; nobody waits for it.
    fn grow(&self, kind: Kind, group: Arc<Group>) {
        let Some(mount) = self.me.upgrade() else { return };
        self.tracker.spawn(async move {
            // Whoever has the lock is growing already.
            let Ok(mut sessions) = group.try_lock() else { return };
            let idle = sessions.iter().any(|session| !is_busy(session.load()));
            if !idle && let Ok(session) = mount.open_shared(&kind, false).await {
                sessions.push(session);
            }
        });
    }

    pub(super) async fn open_shared(&self, kind: &Kind, once: bool) -> Result<Arc<Session>, Unserved> {
        let pool = self.admit()?;
        let (peer, pass) = pool.take().await.map_err(|error| self.not_had(&error))?;
        let session = Session::shared(peer, kind.opening(), once, self.parts());
        self.adopt(&session, pass);
        let Err(error) = session.opened().await else { return Ok(session) };
        let unserved = self.not_opened(kind.era(), error);
        if matches!(unserved, Unserved::OtherEra(_)) {
            // Its place may be needed for one of the other era.
            pool.room().await;
        }
        Err(unserved)
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

fn is_busy(load: Load) -> bool {
    load.stuck || load.in_flight >= BUSY
}

impl Groups {
    pub(super) fn group(&self, kind: &Kind) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(kind) {
            return group.clone();
        }
        // Kinds are what clients declare, so they are forgotten with their last session.
        let is_used = |group: &Arc<Group>| {
            group.try_lock().map_or(true, |mut sessions| {
                sessions.retain(|session| !session.is_over());
                !sessions.is_empty() || Arc::strong_count(group) > 1
            })
        };
        groups.retain(|_, group| is_used(group));
        groups.entry(kind.clone()).or_default().clone()
    }
}
