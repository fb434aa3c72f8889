//! A small MCP server over stdin and stdout, to try a client or a router with.
//!
//! It speaks the revisions from 2024-11-05 to 2025-11-25 and uses every part of them that a server can
//! use: see its tools ([`run`]). It needs no runtime: one thread reads, each call that takes its time has
//! a thread of its own, and one lock guards the output.

mod call;
mod client;
mod message;
mod prompt;
mod resource;
mod tool;

use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::call::Calls;
use self::client::{Batch, Client, Destination, Level};
use self::message::{Fault, Message, Params, Unreadable};
use self::resource::Resources;
use crate::wire::line::{Line, LineSplitter};
use crate::wire::revision::{Era, Revision};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 << 20;

/// Bytes taken from the input at a time: what a pipe holds.
const CHUNK: usize = 64 << 10;

const INSTRUCTIONS: &str = "A server to try things with. `echo` and `add` answer at once, `sleep` and `count` take \
their time, `ask`, `sample` and `roots` ask the client, `bump` changes the resource demo://counter, `toggle` changes \
the list of tools, `crash` ends the process.";

/// Serves on stdin and stdout until stdin ends.
///
/// The tools: `echo`, `add`, `bump`, `log`, `toggle`, `crash`, `sleep`, `count`, `ask`, `sample`, `roots`. Beside them
/// a resource that changes (`demo://counter`), a template (`demo://square/{number}`) and a prompt (`greet`).
///
/// Calls still running when stdin ends are left behind on their threads: the process is expected to end.
///
/// # Errors
/// Reading or writing failed for another reason than the end of the stream.
pub fn run() -> io::Result<()> {
    serve(io::stdin().lock(), io::stdout())
}

/// The server: what its methods share.
struct Demo {
    client: Arc<Client>,
    calls: Calls,
    resources: Resources,
    /// Whether the bonus tool is shown.
    bonus: AtomicBool,
}

fn serve(mut input: impl Read, output: impl Write + Send + 'static) -> io::Result<()> {
    let demo = Arc::new(Demo::new(output));
    let mut lines = LineSplitter::new(LONGEST_LINE);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        lines.feed(&chunk[..read], |line| demo.take(&line));
        if demo.client.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
    if let Some(line) = lines.finish() {
        demo.take(&line);
    }
    Ok(())
}

impl Demo {
    fn new(output: impl Write + Send + 'static) -> Self {
        Self {
            client: Arc::new(Client::new(output)),
            calls: Calls::default(),
            resources: Resources::default(),
            bonus: AtomicBool::new(false),
        }
    }

    /// Takes a line: a message, or in the revisions that have them a batch of messages.
    fn take(self: &Arc<Self>, line: &Line) {
        let to = Destination::Line(Arc::clone(&self.client));
        let text = match line {
            Line::Whole(bytes) => std::str::from_utf8(bytes).map_err(Fault::parse_error),
            Line::TooLong(_) => {
                Err(Fault::parse_error(format!("the line is longer than {LONGEST_LINE} bytes")))
            }
        };
        match text {
            Ok(text) if text.starts_with('[') => self.take_batch(text, &to),
            Ok(text) => self.take_one(text, &to),
            Err(fault) => to.answer(None, Err(fault)),
        }
    }

    fn take_batch(self: &Arc<Self>, text: &str, to: &Destination) {
        // 2025-06-18, changelog: "Remove support for JSON-RPC batching". It cannot be known before `initialize`.
        if self.client.agreed().is_some_and(|revision| revision >= Revision::V2025_06_18) {
            return to.answer(None, Err(Fault::invalid_request("this revision has no batches")));
        }
        let messages: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(messages) => messages,
            Err(error) => return to.answer(None, Err(Fault::parse_error(error))),
        };
        if messages.is_empty() {
            return to.answer(None, Err(Fault::invalid_request("an empty batch")));
        }
        let to = Destination::Batch(Arc::new(Batch::new(Arc::clone(&self.client))));
        for message in messages {
            self.take_one(message.get(), &to);
        }
    }

    fn take_one(self: &Arc<Self>, text: &str, to: &Destination) {
        match Message::parse(text) {
            Ok(Message::Request { id, method, params }) if method == "tools/call" => {
                tool::call(self, &id, &params, to.clone());
            }
            Ok(Message::Request { id, method, params }) => {
                to.answer(Some(&id), self.answer(&method, &params, to));
            }
            Ok(Message::Notification { method, params }) => self.hear(&method, &params),
            Ok(Message::Answer { id, outcome }) => self.client.settle(&id, outcome),
            Err(Unreadable { id, fault }) => to.answer(id.as_ref(), Err(fault)),
        }
    }

    /// Answers every request but `tools/call`, which may take longer.
    fn answer(&self, method: &str, params: &Params, to: &Destination) -> Result<Value, Fault> {
        match method {
            "initialize" => self.initialize(params, to),
            "ping" => Ok(json!({})),
            "logging/setLevel" => self.set_level(params),
            "tools/list" => one_page(params, || tool::list(self)),
            "resources/list" => one_page(params, resource::list),
            "resources/templates/list" => one_page(params, resource::templates),
            "resources/read" => self.resources.read(params),
            "resources/subscribe" => self.resources.subscribe(params),
            "resources/unsubscribe" => self.resources.unsubscribe(params),
            "prompts/list" => one_page(params, prompt::list),
            "prompts/get" => prompt::fill(params),
            "completion/complete" => prompt::complete(params),
            _ => Err(Fault::method_not_found(method)),
        }
    }

    /// Takes a notification. One that means nothing here is no error: nobody could be told.
    fn hear(&self, method: &str, params: &Params) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled {
            request_id: Box<RawValue>,
        }
        if method == "notifications/cancelled"
            && let Ok(Cancelled { request_id }) = params.read()
        {
            self.calls.cancel(&request_id);
        }
    }

    fn initialize(&self, params: &Params, to: &Destination) -> Result<Value, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Hello {
            protocol_version: String,
            #[serde(default)]
            capabilities: Value,
        }
        if matches!(to, Destination::Batch(_)) {
            // 2025-03-26, basic/lifecycle: "The initialize request MUST NOT be part of a JSON-RPC batch".
            return Err(Fault::invalid_request("`initialize` in a batch"));
        }
        let Hello { protocol_version, capabilities } = params.read()?;
        let revision = negotiate(&protocol_version);
        self.client.introduce(revision, capabilities);
        Ok(json!({
            "protocolVersion": revision.as_str(),
            "capabilities": {
                "completions": {},
                "logging": {},
                "prompts": {},
                "resources": { "subscribe": true },
                "tools": { "listChanged": true },
            },
            "serverInfo": {
                "name": "mcp-switchboard-demo",
                "title": "mcp-switchboard's demo server",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "instructions": INSTRUCTIONS,
        }))
    }

    fn set_level(&self, params: &Params) -> Result<Value, Fault> {
        #[derive(Deserialize)]
        struct Wanted {
            level: Level,
        }
        let Wanted { level } = params.read()?;
        self.client.set_level(level);
        Ok(json!({}))
    }
}

/// 2025-11-25, basic/lifecycle: "If the server supports the requested protocol version, it MUST respond with the
/// same version. Otherwise, the server MUST respond with another protocol version it supports".
fn negotiate(asked: &str) -> Revision {
    match Revision::from_str(asked) {
        Ok(revision) if revision.era() == Era::Legacy => revision,
        _ => Revision::NEWEST_LEGACY,
    }
}

/// A list that fits one page: there is no cursor that could have been given out.
fn one_page(params: &Params, list: impl FnOnce() -> Value) -> Result<Value, Fault> {
    #[derive(Deserialize)]
    struct Page {
        cursor: Option<String>,
    }
    match params.read()? {
        Page { cursor: None } => Ok(list()),
        Page { cursor: Some(_) } => Err(Fault::invalid_params("no such cursor")),
    }
}

/// Nothing that these locks guard can be left half-changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
