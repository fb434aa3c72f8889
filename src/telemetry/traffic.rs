//! What clients and servers say to each other, for an operator who looks on.
//!
//! Nothing is kept, and where nobody looks on nothing is done. Who looks on gets what is said as it was said: what must not be
//! shown of it is taken out by him who shows it, off the way of the messages.

use crate::wire::{Kind, Message};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::broadcast;

/// Who is further behind than this misses some.
const BEHIND: usize = 256;

/// Bytes of a message that are shown.
const SHOWN: usize = 64 << 10;

/// Bytes of the arguments of a call that are kept.
const ARGUMENTS: usize = 16 << 10;

/// So many more are passed on, so that a secret that stands where it is cut is recognised: none that is looked for is longer.
const MARGIN: usize = 16 << 10;

/// What is said, for those who look on. Its clones are one and the same.
#[derive(Clone, Debug)]
pub struct Traffic(Arc<State>);

#[derive(Debug)]
struct State {
    watchers: AtomicUsize,
    /// None: nothing more is said.
    live: Mutex<Option<broadcast::Sender<Arc<Said>>>>,
}

/// A message that was said.
#[derive(Debug)]
pub struct Said {
    /// When.
    pub at: SystemTime,
    /// The name of the mount.
    pub server: Arc<str>,
    /// The beginning of the session's id.
    pub session: Box<str>,
    /// By whom.
    pub from: Side,
    /// What it is.
    pub kind: Kind,
    /// Its method, if it is no answer.
    pub method: Option<Box<str>>,
    /// How long it is.
    pub bytes: usize,
    /// Its beginning.
    text: Box<[u8]>,
    conceal: Arc<dyn Conceal>,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server, or the router in its place.
    Server,
}

/// Knows what must not be shown.
pub trait Conceal: Send + Sync + std::fmt::Debug {
    /// The text without it.
    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str>;
}

/// Somebody looks on, until this is dropped.
#[derive(Debug)]
pub struct Watching(Traffic);

impl Default for Traffic {
    fn default() -> Self {
        let live = Mutex::new(Some(broadcast::channel(BEHIND).0));
        Self(Arc::new(State { watchers: AtomicUsize::new(0), live }))
    }
}

impl Traffic {
    /// Whether anybody looks on.
    pub fn is_watched(&self) -> bool {
        self.0.watchers.load(Ordering::Relaxed) > 0
    }

    /// This is said in a session. Only its beginning is copied.
    pub fn pass(
        &self,
        server: &Arc<str>,
        session: &str,
        from: Side,
        message: &Message,
        conceal: Arc<dyn Conceal>,
    ) {
        let raw: &Bytes = message.raw();
        let is_answer = matches!(message.kind(), Kind::Result | Kind::Error);
        let said = Said {
            at: SystemTime::now(),
            server: server.clone(),
            session: session.into(),
            from,
            kind: message.kind(),
            method: (!is_answer).then(|| message.method().into()),
            bytes: raw.len(),
            text: raw[..raw.len().min(SHOWN + MARGIN)].into(),
            conceal,
        };
        if let Some(live) = &*self.0.live.lock().unwrap_or_else(PoisonError::into_inner) {
            // That he has gone in between is no fault.
            let _ = live.send(Arc::new(said));
        }
    }

    /// What is said from now on, as long as [`Watching`] lives. Nothing if it is over.
    pub fn watch(&self) -> Option<(broadcast::Receiver<Arc<Said>>, Watching)> {
        let live = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = live.as_ref()?.subscribe();
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        Some((receiver, Watching(self.clone())))
    }

    /// Nothing more is said: who looks on sees the end.
    pub fn close(&self) {
        *self.0.live.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Said {
    /// The message as it may be shown, with what `more` conceals of it, too; and whether something of its end is missing.
    pub fn shown(&self, more: impl Fn(&str) -> Option<String>) -> (String, bool) {
        let text = String::from_utf8_lossy(&self.text);
        let conceal = |text: &str| {
            let shown = self.conceal.conceal(text).into_owned();
            more(&shown).unwrap_or(shown)
        };
        beginning(&text, self.text.len() < self.bytes, SHOWN, conceal)
    }
}

/// At most so many bytes of a text, without what must not be shown; and whether something of its end is missing. `is_cut`: that
/// is so already.
fn beginning(text: &str, is_cut: bool, most: usize, conceal: impl FnOnce(&str) -> String) -> (String, bool) {
    let start = &text[..text.floor_char_boundary(most + MARGIN)];
    let is_cut = is_cut || start.len() < text.len();
    let mut shown = conceal(start);
    // Where it was cut, a secret may have been, too: it is not recognised, and stands in the margin.
    let most = if is_cut { shown.len().saturating_sub(MARGIN).min(most) } else { most };
    if shown.len() <= most {
        return (shown, is_cut);
    }
    shown.truncate(shown.floor_char_boundary(most));
    (shown, true)
}

/// The arguments of a call as they may be kept: without what must not be shown, and not more than 16 KiB of them.
pub fn arguments_shown(arguments: &str, conceal: &dyn Conceal) -> Box<str> {
    let (shown, is_cut) = beginning(arguments, false, ARGUMENTS, |text| conceal.conceal(text).into_owned());
    if is_cut { format!("{shown}…").into() } else { shown.into() }
}

impl Side {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Word;

    impl Conceal for Word {
        fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
            text.replace("s3cret", "***").into()
        }
    }

    fn said(text: &str) -> (String, bool) {
        let traffic = Traffic::default();
        let (mut receiver, _watching) = traffic.watch().unwrap();
        let line = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"t":"{text}"}}}}"#);
        let message = Message::own(Bytes::from(line)).unwrap();
        traffic.pass(&"a".into(), "1.234567", Side::Client, &message, Arc::new(Word));
        receiver.try_recv().unwrap().shown(|_| None)
    }

    #[test]
    fn what_is_cut_shows_no_half_of_a_secret() {
        assert_eq!(said("a s3cret").0, r#"{"jsonrpc":"2.0","method":"m","params":{"t":"a ***"}}"#);
        let head = r#"{"jsonrpc":"2.0","method":"m","params":{"t":""#.len();
        for before in [SHOWN - head - 3, SHOWN + MARGIN - head - 3] {
            let (shown, is_cut) = said(&format!("{}s3cret{}", "x".repeat(before), "y".repeat(SHOWN)));
            assert!(is_cut && shown.len() <= SHOWN && shown.len() > SHOWN / 2, "{}", shown.len());
            assert!(!shown.contains("s3"), "{before}");
        }
        // Secrets that make the text shorter do not bring its end, which may be half of one, into what is shown.
        let (shown, is_cut) = said(&"s3cret".repeat(SHOWN));
        assert!(is_cut && !shown.contains("s3c"));
    }

    #[test]
    fn nobody_looks_on_once_he_has_gone() {
        let traffic = Traffic::default();
        assert!(!traffic.is_watched());
        let watch = traffic.watch();
        assert!(watch.is_some() && traffic.is_watched());
        drop(watch);
        assert!(!traffic.is_watched());
        traffic.close();
        assert!(traffic.watch().is_none());
    }
}
