//! For whom an offer is made: servers show themselves differently to different clients.

use super::catalog::{Member, Piece};
use super::lists::Lists;
use super::made::Made;
use super::part::next_version;
use crate::access::Caller;
use crate::protocol::offered;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// For whom an offer is made.
#[derive(Clone)]
pub(super) struct Viewer {
    /// The capabilities of the client, as canonical JSON.
    pub(super) capabilities: Box<str>,
    /// Who it is, and what it may.
    pub(super) caller: Caller,
    /// What servers show to this client alone.
    pub(super) own: Option<Arc<OwnLists>>,
}

/// What servers show to one client alone, in the sessions that it has with them.
#[derive(Default)]
pub(super) struct OwnLists {
    /// By server; the number counts the changes.
    lists: Mutex<HashMap<u64, (Arc<Lists>, u64)>>,
    /// The last offer that was made of them.
    made: Mutex<Option<Made>>,
}

impl Viewer {
    /// A caller whose client has these capabilities.
    pub(super) fn of(capabilities: &Map<String, Value>, caller: &Caller) -> Self {
        let capabilities = Value::Object(offered(capabilities)).to_string().into();
        Self { capabilities, caller: caller.clone(), own: None }
    }

    /// Somebody of whom no server needs to know who he is.
    pub(super) fn anyone(capabilities: &str) -> Self {
        Self { capabilities: capabilities.into(), caller: Caller::anyone(), own: None }
    }
}

impl OwnLists {
    /// A server shows this from now on.
    pub(super) fn show(&self, member: &Member, lists: Lists) {
        let mut all = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(member.id, (Arc::new(lists), next_version()));
        drop(all);
        *self.made() = None;
    }

    /// The session with a server is over, and what it showed there; whether that was anything.
    pub(super) fn forget(&self, member: &Member) -> bool {
        let gone = self.lists.lock().unwrap_or_else(PoisonError::into_inner).remove(&member.id).is_some();
        *self.made() = None;
        gone
    }

    /// The last offer that was made of them; none if they have changed since.
    pub(super) fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what is shown to this client in place of what is shown to all like it.
    pub(super) fn replace(&self, pieces: &mut [Piece]) {
        let all = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces {
            if let Some((lists, version)) = all.get(&piece.member.id) {
                piece.lists = Some(lists.clone());
                piece.missing = None;
                // Told from the numbers of what all see.
                piece.version = OWN | version;
            }
        }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Marks the number of what one client is shown.
const OWN: u64 = 1 << 63;
