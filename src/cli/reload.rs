//! Hot reload: the configuration file and the `.env` beside it are looked at again and again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::settings;
use crate::router::Router;

/// What the files held when they were last looked at; None where one could not be read.
type Contents = [Option<Vec<u8>>; 2];

/// Looks for changes until `stop`, and gives each to the router. A file that is broken, or gone for a moment while an
/// editor replaces it, changes nothing.
pub(super) async fn follow(arguments: Arguments, router: Arc<Router>, stop: CancellationToken) {
    let (Some(interval), Some(file)) =
        (settings::reload_interval(&arguments), &arguments.named_server_config)
    else {
        return;
    };
    let paths = [file.clone(), beside(file)];
    let mut seen = read(&paths).await;
    let mut missing = 0u32;
    while pause(interval, &stop).await {
        let now = read(&paths).await;
        // Once: an editor that replaces a file leaves none for a moment, and is not worth a line.
        missing = if now[0].is_none() { missing.saturating_add(1) } else { 0 };
        if missing == 3 {
            tracing::warn!(file = %file.display(), "the configuration cannot be read; the one before stays");
        }
        if missing == 0 && now != seen {
            seen = now;
            reload(&arguments, &router);
        }
    }
}

fn reload(arguments: &Arguments, router: &Router) {
    let config = match super::settings(arguments) {
        Ok((config, _)) => config,
        Err(error) => {
            tracing::error!("the changed configuration is not used, the one before stays: {error}");
            return;
        }
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if router.reload(config) {
        tracing::info!("the changed configuration is in use");
    }
}

/// The `.env` that belongs to a configuration file.
fn beside(file: &Path) -> PathBuf {
    file.with_file_name(".env")
}

async fn read(paths: &[PathBuf; 2]) -> Contents {
    let [file, variables] = paths;
    [tokio::fs::read(file).await.ok(), tokio::fs::read(variables).await.ok()]
}

/// False once the router stops.
async fn pause(interval: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(interval) => true,
    }
}
