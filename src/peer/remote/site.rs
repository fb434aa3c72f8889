//! A remote server as all connections to it know it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Resolver;
use super::catalog::Catalog;
use super::headers::{self, InvalidHeader};
use crate::config::{LoginOptions, RemoteSpec, RemoteTransport, ServerName, Verify};
use crate::oauth::{Browser, Fetcher, Login, LoginSpec, Secret, default_store};
use crate::peer::Mask;

/// A connection that takes longer than this to open is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Connections are kept for less time than common servers keep theirs (5 s), so that no request meets one that is just
/// being closed: whether it was heard could not be told.
const KEPT: Duration = Duration::from_secs(4);

/// What notices that the other end is gone although no packet says so.
const STILL_THERE: Duration = Duration::from_secs(30);

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 3;

/// A remote server: its address, what is sent with each request, and what was learned about it.
#[derive(Debug)]
pub struct Site {
    pub(super) spec: RemoteSpec,
    pub(super) name: ServerName,
    pub(super) client: Client,
    pub(super) headers: HeaderMap,
    pub(super) line_limit: usize,
    pub(super) depth: usize,
    pub(super) mask: Mask,
    pub(super) tracker: TaskTracker,
    pub(super) catalog: Catalog,
    pub(super) login: Option<Login>,
    found: AtomicU8,
}

/// A transport that an answer has proved right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Streamable,
    Sse,
}

/// Why a remote server cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A configured header cannot be sent.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// The file of certificates to trust cannot be read.
    #[error("the certificates in {} cannot be used: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The TLS library refused its settings.
    #[error("no connection can be set up: {0}")]
    Client(String),
}

impl Site {
    /// Prepares to call a remote server; nothing is sent.
    pub fn new(
        spec: RemoteSpec,
        name: ServerName,
        line_limit: usize,
        depth: usize,
        tracker: TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, SiteError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.headers {
            let (name, value) = headers::configured(name, value)?;
            headers.insert(name, value);
        }
        let client = settings(&spec)?.build().map_err(|error| SiteError::Client(error.to_string()))?;
        let login = spec.login.as_ref().and_then(|options| login(&spec, options, &tracker, stop));
        let mask = Mask::remote(&spec);
        let (catalog, found) = (Catalog::default(), AtomicU8::new(0));
        Ok(Arc::new(Self {
            spec,
            name,
            client,
            headers,
            line_limit,
            depth,
            mask,
            tracker,
            catalog,
            login,
            found,
        }))
    }

    /// The transports to try, in this order; the one that was right before comes first.
    pub(super) fn transports(&self) -> Vec<Transport> {
        use Transport::{Sse, Streamable};
        let order = match self.spec.transport {
            RemoteTransport::StreamableHttp => return vec![Streamable],
            RemoteTransport::Sse => return vec![Sse],
            RemoteTransport::Auto => [Streamable, Sse],
            RemoteTransport::SseFirst => [Sse, Streamable],
        };
        let found = self.found.load(Ordering::Relaxed);
        let mut order = order.to_vec();
        order.sort_by_key(|transport| transport.number() != found);
        order
    }

    /// A transport has proved right.
    pub(super) fn found(&self, transport: Transport) {
        self.found.store(transport.number(), Ordering::Relaxed);
    }

    /// What may be shown of something that the server said.
    pub(super) fn shown(&self, text: &str) -> String {
        const SHOWN: usize = 200;
        let masked = self.mask.apply(text.trim());
        let mut shown = String::new();
        for letter in masked.chars().take(SHOWN) {
            match letter {
                // It ends nothing, and is often in JSON, where it would be escaped once more.
                '"' | '\'' => shown.push(letter),
                _ => shown.extend(letter.escape_debug()),
            }
        }
        shown
    }
}

impl Transport {
    fn number(self) -> u8 {
        match self {
            Self::Streamable => 1,
            Self::Sse => 2,
        }
    }
}

/// How to log in; nothing where there is nothing to do it with.
fn login(
    spec: &RemoteSpec,
    options: &LoginOptions,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) -> Option<Login> {
    let unusable = |reason: &dyn std::fmt::Display| tracing::warn!("no login is possible: {reason}");
    let store = default_store();
    if store.is_none() {
        unusable(&"there is no home directory to keep tokens in");
    }
    let login = LoginSpec {
        client_id: options.client_id.clone(),
        client_secret: options.client_secret.clone().map(Secret::new),
        token_url: options.token_url.clone(),
        scopes: options.scopes.clone(),
        callback_port: options.callback_port,
        store: store?,
        client_metadata_url: options.client_metadata_url.clone(),
        interactive: options.interactive,
        browser: if options.interactive { Browser::detect() } else { Browser::None },
    };
    let fetcher = settings(spec).map_err(|error| unusable(&error)).ok()?;
    let fetcher = Fetcher::with(fetcher).map_err(|error| unusable(&error)).ok()?;
    Some(Login::new(spec.url.clone(), login, fetcher, tracker.clone(), stop))
}

fn settings(spec: &RemoteSpec) -> Result<ClientBuilder, SiteError> {
    // One is needed before the first connection; whoever embeds us may have chosen another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects())
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(KEPT)
        .tcp_keepalive(STILL_THERE)
        .http2_keep_alive_interval(STILL_THERE)
        .http2_keep_alive_timeout(STILL_THERE);
    if spec.is_loopback() {
        // A proxy cannot know what this machine means by itself.
        builder = builder.no_proxy();
    }
    if !spec.allow_link_local {
        builder = builder.dns_resolver(Arc::new(Resolver));
    }
    Ok(match &spec.verify {
        // The system's certificates are not looked for where none is needed: there are machines without any.
        _ if spec.url.scheme() == "http" => builder.tls_certs_only([]),
        Verify::System => builder,
        Verify::Off => builder.tls_danger_accept_invalid_certs(true),
        Verify::Only(path) => builder.tls_certs_only(certificates(path)?),
    })
}

fn certificates(path: &std::path::Path) -> Result<Vec<Certificate>, SiteError> {
    let failed = |reason: String| SiteError::Certificates { path: path.to_owned(), reason };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| failed(error.to_string()))?;
    if found.is_empty() {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Ok(found)
}

/// Redirects are followed that keep the message and stay with the same server: what is sent may be secret.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let Some(from) = attempt.previous().last() else { return attempt.stop() };
        let keeps =
            matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let to = attempt.url();
        if keeps && from.origin() == to.origin() && attempt.previous().len() <= MOST_REDIRECTS {
            return attempt.follow();
        }
        let mut shown = to.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        let reason = format!(
            "it redirects ({}) to {shown}, which is not followed: use that URL if it is right",
            attempt.status().as_u16()
        );
        attempt.error(reason)
    })
}
