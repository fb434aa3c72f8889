//! An event stream as a browser reads it.

use serde_json::Value;
use std::collections::VecDeque;

use super::within;

/// An event as it was written; a field that was not there is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: Option<String>,
}

/// The events of a response that is still open. Dropping it hangs up.
pub(crate) struct Events {
    response: reqwest::Response,
    unread: String,
    ready: VecDeque<Event>,
    /// Everything as it came, comments included.
    pub(crate) raw: String,
}

impl Event {
    /// Whether it carries a message.
    pub(crate) fn carries_a_message(&self) -> bool {
        self.data.as_deref().is_some_and(|data| !data.is_empty())
    }

    /// The message that it carries; one that only lets the client resume carries none.
    pub(crate) fn message(&self) -> Option<Value> {
        let data = self.data.as_deref().filter(|data| !data.is_empty());
        data.map(|data| serde_json::from_str(data).expect("a message"))
    }
}

impl Events {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        Self { response, unread: String::new(), ready: VecDeque::new(), raw: String::new() }
    }

    /// The next event, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let chunk = within("the stream says something", self.response.chunk()).await;
            let chunk = chunk.expect("the stream does not break off")?;
            let text = std::str::from_utf8(&chunk).expect("chunks end where events do");
            self.raw.push_str(text);
            self.unread.push_str(text);
            while let Some(end) = self.unread.find("\n\n") {
                let block: String = self.unread.drain(..end + 2).collect();
                self.ready.extend(parse(&block));
            }
        }
    }

    /// The next event that carries a message; the stream must not end before.
    pub(crate) async fn next_message(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            if event.carries_a_message() {
                return event;
            }
        }
    }

    /// The next message; the stream must not end before.
    pub(crate) async fn message(&mut self) -> Value {
        self.next_message().await.message().expect("it carries one")
    }

    /// The next message of this method; others are passed over.
    pub(crate) async fn until_said(&mut self, method: &str) -> Value {
        within(method, async {
            loop {
                let message = self.message().await;
                if message["method"] == method {
                    return message;
                }
            }
        })
        .await
    }

    /// All messages until the stream ends.
    pub(crate) async fn messages(self) -> Vec<Value> {
        self.rest().await.iter().filter_map(Event::message).collect()
    }

    /// All events until the stream ends.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "event" => event.name = Some(value),
            "id" => event.id = Some(value),
            "data" => event.data = Some(value),
            _ => {}
        }
    }
    (event != Event::default()).then_some(event)
}
