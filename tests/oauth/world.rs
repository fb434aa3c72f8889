//! What a story of logging in takes place in.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use mcp_switchboard::oauth::{Browser, Fetcher, Login, LoginError, LoginSpec};
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::authority::{Authority, Nature};

/// An authorization server, a directory for logins, and a user who does what the browser shows.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) store: TempDir,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new(nature: Nature) -> Self {
        let tracker = TaskTracker::new();
        let authority = Authority::start(nature, &tracker).await;
        let store = TempDir::new().expect("a directory");
        // One is wanted even where nothing is encrypted; the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { authority, store, tracker, stop: CancellationToken::new(), client }
    }

    /// A specification with a user who agrees to everything.
    pub(crate) fn spec(&self) -> LoginSpec {
        let (client, tracker) = (self.client.clone(), self.tracker.clone());
        let browser = Browser::With(Arc::new(move |url: &Url| {
            let visit = client.get(url.clone()).send();
            tracker.spawn(visit);
        }));
        LoginSpec {
            interactive: true,
            browser,
            store: self.store.path().join("logins"),
            ..LoginSpec::default()
        }
    }

    /// A login, as another process would have it.
    pub(crate) fn login(&self, spec: LoginSpec) -> Login {
        let fetcher = Fetcher::with(Client::builder().no_proxy()).expect("a client");
        Login::new(self.authority.resource(), spec, fetcher, self.tracker.clone(), &self.stop)
    }

    /// Sends a request, and sends it again with what each challenge brings.
    pub(crate) async fn call(&self, login: &Login) -> Result<StatusCode, LoginError> {
        let mut header = login.authorization().await;
        for _ in 0..4 {
            let response = self.send(header.as_ref()).await;
            if response.status().is_success() {
                return Ok(response.status());
            }
            let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().cloned().collect();
            header = Some(login.challenged(response.status(), &challenges, header.as_ref()).await?);
        }
        panic!("a request is worth four tries");
    }

    pub(crate) async fn send(&self, header: Option<&HeaderValue>) -> reqwest::Response {
        let mut request = self.client.get(self.authority.resource());
        if let Some(header) = header {
            assert!(header.is_sensitive());
            request = request.header(AUTHORIZATION, header.clone());
        }
        request.send().await.expect("an answer")
    }

    pub(crate) fn visits(&self) -> usize {
        self.authority.record().visits.len()
    }

    /// The one file that is kept.
    pub(crate) fn kept(&self) -> std::path::PathBuf {
        let entries = std::fs::read_dir(self.store.path().join("logins")).expect("a directory").flatten();
        let mut files =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
        let file = files.next().expect("a login is kept");
        assert!(files.next().is_none());
        file
    }
}
