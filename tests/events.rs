//! What has happened lately, for operators: once, in order, and without secrets.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use support::client::Client;
use support::events::Events;
use support::process::kill;
use support::router::{Router, demo, pids, script, with};
use support::{http_client, within};

const SECRET: &str = "s3cret-in-the-environment";

async fn listen(router: &Router) -> Events {
    let answer = within("the stream opens", http_client().get(router.url("/admin/events")).send()).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    Events::of(answer)
}

/// The next event of that kind, of that server or of the router; all that were told before are in `seen`.
async fn until(events: &mut Events, server: Option<&str>, kind: &str, seen: &mut Vec<Value>) -> String {
    loop {
        let event = events.message().await;
        seen.push(event.clone());
        if event["kind"] == kind && event["server"] == json!(server) {
            assert!(event["at"].as_str().unwrap().ends_with('Z'), "{event}");
            return event["text"].as_str().unwrap().to_owned();
        }
    }
}

fn count(seen: &[Value], server: &str, kind: &str) -> usize {
    seen.iter().filter(|event| event["server"] == server && event["kind"] == kind).count()
}

#[tokio::test]
async fn a_crash_is_seen_with_its_exit_and_who_comes_later_hears_of_it_too() {
    let router = Router::mounting(json!({ "a": with(demo(), &json!({ "pool": { "warm": 0 } })) })).await;
    let client = Client::open(&router, "a").await;
    let (mut events, mut seen) = (listen(&router).await, Vec::new());
    assert!(until(&mut events, None, "started", &mut seen).await.contains("mounts: 1"));
    assert!(until(&mut events, Some("a"), "ready", &mut seen).await.contains("mcp-switchboard-demo"));
    kill(pids(&router.mount("a").await)[0]);
    let crash = until(&mut events, Some("a"), "crashed", &mut seen).await;
    assert!(crash.contains("SIGKILL"), "{crash}");
    until(&mut events, Some("a"), "restarted", &mut seen).await;
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
    let (mut late, mut again) = (listen(&router).await, Vec::new());
    until(&mut late, Some("a"), "restarted", &mut again).await;
    assert_eq!(seen, again, "the same to everybody, and in the same order");
    assert_eq!(count(&again, "a", "ready"), 1, "that it goes on as before is no news: {again:?}");
}

#[tokio::test]
async fn a_server_that_does_not_start_is_failing_once_and_failed_once_and_ready_when_it_is_mended() {
    let text = r#"[ -e "$1" ] && exec "$0" demo-server; echo "$KEY" >&2; exit 3"#;
    let router = Router::with_file(|directory| {
        let entry = script(text, &[&directory.join("mended")]);
        json!({ "mcpServers": { "a": with(entry, &json!({ "env": { "KEY": SECRET }, "restart": { "attempts": 2 } })) } })
    })
    .await;
    let (mut events, mut seen) = (listen(&router).await, Vec::new());
    let reason = until(&mut events, Some("a"), "failing", &mut seen).await;
    assert!(reason.contains("exited with status 3") && reason.contains("***"), "{reason}");
    until(&mut events, Some("a"), "failed", &mut seen).await;
    std::fs::write(router.path("mended"), "").unwrap();
    let restart = http_client().post(router.url("/admin/servers/a/restart"));
    assert_eq!(within("a restart", restart.send()).await.unwrap().status(), 200);
    until(&mut events, Some("a"), "restarted", &mut seen).await;
    until(&mut events, Some("a"), "ready", &mut seen).await;
    for kind in ["failing", "failed", "ready"] {
        assert_eq!(count(&seen, "a", kind), 1, "{kind}: {seen:?}");
    }
    assert!(!events.raw.contains(SECRET), "{}", events.raw);
}

#[tokio::test]
async fn a_reload_says_what_it_has_changed_and_a_broken_file_is_told_once() {
    let router =
        Router::start(json!({ "mcpServers": { "a": demo(), "b": demo() } }), &["--reload-interval", "0.05"])
            .await;
    let (mut events, mut seen) = (listen(&router).await, Vec::new());
    let changed = with(demo(), &json!({ "env": { "KEY": SECRET } }));
    let next = json!({ "mcpServers": { "a": changed, "c": demo() } });
    std::fs::write(router.path("servers.json"), next.to_string()).unwrap();
    assert_eq!(until(&mut events, Some("c"), "started", &mut seen).await, "added by a reload");
    assert_eq!(until(&mut events, Some("a"), "reloaded", &mut seen).await, "changed: env");
    assert_eq!(until(&mut events, Some("b"), "stopped", &mut seen).await, "removed by a reload");
    std::fs::write(router.path("servers.json"), "{").unwrap();
    let reason = until(&mut events, None, "refused", &mut seen).await;
    assert!(reason.contains("servers.json"), "{reason}");
    let ask = http_client().post(router.url("/admin/reload"));
    assert_eq!(within("a reload", ask.send()).await.unwrap().status(), 422);
    std::fs::write(router.path("servers.json"), json!({ "mcpServers": { "a": demo() } }).to_string())
        .unwrap();
    until(&mut events, Some("c"), "stopped", &mut seen).await;
    let refused = seen.iter().filter(|event| event["kind"] == "refused").count();
    assert_eq!(refused, 1, "{seen:?}");
    assert!(!events.raw.contains(SECRET));
}

#[tokio::test]
async fn the_stream_ends_with_the_router_and_says_so() {
    let mut router = Router::of_demo().await;
    let mut events = listen(&router).await;
    until(&mut events, Some("demo"), "ready", &mut Vec::new()).await;
    router.signal(rustix::process::Signal::TERM);
    let rest = events.messages().await;
    assert_eq!(rest.last().unwrap()["kind"], "stopped", "{rest:?}");
    assert!(router.exit().await.success());
}

#[tokio::test]
async fn only_operators_hear_and_only_as_long_as_they_are() {
    let router = Router::with_file_and(
        |directory| {
            std::fs::write(directory.join("keys"), "ann ann-key-that-is-long-enough ops\nbob bob-key-that-is-long-enough\n").unwrap();
            json!({
                "mcpServers": { "demo": demo() },
                "auth": { "tokensFile": directory.join("keys"),
                          "rules": [{ "who": ["group:ops"], "admin": true }, { "who": ["*"], "servers": ["*"] }] },
            })
        },
        &["--reload-interval", "0.05"],
    )
    .await;
    let ask = async |key: Option<&str>| {
        let request = http_client().get(router.url("/admin/events"));
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        within("an answer", request.send()).await.unwrap()
    };
    assert_eq!(ask(None).await.status(), 401);
    assert_eq!(ask(Some("bob-key-that-is-long-enough")).await.status(), 403);
    let answer = ask(Some("ann-key-that-is-long-enough")).await;
    assert_eq!(answer.status(), 200);
    let mut events = Events::of(answer);
    until(&mut events, None, "started", &mut Vec::new()).await;
    std::fs::write(router.path("keys"), "bob bob-key-that-is-long-enough\n").unwrap();
    events.messages().await;

    let open = Router::of_demo().await;
    let foreign = http_client().get(open.url("/admin/events")).header("x-forwarded-for", "10.1.2.3");
    assert_eq!(within("an answer", foreign.send()).await.unwrap().status(), 403);
    let head = within("an answer", http_client().head(open.url("/admin/events")).send()).await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let post = within("an answer", http_client().post(open.url("/admin/events")).send()).await.unwrap();
    assert_eq!(
        (post.status().as_u16(), &post.headers()["allow"]),
        (405, &"GET, HEAD, OPTIONS".parse().unwrap())
    );
}
