//! Files that are looked at now and then: what stands in them counts, and how long it has stood there.

use std::path::PathBuf;
use std::time::Duration;

/// A file that did not change for so long is written to its end.
pub(super) const QUIET: Duration = Duration::from_millis(150);

/// Ends when it is time for the next look; never where nobody is to look by himself.
pub(super) async fn next_look(interval: Option<Duration>) {
    match interval {
        Some(interval) => tokio::time::sleep(interval).await,
        None => std::future::pending().await,
    }
}

/// A file and what stands in it now, if it can be read.
pub(super) fn contents(path: PathBuf) -> (PathBuf, Option<Vec<u8>>) {
    let contents = std::fs::read(&path).ok();
    (path, contents)
}
