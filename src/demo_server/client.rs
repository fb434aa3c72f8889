//! The client at the other end: what it said about itself, and the one way to write to it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::call::Event;
use super::lock;
use super::message::{Fault, Id};
use crate::wire::revision::Revision;

/// The client, shared by all who write to it.
pub(super) struct Client {
    output: Mutex<Box<dyn Write + Send>>,
    gone: AtomicBool,
    told: Mutex<Told>,
    asked: Mutex<HashMap<u64, SyncSender<Event>>>,
    next: AtomicU64,
}

/// How much a log message matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// Something that only some clients can do for a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ability {
    Elicitation,
    Roots,
    Sampling,
}

/// What the client has told about itself.
struct Told {
    revision: Option<Revision>,
    capabilities: Value,
    level: Level,
}

/// Where the answers to one line go: out at once, or into the array that answers a batch.
#[derive(Clone)]
pub(super) enum Destination {
    Line(Arc<Client>),
    Batch(Arc<Batch>),
}

/// The answers of a batch; written as one array when the last request of the batch is done.
pub(super) struct Batch {
    client: Arc<Client>,
    answers: Mutex<Vec<Box<RawValue>>>,
}

impl Client {
    /// A client that has said nothing yet, and reads from `output`.
    pub(super) fn new(output: impl Write + Send + 'static) -> Self {
        let told = Told { revision: None, capabilities: Value::Null, level: Level::Info };
        Self {
            output: Mutex::new(Box::new(output)),
            gone: AtomicBool::new(false),
            told: Mutex::new(told),
            asked: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Whether writing has failed: nobody reads any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Takes what `initialize` said.
    pub(super) fn introduce(&self, revision: Revision, capabilities: Value) {
        let mut told = lock(&self.told);
        told.revision = Some(revision);
        told.capabilities = capabilities;
    }

    /// The revision that `initialize` agreed on, once it has.
    pub(super) fn agreed(&self) -> Option<Revision> {
        lock(&self.told).revision
    }

    /// The revision to follow: the newest one until another is agreed on.
    pub(super) fn revision(&self) -> Revision {
        self.agreed().unwrap_or(Revision::NEWEST_LEGACY)
    }

    /// The least level of log messages that the client wants.
    pub(super) fn level(&self) -> Level {
        lock(&self.told).level
    }

    pub(super) fn set_level(&self, level: Level) {
        lock(&self.told).level = level;
    }

    /// Whether the client declared this.
    pub(super) fn can(&self, ability: Ability) -> bool {
        let told = lock(&self.told);
        let declared = |name: &str| told.capabilities.get(name).filter(|value| value.is_object());
        match ability {
            // 2025-11-25, client/elicitation: "an empty capabilities object is equivalent to
            // declaring support for `form` mode only".
            Ability::Elicitation => declared("elicitation")
                .is_some_and(|modes| modes.get("form").is_some() || modes.get("url").is_none()),
            Ability::Roots => declared("roots").is_some(),
            Ability::Sampling => declared("sampling").is_some(),
        }
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &str, params: impl Serialize) {
        self.write(&Notification { jsonrpc: "2.0", method, params });
    }

    /// Sends a request; its answer goes to `mailbox` under the number that this returns.
    pub(super) fn ask(&self, method: &str, params: Value, mailbox: SyncSender<Event>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        // Before the request is out: the answer may be faster than this thread.
        lock(&self.asked).insert(id, mailbox);
        self.write(&Asking { jsonrpc: "2.0", id, method, params });
        id
    }

    /// Hands an answer of the client to whoever asked; one that nobody waits for is dropped.
    pub(super) fn settle(&self, id: &RawValue, outcome: Result<Value, String>) {
        let asked = id.get().parse().ok().and_then(|id: u64| lock(&self.asked).remove(&id));
        if let Some(mailbox) = asked {
            // A full or closed mailbox belongs to a call that has ended.
            let _ = mailbox.try_send(Event::Answered(outcome));
        }
    }

    /// Stops waiting for an answer, and tells the client so.
    pub(super) fn withdraw(&self, id: u64) {
        if lock(&self.asked).remove(&id).is_some() {
            let params = serde_json::json!({ "requestId": id, "reason": "the call was cancelled" });
            self.notify("notifications/cancelled", params);
        }
    }

    fn write(&self, message: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut output = lock(&self.output);
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

impl Destination {
    /// Sends the response to request `id`, or to something that had no readable id.
    pub(super) fn answer(&self, id: Option<&Id>, outcome: Result<Value, Fault>) {
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(fault) => (None, Some(fault)),
        };
        let response = Response { jsonrpc: "2.0", id: id.map(AsRef::as_ref), result, error };
        match self {
            Self::Line(client) => client.write(&response),
            Self::Batch(batch) => {
                let raw = serde_json::value::to_raw_value(&response);
                lock(&batch.answers).extend(raw);
            }
        }
    }
}

impl Batch {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self { client, answers: Mutex::default() }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        // JSON-RPC 2.0: "If there are no Response objects contained within the Response array as it is to be
        // sent to the client, the server MUST NOT return an empty Array".
        if !answers.is_empty() {
            self.client.write(&answers);
        }
    }
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

#[derive(Serialize)]
struct Notification<'a, P> {
    jsonrpc: &'static str,
    method: &'a str,
    params: P,
}

#[derive(Serialize)]
struct Asking<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: Value,
}
