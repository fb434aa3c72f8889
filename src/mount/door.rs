//! The way back from a session to its mount.

use super::health::Standing;
use super::{Mount, Unserved};
use crate::access::Caller;
use crate::peer::{Exit, Peer};
use crate::protocol::Opened;
use crate::session::{Home, Session, SessionId};
use crate::telemetry::EventKind;
use crate::wire::{Code, RpcError};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// The mount as its sessions know it: they do not keep it alive.
#[derive(Debug)]
pub(super) struct Door(Mutex<Weak<Mount>>);

/// The way to the mount of a session whose processes are for a caller.
pub(super) struct Way {
    pub(super) door: Arc<Door>,
    pub(super) caller: Caller,
    /// They are for nobody else.
    pub(super) alone: bool,
}

/// The home of a session that nobody lives in: what it meets says nothing about the mount.
pub(super) struct Closed;

impl Home for Closed {
    fn replace(&self) -> BoxFuture<'static, Result<Peer, RpcError>> {
        async { Err(RpcError::new(Code::ShuttingDown, "the process was only asked what it speaks")) }.boxed()
    }

    fn turned_down(&self, _certain: bool) -> BoxFuture<'static, Option<Peer>> {
        async { None }.boxed()
    }

    fn parked(&self, _state: &str, _session: Arc<Session>) {}
    fn unparked(&self, _state: &str) {}
    fn opened(&self, _opened: &Opened) {}
    fn crashed(&self, _exit: &Exit) {}
    fn resumed(&self) {}
    fn not_opened(&self) {}
    fn tools_changed(&self) {}
    fn left(&self, _id: &SessionId) {}
}

impl Door {
    /// A door to this mount.
    pub(super) fn to(mount: Weak<Mount>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(mount)))
    }

    /// From now on it leads to the mount that has taken the place of the one before.
    pub(super) fn lead_to(&self, next: &Weak<Mount>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
    }

    pub(super) fn mount(&self) -> Option<Arc<Mount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

impl Way {
    fn mount(&self) -> Option<Arc<Mount>> {
        self.door.mount()
    }
}

impl Home for Way {
    fn replace(&self) -> BoxFuture<'static, Result<Peer, RpcError>> {
        let (mount, caller, alone) = (self.mount(), self.caller.clone(), self.alone);
        async move {
            let gone = || RpcError::new(Code::ShuttingDown, "the server is being unmounted");
            let mount = mount.ok_or_else(gone)?;
            let pool = mount.pool.clone().ok_or_else(gone)?;
            // The next process may say something else.
            mount.doubt_tools();
            let place = alone.then(|| mount.next_process_of(&pool, &caller)).flatten();
            let peer = pool.replace(&caller).await.map_err(|error| match mount.not_had(&error) {
                Unserved::Unavailable { error, .. } | Unserved::OtherEra(error) | Unserved::Denied(error) => {
                    error
                }
                Unserved::NoSession | Unserved::TooMuch(_) | Unserved::NoCall => gone(),
            })?;
            mount.keep_until_gone(&peer, place);
            Ok(peer)
        }
        .boxed()
    }

    fn turned_down(&self, certain: bool) -> BoxFuture<'static, Option<Peer>> {
        let (mount, caller, alone) = (self.mount(), self.caller.clone(), self.alone);
        async move {
            let mount = mount?;
            let peer = mount.other_era(certain, &caller).await?;
            let pool = mount.pool.as_ref().filter(|_| alone);
            mount.keep_until_gone(&peer, pool.and_then(|pool| mount.next_process_of(pool, &caller)));
            Some(peer)
        }
        .boxed()
    }

    fn parked(&self, state: &str, session: Arc<Session>) {
        if let Some(mount) = self.mount() {
            mount.parked().insert(state.into(), session);
        }
    }

    fn unparked(&self, state: &str) {
        if let Some(mount) = self.mount() {
            let session = mount.parked().remove(state);
            drop(session);
        }
    }

    fn opened(&self, opened: &Opened) {
        if let Some(mount) = self.mount() {
            if let Some(revision) = opened.revision {
                mount.learn(revision.era(), true);
            }
            let mut facts = mount.facts();
            let attempts = mount.spec.restart.attempts;
            let is_news = !(facts.health.proven && facts.health.standing(attempts) == Standing::Well);
            facts.health.succeeded();
            facts.verified_at = Some(SystemTime::now());
            // What a server says to one user is not shown to others.
            let shown = if mount.is_personal() { opened.without_words() } else { opened.clone() };
            facts.opened = Some(shown);
            drop(facts);
            if is_news && !mount.is_aggregate() {
                mount.tell(EventKind::Ready, &mount.greeting().unwrap_or_else(|| opened.version()));
            }
        }
    }

    fn crashed(&self, exit: &Exit) {
        if let Some(mount) = self.mount() {
            let mut facts = mount.facts();
            facts.last_exit = Some(exit.to_string());
            // That what has failed ends at each try is no news.
            let is_news = facts.health.standing(mount.spec.restart.attempts) != Standing::Failed;
            drop(facts);
            if is_news {
                mount.tell(EventKind::Crashed, &format!("the server {exit}"));
            }
        }
    }

    fn resumed(&self) {
        if let Some(mount) = self.mount() {
            mount.tell(EventKind::Restarted, "a session goes on with a new process");
        }
    }

    fn not_opened(&self) {
        if let Some(mount) = self.mount() {
            mount.doubt.notify_one();
        }
    }

    fn tools_changed(&self) {
        if let Some(mount) = self.mount() {
            mount.doubt_tools();
        }
    }

    fn left(&self, id: &SessionId) {
        if let Some(mount) = self.mount() {
            let seat = mount.seats().remove(id);
            drop(seat);
        }
    }
}
