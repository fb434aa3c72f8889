//! The helper: takes its stdin over, restricts itself, and becomes the command.

use std::ffi::OsString;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::stdio::{dup2_stdin, stdin};

use super::confine::confine;
use super::outcome::{Outcome, READY};
use super::words::{self, Task};
use crate::peer::launch::BUSY_ATTEMPTS;

/// What a helper ends with that did not become its command, as shells do.
const NOT_RUN: u8 = 126;

/// Does what the words say, of which the first is the one behind [`WORD`](super::WORD). It returns only if that failed.
///
/// To be called before this process has a second thread: a kernel restricts threads, not processes.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    let mut router = match take_over() {
        Ok(router) => router,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: this is for the router's own use: {error}");
            return ExitCode::from(2);
        }
    };
    let ready = words::decode(words).map_err(|unclear| unclear.to_string()).and_then(|task| {
        confine(&task.sandbox, &task.program)?;
        Ok(task)
    });
    // Whoever does not hear this has ended, and does not want the command any more.
    let _ = match ready {
        Ok(task) => become_command(&mut router, task),
        Err(reason) => router.write_all(reason.as_bytes()),
    };
    ExitCode::from(NOT_RUN)
}

/// Takes what stdin is to be, and returns what it was: the way to the router, which closes itself with this program.
fn take_over() -> io::Result<UnixStream> {
    let router = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(handed_over(&router)?)?;
    Ok(UnixStream::from(router))
}

fn handed_over(router: &OwnedFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(router, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
        _ => None,
    });
    passed.ok_or_else(|| io::Error::other("there is no router"))
}

fn become_command(router: &mut UnixStream, task: Task) -> io::Result<()> {
    // A file that no kernel can run is given to a shell by this, as shells do; the router refuses it without a sandbox.
    let mut command = Command::new(task.program);
    command.arg0(task.name).args(task.args);
    router.write_all(READY)?;
    for attempt in 1.. {
        let error = command.exec();
        if error.kind() != io::ErrorKind::ExecutableFileBusy || attempt >= BUSY_ATTEMPTS {
            return router.write_all(&Outcome::not_run(&error));
        }
        sleep(Duration::from_millis(10) * attempt);
    }
    Ok(())
}
