//! The body of an answer: JSON, or events of which each holds a message.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::Response;

use super::fault::Fault;
use crate::wire::line::{Line, Skipped};
use crate::wire::sse::{Decoder, Event};

/// Bytes read of an answer that is only shown.
const SHOWN: usize = 64 << 10;

/// The body of a refusal is not waited for any longer.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// The pauses that a server may ask for before a stream is asked for again.
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_mins(1);

/// Reads a body of at most `limit` bytes.
pub(super) async fn whole(response: Response, limit: usize) -> Result<Bytes, Fault> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(Fault::TooLarge(limit));
    }
    let mut chunks = response.bytes_stream();
    let Some(first) = chunks.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(Fault::of_reading)?;
    let Some(second) = chunks.next().await else { return within(first, limit) };
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        all.extend_from_slice(&chunk.map_err(Fault::of_reading)?);
        if all.len() > limit {
            return Err(Fault::TooLarge(limit));
        }
        next = chunks.next().await;
    }
    Ok(all.freeze())
}

fn within(body: Bytes, limit: usize) -> Result<Bytes, Fault> {
    if body.len() > limit { Err(Fault::TooLarge(limit)) } else { Ok(body) }
}

/// The body of a refusal, if it is short and comes soon: nothing depends on it.
pub(super) async fn told(response: Response) -> Bytes {
    let told = tokio::time::timeout(TOLD_WITHIN, whole(response, SHOWN)).await;
    told.ok().and_then(Result::ok).unwrap_or_default()
}

/// A stream of events, over as many connections as it takes.
pub(super) struct Events {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    decoder: Decoder,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    pub(super) fn new(response: Response, limit: usize) -> Self {
        Self { chunks: response.bytes_stream().boxed(), decoder: Decoder::new(limit), ready: <_>::default() }
    }

    /// Goes on with the events of another connection.
    pub(super) fn go_on(&mut self, response: Response) {
        self.chunks = response.bytes_stream().boxed();
        self.decoder.restart();
    }

    /// The next event; None at the end of the connection.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(chunk) = self.chunks.next().await else { return Ok(None) };
            let chunk = chunk.map_err(Fault::of_reading)?;
            let ready = &mut self.ready;
            self.decoder.feed(&chunk, |event| ready.push_back(event));
        }
    }

    /// What resumes the stream, if it has said so.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.decoder.last_id()
    }

    /// How long to wait before it is resumed, if it has said so.
    pub(super) fn retry(&self) -> Option<Duration> {
        let asked = self.decoder.retry().map(Duration::from_millis)?;
        Some(asked.clamp(*PAUSES.start(), *PAUSES.end()))
    }
}

/// The message in an event, as one line; nothing if it holds none.
pub(super) fn message(event: Event) -> Option<Line> {
    let is_message = event.name.is_empty() || event.name == "message";
    if !is_message || event.data.trim_ascii().is_empty() {
        return None;
    }
    Some(match event.too_long {
        None => Line::Whole(event.data.into()),
        // Its end is not known, which tells nothing of the id either.
        Some(length) => Line::TooLong(Skipped { head: event.data.into(), tail: b" ".to_vec(), length }),
    })
}
