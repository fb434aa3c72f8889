//! A client comes back to its call with answers, or without.

use super::*;

/// A call by "me" of the tool t that asks for roots and a sample; it is known by `s1`, and to the server by the id.
fn parked(story: &mut Story) -> String {
    let id = call(story, "1");
    story.server(&request("7", "roots/list", "{}"));
    story.server(&request("\"8\"", "sampling/createMessage", "{}"));
    assert_eq!(story.millis(30).told()["result"]["requestState"], "s1");
    id
}

const ROOTS: &str = r#""roots-1":{"roots":[]}"#;
const SAMPLE: &str = r#""sampling-2":{"role":"user","content":{"n":1.0},"model":"m"}"#;

/// The params of a client that comes back.
fn back(state: &str, answers: &[&str]) -> String {
    format!(r#""name":"t","requestState":"{state}","inputResponses":{{{}}}"#, answers.join(","))
}

fn come_back(story: &mut Story, state: &str, answers: &[&str]) -> Said {
    story.visit("\"again\"", "tools/call", &back(state, answers), "")
}

#[test]
fn answers_reach_the_server_to_the_letter_and_the_result_who_came_back() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    let said = come_back(&mut story, "s1", &[SAMPLE, ROOTS, r#""unknown":7"#]);
    let sample = r#"{"role":"user","content":{"n":1.0},"model":"m"}"#;
    let sent = [result("7", r#"{"roots":[]}"#), result("\"8\"", sample)];
    assert_eq!(said.to_server(), [&*sent[0], &*sent[1]]);
    assert_eq!(said.len(), 2);
    let told = story.server(&result(&id, "{}"));
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told.told()["id"], &told.told()["result"]["resultType"]),
        (&json!("again"), &json!("complete"))
    );
    assert!(!story.bridge.is_interacting());
}

#[test]
fn what_was_not_answered_is_asked_again() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    let said = come_back(&mut story, "s1", &[ROOTS]);
    assert_eq!(said.to_server(), [result("7", r#"{"roots":[]}"#)]);
    let told = said.told();
    assert_eq!(told["result"]["requestState"], "s2");
    assert_eq!(
        told["result"]["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["sampling-2"]
    );
    let said = story.visit("3", "tools/call", r#""name":"t","requestState":"s2""#, "");
    assert_eq!(said.told()["result"]["requestState"], "s3", "no answers at all");
    let said = come_back(&mut story, "s3", &[SAMPLE]);
    assert_eq!(said.to_server().len(), 1);
    assert_eq!(story.server(&result(&id, "{}")).told()["result"]["resultType"], "complete");
}

#[test]
fn what_the_server_asks_meanwhile_is_asked_in_the_next_round() {
    let mut story = Story::legacy(ALL);
    parked(&mut story);
    assert_eq!(*story.server(&request("9", "elicitation/create", "{}")), ["wake"]);
    assert!(story.millis(30).is_empty());
    let told = come_back(&mut story, "s1", &[ROOTS, SAMPLE]).told();
    assert_eq!(
        told["result"]["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["elicitation-3"]
    );
}

#[test]
fn an_answer_of_the_wrong_shape_is_refused_and_the_call_stays_parked() {
    let mut story = Story::legacy(r#"{"elicitation":{},"roots":{},"sampling":{}}"#);
    call(&mut story, "1");
    for (id, method) in [("7", "roots/list"), ("8", "sampling/createMessage"), ("9", "elicitation/create")] {
        story.server(&request(id, method, "{}"));
    }
    story.millis(30);
    for wrong in [
        r#""roots-1":[]"#,
        r#""roots-1":{}"#,
        r#""roots-1":{"roots":{}}"#,
        r#""sampling-2":{}"#,
        r#""sampling-2":7"#,
        r#""elicitation-3":{}"#,
        r#""elicitation-3":{"action":"maybe"}"#,
    ] {
        let said = come_back(&mut story, "s1", &[ROOTS, SAMPLE, wrong]);
        assert_eq!((said.code(), said.len()), (-32602, 1), "{wrong}");
        assert!(said.told()["error"]["data"].is_null(), "the state is still good: {said:?}");
    }
    let said = story.visit("2", "tools/call", r#""name":"t","requestState":"s1","inputResponses":[]"#, "");
    assert_eq!(said.code(), -32602);
    let right = [ROOTS, SAMPLE, r#""elicitation-3":{"action":"decline"}"#];
    assert_eq!(come_back(&mut story, "s1", &right).to_server().len(), 3);
}

#[test]
fn who_is_not_meant_is_told_the_same_as_who_has_made_it_up() {
    let mut story = Story::legacy(ALL);
    parked(&mut story);
    let answers = back("s1", &[ROOTS, SAMPLE]);
    let mut refusals = Vec::new();
    for (principal, method, params) in [
        ("other", "tools/call", answers.clone()),
        ("me", "prompts/get", answers.clone()),
        ("me", "tools/call", answers.replace(r#""name":"t""#, r#""name":"u""#)),
        ("me", "tools/call", answers.replace(r#""name":"t""#, r#""name":"t","arguments":{}"#)),
        ("me", "tools/call", answers.replace("s1", "s2")),
        ("me", "tools/call", answers.replace("s1", "")),
    ] {
        let said = story.visit_as(principal, "1", method, &params, "");
        assert_eq!((said.len(), said.code()), (1, -32602), "{said:?}");
        assert_eq!(said.told()["error"]["data"]["reason"], "invalid_request_state");
        refusals.push(said.told());
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1);
    assert_eq!(come_back(&mut story, "s1", &[ROOTS, SAMPLE]).to_server().len(), 2, "it is still parked");
}

#[test]
fn a_state_is_used_once() {
    let mut story = Story::legacy(ALL);
    parked(&mut story);
    come_back(&mut story, "s1", &[ROOTS, SAMPLE]);
    let said = come_back(&mut story, "s1", &[ROOTS, SAMPLE]);
    assert_eq!((said.len(), said.code()), (1, -32602));
    assert_eq!(said.told()["error"]["data"]["reason"], "invalid_request_state");
}

#[test]
fn an_answer_that_was_lost_is_given_again_for_a_minute() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    come_back(&mut story, "s1", &[ROOTS]);
    let said = story.visit("9", "tools/call", &back("s1", &[ROOTS]), "");
    assert_eq!((said.len(), &said.told()["id"]), (1, &json!(9)), "the question is asked again");
    assert_eq!(said.told()["result"]["requestState"], "s2");

    come_back(&mut story, "s2", &[SAMPLE]);
    let first = story.server(&result(&id, r#"{"n":1.0}"#)).told();
    story.millis(59_900);
    let again = story.visit("1.0", "tools/call", &back("s2", &[SAMPLE]), "");
    assert_eq!((again.len(), &again.told()["result"]), (1, &first["result"]));
    assert!(again[0].contains(r#""id":1.0,"#));
    assert_eq!(
        story.visit_as("other", "1", "tools/call", &back("s2", &[]), "").code(),
        -32602,
        "not to another"
    );
    let mut forgotten = story.millis(100).0;
    forgotten.sort_unstable();
    assert_eq!(forgotten, ["unparked s1", "unparked s2"]);
    let said = come_back(&mut story, "s2", &[SAMPLE]);
    assert_eq!(said.told()["error"]["data"]["reason"], "invalid_request_state");
    assert!(!story.bridge.is_awaited());
}

#[test]
fn lost_answers_are_kept_in_bounds_the_newest_longest() {
    let mut story = Story::legacy(ALL);
    let answer = format!(r#"{{"content":[],"x":"{}"}}"#, "x".repeat(6 << 20));
    for n in 1..=3 {
        let id = call(&mut story, "1");
        story.server(&request("7", "roots/list", "{}"));
        story.millis(30);
        come_back(&mut story, &format!("s{n}"), &[ROOTS]);
        let said = story.server(&result(&id, &answer));
        assert_eq!(said.has(&["unparked s1"]), n == 3, "{n}");
    }
    assert_eq!(come_back(&mut story, "s1", &[ROOTS]).code(), -32602);
    assert!(come_back(&mut story, "s2", &[ROOTS]).told()["result"]["x"].is_string());
}

#[test]
fn an_answer_that_comes_while_nobody_is_there_is_kept_for_who_comes_back() {
    let mut story = Story::legacy(ALL);
    let said = story.visit(
        "1",
        "tools/call",
        r#""name":"t""#,
        &format!(r#""progressToken":1,{}"#, wants_logs("debug")),
    );
    let line = message(said.to_server()[1]);
    let token = progress_token(line.body()).unwrap();
    story.server(&request("7", "roots/list", "{}"));
    story.millis(30);
    story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    story.server(&log_line("info"));
    let said = story.server(&result(line.id().unwrap(), r#"{"n":1}"#));
    assert!(said.to_server().len() == 1 && said[0].contains(r#""id":7,"error""#), "{said:?}");
    assert!(!story.bridge.is_interacting() && story.bridge.is_awaited());

    let meta = format!(r#""progressToken":"mine",{}"#, wants_logs("info"));
    let said = story.visit("2.0", "tools/call", &back("s1", &[ROOTS]), &meta);
    let here = story.here();
    assert_eq!(
        said[0],
        format!("{here} {}", notification("progress", r#"{"progressToken":"mine","progress":1}"#))
    );
    assert_eq!(said[1], format!("{here} {}", log_line("info")));
    assert!(
        said[2].starts_with(&format!(r#"{here} {{"jsonrpc":"2.0","id":2.0,"result":{{"n":1,"#)),
        "{said:?}"
    );
    assert_eq!(said.len(), 3);
}

#[test]
fn progress_and_log_lines_come_as_the_retry_wants_them() {
    let mut story = Story::legacy(ALL);
    let meta = format!(r#""progressToken":"first",{}"#, wants_logs("debug"));
    let said = story.visit("1", "tools/call", r#""name":"t""#, &meta);
    let line = message(said.to_server()[1]);
    let token = progress_token(line.body()).unwrap().to_owned();
    story.server(&request("7", "roots/list", "{}"));
    story.millis(30);
    for n in 0..100 {
        story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":{n}}}"#)));
    }
    story.server(&log_line("debug"));
    let said = story.visit("2", "tools/call", &back("s1", &[ROOTS]), r#""progressToken":1.0"#);
    let told: Vec<_> = said.iter().filter(|line| line.starts_with(&story.here())).collect();
    assert!(told.iter().all(|line| line.contains(r#""progressToken":1.0"#)), "{told:?}");
    assert_eq!(told.len(), 64, "only so many are kept, and no log lines for who wants none");
    let said =
        story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":100}}"#)));
    assert_eq!(
        *said,
        [format!("{} {}", story.here(), notification("progress", r#"{"progressToken":1.0,"progress":100}"#))]
    );
    assert!(story.server(&log_line("error")).is_empty());
}

#[test]
fn what_is_kept_for_who_comes_back_is_bounded_in_bytes_too() {
    let mut story = Story::legacy(ALL);
    story.visit("1", "tools/call", r#""name":"t""#, &wants_logs("debug"));
    story.server(&request("7", "roots/list", "{}"));
    story.millis(30);
    let data = "x".repeat(600 << 10);
    for _ in 0..3 {
        story.server(&notification("message", &format!(r#"{{"level":"error","data":"{data}"}}"#)));
    }
    let said = story.visit("2", "tools/call", &back("s1", &[ROOTS]), &wants_logs("debug"));
    assert_eq!(said.iter().filter(|line| line.starts_with(&story.here())).count(), 1);
}

#[test]
fn who_comes_back_without_a_token_gets_no_progress() {
    let mut story = Story::legacy(ALL);
    let said = story.visit("1", "tools/call", r#""name":"t""#, r#""progressToken":1"#);
    let token = progress_token(message(said.to_server()[0]).body()).unwrap().to_owned();
    story.server(&request("7", "roots/list", "{}"));
    story.millis(30);
    come_back(&mut story, "s1", &[ROOTS]);
    assert!(
        story
            .server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)))
            .is_empty()
    );
}

#[test]
fn the_server_logs_as_much_as_who_came_back_wants() {
    for first in [true, false] {
        let mut story = Story::legacy(ALL);
        if first {
            story.server(&request("7", "roots/list", "{}"));
            story.visit("1", "tools/call", r#""name":"t""#, &wants_logs("debug"));
        } else {
            parked(&mut story);
        }
        let said = story.visit("2", "tools/call", &back("s1", &[]), &wants_logs("debug"));
        assert!(said.has(&["server<", "logging/setLevel", "debug"]), "{said:?}");
    }
}

#[test]
fn a_question_that_is_withdrawn_meanwhile_needs_no_answer() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    for withdrawn in ["7", "\"8\""] {
        story.server(&notification("cancelled", &format!(r#"{{"requestId":{withdrawn}}}"#)));
    }
    assert!(come_back(&mut story, "s1", &[ROOTS]).is_empty(), "its answer reaches nobody");
    assert_eq!(story.server(&result(&id, "{}")).told()["result"]["resultType"], "complete");
}

#[test]
fn a_call_whose_process_dies_while_it_is_parked_is_lost_and_says_so() {
    let mut story = Story::legacy(ALL);
    parked(&mut story);
    let (died, again) = story.restarted(LEGACY);
    assert!(
        died.is_empty() && again.to_server().iter().all(|line| !line.contains("tools/call")),
        "it is not made again"
    );
    assert!(!story.bridge.is_interacting(), "the new process works on nothing");
    let said = come_back(&mut story, "s1", &[ROOTS, SAMPLE]);
    assert_eq!((said.len(), said.code(), &said.told()["id"]), (1, -31002, &json!("again")));
}

#[test]
fn a_url_that_is_required_while_nobody_is_there_is_asked_for_when_somebody_is() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    let required = r#"{"elicitations":[{"mode":"url","url":"https://a"}]}"#;
    story.server(&error(&id, -32042, required));
    let said = come_back(&mut story, "s1", &[ROOTS, SAMPLE]);
    assert_eq!(said[0], "unparked s1");
    let again = said.sent();
    assert_eq!(again["method"], "tools/call", "that call is over, and is made again");
    let told = story.server(&error(&again["id"].to_string(), -32042, required)).told();
    assert_eq!((&told["id"], &told["result"]["requestState"]), (&json!("again"), &json!("s2")));
    story.later(Duration::from_mins(10));
    assert!(!story.bridge.is_awaited() && !story.bridge.is_interacting());
}

#[test]
fn whoever_hangs_up_after_coming_back_gives_the_call_up() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    come_back(&mut story, "s1", &[ROOTS, SAMPLE]);
    assert!(story.step(Input::Gone(ClientKey(1))).is_empty(), "the first request has long ended");
    let said = story.gone();
    assert!(said.has(&["unparked s1"]));
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{id}"#)]), "{said:?}");
    assert!(story.server(&result(&id, "{}")).is_empty());
    assert!(!story.bridge.is_interacting() && !story.bridge.is_awaited());
}

#[test]
fn a_server_that_asks_for_ever_is_stopped_after_ten_rounds_and_its_client_told() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    let mut said = Said(Vec::new());
    for round in 1..=11 {
        story.server(&request(&round.to_string(), "elicitation/create", "{}"));
        said = story.millis(30);
        if round <= 10 {
            assert_eq!(said.told()["result"]["requestState"], format!("s{round}"));
            let answer = format!(r#""elicitation-{round}":{{"action":"accept"}}"#);
            assert_eq!(come_back(&mut story, &format!("s{round}"), &[&answer]).to_server().len(), 1);
        }
    }
    assert!(said.has(&[&story.here(), "-32603"]), "{said:?}");
    assert!(
        said.has(&["server<", r#"{"action":"cancel"}"#]) && said.has(&["server<", "notifications/cancelled"])
    );
}

#[test]
fn only_what_may_be_parked_can_be_come_back_to() {
    let mut story = Story::legacy(ALL);
    parked(&mut story);
    let said = story.visit("2", "tools/list", r#""requestState":"s1""#, "");
    assert_eq!(message(said.to_server()[0]).body(), "{}", "to others it means nothing");
    assert_eq!(request_state(r#"{"requestState":7}"#), None);
    assert_eq!(Principal::anyone(), Principal::named(""));
}

#[test]
fn a_drained_lane_forgets_a_call_that_was_answered_while_nobody_was_there() {
    let mut story = Story::legacy(ALL);
    let id = parked(&mut story);
    story.server(&result(&id, "{}"));
    assert_eq!(*story.step(Input::Drain), ["unparked s1"]);
    assert!(story.step(over()).is_empty());
}
