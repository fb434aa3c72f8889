//! What one server still has to answer, and what its client is subscribed to there.

use crate::wire::meta::find_string;
use crate::wire::{Kind, Message};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What one server still has to answer, and what its client is subscribed to there.
pub(super) struct Expected {
    /// Requests of the client, by id.
    calls: HashMap<Box<str>, Call>,
    /// Requests of our own, by id.
    own: HashMap<Box<str>, oneshot::Sender<Message>>,
    /// What the client calls the resources that it is subscribed to, by what the server calls them.
    subscribed: HashMap<String, String>,
    /// When the last of them was expected, or came.
    used: Instant,
}

/// A request of the client.
pub(super) struct Call {
    pub(super) method: Box<str>,
    /// What the client asked about, and what the server is asked about, where they differ.
    pub(super) renamed: Option<(String, String)>,
    /// The resource that it is about, as the client calls it, and as the server does.
    resource: Option<(String, String)>,
}

impl Expected {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let (calls, own, subscribed) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { calls, own, subscribed, used: Instant::now() }
    }

    /// The client has a request under way; its id is returned.
    pub(super) fn call(&mut self, request: &Message, renamed: Option<(String, String)>) -> Box<str> {
        self.used = Instant::now();
        let uri = || find_string(request.body(), &["uri"]).map(|uri| (uri.clone(), uri));
        let resource = renamed.clone().or_else(uri);
        let call = Call { method: request.method().into(), renamed, resource };
        let id: Box<str> = request.id().unwrap_or_default().into();
        self.calls.insert(id.clone(), call);
        id
    }

    /// It has not; whether it had.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        self.calls.remove(id).is_some()
    }

    /// A request of our own is under way.
    pub(super) fn question(&mut self, id: &str) -> oneshot::Receiver<Message> {
        let (sender, answer) = oneshot::channel();
        self.own.insert(id.into(), sender);
        answer
    }

    /// It is not.
    pub(super) fn forget_question(&mut self, id: &str) {
        self.own.remove(id);
    }

    /// A request of our own is answered. Whoever has asked may not want to know any more.
    pub(super) fn heard(&mut self, id: &str, answer: Message) {
        if let Some(waits) = self.own.remove(id) {
            let _ = waits.send(answer);
        }
    }

    /// A request of the client is answered, by an answer of this kind.
    pub(super) fn answered(&mut self, id: &str, kind: Kind) -> Option<Call> {
        let call = self.calls.remove(id)?;
        self.used = Instant::now();
        if let Some((asked, own)) = call.resource.clone().filter(|_| kind == Kind::Result) {
            match &*call.method {
                "resources/subscribe" => drop(self.subscribed.insert(own, asked)),
                "resources/unsubscribe" => drop(self.subscribed.remove(&own)),
                _ => {}
            }
        }
        Some(call)
    }

    /// What the client calls a resource that it is subscribed to.
    pub(super) fn shown(&self, own: &str) -> Option<&String> {
        self.subscribed.get(own)
    }

    /// Whether the server has something to answer.
    pub(super) fn is_busy(&self) -> bool {
        !self.calls.is_empty()
    }

    /// For how long nothing was wanted of the server.
    pub(super) fn quiet(&self) -> Duration {
        if self.is_busy() || !self.subscribed.is_empty() { Duration::ZERO } else { self.used.elapsed() }
    }

    /// Nothing more comes: the ids of what the client waits for. Whoever has asked for the router's sake waits in vain.
    pub(super) fn end(&mut self) -> Vec<Box<str>> {
        self.own.clear();
        std::mem::take(&mut self.calls).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> Message {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        Message::own(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)).unwrap()
    }

    #[test]
    fn a_subscription_keeps_the_clients_own_name_until_it_ends() {
        let mut expected = Expected::new();
        for (method, shown) in [("resources/subscribe", Some("b://a")), ("resources/unsubscribe", None)] {
            let id = expected.call(&request(method, "a"), Some(("b://a".to_owned(), "a".to_owned())));
            assert!(expected.is_busy() && expected.quiet().is_zero());
            assert!(expected.answered(&id, Kind::Result).is_some());
            assert_eq!(expected.shown("a").map(String::as_str), shown);
        }
        let id = expected.call(&request("resources/subscribe", "a"), None);
        expected.answered(&id, Kind::Error);
        assert_eq!(expected.shown("a"), None);
    }

    #[test]
    fn at_the_end_everything_is_told_that_waits() {
        let mut expected = Expected::new();
        let mut answer = expected.question("q");
        let id = expected.call(&request("resources/read", "a"), None);
        assert_eq!(expected.end(), std::slice::from_ref(&id));
        assert!(answer.try_recv().is_err() && !expected.forget(&id));
    }
}
