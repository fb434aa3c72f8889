//! All mounts of a router, by name.

use super::Mount;
use http::HeaderName;
use std::collections::HashMap;
use std::sync::Arc;

/// The mounts, in the order in which they were given, found by name.
#[derive(Debug, Default)]
pub struct Table {
    mounts: Vec<Arc<Mount>>,
    by_name: HashMap<Box<str>, usize>,
    default: Option<Arc<Mount>>,
    /// All servers together, where no default server is.
    aggregate: Option<Arc<Mount>>,
    /// Some of them together.
    views: Vec<Arc<Mount>>,
    /// Replaced or removed by a reload, and still finishing what is in flight.
    retired: Vec<Arc<Mount>>,
    /// The headers that any of them wants of its callers.
    wanted: Vec<HeaderName>,
}

impl Table {
    /// A table of `mounts`, and the one behind the root paths.
    pub fn new(mounts: Vec<Arc<Mount>>, default: Option<Arc<Mount>>) -> Self {
        let by_name =
            mounts.iter().enumerate().map(|(at, mount)| (mount.name().as_str().into(), at)).collect();
        let wanted = wanted(default.iter().chain(&mounts));
        Self { mounts, by_name, default, wanted, ..Self::default() }
    }

    /// The same table with what serves several of its mounts together.
    #[must_use]
    pub fn aggregated(self, aggregate: Option<Arc<Mount>>, views: Vec<Arc<Mount>>) -> Self {
        Self { aggregate, views, ..self }
    }

    /// The mount behind `/mcp`, `/sse` and `/messages`: the default server, else all servers together.
    pub fn root(&self) -> Option<&Arc<Mount>> {
        self.default.as_ref().or(self.aggregate.as_ref())
    }

    /// All servers together, where they are served.
    pub fn aggregate(&self) -> Option<&Arc<Mount>> {
        self.aggregate.as_ref()
    }

    /// Some servers together, under names of their own.
    pub fn views(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.views.iter()
    }

    /// The view of this name.
    pub fn view(&self, name: &str) -> Option<&Arc<Mount>> {
        self.views.iter().find(|view| view.name().as_str() == name)
    }

    /// The same table with mounts beside it that are found by the sessions they still have.
    #[must_use]
    pub fn retiring(self, retired: Vec<Arc<Mount>>) -> Self {
        let wanted = wanted(self.default.iter().chain(&self.mounts).chain(&retired));
        Self { retired, wanted, ..self }
    }

    /// The headers that any mount wants of its callers; mostly none.
    pub fn wanted(&self) -> &[HeaderName] {
        &self.wanted
    }

    /// Mounts that a reload has replaced or removed.
    pub fn retired(&self) -> &[Arc<Mount>] {
        &self.retired
    }

    /// The mount that still has this session, among those that were replaced or removed.
    pub fn find_retired(&self, session: &str) -> Option<&Arc<Mount>> {
        self.retired.iter().find(|mount| mount.has_session(session))
    }

    /// Every mount, also what serves several together, without the retired ones.
    pub fn served(&self) -> impl Iterator<Item = &Arc<Mount>> {
        // What serves others goes first: it is to end before them.
        self.aggregate.iter().chain(&self.views).chain(self.all())
    }

    /// Every mount, retired ones too.
    pub fn all_and_retired(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.served().chain(&self.retired)
    }

    /// The mount of this name, unless it is disabled.
    pub fn find(&self, name: &str) -> Option<&Arc<Mount>> {
        self.find_any(name).filter(|mount| !mount.is_disabled())
    }

    /// The mount of this name, disabled or not.
    pub fn find_any(&self, name: &str) -> Option<&Arc<Mount>> {
        self.by_name.get(name).map(|at| &self.mounts[*at])
    }

    /// The named mounts.
    pub fn named(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.mounts.iter()
    }

    /// The default server.
    pub fn default_mount(&self) -> Option<&Arc<Mount>> {
        self.default.as_ref()
    }

    /// Every server, the default one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.default.iter().chain(&self.mounts)
    }
}

fn wanted<'a>(mounts: impl Iterator<Item = &'a Arc<Mount>>) -> Vec<HeaderName> {
    let mut each: Vec<_> = mounts.flat_map(|mount| mount.spec().env_from_header.headers()).cloned().collect();
    // In one order whatever the table: what was shown is compared.
    each.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    each.dedup();
    each
}
