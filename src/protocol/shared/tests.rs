use super::super::{Addressee, CANCELLED_GRACE};
use super::*;
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::time::Duration;

const A: ClientKey = ClientKey(1);
const B: ClientKey = ClientKey(2);
const RESULT: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"logging":{}}}"#;

/// A bridge, its clock, and what the server was last written.
struct Story {
    bridge: Shared,
    now: Instant,
    exchange: u64,
}

impl Story {
    /// An open process with the clients A and B, both of which can be asked for a sample.
    fn open() -> Self {
        let rules = Rules { timeout: None, answer_cancelled: true };
        let bridge = Shared::new(Revision::V2025_06_18, "{}".into(), 0xfeed, rules);
        let mut story = Self { bridge, now: Instant::now(), exchange: 0 };
        let mut out = Vec::new();
        story.bridge.open(&mut out);
        assert_eq!(story.server(&result("1", RESULT)).last().unwrap(), "opened 2025-06-18");
        let capabilities = Map::from_iter([("sampling".to_owned(), json!({}))]);
        for client in [A, B] {
            let revision = Some(Revision::V2025_03_26).filter(|_| client == A);
            let member = Member { revision, capabilities: capabilities.clone(), reachable: true };
            story.bridge.join(client, member);
        }
        story
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.bridge.handle(input, self.now, &mut out);
        out.iter().map(show).collect()
    }

    fn ask(&mut self, client: ClientKey, id: &str, method: &str, params: &str) -> Vec<String> {
        self.exchange += 1;
        let exchange = ExchangeKey(self.exchange);
        let message = message(&request(id, method, params));
        self.step(Input::Request { client, exchange, message })
    }

    /// Asks, and tells the id that the server knows the request by.
    fn call(&mut self, client: ClientKey, id: &str) -> String {
        let out = self.ask(client, id, "tools/call", "{}");
        sent_id(&out[0])
    }

    fn notify(&mut self, client: ClientKey, text: &str) -> Vec<String> {
        self.step(Input::Notice { client, message: message(text) })
    }

    fn server(&mut self, text: &str) -> Vec<String> {
        self.step(Input::Server(message(text)))
    }
}

fn message(text: &str) -> Message {
    Message::own(text.to_owned()).unwrap()
}

fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#)
}

fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn sent_id(shown: &str) -> String {
    let line = shown.strip_prefix("server< ").unwrap_or_else(|| panic!("not for the server: {shown}"));
    message(line).id().unwrap().to_owned()
}

fn show(output: &Output) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    match output {
        Output::ToServer(line) | Output::Request { line, .. } => format!("server< {}", text(line)),
        Output::Answer { client, exchange, message, .. }
        | Output::ToClient { client, to: Addressee::Exchange(exchange), message, .. } => {
            format!("{}/{}< {}", client.0, exchange.0, text(message))
        }
        Output::ToClient { client, message, .. } => format!("{}< {}", client.0, text(message)),
        Output::Opened(opened) => format!("opened {}", opened.version()),
        other => format!("{other:?}"),
    }
}

#[test]
fn ids_of_all_clients_are_restored_to_the_letter() {
    let mut story = Story::open();
    let mut known = Vec::new();
    for id in ["1", "\"1\"", "1.0", "\"\\u0031\""] {
        for client in [A, B] {
            let server_id = story.call(client, id);
            known.push((server_id, format!("{}/{}< {}", client.0, story.exchange, result(id, "{}"))));
        }
    }
    let different: BTreeSet<_> = known.iter().map(|(id, _)| id).collect();
    assert_eq!(different.len(), known.len());
    for (server_id, answer) in known.into_iter().rev() {
        assert_eq!(story.server(&result(&server_id, "{}")), [answer]);
    }
    assert_eq!(story.server(&result("3", "{}")), ["Dropped(UnknownAnswer)"]);
}

#[test]
fn a_client_uses_an_id_once_at_a_time() {
    let mut story = Story::open();
    story.call(A, "1");
    assert!(story.ask(A, "1", "tools/call", "{}")[0].contains(r#"1/2< {"jsonrpc":"2.0","id":1,"error""#));
    assert!(story.ask(B, "1", "tools/call", "{}")[0].starts_with("server<"));
}

#[test]
fn progress_goes_to_its_own_exchange_with_its_own_token() {
    let mut story = Story::open();
    let table = [
        (A, r#"{"_meta":{"progressToken":7}}"#, "7"),
        (B, r#"{"_meta":{"progressToken":7}}"#, "7"),
        (A, r#"{"_meta":{"progress\u0054oken":"\u0061"}}"#, r#""\u0061""#),
        (B, r#"{"_meta":{"progressToken":1,"progressToken":2.0}}"#, "2.0"),
    ];
    let mut known = Vec::new();
    for (n, (client, params, token)) in table.into_iter().enumerate() {
        let sent = story.ask(client, &n.to_string(), "tools/call", params).remove(0);
        let sent = message(sent.strip_prefix("server< ").unwrap());
        known.push((client, story.exchange, progress_token(sent.body()).unwrap().to_owned(), token));
    }
    for (client, exchange, minted, token) in known {
        let told =
            |token: &str| notification("progress", &format!(r#"{{"progress":1,"progressToken":{token}}}"#));
        assert_eq!(story.server(&told(&minted)), [format!("{}/{exchange}< {}", client.0, told(token))]);
        // As a client wrote it, it is nobody's.
        assert_eq!(story.server(&told(token)), ["Dropped(Unattributable)"]);
    }
}

#[test]
fn a_question_goes_to_the_only_request_in_flight_whose_client_can_answer_it() {
    let mut story = Story::open();
    let sample = request("1", "sampling/createMessage", "{}");
    let refused =
        |out: Vec<String>| assert!(out[0].starts_with("server<") && out[0].contains("-32601"), "{out:?}");
    refused(story.server(&sample));
    let first = story.call(A, "1");
    refused(story.server(&request("2", "elicitation/create", "{}")));
    assert_eq!(story.server(&sample), [format!("1/1< {sample}")]);
    story.call(B, "1");
    refused(story.server(&request("3", "sampling/createMessage", "{}")));

    let answer = result("1", r#"{"role":"user"}"#);
    assert_eq!(story.notify(B, &answer), ["Dropped(UnknownQuestion)"]);
    assert_eq!(story.notify(A, &answer), [format!("server< {answer}")]);
    assert_eq!(story.notify(A, &answer), ["Dropped(UnknownQuestion)"]);
    story.server(&result(&first, "{}"));
    assert!(story.server(&sample)[0].starts_with("2/2<"));
    assert_eq!(story.server(&request("9", "ping", "{}")), [format!("server< {}", result("9", "{}"))]);
}

#[test]
fn a_question_ends_with_the_request_that_it_belonged_to() {
    let mut story = Story::open();
    let first = story.call(A, "1");
    for n in 0..100 {
        let id = story.call(A, "\"again\"");
        let _ = story.notify(A, &notification("cancelled", r#"{"requestId":1}"#));
        story.now += CANCELLED_GRACE;
        story.step(Input::Tick);
        let out = story.server(&request(&n.to_string(), "sampling/createMessage", "{}"));
        assert!(out[0].starts_with("1/"), "{n}: {out:?}");
        let _ = story.notify(A, &notification("cancelled", r#"{"requestId":"again"}"#));
        story.now += CANCELLED_GRACE;
        let out = story.step(Input::Tick);
        assert!(out[0].contains("-32800"), "{out:?}");
        assert!(out[1].starts_with("server<") && out[1].contains(&format!(r#""id":{n},"error""#)), "{out:?}");
        assert_ne!(id, first);
    }
}

#[test]
fn only_the_servers_own_cancellation_withdraws_a_question_and_only_who_was_asked_hears_of_it() {
    let mut story = Story::open();
    story.call(A, "1");
    story.server(&request("5", "sampling/createMessage", "{}"));
    let vendor = notification("vendor", r#"{"requestId":5}"#);
    assert_eq!(story.server(&vendor), [format!("1/1< {vendor}")]);
    story.call(B, "1");
    let withdrawn = notification("cancelled", r#"{"requestId":5}"#);
    assert_eq!(story.server(&withdrawn), [format!("1/1< {withdrawn}")]);
    assert_eq!(story.server(&withdrawn), ["Dropped(Unattributable)"]);
    assert_eq!(story.notify(A, &result("5", "{}")), ["Dropped(UnknownQuestion)"]);
}

#[test]
fn what_changed_is_told_to_all_and_what_was_updated_to_its_subscribers() {
    let mut story = Story::open();
    let id = sent_id(&story.ask(A, "1", "resources/subscribe", r#"{"uri":"a:\u0062"}"#)[0]);
    story.server(&result(&id, "{}"));
    // Who has not been answered yet expects no news.
    let changed = notification("tools/list_changed", "{}");
    assert_eq!(story.server(&changed), [format!("1< {changed}")]);
    story.ask(B, "\"hello\"", "initialize", "{}");
    assert_eq!(story.server(&changed), [format!("1< {changed}"), format!("2< {changed}")]);
    let updated = notification("resources/updated", r#"{"uri":"a:b"}"#);
    assert_eq!(story.server(&updated), [format!("1< {updated}")]);
    assert!(story.server(&notification("resources/updated", r#"{"uri":"a:c"}"#)).is_empty());
    let long = notification("resources/updated", &format!(r#"{{"uri":"a:{}"}}"#, "x".repeat(10_000)));
    assert_eq!(story.server(&long), ["Dropped(Unattributable)"]);
}

#[test]
fn the_server_is_unsubscribed_only_when_the_last_client_leaves() {
    let mut story = Story::open();
    let uri = r#"{"uri":"a:b"}"#;
    let first = sent_id(&story.ask(A, "1", "resources/subscribe", uri)[0]);
    story.server(&result(&first, "{}"));
    let second = sent_id(&story.ask(B, "1", "resources/subscribe", uri)[0]);
    // B's subscription is on its way to the server: one that follows it must not undo it.
    assert_eq!(story.ask(A, "2", "resources/unsubscribe", uri), [format!("1/3< {}", result("2", "{}"))]);
    story.server(&result(&second, "{}"));
    let updated = notification("resources/updated", uri);
    assert_eq!(story.server(&updated), [format!("2< {updated}")]);
    assert!(story.ask(B, "2", "resources/unsubscribe", uri)[0].starts_with("server<"));
}

#[test]
fn the_level_is_the_most_verbose_asked_for_and_each_client_gets_what_it_asked_for() {
    let mut story = Story::open();
    let set = |story: &mut Story, client, id: &str, level: &str| {
        story.ask(client, id, "logging/setLevel", &format!(r#"{{"level":"{level}"}}"#)).remove(0)
    };
    let asked = set(&mut story, A, "1", "error");
    assert!(asked.ends_with(r#""params":{"level":"error"}}"#), "{asked}");
    story.server(&result(&sent_id(&asked), "{}"));
    let asked = set(&mut story, B, "1", "debug");
    assert!(asked.ends_with(r#""params":{"level":"debug"}}"#), "{asked}");
    story.server(&result(&sent_id(&asked), "{}"));
    assert_eq!(set(&mut story, A, "2", "warning"), format!("1/3< {}", result("2", "{}")));
    assert!(set(&mut story, A, "3", "loud").contains("-32602"));

    let line = |level: &str| notification("message", &format!(r#"{{"level":"{level}","data":1}}"#));
    let call = story.call(A, "4");
    assert!(story.server(&line("info")).is_empty());
    assert_eq!(story.server(&line("error")), [format!("1/5< {}", line("error"))]);
    story.server(&result(&call, "{}"));
    assert_eq!(story.server(&line("error")), ["Dropped(Unattributable)"]);
    story.call(B, "4");
    assert_eq!(story.server(&line("debug")), [format!("2/6< {}", line("debug"))]);
}

#[test]
fn a_level_that_the_server_refuses_is_refused_to_the_next_client_too() {
    let mut story = Story::open();
    for client in [A, B] {
        let id = sent_id(&story.ask(client, "1", "logging/setLevel", r#"{"level":"info"}"#)[0]);
        let out = story
            .server(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no"}}}}"#));
        assert!(out[0].contains(r#""id":1,"error""#), "{out:?}");
    }
}

#[test]
fn a_client_cancels_its_own_request_and_no_other() {
    let mut story = Story::open();
    let (first, second) = (story.call(A, "1"), story.call(B, "1"));
    let foreign = notification("cancelled", &format!(r#"{{"requestId":{second}}}"#));
    assert!(story.notify(A, &foreign).is_empty());
    let twice = notification("cancelled", &format!(r#"{{"requestId":{second},"reason":"r","requestId":1}}"#));
    let own = notification("cancelled", &format!(r#"{{"requestId":{first},"reason":"r"}}"#));
    assert_eq!(story.notify(A, &twice), [format!("server< {own}")]);
    // The server may still work on it: what it says now may be about either.
    assert_eq!(story.server(&notification("message", r#"{"data":1}"#)), ["Dropped(Unattributable)"]);
    story.now += CANCELLED_GRACE;
    let out = story.step(Input::Tick);
    assert!(out.len() == 1 && out[0].starts_with("1/1<") && out[0].contains("-32800"), "{out:?}");
    assert!(story.server(&notification("message", r#"{"data":1}"#))[0].starts_with("2/2<"));
}

#[test]
fn what_a_client_leaves_behind_is_cleaned_up() {
    let mut story = Story::open();
    for (n, uri) in ["a:1", "a:2"].into_iter().enumerate() {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        let id = sent_id(&story.ask(A, &n.to_string(), "resources/subscribe", &params)[0]);
        story.server(&result(&id, "{}"));
    }
    let id = sent_id(&story.ask(B, "1", "resources/subscribe", r#"{"uri":"a:2"}"#)[0]);
    story.server(&result(&id, "{}"));
    let call = story.call(A, "7");
    story.server(&request("5", "sampling/createMessage", "{}"));
    let out = story.step(Input::Gone(A));
    assert!(out[0].contains(&format!(r#"cancelled","params":{{"requestId":{call},"#)), "{out:?}");
    assert!(out[1].starts_with(r#"1/4< {"jsonrpc":"2.0","id":7,"error":{"code":-32800"#), "{out:?}");
    assert!(out[2].ends_with(r#""method":"resources/unsubscribe","params":{"uri":"a:1"}}"#), "{out:?}");
    assert!(out[3].starts_with(r#"server< {"jsonrpc":"2.0","id":5,"error""#), "{out:?}");
    assert_eq!((out.len(), story.bridge.in_flight()), (4, 0));
    assert!(story.step(Input::Gone(A)).is_empty());
}

#[test]
fn a_new_process_is_told_what_all_clients_wish_and_they_hear_of_it() {
    let mut story = Story::open();
    story.ask(A, "1", "logging/setLevel", r#"{"level":"error"}"#);
    let id = sent_id(&story.ask(B, "1", "resources/subscribe", r#"{"uri":"a:b"}"#)[0]);
    story.server(&result(&id, "{}"));
    let out = story.step(Input::Exited(RpcError::new(Code::ServerExited, "gone")));
    assert!(out.len() == 1 && out[0].contains(r#""id":1,"error":{"code":-31002"#), "{out:?}");
    let mut out = Vec::new();
    story.bridge.open(&mut out);
    let out = story.server(&result(&sent_id(&show(&out[0])), RESULT));
    let expected = [
        ("server<", "notifications/initialized"),
        ("server<", r#""level":"error""#),
        ("server<", r#""method":"resources/subscribe","params":{"uri":"a:b"}"#),
        ("Resumed", ""),
        ("1<", "tools/list_changed"),
        ("2<", "tools/list_changed"),
        ("2<", r#""level":"warning""#),
    ];
    assert_eq!(out.len(), expected.len(), "{out:?}");
    for (line, (to, what)) in out.iter().zip(expected) {
        assert!(line.starts_with(to) && line.contains(what), "{line}");
    }
}

#[test]
fn a_server_that_dies_has_not_answered_one_request_before_another() {
    let mut story = Story::open();
    for id in 1..=20 {
        story.call(A, &id.to_string());
    }
    story.step(Input::Exited(RpcError::new(Code::ServerExited, "gone")));
    let mut out = Vec::new();
    story.bridge.open(&mut out);
    story.server(&result(&sent_id(&show(&out[0])), RESULT));
    story.call(A, "21");
    let later = Instant::now() + std::time::Duration::from_secs(1);
    assert!(story.bridge.load(later).stuck, "it may still do one thing at a time");
}

#[test]
fn what_a_lost_server_never_heard_is_said_to_the_next_one() {
    let mut story = Story::open();
    let sent = story.ask(A, "1", "tools/call", "{}");
    story.call(B, "1");
    let line = sent[0].split_once('{').map(|(_, rest)| format!("{{{rest}")).expect("a request");
    story.step(Input::Unheard(line.clone().into()));
    let out = story.step(Input::Exited(RpcError::new(Code::ServerExited, "gone")));
    assert!(out.len() == 1 && out[0].starts_with("2/2<") && out[0].contains("-31002"), "{out:?}");
    let mut out = Vec::new();
    story.bridge.open(&mut out);
    let out = story.server(&result(&sent_id(&show(&out[0])), RESULT));
    let again: Vec<_> = out.iter().filter(|said| said.ends_with(&line)).collect();
    assert_eq!(again.len(), 1, "{out:?}");
    assert_eq!(story.bridge.in_flight(), 1);
}

#[test]
fn a_request_that_was_not_sent_is_answered_so() {
    let mut story = Story::open();
    story.call(A, "1");
    story.call(B, "1");
    let out = story.step(Input::Unsent(ExchangeKey(2)));
    assert!(
        out.len() == 1 && out[0].starts_with(r#"2/2< {"jsonrpc":"2.0","id":1,"error":{"code":-31004"#),
        "{out:?}"
    );
}

#[test]
fn initialize_is_answered_from_the_handshake_with_the_clients_own_revision() {
    let mut story = Story::open();
    let own = RESULT.replace("2025-06-18", "2025-03-26");
    assert_eq!(story.ask(A, "1.0", "initialize", "{}"), [format!("1/1< {}", result("1.0", &own))]);
    assert_eq!(story.ask(B, "\"x\"", "initialize", "{}"), [format!("2/2< {}", result("\"x\"", RESULT))]);
    assert!(story.notify(A, &notification("initialized", "{}")).is_empty());
}

/// A request that the server works on: whose it is, and its id and token as the server got them.
#[derive(Clone)]
struct Work {
    owner: u64,
    id: String,
    token: String,
}

proptest! {
    /// Whatever many clients do in whatever order, each exchange is answered once, and nothing that one client wrote,
    /// nor what the server says while it works for it, reaches another.
    #[test]
    fn every_exchange_is_answered_once_and_nothing_crosses(
        events in proptest::collection::vec((0u8..8, 1u64..4, 0usize..4), 1..80),
    ) {
        let mut story = Story::open();
        let member = story.bridge.members.member(A).unwrap().clone();
        story.bridge.join(ClientKey(3), member);
        let (mut work, mut asked, mut answered) = (Vec::<Work>::new(), Vec::new(), Vec::new());
        for (what, client, n) in events {
            let (owner, mark) = (ClientKey(client), format!("mark{client}"));
            let picked = (!work.is_empty()).then(|| work[(n + usize::from(what)) % work.len().max(1)].clone());
            story.now += Duration::from_millis(200);
            let input = match (what, picked) {
                (0 | 1, _) => {
                    story.exchange += 1;
                    asked.push(story.exchange);
                    let params = format!(r#"{{"{mark}":1,"_meta":{{"progressToken":"{mark}.{n}"}}}}"#);
                    let message = message(&request(&format!("\"{mark}.{n}\""), "tools/call", &params));
                    Input::Request { client: owner, exchange: ExchangeKey(story.exchange), message }
                }
                (2, _) => Input::Notice {
                    client: owner,
                    message: message(&notification("cancelled", &format!(r#"{{"requestId":"{mark}.{n}"}}"#))),
                },
                (3, _) => Input::Notice { client: owner, message: message(&result(&n.to_string(), "{}")) },
                (4, Some(Work { owner, id, .. })) => {
                    Input::Server(message(&result(&id, &format!(r#"{{"by":"mark{owner}"}}"#))))
                }
                (5, Some(Work { owner, token, .. })) => {
                    let params = format!(r#"{{"progressToken":{token},"message":"mark{owner}"}}"#);
                    Input::Server(message(&notification("progress", &params)))
                }
                (6, Some(Work { owner, .. })) => {
                    Input::Server(message(&notification("message", &format!(r#"{{"data":"mark{owner}"}}"#))))
                }
                (7, Some(Work { owner, .. })) => {
                    let params = format!(r#"{{"of":"mark{owner}"}}"#);
                    Input::Server(message(&request(&n.to_string(), "sampling/createMessage", &params)))
                }
                _ => Input::Tick,
            };
            for input in [input, Input::Tick] {
                perform(&mut story, input, &mut work, &mut answered)?;
            }
        }
        for input in [Input::Gone(A), Input::Exited(RpcError::new(Code::ServerExited, "gone"))] {
            perform(&mut story, input, &mut work, &mut answered)?;
        }
        answered.sort_unstable();
        prop_assert_eq!(answered, asked);
    }
}

/// Lets the bridge take `input`, and plays the server: it works on what it gets until that has ended.
fn perform(
    story: &mut Story,
    input: Input,
    work: &mut Vec<Work>,
    answered: &mut Vec<u64>,
) -> Result<(), TestCaseError> {
    let asker = if let Input::Request { client, .. } = &input { Some(client.0) } else { None };
    let mut out = Vec::new();
    story.bridge.handle(input, story.now, &mut out);
    for output in &out {
        if let Output::Request { line, .. } = output {
            let sent = Message::own(line.clone()).unwrap();
            let token = progress_token(sent.body()).unwrap().to_owned();
            work.push(Work { owner: asker.unwrap(), id: sent.id().unwrap().to_owned(), token });
        }
        if let Output::Answer { exchange, .. } = output {
            answered.push(exchange.0);
        }
        if let Output::Answer { client, message, .. } | Output::ToClient { client, message, .. } = output {
            let text = String::from_utf8_lossy(message);
            for other in (1..4).filter(|other| *other != client.0) {
                prop_assert!(!text.contains(&format!("mark{other}")), "{} got {text}", client.0);
            }
        }
    }
    work.retain(|work| story.bridge.inflight.contains(&work.id));
    Ok(())
}
