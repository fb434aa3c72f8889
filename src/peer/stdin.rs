//! The queue into a process: written directly while the process reads, bounded when it does not.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;
use tokio::sync::Notify;

/// Messages that wait for a process that does not read.
pub const MAX_MESSAGES: usize = 256;

/// Bytes that wait for a process that does not read; a single message may be longer.
pub const MAX_BYTES: usize = 4 << 20;

/// Why a message was not accepted. Nothing of it has reached the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too much waits already: the process does not read.
    #[error("the server does not read its input, and its queue is full")]
    Full,
    /// The process has ended, or is being stopped.
    #[error("the server's input is closed")]
    Closed,
}

/// What sending left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Sent {
    /// Nothing: it is written, or somebody is writing already.
    Done,
    /// [`Stdin::write_queue`] must be run.
    NeedsWriter,
}

/// The stdin of a process, with what waits to be written to it.
#[derive(Debug)]
pub(super) struct Stdin {
    queue: Mutex<Queue>,
    /// Room was made, or the queue was closed.
    room: Notify,
}

#[derive(Debug)]
struct Queue<W = ChildStdin> {
    /// `None`: closed.
    pipe: Option<W>,
    /// Messages that are not written to their end; not empty only while a writer runs.
    waiting: VecDeque<Bytes>,
    /// Bytes of `waiting`, without line ends.
    bytes: usize,
    /// How much of the first message, line end included, is written.
    written: usize,
    /// Nothing more is accepted, and the pipe is closed once nothing waits.
    finishing: bool,
    /// A writer runs; its waker once it waits for the pipe.
    writer: Option<Waker>,
}

impl Stdin {
    pub(super) fn new(pipe: Option<ChildStdin>) -> Self {
        Self { queue: Mutex::new(Queue::new(pipe)), room: Notify::new() }
    }

    /// Writes a message, or lets it wait.
    pub(super) fn send(&self, line: Bytes) -> Result<Sent, SendError> {
        self.lock().send(line)
    }

    /// Writes what waits, until nothing does.
    pub(super) async fn write_queue(&self) {
        poll_fn(|context| {
            let mut queue = self.lock();
            let before = queue.waiting.len();
            let outcome = queue.poll_write(context);
            if outcome.is_ready() || queue.waiting.len() < before {
                self.room.notify_waiters();
            }
            outcome
        })
        .await;
    }

    /// Waits until a message of this length fits, or the queue is closed.
    pub(super) async fn room(&self, bytes: usize) {
        super::room::until(&self.room, || self.has_room(bytes)).await;
    }

    /// Accepts nothing more, and closes the pipe when everything that waits has been written.
    pub(super) fn finish(&self) {
        let mut queue = self.lock();
        queue.finishing = true;
        if queue.waiting.is_empty() {
            queue.close();
        }
        self.room.notify_waiters();
    }

    /// Closes the pipe now; what waits is dropped.
    pub(super) fn close(&self) {
        self.lock().close();
        self.room.notify_waiters();
    }

    /// Whether a message of this length fits, or the queue is closed.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let queue = self.lock();
        queue.is_closed() || queue.fits(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A queue is consistent wherever it can panic: only an allocation could.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: AsyncWrite + Unpin> Queue<W> {
    fn new(pipe: Option<W>) -> Self {
        Self { pipe, waiting: VecDeque::new(), bytes: 0, written: 0, finishing: false, writer: None }
    }

    fn is_closed(&self) -> bool {
        self.finishing || self.pipe.is_none()
    }

    fn fits(&self, bytes: usize) -> bool {
        let fits = self.waiting.len() < MAX_MESSAGES && self.bytes.saturating_add(bytes) <= MAX_BYTES;
        fits || self.waiting.is_empty()
    }

    fn send(&mut self, line: Bytes) -> Result<Sent, SendError> {
        if self.finishing {
            return Err(SendError::Closed);
        }
        let pipe = self.pipe.as_mut().ok_or(SendError::Closed)?;
        if self.waiting.is_empty() {
            // Nobody is woken by this attempt: when it must wait, the writer polls again with a waker of its own.
            let mut context = Context::from_waker(Waker::noop());
            match write_vectored(pipe, &mut context, &[IoSlice::new(&line), IoSlice::new(b"\n")]) {
                Poll::Ready(Ok(written)) if written > line.len() => return Ok(Sent::Done),
                Poll::Ready(Ok(written)) => self.written = written,
                Poll::Pending => self.written = 0,
                Poll::Ready(Err(_)) => {
                    self.close();
                    return Err(SendError::Closed);
                }
            }
        } else if !self.fits(line.len()) {
            return Err(SendError::Full);
        }
        self.bytes += line.len();
        self.waiting.push_back(line);
        Ok(if self.writer.is_some() {
            Sent::Done
        } else {
            self.writer = Some(Waker::noop().clone());
            Sent::NeedsWriter
        })
    }

    /// Writes as much as the pipe takes; ready when nothing waits any more or the pipe is closed.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let (Some(pipe), false) = (&mut self.pipe, self.waiting.is_empty()) {
            let mut pieces = [IoSlice::new(b""); MOST_PIECES];
            let count = lay_out(&self.waiting, self.written, &mut pieces);
            match write_vectored(pipe, context, &pieces[..count]) {
                Poll::Ready(Ok(written)) => self.advance(written),
                Poll::Ready(Err(_)) => self.close(),
                Poll::Pending => {
                    self.writer = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        self.writer = None;
        if self.finishing {
            self.close();
        }
        // A burst is over: its memory is not kept for the next one.
        self.waiting = VecDeque::new();
        Poll::Ready(())
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.waiting.front()
            && self.written > first.len()
        {
            self.written -= first.len() + 1;
            self.bytes -= first.len();
            self.waiting.pop_front();
        }
    }

    fn close(&mut self) {
        self.pipe = None;
        self.waiting = VecDeque::new();
        self.bytes = 0;
        self.written = 0;
        // The pipe that the writer waits for is gone and wakes nobody.
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

fn write_vectored<W: AsyncWrite + Unpin>(
    pipe: &mut W,
    context: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(pipe).poll_write_vectored(context, pieces)) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        outcome => Poll::Ready(outcome),
    }
}

/// Fills `pieces` with the waiting messages and their line ends, without what is written of the first.
fn lay_out<'a>(waiting: &'a VecDeque<Bytes>, written: usize, pieces: &mut [IoSlice<'a>]) -> usize {
    let mut count = 0;
    let mut skip = written;
    for message in waiting.iter().take(pieces.len() / 2) {
        if skip < message.len() {
            pieces[count] = IoSlice::new(&message[skip..]);
            count += 1;
        }
        pieces[count] = IoSlice::new(b"\n");
        count += 1;
        skip = 0;
    }
    count
}

/// Slices given to one write: sixteen messages and their line ends.
const MOST_PIECES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A pipe that takes a few bytes at a time and is full in between.
    #[derive(Debug, Default)]
    struct Narrow {
        taken: Vec<u8>,
        widths: Vec<usize>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.widths.pop() {
                None | Some(0) => Poll::Pending,
                Some(width) => {
                    let width = width.min(bytes.len());
                    self.taken.extend_from_slice(&bytes[..width]);
                    Poll::Ready(Ok(width))
                }
            }
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
            self.poll_write(context, &joined)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn full_pipe() -> Queue<Narrow> {
        Queue::new(Some(Narrow::default()))
    }

    #[test]
    fn the_257th_message_is_refused() {
        let mut queue = full_pipe();
        assert_eq!(queue.send(Bytes::from_static(b"0")), Ok(Sent::NeedsWriter));
        for _ in 1..MAX_MESSAGES {
            assert_eq!(queue.send(Bytes::from_static(b"n")), Ok(Sent::Done));
        }
        assert_eq!(queue.send(Bytes::from_static(b"n")), Err(SendError::Full));
    }

    #[test]
    fn a_message_over_the_limit_is_accepted_alone() {
        let mut queue = full_pipe();
        assert!(queue.send(vec![b'x'; MAX_BYTES + 1].into()).is_ok());
        assert_eq!(queue.send(Bytes::from_static(b"y")), Err(SendError::Full));
        let mut queue = full_pipe();
        assert!(queue.send(Bytes::from_static(b"y")).is_ok());
        assert_eq!(queue.send(vec![b'x'; MAX_BYTES].into()), Err(SendError::Full));
    }

    proptest! {
        #[test]
        fn whatever_the_pipe_takes_at_a_time_every_message_arrives_whole_and_in_order(
            messages in proptest::collection::vec("[a-z]{0,20}", 1..60),
            widths in proptest::collection::vec(0usize..50, 0..200),
            writes_between in 0usize..4,
        ) {
            let mut queue = Queue::new(Some(Narrow { taken: Vec::new(), widths }));
            let mut context = Context::from_waker(Waker::noop());
            let mut expected = String::new();
            for message in &messages {
                if queue.send(Bytes::from(message.clone())).is_ok() {
                    expected.push_str(message);
                    expected.push('\n');
                }
                for _ in 0..writes_between {
                    let _ = queue.poll_write(&mut context);
                }
            }
            while queue.poll_write(&mut context).is_pending() {
                queue.pipe.as_mut().expect("open").widths = vec![7];
            }
            prop_assert_eq!(&queue.pipe.as_ref().expect("open").taken, expected.as_bytes());
            prop_assert_eq!(queue.bytes, 0);
        }
    }
}
