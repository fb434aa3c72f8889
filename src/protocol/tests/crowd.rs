//! A story told at random, and what must hold whatever happens in it.
//!
//! What is of one call bears its mark, `mark7.`, wherever it is said. No other call's exchange may ever see it.

use super::*;
use crate::wire::Era;
use crate::wire::claim::{LOG_LEVEL, SUBSCRIPTION_ID};
use crate::wire::meta::{find, find_string, progress_token};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Held = Result<(), TestCaseError>;

/// Clients of both eras before a process of one.
pub(super) struct Crowd {
    pub(super) story: Story,
    /// The era of the process.
    server: Era,
    pub(super) clients: BTreeMap<ClientKey, Era>,
    /// Requests that have not been answered.
    pub(super) open: BTreeMap<ExchangeKey, Asked>,
    /// What the server works on, or has given up only lately.
    pub(super) work: Vec<Work>,
    /// Questions that legacy clients were put.
    pub(super) questions: Vec<(ClientKey, String)>,
    /// What modern clients may come back to.
    pub(super) parked: Vec<Parked>,
    /// States that the mount knows.
    states: BTreeSet<String>,
    /// There is no process.
    pub(super) down: bool,
    /// It does not read: requests do not fit.
    pub(super) full: bool,
}

/// A request of a client.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) client: ClientKey,
    id: String,
    /// What it may see; nothing of any call if it claims what is not its own.
    mark: Option<u64>,
    /// To come back with, if it is to be.
    again: Option<(String, String)>,
}

/// A call that waits for its client.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) state: String,
    pub(super) principal: String,
    pub(super) method: String,
    pub(super) mark: u64,
    /// The keys of the questions and what they ask for.
    pub(super) asks: Vec<(String, String)>,
}

/// A request as the server sees it.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) params: String,
    pub(super) mark: Option<u64>,
    pub(super) token: Option<String>,
    pub(super) given_up: Option<Instant>,
    pub(super) logs: bool,
}

impl Crowd {
    pub(super) fn new(story: Story, server: Era) -> Self {
        Self {
            story,
            server,
            clients: BTreeMap::new(),
            open: BTreeMap::new(),
            work: Vec::new(),
            questions: Vec::new(),
            parked: Vec::new(),
            states: BTreeSet::new(),
            down: false,
            full: false,
        }
    }

    /// A new modern client asks. `mark`: what it may see; its params bear a mark in any case.
    pub(super) fn visit(
        &mut self,
        principal: &str,
        method: &str,
        written: u64,
        more: (&str, &str),
        mark: Option<u64>,
    ) -> Held {
        let client = self.story.visitor(principal);
        self.clients.insert(client, Era::Modern);
        let members = format!(r#""name":"t","of":"mark{written}."{}"#, before(more.0));
        let meta = format!(r#""progressToken":"t{}"{}"#, client.0 % 2, before(more.1));
        let id = ["1", "\"1\"", "1.0"][self.clients.len() % 3];
        let again = Some((principal.to_owned(), method.to_owned()));
        self.ask(client, id, method, &claiming(&members, &meta), mark, again)
    }

    /// A legacy client asks; what it may see is what bears its own mark.
    pub(super) fn request(&mut self, client: ClientKey, method: &str, members: &str) -> Held {
        let id = ["1", "\"1\"", "2", "3.0"][self.open.len() % 4];
        let params =
            format!(r#"{{"of":"mark{}.","_meta":{{"progressToken":"t"}}{}}}"#, client.0, before(members));
        self.ask(client, id, method, &params, Some(client.0), None)
    }

    fn ask(
        &mut self,
        client: ClientKey,
        id: &str,
        method: &str,
        params: &str,
        mark: Option<u64>,
        again: Option<(String, String)>,
    ) -> Held {
        self.story.exchange += 1;
        let exchange = ExchangeKey(self.story.exchange);
        self.open.insert(exchange, Asked { client, id: id.to_owned(), mark, again });
        self.step(Input::Request { client, exchange, message: message(&request(id, method, params)) })
    }

    pub(super) fn notify(&mut self, client: ClientKey, text: &str) -> Held {
        self.step(Input::Notice { client, message: message(text) })
    }

    pub(super) fn server(&mut self, text: &str) -> Held {
        self.step(Input::Server(message(text)))
    }

    /// The server answers what it works on; what it has given up it may answer too.
    pub(super) fn answered(&mut self, at: usize, body: &str) -> Held {
        let work = self.work.remove(at);
        self.server(&format!(r#"{{"jsonrpc":"2.0","id":{},{body}}}"#, work.id))
    }

    /// The server answers what cannot be read.
    pub(super) fn unreadable(&mut self, pick: usize) -> Held {
        if self.work.is_empty() {
            return Ok(());
        }
        let work = self.work.remove(pick % self.work.len());
        let error = RpcError::new(Code::TooLarge, "too large");
        self.step(Input::Unreadable { id: Some(work.id.into()), error })
    }

    pub(super) fn later(&mut self, time: Duration) -> Held {
        self.story.now += time;
        self.step(Input::Tick)?;
        let now = self.story.now;
        self.work.retain(|work| work.given_up.is_none_or(|at| now < at + Duration::from_mins(1)));
        Ok(())
    }

    pub(super) fn gone(&mut self, client: ClientKey) -> Held {
        self.step(Input::Gone(client))?;
        self.clients.remove(&client);
        self.questions.retain(|(asked, _)| *asked != client);
        self.open.retain(|_, asked| asked.client != client);
        Ok(())
    }

    pub(super) fn crash(&mut self) -> Held {
        self.down = true;
        self.work.clear();
        self.questions.clear();
        self.step(exited())
    }

    /// Another process takes the place of one that has died.
    pub(super) fn greet(&mut self, answer: &str) -> Held {
        let mut out = Vec::new();
        self.story.bridge.greet(&mut out);
        self.down = false;
        self.check(out, None)?;
        let at = self.work.len() - 1;
        let opening = self.work.remove(at);
        self.server(&result(&opening.id, answer))
    }

    /// It is over: nobody is left without an answer, and nobody can come back.
    pub(super) fn end(&mut self) -> Held {
        self.step(over())?;
        prop_assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        prop_assert!(self.states.is_empty(), "never unparked: {:?}", self.states);
        prop_assert_eq!(self.story.bridge.in_flight(), 0);
        Ok(())
    }

    pub(super) fn step(&mut self, input: Input) -> Held {
        let leaves = if let Input::Gone(client) = input { Some(client) } else { None };
        let mut out = Vec::new();
        self.story.bridge.handle(input, self.story.now, &mut out);
        let unsent = |output: &Output| match output {
            Output::Request { exchange, .. } => Some(*exchange),
            _ => None,
        };
        let unsent: Vec<_> = out.iter().filter_map(unsent).filter(|_| self.full).collect();
        self.check(out, leaves)?;
        unsent.into_iter().try_for_each(|exchange| self.step(Input::Unsent(exchange)))
    }

    fn check(&mut self, out: Vec<Output>, leaves: Option<ClientKey>) -> Held {
        for output in out {
            match output {
                Output::Request { .. } if self.down => {
                    prop_assert!(false, "a request to a process that is not there");
                }
                Output::Request { .. } if self.full => {}
                Output::ToServer(line) | Output::Request { line, .. } => {
                    if !self.down {
                        self.written(line)?;
                    }
                }
                Output::Answer { client, exchange, message, .. } => {
                    self.response(client, exchange, message)?;
                }
                Output::Forget { client, exchange } => {
                    let asked = self.open.remove(&exchange);
                    let known = asked.is_some_and(|asked| asked.client == client);
                    prop_assert!(known || leaves == Some(client), "{exchange:?} was forgotten");
                }
                Output::ToClient { client, to, message, .. } => self.told(client, to, &message)?,
                Output::Parked(state) => {
                    prop_assert!(self.states.insert(state.into()), "a state is minted twice");
                }
                Output::Unparked(state) => {
                    prop_assert!(self.states.remove(&*state), "{state} was not parked");
                }
                Output::Failed(_) | Output::TurnedDown(_) => prop_assert!(false, "{output:?}"),
                Output::Opened(_) | Output::Resumed | Output::Wake(_) | Output::Dropped(_) => {}
            }
        }
        Ok(())
    }

    /// A line to the server is one of its era.
    fn written(&mut self, line: Bytes) -> Held {
        let line = Message::own(line);
        prop_assert!(line.is_ok(), "{line:?}");
        let line = line.unwrap();
        let has = |key: &str| find(line.body(), &["_meta", key]).is_some();
        let needs = [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO];
        match line.kind() {
            Kind::Request if self.server == Era::Modern => {
                prop_assert!(needs.iter().all(|key| has(key)), "{line:?}");
            }
            _ => prop_assert!(!needs.iter().any(|key| has(key)) && !has(LOG_LEVEL), "{line:?}"),
        }
        if line.kind() == Kind::Request {
            let text = String::from_utf8_lossy(line.raw()).into_owned();
            self.work.push(Work {
                id: line.id().unwrap().to_owned(),
                method: line.method().to_owned(),
                params: line.body().to_owned(),
                mark: marks(&text).first().copied(),
                token: progress_token(line.body()).map(str::to_owned),
                given_up: None,
                logs: has(LOG_LEVEL),
            });
        }
        if line.method() == "notifications/cancelled" {
            let id = find(line.body(), &["requestId"]).unwrap_or_default();
            let now = self.story.now;
            for work in self.work.iter_mut().filter(|work| work.id == id) {
                work.given_up.get_or_insert(now);
            }
        }
        Ok(())
    }

    /// An exchange is answered once, with the id that its client wrote.
    fn response(&mut self, client: ClientKey, exchange: ExchangeKey, line: Bytes) -> Held {
        let text = String::from_utf8_lossy(&line).into_owned();
        let asked = self.open.remove(&exchange);
        prop_assert!(asked.is_some(), "{exchange:?} was answered twice or never asked: {text}");
        let asked = asked.unwrap();
        prop_assert_eq!(asked.client, client);
        let line = Message::own(line);
        prop_assert!(line.is_ok(), "{text}");
        let line = line.unwrap();
        prop_assert_eq!(line.id(), Some(&*asked.id), "{}", text);
        prop_assert!(marks(&text).iter().all(|mark| asked.mark == Some(*mark)), "{asked:?} got {text}");
        let kind = find_string(line.body(), &["resultType"]);
        if self.clients[&client] == Era::Legacy {
            of_no_other_era(&text)?;
        } else if line.kind() == Kind::Result {
            prop_assert!(kind.is_some(), "{text}");
        }
        let state = find_string(line.body(), &["requestState"]).filter(|_| self.server == Era::Legacy);
        if let (Some(state), Some((principal, method)), Some(mark)) = (state, asked.again, asked.mark) {
            let questions = find(line.body(), &["inputRequests"]).unwrap_or("{}");
            let questions: BTreeMap<String, Value> = serde_json::from_str(questions).unwrap();
            let asks =
                questions.into_iter().map(|(key, ask)| (key, ask["method"].as_str().unwrap().to_owned()));
            self.parked.push(Parked { state, principal, method, mark, asks: asks.collect() });
        }
        Ok(())
    }

    /// What is told belongs to a request that is not over, and to nobody else's.
    fn told(&mut self, client: ClientKey, to: Addressee, line: &Bytes) -> Held {
        let text = String::from_utf8_lossy(line).into_owned();
        let era = self.clients.get(&client).copied();
        prop_assert!(era.is_some(), "who is gone was told {text}");
        let message = message(&text);
        let allowed = match to {
            Addressee::Exchange(exchange) => {
                let asked = self.open.get(&exchange);
                prop_assert!(
                    asked.is_some_and(|asked| asked.client == client),
                    "{exchange:?} is over: {text}"
                );
                asked.and_then(|asked| asked.mark)
            }
            Addressee::Announcement | Addressee::Anyone => None,
        };
        prop_assert!(marks(&text).iter().all(|mark| allowed == Some(*mark)), "{client:?} got {text}");
        if era == Some(Era::Legacy) {
            of_no_other_era(&text)?;
            if message.kind() == Kind::Request {
                self.questions.push((client, message.id().unwrap().to_owned()));
            }
        } else {
            prop_assert_eq!(message.kind(), Kind::Notification, "{}", text);
        }
        Ok(())
    }
}

/// What a legacy client must never see.
fn of_no_other_era(text: &str) -> Held {
    for key in ["resultType", "requestState", "inputRequests", "inputResponses", SUBSCRIPTION_ID] {
        prop_assert!(!text.contains(&format!("\"{key}\":")), "a legacy client got {text}");
    }
    prop_assert!(!text.contains("input_required"), "a legacy client got {text}");
    Ok(())
}

/// The marks in a text.
fn marks(text: &str) -> Vec<u64> {
    let parts = text.split("mark").skip(1);
    parts.filter_map(|part| part.split_once('.')?.0.parse().ok()).collect()
}

fn before(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!(",{members}") }
}
