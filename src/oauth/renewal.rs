//! How another token is got: from another process, by a refresh, by a login, or for the client itself.

use std::error::Error;

use http::HeaderValue;

use super::Shared;
use super::challenge::{Challenge, Want};
use super::endpoint::Endpoint;
use super::error::LoginError;
use super::grant::Grant;
use super::registration::{Proof, Registration};
use super::secret::Secret;
use super::spec::Credentials;
use super::store::Lock;
use super::token::{Issued, Token};

/// Why another token is wanted.
pub(super) enum Cause {
    /// The one at hand will not do much longer, or nobody has looked yet. Nobody is asked for this.
    Ahead,
    /// The server has refused a request.
    Refusal(Refusal),
}

/// What the server has refused, and how.
pub(super) struct Refusal {
    pub(super) used: Option<HeaderValue>,
    pub(super) challenge: Challenge,
    pub(super) want: Want,
}

impl Shared {
    /// Gets another token; None if no login is known to be needed.
    pub(super) async fn renew(&self, cause: Cause) -> Result<Option<Issued>, LoginError> {
        match (self.spec.credentials(), cause) {
            // 2026-07-28, authorization: clients that act "on their own behalf (`client_credentials` clients) MAY attempt
            // the step-up authorization flow or abort the request immediately". Their scopes are what was configured.
            (Some(_), Cause::Refusal(Refusal { want: Want::MoreScopes, challenge, .. })) => {
                let scopes = challenge.scopes.map(|scopes| scopes.to_string()).unwrap_or_default();
                Err(LoginError::Insufficient { scopes })
            }
            (Some(credentials), _) => self.own_token(credentials).await.map(Some),
            (None, Cause::Ahead) => self.ahead().await,
            (None, Cause::Refusal(refusal)) => self.replace(&refusal).await.map(Some),
        }
    }

    /// What is kept, refreshed if it is time to.
    async fn ahead(&self) -> Result<Option<Issued>, LoginError> {
        let kept = self.store.read().await?;
        if kept.as_ref().and_then(overdue).is_none() {
            return Ok(kept.map(|token| token.issued));
        }
        let lock = self.store.lock().await?;
        // Another process may have been quicker.
        let Some(token) = self.store.read().await? else { return Ok(None) };
        let Some(refresh) = overdue(&token) else { return Ok(Some(token.issued)) };
        match self.refresh(&lock, &token, refresh).await {
            Err(error) if error.ends_the_grant() => {
                tracing::info!(server = self.resource.identifier(), %error, "the login can no longer be refreshed");
                Ok(Some(token.issued.final_one()))
            }
            outcome => outcome.map(Some),
        }
    }

    /// A token in place of one that the server has refused.
    async fn replace(&self, refusal: &Refusal) -> Result<Issued, LoginError> {
        let Refusal { used, challenge, want } = refusal;
        let lock = self.store.lock().await?;
        let kept = self.store.read().await?;
        if let Some(token) = &kept {
            // Another process has logged in, or refreshed, meanwhile.
            if !token.issued.is_expired() && token.issued.header() != *used {
                return Ok(token.issued.clone());
            }
            let may_refresh = *want == Want::Token && self.state().may_refresh(used.as_ref());
            if let Some(refresh) = token.issued.refresh_token().filter(|_| may_refresh) {
                match self.refresh(&lock, token, refresh).await {
                    Ok(issued) => {
                        self.state().refreshed(&issued);
                        return Ok(issued);
                    }
                    Err(error) if error.ends_the_grant() => {
                        tracing::info!(server = self.resource.identifier(), %error, "a new login is needed");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if !self.spec.interactive {
            return Err(LoginError::NotInteractive);
        }
        self.state().may_ask()?;
        let token = self.sign_in(challenge, kept.as_ref()).await?;
        self.keep(&lock, &token).await;
        tracing::info!(server = self.resource.identifier(), "logged in");
        Ok(token.issued)
    }

    async fn refresh(&self, lock: &Lock, token: &Token, refresh: &Secret) -> Result<Issued, LoginError> {
        let endpoint = Endpoint::parse(&token.endpoint, self.resource.reach())?;
        let mut client = token.client.clone();
        if self.spec.client_id.as_ref() == Some(&client.client_id) {
            client.client_secret.clone_from(&self.spec.client_secret);
        }
        let issued = Grant::new(&client, &endpoint, &token.resource, &self.fetcher).refresh(refresh).await?;
        let issued = issued.succeeding(&token.issued);
        self.keep(lock, &Token { issued: issued.clone(), ..token.clone() }).await;
        Ok(issued)
    }

    /// A token for the client itself. It is not kept: there is nobody who would have to be asked for the next one.
    async fn own_token(&self, credentials: Credentials<'_>) -> Result<Issued, LoginError> {
        let known = self.state().proof;
        // RFC 6749, section 2.3.1: basic authentication is what every server must take, and what some do not.
        let mut proof = known.unwrap_or(Proof::Basic);
        let mut outcome = self.own_token_by(proof, credentials).await;
        let refused = matches!(outcome, Err(LoginError::Refused { .. } | LoginError::Unintelligible { .. }));
        if refused && known.is_none() {
            proof = Proof::Post;
            // The refusal of what the standard prefers says more than that of the other.
            outcome = self.own_token_by(proof, credentials).await.or(outcome);
        }
        self.state().proof = outcome.is_ok().then_some(proof);
        outcome
    }

    async fn own_token_by(&self, proof: Proof, credentials: Credentials<'_>) -> Result<Issued, LoginError> {
        let Credentials { client_id, client_secret, token_url } = credentials;
        let endpoint = Endpoint::configured(token_url.clone())?;
        let scopes = self.spec.scopes.iter().map(String::as_str).collect();
        let (client_id, client_secret) = (client_id.to_owned(), Some(client_secret.clone()));
        let client = Registration { client_id, client_secret, proof };
        Grant::new(&client, &endpoint, self.resource.identifier(), &self.fetcher).credentials(&scopes).await
    }

    /// Keeps a login. Where that fails, this process has it all the same.
    async fn keep(&self, lock: &Lock, token: &Token) {
        if let Err(error) = self.store.write(lock, token).await {
            let cause = error.source().map(tracing::field::display);
            tracing::warn!(%error, cause, "the login cannot be kept; it will be asked for again");
        }
    }
}

/// The refresh token of a login that it is time to refresh.
fn overdue(token: &Token) -> Option<&Secret> {
    token.issued.refresh_token().filter(|_| token.issued.is_due())
}
