//! The parameters of a server's tools that a modern call mirrors into headers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memmem;

use crate::wire::Message;
use crate::wire::headers::Annotations;
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;

/// The annotations of the tools that a server has listed; those without any are left out.
#[derive(Debug, Default)]
pub(super) struct Catalog(Mutex<HashMap<Box<str>, Annotations>>);

/// A server with more annotated tools than this is not followed any further.
const MOST_TOOLS: usize = 10_000;

impl Catalog {
    /// The annotations of a tool, if it has any.
    pub(super) fn annotations(&self, tool: &str) -> Option<Annotations> {
        self.lock().get(tool).cloned()
    }

    /// Reads the answer to a `tools/list`.
    pub(super) fn learn(&self, answer: &Message) {
        let has_any = memmem::find(answer.raw(), b"x-mcp-header").is_some();
        let mut known = self.lock();
        if !has_any && known.is_empty() {
            return;
        }
        for tool in find(answer.body(), &["tools"]).and_then(items).unwrap_or_default() {
            let Some(name) = find_string(tool, &["name"]) else { continue };
            // A tool with invalid annotations is not to be used by anyone; whoever does gets the server's own error.
            let annotations = find(tool, &["inputSchema"]).map(Annotations::read).and_then(Result::ok);
            match annotations.filter(|annotations| !annotations.is_empty()) {
                Some(annotations) if known.len() < MOST_TOOLS => {
                    known.insert(name.into(), annotations);
                }
                _ => {
                    known.remove(name.as_str());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Annotations>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
