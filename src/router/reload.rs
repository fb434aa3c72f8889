//! Another configuration is served from now on.

use super::fresh::Fresh;
use super::{Router, TICK, with_aggregates};
use crate::config::diff::{self, Changed, Fate};
use crate::config::{Config, Diff, Gateway, ServerSpec};
use crate::mount::{Mount, Table};
use crate::telemetry::EventKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sessions of a mount that a reload removed or changed have this long to finish what is in flight.
const RELOAD_GRACE: Duration = Duration::from_secs(30);

impl Router {
    /// Serves `config` from now on, and says what that changes. Mounts that are the same keep their sessions and processes.
    /// New ones are started before they are found. Sessions of a changed one go on with a process of its new entry once
    /// what is in flight has finished, and after 30 s in any case; those of a removed one end then. Addresses, limits,
    /// origins and proxies stay as they were.
    ///
    /// None if the router is ending, and nothing was changed.
    pub async fn reload(&self, config: Config) -> Option<Diff> {
        let mut current = self.config.lock().await;
        let diff = Diff::between(&current, &config);
        // Before what comes of it.
        for name in &diff.added {
            self.events().tell(Some(name), EventKind::Started, "added by a reload");
        }
        let config = diff::applied(&current, config);
        // Somebody may have edited what is approved.
        let (pins, wanted) = (self.house.pins().clone(), config.clone());
        let _ = tokio::task::spawn_blocking(move || pins.read_again(&wanted)).await;
        let table = self.front.table.load_full();
        let mut fresh = Fresh::default();
        let mut place = |spec: &ServerSpec, mount: Option<&Arc<Mount>>, before: Option<&ServerSpec>| {
            let house = self.house.clone();
            match (diff::fate(before, spec, &current, &config), mount) {
                (Fate::Kept, Some(mount)) => mount.clone(),
                (Fate::Changed(_), Some(mount)) => {
                    fresh.start(mount.successor(spec.clone(), None, &config, house), Some(mount))
                }
                (_, _) => fresh.start(Mount::new(spec.clone(), &config, house), None),
            }
        };
        let named = |spec: &ServerSpec| current.servers.iter().find(|old| old.name == spec.name);
        let named: Vec<_> = config.servers.iter().map(|spec| (spec, named(spec))).collect();
        let named = named.into_iter().map(|(spec, old)| place(spec, table.find_any(spec.name.as_str()), old));
        let named = named.collect();
        let before = current.default_server.as_ref();
        let default = config.default_server.as_ref().map(|spec| {
            let before = before.filter(|old| old.name == spec.name);
            place(spec, table.default_mount().filter(|_| before.is_some()), before)
        });
        let next = Table::new(named, default);
        let next = with_aggregates(next, &config, &self.catalog, |spec, service| {
            let root = spec.name.as_str() == Gateway::ROOT;
            let mount = if root { table.aggregate() } else { table.view(spec.name.as_str()) };
            let house = self.house.clone();
            match mount {
                Some(mount) if mount.spec() == &spec && current.idle_timeout == config.idle_timeout => {
                    mount.clone()
                }
                Some(mount) => fresh.start(mount.successor(spec, Some(service), &config, house), Some(mount)),
                None => Mount::of_service(spec, service, &config, house),
            }
        });
        fresh.settle(|| self.front.is_closing()).await;
        if self.front.is_closing() {
            return None;
        }
        let heirs = fresh.heirs();
        let old = table.served().filter(|old| !next.served().any(|new| Arc::ptr_eq(old, new)));
        let old: Vec<_> =
            old.filter(|old| !heirs.iter().any(|(before, _)| Arc::ptr_eq(old, before))).cloned().collect();
        let finishing = table.retired().iter().filter(|mount| !mount.is_closed()).cloned();
        let next = next.retiring(finishing.chain(old.iter().cloned()).collect());
        // First, so that nobody finds what is new before the rules for it hold.
        if current.auth != config.auth {
            self.front.recognise(config.auth.as_ref());
        }
        self.catalog.serve(next.named().cloned());
        self.front.table.store(Arc::new(next));
        let until = Instant::now() + RELOAD_GRACE;
        for (before, next) in heirs {
            self.tracker.spawn(before.hand_over(&next, until));
        }
        for mount in old {
            self.tracker.spawn(retire(mount));
        }
        self.tell(&diff);
        self.house.forget_all_but(&config);
        *current = config;
        Some(diff)
    }

    /// Logs what a reload has changed, and what it cannot change.
    fn tell(&self, diff: &Diff) {
        let events = self.events();
        let table = self.front.table.load();
        for name in &diff.added {
            let url = table.find_any(name).map(|mount| {
                let line = self.line(mount, &format!("/servers/{}/mcp", mount.name()));
                line.url
            });
            tracing::info!(server = name, url, "added");
        }
        for Changed { name, keys } in &diff.changed {
            let keys = keys.join(", ");
            tracing::info!(server = name, keys, "changed; what is in flight may finish");
            events.tell(Some(name), EventKind::Reloaded, &format!("changed: {keys}"));
        }
        for name in &diff.removed {
            tracing::info!(server = name, "removed; what is in flight may finish");
            events.tell(Some(name), EventKind::Stopped, "removed by a reload");
        }
        for key in &diff.settings {
            tracing::info!("{key} has changed, and is used as it is now");
            events.tell(None, EventKind::Reloaded, &format!("{key} has changed, and is used as it is now"));
        }
        for key in &diff.needs_restart {
            tracing::warn!("the change of {key} needs a restart");
            events.tell(None, EventKind::Reloaded, &format!("the change of {key} needs a restart"));
        }
    }
}

/// Lets a mount finish that is no longer in the table.
async fn retire(mount: Arc<Mount>) {
    mount.drain();
    let until = Instant::now() + RELOAD_GRACE;
    while mount.in_flight() > 0 && Instant::now() < until && !mount.is_closed() {
        tokio::time::sleep(TICK).await;
    }
    mount.close();
}
