//! The task that takes messages to a server, and the end of the connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::open::is_for_now;
use super::outbox::Load;
use super::post::RETRIES;
use super::{Connection, Fault, Way, standalone};
use crate::peer::Cause;
use crate::wire::meta::find;
use crate::wire::{Kind, Message};

/// Requests whose fate is open when the session is lost have this long to be known as unheard.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What is still to be said when the connection is closed has this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The server has this long to take note of the end of its session.
const FAREWELL: Duration = Duration::from_secs(3);

/// A server may answer for so long what was cancelled; then it is read no further.
const CANCELLED: Duration = Duration::from_secs(5);

/// A server has this long to take a notification or an answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Requests wait so long for the stream of what the server says unasked.
const EAR_WITHIN: Duration = Duration::from_secs(1);

/// Requests wait so long for the answer that the level of log lines has been set.
const SET_WITHIN: Duration = Duration::from_secs(1);

/// Notifications and answers on their way; the outbox lets through fewer.
const MOST_NOTICES: usize = 2048;

/// Notifications and answers, in order.
type Notices = mpsc::Sender<(Message, Load)>;

/// Takes messages until the connection is closed or lost, and sees to its end.
pub(super) async fn carry(connection: Arc<Connection>) {
    let (notices, waiting) = mpsc::channel(MOST_NOTICES);
    let posting = connection.site.tracker.spawn(post_in_order(connection.clone(), waiting));
    loop {
        let next = tokio::select! {
            biased;
            () = connection.lost.cancelled() => break,
            () = connection.life.kill.cancelled() => break,
            next = connection.outbox.next() => next,
        };
        let Some((line, load)) = next else { break };
        // What our own bridge writes is a message.
        if let Ok(message) = Message::own(line) {
            connection.take(message, load, &notices).await;
        }
    }
    drop(notices);
    let lost = connection.lost.is_cancelled();
    connection.readers.close();
    if lost {
        // What is sent meanwhile waits, to be given back with the rest.
        let _ = timeout(LAST_ANSWERS, connection.readers.wait()).await;
    }
    let killed = connection.life.kill.clone();
    tokio::select! {
        () = killed.cancelled() => {}
        _ = timeout(LAST_WORDS, posting) => {}
    }
    connection.over.cancel();
    connection.end(lost).await;
    // One that the server has forgotten needs no farewell.
    if !lost || connection.talk().session.is_some() {
        tokio::select! {
            () = killed.cancelled() => {}
            _ = timeout(FAREWELL, connection.farewell()) => {}
        }
    }
    connection.life.gone.cancel();
}

async fn post_in_order(connection: Arc<Connection>, mut waiting: mpsc::Receiver<(Message, Load)>) {
    while let Some((message, _load)) = waiting.recv().await {
        // One that hangs must not keep back those behind it for ever.
        let post = timeout(TAKEN_WITHIN, connection.notify(&message));
        tokio::select! {
            () = connection.over.cancelled() => return,
            _ = post => {}
        }
    }
}

impl Connection {
    async fn take(self: &Arc<Self>, message: Message, load: Load, notices: &Notices) {
        let opened = !matches!(self.talk().way, Way::Unknown);
        match (message.kind(), message.method()) {
            (Kind::Request, _) if !opened => {
                drop(load);
                tokio::select! {
                    () = self.life.stop.cancelled() => {}
                    () = self.open(&message) => {}
                }
            }
            (Kind::Request, _) => {
                let connection = self.clone();
                let id: Box<str> = message.id().unwrap_or_default().into();
                let token = self.over.child_token();
                let number = self.enter(&id, token.clone());
                // Our own bridge sets it for the request that follows, and does not wait in between.
                let is_for_the_next = message.method() == "logging/setLevel";
                let call = self.readers.spawn(async move {
                    tokio::select! {
                        () = token.cancelled() => {}
                        () = connection.call(message, load) => {}
                    }
                    connection.leave(&id, number);
                });
                if is_for_the_next {
                    tokio::select! {
                        () = self.life.stop.cancelled() => {}
                        () = self.lost.cancelled() => {}
                        _ = timeout(SET_WITHIN, call) => {}
                    }
                }
            }
            // Nothing else may be heard before this is.
            (Kind::Notification, "notifications/initialized") => {
                tokio::select! {
                    () = self.life.stop.cancelled() => {}
                    () = self.lost.cancelled() => {}
                    _ = timeout(TAKEN_WITHIN, self.notify(&message)) => {}
                }
                let first = !self.listening.swap(true, Ordering::Relaxed);
                if first && matches!(self.talk().way, Way::Streamable) {
                    self.listen().await;
                }
            }
            (Kind::Notification, "notifications/cancelled") => self.give_up(message, load, notices),
            _ => drop(notices.try_send((message, load))),
        }
    }

    /// A request is under way; what it is counted as.
    fn enter(&self, id: &str, token: CancellationToken) -> u64 {
        let number = self.counted.fetch_add(1, Ordering::Relaxed);
        let before = self.calls().insert(id.into(), (number, token));
        if let Some((_, before)) = before {
            // Its client has given it up; a late answer would be taken for the new one's.
            before.cancel();
        }
        number
    }

    /// It is over; by now its id may be another's.
    fn leave(&self, id: &str, number: u64) {
        let mut calls = self.calls();
        if calls.get(id).is_some_and(|(known, _)| *known == number) {
            calls.remove(id);
        }
    }

    /// Opens the stream of what the server says unasked. What it says before the stream is there most servers forget, so
    /// that no request is made meanwhile; it is not waited for where something in between holds the stream's head back.
    async fn listen(self: &Arc<Self>) {
        let (connection, over) = (self.clone(), self.over.clone());
        let answered = CancellationToken::new();
        let first = answered.clone();
        self.readers.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = connection.lost.cancelled() => {}
                () = standalone::listen(&connection, first) => {}
            }
        });
        tokio::select! {
            () = self.life.stop.cancelled() => {}
            () = self.lost.cancelled() => {}
            _ = timeout(EAR_WITHIN, answered.cancelled()) => {}
        }
    }

    /// A request is not wanted any more.
    ///
    /// 2026-07-28, Streamable HTTP: closing the response stream is how a request is cancelled. An older server is told,
    /// and what it still says to the request is read for a while.
    fn give_up(self: &Arc<Self>, message: Message, load: Load, notices: &Notices) {
        let call = find(message.body(), &["requestId"])
            .and_then(|id| self.calls().get(id).map(|(_, call)| call.clone()));
        let modern = matches!(self.talk().way, Way::Modern);
        match call {
            Some(call) if modern => call.cancel(),
            Some(call) => {
                let _ = notices.try_send((message, load));
                self.readers.spawn(async move {
                    tokio::select! {
                        () = call.cancelled() => {}
                        () = tokio::time::sleep(CANCELLED) => call.cancel(),
                    }
                });
            }
            // It has been answered, which is nothing to a modern server.
            None if modern => {}
            None => drop(notices.try_send((message, load))),
        }
    }

    /// Posts a notification, or an answer to a question of the server; again, if the server says that it cannot take it now.
    async fn notify(&self, message: &Message) {
        let mut retries = RETRIES.iter();
        loop {
            let fault = match self.post(message).await {
                Ok(response) if response.status().is_success() => return,
                Ok(response) => self.refused(response, None).await.fault(),
                Err(fault) => fault,
            };
            match (&fault, retries.next()) {
                (Fault::NoSession, _) => return self.forgotten(None),
                (Fault::Status(status, _), Some(pause))
                    if is_for_now(*status) || status.is_server_error() =>
                {
                    tokio::time::sleep(*pause).await;
                }
                _ => {
                    tracing::debug!(server = %self.site.name, method = message.method(), "a notification was not taken: {}", fault.to_error());
                    return;
                }
            }
        }
    }

    /// Tells how it ended, and gives back what was never heard.
    async fn end(&self, lost: bool) {
        let ear = self.ear.get();
        self.outbox.close();
        if lost {
            let mut unheard = std::mem::take(&mut *self.unheard());
            while let Some((line, _)) = self.outbox.next().await {
                unheard.push(line);
            }
            for line in unheard {
                if let Some(ear) = ear {
                    ear.unheard(line);
                }
            }
        }
        self.life.ended(if lost { Cause::Lost } else { Cause::Closed });
        let exit = self.life.exited().await;
        if let Some(ear) = ear {
            ear.exited(&exit);
        }
    }
}
