//! What a server says while it is tried: the one answer that is waited for, its questions, and what is no message at all.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::peer::{Exit, Listener};
use crate::wire::line::Line;
use crate::wire::{Kind, Malformed, Message, Payload};

/// Questions of a server that wait to be answered.
const MOST_QUESTIONS: usize = 64;

/// Lines that are no messages of which the text is kept.
const KEPT_LINES: usize = 20;

/// Characters of such a line.
const KEPT: usize = 300;

/// Hears a server.
#[derive(Debug)]
pub(super) struct Ear {
    depth: usize,
    heard: Mutex<Heard>,
    news: Notify,
}

/// What was said that concerns whoever asks.
#[derive(Debug)]
pub(super) enum News {
    /// The answer.
    Answer(Message),
    /// An answer that is none, and why.
    Nonsense(String),
    /// A question of the server's own.
    Question(Message),
    /// Its end.
    Exit(Exit),
}

/// Lines of stdout that are no messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Noise {
    /// How many there were.
    pub(super) count: u64,
    /// The first of them, shortened; not masked.
    pub(super) lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Heard {
    wanted: Option<Box<str>>,
    answer: Option<Result<Message, String>>,
    questions: VecDeque<Message>,
    exit: Option<Exit>,
    noise: Noise,
}

impl Ear {
    /// Hears messages that are nested no deeper than this.
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, heard: Mutex::default(), news: Notify::new() }
    }

    /// From now on the answer to the request with this id is waited for.
    pub(super) fn want(&self, id: &str) {
        let mut heard = self.lock();
        heard.wanted = Some(id.into());
        heard.answer = None;
    }

    /// Waits for what concerns whoever asks. What came before the end is told before it.
    pub(super) async fn next(&self) -> News {
        loop {
            let news = self.news.notified();
            let told = {
                let mut heard = self.lock();
                let question = heard.questions.pop_front().map(News::Question);
                let answer =
                    || heard.answer.take().map(|said| said.map_or_else(News::Nonsense, News::Answer));
                question.or_else(answer).or(heard.exit.map(News::Exit))
            };
            match told {
                Some(told) => return told,
                None => news.await,
            }
        }
    }

    /// What was no message so far.
    pub(super) fn noise(&self) -> Noise {
        self.lock().noise.clone()
    }

    fn hear(&self, message: Message) {
        let mut heard = self.lock();
        match message.kind() {
            Kind::Request if heard.questions.len() < MOST_QUESTIONS => heard.questions.push_back(message),
            Kind::Request | Kind::Notification => {}
            Kind::Result | Kind::Error => {
                // One that could not read what it was asked does not know the id.
                let names_none = message.id().is_none_or(|id| id == "null");
                let is_it = heard.wanted.is_some() && message.id() == heard.wanted.as_deref();
                if is_it || (names_none && message.kind() == Kind::Error) {
                    heard.wanted = None;
                    heard.answer = Some(Ok(message));
                }
            }
        }
    }

    fn hear_malformed(&self, line: &[u8], malformed: &Malformed) {
        let mut heard = self.lock();
        if let Malformed::NotJsonRpc { id: Some(id), .. } = malformed
            && heard.wanted.as_ref() == Some(id)
        {
            heard.wanted = None;
            heard.answer = Some(Err(malformed.to_string()));
            return;
        }
        heard.noise.count += 1;
        if heard.noise.lines.len() < KEPT_LINES {
            let text =
                String::from_utf8_lossy(&line[..line.len().min(4 * KEPT)]).chars().take(KEPT).collect();
            heard.noise.lines.push(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Ear {
    fn line(&self, line: Line) {
        match line {
            Line::Whole(line) => self.whole(&line),
            Line::TooLong(skipped) => {
                if let Some(id) = skipped.answered_id() {
                    let mut heard = self.lock();
                    if id.is_none() || id == heard.wanted {
                        heard.answer = Some(Err(format!("it is longer than {} bytes", skipped.length)));
                    }
                }
            }
        }
        self.news.notify_one();
    }

    fn exited(&self, exit: &Exit) {
        self.lock().exit = Some(*exit);
        self.news.notify_one();
    }
}

impl Ear {
    fn whole(&self, line: &Bytes) {
        match Payload::parse(line, self.depth) {
            Ok(Payload::One(message)) => self.hear(message),
            Ok(Payload::Batch(messages)) => messages.into_iter().for_each(|message| self.hear(message)),
            Err(malformed) => self.hear_malformed(line, &malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Cause;

    fn say(ear: &Ear, text: &'static str) {
        ear.line(Line::Whole(Bytes::from_static(text.as_bytes())));
    }

    #[tokio::test]
    async fn the_answer_is_told_before_the_end_and_the_rest_is_counted() {
        let ear = Ear::new(16);
        ear.want("1");
        say(&ear, "starting up");
        say(&ear, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
        say(&ear, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#);
        say(&ear, r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#);
        say(&ear, r#"{"jsonrpc":"2.0","id":1,"result":{"ok":true}}"#);
        ear.exited(&Exit { cause: Cause::Code(3), asked: false });
        assert!(matches!(ear.next().await, News::Question(question) if question.method() == "ping"));
        assert!(matches!(ear.next().await, News::Answer(answer) if answer.body() == r#"{"ok":true}"#));
        assert!(matches!(ear.next().await, News::Exit(exit) if exit.cause == Cause::Code(3)));
        assert_eq!(ear.noise(), Noise { count: 1, lines: vec!["starting up".to_owned()] });
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_no_noise_and_an_error_without_an_id_is_an_answer() {
        let ear = Ear::new(16);
        ear.want("1");
        say(&ear, r#"{"id":1,"result":{}}"#);
        assert!(matches!(ear.next().await, News::Nonsense(why) if why.contains("JSON-RPC")));
        ear.want("2");
        say(&ear, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#);
        assert!(matches!(ear.next().await, News::Answer(answer) if answer.error_code() == Some(-32700)));
        assert_eq!(ear.noise(), Noise::default());
    }
}
