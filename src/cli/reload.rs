//! Hot reload: the configuration file and the `.env` beside it are read again when they change, and when somebody asks.
//!
//! Their contents are compared, not what the system tells of changes: two small files cost nothing to read, and contents
//! are right where notices are missing or mean nothing, as for a file that is bound into a container, on a network drive,
//! behind a link that is turned, or in a directory that was replaced. Who cannot wait for the next look asks.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::certificates;
use super::settings::{self, Unusable};
use super::watched::{QUIET, contents, next_look};
use crate::config::file::{self, Written};
use crate::config::{ConfigError, Diff};
use crate::http::operator::NotReloaded;
use crate::http::source::Source;
use crate::router::Router;
use crate::telemetry::EventKind;

/// A file that never stops changing is taken after this, if it can be used as it stands.
const AT_LAST: Duration = Duration::from_secs(2);

/// An editor that replaces a file leaves none for a moment: one that is missing so many times is gone.
const GONE: u32 = 3;

/// Reads the file again and again, and gives what changes to the router.
pub(super) struct Follower {
    arguments: Arguments,
    path: PathBuf,
    router: Arc<Router>,
    /// What was last tried, whether it could be used or not.
    seen: Written,
    source: Source,
    /// What else was read for it, and what stood there.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// How often the file, or the `.env` that there was, has been missing since.
    missing: u32,
    /// Warnings that were told already.
    told: HashSet<String>,
}

impl Follower {
    /// A follower of the file that `router` was started from, and of the `files` beside it. These warnings were told.
    pub(super) fn new(
        arguments: Arguments,
        written: Written,
        files: Vec<PathBuf>,
        told: Vec<String>,
        router: Arc<Router>,
    ) -> Self {
        let path = written.path().to_owned();
        let source = Source::new(path.display().to_string());
        let told = told.into_iter().collect();
        let files = files.into_iter().map(contents).collect();
        let follower = Self { arguments, path, router, seen: written, source, files, missing: 0, told };
        follower.publish();
        follower
    }

    /// Looks for changes, and reads the file when it is asked to, until `stop`. What is broken, or gone for a moment while
    /// an editor replaces it, changes nothing.
    pub(super) async fn follow(mut self, hangups: Arc<Notify>, stop: CancellationToken) {
        let interval = settings::reload_interval(&self.arguments);
        let Some(mut asks) = self.router.operators().listen() else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = next_look(interval) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look() => {}
                },
                () = hangups.notified() => drop(self.read_again("SIGHUP").await),
                Some(ask) = asks.recv() => {
                    let outcome = self.read_again("POST /admin/reload").await;
                    // Who has hung up does not want to know.
                    let _ = ask.send(outcome);
                }
            }
        }
    }

    /// Uses the file if it has changed, and is not about to change again.
    async fn look(&mut self) {
        let Ok(now) = self.read().await else { return self.miss() };
        if self.seen.has_dotenv() && !now.has_dotenv() && self.missing + 1 < GONE {
            self.missing += 1;
            return;
        }
        let is_back = self.missing >= GONE;
        self.missing = 0;
        if now.says_the_same(&self.seen) && !is_back && self.files_are_the_same().await {
            return;
        }
        let Some((now, settled)) = self.settled(now).await else { return };
        if settled || settings_of(&self.arguments, &now).is_ok() {
            let _ = self.take(now, "it has changed").await;
        }
    }

    /// Reads the file and the certificate now, changed or not.
    async fn read_again(&mut self, why: &str) -> Result<Diff, NotReloaded> {
        let is_renewed = certificates::renew(&self.router, true).await?;
        let mut diff = match self.read().await {
            Ok(now) => self.take(now, why).await?,
            Err(error) => return Err(self.refuse(super::told(error))),
        };
        diff.settings.extend(is_renewed.then_some("tls"));
        Ok(diff)
    }

    /// Waits until nobody writes any more; false if that does not come. None if the file is gone meanwhile.
    async fn settled(&self, mut now: Written) -> Option<(Written, bool)> {
        let until = Instant::now() + AT_LAST;
        loop {
            tokio::time::sleep(QUIET).await;
            let next = self.read().await.ok()?;
            if next.is_untouched(&now) {
                return Some((now, true));
            }
            now = next;
            if Instant::now() >= until {
                return Some((now, false));
            }
        }
    }

    /// Gives what is written to the router, if it can be used.
    async fn take(&mut self, written: Written, why: &str) -> Result<Diff, NotReloaded> {
        let config = settings_of(&self.arguments, &written);
        self.seen = written;
        let files = match &config {
            Ok(config) => config.files(),
            Err(_) => self.files.iter().map(|(path, _)| path.clone()).collect(),
        };
        self.files = files.into_iter().map(contents).collect();
        let config = config.map_err(|error| self.refuse(error.to_string()))?;
        for warning in config.warnings.iter().filter(|warning| !self.told.contains(*warning)) {
            tracing::warn!("{warning}");
        }
        self.told = config.warnings.iter().cloned().collect();
        let diff = self.router.reload(config).await.ok_or(NotReloaded::Ending)?;
        let (added, changed, removed) = (diff.added.len(), diff.changed.len(), diff.removed.len());
        tracing::info!(
            why,
            added,
            changed,
            removed,
            kept = diff.kept.len(),
            "the configuration was read again"
        );
        self.source.loaded_at = SystemTime::now();
        self.source.reloads += 1;
        self.source.error = None;
        self.source.needs_restart.clone_from(&diff.needs_restart);
        self.publish();
        Ok(diff)
    }

    /// What runs stays as it is; `/status` says why until the file is mended.
    fn refuse(&mut self, reason: String) -> NotReloaded {
        tracing::error!("the changed configuration is not used, the one before stays: {reason}");
        // Many look again and again at a file that stays broken.
        if self.source.error.as_ref() != Some(&reason) {
            self.router.events().tell(None, EventKind::Refused, &reason);
        }
        self.source.error = Some(reason.clone());
        self.publish();
        NotReloaded::Broken(reason)
    }

    /// The file is not there, or cannot be read.
    fn miss(&mut self) {
        self.missing = self.missing.saturating_add(1);
        if self.missing == GONE {
            self.refuse(format!("{}: it is gone, or cannot be read", self.path.display()));
        }
    }

    /// Whether in the files beside it stands what stood there.
    async fn files_are_the_same(&self) -> bool {
        if self.files.is_empty() {
            return true;
        }
        let files = self.files.clone();
        let same = move || files.into_iter().all(|(path, before)| contents(path).1 == before);
        tokio::task::spawn_blocking(same).await.unwrap_or(true)
    }

    fn publish(&self) {
        self.router.comes_from(self.source.clone());
    }

    async fn read(&self) -> Result<Written, ConfigError> {
        let path = self.path.clone();
        let unread = |source| ConfigError::Read { file: self.path.clone(), source };
        let read = tokio::task::spawn_blocking(move || file::read(&path)).await;
        read.map_err(|error| unread(error.into()))?
    }
}

fn settings_of(arguments: &Arguments, written: &Written) -> Result<crate::config::Config, Unusable> {
    super::settings_with(arguments, Some(written)).map(|(config, _)| config)
}
