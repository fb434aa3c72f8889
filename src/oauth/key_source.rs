//! The keys with which an authorization server signs its tokens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::endpoint::{Endpoint, Reach};
use super::error::LoginError;
use super::fetcher::Fetcher;
use super::issuer;

/// Where an authorization server publishes its keys: at an address that is configured, or that its metadata names.
#[derive(Debug)]
pub struct KeySource {
    issuer: String,
    fetcher: Fetcher,
    /// Once it is known.
    address: Mutex<Option<Endpoint>>,
    is_configured: bool,
}

/// What is wanted of the metadata.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
}

/// A set of keys. Each is read for itself, since a set may have some of kinds that nobody here knows.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeySource {
    /// The keys of the authorization server that calls itself `issuer`.
    ///
    /// # Errors
    /// A configured address is one that is not asked.
    pub fn new(issuer: String, address: Option<Url>, fetcher: Fetcher) -> Result<Self, LoginError> {
        let is_configured = address.is_some();
        let address = address.map(Endpoint::configured).transpose()?;
        Ok(Self { issuer, fetcher, address: Mutex::new(address), is_configured })
    }

    /// Whose keys they are.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Asks for the keys as they are now.
    ///
    /// # Errors
    /// They cannot be had, or not within ten seconds: requests wait for them.
    pub async fn fetch(&self) -> Result<Vec<Value>, LoginError> {
        let slow = |_| LoginError::Slow { issuer: self.issuer.clone() };
        timeout(PATIENCE, self.look()).await.map_err(slow)?
    }

    async fn look(&self) -> Result<Vec<Value>, LoginError> {
        let known = self.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(address) = known else {
            let address = self.discover().await?;
            let keys = self.ask(&address).await?;
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
            return Ok(keys);
        };
        let outcome = self.ask(&address).await;
        if outcome.is_err() && !self.is_configured {
            // They may have moved, which the metadata knows.
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        outcome
    }

    async fn ask(&self, address: &Endpoint) -> Result<Vec<Value>, LoginError> {
        let answer = self.fetcher.get(address).await?;
        let set = answer.document::<Set>().ok_or_else(|| LoginError::NoKeys { url: address.to_string() })?;
        Ok(set.keys)
    }

    async fn discover(&self) -> Result<Endpoint, LoginError> {
        let base = Endpoint::configured(
            Url::parse(&self.issuer).map_err(|_| LoginError::NoMetadata { issuer: self.issuer.clone() })?,
        )?;
        let reach = Reach::of(base.url());
        let find = |document: Document| Some((document.issuer, document.jwks_uri?));
        let address = issuer::metadata(&self.issuer, &base, reach, &self.fetcher, find).await?;
        Ok(Endpoint::parse(&address, reach)?)
    }
}

/// For the metadata and the keys together.
const PATIENCE: Duration = Duration::from_secs(10);
