//! Where the router listens: as its configuration says, or on sockets that were opened for it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::StartError;
use crate::config::{Config, TlsSpec};
use crate::http::listener::Listener;
use crate::http::tls::Tls;
#[cfg(unix)]
use crate::http::unix::UnixSocket;

/// Sockets that somebody else has opened and listens on already, such as systemd.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Those of the network.
    pub tcp: Vec<std::net::TcpListener>,
    /// Those of programs on this machine.
    #[cfg(unix)]
    pub unix: Vec<std::os::unix::net::UnixListener>,
}

/// Where a router is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By HTTP.
    Http(SocketAddr),
    /// By HTTPS.
    Https(SocketAddr),
    /// By a unix socket; a socket without a name has no path.
    Unix(PathBuf),
}

/// The listeners, the first place of which the router speaks, and what connections are encrypted with.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listeners: Vec<Listener>,
    pub(super) places: Vec<Place>,
    pub(super) tls: Option<Arc<Tls>>,
    /// What is odd about the certificate.
    pub(super) warnings: Vec<String>,
}

impl Inherited {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        #[cfg(unix)]
        let unix = self.unix.is_empty();
        #[cfg(not(unix))]
        let unix = true;
        self.tcp.is_empty() && unix
    }
}

impl Place {
    /// The URL of a path. Of a unix socket in the spelling that reverse proxies have for it.
    pub fn url(&self, path: &str) -> String {
        match self {
            Self::Http(address) => format!("http://{address}{path}"),
            Self::Https(address) => format!("https://{address}{path}"),
            Self::Unix(socket) => format!("http://unix:{}:{path}", socket.display()),
        }
    }

    /// Whether only programs on this machine get there.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Http(address) | Self::Https(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(socket) => write!(f, "unix:{}", socket.display()),
        }
    }
}

impl Listening {
    /// Listens where `config` says, unless there are sockets that were opened for it.
    pub(super) async fn begin(config: &Config, inherited: Inherited) -> Result<Self, StartError> {
        let (tls, warnings) = match config.tls.clone() {
            Some(spec) => loaded(spec).await?,
            None => (None, Vec::new()),
        };
        let mut listening = Self { listeners: Vec::new(), places: Vec::new(), tls, warnings };
        if inherited.is_empty() {
            listening.bind(config).await?;
        } else {
            listening.adopt(inherited).map_err(StartError::Inherited)?;
        }
        Ok(listening)
    }

    async fn bind(&mut self, config: &Config) -> Result<(), StartError> {
        let is_alone = config.unix_socket.as_ref().is_some_and(|unix| unix.is_alone);
        if !is_alone {
            let address = config.listen;
            let listener = TcpListener::bind(address).await;
            let bound = listener.and_then(|listener| self.add(listener));
            bound.map_err(|source| StartError::Bind { address, source })?;
        }
        #[cfg(unix)]
        if let Some(unix) = &config.unix_socket {
            self.listeners.push(Listener::unix(UnixSocket::bind(&unix.path, unix.mode)?));
            self.places.push(Place::Unix(unix.path.clone()));
        }
        Ok(())
    }

    fn adopt(&mut self, inherited: Inherited) -> io::Result<()> {
        for listener in inherited.tcp {
            listener.set_nonblocking(true)?;
            self.add(TcpListener::from_std(listener)?)?;
        }
        #[cfg(unix)]
        for listener in inherited.unix {
            let path = listener.local_addr()?.as_pathname().map(PathBuf::from).unwrap_or_default();
            self.listeners.push(Listener::unix(UnixSocket::inherited(listener)?));
            self.places.push(Place::Unix(path));
        }
        Ok(())
    }

    fn add(&mut self, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        self.places.push(if self.tls.is_some() { Place::Https(address) } else { Place::Http(address) });
        self.listeners.push(Listener::tcp(listener, self.tls.clone()));
        Ok(())
    }
}

async fn loaded(spec: TlsSpec) -> Result<(Option<Arc<Tls>>, Vec<String>), StartError> {
    let (tls, warnings) = Tls::load(spec).await?;
    Ok((Some(Arc::new(tls)), warnings))
}
