//! Shared sessions: clients that declared the same to a process of the same kind may use it together.

use super::seat::new_id;
use super::unserved::RETRY_FULL;
use super::{Mount, Seat, Unserved};
use crate::config::Isolation;
use crate::protocol::{Member, handshake};
use crate::session::{Client, Session, SessionId, Transport};
use crate::wire::{Message, Revision};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// A process with this many requests in flight is busy: the next client gets another, if there is room.
const BUSY: usize = 16;

/// Bytes of capabilities that tell kinds of clients apart.
const LONGEST_CAPABILITIES: usize = 16 << 10;

/// The shared sessions of a mount.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<Key, Arc<Group>>>);

/// Sessions of one kind. The lock is held while one is opened, so that a crowd of clients opens one and not many.
type Group = AsyncMutex<Vec<Arc<Session>>>;

/// What clients must have in common to share a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    revision: Revision,
    /// Canonical JSON of the capabilities declared to the server.
    capabilities: Box<str>,
}

impl Mount {
    /// Seats a client of a shared mount; its handshake is answered from the one that the router made.
    pub(super) async fn join(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let client = self.seatless(id.clone(), transport, initialize).await?;
        self.seat(id, Seat::Taken(client.clone()));
        Ok(client)
    }

    /// A client in a shared session that is not yet found by its id.
    pub(super) async fn seatless(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let (revision, capabilities) = handshake::asked_for(initialize);
        if capabilities.len() > LONGEST_CAPABILITIES {
            return Err(Unserved::TooMuch("the capabilities in `initialize` are larger than 16 KiB"));
        }
        let capabilities: Map<String, Value> = serde_json::from_str(&capabilities).unwrap_or_default();
        let session = self.shared_session(self.key(revision, &capabilities)).await?;
        let member = Member { revision: Some(revision), capabilities, reachable: true };
        Ok(session.join(id, transport, member)?)
    }

    /// A client for one POST without a session. `revision`: what its header says it speaks.
    pub async fn visit(&self, revision: Revision) -> Result<Arc<Client>, Unserved> {
        let key = self.key(revision, &Map::new());
        let session = match self.spec.pool.isolation {
            Isolation::Request if !self.spec.pool.is_singleton() => self.open_shared(&key, true).await?,
            // Without authentication all clients are one principal.
            Isolation::Request | Isolation::Principal | Isolation::Shared => self.shared_session(key).await?,
        };
        let member = Member { revision: Some(revision), capabilities: Map::new(), reachable: false };
        Ok(session.join(new_id()?, Transport::Once, member)?)
    }

    /// The kind of process that a client needs. A singleton has one kind for all: it declares nothing, so that it
    /// never asks a question that the client at hand cannot answer.
    fn key(&self, revision: Revision, capabilities: &Map<String, Value>) -> Key {
        if self.spec.pool.is_singleton() {
            return Key { revision: Revision::NEWEST_LEGACY, capabilities: "{}".into() };
        }
        Key { revision, capabilities: Value::Object(capabilities.clone()).to_string().into() }
    }

    async fn shared_session(&self, key: Key) -> Result<Arc<Session>, Unserved> {
        let group = self.groups.group(&key);
        let mut sessions = group.lock().await;
        sessions.retain(|session| !session.is_over());
        let least =
            sessions.iter().map(|session| (session.in_flight(), session)).min_by_key(|(load, _)| *load);
        if let Some((load, session)) = least {
            let session = session.clone();
            if load >= BUSY && sessions.len() < self.spec.pool.max {
                drop(sessions);
                self.grow(key, group);
            }
            return Ok(session);
        }
        let session = self.open_shared(&key, false).await?;
        sessions.push(session.clone());
        Ok(session)
    }

    /// Opens another process of a kind beside those that are busy; nobody waits for it.
    fn grow(&self, key: Key, group: Arc<Group>) {
        let Some(mount) = self.me.upgrade() else { return };
        self.tracker.spawn(async move {
            // Whoever has the lock is growing already.
            let Ok(mut sessions) = group.try_lock() else { return };
            let idle = sessions.iter().any(|session| session.in_flight() < BUSY);
            if !idle && let Ok(session) = mount.open_shared(&key, false).await {
                sessions.push(session);
            }
        });
    }

    async fn open_shared(&self, key: &Key, once: bool) -> Result<Arc<Session>, Unserved> {
        let pool = self.admit()?;
        let (peer, pass) = pool.take().await.map_err(|error| self.not_had(&error))?;
        let session = Session::shared(peer, key.revision, key.capabilities.clone(), once, self.parts());
        self.adopt(&session, pass);
        match session.opened().await {
            Ok(_) => Ok(session),
            Err(error) => {
                // What a client asked for may be at fault, so the keeper's own handshake decides. A singleton has no
                // keeper's, and asks for nothing.
                let retry_after = if self.spec.pool.is_singleton() {
                    self.count_failure(&error.message)
                } else {
                    self.doubt.notify_one();
                    RETRY_FULL
                };
                Err(Unserved::Unavailable { error, retry_after })
            }
        }
    }
}

impl Groups {
    fn group(&self, key: &Key) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Kinds are what clients declare, so they are forgotten with their last session.
        let is_used = |group: &Arc<Group>| {
            group.try_lock().map_or(true, |mut sessions| {
                sessions.retain(|session| !session.is_over());
                !sessions.is_empty() || Arc::strong_count(group) > 1
            })
        };
        groups.retain(|other, group| other == key || is_used(group));
        groups.entry(key.clone()).or_default().clone()
    }
}
