//! What a legacy client is told of unasked, from one `subscriptions/listen`.

use super::*;

/// The first client has said that it is there; the id of the subscription.
fn listening(story: &mut Story) -> String {
    let said = story.notify(A, &notification("initialized", "{}"));
    let sent = said.sent();
    assert_eq!(
        (&sent["method"], &sent["params"]["notifications"]),
        (&json!("subscriptions/listen"), &json!({ "toolsListChanged": true }))
    );
    assert!(sent["params"]["_meta"].get(PROTOCOL_VERSION).is_some());
    said.sent_id()
}

fn on(subscription: &str, method: &str, members: &str) -> String {
    notification(method, &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{subscription}}}{members}}}"#))
}

fn acknowledged(subscription: &str, uris: &str) -> String {
    let honoured = format!(r#","notifications":{{"toolsListChanged":true,"resourceSubscriptions":{uris}}}"#);
    on(subscription, "subscriptions/acknowledged", &honoured)
}

fn changed(subscription: &str) -> String {
    on(subscription, "tools/list_changed", "")
}

fn updated(subscription: &str, uri: &str) -> String {
    on(subscription, "resources/updated", &format!(r#","uri":"{uri}""#))
}

fn subscribe(story: &mut Story, client: ClientKey, id: &str, uri: &str) -> Said {
    story.ask(client, id, "resources/subscribe", &format!(r#"{{"uri":"{uri}"}}"#))
}

fn unsubscribe(story: &mut Story, client: ClientKey, id: &str, uri: &str) -> Said {
    story.ask(client, id, "resources/unsubscribe", &format!(r#"{{"uri":"{uri}"}}"#))
}

#[test]
fn changes_of_lists_come_without_the_id_of_the_subscription() {
    let mut story = opened();
    let known = listening(&mut story);
    assert!(story.server(&acknowledged(&known, "[]")).is_empty(), "it is not for the client");
    let announced = notification("tools/list_changed", "{}");
    assert_eq!(*story.server(&changed(&known)), [format!("1< {announced}")]);
    let with_more = on(&known, "tools/list_changed", "").replace("\"_meta\":{", "\"_meta\":{\"v/x\":1.0,");
    assert_eq!(
        *story.server(&with_more),
        [format!("1< {}", notification("tools/list_changed", r#"{"_meta":{"v/x":1.0}}"#))]
    );
    assert!(story.notify(A, &notification("initialized", "{}")).is_empty(), "one subscription is enough");
    assert_eq!(story.bridge.in_flight(), 0);
}

#[test]
fn a_server_that_announces_nothing_is_not_listened_to() {
    let silent = MODERN.replace(r#""listChanged":true"#, r#""listChanged":false"#);
    let mut story = shaken(Story::modern_that_is(&silent, None), ALL, "2025-11-25");
    assert!(story.notify(A, &notification("initialized", "{}")).is_empty());
}

#[test]
fn each_client_hears_what_it_is_subscribed_to() {
    let mut story = opened();
    let other = story.guest(Revision::V2025_11_25, "{}");
    let mut known = Vec::new();
    for (client, uri) in [(A, "a:1"), (other, "a:2")] {
        let said = subscribe(&mut story, client, "1.0", uri);
        let sent = said.sent();
        assert_eq!(sent["params"]["notifications"], json!({ "resourceSubscriptions": [uri] }));
        let told = story.server(&acknowledged(&said.sent_id(), &format!(r#"["{uri}"]"#)));
        assert_eq!(*told, [format!("{}/{}< {}", client.0, story.exchange, result("1.0", "{}"))]);
        known.push(said.sent_id());
    }
    let told = story.server(&updated(&known[0], "a:1"));
    assert_eq!(*told, [format!("1< {}", notification("resources/updated", r#"{"uri":"a:1"}"#))]);
    assert!(story.server(&updated(&known[1], "a:1")).is_empty(), "it did not ask for that");
    assert_eq!(story.server(&updated(&known[1], "a:2")).len(), 1);
}

#[test]
fn a_change_of_subscriptions_leaves_no_gap() {
    let mut story = opened();
    let first = listening(&mut story);
    story.server(&acknowledged(&first, "[]"));
    let second = subscribe(&mut story, A, "1", "a:1").sent_id();
    assert_eq!(story.server(&changed(&first)).len(), 1, "the old one is heard until the new one is there");
    let said = story.server(&acknowledged(&second, r#"["a:1"]"#));
    assert_eq!(said[0], format!("1/2< {}", result("1", "{}")));
    assert!(
        said[1].contains(&format!(r#"notifications/cancelled","params":{{"requestId":{first},"#)),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
    assert_eq!(story.server(&changed(&second)).len(), 1);
    assert_eq!(*story.server(&changed(&first)), ["Dropped(Unattributable)"], "nothing is told twice");

    let third = unsubscribe(&mut story, A, "2", "a:1");
    assert_eq!(third.sent()["params"]["notifications"], json!({ "toolsListChanged": true }));
    assert_eq!(story.server(&updated(&second, "a:1")).len(), 1);
    let said = story.server(&acknowledged(&third.sent_id(), "[]"));
    assert_eq!(said.told()["result"], json!({}));
}

#[test]
fn changes_that_come_at_once_are_made_together() {
    let mut story = opened();
    let first = subscribe(&mut story, A, "1", "a:1").sent_id();
    for (n, uri) in ["a:2", "a:3"].into_iter().enumerate() {
        assert!(subscribe(&mut story, A, &n.to_string(), uri).is_empty(), "one is under way");
    }
    assert!(unsubscribe(&mut story, A, "\"u\"", "a:1").is_empty());
    let said = story.server(&acknowledged(&first, r#"["a:1"]"#));
    assert_eq!(said.told()["id"], 1);
    let next = said.sent();
    assert_eq!(next["params"]["notifications"], json!({ "resourceSubscriptions": ["a:2", "a:3"] }));
    let said = story.server(&acknowledged(&next["id"].to_string(), r#"["a:3","a:2"]"#));
    assert_eq!(
        (said.to_server().len(), said.len()),
        (1, 4),
        "all three are answered, the old one is cancelled"
    );
}

#[test]
fn what_the_server_does_not_honour_is_refused() {
    let mut story = opened();
    let known = subscribe(&mut story, A, "1", "a:1").sent_id();
    assert_eq!(story.server(&acknowledged(&known, "[]")).code(), -32602);
    assert!(story.server(&updated(&known, "a:1")).is_empty());
    let known = subscribe(&mut story, A, "1", "a:1");
    let told = story.server(&error(&known.sent_id(), -32000, "{}")).told();
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(1), &json!(-32000)),
        "a refusal is told as it came"
    );
    let known = subscribe(&mut story, A, "1", "a:1");
    assert_eq!(story.server(&result(&known.sent_id(), "{}")).code(), -32603, "it was ended at once");
}

#[test]
fn what_is_so_already_is_answered_here() {
    let mut story = opened();
    assert_eq!(unsubscribe(&mut story, A, "1", "a:1").told()["result"], json!({}));
    let known = subscribe(&mut story, A, "2", "a:1").sent_id();
    story.server(&acknowledged(&known, r#"["a:1"]"#));
    assert_eq!(subscribe(&mut story, A, "3", r"a:\u0031").told()["result"], json!({}));
    assert_eq!(story.ask(A, "4", "resources/subscribe", "{}").code(), -32602);
    let plain = MODERN.replace(r#""subscribe":true"#, r#""subscribe":false"#);
    let mut story = shaken(Story::modern_that_is(&plain, None), ALL, "2025-11-25");
    assert_eq!(subscribe(&mut story, A, "1", "a:1").code(), -32601);
}

#[test]
fn who_has_nothing_to_listen_to_any_more_does_not() {
    let mut story = opened();
    let known = subscribe(&mut story, A, "1", "a:1").sent_id();
    story.server(&acknowledged(&known, r#"["a:1"]"#));
    let said = unsubscribe(&mut story, A, "2", "a:1");
    assert!(
        said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{known}"#)]),
        "{said:?}"
    );
    assert_eq!((&said.told()["result"], said.len()), (&json!({}), 2));
    assert!(story.later(Duration::from_mins(10)).is_empty());
    assert!(subscribe(&mut story, A, "3", "a:1").has(&["subscriptions/listen"]));
}

#[test]
fn a_subscription_that_ends_is_opened_again_after_a_pause_and_the_client_told_of_the_gap() {
    let mut story = opened();
    let mut known = listening(&mut story);
    assert!(story.server(&acknowledged(&known, "[]")).is_empty());
    // Each that ends soon doubles the pause, to a minute at most.
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        let ended = notification("cancelled", &format!(r#"{{"requestId":{known}}}"#));
        assert_eq!(*story.server(&ended), ["wake"]);
        assert!(story.millis(pause * 1000 - 1).is_empty(), "{pause}");
        known = story.millis(1).sent_id();
        let announced = notification("tools/list_changed", "{}");
        assert_eq!(*story.server(&acknowledged(&known, "[]")), [format!("1< {announced}")]);
    }
    story.later(Duration::from_mins(1));
    assert_eq!(*story.server(&result(&known, r#"{"resultType":"complete"}"#)), ["wake"]);
    assert_eq!(story.millis(1000).to_server().len(), 1, "one that has lasted begins anew");
}

#[test]
fn a_server_that_refuses_is_not_asked_again_unless_it_was_heard_before() {
    let mut story = opened();
    let known = listening(&mut story);
    assert!(story.server(&error(&known, -32601, "{}")).is_empty());
    assert!(story.later(Duration::from_mins(10)).is_empty());

    let mut story = opened();
    let known = listening(&mut story);
    story.server(&acknowledged(&known, "[]"));
    story.server(&result(&known, "{}"));
    let again = story.millis(1000).sent_id();
    assert_eq!(*story.server(&error(&again, -32603, "{}")), ["wake"]);
    assert_eq!(story.millis(2000).to_server().len(), 1);
}

#[test]
fn an_end_while_another_subscription_is_under_way_needs_no_third() {
    let mut story = opened();
    let first = listening(&mut story);
    story.server(&acknowledged(&first, "[]"));
    let second = subscribe(&mut story, A, "1", "a:1").sent_id();
    story.server(&result(&first, "{}"));
    let said = story.server(&acknowledged(&second, r#"["a:1"]"#));
    assert!(said.has(&["1<", "tools/list_changed"]) && said.has(&["1/2<", r#""result":{}"#]), "{said:?}");
    assert!(story.later(Duration::from_mins(10)).is_empty());
}

#[test]
fn a_server_that_never_acknowledges_is_waited_for_as_long_as_for_any_request() {
    let story = Story::modern_that_is(MODERN, Some(Duration::from_secs(5)));
    let mut story = shaken(story, ALL, "2025-11-25");
    let known = subscribe(&mut story, A, "1", "a:1").sent_id();
    assert!(story.millis(4999).is_empty());
    let said = story.millis(1);
    assert!(
        said.has(&["server<", "notifications/cancelled", &format!(r#""requestId":{known}"#)]),
        "{said:?}"
    );
    assert_eq!(said.code(), -31003);
    let known = subscribe(&mut story, A, "1", "a:1").sent_id();
    assert_eq!(story.server(&acknowledged(&known, r#"["a:1"]"#)).told()["result"], json!({}));
    assert!(story.later(Duration::from_mins(10)).is_empty());
}

#[test]
fn subscriptions_go_on_with_the_next_process_and_the_client_hears_of_it() {
    let mut story = opened();
    let first = listening(&mut story);
    story.server(&acknowledged(&first, "[]"));
    let second = subscribe(&mut story, A, "1", "a:1").sent_id();
    story.server(&acknowledged(&second, r#"["a:1"]"#));
    subscribe(&mut story, A, "2", "a:2");
    let (died, again) = story.restarted(MODERN);
    assert!(died.is_empty());
    let asked: Vec<Value> =
        again.to_server().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let filter =
        |line: &&Value, uris: &Value| line["params"]["notifications"]["resourceSubscriptions"] == *uris;
    let old = asked.iter().find(|line| filter(line, &json!(["a:1"]))).unwrap();
    let new = asked.iter().find(|line| filter(line, &json!(["a:1", "a:2"]))).unwrap();
    assert_eq!(asked.len(), 2);
    let announced: Vec<_> = again.iter().filter(|line| line.starts_with("1<")).collect();
    assert_eq!(announced, [&format!("1< {}", notification("tools/list_changed", "{}"))]);
    assert!(story.server(&acknowledged(&old["id"].to_string(), r#"["a:1"]"#)).is_empty());
    assert_eq!(story.server(&updated(&old["id"].to_string(), "a:1")).len(), 1);
    let said = story.server(&acknowledged(&new["id"].to_string(), r#"["a:1","a:2"]"#));
    assert_eq!(said.told()["id"], 2);
}

#[test]
fn who_subscribes_while_there_is_no_process_is_heard_by_the_next_one() {
    let mut story = opened();
    let first = listening(&mut story);
    story.server(&acknowledged(&first, "[]"));
    story.server(&result(&first, "{}"));
    story.step(exited());
    assert!(story.millis(1000).is_empty(), "there is nobody to be asked");
    let said = story.greeted(MODERN);
    let again = said.sent_id();
    assert!(said.has(&["subscriptions/listen"]) && said.to_server().len() == 1, "{said:?}");
    assert_eq!(story.server(&acknowledged(&again, "[]")).len(), 1, "the client hears of the gap");
}

#[test]
fn the_end_answers_who_waits_for_a_subscription() {
    for end in [Input::Drain, over(), Input::Gone(A)] {
        let mut story = opened();
        subscribe(&mut story, A, "1", "a:1");
        subscribe(&mut story, A, "2", "a:2");
        let said = story.step(end);
        let answers: Vec<_> =
            said.iter().filter(|line| line.starts_with("1/") && line.contains("error")).collect();
        assert_eq!(answers.len(), 2, "{said:?}");
        assert!(said.has(&["server<", "notifications/cancelled"]) && said.len() == 3, "{said:?}");
        assert!(story.later(Duration::from_mins(10)).is_empty());
    }
}
