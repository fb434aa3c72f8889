//! One running server process: a queue in, lines out, an exit.
//!
//! [`Peer::spawn`] starts the process in a group of its own. Its stderr is drained into the log from then on; its
//! stdout is read once somebody listens ([`Peer::attach`]). [`Peer::stop`], the last handle's drop, the leader's exit
//! and the end of stdout all lead to the same end, the ladder: stdin is closed, and what still runs five
//! seconds later is asked, and then forced, to end, grandchildren included.
//!
//! Three tasks live as long as the process does: one reads stdout, one drains stderr, one waits for the end and walks
//! the ladder. A message costs none of them a wake-up on its way in: it is written by whoever sends it, unless the
//! process does not read; then a fourth task writes what waits.

mod environment;
mod exit;
mod group;
mod ladder;
mod launch;
mod mask;
pub mod orphans;
mod program;
mod stderr;
mod stdin;
mod stdout;
mod transcript;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use exit::{Cause, Exit};
pub use ladder::{MERCY, PATIENCE};
pub use launch::{Launch, SpawnError};
pub use mask::Mask;
pub use stdin::{MAX_BYTES, MAX_MESSAGES, SendError};
pub use transcript::STDERR;

use crate::wire::line::Line;

/// The name of the environment variable by which a process is known to be one of ours.
pub const MARKER: &str = "MCP_SWITCHBOARD_SESSION";

/// A handle to a running server process. When the last one is dropped, the process is stopped.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Hold>);

/// Who hears what a process says. It is called on the task that reads stdout and must not block.
///
/// A listener that holds its [`Peer`] keeps it running: [`Peer::stop`] ends that.
pub trait Listener: Send + Sync + 'static {
    /// A line of stdout, in order; never an empty one.
    fn line(&self, line: Line);

    /// The process has ended; called exactly once, after the last line.
    fn exited(&self, exit: &Exit);
}

impl Peer {
    /// Starts a process. The work that blocks is done beside the runtime's workers.
    ///
    /// If the future is dropped, what was started is stopped.
    pub async fn spawn(launch: Launch<'_>) -> Result<Self, SpawnError> {
        launch.spawn().await
    }

    /// Gives the lines of stdout to `listener`, beginning with the first that the process ever wrote. Only the first
    /// call counts. It may come when the process has ended already: the listener then hears what was left.
    pub fn attach(&self, listener: Arc<dyn Listener>) {
        let reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            // The reader lives until it is given a listener or the last handle is gone.
            let _ = reader.send(listener);
        }
    }

    /// Sends one message: JSON on one line, without its end.
    ///
    /// It is written at once if the process reads, else it waits in a queue of [`MAX_MESSAGES`] and [`MAX_BYTES`].
    ///
    /// # Errors
    /// Nothing of a refused message reaches the process.
    pub fn send(&self, line: Bytes) -> Result<(), SendError> {
        let shared = &self.0.shared;
        if shared.stdin.send(line)? == stdin::Sent::NeedsWriter {
            let shared_by_writer = Arc::clone(shared);
            shared
                .tracker
                .spawn_on(async move { shared_by_writer.stdin.write_queue().await }, &shared.runtime);
        }
        Ok(())
    }

    /// Waits until a message of `bytes` bytes would not be refused as [`SendError::Full`].
    pub async fn room(&self, bytes: usize) {
        self.0.shared.stdin.room(bytes).await;
    }

    /// Whether a message of `bytes` bytes would not be refused as [`SendError::Full`].
    pub fn has_room(&self, bytes: usize) -> bool {
        self.0.shared.stdin.has_room(bytes)
    }

    /// Somebody who sees how the process ends without keeping it running.
    pub fn witness(&self) -> Witness {
        Witness(Arc::clone(&self.0.shared))
    }

    /// The leader's process id; it means nothing once the leader has exited.
    pub fn pid(&self) -> u32 {
        self.0.shared.pid
    }

    /// Starts the ladder, and returns at once: stdin is closed when what waits has been written; after five
    /// seconds SIGTERM, three seconds later SIGKILL.
    pub fn stop(&self) {
        self.0.shared.ask_to_stop();
    }

    /// Goes to the end of the ladder at once.
    pub fn kill(&self) {
        self.0.shared.asked.store(true, Ordering::Relaxed);
        self.0.shared.kill.cancel();
    }

    /// Waits until the leader is gone. One that closed its stdout and lives counts as gone after a second.
    pub async fn exited(&self) -> Exit {
        let shared = &self.0.shared;
        shared.exited.cancelled().await;
        shared.exit()
    }

    /// How the leader ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.0.shared.exit.get().copied()
    }

    /// What it last wrote to stderr, without secrets; empty if it wrote nothing.
    pub fn last_words(&self) -> Box<str> {
        self.0.shared.last_words.get()
    }

    /// Waits for the end of the ladder: nothing of the process runs any more, grandchildren included.
    pub async fn gone(&self) {
        self.0.shared.gone.cancelled().await;
    }
}

/// Sees how a process ends. Unlike a [`Peer`], it does not keep the process running.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Shared>);

impl Witness {
    /// Waits until the leader is gone, as [`Peer::exited`] does.
    pub async fn exited(&self) -> Exit {
        self.0.exited.cancelled().await;
        self.0.exit()
    }

    /// How the leader ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.0.exit.get().copied()
    }

    /// Goes to the end of the ladder at once, as [`Peer::kill`] does.
    pub fn kill(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
        self.0.kill.cancel();
    }

    /// Waits until nothing of the process runs any more, as [`Peer::gone`] does.
    pub async fn gone(&self) {
        self.0.gone.cancelled().await;
    }
}

/// What the handles share, and only they: its drop means that nobody wants the process any more.
#[derive(Debug)]
struct Hold {
    shared: Arc<Shared>,
    /// Dropped with the last handle, which tells a reader that nobody will ever listen.
    reader: Mutex<Option<oneshot::Sender<Arc<dyn Listener>>>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.ask_to_stop();
    }
}

impl std::fmt::Debug for dyn Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// What the handles and the tasks of one process share.
#[derive(Debug)]
struct Shared {
    pid: u32,
    marker: Arc<str>,
    stdin: stdin::Stdin,
    last_words: transcript::LastWords,
    tracker: TaskTracker,
    runtime: Handle,
    /// Somebody wanted the process to end, before it did.
    asked: AtomicBool,
    /// The ladder is to begin.
    stop: CancellationToken,
    /// The ladder is to go to its end.
    kill: CancellationToken,
    exit: OnceLock<Exit>,
    /// `exit` is set.
    exited: CancellationToken,
    /// The ladder has ended.
    gone: CancellationToken,
}

impl Shared {
    fn ask_to_stop(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.begin_ladder();
    }

    fn begin_ladder(&self) {
        // Here and not by the task that walks the ladder: what is sent after this is refused.
        self.stdin.finish();
        self.stop.cancel();
    }

    /// Says how the process ended. Only the first word counts.
    fn ended(&self, cause: Cause) {
        let asked = self.asked.load(Ordering::Relaxed);
        if self.exit.set(Exit { cause, asked }).is_ok() {
            self.exited.cancel();
        }
    }

    /// How the process ended; asked for after `exited` only.
    fn exit(&self) -> Exit {
        self.exit.get().copied().unwrap_or(Exit { cause: Cause::Unknown, asked: true })
    }
}
