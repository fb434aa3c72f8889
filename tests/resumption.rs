//! A client that hangs up loses nothing that was sent as events, and gets nothing twice.

#![expect(clippy::unwrap_used, reason = "a story fails where it breaks")]

mod support;

use serde_json::{Value, json};
use support::events::Event;
use support::mcp::{Client, log_line, notification, result};
use support::puppet::router_of_puppet;
use support::router::Router;

fn progress(step: u64) -> String {
    notification("notifications/progress", json!({ "progressToken": 1, "progress": step }))
}

fn step(message: &Value) -> u64 {
    message["params"]["progress"].as_u64().unwrap()
}

fn data(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["params"]["data"].as_str().unwrap()).collect()
}

/// Every event of a stream has an id of its own.
fn assert_distinct(events: &[Event]) {
    let mut ids: Vec<&str> = events.iter().map(|event| event.id.as_deref().unwrap()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{events:?}");
}

#[tokio::test]
async fn a_call_goes_on_after_its_client_hung_up_and_nothing_is_lost_or_comes_twice() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let answer =
        client.events_only().call_with_progress(1, "any", json!({ "say": [progress(1), progress(2)] })).await;
    let mut events = answer.events();
    assert_eq!(step(&events.message().await), 1);
    let last = events.next_message().await;
    drop(events);
    client.have_said(&[progress(3), progress(4), result(1, json!("done"))]).await;
    let resumed = client.resume(last.id.as_deref().unwrap()).await;
    assert_eq!(resumed.header("x-accel-buffering"), "no");
    let rest = resumed.messages().await;
    assert_eq!(rest.len(), 3, "{rest:?}");
    assert_eq!((step(&rest[0]), step(&rest[1]), &rest[2]["result"]), (3, 4, &json!("done")));
    let received = client.received().await.join("\n");
    assert!(!received.contains("notifications/cancelled"), "{received}");
    assert_eq!(received.matches("tools/call").count(), 1);
}

#[tokio::test]
async fn who_resumes_while_the_call_still_runs_goes_on_with_it_live() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let answer = client.events_only().call_with_progress(1, "any", json!({ "say": [progress(1)] })).await;
    let mut events = answer.events();
    let mut last = events.next_message().await;
    for number in 2..6 {
        drop(events);
        client.have_said(&[progress(number)]).await;
        events = client.resume(last.id.as_deref().unwrap()).await.events();
        last = events.next_message().await;
        assert_eq!(step(&last.message().unwrap()), number);
    }
    client.have_said(&[result(1, json!("done"))]).await;
    let rest = events.messages().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["result"], "done");
}

#[tokio::test]
async fn what_was_seen_can_be_asked_for_again() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let lines = [progress(1), progress(2), progress(3), result(1, json!("done"))];
    let events = client.call_with_progress(1, "any", json!({ "say": lines })).await.events().rest().await;
    assert_distinct(&events);
    for (seen, event) in events.iter().enumerate() {
        let again = client.resume(event.id.as_deref().unwrap()).await.events().rest().await;
        assert_eq!(again, events[seen + 1..], "after {event:?}");
    }
}

#[tokio::test]
async fn each_of_several_streams_is_resumed_with_its_own_messages_only() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut lasts = Vec::new();
    for id in [1, 2, 3] {
        let note = notification("notifications/progress", json!({ "progressToken": id, "progress": 1 }));
        let mut events =
            client.events_only().call_with_progress(id, "any", json!({ "say": [note] })).await.events();
        lasts.push((id, events.next_message().await));
    }
    let lines: Vec<String> = [3, 2, 1].iter().map(|id| result(*id, json!({ "of": id }))).collect();
    client.have_said(&lines).await;
    for (id, last) in lasts {
        let rest = client.resume(last.id.as_deref().unwrap()).await.messages().await;
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0]["result"]["of"], id);
    }
}

#[tokio::test]
async fn a_get_stream_that_breaks_goes_on_where_it_was() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut stream = client.listen().await;
    client.have_said(&[log_line("one"), log_line("two")]).await;
    let first = stream.next_message().await;
    drop(stream);
    client.have_said(&[log_line("three")]).await;
    client.json_only().assert_serves().await;
    let mut resumed = client.resume(first.id.as_deref().unwrap()).await.events();
    client.have_said(&[log_line("four")]).await;
    let heard = [resumed.message().await, resumed.message().await, resumed.message().await];
    assert_eq!(data(&heard), ["two", "three", "four"]);
}

#[tokio::test]
async fn the_one_who_resumes_takes_the_stream_over() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut old = client.listen().await;
    client.have_said(&[log_line("one")]).await;
    let first = old.next_message().await;
    let mut new = client.resume(first.id.as_deref().unwrap()).await.events();
    assert!(old.messages().await.is_empty());
    client.have_said(&[log_line("two")]).await;
    assert_eq!(data(&[new.message().await]), ["two"]);
}

#[tokio::test]
async fn an_event_id_of_no_stream_of_the_session_is_404() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let events = client.call(1, "any", json!({ "say": [log_line("x"), result(1, json!(0))] })).await;
    let id = events.events().rest().await.pop().unwrap().id.unwrap();
    for unknown in ["99-1", "unknown", "", "-", "1-", "18446744073709551616-1", "1-18446744073709551615x"] {
        assert_eq!(client.resume(unknown).await.refusal().await, (404, -32001), "{unknown:?}");
    }
    let other = Client::open(router.mcp("puppet")).await;
    assert_eq!(other.resume(&id).await.refusal().await, (404, -32001));
    assert_eq!(client.resume(&id).await.status, 200);
}

#[tokio::test]
async fn an_event_stream_begins_with_a_priming_event_in_2025_11_25() {
    let router = Router::of_demo().await;
    let client = Client::open_as(router.mcp("demo"), "2025-11-25", json!({})).await;
    let answer = client.call_with_progress(1, "count", json!({ "to": 2 })).await;
    let events = answer.events().rest().await;
    assert_eq!((events[0].data.as_deref(), events[0].name.as_deref()), (Some(""), None));
    assert_distinct(&events);
    let all = client.resume(events[0].id.as_deref().unwrap()).await.events().rest().await;
    assert_eq!(all, events[1..]);
}

#[tokio::test]
async fn before_2025_11_25_no_event_is_without_data() {
    let router = Router::of_demo().await;
    for revision in ["2025-03-26", "2025-06-18"] {
        let client = Client::open_as(router.mcp("demo"), revision, json!({})).await;
        let mut stream = client.listen().await;
        client.ask("toggle", json!({})).await;
        assert_ne!(stream.next().await.unwrap().data.unwrap(), "");
        // The version that was agreed on counts, not the one that a header claims.
        let claiming = client.with("mcp-protocol-version", "2025-11-25");
        let answer = claiming.call_with_progress(1, "count", json!({ "to": 2 })).await;
        let events = answer.events().rest().await;
        assert!(events.iter().all(|event| event.message().is_some()), "{events:?}");
        assert_distinct(&events);
    }
}

#[tokio::test]
async fn who_hangs_up_right_after_the_priming_event_can_still_have_everything() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let mut events = client.events_only().call(1, "any", json!({ "say": [] })).await.events();
    let primed = events.next().await.unwrap();
    drop(events);
    client.have_said(&[result(1, json!("done"))]).await;
    let rest = client.resume(primed.id.as_deref().unwrap()).await.messages().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["result"], "done");
}

#[tokio::test]
async fn a_call_whose_client_waits_for_one_json_body_and_hangs_up_is_neither_cancelled_nor_repeated() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let impatient = client.json_only();
    tokio::select! {
        _ = impatient.call("lost", "any", json!({ "say": [] })) => panic!("nobody has answered"),
        _ = client.received_line("\"lost\"") => {}
    }
    client.have_said(&[result("lost", json!("unheard"))]).await;
    client.assert_serves().await;
    let received = client.received().await.join("\n");
    assert!(!received.contains("notifications/cancelled"), "{received}");
    assert_eq!(received.matches("\"tools/call\"").count(), 1);
    assert_eq!(client.call("lost", "any", json!({})).await.outcome().await["result"], json!({}));
}
