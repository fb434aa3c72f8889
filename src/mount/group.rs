//! Shared sessions: clients that declared the same to a process of the same kind may use it together.

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
        let (revision, capabilities) = handshake::asked_for(initialize);
        let capabilities: Map<String, Value> = serde_json::from_str(&capabilities).unwrap_or_default();
        let key = self.key(revision, &capabilities);
        let session = self.shared_session(key).await?;
        let member = Member { capabilities, reachable: true };
        let client = session.join(id.clone(), transport, member)?;
        self.seat(id, Seat::Taken(client.clone()));
        Ok(client)
    }

    /// A client for one POST without a session. `revision`: what its header says it speaks.
    pub async fn visit(&self, revision: Revision) -> Result<Arc<Client>, Unserved> {
        let key = self.key(revision, &Map::new());
        let session = match self.spec.pool.isolation {
            Isolation::Request if !self.spec.pool.is_singleton() => self.open_shared(&key, true).await?,
            // Without authentication all clients are one principal.
            Isolation::Request | Isolation::Principal | Isolation::Shared => self.shared_session(key).await?,
        };
        let member = Member { capabilities: Map::new(), reachable: false };
        Ok(session.join(super::new_id()?, Transport::Once, member)?)
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
        let least = sessions.iter().map(|session| (session.load().1, session)).min_by_key(|(load, _)| *load);
        let least = least.map(|(load, session)| (load, session.clone()));
        match least {
            Some((load, session)) if load < BUSY || self.spec.pool.max <= sessions.len() => Ok(session),
            least => match self.open_shared(&key, false).await {
                Ok(session) => {
                    sessions.push(session.clone());
                    Ok(session)
                }
                // A full mount shares what it has.
                Err(error) => least.map(|(_, session)| session).ok_or(error),
            },
        }
    }

    async fn open_shared(&self, key: &Key, once: bool) -> Result<Arc<Session>, Unserved> {
        let pool = self.admit()?;
        let (peer, pass) = pool.take().await.map_err(|error| self.not_had(&error))?;
        let session = Session::shared(peer, key.revision, key.capabilities.clone(), once, self.parts());
        self.adopt(&session, pass);
        match session.opened().await {
            Ok(_) => Ok(session),
            Err(error) => {
                // The router made this handshake itself, so it counts.
                let retry_after = self.count_failure(&error.message);
                Err(Unserved::Unavailable { error, retry_after })
            }
        }
    }
}

impl Groups {
    fn group(&self, key: &Key) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Kinds are what clients declare, so they are forgotten with their last session.
        groups.retain(|other, group| {
            other == key
                || group.try_lock().is_ok_and(|sessions| !sessions.is_empty())
                || Arc::strong_count(group) > 1
        });
        groups.entry(key.clone()).or_default().clone()
    }
}
