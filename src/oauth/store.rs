//! The files in which logins are kept: one for each server and client, which only the user can read.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::token::Token;

/// The place of one login.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// The file's name without what follows the dot.
    name: String,
}

/// The right to change a login. Other processes wait for it.
#[derive(Debug)]
pub(super) struct Lock {
    /// The lock goes with the file.
    _file: File,
}

/// Why a login cannot be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The system does not let us.
    #[error("{}: cannot be used to keep logins", path.display())]
    Unusable {
        /// The file, or the directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// Others may have read or changed it.
    #[error(
        "{}: may be used by others than its owner (mode {mode:03o}), so that it is not trusted: remove it",
        path.display()
    )]
    Exposed {
        /// The file, or the directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process does not come to an end.
    #[error("{}: another process has been logging in for too long", path.display())]
    Busy {
        /// The lock's file.
        path: PathBuf,
    },
}

/// The directory in which logins are kept if nobody says otherwise; None if there is no home directory.
pub fn default_store() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) { absolute("LOCALAPPDATA") } else { absolute("XDG_STATE_HOME") };
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local").join("state")))?;
    Some(state.join("mcp-switchboard"))
}

impl Store {
    /// The place for logins at `resource` of the client that the user has named, or of none.
    pub(super) fn new(directory: &Path, resource: &str, client: &str) -> Self {
        let digest = Sha256::digest(format!("{resource}\n{client}"));
        let name = digest.iter().take(16).fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        Self { directory: directory.to_owned(), name }
    }

    /// The login's file.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.json", self.name))
    }

    /// The login that is kept. One that cannot be understood is none: the next one takes its place.
    pub(super) async fn read(&self) -> Result<Option<Token>, StoreError> {
        let path = self.path();
        let text = blocking(&path.clone(), move || read_private(&path)).await??;
        let Some(text) = text else { return Ok(None) };
        let token = serde_json::from_slice(&text).ok();
        if token.is_none() {
            tracing::warn!(file = %self.path().display(), "a stored login cannot be understood; it is passed over");
        }
        Ok(token)
    }

    /// Keeps a login in place of the one before. Whoever reads meanwhile finds the one or the other.
    pub(super) async fn write(&self, _: &Lock, token: &Token) -> Result<(), StoreError> {
        let (path, temporary) = (self.path(), self.directory.join(format!("{}.tmp", self.name)));
        let text = serde_json::to_vec_pretty(token).map_err(|error| unusable(&path, error.into()))?;
        blocking(&path.clone(), move || {
            let written = replace(&path, &temporary, &text);
            written.map_err(|error| unusable(&path, error))
        })
        .await?
    }

    /// Waits for the right to change the login.
    pub(super) async fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.directory.join(format!("{}.lock", self.name));
        let (directory, lock) = (self.directory.clone(), path.clone());
        let file = blocking(&path, move || open_lock(&directory, &lock)).await??;
        let deadline = Instant::now() + LONGEST_WAIT;
        // Not a lock that blocks: its thread could not be called back while somebody else's user thinks.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(StoreError::Busy { path });
                }
                Err(TryLockError::WouldBlock) => sleep(PAUSE).await,
            }
        }
    }
}

/// Does what the disk may take its time for, where nobody else waits for it.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| unusable(path, io::Error::other(error)))
}

fn read_private(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let wrong = |error| unusable(path, error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(wrong)?,
    };
    refuse(path, &file.metadata().map_err(wrong)?, 0o077)?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).map_err(wrong)?;
    Ok(Some(text))
}

fn open_lock(directory: &Path, path: &Path) -> Result<File, StoreError> {
    let wrong = |error| unusable(directory, error);
    private_directory().create(directory).map_err(wrong)?;
    // Whoever may write there may put another login in place of the user's.
    refuse(directory, &fs::metadata(directory).map_err(wrong)?, 0o022)?;
    private_file().create(true).truncate(false).open(path).map_err(|error| unusable(path, error))
}

fn replace(path: &Path, temporary: &Path, text: &[u8]) -> io::Result<()> {
    // What is there was left by a process that died; with the lock held it is nobody's.
    let _ = fs::remove_file(temporary);
    let mut file = private_file().create_new(true).open(temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// Refuses what others than the owner may use in a way that `forbidden` names.
#[cfg(unix)]
fn refuse(path: &Path, metadata: &fs::Metadata, forbidden: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & forbidden == 0 { Ok(()) } else { Err(StoreError::Exposed { path: path.to_owned(), mode }) }
}

/// Elsewhere what is in a user's directory is the user's.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it is the other half of the one above")]
fn refuse(_: &Path, _: &fs::Metadata, _: u32) -> Result<(), StoreError> {
    Ok(())
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_directory() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn unusable(path: &Path, error: io::Error) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), source: Arc::new(error) }
}

/// Longer than any login takes.
const LONGEST_WAIT: Duration = Duration::from_mins(11);

const PAUSE: Duration = Duration::from_millis(100);

/// A login is far smaller.
const LARGEST: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
