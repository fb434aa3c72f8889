//! A unix socket that is listened on, and its file.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixStream};

/// A unix socket that is listened on. Its file goes with it, if it has made it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    _file: Option<SocketFile>,
}

/// Why a unix socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// There is something else.
    #[error("{} is there already, and no socket: remove it, or choose another path for the unix socket", .0.display())]
    NoSocket(PathBuf),
    /// Somebody listens there.
    #[error("another program listens on the unix socket {}: stop it, or choose another path", .0.display())]
    Taken(PathBuf),
    /// The system refuses.
    #[error("cannot listen on the unix socket {}: {source}", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl UnixSocket {
    /// Listens at `path`, which nobody may use but whom `mode` allows it. A socket's file that was left behind is replaced.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, UnixError> {
        let refused = |source| UnixError::Refused { path: path.to_owned(), source };
        clear(path)?;
        // From its first moment on: a file that is closed to others later was open before.
        let before = rustix::process::umask(Mode::from_raw_mode(!mode & 0o777));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(refused)?;
        let file = fs::symlink_metadata(path).map_err(refused)?;
        let file = SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() };
        Ok(Self { listener, _file: Some(file) })
    }

    /// A socket that somebody else has made, and whose file is theirs.
    pub fn inherited(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, _file: None })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// The file of a socket: removed at the end, unless another one is at its place by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |file: &fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(|file| ours(&file)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket's file on which nobody listens any more.
fn clear(path: &Path) -> Result<(), UnixError> {
    let refused = |source| UnixError::Refused { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(error)),
        Ok(file) if !file.file_type().is_socket() => Err(UnixError::NoSocket(path.to_owned())),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(UnixError::Taken(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(refused)
            }
            Err(error) => Err(refused(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_socket_is_private_from_the_start_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("router.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(UnixSocket::bind(&path, 0o600), Err(UnixError::Taken(_))));
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_socket_that_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("router.sock");
        // The standard library leaves the file behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = UnixSocket::bind(&path, 0o660).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(socket);
        assert!(matches!(UnixSocket::bind(&path, 0o600), Err(UnixError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
