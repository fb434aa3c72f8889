//! The lines that a process says, and the moment after which it says no more.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::ChildStdout;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::process::Shared;
use super::{Cause, Listener};
use crate::wire::line::LineSplitter;

/// How long lines are read after the leader's exit: a grandchild may hold stdout open for ever.
const DRAIN: Duration = Duration::from_millis(250);

/// How long a process may live on after it closed its stdout, before it is reported as ended.
const CLOSED: Duration = Duration::from_millis(900);

/// How long stderr is read before the exit is told: a grandchild may hold it open, too.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Bytes read by one task before others get their turn.
const TURN: usize = 256 << 10;

/// The size of a pipe on Linux: what one read can give at most.
const SCRATCH: usize = 64 << 10;

thread_local! {
    /// Where reads go first. A process that says nothing holds no buffer.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Waits for a listener, then reads stdout to its end and gives it every line, and the exit.
pub(super) async fn listen(
    mut stdout: ChildStdout,
    listener: oneshot::Receiver<Arc<dyn Listener>>,
    line_limit: usize,
    shared: Arc<Shared>,
) {
    let Ok(listener) = listener.await else { return };
    let mut splitter = LineSplitter::new(line_limit);
    let ended_first = tokio::select! {
        biased;
        () = read_lines(&mut stdout, &mut splitter, &*listener) => true,
        () = shared.life.exited.cancelled() => false,
    };
    if ended_first {
        // Nothing can be heard from it any more, so what still runs of it is to end. A process that exits closes its
        // stdout on the way: that is no other case.
        shared.begin_ladder();
        if timeout(CLOSED, shared.life.exited.cancelled()).await.is_err() {
            shared.life.ended(Cause::ClosedStdout);
        }
    } else {
        let _ = timeout(DRAIN, read_lines(&mut stdout, &mut splitter, &*listener)).await;
    }
    if let Some(line) = splitter.finish() {
        listener.line(line);
    }
    let exit = shared.life.exited().await;
    // What it said at last is why it ended, and may be read a moment later.
    let _ = timeout(LAST_WORDS, shared.life.silent.cancelled()).await;
    listener.exited(&exit);
}

/// Reads until the end. What was read is in the splitter, so this may be dropped and begun again.
async fn read_lines(stdout: &mut ChildStdout, splitter: &mut LineSplitter, listener: &dyn Listener) {
    let mut turn = 0;
    loop {
        match read_with(stdout, |bytes| splitter.feed(bytes, |line| listener.line(line))).await {
            Ok(0) | Err(_) => return,
            Ok(count) => turn += count,
        }
        if turn >= TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Reads once, and gives what came to `take`. The result is the number of bytes; zero is the end.
pub(super) async fn read_with<R>(pipe: &mut R, mut take: impl FnMut(&[u8])) -> io::Result<usize>
where
    R: AsyncRead + Unpin,
{
    poll_fn(|context| {
        // Taken, not borrowed: whoever is given the bytes may read elsewhere before it returns.
        let mut scratch = BUFFER.take().unwrap_or_else(|| vec![0; SCRATCH].into_boxed_slice());
        let mut buffer = ReadBuf::new(&mut scratch);
        let outcome = Pin::new(&mut *pipe).poll_read(context, &mut buffer);
        let count = buffer.filled().len();
        if count > 0 {
            take(buffer.filled());
        }
        BUFFER.set(Some(scratch));
        ready!(outcome)?;
        Poll::Ready(Ok(count))
    })
    .await
}
