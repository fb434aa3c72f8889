//! What has happened to the router and its servers lately, for those who look after them.

use bytes::Bytes;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::broadcast;

/// So many are kept for those who come later.
const KEPT: usize = 200;

/// Who is further behind than this misses some.
const BEHIND: usize = 256;

/// Longest text of an event, in bytes.
const LONGEST: usize = 2 << 10;

/// What has happened lately, and who hears of what happens next. Its clones are one and the same.
#[derive(Clone, Debug)]
pub struct Events(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// As they are told, the newest last.
    kept: VecDeque<Bytes>,
    /// None: nothing more happens.
    live: Option<broadcast::Sender<Bytes>>,
}

/// What kind of thing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The router, or a mount that a reload has added, is started.
    Started,
    /// A server has answered for the first time, or again.
    Ready,
    /// A server cannot be started, and is tried again.
    Failing,
    /// A server has been tried often enough.
    Failed,
    /// A process died that was not asked to.
    Crashed,
    /// A session goes on with a new process, or an operator has had all of them replaced.
    Restarted,
    /// The router is ending, or a mount is gone from the configuration.
    Stopped,
    /// A changed configuration is used.
    Reloaded,
    /// A changed configuration is not used.
    Refused,
    /// A tool says something that nobody has approved.
    HeldBack,
    /// An operator has approved what a tool says.
    Approved,
    /// Calls cannot be recorded, or some were not.
    Unrecorded,
    /// Calls are recorded again.
    Recorded,
}

/// One of them, as it is told.
#[derive(Serialize)]
struct Event<'a> {
    at: String,
    server: Option<&'a str>,
    kind: EventKind,
    text: &'a str,
}

impl Default for Events {
    fn default() -> Self {
        let live = Some(broadcast::channel(BEHIND).0);
        Self(Arc::new(Mutex::new(State { kept: VecDeque::with_capacity(KEPT), live })))
    }
}

impl Events {
    /// Something has happened, to one server or to the router. The text must not hold a secret.
    pub fn tell(&self, server: Option<&str>, kind: EventKind, text: &str) {
        let at = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        let event = Event { at, server, kind, text: &text[..text.floor_char_boundary(LONGEST)] };
        let Ok(line) = serde_json::to_string(&event).map(Bytes::from) else { return };
        let mut state = self.lock();
        if state.kept.len() >= KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(line.clone());
        if let Some(live) = &state.live {
            // That nobody listens is no fault.
            let _ = live.send(line);
        }
    }

    /// What has happened lately, and all that happens from now on, each as one line of JSON. Nothing if it is over.
    pub fn listen(&self) -> (Vec<Bytes>, Option<broadcast::Receiver<Bytes>>) {
        let state = self.lock();
        // Under one lock: nothing is told twice, and nothing is missed.
        (state.kept.iter().cloned().collect(), state.live.as_ref().map(broadcast::Sender::subscribe))
    }

    /// Nothing more happens: who listens hears the end.
    pub fn close(&self) {
        self.lock().live = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Bytes]) -> Vec<String> {
        let read = |line: &Bytes| serde_json::from_slice::<serde_json::Value>(line).unwrap();
        lines.iter().map(|line| read(line)["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_the_next_ones_heard_once() {
        let events = Events::default();
        for n in 0..KEPT + 5 {
            events.tell(Some("a"), EventKind::HeldBack, &n.to_string());
        }
        let (kept, coming) = events.listen();
        assert_eq!(texts(&kept).first().map(String::as_str), Some("5"));
        assert_eq!(kept.len(), KEPT);
        let mut coming = coming.unwrap();
        assert!(coming.try_recv().is_err());
        events.tell(None, EventKind::Stopped, &"ä".repeat(LONGEST));
        events.close();
        let line = coming.try_recv().unwrap();
        let line = std::str::from_utf8(&line).unwrap();
        assert!(line.contains(r#""server":null,"kind":"stopped","text":"ä"#) && line.len() < 2 * LONGEST);
        assert_eq!(coming.try_recv(), Err(broadcast::error::TryRecvError::Closed));
        assert!(events.listen().1.is_none());
    }
}
