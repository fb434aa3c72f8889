//! Servers that speak one era, for clients of the other; and what is told unasked on either side.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use serde_json::{Value, json};
use support::events::Events;
use support::mcp::{Client, notification};
use support::modern::Modern;
use support::puppet::{puppet, puppet_told};
use support::router::{Router, demo, pids, with};
use support::{eventually, within};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

async fn listen(modern: &Modern, id: impl Into<Value>, filter: Value) -> (Events, Value) {
    let mut events =
        modern.request(id, "subscriptions/listen", json!({ "notifications": filter })).await.events();
    let first = events.next().await.expect("the acknowledgement").message().expect("a message");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    (events, first)
}

async fn message(events: &mut Events) -> Value {
    events.next().await.expect("an event").message().expect("a message")
}

#[tokio::test]
async fn changes_of_a_legacy_server_reach_who_listens_and_say_for_which_subscription() {
    let router = Router::of_demo().await;
    let modern = Modern::at(router.mcp("demo"));
    let filter = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["demo://counter"] });
    let (mut events, first) = listen(&modern, "mine", filter).await;
    // Of the prompts the server announces nothing, so that is not promised.
    let honoured = json!({ "toolsListChanged": true, "resourceSubscriptions": ["demo://counter"] });
    assert_eq!(
        (&first["params"]["notifications"], &first["params"]["_meta"][SUBSCRIPTION]),
        (&honoured, &json!("mine"))
    );
    let (mut numbered, _) = listen(&modern, 7, json!({ "resourceSubscriptions": ["demo://counter"] })).await;
    modern.ask("bump", json!({})).await;
    let updated = message(&mut events).await;
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("demo://counter"))
    );
    assert_eq!(updated["params"]["_meta"][SUBSCRIPTION], "mine");
    assert_eq!(message(&mut numbered).await["params"]["_meta"][SUBSCRIPTION], 7);
    modern.ask("toggle", json!({})).await;
    assert_eq!(message(&mut events).await["method"], "notifications/tools/list_changed");
    // The other one did not ask for that: the next thing it hears is another change of its resource.
    drop(events);
    modern.ask("bump", json!({})).await;
    assert_eq!(message(&mut numbered).await["method"], "notifications/resources/updated");
}

#[tokio::test]
async fn a_subscription_ends_with_its_answer_when_the_router_does() {
    for mounted in [demo(), puppet_told(&json!({ "modern": true }))] {
        let mut router = Router::mounting(json!({ "a": mounted })).await;
        let modern = Modern::at(router.mcp("a"));
        let (mut events, _) = listen(&modern, 5, json!({ "toolsListChanged": true })).await;
        router.signal(rustix::process::Signal::TERM);
        let last = message(&mut events).await;
        assert_eq!((&last["id"], &last["result"]["_meta"][SUBSCRIPTION]), (&json!(5), &json!(5)), "{last}");
        assert!(events.next().await.is_none(), "the stream ends");
        assert!(router.exit().await.success());
    }
}

#[tokio::test]
async fn a_legacy_client_is_greeted_by_a_modern_server_over_either_transport() {
    for speaks in [json!(true), json!("shy")] {
        // The first client comes before anything is known: no process was started for nobody.
        let cold = with(puppet_told(&json!({ "modern": speaks })), &json!({ "pool": { "warm": 0 } }));
        let router = Router::mounting(json!({ "new": cold })).await;
        for revision in ["2025-11-25", "2025-03-26"] {
            let client = Client::open_as(router.mcp("new"), revision, json!({})).await;
            let pong = client.request(json!(1.5), "ping", json!({})).await.json().await;
            assert_eq!((&pong["id"], &pong["result"]), (&json!(1.5), &json!({})));
            let received = client.received().await;
            let last: Value = serde_json::from_str(received.last().expect("a line")).expect("JSON");
            let meta = &last["params"]["_meta"];
            assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28", "{last}");
            assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "story");
            assert!(!received.iter().any(|line| line.contains("\"initialize\"")), "{received:?}");
        }
        assert_eq!(router.mount("new").await["era"], "modern");
        let mut stream = support::mcp::Client::at(router.sse("new")).get().await.events();
        let endpoint = stream.next().await.expect("an event").data.expect("a path");
        let post = Client::at(router.url(&endpoint));
        let hello = support::mcp::hello("2024-11-05", json!({}));
        assert_eq!(post.request(json!("i"), "initialize", hello).await.status, 202);
        let greeting = message(&mut stream).await;
        assert_eq!(
            (&greeting["id"], &greeting["result"]["protocolVersion"]),
            (&json!("i"), &json!("2024-11-05"))
        );
        assert_eq!(greeting["result"]["serverInfo"]["name"], "new", "it has no name of its own");
    }
}

#[tokio::test]
async fn a_legacy_server_that_refuses_initialize_is_heard() {
    let script = r#"while read -r line; do
        id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"who are you?"}}\n' "$id"; done"#;
    let picky = with(support::router::script(script, &[]), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "picky": picky })).await;
    let client = Client::at(router.mcp("picky"));
    let answer = client.request(json!(0), "initialize", support::mcp::hello("2025-11-25", json!({}))).await;
    assert_eq!(answer.outcome().await["error"]["message"], "who are you?");
}

#[tokio::test]
async fn questions_of_a_modern_server_are_put_to_a_legacy_client_and_its_answers_come_back() {
    let router = Router::mounting(json!({ "new": puppet_told(&json!({ "modern": true })) })).await;
    let client = Client::open(router.mcp("new")).await;
    let asked = json!({ "resultType": "input_required", "requestState": "st\u{e4}te\n",
        "inputRequests": { "user_name": { "method": "elicitation/create",
            "params": { "mode": "form", "message": "who?", "requestedSchema": { "type": "object", "properties": {} } } } } });
    let mut events = client.events_only().call(9, "puppet", json!({ "answer": asked })).await.events();
    let question = loop {
        if let Some(question) = events.next().await.expect("a question").message() {
            break question;
        }
    };
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("who?"))
    );
    client.answer(&question, json!({ "action": "accept", "content": { "name": "Ada" } })).await;
    // The puppet answers every try the same way: what matters is what it was told.
    let line = client.received_line("inputResponses").await;
    let retry: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        retry["params"]["inputResponses"],
        json!({ "user_name": { "action": "accept", "content": { "name": "Ada" } } })
    );
    assert_eq!(retry["params"]["requestState"], "st\u{e4}te\n");
    assert_eq!(retry["params"]["arguments"]["answer"]["requestState"], "st\u{e4}te\n");
    drop(events);
}

#[tokio::test]
async fn subscriptions_of_a_legacy_client_become_one_of_a_modern_server() {
    let router = Router::mounting(json!({ "new": puppet_told(&json!({ "modern": true })) })).await;
    let client = Client::open(router.mcp("new")).await;
    let mut stream = client.listen().await;
    let line = client.received_line("subscriptions/listen").await;
    assert!(line.contains("toolsListChanged"), "{line}");
    let subscribed =
        client.request(json!("s"), "resources/subscribe", json!({ "uri": "x://y" })).await.outcome().await;
    assert_eq!((&subscribed["id"], &subscribed["result"]), (&json!("s"), &json!({})));
    let line = client.received_line("x://y").await;
    let listening: Value = serde_json::from_str(&line).expect("JSON");
    let note = |method: &str| {
        let meta = json!({ SUBSCRIPTION: listening["id"] });
        json!({ "jsonrpc": "2.0", "method": method, "params": { "_meta": meta, "uri": "x://y" } }).to_string()
    };
    client
        .have_said(&[note("notifications/resources/updated"), note("notifications/tools/list_changed")])
        .await;
    for method in ["notifications/resources/updated", "notifications/tools/list_changed"] {
        let told = within("the client is told", async {
            loop {
                if let Some(told) = stream.next().await.expect("the stream is open").message() {
                    return told;
                }
            }
        })
        .await;
        assert_eq!(told["method"], method);
        assert!(told["params"].get("_meta").is_none(), "{told}");
    }
}

#[tokio::test]
async fn modern_clients_share_a_modern_process_and_nothing_of_one_reaches_another() {
    let router = Router::mounting(json!({ "new": puppet_told(&json!({ "modern": true })) })).await;
    let asking = (0..50).map(|n| {
        let modern = Modern::at(router.mcp("new"));
        async move {
            let marked = json!({ "resultType": "complete", "content": [{ "type": "text", "text": format!("for {n}") }] });
            let outcome = modern.call("same id", "puppet", json!({ "answer": marked })).await.outcome().await;
            assert_eq!(outcome["id"], "same id");
            assert_eq!(outcome["result"]["content"][0]["text"], format!("for {n}"));
        }
    });
    futures::future::join_all(asking).await;
}

#[tokio::test]
async fn a_subscription_to_a_modern_server_goes_on_with_its_next_process() {
    let router = Router::mounting(
        json!({ "new": with(puppet_told(&json!({ "modern": true })), &json!({ "pool": { "warm": 0 } })) }),
    )
    .await;
    let modern = Modern::at(router.mcp("new"));
    let (mut events, _) = listen(&modern, "l", json!({ "toolsListChanged": true })).await;
    let before = pids(&router.mount("new").await);
    let crashed = modern.call("c", "puppet", json!({ "exit": 3 })).await.outcome().await;
    assert_eq!(crashed["error"]["code"], -31002, "{crashed}");
    // What changed meanwhile nobody knows.
    let told = message(&mut events).await;
    assert_eq!(
        (&told["method"], &told["params"]["_meta"][SUBSCRIPTION]),
        (&json!("notifications/tools/list_changed"), &json!("l"))
    );
    assert!(pids(&router.mount("new").await).iter().all(|pid| !before.contains(pid)));
    modern.request("again", "tools/list", json!({})).await.json().await;
}

#[tokio::test]
async fn a_subscription_goes_on_when_a_process_is_replaced_because_a_call_was_given_up() {
    let router = Router::of_demo().await;
    let modern = Modern::asked(router.mcp("demo"));
    let counter = json!({ "resourceSubscriptions": ["demo://counter"] });
    let (mut before, _) = listen(&modern, "before", counter.clone()).await;
    // Of a process that has asked something it cannot be known what it still asks.
    let ask = ("ask", json!({ "question": "?" }));
    let parked = modern.parked(0, ask.0, ask.1.clone()).await;
    modern.come_back("ask", ask, &parked, json!({ "action": "decline" })).await.outcome().await;
    // Two at once, so that there is a second process.
    tokio::select! {
        _ = futures::future::join_all((1..3).map(|id| modern.call(id, "sleep", json!({ "ms": 60_000 })))) => {}
        _ = router.until("demo", "at work", |mount| mount["in_flight"] == 2) => {}
    }
    let (mut after, _) = listen(&modern, "after", counter).await;
    router.until("demo", "renewed", |mount| mount["restarts"] == 1 && mount["in_flight"] == 0).await;
    modern.ask("bump", json!({})).await;
    for (events, id) in [(&mut before, "before"), (&mut after, "after")] {
        loop {
            let heard = message(events).await;
            assert_eq!(heard["params"]["_meta"][SUBSCRIPTION], id, "{heard}");
            if heard["method"] == "notifications/resources/updated" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_slow_call_of_a_server_that_does_one_thing_at_a_time_blocks_no_other() {
    let script = r#"while IFS= read -r line; do
        id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
        case "$line" in
            *server/discover*) result='"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"';;
            *tools/list*) result='"tools":[],"ttlMs":0,"cacheScope":"private"';;
            *slow*) until [ -e "$1" ]; do sleep 0.05; done; result='"content":[]';;
            *) result='"content":[]';;
        esac
        [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete",%s}}\n' "$id" "$result"
    done"#;
    let router = Router::with_file(|directory| {
        let entry = support::router::script(script, &[&directory.join("go")]);
        json!({ "mcpServers": { "serial": with(entry, &json!({ "era": "modern" })) } })
    })
    .await;
    router.settled("serial", 1).await;
    let modern = Modern::at(router.mcp("serial"));
    modern.call("warm", "quick", json!({})).await.outcome().await;
    let mut tasks = tokio::task::JoinSet::new();
    let caller = modern.clone();
    tasks.spawn(async move { caller.call("s", "slow", json!({})).await.outcome().await });
    router.until("serial", "busy", |mount| mount["in_flight"] == 1).await;
    // Once it has been silent for a while, others are served elsewhere.
    eventually("another process serves", async || {
        let quick =
            tokio::time::timeout(std::time::Duration::from_millis(500), modern.call("q", "quick", json!({})));
        quick.await.ok().map(|_| ())
    })
    .await;
    assert!(tasks.try_join_next().is_none(), "the slow call goes on");
    std::fs::write(router.path("go"), "").expect("the directory is there");
    let slow = within("the slow call ends", tasks.join_next()).await.expect("it was made");
    assert_eq!(slow.expect("no panic")["id"], "s");
}

#[tokio::test]
async fn clients_of_both_eras_share_a_singleton_of_either() {
    let singleton = json!({ "pool": { "mode": "shared", "max": 1 } });
    let router = Router::mounting(json!({
        "old": with(demo(), &singleton),
        "new": with(puppet_told(&json!({ "modern": true })), &singleton),
    }))
    .await;
    for mount in ["old", "new"] {
        let (modern, legacy) = (Modern::at(router.mcp(mount)), Client::open(router.mcp(mount)).await);
        let listed = modern.request(1, "tools/list", json!({})).await.json().await;
        assert!(listed["result"]["tools"].is_array(), "{mount}: {listed}");
        let listed = legacy.request(json!(1), "tools/list", json!({})).await.outcome().await;
        assert!(listed["result"]["tools"].is_array(), "{mount}: {listed}");
        assert!(listed["result"].get("resultType").is_none());
        assert_eq!(pids(&router.mount(mount).await).len(), 1, "{mount}");
    }
}

#[tokio::test]
async fn what_the_configuration_says_of_the_era_goes_before_what_could_be_found_out() {
    // A puppet that is asked what it speaks remembers it; this one is never asked.
    let router = Router::mounting(json!({ "told": with(puppet(), &json!({ "era": "legacy" })) })).await;
    let modern = Modern::at(router.mcp("told"));
    modern.request(1, "tools/list", json!({})).await.json().await;
    assert_eq!(router.mount("told").await["era"], "legacy");
    assert!(!router.log().contains("probed"), "{}", router.log());
}

#[tokio::test]
async fn a_server_that_ended_once_before_it_said_anything_is_not_taken_for_a_legacy_one() {
    let router = Router::with_file(|directory| {
        let shy = puppet_told(&json!({ "modern": "shy" }));
        let first_fails = r#"if [ ! -e "$0" ]; then touch "$0"; exit 1; fi; exec "$@""#;
        let mut words = vec![json!("-c"), json!(first_fails), json!(directory.join("failed"))];
        words.push(shy["command"].clone());
        words.extend(shy["args"].as_array().expect("words").iter().cloned());
        json!({ "mcpServers": { "puppet": { "command": "sh", "args": words, "pool": { "warm": 0 } } } })
    })
    .await;
    let modern = Modern::at(router.mcp("puppet"));
    eventually("it is served in its own era", async || {
        let outcome = modern.request(1, "tools/list", json!({})).await.outcome().await;
        outcome["result"]["tools"].is_array().then_some(())
    })
    .await;
    assert_eq!(router.mount("puppet").await["era"], "modern");
}

#[tokio::test]
async fn a_subscription_to_many_resources_is_made_whole_and_made_again_whole() {
    let entry = with(puppet(), &json!({ "era": "legacy", "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "puppet": entry })).await;
    let modern = Modern::at(router.mcp("puppet"));
    let all: Vec<_> = (0..900).map(|n| format!("file:///{}/{n}", "x".repeat(150))).collect();
    let (mut events, first) = listen(&modern, "many", json!({ "resourceSubscriptions": all })).await;
    let honoured = first["params"]["notifications"]["resourceSubscriptions"].as_array().map(Vec::len);
    assert_eq!(honoured, Some(900));
    let died = modern.request(1, "vendor/die", json!({ "exit": 1 })).await.outcome().await;
    assert_eq!(died["error"]["code"], -31002, "{died}");
    eventually("the next process has them all", async || {
        let received = modern.request(2, "received", json!({})).await.outcome().await;
        let lines = received["result"]["lines"].as_array()?;
        let subscribes =
            |line: &&Value| line.as_str().is_some_and(|line| line.contains("resources/subscribe"));
        (lines.iter().filter(subscribes).count() == 900).then_some(())
    })
    .await;
    let told = notification("notifications/resources/updated", json!({ "uri": all[899] }));
    modern.request(3, "vendor/tell", json!({ "say": [told], "answer": {} })).await;
    assert_eq!(message(&mut events).await["params"]["uri"], all[899]);
}

#[tokio::test]
async fn a_legacy_client_of_a_modern_server_needs_no_second_place() {
    for how in [json!(true), json!("shy")] {
        let entry = with(puppet_told(&json!({ "modern": how })), &json!({ "pool": { "warm": 0, "max": 1 } }));
        let router = Router::mounting(json!({ "puppet": entry })).await;
        let client = Client::open(router.mcp("puppet")).await;
        let listed = client.request(json!(1), "tools/list", json!({})).await.outcome().await;
        assert_eq!(listed["result"]["tools"][0]["name"], "query", "{how}");
    }
}

#[tokio::test]
async fn what_one_client_asked_for_wrongly_says_nothing_of_the_server() {
    let entry = with(puppet_told(&json!({ "modern": "dual" })), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "puppet": entry })).await;
    let nameless = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    let answer = Client::at(router.mcp("puppet")).request(json!(1), "initialize", nameless).await;
    assert!(answer.outcome().await["result"].is_object(), "it is served in the other era");
    Client::open(router.mcp("puppet")).await;
    router.until("puppet", "known to speak both", |mount| mount["era"] == "dual").await;
}

#[tokio::test]
async fn a_question_outlives_the_process_that_its_call_has_yet_to_go_back_to() {
    let entry = with(puppet_told(&json!({ "modern": true })), &json!({ "pool": { "warm": 0 } }));
    let router = Router::mounting(json!({ "puppet": entry })).await;
    let client = Client::open(router.mcp("puppet")).await;
    let schema = json!({ "type": "object", "properties": {} });
    let question =
        json!({ "method": "elicitation/create", "params": { "message": "?", "requestedSchema": schema } });
    let asks =
        json!({ "resultType": "input_required", "requestState": "s", "inputRequests": { "q": question } });
    let quiet = client.json_only();
    let call = quiet.call(2, "query", json!({ "answer": asks }));
    let look = async {
        router.until("puppet", "in a call", |mount| mount["in_flight"] == 1).await;
        let died = client.request(json!(3), "vendor/die", json!({ "exit": 1 })).await.outcome().await;
        assert_eq!(died["error"]["code"], -31002, "{died}");
        router.until("puppet", "going on", |mount| mount["restarts"] == 1).await;
        client.listen().await.message().await
    };
    tokio::select! {
        answer = call => panic!("nobody was asked: {:?}", answer.status),
        asked = look => assert_eq!(asked["method"], "elicitation/create", "{asked}"),
    }
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_is_refused_and_no_stream() {
    let told = json!({ "modern": true, "refuse": ["subscriptions/listen"] });
    let router =
        Router::mounting(json!({ "puppet": with(puppet_told(&told), &json!({ "era": "modern" })) })).await;
    let modern = Modern::at(router.mcp("puppet"));
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let refusal = modern.request(1, "subscriptions/listen", filter).await.refusal().await;
    assert_eq!(refusal, (404, -32601));
}
