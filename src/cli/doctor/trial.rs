//! One attempt to talk to a server as a client of one era does: the handshake, and the list of its tools.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cause::waits_for_http;
use super::ear::{Ear, News, Noise};
use crate::config::{CommandSpec, Limits, RemoteSpec, ServerName};
use crate::peer::remote::{Site, SiteError};
use crate::peer::{Exit, Launch, Peer, SpawnError};
use crate::protocol::{INITIALIZED, Opened, discover, initialize, own_meta};
use crate::session::SessionId;
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Code, Kind, Message, Revision};

/// Lines of stderr that are kept of each process.
const KEPT_LINES: usize = 20;

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// A process is waited for this long once it is to end: the ladder takes eight seconds at most before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

/// A process that is silent to a client of one era has this long to answer one of the other.
const OTHER_WITHIN: Duration = Duration::from_secs(10);

/// What every server is tried with.
#[derive(Debug)]
pub(super) struct Practice {
    pub(super) limits: Limits,
    pub(super) pass_environment: bool,
    pub(super) sandbox_helper: Option<PathBuf>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
    /// How long an attempt may take, if somebody has said so.
    pub(super) patience: Option<Duration>,
    /// What PATH is here.
    pub(super) path: OsString,
    /// The user's home.
    pub(super) home: Option<PathBuf>,
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patient<'a> {
    Command(&'a CommandSpec),
    Remote(&'a RemoteSpec),
}

/// How a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// With `initialize`, and this revision.
    Legacy(Revision),
    /// With `server/discover`.
    Modern,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// Until the first answer.
    pub(super) answer: Duration,
    /// Until the tools are listed.
    pub(super) whole: Duration,
}

/// What came of an attempt.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// From the beginning to a running process.
    pub(super) started: Option<Duration>,
    /// From the beginning to the first answer.
    pub(super) answered: Option<Duration>,
    /// What that said.
    pub(super) opened: Option<Opened>,
    /// From the beginning to the first answer, or to the end without one.
    pub(super) settled: Duration,
    /// A process that was silent to a client of the legacy era answers one of the modern era.
    pub(super) hears_modern: bool,
    /// How long the tools took to be listed, if they were.
    pub(super) listed: Option<Duration>,
    /// Each as the server wrote it.
    pub(super) tools: Vec<Box<str>>,
    /// Why it ended before the tools were listed.
    pub(super) trouble: Option<Trouble>,
    /// What was last on stderr; masked.
    pub(super) words: Vec<String>,
    pub(super) noise: Noise,
    /// How long the process lived on once its stdin was closed.
    pub(super) stopped: Option<Duration>,
}

/// Why an attempt has failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No process could be started.
    NotStarted(SpawnError),
    /// The remote server cannot even be called.
    NotCalled(SiteError),
    /// The process has ended.
    Ended(Exit),
    /// The remote server was not reached, or has refused; why.
    Lost(String),
    /// Nothing came for so long.
    Silent(Duration),
    /// The server has answered with an error.
    Refused { code: i64, message: String },
    /// Its answer is none.
    Nonsense(String),
}

impl Patience {
    /// Lists that come after a first answer have so long where nobody has said how long an attempt may take.
    const LISTS: Duration = Duration::from_secs(30);

    /// The least that is waited for a first answer where nobody has said so.
    const LEAST: Duration = Duration::from_secs(30);

    /// What was said, else what the router allows: longer, where it allows little, so that it can be told how long it takes.
    pub(super) fn with(said: Option<Duration>, start_timeout: Duration) -> Self {
        let answer = said.unwrap_or_else(|| start_timeout.max(Self::LEAST));
        Self { answer, whole: said.unwrap_or(answer + Self::LISTS) }
    }

    /// The same, but for a first answer no longer than `most`.
    pub(super) fn at_most(self, most: Duration) -> Self {
        Self { answer: self.answer.min(most), ..self }
    }
}

impl Hello {
    fn line(self, id: &str) -> Bytes {
        match self {
            Self::Legacy(revision) => initialize(id, revision, "{}"),
            Self::Modern => discover(id),
        }
    }

    fn read(self, answer: &Message) -> Result<Opened, Trouble> {
        if answer.kind() == Kind::Error {
            return Err(Trouble::of_error(answer));
        }
        let opened = match self {
            Self::Legacy(_) => Opened::read(answer),
            Self::Modern => Opened::discovered(answer),
        };
        opened.map_err(|error| Trouble::Nonsense(error.to_string()))
    }
}

impl Trouble {
    fn of_error(answer: &Message) -> Self {
        Self::Refused {
            code: answer.error_code().unwrap_or_default(),
            message: find_string(answer.body(), &["message"]).unwrap_or_default(),
        }
    }
}

impl Trial {
    /// Whether a client that begins so is served.
    pub(super) fn is_well(&self) -> bool {
        self.listed.is_some()
    }

    /// Tries a server, and ends what was started for it.
    pub(super) async fn run(
        patient: Patient<'_>,
        name: &ServerName,
        hello: Hello,
        patience: Patience,
        practice: &Practice,
    ) -> Self {
        let mut trial = Self::default();
        let begun = Instant::now();
        let peer = match start(patient, name, practice).await {
            Ok(peer) => peer,
            Err(trouble) => return Self { trouble: Some(trouble), ..trial },
        };
        trial.started = Some(begun.elapsed());
        let ear = Arc::new(Ear::new(practice.limits.depth));
        peer.attach(ear.clone());
        let mut talk = Talk { peer: &peer, ear: &ear, last_id: 0, hello };
        trial.trouble = talk.hold(&mut trial, begun, patience).await.err();
        trial.settled = trial.answered.unwrap_or_else(|| begun.elapsed());
        let is_silent = matches!(trial.trouble, Some(Trouble::Silent(_)));
        trial.note_said(&peer, &ear);
        let may_hear = is_silent && trial.opened.is_none() && hello != Hello::Modern && !peer.is_remote();
        // One that waits for HTTP hears nobody on stdin.
        if may_hear && !waits_for_http(&trial) {
            // It has started long ago, if it ever does: it need not be started once more to be asked.
            let asked = timeout(patience.answer.min(OTHER_WITHIN), talk.ask(discover));
            trial.hears_modern = matches!(asked.await, Ok(Ok(answer)) if answer.kind() == Kind::Result);
        }
        let ended = Instant::now();
        if matches!(trial.trouble, Some(Trouble::Silent(_))) {
            // It is not listening.
            peer.kill();
        } else {
            peer.stop();
        }
        let gone = timeout(ENDS_WITHIN, peer.gone()).await;
        trial.stopped = gone.ok().map(|()| ended.elapsed());
        trial.note_said(&peer, &ear);
        trial
    }

    /// Notes what was said beside the protocol so far.
    fn note_said(&mut self, peer: &Peer, ear: &Ear) {
        self.noise = ear.noise();
        self.words = peer.last_lines().into_iter().map(String::from).collect();
    }
}

async fn start(patient: Patient<'_>, name: &ServerName, practice: &Practice) -> Result<Peer, Trouble> {
    let Practice { limits, tracker, stop, .. } = practice;
    match patient {
        Patient::Command(command) => {
            let marker = SessionId::random()
                .map_err(|_| Trouble::NotStarted(SpawnError::ShuttingDown))?
                .as_str()
                .to_owned();
            let launch = Launch {
                command,
                name,
                marker,
                sandbox_helper: practice.sandbox_helper.as_deref(),
                credentials: Arc::default(),
                pass_environment: practice.pass_environment,
                line_limit: limits.line,
                kept_lines: KEPT_LINES,
                tracker: tracker.clone(),
            };
            Peer::spawn(launch).await.map_err(Trouble::NotStarted)
        }
        Patient::Remote(remote) => {
            let site =
                Site::new(remote.clone(), name.clone(), limits.line, limits.depth, tracker.clone(), stop);
            Ok(Peer::connect(&site.map_err(Trouble::NotCalled)?))
        }
    }
}

/// A time to the tenth of a second, as people read it.
fn tenths(time: Duration) -> Duration {
    Duration::from_secs_f64((time.as_secs_f64() * 10.0).round() / 10.0)
}

fn is_ours(question: &Message) -> bool {
    matches!(question.method(), "initialize" | "server/discover" | "tools/list")
}

/// A conversation, in which one request is made after the other.
struct Talk<'a> {
    peer: &'a Peer,
    ear: &'a Ear,
    last_id: u64,
    hello: Hello,
}

impl Talk<'_> {
    /// Opens the server and lists its tools; what is learned on the way is noted at once, for it may be interrupted.
    async fn hold(&mut self, trial: &mut Trial, begun: Instant, patience: Patience) -> Result<(), Trouble> {
        let hello = self.hello;
        let Patience { answer, whole } = patience;
        let asked = timeout(answer, self.ask(|id| hello.line(id))).await;
        let answer = asked.unwrap_or(Err(Trouble::Silent(answer)))?;
        trial.answered = Some(begun.elapsed());
        trial.opened = Some(hello.read(&answer)?);
        if matches!(hello, Hello::Legacy(_)) {
            self.say(INITIALIZED.into());
        }
        let rest = whole.saturating_sub(begun.elapsed());
        let begun = Instant::now();
        let listed = timeout(rest, self.list(&mut trial.tools)).await;
        listed.unwrap_or_else(|_| Err(Trouble::Silent(tenths(rest))))?;
        trial.listed = Some(begun.elapsed());
        Ok(())
    }

    async fn list(&mut self, tools: &mut Vec<Box<str>>) -> Result<(), Trouble> {
        let mut params = json!({});
        if self.hello == Hello::Modern {
            params["_meta"] = own_meta();
        }
        for _ in 0..MOST_PAGES {
            let line = |id: &str| {
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{params}}}"#).into()
            };
            let answer = self.ask(line).await?;
            if answer.kind() == Kind::Error {
                // It has none.
                let has_none = answer.error_code() == Some(Code::MethodNotFound.number());
                return if has_none { Ok(()) } else { Err(Trouble::of_error(&answer)) };
            }
            let listed = find(answer.body(), &["tools"]).and_then(items);
            let listed = listed.ok_or_else(|| Trouble::Nonsense("it has no list `tools`".to_owned()))?;
            tools.extend(listed.into_iter().map(Box::from));
            let cursor = find(answer.body(), &["nextCursor"]).and_then(|raw| serde_json::from_str(raw).ok());
            match cursor {
                Some(Value::String(cursor)) => params["cursor"] = cursor.into(),
                _ => break,
            }
        }
        Ok(())
    }

    async fn ask(&mut self, line: impl FnOnce(&str) -> Bytes) -> Result<Message, Trouble> {
        self.last_id += 1;
        let id = self.last_id.to_string();
        self.ear.want(&id);
        self.say(line(&id));
        loop {
            match self.ear.next().await {
                News::Answer(answer) => return Ok(answer),
                News::Nonsense(why) => return Err(Trouble::Nonsense(why)),
                // What only clients send has come back.
                News::Question(question) if is_ours(&question) => {
                    return Err(Trouble::Nonsense("it sends back what it is sent".to_owned()));
                }
                News::Question(question) => self.answer(&question),
                News::Exit(_) if self.peer.is_remote() => {
                    return Err(Trouble::Lost(self.peer.last_words().into()));
                }
                News::Exit(exit) => return Err(Trouble::Ended(exit)),
            }
        }
    }

    /// Answers as a client does that has declared nothing.
    fn answer(&self, question: &Message) {
        let id = question.id().unwrap_or("null");
        let outcome = if question.method() == "ping" {
            r#""result":{}"#.to_owned()
        } else {
            let code = Code::MethodNotFound.number();
            format!(r#""error":{{"code":{code},"message":"it is not supported here"}}"#)
        };
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#).into());
    }

    /// One that takes nothing any more is about to end, and that is heard.
    fn say(&self, line: Bytes) {
        let _ = self.peer.send(line);
    }
}
