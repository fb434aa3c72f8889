//! What a connection is doing, as far as its deadlines depend on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// The state of one connection, written by its socket and its exchanges, read by its deadline.
///
/// Only the connection's own task looks at it and acts, so relaxed order is enough.
#[derive(Debug)]
pub(super) struct Pulse {
    /// HTTP/2: requests side by side, each with a window of its own.
    is_multiplexed: bool,
    /// No request has come yet.
    is_new: AtomicBool,
    /// Requests whose response has not been handed over to its last byte.
    open: AtomicU32,
    /// Responses of which more is there than HTTP has asked for.
    waiting: AtomicU32,
    /// Changes with every request.
    requests: AtomicU32,
    /// Changes with every request and whenever the peer takes something.
    beats: AtomicU32,
    /// Bytes of a head have come, its end has not.
    head: AtomicBool,
    /// The peer does not take what is waiting for it.
    blocked: AtomicBool,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come of the first request.
    Opening,
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
pub(super) struct Exchanging {
    pulse: Arc<Pulse>,
    is_waiting: bool,
}

impl Pulse {
    /// The state of a new connection.
    pub(super) fn new(is_multiplexed: bool) -> Self {
        Self {
            is_multiplexed,
            is_new: AtomicBool::new(true),
            open: AtomicU32::default(),
            waiting: AtomicU32::default(),
            requests: AtomicU32::default(),
            beats: AtomicU32::default(),
            head: AtomicBool::default(),
            blocked: AtomicBool::default(),
        }
    }

    /// A request's head is complete.
    pub(super) fn exchange(self: &Arc<Self>) -> Exchanging {
        self.open.fetch_add(1, Relaxed);
        self.is_new.store(false, Relaxed);
        self.head.store(false, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.beat();
        Exchanging { pulse: Arc::clone(self), is_waiting: false }
    }

    /// What the connection is doing, and a number that is another one if it has gone on with that since. Without a request
    /// only requests count: pings, and our answers to them, keep no connection open.
    pub(super) fn observe(&self) -> (Phase, u32) {
        let open = self.open.load(Relaxed);
        let is_held_back = self.is_multiplexed && self.waiting.load(Relaxed) > 0;
        if self.blocked.load(Relaxed) || is_held_back {
            return (Phase::Stalled, self.beats.load(Relaxed));
        }
        let phase = if open > 0 {
            Phase::Busy
        } else if self.head.load(Relaxed) {
            Phase::Head
        } else if self.is_new.load(Relaxed) {
            Phase::Opening
        } else {
            Phase::Idle
        };
        (phase, self.requests.load(Relaxed))
    }

    fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }
}

impl Exchanging {
    /// Whether a piece of the response is there that HTTP does not ask for, because the peer takes nothing: on HTTP/2 each
    /// request has a window of its own, and a closed one does not keep the socket from being written to.
    pub(super) fn wait_for_peer(&mut self, is_waiting: bool) {
        if is_waiting == self.is_waiting || !self.pulse.is_multiplexed {
            return;
        }
        self.is_waiting = is_waiting;
        if is_waiting {
            self.pulse.waiting.fetch_add(1, Relaxed);
        } else {
            self.pulse.waiting.fetch_sub(1, Relaxed);
            self.pulse.beat();
        }
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.wait_for_peer(false);
        self.pulse.open.fetch_sub(1, Relaxed);
    }
}

/// A client's socket that tells the pulse what it sees.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    pulse: Arc<Pulse>,
    /// Bytes outside an exchange are the beginning of a head. Not on HTTP/2, where they may be anything.
    heads: bool,
    ended: bool,
}

impl Socket {
    pub(super) fn new(stream: Stream, pulse: Arc<Pulse>, heads: bool) -> Self {
        Self { stream, pulse, heads, ended: false }
    }

    /// The bare stream, and whether the peer has ended its side of it.
    pub(super) fn into_parts(self) -> (Stream, bool) {
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
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        // TLS keeps what the socket does not take, and says so only here.
        if matches!(self.stream, Stream::Tls(_)) {
            self.pulse.blocked.store(poll.is_pending(), Relaxed);
        }
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
