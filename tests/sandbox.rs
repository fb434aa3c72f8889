//! What a sandbox takes from a server, and what it leaves as it is.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules};
use mcp_switchboard::config::{CommandSpec, Sandbox, ServerName};
use mcp_switchboard::peer::{Launch, Peer, SpawnError};
use serde_json::{Value, json};
use support::client::{Client, Hello, code};
use support::eventually;
use support::process::{descendants, is_running, kill};
use support::puppet::puppet;
use support::router::{BINARY, Router, demo, pids, script, with};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

fn sandboxed(entry: Value, sandbox: &Value) -> Value {
    with(entry, &json!({ "sandbox": sandbox }))
}

/// The fields of `/proc/<pid>/status` by their names.
fn field(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_owned()
}

/// Soft and hard limit, as `/proc/<pid>/limits` has them.
fn limit(pid: u32, name: &str) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process is there");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name}: {limits}"));
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().expect("the soft limit"), words.next().expect("the hard limit"))
}

fn both(limit: &str) -> (String, String) {
    (limit.to_owned(), limit.to_owned())
}

/// The only process of a mount that has settled.
async fn process(router: &Router, mount: &str) -> u32 {
    router.settled(mount, 1).await[0]
}

/// Whether the kernel does what the mount asks of it. Where it does not, the mount must have failed for that reason.
async fn is_enforced(router: &Router, mount: &str, key: &str) -> bool {
    let known = |mount: &Value| mount["state"] == "ready" || mount["state"] == "failed";
    let status = router.until(mount, "known to start or not", known).await;
    if status["state"] == "ready" {
        return true;
    }
    let error = status["error"].as_str().expect("a reason");
    assert!(error.starts_with("the kernel "), "{error}");
    assert!(error.contains(&format!("remove `sandbox.{key}`")), "{error}");
    // Past the capture of `println!`: who runs the tests should see it.
    let _ = writeln!(std::io::stderr(), "skipped: {error}");
    false
}

#[tokio::test]
async fn a_sandboxed_process_gets_no_new_privileges_and_dumps_no_core_and_the_router_is_as_it_was() {
    let router = Router::mounting(json!({ "plain": demo(), "a": sandboxed(demo(), &json!(true)) })).await;
    let (plain, confined) = (process(&router, "plain").await, process(&router, "a").await);
    let ours = field(std::process::id(), "NoNewPrivs");
    assert_eq!(field(confined, "NoNewPrivs"), "1");
    assert_eq!((field(plain, "NoNewPrivs"), field(router.pid(), "NoNewPrivs")), (ours.clone(), ours));
    // A dump of one byte is none; one of 0 bytes would still be given to a program that collects them.
    assert_eq!(limit(confined, "Max core file size"), both("1"));
    for name in ["Max data size", "Max open files", "Max processes", "Max cpu time", "Max file size"] {
        assert_eq!(limit(confined, name), limit(plain, name), "{name}");
    }
    let kept = json!({ "noNewPrivileges": false });
    let router = Router::mounting(json!({ "a": sandboxed(demo(), &kept) })).await;
    let confined = process(&router, "a").await;
    assert_eq!(field(confined, "NoNewPrivs"), field(std::process::id(), "NoNewPrivs"));
}

#[tokio::test]
async fn what_is_not_taken_is_as_without_a_sandbox() {
    let servers = json!({
        "plain": with(demo(), &json!({ "env": { "OWN": "x" }, "cwd": "/usr" })),
        "a": sandboxed(with(demo(), &json!({ "env": { "OWN": "x" }, "cwd": "/usr" })), &json!(true)),
    });
    let router = Router::mounting(servers).await;
    let (plain, confined) = (process(&router, "plain").await, process(&router, "a").await);
    let environment = |pid: u32| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).expect("it is ours");
        let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        // The mark is another for each process; both have one.
        let (marks, rest): (BTreeSet<_>, BTreeSet<_>) =
            words.partition(|word| word.starts_with("MCP_SWITCHBOARD_SESSION="));
        assert_eq!(marks.len(), 1);
        rest
    };
    assert_eq!(environment(confined), environment(plain));
    let read = |pid: u32, name: &str| fs::read(format!("/proc/{pid}/{name}")).expect("it is ours");
    assert_eq!(read(confined, "cmdline"), read(plain, "cmdline"), "its name for itself, and its arguments");
    let link = |pid: u32, name: &str| fs::read_link(format!("/proc/{pid}/{name}")).expect("it is ours");
    for name in ["exe", "cwd"] {
        assert_eq!(link(confined, name), link(plain, name), "{name}");
    }
    // Three pipes, and nothing of the helper's; a socket for stdin would be something else to some programs.
    let kinds = |pid: u32| {
        let mut kinds: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("it is ours")
            .map(|entry| fs::read_link(entry.expect("an entry").path()).expect("a link"))
            .map(|to| to.to_string_lossy().split(':').next().unwrap_or_default().to_owned())
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(confined), kinds(plain));
    for name in ["SigIgn", "SigBlk", "SigCgt"] {
        assert_eq!(field(confined, name), field(plain, name), "{name}");
    }
    assert_eq!(field(confined, "NSpgid"), confined.to_string(), "it leads a group of its own");
    let status = router.status().await;
    assert_eq!(status["servers"]["plain"]["sandbox"], false);
    assert_eq!(status["servers"]["a"]["sandbox"], true);
}

#[tokio::test]
async fn limits_hold_for_a_server_and_for_what_it_starts() {
    let limits = json!({
        "memory": "600M", "cpuSeconds": 77, "files": 99, "processes": 9999, "fileSize": 5000,
    });
    // The shell stays, and the server is its child.
    let entry = script(r#""$0" demo-server; exit"#, &[]);
    let router = Router::mounting(json!({ "a": sandboxed(entry, &limits) })).await;
    let leader = process(&router, "a").await;
    let child = descendants(leader);
    assert_eq!(child.len(), 1, "the shell has started the server");
    for pid in [leader, child[0]] {
        assert_eq!(field(pid, "NoNewPrivs"), "1");
        assert_eq!(limit(pid, "Max data size"), both(&(600_u32 << 20).to_string()));
        assert_eq!(limit(pid, "Max cpu time"), ("77".to_owned(), "78".to_owned()));
        assert_eq!(limit(pid, "Max open files"), both("99"));
        assert_eq!(limit(pid, "Max processes"), both("9999"));
        assert_eq!(limit(pid, "Max file size"), both("5000"));
    }
    assert_ne!(limit(router.pid(), "Max open files"), both("99"));
}

#[tokio::test]
async fn a_server_that_wants_more_memory_than_it_may_have_dies_alone_and_its_session_goes_on() {
    let cold = with(puppet(), &json!({ "pool": { "warm": 0 } }));
    let servers = json!({ "a": sandboxed(cold, &json!({ "memory": "128M" })) });
    let router = Router::mounting(servers).await;
    let client = Client::open(&router, "a").await;
    let hog = client.call("hog", json!({ "fill": [1, 1_u32 << 30] })).await;
    assert_eq!(code(&hog), -31002, "{hog}");
    let again = client.call("modest", json!({ "answer": { "content": [] } })).await;
    assert_eq!(again["result"]["content"], json!([]), "{again}");
    router.logs("MemoryError").await;
    let status = router.mount("a").await;
    assert_eq!(status["restarts"], 1, "{status}");
    for pid in pids(&status) {
        assert_eq!(limit(pid, "Max data size"), both(&(128_u32 << 20).to_string()), "the new one, too");
    }
}

#[tokio::test]
async fn a_server_that_spins_is_ended_when_its_seconds_are_used_up() {
    let spinning = with(script("while :; do :; done", &[]), &json!({ "restart": { "attempts": 1 } }));
    let router = Router::mounting(json!({ "a": sandboxed(spinning, &json!({ "cpuSeconds": 1 })) })).await;
    let status = router.until("a", "failed", |mount| mount["state"] == "failed").await;
    let error = status["error"].as_str().expect("a reason");
    assert!(error.contains("was killed by signal 24 (SIGXCPU)"), "{error}");
}

#[tokio::test]
async fn only_the_files_that_are_named_can_be_read_and_written() {
    let outside = TempDir::new().expect("a directory");
    let inside = TempDir::new().expect("a directory");
    let shown = TempDir::new().expect("a directory");
    fs::write(outside.path().join("secret"), "hidden").expect("it is ours");
    fs::write(shown.path().join("text"), "shown").expect("it is ours");
    // The router may start several: what one of them got is put where it is looked for, all at once.
    let attempts = r#"
        mkdir "$1/$$"; cd "$1/$$"
        (cat "$3/text" > read-shown); (echo more >> "$3/text"); (echo new > "$3/new")
        (cat "$2/secret" > read-secret); (echo new > "$2/new"); (: > "$2/secret"); (truncate -s 0 "$2/secret")
        (rm -f "$2/secret"); (mv read-shown "$2/moved"); (ls "$2" > listed); (ls / > root)
        (echo gone > /dev/null && echo yes > null)
        (sh -c 'cat "$1" > "$2"' sh "$2/secret" by-a-grandchild)
        [ -e "$1/tried" ] || mv -T "$1/$$" "$1/tried"
        exec "$0" demo-server"#;
    let binaries = Path::new(BINARY).parent().expect("it is in a directory");
    let places = json!({ "read": [binaries, shown.path()], "write": [inside.path()] });
    let entry = script(attempts, &[inside.path(), outside.path(), shown.path()]);
    let router = Router::mounting(json!({ "a": sandboxed(entry, &json!({ "filesystem": places })) })).await;
    if !is_enforced(&router, "a", "filesystem").await {
        return;
    }
    let text = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok();
    let (inside, outside, shown) = (inside.path().join("tried"), outside.path(), shown.path());
    let empty = Some(String::new());
    assert_eq!(text(&inside, "read-shown").as_deref(), Some("shown"));
    assert_eq!(text(shown, "text").as_deref(), Some("shown"), "what may be read is not written to");
    assert_eq!(text(shown, "new"), None);
    assert_eq!(text(&inside, "read-secret"), empty, "its output was made, and nothing came");
    assert_eq!(text(&inside, "by-a-grandchild"), empty);
    assert_eq!(text(outside, "secret").as_deref(), Some("hidden"), "not emptied, not removed");
    assert_eq!((text(outside, "new"), text(outside, "moved")), (None, None));
    assert_eq!((text(&inside, "listed"), text(&inside, "root")), (empty.clone(), empty));
    assert_eq!(text(&inside, "null").as_deref(), Some("yes\n"));
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("echo", json!({ "text": "well" })).await, "well");
}

#[tokio::test]
async fn without_a_network_nobody_is_reached_and_the_end_comes_as_ever() {
    let called = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = called.local_addr().expect("an address").port();
    let said = TempDir::new().expect("a directory");
    // By TCP, by the way of TCP that sends at once, by multipath TCP, and by UDP.
    let attempts = "import os, socket, sys\n\
        to, address = sys.argv[1], ('127.0.0.1', int(sys.argv[2]))\n\
        def tried(what):\n\
        \x20   try: what(); return 'done'\n\
        \x20   except OSError: return 'refused'\n\
        of = lambda *kind: socket.socket(socket.AF_INET, *kind)\n\
        words = [tried(lambda: of(socket.SOCK_STREAM).connect(address)),\n\
        \x20   tried(lambda: of(socket.SOCK_STREAM).sendto(b'x', 0x20000000, address)),\n\
        \x20   tried(lambda: of(socket.SOCK_STREAM, 262).connect(address)),\n\
        \x20   tried(lambda: of(socket.SOCK_DGRAM).sendto(b'x', address))]\n\
        own = f'{to}.{os.getpid()}'\n\
        open(own, 'w').write(' '.join(words))\n\
        os.replace(own, to)";
    let shell = r#"python3 -S -E -c "$1" "$2" "$3"; id -u > "$2-$$"; mv "$2-$$" "$2-user"; setsid sleep 1000 & "$0" demo-server"#;
    let port = port.to_string();
    let entry = |name: &str| {
        let file = said.path().join(name);
        let entry = script(shell, &[Path::new(attempts), &file, Path::new(&port)]);
        with(entry, &json!({ "env": { "NAME": name } }))
    };
    let servers =
        json!({ "plain": entry("plain"), "a": sandboxed(entry("a"), &json!({ "network": false })) });
    let mut router = Router::mounting(servers).await;
    router.until("plain", "ready", |mount| mount["state"] == "ready").await;
    let read = |name: &str| fs::read_to_string(said.path().join(name)).expect("it was written");
    assert!(read("plain").starts_with("done "), "{}", read("plain"));
    if !is_enforced(&router, "a", "network").await {
        return;
    }
    assert_eq!(read("a"), "refused refused refused refused");
    assert_eq!(read("a-user"), read("plain-user"), "it is who it was");
    let client = Client::open(&router, "a").await;
    assert_eq!(client.text("echo", json!({ "text": "here" })).await, "here");
    let all = descendants(router.pid());
    router.signal(rustix::process::Signal::TERM);
    assert!(router.exit().await.success());
    assert!(!all.into_iter().any(is_running), "nothing is left, not even what has left its group");
}

#[tokio::test]
async fn where_no_network_of_its_own_is_granted_a_server_does_not_run() {
    let folder = TempDir::new().expect("a directory");
    let ran = folder.path().join("ran");
    let file = folder.path().join("servers.json");
    let entry = script(r#"touch "$1"; exec "$0" demo-server"#, &[&ran]);
    let servers = json!({ "mcpServers": { "a": sandboxed(entry, &json!({ "network": false })) } });
    fs::write(&file, servers.to_string()).expect("it is ours");
    let none = "echo 0 > /proc/sys/user/max_user_namespaces";
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c"]);
    if !command.arg(none).status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: user namespaces cannot be had here at all");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", &format!(r#"{none}; exec "$0" "$@""#), BINARY]);
    command.args(["--port", "0", "--named-server-config"]).arg(&file).stdin(Stdio::null());
    let router = Router::started(TempDir::new().expect("a directory"), command).await;
    let status = router.until("a", "failed", |mount| mount["state"] == "failed").await;
    let error = status["error"].as_str().expect("a reason");
    assert!(error.starts_with("the kernel does not grant a network of its own ("), "{error}");
    assert!(error.ends_with("remove `sandbox.network`, or allow user namespaces"), "{error}");
    assert!(!ran.exists(), "nothing has run with the network");
}

#[tokio::test]
async fn what_cannot_be_run_is_told_as_without_a_sandbox() {
    let folder = TempDir::new().expect("a directory");
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        path.to_str().expect("a readable path").to_owned()
    };
    let programs = [
        ("unknown", "no-such-program-anywhere".to_owned()),
        ("hinted", "docker-is-not-here x".to_owned()),
        ("no-file", folder.path().join("nothing").to_str().expect("a readable path").to_owned()),
        ("no-program", file("no-program", "text", 0o644)),
        ("no-interpreter", file("no-interpreter", "#!/nowhere/interpreter\n", 0o755)),
    ];
    let mut servers = json!({});
    for (name, program) in &programs {
        servers[format!("plain-{name}")] = json!({ "command": program });
        servers[format!("boxed-{name}")] = json!({ "command": program, "sandbox": { "files": 64 } });
    }
    let router = Router::mounting(servers).await;
    for (name, _) in &programs {
        let error = async |kind: &str| {
            let has_error = |mount: &Value| mount["error"].is_string();
            router.until(&format!("{kind}-{name}"), "in trouble", has_error).await["error"].take()
        };
        assert_eq!(error("boxed").await, error("plain").await, "{name}");
    }
    let refused = Client::try_open(&router, "boxed-no-interpreter", &Hello::default()).await;
    let mut reply = refused.err().expect("nothing can be opened");
    assert_eq!((reply.status, reply.code().await), (503, -31001));
    assert_eq!(descendants(router.pid()), [] as [u32; 0], "no helper is left behind");
}

#[tokio::test]
async fn a_place_that_is_not_there_and_a_program_that_cannot_be_reached_are_named() {
    let folder = TempDir::new().expect("a directory");
    let hidden = folder.path().join("interpreter");
    fs::copy(BINARY, &hidden).expect("it can be copied");
    let program = folder.path().join("program");
    fs::write(&program, format!("#!{} demo-server\n", hidden.display())).expect("it is ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let servers = json!({
        "nowhere": sandboxed(demo(), &json!({ "filesystem": { "read": ["/no/such/place"] } })),
        "hidden": { "command": program, "sandbox": { "filesystem": {} } },
    });
    let router = Router::mounting(servers).await;
    if !is_enforced_or_named(&router).await {
        return;
    }
    let error = router.mount("nowhere").await["error"].take();
    let expected = "`sandbox.filesystem.read`: /no/such/place cannot be opened: No such file or directory";
    assert!(error.as_str().expect("a reason").starts_with(expected), "{error}");
    let error = router.mount("hidden").await["error"].take();
    let error = error.as_str().expect("a reason");
    assert!(error.starts_with(program.to_str().expect("a readable path")), "{error}");
    assert!(error.ends_with("what it needs to run is not below `sandbox.filesystem.read`"), "{error}");
}

/// Waits until both mounts have failed; whether it was for what is wrong with them, and not for the kernel.
async fn is_enforced_or_named(router: &Router) -> bool {
    for name in ["nowhere", "hidden"] {
        router.until(name, "in trouble", |mount| mount["error"].is_string()).await;
    }
    let error = router.mount("hidden").await["error"].take();
    if error.as_str().is_some_and(|error| error.starts_with("the kernel cannot")) {
        let _ = writeln!(std::io::stderr(), "skipped: {error}");
        return false;
    }
    true
}

#[test]
fn what_the_kernel_does_not_grant_fails_the_mount_and_nothing_runs() {
    // A kernel takes sixteen layers of restrictions: a router that has them all has a helper that gets no more.
    let story = std::thread::spawn(|| {
        for _ in 0..16 {
            let layer = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).and_then(|rules| {
                rules
                    .create()?
                    .add_rules(path_beneath_rules(["/"], AccessFs::from_all(ABI::V1)))?
                    .restrict_self()
            });
            layer.expect("a layer that allows everything");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let ran = TempDir::new().expect("a directory");
            let entry = || script(r#"touch "$1/ran"; exec "$0" demo-server"#, &[ran.path()]);
            let servers = json!({
                "files": sandboxed(entry(), &json!({ "filesystem": { "write": ["/"] } })),
                "limits": sandboxed(demo(), &json!({ "files": 64 })),
            });
            let router = Router::mounting(servers).await;
            process(&router, "limits").await;
            let status = router.until("files", "failed", |mount| mount["state"] == "failed").await;
            let error = status["error"].as_str().expect("a reason");
            assert!(error.starts_with("the kernel "), "{error}");
            assert!(error.contains("remove `sandbox.filesystem`"), "{error}");
            let refused = Client::try_open(&router, "files", &Hello::default()).await;
            assert_eq!(refused.err().expect("nothing can be opened").status, 503);
            assert!(!ran.path().join("ran").exists(), "nothing has run without its sandbox");
        });
    });
    story.join().expect("the story holds");
}

#[tokio::test]
async fn a_sandboxed_process_is_stopped_and_replaced_like_any_other() {
    // It ignores what can be ignored, and leaves a grandchild in a session of its own.
    let stubborn =
        r#"trap "" TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1; done' & "$0" demo-server"#;
    let sandbox = json!({ "memory": "1G" });
    let cold = json!({ "pool": { "warm": 0 } });
    let servers = json!({
        "a": sandboxed(with(demo(), &cold), &sandbox),
        "stubborn": sandboxed(with(script(stubborn, &[]), &cold), &sandbox),
        "one": sandboxed(with(demo(), &json!({ "pool": { "mode": "shared", "max": 1 } })), &sandbox),
    });
    let mut router = Router::mounting(servers).await;
    for name in ["a", "one"] {
        let client = Client::open(&router, name).await;
        let first = pids(&router.mount(name).await);
        assert_eq!(first.len(), 1, "{name}");
        kill(first[0]);
        router.until(name, "without it", |mount| mount["last_exit"].is_string()).await;
        let is_replaced =
            |mount: &Value| mount["restarts"] == 1 && !pids(mount).is_empty() && pids(mount) != first;
        assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
        let second = pids(&router.until(name, "replaced", is_replaced).await);
        assert_eq!(field(second[0], "NoNewPrivs"), "1", "{name}");
        assert_eq!(client.leave().await, 204, "{name}");
        if name == "a" {
            eventually("its process is gone", async || (!is_running(second[0])).then_some(())).await;
        }
    }
    let client = Client::open(&router, "stubborn").await;
    let leader = pids(&router.mount("stubborn").await)[0];
    let all = descendants(leader);
    assert!(all.len() >= 2, "the server, and what it has started: {all:?}");
    assert_eq!(client.text("echo", json!({ "text": "still" })).await, "still");
    drop(client);
    router.signal(rustix::process::Signal::TERM);
    assert!(router.exit().await.success());
    assert!(!all.into_iter().chain([leader]).any(is_running), "nothing is left of it");
}

#[tokio::test]
async fn a_changed_sandbox_is_named_and_used_from_then_on() {
    let router = Router::start(json!({ "mcpServers": { "a": demo() } }), &["--no-reload"]).await;
    let client = Client::open(&router, "a").await;
    let change = async |sandbox: Value| {
        let file = json!({ "mcpServers": { "a": sandboxed(demo(), &sandbox) } });
        fs::write(router.path("servers.json"), file.to_string()).expect("it can be written");
        let answer =
            support::http_client().post(router.url("/admin/reload")).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    for (sandbox, files) in [(json!({ "files": 123 }), "123"), (json!({ "files": 124 }), "124")] {
        let (status, changed) = change(sandbox).await;
        assert_eq!(
            (status, &changed["changed"]),
            (200, &json!([{ "name": "a", "keys": ["sandbox"] }])),
            "{changed}"
        );
        let is_so = |mount: &Value| {
            let pids = pids(mount);
            let is_so = |pid: u32| {
                fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default().lines().any(|line| {
                    line.starts_with("Max open files") && line.split_whitespace().nth(3) == Some(files)
                })
            };
            !pids.is_empty() && pids.into_iter().all(is_so)
        };
        router.until("a", "in the new sandbox, its session's process too", is_so).await;
        assert_eq!(client.text("echo", json!({ "text": files })).await, files, "the session goes on");
    }
    let (status, refused) = change(json!({ "file": 1 })).await;
    assert_eq!(status, 422, "{refused}");
    let told = refused["error"]["message"].as_str().expect("a message");
    assert!(told.contains("mcpServers.a.sandbox.file: unknown key, which is not ignored here"), "{told}");
    assert_eq!(client.text("echo", json!({ "text": "on" })).await, "on");
}

#[tokio::test]
async fn a_router_whose_program_was_replaced_still_makes_sandboxes() {
    let folder = TempDir::new().expect("a directory");
    let program = folder.path().join("mcp-switchboard");
    fs::copy(BINARY, &program).expect("it can be copied");
    let file = folder.path().join("servers.json");
    let entry = sandboxed(with(demo(), &json!({ "pool": { "warm": 0 } })), &json!(true));
    fs::write(&file, json!({ "mcpServers": { "a": entry } }).to_string()).expect("it is ours");
    let mut command = Command::new(&program);
    command.args(["--port", "0", "--named-server-config"]).arg(&file).stdin(Stdio::null());
    let router = Router::started(TempDir::new().expect("a directory"), command).await;
    fs::remove_file(&program).expect("it is ours");
    let first = Client::open(&router, "a").await;
    assert_eq!(first.text("echo", json!({ "text": "none" })).await, "none");
    // What stands there now is no helper.
    fs::write(&program, "#!/bin/sh\nexit 1\n").expect("it is ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let second = Client::open(&router, "a").await;
    assert_eq!(second.text("echo", json!({ "text": "other" })).await, "other");
    for pid in pids(&router.mount("a").await) {
        assert_eq!(field(pid, "NoNewPrivs"), "1");
    }
}

#[tokio::test]
async fn a_remote_server_cannot_have_a_sandbox_and_is_not_used_without() {
    let router = Router::mounting(json!({
        "a": { "url": "http://127.0.0.1:1/mcp", "sandbox": true },
        "b": { "url": "http://127.0.0.1:1/mcp", "sandbox": false, "pool": { "warm": 0 } },
    }))
    .await;
    let status = router.mount("a").await;
    assert_eq!((&status["state"], &status["sandbox"]), (&json!("failed"), &json!(false)), "{status}");
    assert_eq!(
        status["error"],
        "`sandbox` is for a `command`: a remote server does not run here, so remove it"
    );
    assert_ne!(router.mount("b").await["state"], "failed");
}

#[tokio::test]
async fn a_program_that_names_no_helper_runs_nothing_in_a_sandbox() {
    let mut command = CommandSpec::new("true");
    command.sandbox = Some(Box::default());
    let name: ServerName = "test".parse().expect("a name");
    let tracker = TaskTracker::new();
    let launch = |helper: Option<&'static str>| Launch {
        command: &command,
        name: &name,
        marker: "test-sandbox".to_owned(),
        sandbox_helper: helper.map(Path::new),
        credentials: Arc::default(),
        pass_environment: false,
        line_limit: 1 << 20,
        kept_lines: 1,
        tracker: tracker.clone(),
    };
    assert!(matches!(Peer::spawn(launch(None)).await, Err(SpawnError::NoHelper)));
    assert!(matches!(Peer::spawn(launch(Some("/no/helper"))).await, Err(SpawnError::Helper { .. })));
    // A program that is none: it ends, or would run for ever, and says nothing of a sandbox.
    let silent = Peer::spawn(launch(Some("/bin/true"))).await;
    assert!(matches!(silent, Err(SpawnError::Sandbox { .. })), "{silent:?}");
    // The real one.
    let running = Peer::spawn(launch(Some(BINARY))).await;
    assert!(running.is_ok(), "{running:?}");
    assert_eq!(command.sandbox.as_deref(), Some(&Sandbox::default()));
}

#[test]
fn the_helper_is_not_for_people_and_every_word_behind_the_dashes_is_the_commands() {
    let run = |words: &[&str]| {
        let output = Command::new(BINARY).args(words).stdin(Stdio::null()).output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = run(&["sandboxed", "--", "/bin/echo", "echo", "hello"]);
    assert_eq!(status, Some(2));
    assert!(said.starts_with("error: this is for the router's own use"), "{said}");
    let help = Command::new(BINARY).arg("--help").output().expect("the binary runs").stdout;
    assert!(!String::from_utf8_lossy(&help).contains("sandboxed"));
    // Behind `--` it is a command like any other.
    let (status, said) = run(&["--check", "--", "sandboxed", "x"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn the_words_of_a_command_are_its_own() {
    let words = ["--", "--memory", "1", "--read", "", "a b", "sandboxed", "ä", "*"];
    let folder = TempDir::new().expect("a directory");
    let said = folder.path().join("said");
    let text = r#"to="$1"; shift; printf '%s\n' "$@" > "$to.$$"; mv "$to.$$" "$to"; exec "$0" demo-server"#;
    let mut entry = script(text, &[&said]);
    entry["args"].as_array_mut().expect("a list").extend(words.map(Value::from));
    let router = Router::mounting(json!({ "a": sandboxed(entry, &json!({ "files": 100 })) })).await;
    process(&router, "a").await;
    assert_eq!(fs::read_to_string(said).expect("it was written").lines().collect::<Vec<_>>(), words);
}
