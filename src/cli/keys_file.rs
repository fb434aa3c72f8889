//! The files of keys are read again when they change, where there is no configuration file to be read again with them.
//! Contents are compared, as those of the configuration are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::watched::{QUIET, contents, next_look};
use crate::router::Router;
use crate::telemetry::EventKind;

/// A file and what stood in it, if it could be read.
type Seen = (PathBuf, Option<Vec<u8>>);

/// Looks for changes each `interval`, and at once after a hangup, until `stop`.
pub(super) async fn follow(
    arguments: Arguments,
    files: Vec<PathBuf>,
    router: Arc<Router>,
    interval: Option<Duration>,
    hangups: Option<Arc<Notify>>,
    stop: CancellationToken,
) {
    let mut seen = look(files.clone()).await;
    loop {
        let hangup = async {
            match &hangups {
                Some(hangups) => hangups.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next_look(interval) => {}
            () = hangup => {}
        }
        let mut now = look(files.clone()).await;
        if now == seen {
            continue;
        }
        // An editor may be in the middle of it.
        loop {
            tokio::time::sleep(QUIET).await;
            let next = look(files.clone()).await;
            if next == now {
                break;
            }
            now = next;
        }
        seen = now;
        match super::settings_with(&arguments, None) {
            Ok((config, _)) => {
                if router.reload(config).await.is_some() {
                    tracing::info!("the keys were read again");
                }
            }
            Err(error) => {
                tracing::error!("the changed keys are not used, those before stay: {error}");
                router.events().tell(None, EventKind::Refused, &error.to_string());
            }
        }
    }
}

async fn look(files: Vec<PathBuf>) -> Vec<Seen> {
    let looked = tokio::task::spawn_blocking(move || files.into_iter().map(contents).collect());
    looked.await.unwrap_or_default()
}
