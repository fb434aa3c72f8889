//! The page at `/status`, in a browser: Chromium, which Playwright drives.
//!
//! What happens in the browser stands in `tests/page/stories.mjs`; here is what it looks at. Playwright is installed on first
//! use, see `support/toolbox.rs`; Chromium is the system's. Where one of them is missing the stories say so and pass.
#![cfg(target_os = "linux")]

mod support;
#[allow(dead_code, reason = "the page needs no Python")]
#[path = "support/toolbox.rs"]
mod toolbox;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::PATIENCE;
use support::puppet::puppet_told;
use support::router::{Router, demo, script, with};
use tokio::process::Command;
use toolbox::Missing;

#[tokio::test]
async fn ten_live_mounts_are_shown_with_their_states_rates_and_processes() {
    let Some(browser) = Browser::installed() else { return };
    let mut mounts = json!({
        "idle": idle(),
        "failed": with(script("exit 1", &[]), &json!({ "restart": { "attempts": 1 } })),
        "off": with(demo(), &json!({ "enabled": false })),
    });
    for name in ["one", "two", "three", "four", "five", "six", "seven"] {
        mounts[name] = demo();
    }
    let router = Router::mounting(mounts).await;
    router.until("failed", "failed", |mount| mount["state"] == "failed").await;
    for name in ["one", "two", "three", "four", "five", "six", "seven"] {
        router.settled(name, 1).await;
    }
    browser.plays("everyMountIsShown", &router).await;
}

#[tokio::test]
async fn a_crash_is_seen_within_two_seconds() {
    let Some(browser) = Browser::installed() else { return };
    let router = Router::of_demo().await;
    router.settled("demo", 1).await;
    browser.plays("aCrashIsSeenWithinTwoSeconds", &router).await;
}

#[tokio::test]
async fn a_tool_is_called_through_the_form_that_its_schema_makes() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aToolIsCalledThroughItsForm", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_form_refuses_what_its_schema_refuses_and_sends_what_it_permits() {
    let Some(browser) = Browser::installed() else { return };
    let line = |format: &str| json!({ "type": "string", "format": format });
    let paint = json!({
        "$defs": { "Color": { "type": "string", "enum": ["red", "green"] } },
        "type": "object",
        "properties": {
            "recall": { "type": "boolean", "default": true },
            "kind": { "const": "paint" },
            "colors": { "type": "array", "items": { "$ref": "#/$defs/Color" } },
            "content": { "type": "string" },
            "name": { "type": "string", "minLength": 1 },
            "mail": line("email"),
            "place": line("uri"),
            "when": line("date-time"),
            "step": { "type": "number", "multipleOf": 0.1 },
            "list": { "type": "array" },
            "size": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
        },
        "required": ["colors", "content", "name"],
    });
    let show = json!({ "type": "object", "properties": { "answer": { "type": "object" } } });
    let router = Router::with_file(|folder| {
        let tools = folder.join("tools.json");
        let offer = json!([
            { "name": "paint", "inputSchema": paint },
            { "name": "show", "inputSchema": show },
            { "name": "slow", "inputSchema": { "type": "object" }, "execution": { "taskSupport": "required" } },
        ]);
        std::fs::write(&tools, offer.to_string()).expect("the folder is writable");
        json!({ "mcpServers": { "puppet": puppet_told(&json!({ "tools": tools })) } })
    })
    .await;
    browser.plays("aFormSaysWhatItsSchemaSays", &router).await;
}

#[tokio::test]
async fn a_template_asks_for_its_variables() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aTemplateAsksForItsVariables", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_list_that_changes_is_shown_as_it_is_now_and_what_is_typed_stays() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aListThatChangesIsShownAsItIsNow", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_server_that_is_no_longer_there_is_said_to_be_gone() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aServerThatIsNoLongerThereIsGone", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_servers_question_is_answered_declined_and_closed() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aQuestionIsAnsweredInADialog", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_call_shows_its_progress_and_is_cancelled() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("aCallShowsHowFarItIsAndIsCancelled", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_session_that_has_ended_meanwhile_is_opened_again_and_none_is_needed_where_there_is_none() {
    let Some(browser) = Browser::installed() else { return };
    let file = json!({ "mcpServers": { "demo": demo() } });
    browser.plays("aToolIsCalledAfterAWhile", &Router::start(file.clone(), &["--timeout", "1"]).await).await;
    browser.plays("aToolIsCalledAfterAWhile", &Router::start(file, &["--stateless"]).await).await;
}

#[tokio::test]
async fn text_from_servers_never_becomes_markup() {
    let Some(browser) = Browser::installed() else { return };
    let once = json!({ "restart": { "attempts": 1 } });
    let router = Router::with_file(|folder| {
        let tools = folder.join("tools.json");
        let evil = json!([{
            "name": "<img src=x onerror=alert(2)>",
            "title": "<svg onload=alert(4)>",
            "description": "<script>alert(3)</script> \u{202e}txet",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "answer": { "type": "object", "title": "<b>", "description": "<style>*{display:none}</style>" },
                },
            },
        }]);
        std::fs::write(&tools, evil.to_string()).expect("the folder is writable");
        json!({ "mcpServers": {
            "puppet": puppet_told(&json!({ "tools": tools })),
            "liar": with(script("echo '<img src=x onerror=alert(1)>' >&2; exit 1", &[]), &once),
        }})
    })
    .await;
    browser.plays("textFromServersIsNeverMarkup", &router).await;
}

#[tokio::test]
async fn without_a_key_nothing_is_shown_and_with_one_what_it_may_see() {
    let Some(browser) = Browser::installed() else { return };
    let file = json!({
        "mcpServers": { "demo": demo(), "secret": demo() },
        "auth": {
            "tokens": [
                { "name": "reader", "token": "reader-key-0123456789", "allow": ["demo"] },
                { "name": "operator", "token": "operator-key-0123456789", "groups": ["ops"] },
                { "name": "nobody", "token": "nobody-key-0123456789" },
            ],
            "rules": [{ "who": ["group:ops"], "servers": ["*"], "admin": true }],
        },
    });
    browser.plays("nothingIsShownWithoutAKey", &Router::start(file, &[]).await).await;
}

#[tokio::test]
async fn a_phone_shows_everything_without_scrolling_sideways() {
    let Some(browser) = Browser::installed() else { return };
    let failed = script("echo a-very-long-word-$(printf 'x%.0s' $(seq 300)) >&2; exit 1", &[]);
    let failed = with(failed, &json!({ "restart": { "attempts": 1 } }));
    let router = Router::mounting(
        json!({ "one": demo(), "a-name-that-is-as-long-as-names-may-be-and-has-no-space-in-it-0": failed }),
    )
    .await;
    browser.plays("aPhoneShowsEverythingWithoutScrollingSideways", &router).await;
}

#[tokio::test]
async fn the_keyboard_alone_calls_a_tool() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("theKeyboardIsEnough", &Router::of_demo().await).await;
}

#[tokio::test]
async fn behind_a_proxy_with_a_prefix_everything_is_found() {
    let Some(browser) = Browser::installed() else { return };
    let file = json!({ "mcpServers": { "demo": demo() } });
    browser.plays("behindAProxyWithAPrefixEverythingIsFound", &Router::start(file.clone(), &[]).await).await;
    let router = Router::start(file, &["--base-path", "/tools"]).await;
    browser.plays("behindAProxyWithAPrefixEverythingIsFound", &router).await;
}

#[tokio::test]
async fn a_server_that_does_not_run_is_not_started_because_somebody_looks() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("lookingStartsNothing", &Router::mounting(json!({ "lazy": idle() })).await).await;
}

#[tokio::test]
async fn events_and_messages_are_shown_filtered_and_opened() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("whatOperatorsWatchIsShown", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_message_is_found_in_the_traffic_and_a_crash_among_the_events() {
    let Some(browser) = Browser::installed() else { return };
    let router = Router::start(json!({ "mcpServers": { "demo": demo() } }), &["--traffic"]).await;
    browser.plays("aMessageIsFoundAndACrashIsHeardOf", &router).await;
}

#[tokio::test]
async fn who_may_not_watch_is_told_so_and_how_watching_is_switched_on() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("whoMayNotWatchIsTold", &Router::of_demo().await).await;
}

#[tokio::test]
async fn messages_and_results_are_shown_as_they_were_sent_to_the_letter() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("whatWasSentIsShownToTheLetter", &Router::of_demo().await).await;
}

#[tokio::test]
async fn a_hidden_page_gives_its_connection_back_and_says_what_it_did_not_watch() {
    let Some(browser) = Browser::installed() else { return };
    let router = Router::start(json!({ "mcpServers": { "demo": demo() } }), &["--traffic"]).await;
    browser.plays("aHiddenPageGivesItsConnectionBack", &router).await;
}

#[tokio::test]
async fn figures_of_a_router_before_are_forgotten_and_silence_is_seen_wherever_one_reads() {
    let Some(browser) = Browser::installed() else { return };
    browser.plays("whatIsOldIsCalledOld", &Router::of_demo().await).await;
}

#[tokio::test]
async fn letters_twice_as_large_do_not_lie_over_each_other() {
    let Some(browser) = Browser::installed() else { return };
    let failed = with(script("exit 1", &[]), &json!({ "restart": { "attempts": 1 } }));
    let file = json!({ "mcpServers": { "one": demo(), "idle": idle(), "failed": failed } });
    let router = Router::start(file, &["--traffic"]).await;
    browser.plays("largeLettersDoNotLieOverEachOther", &router).await;
}

#[tokio::test]
async fn the_page_is_for_browsers_and_json_for_everybody_else() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let file = json!({
        "mcpServers": { "demo": demo() },
        "auth": { "tokens": [{ "name": "reader", "token": "reader-key-0123456789", "allow": ["demo"] }] },
    });
    let router = Router::start(file, &[]).await;
    let http = support::http_client();
    let ask = async |method: reqwest::Method, path: &str, accept: &str, key: Option<&str>| {
        let request = http.request(method, router.url(path)).header("accept", accept);
        let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.expect("an answer")
    };
    for (path, accept, key, status, kind) in [
        ("/status", BROWSER, None, 200, "text/html; charset=utf-8"),
        ("/status/", BROWSER, None, 200, "text/html; charset=utf-8"),
        ("/status", "*/*", None, 401, "application/json"),
        ("/status?format=json", BROWSER, None, 401, "application/json"),
        ("/status", "*/*", Some("reader-key-0123456789"), 200, "application/json"),
        ("/status", "application/json, text/html", Some("reader-key-0123456789"), 200, "application/json"),
        ("/status?format=json", BROWSER, Some("reader-key-0123456789"), 200, "application/json"),
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let answer = ask(method.clone(), path, accept, key).await;
            let of = format!("{method} {path} {accept} {key:?}");
            assert_eq!(answer.status(), status, "{of}");
            assert_eq!(answer.headers()["content-type"], kind, "{of}");
            assert_eq!(answer.headers()["vary"], "Accept", "{of}");
            let body = answer.text().await.expect("a body");
            assert_eq!(body.is_empty(), method == reqwest::Method::HEAD, "{of}");
            assert!(kind == "application/json" || !body.contains("servers/demo"), "the page holds no data");
        }
    }
    let answer = ask(reqwest::Method::POST, "/status", BROWSER, None).await;
    assert_eq!(answer.status(), 405);
    let page = ask(reqwest::Method::GET, "/status", BROWSER, None).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.headers()[name], value);
    }
    assert!(
        page.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'none';")
    );
}

/// A server that runs only when it is called. Another environment: what is known of a command, every mount of it knows.
fn idle() -> Value {
    with(demo(), &json!({ "lazy": true, "env": { "IDLE": "1" } }))
}

/// Chromium, and the scripts that drive it.
#[derive(Clone)]
struct Browser {
    packages: PathBuf,
    chromium: PathBuf,
}

impl Browser {
    /// The browser; nothing where it cannot be had.
    fn installed() -> Option<Self> {
        static INSTALLED: OnceLock<Result<Browser, Missing>> = OnceLock::new();
        let install = || {
            let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
            let chromium = toolbox::chromium()?;
            Ok(Self { packages: toolbox::node_packages("page", &recipe)?, chromium })
        };
        toolbox::or_skip(INSTALLED.get_or_init(install).clone())
    }

    /// Plays a story of `stories.mjs` before a router, and shows what it printed if it fails.
    async fn plays(&self, story: &str, router: &Router) {
        let mut command = Command::new("node");
        command
            // Modules are looked for beside the link to the scripts, not beside the scripts.
            .args(["--preserve-symlinks", "--preserve-symlinks-main"])
            .arg(self.packages.join("scripts/stories.mjs"))
            .args([story, &router.url("")])
            .env("CHROMIUM", &self.chromium)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended =
            tokio::time::timeout(PATIENCE * 4, command.output()).await.expect("the story ends in time");
        let ended = ended.expect("node starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(ended.status.success() && said.contains(&format!("ok {story}")), "{story} failed: {said}");
    }
}
