//! One request and its response on a connection: between hyper and the routes.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::connection::{ConnectionInfo, ConnectionSettings};
use super::pulse::{Exchanging, Pulse};
use super::refusal::Refusal;

/// The routes as one connection sees them: heads are checked, [`ConnectionInfo`] is put into the
/// extensions, and the pulse learns when an exchange begins and ends.
pub(super) struct Exchanges<S> {
    // hyper calls through a shared reference, tower through an exclusive one; never at the same time,
    // since a connection is one task. A clone of the filters for each request would cost more.
    service: RefCell<S>,
    info: ConnectionInfo,
    settings: Arc<ConnectionSettings>,
    pulse: Arc<Pulse>,
}

impl<S> Exchanges<S> {
    pub(super) fn new(
        service: S,
        info: ConnectionInfo,
        settings: Arc<ConnectionSettings>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self { service: RefCell::new(service), info, settings, pulse }
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let target = request.uri();
        let length = target.path().len() + target.query().map_or(0, str::len);
        if length > self.settings.uri {
            return Err(Refusal::UriTooLong(self.settings.uri));
        }
        if request.headers().len() > self.settings.headers {
            return Err(Refusal::TooManyHeaders(self.settings.headers));
        }
        // Whoever is before us may know the coding, and see another end of the body.
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Err(Refusal::UnknownCoding);
        }
        Ok(())
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Exchanges<S>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>>,
    B: Body + From<Bytes>,
{
    type Response = Response<Tracked<B>>;
    type Error = S::Error;
    type Future = Exchange<S::Future, B>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let exchanging = Some(self.pulse.exchange());
        let answer = match self.check(&request) {
            Ok(()) => {
                request.extensions_mut().insert(self.info.clone());
                // On the heap: hyper keeps room for this future as long as the connection lives, which for an
                // idle one, or one with an open event stream, is kilobytes for nothing.
                Answer::Coming { future: Box::pin(self.service.borrow_mut().call(request)) }
            }
            Err(refusal) => Answer::Refused { response: Some(refusal.render()) },
        };
        Exchange { answer, exchanging }
    }
}

/// A response to come.
pub(super) struct Exchange<F, B> {
    answer: Answer<F, B>,
    exchanging: Option<Exchanging>,
}

enum Answer<F, B> {
    Coming { future: Pin<Box<F>> },
    Refused { response: Option<Response<B>> },
}

// The only future inside is on the heap.
impl<F, B> Unpin for Exchange<F, B> {}

impl<F, B, E> Future for Exchange<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<Tracked<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.answer {
            Answer::Coming { future } => match future.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => response,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            },
            Answer::Refused { response } => match response.take() {
                Some(response) => response,
                None => return Poll::Pending,
            },
        };
        let mut exchanging = self.exchanging.take();
        if let Some(exchanging) = exchanging.as_mut().filter(|_| !response.body().is_end_stream()) {
            exchanging.wait_for_peer(true);
        }
        Poll::Ready(Ok(response.map(|body| Tracked { body, exchanging })))
    }
}

pin_project! {
    /// A response's body; the exchange ends when hyper drops it, after the last byte or when the client
    /// has gone.
    pub(super) struct Tracked<B> {
        #[pin]
        body: B,
        exchanging: Option<Exchanging>,
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if let Some(exchanging) = this.exchanging.as_mut() {
            exchanging.wait_for_peer(false);
        }
        let frame = this.body.poll_frame(cx);
        if let (Some(exchanging), Poll::Ready(Some(Ok(_)))) = (this.exchanging, &frame) {
            exchanging.wait_for_peer(true);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
