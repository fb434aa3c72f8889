//! Which of a client's streams a message of the server goes to, and that it goes to one only.

mod support;

use serde_json::{Value, json};
use support::events::Events;
use support::mcp::{Answer, Client, log_line, notification, request, result};
use support::puppet::router_of_puppet;

/// A call of a client that accepts event streams only, so that it is in flight once this returns.
async fn in_flight(client: &Client, id: i64) -> Answer {
    client.events_only().call_with_progress(id, "any", json!({ "say": [] })).await
}

fn progress(token: i64, step: i64) -> String {
    notification("notifications/progress", json!({ "progressToken": token, "progress": step }))
}

/// What a message is, in a word.
fn word(message: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match message["method"].as_str() {
        Some("notifications/progress") => format!("progress {}", message["params"]["progressToken"]),
        Some("notifications/message") => text(&message["params"]["data"]),
        Some(method) => method.trim_start_matches("notifications/").to_owned(),
        None => text(&message["result"]),
    }
}

async fn words(answer: Answer) -> Vec<String> {
    answer.messages().await.iter().map(word).collect()
}

/// What a stream has brought; the session ends with this.
async fn heard(client: &Client, streams: Vec<Events>) -> Vec<Vec<String>> {
    assert_eq!(client.delete().await.status, 204);
    let mut heard = Vec::new();
    for stream in streams {
        heard.push(stream.messages().await.iter().map(word).collect());
    }
    heard
}

#[tokio::test]
async fn progress_goes_to_the_call_that_it_names() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let stream = client.listen().await;
    let (first, second) = (in_flight(&client, 1).await, in_flight(&client, 2).await);
    let lines =
        [progress(2, 1), progress(1, 1), progress(2, 2), result(1, json!("one")), result(2, json!("two"))];
    client.have_said(&lines).await;
    assert_eq!(words(first).await, ["progress 1", "one"]);
    assert_eq!(words(second).await, ["progress 2", "progress 2", "two"]);
    assert_eq!(heard(&client, vec![stream]).await, [[""; 0]]);
}

#[tokio::test]
async fn changes_are_announced_on_the_newest_get_stream() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let (old, new) = (client.listen().await, client.listen().await);
    let call = in_flight(&client, 1).await;
    let lines = [
        notification("notifications/tools/list_changed", json!({})),
        notification("notifications/resources/updated", json!({ "uri": "a:b" })),
        result(1, json!("done")),
    ];
    client.have_said(&lines).await;
    assert_eq!(words(call).await, ["done"]);
    let heard = heard(&client, vec![old, new]).await;
    assert_eq!(heard, [vec![], vec!["tools/list_changed", "resources/updated"]]);
}

#[tokio::test]
async fn without_a_get_stream_changes_are_announced_on_the_call_in_flight() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let call = in_flight(&client, 1).await;
    let lines = [notification("notifications/prompts/list_changed", json!({})), result(1, json!("done"))];
    client.have_said(&lines).await;
    assert_eq!(words(call).await, ["prompts/list_changed", "done"]);
}

#[tokio::test]
async fn what_names_no_call_goes_to_the_only_one_in_flight() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let stream = client.listen().await;
    let call = in_flight(&client, 1).await;
    let question = request(json!("q"), "roots/list", json!({}));
    client.have_said(&[log_line("hint"), question, result(1, json!("done"))]).await;
    assert_eq!(words(call).await, ["hint", "roots/list", "done"]);
    assert_eq!(heard(&client, vec![stream]).await, [[""; 0]]);
}

#[tokio::test]
async fn with_several_calls_in_flight_it_goes_to_the_newest_get_stream() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let (old, new) = (client.listen().await, client.listen().await);
    let (first, second) = (in_flight(&client, 1).await, in_flight(&client, 2).await);
    let question = request(json!("q"), "sampling/createMessage", json!({}));
    let lines = [log_line("hint"), question, result(1, json!("one")), result(2, json!("two"))];
    client.have_said(&lines).await;
    assert_eq!(words(first).await, ["one"]);
    assert_eq!(words(second).await, ["two"]);
    assert_eq!(heard(&client, vec![old, new]).await, [vec![], vec!["hint", "sampling/createMessage"]]);
}

#[tokio::test]
async fn without_a_get_stream_it_goes_to_the_oldest_call_that_takes_events() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let json_only = client.json_only();
    let story = async {
        client.received_line("\"id\":0").await;
        let (first, second) = (in_flight(&client, 1).await, in_flight(&client, 2).await);
        let lines =
            [log_line("hint"), result(1, json!("one")), result(2, json!("two")), result(0, json!("zero"))];
        client.have_said(&lines).await;
        assert_eq!(words(first).await, ["hint", "one"]);
        assert_eq!(words(second).await, ["two"]);
    };
    let (oldest, ()) = tokio::join!(json_only.call(0, "any", json!({ "say": [] })), story);
    assert_eq!(oldest.json().await["result"], "zero");
}

#[tokio::test]
async fn a_client_of_json_only_gets_what_precedes_its_answer_on_the_get_stream() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let stream = client.listen().await;
    let lines = [progress(1, 1), log_line("hint"), result(1, json!("done"))];
    let answer = client.json_only().call_with_progress(1, "any", json!({ "say": lines })).await;
    assert_eq!(answer.json().await["result"], "done");
    assert_eq!(heard(&client, vec![stream]).await, [["progress 1", "hint"]]);
}

#[tokio::test]
async fn what_finds_no_stream_waits_for_one() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let question = request(json!("q"), "roots/list", json!({}));
    client.have_said(&[log_line("one"), question, log_line("two")]).await;
    client.json_only().assert_serves().await;
    let mut stream = client.listen().await;
    for expected in ["one", "roots/list", "two"] {
        assert_eq!(word(&stream.message().await), expected);
    }
}

#[tokio::test]
async fn progress_that_waits_never_goes_to_another_call() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let lines = [progress(1, 1), result(1, json!("one"))];
    let first = client.json_only().call_with_progress(1, "any", json!({ "say": lines })).await;
    assert_eq!(words(first).await, ["one"]);
    let second = client.call_with_progress(2, "any", json!({ "answer": "two" })).await;
    assert!(second.is_json());
    assert_eq!(words(second).await, ["two"]);
    let mut stream = client.listen().await;
    assert_eq!(word(&stream.message().await), "progress 1");
}

#[tokio::test]
async fn of_what_waits_for_a_stream_the_65th_is_refused() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await.json_only();
    let mut lines: Vec<String> = (0..64).map(|number| log_line(&number.to_string())).collect();
    lines.push(request(json!("too many"), "roots/list", json!({})));
    lines.push(log_line("dropped"));
    client.have_said(&lines).await;
    let refusal = client.received_line("too many").await;
    let refusal: Value = serde_json::from_str(&refusal).unwrap();
    assert_eq!(refusal["error"]["code"], -32603, "{refusal}");
    let mut stream = client.listen().await;
    for number in 0..64 {
        assert_eq!(word(&stream.message().await), number.to_string());
    }
    client.have_said(&[log_line("next")]).await;
    assert_eq!(word(&stream.message().await), "next");
}
