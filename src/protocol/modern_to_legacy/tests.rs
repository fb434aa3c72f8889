//! What a modern client gets of a legacy server: requests, results, errors, progress and log lines.

mod listen;
mod park;
mod resume;

use super::super::tests::*;
use crate::protocol::{CANCELLED_GRACE, ClientKey, ExchangeKey, Input, Principal, request_state};
use crate::wire::claim::{CLIENT_CAPABILITIES, LOG_LEVEL, PROTOCOL_VERSION, SERVER_INFO, SUBSCRIPTION_ID};
use crate::wire::meta::progress_token;
use crate::wire::{Code, Message, Revision, RpcError};
use serde_json::{Value, json};
use std::time::Duration;

/// Capabilities of clients that can be asked everything.
const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}"#;

/// A modern client calls a tool; the id that the server knows the call by.
fn call(story: &mut Story, id: &str) -> String {
    story.visit(id, "tools/call", r#""name":"t""#, "").sent_id()
}

/// A call in which the server asks something, and does not wait for the answer.
fn has_asked(story: &mut Story) {
    let id = call(story, "0");
    story.server(&request("7", "sampling/createMessage", "{}"));
    story.server(&result(&id, "{}"));
}

fn log_line(level: &str) -> String {
    notification("message", &format!(r#"{{"level":"{level}","data":1}}"#))
}

fn wants_logs(level: &str) -> String {
    format!(r#""{LOG_LEVEL}":"{level}""#)
}

#[test]
fn discover_is_answered_from_the_handshake_and_what_cannot_be_bridged_is_left_out() {
    let mut story = Story::legacy("{}");
    let told = story.visit("\"d\"", "server/discover", "", "").told();
    let expected = json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
        "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "logging": {} },
        "_meta": { SERVER_INFO: { "name": "old", "version": "1" } },
        "ttlMs": 0, "cacheScope": "private",
    });
    assert_eq!((&told["id"], &told["result"]), (&json!("d"), &expected));

    let with_tasks = LEGACY
        .replace(r#""logging":{}"#, r#""tasks":{}"#)
        .replace(r#"{"protocol"#, r#"{"instructions":"i","protocol"#);
    let mut story = Story::legacy_that_is(&with_tasks);
    let told = story.visit("1", "server/discover", "", "").told();
    let expected = json!({ "tools": { "listChanged": true }, "resources": { "subscribe": true } });
    assert_eq!((&told["result"]["capabilities"], &told["result"]["instructions"]), (&expected, &json!("i")));
}

#[test]
fn what_a_request_says_of_its_client_is_taken_off_and_the_rest_stays_to_the_letter() {
    let mut story = Story::legacy("{}");
    let meta = format!(r#""traceparent":"00-1","vendor/x":1e2,{}"#, wants_logs("info"));
    let said = story.visit("1", "tools/call", r#""name":"t","arguments":{"n":1.0}"#, &meta);
    let line = message(said.to_server().last().unwrap());
    let kept = r#"{"name":"t","arguments":{"n":1.0},"_meta":{"traceparent":"00-1","vendor/x":1e2}}"#;
    assert_eq!(line.body(), kept);
    let said = story.visit("2", "tools/list", r#""cursor":"""#, "");
    assert_eq!(message(said.to_server()[0]).body(), r#"{"cursor":""}"#);
}

#[test]
fn a_claim_that_is_not_whole_is_refused() {
    let mut story = Story::legacy("{}");
    for (params, code) in [
        ("{}", -32602),
        (&format!(r#"{{"_meta":{{"{PROTOCOL_VERSION}":"2026-07-28"}}}}"#), -32602),
        (
            &format!(r#"{{"_meta":{{"{PROTOCOL_VERSION}":"2025-11-25","{CLIENT_CAPABILITIES}":{{}}}}}}"#),
            -32022,
        ),
        (&claiming("", &wants_logs("loud")), -32602),
    ] {
        let client = story.visitor("me");
        let said = story.ask(client, "1", "tools/list", params);
        assert_eq!((said.code(), said.len()), (code, 1), "{params}");
    }
}

#[test]
fn what_the_modern_era_has_removed_and_tasks_are_no_methods() {
    let mut story = Story::legacy(ALL);
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/get",
        "tasks/list",
    ] {
        let said = story.visit("1", method, "", "");
        assert_eq!((said.code(), said.len()), (-32601, 1), "{method}");
    }
}

#[test]
fn ids_are_restored_to_the_letter_and_every_result_is_complete() {
    let mut story = Story::legacy("{}");
    let mut known = Vec::new();
    for id in ["1", "1", "\"1\"", "1.0", "\"\\u0031\""] {
        known.push((call(&mut story, id), story.here(), id));
    }
    for (server_id, here, id) in known.into_iter().rev() {
        let said = story.server(&result(&server_id, r#"{"content":[]}"#));
        let body = format!(
            r#"{{"content":[],"resultType":"complete","_meta":{{"{SERVER_INFO}":{{"name":"old","version":"1"}}}}}}"#
        );
        assert_eq!(*said, [format!("{here} {}", result(id, &body))]);
    }
}

#[test]
fn lists_and_contents_say_that_they_hold_for_no_time_and_for_nobody_else() {
    let mut story = Story::legacy("{}");
    for (method, cacheable) in [
        ("tools/list", true),
        ("prompts/list", true),
        ("resources/list", true),
        ("resources/templates/list", true),
        ("resources/read", true),
        ("tools/call", false),
        ("prompts/get", false),
        ("completion/complete", false),
    ] {
        let id = story.visit("1", method, "", "").sent_id();
        let told = story.server(&result(&id, "{}")).told();
        assert_eq!(
            told["result"]["ttlMs"] == 0 && told["result"]["cacheScope"] == "private",
            cacheable,
            "{method}"
        );
        assert_eq!(told["result"]["resultType"], "complete", "{method}");
    }
}

#[test]
fn a_result_that_is_no_object_is_an_error_of_the_servers() {
    for wrong in ["null", "7", "[]", "\"x\""] {
        let mut story = Story::legacy("{}");
        let id = call(&mut story, "1");
        assert_eq!(story.server(&result(&id, wrong)).code(), -31006, "{wrong}");
    }
}

#[test]
fn codes_that_mean_something_else_now_are_changed_and_the_others_are_not() {
    for (written, read) in [
        (-32002, -32602),
        (-32020, -32603),
        (-32021, -32603),
        (-32022, -32603),
        (-32601, -32601),
        (-32000, -32000),
        (7, 7),
    ] {
        let mut story = Story::legacy("{}");
        let id = story.visit("1.0", "resources/read", r#""uri":"a:b""#, "").sent_id();
        let told = story.server(&error(&id, written, r#"{"uri":"a:b"}"#)).told();
        let expected = json!({ "code": read, "message": "no", "data": { "uri": "a:b" } });
        assert_eq!((&told["id"], &told["error"]), (&json!(1.0), &expected));
    }
}

#[test]
fn a_tool_that_runs_only_as_a_task_says_what_to_do() {
    let mut story = Story::legacy("{}");
    story.step(exited());
    story.greeted(
        &LEGACY.replace(r#""logging":{}"#, r#""logging":{},"tasks":{"requests":{"tools":{"call":{}}}}"#),
    );
    let id = call(&mut story, "1");
    let told = story.server(&error(&id, -32601, "{}")).told();
    assert_eq!(told["error"]["code"], -31006);
    let said = told["error"]["message"].as_str().unwrap();
    assert!(said.contains(r#"the tool "t""#) && said.contains("2025-11-25"), "{said}");
}

#[test]
fn progress_goes_to_its_own_request_under_the_token_that_its_client_wrote() {
    let mut story = Story::legacy("{}");
    let told =
        |token: &str| notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#));
    let mut known = Vec::new();
    for token in ["1", "1.0", "\"1\"", "1"] {
        let said = story.visit("7", "tools/call", "", &format!(r#""progressToken":{token}"#));
        let minted = progress_token(message(said.to_server()[0]).body()).unwrap().to_owned();
        known.push((minted, story.here(), token));
    }
    for (minted, here, token) in known {
        assert_eq!(*story.server(&told(&minted)), [format!("{here} {}", told(token))]);
        assert_eq!(*story.server(&told(token)), ["Dropped(Unattributable)"]);
    }
}

#[test]
fn the_server_logs_as_much_as_the_most_curious_wants_and_each_gets_what_it_asked_for() {
    let mut story = Story::legacy("{}");
    let level = |said: &Said| {
        let set: Vec<_> =
            said.to_server().into_iter().filter(|line| line.contains("logging/setLevel")).collect();
        set.first().map(|line| serde_json::from_str::<Value>(line).unwrap()["params"]["level"].clone())
    };
    let said = story.visit("1", "tools/call", "", &wants_logs("warning"));
    assert_eq!(level(&said), Some(json!("warning")));
    let first = message(said.to_server()[1]).id().unwrap().to_owned();
    assert_eq!(*story.server(&log_line("error")), [format!("{} {}", story.here(), log_line("error"))]);
    assert!(story.server(&log_line("info")).is_empty());

    let said = story.visit("2", "tools/call", "", &wants_logs("debug"));
    assert_eq!(level(&said), Some(json!("debug")));
    let second = message(said.to_server()[1]).id().unwrap().to_owned();
    assert_eq!(*story.server(&log_line("error")), ["Dropped(Unattributable)"], "it may be for either");
    let said = story.visit("3", "tools/call", "", &wants_logs("error"));
    assert_eq!(level(&said), None, "somebody still wants more");
    for id in [first, second] {
        story.server(&result(&id, "{}"));
    }
    assert_eq!(*story.server(&log_line("error")), [format!("3/3< {}", log_line("error"))]);
    assert!(story.server(&log_line("debug")).is_empty(), "it is not what this one asked for");
}

#[test]
fn who_asks_for_no_log_lines_gets_none() {
    let mut story = Story::legacy("{}");
    let id = call(&mut story, "1");
    assert!(story.server(&log_line("emergency")).is_empty());
    story.server(&result(&id, "{}"));
    assert_eq!(*story.server(&log_line("error")), ["Dropped(Unattributable)"]);
}

#[test]
fn a_server_that_does_not_log_is_not_asked_to() {
    let mut story = Story::legacy_that_is(&LEGACY.replace(r#","logging":{}"#, ""));
    assert_eq!(story.visit("1", "tools/call", "", &wants_logs("debug")).sent()["method"], "tools/call");
}

#[test]
fn what_the_server_still_says_of_a_request_given_up_reaches_no_other_client() {
    let mut story = Story::legacy("{}");
    story.visit("1", "tools/call", "", &wants_logs("debug"));
    let vendor = notification("vendor/said", r#"{"of":"the first"}"#);
    let said = story.gone();
    assert!(said.has(&["server<", "notifications/cancelled"]));
    story.visit("2", "tools/call", "", &wants_logs("debug"));
    assert_eq!(*story.server(&log_line("error")), ["Dropped(Unattributable)"]);
    assert_eq!(*story.server(&vendor), ["Dropped(Unattributable)"]);
    story.later(CANCELLED_GRACE);
    assert_eq!(*story.server(&log_line("error")), [format!("2/2< {}", log_line("error"))]);
}

#[test]
fn a_request_that_takes_too_long_is_cancelled_and_what_is_still_said_of_it_reaches_no_other_client() {
    let mut story = Story::legacy_within("{}", Some(Duration::from_secs(5)));
    let said = story.visit("1", "tools/call", "", &wants_logs("debug"));
    let id = message(said.to_server()[1]).id().unwrap().to_owned();
    story.millis(4500);
    story.visit("2", "tools/call", "", &wants_logs("debug"));
    let said = story.millis(500);
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{id}"#)]), "{said:?}");
    assert!(said.has(&["1/1<", "-31003"]), "{said:?}");
    assert_eq!(*story.server(&log_line("error")), ["Dropped(Unattributable)"]);
    story.millis(1000);
    assert_eq!(*story.server(&log_line("error")), [format!("2/2< {}", log_line("error"))]);
}

#[test]
fn whoever_hangs_up_cancels_and_is_told_nothing_more() {
    let mut story = Story::legacy("{}");
    let id = call(&mut story, "1");
    let said = story.gone();
    assert_eq!((said.len(), &said.sent()["params"]["requestId"]), (1, &json!(id.parse::<u64>().unwrap())));
    assert!(story.server(&result(&id, "{}")).is_empty());
    assert!(!story.bridge.is_spoiled());
}

#[test]
fn a_call_given_up_and_unanswered_for_a_second_spoils_a_process_that_asks() {
    for (capabilities, method, spoils) in
        [(ALL, "tools/call", true), (ALL, "tools/list", false), ("{}", "tools/call", false)]
    {
        let mut story = Story::legacy(capabilities);
        has_asked(&mut story);
        let id = story.visit("1", method, "", "").sent_id();
        story.gone();
        story.later(CANCELLED_GRACE / 2);
        assert!(!story.bridge.is_spoiled());
        story.later(CANCELLED_GRACE / 2);
        assert_eq!(story.bridge.is_spoiled(), spoils, "{capabilities} {method}");
        assert_eq!(*story.server(&result(&id, "{}")), ["Dropped(UnknownAnswer)"]);
        story.restarted(LEGACY);
        assert!(!story.bridge.is_spoiled(), "a new process works on nothing");
    }
}

#[test]
fn a_process_that_never_asks_is_kept_and_what_it_asks_after_all_is_refused() {
    let mut story = Story::legacy_within(ALL, Some(Duration::from_secs(5)));
    call(&mut story, "1");
    story.gone();
    assert!(story.bridge.is_calming());
    story.later(CANCELLED_GRACE);
    assert!(!story.bridge.is_interacting() && !story.bridge.is_spoiled());
    // The same for one that took too long.
    call(&mut story, "2");
    assert!(!story.bridge.is_calming());
    story.millis(5000);
    story.later(CANCELLED_GRACE);
    assert!(!story.bridge.is_interacting() && !story.bridge.is_spoiled());
    let id = call(&mut story, "3");
    for method in ["sampling/createMessage", "roots/list"] {
        let said = story.server(&request("7", method, "{}"));
        assert_eq!((said.len(), &said.sent()["error"]["code"]), (1, &json!(-32601)), "whose is it?");
    }
    assert!(story.server(&result(&id, "{}")).told()["result"].is_object());
    assert!(story.bridge.is_spoiled(), "from now on it could be any call's");
    story.restarted(LEGACY);
    call(&mut story, "4");
    story.server(&request("7", "roots/list", "{}"));
    assert_eq!(story.millis(30).told()["result"]["resultType"], "input_required");
}

#[test]
fn a_call_that_has_timed_out_spoils_a_process_that_asks() {
    for (capabilities, spoils) in [(ALL, true), ("{}", false)] {
        let mut story = Story::legacy_within(capabilities, Some(Duration::from_secs(5)));
        has_asked(&mut story);
        call(&mut story, "2");
        let said = story.millis(5000);
        assert!(said.has(&["2/2<", "-31003"]), "{said:?}");
        assert_eq!(story.bridge.is_spoiled(), spoils);
    }
}

#[test]
fn what_did_not_reach_the_server_or_was_lost_with_it_is_answered_so() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    assert_eq!(story.step(Input::Unsent(ExchangeKey(1))).code(), -31004);
    let id = call(&mut story, "2");
    let unreadable =
        Input::Unreadable { id: Some(id.into()), error: RpcError::new(Code::TooLarge, "too large") };
    assert_eq!(story.step(unreadable).code(), -31005);
    call(&mut story, "\"3\"");
    let told = story.step(exited()).told();
    assert_eq!((&told["id"], &told["error"]["code"]), (&json!("3"), &json!(-31002)));
    story.greeted(LEGACY);
    call(&mut story, "4");
    assert_eq!(story.step(over()).code(), -31009);
    assert_eq!(story.bridge.in_flight(), 0);
}

#[test]
fn legacy_clients_of_a_singleton_are_served_beside_modern_ones() {
    let mut story = Story::legacy("{}");
    let old = story.guest(Revision::V2025_03_26, "{}");
    let first = story.ask(old, "1", "tools/call", "{}").sent_id();
    let second = call(&mut story, "1");
    let told = story.server(&result(&first, r#"{"content":[]}"#));
    assert_eq!(*told, [format!("1/1< {}", result("1", r#"{"content":[]}"#))]);
    assert_eq!(story.server(&result(&second, "{}")).told()["result"]["resultType"], "complete");
    assert_eq!(story.bridge.revision(old), Some(Revision::V2025_03_26));
    assert_eq!(story.bridge.revision(ClientKey(2)), Some(Revision::V2026_07_28));
}
