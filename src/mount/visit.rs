//! Clients that come and go: how a client of either era gets to a process that many use, whatever era that is of.

use super::group::{Free, Kind, LONGEST_CAPABILITIES};
use super::seat::new_id;
use super::unserved::RETRY_FULL;
use super::{Mount, Seat, Unserved};
use crate::config::Isolation;
use crate::protocol::{Guest, Member, Principal, handshake, may_ask, offered, request_state};
use crate::session::{Client, Interaction, Session, SessionId, Transport};
use crate::wire::{Claim, Code, Era, Message, Revision, RpcError};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A call to which the server may ask questions waits so long for a process that is free, before another is started.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// Where no other may be started, it looks so often whether one may be now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Such a call waits so long where no other may be started.
const WAIT_LONGEST: Duration = Duration::from_secs(10);

impl Mount {
    /// Seats a client of a shared mount; its handshake is answered from the one that the router made.
    pub(super) async fn join(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let client = self.seatless(id.clone(), transport, initialize).await?;
        self.seat(id, Seat::Taken(client.clone()));
        Ok(client)
    }

    /// A legacy client in a shared session that is not yet found by its id.
    pub(super) async fn seatless(
        &self,
        id: SessionId,
        transport: Transport,
        initialize: &Message,
    ) -> Result<Arc<Client>, Unserved> {
        let (revision, capabilities) = handshake::asked_for(initialize);
        if capabilities.len() > LONGEST_CAPABILITIES {
            return Err(Unserved::TooMuch("the capabilities in `initialize` are larger than 16 KiB"));
        }
        let capabilities: Map<String, Value> = serde_json::from_str(&capabilities).unwrap_or_default();
        let kind = self.legacy_kind(revision, &capabilities, (Era::Legacy, None));
        let session = self.session_for(Era::Legacy, kind, false).await?;
        let member = Member { revision: Some(revision), capabilities, reachable: true };
        Ok(session.join(id, transport, Guest::Legacy(member), None)?)
    }

    /// A legacy client for one POST without a session. `revision`: what its header says it speaks.
    pub async fn visit(&self, revision: Revision) -> Result<Arc<Client>, Unserved> {
        let kind = self.legacy_kind(revision, &Map::new(), (Era::Legacy, None));
        let alone = self.spec.pool.isolation == Isolation::Request && !self.spec.pool.is_singleton();
        let session = self.session_for(Era::Legacy, kind, alone).await?;
        let member = Member { revision: Some(revision), capabilities: Map::new(), reachable: false };
        Ok(session.join(new_id()?, Transport::Once, Guest::Legacy(member), None)?)
    }

    /// A modern client for its one request.
    ///
    /// # Errors
    /// [`Unserved::NoCall`] if it comes back to a call that nobody knows, or that is another's.
    pub async fn receive(
        &self,
        request: &Message,
        claim: &Claim,
        principal: Principal,
    ) -> Result<Arc<Client>, Unserved> {
        if claim.capabilities_raw.len() > LONGEST_CAPABILITIES {
            return Err(Unserved::TooMuch("the client capabilities in `_meta` are larger than 16 KiB"));
        }
        // Without authentication all clients are one principal.
        let apart = Some(principal.clone()).filter(|_| self.spec.pool.isolation != Isolation::Shared);
        let alone = self.spec.pool.isolation == Isolation::Request && !self.spec.pool.is_singleton();
        let kind =
            self.legacy_kind(Revision::NEWEST_LEGACY, &offered(&claim.capabilities), (Era::Modern, apart));
        let guest = Guest::Modern(principal);
        let asks = may_ask(request.method());
        let listens = request.method() == "subscriptions/listen";
        for _ in 0..2 {
            if self.era_for(Era::Modern).await? == Era::Modern {
                let session = if listens {
                    self.listened_session(&Kind::Modern).await
                } else {
                    self.shared_session(&Kind::Modern).await
                };
                match session {
                    Err(Unserved::OtherEra(_)) => continue,
                    session => return Ok(session?.join(new_id()?, Transport::Once, guest, None)?),
                }
            }
            let state = request_state(request.body()).filter(|_| asks);
            if let Some(state) = state {
                let session = self.parked().get(state.as_str()).cloned();
                let session = session.ok_or(Unserved::NoCall)?;
                let join = session.join(new_id()?, Transport::Once, guest, None);
                return join.map_err(|_| Unserved::NoCall);
            }
            let can_be_asked = ["roots", "sampling", "elicitation"]
                .iter()
                .any(|kind| claim.capabilities.contains_key(*kind));
            let interacts = asks && can_be_asked && !self.spec.pool.is_singleton();
            let found = if alone {
                self.open_shared(&kind, true).await.map(|session| {
                    let interaction = session.interact();
                    (session, interaction)
                })
            } else if interacts {
                self.session_to_interact(&kind)
                    .await
                    .map(|(session, interaction)| (session, Some(interaction)))
            } else if listens {
                self.listened_session(&kind).await.map(|session| (session, None))
            } else {
                self.shared_session(&kind).await.map(|session| (session, None))
            };
            match found {
                Err(Unserved::OtherEra(_)) => {}
                found => {
                    let (session, interaction) = found?;
                    return Ok(session.join(new_id()?, Transport::Once, guest, interaction)?);
                }
            }
        }
        let reason = format!("the server {} answers in neither era: see its log", self.name());
        Err(Unserved::unavailable(reason, RETRY_FULL))
    }

    /// The session for a client of `era`: of `kind`, or of the modern era if the server speaks no other.
    async fn session_for(&self, era: Era, kind: Kind, alone: bool) -> Result<Arc<Session>, Unserved> {
        if self.era_for(era).await? == Era::Modern {
            return self.shared_session(&Kind::Modern).await;
        }
        let session =
            if alone { self.open_shared(&kind, true).await } else { self.shared_session(&kind).await };
        match session {
            Err(Unserved::OtherEra(_)) => self.shared_session(&Kind::Modern).await,
            Err(Unserved::Unavailable { error, retry_after }) if error.code == Code::ProtocolError => {
                // It has refused `initialize`; some servers of the modern era do not say why.
                let unknown = self.spoken().modern.is_none() && !self.spec.pool.is_singleton();
                if unknown && self.era_for(Era::Modern).await? == Era::Modern {
                    self.learn(Era::Legacy, false);
                    return self.shared_session(&Kind::Modern).await;
                }
                Err(Unserved::Unavailable { error, retry_after })
            }
            session => session,
        }
    }

    /// A session in which a call can be made to which the server may ask questions: one at a time, since a question does not
    /// name its call.
    async fn session_to_interact(&self, kind: &Kind) -> Result<(Arc<Session>, Interaction), Unserved> {
        let until = Instant::now() + WAIT_LONGEST;
        let mut patient = true;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.free_session(kind) {
                Free::Found(session, interaction) => return Ok((session, interaction)),
                Free::Taken if patient => {
                    patient = false;
                    let _ = tokio::time::timeout(WAIT_FIRST, freed).await;
                    continue;
                }
                Free::Taken | Free::None => {}
            }
            let opened = tokio::select! {
                () = &mut freed => continue,
                opened = self.another_session(kind) => opened,
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
                    let next = (Instant::now() + LOOK_AGAIN).min(until);
                    let _ = tokio::time::timeout_at(next, freed).await;
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn of_no_use(&self) -> Unserved {
        let reason = format!("the server {} ends as soon as it is open: see its log", self.name());
        Unserved::unavailable(reason, RETRY_FULL)
    }
}

fn busy() -> RpcError {
    RpcError::new(
        Code::Overloaded,
        "every process that may ask its client something is in the middle of a call: try again later, or raise `pool.max`",
    )
}
