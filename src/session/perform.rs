//! Doing what the bridge decided.

use super::backlog::BATCH;
use super::era::Waiting;
use super::streams::Delivered;
use super::{Conversation, Link, Participant, Session, life};
use crate::peer::SendError;
use crate::protocol::{ClientKey, Input, Output, TurnedDown};
use crate::wire::{Code, Message, RpcError};
use bytes::Bytes;
use std::time::{Duration, Instant};

impl Session {
    /// Does everything in `outputs`, and gives its memory back to the state.
    pub(super) fn perform(&self, state: &mut Conversation, mut outputs: Vec<Output>, now: Instant) {
        let mut leaving: Vec<ClientKey> = Vec::new();
        let mut unsent = Vec::new();
        let mut opened_now = false;
        let mut failure = None;
        let mut said = 0;
        for output in outputs.drain(..) {
            match output {
                Output::ToServer(line) => {
                    if !self.say(state, line, &mut said, now) {
                        self.tally.dropped.add_one();
                        tracing::warn!(server = %self.settings().name, "the server does not read; a message to it was dropped");
                    }
                }
                Output::Request { exchange, line } if exchange.is_own() => {
                    if !self.say(state, line, &mut said, now) {
                        unsent.push(exchange);
                    }
                }
                Output::Request { exchange, line } => {
                    if !self.to_server(state, line, now) {
                        unsent.push(exchange);
                    }
                }
                Output::Answer { client, exchange, message, failed } => {
                    if failed {
                        self.tally.errors.add_one();
                    }
                    let Some(participant) = state.clients.get_mut(&client) else { continue };
                    participant.last_active = now;
                    let message = participant.watched.end(exchange, message, failed);
                    participant.watched.overhear(participant.id.short(), &message);
                    let delivered = participant.streams.answer(exchange, message, now);
                    let last = participant.streams.is_once() && participant.streams.in_flight() == 0;
                    if last || delivered == Delivered::Broken {
                        leaving.push(client);
                    }
                }
                Output::Forget { client, exchange } => {
                    if let Some(participant) = state.clients.get_mut(&client) {
                        participant.watched.forget(exchange);
                        participant.streams.forget(exchange);
                    }
                }
                Output::ToClient { client, to, message, class } => {
                    let Some(participant) = state.clients.get_mut(&client) else { continue };
                    participant.watched.overhear(participant.id.short(), &message);
                    let delivered = participant.streams.deliver(to, message, class, now);
                    if delivered == Delivered::Broken {
                        leaving.push(client);
                    }
                    self.delivered(state, client, delivered, now);
                }
                Output::Opened(opened) => {
                    let (settings, version) = (self.settings(), opened.version());
                    let version = settings.mask.apply(&version);
                    tracing::debug!(server = %settings.name, %version, "a handshake has succeeded");
                    self.home.opened(&opened);
                    self.note_opening(state, now);
                    if let Link::Opening(peer) = &state.link {
                        state.link = Link::Up(peer.clone());
                        state.opening_until = None;
                        state.resumed_at = Some(now);
                        opened_now = true;
                        self.changed.notify_waiters();
                    }
                }
                Output::Resumed => {
                    self.note_opening(state, now);
                    if let Link::Replaying(peer) = &state.link {
                        state.link = Link::Up(peer.clone());
                        state.opening_until = None;
                        state.resumed_at = Some(now);
                        self.tally.restarts.add_one();
                        self.home.resumed();
                        self.changed.notify_waiters();
                        tracing::info!(server = %self.settings().name, "the session goes on with a new process");
                    }
                }
                Output::TurnedDown(turned_down) => self.turned_down(state, *turned_down),
                Output::Parked(known_by) => {
                    if let Some(session) = self.me.upgrade() {
                        self.home.parked(&known_by, session);
                    }
                }
                Output::Unparked(known_by) => self.home.unparked(&known_by),
                Output::Wake(at) => self.wake(at, now),
                Output::Failed(error) => failure = Some(error),
                Output::Dropped(why) => {
                    self.tally.dropped.add_one();
                    tracing::debug!(server = %self.settings().name, ?why, "a message of the server reached nobody");
                }
            }
        }
        state.outputs = outputs;
        for exchange in unsent {
            self.handle(state, Input::Unsent(exchange), now);
        }
        if let Some(waiting) = state.turned_down.take_if(|_| opened_now) {
            self.handle(state, waiting.request(), now);
        }
        if let Some(error) = failure {
            let error = life::not_opened(&error, &self.settings().mask);
            self.end(state, Some(error), now);
        }
        for client in leaving {
            self.dismiss(state, client, now);
        }
    }

    /// A handshake is over: counts how long it took.
    fn note_opening(&self, state: &mut Conversation, now: Instant) {
        if let Some(greeted_at) = state.greeted_at.take() {
            self.tally.openings.add(now.saturating_duration_since(greeted_at));
        }
    }

    /// What became of a message to a client.
    pub(super) fn delivered(
        &self,
        state: &mut Conversation,
        client: ClientKey,
        delivered: Delivered,
        now: Instant,
    ) {
        match delivered {
            Delivered::Taken | Delivered::Broken => {}
            Delivered::Dropped => self.tally.dropped.add_one(),
            Delivered::Undeliverable(question) => {
                let error =
                    RpcError::new(Code::InternalError, "the client has no open stream to be asked on");
                let id = Message::own(question).ok().and_then(|message| message.id().map(str::to_owned));
                // As if the client had refused to answer.
                if let Ok(message) = Message::own(error.to_line(id.as_deref())) {
                    self.handle(state, Input::Notice { client, message }, now);
                }
            }
        }
    }

    /// Removes a client; a dedicated session ends with it.
    pub(super) fn dismiss(&self, state: &mut Conversation, client: ClientKey, now: Instant) {
        if !state.clients.contains_key(&client) {
            return;
        }
        self.handle(state, Input::Gone(client), now);
        if let Some(participant) = state.clients.remove(&client) {
            self.see_off(participant);
        }
        state.last_active = now;
        let served = state.once && state.clients.is_empty() && !state.bridge.is_awaited();
        if state.dedicated || served {
            self.end(state, None, now);
        }
    }

    /// The server will not take a client's `initialize`; another process may, in the other era.
    fn turned_down(&self, state: &mut Conversation, turned_down: TurnedDown) {
        let certain = turned_down.certain;
        state.opening_until = None;
        state.turned_down = Some(Waiting::new(turned_down));
        // Its place may be the last one.
        if let Some(peer) = state.link.peer() {
            peer.stop();
        }
        if let Some(session) = self.me.upgrade() {
            self.tracker.spawn(session.change_era(certain));
        }
    }

    /// Looks at the clock sooner than all sessions do.
    fn wake(&self, at: Instant, now: Instant) {
        if at >= now + Duration::from_millis(250) {
            return;
        }
        let session = self.me.clone();
        self.tracker.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            if let Some(session) = session.upgrade() {
                session.tick(Instant::now());
            }
        });
    }

    /// Ends the streams of a client that is gone, and lets the mount forget its id, if it had one.
    pub(super) fn see_off(&self, mut participant: Participant) {
        participant.streams.end();
        if !participant.streams.is_once() {
            self.home.left(&participant.id);
        }
    }

    /// Writes a line of the router's own to the process, or lets it wait; false if it can do neither. `said`: how many were
    /// written at once before it.
    fn say(&self, state: &mut Conversation, line: Bytes, said: &mut usize, now: Instant) -> bool {
        *said += 1;
        let at_once = *said <= BATCH && state.backlog.is_empty(state.generation);
        if at_once && self.to_server(state, line.clone(), now) {
            return true;
        }
        self.say_later(state, line)
    }

    /// Writes a line to the process; false if it does not fit, and nothing of it was written.
    fn to_server(&self, state: &mut Conversation, line: Bytes, now: Instant) -> bool {
        let Some(peer) = state.link.peer() else { return true };
        if matches!(state.link, Link::Opening(_) | Link::Replaying(_)) && state.opening_until.is_none() {
            state.opening_until = Some(now + self.settings().start);
            state.greeted_at = Some(now);
        }
        match peer.send(line) {
            // A process that is ending says so itself, in a moment.
            Ok(()) | Err(SendError::Closed) => true,
            Err(SendError::Full) => false,
        }
    }
}
