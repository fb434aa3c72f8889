//! A command in a sandbox: a helper restricts itself, and then becomes the command.
//!
//! The router spawns its own program again, with [`WORD`] as the first argument. That helper is alone in its process, so it can
//! take from itself what the command is not to have, and then runs the command in its own place: process id, group,
//! pipes, environment and directory stay. Nothing is ever applied to the router.
//!
//! Whether that went well is said on a socket, which is the helper's stdin until it has been handed the real one over it. The
//! socket closes by itself when the command begins. So a start ends in a running command that is restricted as was
//! asked, or in an error; there is no third way.

#[cfg(target_os = "linux")]
mod attempt;
#[cfg(target_os = "linux")]
mod confine;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod words;

#[cfg(target_os = "linux")]
pub(super) use attempt::Attempt;
#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Attempt;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::run;
#[cfg(target_os = "linux")]
pub use helper::run;

/// The first argument by which the program knows that it is the helper.
pub const WORD: &str = "sandboxed";

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::ffi::OsString;
    use std::io::{self, Write as _};
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;

    use tokio::process::{ChildStdin, Command};

    use crate::config::{CommandSpec, Sandbox};
    use crate::peer::SpawnError;

    /// There is none here.
    #[derive(Debug)]
    pub(in crate::peer) enum Attempt {}

    impl Attempt {
        pub(in crate::peer) fn new(
            _helper: &Path,
            _sandbox: &Sandbox,
            _program: PathBuf,
            _command: &CommandSpec,
        ) -> Result<(Command, Self), SpawnError> {
            let reason = "`sandbox` works on Linux only: remove it to run the server without".to_owned();
            Err(SpawnError::Sandbox { reason })
        }

        pub(in crate::peer) fn outcome(self) -> Result<ChildStdin, SpawnError> {
            match self {}
        }
    }

    /// Says that there are no sandboxes here.
    pub fn run(_words: impl Iterator<Item = OsString>) -> ExitCode {
        let _ = writeln!(io::stderr(), "error: a sandbox works on Linux only");
        ExitCode::from(2)
    }
}
