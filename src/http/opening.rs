//! What comes before a connection's first request: its handshake, and which version of HTTP it speaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::stream::Stream;
use super::tls::{ClientCertificate, Tls};

/// What has come of a new connection.
pub(super) enum Opened {
    /// HTTP may begin.
    Http {
        /// What it is spoken on.
        stream: Stream,
        /// Which one.
        version: HttpVersion,
        /// Whom the client's certificate names.
        certificate: Option<Arc<ClientCertificate>>,
    },
    /// The client speaks HTTP where TLS is spoken.
    InTheClear(Stream),
    /// The client has hung up.
    Nothing,
}

/// The versions of HTTP, as far as they differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// 1.0 and 1.1.
    One,
    /// 2.
    Two,
}

/// Opens a connection. Takes as long as the client lets it; whoever waits has the clock.
pub(super) async fn open(stream: Stream, tls: Option<Arc<Tls>>) -> io::Result<Opened> {
    match (stream, tls) {
        // Large while it lasts: it must not make the task of every connection as large.
        (Stream::Tcp(stream), Some(tls)) => Box::pin(encrypted(Stream::Tcp(stream), tls)).await,
        (stream, _) => Ok(match version_of(&stream).await? {
            Some(version) => Opened::Http { stream, version, certificate: None },
            None => Opened::Nothing,
        }),
    }
}

async fn encrypted(stream: Stream, tls: Arc<Tls>) -> io::Result<Opened> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(Opened::Nothing);
    }
    // Every method of HTTP begins with a letter, a handshake of TLS with the byte 22.
    if first[0].is_ascii_alphabetic() {
        return Ok(Opened::InTheClear(stream));
    }
    let Stream::Tcp(stream) = stream else { return Ok(Opened::Nothing) };
    let stream = tls.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let version = if session.alpn_protocol() == Some(b"h2") { HttpVersion::Two } else { HttpVersion::One };
    let certificate = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| ClientCertificate::read(leaf))
        .transpose()
        .map_err(|unreadable| io::Error::new(io::ErrorKind::InvalidData, unreadable))?
        .map(Arc::new);
    Ok(Opened::Http { stream: Stream::Tls(Box::new(stream)), version, certificate })
}

/// Tells the version by the first bytes, without taking them; `None` if there are none.
async fn version_of(stream: &Stream) -> io::Result<Option<HttpVersion>> {
    // RFC 9113, 3.4: the preface of HTTP/2 begins with the method PRI, which HTTP/1 never has.
    const PREFACE: &[u8] = b"PRI";
    let mut start = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 {
            return Ok(None);
        } else if start[..seen] != PREFACE[..seen] {
            return Ok(Some(HttpVersion::One));
        } else if seen == PREFACE.len() {
            return Ok(Some(HttpVersion::Two));
        }
        // The start of POST, PUT or PRI came alone; what has been seen keeps the socket readable.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
