//! All servers behind one endpoint: each under its own name, and each at its own risk.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::client::Hello;
use support::events::Events;
use support::mcp::Client;
use support::modern::Modern;
use support::process::kill;
use support::puppet::puppet_told;
use support::router::{Router, demo, pids, script, with};
use support::{eventually, within};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const MISSING: &str = "mcp-switchboard/missing";

fn modern_puppet() -> Value {
    puppet_told(&json!({ "modern": true }))
}

fn names(outcome: &Value, list: &str, key: &str) -> Vec<String> {
    let items = outcome["result"][list].as_array().unwrap_or_else(|| panic!("{outcome}"));
    items.iter().map(|item| item[key].as_str().expect("a name").to_owned()).collect()
}

async fn listed(modern: &Modern, method: &str) -> Value {
    modern.request(1, method, json!({})).await.outcome().await
}

async fn tools(modern: &Modern) -> Vec<String> {
    names(&listed(modern, "tools/list").await, "tools", "name")
}

/// Waits for a list that has what is looked for.
async fn until_listed(modern: &Modern, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
    let look = async || Some(tools(modern).await).filter(|tools| is(tools));
    eventually(&format!("{what} is listed"), look).await
}

async fn subscribed(modern: &Modern, id: i64, filter: Value) -> (Events, Value) {
    let mut events =
        modern.request(id, "subscriptions/listen", json!({ "notifications": filter })).await.events();
    let first = events.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    (events, first["params"]["notifications"].clone())
}

#[tokio::test]
async fn servers_of_either_era_are_one_server_for_clients_of_either_era() {
    let router = Router::mounting(json!({ "old": demo(), "new": modern_puppet(), "my.own": demo() })).await;
    let modern = Modern::at(router.url("/mcp"));
    let legacy = Client::open(router.url("/mcp")).await;
    let listed = tools(&modern).await;
    assert_eq!(listed.first().map(String::as_str), Some("my_own__echo"));
    assert!(
        listed.contains(&"new__query".to_owned()) && listed.contains(&"my_own__add".to_owned()),
        "{listed:?}"
    );
    let same = legacy.request(json!(1), "tools/list", json!({})).await.outcome().await;
    // It can be asked, and is shown what it can be asked for.
    assert!(names(&same, "tools", "name").len() >= listed.len());
    for server in ["old", "my_own"] {
        let (tool, said) = (format!("{server}__echo"), json!({ "text": server }));
        assert_eq!(modern.ask(&tool, said.clone()).await, server);
        assert_eq!(legacy.ask(&tool, said).await, server);
    }
    let arguments = json!({ "region": "x", "answer": { "resultType": "complete", "content": [{ "type": "text", "text": "new" }] } });
    assert_eq!(legacy.ask("new__query", arguments).await, "new");
    let prompts = legacy.request(json!(2), "prompts/list", json!({})).await.outcome().await;
    assert_eq!(names(&prompts, "prompts", "name"), ["my_own__greet", "old__greet"]);
    let greeting = json!({ "name": "my_own__greet", "arguments": { "name": "Ada" } });
    let greeting = modern.request(3, "prompts/get", greeting).await.outcome().await;
    assert!(
        greeting["result"]["messages"][0]["content"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("Ada"))
    );
}

#[tokio::test]
async fn an_endpoint_says_of_itself_what_its_servers_say_together() {
    let router = Router::mounting(json!({ "old": demo(), "new": modern_puppet() })).await;
    let modern = Modern::at(router.url("/mcp"));
    let discovered = modern.request(1, "server/discover", json!({})).await.outcome().await;
    let result = &discovered["result"];
    assert_eq!(result["capabilities"]["tools"], json!({ "listChanged": true }));
    assert_eq!(result["capabilities"]["resources"], json!({ "listChanged": true, "subscribe": true }));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-switchboard");
    assert!(result["instructions"].as_str().is_some_and(|said| said.starts_with("# old\n\n")), "{result}");
    let opened =
        Client::at(router.url("/mcp")).post(Hello::default().initialize().to_string()).await.outcome().await;
    assert_eq!(opened["result"]["serverInfo"]["name"], "mcp-switchboard");
    assert_eq!(opened["result"]["instructions"], result["instructions"]);
}

#[tokio::test]
async fn a_single_request_needs_no_session() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let client = Client::at(router.url("/sse"));
    let listed = client.request(json!(1), "tools/list", json!({})).await.json().await;
    assert!(names(&listed, "tools", "name").contains(&"b__echo".to_owned()));
    let called = client.call(2, "b__add", json!({ "a": 2, "b": 3 })).await.json().await;
    assert_eq!(called["result"]["structuredContent"]["sum"], 5);
}

#[tokio::test]
async fn progress_log_lines_and_cancellation_find_their_way_among_many_calls() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let modern = Modern::at(router.url("/mcp")).logging("debug");
    let count = |server: &'static str| {
        let modern = modern.clone();
        async move {
            let params = json!({
                "name": format!("{server}__count"), "arguments": { "to": 5, "intervalMs": 20 },
                "_meta": { "progressToken": server },
            });
            let messages = modern.request(server, "tools/call", params).await.messages().await;
            let (answer, progress) = messages.split_last().expect("an answer");
            assert_eq!(answer["id"], server);
            let counted: Vec<_> = progress
                .iter()
                .filter(|message| message["method"] == "notifications/progress")
                .map(|message| {
                    (message["params"]["progressToken"].clone(), message["params"]["progress"].clone())
                })
                .collect();
            assert_eq!(counted, (1..=5).map(|n| (json!(server), json!(n))).collect::<Vec<_>>());
        }
    };
    let log = async {
        let messages = modern
            .call(9, "a__log", json!({ "text": "hear this", "level": "warning" }))
            .await
            .messages()
            .await;
        let line = messages.iter().find(|message| message["method"] == "notifications/message");
        let line = line.unwrap_or_else(|| panic!("no log line among {messages:?}"));
        assert_eq!(line["params"]["level"], "warning");
        assert!(line["params"]["_meta"].is_null(), "{line}");
    };
    futures::future::join(count("a"), count("b")).await;
    futures::future::join(count("b"), log).await;

    let legacy = Client::open(router.url("/mcp")).await;
    let sleeping = legacy.call(5, "b__sleep", json!({ "ms": 60_000 }));
    let cancel = async {
        router.until("b", "in the middle of a call", |mount| mount["in_flight"] == 1).await;
        legacy.notify("notifications/cancelled", json!({ "requestId": 5 })).await;
        router.until("b", "at rest", |mount| mount["in_flight"] == 0).await;
    };
    let (answer, ()) = within("the call is cancelled", futures::future::join(sleeping, cancel)).await;
    assert_eq!(answer.outcome().await["error"]["code"], -32800);
}

#[tokio::test]
async fn a_server_asks_the_client_that_called_it() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    // A legacy client is asked on the stream of its call.
    let legacy = Client::open(router.url("/mcp")).await;
    let mut call = legacy.events_only().call(7, "b__ask", json!({})).await.events();
    let question = call.until_said("elicitation/create").await;
    legacy.answer(&question, json!({ "action": "accept", "content": { "answer": "Ada" } })).await;
    let answer = call.message().await;
    assert_eq!((&answer["id"], answer["result"]["isError"].as_bool()), (&json!(7), None), "{answer}");
    assert!(
        answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("Ada")),
        "{answer}"
    );
    let mut call = legacy.events_only().call(8, "a__sample", json!({ "prompt": "x" })).await.events();
    let question = call.until_said("sampling/createMessage").await;
    let said =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "forty-two" } });
    legacy.answer(&question, said).await;
    let answer = call.message().await;
    assert!(
        answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("forty-two")),
        "{answer}"
    );
    // A modern one gets the question as an answer, and comes back.
    let modern = Modern::asked(router.url("/mcp"));
    let parked = modern.parked(1, "b__roots", json!({})).await;
    let roots = json!({ "roots": [{ "uri": "file:///tmp/x" }] });
    let answer = modern.come_back(2, ("b__roots", json!({})), &parked, roots).await.outcome().await;
    assert!(
        answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("file:///tmp/x")),
        "{answer}"
    );
}

#[tokio::test]
async fn a_resource_that_two_servers_have_is_read_from_the_one_that_is_meant() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let modern = Modern::at(router.url("/mcp"));
    let listed = names(&listed(&modern, "resources/list").await, "resources", "uri");
    assert_eq!(listed, ["demo://counter", "switchboard://b/demo://counter"]);
    modern.ask("b__bump", json!({ "by": 7 })).await;
    for (uri, value) in [("demo://counter", "0"), ("switchboard://b/demo://counter", "7")] {
        let read = modern.request(1, "resources/read", json!({ "uri": uri })).await.outcome().await;
        let contents = &read["result"]["contents"][0];
        assert_eq!((&contents["uri"], &contents["text"]), (&json!(uri), &json!(value)), "{read}");
    }
    let unknown =
        modern.request(1, "resources/read", json!({ "uri": "nobody://has/this" })).await.outcome().await;
    assert_eq!(unknown["error"]["code"], -32602);
}

#[tokio::test]
async fn changes_of_every_server_are_told_on_one_stream() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let modern = Modern::at(router.url("/mcp"));
    let mine = "switchboard://b/demo://counter";
    let (mut events, honoured) = subscribed(
        &modern,
        5,
        json!({ "toolsListChanged": true, "resourceSubscriptions": [mine, "no://such"] }),
    )
    .await;
    assert_eq!(honoured, json!({ "toolsListChanged": true, "resourceSubscriptions": [mine] }));
    let legacy = Client::open_as(router.url("/mcp"), "2025-11-25", json!({})).await;
    let mut unasked = legacy.listen().await;
    let subscribed =
        legacy.request(json!(1), "resources/subscribe", json!({ "uri": "demo://counter" })).await;
    assert!(subscribed.outcome().await["result"].is_object());
    // A legacy client has a process of its own, in which it alone counts.
    legacy.ask("a__bump", json!({})).await;
    modern.ask("b__bump", json!({})).await;
    let updated = events.until_said("notifications/resources/updated").await;
    assert_eq!(
        (&updated["params"]["uri"], &updated["params"]["_meta"][SUBSCRIPTION]),
        (&json!(mine), &json!(5))
    );
    let updated = unasked.until_said("notifications/resources/updated").await;
    assert_eq!(updated["params"]["uri"], "demo://counter");
    // A tool more on one server is a change of the whole.
    assert!(!tools(&modern).await.contains(&"b__bonus".to_owned()));
    modern.ask("b__toggle", json!({})).await;
    events.until_said("notifications/tools/list_changed").await;
    unasked.until_said("notifications/tools/list_changed").await;
    assert!(tools(&modern).await.contains(&"b__bonus".to_owned()), "{:?}", tools(&modern).await);
}

#[tokio::test]
async fn a_slow_and_a_broken_server_cost_their_own_tools_only() {
    let router = Router::mounting(json!({
        "a": demo(),
        "silent": script("while read -r line; do :; done", &[]),
        "broken": with(script("exit 3", &[]), &json!({ "restart": { "attempts": 1 } })),
    }))
    .await;
    router.until("broken", "failed", |mount| mount["state"] == "failed").await;
    let modern = Modern::at(router.url("/mcp"));
    let begun = Instant::now();
    let outcome = listed(&modern, "tools/list").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(names(&outcome, "tools", "name").contains(&"a__echo".to_owned()));
    let missing = outcome["result"]["_meta"][MISSING].as_object().expect("what is missing").clone();
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["broken", "silent"]);
    assert!(missing["broken"].as_str().is_some_and(|why| why.contains("status 3")), "{missing:?}");
    // Whoever has waited once waits no more, and a call waits for nobody but its own server.
    let begun = Instant::now();
    listed(&modern, "tools/list").await;
    assert_eq!(modern.ask("a__echo", json!({ "text": "x" })).await, "x");
    Client::open_as(router.url("/mcp"), "2025-11-25", json!({})).await;
    let unknown = modern.call(1, "nowhere__x", json!({})).await.outcome().await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let refused = modern.call(1, "broken__x", json!({})).await.outcome().await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
}

#[tokio::test]
async fn a_log_level_is_told_to_servers_that_log_only() {
    let refuse = json!({ "refuse": ["logging/setLevel"] });
    let router = Router::mounting(json!({
        "loud": puppet_told(&refuse),
        "quiet": puppet_told(&with(refuse, &json!({ "without": ["logging"] }))),
    }))
    .await;
    let client = Client::open_as(router.url("/mcp"), "2025-11-25", json!({})).await;
    for tool in ["loud__query", "quiet__query"] {
        assert!(client.call(1, tool, json!({})).await.outcome().await["result"].is_object(), "{tool}");
    }
    let level = client.request(json!(2), "logging/setLevel", json!({ "level": "debug" })).await;
    assert_eq!(level.outcome().await["result"], json!({}));
    router.until("loud", "told", |mount| mount["errors"] == 1).await;
    assert!(client.call(3, "quiet__query", json!({})).await.outcome().await["result"].is_object());
    assert_eq!(router.mount("quiet").await["errors"], 0);
}

#[tokio::test]
async fn a_killed_server_leaves_the_others_at_work_and_is_announced_when_it_is_back() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo() })).await;
    let modern = Modern::at(router.url("/mcp"));
    let (mut events, _) = subscribed(&modern, 1, json!({ "toolsListChanged": true })).await;
    assert_eq!(modern.ask("b__echo", json!({ "text": "x" })).await, "x");
    let struck = Instant::now();
    pids(&router.mount("b").await).into_iter().for_each(kill);
    assert_eq!(modern.ask("a__echo", json!({ "text": "y" })).await, "y");
    assert!(struck.elapsed() < Duration::from_secs(1), "{:?}", struck.elapsed());
    events.until_said("notifications/tools/list_changed").await;
    let back = async || {
        let outcome = modern.call(2, "b__echo", json!({ "text": "z" })).await.outcome().await;
        (outcome["result"]["content"][0]["text"] == "z").then_some(())
    };
    eventually("b serves again", back).await;
    assert!(tools(&modern).await.contains(&"b__echo".to_owned()));
}

#[tokio::test]
async fn a_server_that_starts_late_is_announced() {
    let router = Router::with_file(|directory| {
        let go = directory.join("go");
        let late = script("while [ ! -e \"$1\" ]; do sleep 0.05; done; exec \"$0\" demo-server", &[&go]);
        json!({ "mcpServers": { "a": demo(), "late": late } })
    })
    .await;
    let modern = Modern::at(router.url("/mcp"));
    let (mut events, _) = subscribed(&modern, 1, json!({ "toolsListChanged": true })).await;
    assert!(!tools(&modern).await.iter().any(|tool| tool.starts_with("late__")));
    std::fs::write(router.path("go"), "").expect("a file");
    events.until_said("notifications/tools/list_changed").await;
    until_listed(&modern, "what was late", |tools| tools.contains(&"late__echo".to_owned())).await;
}

#[tokio::test]
async fn rules_call_a_tool_by_its_name_in_full_whatever_separator_is_shown() {
    let tools_of_a = json!({ "deny": ["a__crash"], "rename": { "a__echo": "say" } });
    let file = json!({
        "mcpServers": { "a": demo() },
        "aggregate": { "separator": "-", "tools": tools_of_a },
    });
    let router = Router::start(file, &[]).await;
    let modern = Modern::at(router.url("/mcp"));
    let shown = tools(&modern).await;
    let has = |name: &str| shown.contains(&name.to_owned());
    assert!(has("say") && has("a-add") && !has("a-echo") && !has("a-crash"), "{shown:?}");
    for (hidden, code) in [("a-crash", -31007), ("a-echo", -32602)] {
        let refused = modern.call(1, hidden, json!({})).await.outcome().await;
        assert_eq!(refused["error"]["code"], code, "{refused}");
    }
    assert_eq!(modern.ask("say", json!({ "text": "x" })).await, "x");
}

#[tokio::test]
async fn the_log_says_of_which_view_a_tool_is_left_out() {
    let file = json!({
        "mcpServers": { "a": demo(), "b": demo() },
        "aggregate": { "views": { "flat": { "prefix": "never" } } },
    });
    let router = Router::start(file, &[]).await;
    assert_eq!(tools(&Modern::at(router.url("/views/flat/mcp"))).await, [""; 0]);
    let reason = "not in the lists of flat: \"echo\" would be the name of a__echo and of b__echo: \
        rename one, or set `aggregate.prefix` to \"always\"";
    router.logs(reason).await;
    // What has the same full name is told apart by the names of the servers alone.
    let router = Router::mounting(json!({ "a.b": demo(), "a_b": demo() })).await;
    assert_eq!(tools(&Modern::at(router.url("/mcp"))).await, [""; 0]);
    let reason = "\"a_b__echo\" would be the name of \"echo\" of a.b and of \"echo\" of a_b: rename one of the servers";
    router.logs(reason).await;
}

#[tokio::test]
async fn a_view_shows_what_it_should_and_nothing_else() {
    let file = json!({
        "mcpServers": { "a": demo(), "b": demo(), "c": demo() },
        "aggregate": { "views": { "research": {
            "servers": ["a", "b"],
            "tools": {
                "allow": ["a__*", "b__echo"], "deny": ["*__crash"],
                "rename": { "b__echo": "say" }, "describe": { "b__echo": "Says it." },
            },
        } } },
    });
    let router = Router::start(file, &[]).await;
    let modern = Modern::at(router.url("/views/research/mcp"));
    let outcome = listed(&modern, "tools/list").await;
    let shown = names(&outcome, "tools", "name");
    assert!(shown.contains(&"a__echo".to_owned()) && shown.contains(&"say".to_owned()), "{shown:?}");
    let hidden =
        |name: &String| name.starts_with("c__") || name.starts_with("b__") || name.ends_with("crash");
    assert!(!shown.iter().any(hidden), "{shown:?}");
    let say = outcome["result"]["tools"]
        .as_array()
        .and_then(|tools| tools.iter().find(|tool| tool["name"] == "say"));
    assert_eq!(say.expect("it is listed")["description"], "Says it.");
    assert_eq!(modern.ask("say", json!({ "text": "x" })).await, "x");
    for (tool, code) in [("b__add", -31007), ("a__crash", -31007), ("b__echo", -32602), ("c__echo", -32602)] {
        let refused = modern.call(1, tool, json!({ "text": "x" })).await.outcome().await;
        assert_eq!(refused["error"]["code"], code, "{tool}: {refused}");
    }
    // Over HTTP+SSE, its messages go to paths of its own.
    let mut stream = Client::at(router.url("/views/research/sse"))
        .with("accept", "text/event-stream")
        .get()
        .await
        .events();
    let endpoint = stream.next().await.and_then(|event| event.data).expect("the endpoint");
    assert!(endpoint.starts_with("/views/research/messages/?session_id="), "{endpoint}");
    assert_eq!(router.get("/views/nothing/mcp").await.0, 404);
    let status = router.status().await;
    assert_eq!(status["views"]["research"]["urls"], json!(["/views/research/mcp", "/views/research/sse"]));
    // The whole has everything.
    assert!(tools(&Modern::at(router.url("/mcp"))).await.contains(&"c__echo".to_owned()));
}

#[tokio::test]
async fn a_long_list_comes_in_pages_that_have_everything_once() {
    let file = json!({ "mcpServers": { "a": demo(), "b": demo() }, "aggregate": { "pageSize": 7 } });
    let router = Router::start(file, &[]).await;
    let modern = Modern::at(router.url("/mcp"));
    let (mut all, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        let page = modern.request(1, "tools/list", params).await.outcome().await;
        let names = names(&page, "tools", "name");
        assert!((1..=7).contains(&names.len()), "{names:?}");
        all.extend(names);
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let whole = tools(&Modern::at(router.mcp("a"))).await;
    let expected: Vec<String> = ["a", "b"]
        .iter()
        .flat_map(|server| whole.iter().map(move |tool| format!("{server}__{tool}")))
        .collect();
    assert_eq!(all, expected);
    let refused = modern.request(1, "tools/list", json!({ "cursor": "bm9uc2Vuc2U" })).await.outcome().await;
    assert_eq!(refused["error"]["code"], -32602);
}

#[tokio::test]
async fn names_are_as_the_file_wants_them() {
    for (prefix, shown, hidden) in
        [("on-conflict", ["a__echo", "query"], "new__query"), ("never", ["query", "query"], "echo")]
    {
        let file = json!({
            "mcpServers": { "a": demo(), "b": demo(), "new": modern_puppet() },
            "aggregate": { "prefix": prefix },
        });
        let router = Router::start(file, &[]).await;
        let modern = Modern::at(router.url("/mcp"));
        let listed = tools(&modern).await;
        assert!(shown.iter().all(|name| listed.iter().any(|listed| listed == name)), "{listed:?}");
        assert!(!listed.iter().any(|name| name == hidden), "{listed:?}");
        if prefix == "never" {
            let refused = modern.call(1, "echo", json!({ "text": "x" })).await.outcome().await;
            let reason = refused["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(reason.contains("a__echo and of b__echo"), "{refused}");
            router.logs("a__echo and of b__echo").await;
        }
    }
}

#[tokio::test]
async fn the_root_is_the_default_servers_if_there_is_one_and_may_be_switched_off() {
    let off = Router::start(json!({ "mcpServers": { "a": demo() }, "aggregate": false }), &[]).await;
    assert_eq!(Client::at(off.url("/mcp")).request(json!(1), "ping", json!({})).await.status, 404);
    assert!(off.status().await["aggregate"].is_null());
    let binary = support::router::BINARY;
    let default = Router::with_options(&[
        "--port",
        "0",
        "--named-server",
        "a",
        &format!("{binary} demo-server"),
        "--",
        binary,
        "demo-server",
    ])
    .await;
    let client = Client::open(default.url("/mcp")).await;
    assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
}

#[tokio::test]
async fn a_reload_changes_what_is_listed_and_says_so() {
    let router = Router::start(json!({ "mcpServers": { "a": demo() } }), &["--reload-interval", "0.1"]).await;
    let before = router.settled("a", 1).await;
    let modern = Modern::at(router.url("/mcp"));
    let (mut events, _) = subscribed(&modern, 1, json!({ "toolsListChanged": true })).await;
    let more = json!({ "mcpServers": { "a": demo(), "b": demo() } });
    std::fs::write(router.path("servers.json"), more.to_string()).expect("the file is written");
    events.until_said("notifications/tools/list_changed").await;
    until_listed(&modern, "the new server", |tools| tools.contains(&"b__echo".to_owned())).await;
    assert!(before.iter().all(|pid| support::process::is_running(*pid)), "the other one goes on");
    let less = json!({ "mcpServers": { "b": demo() } });
    std::fs::write(router.path("servers.json"), less.to_string()).expect("the file is written");
    until_listed(&modern, "nothing else", |tools| !tools.contains(&"a__echo".to_owned())).await;
    assert_eq!(modern.ask("b__echo", json!({ "text": "x" })).await, "x");
}

#[tokio::test]
async fn what_a_lazy_server_has_is_shown_before_it_runs() {
    let kept = tempfile::TempDir::new().expect("a directory");
    let options = ["--cache-dir", kept.path().to_str().expect("a readable path")];
    let servers =
        json!({ "a": demo(), "lazy": with(demo(), &json!({ "lazy": true, "pool": { "idleTimeout": 1 } })) });
    let file = json!({ "mcpServers": servers });
    let first = Router::start(file.clone(), &options).await;
    // Nobody knows what it has, so it is asked once.
    let modern = Modern::at(first.url("/mcp"));
    let known =
        until_listed(&modern, "the lazy server", |tools| tools.contains(&"lazy__echo".to_owned())).await;
    first.until("lazy", "idle again", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
    drop(first);
    let second = Router::start(file, &options).await;
    let modern = Modern::at(second.url("/mcp"));
    let legacy = Client::open_as(second.url("/mcp"), "2025-11-25", json!({})).await;
    assert_eq!(tools(&modern).await, known);
    let listed = legacy.request(json!(1), "resources/list", json!({})).await.outcome().await;
    assert_eq!(names(&listed, "resources", "uri"), ["demo://counter", "switchboard://lazy/demo://counter"]);
    let lazy = second.mount("lazy").await;
    assert_eq!((&lazy["state"], &lazy["requests"], pids(&lazy)), (&json!("idle"), &json!(0), vec![]));
    assert_eq!(legacy.ask("lazy__echo", json!({ "text": "x" })).await, "x");
    second.until("lazy", "idle again", |mount| mount["state"] == "idle" && pids(mount).is_empty()).await;
}

#[tokio::test]
async fn many_clients_of_both_eras_get_their_own_answers() {
    let router = Router::mounting(json!({ "a": demo(), "b": demo(), "new": modern_puppet() })).await;
    let clients = (0..30).map(|n| {
        let url = router.url("/mcp");
        async move {
            let (server, text) = (["a", "b"][n % 2], n.to_string());
            let tool = format!("{server}__echo");
            if n % 3 == 0 {
                let legacy = Client::open(url).await;
                for _ in 0..5 {
                    assert_eq!(legacy.ask(&tool, json!({ "text": text })).await, text);
                }
            } else {
                let modern = Modern::at(url);
                for _ in 0..5 {
                    assert_eq!(modern.ask(&tool, json!({ "text": text })).await, text);
                }
            }
        }
    });
    within("all are served", futures::future::join_all(clients)).await;
}
