//! The processes of a mount: how many there may be, and which are kept ready.

use super::era::Verdicts;
use super::figures::Census;
use super::gate::{Pass, Urgency};
use super::house::House;
use super::place::{Place, Places};
use super::source::Source;
use crate::access::{Caller, Lack};
use crate::config::{EnvFromHeader, ServerName, Target};
use crate::peer::{Cause, Exit, Launch, Peer, SpawnError, Witness};
use crate::session::SessionId;
use crate::telemetry::Tally;
use crate::wire::RpcError;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// After so many spares that exited unasked, the mount runs without spares.
const SPARE_DEATHS: u32 = 3;

/// The pause before a spare that exited is replaced, doubled for each further one.
const SPARE_PAUSE: Duration = Duration::from_millis(500);

/// A process that was made ready for a client, in a mount that keeps none ready, waits so long for it: longer than it takes
/// to find out what the server speaks.
const READY_FOR: Duration = Duration::from_secs(15);

/// The processes of one mount.
#[derive(Debug)]
pub(super) struct Pool {
    name: ServerName,
    source: Source,
    /// What each process has of its caller.
    own: EnvFromHeader,
    house: House,
    tally: Arc<Tally>,
    warm: usize,
    max: usize,
    places: Places,
    /// The pool whose place it took, while something of it runs.
    before: Mutex<Option<Arc<Pool>>>,
    stock: Mutex<Stock>,
    /// Spares may be wanting: one was taken, or died, or there is room for one again.
    wanting: Notify,
    stop: CancellationToken,
    /// Another one takes its place.
    retired: AtomicBool,
}

#[derive(Debug, Default)]
struct Stock {
    spares: VecDeque<Peer>,
    deaths: u32,
    /// Since when there is a spare that only one client will want.
    ready_since: Option<Instant>,
    /// Those of which something still runs, as they are counted.
    processes: BTreeMap<u64, Witness>,
    /// How many there ever were.
    counted: u64,
}

/// Why no process can be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PoolError {
    /// The mount runs as many as it may.
    #[error("all processes that `pool.max` allows are in use")]
    Full,
    /// All mounts together run as many as they may.
    #[error("all processes that `limits.processes` allows are in use")]
    HouseFull,
    /// The one for whom it would run has as many as he may.
    #[error("{0}")]
    Yours(RpcError),
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Its caller has not brought what it works with.
    #[error(transparent)]
    Lack(#[from] Lack),
    /// Nothing new is started.
    #[error("the router is shutting down")]
    Closed,
}

impl Pool {
    /// `own`: what each process has of its caller; `warm` processes are kept ready, and there are `max` at most. `before`: the pool whose place it takes. What runs there is still counted here until it has ended.
    pub(super) fn new(
        name: ServerName,
        source: Source,
        own: EnvFromHeader,
        (warm, max): (usize, usize),
        house: House,
        tally: Arc<Tally>,
        before: Option<Arc<Self>>,
    ) -> Arc<Self> {
        // A connection needs no place among the processes of this machine.
        let processes = (!source.starts_nothing()).then(|| house.processes.clone());
        let places = match &before {
            Some(before) if max == 1 && before.max == 1 && before.is_remote() == processes.is_none() => {
                before.places.inherited()
            }
            _ => Places::new(max, processes),
        };
        Arc::new(Self {
            name,
            // A connection that nobody has spoken over is no further than none. A spare must leave room for a client.
            warm: if source.starts_nothing() { 0 } else { warm.min(max) },
            source,
            own,
            places,
            max,
            house,
            tally,
            before: Mutex::new(before),
            stock: Mutex::default(),
            wanting: Notify::new(),
            stop: CancellationToken::new(),
            retired: AtomicBool::new(false),
        })
    }

    /// A process for a caller that was not spoken to: a spare, or a new one. The pass, if any, is to be held while it starts.
    pub(super) async fn take(self: &Arc<Self>, caller: &Caller) -> Result<(Peer, Option<Pass>), PoolError> {
        if let Some(spare) = self.take_spare() {
            return Ok((spare, None));
        }
        let place = self.free_place()?;
        self.start(place, self.turn(Urgency::Client), caller).await
    }

    /// The same in a full pool in which something ends: its place is free in a moment.
    pub(super) async fn take_next(
        self: &Arc<Self>,
        caller: &Caller,
    ) -> Result<(Peer, Option<Pass>), PoolError> {
        if let Some(spare) = self.take_spare() {
            return Ok((spare, None));
        }
        let place = self.next_place().await?;
        self.start(place, self.turn(Urgency::Client), caller).await
    }

    /// A process in place of one that died.
    pub(super) async fn replace(self: &Arc<Self>, caller: &Caller) -> Result<Peer, PoolError> {
        self.take_next(caller).await.map(|(peer, _)| peer)
    }

    /// A process to be thrown away, started in this turn. Gives up a spare if there is no room otherwise.
    pub(super) async fn throw_away(
        self: &Arc<Self>,
        turn: impl Future<Output = Pass> + Send,
        caller: &Caller,
    ) -> Result<(Peer, Option<Pass>), PoolError> {
        let started = match self.free_place() {
            Ok(place) => self.start(place, turn, caller).await,
            Err(full) => Err(full),
        };
        match started {
            Err(full @ (PoolError::Full | PoolError::HouseFull)) => {
                self.take_spare().map(|peer| (peer, None)).ok_or(full)
            }
            started => started,
        }
    }

    /// Waits for the turn to start a process.
    pub(super) async fn turn(&self, urgency: Urgency) -> Pass {
        self.house.gate.enter(urgency).await
    }

    /// What is known of every command.
    pub(super) fn verdicts(&self) -> &Verdicts {
        &self.house.verdicts
    }

    /// What it leads to.
    pub(super) fn target(&self) -> &Target {
        self.source.target()
    }

    /// Whether there is nothing to start and nothing to keep ready: it leads to another machine, or to a part of this program.
    pub(super) fn is_remote(&self) -> bool {
        self.source.starts_nothing()
    }

    /// Whether a process stands ready.
    pub(super) fn has_spare(&self) -> bool {
        !self.lock().spares.is_empty()
    }

    /// Waits until there is a place for a process, or one stands ready: that of one which was thrown away is free when
    /// nothing of it runs any more.
    pub(super) async fn room(&self) {
        if !self.has_spare() {
            drop(self.next_place().await);
        }
    }

    /// Starts a spare for a client that will need one in a moment, unless there is one.
    pub(super) async fn make_ready(self: &Arc<Self>) {
        if self.warm > 0 || !self.own.is_empty() || !self.lock().spares.is_empty() {
            // The keeper sees to it; or nobody but a caller can have one started.
            return;
        }
        let Ok(place) = self.free_place() else { return };
        let caller = Caller::anyone();
        if let Ok((peer, _pass)) = self.start(place, self.turn(Urgency::Client), &caller).await {
            self.lock().ready_since = Some(Instant::now());
            self.keep(peer);
        }
    }

    /// Stops the spares for which nobody has come, where none are to stand ready.
    pub(super) fn let_go(&self, now: Instant) {
        if self.warm > 0 {
            return;
        }
        let spares = {
            let mut stock = self.lock();
            if stock.ready_since.is_none_or(|since| now < since + READY_FOR) {
                return;
            }
            stock.ready_since = None;
            std::mem::take(&mut stock.spares)
        };
        for spare in spares {
            spare.stop();
        }
    }

    /// Keeps the spares ready until the pool is closed.
    pub(super) async fn keep_warm(self: Arc<Self>) {
        loop {
            let wanting = self.wanting.notified();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.fill() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = wanting => {}
            }
        }
    }

    /// Starts nothing more, and stops the spares.
    pub(super) fn close(&self) {
        self.stop.cancel();
        self.give_up_spares();
    }

    /// Keeps no spares any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.give_up_spares();
    }

    /// Replaces the spares, and forgets those that have died.
    pub(super) fn refresh(&self) {
        self.lock().deaths = 0;
        self.give_up_spares();
        self.wanting.notify_one();
    }

    fn give_up_spares(&self) {
        let spares = std::mem::take(&mut self.lock().spares);
        for spare in spares {
            spare.stop();
        }
    }

    /// The ids of the processes that run.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids = self.before().map_or_else(Vec::new, |before| before.pids());
        pids.extend(self.lock().running().filter_map(Witness::pid));
        pids
    }

    /// The processes that run, with those of the pool whose place it took.
    pub(super) fn census(&self) -> Census {
        let before = self.before().map(|before| before.census()).unwrap_or_default();
        let stock = self.lock();
        let running = stock.running().count();
        let spare = stock.spares.iter().filter(|spare| spare.exit().is_none()).count().min(running);
        Census { spare: before.spare + spare, working: before.working + running - spare, max: self.max }
    }

    /// Processes that run, without those of the pool whose place it took.
    pub(super) fn processes(&self) -> usize {
        self.lock().running().count()
    }

    /// The pool whose place it took, if something of it still runs.
    fn before(&self) -> Option<Arc<Self>> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.take_if(|before| before.is_empty());
        before.clone()
    }

    /// Whether nothing runs any more, and nothing will.
    fn is_empty(&self) -> bool {
        self.stop.is_cancelled() && self.before().is_none() && self.lock().processes.is_empty()
    }

    /// Whether the mount gave up on spares, because they exit.
    pub(super) fn is_without_spares(&self) -> bool {
        self.warm > 0 && self.lock().deaths >= SPARE_DEATHS
    }

    /// Whether spares are wanted.
    pub(super) fn is_to_be_warm(&self) -> bool {
        self.warm > 0
    }

    /// Ends every process at once.
    pub(super) fn kill(&self) {
        self.close();
        if let Some(before) = self.before() {
            before.kill();
        }
        let processes: Vec<Witness> = self.lock().processes.values().cloned().collect();
        for process in processes {
            process.kill();
        }
    }

    fn take_spare(&self) -> Option<Peer> {
        let spare = {
            let mut stock = self.lock();
            stock.bury(&self.name);
            let spare = stock.spares.pop_front();
            // They live long enough, after all.
            stock.deaths = if spare.is_some() { 0 } else { stock.deaths };
            spare
        };
        if spare.is_some() {
            self.wanting.notify_one();
        }
        spare
    }

    async fn fill(self: &Arc<Self>) {
        loop {
            let (spares, deaths) = {
                let mut stock = self.lock();
                // One that exited at once was not in stock yet when its end was noticed.
                stock.bury(&self.name);
                (stock.spares.len(), stock.deaths)
            };
            let wanted = if self.retired.load(Ordering::Relaxed) { 0 } else { self.warm };
            if spares >= wanted || deaths >= SPARE_DEATHS {
                return;
            }
            if deaths > 0 {
                tokio::time::sleep(SPARE_PAUSE * 2u32.pow(deaths - 1)).await;
            }
            // A full mount has no spares; the next process that ends makes room for one.
            let Ok(place) = self.free_place() else { return };
            match self.start(place, self.turn(Urgency::Spare), &Caller::anyone()).await {
                Ok((peer, _pass)) => self.keep(peer),
                Err(
                    PoolError::Full
                    | PoolError::HouseFull
                    | PoolError::Lack(_)
                    | PoolError::Yours(_)
                    | PoolError::Closed,
                ) => {
                    return;
                }
                Err(error @ PoolError::Spawn(_)) => {
                    tracing::debug!(server = %self.name, "no spare process: {error}");
                    self.lock().deaths += 1;
                }
            }
        }
    }

    fn keep(&self, peer: Peer) {
        self.lock().spares.push_back(peer);
        if self.stop.is_cancelled() || self.retired.load(Ordering::Relaxed) {
            self.give_up_spares();
        }
    }

    /// A place, if there is one.
    fn free_place(&self) -> Result<Place, PoolError> {
        if self.stop.is_cancelled() { Err(PoolError::Closed) } else { self.places.free() }
    }

    /// The place that is free next.
    async fn next_place(&self) -> Result<Place, PoolError> {
        tokio::select! {
            () = self.stop.cancelled() => Err(PoolError::Closed),
            place = self.places.next() => place,
        }
    }

    async fn start(
        self: &Arc<Self>,
        place: Place,
        turn: impl Future<Output = Pass> + Send,
        caller: &Caller,
    ) -> Result<(Peer, Option<Pass>), PoolError> {
        if let Some(service) = self.source.service() {
            let peer = Peer::in_process(&**service, caller, self.house.tracker.clone());
            self.watch(&peer, place);
            return Ok((peer, None));
        }
        let command = match (self.source.site(), self.source.target()) {
            (Some(site), _) => {
                let peer = Peer::connect(site);
                self.watch(&peer, place);
                return Ok((peer, None));
            }
            (None, Target::Stdio(command)) => command.clone(),
            // Neither has a pool.
            (None, Target::Remote(_) | Target::Aggregate(_) | Target::Disabled | Target::Broken(_)) => {
                return Err(PoolError::Closed);
            }
        };
        // For whoever has not brought them, nothing is started.
        let credentials = Arc::new(caller.credentials(self.own.variables())?);
        let pass = turn.await;
        if self.stop.is_cancelled() {
            return Err(PoolError::Closed);
        }
        // Not the id of the client's session: that is a credential, and a server is not told it.
        let marker = SessionId::random().map_err(|_| PoolError::Closed)?;
        let pool = self.clone();
        // A task of its own: whoever waits may give up in the middle, and the process still has its place until it is gone.
        let started = self.house.tracker.spawn(async move {
            let launch = Launch {
                command: &command,
                name: &pool.name,
                marker: marker.as_str().to_owned(),
                sandbox_helper: pool.house.sandbox_helper.as_deref(),
                credentials,
                pass_environment: pool.house.pass_environment,
                line_limit: pool.house.line_limit,
                kept_lines: 1,
                tracker: pool.house.tracker.clone(),
            };
            let peer = Peer::spawn(launch).await?;
            tracing::debug!(server = %pool.name, pid = peer.pid(), "started a process");
            pool.watch(&peer, place);
            Ok::<_, PoolError>(peer)
        });
        let peer = started.await.map_err(|_| PoolError::Closed)??;
        Ok((peer, Some(pass)))
    }

    /// The place of a process is free when nothing of it runs any more.
    fn watch(self: &Arc<Self>, peer: &Peer, place: Place) {
        let (pool, peer) = (self.clone(), peer.witness());
        let number = {
            let mut stock = self.lock();
            stock.counted += 1;
            let number = stock.counted;
            stock.processes.insert(number, peer.clone());
            number
        };
        self.house.tracker.spawn(async move {
            let exit = peer.exited().await;
            if pool.source.service().is_none() {
                pool.tally.exits.add(cause(&exit));
            }
            pool.mourn();
            peer.gone().await;
            pool.lock().processes.remove(&number);
            drop(place);
            pool.wanting.notify_one();
        });
    }

    /// A process has ended; perhaps it was a spare.
    fn mourn(&self) {
        if self.lock().bury(&self.name) {
            self.wanting.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ended a process, in one of a few words.
fn cause(exit: &Exit) -> &'static str {
    match exit.cause {
        _ if exit.asked => "stopped",
        Cause::Code(0) => "exited_ok",
        Cause::Code(_) => "exited_error",
        Cause::Signal(_) => "signal",
        Cause::ClosedStdout => "closed_stdout",
        Cause::Lost => "lost",
        Cause::Closed => "left",
        Cause::Unknown => "unknown",
    }
}

impl Stock {
    /// Removes the spares that have ended, and counts those that nobody had asked to. Whether there were any.
    fn bury(&mut self, name: &ServerName) -> bool {
        let before = self.deaths;
        let deaths = &mut self.deaths;
        self.spares.retain(|spare| {
            let exit = spare.exit();
            if let Some(exit) = exit.filter(|exit| !exit.asked) {
                *deaths += 1;
                tracing::warn!(server = %name, "a spare process {exit}");
            }
            exit.is_none()
        });
        self.deaths > before
    }

    /// The processes that run, without those that only left something behind.
    fn running(&self) -> impl Iterator<Item = &Witness> {
        self.processes.values().filter(|process| process.exit().is_none())
    }
}
