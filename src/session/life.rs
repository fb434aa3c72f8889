//! The life of a session: the death of its process, a new one in its place, idleness, the end.

use super::{Conversation, Link, Session};
use crate::peer::{Cause, Exit, Mask, Peer};
use crate::protocol::{Bridge, ClientKey, Input, OpeningError, Rules};
use crate::wire::{Code, RpcError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deaths count against a session for this long.
const DEATHS_WITHIN: Duration = Duration::from_secs(10);

/// The pause before a process is replaced for the second time, doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Session {
    /// Ends the session and its process; what is in flight is answered.
    pub fn close(&self) {
        let mut state = self.lock();
        self.end(&mut state, None, Instant::now());
    }

    /// Ends the session and its process, because its server is served no more; what is in flight is told so.
    pub fn shut_down(&self) {
        let mut state = self.lock();
        self.end(&mut state, Some(shutting_down()), Instant::now());
    }

    /// Ends the streams that would never end by themselves, so that the requests in flight can finish.
    pub fn drain(&self) {
        let mut state = self.lock();
        if matches!(state.link, Link::Opening(_)) {
            // Nobody could use what is being opened.
            return self.end(&mut state, Some(shutting_down()), Instant::now());
        }
        for participant in state.clients.values_mut() {
            participant.streams.end_standalone();
        }
        self.handle(&mut state, Input::Drain, Instant::now());
    }

    /// Lets the clock do its work: time-outs, idleness, a handshake that takes too long.
    pub fn tick(&self, now: Instant) {
        let mut state = self.lock();
        if matches!(state.link, Link::Ended(_)) {
            return;
        }
        self.handle(&mut state, Input::Tick, now);
        if state.opening_until.is_some_and(|until| now >= until) {
            return self.opening_timed_out(&mut state, now);
        }
        self.tick_clients(&mut state, now);
        let over = |idle: Duration| now >= state.last_active + idle;
        let empty = state.clients.is_empty() && !state.dedicated && !state.bridge.is_awaited();
        if empty && state.once && state.next_client > 0 {
            return self.end(&mut state, None, now);
        }
        if state.is_to_be_replaced(now) {
            return self.renew_or_end(state, now);
        }
        if state.bridge.is_spoiled() && state.bridge.in_flight() == 0 && matches!(state.link, Link::Up(_)) {
            tracing::info!(server = %self.settings().name, "a process is replaced that may still work on a call that was given up");
            return if empty { self.end(&mut state, None, now) } else { self.renew(state, now) };
        }
        if empty && self.settings().idle.is_some_and(over) {
            tracing::info!(server = %self.settings().name, "an idle shared process is stopped");
            self.end(&mut state, None, now);
        }
    }

    fn tick_clients(&self, state: &mut Conversation, now: Instant) {
        let (mut given_up, mut idle) = (Vec::new(), Vec::new());
        for (key, participant) in &mut state.clients {
            given_up.extend(participant.streams.tick(now).into_iter().map(|delivered| (*key, delivered)));
            if participant.streams.is_open() || participant.streams.in_flight() > 0 {
                participant.last_active = now;
            } else if self.settings().idle.is_some_and(|idle| now >= participant.last_active + idle) {
                idle.push(*key);
            }
        }
        for (client, delivered) in given_up {
            self.delivered(state, client, delivered, now);
        }
        for client in idle {
            tracing::debug!(server = %self.settings().name, "an idle session has ended");
            self.dismiss(state, client, now);
        }
    }

    fn opening_timed_out(&self, state: &mut Conversation, now: Instant) {
        let seconds = self.settings().start.as_secs_f32();
        let reason = format!(
            "the server did not answer `initialize` within {seconds} s: raise `startTimeout`, or mend it"
        );
        tracing::warn!(server = %self.settings().name, "{reason}");
        match &state.link {
            Link::Opening(_) => self.home.not_opened(),
            Link::Replaying(peer) if self.settings().patient => {
                peer.stop();
                // What it still says is not heard.
                state.generation += 1;
                return self.go_down(state, &Exit { cause: Cause::Lost, asked: false }, now);
            }
            _ => {}
        }
        self.end(state, Some(unavailable(reason)), now);
    }

    /// The process has died, or was stopped.
    pub(super) fn died(&self, exit: &Exit, generation: u64) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.generation != generation
            || state.turned_down.as_ref().is_some_and(|waiting| !waiting.changed)
        {
            // It was not wanted any more.
            return;
        }
        match &state.link {
            Link::Ended(_) | Link::Down => {}
            Link::Opening(peer) => {
                let words = peer.last_words();
                self.home.crashed(exit);
                self.home.not_opened();
                let error = if exit.cause == Cause::Lost {
                    unavailable(words.into_string())
                } else {
                    let why =
                        if words.is_empty() { String::new() } else { format!("; it last said: {words}") };
                    unavailable(format!("the server {exit} before it answered `initialize`{why}"))
                        .with("exit", exit.to_string())
                };
                self.end(&mut state, Some(error), now);
            }
            Link::Up(peer) | Link::Replaying(peer) => {
                let why = if exit.cause == Cause::Lost { peer.last_words() } else { Box::default() };
                tracing::warn!(server = %self.settings().name, in_flight = state.bridge.in_flight(), %why, "the server {exit}");
                self.go_down(&mut state, exit, now);
            }
        }
    }

    /// The session has no server any more, and gets another or ends.
    fn go_down(&self, state: &mut Conversation, exit: &Exit, now: Instant) {
        self.home.crashed(exit);
        state.link = Link::Down;
        state.opening_until = None;
        self.handle(state, Input::Exited(server_exited(exit)), now);
        state.forget_questions();
        state.deaths.retain(|death| now < *death + DEATHS_WITHIN);
        state.deaths.push(now);
        let deaths = u32::try_from(state.deaths.len()).unwrap_or(u32::MAX);
        // One that lasted was a good one.
        if state.resumed_at.take().is_some_and(|at| now >= at + DEATHS_WITHIN) {
            state.failures = 0;
        }
        state.failures = state.failures.saturating_add(1);
        // A remote server comes back when it does, and costs nothing while it is away.
        let deaths = if self.settings().patient { state.failures } else { deaths };
        if !self.settings().restart || (!self.settings().patient && deaths >= self.settings().attempts) {
            return self.end(state, None, now);
        }
        self.changed.notify_waiters();
        if let Some(session) = self.me.upgrade() {
            self.tracker.spawn(session.restart(deaths));
        }
    }

    /// Gets a new process and repeats the handshake with it.
    pub(super) async fn restart(self: Arc<Self>, deaths: u32) {
        let mut pause = match deaths {
            0 | 1 => Duration::ZERO,
            more => FIRST_PAUSE.saturating_mul(1 << (more - 2).min(8)).min(LONGEST_PAUSE),
        };
        for _ in 0..self.settings().attempts.max(1) {
            self.pause(pause).await;
            if self.is_over() {
                return;
            }
            match self.home.replace().await {
                Ok(peer) => return self.go_on_with(&peer),
                Err(error) => {
                    tracing::warn!(server = %self.settings().name, "no new process for a session whose process died: {error}");
                    pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                }
            }
        }
        self.close();
    }

    /// Waits before the next attempt, unless the session ends meanwhile.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.rest(pause) => {}
            () = self.over() => {}
        }
    }

    /// Lets the time pass; for a remote server no longer than until somebody wants something of it.
    async fn rest(&self, pause: Duration) {
        if !self.settings().patient {
            return tokio::time::sleep(pause).await;
        }
        tokio::time::sleep(pause.min(FIRST_PAUSE)).await;
        tokio::select! {
            () = tokio::time::sleep(pause.saturating_sub(FIRST_PAUSE)) => {}
            () = self.wanted.notified() => {}
        }
    }

    /// Waits until the session is over.
    async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }

    fn go_on_with(&self, peer: &Peer) {
        let now = Instant::now();
        let mut state = self.lock();
        if matches!(state.link, Link::Ended(_)) {
            return peer.stop();
        }
        state.link = Link::Replaying(peer.clone());
        state.generation += 1;
        state.replace_by = None;
        self.greet(&mut state, now);
        drop(state);
        self.attach();
    }

    /// Ends the session; `why` if it never opened, or could not go on.
    pub(super) fn end(&self, state: &mut Conversation, why: Option<RpcError>, now: Instant) {
        if matches!(state.link, Link::Ended(_)) {
            return;
        }
        tracing::debug!(server = %self.settings().name, clients = state.clients.len(), "a session has ended");
        let answer = why.clone().unwrap_or_else(ended);
        let link = std::mem::replace(&mut state.link, Link::Ended(why));
        state.opening_until = None;
        if let Some(waiting) = state.turned_down.take() {
            self.perform(state, vec![waiting.answer()], now);
        }
        self.handle(state, Input::Over(answer), now);
        state.interaction = None;
        for participant in std::mem::take(&mut state.clients).into_values() {
            self.see_off(participant);
        }
        if let Some(peer) = link.peer() {
            peer.stop();
        }
        self.changed.notify_waiters();
    }

    /// What its bridge must know.
    pub(super) fn rules(&self) -> Rules {
        let answer_cancelled = self.lock().clients.values().all(|participant| !participant.streams.is_sse());
        Rules { timeout: self.settings().timeout, answer_cancelled }
    }

    /// A client leaves of its own accord.
    pub(super) fn leave(&self, client: ClientKey) {
        let mut state = self.lock();
        self.dismiss(&mut state, client, Instant::now());
    }
}

impl Conversation {
    /// The process is gone, and nobody wants the answers to what it has asked.
    pub(super) fn forget_questions(&mut self) {
        // Before a modern server the questions are the router's own, and their calls go on with the next process.
        if !matches!(self.bridge, Bridge::Modern(_)) {
            self.clients.values_mut().for_each(|participant| participant.streams.forget_questions());
        }
    }
}

/// What requests are told that a session's end leaves without an answer.
pub(super) fn ended() -> RpcError {
    RpcError::new(Code::RequestCancelled, "the session has ended: send `initialize` to open another")
}

fn shutting_down() -> RpcError {
    RpcError::new(
        Code::ShuttingDown,
        "the server was shut down while the request was in flight; it may have been carried out",
    )
}

/// What the client is told whose server cannot be started.
pub(super) fn unavailable(reason: String) -> RpcError {
    RpcError::new(Code::ServerUnavailable, reason)
}

/// What the client is told whose server refused the handshake. Which era the server speaks can be told by the code.
pub(super) fn not_opened(error: &OpeningError, mask: &Mask) -> RpcError {
    let code = match error {
        OpeningError::OtherEra(_) | OpeningError::NotModern(_) => Code::UnsupportedVersion,
        _ => Code::ProtocolError,
    };
    RpcError::new(code, mask.apply(&error.to_string()).into_owned())
}

/// What a server said that refused something.
pub(super) fn refusal(answer: &[u8]) -> String {
    let text = std::str::from_utf8(answer).unwrap_or_default();
    crate::wire::meta::find_string(text, &["error", "message"]).unwrap_or_default()
}

fn server_exited(exit: &Exit) -> RpcError {
    let what = if exit.cause == Cause::Lost { "connection to the server" } else { "server" };
    RpcError::new(
        Code::ServerExited,
        format!("the {what} {exit} while the request was in flight; it may have been carried out: call again only if that does no harm"),
    )
    .with("exit", exit.to_string())
}
