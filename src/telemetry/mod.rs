//! What is told of requests: who hears of each one that ends, and what a mount counts.
//!
//! A session begins a [`Call`] for each request of a client where somebody listens, and ends it with the answer: one place that
//! sees every transport, both eras, and what is behind the aggregate. Where nobody listens there is no [`Meter`], and no clock
//! is read.

pub mod access_log;
mod call;
mod carried;
mod durations;
mod events;
mod history;
mod kinds;
mod method;
mod outcome;
mod request;
mod requests;
mod tally;
mod trace;
pub mod traces;
mod traffic;

pub use call::{Call, Ended, Eras, Names};
pub use carried::Carried;
pub use durations::Durations;
pub use events::{EventKind, Events};
pub use history::{Filter, History, HistoryOptions, Reader, Record, Summary, Unusable as HistoryUnusable};
pub use kinds::Kinds;
pub use method::Method;
pub use outcome::Outcome;
pub use request::{Request, RequestId};
pub use requests::Requests;
pub use tally::{Counter, Measured, Tally};
pub use trace::{Share, Trace};
pub use traffic::{Conceal, Said, Side, Traffic, Watching, arguments_shown};

use crate::access::Caller;
use crate::wire::Message;
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Instant;

/// Hears of requests. It is called under a session's lock: it must be quick, and neither block nor call back.
pub trait Sink: Send + Sync + std::fmt::Debug + 'static {
    /// Whether it wants to know who called what; to look that up costs a little.
    fn wants_names(&self) -> bool;

    /// Whether it wants to know with what a tool was called, too.
    fn wants_arguments(&self) -> bool {
        false
    }

    /// A request has ended.
    fn ended(&self, call: &Ended<'_>);
}

/// All who hear of requests, the same for every mount of a router.
#[derive(Clone, Debug)]
pub struct Observer {
    sinks: Arc<[Arc<dyn Sink>]>,
    wants_names: bool,
    wants_arguments: bool,
    /// Which share of the traces that begin here is kept; nothing: there are no traces.
    share: Option<Share>,
}

/// What begins the calls of one mount. Every call holds one: it is one pointer.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Gauge>);

/// What the calls of a mount have in common.
#[derive(Debug)]
struct Gauge {
    server: Arc<str>,
    tally: Arc<Tally>,
    observer: Observer,
}

impl Observer {
    /// These hear of every request. Without any, the calls are only counted and timed.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        let wants_names = sinks.iter().any(|sink| sink.wants_names());
        let wants_arguments = sinks.iter().any(|sink| sink.wants_arguments());
        Self { sinks: sinks.into(), wants_names, wants_arguments, share: None }
    }

    /// The same; each request has a trace, of which this share is kept where it begins here.
    #[must_use]
    pub fn tracing(self, share: Option<Share>) -> Self {
        // What is passed on to servers depends on it, too: whoever hears of the end has asked for names.
        Self { share, wants_names: self.wants_names || share.is_some(), ..self }
    }
}

impl Meter {
    /// For the mount of this name, which counts here.
    pub fn new(server: Arc<str>, tally: Arc<Tally>, observer: Observer) -> Self {
        Self(Arc::new(Gauge { server, tally, observer }))
    }

    /// What its mount is called here.
    pub fn server(&self) -> &Arc<str> {
        &self.0.server
    }

    /// What is measured of the mount's requests.
    pub fn measured(&self) -> &Measured {
        &self.0.tally.measured
    }

    /// A request of a caller begins. `tool`: what it calls, and `arguments`: with what, as it may be shown; both are asked
    /// only if somebody wants to know.
    pub fn begin(
        &self,
        request: &Message,
        tool: impl FnOnce() -> Option<SmolStr>,
        arguments: impl FnOnce() -> Option<Box<str>>,
        caller: &Caller,
    ) -> Call {
        let observer = &self.0.observer;
        let names = observer.wants_names.then(|| {
            let arguments = if observer.wants_arguments { arguments() } else { None };
            Box::new(Names::of(caller, tool(), arguments, self.trace(request.body())))
        });
        let (method, received) = (Method::of(request.method()), request.raw().len());
        Call::begin(self.clone(), method, names, received, Instant::now())
    }

    /// A request that began then has ended before a session took it. `tool`: what it calls.
    pub fn unserved(
        &self,
        request: &Message,
        tool: impl FnOnce() -> Option<SmolStr>,
        caller: &Caller,
        begun: Instant,
        outcome: Outcome,
    ) {
        let names = || Box::new(Names::of(caller, tool(), None, self.trace(request.body())));
        let names = self.0.observer.wants_names.then(names);
        let (method, received) = (Method::of(request.method()), request.raw().len());
        Call::begin(self.clone(), method, names, received, begun).end(outcome, 0);
    }

    /// The trace of a request with these params.
    fn trace(&self, params: &str) -> Option<Trace> {
        let share = self.0.observer.share?;
        Some(Trace::of(params, Request::carried().as_deref(), share))
    }
}
