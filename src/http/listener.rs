//! A place where connections come in: TCP, with TLS or without, or a unix socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::ConnectionInfo;
use super::stream::Stream;
use super::tls::Tls;
#[cfg(unix)]
use super::unix::UnixSocket;

/// A place where connections come in.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: Option<Arc<Tls>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    /// Connections from the network, encrypted if there is something to do that with.
    pub fn tcp(listener: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        Self { socket: Socket::Tcp(listener), tls }
    }

    /// Connections of programs on this machine.
    #[cfg(unix)]
    pub fn unix(socket: UnixSocket) -> Self {
        Self { socket: Socket::Unix(socket), tls: None }
    }

    /// What the connections are encrypted with.
    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// The next connection that can be served; `None` once `stop` is cancelled.
    ///
    /// Want of descriptors or memory never ends it: it waits and goes on.
    pub(super) async fn next(&self, stop: &CancellationToken) -> Option<(Stream, ConnectionInfo)> {
        let mut pause = Pause::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok(connection) => return Some(connection),
                Err(error) if is_the_peers(&error) => {
                    tracing::debug!(%error, "connection gone before it was served");
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

    async fn accept(&self) -> io::Result<(Stream, ConnectionInfo)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Whatever fails with a socket that is there is not for want of something: the peer has gone.
                let local = prepare(&stream).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                Ok((Stream::Tcp(stream), ConnectionInfo::tcp(peer, local)))
            }
            #[cfg(unix)]
            Socket::Unix(socket) => Ok((Stream::Unix(socket.accept().await?), ConnectionInfo::unix())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_socket_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::tcp(listener, None);
        let (client, taken) = tokio::join!(TcpStream::connect(address), async {
            listener.next(&CancellationToken::new()).await
        });
        let (stream, info) = taken.unwrap();
        let Stream::Tcp(stream) = stream else { panic!("it came by {stream:?}") };
        assert!(stream.nodelay().unwrap());
        assert_eq!(info, ConnectionInfo::tcp(client.unwrap().local_addr().unwrap(), address));
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
