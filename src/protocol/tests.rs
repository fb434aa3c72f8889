//! Telling stories of a lane: what goes in is written as text, what comes out is read as text.

mod crowd;
mod legacy_lane;
mod modern_lane;

use super::*;
use crate::wire::claim::{CLIENT_CAPABILITIES, CLIENT_INFO, PROTOCOL_VERSION};
use crate::wire::{Code, Kind};
use serde_json::{Map, Value};
use std::ops::Deref;

/// What a legacy server says that it is.
pub(super) const LEGACY: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"old","version":"1"}}"#;

/// What a modern server says that it is.
pub(super) const MODERN: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"instructions":"be kind"}"#;

/// A lane, its clock, and the clients and exchanges so far.
pub(super) struct Story {
    pub(super) bridge: Bridge,
    pub(super) now: Instant,
    pub(super) clients: u64,
    pub(super) exchange: u64,
}

/// What came out of one step, as text: `server< {…}` to the server, `1/2< {…}` to client 1 on exchange 2, `1< {…}` to
/// client 1 on its standalone stream, and the others in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said(pub(super) Vec<String>);

impl Story {
    /// A process of the legacy era that was told these capabilities and answered [`LEGACY`].
    pub(super) fn legacy(capabilities: &str) -> Self {
        Self::legacy_within(capabilities, None)
    }

    /// The same, where a request may take so long.
    pub(super) fn legacy_within(capabilities: &str, timeout: Option<Duration>) -> Self {
        Self::legacy_with(capabilities, secrets(), timeout, LEGACY)
    }

    /// One that says what it is.
    pub(super) fn legacy_that_is(opened: &str) -> Self {
        Self::legacy_with("{}", secrets(), None, opened)
    }

    /// One on a system without random numbers.
    pub(super) fn legacy_without_secrets(capabilities: &str) -> Self {
        Self::legacy_with(capabilities, Secrets::new(|| None), None, LEGACY)
    }

    fn legacy_with(capabilities: &str, secrets: Secrets, timeout: Option<Duration>, opened: &str) -> Self {
        let rules = Rules { timeout, answer_cancelled: true };
        let revision = Revision::NEWEST_LEGACY;
        let lane = LegacyLane::new(revision, object(capabilities), true, 0xfeed, secrets, rules);
        let mut story = Self::new(Bridge::Legacy(Box::new(lane)));
        story.greeted(opened);
        story
    }

    /// A process of the modern era that answered [`MODERN`].
    pub(super) fn modern() -> Self {
        Self::modern_that_is(MODERN, None)
    }

    /// One that says what it is, and where a request may take so long.
    pub(super) fn modern_that_is(discovered: &str, timeout: Option<Duration>) -> Self {
        let lane = ModernLane::new(0xfeed, "shop".into(), Rules { timeout, answer_cancelled: true });
        let mut story = Self::new(Bridge::Modern(Box::new(lane)));
        story.greeted(discovered);
        story
    }

    fn new(bridge: Bridge) -> Self {
        Self { bridge, now: Instant::now(), clients: 0, exchange: 0 }
    }

    /// A new process is spoken to, and answers.
    pub(super) fn greeted(&mut self, answer: &str) -> Said {
        let mut out = Vec::new();
        self.bridge.greet(&mut out);
        let id = Said(out.iter().map(show).collect()).sent_id();
        self.server(&result(&id, answer))
    }

    /// The process dies, and another takes its place; what was said at either.
    pub(super) fn restarted(&mut self, answer: &str) -> (Said, Said) {
        (self.step(exited()), self.greeted(answer))
    }

    /// A client that speaks 2026-07-28; it makes one request.
    pub(super) fn visitor(&mut self, principal: &str) -> ClientKey {
        self.clients += 1;
        let client = ClientKey(self.clients);
        self.bridge.join(client, Guest::Modern(Principal::named(principal)));
        client
    }

    /// A client that speaks a revision before it.
    pub(super) fn guest(&mut self, revision: Revision, capabilities: &str) -> ClientKey {
        self.clients += 1;
        let client = ClientKey(self.clients);
        let capabilities = object(capabilities);
        self.bridge
            .join(client, Guest::Legacy(Member { revision: Some(revision), capabilities, reachable: true }));
        client
    }

    pub(super) fn step(&mut self, input: Input) -> Said {
        let mut out = Vec::new();
        self.bridge.handle(input, self.now, &mut out);
        Said(out.iter().map(show).collect())
    }

    /// A client asks; its params are given as they are.
    pub(super) fn ask(&mut self, client: ClientKey, id: &str, method: &str, params: &str) -> Said {
        self.exchange += 1;
        let exchange = ExchangeKey(self.exchange);
        self.step(Input::Request { client, exchange, message: message(&request(id, method, params)) })
    }

    /// A new modern client asks: `members` of its params, and `meta` of its `_meta` beside the three that must be there.
    pub(super) fn visit(&mut self, id: &str, method: &str, members: &str, meta: &str) -> Said {
        self.visit_as("me", id, method, members, meta)
    }

    pub(super) fn visit_as(
        &mut self,
        principal: &str,
        id: &str,
        method: &str,
        members: &str,
        meta: &str,
    ) -> Said {
        let client = self.visitor(principal);
        self.ask(client, id, method, &claiming(members, meta))
    }

    /// The newest client is gone.
    pub(super) fn gone(&mut self) -> Said {
        self.step(Input::Gone(ClientKey(self.clients)))
    }

    pub(super) fn notify(&mut self, client: ClientKey, text: &str) -> Said {
        self.step(Input::Notice { client, message: message(text) })
    }

    pub(super) fn server(&mut self, text: &str) -> Said {
        self.step(Input::Server(message(text)))
    }

    /// Time passes.
    pub(super) fn later(&mut self, time: Duration) -> Said {
        self.now += time;
        self.step(Input::Tick)
    }

    pub(super) fn millis(&mut self, millis: u64) -> Said {
        self.later(Duration::from_millis(millis))
    }

    /// The place of the newest exchange, as [`Said`] shows it.
    pub(super) fn here(&self) -> String {
        format!("{}/{}<", self.clients, self.exchange)
    }
}

impl Said {
    /// What the server was written.
    pub(super) fn to_server(&self) -> Vec<&str> {
        self.0.iter().filter_map(|line| line.strip_prefix("server< ")).collect()
    }

    /// The id of the first request that the server was written.
    pub(super) fn sent_id(&self) -> String {
        let requests = self.to_server();
        let mut ids = requests.iter().map(|line| message(line)).filter(|line| line.kind() == Kind::Request);
        ids.next().unwrap_or_else(|| panic!("no request: {self:?}")).id().unwrap().to_owned()
    }

    /// The only line that was written to the server, as JSON.
    pub(super) fn sent(&self) -> Value {
        let lines = self.to_server();
        assert_eq!(lines.len(), 1, "{self:?}");
        serde_json::from_str(lines[0]).unwrap()
    }

    /// The only thing that was said to a client, as JSON.
    pub(super) fn told(&self) -> Value {
        let lines: Vec<_> =
            self.0.iter().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        serde_json::from_str(lines[0].split_once("< ").unwrap().1).unwrap()
    }

    /// The code of the error that the only client was told.
    pub(super) fn code(&self) -> i64 {
        self.told()["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// Whether one of the lines has all of these words.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.0.iter().any(|line| words.iter().all(|word| line.contains(word)))
    }
}

impl Deref for Said {
    type Target = Vec<String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Secrets that can be foreseen: s1, s2, ...
fn secrets() -> Secrets {
    let mut minted = 0;
    Secrets::new(move || {
        minted += 1;
        Some(format!("s{minted}").into())
    })
}

pub(super) fn message(text: &str) -> Message {
    Message::own(text.to_owned()).unwrap()
}

pub(super) fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

pub(super) fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

pub(super) fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#)
}

pub(super) fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

pub(super) fn error(id: &str, code: i64, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"no","data":{data}}}}}"#)
}

pub(super) fn exited() -> Input {
    Input::Exited(RpcError::new(Code::ServerExited, "the server died"))
}

pub(super) fn over() -> Input {
    Input::Over(RpcError::new(Code::ShuttingDown, "the end"))
}

/// The params of a modern request.
pub(super) fn claiming(members: &str, meta: &str) -> String {
    let claim = format!(
        r#""{PROTOCOL_VERSION}":"2026-07-28","{CLIENT_INFO}":{{"name":"c","version":"1"}},"{CLIENT_CAPABILITIES}":{{}}"#
    );
    let (members, meta) = (comma(members), comma(meta));
    format!(r#"{{{members}"_meta":{{{meta}{claim}}}}}"#)
}

fn comma(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!("{members},") }
}

pub(super) fn show(output: &Output) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    match output {
        Output::ToServer(line) | Output::Request { line, .. } => format!("server< {}", text(line)),
        Output::Answer { client, exchange, message, .. }
        | Output::ToClient { client, to: Addressee::Exchange(exchange), message, .. } => {
            format!("{}/{}< {}", client.0, exchange.0, text(message))
        }
        Output::ToClient { client, message, .. } => format!("{}< {}", client.0, text(message)),
        Output::Forget { client, exchange } => format!("forget {}/{}", client.0, exchange.0),
        Output::Parked(state) => format!("parked {state}"),
        Output::Unparked(state) => format!("unparked {state}"),
        Output::Opened(_) => "opened".to_owned(),
        Output::Resumed => "resumed".to_owned(),
        Output::Wake(_) => "wake".to_owned(),
        other => format!("{other:?}"),
    }
}
