//! The clients of a mount by their session ids: how they come, are found, and leave.

use super::unserved::RETRY_FULL;
use super::{Lodging, Mount, Seated, Unserved};
use crate::access::Caller;
use crate::config::PoolMode;
use crate::session::{Client, EventStream, Session, SessionId, StreamReader, Transport};
use crate::wire::{Era, Message};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

/// A client with a session id.
#[derive(Clone, Debug)]
pub enum Seat {
    /// It takes part in a session.
    Taken(Arc<Client>),
    /// HTTP+SSE on a shared mount: which process fits is not known before `initialize` comes.
    Standing(SessionId, Arc<EventStream>),
    /// The same, while a process is found for its `initialize`.
    Joining(Arc<EventStream>),
}

/// A seat that a client is about to take; one that it does not take after all can be tried for again.
struct Joining<'a> {
    mount: &'a Mount,
    id: SessionId,
    stream: Arc<EventStream>,
}

impl Seat {
    /// Says something to an HTTP+SSE client on its stream; to another one nothing.
    pub fn tell(&self, message: Bytes) {
        match self {
            Self::Taken(client) => client.tell(message),
            Self::Standing(_, stream) | Self::Joining(stream) => stream.tell(message),
        }
    }
}

impl Mount {
    /// Opens a session for the `initialize` of a Streamable HTTP client.
    ///
    /// On a mount whose processes are shared, the handshake has been made when this returns; else the client is to
    /// post its own.
    pub async fn open(&self, initialize: &Message, caller: &Caller) -> Result<Arc<Client>, Unserved> {
        let waited_from = self.waits_from();
        let opened = self.open_streamable(initialize, caller).await;
        self.note_found([initialize], caller, waited_from, &opened);
        opened
    }

    async fn open_streamable(&self, initialize: &Message, caller: &Caller) -> Result<Arc<Client>, Unserved> {
        self.demand(caller)?;
        let (id, lodging, caller) = (new_id()?, self.lodge(caller)?, &caller.settled());
        match self.spec.pool.mode {
            PoolMode::Session => self.open_dedicated(id, Transport::Streamable, lodging, caller).await,
            PoolMode::Shared => self.join(id, Transport::Streamable, initialize, lodging, caller).await,
        }
    }

    /// Opens a session for an HTTP+SSE client, and the stream that is its life.
    pub async fn open_sse(&self, caller: &Caller) -> Result<(SessionId, StreamReader), Unserved> {
        self.open_on(EventStream::standalone(), caller).await
    }

    /// Opens a session for a client that is to get everything on this stream.
    pub async fn open_on(
        &self,
        stream: Arc<EventStream>,
        caller: &Caller,
    ) -> Result<(SessionId, StreamReader), Unserved> {
        self.demand(caller)?;
        let (id, lodging, caller) = (new_id()?, self.lodge(caller)?, &caller.settled());
        let reader = stream.read();
        match self.spec.pool.mode {
            PoolMode::Session => {
                drop(self.open_dedicated(id.clone(), Transport::Sse(stream), lodging, caller).await?);
            }
            PoolMode::Shared => {
                self.admit(caller)?;
                self.seat(id.clone(), Seat::Standing(id.clone(), stream), lodging, caller);
            }
        }
        Ok((id, reader))
    }

    /// Seats a client in this process, which is to get everything on this stream; its `initialize` is still to be posted.
    pub async fn sit_down(
        &self,
        stream: Arc<EventStream>,
        initialize: &Message,
        caller: &Caller,
    ) -> Result<(Arc<Client>, StreamReader), Unserved> {
        self.demand(caller)?;
        // He who sits down here is the owner of another session: his rights are those of that one.
        let (id, lodging, reader) = (new_id()?, self.lodge(caller)?, stream.read());
        let transport = Transport::Sse(stream);
        let client = match self.spec.pool.mode {
            PoolMode::Session => self.open_dedicated(id, transport, lodging, caller).await?,
            PoolMode::Shared => self.join(id, transport, initialize, lodging, caller).await?,
        };
        Ok((client, reader))
    }

    /// Seats an HTTP+SSE client of a shared mount, whose `initialize` has come.
    pub async fn seat_standing(
        &self,
        id: SessionId,
        stream: Arc<EventStream>,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let joining = Joining::begin(self, &id, &stream).ok_or(Unserved::NoSession)?;
        let (owner, _) = self.seat_of(id.as_str()).ok_or(Unserved::NoSession)?;
        let client = self.seatless(id, Transport::Sse(stream), initialize, &owner).await?;
        if joining.end(&client) {
            return Ok(client);
        }
        // The stream has ended meanwhile.
        client.leave();
        Err(Unserved::NoSession)
    }

    /// The client with this session id, if the session belongs to the caller: of another's, nobody learns that it is there.
    pub fn client(&self, id: &str, caller: &Caller) -> Option<Seat> {
        let (owner, seat) = self.seat_of(id)?;
        if !self.is_of(&owner, caller) {
            return None;
        }
        // What he may is what he shows now: his token may be another by now, or the rules.
        owner.shows(caller);
        Some(seat)
    }

    /// Whether there is a session with this id.
    pub fn has_session(&self, id: &str) -> bool {
        self.seat_of(id).is_some()
    }

    fn seat_of(&self, id: &str) -> Option<(Caller, Seat)> {
        if id.len() != SessionId::LENGTH {
            return None;
        }
        let seat = self.seats().get(id).map(|seated| (seated.owner.clone(), seated.seat.clone()));
        seat.or_else(|| self.next()?.seat_of(id))
    }

    /// Ends a client's session.
    pub fn leave(&self, id: &str) {
        let seat = self.seats().remove(id).map(|seated| seated.seat);
        match seat {
            Some(Seat::Taken(client)) => client.leave(),
            Some(Seat::Standing(_, stream) | Seat::Joining(stream)) => stream.end(),
            None => drop(self.next().map(|next| next.leave(id))),
        }
    }

    /// A client has taken its place: from now on it is found by its id.
    pub(super) fn seat(&self, id: SessionId, seat: Seat, lodging: Arc<Lodging>, caller: &Caller) {
        if let Some(next) = self.next() {
            return next.seat(id, seat, lodging, caller);
        }
        self.seats().insert(id, Seated { owner: caller.clone(), seat, _lodging: lodging });
    }

    pub(super) fn seats(&self) -> MutexGuard<'_, HashMap<SessionId, Seated>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open_dedicated(
        &self,
        id: SessionId,
        transport: Transport,
        lodging: Arc<Lodging>,
        caller: &Caller,
    ) -> Result<Arc<Client>, Unserved> {
        if self.era_for(Era::Legacy, caller).await? == Era::Modern {
            match self.open_across(id.clone(), transport.clone(), lodging.clone(), caller).await {
                // It was believed to speak the other era only, and does not: its own may do.
                Err(Unserved::OtherEra(_)) if self.spoken().legacy != Some(false) => {}
                opened => return opened,
            }
        }
        let (peer, pass) = self.take_alone(caller).await?;
        // Over HTTP+SSE nothing is said to the process before the client posts.
        let pass = pass.filter(|_| matches!(transport, Transport::Streamable));
        let client =
            Session::dedicated(peer, id.clone(), transport, self.warden(caller), self.parts(caller, true));
        self.adopt(client.session(), pass);
        self.seat(id, Seat::Taken(client.clone()), lodging, caller);
        Ok(client)
    }
}

impl Mount {
    /// Opens a session with a server that only speaks the modern era.
    async fn open_across(
        &self,
        id: SessionId,
        transport: Transport,
        lodging: Arc<Lodging>,
        caller: &Caller,
    ) -> Result<Arc<Client>, Unserved> {
        let (peer, pass) = self.take_alone(caller).await?;
        let (warden, parts) = (self.warden(caller), self.parts(caller, true));
        let client = Session::dedicated_across(peer, id.clone(), transport, warden, parts);
        self.adopt(client.session(), pass);
        if let Err(error) = client.session().opened().await {
            return Err(self.not_opened(Era::Modern, error));
        }
        self.seat(id, Seat::Taken(client.clone()), lodging, caller);
        Ok(client)
    }
}

impl<'a> Joining<'a> {
    /// Takes the place of a standing client; nothing if it does not stand there any more, or has begun to join already.
    fn begin(mount: &'a Mount, id: &SessionId, stream: &Arc<EventStream>) -> Option<Self> {
        let mut seats = mount.seats();
        let Seated { seat, .. } = seats.get_mut(id.as_str())?;
        let stands = matches!(seat, Seat::Standing(_, standing) if Arc::ptr_eq(standing, stream));
        if !stands {
            return None;
        }
        *seat = Seat::Joining(stream.clone());
        Some(Self { mount, id: id.clone(), stream: stream.clone() })
    }

    /// Seats the client; whether its stream is still there.
    fn end(&self, client: &Arc<Client>) -> bool {
        self.change(|| Seat::Taken(client.clone()))
    }

    fn change(&self, to: impl FnOnce() -> Seat) -> bool {
        let mut seats = self.mount.seats();
        match seats.get_mut(self.id.as_str()) {
            Some(Seated { seat: seat @ Seat::Joining(_), .. }) => {
                *seat = to();
                true
            }
            _ => false,
        }
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let stands = || Seat::Standing(self.id.clone(), self.stream.clone());
        self.change(stands);
    }
}

/// An id for a new session.
pub(super) fn new_id() -> Result<SessionId, Unserved> {
    SessionId::random().map_err(|error| Unserved::unavailable(error.to_string(), RETRY_FULL))
}
