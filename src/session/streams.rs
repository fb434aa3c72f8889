//! The streams of one client, and which of them a message goes to.

use super::stream::{EventStream, First, Form, Pushed, StreamReader, parse_event_id};
use crate::protocol::{Addressee, Class, ExchangeKey};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A message that finds no stream waits this long, and no more than so many of them.
const WAITING_TIME: Duration = Duration::from_mins(1);
const WAITING_MESSAGES: usize = 64;
const WAITING_BYTES: usize = 4 << 20;

/// Streams that have ended are kept for resuming this long, and no more than so many.
const FINISHED_TIME: Duration = Duration::from_mins(1);
const FINISHED_STREAMS: usize = 16;
const FINISHED_BYTES: usize = 16 << 20;

/// How a client receives.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Streamable HTTP with a session: streams come and go, and can be resumed.
    Streamable,
    /// HTTP+SSE of 2024-11-05: one stream for everything, which lives as long as the session.
    Sse(Arc<EventStream>),
    /// Streamable HTTP without a session: nothing but the response to this one POST.
    Once,
}

/// The streams of one client.
#[derive(Debug)]
pub(super) struct Streams {
    transport: Transport,
    /// Requests in flight, the oldest first.
    exchanges: BTreeMap<ExchangeKey, Exchange>,
    /// Standalone streams, the newest last.
    standalone: Vec<Arc<EventStream>>,
    finished: VecDeque<(Instant, Arc<EventStream>)>,
    waiting: VecDeque<Waiting>,
    last_number: u32,
}

#[derive(Debug)]
struct Exchange {
    stream: Arc<EventStream>,
    /// The client accepts an event stream as the response.
    events: bool,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    to: Addressee,
    message: Bytes,
    class: Class,
}

/// What became of a message to a client.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Delivered {
    /// It is on its way, or waits for a stream.
    Taken,
    /// It was dropped.
    Dropped,
    /// It is a question of the server that nobody can be asked.
    Undeliverable(Bytes),
    /// The one stream of the client could not take it: the session must end.
    Broken,
}

impl Streams {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            exchanges: BTreeMap::new(),
            standalone: Vec::new(),
            finished: VecDeque::new(),
            waiting: VecDeque::new(),
            last_number: 0,
        }
    }

    /// Opens the response of a POST with `answers` requests.
    pub(super) fn open_response(&mut self, answers: usize, form: Form) -> (Arc<EventStream>, StreamReader) {
        self.last_number += 1;
        let resumable = matches!(self.transport, Transport::Streamable);
        let stream = EventStream::new(self.last_number, resumable, answers);
        if form == Form::Events {
            stream.begin();
        }
        let reader = stream.attach(None);
        (stream, reader)
    }

    /// Adds a request in flight whose response goes to `stream`.
    pub(super) fn add_exchange(&mut self, key: ExchangeKey, stream: &Arc<EventStream>, form: Form) {
        if !matches!(self.transport, Transport::Sse(_)) {
            self.exchanges.insert(key, Exchange { stream: stream.clone(), events: form != Form::Json });
            self.flush();
        }
    }

    /// Opens a standalone stream.
    pub(super) fn open_standalone(&mut self) -> StreamReader {
        self.last_number += 1;
        let stream = EventStream::new(self.last_number, true, 0);
        let reader = stream.attach(None);
        // What nobody reads any more can still be resumed, a few of them.
        while self.standalone.len() >= FINISHED_STREAMS {
            let oldest = self.standalone.iter().position(|stream| !stream.is_attached()).unwrap_or_default();
            self.standalone.remove(oldest).end();
        }
        self.standalone.push(stream);
        self.flush();
        reader
    }

    /// Goes on with the stream of an event id behind that event; None if there is no such stream.
    pub(super) fn resume(&mut self, event_id: &str) -> Option<StreamReader> {
        let (number, after) = parse_event_id(event_id)?;
        if let Some(at) = self.standalone.iter().position(|stream| stream.number() == number) {
            let stream = self.standalone.remove(at);
            let reader = stream.attach(Some(after));
            self.standalone.push(stream);
            self.flush();
            return Some(reader);
        }
        let in_flight = self.exchanges.values().map(|exchange| &exchange.stream);
        let finished = self.finished.iter().map(|(_, stream)| stream);
        let stream =
            in_flight.chain(finished).find(|stream| stream.number() == number && stream.can_be_resumed())?;
        Some(stream.attach(Some(after)))
    }

    /// Delivers a message that is no response.
    pub(super) fn deliver(&mut self, to: Addressee, message: Bytes, class: Class, now: Instant) -> Delivered {
        if let Transport::Sse(stream) = &self.transport {
            return match stream.push(message, class) {
                Pushed::Queued => Delivered::Taken,
                Pushed::Dropped => Delivered::Dropped,
                Pushed::Overflowed => Delivered::Broken,
            };
        }
        if let Some(stream) = self.route(to) {
            match stream.push(message.clone(), class) {
                Pushed::Queued => return Delivered::Taken,
                Pushed::Dropped => return Delivered::Dropped,
                Pushed::Overflowed => {}
            }
        }
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.message.len()).sum();
        let full = self.waiting.len() >= WAITING_MESSAGES || bytes + message.len() > WAITING_BYTES;
        if full || matches!(self.transport, Transport::Once) {
            return undelivered(message, class);
        }
        self.waiting.push_back(Waiting { since: now, to, message, class });
        Delivered::Taken
    }

    /// Delivers the response to a request.
    pub(super) fn answer(&mut self, key: ExchangeKey, message: Bytes, now: Instant) -> Delivered {
        if let Transport::Sse(stream) = &self.transport {
            return match stream.push_answer(message) {
                Pushed::Queued | Pushed::Dropped => Delivered::Taken,
                Pushed::Overflowed => Delivered::Broken,
            };
        }
        let Some(exchange) = self.exchanges.remove(&key) else { return Delivered::Dropped };
        exchange.stream.answer(message);
        if exchange.stream.can_be_resumed() {
            self.finished.push_back((now, exchange.stream));
            self.trim_finished(now);
        }
        Delivered::Taken
    }

    /// Ends a request that gets no response.
    pub(super) fn forget(&mut self, key: ExchangeKey) {
        if let Some(exchange) = self.exchanges.remove(&key) {
            exchange.stream.forget_answer();
        }
    }

    /// Gives up what has waited or was kept for too long; questions among it must be answered.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Delivered> {
        if !self.finished.is_empty() {
            self.trim_finished(now);
        }
        let mut given_up = Vec::new();
        while self.waiting.front().is_some_and(|waiting| now >= waiting.since + WAITING_TIME) {
            if let Some(waiting) = self.waiting.pop_front() {
                given_up.push(undelivered(waiting.message, waiting.class));
            }
        }
        given_up
    }

    /// Ends every stream, once what is queued has been sent.
    pub(super) fn end(&mut self) {
        if let Transport::Sse(stream) = &self.transport {
            stream.end();
        }
        for exchange in std::mem::take(&mut self.exchanges).into_values() {
            exchange.stream.end();
        }
        for stream in std::mem::take(&mut self.standalone) {
            stream.end();
        }
        self.finished.clear();
        self.waiting.clear();
    }

    /// Ends the streams that would never end by themselves.
    pub(super) fn end_standalone(&mut self) {
        for stream in std::mem::take(&mut self.standalone) {
            stream.end();
        }
    }

    /// The server's process is gone: what it asked need not be answered any more.
    pub(super) fn forget_questions(&mut self) {
        self.waiting.retain(|waiting| waiting.class != Class::Question);
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether a stream is open on which the server can say something at any time.
    pub(super) fn is_open(&self) -> bool {
        match &self.transport {
            Transport::Sse(stream) => stream.is_attached(),
            Transport::Streamable | Transport::Once => {
                self.standalone.iter().any(|stream| stream.is_attached())
            }
        }
    }

    /// Says something of the router's own on the one stream of HTTP+SSE.
    pub(super) fn tell(&self, message: Bytes) {
        if let Transport::Sse(stream) = &self.transport {
            stream.tell(message);
        }
    }

    /// Whether it speaks HTTP+SSE.
    pub(super) fn is_sse(&self) -> bool {
        matches!(self.transport, Transport::Sse(_))
    }

    /// Whether it speaks HTTP+SSE over HTTP: a part of this program has such a stream, too, but is patient.
    pub(super) fn is_over_http(&self) -> bool {
        matches!(&self.transport, Transport::Sse(stream) if !stream.is_patient())
    }

    /// Whether its one request is all that there is of the client.
    pub(super) fn is_once(&self) -> bool {
        matches!(self.transport, Transport::Once)
    }

    fn route(&self, to: Addressee) -> Option<&Arc<EventStream>> {
        let newest = || self.standalone.iter().rev().find(|stream| stream.is_attached());
        match to {
            Addressee::Exchange(key) => match self.exchanges.get(&key) {
                Some(exchange) if exchange.events && exchange.stream.is_reachable() => Some(&exchange.stream),
                _ => newest(),
            },
            Addressee::Announcement => newest().or_else(|| self.route(Addressee::Anyone)),
            Addressee::Anyone => {
                let reachable = |exchange: &&Exchange| exchange.events && exchange.stream.is_reachable();
                let only = self.exchanges.values().next().filter(|_| self.exchanges.len() == 1);
                let oldest = || self.exchanges.values().find(reachable).map(|exchange| &exchange.stream);
                only.filter(reachable).map(|exchange| &exchange.stream).or_else(newest).or_else(oldest)
            }
        }
    }

    fn flush(&mut self) {
        for Waiting { since, to, message, class } in std::mem::take(&mut self.waiting) {
            let taken = self.route(to).map(|stream| stream.push(message.clone(), class));
            // What has waited too long is given up by the clock, which tells the server.
            if taken != Some(Pushed::Queued) {
                self.waiting.push_back(Waiting { since, to, message, class });
            }
        }
    }

    fn trim_finished(&mut self, now: Instant) {
        let mut held: usize = self.finished.iter().map(|(_, stream)| stream.held()).sum();
        while let Some((since, stream)) = self.finished.front() {
            let many =
                self.finished.len() > FINISHED_STREAMS || (held > FINISHED_BYTES && self.finished.len() > 1);
            if !many && now < *since + FINISHED_TIME {
                return;
            }
            held -= stream.held();
            self.finished.pop_front();
        }
    }
}

/// Whoever reads a stream must not wait for more, once nobody can say any more.
impl Drop for Streams {
    fn drop(&mut self) {
        self.end();
    }
}

fn undelivered(message: Bytes, class: Class) -> Delivered {
    match class {
        Class::Question => Delivered::Undeliverable(message),
        Class::Passing | Class::Notice => Delivered::Dropped,
    }
}

/// Waits until it is decided how a POST is answered.
pub async fn first(reader: &mut StreamReader) -> First {
    std::future::poll_fn(|cx| reader.poll_first(cx)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sse::Encoder;
    use std::task::{Context, Poll, Waker};

    fn text(reader: &mut StreamReader) -> String {
        let mut out = Encoder::default();
        match reader.poll_events(&mut Context::from_waker(Waker::noop()), false, &mut out) {
            Poll::Ready(Some(())) => String::from_utf8(out.finish().concat()).unwrap(),
            _ => String::new(),
        }
    }

    fn exchange(streams: &mut Streams, key: u64, form: Form) -> StreamReader {
        let (stream, reader) = streams.open_response(1, form);
        streams.add_exchange(ExchangeKey(key), &stream, form);
        reader
    }

    fn say(streams: &mut Streams, to: Addressee, class: Class) -> Delivered {
        streams.deliver(to, "said".into(), class, Instant::now())
    }

    #[test]
    fn what_names_no_request_goes_to_the_only_one_else_to_the_newest_stream_else_to_the_oldest_request() {
        let mut streams = Streams::new(Transport::Streamable);
        let mut first = exchange(&mut streams, 1, Form::Either);
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
        assert!(text(&mut first).contains("said"));
        let mut second = exchange(&mut streams, 2, Form::Either);
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
        assert!(text(&mut first).contains("said"));
        let mut old = streams.open_standalone();
        let mut new = streams.open_standalone();
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
        assert!(text(&mut new).contains("said"));
        drop(new);
        assert_eq!(say(&mut streams, Addressee::Announcement, Class::Notice), Delivered::Taken);
        assert!(text(&mut old).contains("said"));
        assert_eq!(say(&mut streams, Addressee::Exchange(ExchangeKey(2)), Class::Passing), Delivered::Taken);
        assert!(text(&mut second).contains("said"));
        assert_eq!(text(&mut first) + &text(&mut old), "");
    }

    #[test]
    fn a_client_that_takes_json_only_gets_what_precedes_the_answer_on_its_standalone_stream() {
        let mut streams = Streams::new(Transport::Streamable);
        let mut json = exchange(&mut streams, 1, Form::Json);
        let mut standalone = streams.open_standalone();
        assert_eq!(say(&mut streams, Addressee::Exchange(ExchangeKey(1)), Class::Passing), Delivered::Taken);
        assert!(text(&mut standalone).contains("said"));
        assert_eq!(streams.answer(ExchangeKey(1), "done".into(), Instant::now()), Delivered::Taken);
        let first = json.poll_first(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(first, Poll::Ready(First::Answers(all)) if all == ["done"]));
    }

    #[test]
    fn what_finds_no_stream_waits_and_is_given_up_in_time() {
        let mut streams = Streams::new(Transport::Streamable);
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Question), Delivered::Taken);
        let mut standalone = streams.open_standalone();
        assert!(text(&mut standalone).contains("said"));
        drop(standalone);
        for _ in 0..WAITING_MESSAGES {
            assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
        }
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Dropped);
        let question = say(&mut streams, Addressee::Anyone, Class::Question);
        assert_eq!(question, Delivered::Undeliverable("said".into()));
        assert!(streams.tick(Instant::now()).is_empty());
        assert_eq!(streams.tick(Instant::now() + WAITING_TIME).len(), WAITING_MESSAGES);
    }

    #[test]
    fn a_response_that_was_lost_on_its_way_is_there_for_the_one_who_resumes() {
        let mut streams = Streams::new(Transport::Streamable);
        let mut reader = exchange(&mut streams, 1, Form::Either);
        assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
        assert!(text(&mut reader).contains("id: 1-1"));
        drop(reader);
        assert_eq!(streams.answer(ExchangeKey(1), "done".into(), Instant::now()), Delivered::Taken);
        assert!(streams.resume("2-0").is_none());
        let mut again = streams.resume("1-1").unwrap();
        assert_eq!(text(&mut again), "event: message\nid: 1-2\ndata: done\n\n");
        assert!(streams.tick(Instant::now() + FINISHED_TIME).is_empty());
        assert!(streams.resume("1-1").is_none());
    }

    #[test]
    fn a_response_that_was_faster_than_the_first_event_can_be_resumed_too() {
        for (form, said, kept) in
            [(Form::Either, true, true), (Form::Events, false, true), (Form::Either, false, false)]
        {
            let mut streams = Streams::new(Transport::Streamable);
            let _reader = exchange(&mut streams, 1, form);
            if said {
                assert_eq!(say(&mut streams, Addressee::Anyone, Class::Notice), Delivered::Taken);
            }
            assert_eq!(streams.answer(ExchangeKey(1), "done".into(), Instant::now()), Delivered::Taken);
            assert_eq!(streams.resume("1-0").is_some(), kept, "{form:?} {said}");
        }
    }
}
