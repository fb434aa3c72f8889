//! A tool call that takes its time: it can be cancelled, report progress, and ask the client something.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Demo;
use super::client::Destination;
use super::lock;
use super::message::{Fault, Id};
use super::tool::{Failure, ToolResult};

/// Calls that may run side by side.
const MOST_CALLS: usize = 256;

/// A call's mailbox holds at most one answer and one cancellation.
const MAILBOX: usize = 2;

/// The tools need little; the default of 2 MiB would be reserved for each of them.
const STACK: usize = 256 << 10;

/// A call on a thread of its own.
pub(super) struct Call {
    pub(super) demo: Arc<Demo>,
    id: Id,
    token: Option<Box<RawValue>>,
    mailbox: Receiver<Event>,
    sender: SyncSender<Event>,
}

/// What can happen to a call while it waits.
pub(super) enum Event {
    /// The client has answered what the call asked.
    Answered(Result<Value, String>),
    /// The client no longer wants the result.
    Cancelled,
}

/// The calls that are running, by the ids of their requests.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<String, SyncSender<Event>>>);

impl Calls {
    /// Ends the call that answers request `id`; does nothing if there is none.
    pub(super) fn cancel(&self, id: &RawValue) {
        if let Some(call) = lock(&self.0).get(id.get()) {
            // A full mailbox already holds a cancellation.
            let _ = call.try_send(Event::Cancelled);
        }
    }

    fn enter(&self, id: &RawValue, sender: SyncSender<Event>) -> Result<(), Fault> {
        let mut running = lock(&self.0);
        if running.len() >= MOST_CALLS {
            return Err(Fault::internal(format!(
                "{MOST_CALLS} calls are running; try again when one has ended"
            )));
        }
        if running.contains_key(id.get()) {
            return Err(Fault::invalid_request("a request with this id is still running"));
        }
        running.insert(id.get().to_owned(), sender);
        Ok(())
    }
}

impl Call {
    /// Starts a call that ends with the answer to request `id`, or silently if it is cancelled.
    pub(super) fn start(
        demo: &Arc<Demo>,
        id: &Id,
        token: Option<Box<RawValue>>,
        to: Destination,
        work: impl FnOnce(&Self) -> ToolResult + Send + 'static,
    ) {
        let (sender, mailbox) = sync_channel(MAILBOX);
        if let Err(fault) = demo.calls.enter(id, sender.clone()) {
            return to.answer(Some(id), Err(fault));
        }
        let call = Self { demo: Arc::clone(demo), id: id.clone(), token, mailbox, sender };
        let refused = to.clone();
        let run = move || call.run(&to, work);
        if thread::Builder::new().name("call".to_owned()).stack_size(STACK).spawn(run).is_err() {
            refused.answer(Some(id), Err(Fault::internal("no thread can be had for this call")));
        }
    }

    /// Waits; ends early if the call is cancelled.
    pub(super) fn pause(&self, length: Duration) -> Result<(), Failure> {
        match self.mailbox.recv_timeout(length) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(Failure::Cancelled),
        }
    }

    /// Says how far the call is, if the client wants to know.
    pub(super) fn report(&self, progress: u64, total: u64) {
        if let Some(token) = &self.token {
            let message = format!("{progress} of {total}");
            let params = Reached { progress_token: token, progress, total, message };
            self.demo.client.notify("notifications/progress", params);
        }
    }

    /// Asks the client, and waits until it has answered.
    pub(super) fn ask(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let asked = self.demo.client.ask(method, params, self.sender.clone());
        match self.mailbox.recv() {
            Ok(Event::Answered(Ok(result))) => Ok(result),
            Ok(Event::Answered(Err(why))) => {
                Err(Failure::tool(format!("the client refused {method}: {why}")))
            }
            Ok(Event::Cancelled) | Err(_) => {
                self.demo.client.withdraw(asked);
                Err(Failure::Cancelled)
            }
        }
    }

    fn run(self, to: &Destination, work: impl FnOnce(&Self) -> ToolResult) {
        let outcome = Failure::settle(work(&self), self.demo.client.revision());
        let id = self.id.clone();
        // Before the answer is out: the client may use the id again once it has read it.
        drop(self);
        // 2025-11-25, basic/utilities/cancellation: "Not send a response for the cancelled request".
        if let Some(outcome) = outcome {
            to.answer(Some(&id), outcome);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Also when no thread could be had, or a tool panicked.
        lock(&self.demo.calls.0).remove(self.id.get());
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reached<'a> {
    progress_token: &'a RawValue,
    progress: u64,
    total: u64,
    message: String,
}
