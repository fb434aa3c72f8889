//! Remote servers over TLS: whose certificates are believed.

mod support;

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::{Value, json};
use support::mcp;
use support::router::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::task::TaskTracker;

/// A server over TLS that answers every POST with the same handshake, and the authority that vouches for it.
struct Guarded {
    url: String,
    authority: String,
    _tasks: TaskTracker,
}

impl Guarded {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}/mcp", listener.local_addr().expect("it has one"));
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // A client that does not believe us says so by hanging up.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = vec![0; 64 << 10];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer().as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, authority: issuer.pem(), _tasks: tasks }
    }
}

fn answer() -> String {
    let info = json!({ "name": "guarded", "version": "1" });
    let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn opened(url: &str, options: &[&str]) -> Value {
    let file = json!({ "mcpServers": { "far": { "url": url, "pool": { "warm": 0 } } } });
    let router = Router::start(file, options).await;
    let client = mcp::Client::at(router.mcp("far"));
    client.request(json!(1), "initialize", mcp::hello("2025-11-25", json!({}))).await.outcome().await
}

#[tokio::test]
async fn a_certificate_counts_if_the_named_authority_vouches_for_it_and_not_otherwise() {
    let server = Guarded::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &server.authority).expect("the folder is writable");
    let path = |path: &Path| path.to_str().expect("a readable path").to_owned();
    let refused = opened(&server.url, &[]).await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
    assert!(refused["error"]["message"].as_str().is_some_and(|why| why.contains("certificate")), "{refused}");
    for options in [vec!["--verify-ssl".to_owned(), path(&file)], vec!["--no-verify-ssl".to_owned()]] {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let opened = opened(&server.url, &options).await;
        assert_eq!(opened["result"]["serverInfo"]["name"], "guarded", "{options:?}: {opened}");
    }
    let missing = opened(&server.url, &["--verify-ssl", &path(&folder.path().join("none.pem"))]).await;
    assert!(missing["error"]["message"].as_str().is_some_and(|why| why.contains("none.pem")), "{missing}");
}
