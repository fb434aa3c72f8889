//! One request of a client, from when it is passed on until it is answered.

use super::{Meter, Method, Outcome, RequestId, Trace};
use crate::access::Caller;
use crate::wire::{Era, Message, Revision};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A request in flight. Dropped, it has ended with nobody there to hear the answer.
#[derive(Debug)]
pub struct Call {
    meter: Meter,
    begun: Instant,
    method: Method,
    names: Option<Box<Names>>,
    eras: Option<Eras>,
    received: usize,
    has_ended: bool,
}

/// Who called what.
#[derive(Clone, Debug)]
pub struct Names {
    /// Who, as the log calls him.
    pub caller: SmolStr,
    /// Which tool.
    pub tool: Option<SmolStr>,
    /// The beginning of the session's id: the whole would be a credential.
    pub session: Option<SmolStr>,
    /// With what, as it may be shown, where somebody wants to know.
    pub arguments: Option<Box<str>>,
    /// The revision that its client speaks.
    pub revision: Option<Revision>,
    /// The name of the request of HTTP by which it came, or one of its own.
    pub request: RequestId,
    /// Its trace, where there are any.
    pub trace: Option<Trace>,
}

/// Which era its client speaks, and which its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eras {
    /// Its client.
    pub client: Era,
    /// Its server.
    pub server: Era,
}

/// A request that has ended, as those see it who hear of it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The name of the mount.
    pub server: &'a Arc<str>,
    /// One of the methods that there are, or `other`.
    pub method: &'static str,
    /// Who called what, where somebody wants to know.
    pub names: Option<&'a Names>,
    /// Which eras it has crossed; nothing if it never came to a session.
    pub eras: Option<Eras>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended, by the clock on the wall.
    pub ended: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Bytes of the request.
    pub received: usize,
    /// Bytes of its answer.
    pub sent: usize,
}

/// Characters of a tool's name that are told.
const LONGEST_TOOL: usize = 256;

impl Ended<'_> {
    /// Its trace, where there are any.
    pub fn trace(&self) -> Option<&Trace> {
        self.names?.trace.as_ref()
    }
}

impl Names {
    pub(super) fn of(
        caller: &Caller,
        tool: Option<SmolStr>,
        arguments: Option<Box<str>>,
        trace: Option<Trace>,
    ) -> Self {
        let request = RequestId::current().unwrap_or_else(RequestId::fresh);
        // A client may write a name of megabytes, and thousands of calls may wait to be told of.
        let tool = tool.map(|tool| match tool.char_indices().nth(LONGEST_TOOL) {
            Some((end, _)) => tool[..end].into(),
            None => tool,
        });
        Self { caller: caller.shared_name(), tool, session: None, arguments, revision: None, request, trace }
    }
}

impl Call {
    pub(super) fn begin(
        meter: Meter,
        method: Method,
        names: Option<Box<Names>>,
        received: usize,
        begun: Instant,
    ) -> Self {
        Self { meter, begun, method, names, eras: None, received, has_ended: false }
    }

    /// The request as its server gets it, where it is told of the trace.
    pub fn traced(&self, request: &Message) -> Option<Message> {
        self.names.as_ref()?.trace.as_ref()?.told_with(request)
    }

    /// A session has taken it, and passes it on now. `revision`: what its client speaks, which is asked only if somebody wants to know.
    pub fn taken(
        &mut self,
        session: &str,
        eras: Eras,
        now: Instant,
        revision: impl FnOnce() -> Option<Revision>,
    ) {
        self.eras = Some(eras);
        self.meter.measured().waited_for_turn.add(now.saturating_duration_since(self.begun));
        if let Some(names) = &mut self.names {
            names.revision = revision();
        }
        self.is_of_session(session);
    }

    /// In which session it was asked, also where that does not pass it on.
    pub fn is_of_session(&mut self, session: &str) {
        if let Some(names) = &mut self.names {
            names.session = Some(session.into());
        }
    }

    /// Whether it is the call of a tool.
    pub fn is_of_tool(&self) -> bool {
        self.method.is_call()
    }

    /// It is answered with so many bytes.
    pub fn end(mut self, outcome: Outcome, sent: usize) {
        self.tell(outcome, sent);
    }

    fn tell(&mut self, outcome: Outcome, sent: usize) {
        self.has_ended = true;
        let took = self.begun.elapsed();
        let measured = self.meter.measured();
        measured.ended.add(self.method, outcome);
        if self.method.is_to_be_quick() {
            measured.took.add(took);
        }
        measured.received.add(self.received);
        measured.sent.add(sent);
        match self.eras {
            Some(Eras { client: Era::Legacy, server: Era::Modern }) => measured.legacy_to_modern.add_one(),
            Some(Eras { client: Era::Modern, server: Era::Legacy }) => measured.modern_to_legacy.add_one(),
            Some(_) | None => {}
        }
        let sinks = &self.meter.0.observer.sinks;
        if sinks.is_empty() {
            return;
        }
        let ended = Ended {
            server: self.meter.server(),
            method: self.method.as_str(),
            names: self.names.as_deref(),
            eras: self.eras,
            outcome,
            ended: SystemTime::now(),
            took,
            received: self.received,
            sent,
        };
        sinks.iter().for_each(|sink| sink.ended(&ended));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.has_ended {
            self.tell(Outcome::Abandoned, 0);
        }
    }
}

impl Eras {
    /// In one word, as `legacy_to_modern`: from the client to the server.
    pub const fn as_str(self) -> &'static str {
        match (self.client, self.server) {
            (Era::Legacy, Era::Legacy) => "legacy_to_legacy",
            (Era::Legacy, Era::Modern) => "legacy_to_modern",
            (Era::Modern, Era::Legacy) => "modern_to_legacy",
            (Era::Modern, Era::Modern) => "modern_to_modern",
        }
    }
}
