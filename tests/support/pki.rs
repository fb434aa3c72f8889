//! An authority, the certificates that it vouches for, and clients that believe it.

#![allow(dead_code, reason = "no story uses everything")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// An authority that makes certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
    private: Vec<u8>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        Self { issuer: issuer.expect("an authority") }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate of this machine.
    pub(crate) fn server(&self) -> Pair {
        self.pair(&["localhost", "127.0.0.1"], "a router")
    }

    /// A certificate of somebody.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.pair(&[], name)
    }

    fn pair(&self, names: &[&str], common: &str) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
            private: key.serialize_der(),
        }
    }

    /// What a client is configured with that believes this authority, and shows a certificate or none.
    pub(crate) fn believer(&self, shown: Option<&Pair>, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match shown {
            Some(pair) => {
                let key = PrivateKeyDer::try_from(pair.private.clone()).expect("a key");
                builder.with_client_auth_cert(vec![pair.der.clone()], key).expect("a certificate and its key")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client of HTTP that believes this authority, and shows a certificate or none.
    pub(crate) fn http_client(&self, shown: Option<&Pair>) -> reqwest::Client {
        let config = self.believer(shown, &["h2", "http/1.1"]);
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured((*config).clone());
        client.build().expect("a client")
    }
}

impl Pair {
    /// Writes both into a folder.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let [cert, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
        std::fs::write(&cert, &self.cert).expect("the folder is writable");
        std::fs::write(&key, &self.key).expect("the folder is writable");
        (cert, key)
    }

    /// The certificate as it is seen on the wire.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

/// Shakes hands over a connection.
pub(crate) async fn encrypted<S>(stream: S, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(config).connect(name, stream).await
}
