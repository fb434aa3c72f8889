//! One running server: a queue in, lines out, an exit.
//!
//! A peer is a process of ours ([`Peer::spawn`]), a connection to a remote server ([`Peer::connect`]) or a server that is a
//! part of this program ([`Peer::in_process`]); who uses one does not see the difference.
//!
//! A process is in a group of its own. Its stderr is drained into the log from its start on; its
//! stdout is read once somebody listens ([`Peer::attach`]). [`Peer::stop`], the last handle's drop, the leader's exit
//! and the end of stdout all lead to the same end, the ladder: stdin is closed, and what still runs five
//! seconds later is asked, and then forced, to end, grandchildren included. Three tasks live as long as it does: one
//! reads stdout, one drains stderr, one waits for the end and walks
//! the ladder. A message costs none of them a wake-up on its way in: it is written by whoever sends it, unless the
//! process does not read; then a fourth task writes what waits.
//!
//! A remote server gets each message by a POST; see [`remote`].

mod conceal;
mod environment;
mod exit;
mod group;
pub mod in_process;
mod ladder;
mod launch;
mod life;
mod mask;
pub mod orphans;
mod process;
mod program;
pub mod remote;
mod room;
pub mod sandbox;
mod stderr;
mod stdin;
mod stdout;
mod transcript;

use std::sync::Arc;

use bytes::Bytes;

pub use exit::{Cause, Exit};
pub use ladder::{MERCY, PATIENCE};
pub use launch::{Launch, SpawnError};
pub use mask::Mask;
pub use stdin::{MAX_BYTES, MAX_MESSAGES, SendError};
pub use transcript::STDERR;

use crate::access::Caller;
use crate::wire::line::Line;
use in_process::{InProcess, Service};
use life::Life;
use process::Process;
use remote::{Remote, Site};
use tokio_util::task::TaskTracker;

/// The name of the environment variable by which a process is known to be one of ours.
pub const MARKER: &str = "MCP_SWITCHBOARD_SESSION";

/// A handle to a running server. When the last one is dropped, the process is stopped, or the connection closed.
#[derive(Clone, Debug)]
pub struct Peer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Process(Process),
    Remote(Remote),
    InProcess(InProcess),
}

/// Who hears what a server says. It is called on the task that reads, and must not block.
///
/// A listener that holds its [`Peer`] keeps it running: [`Peer::stop`] ends that.
pub trait Listener: Send + Sync + 'static {
    /// A line, in order; never an empty one.
    fn line(&self, line: Line);

    /// The server never got this message, and will not; called before [`exited`](Self::exited). Of a process this cannot
    /// be known.
    fn unheard(&self, line: Bytes) {
        drop(line);
    }

    /// The peer has ended; called exactly once, after everything else.
    fn exited(&self, exit: &Exit);
}

impl Peer {
    /// Starts a process. The work that blocks is done beside the runtime's workers.
    ///
    /// If the future is dropped, what was started is stopped.
    pub async fn spawn(launch: Launch<'_>) -> Result<Self, SpawnError> {
        launch.spawn().await
    }

    /// A connection to a remote server. Nothing is sent before somebody listens and speaks.
    pub fn connect(site: &Arc<Site>) -> Self {
        Self(Kind::Remote(Remote::new(site.clone())))
    }

    /// A conversation of `caller` with a server that is a part of this program. Nothing of it runs before somebody listens.
    pub fn in_process(service: &dyn Service, caller: &Caller, tracker: TaskTracker) -> Self {
        Self(Kind::InProcess(InProcess::new(service, caller, tracker)))
    }

    /// Gives what the server says to `listener`, beginning with the first line that a process ever wrote. Only the first
    /// call counts. It may come when the process has ended already: the listener then hears what was left.
    pub fn attach(&self, listener: Arc<dyn Listener>) {
        match &self.0 {
            Kind::Process(process) => process.attach(listener),
            Kind::Remote(remote) => remote.attach(listener),
            Kind::InProcess(here) => here.attach(listener),
        }
    }

    /// Sends one message: JSON on one line, without its end.
    ///
    /// It is written at once if the server reads, else it waits in a queue of [`MAX_MESSAGES`] and [`MAX_BYTES`].
    ///
    /// # Errors
    /// Nothing of a refused message reaches the server.
    pub fn send(&self, line: Bytes) -> Result<(), SendError> {
        match &self.0 {
            Kind::Process(process) => process.send(line),
            Kind::Remote(remote) => remote.send(line),
            Kind::InProcess(here) => here.send(line),
        }
    }

    /// Waits until a message of `bytes` bytes would not be refused as [`SendError::Full`].
    pub async fn room(&self, bytes: usize) {
        match &self.0 {
            Kind::Process(process) => process.room(bytes).await,
            Kind::Remote(remote) => remote.room(bytes).await,
            // It takes what it is sent: how much is in flight is bounded by whoever sends.
            Kind::InProcess(_) => {}
        }
    }

    /// Whether a message of `bytes` bytes would not be refused as [`SendError::Full`].
    pub fn has_room(&self, bytes: usize) -> bool {
        match &self.0 {
            Kind::Process(process) => process.has_room(bytes),
            Kind::Remote(remote) => remote.has_room(bytes),
            Kind::InProcess(_) => true,
        }
    }

    /// Somebody who sees how the peer ends without keeping it running.
    pub fn witness(&self) -> Witness {
        Witness { pid: self.pid(), life: self.life().clone() }
    }

    /// The leader's process id, if it is a process; it means nothing once the leader has exited.
    pub fn pid(&self) -> Option<u32> {
        match &self.0 {
            Kind::Process(process) => Some(process.pid()),
            Kind::Remote(_) | Kind::InProcess(_) => None,
        }
    }

    /// Whether it is a remote server's.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Kind::Remote(_))
    }

    /// Starts the end, and returns at once. Of a process: stdin is closed when what waits has been written; after five
    /// seconds SIGTERM, three seconds later SIGKILL. Of a connection: what waits is sent, and the session ended.
    pub fn stop(&self) {
        match &self.0 {
            Kind::Process(process) => process.stop(),
            Kind::Remote(remote) => remote.stop(),
            Kind::InProcess(here) => here.stop(),
        }
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.life().kill();
    }

    /// Waits until it has ended. A process that closed its stdout and lives counts as gone after a second.
    pub async fn exited(&self) -> Exit {
        self.life().exited().await
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.life().exit()
    }

    /// What a process last wrote to stderr, or why a connection was lost, without secrets; empty if there is nothing.
    pub fn last_words(&self) -> Box<str> {
        match &self.0 {
            Kind::Process(process) => process.last_words(),
            Kind::Remote(remote) => remote.last_words(),
            Kind::InProcess(_) => Box::default(),
        }
    }

    /// The last lines that a process wrote to stderr, as many as [`Launch::kept_lines`] says, without secrets.
    pub fn last_lines(&self) -> Vec<Box<str>> {
        match &self.0 {
            Kind::Process(process) => process.last_lines(),
            Kind::Remote(_) | Kind::InProcess(_) => Vec::new(),
        }
    }

    /// Waits until nothing of it runs any more, grandchildren included.
    pub async fn gone(&self) {
        self.life().gone.cancelled().await;
    }

    fn life(&self) -> &Arc<Life> {
        match &self.0 {
            Kind::Process(process) => process.life(),
            Kind::Remote(remote) => remote.life(),
            Kind::InProcess(here) => here.life(),
        }
    }
}

impl From<Process> for Peer {
    fn from(process: Process) -> Self {
        Self(Kind::Process(process))
    }
}

/// Sees how a peer ends. Unlike a [`Peer`], it does not keep it running.
#[derive(Clone, Debug)]
pub struct Witness {
    pid: Option<u32>,
    life: Arc<Life>,
}

impl Witness {
    /// The leader's process id, if it is a process.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Waits until the peer has ended, as [`Peer::exited`] does.
    pub async fn exited(&self) -> Exit {
        self.life.exited().await
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.life.exit()
    }

    /// Ends it at once, as [`Peer::kill`] does.
    pub fn kill(&self) {
        self.life.kill();
    }

    /// Waits until nothing of it runs any more, as [`Peer::gone`] does.
    pub async fn gone(&self) {
        self.life.gone.cancelled().await;
    }
}

impl std::fmt::Debug for dyn Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}
