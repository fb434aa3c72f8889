//! All mounts of a router, by name.

use super::Mount;
use std::collections::HashMap;
use std::sync::Arc;

/// The mounts, in the order in which they were given, found by name.
#[derive(Debug, Default)]
pub struct Table {
    mounts: Vec<Arc<Mount>>,
    by_name: HashMap<Box<str>, usize>,
    default: Option<Arc<Mount>>,
    /// Replaced or removed by a reload, and still finishing what is in flight.
    retired: Vec<Arc<Mount>>,
}

impl Table {
    /// A table of `mounts`, and the one behind the root paths.
    pub fn new(mounts: Vec<Arc<Mount>>, default: Option<Arc<Mount>>) -> Self {
        let by_name =
            mounts.iter().enumerate().map(|(at, mount)| (mount.name().as_str().into(), at)).collect();
        Self { mounts, by_name, default, retired: Vec::new() }
    }

    /// The same table with mounts beside it that are found by the sessions they still have.
    #[must_use]
    pub fn retiring(self, retired: Vec<Arc<Mount>>) -> Self {
        Self { retired, ..self }
    }

    /// Mounts that a reload has replaced or removed.
    pub fn retired(&self) -> &[Arc<Mount>] {
        &self.retired
    }

    /// The mount that still has this session, among those that were replaced or removed.
    pub fn find_retired(&self, session: &str) -> Option<&Arc<Mount>> {
        self.retired.iter().find(|mount| mount.client(session).is_some())
    }

    /// Every mount, retired ones too.
    pub fn all_and_retired(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.all().chain(&self.retired)
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

    /// The mount behind `/mcp`, `/sse` and `/messages`.
    pub fn default_mount(&self) -> Option<&Arc<Mount>> {
        self.default.as_ref()
    }

    /// Every mount, the default one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.default.iter().chain(&self.mounts)
    }
}
