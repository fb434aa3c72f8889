//! TLS: the certificate of the router, whose clients' certificates count, and the change of both while it runs.

mod certificate;
mod material;

use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

pub use certificate::{ClientCertificate, Unreadable};
pub use material::TlsError;

use crate::config::TlsSpec;
use material::Material;

/// What TLS connections are accepted with; connections that are open keep what they have begun with.
pub struct Tls {
    spec: TlsSpec,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
}

/// What was last tried.
struct Seen {
    material: Material,
    is_broken: bool,
}

/// What looking at the files has come to.
#[derive(Debug)]
#[must_use]
pub enum Renewal {
    /// They are as they were.
    Same,
    /// New connections get what they hold now; what is odd about that.
    Renewed(Vec<String>),
    /// They cannot be used, and what was before stays.
    Refused(TlsError),
}

impl Tls {
    /// Reads the files, and says what is odd about them.
    pub async fn load(spec: TlsSpec) -> Result<(Self, Vec<String>), TlsError> {
        let material = read(&spec).await?;
        let config = material.config(&spec)?;
        let warnings = material.warnings(&spec);
        let seen = Mutex::new(Seen { material, is_broken: false });
        Ok((Self { spec, current: ArcSwap::from_pointee(config), seen }, warnings))
    }

    /// Reads the files again. `is_asked`: what could not be used is tried again, and told again.
    pub async fn renew(&self, is_asked: bool) -> Renewal {
        let mut seen = self.seen.lock().await;
        let read = read(&self.spec).await;
        let material = read.as_ref().ok().cloned().unwrap_or_default();
        if material == seen.material && !(is_asked && seen.is_broken) {
            return Renewal::Same;
        }
        let config = read.and_then(|material| material.config(&self.spec));
        *seen = Seen { is_broken: config.is_err(), material };
        match config {
            Ok(config) => {
                self.current.store(Arc::new(config));
                Renewal::Renewed(seen.material.warnings(&self.spec))
            }
            Err(error) => Renewal::Refused(error),
        }
    }

    /// Whether the files hold something else than what was last tried, and nobody is writing to them: between two looks
    /// comes a `pause`.
    pub async fn is_outdated(&self, pause: impl AsyncFn()) -> bool {
        let look = async || read(&self.spec).await.unwrap_or_default();
        let mut now = look().await;
        if now == self.seen.lock().await.material {
            return false;
        }
        // A certificate and its key are two files, of which one is written first.
        for _ in 0..LOOKS {
            pause().await;
            let next = look().await;
            if next == now {
                break;
            }
            now = next;
        }
        now != self.seen.lock().await.material
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }
}

/// Whether these files could be used, and what is odd about them.
pub fn check(spec: &TlsSpec) -> Result<Vec<String>, TlsError> {
    let material = Material::read(spec)?;
    material.config(spec)?;
    Ok(material.warnings(spec))
}

/// The host names that the router's certificate is for; none where it cannot be read.
pub fn names(spec: &TlsSpec) -> Vec<String> {
    Material::read(spec).map(|material| material.names(spec)).unwrap_or_default()
}

/// What was read is secret.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// Files that do not stop changing are tried after so many looks.
const LOOKS: usize = 12;

async fn read(spec: &TlsSpec) -> Result<Material, TlsError> {
    let reading = spec.clone();
    let read = tokio::task::spawn_blocking(move || Material::read(&reading)).await;
    read.unwrap_or_else(|error| {
        Err(TlsError::Unread { what: "certificate", file: spec.cert.clone(), source: error.into() })
    })
}
