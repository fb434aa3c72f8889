//! Who may call, and what: whoever is not known gets nothing, and whoever is known gets what the rules give him.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use support::mcp::{Client, hello, request};
use support::modern::Modern;
use support::puppet::{puppet, puppet_told};
use support::router::{Router, demo, pids, with};
use support::{eventually, within};

const ALICE: &str = "key-of-alice-0123456789";
const BOB: &str = "key-of-bob-0123456789abc";
const ROOT: &str = "key-of-root-0123456789ab";

/// A router with two servers, `one` and `two`, and a view of both. Alice may use everything; Bob may use two tools of `one`
/// but `add`, and everything through the view; the third administers.
async fn guarded() -> Router {
    let tokens = json!([
        { "name": "alice", "token": ALICE },
        { "name": "bob", "token": BOB, "groups": ["some"] },
        { "name": "root", "token": ROOT },
    ]);
    let rules = json!([
        { "who": ["alice"], "servers": ["*"] },
        { "who": ["group:some"], "servers": ["one"], "tools": { "allow": ["one__e*", "one__a*"], "deny": ["one__add"] } },
        { "who": ["group:some"], "views": ["both"], "tools": { "allow": ["two__echo"] } },
        { "who": ["root"], "admin": true },
    ]);
    let lazy = with(demo(), &json!({ "startup": "lazy", "pool": { "warm": 0 } }));
    let file = json!({
        "mcpServers": { "one": lazy, "two": lazy },
        "aggregate": { "views": { "both": {} } },
        "auth": { "tokens": tokens, "rules": rules },
    });
    Router::start(file, &[]).await
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

fn at(url: String, key: &str) -> Client {
    Client::at(url).with("authorization", &bearer(key))
}

async fn opened(url: String, key: &str) -> Client {
    at(url, key).opened("2025-11-25", json!({})).await
}

async fn status(router: &Router, key: &str) -> Value {
    at(router.url("/status"), key).get().await.json().await
}

fn names(listed: &Value) -> Vec<&str> {
    listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn whoever_is_not_known_gets_nothing_and_nothing_is_started_for_him() {
    let router = guarded().await;
    let initialize = request(json!(1), "initialize", hello("2025-11-25", json!({})));
    let modern = Modern::at(router.mcp("one"));
    for path in
        ["/servers/one/mcp", "/servers/none/mcp", "/mcp", "/views/both/mcp", "/servers/one/sse", "/sse"]
    {
        let nobody = Client::at(router.url(path));
        let wrong = nobody.clone().with("authorization", &bearer("key-of-nobody-0123456789"));
        let in_query = Client::at(router.url(&format!("{path}?access_token={ALICE}&token={ALICE}")));
        for (client, error) in [(&nobody, None), (&wrong, Some("invalid_token")), (&in_query, None)] {
            let answer = client.post(initialize.clone()).await;
            assert_eq!(answer.status, 401, "{path}");
            let challenge = answer.header("www-authenticate").to_owned();
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            assert_eq!(challenge.contains("error="), error.is_some(), "{challenge}");
            assert!(error.is_none_or(|error| challenge.contains(error)), "{challenge}");
            assert_eq!(answer.refusal().await, (401, -31007));
        }
        assert_eq!(nobody.get().await.status, 401);
    }
    assert_eq!(modern.call(1, "echo", json!({ "text": "x" })).await.status, 401);
    for path in ["/status", "/servers/one/health", "/admin/reload"] {
        assert_eq!(Client::at(router.url(path)).get().await.status, 401, "{path}");
    }
    for path in ["/healthz", "/readyz", "/health"] {
        let answer = Client::at(router.url(path)).get().await;
        assert_eq!(answer.status, 200);
        let text = answer.text().await;
        assert!(
            !text.contains("one") && !text.contains("demo"),
            "{path} tells a stranger what is here: {text}"
        );
    }
    for mount in ["one", "two"] {
        let mount = status(&router, ALICE).await["servers"][mount].clone();
        assert_eq!((pids(&mount), &mount["requests"]), (vec![], &json!(0)), "nothing was started");
    }
    let log = router.log();
    assert!(!log.contains(ALICE) && !log.contains("key-of-nobody"), "{log}");
}

#[tokio::test]
async fn a_session_belongs_to_whoever_opened_it() {
    let router = guarded().await;
    let alice = opened(router.mcp("one"), ALICE).await;
    assert_eq!(alice.ask("echo", json!({ "text": "mine" })).await, "mine");
    let bob = alice.clone().with("authorization", &bearer(BOB));
    assert_eq!(bob.call(1, "echo", json!({ "text": "mine?" })).await.refusal().await, (404, -32001));
    assert_eq!(bob.events_only().get().await.status, 404);
    assert_eq!(bob.delete().await.status, 404);
    let nobody = alice.clone().without("authorization");
    assert_eq!(nobody.call(1, "echo", json!({ "text": "mine?" })).await.status, 401);
    alice.assert_serves().await;

    let mut stream = at(router.sse("one"), ALICE).get().await.events();
    let endpoint = stream.next().await.unwrap().data.unwrap();
    let post = |key: &str| at(router.url(&endpoint), key);
    let initialize = request(json!(1), "initialize", hello("2024-11-05", json!({})));
    assert_eq!(post(BOB).post(initialize.clone()).await.status, 404);
    assert_eq!(post(ALICE).post(initialize).await.status, 202);
    assert_eq!(stream.message().await["id"], 1);
}

#[tokio::test]
async fn what_is_denied_is_neither_listed_nor_callable_whichever_way_one_comes() {
    let router = guarded().await;
    // At the server's own path, in a session: refusals are answers.
    let bob = opened(router.mcp("one"), BOB).await;
    let listed = bob.request(json!(1), "tools/list", json!({})).await.outcome().await;
    assert_eq!(names(&listed), ["echo", "ask"]);
    assert_eq!(bob.ask("echo", json!({ "text": "hello" })).await, "hello");
    for tool in ["add", "sleep", "none"] {
        let answer = bob.call(2, tool, json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.outcome().await["error"]["code"], -31007, "{tool}");
    }
    bob.assert_serves().await;
    // Of a batch, what is permitted is done.
    let old = {
        let client = at(router.mcp("one"), BOB);
        let answer = client.request(json!(0), "initialize", hello("2025-03-26", json!({}))).await;
        let client = client.with("mcp-session-id", answer.header("mcp-session-id"));
        client.notify("notifications/initialized", json!({})).await;
        client
    };
    let call = |id: i64, tool: &str| {
        let params = json!({ "name": tool, "arguments": { "text": "x" } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let batch = json!([call(1, "add"), call(2, "echo")]).to_string();
    let answers = old.json_only().post(batch).await.json().await;
    let of = |id: i64| answers.as_array().unwrap().iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(
        (&of(1)["error"]["code"], &of(2)["result"]["content"][0]["text"]),
        (&json!(-31007), &json!("x"))
    );
    // One request that stands alone.
    let alone = at(router.sse("one"), BOB);
    assert_eq!(alone.call(1, "add", json!({ "a": 1, "b": 2 })).await.refusal().await, (403, -31007));
    assert_eq!(alone.ask("echo", json!({ "text": "hi" })).await, "hi");
    // A modern client.
    let modern = |path: String| Modern::at(path).with("authorization", &bearer(BOB));
    let own = modern(router.mcp("one"));
    assert_eq!(names(&own.request(1, "tools/list", json!({})).await.json().await), ["echo", "ask"]);
    assert_eq!(own.call(1, "add", json!({ "a": 1, "b": 2 })).await.refusal().await, (403, -31007));
    assert_eq!(own.ask("echo", json!({ "text": "hi" })).await, "hi");
    // All servers together, and the view, in both eras.
    let (whole, view) = (router.url("/mcp"), router.url("/views/both/mcp"));
    let listed = modern(whole.clone()).request(1, "tools/list", json!({})).await.json().await;
    assert_eq!(names(&listed), ["one__echo", "one__ask"]);
    let listed = modern(view.clone()).request(1, "tools/list", json!({})).await.json().await;
    assert_eq!(names(&listed), ["one__echo", "one__ask", "two__echo"]);
    assert_eq!(modern(view.clone()).ask("two__echo", json!({ "text": "v" })).await, "v");
    for (url, tool) in [(&whole, "one__add"), (&whole, "two__echo"), (&view, "two__add")] {
        let answer = modern(url.clone()).call(1, tool, json!({ "a": 1, "b": 2 })).await;
        let status = answer.status.as_u16();
        let outcome = answer.outcome().await;
        let code = outcome["error"]["code"].as_i64().unwrap();
        // What is behind a server that he may use is denied; of another he does not know that it is there.
        assert!([(403, -31007), (200, -32602)].contains(&(status, code)), "{tool}: {status} {outcome}");
    }
    let legacy = opened(view, BOB).await;
    let listed = legacy.request(json!(1), "tools/list", json!({})).await.outcome().await;
    assert_eq!(names(&listed), ["one__echo", "one__ask", "two__echo"]);
    assert_eq!(legacy.ask("two__echo", json!({ "text": "v" })).await, "v");
    for tool in ["two__add", "one__add", "two__none"] {
        let outcome = legacy.call(1, tool, json!({ "a": 1, "b": 2 })).await.outcome().await;
        assert!(outcome["error"].is_object(), "{tool}: {outcome}");
    }
    // Alice sees the same lists whole: what one is shown is not kept for another.
    let alice = Modern::at(whole).with("authorization", &bearer(ALICE));
    let listed = alice.request(1, "tools/list", json!({})).await.json().await;
    assert!(names(&listed).contains(&"one__add") && names(&listed).contains(&"two__echo"));
}

#[tokio::test]
async fn a_server_that_one_may_not_use_is_not_there_for_him() {
    let router = guarded().await;
    for client in [at(router.mcp("two"), BOB), at(router.sse("two"), BOB), at(router.mcp("one"), ROOT)] {
        assert_eq!(client.post(request(json!(1), "ping", json!({}))).await.refusal().await, (403, -31007));
    }
    assert_eq!(
        at(router.url("/views/both/mcp"), ALICE).get().await.status,
        403,
        "no rule names the view for her"
    );
    let seen = |status: &Value| status["servers"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (alice, bob, root) =
        (status(&router, ALICE).await, status(&router, BOB).await, status(&router, ROOT).await);
    assert_eq!((seen(&alice).len(), seen(&bob), seen(&root).len()), (2, vec!["one".to_owned()], 2));
    assert_eq!((&alice["config"], root["config"]["file"].is_string()), (&Value::Null, true));
    assert_eq!(at(router.url("/servers/two/health"), BOB).get().await.status, 403);
    // Where keys are asked for, it is not enough to be on this machine.
    let restart = async |key: &str| at(router.url("/admin/servers/one/restart"), key).post("").await;
    assert_eq!(restart(ALICE).await.status, 403);
    assert_eq!(restart(ROOT).await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_its_streams_and_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    std::fs::write(&keys, format!("# whose\nalice {ALICE}\nbob {BOB}\n")).unwrap();
    let rules = json!([{ "who": ["*"], "servers": ["*"], "admin": true }]);
    let file = json!({ "mcpServers": { "demo": demo() }, "auth": { "tokensFile": keys, "rules": rules } });
    let router = Router::start(file, &["--reload-interval", "0.05"]).await;
    let (alice, bob) = (opened(router.mcp("demo"), ALICE).await, opened(router.mcp("demo"), BOB).await);
    let (mut hers, his) = (alice.listen().await, bob.listen().await);
    let new = "new-key-of-bob-0123456789";
    std::fs::write(&keys, format!("alice {ALICE}\nbob {new}\n")).unwrap();
    within("his stream ends", his.rest()).await;
    assert_eq!(bob.call(1, "echo", json!({ "text": "x" })).await.status, 401);
    let bob = bob.with("authorization", &bearer(new));
    assert_eq!(bob.ask("echo", json!({ "text": "still mine" })).await, "still mine");
    alice.call(1, "toggle", json!({})).await.outcome().await;
    hers.until_said("notifications/tools/list_changed").await;
    // A file that cannot be used changes nothing.
    std::fs::write(&keys, "alice\n").unwrap();
    let broken = async || {
        let status = at(router.url("/status"), ALICE).get().await.json().await;
        status["config"]["error"].as_str().map(str::to_owned)
    };
    let reason = eventually("the file is refused", broken).await;
    assert!(reason.contains("line 1: wanted NAME KEY"), "{reason}");
    assert_eq!(alice.ask("echo", json!({ "text": "here" })).await, "here");
    let log = router.log();
    assert!(!log.contains(ALICE) && !log.contains(new), "{log}");
}

#[tokio::test]
async fn a_key_in_the_environment_guards_a_router_without_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(support::router::BINARY);
    command.args([
        "--port",
        "0",
        "--named-server",
        "demo",
        &format!("{} demo-server", support::router::BINARY),
    ]);
    command.env("MCP_SWITCHBOARD_TOKEN", ALICE).stdin(std::process::Stdio::null());
    let router = Router::started(directory, command).await;
    assert_eq!(Client::at(router.mcp("demo")).get().await.status, 401);
    let client = opened(router.mcp("demo"), ALICE).await;
    assert_eq!(client.ask("echo", json!({ "text": "hello" })).await, "hello");
    let by_api_key = Client::at(router.sse("demo")).with("x-api-key", ALICE);
    assert_eq!(by_api_key.ask("echo", json!({ "text": "hello" })).await, "hello");
    let both = by_api_key.with("authorization", &bearer(ALICE));
    let answer = both.post(request(json!(1), "ping", json!({}))).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains("invalid_request"));
}

#[tokio::test]
async fn rights_that_a_reload_takes_away_are_gone_in_sessions_that_are_open() {
    let file = |tools: Value| {
        let rules = json!([{ "who": ["alice"], "servers": ["*"], "tools": tools }, { "who": ["bob"], "servers": ["*"] }]);
        let tokens = json!([{ "name": "alice", "token": ALICE }, { "name": "bob", "token": BOB }]);
        json!({ "mcpServers": { "demo": demo() }, "auth": { "tokens": tokens, "rules": rules } })
    };
    let router = Router::start(file(json!({})), &["--reload-interval", "0.05"]).await;
    let own = opened(router.mcp("demo"), ALICE).await;
    let whole = opened(router.url("/mcp"), ALICE).await;
    let bob = opened(router.mcp("demo"), BOB).await;
    let his = bob.listen().await;
    let sum = async |client: &Client, tool: &str| {
        let outcome = client.call(1, tool, json!({ "a": 1, "b": 2 })).await.outcome().await;
        outcome["result"]["content"][0]["text"].as_str().map(str::to_owned)
    };
    assert_eq!(
        (sum(&own, "add").await, sum(&whole, "demo__add").await),
        (Some("3".into()), Some("3".into()))
    );
    // From here on the session has a list of its own.
    let mut heard = whole.listen().await;
    whole.call(1, "demo__toggle", json!({})).await.outcome().await;
    heard.until_said("notifications/tools/list_changed").await;
    let listed = whole.request(json!(2), "tools/list", json!({})).await.outcome().await;
    assert!(names(&listed).contains(&"demo__add") && names(&listed).contains(&"demo__bonus"), "{listed}");
    std::fs::write(router.path("servers.json"), file(json!({ "deny": ["demo__add"] })).to_string()).unwrap();
    eventually("she may not add any more", async || sum(&own, "add").await.is_none().then_some(())).await;
    assert_eq!(sum(&whole, "demo__add").await, None);
    let listed = whole.request(json!(2), "tools/list", json!({})).await.outcome().await;
    assert!(!names(&listed).contains(&"demo__add") && names(&listed).contains(&"demo__echo"));
    assert_eq!(whole.ask("demo__echo", json!({ "text": "still here" })).await, "still here");
    // What has not changed for him disturbs him in nothing.
    assert_eq!(sum(&bob, "add").await.as_deref(), Some("3"));
    let mut his = his;
    bob.call(1, "toggle", json!({})).await.outcome().await;
    his.until_said("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_call_that_a_server_might_read_in_another_way_does_not_reach_it() {
    let tokens = json!([{ "name": "alice", "token": ALICE }]);
    let rules = json!([{ "who": ["alice"], "servers": ["*"], "tools": { "deny": ["puppet__secret"] } }]);
    let file = json!({ "mcpServers": { "puppet": puppet() }, "auth": { "tokens": tokens, "rules": rules } });
    let router = Router::start(file, &[]).await;
    let alice = opened(router.mcp("puppet"), ALICE).await;
    let alone = at(router.sse("puppet"), ALICE);
    let call = |params: &str, more: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}{more}}}"#)
    };
    let denied = [
        // Python takes half a surrogate pair for a key like any other.
        (r#"{"\ud800":1,"name":"secret"}"#, -31007),
        (r#"{"n\u0061me":"secret"}"#, -31007),
        // Some parsers take the first of two, and Go's mind no case.
        (r#"{"name":"secret","name":"query"}"#, -32602),
        (r#"{"name":"query","NAME":"secret"}"#, -32602),
        (r#"{"Name":"secret"}"#, -32602),
        (r#"["secret"]"#, -32602),
    ];
    for (params, code) in denied {
        for client in [&alice, &alone] {
            let outcome = client.post(call(params, "")).await.outcome().await;
            assert_eq!(outcome["error"]["code"], code, "{params}: {outcome}");
        }
    }
    for more in [r#","Params":{"name":"secret"}"#, r#","param\u017f":{"name":"secret"}"#, r#","METHOD":"x""#]
    {
        assert_eq!(alice.post(call(r#"{"name":"query"}"#, more)).await.refusal().await, (400, -32600));
    }
    let harmless = alice.post(call(r#"{"\ud800":1,"name":"query"}"#, "")).await.outcome().await;
    assert!(harmless["result"].is_object(), "{harmless}");
    let received = alice.received().await;
    assert_eq!(received.iter().filter(|line| line.contains("tools/call")).count(), 1, "{received:?}");
}

#[tokio::test]
async fn what_one_is_shown_is_called_private_whatever_the_server_calls_it() {
    let tokens = json!([{ "name": "alice", "token": ALICE }, { "name": "bob", "token": BOB }]);
    let rules = json!([
        { "who": ["alice"], "servers": ["*"] },
        { "who": ["bob"], "servers": ["*"], "tools": { "deny": ["puppet__secret"] } },
    ]);
    let modern = puppet_told(&json!({ "modern": true }));
    let file = json!({ "mcpServers": { "puppet": modern }, "auth": { "tokens": tokens, "rules": rules } });
    let router = Router::start(file, &[]).await;
    let tools = json!([{ "name": "query", "inputSchema": {} }, { "name": "secret", "inputSchema": {} }]);
    let public = json!({ "resultType": "complete", "tools": tools, "ttlMs": 9, "cacheScope": "public" });
    for (key, shown) in [(ALICE, vec!["query", "secret"]), (BOB, vec!["query"])] {
        let client = Modern::at(router.mcp("puppet")).with("authorization", &bearer(key));
        let listed = client.request(1, "tools/list", json!({ "answer": public })).await.outcome().await;
        assert_eq!(names(&listed), shown);
        assert_eq!(
            (&listed["result"]["cacheScope"], &listed["result"]["ttlMs"]),
            (&json!("private"), &json!(9))
        );
    }
}

#[tokio::test]
async fn who_came_while_nobody_was_asked_is_shown_out_when_keys_are_asked_for() {
    let open = json!({ "mcpServers": { "demo": demo() } });
    let router = Router::start(open.clone(), &["--reload-interval", "0.05"]).await;
    let stranger = Client::open(router.mcp("demo")).await;
    let stream = stranger.listen().await;
    let older = Client::at(router.sse("demo")).get().await.events();
    let mut file = open;
    file["auth"] = json!({ "tokens": [{ "name": "alice", "token": ALICE }] });
    std::fs::write(router.path("servers.json"), file.to_string()).unwrap();
    within("his stream ends", stream.rest()).await;
    within("so does that of HTTP+SSE", older.rest()).await;
    assert_eq!(stranger.call(1, "echo", json!({ "text": "x" })).await.status, 401);
    let known = stranger.with("authorization", &bearer(ALICE));
    assert_eq!(known.call(1, "echo", json!({ "text": "x" })).await.status, 404, "the session is nobody's");
}

#[tokio::test]
async fn a_body_that_comes_after_its_key_was_withdrawn_is_not_obeyed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    std::fs::write(&keys, format!("alice {ALICE}\nbob {BOB}\n")).unwrap();
    let file = json!({ "mcpServers": { "demo": demo() }, "auth": { "tokensFile": keys } });
    let router = Router::start(file, &["--reload-interval", "0.05"]).await;
    let bob = opened(router.mcp("demo"), BOB).await;
    let stream = bob.listen().await;
    let body =
        request(json!(1), "tools/call", json!({ "name": "echo", "arguments": { "text": "too late" } }));
    let head = format!(
        "POST /servers/demo/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {BOB}\r\nmcp-session-id: {}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        bob.session(),
        body.len()
    );
    let address = router.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut late = tokio::net::TcpStream::connect(address).await.unwrap();
    late.write_all(format!("{head}{}", &body[..1]).as_bytes()).await.unwrap();
    // Whoever is answered after it was sent: the router has its head by then.
    bob.assert_serves().await;
    std::fs::write(&keys, format!("alice {ALICE}\n")).unwrap();
    within("the key is withdrawn", stream.rest()).await;
    late.write_all(&body.as_bytes()[1..]).await.unwrap();
    let mut answer = String::new();
    within("it is answered", late.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn keys_that_are_named_on_the_command_line_are_read_again_too() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    std::fs::write(&keys, format!("alice {ALICE}\nbob {BOB}\n")).unwrap();
    let (file, server) = (keys.to_str().unwrap(), format!("{} demo-server", support::router::BINARY));
    let words = [
        "--port",
        "0",
        "--tokens-file",
        file,
        "--reload-interval",
        "0.05",
        "--named-server",
        "demo",
        &server,
    ];
    let router = Router::with_options(&words).await;
    let alice = opened(router.mcp("demo"), ALICE).await;
    let bob = opened(router.mcp("demo"), BOB).await;
    let his = bob.listen().await;
    std::fs::write(&keys, format!("alice {ALICE}\n")).unwrap();
    within("his stream ends", his.rest()).await;
    assert_eq!(bob.call(1, "echo", json!({ "text": "x" })).await.status, 401);
    assert_eq!(alice.ask("echo", json!({ "text": "here" })).await, "here");
    // What cannot be used changes nothing, and is said.
    std::fs::write(&keys, "alice\n").unwrap();
    router.logs("line 1: wanted NAME KEY").await;
    assert_eq!(alice.ask("echo", json!({ "text": "still" })).await, "still");
}

#[tokio::test]
async fn a_key_without_rights_is_told_of_nothing_and_why_it_gets_nothing() {
    let tokens = json!([{ "name": "alice", "token": ALICE }, { "name": "bob", "token": BOB }]);
    let auth = json!({ "tokens": tokens, "rules": [{ "who": ["bob"], "servers": ["*"] }] });
    let router =
        Router::start(json!({ "mcpServers": { "one": demo(), "two": demo() }, "auth": auth }), &[]).await;
    let told = status(&router, ALICE).await;
    assert_eq!(
        (&told["servers"], &told["aggregate"], &told["views"]),
        (&json!({}), &Value::Null, &json!({}))
    );
    let answer = at(router.url("/mcp"), ALICE);
    let answer = answer.post(request(json!(1), "initialize", hello("2025-11-25", json!({})))).await;
    assert_eq!(answer.status, 403);
    let refused = answer.json().await;
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("no server is permitted"), "{refused}");
}
