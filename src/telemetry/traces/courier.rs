//! How spans are sent: by the client that the router has for everything else, and so with the same TLS.

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use url::{Host, Url};

/// A client whose requests are made by a thread that is none of the runtime's.
#[derive(Debug)]
pub(super) struct Courier {
    http: reqwest::Client,
    runtime: Handle,
}

impl Courier {
    pub(super) fn new(endpoint: &str, within: Duration) -> Result<Self, String> {
        // Another part of the program may have installed it already: the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(endpoint).map_err(|error| error.to_string())?;
        let mut http = reqwest::Client::builder().timeout(within).redirect(reqwest::redirect::Policy::none());
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
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        Ok(Self { http, runtime })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let answer = self.http.execute(request).await.map_err(reqwest::Error::without_url)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = Response::new(answer.bytes().await.map_err(reqwest::Error::without_url)?);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl HttpClient for Courier {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(Within { runtime: self.runtime.clone(), work: self.send(request) })
    }
}

pin_project! {
    /// Work of a thread that is none of the runtime's, with the clock and the sockets of that.
    struct Within<F> {
        runtime: Handle,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.runtime.enter();
        this.work.poll(cx)
    }
}
