//! TLS: who is believed on both sides, and how the certificate changes while the router runs.

mod support;

#[path = "support/pki.rs"]
mod pki;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use http::Version;
use pki::{Authority, Pair};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::router::{BINARY, Router, demo};
use support::{eventually, mcp, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A router over TLS with a demo server, and what it is configured with.
struct Guarded {
    router: Router,
    authority: Authority,
}

impl Guarded {
    /// `tls`: more keys of the object.
    async fn start(tls: Value, options: &[&str]) -> Self {
        Self::of(Authority::new(), tls, options).await
    }

    async fn of(authority: Authority, tls: Value, options: &[&str]) -> Self {
        let pair = authority.server();
        let file = |folder: &Path| {
            pair.write(folder, "server");
            std::fs::write(folder.join("ca.pem"), authority.pem()).expect("the folder is writable");
            let tls = support::router::with(json!({ "cert": "server.pem", "key": "server.key" }), &tls);
            json!({ "mcpServers": { "demo": demo() }, "tls": tls })
        };
        let router = Router::with_file_and(file, options).await;
        Self { router, authority }
    }

    fn url(&self, path: &str) -> String {
        self.router.url(path)
    }

    fn ca(&self) -> String {
        self.router.path("ca.pem").to_str().expect("a readable path").to_owned()
    }

    /// The certificate that a new connection gets.
    async fn served(&self) -> Vec<u8> {
        let config = self.authority.believer(None, &["http/1.1"]);
        let stream = pki::encrypted(self.connect().await, config).await.expect("a handshake");
        let chain = stream.get_ref().1.peer_certificates().expect("there is one");
        chain[0].to_vec()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.url("").trim_start_matches("https://")).await.expect("it listens")
    }

    async fn serves(&self, pair: &Pair) {
        let new = async || (self.served().await == pair.der()).then_some(());
        eventually("the new certificate is served", new).await;
    }
}

#[tokio::test]
async fn calls_go_over_tls_in_both_versions_of_http() {
    let guarded = Guarded::start(json!({}), &[]).await;
    assert!(guarded.url("").starts_with("https://127.0.0.1:"), "{}", guarded.url(""));
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let protocols: &[&str] = if version == Version::HTTP_2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        let config = guarded.authority.believer(None, protocols);
        let http = reqwest::Client::builder().no_proxy().tls_backend_preconfigured((*config).clone());
        let http = http.build().expect("a client");
        let answer = http.get(guarded.url("/healthz")).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let client = mcp::Client { http, ..mcp::Client::at(guarded.router.mcp("demo")) };
        let client = client.opened("2025-11-25", json!({})).await;
        let called = client.call(1, "echo", json!({ "text": "through" })).await.outcome().await;
        assert!(called["result"]["content"].to_string().contains("through"), "{called}");
    }
    guarded.router.logs("url=\"https://127.0.0.1:").await;
}

#[tokio::test]
async fn who_speaks_http_in_the_clear_is_told_to_use_https() {
    let guarded = Guarded::start(json!({}), &[]).await;
    for request in ["GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = guarded.connect().await;
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        within("it answers and closes", stream.read_to_string(&mut answer)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    }
}

#[tokio::test]
async fn a_changed_certificate_is_served_from_then_on_and_a_broken_one_is_not() {
    let guarded = Guarded::start(json!({}), &["--reload-interval", "0.1"]).await;
    let http = guarded.authority.http_client(None);
    let client = mcp::Client { http, ..mcp::Client::at(guarded.router.mcp("demo")) };
    let client = client.opened("2025-11-25", json!({})).await;
    let folder = guarded.router.path("");
    let (second, third) = (guarded.authority.server(), guarded.authority.server());
    second.write(&folder, "server");
    guarded.serves(&second).await;

    std::fs::write(folder.join("server.key"), &third.key).expect("the folder is writable");
    guarded.router.logs("server.key does not fit").await;
    assert_eq!(guarded.served().await, second.der(), "the pair before stays");
    std::fs::remove_file(folder.join("server.pem")).expect("it is there");
    guarded.router.logs("server.pem cannot be read").await;
    assert_eq!(guarded.served().await, second.der());

    third.write(&folder, "server");
    guarded.serves(&third).await;
    let called = client.call(1, "echo", json!({ "text": "still here" })).await.outcome().await;
    assert!(called["result"]["content"].to_string().contains("still here"), "{called}");
}

#[tokio::test]
async fn whoever_asks_for_a_reload_renews_the_certificate_too() {
    let guarded = Guarded::start(json!({}), &["--no-reload"]).await;
    let folder = guarded.router.path("");
    let http = guarded.authority.http_client(None);
    let reload = async || {
        let answer = http.post(guarded.url("/admin/reload")).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(reload().await.1["settings"], json!([]), "nothing has changed");
    let second = guarded.authority.server();
    second.write(&folder, "server");
    assert_eq!(
        reload().await,
        (200, {
            let kept = json!({ "added": [], "changed": [], "removed": [], "kept": ["demo"] });
            support::router::with(kept, &json!({ "settings": ["tls"], "needs_restart": [], "warnings": [] }))
        })
    );
    assert_eq!(guarded.served().await, second.der());
    std::fs::write(folder.join("server.pem"), "nothing").expect("the folder is writable");
    let (status, refused) = reload().await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"]["message"].to_string().contains("no certificate in PEM"), "{refused}");
    let third = guarded.authority.server();
    third.write(&folder, "server");
    guarded.router.signal(Signal::HUP);
    guarded.serves(&third).await;
}

#[tokio::test]
async fn other_paths_of_the_certificate_need_a_restart_and_are_reported() {
    let guarded = Guarded::start(json!({}), &["--no-reload"]).await;
    let tls = json!({ "cert": "other.pem", "key": "server.key" });
    let file = json!({ "mcpServers": { "demo": demo() }, "tls": tls });
    std::fs::write(guarded.router.path("servers.json"), file.to_string()).expect("it is writable");
    let http = guarded.authority.http_client(None);
    let answer = http.post(guarded.url("/admin/reload")).send().await.expect("an answer");
    let diff: Value = answer.json().await.expect("JSON");
    assert_eq!(diff["needs_restart"], json!(["tls"]), "{diff}");
}

#[tokio::test]
async fn clients_show_a_certificate_of_the_right_authority_or_are_not_let_in() {
    let stranger = Authority::new();
    for (mode, without) in [("required", false), ("optional", true)] {
        let tls = json!({ "clientCa": "ca.pem", "clientAuth": mode });
        let guarded = Guarded::start(tls, &[]).await;
        let (alice, mallory) = (guarded.authority.client("alice"), stranger.client("alice"));
        for (shown, passes) in [(Some(&alice), true), (Some(&mallory), false), (None, without)] {
            let answer = guarded.authority.http_client(shown).get(guarded.url("/healthz")).send().await;
            let answered = answer.as_ref().is_ok_and(|answer| answer.status() == 200);
            assert_eq!(answered, passes, "{mode}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_tasks_that_talk_to_a_router_do_so_by_https() {
    let guarded = Guarded::start(json!({}), &[]).await;
    guarded.authority.http_client(None).get(guarded.url("/readyz")).send().await.expect("an answer");
    let (url, ca) = (guarded.url(""), guarded.ca());
    let is_well = async |words: &[&str], told: &str| {
        let output = run(words, &[]).await;
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success() && text.contains(told), "{words:?}: {text}");
    };
    is_well(&["healthcheck", &format!("{url}/healthz"), "--cacert", &ca], "").await;
    is_well(&["healthcheck", &format!("{url}/healthz")], "").await;
    is_well(&["status", "--url", &url, "--cacert", &ca], "demo").await;
    is_well(&["restart", "demo", "--url", &url, "--cacert", &ca], "demo").await;
    is_well(&["tools", "--router", &url, "--cacert", &ca], "echo").await;
    let output =
        run(&["client-config", "vscode", "--all", "--url", &url], &[("MCP_SWITCHBOARD_CA", &ca)]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&guarded.router.mcp("demo")), "{output:?}");

    for words in [&["status", "--url", &url][..], &["tools", "--router", &url]] {
        let output = run(words, &[]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("--cacert"), "{words:?}: {told}");
    }
    let port = url.rsplit_once(':').expect("a port").1;
    let output = run(&["healthcheck"], &[("MCP_PROXY_PORT", port)]).await;
    assert!(output.status.success(), "it finds out that HTTPS is spoken: {output:?}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_ends_the_start_with_the_reason() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, _) = authority.server().write(folder.path(), "one");
    let (_, key) = authority.server().write(folder.path(), "two");
    let [cert, key] = [cert, key].map(|path| path.to_str().expect("a readable path").to_owned());
    let server = ["--named-server", "demo", &format!("{BINARY} demo-server")].map(str::to_owned);
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    for (options, status, told) in [
        (vec!["--tls-cert", &cert, "--tls-key", &key], 1, "two.key does not fit the first certificate in"),
        (vec!["--tls-cert", &cert, "--tls-key", "/no/such.key"], 1, "/no/such.key cannot be read"),
        (vec!["--tls-cert", &cert], 2, "`--tls-cert` and `--tls-key` go together"),
        (vec!["--tls-client-ca", &cert], 2, "wants both"),
    ] {
        for check in [&["--check"][..], &[]] {
            let output = run(&[options.as_slice(), &server, check].concat(), &[]).await;
            let text = [output.stdout.as_slice(), &output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(output.status.code(), Some(status), "{options:?} {check:?}: {text}");
            assert!(text.contains(told), "{options:?} {check:?}: {text}");
        }
    }
}

async fn run(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(words).envs(environment.iter().copied()).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output());
    within("it ends", ran).await.expect("no panic").expect("the binary runs")
}
