//! What `--stateless` promises: each POST stands alone.

mod support;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::mcp::{Client, hello, log_line, request};
use support::puppet::puppet;
use support::router::{Router, demo, with};

async fn stateless(servers: Value) -> Router {
    Router::start(json!({ "mcpServers": servers }), &["--stateless"]).await
}

#[tokio::test]
async fn a_post_needs_no_session_and_gets_none() {
    let router = stateless(json!({ "demo": demo() })).await;
    let client = Client::at(router.mcp("demo"));
    let answer = client.call(1, "echo", json!({ "text": "hello" })).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("mcp-session-id"));
    assert_eq!(answer.json().await["result"]["content"][0]["text"], "hello");
    // Whatever session a client names: there are none.
    client.clone().with("mcp-session-id", "unknown").assert_serves().await;
}

#[tokio::test]
async fn the_usual_handshake_works_and_mints_nothing() {
    let router = stateless(json!({ "demo": demo() })).await;
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let client = Client::at(router.mcp("demo"));
        let answer = client.request(json!(1), "initialize", hello(revision, json!({}))).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key("mcp-session-id"));
        let outcome = answer.json().await;
        assert_eq!(outcome["result"]["protocolVersion"], revision);
        assert_eq!(outcome["result"]["serverInfo"]["name"], "mcp-switchboard-demo");
        let client = client.with("mcp-protocol-version", revision);
        client.notify("notifications/initialized", json!({})).await;
        let tools = client.request(json!(1), "tools/list", json!({})).await.json().await;
        assert!(tools["result"]["tools"].as_array().unwrap().len() > 5);
    }
}

#[tokio::test]
async fn get_and_delete_are_405() {
    let router = stateless(json!({ "demo": demo() })).await;
    let client = Client::at(router.mcp("demo"));
    for method in [Method::GET, Method::DELETE, Method::HEAD] {
        let answer = client.send(method, "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "POST, OPTIONS")
        );
    }
    let options = client.send(Method::OPTIONS, "").await;
    assert_eq!(options.header("allow"), "POST, OPTIONS");
}

#[tokio::test]
async fn clients_who_use_the_same_ids_get_their_own_answers() {
    let router = stateless(json!({ "demo": demo() })).await;
    let client = Client::at(router.mcp("demo"));
    let ask = |text: String| {
        let client = client.clone();
        async move {
            let outcome = client.call(1, "echo", json!({ "text": text })).await.json().await;
            assert_eq!((&outcome["id"], &outcome["result"]["content"][0]["text"]), (&json!(1), &json!(text)));
        }
    };
    futures::future::join_all((0..50).map(|number| ask(number.to_string()))).await;
    for id in ["1", "1.0", "\"1\"", r#""\u00e9""#, "123456789012345678901234567890"] {
        let body =
            client.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).await.text().await;
        assert!(body.contains(&format!(r#""id":{id}"#)), "{body}");
    }
}

#[tokio::test]
async fn progress_comes_on_the_posts_own_stream_under_the_clients_own_token() {
    let router = stateless(json!({ "demo": demo() })).await;
    let client = Client::at(router.mcp("demo"));
    let (one, two) = tokio::join!(
        client.call_with_progress(1, "count", json!({ "to": 3 })),
        client.call_with_progress(1, "count", json!({ "to": 5 })),
    );
    for (answer, count) in [(one, 3), (two, 5)] {
        let messages = answer.messages().await;
        assert_eq!(messages.len(), count + 1, "{messages:?}");
        assert!(messages[..count].iter().all(|message| message["params"]["progressToken"] == 1));
        assert_eq!(messages[count]["id"], 1);
    }
}

#[tokio::test]
async fn nobody_can_be_asked_so_the_server_is_told_32601() {
    let router = stateless(json!({ "puppet": puppet() })).await;
    let client = Client::at(router.mcp("puppet"));
    for method in ["sampling/createMessage", "elicitation/create", "roots/list"] {
        let question = request(json!(method), method, json!({}));
        let answer = client.call(1, "any", json!({ "say": [question], "answer": "done" })).await;
        assert_eq!(answer.json().await["result"], "done");
        let refusal = client.received_line(&format!("\"id\":\"{method}\"")).await;
        let refusal: Value = serde_json::from_str(&refusal).unwrap();
        assert_eq!(refusal["error"]["code"], -32601, "{refusal}");
    }
    let demo = stateless(json!({ "demo": demo() })).await;
    let outcome =
        Client::at(demo.mcp("demo")).call(1, "sample", json!({ "prompt": "hi" })).await.outcome().await;
    assert_eq!(
        outcome["result"]["isError"], true,
        "the server was told that its client can do this: {outcome}"
    );
}

#[tokio::test]
async fn the_server_is_told_that_its_client_can_do_nothing() {
    let router = stateless(json!({ "puppet": puppet() })).await;
    let client = Client::at(router.mcp("puppet"));
    let capable = hello("2025-06-18", json!({ "sampling": {}, "roots": {} }));
    client.request(json!(1), "initialize", capable).await.json().await;
    let received = client.with("mcp-protocol-version", "2025-06-18").received().await;
    let initialize: Value = serde_json::from_str(&received[0]).unwrap();
    assert_eq!(initialize["method"], "initialize");
    assert_eq!(initialize["params"]["capabilities"], json!({}));
}

#[tokio::test]
async fn processes_are_shared_unless_each_request_is_to_have_its_own() {
    let shared = with(puppet(), &json!({ "pool": { "warm": 0 } }));
    let own = with(puppet(), &json!({ "pool": { "warm": 0, "isolation": "request" } }));
    let router = stateless(json!({ "shared": shared, "own": own })).await;
    let shared = Client::at(router.mcp("shared"));
    shared.assert_serves().await;
    let before = shared.received().await.len();
    assert_eq!(shared.received().await.len(), before + 1);
    let own = Client::at(router.mcp("own"));
    own.assert_serves().await;
    for _ in 0..3 {
        // The handshake and this one request.
        assert_eq!(own.received().await.len(), 3);
    }
    router.until("own", "without processes", |status| status["pids"] == json!([])).await;
}

#[tokio::test]
async fn a_log_line_reaches_the_only_call_in_flight_and_nobody_where_it_could_be_anybodys() {
    let router = stateless(json!({ "puppet": puppet() })).await;
    let client = Client::at(router.mcp("puppet"));
    let alone = client.call(1, "any", json!({ "say": [log_line("yours")], "answer": "done" })).await;
    let messages = alone.messages().await;
    assert_eq!((&messages[0]["params"]["data"], &messages[1]["result"]), (&json!("yours"), &json!("done")));
    let silent = client.events_only().call("same", "any", json!({ "say": [], "mark": "silent" })).await;
    let chatty = json!({ "say": [log_line("whose?")], "answer": "done" });
    let messages = client.call("same", "any", chatty).await.messages().await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    // The id that the call has on the shared process is the router's own.
    let call: Value = serde_json::from_str(&client.received_line("\"mark\"").await).unwrap();
    let answer = support::mcp::result(call["id"].clone(), json!("done"));
    client.call("order", "any", json!({ "say": [answer], "answer": {} })).await.outcome().await;
    let messages = silent.messages().await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((&messages[0]["id"], &messages[0]["result"]), (&json!("same"), &json!("done")));
}

#[tokio::test]
async fn a_process_that_dies_answers_its_calls_and_the_next_call_gets_another() {
    let router = stateless(json!({ "puppet": puppet() })).await;
    let client = Client::at(router.mcp("puppet"));
    let waiting = client.events_only().call(1, "any", json!({ "say": [] })).await;
    let outcome = client.call(1, "any", json!({ "exit": 3 })).await.outcome().await;
    assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!(1), &json!(-31002)));
    assert_eq!(waiting.outcome().await["error"]["code"], -31002);
    client.assert_serves().await;
}

#[tokio::test]
async fn a_batch_of_2025_03_26_is_answered_as_one() {
    let router = stateless(json!({ "demo": demo() })).await;
    let client = Client::at(router.mcp("demo"));
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "id": 2, "method": "ping" },
    ]);
    let answers = client.post(batch.to_string()).await.json().await;
    assert_eq!(answers.as_array().unwrap().len(), 2);
    for revision in ["2025-06-18", "2025-11-25"] {
        let client = client.clone().with("mcp-protocol-version", revision);
        assert_eq!(client.post(batch.to_string()).await.refusal().await, (400, -32600), "{revision}");
    }
}
