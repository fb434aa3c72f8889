//! How spans are sent: by the client that the router has for everything else, and so with the same TLS.

use super::Destination;
use super::batch::{Batch, Envelope, Waiting};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use url::{Host, Url};

/// How long a span waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the collector may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long it is left alone when it does not take anything: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where those who end spans put them for the one who sends them.
#[derive(Debug)]
pub(super) struct Post {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

/// Sends what is put there.
#[derive(Debug)]
pub(super) struct Courier {
    post: Arc<Post>,
    envelope: Envelope,
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    /// It has been said that nothing is taken.
    is_away: bool,
}

/// Why spans were not taken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", told(.0))]
    Unreached(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Refused(StatusCode, Option<Duration>),
}

impl Post {
    fn new(room: usize) -> Self {
        Self { waiting: Mutex::new(Waiting::new(room)), changed: Notify::new() }
    }

    /// What waits, for a moment.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the one who sends.
    pub(super) fn notify(&self) {
        self.changed.notify_one();
    }

    /// Waits until it is so, or until no more come.
    async fn until(&self, is_so: impl Fn(&Waiting) -> bool) {
        loop {
            let changed = self.changed.notified();
            {
                let waiting = self.waiting();
                if waiting.is_last() || is_so(&waiting) {
                    return;
                }
            }
            changed.await;
        }
    }

    /// The next ones, as soon as there are many or one has waited for long; none if no more come.
    async fn next(&self) -> Option<Batch> {
        self.until(|waiting| !waiting.is_empty()).await;
        // Either way there are some.
        let _ = tokio::time::timeout(PATIENCE, self.until(Waiting::is_full)).await;
        self.waiting().take()
    }
}

impl Courier {
    pub(super) fn new(destination: &Destination) -> Result<Self, String> {
        // Another part of the program may have installed it already: the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let envelope = Envelope::new(destination);
        let url = Url::parse(&destination.endpoint).map_err(|error| error.to_string())?;
        let mut http =
            reqwest::Client::builder().timeout(ANSWERS_WITHIN).redirect(reqwest::redirect::Policy::none());
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if is_here {
            // What is on this machine is not asked for through a proxy.
            http = http.no_proxy();
        }
        if url.scheme() == "http" {
            // The system's certificates take their time to be read.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &destination.headers {
            let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (name, mut value) = parsed.ok_or_else(|| format!("{name} cannot be a header"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let post = Arc::new(Post::new(envelope.room()));
        Ok(Self { post, envelope, http, url, headers, is_away: false })
    }

    /// Where spans are put for it.
    pub(super) fn post(&self) -> Arc<Post> {
        self.post.clone()
    }

    /// Sends whatever is put there, until no more come.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.post.next().await {
            self.deliver(batch).await;
        }
    }

    /// Sends them, as often as it takes.
    ///
    /// OTLP 1.x: what may be tried again is, after pauses that grow, or as the collector says.
    async fn deliver(&mut self, batch: Batch) {
        let body = self.envelope.around(batch);
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(failure) = self.send(body.bytes()).await else {
                self.post.waiting().reuse(body);
                return self.is_taken();
            };
            self.is_not_taken(&failure);
            if !failure.may_pass() || self.post.waiting().is_last() {
                return self.post.waiting().lose(&body);
            }
            let wanted = failure.pause().unwrap_or(pause).min(LONGEST_PAUSE);
            // At the end there is one more attempt, at once.
            let _ = tokio::time::timeout(wanted, self.post.until(|_| false)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), Failure> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let answer = request.send().await?;
        let status = answer.status();
        if !status.is_success() {
            let seconds =
                answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            return Err(Failure::Refused(status, seconds.map(Duration::from_secs)));
        }
        // The connection is good for the next ones only when all is read.
        answer.bytes().await?;
        Ok(())
    }

    fn is_taken(&mut self) {
        if std::mem::take(&mut self.is_away) {
            let lost = self.post.waiting().lost();
            tracing::info!(endpoint = %self.url, lost, "the collector takes traces again");
        }
    }

    fn is_not_taken(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.is_away, true) {
            let then = if failure.may_pass() { "it is tried again" } else { "they are lost" };
            tracing::warn!(endpoint = %self.url, error = %failure, "the collector does not take traces: {then}");
        }
    }
}

impl Failure {
    /// Whether the same may be taken later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreached(_) => true,
            Self::Refused(status, _) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    /// How long the collector wants to be left alone.
    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Unreached(_) => None,
            Self::Refused(_, pause) => *pause,
        }
    }
}

/// What has gone wrong, down to its cause, and without the URL.
fn told(error: &reqwest::Error) -> String {
    let mut told =
        if error.is_timeout() { "it does not answer".to_owned() } else { "it was not reached".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
