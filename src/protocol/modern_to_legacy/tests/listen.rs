//! `subscriptions/listen` before a legacy server.

use super::*;

fn listen(story: &mut Story, id: &str, filter: &str) -> Said {
    story.visit(id, "subscriptions/listen", &format!(r#""notifications":{filter}"#), "")
}

fn acknowledged(id: &str, honoured: &str) -> String {
    notification(
        "subscriptions/acknowledged",
        &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}},"notifications":{honoured}}}"#),
    )
}

fn updated(uri: &str) -> String {
    notification("resources/updated", &format!(r#"{{"uri":"{uri}"}}"#))
}

const BOTH: &str = r#"{"resourceSubscriptions":["a:1","a:2"]}"#;

#[test]
fn what_the_server_announces_is_acknowledged_first_and_told_under_the_clients_own_id() {
    let mut story = Story::legacy("{}");
    for id in ["1", "\"1\"", "1.0"] {
        let said = listen(&mut story, id, r#"{"toolsListChanged":true,"promptsListChanged":true}"#);
        // The server never said that it announces changes of its prompts.
        assert_eq!(*said, [format!("{} {}", story.here(), acknowledged(id, r#"{"toolsListChanged":true}"#))]);
        let said = story.server(&notification("tools/list_changed", "{}"));
        let told =
            notification("tools/list_changed", &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}"#));
        assert_eq!(said.last().unwrap(), &format!("{} {told}", story.here()));
        for other in ["prompts/list_changed", "vendor/list_changed"] {
            assert!(story.server(&notification(other, "{}")).is_empty());
        }
    }
    assert_eq!(
        story.server(&notification("tools/list_changed", "{}")).len(),
        3,
        "everybody who listens is told"
    );
}

#[test]
fn who_asks_for_nothing_is_told_nothing() {
    let mut story = Story::legacy("{}");
    for filter in ["{}", r#"{"toolsListChanged":false,"resourceSubscriptions":null}"#] {
        assert_eq!(
            *listen(&mut story, "1", filter),
            [format!("{} {}", story.here(), acknowledged("1", "{}"))]
        );
    }
    assert!(story.server(&notification("tools/list_changed", "{}")).is_empty());
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let mut story = Story::legacy("{}");
    for filter in ["[]", "7", r#"{"toolsListChanged":1}"#, r#"{"resourceSubscriptions":[1]}"#] {
        assert_eq!(listen(&mut story, "1", filter).code(), -32602, "{filter}");
    }
    assert_eq!(story.visit("1", "subscriptions/listen", "", "").code(), -32602);
}

#[test]
fn a_resource_is_acknowledged_once_the_server_has_accepted_it_and_not_if_it_has_not() {
    let mut story = Story::legacy("{}");
    let said = listen(&mut story, "1", BOTH);
    let asked: Vec<_> = said.to_server().into_iter().map(message).collect();
    assert_eq!(asked.iter().map(Message::body).collect::<Vec<_>>(), [r#"{"uri":"a:1"}"#, r#"{"uri":"a:2"}"#]);
    assert!(asked.iter().all(|line| line.method() == "resources/subscribe") && said.len() == 2);
    assert!(story.server(&result(asked[0].id().unwrap(), "{}")).is_empty());
    assert!(story.server(&updated("a:1")).is_empty(), "nothing comes before the acknowledgement");
    let said = story.server(&error(asked[1].id().unwrap(), -32002, "{}"));
    assert_eq!(*said, [format!("1/1< {}", acknowledged("1", r#"{"resourceSubscriptions":["a:1"]}"#))]);
    let told = story.server(&updated("a:1")).told();
    assert_eq!(told["params"], json!({ "uri": "a:1", "_meta": { SUBSCRIPTION_ID: 1 } }));
    assert!(story.server(&updated("a:2")).is_empty());
}

#[test]
fn a_server_without_subscriptions_is_not_asked_for_any() {
    let mut story = Story::legacy_that_is(&LEGACY.replace(r#""subscribe":true"#, r#""subscribe":false"#));
    assert_eq!(*listen(&mut story, "1", BOTH), [format!("1/1< {}", acknowledged("1", "{}"))]);
}

#[test]
fn the_server_is_subscribed_once_and_unsubscribed_when_the_last_listener_leaves() {
    let mut story = Story::legacy("{}");
    let id = listen(&mut story, "1", r#"{"resourceSubscriptions":["a:1"]}"#).sent_id();
    assert!(
        listen(&mut story, "2", r#"{"resourceSubscriptions":["a:\u0031","a:1"]}"#).is_empty(),
        "it is on its way"
    );
    let said = story.server(&result(&id, "{}"));
    assert_eq!(said.len(), 2, "both are acknowledged: {said:?}");
    let said = listen(&mut story, "3", r#"{"resourceSubscriptions":["a:1"]}"#);
    assert_eq!(*said, [format!("3/3< {}", acknowledged("3", r#"{"resourceSubscriptions":["a:1"]}"#))]);
    assert_eq!(story.server(&updated("a:1")).len(), 3);
    for client in [1, 3] {
        assert!(story.step(Input::Gone(ClientKey(client))).is_empty());
    }
    assert_eq!(story.server(&updated("a:1")).told()["params"]["_meta"][SUBSCRIPTION_ID], 2);
    let sent = story.step(Input::Gone(ClientKey(2))).sent();
    assert_eq!(
        (&sent["method"], &sent["params"]),
        (&json!("resources/unsubscribe"), &json!({ "uri": "a:1" }))
    );
    story.server(&result(&sent["id"].to_string(), "{}"));
    assert!(story.server(&updated("a:1")).is_empty());
    assert!(
        listen(&mut story, "4", r#"{"resourceSubscriptions":["a:1"]}"#)
            .has(&["server<", "resources/subscribe"])
    );
}

#[test]
fn a_subscription_ends_in_peace_when_the_lane_does() {
    for end in [Input::Drain, over()] {
        let mut story = Story::legacy("{}");
        listen(&mut story, "\"l\"", r#"{"toolsListChanged":true}"#);
        let ended =
            result("\"l\"", &format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":"l"}}}}"#));
        assert_eq!(*story.step(end), [format!("1/1< {ended}")]);
        assert!(story.server(&notification("tools/list_changed", "{}")).is_empty());
    }
}

#[test]
fn subscriptions_go_on_with_the_next_process_and_listeners_hear_of_it() {
    let mut story = Story::legacy("{}");
    let filter = r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#;
    let id = listen(&mut story, "1", filter).sent_id();
    story.server(&result(&id, "{}"));
    let (died, again) = story.restarted(LEGACY);
    assert!(died.is_empty());
    assert!(again.has(&["server<", "resources/subscribe", "a:1"]), "{again:?}");
    let told: Vec<_> = again.iter().filter(|line| line.starts_with("1/1<")).collect();
    let changed = notification("tools/list_changed", &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":1}}}}"#));
    assert_eq!(told, [&format!("1/1< {changed}")]);
    assert_eq!(story.server(&updated("a:1")).len(), 1);
}

#[test]
fn a_subscription_that_was_on_its_way_when_the_process_died_is_acknowledged_without_it() {
    let mut story = Story::legacy("{}");
    listen(&mut story, "1", r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#);
    let (died, _) = story.restarted(LEGACY);
    assert_eq!(*died, [format!("1/1< {}", acknowledged("1", r#"{"toolsListChanged":true}"#))]);
}

#[test]
fn whoever_hangs_up_while_there_is_no_process_is_not_subscribed_with_the_next_one() {
    let mut story = Story::legacy("{}");
    let id = listen(&mut story, "1", r#"{"resourceSubscriptions":["a:1"]}"#).sent_id();
    story.server(&result(&id, "{}"));
    story.step(exited());
    assert!(story.gone().is_empty(), "there is nobody to be told");
    assert_eq!(story.bridge.in_flight(), 0);
    assert!(!story.greeted(LEGACY).has(&["resources/subscribe"]));
}

#[test]
fn log_lines_and_progress_never_come_on_a_subscription() {
    let mut story = Story::legacy("{}");
    listen(&mut story, "1", r#"{"toolsListChanged":true}"#);
    story.visit("2", "tools/call", "", &wants_logs("debug"));
    let said = story.server(&log_line("error"));
    assert_eq!(*said, [format!("2/2< {}", log_line("error"))]);
}
