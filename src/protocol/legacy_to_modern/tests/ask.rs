//! A modern server's `input_required`, put to a legacy client on the stream of its call.

use super::*;

/// The server answers the call that it knows by `id` with these questions and this state.
fn asks(story: &mut Story, id: &str, questions: &str, state: &str) -> Said {
    let state = if state.is_empty() { String::new() } else { format!(r#","requestState":{state}"#) };
    story.server(&result(
        id,
        &format!(r#"{{"resultType":"input_required","inputRequests":{{{questions}}}{state}}}"#),
    ))
}

fn question(key: &str, method: &str, params: &str) -> String {
    format!(r#""{key}":{{"method":"{method}","params":{params}}}"#)
}

fn three() -> String {
    let three = [("a", "elicitation/create"), ("b", "sampling/createMessage"), ("c", "roots/list")];
    three.map(|(key, method)| question(key, method, r#"{"n":1.0}"#)).join(",")
}

/// The messages that the client was sent, in order.
fn told(said: &Said) -> Vec<Value> {
    let lines = said.iter().filter_map(|line| line.strip_prefix("1/2< "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The ids of the questions that the client was put.
fn ids(said: &Said) -> Vec<String> {
    told(said)
        .iter()
        .filter(|line| line["method"] != "notifications/cancelled")
        .map(|line| line["id"].to_string())
        .collect()
}

#[test]
fn questions_come_on_the_stream_of_the_call_and_the_answers_go_with_its_retry() {
    let mut story = opened();
    let params = r#"{"name":"t","arguments":{"n":1e2},"_meta":{"progressToken":"p"}}"#;
    let first = story.ask(A, "1", "tools/call", params);
    let before = message(first.to_server()[0]);
    let state = r#""\u0061 \/ ü""#;
    let said = asks(&mut story, before.id().unwrap(), &three(), state);
    let put = told(&said);
    assert_eq!(put.len(), 3);
    for (line, method) in put.iter().zip(["elicitation/create", "sampling/createMessage", "roots/list"]) {
        assert_eq!((&line["method"], &line["params"]), (&json!(method), &json!({ "n": 1.0 })));
    }
    assert!(said[0].contains(r#"{"n":1.0}"#), "to the letter");
    let ids = ids(&said);
    assert_eq!(story.bridge.in_flight(), 1, "it is not over");

    assert!(story.notify(A, &result(&ids[1], r#"{"role":"user","n":1.0}"#)).is_empty());
    assert!(story.notify(A, &result(&ids[2], r#"{"roots":[]}"#)).is_empty());
    let said = story.notify(A, &result(&ids[0], r#"{"action":"accept"}"#));
    let again = message(said.to_server()[0]);
    assert_eq!((again.method(), said.len()), ("tools/call", 1));
    assert_ne!(again.id(), before.id(), "a request of its own");
    let find = |path: &[&str]| crate::wire::meta::find(again.body(), path).map(str::to_owned);
    assert_eq!(find(&["requestState"]).as_deref(), Some(state), "byte for byte");
    let answers = r#"{"a":{"action":"accept"},"b":{"role":"user","n":1.0},"c":{"roots":[]}}"#;
    assert_eq!(find(&["inputResponses"]).as_deref(), Some(answers));
    assert_eq!(find(&["arguments"]).as_deref(), Some(r#"{"n":1e2}"#));
    assert_eq!(find(&["_meta", PROTOCOL_VERSION]).as_deref(), Some("\"2026-07-28\""));

    let token = progress_token(again.body()).unwrap();
    let progress =
        story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    assert_eq!(told(&progress)[0]["params"]["progressToken"], "p");
    let said = story.server(&result(again.id().unwrap(), r#"{"resultType":"complete","content":[]}"#));
    assert_eq!(*said, [format!("1/2< {}", result("1", r#"{"content":[]}"#))]);
}

#[test]
fn a_retry_has_the_answers_of_its_own_round_and_no_others() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &question("a", "roots/list", "{}"), "\"x\"");
    let sent = story.notify(A, &result(&ids(&said)[0], r#"{"roots":[1]}"#)).sent();
    let said = asks(&mut story, &sent["id"].to_string(), &question("b", "roots/list", "{}"), "");
    let sent = story.notify(A, &result(&ids(&said)[0], r#"{"roots":[2]}"#)).sent();
    assert_eq!(sent["params"]["inputResponses"], json!({ "b": { "roots": [2] } }));
    assert!(sent["params"].get("requestState").is_none(), "none came, so none goes back");
}

#[test]
fn what_needs_no_answer_is_tried_again_after_a_moment() {
    let mut story = opened();
    let id = call(&mut story, "1");
    for questions in [r#""inputRequests":{},"#, ""] {
        let answer = format!(r#"{{"resultType":"input_required",{questions}"requestState":"x"}}"#);
        let id = if questions.is_empty() { call(&mut story, "2") } else { id.clone() };
        assert_eq!(*story.server(&result(&id, &answer)), ["wake"]);
        assert!(story.millis(240).is_empty());
        let sent = story.millis(10).sent();
        assert_eq!(
            (&sent["params"]["requestState"], sent["params"].get("inputResponses")),
            (&json!("x"), None)
        );
    }
}

#[test]
fn a_server_that_asks_for_ever_is_stopped_after_ten_rounds() {
    let mut story = opened();
    let mut id = call(&mut story, "1");
    for _ in 0..10 {
        asks(&mut story, &id, "", "\"x\"");
        id = story.millis(250).sent_id();
    }
    let told = asks(&mut story, &id, "", "\"x\"").told();
    assert_eq!((&told["id"], &told["result"]["isError"]), (&json!(1), &json!(true)));
}

#[test]
fn questions_are_as_the_clients_revision_has_them() {
    let url = question("a", "elicitation/create", r#"{"mode":"url","url":"https://a"}"#);
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &url, "");
    assert_eq!(told(&said)[0]["params"]["elicitationId"], told(&said)[0]["id"], "it is required there");
    let form = question("a", "elicitation/create", r#"{"mode":"form","message":"m"}"#);
    for (version, mode) in [("2025-06-18", Value::Null), ("2025-11-25", json!("form"))] {
        let mut story = opened_with(ALL, version);
        let id = call(&mut story, "1");
        let said = asks(&mut story, &id, &form, "");
        assert_eq!(told(&said)[0]["params"]["mode"], mode, "{version}");
    }
}

#[test]
fn what_the_client_has_not_declared_is_not_asked_and_named_instead() {
    for (capabilities, method, params) in [
        ("{}", "elicitation/create", "{}"),
        (r#"{"elicitation":{}}"#, "elicitation/create", r#"{"mode":"url"}"#),
        (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", "{}"),
        (r#"{"roots":{}}"#, "sampling/createMessage", "{}"),
        (ALL, "vendor/ask", "{}"),
    ] {
        let mut story = opened_with(capabilities, "2025-11-25");
        let id = call(&mut story, "1");
        let said = asks(&mut story, &id, &question("a", method, params), "\"x\"");
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said.told()["result"]["isError"], true);
        assert!(said[0].contains(method.split('/').next().unwrap()));
        let id = story.ask(A, "2", "prompts/get", "{}").sent_id();
        assert_eq!(asks(&mut story, &id, &question("a", method, params), "").code(), -32603);
        assert_eq!(story.bridge.in_flight(), 0);
    }
}

#[test]
fn a_result_that_asks_for_nothing_ends_the_call() {
    for wrong in [r#"{"resultType":"input_required"}"#, r#"{"resultType":"input_required","requestState":7}"#]
    {
        let mut story = opened();
        let id = call(&mut story, "1");
        assert_eq!(story.server(&result(&id, wrong)).told()["result"]["isError"], true);
    }
    let many: Vec<_> = (0..65).map(|n| question(&n.to_string(), "roots/list", "{}")).collect();
    let mut story = opened();
    let id = call(&mut story, "1");
    assert_eq!(asks(&mut story, &id, &many.join(","), "").told()["result"]["isError"], true);
}

#[test]
fn an_error_instead_of_an_answer_is_said_in_the_way_of_the_question() {
    for (code, action) in [(-32601, "decline"), (-32603, "cancel"), (-1, "cancel")] {
        let mut story = opened();
        let id = call(&mut story, "1");
        let said = asks(&mut story, &id, &question("a", "elicitation/create", "{}"), "");
        let sent = story.notify(A, &error(&ids(&said)[0], code, "{}")).sent();
        assert_eq!(sent["params"]["inputResponses"], json!({ "a": { "action": action } }), "{code}");
    }
    for (method, is_tool) in [("tools/call", true), ("prompts/get", false), ("resources/read", false)] {
        let mut story = opened();
        let id = story.ask(A, "1", method, "{}").sent_id();
        let said = asks(&mut story, &id, &three(), "");
        let ids = ids(&said);
        let said = story.notify(A, &error(&ids[1], -1, "{}"));
        let told = told(&said);
        let mut withdrawn: Vec<_> =
            told[..2].iter().map(|line| line["params"]["requestId"].to_string()).collect();
        withdrawn.sort_unstable();
        assert_eq!(withdrawn, [ids[0].clone(), ids[2].clone()], "what is still open is withdrawn");
        assert!(told[..2].iter().all(|line| line["method"] == "notifications/cancelled"));
        assert_eq!((told[2]["id"] == 1, told[2]["result"]["isError"] == true), (true, is_tool), "{method}");
        assert_eq!(*story.notify(A, &result(&ids[0], "{}")), ["Dropped(UnknownQuestion)"]);
    }
}

#[test]
fn a_client_that_does_not_answer_has_nobody_who_could() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &three(), "");
    story.notify(A, &result(&ids(&said)[0], r#"{"action":"accept"}"#));
    assert!(story.later(Duration::from_secs(599)).is_empty());
    let said = story.later(Duration::from_secs(1));
    let told = told(&said);
    assert_eq!((told.len(), &told[2]["result"]["isError"]), (3, &json!(true)), "two are withdrawn");
    assert!(said.to_server().is_empty(), "the server waits for nothing");
}

#[test]
fn only_who_was_asked_can_answer() {
    let mut story = opened();
    let other = story.guest(Revision::V2025_11_25, ALL);
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &question("a", "roots/list", "{}"), "");
    let answer = result(&ids(&said)[0], r#"{"roots":[]}"#);
    assert_eq!(*story.notify(other, &answer), ["Dropped(UnknownQuestion)"]);
    assert_eq!(story.notify(A, &answer).to_server().len(), 1);
    assert_eq!(*story.notify(A, &answer), ["Dropped(UnknownQuestion)"]);
}

#[test]
fn a_call_can_be_cancelled_while_its_client_is_asked_and_while_it_waits_to_be_tried_again() {
    for questions in [three(), String::new()] {
        let mut story = opened();
        let id = call(&mut story, "1");
        let said = asks(&mut story, &id, &questions, "\"x\"");
        let ids = ids(&said);
        let said = story.notify(A, &notification("cancelled", r#"{"requestId":1}"#));
        assert_eq!((said.code(), said.to_server().len()), (-32800, 0), "the server has nothing to cancel");
        assert!(story.millis(250).is_empty());
        for id in ids {
            assert_eq!(*story.notify(A, &result(&id, "{}")), ["Dropped(UnknownQuestion)"]);
        }
        assert_eq!(story.bridge.in_flight(), 0);
    }
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &question("a", "roots/list", "{}"), "");
    let retried = story.notify(A, &result(&ids(&said)[0], r#"{"roots":[]}"#)).sent_id();
    let said = story.notify(A, &notification("cancelled", r#"{"requestId":1}"#));
    assert!(said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{retried}"#)]));
}

#[test]
fn a_client_that_leaves_while_it_is_asked_leaves_nothing_behind() {
    for end in [Input::Gone(A), over()] {
        let mut story = opened();
        let id = call(&mut story, "1");
        asks(&mut story, &id, &three(), "");
        let said = story.step(end);
        assert_eq!((said.told()["error"].is_object(), said.len()), (true, 1));
        assert!(story.later(Duration::from_mins(10)).is_empty());
        assert_eq!(story.bridge.in_flight(), 0);
    }
}

#[test]
fn a_call_that_is_asked_for_while_the_process_dies_goes_on_with_the_next_one() {
    let mut story = opened();
    let id = call(&mut story, "1");
    let said = asks(&mut story, &id, &question("a", "roots/list", "{}"), "\"x\"");
    let (died, again) = story.restarted(MODERN);
    assert!(died.is_empty() && *again == ["resumed"]);
    let sent = story.notify(A, &result(&ids(&said)[0], r#"{"roots":[]}"#)).sent();
    assert_eq!((&sent["method"], &sent["params"]["requestState"]), (&json!("tools/call"), &json!("x")));
    assert!(story.server(&result(&sent["id"].to_string(), "{}")).told().get("result").is_some());
}

#[test]
fn a_retry_that_finds_no_process_is_not_lost() {
    let mut story = opened();
    let id = call(&mut story, "1");
    asks(&mut story, &id, "", "\"x\"");
    story.step(exited());
    let said = story.millis(250);
    assert_eq!(
        (said.code(), said.len()),
        (-31002, 1),
        "nothing may be written before the next one has opened"
    );
}
