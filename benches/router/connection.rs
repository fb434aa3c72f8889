//! One HTTP/1.1 connection of a load generator: one request at a time, one write per request.
//!
//! It is lean on purpose: what the client costs is taken from the two cores that it shares with the router.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use memchr::{memchr, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::either::Either;

/// Where a server listens on this machine, and whom to believe there if it speaks TLS.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The address itself.
    pub(crate) socket: SocketAddr,
    /// What a handshake is made with.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// A keep-alive connection to a server on this machine.
pub(crate) struct Connection {
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    /// Bytes read and not consumed yet.
    buffer: BytesMut,
}

/// What a load generator needs to know of a response's head.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// The body is `text/event-stream`.
    pub(crate) event_stream: bool,
    /// The value of `Mcp-Session-Id`.
    pub(crate) session: Option<String>,
    /// How the end of the body is found.
    pub(crate) framing: Framing,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// After so many bytes; 0 for no body at all.
    Length(usize),
    /// After the chunk of length 0.
    Chunked,
}

impl Connection {
    /// Connects, with `TCP_NODELAY`, and shakes hands where TLS is spoken.
    pub(crate) async fn open(address: &Address) -> Result<Self> {
        ensure!(address.socket.ip().is_loopback(), "{address} is not on this machine");
        let stream = TcpStream::connect(address.socket).await.context("failed to connect")?;
        stream.set_nodelay(true)?;
        let stream = match &address.tls {
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                Either::Right(TlsConnector::from(config.clone()).connect(name, stream).await?)
            }
            None => Either::Left(stream),
        };
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ) })
    }

    /// Sends a part of something, of which the rest never comes.
    pub(crate) async fn begin(&mut self, part: &[u8]) -> Result<()> {
        self.stream.write_all(part).await?;
        Ok(self.stream.flush().await?)
    }

    /// Writes a whole request and reads the head of its response.
    pub(crate) async fn request(&mut self, request: &[u8]) -> Result<Head> {
        self.stream.write_all(request).await.context("failed to send")?;
        self.stream.flush().await.context("failed to send")?;
        let mut seen = 0;
        loop {
            if let Some(end) = memmem::find(&self.buffer[seen..], b"\r\n\r\n") {
                let head = self.buffer.split_to(seen + end + 4);
                return Head::parse(&head[..head.len() - 4]);
            }
            seen = self.buffer.len().saturating_sub(3);
            self.fill().await?;
        }
    }

    /// Reads the body to its end, piece by piece, as the pieces arrive.
    pub(crate) async fn body(&mut self, framing: Framing, mut take: impl FnMut(&[u8])) -> Result<()> {
        match framing {
            Framing::Length(length) => self.pass(length, &mut take).await,
            Framing::Chunked => loop {
                let size = self.chunk_size().await?;
                self.pass(size, &mut take).await?;
                self.pass(2, &mut |_| ()).await?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    async fn pass(&mut self, mut left: usize, take: &mut impl FnMut(&[u8])) -> Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let size = left.min(self.buffer.len());
            take(&self.buffer[..size]);
            self.buffer.advance(size);
            left -= size;
        }
        Ok(())
    }

    async fn chunk_size(&mut self) -> Result<usize> {
        loop {
            if let Some(end) = memchr(b'\n', &self.buffer) {
                let mut digits = self.buffer[..end].trim_ascii().iter();
                let size = digits.try_fold(0_usize, |size, &digit| {
                    let digit = char::from(digit).to_digit(16)?;
                    size.checked_mul(16)?.checked_add(digit as usize)
                });
                self.buffer.advance(end + 1);
                return size.context("the chunk size is not a number");
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.buffer.capacity() - self.buffer.len() < READ / 2 {
            self.buffer.reserve(READ);
        }
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed in the middle of a response");
        }
        Ok(())
    }
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self> {
        let status = head.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let status = status.context("the response has no status")?;
        let mut parsed = Self { status, event_stream: false, session: None, framing: Framing::Length(0) };
        let mut rest = head;
        while let Some(end) = memchr(b'\n', rest) {
            rest = &rest[end + 1..];
            let line = rest[..memchr(b'\r', rest).unwrap_or(rest.len())].trim_ascii();
            let Some(colon) = memchr(b':', line) else { continue };
            parsed.header(&line[..colon], line[colon + 1..].trim_ascii())?;
        }
        Ok(parsed)
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        if name.eq_ignore_ascii_case(b"content-length") {
            self.framing = Framing::Length(std::str::from_utf8(value)?.parse()?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.event_stream = value.starts_with(b"text/event-stream");
        } else if name.eq_ignore_ascii_case(b"mcp-session-id") {
            self.session = Some(String::from_utf8(value.to_vec())?);
        }
        Ok(())
    }
}

/// Bytes asked of the kernel at a time.
const READ: usize = 64 << 10;
