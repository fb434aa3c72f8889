//! Who looks after a mount that nobody uses: finds out whether its server starts, and keeps spares ready.

use super::Mount;
use super::gate::Urgency;
use super::health::Standing;
use super::pool::{Pool, PoolError};
use crate::access::Caller;
use crate::session::{Opening, Session};
use crate::wire::{Code, Era, Revision, RpcError};
use serde_json::Map;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where there is no room for a process, it is looked for again after this.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Looks after `mount` until it is closed.
pub(super) async fn keep(mount: Arc<Mount>, pool: Arc<Pool>) {
    let stop = mount.stop.clone();
    // A singleton is exactly one process, never one beside it, and a process of one user's needs that user: the first client
    // finds out.
    let alone = mount.is_alone();
    let first = async {
        if !alone && !mount.spec.is_lazy() {
            verify(&mount, &pool).await;
        } else if alone && mount.is_eager() {
            open_singleton(&mount).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => return,
        () = first => {}
    }
    let early = async {
        if mount.spec.pool.warm > 0 && !alone {
            mount.probe_early(&pool).await;
        }
    };
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
        () = async { tokio::join!(spares, watch, early); } => {}
    }
}

/// Makes a handshake in a process that is thrown away; if it fails, again and again until one succeeds.
async fn verify(mount: &Arc<Mount>, pool: &Arc<Pool>) {
    loop {
        let wait = mount.facts().health.wait(Instant::now());
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or_default()) => {}
            () = mount.chance.notified() => {}
        }
        match handshake(mount, pool).await {
            Ok(()) => return,
            Err(Fault::NoRoom) => {
                // The processes that take the room speak for the server.
                let standing = mount.facts().health.standing(mount.spec.restart.attempts);
                if standing == Standing::Well {
                    return;
                }
                tokio::time::sleep(NO_ROOM).await;
            }
            Err(Fault::Failed(reason)) => drop(mount.count_failure(&reason)),
        }
    }
}

/// Opens the one process that there is; if that fails, again and again until it succeeds.
async fn open_singleton(mount: &Arc<Mount>) {
    // Its first client is none that stays.
    while mount.visit(Revision::NEWEST_LEGACY, &Caller::anyone()).await.is_err() {
        let wait = mount.facts().health.wait(Instant::now());
        tokio::time::sleep(wait.unwrap_or(NO_ROOM)).await;
    }
}

enum Fault {
    NoRoom,
    Failed(String),
}

/// Makes a handshake of the era that the server is known for, else of the legacy one; where that is refused as by a server
/// of the other era, one of that.
async fn handshake(mount: &Arc<Mount>, pool: &Arc<Pool>) -> Result<(), Fault> {
    let only_modern = mount.spoken().legacy == Some(false);
    let first = if only_modern { Era::Modern } else { Era::Legacy };
    let error = match open(mount, pool, first).await? {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let certain = error.code == Code::UnsupportedVersion;
    let spoken = mount.spoken();
    // That it does not speak the modern era may be said of a server that did not start at all.
    let refuted = spoken.modern == Some(false) && spoken.legacy == Some(true);
    let perhaps = error.code == Code::ProtocolError && !refuted;
    if first == Era::Legacy
        && (certain || perhaps)
        && matches!(open(mount, pool, Era::Modern).await, Ok(Ok(())))
    {
        mount.learn(Era::Legacy, false);
        return Ok(());
    }
    if first == Era::Modern && certain {
        mount.doubt_era();
    }
    Err(Fault::Failed(error.message.into_owned()))
}

/// Opens a process in an era, and throws it away.
async fn open(mount: &Arc<Mount>, pool: &Arc<Pool>, era: Era) -> Result<Result<(), RpcError>, Fault> {
    let (peer, pass) =
        pool.throw_away(pool.turn(Urgency::Spare), &Caller::anyone()).await.map_err(|error| match error {
            PoolError::Full
            | PoolError::HouseFull
            | PoolError::Lack(_)
            | PoolError::Yours(_)
            | PoolError::Closed => Fault::NoRoom,
            PoolError::Spawn(error) => Fault::Failed(mount.describe(&error)),
        })?;
    let opening = match era {
        Era::Legacy => {
            Opening::Legacy { revision: Revision::NEWEST_LEGACY, capabilities: Map::new(), visited: false }
        }
        Era::Modern => Opening::Modern,
    };
    let session = Session::shared(peer, opening, false, mount.parts(&Caller::anyone(), false));
    mount.adopt(&session, pass);
    let opened = session.opened().await;
    session.close();
    Ok(opened.map(drop))
}
