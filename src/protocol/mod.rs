//! The protocol core: what each message means for everybody else. It does no I/O and has no clock.
//!
//! A [`Bridge`] stands between the clients of a session and its server. It takes what happened as an [`Input`] and
//! appends what must be done about it as [`Output`]s; time is a value. Which bridge a session has follows from whom its
//! process belongs to and in which era it was opened:
//!
//! - [`Straight`]: the process belongs to one legacy client, and nothing is translated.
//! - [`LegacyLane`]: many clients use a process of the legacy era. [`Shared`] knows the process; modern clients stand
//!   before it behind [`ModernToLegacy`].
//! - [`ModernLane`]: clients use a process of the modern era. [`Modern`] knows the process; each legacy client stands
//!   before it behind a [`LegacyToModern`] of its own.

pub mod handshake;
mod inflight;
mod legacy_lane;
mod legacy_to_modern;
mod level;
mod modern;
mod modern_lane;
mod modern_to_legacy;
mod replay;
mod shared;
mod stage;
mod straight;
pub mod subscription;
#[cfg(test)]
mod tests;

use crate::wire::{Era, Message, Revision, RpcError};
use bytes::Bytes;
use std::time::{Duration, Instant};

pub use handshake::{INITIALIZED, Opened, OpeningError, discover, initialize, own_meta};
pub use inflight::may_ask;
pub use legacy_lane::LegacyLane;
pub use legacy_to_modern::LegacyToModern;
pub use legacy_to_modern::result::legacy_tool;
pub use level::Level;
pub use modern::Modern;
pub use modern_lane::ModernLane;
pub use modern_to_legacy::{ModernToLegacy, Principal, Secrets, lost, offered, request_state};
pub use shared::{Member, Shared};
pub use straight::Straight;

/// A client of a session, as the session counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub u64);

/// A request in flight, as the session counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeKey(pub u64);

impl ExchangeKey {
    /// Whether it is a translation's own, and no client's: what the server says because of it is for nobody.
    pub fn is_own(self) -> bool {
        self.0 >> 63 == 1
    }
}

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
    /// A request is given up by its client: no answer is wanted.
    Cancel {
        /// Whose.
        client: ClientKey,
        /// The request.
        exchange: ExchangeKey,
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
    /// A line did not reach the server, as is known now that its connection is lost: it may be sent to the next.
    Unheard(Bytes),
    /// The server's process is gone; another may take its place.
    Exited(RpcError),
    /// The session is over, or ends what would last for ever; nothing comes after this.
    Over(RpcError),
    /// What lasts for ever is to end now: the router ends, or the mount does.
    Drain,
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
    /// The server has refused to initialize as one of the modern era would.
    TurnedDown(Box<TurnedDown>),
    /// A call waits for its client to answer a question; the client knows it by this.
    Parked(Box<str>),
    /// Nobody can come back to what was known by this any more.
    Unparked(Box<str>),
    /// Say [`Input::Tick`] at this time, if nothing else happens before.
    Wake(Instant),
    /// The session cannot go on.
    Failed(OpeningError),
    /// A message went nowhere.
    Dropped(Dropped),
}

/// An `initialize` that the server would not take.
#[derive(Clone, Debug)]
pub struct TurnedDown {
    /// Whose.
    pub client: ClientKey,
    /// What waits for the answer.
    pub exchange: ExchangeKey,
    /// The request.
    pub initialize: Message,
    /// What the server said, with the client's id.
    pub answer: Bytes,
    /// The server named the modern era; else it may be a legacy one that did not like this request.
    pub certain: bool,
}

/// How busy a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// It has been silent over a request for a while, and was never seen to answer another meanwhile.
    pub stuck: bool,
    /// Requests that it has not answered.
    pub in_flight: usize,
}

/// A server that has been silent over a request for so long may do one thing at a time.
pub const STUCK_AFTER: Duration = Duration::from_millis(250);

/// A client of a process that many may use.
#[derive(Clone, Debug)]
pub enum Guest {
    /// A legacy client, or one legacy request without a session.
    Legacy(Member),
    /// One modern request, of this principal.
    Modern(Principal),
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
    /// One legacy client, and a process of its own.
    Straight(Box<Straight>),
    /// A process of the legacy era.
    Legacy(Box<LegacyLane>),
    /// A process of the modern era.
    Modern(Box<ModernLane>),
}

impl Bridge {
    /// Which era its process speaks.
    pub fn era(&self) -> Era {
        match self {
            Self::Straight(_) | Self::Legacy(_) => Era::Legacy,
            Self::Modern(_) => Era::Modern,
        }
    }

    /// Requests that come from now on may take this long.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        match self {
            Self::Straight(straight) => straight.set_timeout(timeout),
            Self::Legacy(lane) => lane.set_timeout(timeout),
            Self::Modern(lane) => lane.set_timeout(timeout),
        }
    }

    /// Takes what happened, appends what must be done about it.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match self {
            Self::Straight(bridge) => bridge.handle(input, now, out),
            Self::Legacy(lane) => lane.handle(input, now, out),
            Self::Modern(lane) => lane.handle(input, now, out),
        }
    }

    /// Tells every client that is told of such changes that the tools have changed, as if the server had said so.
    pub fn announce_tools(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Self::Modern(lane) = self {
            return lane.announce_tools(now, out);
        }
        // Who was not told that there are such announcements does not expect any.
        if self.opened().is_some_and(|opened| opened.announces("tools")) {
            let line = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
            if let Ok(message) = Message::own(line.as_bytes()) {
                self.handle(Input::Server(message), now, out);
            }
        }
    }

    /// A new process stands ready, the first or one in place of another: says what it must hear first.
    pub fn greet(&mut self, out: &mut Vec<Output>) {
        match self {
            Self::Straight(bridge) => bridge.resume(out),
            Self::Legacy(lane) => lane.greet(out),
            Self::Modern(lane) => lane.greet(out),
        }
    }

    /// Admits a client to a process that many may use; a process of one client has it already.
    pub fn join(&mut self, client: ClientKey, guest: Guest) {
        match self {
            Self::Straight(_) => {}
            Self::Legacy(lane) => lane.join(client, guest),
            Self::Modern(lane) => lane.join(client, guest),
        }
    }

    /// Requests in flight, without those that last for ever.
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Straight(bridge) => bridge.in_flight(),
            Self::Legacy(lane) => lane.in_flight(),
            Self::Modern(lane) => lane.in_flight(),
        }
    }

    /// How busy the server is.
    pub fn load(&self, now: Instant) -> Load {
        match self {
            Self::Straight(bridge) => Load { stuck: false, in_flight: bridge.in_flight() },
            Self::Legacy(lane) => lane.load(now),
            Self::Modern(lane) => lane.load(now),
        }
    }

    /// Whether a call is under way, or parked, to which the server may ask questions that name no call.
    pub fn is_interacting(&self) -> bool {
        match self {
            Self::Straight(_) | Self::Modern(_) => false,
            Self::Legacy(lane) => lane.is_interacting(),
        }
    }

    /// Whether all that keeps such a call out is one that was given up a moment ago.
    pub fn is_calming(&self) -> bool {
        match self {
            Self::Straight(_) | Self::Modern(_) => false,
            Self::Legacy(lane) => lane.is_calming(),
        }
    }

    /// Whether a call waits for its client to come back with an answer.
    pub fn is_parked(&self) -> bool {
        match self {
            Self::Straight(_) | Self::Modern(_) => false,
            Self::Legacy(lane) => lane.is_parked(),
        }
    }

    /// Whether the process can take no such call any more, because it may still work on one that was given up.
    pub fn is_spoiled(&self) -> bool {
        match self {
            Self::Straight(_) | Self::Modern(_) => false,
            Self::Legacy(lane) => lane.is_spoiled(),
        }
    }

    /// Whether somebody may come back for what the process is doing.
    pub fn is_awaited(&self) -> bool {
        match self {
            Self::Straight(_) | Self::Modern(_) => false,
            Self::Legacy(lane) => lane.is_awaited(),
        }
    }

    /// What the handshake agreed on, once it has.
    pub fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Straight(bridge) => bridge.opened(),
            Self::Legacy(lane) => lane.opened(),
            Self::Modern(lane) => lane.opened(),
        }
    }

    /// The revision that this client was told.
    pub fn revision(&self, client: ClientKey) -> Option<Revision> {
        match self {
            Self::Straight(bridge) => bridge.opened()?.revision,
            Self::Legacy(lane) => lane.revision(client),
            Self::Modern(lane) => lane.revision(client),
        }
    }
}
