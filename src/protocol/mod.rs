//! The protocol core: what each message means for everybody else. It does no I/O and has no clock.
//!
//! A [`Bridge`] stands between the clients of a session and its server. It takes what happened as an [`Input`] and
//! appends what must be done about it as [`Output`]s; time is a value. Which bridge a session has follows from the era
//! of its client and the era of its server; both bridges here join legacy clients to a legacy server:
//! [`Straight`] for a process that belongs to one client, [`Shared`] for one that many clients use.

pub mod handshake;
mod inflight;
mod replay;
mod shared;
mod straight;

use crate::wire::{Message, Revision, RpcError};
use bytes::Bytes;
use std::time::{Duration, Instant};

pub use handshake::{Opened, OpeningError};
pub use shared::{Member, Shared};
pub use straight::Straight;

/// A client of a session, as the session counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub u64);

/// A request in flight, as the session counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeKey(pub u64);

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client asks; the answer belongs to `exchange`.
    Request {
        /// Who asks.
        client: ClientKey,
        /// What the answer will be delivered to.
        exchange: ExchangeKey,
        /// The request.
        message: Message,
    },
    /// A client notifies, or answers a question of the server.
    Notice {
        /// Who.
        client: ClientKey,
        /// The notification or answer.
        message: Message,
    },
    /// The server wrote a message.
    Server(Message),
    /// The server wrote an answer that could not be read: too long, too deep.
    Unreadable {
        /// The id it answers, if that could be told.
        id: Option<Box<str>>,
        /// What the client is told in its place.
        error: RpcError,
    },
    /// A request did not reach the server, and will not: nothing of it was written.
    Unsent(ExchangeKey),
    /// The server's process is gone, or could not be used.
    Exited(RpcError),
    /// A client is gone for good.
    Gone(ClientKey),
    /// Time has passed.
    Tick,
}

/// Something that must be done.
#[derive(Debug)]
pub enum Output {
    /// Write this line to the server.
    ToServer(Bytes),
    /// Write this request of a client to the server; if it cannot be taken, say so by [`Input::Unsent`].
    Request {
        /// The exchange that waits for the answer.
        exchange: ExchangeKey,
        /// The request.
        line: Bytes,
    },
    /// Give this, the final response, to the exchange; the exchange ends.
    Answer {
        /// Whose.
        client: ClientKey,
        /// The exchange.
        exchange: ExchangeKey,
        /// The response.
        message: Bytes,
        /// It is an error, the server's or our own.
        failed: bool,
    },
    /// The exchange ends without a response, because its client does not want one.
    Forget {
        /// Whose.
        client: ClientKey,
        /// The exchange.
        exchange: ExchangeKey,
    },
    /// Give this to a client, on one stream.
    ToClient {
        /// To whom.
        client: ClientKey,
        /// On which of its streams.
        to: Addressee,
        /// The message.
        message: Bytes,
        /// What may become of it.
        class: Class,
    },
    /// A handshake has succeeded: the session is open.
    Opened(Box<Opened>),
    /// The handshake with the new process was repeated, and the session goes on.
    Resumed,
    /// The session cannot go on.
    Failed(OpeningError),
    /// A message went nowhere.
    Dropped(Dropped),
}

/// Which of a client's streams a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// The one of the exchange that the message names.
    Exchange(ExchangeKey),
    /// The newest standalone stream: the message is about the server, not about a request.
    Announcement,
    /// Whichever is best: the message names none.
    Anyone,
}

/// What may become of a message on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A request of the server: if it cannot be delivered, the server must be told.
    Question,
    /// A notification of progress or a log line: a reader that is too slow loses it.
    Passing,
    /// Any other notification.
    Notice,
}

/// Why a message went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The server answered what nobody asked, or asked no more.
    UnknownAnswer,
    /// A client answered what the server did not ask it.
    UnknownQuestion,
    /// On a shared process: it cannot be told whom a notification is for.
    Unattributable,
}

/// What a bridge must know of its mount and of its client's transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Longest time that a request may take; progress restarts the clock.
    pub timeout: Option<Duration>,
    /// A cancelled request still gets a response, to end the POST that waits for it.
    pub answer_cancelled: bool,
}

/// How long a server may still answer a request that its client has cancelled.
pub const CANCELLED_GRACE: Duration = Duration::from_secs(1);

/// The machine between the clients of a session and its server.
#[derive(Debug)]
pub enum Bridge {
    /// One client, one process, the same era: everything passes unchanged.
    Straight(Straight),
    /// Many clients, one process, the same era: ids and tokens are rewritten.
    Shared(Shared),
}

impl Bridge {
    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match self {
            Self::Straight(bridge) => bridge.handle(input, now, out),
            Self::Shared(bridge) => bridge.handle(input, now, out),
        }
    }

    /// A new process stands ready in place of the one that died: speaks the handshake with it again.
    pub fn resume(&mut self, out: &mut Vec<Output>) {
        match self {
            Self::Straight(bridge) => bridge.resume(out),
            Self::Shared(bridge) => bridge.open(out),
        }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Straight(bridge) => bridge.in_flight(),
            Self::Shared(bridge) => bridge.in_flight(),
        }
    }

    /// What the handshake agreed on, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Straight(bridge) => bridge.opened(),
            Self::Shared(bridge) => bridge.opened(),
        }
    }

    /// The revision that this client was told.
    pub fn revision(&self, client: ClientKey) -> Option<Revision> {
        match self {
            Self::Straight(bridge) => bridge.opened()?.revision,
            Self::Shared(bridge) => bridge.revision(client),
        }
    }
}
