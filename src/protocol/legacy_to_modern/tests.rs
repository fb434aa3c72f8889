//! What a legacy client gets of a modern server: the handshake, requests, results, errors.

mod ask;
mod listen;

use super::super::tests::*;
use crate::protocol::{ClientKey, ExchangeKey, Guest, Input, Member};
use crate::wire::claim::{
    CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION, SERVER_INFO, SUBSCRIPTION_ID,
};
use crate::wire::meta::progress_token;
use crate::wire::{Code, Revision, RpcError};
use serde_json::{Value, json};
use std::time::Duration;

/// Capabilities of a client that can be asked everything.
const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},"sampling":{}}"#;

const A: ClientKey = ClientKey(1);

fn initialize(version: &str, capabilities: &str) -> String {
    format!(
        r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":"me","version":"2"}}}}"#
    )
}

/// A lane whose first client, A, has made the handshake of 2025-11-25.
fn opened() -> Story {
    opened_with(ALL, "2025-11-25")
}

fn opened_with(capabilities: &str, version: &str) -> Story {
    shaken(Story::modern(), capabilities, version)
}

/// The same, on a lane that is there.
fn shaken(mut story: Story, capabilities: &str, version: &str) -> Story {
    let client = story.guest(Revision::V2025_11_25, "{}");
    let said = story.ask(client, "0", "initialize", &initialize(version, capabilities));
    assert_eq!(said.told()["id"], 0);
    story
}

/// A calls a tool; the id that the server knows the call by.
fn call(story: &mut Story, id: &str) -> String {
    story.ask(A, id, "tools/call", r#"{"name":"t"}"#).sent_id()
}

#[test]
fn initialize_is_answered_from_discover_in_the_clients_own_revision() {
    for (asked, told) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("x", "2025-11-25"),
    ] {
        let mut story = Story::modern();
        let client = story.guest(Revision::V2024_11_05, "{}");
        let said = story.ask(client, "\"i\"", "initialize", &initialize(asked, "{}"));
        let expected = json!({
            "protocolVersion": told,
            "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "logging": {} },
            "serverInfo": { "name": "shop", "version": "unknown" },
            "instructions": "be kind",
        });
        assert_eq!((&said.told()["id"], &said.told()["result"], said.len()), (&json!("i"), &expected, 1));
        assert_eq!(story.bridge.revision(client).unwrap().as_str(), told);
    }
}

#[test]
fn the_server_is_called_what_it_calls_itself_and_its_tasks_are_not_offered() {
    let info = format!(r#"{{"_meta":{{"{SERVER_INFO}":{{"name":"new","version":"1.0"}}}},"#);
    let tasks = r#""extensions":{"io.modelcontextprotocol/tasks":{},"v/x":{}},"logging":{}"#;
    let discovered = MODERN.replacen('{', &info, 1).replace(r#""logging":{}"#, tasks);
    let mut story = Story::modern_that_is(&discovered, None);
    let client = story.guest(Revision::V2025_11_25, "{}");
    let told = story.ask(client, "1", "initialize", &initialize("2025-11-25", "{}")).told();
    assert_eq!(told["result"]["serverInfo"], json!({ "name": "new", "version": "1.0" }));
    assert_eq!(told["result"]["capabilities"]["extensions"], json!({ "v/x": {} }));
}

#[test]
fn what_a_client_says_once_is_stamped_on_every_request() {
    let capabilities = r#"{"elicitation":{},"roots":{"listChanged":true},"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{},"v/x":{}}}"#;
    let mut story = opened_with(capabilities, "2025-06-18");
    for method in ["tools/list", "tools/call", "resources/read", "completion/complete", "vendor/method"] {
        let sent = story.ask(A, "1", method, r#"{"name":"t","task":{},"_meta":{"vendor/x":1.0}}"#).sent();
        let meta = json!({
            "vendor/x": 1.0,
            PROTOCOL_VERSION: "2026-07-28",
            CLIENT_INFO: { "name": "me", "version": "2" },
            CLIENT_CAPABILITIES: { "elicitation": {}, "roots": {}, "extensions": { "v/x": {} } },
            LOG_LEVEL: "info",
        });
        assert_eq!(sent["params"], json!({ "name": "t", "_meta": meta }), "{method}");
        story.server(&result(&sent["id"].to_string(), "{}"));
    }
    story.exchange += 1;
    let bare = message(r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#);
    let sent =
        story.step(Input::Request { client: A, exchange: ExchangeKey(story.exchange), message: bare }).sent();
    assert_eq!(sent["params"]["_meta"][PROTOCOL_VERSION], "2026-07-28");
}

#[test]
fn a_client_that_cannot_be_asked_declares_nothing() {
    let mut story = Story::modern();
    let member = Member { revision: None, capabilities: object(ALL), reachable: false };
    story.clients = 1;
    story.bridge.join(A, Guest::Legacy(member));
    let sent = story.ask(A, "1", "tools/call", "{}").sent();
    assert_eq!(sent["params"]["_meta"][CLIENT_CAPABILITIES], json!({}));
    assert!(story.notify(A, &notification("initialized", "{}")).is_empty(), "it cannot be told of changes");
}

#[test]
fn the_level_of_a_client_is_stamped_and_not_told() {
    let mut story = opened();
    let said = story.ask(A, "1", "logging/setLevel", r#"{"level":"error"}"#);
    assert_eq!(*said, [format!("1/2< {}", result("1", "{}"))]);
    assert_eq!(story.ask(A, "2", "logging/setLevel", r#"{"level":"loud"}"#).code(), -32602);
    assert_eq!(story.ask(A, "3", "tools/list", "{}").sent()["params"]["_meta"][LOG_LEVEL], "error");
    let silent = Story::modern_that_is(&MODERN.replace(r#","logging":{}"#, ""), None);
    let mut story = shaken(silent, "{}", "2025-11-25");
    assert_eq!(story.ask(A, "1", "logging/setLevel", r#"{"level":"error"}"#).code(), -32601);
}

#[test]
fn a_ping_is_answered_here() {
    let mut story = opened();
    assert_eq!(*story.ask(A, "1.0", "ping", "{}"), [format!("1/2< {}", result("1.0", "{}"))]);
}

#[test]
fn methods_of_the_modern_era_are_none_of_the_legacy_one() {
    let mut story = opened();
    for method in ["server/discover", "subscriptions/listen"] {
        let said = story.ask(A, "1", method, r#"{"notifications":{}}"#);
        assert_eq!((said.code(), said.len()), (-32601, 1));
    }
}

#[test]
fn ids_and_tokens_are_restored_to_the_letter_whoever_else_uses_them() {
    let mut story = opened();
    story.guest(Revision::V2025_11_25, "{}");
    let told =
        |token: &str| notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#));
    let mut known = Vec::new();
    for id in ["1", "\"1\"", "1.0"] {
        for client in [1, 2] {
            let params = format!(r#"{{"_meta":{{"progressToken":{id}}}}}"#);
            let said = story.ask(ClientKey(client), id, "tools/call", &params);
            let line = message(said.to_server()[0]);
            let token = progress_token(line.body()).unwrap().to_owned();
            known.push((said.sent_id(), token, format!("{client}/{}<", story.exchange), id));
        }
    }
    for (server_id, token, here, id) in known {
        assert_eq!(*story.server(&told(&token)), [format!("{here} {}", told(id))]);
        let said = story.server(&result(&server_id, r#"{"resultType":"complete","content":[]}"#));
        assert_eq!(*said, [format!("{here} {}", result(id, r#"{"content":[]}"#))]);
        assert_eq!(*story.server(&told(&token)), ["Dropped(Unattributable)"]);
    }
}

#[test]
fn log_lines_come_on_the_stream_of_the_call() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let line = notification("message", r#"{"level":"info","data":1}"#);
    assert_eq!(*story.server(&line), [format!("1/2< {line}")]);
    let debug = notification("message", r#"{"level":"debug","data":1}"#);
    assert_eq!(*story.server(&debug), ["Dropped(Unattributable)"], "it was not asked for");
    story.server(&result(&id, "{}"));
    assert_eq!(*story.server(&line), ["Dropped(Unattributable)"]);
}

#[test]
fn a_result_is_as_the_clients_revision_has_it() {
    let content = r#"{"resultType":"complete","content":[{"type":"audio","data":""},{"type":"resource_link","uri":"x://y"}],"structuredContent":[1]}"#;
    for (version, kinds) in [
        ("2024-11-05", ["text", "text"]),
        ("2025-03-26", ["audio", "text"]),
        ("2025-06-18", ["audio", "resource_link"]),
    ] {
        let mut story = opened_with("{}", version);
        let id = call(&mut story, "1");
        let told = story.server(&result(&id, content)).told();
        let blocks = told["result"]["content"].as_array().unwrap();
        assert_eq!([&blocks[0]["type"], &blocks[1]["type"]], kinds, "{version}");
        assert!(
            told["result"].get("structuredContent").is_none() && told["result"].get("resultType").is_none()
        );
    }
    let mut story = opened();
    let id = story.ask(A, "1", "tools/list", "{}").sent_id();
    let tools = r#"{"resultType":"complete","ttlMs":1,"cacheScope":"public","tools":[{"name":"a","outputSchema":{"type":"array"}}],"nextCursor":""}"#;
    let told = story.server(&result(&id, tools)).told();
    assert_eq!(told["result"], json!({ "tools": [{ "name": "a" }], "nextCursor": "" }));
}

#[test]
fn a_result_of_a_type_that_nobody_here_knows_is_never_passed_on() {
    for kind in ["\"task\"", "\"x\"", "7", "null", "{}"] {
        let mut story = opened();
        let id = call(&mut story, "1");
        let said = story.server(&result(&id, &format!(r#"{{"resultType":{kind},"secret":1}}"#)));
        assert_eq!(said.code(), -31006, "{kind}");
        assert!(!said[0].contains("secret"));
    }
}

#[test]
fn a_tool_that_runs_only_as_a_task_says_what_to_do() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let required = r#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
    let told = story.server(&error(&id, -32021, required)).told();
    let said = told["error"]["message"].as_str().unwrap();
    assert_eq!(told["error"]["code"], -31006);
    assert!(said.contains(r#"the tool "t""#) && said.contains("2026-07-28"), "{said}");
}

#[test]
fn a_capability_that_the_client_lacks_is_named_in_the_way_of_the_method() {
    let required = r#"{"requiredCapabilities":{"sampling":{}}}"#;
    let mut story = opened_with("{}", "2025-11-25");
    let id = call(&mut story, "1");
    let told = story.server(&error(&id, -32021, required)).told();
    assert_eq!(told["result"]["isError"], true);
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("sampling"));
    for method in ["prompts/get", "resources/read"] {
        let id = story.ask(A, "2", method, "{}").sent_id();
        let told = story.server(&error(&id, -32021, required)).told();
        assert_eq!(told["error"]["code"], -32603, "{method}");
        assert!(told["error"]["message"].as_str().unwrap().contains("sampling"));
    }
}

#[test]
fn errors_pass_but_for_those_that_describe_what_the_router_said() {
    for (written, read) in
        [(-32602, -32602), (-32002, -32002), (-32000, -32000), (7, 7), (-32022, -32603), (-32020, -32603)]
    {
        let mut story = opened();
        let id = call(&mut story, "1.0");
        let said = story.server(&error(&id, written, r#"{"n":1.0}"#));
        assert_eq!((said.code(), &said.told()["id"]), (read, &json!(1.0)));
        assert_eq!(said[0].contains(r#""data":{"n":1.0}"#), written == read, "{written}");
    }
}

#[test]
fn a_client_cancels_its_own_request_and_no_other() {
    let mut story = opened();
    let other = story.guest(Revision::V2025_11_25, "{}");
    let id = call(&mut story, "1");
    let cancel = notification("cancelled", r#"{"requestId":1,"reason":"r"}"#);
    assert!(story.notify(other, &cancel).is_empty());
    assert!(story.notify(A, &notification("cancelled", r#"{"requestId":"1"}"#)).is_empty());
    let said = story.notify(A, &cancel);
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{id}"#)]));
    assert_eq!((said.code(), said.len()), (-32800, 2));
    assert_eq!(*story.server(&result(&id, "{}")), ["Dropped(UnknownAnswer)"]);
    assert!(story.notify(A, &cancel).is_empty(), "once");
}

#[test]
fn notifications_that_the_modern_era_has_not_are_kept_from_the_server() {
    let mut story = opened();
    for method in ["roots/list_changed", "progress"] {
        assert!(story.notify(A, &notification(method, "{}")).is_empty());
    }
    let vendor = notification("vendor", "{}");
    assert_eq!(story.notify(A, &vendor).to_server(), [vendor]);
}

#[test]
fn an_id_is_used_once_at_a_time() {
    let mut story = opened();
    call(&mut story, "1");
    assert_eq!(story.ask(A, "1", "tools/list", "{}").code(), -32600);
    assert!(story.ask(A, "\"1\"", "tools/list", "{}").has(&["server<"]));
}

#[test]
fn what_is_in_flight_when_the_process_dies_is_answered_and_the_session_goes_on() {
    let mut story = opened();
    call(&mut story, "1");
    let said = story.step(exited());
    assert_eq!((said.code(), said.len()), (-31002, 1));
    assert_eq!(*story.greeted(MODERN), ["resumed"]);
    let id = call(&mut story, "1");
    assert!(story.server(&result(&id, "{}")).told().get("result").is_some());
}

#[test]
fn whoever_is_gone_is_answered_and_the_server_told() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = story.step(Input::Gone(A));
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{id}"#)]));
    assert_eq!((said.code(), said.len()), (-32800, 2));
    assert_eq!(*story.server(&result(&id, "{}")), ["Dropped(UnknownAnswer)"]);
    assert_eq!(story.bridge.in_flight(), 0);
}

#[test]
fn what_did_not_reach_the_server_or_took_too_long_is_answered_so() {
    let story = Story::modern_that_is(MODERN, Some(Duration::from_secs(5)));
    let mut story = shaken(story, ALL, "2025-11-25");
    call(&mut story, "1");
    assert_eq!(story.step(Input::Unsent(ExchangeKey(2))).code(), -31004);
    let id = call(&mut story, "2");
    let unreadable =
        Input::Unreadable { id: Some(id.into()), error: RpcError::new(Code::TooLarge, "too large") };
    assert_eq!(story.step(unreadable).code(), -31005);
    call(&mut story, "3");
    let said = story.millis(5000);
    assert!(said.has(&["server<", "notifications/cancelled"]));
    assert_eq!(said.code(), -31003);
    call(&mut story, "4");
    assert_eq!(story.step(over()).code(), -31009);
}

#[test]
fn modern_clients_are_served_beside_legacy_ones_as_they_are() {
    let mut story = opened();
    let first = call(&mut story, "1");
    let second = story.visit("1", "tools/call", "", "").sent_id();
    let asks = r#"{"resultType":"input_required","requestState":"x"}"#;
    assert_eq!(*story.server(&result(&second, asks)), [format!("2/3< {}", result("1", asks))]);
    let told = story.server(&result(&first, r#"{"resultType":"complete"}"#));
    assert_eq!(*told, [format!("1/2< {}", result("1", "{}"))]);
    let third = story.visit("2", "tools/call", "", "").sent_id();
    let said = story.gone();
    assert!(
        said.has(&["server<", &format!(r#""requestId":{third}"#)]) && said.has(&["forget 3/4"]),
        "{said:?}"
    );
}
