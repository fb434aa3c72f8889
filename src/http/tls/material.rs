//! The files behind TLS: what stands in them, and why it cannot be used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{ClientAuth, TlsSpec};

/// Why a certificate, its key, or the authorities of clients cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is not there, or may not be read.
    #[error("the {what} {} cannot be read: {source}", file.display())]
    Unread {
        /// What it is.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in it.
    #[error(
        "{} holds no certificate in PEM, which begins with `-----BEGIN CERTIFICATE-----`: give {what} so (`openssl x509 -inform der -in FILE` makes PEM of DER)",
        file.display()
    )]
    NoCertificate {
        /// What is wanted there.
        what: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// There is no private key in it.
    #[error(
        "{} holds no private key in PEM, which begins with `-----BEGIN PRIVATE KEY-----`: give the key of the certificate so (`openssl pkey -inform der -in FILE` makes PEM of DER)",
        file.display()
    )]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The key is encrypted.
    #[error(
        "the key in {} is encrypted, and there is nobody to ask for its passphrase: `openssl pkey -in FILE -out PLAIN` writes it without one; let nobody else read that file",
        file.display()
    )]
    Encrypted {
        /// The file.
        file: PathBuf,
    },
    /// The key is another certificate's.
    #[error(
        "the key in {} does not fit the first certificate in {}: give the two that were made together, the router's own certificate before those that vouch for it",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// It can be read, and is not good enough.
    #[error("the {what} in {} cannot be used: {reason}", file.display())]
    Unusable {
        /// What it is.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What stands in the files, nothing where they cannot be read. The key is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Material {
    cert: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Material {
    /// Reads them.
    pub(super) fn read(spec: &TlsSpec) -> Result<Self, TlsError> {
        let read = |what, file: &Path| {
            std::fs::read(file).map_err(|source| TlsError::Unread { what, file: file.to_owned(), source })
        };
        Ok(Self {
            cert: read("certificate", &spec.cert)?,
            key: read("key", &spec.key)?,
            authorities: spec.client_ca.as_deref().map(|file| read("client CA", file)).transpose()?,
        })
    }

    /// What connections are accepted with.
    pub(super) fn config(&self, spec: &TlsSpec) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.cert, "the router's certificate", &spec.cert)?;
        let key = self.key(&spec.key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("certificate", &spec.cert, error))?;
        let builder = match self.verifier(spec)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: spec.cert.clone(), key: spec.key.clone() }
            }
            error => unusable("certificate or its key", &spec.cert, error),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if spec.client_ca.is_some() {
            // Who resumes a session shows no certificate again, and it may have expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }

    /// The host names that the router's certificate is for; patterns are left out.
    pub(super) fn names(&self, spec: &TlsSpec) -> Vec<String> {
        let chain = certificates(&self.cert, "", &spec.cert).unwrap_or_default();
        let Some(Ok((_, leaf))) = chain.first().map(|leaf| X509Certificate::from_der(leaf)) else {
            return Vec::new();
        };
        let names = leaf.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
        let host = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) if !name.contains('*') => Some((*name).to_owned()),
            _ => None,
        };
        names.into_iter().flatten().filter_map(host).collect()
    }

    /// What is odd about them, but no reason to refuse them.
    pub(super) fn warnings(&self, spec: &TlsSpec) -> Vec<String> {
        let mut warnings = Vec::new();
        let chain = certificates(&self.cert, "", &spec.cert).unwrap_or_default();
        if let Some(Ok((_, leaf))) = chain.first().map(|leaf| X509Certificate::from_der(leaf)) {
            let validity = leaf.validity();
            if !validity.is_valid() {
                let file = spec.cert.display();
                let (from, to) = (validity.not_before, validity.not_after);
                warnings.push(format!(
                    "the certificate in {file} is valid from {from} to {to}, which is not now: clients will refuse it"
                ));
            }
        }
        warnings.extend(open_to_all(&spec.key));
        warnings
    }

    fn key(&self, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        let has = |words: &[u8]| self.key.windows(words.len()).any(|window| window == words);
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            return Err(TlsError::Encrypted { file: file.to_owned() });
        }
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey { file: file.to_owned() })
    }

    fn verifier(&self, spec: &TlsSpec) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let (Some(authorities), Some(file)) = (&self.authorities, &spec.client_ca) else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities, "the authorities of clients", file)? {
            roots.add(authority).map_err(|error| unusable("client CA", file, error))?;
        }
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match spec.client_auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map(Some).map_err(|error| unusable("client CA", file, error))
    }
}

fn certificates(
    pem: &[u8],
    what: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::NoCertificate { what, file: file.to_owned() };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(none)
}

fn unusable(what: &'static str, file: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable { what, file: file.to_owned(), reason: reason.to_string() }
}

/// A warning if everybody on this machine may read the key.
#[cfg(unix)]
fn open_to_all(key: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(key).ok()?.permissions().mode();
    (mode & 0o004 != 0)
        .then(|| format!("everybody on this machine may read the key {}: `chmod o-r` it", key.display()))
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests;
