//! Event streams for operators: what happens, as it happens. Nobody is waited for: who reads too slowly is told how much he
//! has missed.

use super::reply::{self, Until};
use crate::wire::sse;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use warp::reply::{Reply, Response};

/// What is told on such a stream.
struct Feed<T, F> {
    waiting: VecDeque<Bytes>,
    coming: Option<Receiver<T>>,
    line: F,
    until: Option<Until>,
    keep_alive: Instant,
}

/// An event stream of `past` lines and, until `until`, of what is `coming`: of each the `line` that is to be told, if any.
pub(super) fn stream<T, F>(
    past: &[Bytes],
    coming: Option<Receiver<T>>,
    line: F,
    until: Option<Until>,
) -> Response
where
    T: Clone + Send + Sync + 'static,
    F: FnMut(&T) -> Option<Bytes> + Send + Sync + 'static,
{
    let mut waiting: VecDeque<Bytes> = past.iter().map(event).collect();
    // Who waits for a head sees that he is heard.
    waiting.push_back(Bytes::from_static(sse::KEEP_ALIVE));
    let feed = Feed { waiting, coming, line, until, keep_alive: Instant::now() + reply::KEEP_ALIVE };
    let pieces = futures::stream::unfold(feed, async |mut feed| {
        let piece = feed.next().await?;
        Some((Ok::<_, Infallible>(piece), feed))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    reply::set_event_headers(&mut response);
    response
}

impl<T: Clone, F: FnMut(&T) -> Option<Bytes>> Feed<T, F> {
    async fn next(&mut self) -> Option<Bytes> {
        let piece = match self.waiting.pop_front() {
            Some(piece) => piece,
            None => self.heard().await?,
        };
        self.keep_alive = Instant::now() + reply::KEEP_ALIVE;
        Some(piece)
    }

    async fn heard(&mut self) -> Option<Bytes> {
        let Self { coming, line, until, keep_alive, .. } = self;
        let coming = coming.as_mut()?;
        loop {
            let over = async {
                match until {
                    Some(until) => until.as_mut().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // First of all: whose rights have ended hears nothing more.
                biased;
                () = over => return None,
                heard = coming.recv() => match heard {
                    Ok(heard) => {
                        if let Some(line) = line(&heard) {
                            return Some(event(&line));
                        }
                    }
                    Err(RecvError::Lagged(missed)) => {
                        return Some(event(&format!(r#"{{"missed":{missed}}}"#).into()));
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(*keep_alive) => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
            }
        }
    }
}

/// A line as an event.
fn event(line: &Bytes) -> Bytes {
    let mut event = BytesMut::with_capacity(line.len() + 8);
    event.put_slice(b"data: ");
    event.put_slice(line);
    event.put_slice(b"\n\n");
    event.freeze()
}
