//! The listener: takes connections, as many as are allowed, until it is told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{ConnectionInfo, ConnectionSettings, Routes, Shared, serve_connection};
use super::farewell::{last_words, linger};
use super::refusal::Refusal;
use super::stage::Level;

/// The two steps in which a listener stops.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Takes no more connections and requests; what is open finishes.
    pub drain: CancellationToken,
    /// Closes what is still open.
    pub cut: CancellationToken,
}

/// Serves `service` on `listener` until [`Stop::drain`], and then until the last connection has ended or
/// [`Stop::cut`]. Every connection and every HTTP/2 stream is a task on `tracker`.
///
/// Want of descriptors or memory never ends it: it waits and goes on. A connection over the limit is
/// answered 503 and closed.
pub async fn serve<S: Routes>(
    listener: TcpListener,
    service: S,
    settings: ConnectionSettings,
    stop: Stop,
    tracker: TaskTracker,
) {
    let seats = u32::try_from(settings.connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(seats as usize));
    let turned_away = TurnedAway::new(&settings);
    let shared = Arc::new(Shared::new(service, settings, tracker));
    while let Some((stream, info)) = next_connection(&listener, &stop.drain).await {
        if let Ok(seat) = Arc::clone(&room).try_acquire_owned() {
            let connection = serve_connection(stream, info, Arc::clone(&shared));
            shared.tracker.spawn(async move {
                connection.await;
                drop(seat);
            });
        } else {
            turned_away.send(stream, &shared.tracker);
        }
    }
    drop(listener);
    shared.stage.advance(Level::Draining);
    tokio::select! {
        _ = room.acquire_many(seats) => return,
        () = stop.cut.cancelled() => {}
    }
    shared.stage.advance(Level::Closed);
    let _ = room.acquire_many(seats).await;
}

/// The next connection that can be served; `None` once `stop` is cancelled.
async fn next_connection(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, ConnectionInfo)> {
    let mut pause = Pause::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match prepare(&stream) {
                Ok(local) => return Some((stream, ConnectionInfo { peer, local })),
                Err(error) => tracing::debug!(%peer, %error, "connection gone before it was served"),
            },
            Err(error) if is_the_peers(&error) => {
                tracing::debug!(%error, "connection gone before it was accepted");
            }
            Err(error) => {
                let wait = pause.next();
                tracing::warn!(%error, ?wait, "cannot accept connections for now");
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

/// Sets the options of a new socket, and gives our address of it.
fn prepare(stream: &TcpStream) -> io::Result<std::net::SocketAddr> {
    // An event stream is many small writes: with Nagle's algorithm each waits 40 ms for the peer's delayed ACK.
    stream.set_nodelay(true)?;
    stream.local_addr()
}

/// Failures of one connection; all others (EMFILE, ENFILE, ENOBUFS, ENOMEM) are ours and take time to pass.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Growing waits, 50 ms to 1 s.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(50 << self.0.min(4)).min(Duration::from_secs(1));
        self.0 += 1;
        wait
    }
}

/// Connections over the limit: told so, a few at a time; the rest are only closed.
struct TurnedAway {
    room: Arc<Semaphore>,
    answer: Bytes,
    patience: Duration,
}

impl TurnedAway {
    fn new(settings: &ConnectionSettings) -> Self {
        let answer = last_words(&Refusal::TooManyConnections(settings.connections));
        Self { room: Arc::new(Semaphore::new(64)), answer, patience: settings.linger }
    }

    fn send(&self, stream: TcpStream, tracker: &TaskTracker) {
        let Ok(seat) = Arc::clone(&self.room).try_acquire_owned() else { return };
        let (answer, patience) = (self.answer.clone(), self.patience);
        tracker.spawn(async move {
            // A new socket's buffer is empty and takes a few hundred bytes at once, once it is known to be writable.
            if stream.writable().await.is_ok() && stream.try_write(&answer).is_ok() {
                linger(stream, patience).await;
            }
            drop(seat);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_socket_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, taken) = tokio::join!(TcpStream::connect(address), async {
            next_connection(&listener, &CancellationToken::new()).await
        });
        let (stream, info) = taken.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(info, ConnectionInfo { peer: client.unwrap().local_addr().unwrap(), local: address });
    }

    #[test]
    fn want_of_descriptors_is_ours() {
        assert!(!is_the_peers(&io::Error::from_raw_os_error(24)));
        assert!(is_the_peers(&io::ErrorKind::ConnectionAborted.into()));
        let mut pause = Pause::default();
        assert_eq!((pause.next(), pause.next()), (Duration::from_millis(50), Duration::from_millis(100)));
        assert_eq!((0..40).map(|_| pause.next()).max(), Some(Duration::from_millis(800)));
    }
}
