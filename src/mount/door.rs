//! The way back from a session to its mount.

use super::{Mount, Unserved};
use crate::peer::{Exit, Peer};
use crate::protocol::Opened;
use crate::session::{Home, SessionId};
use crate::wire::{Code, RpcError};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Weak;
use std::time::SystemTime;

/// The mount as its sessions know it: they do not keep it alive.
pub(super) struct Door(pub(super) Weak<Mount>);

impl Home for Door {
    fn replace(&self) -> BoxFuture<'static, Result<Peer, RpcError>> {
        let mount = self.0.clone();
        async move {
            let gone = || RpcError::new(Code::ShuttingDown, "the server is being unmounted");
            let mount = mount.upgrade().ok_or_else(gone)?;
            let pool = mount.pool.clone().ok_or_else(gone)?;
            pool.replace().await.map_err(|error| match mount.not_had(&error) {
                Unserved::Unavailable { error, .. } => error,
                Unserved::NoSession | Unserved::TooMuch(_) => gone(),
            })
        }
        .boxed()
    }

    fn opened(&self, opened: &Opened) {
        if let Some(mount) = self.0.upgrade() {
            let mut facts = mount.facts();
            facts.health.succeeded();
            facts.verified_at = Some(SystemTime::now());
            facts.opened = Some(opened.clone());
        }
    }

    fn crashed(&self, exit: &Exit) {
        if let Some(mount) = self.0.upgrade() {
            mount.facts().last_exit = Some(exit.to_string());
        }
    }

    fn not_opened(&self) {
        if let Some(mount) = self.0.upgrade() {
            mount.doubt.notify_one();
        }
    }

    fn left(&self, id: &SessionId) {
        if let Some(mount) = self.0.upgrade() {
            let seat = mount.seats().remove(id);
            drop(seat);
        }
    }
}
