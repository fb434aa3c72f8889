//! A login by the user: with a browser that comes back here, or with words entered somewhere else.

use std::time::Duration;

use tokio::time::timeout;

use super::Shared;
use super::answer::Expected;
use super::callback::{Callback, redirect};
use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::error::{LoginError, plain};
use super::grant::{Grant, Question};
use super::issuer::Issuer;
use super::registration::{Flow, Registration};
use super::resource::Protected;
use super::scopes::{Scopes, Sources};
use super::secret::Secret;
use super::token::{Issued, Token};

impl Shared {
    /// Asks the user.
    pub(super) async fn sign_in(
        &self,
        challenge: &Challenge,
        kept: Option<&Token>,
    ) -> Result<Token, LoginError> {
        let protected = self.resource.discover(challenge, &self.fetcher).await?;
        let issuer = self.issuer(&protected, kept).await?;
        self.check_issuer(&issuer, kept)?;
        let scopes = Scopes::select(&Sources {
            configured: &self.spec.scopes,
            challenged: challenge.scopes.as_ref(),
            supported: protected.scopes.as_ref(),
            held: kept.filter(|token| token.issuer == issuer.name).map(|token| &token.scopes),
            offline: issuer.scopes.contains("offline_access"),
        });
        let resource = protected.identifier;
        let (mut client, fresh) = match &issuer.device {
            Some(device) if !self.spec.browser.is_there() => {
                self.elsewhere(&issuer, device, &resource, &scopes).await?
            }
            _ => self.by_browser(&issuer, &resource, &scopes).await?,
        };
        if self.spec.client_id.is_some() {
            // It is in the configuration, and may be changed there.
            client.client_secret = None;
        }
        let endpoint = issuer.token.url().to_string();
        Ok(Token { resource, issuer: issuer.name, endpoint, client, scopes, issued: fresh })
    }

    /// The authorization server to ask: if there are several, the one of the last login.
    async fn issuer(&self, protected: &Protected, kept: Option<&Token>) -> Result<Issuer, LoginError> {
        let is_last = |name: &&String| kept.is_some_and(|token| token.issuer == **name);
        let (last, others): (Vec<_>, Vec<_>) = protected.issuers.iter().partition(is_last);
        let mut problem = LoginError::NoAuthorizationServer;
        for name in last.into_iter().chain(others).take(MOST_ISSUERS) {
            match Issuer::discover(name, self.resource.reach(), &self.fetcher).await {
                Ok(issuer) => return Ok(issuer),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    /// 2026-07-28, client registration: "If the authorization server indicated by protected resource metadata no longer
    /// matches the one the credentials were registered with, clients SHOULD surface an error".
    fn check_issuer(&self, issuer: &Issuer, kept: Option<&Token>) -> Result<(), LoginError> {
        match kept {
            Some(token) if self.spec.client_id.is_some() && token.issuer != issuer.name => {
                Err(LoginError::IssuerChanged {
                    before: plain(&token.issuer),
                    now: plain(&issuer.name),
                    file: self.store.path().display().to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    async fn by_browser(
        &self,
        issuer: &Issuer,
        resource: &str,
        scopes: &Scopes,
    ) -> Result<(Registration, Issued), LoginError> {
        // 2025-11-25, authorization: clients "MUST verify PKCE support before proceeding with authorization".
        if !issuer.pkce {
            return Err(LoginError::NoPkce);
        }
        let none = LoginError::NoEndpoint { which: "authorization" };
        let authorization = issuer.authorization.as_ref().ok_or(none)?;
        let callback = Callback::listen(self.spec.callback_port).await?;
        let redirect = callback.redirect().clone();
        let client = Registration::obtain(&self.spec, issuer, Flow::Code, &redirect, &self.fetcher).await?;
        let grant = Grant::new(&client, &issuer.token, resource, &self.fetcher);
        let Question { url, state, verifier } = grant.question(authorization, &redirect, scopes);
        let server = self.resource.identifier();
        tracing::warn!("{server} wants you to log in: open this address in a browser on this machine: {url}");
        self.spec.browser.open(&url, &self.tracker, &self.stop);
        let expected = Expected {
            state: Secret::new(state.into_secret()),
            issuer: issuer.name.clone(),
            names_itself: issuer.names_itself,
        };
        let answer = timeout(PATIENCE, callback.answer(&expected)).await;
        let code = answer.map_err(|_| timed_out(PATIENCE))??;
        let fresh = grant.code(code, verifier, &redirect).await?;
        Ok((client, fresh))
    }

    /// RFC 8628.
    async fn elsewhere(
        &self,
        issuer: &Issuer,
        device: &Endpoint,
        resource: &str,
        scopes: &Scopes,
    ) -> Result<(Registration, Issued), LoginError> {
        let redirect = redirect(None).ok_or(LoginError::Callback { port: 0 })?;
        let client = Registration::obtain(&self.spec, issuer, Flow::Device, &redirect, &self.fetcher).await?;
        let grant = Grant::new(&client, &issuer.token, resource, &self.fetcher);
        let words = grant.device_words(device, scopes).await?;
        let page = Endpoint::parse(words.verification_uri(), self.resource.reach())?;
        let (server, code) = (self.resource.identifier(), plain(words.user_code().secret()));
        let page = page.url();
        tracing::warn!("{server} wants you to log in: open {page} in any browser and enter the code {code}");
        let patience = words.expires_in().min(LONGEST_PATIENCE);
        let fresh =
            timeout(patience, grant.device(&words, patience)).await.map_err(|_| timed_out(patience))??;
        Ok((client, fresh))
    }
}

fn timed_out(patience: Duration) -> LoginError {
    LoginError::TimedOut { minutes: patience.as_secs().div_ceil(60) }
}

/// How long the browser is waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long another device is waited for, if the authorization server waits so long.
const LONGEST_PATIENCE: Duration = Duration::from_mins(10);

/// Each is asked at several addresses.
const MOST_ISSUERS: usize = 4;
