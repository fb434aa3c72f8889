//! The server: takes connections, as many as are allowed, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::Clients;
use super::connection::{ConnectionSettings, Routes, Shared, serve_connection};
use super::farewell::{last_words, linger, say};
use super::ledger::Ledger;
use super::listener::Listener;
use super::refusal::Refusal;
use super::stage::Level;
use super::stream::Stream;

/// The two steps in which a listener stops.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Takes no more connections and requests; what is open finishes.
    pub drain: CancellationToken,
    /// Closes what is still open.
    pub cut: CancellationToken,
}

/// Serves `service` on all `listeners` until [`Stop::drain`], and then until the last connection has ended or
/// [`Stop::cut`]. Every connection and every HTTP/2 stream is a task on `tracker`.
///
/// Want of descriptors or memory never ends it: it waits and goes on. A connection over the limit of all is answered 503
/// and closed, one over that of its client 429; where TLS is spoken they are only closed.
pub async fn serve<S: Routes>(
    listeners: Vec<Listener>,
    service: S,
    settings: ConnectionSettings,
    ledger: Arc<Ledger>,
    stop: Stop,
    tracker: TaskTracker,
) {
    let seats = u32::try_from(settings.connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let door = Door {
        room: Arc::new(Semaphore::new(seats as usize)),
        clients: Clients::new(settings.connections_per_client, settings.proxies.clone()),
        turned_away: TurnedAway::new(&settings),
        ledger,
        shared: Arc::new(Shared::new(service, settings, tracker)),
    };
    join_all(listeners.into_iter().map(|listener| door.open(listener, &stop.drain))).await;
    let Door { room, shared, .. } = door;
    shared.stage.advance(Level::Draining);
    tokio::select! {
        _ = room.acquire_many(seats) => return,
        () = stop.cut.cancelled() => {}
    }
    shared.stage.advance(Level::Closed);
    let _ = room.acquire_many(seats).await;
}

/// Who comes in, over all listeners.
struct Door<S> {
    room: Arc<Semaphore>,
    clients: Arc<Clients>,
    turned_away: TurnedAway,
    ledger: Arc<Ledger>,
    shared: Arc<Shared<S>>,
}

impl<S: Routes> Door<S> {
    /// Lets in whoever comes to a listener, until `stop`.
    async fn open(&self, listener: Listener, stop: &CancellationToken) {
        while let Some((stream, info)) = listener.next(stop).await {
            let tracker = &self.shared.tracker;
            let is_silent = listener.tls().is_some();
            let Some(place) = self.clients.admit(info.ip()) else {
                self.ledger.turned_away("client");
                self.turned_away.send(stream, &self.turned_away.greedy, is_silent, tracker);
                continue;
            };
            let Ok(seat) = Arc::clone(&self.room).try_acquire_owned() else {
                self.ledger.turned_away("all");
                self.turned_away.send(stream, &self.turned_away.full, is_silent, tracker);
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let open = self.ledger.opened();
            let connection = serve_connection(stream, info, listener.tls().cloned(), shared);
            tracker.spawn(async move {
                connection.await;
                drop((seat, place, open));
            });
        }
    }
}

/// Connections over a limit: told so, a few at a time; the rest are only closed.
struct TurnedAway {
    room: Arc<Semaphore>,
    /// What is said when as many as allowed are open.
    full: Bytes,
    /// What is said to a client that has as many as one may have.
    greedy: Bytes,
    patience: Duration,
}

impl TurnedAway {
    fn new(settings: &ConnectionSettings) -> Self {
        Self {
            room: Arc::new(Semaphore::new(64)),
            full: last_words(&Refusal::TooManyConnections(settings.connections)),
            greedy: last_words(&Refusal::TooManyOfOneClient(settings.connections_per_client)),
            patience: settings.linger,
        }
    }

    /// `is_silent`: TLS is spoken here, and a handshake is more than it gets.
    fn send(&self, mut stream: Stream, answer: &Bytes, is_silent: bool, tracker: &TaskTracker) {
        if is_silent {
            return;
        }
        let Ok(seat) = Arc::clone(&self.room).try_acquire_owned() else { return };
        let (answer, patience) = (answer.clone(), self.patience);
        tracker.spawn(async move {
            // A new socket's buffer is empty and takes a few hundred bytes at once.
            say(&mut stream, &answer, patience).await;
            linger(stream, patience).await;
            drop(seat);
        });
    }
}
