//! Spans that wait to be sent, as they will stand in the body of a POST.

use super::Destination;
use super::protobuf::{Writer, field_length};
use super::span::Attributes;
use bytes::Bytes;
use std::collections::VecDeque;

/// Spans of one POST.
const SPANS: usize = 512;

/// Spans that wait: when more come, the oldest are dropped.
const WAITING: usize = 16 * SPANS;

/// Bytes of them.
const WAITING_BYTES: usize = 8 << 20;

/// Bytes of one POST: collectors take four times as many.
const BYTES: usize = 1 << 20;

/// Some spans.
#[derive(Debug)]
pub(super) struct Batch {
    /// Room for what stands before them in a POST, and then each as a field of `ScopeSpans`.
    spans: Vec<u8>,
    count: usize,
}

/// The body of a POST, with its spans.
#[derive(Debug)]
pub(super) struct Body {
    /// The room, which it does not fill, and all that is sent.
    memory: Bytes,
    begin: usize,
    count: usize,
}

/// The spans that wait. Whoever has it may write to it: it does not wait for anything.
#[derive(Debug)]
pub(super) struct Waiting {
    /// These are full, the oldest first.
    full: VecDeque<Batch>,
    /// This one is not, and may be empty.
    open: Batch,
    /// Bytes of the full ones.
    bytes: usize,
    /// Spans that were never sent.
    lost: u64,
    /// No more come.
    is_last: bool,
    /// Bytes before the spans of a batch.
    room: usize,
    /// Memory for the next batch.
    spare: Vec<u8>,
}

impl Batch {
    /// An empty one.
    fn new(mut memory: Vec<u8>, room: usize) -> Self {
        memory.clear();
        memory.resize(room, 0);
        Self { spans: memory, count: 0 }
    }

    fn is_full(&self) -> bool {
        self.count >= SPANS || self.spans.len() >= BYTES
    }
}

impl Body {
    /// What is sent.
    pub(super) fn bytes(&self) -> Bytes {
        self.memory.slice(self.begin..)
    }
}

impl Waiting {
    /// None yet. `room`: bytes that may stand before the spans of a POST.
    pub(super) fn new(room: usize) -> Self {
        let open = Batch::new(Vec::new(), room);
        Self { full: VecDeque::new(), open, bytes: 0, lost: 0, is_last: false, room, spare: Vec::new() }
    }

    /// One more span. True if somebody should look at them: there are some now where there were none, or enough for a POST.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> bool {
        let is_first = self.is_empty();
        Writer::new(&mut self.open.spans).long_message(2, write);
        self.open.count += 1;
        if !self.open.is_full() {
            return is_first;
        }
        self.bytes += self.open.spans.len();
        let full = self.close();
        self.full.push_back(full);
        while self.full.len() * SPANS > WAITING || self.bytes > WAITING_BYTES {
            let Some(oldest) = self.full.pop_front() else { break };
            self.bytes -= oldest.spans.len();
            self.lost += oldest.count as u64;
        }
        true
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.count == 0 && self.full.is_empty()
    }

    /// No more come: those that are here are the last ones.
    pub(super) fn end(&mut self) {
        self.is_last = true;
    }

    /// Whether no more come.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether there are enough for a POST.
    pub(super) fn is_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// The oldest, if there are any.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if let Some(oldest) = self.full.pop_front() {
            self.bytes -= oldest.spans.len();
            return Some(oldest);
        }
        (self.open.count > 0).then(|| self.close())
    }

    /// The open one; another is begun in its place.
    fn close(&mut self) -> Batch {
        let next = Batch::new(std::mem::take(&mut self.spare), self.room);
        std::mem::replace(&mut self.open, next)
    }

    /// These are sent: their memory is used again.
    pub(super) fn reuse(&mut self, body: Body) {
        if body.memory.is_unique() {
            self.spare = body.memory.into();
        }
    }

    /// These will never be sent.
    pub(super) fn lose(&mut self, body: &Body) {
        self.lost += body.count as u64;
    }

    /// How many were lost since this was asked before.
    pub(super) fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// Bytes of a message's beginning: its field, and its length.
const LONGEST_HEAD: usize = 11;

/// What stands around spans in a POST: who has made them.
#[derive(Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    pub(super) fn new(destination: &Destination) -> Self {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        const NAME: &str = "mcp-switchboard";
        let own = [
            ("service.name", destination.service.as_str()),
            ("service.version", VERSION),
            ("telemetry.sdk.name", NAME),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", VERSION),
        ];
        let is_own = |key: &str| own.iter().any(|(own, _)| *own == key);
        let given = destination.resource.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let given = given.filter(|(key, _)| !is_own(key));
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        Writer::new(&mut resource).message(1, |resource| {
            let mut told = Attributes { message: resource, field: 1 };
            own.into_iter().chain(given).for_each(|(key, value)| told.text(key, value));
        });
        Writer::new(&mut scope).message(1, |scope| {
            scope.text(1, NAME);
            scope.text(2, VERSION);
        });
        Self { resource, scope }
    }

    /// Bytes of room before spans, within which it fits.
    pub(super) fn room(&self) -> usize {
        self.resource.len() + self.scope.len() + 2 * LONGEST_HEAD
    }

    /// The body of a POST with these spans, `ExportTraceServiceRequest`: it is written into the room before them.
    pub(super) fn around(&self, batch: Batch) -> Body {
        let Batch { mut spans, count } = batch;
        let room = self.room();
        let mut head = Vec::with_capacity(room);
        let mut writer = Writer::new(&mut head);
        let scoped = self.scope.len() + spans.len() - room;
        writer.head(1, self.resource.len() + field_length(scoped));
        head.extend_from_slice(&self.resource);
        Writer::new(&mut head).head(2, scoped);
        head.extend_from_slice(&self.scope);
        let begin = room - head.len();
        spans[begin..room].copy_from_slice(&head);
        Body { memory: spans.into(), begin, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    fn named(waiting: &mut Waiting, name: &str) -> bool {
        waiting.add(|span| span.text(5, name))
    }

    fn envelope() -> Envelope {
        let resource =
            [("service.name", "in vain"), ("team", "ours")].map(|(key, value)| (key.into(), value.into()));
        let destination = Destination {
            endpoint: String::new(),
            headers: Vec::new(),
            service: "s".into(),
            resource: resource.into(),
        };
        Envelope::new(&destination)
    }

    fn waiting() -> Waiting {
        Waiting::new(envelope().room())
    }

    fn sent(batch: Batch) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(envelope().around(batch).bytes()).unwrap()
    }

    fn names(sent: &mut ExportTraceServiceRequest) -> Vec<String> {
        sent.resource_spans.remove(0).scope_spans.remove(0).spans.into_iter().map(|span| span.name).collect()
    }

    #[test]
    fn spans_stand_in_an_envelope_that_says_whose_they_are() {
        let mut waiting = waiting();
        assert!(named(&mut waiting, "a"), "somebody has to know of the first one");
        assert!(!named(&mut waiting, "b"));
        let sent = sent(waiting.take().unwrap());
        assert_eq!(names(&mut sent.clone()), ["a", "b"]);
        let spans = &sent.resource_spans[0];
        let scope = spans.scope_spans[0].scope.as_ref().unwrap();
        assert_eq!(
            (scope.name.as_str(), scope.version.as_str()),
            ("mcp-switchboard", env!("CARGO_PKG_VERSION"))
        );
        let resource = format!("{:?}", spans.resource);
        for told in ["\"s\"", "\"ours\"", "service.version"] {
            assert!(resource.contains(told), "{resource}");
        }
        assert!(!resource.contains("in vain"), "a key stands once: {resource}");
        assert!(waiting.is_empty() && waiting.take().is_none());

        // Memory that has been sent is used again, and nothing of what stood there is.
        named(&mut waiting, "c");
        let body = envelope().around(waiting.take().unwrap());
        let memory = body.memory.as_ptr();
        waiting.reuse(body);
        named(&mut waiting, "d");
        let _ = waiting.take().unwrap();
        named(&mut waiting, "e");
        let batch = waiting.take().unwrap();
        assert_eq!(batch.spans.as_ptr(), memory);
        assert_eq!(names(&mut self::sent(batch)), ["e"]);
    }

    #[test]
    fn what_does_not_fit_costs_the_oldest_which_are_counted() {
        let mut waiting = waiting();
        for number in 0..WAITING + SPANS + 3 {
            let is_full = (number + 1) % SPANS == 0;
            assert_eq!(named(&mut waiting, &number.to_string()), is_full || number == 0, "{number}");
        }
        assert_eq!(waiting.lost(), SPANS as u64);
        assert_eq!(waiting.lost(), 0, "each is told once");
        let all: Vec<_> =
            std::iter::from_fn(|| waiting.take()).flat_map(|batch| names(&mut sent(batch))).collect();
        assert_eq!(all.len(), WAITING + 3);
        assert_eq!((all[0].as_str(), all.last().unwrap().as_str()), ("512", "8706"));
        assert_eq!(waiting.bytes, 0);

        // Large ones are sent earlier, and fewer of them wait.
        let large = "x".repeat(100 << 10);
        for _ in 0..200 {
            named(&mut waiting, &large);
        }
        assert!(waiting.bytes <= WAITING_BYTES && waiting.lost() > 0);
        assert!(names(&mut sent(waiting.take().unwrap())).len() < 12);
    }
}
