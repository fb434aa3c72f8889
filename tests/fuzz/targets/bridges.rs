//! The protocol core: whatever clients and a server say, and whatever becomes of the server, every request that was
//! accepted gets exactly one response, with its own id.
//!
//! An input is a script, a line for each thing that happens: `0` and `1` what a legacy client says, `2` the request of a
//! new modern one, `<` what the server says, `x` it dies and is replaced, `t` time passes, `u` the server's answer cannot be
//! read, `g` a client is gone, `c` one gives its request up, `d` what lasts is to end. In what is said, `$ID` stands for the id of the oldest request that the server has not answered, `$NEW` for that of the newest, `$TOKEN` for
//! the newest progress token that it was told.

use super::choice::Choice;
use bytes::Bytes;
use mcp_switchboard::protocol::{
    Bridge, ClientKey, ExchangeKey, Guest, Input, LegacyLane, Member, ModernLane, Output, Principal, Rules,
    Secrets, Straight, may_ask,
};
use mcp_switchboard::wire::meta::progress_token;
use mcp_switchboard::wire::{Code, Kind, Message, Revision, RpcError};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What a legacy server says that it is.
const LEGACY: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"old","version":"1"}}"#;

/// What a modern server says that it is.
const MODERN: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}}}"#;

/// What its clients can be asked, where one at a time can be.
const CAPABILITIES: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}"#;

/// Legacy clients; others are modern, each with one request.
const OLD: [ClientKey; 2] = [ClientKey(0), ClientKey(1)];

/// More would only take longer.
const MOST_LINES: usize = 200;

/// The first line says which bridge it is: `s`, `l`, `b`, `m`; or whichever.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').take(MOST_LINES);
    let mut choice = Choice::of(data);
    let kind = match lines.next().and_then(|line| line.first()) {
        Some(kind @ (b's' | b'l' | b'b' | b'm')) => *kind,
        _ => choice.among(b"slbm"),
    };
    let mut story = Story::begin(kind);
    for line in lines {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        story.happens(line);
    }
    story.end();
}

/// A request that waits for its response.
struct Waiting {
    client: ClientKey,
    id: String,
    /// Its client has given it up, and may get none.
    given_up: bool,
}

struct Story {
    bridge: Bridge,
    /// What the server answers when it is greeted.
    greeting: &'static str,
    now: Instant,
    clients: u64,
    exchanges: u64,
    waiting: BTreeMap<ExchangeKey, Waiting>,
    gone: BTreeSet<ClientKey>,
    /// Ids of requests that the server has been written, and not answered.
    asked: VecDeque<String>,
    token: String,
    over: bool,
}

impl Story {
    fn begin(kind: u8) -> Self {
        let rules = Rules { timeout: Some(Duration::from_secs(3)), answer_cancelled: true };
        let mut minted = 0;
        let secrets = Secrets::new(move || {
            minted += 1;
            Some(format!("s{minted}").into())
        });
        let legacy = |capabilities: &str| {
            let capabilities: Map<String, Value> = serde_json::from_str(capabilities).expect("an object");
            LegacyLane::new(Revision::NEWEST_LEGACY, capabilities, true, 0xfeed, secrets, rules)
        };
        let (bridge, greeting) = match kind {
            b's' => (Bridge::Straight(Box::new(Straight::new(OLD[0], rules))), LEGACY),
            b'l' => (Bridge::Legacy(Box::new(legacy("{}"))), LEGACY),
            b'b' => (Bridge::Legacy(Box::new(legacy(CAPABILITIES))), LEGACY),
            _ => (Bridge::Modern(Box::new(ModernLane::new(0xfeed, "shop".into(), rules))), MODERN),
        };
        let mut story = Self {
            bridge,
            greeting,
            now: Instant::now(),
            clients: 2,
            exchanges: 0,
            waiting: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked: VecDeque::new(),
            token: "1".into(),
            over: false,
        };
        story.greet();
        // A process that can ask is for modern clients only, as the mount lets them in.
        if matches!(kind, b'l' | b'm') {
            for (client, revision) in OLD.into_iter().zip([Revision::V2025_11_25, Revision::V2024_11_05]) {
                let member = Member { revision: Some(revision), capabilities: Map::new(), reachable: true };
                story.bridge.join(client, Guest::Legacy(member));
            }
        } else if kind == b'b' {
            story.gone.extend(OLD);
        }
        story
    }

    /// One line of the script.
    fn happens(&mut self, line: &str) {
        let Some(letter) = line.chars().next().filter(|_| !self.over) else { return };
        let said = &line[letter.len_utf8()..];
        match letter {
            '0' => self.says(OLD[0], said),
            '1' => self.says(OLD[1], said),
            '2' => self.visits(said),
            '<' => self.server(said),
            'x' => {
                self.asked.clear();
                self.step(Input::Exited(RpcError::new(Code::ServerExited, "the server died")));
                self.greet();
            }
            't' => {
                let millis: u64 = said.trim().parse().unwrap_or(400);
                self.now += Duration::from_millis(millis.min(100_000));
                self.step(Input::Tick);
            }
            'u' => {
                let (id, error) = (self.asked.pop_front(), RpcError::new(Code::TooLarge, "too long"));
                self.step(Input::Unreadable { id: id.filter(|_| said.is_empty()).map(Into::into), error });
            }
            'g' => self.leaves(said),
            'c' => {
                // Only a modern request is given up by itself.
                let found = self.waiting.iter_mut().find(|(_, waiting)| !OLD.contains(&waiting.client));
                let Some((exchange, waiting)) = found else { return };
                waiting.given_up = true;
                let (client, exchange) = (waiting.client, *exchange);
                self.step(Input::Cancel { client, exchange });
            }
            'd' => self.step(Input::Drain),
            _ => {}
        }
    }

    fn says(&mut self, client: ClientKey, said: &str) {
        let is_one = matches!(self.bridge, Bridge::Straight(_)) && client != OLD[0];
        let Some(message) = self.message(said).filter(|_| !is_one && !self.gone.contains(&client)) else {
            return;
        };
        if message.kind() == Kind::Request {
            self.asks(client, message);
        } else {
            self.step(Input::Notice { client, message });
        }
    }

    /// A modern client comes with its one request.
    fn visits(&mut self, said: &str) {
        let Some(message) = self.message(said) else { return };
        let busy = self.bridge.is_interacting() || self.bridge.is_spoiled();
        if matches!(self.bridge, Bridge::Straight(_)) || (busy && may_ask(message.method())) {
            return;
        }
        let client = ClientKey(self.clients);
        self.clients += 1;
        let principal = ["me", "you"][usize::from(self.clients.is_multiple_of(3))];
        self.bridge.join(client, Guest::Modern(Principal::named(principal)));
        if message.kind() == Kind::Request {
            self.asks(client, message);
        } else {
            self.step(Input::Notice { client, message });
        }
    }

    fn asks(&mut self, client: ClientKey, message: Message) {
        let exchange = ExchangeKey(self.exchanges);
        self.exchanges += 1;
        let id = message.id().expect("a request has an id").to_owned();
        self.waiting.insert(exchange, Waiting { client, id, given_up: false });
        self.step(Input::Request { client, exchange, message });
    }

    fn server(&mut self, said: &str) {
        let Some(message) = self.message(said) else { return };
        if message.is_answer() {
            self.asked.retain(|id| message.id() != Some(id));
        }
        self.step(Input::Server(message));
    }

    fn leaves(&mut self, said: &str) {
        let client = match said {
            "0" | "1" if matches!(self.bridge, Bridge::Straight(_)) => return,
            "0" => OLD[0],
            "1" => OLD[1],
            _ => ClientKey(self.clients - 1),
        };
        if self.gone.insert(client) {
            self.waiting
                .values_mut()
                .filter(|waiting| waiting.client == client)
                .for_each(|one| one.given_up = true);
            self.step(Input::Gone(client));
        }
    }

    /// What is said, with what stands for something replaced.
    fn message(&self, said: &str) -> Option<Message> {
        let newest = self.asked.back().map_or("0", String::as_str);
        let oldest = self.asked.front().map_or("0", String::as_str);
        let text = said.replace("$ID", oldest).replace("$NEW", newest).replace("$TOKEN", &self.token);
        Message::parse(&Bytes::from(text), 64).ok()
    }

    /// A process stands ready, and answers what it hears first.
    fn greet(&mut self) {
        let mut out = Vec::new();
        self.bridge.greet(&mut out);
        let first = self.asked.len();
        self.look(out);
        if let Some(id) = self.asked.get(first).cloned() {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, self.greeting);
            self.server(&answer);
        }
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.bridge.handle(input, self.now, &mut out);
        self.look(out);
    }

    /// Holds what came out against what is promised.
    fn look(&mut self, out: Vec<Output>) {
        let mut failed = false;
        for output in out {
            match output {
                Output::ToServer(line) | Output::Request { line, .. } => self.written(&line),
                Output::Answer { client, exchange, message, .. } => self.answered(client, exchange, &message),
                Output::Forget { client, exchange } => {
                    let forgotten = self.waiting.remove(&exchange);
                    assert!(
                        forgotten.is_none_or(|waiting| waiting.client == client),
                        "another's exchange is forgotten"
                    );
                }
                Output::TurnedDown(turned_down) => {
                    self.answered(turned_down.client, turned_down.exchange, &turned_down.answer);
                }
                Output::ToClient { client, message, .. } => {
                    let message = Message::own(message).expect("a message is one");
                    assert!(!message.is_answer() || !self.gone.contains(&client), "{message:?}");
                }
                Output::Failed(_) => failed = true,
                Output::Opened(_)
                | Output::Resumed
                | Output::Parked(_)
                | Output::Unparked(_)
                | Output::Wake(_)
                | Output::Dropped(_) => {}
            }
        }
        // Then the session ends.
        if failed && !self.over {
            self.finish();
        }
    }

    fn written(&mut self, line: &Bytes) {
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "{line:?}");
        let message = Message::own(line.clone()).expect("what the server is written is a message");
        if message.kind() == Kind::Request {
            let id = message.id().expect("a request has an id").to_owned();
            // A client of its own may use the id of a request again that was given up.
            let is_own = matches!(self.bridge, Bridge::Straight(_));
            assert!(is_own || !self.asked.contains(&id), "{id} is in use at the server");
            self.asked.push_back(id);
        }
        if let Some(token) = progress_token(message.body()) {
            token.clone_into(&mut self.token);
        }
    }

    fn answered(&mut self, client: ClientKey, exchange: ExchangeKey, message: &Bytes) {
        let message = Message::own(message.clone()).expect("a response is a message");
        let waiting = self.waiting.remove(&exchange);
        let waiting =
            waiting.unwrap_or_else(|| panic!("{exchange:?} is answered, but does not wait: {message:?}"));
        assert!(message.is_answer(), "{message:?}");
        assert_eq!((client, message.id()), (waiting.client, Some(&*waiting.id)), "{message:?}");
    }

    fn finish(&mut self) {
        self.over = true;
        self.step(Input::Over(RpcError::new(Code::ShuttingDown, "the end")));
    }

    fn end(mut self) {
        if !self.over {
            self.finish();
        }
        let lost: Vec<_> = self.waiting.iter().filter(|(_, waiting)| !waiting.given_up).collect();
        let lost: Vec<_> = lost.iter().map(|(exchange, waiting)| (exchange, &waiting.id)).collect();
        assert!(lost.is_empty(), "never answered: {lost:?}");
    }
}
