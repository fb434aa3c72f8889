//! What `doctor` finds: each story is a broken configuration, and the cause that is named.
#![cfg(target_os = "linux")]

mod support;

#[path = "support/pki.rs"]
mod pki;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::process::is_running;
use support::puppet::{puppet_told, python};
use support::router::{BINARY, Router, demo, script, with};
use support::{eventually, within};
use tempfile::TempDir;

/// A directory with a configuration, and whatever a story puts beside it.
struct Patient {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What came of a run.
#[derive(Debug)]
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Patient {
    fn new() -> Self {
        let path = std::env::var("PATH").expect("PATH is set");
        Self { folder: TempDir::new().expect("a directory"), environment: vec![("PATH", path)] }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(set, _)| *set != name);
        self.environment.push((name, value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of this text beside the configuration.
    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a directory");
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("they can be set");
        path.to_str().expect("a readable path").to_owned()
    }

    async fn run(&self, file: &str, words: &[&str]) -> Run {
        let path = self.file("servers.json", file, 0o600);
        self.doctor(&[&[path.as_str()], words].concat()).await
    }

    async fn doctor(&self, words: &[&str]) -> Run {
        let mut command = Command::new(BINARY);
        command.arg("doctor").args(words).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary runs");
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = within("the program ends", ended).await.expect("no panic").expect("it is our child");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Run { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What is found of the one server `s`, as JSON; `words`: more options.
    async fn find_with(&self, entry: Value, words: &[&str]) -> Found {
        let file = json!({ "mcpServers": { "s": entry } }).to_string();
        let run = self.run(&file, &[&["--json"], words].concat()).await;
        let all: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no JSON: {run:?}"));
        assert_eq!(all["ok"] == true, run.status == Some(0), "{run:?}");
        Found(all)
    }

    async fn find(&self, entry: Value) -> Found {
        self.find_with(entry, &[]).await
    }
}

/// What was found of the one server.
#[derive(Debug)]
struct Found(Value);

impl Found {
    /// That this cause is named, with all these words in what is said and advised.
    #[track_caller]
    fn names(&self, severity: &str, cause: &str, words: &[&str]) {
        let server = &self.0["servers"][0]["findings"];
        let all = server.as_array().into_iter().chain(self.0["findings"].as_array()).flatten();
        let of_cause: Vec<String> = all
            .filter(|found| found["cause"] == cause && found["severity"] == severity)
            .map(|found| format!("{} -> {}", found["what"], found["advice"]).replace("\\\"", "\""))
            .collect();
        let says_all = |text: &String| words.iter().all(|word| text.contains(word));
        assert!(of_cause.iter().any(says_all), "{severity} {cause} {words:?}: {:#}", self.0);
        assert!(of_cause.iter().all(|text| !text.ends_with("-> ") || severity == "warning"), "{of_cause:?}");
    }

    #[track_caller]
    fn is(&self, state: &str) {
        assert_eq!(self.0["servers"][0]["state"], state, "{:#}", self.0);
    }
}

/// An entry of a small server in Python; `body` decides about a request `m` that is waiting.
fn small(body: &str) -> Value {
    let text = format!(
        "import json, sys\ndef say(**m):\n    print(json.dumps(dict(jsonrpc='2.0', **m)), flush=True)\n\
         for line in sys.stdin:\n    m = json.loads(line)\n    if 'id' not in m:\n        continue\n{body}\n"
    );
    json!({ "command": python(), "args": ["-S", "-E", "-c", text] })
}

#[tokio::test]
async fn a_runner_that_is_not_on_path_is_found_where_it_is_or_said_how_to_get() {
    let patient = Patient::new();
    let bin = patient.path("bin");
    fs::create_dir(&bin).expect("a directory");
    let patient = patient.with("PATH", bin.to_str().expect("readable"));
    let home = patient.path("home").to_str().expect("readable").to_owned();
    let patient = patient.with("HOME", home.clone());
    let found = patient.find(json!({ "command": "bunx", "args": ["server"] })).await;
    let searched = format!("`bunx` is not in PATH ({})", bin.display());
    found.names("error", "runner-missing", &[&searched, "un"]);
    found.is("broken");
    patient.file("home/.local/bin/uvx", "", 0o755);
    let found = patient.find(json!({ "command": "uvx", "args": ["server"] })).await;
    found.names("error", "runner-missing", &["`uvx` is not in", &format!("it is at {home}/.local/bin/uvx")]);
}

#[tokio::test]
async fn a_command_that_is_misspelt_is_not_found_and_the_nearest_is_named() {
    let patient = Patient::new();
    patient.file("bin/acme-server", "#!/bin/sh\n", 0o755);
    let bin = patient.path("bin").to_str().expect("readable").to_owned();
    let found = patient.with("PATH", bin).find(json!({ "command": "acme-sevrer" })).await;
    found.names("error", "command-not-found", &["`acme-sevrer` is not in PATH", "is `acme-server` meant?"]);
}

#[tokio::test]
async fn a_file_that_may_not_be_run_is_told_with_what_runs_it() {
    let patient = Patient::new();
    let path = patient.file("server.py", "print()\n", 0o644);
    let found = patient.find(json!({ "command": path })).await;
    found.names("error", "not-executable", &[&format!("chmod +x {path}"), r#""command": "python3""#]);
    // Neither a script nor a program.
    let path = patient.file("server", "no magic\n", 0o755);
    let found = patient.find(json!({ "command": path })).await;
    found.names("error", "not-executable", &["no program for this machine", "#!/usr/bin/env python3"]);
}

#[tokio::test]
async fn the_interpreter_that_a_script_lacks_is_named() {
    let patient = Patient::new();
    for (name, text, says) in [
        ("a", "#!/no/such/python\n", "wants the interpreter /no/such/python"),
        ("b", "#!/usr/bin/env no-such-python\n", "wants the interpreter `no-such-python`"),
        ("c", "#!/bin/sh\r\n", "ends as lines do on Windows"),
    ] {
        let path = patient.file(name, text, 0o755);
        let found = patient.find(json!({ "command": path })).await;
        found.names("error", "interpreter-missing", &[says]);
        found.is("broken");
    }
}

#[tokio::test]
async fn a_working_directory_that_is_not_there_is_named() {
    let patient = Patient::new();
    let found = patient.find(with(demo(), &json!({ "cwd": "no/such/place" }))).await;
    let place = patient.path("no/such/place");
    found.names("error", "no-directory", &[&format!("{} does not exist", place.display()), "`cwd`"]);
}

#[tokio::test]
async fn a_server_that_exits_is_told_with_its_status_and_why() {
    let patient = Patient::new();
    let found = patient.find(script("echo first >&2; echo out of paper >&2; exit 7", &[])).await;
    found.names("error", "exited", &["exited with status 7 before it answered", "stderr"]);
    assert_eq!(found.0["servers"][0]["stderr"], json!(["first", "out of paper"]));
    let found = patient.find(json!({ "command": python(), "args": ["-m", "no_such_module"] })).await;
    found.names("error", "module-missing", &["Python has no module `no_such_module`", "pip install"]);
    let found = patient
        .find(script("echo \"npm error 404  'a-b@*' is not in this registry.\" >&2; exit 1", &[]))
        .await;
    found.names("error", "package-unknown", &["no package `a-b@*`", "exited with status 1", "`args`"]);
    let found = patient.find(script("kill -9 $$", &[])).await;
    found.names("error", "exited", &["was killed by signal 9 (SIGKILL)", "memory"]);
}

#[tokio::test]
async fn a_variable_that_is_missing_is_named_wherever_it_is_missed() {
    let patient = Patient::new();
    let found = patient.find(with(demo(), &json!({ "env": { "KEY": "${ACME_SECRET}" } }))).await;
    found.names("error", "variable-unset", &["mcpServers.s.env.KEY", "set ACME_SECRET in the environment"]);
    let asks = "import os; os.environ['ACME_TOKEN']";
    let found = patient.find(json!({ "command": python(), "args": ["-S", "-E", "-c", asks] })).await;
    found.names("error", "variable-wanted", &["`ACME_TOKEN`", r#""env": { "ACME_TOKEN": "#]);
    let found = patient.find(script("echo 'Error: ACME_API_KEY is required' >&2; exit 1", &[])).await;
    found.names("error", "variable-wanted", &["`ACME_API_KEY`", "exited with status 1"]);
    let patient = patient.with("ACME_API_KEY", "s3cret-of-acme");
    let found = patient.find(script("echo 'Error: ACME_API_KEY is required' >&2; exit 1", &[])).await;
    found.names(
        "error",
        "variable-wanted",
        &["it is set here", r#""env": { "ACME_API_KEY": "${ACME_API_KEY}" }"#],
    );
    assert!(!found.0.to_string().contains("s3cret"), "{found:?}");
}

#[tokio::test]
async fn noise_on_stdout_is_counted_and_no_reason_to_fail() {
    let patient = Patient::new();
    let found = patient.find(puppet_told(&json!({ "say": ["Welcome to ACME", "ready."] }))).await;
    found.names("warning", "stdout-noise", &["2 lines on stdout", "Welcome to ACME", "print to stderr"]);
    found.is("well");
}

#[tokio::test]
async fn a_server_of_http_is_told_from_one_that_is_silent_and_both_are_ended() {
    let patient = Patient::new();
    let serves =
        json!({ "command": python(), "args": ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"] });
    let found = patient.find_with(serves, &["--timeout", "5"]).await;
    found.names("error", "http-server", &["waits for HTTP", "within 5 s", r#""url": "http://127.0.0.1:"#]);
    let pids = patient.path("pids");
    let sleeps = script("echo $$ >> $1; exec sleep 600", &[&pids]);
    let found = patient.find_with(sleeps, &["--timeout", "2"]).await;
    found.names("error", "silent", &["no answer to the first message within 2 s", "stdio"]);
    found.names("error", "silent", &["more `--timeout`: the router waits 60 s (`startTimeout`)"]);
    let pids = fs::read_to_string(pids).expect("it was started");
    assert!(!pids.is_empty() && pids.lines().all(|pid| !is_running(pid.parse().expect("a pid"))), "{pids}");
}

#[tokio::test]
async fn a_server_that_is_slower_than_its_entry_allows_is_told_with_the_key_to_raise() {
    let slow = script("sleep 0.5; exec \"$0\" demo-server", &[]);
    let found = Patient::new().find(with(slow, &json!({ "startTimeout": 0.2 }))).await;
    found.names("error", "slow-start", &["the router gives up after 0.2 s", "raise `startTimeout`"]);
}

#[tokio::test]
async fn a_server_of_the_modern_era_has_as_long_to_start_as_any_other() {
    let patient = Patient::new();
    let opened = "{'resultType': 'complete', 'supportedVersions': ['2026-07-28'], 'capabilities': {'tools': {}}, 'ttlMs': 0, 'cacheScope': 'public'}";
    let modern = |other: &str| {
        small(&format!(
            "    if m['method'] == 'server/discover': say(id=m['id'], result={opened})\n    elif m['method'] == 'tools/list': \
             say(id=m['id'], result={{'resultType': 'complete', 'tools': [], 'ttlMs': 0, 'cacheScope': 'public'}})\n    {other}"
        ))
    };
    let refuses = "else: say(id=m['id'], error={'code': -32601, 'message': 'Method not found'})";
    let mut late = modern(refuses);
    let text = late["args"][3].as_str().expect("its text").to_owned();
    late["args"][3] = format!("import time\ntime.sleep(10.5)\n{text}").into();
    let found = patient.find(with(late, &json!({ "era": "modern" }))).await;
    found.is("well");
    assert_eq!(found.0["servers"][0]["era"], "modern", "{found:?}");
    // One that says nothing to the other era is spoken to all the same.
    let found = patient.find_with(modern("else: pass"), &["--timeout", "2"]).await;
    found.is("well");
    assert_eq!(found.0["servers"][0]["era"], "modern", "{found:?}");
}

#[tokio::test]
async fn names_of_tools_that_clients_refuse_are_named() {
    let patient = Patient::new();
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
    let long = "x".repeat(63);
    let tools = json!([tool(&long), tool("a.b/c"), tool("fine")]).to_string();
    let path = patient.file("tools.json", &tools, 0o600);
    let entry = puppet_told(&json!({ "tools": path }));
    let found = patient.find(entry.clone()).await;
    found.names(
        "warning",
        "tool-name",
        &[&format!("64 characters: \"s__{long}\""), "shortened, as \"s__xxx"],
    );
    found.names(
        "warning",
        "tool-name",
        &["characters that many models refuse: \"a.b/c\"", "(\"s__a.b/c\": "],
    );
    found.is("well");
    // What is advised ends the warning.
    let rules = json!({ "tools": { "rename": { "s__a.b/c": "abc" } } });
    let file = json!({ "mcpServers": { "s": entry }, "aggregate": rules }).to_string();
    let renamed = patient.run(&file, &[]).await;
    assert!(!renamed.stdout.contains("many models refuse"), "{renamed:?}");
    assert_eq!(found.0["servers"][0]["tools"], 3);
    // What is not served is nobody's concern.
    let found = patient.find(with(entry, &json!({ "tools": { "allow": ["fine"] } }))).await;
    assert_eq!(found.0["servers"][0]["findings"], json!([]), "{found:?}");
    assert_eq!(found.0["servers"][0]["tools"], 1);
}

#[tokio::test]
async fn an_old_revision_is_a_warning_and_a_refusal_of_newer_ones_an_error() {
    let patient = Patient::new();
    let opened = "{'protocolVersion': '2024-11-05', 'capabilities': {}, 'serverInfo': {'name': 'old', 'version': '1'}}";
    let old = small(&format!(
        "    if m['method'] == 'initialize': say(id=m['id'], result={opened})\n    elif m['method'] == 'tools/list': \
         say(id=m['id'], result={{'tools': []}})\n    else: say(id=m['id'], error={{'code': -32601, 'message': 'no'}})"
    ));
    let found = patient.find(old).await;
    found.names("warning", "revision-old", &["2024-11-05", "update the SDK"]);
    found.is("well");
    let strict = small(&format!(
        "    if m['method'] == 'initialize' and m['params']['protocolVersion'] == '2024-11-05': say(id=m['id'], \
         result={opened})\n    elif m['method'] == 'tools/list': say(id=m['id'], result={{'tools': []}})\n    else: \
         say(id=m['id'], error={{'code': -32602, 'message': 'bad version'}})"
    ));
    let found = patient.find(strict).await;
    found.names(
        "error",
        "revision-refused",
        &["2025-11-25", "works only for one of 2024-11-05", "update the SDK"],
    );
    found.is("broken");
}

#[tokio::test]
async fn a_client_that_the_guard_would_refuse_is_told_with_the_option_that_lets_it_in() {
    let patient = Patient::new().with("HOSTNAME", "box.corp.example");
    let found = patient.find_with(demo(), &["--host", "0.0.0.0"]).await;
    found.names("warning", "host-refused", &["`box.corp.example`", "403", "--allow-host box.corp.example"]);
    found.is("well");
    let allowed = ["--host", "0.0.0.0", "--allow-host", "box.corp.example"];
    let found = patient.find_with(demo(), &allowed).await.0;
    assert!(!found["findings"].to_string().contains("box.corp.example"), "{found:#}");
}

#[tokio::test]
async fn a_port_that_another_has_is_told_and_who_it_is() {
    let patient = Patient::new();
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("it is bound").port().to_string();
    let found = patient.find_with(demo(), &["--port", &port]).await;
    found.names("error", "port-taken", &["another program listens on 127.0.0.1:", "--port"]);
    found.is("well");
    assert_eq!(found.0["ok"], false);
    let router = Router::of_demo().await;
    let url = url::Url::parse(&router.url("/")).expect("a URL");
    let port = url.port().expect("a port").to_string();
    let found = patient.find_with(demo(), &["--port", &port]).await;
    found.names("warning", "port-taken", &["a mcp-switchboard listens on"]);
}

#[tokio::test]
async fn a_remote_server_that_is_not_served_is_told_by_how_it_refuses() {
    let patient = Patient::new();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let found = patient.find(json!({ "url": format!("http://{free}/mcp") })).await;
    found.names("error", "connection-refused", &["Connection refused", "start the server"]);
    let router = Router::of_demo().await;
    let found = patient.find(json!({ "url": router.url("/wrong") })).await;
    let right = format!("a server of MCP answers at {}", router.url("/mcp"));
    found.names("error", "wrong-path", &["no such server", &right]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let serving = tokio::task::LocalSet::new();
    serving.spawn_local(async { axum::serve(listener, axum::Router::new()).await });
    let found = serving.run_until(patient.find(json!({ "url": format!("http://{address}/") }))).await;
    found.names("error", "wrong-path", &["answered 404", "/mcp", "/sse"]);
    let tokens = json!({ "tokens": [{ "name": "alice", "token": "a-key-of-alice-0123456789" }] });
    let guarded = Router::start(json!({ "mcpServers": { "demo": demo() }, "auth": tokens }), &[]).await;
    let found = patient.find(json!({ "url": guarded.mcp("demo") })).await;
    found.names("error", "login-wanted", &["answered 401", "mcp-switchboard tools URL"]);
    let wrong = json!({ "Authorization": "Bearer of-nobody-s3cret" });
    let found = patient.find(json!({ "url": guarded.mcp("demo"), "headers": wrong })).await;
    found.names("error", "token-refused", &["answered 401", "`headers` of the entry"]);
    assert!(!found.0.to_string().contains("s3cret"), "{found:?}");
    let token = patient.doctor(&[&guarded.mcp("demo"), "-H", "Authorization", "s3cret"]).await;
    assert!(token.stdout.contains("error (token-refused)") && token.stdout.contains("`Bearer`"), "{token:?}");
    assert!(!token.stdout.contains("s3cret"), "{token:?}");
    let key = json!({ "Authorization": "Bearer a-key-of-alice-0123456789" });
    let found = patient.find(json!({ "url": guarded.mcp("demo"), "headers": key })).await;
    found.is("well");
}

#[tokio::test]
async fn a_router_is_told_by_its_own_words() {
    let patient = Patient::new();
    let says: &'static str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-31007,"message":"the host \"a.example\" is not allowed: start the router with --allow-host a.example if this name is yours"}}"#;
    let refuse = move || async move {
        (axum::http::StatusCode::FORBIDDEN, [("content-type", "application/json")], says)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    let serving = tokio::task::LocalSet::new();
    serving.spawn_local(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    let run = serving.run_until(patient.doctor(&["--router", &base])).await;
    assert!(run.status == Some(1) && run.stderr.contains("--allow-host a.example"), "{run:?}");
    let url = format!("{base}/servers/x/mcp");
    let run = serving.run_until(patient.doctor(&[&url])).await;
    assert!(
        run.stdout.contains("error (host-refused)") && run.stdout.contains("-> do so where that router runs"),
        "{run:?}"
    );

    let broken = json!({
        "gone": { "command": "acme-no-such-server" },
        "keyless": script("echo 'Error: ACME_API_KEY is required' >&2; exit 1", &[]),
    });
    let router = Router::start(json!({ "mcpServers": broken }), &[]).await;
    let found = patient.doctor(&["--json", "--router", &router.url("")]).await;
    let all: Value = serde_json::from_str(&found.stdout).unwrap_or_else(|_| panic!("no JSON: {found:?}"));
    let causes = |at: usize| all["servers"][at]["findings"][0]["cause"].clone();
    assert_eq!((causes(0), causes(1)), (json!("command-not-found"), json!("variable-wanted")), "{all:#}");
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_is_told() {
    let pair = pki::Authority::new().server();
    let file = |folder: &Path| {
        pair.write(folder, "server");
        let tls = json!({ "cert": "server.pem", "key": "server.key" });
        json!({ "mcpServers": { "demo": demo() }, "tls": tls })
    };
    let router = Router::with_file(file).await;
    let found = Patient::new().find(json!({ "url": router.mcp("demo") })).await;
    found.names("error", "certificate", &["invalid peer certificate", "--verify-ssl FILE"]);
}

#[tokio::test]
async fn keys_and_names_are_told_as_the_router_tells_them() {
    let patient = Patient::new();
    let file = json!({ "mcpServers": { "my server": with(demo(), &json!({ "comand": "x" })) } }).to_string();
    let run = patient.run(&file, &[]).await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.contains("mcpServers[\"my server\"].comand: unknown key"), "{run:?}");
    assert!(run.stdout.contains("mounted as `my-server`"), "{run:?}");
    let file = json!({ "mcpServers": { "a b": demo(), "a-b": demo() } }).to_string();
    let run = patient.run(&file, &[]).await;
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.stderr.contains("would both be mounted as `a-b`"), "{run:?}");
}

#[tokio::test]
async fn servers_whose_tools_would_be_called_the_same_are_named() {
    let patient = Patient::new();
    let file =
        json!({ "mcpServers": { "my.server": demo(), "my_server": demo(), "other": demo() } }).to_string();
    let run = patient.run(&file, &[]).await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.contains("warning (name-clash): /mcp shows no \"my_server__"), "{run:?}");
    assert!(run.stdout.contains("of `my.server` and of `my_server`"), "{run:?}");
    assert!(run.stdout.contains("-> rename one of the servers"), "{run:?}");
    let servers = json!({ "a": demo(), "b": demo() });
    let file = json!({ "mcpServers": servers, "aggregate": { "prefix": "never" } }).to_string();
    let run = patient.run(&file, &["--json"]).await;
    let all: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no JSON: {run:?}"));
    let clash = all["findings"].as_array().into_iter().flatten().find(|found| found["cause"] == "name-clash");
    let text = clash.map(ToString::to_string).unwrap_or_default();
    assert!(text.contains("`a` and of `b`") && text.contains("aggregate.prefix"), "{all:#}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_to_machines_too() {
    let patient = Patient::new();
    for file in [
        "{ ",
        r#"{ "mcpServers": { "a": { "command": "x", "tools": { "alow": [] } } } }"#,
        r#"{ "mcpServers": {} }"#,
    ] {
        let run = patient.run(file, &["--json"]).await;
        let all: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no JSON: {run:?}"));
        assert_eq!((&all["ok"], &all["servers"]), (&json!(false), &json!([])), "{all:#}");
        let what = all["findings"][0]["what"].as_str().expect("a reason");
        assert_eq!(
            (&all["findings"][0]["cause"], &all["findings"][0]["severity"]),
            (&json!("unusable"), &json!("error"))
        );
        assert!(run.status != Some(0) && run.stderr.contains(what), "{run:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_printed_is_an_error() {
    let patient = Patient::new();
    let path = patient.file("servers.json", &json!({ "mcpServers": { "s": demo() } }).to_string(), 0o600);
    for words in [&[][..], &["--json"]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("there is one");
        let mut command = tokio::process::Command::new(BINARY);
        command.args(["doctor", &path]).args(words).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary runs");
        let output = within("the program ends", child.wait_with_output()).await.expect("it is our child");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains("stdout cannot be written"), "{told}");
    }
}

#[tokio::test]
async fn what_a_server_says_of_its_end_is_told_wherever_it_says_it() {
    let patient = Patient::new();
    let found = patient.find(script("echo 'acme is required. Install it'; exit 1", &[])).await;
    found.names(
        "error",
        "exited",
        &["exited with status 1", "on stdout it says: \"acme is required. Install it\""],
    );
    assert!(!found.0.to_string().contains("stdout-noise"), "{found:?}");
    let usage = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--db', required=True)\np.parse_args()";
    let found = patient.find(json!({ "command": python(), "args": ["-c", usage] })).await;
    found.names("error", "arguments", &["`--db`", "add --db to `args`"]);
    let crash = "import sys, threading, time\nthreading.Thread(target=lambda: time.sleep(600)).start()\nraise ValueError('no luck')";
    let found =
        patient.find_with(json!({ "command": python(), "args": ["-c", crash] }), &["--timeout", "3"]).await;
    found.names("error", "failed-inside", &["has failed inside", "ValueError: no luck", "within 3 s"]);
}

#[tokio::test]
async fn a_list_of_tools_that_clients_cannot_take_is_an_error() {
    let patient = Patient::new();
    let path = patient.file("tools.json", r#"[{ "name": "t", "inputSchema": { "properties": {} } }]"#, 0o600);
    let found = patient.find(puppet_told(&json!({ "tools": path }))).await;
    found.names("error", "tool-schema", &["has no `type`: \"t\"", r#""type": "object""#]);
    let tools = r#"[{ "name": "t" }, { "name": "u", "inputSchema": { "type": "object", "required": "a" } }, { "name": "v" }]"#;
    let path = patient.file("tools.json", tools, 0o600);
    let found = patient.find(puppet_told(&json!({ "tools": path }))).await;
    found.names("error", "tool-schema", &["is missing: \"t\", \"v\"", r#""type": "object""#]);
    found.names("error", "tool-schema", &["no list of names: \"u\"", "`required` must be a list of names"]);
    let fails = small(
        "    if m['method'] == 'initialize': say(id=m['id'], result={'protocolVersion': '2025-11-25', 'capabilities': {}, \
         'serverInfo': {'name': 's', 'version': '1'}})\n    else: say(id=m['id'], error={'code': -32000, 'message': 'no database'})",
    );
    let found = patient.find(fails).await;
    found.names("error", "tools-unlisted", &["`tools/list`", "no database", "(-32000)"]);
    found.is("broken");
}

#[tokio::test]
async fn commands_that_are_written_for_a_shell_or_for_windows_are_put_right() {
    let patient = Patient::new();
    let found = patient.find(json!({ "command": "acme-server --stdio" })).await;
    found.names("error", "shell-line", &[r#""command": "acme-server", "args": ["--stdio"]"#]);
    let found = patient.find(json!({ "command": "cd /srv && acme-server x" })).await;
    found.names("error", "shell-line", &[r#""cwd": "/srv", "command": "acme-server", "args": ["x"]"#]);
    assert!(!found.0.to_string().contains("relative"), "{found:?}");
    let found = patient.find(json!({ "command": "acme-server /srv | tee log" })).await;
    found.names("error", "shell-line", &[r#""command": "sh", "args": ["-c","acme-server /srv | tee log"]"#]);
    let found = patient.find(json!({ "command": "cd", "args": ["/srv", "&&", "acme-server"] })).await;
    found.names("error", "shell-line", &["`cd` is a word of a shell", "cwd"]);
    let found = patient.find(json!({ "command": python(), "args": ["$HOME/server.py"] })).await;
    found.names("warning", "shell-line", &["$HOME/server.py", "`${HOME}`"]);
    let found =
        patient.find(json!({ "command": "C:\\Program Files\\nodejs\\node.exe", "args": ["x.js"] })).await;
    found.names("error", "windows-command", &["is a path of Windows", r#""command": "node""#]);
    let found = patient.find(json!({ "command": "cmd", "args": ["/c", "npx", "-y", "server"] })).await;
    found.names("warning", "windows-command", &[r#""command": "npx""#]);
    let found = patient.find(json!({ "command": "./acme/run" })).await;
    found.names("warning", "relative-command", &["./acme/run", "cwd"]);
    patient.file("bin/docker", "#!/bin/sh\nexit 0\n", 0o755);
    let docker = patient.path("bin/docker").to_str().expect("readable").to_owned();
    let found = patient.find(json!({ "command": docker, "args": ["run", "--rm", "acme"] })).await;
    found.names("error", "container-without-stdin", &["without `-i`", "put \"-i\" behind \"run\""]);
    let found = patient.find(json!({ "command": docker, "args": ["run", "--rm", "-it", "acme"] })).await;
    found.names("error", "container-with-terminal", &["wants a terminal", "`-it` becomes `-i`"]);
    let echoes = patient.find(json!({ "command": "cat" })).await;
    echoes.names("error", "not-mcp", &["sends back what it is sent"]);
}

#[tokio::test]
async fn a_person_reads_a_block_for_each_server_and_no_secret() {
    let patient = Patient::new().with("ACME_SECRET", "s3cret-of-acme");
    let file = json!({ "mcpServers": {
        "modern": puppet_told(&json!({ "modern": true })),
        "dual": puppet_told(&json!({ "modern": "dual" })),
        "off": with(demo(), &json!({ "disabled": true })),
        "leaky": with(script("echo \"key $KEY is wrong\"; echo \"bad $KEY\" >&2; exit 3", &[]), &json!({ "env": { "KEY": "${ACME_SECRET}" } })),
        "own": with(demo(), &json!({ "envFromHeader": { "KEY": "X-Key" } })),
    } });
    let run = patient.run(&file.to_string(), &[]).await;
    assert_eq!((run.status, run.stderr.as_str()), (Some(1), ""), "{run:?}");
    let block = |name: &str| {
        let blocks: Vec<&str> = run.stdout.split("\n\n").collect();
        let of_it = |block: &&&str| block.split_whitespace().nth(1) == Some(name);
        (*blocks.iter().find(of_it).unwrap_or_else(|| panic!("{name}: {run:?}"))).to_owned()
    };
    assert!(
        block("modern").contains("✓ modern  ") && block("modern").contains("modern, 2026-07-28"),
        "{run:?}"
    );
    assert!(block("dual").contains("both eras, 20") && block("dual").contains("1 tool in "), "{run:?}");
    assert_eq!(block("off"), "- off  disabled");
    assert!(block("own").contains("x-key"), "{run:?}");
    let leaky = block("leaky");
    assert!(leaky.contains("✗ leaky  sh (3 arguments)\n"), "{leaky}");
    assert!(
        leaky.contains("error (exited): the server exited with status 3") && leaky.contains("| bad ***"),
        "{leaky}"
    );
    assert!(leaky.contains("key *** is wrong"), "{leaky}");
    assert!(!run.stdout.contains("s3cret"), "{}", run.stdout);
    assert!(
        run.stdout.ends_with("5 servers: 2 well, 1 broken, 2 not tried; 1 error, 1 warning\n"),
        "{}",
        run.stdout
    );
}

#[tokio::test]
async fn a_signal_ends_what_was_started() {
    let patient = Patient::new();
    let pids = patient.path("pids");
    let file = json!({ "mcpServers": { "s": script("echo $$ >> $1; exec sleep 600", &[&pids]) } });
    let path = patient.file("servers.json", &file.to_string(), 0o600);
    let mut child = Command::new(BINARY);
    let mut child = child.args(["doctor", &path]).stdout(Stdio::null()).spawn().expect("the binary runs");
    let pid = eventually("the server runs", async || {
        fs::read_to_string(&pids).ok()?.lines().next()?.parse::<u32>().ok()
    })
    .await;
    support::process::signal(child.id(), rustix::process::Signal::INT);
    support::process::signal(child.id(), rustix::process::Signal::INT);
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let status = within("it ends", ended).await.expect("no panic").expect("it is our child");
    assert_eq!(status.code(), Some(1));
    eventually("the server is gone", async || (!is_running(pid)).then_some(())).await;
}

#[tokio::test]
async fn words_that_make_no_sense_are_refused_and_a_command_or_a_url_stands_for_a_file() {
    let patient = Patient::new();
    let one = patient.doctor(&["--", BINARY, "demo-server"]).await;
    assert_eq!(one.status, Some(0), "{one:?}");
    assert!(one.stdout.starts_with("✓ default  "), "{one:?}");
    let router = Router::of_demo().await;
    let remote = patient.doctor(&[&router.mcp("demo")]).await;
    assert!(remote.status == Some(0) && remote.stdout.contains("11 tools in "), "{remote:?}");
    let served = patient.doctor(&["--router", &router.url("")]).await;
    assert!(served.status == Some(0) && served.stdout.starts_with("✓ demo  http://127"), "{served:?}");
    let gone = patient.doctor(&["--router", "http://127.0.0.1:9"]).await;
    assert!(gone.status == Some(1) && gone.stderr.contains("no router answers"), "{gone:?}");
    for words in [&["--timeout", "0", "x.json"][..], &["a.json", "--config", "b.json"]] {
        assert_eq!(patient.doctor(words).await.status, Some(2), "{words:?}");
    }
    let missing = patient.doctor(&["/no/such/file.json"]).await;
    assert!(missing.status == Some(1) && missing.stderr.contains("/no/such/file.json"), "{missing:?}");
}
