//! What a server speaks, and how that is found out: in a process that is thrown away, because the question alone binds some
//! servers to an era and ends others.
//!
//! 2026-07-28, basic/versioning: "The era determination is a property of the server, not of an individual request. Clients
//! SHOULD cache the result [...], re-probing if the cached assumption later fails."

use super::errand::{Errand, Underway};
use super::gate::{Pass, Urgency};
use super::pool::{Pool, PoolError};
use super::{Mount, Unserved};
use crate::access::Caller;
use crate::config::{EraSetting, Target};
use crate::session::{Opening, Session};
use crate::wire::{Code, Era};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A server that says nothing to the question for so long is of the legacy era, unless it takes longer to start.
///
/// 2026-07-28, basic/transports/stdio: "The server returns any other error, or does not respond within a reasonable
/// timeout: the server is legacy."
pub const SILENCE: Duration = Duration::from_secs(10);

/// What is known of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    /// It answers `initialize`.
    pub(super) legacy: Option<bool>,
    /// It answers `server/discover`.
    pub(super) modern: Option<bool>,
}

/// What is known of every command and URL, whichever mount has found it out.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts(Arc<Mutex<HashMap<Target, Spoken>>>);

/// What a mount knows of its server.
#[derive(Debug, Default)]
pub(super) struct Eras {
    probing: Errand<Result<Era, Unserved>>,
    /// What it probably speaks, where it did not say so.
    guess: Mutex<Option<Era>>,
}

/// Why it is to be found out.
enum Need {
    /// A client waits for it.
    Client,
    /// A client may want to know; this is the right to start the process.
    Early(Pass),
    /// It was guessed.
    Doubt,
}

impl Spoken {
    /// In one word, for `/status`.
    pub(super) fn word(self) -> Option<&'static str> {
        match (self.legacy, self.modern) {
            (Some(true), Some(true)) => Some("dual"),
            (Some(true), _) => Some(Era::Legacy.as_str()),
            (_, Some(true)) => Some(Era::Modern.as_str()),
            _ => None,
        }
    }
}

impl Verdicts {
    fn get(&self, target: &Target) -> Spoken {
        self.lock().get(target).copied().unwrap_or_default()
    }

    /// Forgets what is not served any more.
    pub(super) fn retain(&self, is_served: impl Fn(&Target) -> bool) {
        self.lock().retain(|target, _| is_served(target));
    }

    fn learn(&self, target: &Target, learn: impl FnOnce(&mut Spoken)) {
        learn(self.lock().entry(target.clone()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Spoken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Eras {
    fn lock(&self) -> MutexGuard<'_, Option<Era>> {
        self.guess.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mount {
    /// What is known of the server; what the configuration says goes before what was found out.
    pub(super) fn spoken(&self) -> Spoken {
        match self.spec.era {
            EraSetting::Legacy => Spoken { legacy: Some(true), modern: Some(false) },
            EraSetting::Modern => Spoken { legacy: Some(false), modern: Some(true) },
            // A part of this program speaks whatever it is spoken to.
            EraSetting::Auto if self.is_aggregate() => Spoken { legacy: Some(true), modern: Some(true) },
            EraSetting::Auto => {
                self.pool.as_ref().map(|pool| pool.verdicts().get(pool.target())).unwrap_or_default()
            }
        }
    }

    /// A handshake of this era has succeeded, or has failed as it does where the era is not spoken.
    pub(super) fn learn(&self, era: Era, speaks: bool) {
        let Some(pool) = &self.pool else { return };
        let before = self.spoken();
        pool.verdicts().learn(pool.target(), |spoken| match era {
            Era::Legacy => spoken.legacy = Some(speaks),
            Era::Modern => spoken.modern = Some(speaks),
        });
        if let Some(word) = self.spoken().word().filter(|word| before.word() != Some(word)) {
            tracing::info!(server = %self.name(), "the server speaks: {word}");
        }
    }

    /// A server that will not have `initialize` has said that it only speaks the modern era.
    pub(super) fn learn_only_modern(&self) {
        self.learn(Era::Modern, true);
        self.learn(Era::Legacy, false);
    }

    /// What was believed has proved wrong: it is found out anew when it is needed.
    pub(super) fn doubt_era(&self) {
        if let Some(pool) = &self.pool {
            pool.verdicts().learn(pool.target(), |spoken| *spoken = Spoken::default());
            *self.eras.lock() = None;
        }
    }

    /// Whether it speaks the modern era, now that it has refused `initialize`: what was only guessed before is refuted by that.
    pub(super) async fn is_modern_after_all(&self, caller: &Caller) -> Result<bool, Unserved> {
        *self.eras.lock() = None;
        Ok(self.era_for(Era::Modern, caller).await? == Era::Modern)
    }

    /// The era in which a process is opened for a client of `wanted`: its own, unless the server only speaks the other.
    pub(super) async fn era_for(&self, wanted: Era, caller: &Caller) -> Result<Era, Unserved> {
        let spoken = self.spoken();
        match wanted {
            // Nothing is found out for a legacy client: its own handshake tells.
            Era::Legacy if spoken.legacy == Some(false) && spoken.modern != Some(false) => Ok(Era::Modern),
            Era::Legacy => Ok(Era::Legacy),
            Era::Modern => match spoken.modern {
                Some(true) => Ok(Era::Modern),
                Some(false) => Ok(Era::Legacy),
                // A singleton has no process beside its one: it is opened in the era that it was first tried in.
                None if self.spec.pool.is_singleton() => Ok(Era::Legacy),
                None => self.find_out(caller).await,
            },
        }
    }

    /// What the server speaks, as far as it can be told.
    async fn find_out(&self, caller: &Caller) -> Result<Era, Unserved> {
        self.admit(caller)?;
        let guess = *self.eras.lock();
        if let Some(era) = guess {
            // A server that does start means its silence: it is asked again, and nobody waits for that.
            if self.spoken().legacy == Some(true) {
                drop(self.probe(Need::Doubt, caller));
            }
            return Ok(era);
        }
        self.probe(Need::Client, caller).outcome().await.unwrap_or_else(|| Err(Unserved::shutting_down()))
    }

    /// Finds out whether the server speaks the modern era, once for all who want to know meanwhile.
    fn probe(&self, need: Need, caller: &Caller) -> Underway<Result<Era, Unserved>> {
        let (mount, caller) = (self.me.clone(), caller.clone());
        // Whoever gives up leaves it to be found out: one with less patience than the server would never be served else.
        self.eras.probing.run(&self.tracker, async move {
            let mount = mount.upgrade().ok_or_else(Unserved::shutting_down)?;
            // Somebody else may have found out just before.
            match mount.spoken().modern {
                Some(true) => Ok(Era::Modern),
                Some(false) => Ok(Era::Legacy),
                None => mount.ask_era(need, &caller).await,
            }
        })
    }

    /// Asks the server whether it speaks the modern era; a process for the client that waits is made ready meanwhile.
    async fn ask_era(&self, need: Need, caller: &Caller) -> Result<Era, Unserved> {
        let pool = self.admit(caller)?.clone();
        let waited_for = matches!(need, Need::Client);
        let turn = async {
            match need {
                Need::Client => pool.turn(Urgency::Client).await,
                Need::Early(pass) => pass,
                Need::Doubt => pool.turn(Urgency::Spare).await,
            }
        };
        let (peer, pass) = pool.throw_away(turn, caller).await.map_err(|error| self.not_had(&error))?;
        if waited_for && !pool.is_remote() {
            let ready = pool.clone();
            self.tracker.spawn(async move { ready.make_ready().await });
        }
        let begun = Instant::now();
        let session = Session::shared(peer.clone(), Opening::Modern, false, self.parts_of_probe(caller));
        self.adopt(&session, pass);
        let outcome = tokio::select! {
            opened = session.opened() => Some(opened),
            () = self.silence(begun) => None,
        };
        let exit = peer.exit();
        session.close();
        let starts = self.spoken().legacy == Some(true);
        let (modern, sure) = match outcome {
            Some(Ok(_)) => (true, true),
            Some(Err(error)) if error.code == Code::ShuttingDown => return Err(Unserved::shutting_down()),
            // A server that is not reached has said nothing; an end without an answer is a process's way to say no.
            Some(Err(error)) if pool.is_remote() && error.code == Code::ServerUnavailable => {
                return Err(Unserved::Unavailable { error, retry_after: super::unserved::RETRY_FULL });
            }
            // What it answers it means. But one that was never seen to start may have ended because it does not, or may
            // only be slow: it is asked again when it has.
            Some(Err(error)) => (false, error.code == Code::UnsupportedVersion || starts),
            None => (false, starts),
        };
        tracing::debug!(server = %self.name(), modern, sure, ?exit, ms = begun.elapsed().as_millis(), "probed for 2026-07-28");
        if sure {
            self.learn(Era::Modern, modern);
        }
        let era = if modern { Era::Modern } else { Era::Legacy };
        *self.eras.lock() = (!sure).then_some(era);
        // The client's process may need the place of this one.
        pool.room().await;
        Ok(era)
    }

    /// Waits until silence since then means something: one that takes long to start is silent for as long.
    async fn silence(&self, begun: Instant) {
        loop {
            // Another process may have told meanwhile how long that is.
            let (starts, took) = self.tally.openings.sum();
            let usual = took / u32::try_from(starts.max(1)).unwrap_or(u32::MAX);
            let most = (SILENCE + usual).min(self.spec.start_timeout);
            let Some(rest) = most.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) else { return };
            tokio::time::sleep(rest).await;
        }
    }

    /// Finds out what the server speaks before anybody asks, once it is known to start. Until there is room for a start that
    /// nobody waits for, a client that wants to know comes first.
    pub(super) async fn probe_early(&self, pool: &Pool) {
        if self.spoken().modern.is_some() {
            return;
        }
        let pass = pool.turn(Urgency::Spare).await;
        if let Some(Err(error)) = self.probe(Need::Early(pass), &Caller::anyone()).outcome().await {
            tracing::debug!(server = %self.name(), "not probed for 2026-07-28: {error}");
        }
    }

    /// The server has refused `initialize` as one does that only speaks the modern era: a process for that era, if so.
    pub(super) async fn other_era(&self, certain: bool, caller: &Caller) -> Option<crate::peer::Peer> {
        if certain {
            self.learn_only_modern();
        } else if self.spec.pool.is_singleton() {
            return None;
        }
        let pool = self.pool.as_ref()?;
        if self.spoken().modern.is_none() {
            // That of the process that has refused will do.
            pool.room().await;
        }
        if !self.is_modern_after_all(caller).await.ok()? {
            return None;
        }
        if !certain {
            if self.spoken().legacy == Some(true) {
                // It speaks both, and did not like this request.
                return None;
            }
            // What one client asked for may be at fault: this one goes on in the other era, and for the others the keeper's
            // own handshake decides.
            self.doubt.notify_one();
        }
        match pool.replace(caller).await {
            Ok(peer) => Some(peer),
            Err(
                error @ (PoolError::Full
                | PoolError::HouseFull
                | PoolError::Closed
                | PoolError::Lack(_)
                | PoolError::Yours(_)
                | PoolError::Spawn(_)),
            ) => {
                tracing::warn!(server = %self.name(), "no process in the other era: {error}");
                None
            }
        }
    }
}
