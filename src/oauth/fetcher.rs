//! Asks the addresses that servers have named, with the caution that this needs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::endpoint::{Endpoint, is_localhost, is_loopback};
use crate::config::is_off_limits;

/// An HTTP client that follows no redirects, looks up no address that is not to be asked, and reads no more than a
/// bounded answer. Cheap to clone; one serves all logins.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing answers there, or not in time.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What went wrong.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// The answer does not end where such answers end.
    #[error("the answer of {0} is larger than {LARGEST} bytes")]
    TooLarge(String),
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Fetcher {
    /// A client with the usual settings.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::with(Client::builder())
    }

    /// A client with the usual settings for a server at this URL.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn towards(url: &str) -> Result<Self, reqwest::Error> {
        let is_here = Url::parse(url).is_ok_and(|url| is_loopback(&url));
        // A proxy cannot know what this machine means by itself.
        Self::with(if is_here { Client::builder().no_proxy() } else { Client::builder() })
    }

    /// A client with other settings: proxies, certificates.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn with(settings: ClientBuilder) -> Result<Self, reqwest::Error> {
        // One is needed before the first connection; whoever embeds us may have chosen another.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = settings
            .redirect(Policy::none())
            .dns_resolver(Guarded)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("mcp-switchboard/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Fetches a document.
    pub(super) async fn get(&self, endpoint: &Endpoint) -> Result<Answer, FetchError> {
        let request = self.client.request(Method::GET, endpoint.url().clone());
        self.send(request.header(ACCEPT, JSON), endpoint.to_string()).await
    }

    /// Posts a document.
    pub(super) async fn post(
        &self,
        endpoint: &Endpoint,
        document: &impl Serialize,
    ) -> Result<Answer, FetchError> {
        // Only strings are in what is posted, which can always be written.
        let body = serde_json::to_vec(document).unwrap_or_default();
        let request = self.client.request(Method::POST, endpoint.url().clone());
        let request = request.header(ACCEPT, JSON).header(CONTENT_TYPE, JSON).body(body);
        self.send(request, endpoint.to_string()).await
    }

    async fn send(&self, request: RequestBuilder, url: String) -> Result<Answer, FetchError> {
        let unreachable = |error: reqwest::Error| {
            let source = Arc::new(error.without_url());
            FetchError::Unreachable { url: url.clone(), source }
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(FetchError::TooLarge(url));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: std::mem::take(response.headers_mut()), body })
    }
}

impl Answer {
    /// The document that a successful answer holds.
    pub(super) fn document<T: DeserializeOwned>(&self) -> Option<T> {
        if self.status.is_success() { self.json() } else { None }
    }

    /// The document that any answer holds.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl<'c> AsyncHttpClient<'c> for Fetcher {
    type Error = FetchError;
    type Future = BoxFuture<'c, Result<HttpResponse, FetchError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (parts, body) = request.into_parts();
        // The address was an `Endpoint` before: only those are given to the crate that makes these requests.
        let url = parts.uri.to_string();
        let request = self.client.request(parts.method, &url).headers(parts.headers).body(body);
        let url = url.split_once('?').map_or(url.clone(), |(url, _)| url.to_owned());
        async move {
            let answer = self.send(request, url).await?;
            let mut response = HttpResponse::new(answer.body);
            *response.status_mut() = answer.status;
            if let Some(kind) = answer.headers.get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, kind.clone());
            }
            Ok(response)
        }
        .boxed()
    }
}

/// Looks names up as the system does, and leaves out the addresses that a server may not point to.
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        async move {
            let name = name.as_str();
            let found = tokio::net::lookup_host((name, 0)).await?;
            let addresses: Vec<_> = found.filter(|address| may_be(name, address)).collect();
            if addresses.is_empty() {
                return Err(io::Error::other("the name has no address that may be asked").into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        }
        .boxed()
    }
}

/// Whether a name may have an address.
fn may_be(name: &str, address: &SocketAddr) -> bool {
    let address = address.ip().to_canonical();
    !is_off_limits(address) && (!is_localhost(name) || address.is_loopback())
}

/// Documents of a few kilobytes are usual.
const LARGEST: usize = 256 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_lead_where_an_address_may_not() {
        let table = [
            ("a.example", "93.184.216.34:0", true),
            ("a.example", "127.0.0.1:0", true),
            ("a.example", "169.254.169.254:0", false),
            ("a.example", "[fe80::1]:0", false),
            ("localhost", "127.0.0.1:0", true),
            ("localhost", "[::1]:0", true),
            ("localhost", "10.0.0.1:0", false),
        ];
        for (name, address, wanted) in table {
            let address = address.parse().expect("an address");
            assert_eq!(may_be(name, &address), wanted, "{name} {address}");
        }
    }
}
