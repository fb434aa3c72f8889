//! Bodies of other frameworks: axum's is not `Sync`, warp's service wants one that is.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::Request;
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;
use warp::reply::Response;

/// A body that is shared by nobody, whatever its type says. The lock is never waited for: reading has the only reference.
#[derive(Debug)]
pub struct Exclusive<B>(Mutex<B>);

/// A service for requests with any body, around one that wants bodies to be `Sync`.
#[derive(Clone, Debug)]
pub struct AnyBody<S>(pub(super) S);

impl<B> Exclusive<B> {
    fn lock(&self) -> MutexGuard<'_, B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body + Unpin> Body for Exclusive<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let body = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}

impl<S, B> Service<Request<B>> for AnyBody<S>
where
    S: Service<Request<Exclusive<B>>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.call(request.map(|body| Exclusive(Mutex::new(body))))
    }
}
