//! A server that works with what each user sends in a header: a process of his own, and nothing of it is another's.

#![cfg(target_os = "linux")]
#![allow(missing_docs, reason = "a test says what it promises in its name")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values, and stories pass them as they are")]

mod support;

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use support::eventually;
use support::mcp::{Answer, Client};
use support::modern::Modern;
use support::process::descendants;
use support::puppet::python;
use support::router::{Router, demo, pids, with};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/personal.py");
const HEADER: &str = "x-own-token";
const ALICE: &str = "alice-7f3a91c2e5d8";
const BOB: &str = "bob-b04c6d1f92aa";
const MISSING: &str = "mcp-switchboard/missing";

/// A server that speaks so, and works with its user's token.
fn personal(speaks: &str, more: Value) -> Value {
    let entry =
        json!({ "command": python(), "args": ["-S", "-E", SERVER, speaks], "env": { "TOKEN": "of nobody" } });
    with(with(entry, &json!({ "envFromHeader": { "TOKEN": "X-Own-Token" } })), &more)
}

async fn refused(answer: Answer) -> Value {
    assert_eq!(answer.status, 403);
    let error = answer.outcome().await["error"].take();
    assert_eq!((&error["code"], &error["data"]["header"]), (&json!(-31007), &json!(HEADER)), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(HEADER)), "{error}");
    error
}

/// Opens a session as this user.
async fn session(url: &str, token: &str) -> Client {
    Client::at(url).with(HEADER, token).opened("2025-11-25", json!({})).await
}

fn modern(url: &str, token: &str) -> Modern {
    Modern::at(url).with(HEADER, token)
}

/// What a server says of itself: the token it has, and its process.
fn told(text: &str) -> (String, u32) {
    let (token, pid) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
    (token.to_owned(), pid.parse().expect("a process id"))
}

fn listed(outcome: Value) -> (BTreeSet<String>, Value) {
    let tools = outcome["result"]["tools"].as_array().unwrap_or_else(|| panic!("{outcome}"));
    let names = tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
    (names, outcome["result"]["_meta"][MISSING].clone())
}

fn names_of(names: &BTreeSet<String>) -> Vec<&str> {
    names.iter().filter_map(|name| name.split_once("of_").map(|(_, user)| user)).collect()
}

#[tokio::test]
async fn two_users_of_one_server_have_a_process_each_with_their_own_token_however_they_come() {
    let shared = json!({ "pool": { "mode": "shared", "isolation": "shared" } });
    let entries = [
        ("legacy", json!({})),
        ("legacy", shared.clone()),
        ("modern", shared.clone()),
        ("dual", json!({ "pool": { "isolation": "shared" } })),
    ];
    let story = async |(speaks, more): (&str, Value)| {
        let router = Router::mounting(json!({ "own": personal(speaks, more.clone()) })).await;
        assert_eq!(router.mount("own").await["state"], "idle");
        assert!(descendants(router.pid()).is_empty(), "nobody has come yet");
        let url = router.mcp("own");
        let mut of = [BTreeSet::new(), BTreeSet::new()];
        for (user, token) in [ALICE, BOB].into_iter().enumerate() {
            let legacy = session(&url, token).await;
            let modern = modern(&url, token);
            for text in [
                legacy.ask("token", json!({})).await,
                modern.ask("token", json!({})).await,
                modern.ask("token", json!({})).await,
            ] {
                let (seen, pid) = told(&text);
                assert_eq!(seen, token, "{speaks} {more}");
                of[user].insert(pid);
            }
            let one = Client::at(router.sse("own")).with(HEADER, token);
            let (seen, pid) = told(&one.ask("token", json!({})).await);
            assert_eq!(seen, token, "a single request, {speaks} {more}");
            of[user].insert(pid);
        }
        assert!(of[0].is_disjoint(&of[1]), "{of:?}");
        // What a process of one has in its environment is in no other, nor in the router's.
        for pid in descendants(router.pid()).into_iter().chain([router.pid()]) {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let has = |text: &[u8], token: &str| text.windows(token.len()).any(|at| at == token.as_bytes());
            assert_eq!(has(&environment, ALICE), of[0].contains(&pid), "{speaks} {more}");
            assert_eq!(has(&environment, BOB), of[1].contains(&pid), "{speaks} {more}");
            assert!(!has(&words, ALICE) && !has(&words, BOB));
        }
    };
    join_all(entries.map(story)).await;
}

#[tokio::test]
async fn without_the_header_nothing_is_started_and_the_error_names_it() {
    let shared = json!({ "pool": { "mode": "shared" } });
    let servers = json!({
        "own": personal("legacy", json!({})),
        "shared": personal("dual", shared),
        "modern": personal("modern", json!({ "era": "modern" })),
    });
    for options in [&[][..], &["--stateless"]] {
        let router = Router::start(json!({ "mcpServers": servers }), options).await;
        for mount in ["own", "shared", "modern"] {
            let url = router.mcp(mount);
            let hello = support::mcp::hello("2025-11-25", json!({}));
            let error = refused(Client::at(&url).request(json!(1), "initialize", hello.clone()).await).await;
            assert!(
                error["message"].as_str().is_some_and(|message| message.contains("is missing")),
                "{error}"
            );
            refused(Modern::at(&url).request(1, "tools/list", json!({})).await).await;
            refused(Modern::at(&url).call(1, "token", json!({})).await).await;
            refused(Client::at(router.sse(mount)).request(json!(1), "tools/list", json!({})).await).await;
            refused(Client::at(router.sse(mount)).without("content-type").get().await).await;
            let empty = Client::at(&url).with(HEADER, "  ");
            let error = refused(empty.request(json!(1), "initialize", hello.clone()).await).await;
            assert!(error["message"].as_str().is_some_and(|message| message.contains("is empty")), "{error}");
            let mut twice = Client::at(&url).with(HEADER, ALICE);
            twice.headers.append(HEADER, BOB.parse().expect("a value"));
            let error = refused(twice.request(json!(1), "initialize", hello).await).await;
            assert!(
                error["message"].as_str().is_some_and(|message| message.contains("more than once")),
                "{error}"
            );
        }
        assert!(descendants(router.pid()).is_empty());
        for (_, mount) in router.status().await["servers"].as_object().expect("servers") {
            assert_eq!((&mount["state"], &mount["error"]), (&json!("idle"), &Value::Null), "{mount}");
        }
    }
}

#[tokio::test]
async fn a_session_is_not_found_with_another_token_or_without_one() {
    for more in [json!({}), json!({ "pool": { "mode": "shared" } })] {
        let router = Router::mounting(json!({ "own": personal("legacy", more) })).await;
        let alice = session(&router.mcp("own"), ALICE).await;
        for stranger in [alice.clone().with(HEADER, BOB), alice.clone().without(HEADER)] {
            let ping = async || stranger.request(json!(1), "ping", json!({})).await.status;
            assert_eq!(
                (ping().await, stranger.get().await.status, stranger.delete().await.status),
                (http::StatusCode::NOT_FOUND, http::StatusCode::NOT_FOUND, http::StatusCode::NOT_FOUND)
            );
        }
        assert_eq!(told(&alice.ask("token", json!({})).await).0, ALICE, "it is still hers");
        // The same over HTTP+SSE.
        let mut stream = Client::at(router.sse("own")).with(HEADER, ALICE).get().await.events();
        let path = stream.next().await.and_then(|event| event.data).expect("where to post");
        let hello =
            support::mcp::request(json!(1), "initialize", support::mcp::hello("2024-11-05", json!({})));
        let post = async |token: &str| {
            Client::at(router.url(&path)).with(HEADER, token).post(hello.clone()).await.status
        };
        assert_eq!(post(BOB).await, 404);
        assert_eq!(post(ALICE).await, 202);
        let answer = stream.message().await;
        assert_eq!(answer["result"]["instructions"], format!("You are {ALICE}"), "{answer}");
    }
}

#[tokio::test]
async fn a_process_that_takes_the_place_of_one_that_died_has_the_same_users_token() {
    for more in [json!({}), json!({ "pool": { "mode": "shared" } })] {
        let router = Router::mounting(json!({ "own": personal("dual", more) })).await;
        let url = router.mcp("own");
        let (alice, bob) = (session(&url, ALICE).await, session(&url, BOB).await);
        let before = told(&alice.ask("token", json!({})).await);
        let crashed = alice.call(1, "crash", json!({})).await.outcome().await;
        assert_eq!(crashed["error"]["code"], -31002, "{crashed}");
        let after = told(&alice.ask("token", json!({})).await);
        assert!(after.0 == ALICE && before.1 != after.1, "{before:?} {after:?}");
        assert_eq!(told(&bob.ask("token", json!({})).await).0, BOB);
        let modern = modern(&url, BOB);
        modern.call(1, "crash", json!({})).await.outcome().await;
        assert_eq!(told(&modern.ask("token", json!({})).await).0, BOB);
    }
}

#[tokio::test]
async fn a_changed_entry_keeps_each_users_session_and_token_and_other_headers_begin_anew() {
    let file = |entry: Value| json!({ "mcpServers": { "own": entry } }).to_string();
    let router = Router::mounting(json!({ "own": personal("legacy", json!({})) })).await;
    let write =
        |entry: Value| std::fs::write(router.path("servers.json"), file(entry)).expect("it can be written");
    let alice = session(&router.mcp("own"), ALICE).await;
    let before = told(&alice.ask("token", json!({})).await);
    write(personal("dual", json!({})));
    let replaced = async || {
        let now = told(&alice.ask("token", json!({})).await);
        assert_eq!(now.0, ALICE);
        (now.1 != before.1).then_some(())
    };
    eventually("the session goes on with a process of the new entry", replaced).await;
    // The log masks what belongs to the session still.
    alice.ask("mutter", json!({})).await;
    assert!(!router.logs("no message: ***").await.contains(ALICE));
    write(personal("dual", json!({ "envFromHeader": { "TOKEN": "X-Other-Token" } })));
    let ended = async || (alice.request(json!(1), "ping", json!({})).await.status == 404).then_some(());
    eventually("the session is over", ended).await;
    let again = Client::at(router.mcp("own")).with(HEADER, ALICE).with("x-other-token", BOB);
    let hello = support::mcp::hello("2025-11-25", json!({}));
    let opened = again.request(json!(2), "initialize", hello).await.outcome().await;
    assert_eq!(opened["result"]["instructions"], format!("You are {BOB}"), "{opened}");
}

#[tokio::test]
async fn a_call_that_waits_for_its_user_goes_on_only_with_his_token() {
    let router = Router::mounting(json!({ "own": personal("legacy", json!({})) })).await;
    let alice = Modern::asked(router.mcp("own")).with(HEADER, ALICE);
    let question = alice.parked(1, "confirm", json!({})).await;
    let answer = json!({ "action": "accept", "content": {} });
    let again = ("confirm", json!({}));
    let bob = Modern::asked(router.mcp("own")).with(HEADER, BOB);
    let foreign = bob.come_back(2, again.clone(), &question, answer.clone()).await.outcome().await;
    assert!(foreign["error"]["code"].is_i64(), "{foreign}");
    let own = alice.come_back(3, again, &question, answer).await.outcome().await;
    assert_eq!(own["result"]["content"][0]["text"], format!("confirmed by {ALICE}"), "{own}");
}

#[tokio::test]
async fn behind_one_endpoint_each_user_sees_and_calls_his_own() {
    for speaks in ["legacy", "dual"] {
        let cache = tempfile::tempdir().expect("a directory");
        let file = json!({
            "mcpServers": { "own": personal(speaks, json!({})), "demo": demo() },
            "aggregate": { "views": { "some": { "servers": ["own"] } } },
        });
        let options = ["--cache-dir", cache.path().to_str().expect("a readable path")];
        let router = Router::start(file, &options).await;
        router.settled("demo", 1).await;
        for path in ["/mcp", "/views/some/mcp"] {
            let url = router.url(path);
            let nobody = Modern::at(&url);
            let (names, missing) = listed(nobody.request(1, "tools/list", json!({})).await.outcome().await);
            assert!(!names.iter().any(|name| name.starts_with("own__")), "{names:?}");
            assert!(missing["own"].as_str().is_some_and(|why| why.contains(HEADER)), "{missing}");
            let call = nobody.call(2, "own__token", json!({})).await.outcome().await;
            assert_eq!(call["error"]["code"], -31007, "{call}");
            for (token, user) in [(ALICE, "alice"), (BOB, "bob"), (ALICE, "alice")] {
                let modern = modern(&url, token);
                let outcome = modern.request(1, "tools/list", json!({})).await.outcome().await;
                assert_eq!(outcome["result"]["cacheScope"], "private", "{outcome}");
                let (names, missing) = listed(outcome);
                assert_eq!((names_of(&names), &missing), (vec![user], &Value::Null), "{names:?}");
                assert_eq!(told(&modern.ask("own__token", json!({})).await).0, token);
                let discovered = modern.request(2, "server/discover", json!({})).await.outcome().await;
                let said = discovered["result"]["instructions"].as_str().unwrap_or_default();
                assert!(said.contains(token), "{discovered}");
                let legacy = session(&url, token).await;
                let (names, _) =
                    listed(legacy.request(json!(3), "tools/list", json!({})).await.outcome().await);
                assert_eq!(names_of(&names), [user], "{names:?}");
                assert_eq!(told(&legacy.ask("own__token", json!({})).await).0, token);
                let stranger = legacy.clone().with(HEADER, "carol-1");
                assert_eq!(stranger.request(json!(4), "ping", json!({})).await.status, 404);
            }
            let (names, _) = listed(nobody.request(5, "tools/list", json!({})).await.outcome().await);
            assert_eq!(names_of(&names), [""; 0], "{names:?}");
            let discovered = nobody.request(6, "server/discover", json!({})).await.outcome().await;
            assert!(
                !discovered.to_string().contains(ALICE) && !discovered.to_string().contains(BOB),
                "{discovered}"
            );
        }
        let kept = cache.path().join("lists").read_dir().map_or(0, Iterator::count);
        assert_eq!(kept, 0, "what one user is shown is kept for nobody");
    }
}

#[tokio::test]
async fn what_a_user_sends_is_nowhere_to_be_seen() {
    const BAD: &str = "bad-51d0e7c3aa46";
    let servers = json!({
        "own": personal("legacy", json!({})),
        "dual": personal("dual", json!({ "pool": { "mode": "shared" } })),
        "nowhere": with(personal("legacy", json!({})), &json!({ "command": "/no/such/program" })),
    });
    let router = Router::start(json!({ "mcpServers": servers }), &["--log-level", "debug"]).await;
    let mut errors = Vec::new();
    for mount in ["own", "dual"] {
        let url = router.mcp(mount);
        let alice = session(&url, ALICE).await;
        alice.ask("mutter", json!({})).await;
        modern(&url, BOB).ask("mutter", json!({})).await;
        errors.push(alice.call(1, "crash", json!({})).await.outcome().await.to_string());
        errors.push(modern(&url, BOB).call(1, "crash", json!({})).await.outcome().await.to_string());
        let bad = Client::at(&url).with(HEADER, BAD);
        let hello = support::mcp::hello("2025-11-25", json!({}));
        let answer = bad.request(json!(1), "initialize", hello).await;
        assert_eq!(answer.status, 503);
        errors.push(answer.outcome().await.to_string());
        errors.push(modern(&url, BAD).call(1, "token", json!({})).await.outcome().await.to_string());
        // It is his own fault, and nobody else's.
        assert_eq!(told(&modern(&url, ALICE).ask("token", json!({})).await).0, ALICE);
    }
    errors.push(
        modern(&router.mcp("nowhere"), ALICE).call(1, "token", json!({})).await.outcome().await.to_string(),
    );
    errors.push(
        listed(modern(&router.url("/mcp"), BAD).request(1, "tools/list", json!({})).await.outcome().await)
            .1
            .to_string(),
    );
    for said in ["muttered ***", "dying with ***", "no such token: ***", "no message: ***"] {
        router.logs(said).await;
    }
    for path in ["/status", "/health", "/readyz", "/servers/own/health", "/servers/dual/health"] {
        errors.push(router.get(path).await.1.to_string());
    }
    errors.push(router.log());
    for text in errors {
        for secret in [ALICE, BOB, BAD] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let mount = router.mount("own").await;
    assert!(mount["state"] != "failed" && mount["server_info"].is_null(), "{mount}");
    assert!(mount["last_exit"].is_string() && !pids(&mount).is_empty(), "{mount}");
}
