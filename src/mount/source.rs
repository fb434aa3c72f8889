//! What the peers of a mount come from.

use super::House;
use crate::config::{Limits, ServerName, Target};
use crate::peer::in_process::Service;
use crate::peer::remote::{Site, SiteError};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the peers of a mount come from.
#[derive(Debug)]
pub(super) struct Source {
    target: Target,
    /// Nothing: it is a command.
    site: Option<Arc<Site>>,
    /// Something: it is a part of this program.
    service: Option<Arc<dyn Service>>,
}

impl Source {
    /// What peers of `target` come from; nothing where it can have none.
    pub(super) fn new(
        target: &Target,
        name: &ServerName,
        limits: &Limits,
        house: &House,
        stop: &CancellationToken,
        service: Option<Arc<dyn Service>>,
    ) -> Result<Option<Self>, SiteError> {
        let site = match target {
            Target::Stdio(_) => None,
            Target::Aggregate(_) if service.is_some() => None,
            Target::Remote(remote) => {
                let tracker = house.tracker.clone();
                Some(Site::new(remote.clone(), name.clone(), limits.line, limits.depth, tracker, stop)?)
            }
            Target::Aggregate(_) | Target::Disabled | Target::Broken(_) => return Ok(None),
        };
        Ok(Some(Self { target: target.clone(), site, service }))
    }

    /// As it is configured.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The server to talk to, if it is a part of this program.
    pub(super) fn service(&self) -> Option<&Arc<dyn Service>> {
        self.service.as_ref()
    }

    /// Whether there is nothing to start: it is called, or runs in this process.
    pub(super) fn starts_nothing(&self) -> bool {
        self.site.is_some() || self.service.is_some()
    }

    /// The server to call, if it is a remote one.
    pub(super) fn site(&self) -> Option<&Arc<Site>> {
        self.site.as_ref()
    }
}
