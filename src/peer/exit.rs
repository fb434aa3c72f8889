//! How a process ended.

use std::fmt;
use std::process::ExitStatus;

/// How a process ended, and whether it was meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What ended it.
    pub cause: Cause,
    /// The router had begun to stop it before: an exit that was not asked for is a crash, whatever its status.
    pub asked: bool,
}

/// What ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It exited with this status.
    Code(i32),
    /// A signal of this number killed it.
    Signal(i32),
    /// It closed its stdout and lived on: nothing can be heard from it any more, so it is being stopped.
    ClosedStdout,
    /// A remote server cannot be reached, or does not know the session any more.
    Lost,
    /// A connection to a remote server was closed from here.
    Closed,
    /// The operating system did not tell, or it could not be killed.
    Unknown,
}

impl From<ExitStatus> for Cause {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(signal);
        }
        status.code().map_or(Self::Unknown, Self::Code)
    }
}

/// Finishes the sentence "the server …".
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// Finishes the sentence "the server …".
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "was killed by signal {signal} ({name})"),
                None => write!(f, "was killed by signal {signal}"),
            },
            Self::ClosedStdout => f.write_str("closed its stdout"),
            Self::Lost => f.write_str("was lost"),
            Self::Closed => f.write_str("was left"),
            Self::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

/// The names of the signals whose numbers are the same on every Unix, and of SIGBUS on Linux.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 if cfg!(target_os = "linux") => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_finishes_the_sentence() {
        let said = |cause| Exit { cause, asked: false }.to_string();
        assert_eq!(said(Cause::Code(3)), "exited with status 3");
        assert_eq!(said(Cause::Signal(9)), "was killed by signal 9 (SIGKILL)");
        assert_eq!(said(Cause::Signal(42)), "was killed by signal 42");
        assert_eq!(said(Cause::ClosedStdout), "closed its stdout");
    }
}
