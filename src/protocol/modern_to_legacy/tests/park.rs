//! A legacy server's question ends its call with `input_required`, and the call waits.

use super::*;

/// A call that the server asks this; what the client is told 30 ms later.
fn asked(story: &mut Story, method: &str, params: &str) -> Said {
    let said = story.server(&request("\"q\"", method, params));
    assert_eq!(*said, ["wake"]);
    story.millis(30)
}

#[test]
fn a_question_ends_the_request_and_leaves_the_call_in_flight() {
    for (method, asks, params) in [
        ("tools/call", "elicitation/create", r#"{"message":"m","requestedSchema":{"n":1e2}}"#),
        ("prompts/get", "sampling/createMessage", r#"{"messages":[],"maxTokens":1}"#),
        ("resources/read", "elicitation/create", r#"{"mode":"url","url":"https://a","message":"m"}"#),
    ] {
        let mut story = Story::legacy(ALL);
        story.visit("1.0", method, "", "");
        let said = asked(&mut story, asks, params);
        let key = format!("{}-1", asks.split('/').next().unwrap());
        let body = format!(
            r#"{{"resultType":"input_required","inputRequests":{{"{key}":{{"method":"{asks}","params":{params}}}}},"requestState":"s1"}}"#
        );
        assert_eq!(*said, ["parked s1", &format!("1/1< {}", result("1.0", &body))]);
        assert!(story.gone().is_empty(), "the request has ended: hanging up cancels nothing");
        assert!(story.bridge.is_interacting() && story.bridge.is_awaited() && story.bridge.in_flight() == 1);
    }
}

#[test]
fn a_server_that_waits_for_an_answer_is_not_stuck() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    story.millis(300);
    assert!(story.bridge.load(story.now).stuck);
    asked(&mut story, "elicitation/create", "{}");
    story.millis(1000);
    assert!(!story.bridge.load(story.now).stuck, "it is the client that is slow");
    story.visit(
        "2",
        "tools/call",
        r#""name":"t","requestState":"s1","inputResponses":{"elicitation-1":{"action":"cancel"}}"#,
        "",
    );
    story.millis(300);
    assert!(story.bridge.load(story.now).stuck, "and now the server is");
}

#[test]
fn what_has_no_meaning_to_a_modern_client_is_left_out_of_a_question() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    story.server(&request("1", "roots/list", r#"{"_meta":{"progressToken":1}}"#));
    let params = r#"{"mode":"url","elicitationId":"e","task":{},"_meta":{"progressToken":1,"v":2}}"#;
    story.server(&request("2", "elicitation/create", params));
    let told = story.millis(30).told();
    let expected = json!({
        "roots-1": { "method": "roots/list" },
        "elicitation-2": { "method": "elicitation/create", "params": { "mode": "url", "_meta": { "v": 2 } } },
    });
    assert_eq!(told["result"]["inputRequests"], expected);
}

#[test]
fn questions_that_come_within_thirty_milliseconds_are_asked_together() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    story.server(&request("1", "roots/list", "{}"));
    assert!(story.millis(20).is_empty());
    assert!(story.server(&request("2", "sampling/createMessage", "{}")).is_empty());
    let told = story.millis(10).told();
    let asked = told["result"]["inputRequests"].as_object().unwrap();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["roots-1", "sampling-2"]);
}

#[test]
fn a_call_that_is_answered_meanwhile_is_not_asked_for() {
    let mut story = Story::legacy(ALL);
    let id = call(&mut story, "1");
    story.server(&request("7", "roots/list", "{}"));
    let said = story.server(&result(&id, "{}"));
    assert_eq!(said.told()["result"]["resultType"], "complete");
    assert!(said.has(&["server<", r#""id":7,"error""#]), "the server is not left waiting: {said:?}");
    assert!(story.millis(30).is_empty());
    assert!(!story.bridge.is_interacting() && !story.bridge.is_awaited());
}

#[test]
fn only_what_the_client_has_declared_is_asked() {
    let by_url = r#"{"mode":"url","url":"https://a"}"#;
    for (capabilities, method, params, may) in [
        (r#"{"elicitation":{}}"#, "elicitation/create", "{}", true),
        (r#"{"elicitation":{}}"#, "elicitation/create", by_url, false),
        (r#"{"elicitation":{"form":{}}}"#, "elicitation/create", by_url, false),
        (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", by_url, true),
        (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", r#"{"mode":"form"}"#, false),
        (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", "{}", false),
        (r#"{"roots":{}}"#, "roots/list", "{}", true),
        (r#"{"roots":{}}"#, "sampling/createMessage", "{}", false),
        (r#"{"sampling":{}}"#, "sampling/createMessage", "{}", true),
        (r#"{"sampling":{}}"#, "sampling/other", "{}", false),
        ("{}", "roots/list", "{}", false),
    ] {
        let mut story = Story::legacy(capabilities);
        call(&mut story, "1");
        let said = story.server(&request("7", method, params));
        if may {
            assert_eq!(*said, ["wake"], "{capabilities} {method} {params}");
        } else {
            let refused = said.sent();
            assert_eq!(
                (&refused["id"], &refused["error"]["code"]),
                (&json!(7), &json!(-32601)),
                "{method} {params}"
            );
            assert!(story.millis(30).is_empty());
        }
    }
}

#[test]
fn a_call_that_fails_for_want_of_what_its_client_has_not_declared_says_what_that_is() {
    let by_url = r#"{"mode":"url","url":"https://a"}"#;
    for (method, params, required) in [
        ("elicitation/create", by_url, json!({ "elicitation": { "url": {} } })),
        ("elicitation/create", "{}", json!({ "elicitation": {} })),
        ("sampling/createMessage", "{}", json!({ "sampling": {} })),
    ] {
        let mut story = Story::legacy("{}");
        let id = call(&mut story, "1");
        assert_eq!(story.server(&request("7", method, params)).sent()["error"]["code"], -32601);
        let told = story.server(&error(&id, -32000, "{}")).told();
        assert_eq!(told["error"]["code"], -32021);
        assert_eq!(told["error"]["data"]["requiredCapabilities"], required, "{method}");

        let id = call(&mut story, "2");
        story.server(&request("7", method, params));
        let told = story.server(&result(&id, r#"{"content":[]}"#)).told();
        assert_eq!(told["result"]["resultType"], "complete", "a server that can do without does");
    }
}

#[test]
fn only_three_methods_may_be_answered_with_a_question() {
    let mut story = Story::legacy(ALL);
    story.visit("1", "tools/list", "", "");
    assert_eq!(story.server(&request("7", "sampling/createMessage", "{}")).sent()["error"]["code"], -32601);
    // Beside such a request there may be one that can be asked.
    call(&mut story, "2");
    assert_eq!(asked(&mut story, "sampling/createMessage", "{}").told()["id"], 2);
}

#[test]
fn nobody_is_asked_where_two_could_be_meant() {
    let mut story = Story::legacy(ALL);
    for id in ["1", "2"] {
        call(&mut story, id);
    }
    assert_eq!(story.server(&request("7", "roots/list", "{}")).sent()["error"]["code"], -32601);
}

#[test]
fn a_question_that_the_server_withdraws_is_not_asked() {
    let mut story = Story::legacy(ALL);
    call(&mut story, "1");
    story.server(&request("7", "roots/list", "{}"));
    story.server(&request("8", "sampling/createMessage", "{}"));
    assert!(story.server(&notification("cancelled", r#"{"requestId":7}"#)).is_empty());
    let told = story.millis(30).told();
    let asked = told["result"]["inputRequests"].as_object().unwrap();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["sampling-2"]);
}

#[test]
fn a_call_of_which_every_question_is_withdrawn_goes_on() {
    let mut story = Story::legacy(ALL);
    let id = call(&mut story, "1");
    story.server(&request("7", "roots/list", "{}"));
    story.server(&notification("cancelled", r#"{"requestId":7}"#));
    assert!(story.millis(30).is_empty());
    assert_eq!(story.server(&result(&id, "{}")).told()["result"]["resultType"], "complete");
}

#[test]
fn whoever_hangs_up_before_it_was_asked_gives_the_call_up() {
    let mut story = Story::legacy(ALL);
    let id = call(&mut story, "1");
    story.server(&request("7", "elicitation/create", "{}"));
    let said = story.gone();
    let sent: Vec<Value> =
        said.to_server().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&sent[0]["id"], &sent[0]["result"]), (&json!(7), &json!({ "action": "cancel" })));
    assert_eq!(sent[1]["params"]["requestId"].to_string(), id);
    assert_eq!((sent.len(), said.len()), (2, 2));
    assert!(story.millis(30).is_empty());
    let refused = story.server(&request("8", "roots/list", "{}")).sent();
    assert_eq!(refused["error"]["code"], -32601, "what is still asked for it goes to nobody");
}

#[test]
fn a_call_is_not_parked_without_random_numbers() {
    let mut story = Story::legacy_without_secrets(ALL);
    call(&mut story, "1");
    let said = asked(&mut story, "elicitation/create", "{}");
    assert!(said.has(&["1/1<", "-32603"]) && said.has(&["server<", "notifications/cancelled"]), "{said:?}");
    assert!(said.has(&["server<", r#"{"action":"cancel"}"#]));
    let mut story = Story::legacy_without_secrets(ALL);
    story.server(&request("1", "roots/list", "{}"));
    assert_eq!(story.visit("1", "tools/call", "", "").code(), -32603);
    let mut story = Story::legacy_without_secrets(ALL);
    let id = call(&mut story, "1");
    let required = error(&id, -32042, r#"{"elicitations":[{"mode":"url","url":"https://a"}]}"#);
    assert_eq!(story.server(&required).code(), -32603);
}

#[test]
fn what_was_asked_for_roots_without_a_call_is_asked_before_the_next_one() {
    let mut story = Story::legacy(ALL);
    assert!(story.server(&request("\"r\"", "roots/list", "{}")).is_empty());
    assert_eq!(story.server(&request("2", "elicitation/create", "{}")).sent()["error"]["code"], -32601);
    assert_eq!(
        story.visit("1", "tools/list", "", "").sent()["method"],
        "tools/list",
        "nobody is asked for a list"
    );

    let said = story.visit("2", "tools/call", r#""name":"t""#, "");
    let told = said.told();
    let expected = json!({ "resultType": "input_required", "requestState": "s1",
        "inputRequests": { "roots-0": { "method": "roots/list" } } });
    assert_eq!((said.len(), &told["id"], &told["result"]), (2, &json!(2), &expected));
    assert!(story.bridge.is_interacting(), "its place is kept");

    let answers = r#""name":"t","requestState":"s1","inputResponses":{"roots-0":{"roots":[]}}"#;
    let said = story.visit("3", "tools/call", answers, "");
    assert_eq!(said[0], "unparked s1");
    let sent: Vec<Value> =
        said.to_server().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&sent[0]["id"], &sent[0]["result"]), (&json!("r"), &json!({ "roots": [] })));
    assert_eq!((&sent[1]["method"], &sent[1]["params"]), (&json!("tools/call"), &json!({ "name": "t" })));
    let told = story.server(&result(&sent[1]["id"].to_string(), "{}")).told();
    assert_eq!((&told["id"], &told["result"]["resultType"]), (&json!(3), &json!("complete")));
}

#[test]
fn a_question_without_a_call_that_nobody_answers_is_put_to_the_next_client() {
    let mut story = Story::legacy(ALL);
    story.server(&request("7", "roots/list", "{}"));
    assert_eq!(story.visit("1", "tools/call", "", "").told()["result"]["requestState"], "s1");
    assert_eq!(*story.later(Duration::from_mins(10)), ["unparked s1"]);
    assert!(!story.bridge.is_interacting());
    assert_eq!(story.visit("2", "tools/call", "", "").told()["result"]["requestState"], "s2");
    // It comes back without an answer: the server is not left waiting.
    let said = story.visit("3", "tools/call", r#""requestState":"s2""#, "");
    assert!(said.has(&["server<", r#""id":7,"error""#]) && said.has(&["server<", "tools/call"]), "{said:?}");
}

#[test]
fn a_question_without_a_call_is_forgotten_when_it_is_withdrawn_or_its_process_dies() {
    let withdrawn = notification("cancelled", r#"{"requestId":7}"#);
    for dies in [true, false] {
        for asked in [true, false] {
            let mut story = Story::legacy(ALL);
            story.server(&request("7", "roots/list", "{}"));
            if asked {
                story.visit("1", "tools/call", "", "");
            }
            if dies {
                story.restarted(LEGACY);
            } else {
                assert!(story.server(&withdrawn).is_empty());
            }
            let state =
                if asked { r#""requestState":"s1","inputResponses":{"roots-0":{"roots":[]}}"# } else { "" };
            let said = story.visit("2", "tools/call", state, "");
            assert_eq!(said.sent()["method"], "tools/call", "{said:?}");
        }
    }
}

#[test]
fn a_server_cannot_ask_for_ever_without_a_call() {
    let mut story = Story::legacy(ALL);
    let refused = (0..100).filter(|n| !story.server(&request(&n.to_string(), "roots/list", "{}")).is_empty());
    assert_eq!(refused.count(), 36);
}

#[test]
fn a_url_that_must_be_visited_first_is_asked_for_and_the_call_made_again() {
    let mut story = Story::legacy(ALL);
    let id = story.visit("1", "tools/call", r#""name":"t""#, r#""progressToken":"first""#).sent_id();
    let url = r#"{"mode":"url","url":"https://a","elicitationId":"e","message":"m"}"#;
    let told = story.server(&error(&id, -32042, &format!(r#"{{"elicitations":[{url}]}}"#))).told();
    let expected = json!({ "resultType": "input_required", "requestState": "s1", "inputRequests": { "url-1": {
        "method": "elicitation/create", "params": { "mode": "url", "url": "https://a", "message": "m" } } } });
    assert_eq!(told["result"], expected);

    let answers = r#""name":"t","requestState":"s1","inputResponses":{"url-1":{"action":"accept"}}"#;
    let said = story.visit("2", "tools/call", answers, r#""progressToken":"second""#);
    let sent = said.sent();
    assert_eq!((&sent["method"], &sent["params"]["name"]), (&json!("tools/call"), &json!("t")));
    let token = &sent["params"]["_meta"]["progressToken"];
    let told =
        story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    assert_eq!(told.told()["params"]["progressToken"], "second");
    assert_eq!(story.server(&result(&sent["id"].to_string(), "{}")).told()["id"], 2);
}

#[test]
fn who_cannot_visit_a_url_is_told_what_it_lacks() {
    for capabilities in [r#"{"elicitation":{}}"#, r#"{"roots":{}}"#, "{}"] {
        let mut story = Story::legacy(capabilities);
        let id = call(&mut story, "1");
        let required = error(&id, -32042, r#"{"elicitations":[{"mode":"url","url":"https://a"}]}"#);
        let told = story.server(&required).told();
        assert_eq!(told["error"]["code"], -32021, "{capabilities}");
        assert_eq!(told["error"]["data"]["requiredCapabilities"], json!({ "elicitation": { "url": {} } }));
    }
}

#[test]
fn a_parked_call_has_no_clock_whatever_progress_the_server_tells_of() {
    let mut story = Story::legacy_within(ALL, Some(Duration::from_secs(5)));
    let said = story.visit("1", "tools/call", "", r#""progressToken":1"#);
    let line = message(said.to_server()[0]);
    let token = progress_token(line.body()).unwrap();
    asked(&mut story, "roots/list", "{}");
    assert!(story.millis(60_000).is_empty());
    story.server(&notification("progress", &format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    assert!(story.millis(60_000).is_empty());
    let said = story.visit(
        "2",
        "tools/call",
        r#""requestState":"s1","inputResponses":{"roots-1":{"roots":[]}}"#,
        "",
    );
    assert_eq!(said.sent()["result"], json!({ "roots": [] }));
    assert!(story.millis(4900).is_empty());
    let said = story.millis(100);
    assert!(said.has(&["2/2<", "-31003"]), "then it goes on: {said:?}");
}

#[test]
fn a_call_whose_client_does_not_come_back_is_given_up_after_ten_minutes() {
    let mut story = Story::legacy(ALL);
    let id = call(&mut story, "1");
    story.server(&request("7", "elicitation/create", "{}"));
    story.server(&request("8", "sampling/createMessage", "{}"));
    story.millis(30);
    assert!(story.later(Duration::from_secs(599)).is_empty());
    let said = story.later(Duration::from_secs(1));
    let sent: Vec<Value> =
        said.to_server().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((said[0].as_str(), sent.len(), said.len()), ("unparked s1", 3, 4));
    assert_eq!((&sent[0]["id"], &sent[0]["result"]), (&json!(7), &json!({ "action": "cancel" })));
    assert_eq!((&sent[1]["id"], &sent[1]["error"]["code"]), (&json!(8), &json!(-32603)));
    assert_eq!(sent[2]["method"], "notifications/cancelled");
    assert_eq!(sent[2]["params"]["requestId"].to_string(), id);
    let said = story.visit("2", "tools/call", r#""name":"t","requestState":"s1""#, "");
    assert_eq!(said.told()["error"]["data"]["reason"], "invalid_request_state");
    story.later(CANCELLED_GRACE);
    assert!(story.bridge.is_spoiled() && !story.bridge.is_awaited(), "it may still ask for it");
}

#[test]
fn a_lane_that_ends_lets_nobody_come_back() {
    for (end, sent) in [(Input::Drain, 2), (over(), 0)] {
        let mut story = Story::legacy(ALL);
        call(&mut story, "1");
        asked(&mut story, "elicitation/create", "{}");
        let said = story.step(end);
        assert!(said.has(&["unparked s1"]));
        assert_eq!((said.to_server().len(), said.len()), (sent, sent + 1), "{said:?}");
        assert!(!story.bridge.is_awaited());
    }
}
