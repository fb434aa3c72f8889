//! From a command to a running process.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::ladder::Ladder;
use super::process::{Hold, Process, Shared};
use super::stdin::Stdin;
use super::transcript::{LastWords, Transcript};
use super::{MARKER, Mask, Peer, environment, orphans, program, stderr, stdout};
use crate::access::Credentials;
use crate::config::{CommandSpec, ServerName};

/// Attempts to run a file that somebody is still writing, ten milliseconds apart and more.
const BUSY_ATTEMPTS: u32 = 5;

/// What a process is started from.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The command.
    pub command: &'a CommandSpec,
    /// The mount, for the log.
    pub name: &'a ServerName,
    /// The value of [`MARKER`] in the process's environment: no other process may have the same.
    pub marker: String,
    /// What else is in its environment: what the one caller brings for whom it runs.
    pub credentials: Arc<Credentials>,
    /// The process inherits our whole environment, not only the safe part of it.
    pub pass_environment: bool,
    /// Bytes of a line of stdout, at most.
    pub line_limit: usize,
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
    /// The runtime is ending.
    #[error("the router is shutting down")]
    ShuttingDown,
}

impl Launch<'_> {
    pub(super) async fn spawn(self) -> Result<Peer, SpawnError> {
        let last_words = LastWords::default();
        let start = Start {
            command: self.command.clone(),
            transcript: Transcript::new(
                self.name.clone(),
                Mask::new(self.command).and(&self.credentials),
                last_words.clone(),
            ),
            last_words,
            marker: self.marker.into(),
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
    credentials: Arc<Credentials>,
    pass_environment: bool,
    line_limit: usize,
    tracker: TaskTracker,
}

impl Start {
    fn run(self) -> Result<Peer, SpawnError> {
        let (mut child, pid) = self.start_process()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let shared = Arc::new(Shared {
            pid,
            marker: self.marker,
            stdin: Stdin::new(pipes.0),
            last_words: self.last_words,
            tracker: self.tracker,
            runtime: Handle::current(),
            life: Arc::default(),
        });
        let (reader, listener) = oneshot::channel();
        if let Some(pipe) = pipes.1 {
            shared.tracker.spawn(stdout::listen(pipe, listener, self.line_limit, Arc::clone(&shared)));
        }
        if let Some(pipe) = pipes.2 {
            shared.tracker.spawn(stderr::drain(pipe, self.transcript, Arc::clone(&shared.life)));
        }
        shared.tracker.spawn(Ladder::new(child, Arc::clone(&shared)).walk());
        Ok(Peer::from(Process(Arc::new(Hold { shared, reader: Mutex::new(Some(reader)) }))))
    }

    fn start_process(&self) -> Result<(Child, u32), SpawnError> {
        let directory = program::directory(&self.command)?;
        let inherited: Vec<_> = environment::inherited(self.pass_environment).collect();
        let path = inherited.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let path = program::resolve(&self.command, directory.as_deref(), path)?;
        let mut command = Command::new(&path);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(command.as_std_mut(), &self.command.program);
        command
            .args(&self.command.args)
            .env_clear()
            .envs(inherited)
            .envs(&self.command.env)
            .envs(self.credentials.reveal())
            .env(MARKER, &*self.marker)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        // Without `pre_exec` the standard library spawns without copying this process.
        #[cfg(unix)]
        command.process_group(0);
        self.spawn_patiently(&mut command, &path)
    }

    fn spawn_patiently(&self, command: &mut Command, path: &Path) -> Result<(Child, u32), SpawnError> {
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
                Err(source) => return Err(SpawnError::Refused { path: path.to_owned(), source }),
            }
        }
    }
}
