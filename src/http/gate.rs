//! The gate before the routes: guard first, then CORS. A tower service around a tower service, because
//! warp's filters do not see a request's version and target as they came.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN};
use http::{Method, Request, Response, Version};
use pin_project_lite::pin_project;

use super::cors::{CorsPolicy, decorate, preflight};
use super::guard::GuardPolicy;
use super::ledger::Ledger;

/// Lets pass what the guard lets pass, answers preflights, and makes answers readable for allowed pages.
#[derive(Clone, Debug)]
pub struct Gate<S> {
    service: S,
    guard: Arc<GuardPolicy>,
    cors: Option<Arc<CorsPolicy>>,
    ledger: Arc<Ledger>,
}

impl<S> Gate<S> {
    /// A gate before `service`; without `cors` nothing is ever said about origins.
    pub fn new(service: S, guard: GuardPolicy, cors: Option<CorsPolicy>) -> Self {
        let cors = cors.map(Arc::new);
        Self { service, guard: Arc::new(guard), cors, ledger: Arc::default() }
    }

    /// The same gate, which counts here what it answers itself.
    #[must_use]
    pub fn counting(self, ledger: Arc<Ledger>) -> Self {
        Self { ledger, ..self }
    }
}

impl<S, R, B> tower_service::Service<Request<R>> for Gate<S>
where
    S: tower_service::Service<Request<R>, Response = Response<B>>,
    B: From<Bytes>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Passage<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        if let Err(refusal) = self.guard.check(request.version(), request.uri(), request.headers()) {
            self.ledger.refused(&refusal);
            let response = refusal.render();
            self.ledger.answered(response.status());
            return Passage::answered(response);
        }
        name_host(&mut request);
        let Some(cors) = &self.cors else {
            return Passage::passed(self.service.call(request), None);
        };
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(ORIGIN)
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if asks {
            let response = preflight(request.headers(), cors);
            self.ledger.answered(response.status());
            return Passage::answered(response);
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let cors = Some((Arc::clone(cors), origin));
        Passage::passed(self.service.call(request), cors)
    }
}

/// HTTP/2 has the host in its target, which the routes do not see: from here on it has a `Host` as HTTP/1 has.
fn name_host<R>(request: &mut Request<R>) {
    if request.version() < Version::HTTP_2 || request.headers().contains_key(HOST) {
        return;
    }
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    request.headers_mut().extend(host.map(|host| (HOST, host)));
}

pin_project! {
    /// A response on its way through the gate.
    pub struct Passage<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Answered { response: Option<Response<B>> },
        Passed { #[pin] future: F, cors: Option<(Arc<CorsPolicy>, Option<HeaderValue>)> },
    }
}

impl<F, B> Passage<F, B> {
    /// The gate itself answers.
    fn answered(response: Response<B>) -> Self {
        Self { state: State::Answered { response: Some(response) } }
    }

    /// The routes answer, and perhaps something is added.
    fn passed(future: F, cors: Option<(Arc<CorsPolicy>, Option<HeaderValue>)>) -> Self {
        Self { state: State::Passed { future, cors } }
    }
}

impl<F, B, E> Future for Passage<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Answered { response } => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            StateProjection::Passed { future, cors } => future.poll(cx).map_ok(|mut response| {
                if let Some((policy, origin)) = cors.take() {
                    decorate(response.headers_mut(), origin.as_ref(), &policy);
                }
                response
            }),
        }
    }
}
