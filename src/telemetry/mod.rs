//! What is told of requests: who hears of each one that ends, and what a mount counts.
//!
//! A session begins a [`Call`] for each request of a client where somebody listens, and ends it with the answer: one place that
//! sees every transport, both eras, and what is behind the aggregate. Where nobody listens there is no [`Meter`], and no clock
//! is read.

pub mod access_log;
mod call;
mod method;
mod outcome;
mod request;
mod tally;
mod trace;
pub mod traces;

pub use call::{Call, Ended, Eras, Names};
pub use method::known;
pub use outcome::Outcome;
pub use request::{Request, RequestId};
pub use tally::{Counter, Latency, Tally};
pub use trace::{Carried, Share, Trace};

use crate::access::Caller;
use crate::wire::Message;
use std::sync::Arc;
use std::time::Instant;

/// Hears of requests. It is called under a session's lock: it must be quick, and neither block nor call back.
pub trait Sink: Send + Sync + std::fmt::Debug + 'static {
    /// Whether it wants to know who called what; to look that up costs a little.
    fn wants_names(&self) -> bool;

    /// A request has ended.
    fn ended(&self, call: &Ended<'_>);
}

/// All who hear of requests, the same for every mount of a router.
#[derive(Clone, Debug)]
pub struct Observer {
    sinks: Arc<[Arc<dyn Sink>]>,
    wants_names: bool,
    /// Which share of the traces that begin here is kept; nothing: there are no traces.
    share: Option<Share>,
}

/// What begins the calls of one mount.
#[derive(Clone, Debug)]
pub struct Meter {
    server: Arc<str>,
    tally: Arc<Tally>,
    observer: Observer,
}

impl Observer {
    /// These hear of every request. Without any, the calls are only counted and timed.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        let wants_names = sinks.iter().any(|sink| sink.wants_names());
        Self { sinks: sinks.into(), wants_names, share: None }
    }

    /// The same; each request has a trace, of which this share is kept where it begins here.
    #[must_use]
    pub fn tracing(self, share: Option<Share>) -> Self {
        Self { share, ..self }
    }
}

impl Meter {
    /// For the mount of this name, which counts here.
    pub fn new(server: Arc<str>, tally: Arc<Tally>, observer: Observer) -> Self {
        Self { server, tally, observer }
    }

    /// A request of a caller begins. `tool`: what it calls, which is asked only if somebody wants to know.
    pub fn begin(&self, request: &Message, tool: impl FnOnce() -> Option<Box<str>>, caller: &Caller) -> Call {
        let names = self.observer.wants_names.then(|| Box::new(Names::of(caller, tool())));
        let (method, received) = (known(request.method()), request.raw().len());
        Call::begin(self.clone(), method, names, received, Instant::now())
            .in_trace(self.trace(request.body()))
    }

    /// A request that began then has ended before a session took it.
    pub fn unserved(&self, method: &str, caller: &Caller, begun: Instant, outcome: Outcome) {
        let names = self.observer.wants_names.then(|| Box::new(Names::of(caller, None)));
        let call = Call::begin(self.clone(), known(method), names, 0, begun);
        call.in_trace(self.trace("")).end(outcome, 0);
    }

    /// The trace of a request with these params.
    fn trace(&self, params: &str) -> Option<Box<Trace>> {
        let share = self.observer.share?;
        Some(Box::new(Trace::of(params, Request::carried().as_deref(), share)))
    }
}
