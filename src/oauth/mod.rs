//! Logging in to remote servers: the client's side of OAuth, as the MCP specification wants it.
//!
//! A [`Login`] belongs to one server. Whoever sends a request asks it for the header to send; whoever is refused tells it so,
//! and gets a newer one. What happens in between (`renewal`) asks as little of the user as can be: a token that another
//! process has got, else a refresh, else a login (`sign_in`): the server's metadata (`resource`) names the authorization
//! server, its metadata (`issuer`) how this program becomes known there (`registration`), and the user is sent there with a
//! browser that comes back to `callback`, or with words to enter on another device. Tokens are kept in a `store`, one login
//! at a time, also of several processes.
//!
//! The keys of an authorization server (`key_source`) are asked for by whoever checks its tokens; that is no login.
//!
//! Servers name the addresses that are asked here. What they may name is decided by `endpoint`, and `fetcher` asks.

mod answer;
mod browser;
mod callback;
mod challenge;
mod endpoint;
mod error;
mod fetcher;
mod grant;
mod issuer;
mod key_source;
mod registration;
mod renewal;
mod resource;
mod scopes;
mod secret;
mod sign_in;
mod spec;
mod state;
mod store;
mod token;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use http::{HeaderValue, StatusCode};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

pub use browser::Browser;
pub use endpoint::EndpointError;
pub use error::LoginError;
pub use fetcher::{FetchError, Fetcher};
pub use key_source::KeySource;
pub use secret::Secret;
pub use spec::LoginSpec;
pub use store::{StoreError, default_store};

use challenge::{Challenge, Want};
use renewal::{Cause, Refusal};
use resource::Resource;
use state::{Attempt, Need, Source, State};
use store::Store;

/// The login at one server. Cheap to clone; what is under way ends when the last clone goes.
#[derive(Clone)]
pub struct Login {
    shared: Arc<Shared>,
    _last: Arc<DropGuard>,
}

struct Shared {
    resource: Resource,
    spec: LoginSpec,
    store: Store,
    fetcher: Fetcher,
    tracker: TaskTracker,
    stop: CancellationToken,
    state: Mutex<State>,
}

impl Login {
    /// A login at the server with this URL. Nothing happens before somebody asks. What is under way are tasks on `tracker`,
    /// and ends with `stop`.
    pub fn new(
        resource: Url,
        spec: LoginSpec,
        fetcher: Fetcher,
        tracker: TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let resource = Resource::new(resource);
        let store = Store::new(&spec.store, resource.identifier(), spec.client());
        let stop = stop.child_token();
        let last = Arc::new(stop.clone().drop_guard());
        let state = Mutex::default();
        Self {
            shared: Arc::new(Shared { resource, spec, store, fetcher, tracker, stop, state }),
            _last: last,
        }
    }

    /// The header to send now: a token that was kept, refreshed if it was time to. None if no login was ever needed, as far
    /// as is known; the server says so if it is. Nobody is asked for this.
    pub async fn authorization(&self) -> Option<HeaderValue> {
        let attempt = {
            let mut state = self.shared.state();
            let need = state.need(self.shared.source());
            match (need, state.attempt()) {
                (Need::Now, Some(attempt)) => attempt,
                (Need::Now, None) => self.shared.begin(&mut state, Cause::Ahead),
                (Need::Soon, None) => {
                    self.shared.begin(&mut state, Cause::Ahead);
                    return state.header();
                }
                (Need::Soon, Some(_)) | (Need::Nothing, _) => return state.header(),
            }
        };
        // Without a token, or with one that has expired, the server says what is wrong.
        attempt.outcome.await.unwrap_or_else(|_| self.shared.state().header())
    }

    /// The server has answered 401 or 403 to a request with the header `used`: a token that is newer, to try again with. Calls
    /// side by side lead to one login, and if it fails, it fails for all of them.
    ///
    /// A server may refuse the newer token as well. Each refusal may lead a step further (from another process's token to a
    /// refresh to a login to more scopes), so that a request is worth three more tries, not more.
    pub async fn challenged(
        &self,
        status: StatusCode,
        www_authenticate: &[HeaderValue],
        used: Option<&HeaderValue>,
    ) -> Result<HeaderValue, LoginError> {
        let challenge = Challenge::read(www_authenticate);
        let want = challenge.want(status);
        if want == Want::Nothing {
            return Err(LoginError::Forbidden);
        }
        loop {
            let attempt = {
                let mut state = self.shared.state();
                if let Some(newer) = state.newer(used) {
                    return Ok(newer);
                }
                let begin = |state: &mut State| {
                    let refusal = Refusal { used: used.cloned(), challenge: challenge.clone(), want };
                    self.shared.begin(state, Cause::Refusal(refusal))
                };
                state.attempt().unwrap_or_else(|| begin(&mut state))
            };
            match attempt.outcome.await {
                Ok(Some(header)) if Some(&header) != used => return Ok(header),
                // What is done ahead of need asks nobody, and so may have ended without a token.
                _ if !attempt.answers_refusal => {}
                Ok(_) => return Err(LoginError::Unchanged),
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("server", &self.shared.resource.identifier())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self) -> Source {
        if self.spec.credentials().is_some() { Source::Credentials } else { Source::User }
    }

    /// Begins an attempt in a task of its own: whoever hangs up must not end a login that the user is in the middle of.
    fn begin(self: &Arc<Self>, state: &mut State, cause: Cause) -> Attempt {
        let (sender, receiver) = oneshot::channel();
        let answers_refusal = matches!(cause, Cause::Refusal(_));
        let shared = Arc::clone(self);
        self.tracker.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = shared.stop.cancelled() => Err(LoginError::Stopped),
                outcome = shared.renew(cause) => outcome,
            };
            if let Err(error) = &outcome
                && !answers_refusal
            {
                let cause = error.source().map(tracing::field::display);
                let server = shared.resource.identifier();
                tracing::warn!(server, %error, cause, "no token could be got ahead of need");
            }
            let outcome = shared.state().conclude(outcome);
            // Whoever began it may have gone.
            let _ = sender.send(outcome);
        });
        let outcome = receiver.map(|outcome| outcome.unwrap_or(Err(LoginError::Stopped)));
        state.begin(answers_refusal, outcome.boxed())
    }
}
