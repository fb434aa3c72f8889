//! The system's log: a datagram per line to the local socket, in the form of RFC 3164 that every daemon takes
//! there. The time is left out: the daemon knows it, in the zone of its choice.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::logging::severity;

/// Where daemons listen: Linux and most others, macOS, FreeBSD.
const SOCKETS: &[&str] = &["/dev/log", "/var/run/syslog", "/var/run/log"];

/// The facility "daemon", times eight.
const DAEMON: u8 = 3 << 3;

/// An open way to the system's log.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Syslog {
    /// Opens the first socket that there is.
    pub(super) fn open() -> io::Result<Self> {
        let mut refusal = io::Error::new(io::ErrorKind::NotFound, format!("none of {SOCKETS:?} is there"));
        for path in SOCKETS {
            match Self::connect(Path::new(path)) {
                Ok(syslog) => return Ok(syslog),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket, path: path.to_owned() })
    }
}

impl Write for Syslog {
    /// Sends one line; to a daemon that has been started again in the meantime, on a new connection.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let datagram = line.trim_ascii_end();
        if self.socket.send(datagram).is_err() {
            *self = Self::connect(&self.path)?;
            self.socket.send(datagram)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands before a line of that level.
pub(super) fn prefix(level: Level) -> String {
    format!("<{}>mcp-switchboard[{}]: ", DAEMON | severity(level), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_datagram_and_a_daemon_that_comes_back_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut received = [0; 100];
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::connect(&path).unwrap();
        assert_eq!(syslog.write(b"<30>one\n").unwrap(), 8);
        let length = daemon.recv(&mut received).unwrap();
        assert_eq!(&received[..length], b"<30>one");

        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.write(b"lost\n").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.write_all(b"two\n").unwrap();
        let length = daemon.recv(&mut received).unwrap();
        assert_eq!(&received[..length], b"two");
    }

    #[test]
    fn a_level_has_its_severity() {
        let pid = std::process::id();
        assert_eq!(prefix(Level::ERROR), format!("<27>mcp-switchboard[{pid}]: "));
        assert_eq!(prefix(Level::INFO), format!("<30>mcp-switchboard[{pid}]: "));
    }
}
