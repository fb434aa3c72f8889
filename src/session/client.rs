//! A client's handle on its session.

use super::stream::{Form, StreamReader};
use super::warden::{Admitted, Waiting};
use super::{Interaction, Link, Session, SessionId, Warden};
use crate::peer::Peer;
use crate::protocol::{ClientKey, ExchangeKey, Input, Output};
use crate::telemetry::{Call, Eras, Outcome, Side};
use crate::wire::{Code, Kind, Message, Payload, Revision, RpcError};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A notification or an answer waits this long for a server that does not read.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// A session with so many requests in flight takes no further ones.
const MOST_IN_FLIGHT: usize = 4096;

/// One client of a session. Dropping the handle does not end anything; [`Client::leave`] does.
#[derive(Debug)]
pub struct Client {
    session: Arc<Session>,
    key: ClientKey,
    id: SessionId,
    /// What it needs to make its one call; the session has it from then on.
    interaction: Mutex<Option<Interaction>>,
    warden: Option<Arc<dyn Warden>>,
    waiting: Waiting,
}

/// A client that is there for one POST, and leaves when this is dropped, wherever that happens: nobody can come back for a
/// response once its connection is gone.
#[derive(Debug)]
#[must_use]
pub struct Visit(Arc<Client>);

/// What a POST has led to.
#[derive(Debug)]
#[must_use]
pub enum Posted {
    /// There is nothing to answer.
    Accepted,
    /// The response will be read from here.
    Response(StreamReader),
}

/// Why a POST was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The session is over, or there is no such stream.
    #[error("the session has ended")]
    Ended,
    /// The server does not read, or the client asks too much at once; nothing more fits.
    #[error("too much waits for the server already")]
    Full,
    /// Nothing came up in place of a dead process.
    #[error("the server is being restarted")]
    Restarting,
    /// It may not ask that, or not now.
    #[error("{0}")]
    Denied(RpcError),
}

impl Refused {
    fn code(&self) -> Code {
        match self {
            Self::Ended => Code::SessionNotFound,
            Self::Full => Code::Overloaded,
            Self::Restarting => Code::ServerUnavailable,
            Self::Denied(error) => error.code,
        }
    }
}

enum Attempt {
    Done(Posted),
    /// The process is being replaced.
    NotNow,
    /// The client has too many requests in flight.
    TooMany,
    /// So many bytes do not fit.
    Full(Peer, usize),
    Ended,
}

impl Visit {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

impl std::ops::Deref for Visit {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Client {
    pub(super) fn new(
        session: Arc<Session>,
        key: ClientKey,
        id: SessionId,
        interaction: Option<Interaction>,
        warden: Option<Arc<dyn Warden>>,
    ) -> Self {
        Self { session, key, id, interaction: Mutex::new(interaction), warden, waiting: Waiting::default() }
    }

    /// The id that the client shows with each request.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whether it speaks HTTP+SSE.
    pub fn is_sse(&self) -> bool {
        self.session.lock().clients.get(&self.key).is_some_and(|participant| participant.streams.is_sse())
    }

    /// Its session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The revision that the handshake agreed on, if it is over.
    pub fn revision(&self) -> Option<Revision> {
        self.session.lock().bridge.revision(self.key)
    }

    /// Why the session is over before it began, if it is.
    pub fn failure(&self) -> Option<RpcError> {
        match &self.session.lock().link {
            Link::Ended(why) => why.clone(),
            _ => None,
        }
    }

    /// Passes the messages of a POST on.
    ///
    /// Waits while the process is being replaced, and, if nothing needs an answer, up to 10 s for a server that does
    /// not read. A request to such a server is answered with [`Code::Overloaded`] at once.
    ///
    /// # Errors
    /// [`Refused::Denied`] for a single request that the client may not make; in a batch, it is answered so.
    pub async fn post(&self, payload: Payload, form: Form) -> Result<Posted, Refused> {
        let (mut messages, alone) = match payload {
            Payload::One(message) => (vec![message], true),
            Payload::Batch(messages) => (messages, false),
        };
        if let Some(warden) = self.warden.as_ref().filter(|warden| warden.is_watched()) {
            for message in &messages {
                warden.overhear(self.id.short(), Side::Client, message);
            }
        }
        let mut admitted = self.admitted(&messages, alone).await;
        let refused = admitted.iter().filter(|admitted| admitted.verdict.is_err()).count();
        (0..refused).for_each(|_| self.session.tally.refused.add_one());
        if let Some(Admitted { verdict: Err(error), call, .. }) = admitted.first_mut().filter(|_| alone) {
            if let Some(call) = call.take() {
                self.refuse(call, error.code);
            }
            self.overhear_refusal(error, &messages);
            return Err(Refused::Denied(error.clone()));
        }
        // Here, where nobody waits for it: a message may be large.
        let requests = messages.iter_mut().filter(|message| message.kind() == Kind::Request);
        for (request, admitted) in requests.zip(&admitted) {
            let call = admitted.call.as_ref().filter(|_| admitted.verdict.is_ok());
            if let Some(traced) = call.and_then(|call| call.traced(request)) {
                *request = traced;
            }
        }
        let posted = self.pass_on(messages, &mut admitted, form).await;
        if let Err(refused) = &posted {
            let calls = admitted.into_iter().filter_map(|admitted| admitted.call);
            calls.for_each(|call| self.refuse(call, refused.code()));
        }
        posted
    }

    /// A request of this session is not passed on.
    fn refuse(&self, mut call: Call, code: Code) {
        call.is_of_session(self.id.short());
        call.end(Outcome::refused(code), 0);
    }

    /// A single request is refused: what its client hears is not said by the session.
    fn overhear_refusal(&self, error: &RpcError, messages: &[Message]) {
        if let Some(warden) = self.warden.as_ref().filter(|warden| warden.is_watched())
            && let Ok(answer) = Message::own(error.to_line(messages.first().and_then(Message::id)))
        {
            warden.overhear(self.id.short(), Side::Server, &answer);
        }
    }

    /// Passes on what may be, as soon as there is a process that takes it.
    async fn pass_on(
        &self,
        mut messages: Vec<Message>,
        admitted: &mut Vec<Admitted>,
        form: Form,
    ) -> Result<Posted, Refused> {
        let begun = tokio::time::Instant::now();
        loop {
            let changed = self.session.changed.notified();
            match self.attempt(&mut messages, admitted, form) {
                Attempt::Done(posted) => return Ok(posted),
                Attempt::Ended => return Err(Refused::Ended),
                Attempt::TooMany => return Err(Refused::Full),
                Attempt::NotNow => {
                    self.session.wanted.notify_one();
                    let until = begun + self.session.patience();
                    tokio::time::timeout_at(until, changed).await.map_err(|_| Refused::Restarting)?;
                }
                Attempt::Full(peer, bytes) => {
                    let until = begun + ROOM_WITHIN;
                    tokio::time::timeout_at(until, peer.room(bytes)).await.map_err(|_| Refused::Full)?;
                }
            }
        }
    }

    /// Opens a stream for what the server says unasked, or resumes the one of an event id.
    pub fn listen(&self, last_event_id: Option<&str>) -> Result<StreamReader, Refused> {
        let now = Instant::now();
        let mut state = self.session.lock();
        let participant = state.clients.get_mut(&self.key).ok_or(Refused::Ended)?;
        participant.last_active = now;
        match last_event_id {
            Some(id) => {
                let resumed = participant.streams.resume(id).ok_or(Refused::Ended)?;
                self.session.tally.resumptions.add_one();
                Ok(resumed)
            }
            None => Ok(participant.streams.open_standalone()),
        }
    }

    /// Whether it takes no part in its session any more, or that is over.
    pub fn has_left(&self) -> bool {
        !self.session.lock().clients.contains_key(&self.key)
    }

    /// Whether its handshake is over, with success.
    pub fn is_open(&self) -> bool {
        let state = self.session.lock();
        state.link.peer().is_some() && state.bridge.opened().is_some()
    }

    /// Says something of the router's own on the stream of an HTTP+SSE client.
    pub fn tell(&self, message: Bytes) {
        if let Some(participant) = self.session.lock().clients.get(&self.key) {
            participant.watched.overhear(self.id.short(), &message);
            participant.streams.tell(message);
        }
    }

    /// Ends the client's part in the session; a dedicated session ends with it.
    pub fn leave(&self) {
        self.session.leave(self.key);
    }

    /// What the warden says to the requests, in their order; nothing of what it has nothing to say of at the end. `alone`: there is but one.
    async fn admitted(&self, messages: &[Message], alone: bool) -> Vec<Admitted> {
        let Some(warden) = &self.warden else { return Vec::new() };
        for message in messages {
            self.waiting.hear(message);
        }
        let requests = messages.iter().filter(|message| message.kind() == Kind::Request);
        let mut admitted = Vec::new();
        for (before, request) in requests.enumerate() {
            let next = self.waiting.admitted(&**warden, request, alone).await;
            // Nearly always nothing is said of any.
            if !(next.is_free() && admitted.is_empty()) {
                admitted.resize_with(before, Admitted::freely);
                admitted.push(next);
            }
        }
        admitted
    }

    fn attempt(&self, messages: &mut Vec<Message>, admitted: &mut Vec<Admitted>, form: Form) -> Attempt {
        let now = Instant::now();
        let mut state = self.session.lock();
        if state.is_to_be_replaced(now) {
            // What comes from now on is for the next process.
            self.session.renew_or_end(state, now);
            return Attempt::NotNow;
        }
        let state = &mut *state;
        let peer = match &state.link {
            Link::Opening(peer) | Link::Up(peer) => peer,
            Link::Down | Link::Replaying(_) => return Attempt::NotNow,
            Link::Ended(_) => return Attempt::Ended,
        };
        let is_request = |message: &&Message| message.kind() == Kind::Request;
        let requests = messages.iter().filter(is_request).count();
        let bytes = messages.iter().map(|message| message.raw().len()).sum();
        if requests == 0 && !peer.has_room(bytes) {
            return Attempt::Full(peer.clone(), bytes);
        }
        let Some(participant) = state.clients.get_mut(&self.key) else { return Attempt::Ended };
        if requests > 0 && state.bridge.in_flight() + requests > MOST_IN_FLIGHT {
            return Attempt::TooMany;
        }
        participant.last_active = now;
        let interaction = self.interaction.lock().unwrap_or_else(PoisonError::into_inner).take();
        state.interaction = interaction.or(state.interaction.take());
        let response = (requests > 0).then(|| participant.streams.open_response(requests, form));
        let mut next = ExchangeKey(state.next_exchange);
        if let Some((stream, _)) = &response {
            // All of them first: the response ends with the last one, and some are answered at once.
            for _ in 0..requests {
                participant.streams.add_exchange(ExchangeKey(state.next_exchange), stream, form);
                state.next_exchange += 1;
            }
        }
        let mut admitted = admitted.drain(..);
        for message in messages.drain(..) {
            let client = self.key;
            let input = if is_request(&&message) {
                self.session.tally.requests.add_one();
                let exchange = next;
                next.0 += 1;
                let Admitted { verdict, looked_at, mut call } =
                    admitted.next().unwrap_or_else(Admitted::freely);
                match verdict {
                    Ok(held) => {
                        if let Some(participant) = state.clients.get_mut(&client) {
                            let eras = Eras { client: participant.era, server: state.bridge.era() };
                            if let Some(call) = &mut call {
                                call.taken(self.id.short(), eras, now, || state.bridge.revision(client));
                            }
                            participant.watched.begin(exchange, held, looked_at, call);
                        }
                    }
                    Err(error) => {
                        if let Some(call) = call {
                            self.refuse(call, error.code);
                        }
                        let message = error.to_line(message.id());
                        let answer = Output::Answer { client, exchange, message, failed: true };
                        self.session.perform(state, vec![answer], now);
                        continue;
                    }
                }
                Input::Request { client, exchange, message }
            } else {
                Input::Notice { client, message }
            };
            self.session.handle(state, input, now);
        }
        Attempt::Done(response.map_or(Posted::Accepted, |(_, reader)| Posted::Response(reader)))
    }
}
