//! The parameters of a server's tools that a modern call mirrors into headers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memmem;

use crate::wire::Message;
use crate::wire::headers::{Annotations, InvalidAnnotation};
use crate::wire::meta::{find, find_string};
use crate::wire::object::{array, items};

/// The tools that a server has listed with annotations; those without any are left out.
#[derive(Debug, Default)]
pub(super) struct Catalog(Mutex<HashMap<Box<str>, Tool>>);

#[derive(Debug)]
enum Tool {
    Annotated(Annotations),
    /// Its annotations are invalid, and nobody is to call it.
    Unfit,
}

/// A server with more annotated tools than this is not followed any further.
const MOST_TOOLS: usize = 10_000;

impl Catalog {
    /// The annotations of a tool, if it has any.
    pub(super) fn annotations(&self, tool: &str) -> Option<Annotations> {
        match self.lock().get(tool)? {
            Tool::Annotated(annotations) => Some(annotations.clone()),
            Tool::Unfit => None,
        }
    }

    /// Reads the answer to a `tools/list`, and returns it without the tools that are not fit to be called; `warn` is told of
    /// each, and why, once.
    ///
    /// 2026-07-28, Streamable HTTP, Schema Extension: "Rejection means the client MUST exclude the invalid tool from the
    /// result of `tools/list`. Clients SHOULD log a warning when rejecting a tool definition".
    pub(super) fn learn(&self, answer: Message, mut warn: impl FnMut(&str, &InvalidAnnotation)) -> Message {
        let has_any = memmem::find(answer.raw(), b"x-mcp-header").is_some();
        let mut known = self.lock();
        if !has_any && known.is_empty() {
            return answer;
        }
        let Some(list) = find(answer.body(), &["tools"]) else { return answer };
        let tools = items(list).unwrap_or_default();
        let fit: Vec<&str> =
            tools.iter().copied().filter(|tool| is_fit(tool, &mut known, &mut warn)).collect();
        if fit.len() == tools.len() {
            return answer;
        }
        let id = answer.id().unwrap_or("null");
        Message::own(answer.spliced(id, Some((list, &array(fit))))).unwrap_or(answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Tool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a tool may be called; what its annotations are is `known` from now on.
fn is_fit(
    tool: &str,
    known: &mut HashMap<Box<str>, Tool>,
    warn: &mut impl FnMut(&str, &InvalidAnnotation),
) -> bool {
    let Some(name) = find_string(tool, &["name"]) else { return true };
    let annotations =
        find(tool, &["inputSchema"]).map_or_else(|| Ok(Annotations::default()), Annotations::read);
    let (is_fit, learned) = match annotations {
        Ok(annotations) => (true, (!annotations.is_empty()).then_some(Tool::Annotated(annotations))),
        Err(reason) => {
            if !matches!(known.get(name.as_str()), Some(Tool::Unfit)) {
                warn(&name, &reason);
            }
            (false, Some(Tool::Unfit))
        }
    };
    match learned {
        Some(learned) if known.len() < MOST_TOOLS => drop(known.insert(name.into(), learned)),
        _ => drop(known.remove(name.as_str())),
    }
    is_fit
}
