//! What the servers offer, for all endpoints that serve several of them.

use super::lists::Lists;
use super::news::News;
use super::part::{Changes, Known, PATIENCE, Part};
use super::viewer::Viewer;
use crate::access::{Caller, Digest, Lack};
use crate::mount::errand::Underway;
use crate::mount::{ListCache, ListKey, Mount, State};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Kinds of clients whose lists are kept for each server.
const MOST_KINDS: usize = 16;

/// The same where each user is of a kind of his own.
const MOST_USERS: usize = 256;

/// A server has so long to give its lists: it may have to be installed first.
const FETCH_WITHIN: Duration = Duration::from_mins(2);

/// How often a server that has failed is looked at, while somebody listens.
const LOOK: Duration = Duration::from_millis(500);

/// What the servers offer.
pub struct Catalog {
    members: ArcSwap<Vec<Arc<Member>>>,
    /// Counts the changes of tools, prompts and resources.
    changes: watch::Sender<[u64; 3]>,
    listened: Mutex<HashMap<Box<str>, Listened>>,
    /// The servers that had failed when it was last looked.
    failed: Mutex<Vec<Weak<Member>>>,
    /// What servers have listed that are not started before somebody calls them.
    cache: ListCache,
    tracker: TaskTracker,
    me: Weak<Self>,
}

/// A server, and what is known of it.
pub(super) struct Member {
    /// Tells it from all others there ever were.
    pub(super) id: u64,
    /// The server.
    pub(super) mount: Arc<Mount>,
    /// By the capabilities of the clients, as canonical JSON, and by what a client brings where each brings his own: servers
    /// show themselves differently.
    parts: Mutex<HashMap<PartKey, Arc<Part>>>,
    /// Until when it was waited for, before it had said what it is.
    awaited: OnceLock<Instant>,
    /// It is served no more.
    gone: CancellationToken,
}

/// Whose part of what a server has it is.
type PartKey = (Box<str>, Option<Digest>);

/// What is known of a server, for clients of a kind.
pub(super) struct Piece {
    /// The server.
    pub(super) member: Arc<Member>,
    /// What it offers.
    pub(super) lists: Option<Arc<Lists>>,
    /// Why that is not known.
    pub(super) missing: Option<String>,
    /// Counts what has changed.
    pub(super) version: u64,
}

/// Changes are listened to for clients of a kind.
#[derive(Debug)]
struct Listened {
    listeners: usize,
    stop: CancellationToken,
}

/// Somebody listens to changes, for as long as this lives.
#[derive(Debug)]
pub(super) struct Listening {
    catalog: Arc<Catalog>,
    capabilities: Box<str>,
}

/// How long lists are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    No,
    /// As long as any list waits for a server.
    Patiently,
    /// As long as a call waits for a server of which it is not known yet whether it is the one that is called.
    ForCall,
}

/// A call by a name that no list has waits so long for the lists that are missing.
const CALL_PATIENCE: Duration = Duration::from_secs(15);

impl Catalog {
    /// A catalog of nothing yet.
    pub fn new(tracker: TaskTracker, cache: ListCache) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            members: ArcSwap::default(),
            changes: watch::Sender::default(),
            listened: Mutex::default(),
            failed: Mutex::default(),
            cache,
            tracker,
            me: me.clone(),
        })
    }

    /// From now on these are the servers. What is known of those that stay is kept.
    pub fn serve(&self, mounts: impl Iterator<Item = Arc<Mount>>) {
        let before = self.members.load_full();
        let known = |mount: &Arc<Mount>| before.iter().find(|member| Arc::ptr_eq(&member.mount, mount));
        let now: Vec<Arc<Member>> = mounts
            .filter(|mount| !mount.is_disabled())
            .map(|mount| known(&mount).cloned().unwrap_or_else(|| Arc::new(Member::new(mount))))
            .collect();
        let is_in =
            |member: &Arc<Member>, members: &[Arc<Member>]| members.iter().any(|m| Arc::ptr_eq(m, member));
        let gone: Vec<_> = before.iter().filter(|member| !is_in(member, &now)).cloned().collect();
        let new: Vec<_> = now.iter().filter(|member| !is_in(member, &before)).cloned().collect();
        {
            // Whoever begins to listen finds the new ones by himself, or is found here.
            let listened = self.listened();
            self.members.store(Arc::new(now));
            for (capabilities, listened) in &*listened {
                for member in &new {
                    self.listen_to(member, capabilities, &listened.stop);
                }
            }
        }
        for member in &gone {
            member.gone.cancel();
        }
        if !(gone.is_empty() && new.is_empty()) {
            self.changed(Changes { kinds: [true; 3] });
        }
    }

    /// The servers, in their order.
    pub(super) fn members(&self) -> Arc<Vec<Arc<Member>>> {
        self.members.load_full()
    }

    /// What changes from now on.
    pub(super) fn news(&self) -> News {
        News::new(self.changes.subscribe())
    }

    /// The tasks of whoever serves from it.
    pub(super) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// What is known of each of `members`, for a viewer.
    pub(super) async fn pieces(&self, members: &[Arc<Member>], viewer: &Viewer, wait: Wait) -> Vec<Piece> {
        let until = Instant::now() + CALL_PATIENCE;
        let parts: Vec<_> = members
            .iter()
            .map(|member| {
                if let Some(lack) = member.mount.lack(&viewer.caller) {
                    return Err(Piece::lacking(member, &lack));
                }
                let part = member.part(viewer);
                let mut underway = self.refresh(member, &part, viewer);
                if wait == Wait::ForCall && part.known().lists.is_none() {
                    underway = part.underway();
                }
                Ok((member, part, underway))
            })
            .collect();
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            let (member, part, underway) = match part {
                Ok(part) => part,
                Err(piece) => {
                    pieces.push(piece);
                    continue;
                }
            };
            if let Some(underway) = underway.filter(|_| wait != Wait::No) {
                let until = if wait == Wait::ForCall { until } else { member.grace(&underway) };
                let _ = timeout_at(until, underway.outcome()).await;
            }
            pieces.push(Piece::new(member, &part, wait));
        }
        pieces
    }

    /// Somebody with these capabilities listens to changes.
    pub(super) fn listen(self: &Arc<Self>, capabilities: &str) -> Listening {
        let mut listened = self.listened();
        if let Some(kind) = listened.get_mut(capabilities) {
            kind.listeners += 1;
        } else {
            let stop = CancellationToken::new();
            for member in &**self.members.load() {
                self.listen_to(member, capabilities, &stop);
            }
            self.tracker.spawn(observe(self.me.clone(), stop.clone()));
            listened.insert(capabilities.into(), Listened { listeners: 1, stop });
        }
        Listening { catalog: self.clone(), capabilities: capabilities.into() }
    }

    /// Fetches what a server offers, and tells those who listen what has changed.
    pub(super) async fn renew(&self, member: &Arc<Member>, capabilities: &str, announced: Changes) {
        let viewer = Viewer::anyone(capabilities);
        let part = member.part(&viewer);
        let fetch = fetch(self.me.clone(), member.clone(), part.clone(), viewer);
        part.renew(&self.tracker, announced, fetch).await;
    }

    /// Tells those who listen.
    pub(super) fn changed(&self, changes: Changes) {
        self.changes.send_if_modified(|counts| {
            for (count, changed) in counts.iter_mut().zip(changes.kinds) {
                *count += u64::from(changed);
            }
            changes.kinds.contains(&true)
        });
    }

    fn refresh(&self, member: &Arc<Member>, part: &Arc<Part>, viewer: &Viewer) -> Option<Underway<()>> {
        let state = member.mount.state();
        if state == State::Failed {
            // It is tried again by its keeper.
            return None;
        }
        let running = !member.mount.spec().is_lazy() || state == State::Ready;
        let fetch = || fetch(self.me.clone(), member.clone(), part.clone(), viewer.clone());
        part.refresh(&self.tracker, running, member.mount.sights(), fetch)
    }

    fn listen_to(&self, member: &Arc<Member>, capabilities: &str, stop: &CancellationToken) {
        // One that is started by its first use is not used by listening to it.
        if !member.mount.spec().is_lazy() {
            let (catalog, stop) = (self.me.clone(), stop.clone());
            self.tracker.spawn(super::watch::watch(catalog, member.clone(), capabilities.into(), stop));
        }
    }

    fn listened(&self) -> MutexGuard<'_, HashMap<Box<str>, Listened>> {
        self.listened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn new(mount: Arc<Mount>) -> Self {
        static COUNTED: AtomicU64 = AtomicU64::new(0);
        let id = COUNTED.fetch_add(1, Ordering::Relaxed);
        Self { id, mount, parts: Mutex::default(), awaited: OnceLock::new(), gone: CancellationToken::new() }
    }

    /// Waits until the server is served no more.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Until when a server that has never said what it is, is waited for: whoever waits, it has its time once. Nothing if it
    /// has said it, or has failed to.
    pub(super) fn awaited(&self) -> Option<Instant> {
        // One that is started by its first user has nobody to say it to before.
        let is_new =
            self.mount.state() == State::Starting && !self.mount.is_personal() && self.opened().is_none();
        is_new.then(|| *self.awaited.get_or_init(|| Instant::now() + PATIENCE))
    }

    /// Until when a list waits for what it is being asked.
    fn grace(&self, underway: &Underway<()>) -> Instant {
        let until = Instant::from_std(underway.begun()) + PATIENCE;
        self.awaited().map_or(until, |awaited| awaited.min(until))
    }

    /// What the server offers to a caller's clients of whatever kind, if that is known of any.
    pub(super) fn any_lists(&self, caller: &Caller) -> Option<Arc<Lists>> {
        let marks = self.mount.marks(caller);
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut his = parts.iter().filter(|((_, whose), _)| *whose == marks);
        his.find_map(|(_, part)| part.known().lists)
    }

    /// Lists to keep: the ones that are kept already, if clients of any kind are shown the same.
    fn kept_once(&self, lists: Lists) -> Arc<Lists> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = parts.values().filter_map(|part| part.known().lists);
        kept.find(|kept| **kept == lists).unwrap_or_else(|| Arc::new(lists))
    }

    fn part(&self, viewer: &Viewer) -> Arc<Part> {
        let key = (viewer.capabilities.clone(), self.mount.marks(&viewer.caller));
        let most = if key.1.is_some() { MOST_USERS } else { MOST_KINDS };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get(&key) {
            return part.clone();
        }
        if parts.len() >= most {
            // What clients declare is up to them: what nobody uses just now is forgotten.
            parts.retain(|_, part| Arc::strong_count(part) > 1);
        }
        let part = Arc::new(Part::default());
        parts.insert(key, part.clone());
        part
    }
}

impl Piece {
    /// What is known of a server for somebody who has not brought what it works with: nothing.
    fn lacking(member: &Arc<Member>, lack: &Lack) -> Self {
        Self { member: member.clone(), lists: None, missing: Some(lack.to_string()), version: 0 }
    }

    fn new(member: &Arc<Member>, part: &Part, wait: Wait) -> Self {
        let Known { lists, failure, version, .. } = part.known();
        let failed = member.mount.state() == State::Failed;
        let why = || {
            let reason = member.mount.error().filter(|_| failed).or(failure);
            reason.unwrap_or_else(|| "it has not answered yet".to_owned())
        };
        let (lists, missing) = match lists {
            Some(lists) if !failed => (Some(lists), None),
            _ => (None, Some(why())),
        };
        if missing.is_some() && wait != Wait::No {
            part.miss();
        }
        // That a server has failed is a change, too, as much as that it has come back.
        let version = version * 2 + u64::from(failed);
        Self { member: member.clone(), lists, missing, version }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listened = self.catalog.listened();
        if let Some(kind) = listened.get_mut(&self.capabilities) {
            kind.listeners -= 1;
            if kind.listeners == 0 {
                kind.stop.cancel();
                listened.remove(&self.capabilities);
            }
        }
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

async fn fetch(catalog: Weak<Catalog>, member: Arc<Member>, part: Arc<Part>, viewer: Viewer) {
    let Viewer { capabilities, caller, .. } = viewer;
    // What one user is shown is kept for nobody.
    let lazy = member.mount.spec().is_lazy() && !member.mount.is_personal();
    // What all are shown is asked for in nobody's name; rights are applied to what is offered.
    let caller = if member.mount.is_personal() { caller.unbounded() } else { Caller::anyone() };
    let cache = catalog.upgrade().filter(|_| lazy).map(|catalog| catalog.cache.clone());
    let key = || {
        let capabilities = serde_json::from_str(&capabilities).unwrap_or_default();
        ListKey::of(member.mount.spec(), &capabilities)
    };
    if let Some(cache) = &cache
        && part.known().lists.is_none()
        && let Some(mut kept) = cache.load(&key()).await
    {
        // What is approved may have changed since.
        kept.tools.iter_mut().for_each(|tools| tools.retain(|tool| member.mount.still_shows(tool)));
        return part.remember(member.kept_once(kept.into()));
    }
    let lists = tokio::select! {
        () = member.gone() => return,
        lists = timeout(FETCH_WITHIN, Lists::fetch(&member.mount, &capabilities, &caller)) => lists,
    };
    let lists = lists.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
    // The words may be the server's own.
    let lists = lists.map_err(|reason| member.mount.fit_to_show(&reason, &caller));
    if let Err(reason) = &lists {
        tracing::debug!(server = %member.mount.name(), "what it offers is not known: {reason}");
    }
    if let (Some(cache), Ok(lists)) = (&cache, &lists) {
        cache.store(&key(), &lists.into()).await;
    }
    let changes = part.settle(lists.map(|lists| member.kept_once(lists)));
    if let Some(catalog) = catalog.upgrade() {
        catalog.changed(changes);
    }
}

/// Looks for servers that fail, and for those that come back.
async fn observe(catalog: Weak<Catalog>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(catalog) = catalog.upgrade() else { return };
        let now: Vec<Weak<Member>> = catalog
            .members()
            .iter()
            .filter(|member| member.mount.state() == State::Failed)
            .map(Arc::downgrade)
            .collect();
        // Others may look, too: a change is told by whoever sees it first.
        let mut failed = catalog.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let same = now.len() == failed.len() && now.iter().zip(&*failed).all(|(a, b)| a.ptr_eq(b));
        if !same {
            *failed = now;
            catalog.changed(Changes { kinds: [true; 3] });
        }
    }
}
