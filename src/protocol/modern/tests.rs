use super::super::tests::*;
use crate::protocol::{CANCELLED_GRACE, ClientKey, ExchangeKey, Input};
use crate::wire::claim::{LOG_LEVEL, SUBSCRIPTION_ID};
use crate::wire::{Code, RpcError};
use std::time::Duration;

/// A modern client calls a tool; the id that the server knows the call by.
fn call(story: &mut Story, id: &str) -> String {
    story.visit(id, "tools/call", "", "").sent_id()
}

/// A modern client listens; the id that the server knows that by.
fn listen(story: &mut Story, id: &str, filter: &str) -> String {
    let members = format!(r#""notifications":{filter}"#);
    story.visit(id, "subscriptions/listen", &members, "").sent_id()
}

/// A notification on a subscription.
fn on(subscription: &str, method: &str) -> String {
    notification(method, &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{subscription}}},"x":1.0}}"#))
}

fn log_line(level: &str) -> String {
    notification("message", &format!(r#"{{"level":"{level}","data":1}}"#))
}

#[test]
fn a_request_passes_as_it_is_but_for_its_id_and_token() {
    let mut story = Story::modern();
    let said = story.visit("1.0", "tools/call", r#""name":"x","n":1e2"#, r#""progressToken":"t""#);
    let line = message(said.to_server()[0]);
    let token = crate::wire::meta::progress_token(line.body()).unwrap();
    assert_ne!((line.id().unwrap(), token), ("1.0", "\"t\""));
    let expected = claiming(r#""name":"x","n":1e2"#, r#""progressToken":"t""#).replace("\"t\"", token);
    assert_eq!(line.body(), expected);
}

#[test]
fn discover_tells_what_can_be_spoken_here_and_the_rest_as_the_server_says_it() {
    let mut story = Story::modern();
    let id = story.visit("1.0", "server/discover", "", "").sent_id();
    let all = r#"["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]"#;
    let expected = result("1.0", &MODERN.replace(r#"["2026-07-28"]"#, all));
    assert_eq!(*story.server(&result(&id, MODERN)), [format!("1/1< {expected}")]);
}

#[test]
fn ids_are_restored_to_the_letter_whoever_else_uses_them() {
    let mut story = Story::modern();
    let mut known = Vec::new();
    for id in ["1", "1", "\"1\"", "1.0", "\"\\u0031\"", "1e0"] {
        known.push((call(&mut story, id), story.here(), id));
    }
    for (server_id, here, id) in known.into_iter().rev() {
        let said = story.server(&result(&server_id, r#"{"resultType":"complete"}"#));
        assert_eq!(*said, [format!("{here} {}", result(id, r#"{"resultType":"complete"}"#))]);
    }
}

#[test]
fn progress_goes_to_its_own_request_under_the_token_that_its_client_wrote() {
    let mut story = Story::modern();
    let mut known = Vec::new();
    for token in ["1", "1.0", "\"1\"", "\"\\u0031\"", "1"] {
        let said = story.visit("7", "tools/call", "", &format!(r#""progressToken":{token}"#));
        let line = message(said.to_server()[0]);
        let minted = crate::wire::meta::progress_token(line.body()).unwrap().to_owned();
        known.push((minted, story.here(), token));
    }
    let told =
        |token: &str| notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#));
    for (minted, here, token) in known {
        assert_eq!(*story.server(&told(&minted)), [format!("{here} {}", told(token))]);
        assert_eq!(*story.server(&told(token)), ["Dropped(Unattributable)"], "{token} is not the server's");
    }
}

#[test]
fn a_log_line_goes_to_the_only_request_that_asked_for_lines_like_it() {
    let mut story = Story::modern();
    call(&mut story, "1");
    assert_eq!(*story.server(&log_line("emergency")), ["Dropped(Unattributable)"]);
    story.visit("2", "tools/call", "", &format!(r#""{LOG_LEVEL}":"warning""#));
    let curious = story.here();
    assert_eq!(*story.server(&log_line("warning")), [format!("{curious} {}", log_line("warning"))]);
    assert_eq!(*story.server(&log_line("info")), ["Dropped(Unattributable)"]);
    story.visit("3", "tools/call", "", &format!(r#""{LOG_LEVEL}":"debug""#));
    let more_curious = story.here();
    assert_eq!(*story.server(&log_line("info")), [format!("{more_curious} {}", log_line("info"))]);
    assert_eq!(*story.server(&log_line("error")), ["Dropped(Unattributable)"], "it may be for either");
}

#[test]
fn what_the_server_still_says_of_a_request_given_up_reaches_no_other_client() {
    let curious = format!(r#""{LOG_LEVEL}":"debug""#);
    let vendor = notification("vendor/said", r#"{"of":"the first"}"#);
    for give_up in
        [Input::Gone(ClientKey(1)), Input::Cancel { client: ClientKey(1), exchange: ExchangeKey(1) }]
    {
        let mut story = Story::modern();
        let first = story.visit("1", "tools/call", "", &curious).sent_id();
        story.visit("2", "tools/call", "", &curious);
        let here = story.here();
        let said = story.step(give_up);
        assert!(said[0].contains(&format!(r#"notifications/cancelled","params":{{"requestId":{first},"#)));
        assert_eq!(said[1..], ["forget 1/1"]);
        assert_eq!(*story.server(&log_line("info")), ["Dropped(Unattributable)"]);
        assert_eq!(*story.server(&vendor), ["Dropped(Unattributable)"]);
        assert_eq!(*story.server(&result(&first, "{}")), ["Dropped(UnknownAnswer)"]);
        story.later(CANCELLED_GRACE);
        assert_eq!(*story.server(&log_line("info")), [format!("{here} {}", log_line("info"))]);
        assert_eq!(*story.server(&vendor), [format!("{here} {vendor}")]);
    }
}

#[test]
fn a_request_that_takes_too_long_is_cancelled_and_progress_restarts_its_clock() {
    let mut story = Story::modern_that_is(MODERN, Some(Duration::from_secs(5)));
    let said = story.visit("1", "tools/call", "", r#""progressToken":1"#);
    let (id, line) = (said.sent_id(), message(said.to_server()[0]));
    let token = crate::wire::meta::progress_token(line.body()).unwrap();
    assert!(story.millis(4000).is_empty());
    story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    assert!(story.millis(4000).is_empty());
    let said = story.millis(1000);
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{id}"#)]), "{said:?}");
    assert_eq!((said.code(), said.len()), (-31003, 2));
}

#[test]
fn a_server_of_this_era_may_ask_nothing_by_itself() {
    let mut story = Story::modern();
    call(&mut story, "1");
    for method in ["elicitation/create", "roots/list", "ping"] {
        let said = story.server(&request("\"q\"", method, "{}")).sent();
        assert_eq!((said["id"].as_str(), said["error"]["code"].as_i64()), (Some("q"), Some(-32601)));
    }
}

#[test]
fn a_client_can_neither_answer_nor_cancel_by_a_message() {
    let mut story = Story::modern();
    let first = call(&mut story, "1");
    let other = story.visitor("other");
    assert!(
        story.notify(other, &notification("cancelled", &format!(r#"{{"requestId":{first}}}"#))).is_empty()
    );
    assert!(story.notify(other, &result("1", "{}")).is_empty());
    let vendor = notification("vendor", "{}");
    assert_eq!(story.notify(other, &vendor).to_server(), [vendor]);
}

#[test]
fn a_subscription_has_the_id_of_its_client_in_all_that_comes_on_it() {
    let mut story = Story::modern();
    for id in ["1", "\"1\"", "1.0"] {
        let known = listen(&mut story, id, r#"{"toolsListChanged":true}"#);
        let here = story.here();
        for method in ["subscriptions/acknowledged", "tools/list_changed", "resources/updated", "vendor"] {
            assert_eq!(*story.server(&on(&known, method)), [format!("{here} {}", on(id, method))]);
        }
        // Some servers write it as a string.
        let quoted = on(&format!("\"{known}\""), "tools/list_changed");
        assert_eq!(*story.server(&quoted), [format!("{here} {}", on(id, "tools/list_changed"))]);
        assert_eq!(*story.server(&on("777", "tools/list_changed")), ["Dropped(Unattributable)"]);
    }
    assert_eq!(story.bridge.in_flight(), 0, "a subscription keeps the server from nothing");
}

#[test]
fn a_subscription_that_the_server_ends_in_whatever_way_ends_in_peace() {
    for cancels in [true, false] {
        let mut story = Story::modern();
        let known = listen(&mut story, "\"l\"", "{}");
        let end = if cancels {
            notification("cancelled", &format!(r#"{{"requestId":{known}}}"#))
        } else {
            result(&known, r#"{"resultType":"complete"}"#)
        };
        let ended =
            result("\"l\"", &format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":"l"}}}}"#));
        assert_eq!(*story.server(&end), [format!("1/1< {ended}")]);
    }
    let mut story = Story::modern();
    let known = listen(&mut story, "1", "{}");
    assert_eq!(story.server(&error(&known, -32601, "{}")).code(), -32601, "a refusal is told");
    let known = call(&mut story, "2");
    let said = story.server(&notification("cancelled", &format!(r#"{{"requestId":{known}}}"#)));
    assert_eq!(*said, ["Dropped(Unattributable)"], "only subscriptions can be torn down");
}

#[test]
fn the_end_of_a_lane_ends_subscriptions_in_peace_and_requests_with_an_error() {
    let mut story = Story::modern();
    let known = listen(&mut story, "1", "{}");
    call(&mut story, "2");
    let said = story.step(Input::Drain);
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{known}"#)]));
    assert_eq!(said.told()["result"]["_meta"][SUBSCRIPTION_ID], 1);
    assert_eq!(story.step(over()).code(), -31009);
    assert_eq!(story.bridge.in_flight(), 0);
}

#[test]
fn a_subscription_never_times_out_whatever_progress_the_server_tells_of() {
    let mut story = Story::modern_that_is(MODERN, Some(Duration::from_secs(1)));
    let said = story.visit("1", "subscriptions/listen", r#""notifications":{}"#, r#""progressToken":1"#);
    let line = message(said.to_server()[0]);
    let token = crate::wire::meta::progress_token(line.body()).unwrap();
    story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    assert!(story.millis(60_000).is_empty());
    let said = story.server(&result(line.id().unwrap(), "{}"));
    assert_eq!(said.told()["result"]["resultType"], "complete");
}

#[test]
fn whoever_hangs_up_is_unsubscribed() {
    let mut story = Story::modern();
    let known = listen(&mut story, "1", "{}");
    let said = story.gone();
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{known}"#)]));
    assert_eq!(*story.server(&on(&known, "tools/list_changed")), ["Dropped(Unattributable)"]);
}

#[test]
fn subscriptions_go_on_with_the_next_process_which_is_told_of_by_one_change_of_each_list() {
    let mut story = Story::modern();
    let filter = r#"{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a:b"]}"#;
    let known = listen(&mut story, "\"l\"", filter);
    let acknowledged = story.server(&on(&known, "subscriptions/acknowledged"));
    assert_eq!(acknowledged.len(), 1);
    let unheard = listen(&mut story, "2", filter);
    call(&mut story, "3");

    let (died, again) = story.restarted(MODERN);
    assert_eq!((died.code(), died.len()), (-31002, 1), "only the call has failed");
    let asked: Vec<_> = again.to_server().into_iter().map(message).collect();
    assert_eq!(asked.len(), 2);
    for line in &asked {
        assert_eq!(line.body(), claiming(&format!(r#""notifications":{filter}"#), ""));
        assert!(![&*known, &*unheard].contains(&line.id().unwrap()));
    }
    let told: Vec<_> = again.iter().filter(|line| line.contains("list_changed")).collect();
    let changed = notification("tools/list_changed", &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":"l"}}}}"#));
    assert_eq!(told, [&format!("1/1< {changed}")], "only who had been acknowledged");
    assert_eq!(again.last().unwrap(), "resumed");

    let mut told = Vec::new();
    for line in asked {
        told.extend(story.server(&on(line.id().unwrap(), "subscriptions/acknowledged")).0);
    }
    assert_eq!(told, [format!("2/2< {}", on("2", "subscriptions/acknowledged"))], "each is told once");
    assert_eq!(*story.server(&on(&known, "tools/list_changed")), ["Dropped(Unattributable)"]);
}

#[test]
fn a_new_process_that_is_another_server_is_not_gone_on_with() {
    for other in [
        MODERN.replace(r#""logging":{}"#, r#""x":{}"#),
        MODERN.replace("2026-07-28", "2099-01-01"),
        "{}".to_owned(),
    ] {
        let mut story = Story::modern();
        let (_, said) = story.restarted(&other);
        assert!(said.len() == 1 && said[0].starts_with("Failed("), "{said:?}");
    }
}

#[test]
fn what_did_not_reach_the_server_or_cannot_be_read_is_answered_so() {
    let mut story = Story::modern();
    let (first, _) = (call(&mut story, "1"), call(&mut story, "2"));
    assert_eq!(story.step(Input::Unsent(ExchangeKey(2))).code(), -31004);
    let error = RpcError::new(Code::TooLarge, "too large");
    let unreadable = Input::Unreadable { id: Some(first.into()), error: error.clone() };
    assert_eq!(story.step(unreadable).code(), -31005);
    call(&mut story, "3");
    call(&mut story, "4");
    let said = story.step(Input::Unreadable { id: None, error });
    assert!(said.len() == 2 && said.iter().all(|line| line.contains("-31005")), "{said:?}");
}

#[test]
fn two_requests_of_a_client_cannot_have_one_id() {
    let mut story = Story::modern();
    call(&mut story, "1");
    let said = story.ask(ClientKey(1), "1", "tools/list", &claiming("", ""));
    assert_eq!((said.code(), said.len()), (-32600, 1));
}
