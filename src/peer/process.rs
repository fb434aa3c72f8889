//! The handles of a running process, and what they share with its tasks.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::life::Life;
use super::stdin::{self, SendError};
use super::{Listener, transcript};

/// A handle to a running server process. When the last one is dropped, the process is stopped.
#[derive(Clone, Debug)]
pub(super) struct Process(pub(super) Arc<Hold>);

impl Process {
    /// Gives the lines of stdout to `listener`, beginning with the first that the process ever wrote. Only the first
    /// call counts. It may come when the process has ended already: the listener then hears what was left.
    pub(super) fn attach(&self, listener: Arc<dyn Listener>) {
        let reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            // The reader lives until it is given a listener or the last handle is gone.
            let _ = reader.send(listener);
        }
    }

    /// Sends one message: JSON on one line, without its end.
    ///
    /// It is written at once if the process reads, else it waits in a queue of [`MAX_MESSAGES`](stdin::MAX_MESSAGES) and [`MAX_BYTES`](stdin::MAX_BYTES).
    ///
    /// # Errors
    /// Nothing of a refused message reaches the process.
    pub(super) fn send(&self, line: Bytes) -> Result<(), SendError> {
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
    pub(super) async fn room(&self, bytes: usize) {
        self.0.shared.stdin.room(bytes).await;
    }

    /// Whether a message of `bytes` bytes would not be refused as [`SendError::Full`].
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.0.shared.stdin.has_room(bytes)
    }

    /// The leader's process id; it means nothing once the leader has exited.
    pub(super) fn pid(&self) -> u32 {
        self.0.shared.pid
    }

    /// Starts the ladder, and returns at once: stdin is closed when what waits has been written; after five
    /// seconds SIGTERM, three seconds later SIGKILL.
    pub(super) fn stop(&self) {
        self.0.shared.ask_to_stop();
    }

    /// The stages of its life.
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.0.shared.life
    }

    /// What it last wrote to stderr, without secrets; empty if it wrote nothing.
    pub(super) fn last_words(&self) -> Box<str> {
        self.0.shared.last_words.get()
    }

    /// The same of as many lines as are kept, in order.
    pub(super) fn last_lines(&self) -> Vec<Box<str>> {
        self.0.shared.last_words.lines()
    }
}

/// What the handles share, and only they: its drop means that nobody wants the process any more.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) shared: Arc<Shared>,
    /// Dropped with the last handle, which tells a reader that nobody will ever listen.
    pub(super) reader: Mutex<Option<oneshot::Sender<Arc<dyn Listener>>>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.ask_to_stop();
    }
}

/// What the handles and the tasks of one process share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pid: u32,
    pub(super) marker: Arc<str>,
    pub(super) stdin: stdin::Stdin,
    pub(super) last_words: transcript::LastWords,
    pub(super) tracker: TaskTracker,
    pub(super) runtime: Handle,
    pub(super) life: Arc<Life>,
}

impl Shared {
    pub(super) fn ask_to_stop(&self) {
        self.life.ask();
        self.begin_ladder();
    }

    pub(super) fn begin_ladder(&self) {
        // Here and not by the task that walks the ladder: what is sent after this is refused.
        self.stdin.finish();
        self.life.stop.cancel();
    }
}
