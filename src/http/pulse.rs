//! What a connection is doing, as far as its deadlines depend on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The state of one connection, written by its socket and its exchanges, read by its deadline.
///
/// Only the connection's own task looks at it and acts, so relaxed order is enough.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Requests whose response has not been handed over to its last byte.
    open: AtomicU32,
    /// Changes with every request and every write.
    beats: AtomicU32,
    /// Bytes of a head have come, its end has not.
    head: AtomicBool,
    /// The peer does not take what is waiting for it.
    blocked: AtomicBool,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is asked.
    Idle,
    /// A head has begun and not ended.
    Head,
    /// A request is being read or answered; an open event stream is that too.
    Busy,
    /// The peer does not read.
    Stalled,
}

/// A request that is being answered; its end is noted on drop.
#[derive(Debug)]
pub(super) struct Exchanging(Arc<Pulse>);

impl Pulse {
    /// A request's head is complete.
    pub(super) fn exchange(self: &Arc<Self>) -> Exchanging {
        self.open.fetch_add(1, Relaxed);
        self.head.store(false, Relaxed);
        self.beat();
        Exchanging(Arc::clone(self))
    }

    /// What the connection is doing, and a number that is another one if anything happened since.
    pub(super) fn observe(&self) -> (Phase, u32) {
        let phase = if self.blocked.load(Relaxed) {
            Phase::Stalled
        } else if self.open.load(Relaxed) > 0 {
            Phase::Busy
        } else if self.head.load(Relaxed) {
            Phase::Head
        } else {
            Phase::Idle
        };
        (phase, self.beats.load(Relaxed))
    }

    fn beat(&self) {
        // Only the connection's task beats, so nothing is lost between the load and the store.
        self.beats.store(self.beats.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A client's socket that tells the pulse what it sees.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    pulse: Arc<Pulse>,
    /// Bytes outside an exchange are the beginning of a head. Not on HTTP/2, where they may be anything.
    heads: bool,
    ended: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, pulse: Arc<Pulse>, heads: bool) -> Self {
        Self { stream, pulse, heads, ended: false }
    }

    /// The bare stream, and whether the peer has ended its side of it.
    pub(super) fn into_parts(self) -> (TcpStream, bool) {
        (self.stream, self.ended)
    }

    fn wrote(&self, poll: &Poll<io::Result<usize>>) {
        if poll.is_ready() {
            self.pulse.beat();
        }
        self.pulse.blocked.store(poll.is_pending(), Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = poll {
            if buf.filled().len() == before {
                self.ended = true;
            } else if self.heads && self.pulse.open.load(Relaxed) == 0 {
                self.pulse.head.store(true, Relaxed);
            }
        }
        poll
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
