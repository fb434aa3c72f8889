//! Clients that come and go: how a client of either era gets to a process that many use, whatever era that is of.

use super::group::{Free, Kind, LONGEST_CAPABILITIES, Purpose};
use super::seat::new_id;
use super::unserved::RETRY_FULL;
use super::{Lodging, Mount, Seat, Unserved};
use crate::access::Caller;
use crate::config::Isolation;
use crate::protocol::{Guest, Member, handshake, may_ask, offered, request_state};
use crate::session::{Client, Interaction, Session, SessionId, Transport, Visit, Warden};
use crate::wire::{self, Claim, Code, Era, Message, Payload, Revision, RpcError};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A call to which the server may ask questions waits so long for a process that is free, before another is started.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// A request looks so often for a process that does not end, or turns out to be of the other era, before it is there.
const TRIES: usize = 3;

/// What a modern client listens by.
const LISTEN: &str = "subscriptions/listen";

/// Where no other may be started, it looks so often whether one may be now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Such a call waits so long for a process in which another was given up just before.
const WAIT_CALM: Duration = Duration::from_secs(2);

/// Such a call waits so long where no other may be started.
const WAIT_LONGEST: Duration = Duration::from_secs(10);

impl Mount {
    /// Seats a client of a shared mount; its handshake is answered from the one that the router made.
    pub(super) async fn join(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
        lodging: Arc<Lodging>,
        caller: &Caller,
    ) -> Result<Arc<Client>, Unserved> {
        let client = self.seatless(id.clone(), transport, initialize, caller).await?;
        self.seat(id, Seat::Taken(client.clone()), lodging, caller);
        Ok(client)
    }

    /// A legacy client in a shared session that is not yet found by its id.
    pub(super) async fn seatless(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
        caller: &Caller,
    ) -> Result<Arc<Client>, Unserved> {
        let (revision, capabilities) = handshake::asked_for(initialize);
        if capabilities.len() > LONGEST_CAPABILITIES {
            return Err(Unserved::TooMuch("the capabilities in `initialize` are larger than 16 KiB"));
        }
        let capabilities: Map<String, Value> = serde_json::from_str(&capabilities).unwrap_or_default();
        let kind = self.legacy_kind(revision, &capabilities, Era::Legacy, caller);
        let member = Member { revision: Some(revision), capabilities, reachable: true };
        for _ in 0..TRIES {
            let session = self.session_for(Era::Legacy, &kind, false, caller).await?;
            // Who comes while its process is being replaced need not be told what that changes.
            session.renewed().await;
            let guest = Guest::Legacy(member.clone());
            if let Ok(client) = session.join(id.clone(), transport.clone(), guest, self.warden(caller)) {
                return Ok(client);
            }
        }
        Err(self.of_no_use())
    }

    /// A legacy client for this one POST without a session. `revision`: what its header says it speaks.
    pub async fn visit_for(
        &self,
        payload: &Payload,
        revision: Revision,
        caller: &Caller,
    ) -> Result<Visit, Unserved> {
        let waited_from = self.waits_from();
        let visit = self.visit(revision, caller).await;
        let is_request = |message: &&Message| message.kind() == wire::Kind::Request;
        self.note_found(payload.messages().iter().filter(is_request), caller, waited_from, &visit);
        visit
    }

    /// A legacy client for one POST without a session. `revision`: what its header says it speaks.
    pub(super) async fn visit(&self, revision: Revision, caller: &Caller) -> Result<Visit, Unserved> {
        self.demand(caller)?;
        let kind = self.legacy_kind(revision, &Map::new(), Era::Legacy, caller);
        let alone = self.spec.pool.isolation == Isolation::Request && !self.spec.pool.is_singleton();
        let member = Member { revision: Some(revision), capabilities: Map::new(), reachable: false };
        for _ in 0..TRIES {
            let session = self.session_for(Era::Legacy, &kind, alone, caller).await?;
            let guest = Guest::Legacy(member.clone());
            if let Ok(visit) = session.visit(new_id()?, guest, None, self.warden(caller)) {
                return Ok(visit);
            }
        }
        Err(self.of_no_use())
    }

    /// A modern client for its one request.
    ///
    /// # Errors
    /// [`Unserved::NoCall`] if it comes back to a call that nobody knows, or that is another's.
    pub async fn receive(
        &self,
        request: &Message,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Visit, Unserved> {
        let waited_from = self.waits_from();
        let received = self.receive_under(self.warden(caller), request, claim, caller).await;
        self.note_found([request], caller, waited_from, &received);
        received
    }

    /// The same for a question of the router's own, which sees everything.
    pub(super) async fn receive_unwatched(
        &self,
        request: &Message,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Visit, Unserved> {
        self.receive_under(None, request, claim, caller).await
    }

    async fn receive_under(
        &self,
        warden: Option<Arc<dyn Warden>>,
        request: &Message,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Visit, Unserved> {
        self.demand(caller)?;
        if claim.capabilities_raw.len() > LONGEST_CAPABILITIES {
            return Err(Unserved::TooMuch("the client capabilities in `_meta` are larger than 16 KiB"));
        }
        let offered = offered(&claim.capabilities);
        let kind = self.legacy_kind(Revision::NEWEST_LEGACY, &offered, Era::Modern, caller);
        let guest = Guest::Modern(self.principal(caller));
        let mut other_era = false;
        for _ in 0..TRIES {
            let found = if self.era_for(Era::Modern, caller).await? == Era::Modern {
                self.modern_session(request, caller).await.map(|session| (session, None))
            } else if let Some(state) = request_state(request.body()).filter(|_| may_ask(request.method())) {
                let session = self.parked().get(state.as_str()).cloned().ok_or(Unserved::NoCall)?;
                let visit = session.visit(new_id()?, guest, None, warden);
                return visit.map_err(|_| Unserved::NoCall);
            } else {
                self.legacy_session(request, claim, &kind, caller).await
            };
            other_era = matches!(found, Err(Unserved::OtherEra(_)));
            if other_era {
                continue;
            }
            let (session, interaction) = found?;
            // One that has ended in between is of no use; there is another.
            if let Ok(visit) = session.visit(new_id()?, guest.clone(), interaction, warden.clone()) {
                return Ok(visit);
            }
        }
        if !other_era {
            return Err(self.of_no_use());
        }
        let reason = format!("the server {} answers in neither era: see its log", self.name());
        Err(Unserved::unavailable(reason, RETRY_FULL))
    }

    /// A session of the modern era for a modern client's request.
    async fn modern_session(&self, request: &Message, caller: &Caller) -> Result<Arc<Session>, Unserved> {
        if request.method() == LISTEN {
            self.listened_session(&self.modern_kind(caller), caller).await
        } else {
            self.shared_session(&self.modern_kind(caller), caller).await
        }
    }

    /// A session of the legacy era for a modern client's request, and the right to be asked questions in it.
    async fn legacy_session(
        &self,
        request: &Message,
        claim: &Claim,
        kind: &Kind,
        caller: &Caller,
    ) -> Result<(Arc<Session>, Option<Interaction>), Unserved> {
        let many = !self.spec.pool.is_singleton();
        let asked = ["roots", "sampling", "elicitation"];
        let can_be_asked = asked.iter().any(|kind| claim.capabilities.contains_key(*kind));
        let interacts = can_be_asked && may_ask(request.method());
        if many && self.spec.pool.isolation == Isolation::Request {
            if interacts && self.is_full_of_parked() {
                return Err(Unserved::Unavailable { error: busy(), retry_after: RETRY_FULL });
            }
            let session = self.open_shared(kind, caller, true, Purpose::Need).await?;
            let interaction = session.interact();
            return Ok((session, interaction));
        }
        if many && interacts {
            let (session, interaction) = self.session_to_interact(kind, caller).await?;
            return Ok((session, Some(interaction)));
        }
        let session = if request.method() == LISTEN {
            self.listened_session(kind, caller).await?
        } else {
            self.shared_session(kind, caller).await?
        };
        Ok((session, None))
    }

    /// The session for a client of `era`: of `kind`, or of the modern era if the server speaks no other.
    async fn session_for(
        &self,
        era: Era,
        kind: &Kind,
        alone: bool,
        caller: &Caller,
    ) -> Result<Arc<Session>, Unserved> {
        let modern = self.modern_kind(caller);
        if self.era_for(era, caller).await? == Era::Modern {
            return self.shared_session(&modern, caller).await;
        }
        let session = if alone {
            self.open_shared(kind, caller, true, Purpose::Need).await
        } else {
            self.shared_session(kind, caller).await
        };
        match session {
            Err(Unserved::OtherEra(_)) => self.shared_session(&modern, caller).await,
            Err(Unserved::Unavailable { error, retry_after }) if error.code == Code::ProtocolError => {
                // It has refused `initialize`; some servers of the modern era do not say why.
                let unknown = self.spoken().modern.is_none() && !self.spec.pool.is_singleton();
                if unknown && self.is_modern_after_all(caller).await? {
                    return self.shared_session(&modern, caller).await;
                }
                Err(Unserved::Unavailable { error, retry_after })
            }
            session => session,
        }
    }

    /// A session in which a call can be made to which the server may ask questions: one at a time, since a question does not
    /// name its call.
    async fn session_to_interact(
        &self,
        kind: &Kind,
        caller: &Caller,
    ) -> Result<(Arc<Session>, Interaction), Unserved> {
        let until = Instant::now() + WAIT_LONGEST;
        // Until then it waits for one of those there are: each that is freed wakes all who wait.
        let mut opens_at = Instant::now() + WAIT_FIRST;
        let calm_at = Instant::now() + WAIT_CALM;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.free_session(kind) {
                Free::Found(session, interaction) => return Ok((session, interaction)),
                Free::Taken if Instant::now() < opens_at => {
                    let _ = tokio::time::timeout_at(opens_at, freed).await;
                    continue;
                }
                // It knows what its clients have done so far, which another would not.
                Free::Calming if Instant::now() < calm_at => {
                    let _ = tokio::time::timeout_at(calm_at, freed).await;
                    continue;
                }
                Free::Taken | Free::Calming | Free::None => {}
            }
            let opened = if self.is_full_of_parked() {
                Err(Unserved::Unavailable { error: busy(), retry_after: RETRY_FULL })
            } else {
                tokio::select! {
                    () = &mut freed => continue,
                    opened = self.another_session(kind, caller) => opened,
                }
            };
            match opened {
                Ok(session) if session.is_over() => return Err(self.of_no_use()),
                // Whoever is quicker has it; there may be another by now.
                Ok(_) => {}
                Err(Unserved::Unavailable { error, retry_after }) if error.code == Code::Overloaded => {
                    if Instant::now() >= until {
                        return Err(Unserved::Unavailable { error: busy(), retry_after });
                    }
                    // A process may be freed, or a place for one.
                    opens_at = (Instant::now() + LOOK_AGAIN).min(until);
                    let _ = tokio::time::timeout_at(opens_at, freed).await;
                }
                Err(other) => return Err(other),
            }
        }
    }
}

fn busy() -> RpcError {
    RpcError::new(
        Code::Overloaded,
        "every process that may ask its client something is in the middle of a call: try again later, or raise `pool.max`",
    )
}
