//! A mount that takes the place of another one whose entry was changed, and a mount whose processes are replaced: the
//! sessions stay, as they do when a process dies.

use super::health::Standing;
use super::{Mount, Seat, State};
use crate::config::{Config, ServerSpec, Target};
use crate::peer::in_process::Service;
use crate::session::Session;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often it is looked whether all sessions have another process.
const LOOK: Duration = Duration::from_millis(50);

/// Who has found a mount before another took its place still finds it for so long.
const ON_THEIR_WAY: Duration = Duration::from_secs(1);

/// A session that somebody has opened on the way has its process for so long at most.
const LATE: Duration = Duration::from_secs(30);

/// What a restart is about to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarting {
    /// The processes that are replaced.
    pub pids: Vec<u32>,
    /// The clients whose sessions go on with new ones.
    pub sessions: usize,
    /// The requests that may finish before that.
    pub in_flight: usize,
}

impl Mount {
    /// A mount for a new entry under the same name, which goes on counting where this one stops. Nothing is started before
    /// [`start`](Self::start), and no session comes over before [`hand_over`](Self::hand_over). `service`: it is a part of
    /// this program.
    #[must_use]
    pub fn successor(
        &self,
        spec: ServerSpec,
        service: Option<Arc<dyn Service>>,
        config: &Config,
        house: super::House,
    ) -> Arc<Self> {
        Self::make(spec, config, house, service, Some(self))
    }

    /// Whether sessions of this mount can go on in `next`: clients that have a process each do not fit where they share
    /// one, and where nothing runs there is nothing to go on with.
    pub fn can_go_on_in(&self, next: &Self) -> bool {
        let kind = |mount: &Self| {
            // What a session's user has brought is for the variables of its own entry.
            let ServerSpec { pool, env_from_header, .. } = &mount.spec;
            (pool.mode, pool.is_singleton(), env_from_header.clone())
        };
        kind(self) == kind(next) && self.pool.is_some() && next.pool.is_some()
    }

    /// Lets `next` have the sessions, before it is to be found in this one's place. Until [`hand_over`](Self::hand_over)
    /// they are found in both.
    pub fn introduce(&self, next: &Arc<Self>) {
        self.redirect(next);
        let seats: Vec<_> = self.seats().iter().map(|(id, seat)| (id.clone(), seat.clone())).collect();
        next.seats().extend(seats);
        let parked: Vec<_> =
            self.parked().iter().map(|(id, session)| (id.clone(), session.clone())).collect();
        next.parked().extend(parked);
        let sessions = self.sessions().clone();
        next.sessions().extend(sessions);
        if self.spec.pool.is_singleton() {
            next.groups.inherit(&self.groups);
        }
    }

    /// From now on `next` is found in its place. Each session goes on there with a process of the new entry as soon as
    /// nothing is in flight in it, and at `until` in any case; what is returned waits until they all do.
    pub fn hand_over(self: &Arc<Self>, next: &Arc<Self>, until: Instant) -> impl Future<Output = ()> + use<> {
        let _ = self.next.set(Arc::downgrade(next));
        // Those that came in between.
        let late = std::mem::take(&mut *self.seats());
        for (id, seat) in late {
            let has_left = matches!(&seat.seat, Seat::Taken(client) if client.has_left());
            if !has_left {
                next.seats().entry(id).or_insert(seat);
            }
        }
        if let Some(pool) = &self.pool {
            pool.retire();
        }
        let sessions = std::mem::take(&mut *self.sessions());
        let sessions: Vec<_> = sessions.iter().filter_map(Weak::upgrade).collect();
        for session in &sessions {
            next.inherit(session);
        }
        self.clone().leave_to(next.clone(), sessions, until)
    }

    /// Sees to it that the sessions get their new processes.
    async fn leave_to(self: Arc<Self>, next: Arc<Self>, sessions: Vec<Arc<Session>>, until: Instant) {
        // A server that takes long to start leaves them the process that they have.
        while next.state() == State::Starting && Instant::now() < until && !next.is_closing() {
            tokio::time::sleep(LOOK).await;
        }
        for session in &sessions {
            session.replace_process(until);
        }
        let on_their_way = Instant::now() + ON_THEIR_WAY;
        let waits = || Instant::now() < on_their_way || sessions.iter().any(|it| it.is_to_be_replaced());
        while !next.is_closing() && waits() {
            tokio::time::sleep(LOOK).await;
        }
        self.close();
    }

    /// Replaces every process. What is in flight may finish until then; sessions go on as after a crash. A server that
    /// could not be started is tried again at once.
    ///
    /// # Errors
    /// Why nothing can be started: the entry is disabled, or cannot work.
    pub fn restart(&self, until: Instant) -> Result<Restarting, String> {
        let pool = match (&self.spec.target, &self.pool) {
            (Target::Disabled, _) => return Err("it is disabled in the configuration".to_owned()),
            (Target::Broken(reason), _) => return Err(reason.clone()),
            (_, None) => return Err("it has nothing to start".to_owned()),
            (_, Some(pool)) => pool,
        };
        let restarting =
            Restarting { pids: pool.pids(), sessions: self.clients().0, in_flight: self.in_flight() };
        let alone = self.spec.pool.is_singleton();
        {
            let health = &mut self.facts().health;
            let well = health.standing(self.spec.restart.attempts) == Standing::Well;
            if !well || (self.spec.pool.warm > 0 && !self.is_alone()) {
                // The keeper finds out; where there is none, the first client does.
                health.start_over(self.is_alone() && health.proven);
                self.doubt.notify_one();
                self.chance.notify_waiters();
            }
        }
        pool.refresh();
        if !alone {
            // Who comes now is served by a new process.
            self.groups.forget();
        }
        for session in self.living() {
            session.replace_process(until);
        }
        Ok(restarting)
    }

    /// Whoever looks for this mount finds `next`, sessions from mounts before this one, too.
    fn redirect(&self, next: &Self) {
        let mut doors = std::mem::take(&mut *self.doors.lock().unwrap_or_else(PoisonError::into_inner));
        // By the others nobody comes any more.
        doors.retain(|door| Arc::strong_count(door) > 1);
        doors.push(self.door.clone());
        for door in &doors {
            door.lead_to(&next.me);
        }
        next.doors.lock().unwrap_or_else(PoisonError::into_inner).extend(doors);
    }

    /// The mount that has taken its place, if one has.
    pub(super) fn next(&self) -> Option<Arc<Self>> {
        self.next.get()?.upgrade()
    }

    /// The mount that is found in its place now, or itself.
    pub fn newest(self: &Arc<Self>) -> Arc<Self> {
        let mut newest = self.clone();
        while let Some(next) = newest.next() {
            newest = next;
        }
        newest
    }

    /// A session that was opened with the mount before, when this one had taken its place already.
    pub(super) fn inherit_late(&self, session: &Arc<Session>) {
        self.inherit(session);
        session.replace_process(Instant::now() + LATE);
    }

    /// A session of the mount before lives here from now on.
    pub(super) fn inherit(&self, session: &Arc<Session>) {
        if let Some(next) = self.next() {
            return next.inherit(session);
        }
        session.settle(self.settings.clone());
        let mut sessions = self.sessions();
        if !sessions.iter().any(|known| known.ptr_eq(&Arc::downgrade(session))) {
            sessions.push(Arc::downgrade(session));
        }
    }
}
