//! Where a call came from: what its client must show again to go on with it.

use crate::wire::Object;
use crate::wire::meta::find;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Who asks, as far as the router can tell. Without authentication everybody is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

/// Makes strings that nobody can guess: what a client shows to go on with its call.
pub struct Secrets(Box<dyn FnMut() -> Option<Box<str>> + Send>);

/// What a call was, and whose.
///
/// 2026-07-28, basic/patterns/mrtr: "servers SHOULD include the following inside the integrity-protected `requestState`
/// payload and verify each on receipt: the authenticated principal, [...] an identifier for the originating request, e.g. the
/// method name and a digest of its salient parameters". Here the state is the name of an entry that holds them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) principal: Principal,
    /// What its client can be asked: one that has changed its mind could not answer the next question.
    pub(super) capabilities: Map<String, Value>,
    pub(super) method: Box<str>,
    /// The params as the server got them.
    pub(super) params: Box<str>,
}

/// No name that authentication gives is empty.
const ANYONE: &str = "";

impl Principal {
    /// The one of all clients that nobody has told apart.
    pub fn anyone() -> Self {
        Self::named(ANYONE)
    }

    /// A principal by the name that authentication gives it.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// Whether authentication gives it this name.
    pub fn is_named(&self, name: &str) -> bool {
        &*self.0 == name
    }

    /// Whether nobody has told it apart.
    pub fn is_anyone(&self) -> bool {
        self.is_named(ANYONE)
    }

    /// The same one, told apart from others of the same name.
    #[must_use]
    pub fn marked(&self, mark: &str) -> Self {
        // Marks are all of one length: no two names and marks make the same together.
        Self(format!("{}\0{mark}", self.0).into())
    }
}

impl Secrets {
    /// `mint` gives a new string each time, or nothing if the system has no random numbers.
    pub fn new(mint: impl FnMut() -> Option<Box<str>> + Send + 'static) -> Self {
        Self(Box::new(mint))
    }

    pub(super) fn mint(&mut self) -> Option<Box<str>> {
        (self.0)()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Origin {
    /// Whether a request is the same call again, by the same principal.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.principal == other.principal
            && self.capabilities == other.capabilities
            && self.method == other.method
            && same(&self.params, &other.params)
    }
}

/// The `requestState` of a request, if it has one that is a string.
pub fn state(params: &str) -> Option<String> {
    serde_json::from_str(find(params, &["requestState"])?).ok()
}

/// Whether two texts say the same but for the order of members and for progress tokens, which differ between tries.
fn same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let value = |text: &str| {
        let mut params = Object::read(text)?;
        params.remove("_meta");
        serde_json::from_str::<serde_json::Value>(&params.to_json()).ok()
    };
    match (value(a), value(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_again_whatever_the_order_of_its_members_and_its_token() {
        assert!(same(
            r#"{"name":"a","arguments":{"x":1,"y":2}}"#,
            r#"{"arguments":{"y":2,"x":1},"name":"a"}"#
        ));
        assert!(same(r#"{"name":"a","_meta":{"progressToken":1}}"#, r#"{"name":"a"}"#));
        assert!(!same(r#"{"name":"a","arguments":{"x":1}}"#, r#"{"name":"a","arguments":{"x":2}}"#));
        assert!(!same(r#"{"name":"a"}"#, "{"));
    }

    #[test]
    fn only_a_string_is_a_state() {
        assert_eq!(state(r#"{"requestState":"a\"b"}"#).as_deref(), Some("a\"b"));
        assert_eq!(state(r#"{"requestState":7}"#), None);
        assert_eq!(state("{}"), None);
    }
}
