//! Many servers behind one endpoint.
//!
//! An [`Aggregate`] is a server that is a part of this program, and speaks both eras. To a modern client each request stands
//! alone, and so it does behind it (`modern`); a legacy client has a session, and behind it one with each server that it
//! calls (`legacy`). Whichever era the servers speak, it comes to them through the bridges of their mounts. What they
//! offer is in the [`Catalog`], which all endpoints share.

mod catalog;
mod clash;
mod discover;
mod endpoint;
mod legacy;
mod links;
mod lists;
mod made;
mod modern;
mod names;
mod news;
mod offer;
mod part;
mod route;
mod uri;
mod view;
mod viewer;
mod watch;

use crate::access::Caller;
use crate::config::{AggregateSpec, ServerName};
use crate::peer::in_process::{Conversation, Service, Voice};
use crate::wire::Message;
use bytes::Bytes;
use endpoint::Endpoint;
use std::sync::{Arc, OnceLock};

pub use catalog::Catalog;
pub use clash::{Clash, clashes};
pub use names::{LONGEST, SEPARATOR, fit, full};

/// Many servers behind one endpoint.
#[derive(Clone, Debug)]
pub struct Aggregate(Arc<Endpoint>);

impl Aggregate {
    /// An endpoint for servers of `catalog`, which the log calls by `name`.
    pub fn new(name: ServerName, spec: AggregateSpec, catalog: Arc<Catalog>) -> Self {
        Self(Arc::new(Endpoint::new(name, spec, catalog)))
    }
}

impl Service for Aggregate {
    fn converse(&self, voice: Voice, caller: &Caller) -> Arc<dyn Conversation> {
        // What he asks has been counted at the mount that this is.
        let caller = caller.inside();
        let caller =
            self.0.view.as_ref().map_or_else(|| caller.clone(), |view| caller.through(view.as_str()));
        Arc::new(Talk { endpoint: self.0.clone(), voice, caller, begun: OnceLock::new() })
    }
}

/// A conversation, whose era is that of its first message.
struct Talk {
    endpoint: Arc<Endpoint>,
    voice: Voice,
    caller: Caller,
    begun: OnceLock<Arc<dyn Conversation>>,
}

impl Conversation for Talk {
    fn hear(&self, line: Bytes) {
        let begun = self.begun.get_or_init(|| {
            let first = Message::own(line.clone());
            if first.is_ok_and(|first| first.method() == "initialize") {
                legacy::begin(self.endpoint.clone(), self.voice.clone(), self.caller.clone())
            } else {
                modern::begin(self.endpoint.clone(), self.voice.clone(), self.caller.clone())
            }
        });
        begun.hear(line);
    }

    fn end(&self) {
        if let Some(begun) = self.begun.get() {
            begun.end();
        }
    }
}

/// The answer to a request. A long result stays where it is.
fn answer(id: &str, mut result: String) -> Bytes {
    result.insert_str(0, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
    result.push('}');
    result.into()
}
