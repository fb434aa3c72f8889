//! Spans that wait to be sent, as they will stand in the body of a POST.

use super::Destination;
use super::protobuf::{Writer, varint};
use super::span::Attributes;
use bytes::{Bytes, BytesMut};
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
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each as a field of `ScopeSpans`.
    spans: Vec<u8>,
    count: usize,
}

/// The spans that wait. Whoever has it may write to it: it does not wait for anything.
#[derive(Debug, Default)]
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
    /// Memory for the next batch.
    spare: Vec<u8>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.count >= SPANS || self.spans.len() >= BYTES
    }
}

impl Waiting {
    /// One more span. True if somebody should look at them: there are some now where there were none, or enough for a POST.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> bool {
        let is_first = self.is_empty();
        Writer::new(&mut self.open.spans).message(2, write);
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
            self.lose(&oldest);
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
        let next = Batch { spans: std::mem::take(&mut self.spare), count: 0 };
        std::mem::replace(&mut self.open, next)
    }

    /// These are sent: their memory is used again.
    pub(super) fn reuse(&mut self, batch: Batch) {
        self.spare = batch.spans;
        self.spare.clear();
    }

    /// These will never be sent.
    pub(super) fn lose(&mut self, batch: &Batch) {
        self.lost += batch.count as u64;
    }

    /// How many were lost since this was asked before.
    pub(super) fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

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

    /// The body of a POST with these spans: `ExportTraceServiceRequest`. `memory`: where it is written, which is used again once
    /// that has been sent.
    pub(super) fn around(&self, batch: &Batch, memory: &mut BytesMut) -> Bytes {
        const RESOURCE_SPANS: u8 = 1 << 3 | 2;
        const SCOPE_SPANS: u8 = 2 << 3 | 2;
        let mut scoped = vec![SCOPE_SPANS];
        varint(&mut scoped, (self.scope.len() + batch.spans.len()) as u64);
        let whole = self.resource.len() + scoped.len() + self.scope.len() + batch.spans.len();
        let mut head = vec![RESOURCE_SPANS];
        varint(&mut head, whole as u64);
        memory.reserve(head.len() + whole);
        for part in [&head, &self.resource, &scoped, &self.scope, &batch.spans] {
            memory.extend_from_slice(part);
        }
        memory.split().freeze()
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

    fn sent(batch: &Batch) -> ExportTraceServiceRequest {
        let resource =
            [("service.name", "in vain"), ("team", "ours")].map(|(key, value)| (key.into(), value.into()));
        let destination = Destination {
            endpoint: String::new(),
            headers: Vec::new(),
            service: "s".into(),
            resource: resource.into(),
        };
        ExportTraceServiceRequest::decode(Envelope::new(&destination).around(batch, &mut BytesMut::new()))
            .unwrap()
    }

    fn names(batch: &Batch) -> Vec<String> {
        let mut sent = sent(batch);
        sent.resource_spans.remove(0).scope_spans.remove(0).spans.into_iter().map(|span| span.name).collect()
    }

    #[test]
    fn spans_stand_in_an_envelope_that_says_whose_they_are() {
        let mut waiting = Waiting::default();
        assert!(named(&mut waiting, "a"), "somebody has to know of the first one");
        assert!(!named(&mut waiting, "b"));
        let batch = waiting.take().unwrap();
        assert_eq!(names(&batch), ["a", "b"]);
        let sent = sent(&batch);
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
    }

    #[test]
    fn what_does_not_fit_costs_the_oldest_which_are_counted() {
        let mut waiting = Waiting::default();
        for number in 0..WAITING + SPANS + 3 {
            let is_full = (number + 1) % SPANS == 0;
            assert_eq!(named(&mut waiting, &number.to_string()), is_full || number == 0, "{number}");
        }
        assert_eq!(waiting.lost(), SPANS as u64);
        assert_eq!(waiting.lost(), 0, "each is told once");
        let all: Vec<_> = std::iter::from_fn(|| waiting.take()).flat_map(|batch| names(&batch)).collect();
        assert_eq!(all.len(), WAITING + 3);
        assert_eq!((all[0].as_str(), all.last().unwrap().as_str()), ("512", "8706"));
        assert_eq!(waiting.bytes, 0);

        // Large ones are sent earlier, and fewer of them wait.
        let large = "x".repeat(100 << 10);
        for _ in 0..200 {
            named(&mut waiting, &large);
        }
        assert!(waiting.bytes <= WAITING_BYTES && waiting.lost() > 0);
        assert!(names(&waiting.take().unwrap()).len() < 12);
    }
}
