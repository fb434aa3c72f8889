//! An event stream towards a client: what is still to be sent, and what is kept to be sent again.
//!
//! 2025-11-25, basic/transports, "Resumability and Redelivery": "the server MAY use this header to replay messages that
//! would have been sent after the last event ID, *on the stream that was disconnected*".

use crate::protocol::Class;
use crate::wire::sse::{self, Encoder};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A reader that is this far behind is too slow: it loses what may be lost, and is ended for what may not.
const UNSENT_MESSAGES: usize = 8192;
const UNSENT_BYTES: usize = 16 << 20;

/// What is kept of that which was sent.
const KEPT_MESSAGES: usize = 256;
const KEPT_BYTES: usize = 1 << 20;

/// Small events are collected up to this many bytes before they are handed on.
const CHUNK: usize = 32 << 10;

/// One stream of messages to a client: the response of a POST, a standalone GET, or the stream of HTTP+SSE.
#[derive(Debug)]
pub struct EventStream {
    number: u32,
    resumable: bool,
    ring: Mutex<Ring>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Pushed {
    /// It will be sent.
    Queued,
    /// The reader is too slow; the message could be lost, and was.
    Dropped,
    /// The reader is too slow, and was ended; the message was not taken.
    Overflowed,
}

/// In which form a POST may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON body, so that nothing can precede the response.
    Json,
    /// An event stream, whatever comes first.
    Events,
    /// An event stream if anything precedes the response, else one JSON body.
    Either,
}

/// What a POST is answered with.
#[derive(Debug)]
pub enum First {
    /// The responses, before anything else was said.
    Answers(Vec<Bytes>),
    /// Something precedes the responses.
    Events,
}

/// The one who sends a stream's events over a connection. Dropping it leaves the stream to be resumed.
#[derive(Debug)]
pub struct StreamReader {
    stream: Arc<EventStream>,
    generation: u64,
    primed: bool,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts, not the states of one thing")]
struct Ring {
    /// Kept and unsent messages; the first has the number `first`.
    events: VecDeque<Bytes>,
    first: u64,
    /// The number of the next message to send.
    next: u64,
    kept_bytes: usize,
    unsent_bytes: usize,
    answers_due: usize,
    only_answers: bool,
    /// It is sent as events, so its client may resume it.
    begun: bool,
    ended: bool,
    /// Its reader is waited for.
    patient: bool,
    generation: u64,
    attached: bool,
    waker: Option<Waker>,
}

impl EventStream {
    /// The one stream of an HTTP+SSE client. It carries no ids, and cannot be resumed.
    pub fn standalone() -> Arc<Self> {
        Self::new(0, false, 0)
    }

    /// The one stream of a client that is not ended for being slow: it would not know. What is no answer and no question may
    /// be lost instead; whoever takes its requests takes no more of them while [`unsent`](Self::unsent) is much.
    pub fn patient() -> Arc<Self> {
        let stream = Self::new(0, false, 0);
        stream.lock().patient = true;
        stream
    }

    /// Whether it is such a stream.
    pub(super) fn is_patient(&self) -> bool {
        self.lock().patient
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.lock().unsent_bytes
    }

    /// Becomes its reader.
    pub fn read(self: &Arc<Self>) -> StreamReader {
        self.attach(None)
    }

    /// Queues a message of the router's own.
    pub fn tell(&self, message: Bytes) {
        let _ = self.push_answer(message);
    }

    /// The stream with this number in its session; `answers` responses end it, if there are any to come.
    pub(super) fn new(number: u32, resumable: bool, answers: usize) -> Arc<Self> {
        let ring = Ring {
            events: VecDeque::new(),
            first: 1,
            next: 1,
            kept_bytes: 0,
            unsent_bytes: 0,
            answers_due: answers,
            only_answers: true,
            begun: false,
            ended: false,
            patient: false,
            generation: 0,
            attached: false,
            waker: None,
        };
        Arc::new(Self { number, resumable, ring: Mutex::new(ring) })
    }

    /// Queues a message other than a response.
    pub(super) fn push(&self, message: Bytes, class: Class) -> Pushed {
        let mut ring = self.lock();
        if ring.is_full(message.len()) {
            if class == Class::Passing || (ring.patient && class == Class::Notice) {
                return Pushed::Dropped;
            }
            if !ring.patient {
                ring.end_reader();
                return Pushed::Overflowed;
            }
        }
        ring.only_answers = false;
        ring.queue(message);
        Pushed::Queued
    }

    /// Queues a response; the last one that was due ends the stream. A response is never refused.
    pub(super) fn answer(&self, message: Bytes) {
        let mut ring = self.lock();
        ring.answers_due = ring.answers_due.saturating_sub(1);
        ring.ended |= ring.answers_due == 0;
        ring.queue(message);
    }

    /// A response less is due, because nobody wants it any more.
    pub(super) fn forget_answer(&self) {
        let mut ring = self.lock();
        ring.answers_due = ring.answers_due.saturating_sub(1);
        ring.ended |= ring.answers_due == 0;
        ring.wake();
    }

    /// Queues a message of a stream that outlives its responses.
    pub(super) fn push_answer(&self, message: Bytes) -> Pushed {
        let mut ring = self.lock();
        if ring.is_full(message.len()) && ring.unsent_bytes > 0 && !ring.patient {
            ring.end_reader();
            return Pushed::Overflowed;
        }
        ring.queue(message);
        Pushed::Queued
    }

    /// Ends the stream once what is queued has been sent.
    pub fn end(&self) {
        let mut ring = self.lock();
        ring.ended = true;
        ring.wake();
    }

    /// Becomes the one reader of the stream; another one is ended. With `after`, goes on behind that message.
    pub(super) fn attach(self: &Arc<Self>, after: Option<u64>) -> StreamReader {
        let mut ring = self.lock();
        ring.end_reader();
        ring.attached = true;
        if let Some(after) = after {
            let next = after.saturating_add(1).clamp(ring.first, ring.first + ring.events.len() as u64);
            ring.rewind(next);
        }
        let generation = ring.generation;
        drop(ring);
        StreamReader { stream: self.clone(), generation, primed: after.is_some() }
    }

    /// Its number in the session.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether a connection reads it now.
    pub(super) fn is_attached(&self) -> bool {
        self.lock().attached
    }

    /// Whether somebody reads it, or may come back to it.
    pub(super) fn is_reachable(&self) -> bool {
        let ring = self.lock();
        ring.attached || (ring.begun && self.resumable)
    }

    /// Whether it is sent as events, or will be, so that keeping it is of use.
    pub(super) fn can_be_resumed(&self) -> bool {
        // A response may be queued before the first event is on its way.
        let ring = self.lock();
        self.resumable && (ring.begun || !ring.only_answers)
    }

    /// It is sent as events from the first message on.
    pub(super) fn begin(&self) {
        self.lock().begun = true;
    }

    /// Bytes of all messages held.
    pub(super) fn held(&self) -> usize {
        let ring = self.lock();
        ring.kept_bytes + ring.unsent_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamReader {
    /// Ready as soon as it is decided how the POST is answered.
    pub fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<First> {
        let mut ring = self.stream.lock();
        if ring.only_answers && ring.ended {
            return Poll::Ready(First::Answers(ring.events.drain(..).collect()));
        }
        if !ring.only_answers || ring.generation != self.generation {
            return Poll::Ready(First::Events);
        }
        ring.park(cx);
        Poll::Pending
    }

    /// What it reads.
    pub fn stream(&self) -> Arc<EventStream> {
        self.stream.clone()
    }

    /// It is decided: whatever comes is sent as events.
    pub fn begin(&self) {
        self.stream.begin();
    }

    /// The next message, for a client that gets no events but lines; None at the end of the stream.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| {
            let mut ring = self.stream.lock();
            if ring.generation != self.generation {
                return Poll::Ready(None);
            }
            ring.begun = true;
            if let Some(message) = ring.take_next(self.stream.resumable) {
                return Poll::Ready(Some(message));
            }
            if ring.ended {
                return Poll::Ready(None);
            }
            ring.park(cx);
            Poll::Pending
        })
        .await
    }

    /// Appends the events that wait to `out`; None at the end of the stream. With `prime`, begins with the event that
    /// lets the client resume.
    pub fn poll_events(&mut self, cx: &mut Context<'_>, prime: bool, out: &mut Encoder) -> Poll<Option<()>> {
        let number = self.stream.number;
        let mut ring = self.stream.lock();
        if ring.generation != self.generation {
            return Poll::Ready(None);
        }
        ring.begun = true;
        if !std::mem::replace(&mut self.primed, true) && prime && self.stream.resumable {
            sse::encode_priming(out, &event_id(number, ring.next - 1));
        }
        while out.len() < CHUNK {
            let Some(message) = ring.take_next(self.stream.resumable) else { break };
            let id = self.stream.resumable.then(|| event_id(number, ring.next - 1));
            sse::encode(out, "message", id.as_deref(), &message);
        }
        if !out.is_empty() {
            return Poll::Ready(Some(()));
        }
        if ring.ended {
            return Poll::Ready(None);
        }
        ring.park(cx);
        Poll::Pending
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let mut ring = self.stream.lock();
        if ring.generation == self.generation {
            ring.attached = false;
            ring.waker = None;
        }
    }
}

impl Ring {
    fn is_full(&self, more: usize) -> bool {
        let unsent = self.first + self.events.len() as u64 - self.next;
        unsent >= UNSENT_MESSAGES as u64 || (self.unsent_bytes > 0 && self.unsent_bytes + more > UNSENT_BYTES)
    }

    fn queue(&mut self, message: Bytes) {
        self.unsent_bytes += message.len();
        self.events.push_back(message);
        self.wake();
    }

    fn take_next(&mut self, keep: bool) -> Option<Bytes> {
        let index = usize::try_from(self.next - self.first).ok()?;
        let message = self.events.get(index)?.clone();
        self.next += 1;
        self.unsent_bytes -= message.len();
        self.kept_bytes += message.len();
        // The last one is always kept: it may be the response, however large.
        let (messages, bytes, least) = if keep { (KEPT_MESSAGES, KEPT_BYTES, 1) } else { (0, 0, 0) };
        loop {
            let kept = usize::try_from(self.next - self.first).unwrap_or_default();
            if kept <= least || (kept <= messages && self.kept_bytes <= bytes) {
                return Some(message);
            }
            if let Some(old) = self.events.pop_front() {
                self.first += 1;
                self.kept_bytes -= old.len();
            }
        }
    }

    fn rewind(&mut self, next: u64) {
        let start = usize::try_from(next - self.first).unwrap_or_default();
        self.next = next;
        self.kept_bytes = self.events.iter().take(start).map(Bytes::len).sum();
        self.unsent_bytes = self.events.iter().skip(start).map(Bytes::len).sum();
    }

    fn end_reader(&mut self) {
        self.generation += 1;
        self.attached = false;
        self.wake();
    }

    fn park(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The id of a message of a stream; unique in its session.
fn event_id(stream: u32, message: u64) -> String {
    format!("{stream}-{message}")
}

/// The stream and the message that an event id names.
pub(super) fn parse_event_id(id: &str) -> Option<(u32, u64)> {
    let (stream, message) = id.split_once('-')?;
    let (stream, message) = (stream.parse().ok()?, message.parse().ok()?);
    // `+1-01` is no id of ours.
    (event_id(stream, message) == id).then_some((stream, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(reader: &mut StreamReader, prime: bool) -> Option<String> {
        let mut out = Encoder::default();
        match reader.poll_events(&mut Context::from_waker(Waker::noop()), prime, &mut out) {
            Poll::Pending => Some(String::new()),
            Poll::Ready(None) => None,
            Poll::Ready(Some(())) => Some(String::from_utf8(out.finish().concat()).unwrap()),
        }
    }

    fn numbers(text: &str) -> Vec<u64> {
        text.lines().filter_map(|line| line.strip_prefix("data: ")?.parse().ok()).collect()
    }

    fn push(stream: &EventStream, n: u64, class: Class) -> Pushed {
        stream.push(n.to_string().into(), class)
    }

    #[test]
    fn answers_alone_are_no_events_and_anything_before_them_makes_them_so() {
        let mut cx = Context::from_waker(Waker::noop());
        let stream = EventStream::new(1, true, 2);
        let mut reader = stream.attach(None);
        stream.answer("a".into());
        assert!(reader.poll_first(&mut cx).is_pending());
        stream.answer("b".into());
        assert!(matches!(reader.poll_first(&mut cx), Poll::Ready(First::Answers(all)) if all == ["a", "b"]));

        let stream = EventStream::new(2, true, 1);
        let mut reader = stream.attach(None);
        assert_eq!(push(&stream, 7, Class::Notice), Pushed::Queued);
        stream.answer("8".into());
        assert!(matches!(reader.poll_first(&mut cx), Poll::Ready(First::Events)));
        let text = read(&mut reader, true).unwrap();
        assert_eq!(
            text,
            "id: 2-0\ndata: \n\nevent: message\nid: 2-1\ndata: 7\n\nevent: message\nid: 2-2\ndata: 8\n\n"
        );
        assert_eq!(read(&mut reader, true), None);
    }

    #[test]
    fn a_new_reader_ends_the_old_one() {
        let stream = EventStream::new(1, true, 0);
        let mut old = stream.attach(None);
        let mut new = stream.attach(None);
        assert_eq!(read(&mut old, false), None);
        drop(old);
        assert!(stream.is_attached());
        assert_eq!(read(&mut new, false).as_deref(), Some(""));
    }

    #[test]
    fn a_slow_reader_loses_what_may_be_lost_and_is_ended_for_the_rest() {
        let stream = EventStream::new(1, true, 1);
        let mut reader = stream.attach(None);
        for n in 0..UNSENT_MESSAGES as u64 {
            assert_eq!(push(&stream, n, Class::Passing), Pushed::Queued);
        }
        assert_eq!(push(&stream, 0, Class::Passing), Pushed::Dropped);
        assert!(stream.is_attached());
        assert_eq!(push(&stream, 0, Class::Notice), Pushed::Overflowed);
        assert_eq!(read(&mut reader, false), None);
        stream.answer("77".into());
        let mut late = stream.attach(Some(0));
        let mut all = Vec::new();
        while let Some(text) = read(&mut late, false) {
            all.extend(numbers(&text));
        }
        assert_eq!(all.len(), UNSENT_MESSAGES + 1);
        assert_eq!(all.last(), Some(&77));
    }

    #[test]
    fn only_ids_that_were_given_out_are_read() {
        assert_eq!(parse_event_id("3-17"), Some((3, 17)));
        for odd in ["", "3", "-", "+3-1", "3-01", "3-1-1", "x-1", " 3-1", "99999999999-1"] {
            assert_eq!(parse_event_id(odd), None, "{odd}");
        }
    }

    proptest! {
        /// However often a client loses its connection, it gets every message once and in order.
        #[test]
        fn resuming_loses_nothing_and_repeats_nothing(steps in proptest::collection::vec(0u8..4, 1..200)) {
            let stream = EventStream::new(1, true, 0);
            let mut reader = Some(stream.attach(None));
            let (mut sent, mut seen) = (0, Vec::new());
            for step in steps {
                match step {
                    0 | 1 => {
                        sent += 1;
                        prop_assert_eq!(push(&stream, sent, Class::Notice), Pushed::Queued);
                    }
                    2 => if let Some(reader) = &mut reader {
                        seen.extend(numbers(&read(reader, false).unwrap()));
                    },
                    // The connection breaks, perhaps with events that the client never got.
                    _ => {
                        let mut broken = reader.take().unwrap();
                        read(&mut broken, false);
                        drop(broken);
                        reader = Some(stream.attach(Some(seen.last().copied().unwrap_or(0))));
                    }
                }
            }
            seen.extend(numbers(&read(&mut reader.unwrap(), false).unwrap_or_default()));
            prop_assert_eq!(seen, (1..=sent).collect::<Vec<_>>());
        }
    }
}
