//! Doing what the bridge decided.

use super::streams::Delivered;
use super::{Conversation, Link, Participant, Session, life};
use crate::peer::SendError;
use crate::protocol::{Bridge, ClientKey, Input, Output};
use crate::wire::{Code, Message, RpcError};
use bytes::Bytes;
use std::time::Instant;

impl Session {
    /// Does everything in `outputs`, and gives its memory back to the state.
    pub(super) fn perform(&self, state: &mut Conversation, mut outputs: Vec<Output>, now: Instant) {
        let mut leaving: Vec<ClientKey> = Vec::new();
        let mut unsent = Vec::new();
        let mut failure = None;
        for output in outputs.drain(..) {
            match output {
                Output::ToServer(line) => {
                    if !self.to_server(state, line, now) {
                        self.tally.dropped.add_one();
                        tracing::warn!(server = %self.settings.name, "the server does not read; a message to it was dropped");
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
                    let delivered = participant.streams.answer(exchange, message, now);
                    let last = participant.streams.is_once() && participant.streams.in_flight() == 0;
                    if last || delivered == Delivered::Broken {
                        leaving.push(client);
                    }
                }
                Output::Forget { client, exchange } => {
                    if let Some(participant) = state.clients.get_mut(&client) {
                        participant.streams.forget(exchange);
                    }
                }
                Output::ToClient { client, to, message, class } => {
                    let Some(participant) = state.clients.get_mut(&client) else { continue };
                    let delivered = participant.streams.deliver(to, message, class, now);
                    if delivered == Delivered::Broken {
                        leaving.push(client);
                    }
                    self.delivered(state, delivered, now);
                }
                Output::Opened(opened) => {
                    let version = opened.version();
                    tracing::debug!(server = %self.settings.name, version, "a handshake has succeeded");
                    self.home.opened(&opened);
                    if let Link::Opening(peer) = &state.link {
                        state.link = Link::Up(peer.clone());
                        state.opening_until = None;
                        self.changed.notify_waiters();
                    }
                }
                Output::Resumed => {
                    if let Link::Replaying(peer) = &state.link {
                        state.link = Link::Up(peer.clone());
                        state.opening_until = None;
                        self.tally.restarts.add_one();
                        self.changed.notify_waiters();
                        tracing::info!(server = %self.settings.name, "the session goes on with a new process");
                    }
                }
                Output::Failed(error) => failure = Some(error),
                Output::Dropped(why) => {
                    self.tally.dropped.add_one();
                    tracing::debug!(server = %self.settings.name, ?why, "a message of the server reached nobody");
                }
            }
        }
        state.outputs = outputs;
        for exchange in unsent {
            self.handle(state, Input::Unsent(exchange), now);
        }
        if let Some(error) = failure {
            let error = life::refused(&self.settings.mask.apply(&error.to_string()));
            self.end(state, Some(error), now);
        }
        for client in leaving {
            self.dismiss(state, client, now);
        }
    }

    /// What became of a message to a client.
    pub(super) fn delivered(&self, state: &mut Conversation, delivered: Delivered, now: Instant) {
        match delivered {
            Delivered::Taken | Delivered::Broken => {}
            Delivered::Dropped => self.tally.dropped.add_one(),
            Delivered::Undeliverable(question) => {
                let error =
                    RpcError::new(Code::InternalError, "the client has no open stream to be asked on");
                let id = Message::own(question).ok().and_then(|message| message.id().map(str::to_owned));
                let _ = self.to_server(state, error.to_line(id.as_deref()), now);
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
        if matches!(state.bridge, Bridge::Straight(_)) || (state.once && state.clients.is_empty()) {
            self.end(state, None, now);
        }
    }

    /// Ends the streams of a client that is gone, and lets the mount forget its id, if it had one.
    pub(super) fn see_off(&self, mut participant: Participant) {
        participant.streams.end();
        if !participant.streams.is_once() {
            self.home.left(&participant.id);
        }
    }

    /// Writes a line to the process; false if it does not fit, and nothing of it was written.
    fn to_server(&self, state: &mut Conversation, line: Bytes, now: Instant) -> bool {
        let Some(peer) = state.link.peer() else { return true };
        if matches!(state.link, Link::Opening(_) | Link::Replaying(_)) && state.opening_until.is_none() {
            state.opening_until = Some(now + self.settings.start);
        }
        match peer.send(line) {
            // A process that is ending says so itself, in a moment.
            Ok(()) | Err(SendError::Closed) => true,
            Err(SendError::Full) => false,
        }
    }
}
