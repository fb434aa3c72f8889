//! A certificate for the router, and a client that believes it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The file of the certificate.
pub(crate) const CERT: &str = "server.pem";
/// The file of its key.
pub(crate) const KEY: &str = "server.key";

/// Writes both, and gives what a client is configured with.
pub(crate) fn write(folder: &Path) -> Result<Arc<ClientConfig>> {
    // The first one that is installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join(CERT), cert.pem())?;
    std::fs::write(folder.join(KEY), key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone())?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
