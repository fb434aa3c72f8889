//! Who looks after a mount that nobody uses: finds out whether its server starts, and keeps spares ready.

use super::Mount;
use super::health::Standing;
use super::pool::{Pool, PoolError};
use crate::session::Session;
use crate::wire::{Revision, RpcError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks after `mount` until it is closed.
pub(super) async fn keep(mount: Arc<Mount>, pool: Arc<Pool>) {
    let stop = mount.stop.clone();
    // A singleton is exactly one process, never one beside it: its first client finds out.
    let alone = mount.spec.pool.is_singleton();
    if mount.spec.pool.warm > 0 && !alone {
        tokio::select! {
            () = stop.cancelled() => return,
            () = verify(&mount, &pool) => {}
        }
    }
    let spares = pool.clone().keep_warm();
    let watch = async {
        loop {
            mount.doubt.notified().await;
            if !alone {
                verify(&mount, &pool).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { tokio::join!(spares, watch); } => {}
    }
}

/// Makes a handshake in a process that is thrown away; if it fails, again and again until one succeeds.
async fn verify(mount: &Arc<Mount>, pool: &Arc<Pool>) {
    loop {
        let wait = mount.facts().health.wait(Instant::now());
        tokio::time::sleep(wait.unwrap_or_default()).await;
        match handshake(mount, pool).await {
            Ok(()) => return,
            Err(Fault::NoRoom) => {
                // The processes that take the room speak for the server.
                let standing = mount.facts().health.standing(mount.spec.restart.attempts);
                if standing == Standing::Well {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(Fault::Failed(reason)) => drop(mount.count_failure(&reason)),
        }
    }
}

enum Fault {
    NoRoom,
    Failed(String),
}

async fn handshake(mount: &Arc<Mount>, pool: &Arc<Pool>) -> Result<(), Fault> {
    let (peer, pass) = pool.throw_away().await.map_err(|error| match error {
        PoolError::Full | PoolError::HouseFull | PoolError::Closed => Fault::NoRoom,
        PoolError::Spawn(error) => Fault::Failed(mount.describe(&error)),
    })?;
    let session = Session::shared(peer, Revision::NEWEST_LEGACY, "{}".into(), false, mount.parts());
    mount.adopt(&session, pass);
    let opened = session.opened().await;
    session.close();
    opened.map(drop).map_err(|error: RpcError| Fault::Failed(error.message.into_owned()))
}
