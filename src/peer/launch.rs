//! From a command to a running process.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::ladder::Ladder;
use super::process::{Hold, Process, Shared};
use super::sandbox::Attempt;
use super::stdin::Stdin;
use super::transcript::{LastWords, Transcript};
use super::{MARKER, Mask, Peer, environment, orphans, program, stderr, stdout};
use crate::access::Credentials;
use crate::config::{CommandSpec, Sandbox, ServerName};

/// Attempts to run a file that somebody is still writing, ten milliseconds apart and more.
pub(super) const BUSY_ATTEMPTS: u32 = 5;

/// Longest time that is waited for a helper that was killed.
const GIVING_UP: Duration = Duration::from_secs(5);

/// What a process is started from.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The command.
    pub command: &'a CommandSpec,
    /// The mount, for the log.
    pub name: &'a ServerName,
    /// The value of [`MARKER`] in the process's environment: no other process may have the same.
    pub marker: String,
    /// The program that applies the command's sandbox, if it has one.
    pub sandbox_helper: Option<&'a Path>,
    /// What else is in its environment: what the one caller brings for whom it runs.
    pub credentials: Arc<Credentials>,
    /// The process inherits our whole environment, not only the safe part of it.
    pub pass_environment: bool,
    /// Bytes of a line of stdout, at most.
    pub line_limit: usize,
    /// Lines of stderr that are kept for [`Peer::last_lines`]; the last one always is.
    pub kept_lines: usize,
    /// Owns the tasks of the process; they end after the process and its handles did.
    pub tracker: TaskTracker,
}

/// Why a process could not be started. No message holds an argument or a value of the environment.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No directory in PATH has the program.
    #[error("\"{program}\" was not found in {searched}{hint}")]
    NotInPath {
        /// The name that was looked for.
        program: String,
        /// Where.
        searched: String,
        /// What to do about it; empty, or beginning with a semicolon.
        hint: &'static str,
    },
    /// The program was given as a path, at which there is nothing.
    #[error("the program {} does not exist", path.display())]
    NoFile {
        /// The path, absolute.
        path: PathBuf,
    },
    /// There is something, but not an executable file.
    #[error("{} is not an executable file", path.display())]
    NotExecutable {
        /// The path, absolute.
        path: PathBuf,
    },
    /// The working directory is missing.
    #[error("the directory {} does not exist", path.display())]
    Directory {
        /// The path, absolute.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{} cannot be run", path.display())]
    Refused {
        /// The program's path, absolute.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The command is to run in a sandbox, and there is nothing that makes one.
    #[error("`sandbox` needs a helper, and this program names none: see `Config::sandbox_helper`")]
    NoHelper,
    /// What makes the sandbox cannot be run.
    #[error("`sandbox` needs a helper, which cannot be run: {}", path.display())]
    Helper {
        /// The helper's path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The sandbox could not be made, so nothing was run in it.
    #[error("{reason}")]
    Sandbox {
        /// Why, and what to do.
        reason: String,
    },
    /// The runtime is ending.
    #[error("the router is shutting down")]
    ShuttingDown,
}

impl Launch<'_> {
    pub(super) async fn spawn(self) -> Result<Peer, SpawnError> {
        let last_words = LastWords::keeping(self.kept_lines);
        let start = Start {
            command: self.command.clone(),
            transcript: Transcript::new(
                self.name.clone(),
                Mask::new(self.command).and(&self.credentials),
                last_words.clone(),
            ),
            last_words,
            marker: self.marker.into(),
            sandbox_helper: self.sandbox_helper.map(Path::to_owned),
            credentials: self.credentials,
            pass_environment: self.pass_environment,
            line_limit: self.line_limit,
            tracker: self.tracker.clone(),
        };
        // The result is a handle already: if nobody waits for it any more, its drop stops the process.
        self.tracker.spawn_blocking(move || start.run()).await.unwrap_or(Err(SpawnError::ShuttingDown))
    }
}

/// A launch that owns everything, to be run where blocking is allowed.
struct Start {
    command: CommandSpec,
    transcript: Transcript,
    last_words: LastWords,
    marker: Arc<str>,
    sandbox_helper: Option<PathBuf>,
    credentials: Arc<Credentials>,
    pass_environment: bool,
    line_limit: usize,
    tracker: TaskTracker,
}

/// What is to be spawned.
struct Prepared {
    command: Command,
    /// The file that it runs.
    run: PathBuf,
    /// What is to be waited for then: the file is a helper.
    attempt: Option<Attempt>,
}

/// A command that runs.
struct Started {
    child: Child,
    pid: u32,
    stdin: Option<ChildStdin>,
}

impl Start {
    fn run(self) -> Result<Peer, SpawnError> {
        let Started { mut child, pid, stdin } = self.start_process()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let shared = Arc::new(Shared {
            pid,
            marker: self.marker,
            stdin: Stdin::new(stdin),
            last_words: self.last_words,
            tracker: self.tracker,
            runtime: Handle::current(),
            life: Arc::default(),
        });
        let (reader, listener) = oneshot::channel();
        if let Some(pipe) = stdout {
            shared.tracker.spawn(stdout::listen(pipe, listener, self.line_limit, Arc::clone(&shared)));
        }
        if let Some(pipe) = stderr {
            shared.tracker.spawn(stderr::drain(pipe, self.transcript, Arc::clone(&shared.life)));
        }
        shared.tracker.spawn(Ladder::new(child, Arc::clone(&shared)).walk());
        Ok(Peer::from(Process(Arc::new(Hold { shared, reader: Mutex::new(Some(reader)) }))))
    }

    fn start_process(&self) -> Result<Started, SpawnError> {
        let directory = program::directory(&self.command)?;
        let inherited: Vec<_> = environment::inherited(self.pass_environment).collect();
        let path = inherited.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let path = program::resolve(&self.command, directory.as_deref(), path)?;
        let Prepared { mut command, run, attempt } = match &self.command.sandbox {
            Some(sandbox) => self.sandboxed(sandbox, path)?,
            None => self.plain(path),
        };
        command
            .env_clear()
            .envs(inherited)
            .envs(&self.command.env)
            .envs(self.credentials.reveal())
            .env(MARKER, &*self.marker)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        // Without `pre_exec` the standard library spawns without copying this process.
        #[cfg(unix)]
        command.process_group(0);
        let (mut child, pid) = self.spawn_patiently(&mut command).map_err(|source| match &attempt {
            Some(_) => SpawnError::Helper { path: run.clone(), source },
            None => SpawnError::Refused { path: run.clone(), source },
        })?;
        // It holds the other end of what the helper speaks on.
        drop(command);
        let Some(attempt) = attempt else {
            let stdin = child.stdin.take();
            return Ok(Started { child, pid, stdin });
        };
        match attempt.outcome() {
            Ok(stdin) => Ok(Started { child, pid, stdin: Some(stdin) }),
            Err(error) => {
                self.bury(child, pid);
                Err(error)
            }
        }
    }

    /// The command as it is.
    fn plain(&self, path: PathBuf) -> Prepared {
        let mut command = Command::new(&path);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(command.as_std_mut(), &self.command.program);
        command.args(&self.command.args).stdin(Stdio::piped());
        Prepared { command, run: path, attempt: None }
    }

    /// The helper, which becomes the command.
    fn sandboxed(&self, sandbox: &Sandbox, path: PathBuf) -> Result<Prepared, SpawnError> {
        let helper = self.sandbox_helper.clone().ok_or(SpawnError::NoHelper)?;
        let (command, attempt) = Attempt::new(&helper, sandbox, path, &self.command)?;
        Ok(Prepared { command, run: helper, attempt: Some(attempt) })
    }

    /// Ends a helper that did not become its command.
    fn bury(&self, mut child: Child, pid: u32) {
        // It has ended already, or is not to go on.
        let _ = child.start_kill();
        // Only one that hangs in the kernel takes longer; the runtime waits for that one.
        let ended = Handle::current().block_on(async { timeout(GIVING_UP, child.wait()).await });
        if ended.is_ok() {
            orphans::forget(pid, &self.marker);
        }
    }

    fn spawn_patiently(&self, command: &mut Command) -> io::Result<(Child, u32)> {
        let mut attempt = 1;
        loop {
            let spawning = orphans::spawning();
            match command.spawn() {
                Ok(child) => {
                    // It cannot have been waited for yet.
                    let pid = child.id().unwrap_or_default();
                    spawning.register(pid, Arc::clone(&self.marker));
                    return Ok((child, pid));
                }
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy && attempt < BUSY_ATTEMPTS =>
                {
                    drop(spawning);
                    std::thread::sleep(Duration::from_millis(10) * attempt);
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
