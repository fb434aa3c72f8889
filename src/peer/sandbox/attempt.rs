//! The router's side of one start in a sandbox.

use std::io::{self, IoSlice, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::process::{ChildStdin, Command};

use super::outcome::Outcome;
use super::{WORD, words};
use crate::config::{CommandSpec, Sandbox};
use crate::peer::SpawnError;

/// Longest time that the helper may take: it opens paths, which may be on a network drive that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that the helper may say.
const LONGEST: u64 = 4 << 10;

/// What the program is called that restricts itself.
const NAME: &str = env!("CARGO_PKG_NAME");

/// A start that is to be made: the command's stdin, and where the helper says what came of it.
#[derive(Debug)]
pub(in crate::peer) struct Attempt {
    socket: UnixStream,
    stdin: PipeWriter,
    program: PathBuf,
    /// The program may not reach every file.
    narrow: bool,
}

impl Attempt {
    /// The command line that runs `program` for `command`, restricted by `helper`; stdin is taken care of.
    pub(in crate::peer) fn new(
        helper: &Path,
        sandbox: &Sandbox,
        program: PathBuf,
        command: &CommandSpec,
    ) -> Result<(Command, Self), SpawnError> {
        let no_way = |source| SpawnError::Helper { path: helper.to_owned(), source };
        let (socket, theirs) = UnixStream::pair().map_err(no_way)?;
        let (reader, stdin) = io::pipe().map_err(no_way)?;
        hand_over(&socket, reader).map_err(no_way)?;
        let mut line = Command::new(helper);
        std::os::unix::process::CommandExt::arg0(line.as_std_mut(), NAME);
        line.arg(WORD).args(words::encode(sandbox, &program, &command.program, &command.args));
        line.stdin(Stdio::from(OwnedFd::from(theirs)));
        let narrow = sandbox.filesystem.is_some();
        Ok((line, Self { socket, stdin, program, narrow }))
    }

    /// Waits until the helper has become the command, whose stdin is returned, or has said why not. The command line
    /// must have been dropped: it holds the other end.
    pub(in crate::peer) fn outcome(self) -> Result<ChildStdin, SpawnError> {
        let outcome = match listen(&self.socket) {
            Ok(said) => Outcome::heard(&said),
            Err(error) => Outcome::Refused(format!("the helper of `sandbox` does not answer: {error}")),
        };
        match outcome {
            Outcome::Running => {
                let stdin = std::process::ChildStdin::from(OwnedFd::from(self.stdin));
                ChildStdin::from_std(stdin)
                    .map_err(|source| SpawnError::Refused { path: self.program, source })
            }
            // The router has seen that it may be run: what is missing is an interpreter's or a library's.
            Outcome::NotRun(error) if self.narrow && error.kind() == io::ErrorKind::PermissionDenied => {
                let reason = format!(
                    "{} cannot be run: {error}; what it needs to run is not below `sandbox.filesystem.read`",
                    self.program.display()
                );
                Err(SpawnError::Sandbox { reason })
            }
            Outcome::NotRun(source) => Err(SpawnError::Refused { path: self.program, source }),
            Outcome::Refused(reason) => Err(SpawnError::Sandbox { reason }),
        }
    }
}

/// Lets the helper have the end of the pipe that it is to read from.
fn hand_over(socket: &UnixStream, reader: PipeReader) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [reader.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&passed));
    // One byte has to go with it.
    sendmsg(socket, &[IoSlice::new(b"0")], &mut control, SendFlags::NOSIGNAL)?;
    // Only the command reads from it: its end must be seen.
    drop(reader);
    Ok(())
}

/// Everything that is said until the other end is closed.
fn listen(socket: &UnixStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match (&mut &*socket).read(&mut buffer) {
            Ok(0) => return Ok(said),
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Its end came before it had read what it was handed: it was killed, or is another program.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(said),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if said.len() as u64 > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}
