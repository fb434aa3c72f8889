//! The real binary under test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process;
use super::{eventually, within};

/// The path of the binary, which is also the demo server.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mcp-switchboard");

/// A running router. It and everything that it started end with the story.
pub(crate) struct Router {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
    directory: TempDir,
    http: reqwest::Client,
}

/// An entry of the configuration file that mounts the demo server.
pub(crate) fn demo() -> Value {
    json!({ "command": BINARY, "args": ["demo-server"] })
}

/// An entry that runs a shell script, in which `$0` is the binary and `$1`, `$2`... are `args`.
pub(crate) fn script(text: &str, args: &[&Path]) -> Value {
    let args = args.iter().map(|path| path.to_str().expect("a readable path"));
    let words: Vec<&str> = ["-c", text, BINARY].into_iter().chain(args).collect();
    json!({ "command": "sh", "args": words })
}

/// An entry with more keys than `entry` has.
pub(crate) fn with(mut entry: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object of keys") {
        entry[key] = value.clone();
    }
    entry
}

impl Router {
    /// A router with these servers.
    pub(crate) async fn mounting(servers: Value) -> Self {
        Self::start(json!({ "mcpServers": servers }), &[]).await
    }

    /// A router with a demo server, mounted as `demo`.
    pub(crate) async fn of_demo() -> Self {
        Self::mounting(json!({ "demo": demo() })).await
    }

    /// A router with a configuration file that names paths in the router's directory.
    pub(crate) async fn with_file(file: impl FnOnce(&Path) -> Value) -> Self {
        Self::with_file_and(file, &[]).await
    }

    /// The same, with these options.
    pub(crate) async fn with_file_and(file: impl FnOnce(&Path) -> Value, options: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory for the configuration");
        let file = file(directory.path());
        Self::configured(directory, &file, options).await
    }

    /// A router with this configuration file and these options; returns when it listens.
    pub(crate) async fn start(file: Value, options: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory for the configuration");
        Self::configured(directory, &file, options).await
    }

    async fn configured(directory: TempDir, file: &Value, options: &[&str]) -> Self {
        let path = directory.path().join("servers.json");
        std::fs::write(&path, file.to_string()).expect("the configuration can be written");
        let path = path.to_str().expect("a readable path").to_owned();
        let mut words = vec!["--port", "0", "--named-server-config", &path];
        words.extend_from_slice(options);
        Self::run(directory, &words).await
    }

    /// A router with this command line; returns when it listens.
    pub(crate) async fn with_options(options: &[&str]) -> Self {
        Self::run(TempDir::new().expect("a directory"), options).await
    }

    async fn run(directory: TempDir, words: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(words).stdin(Stdio::null());
        Self::started(directory, command).await
    }

    /// A router that this command starts; returns when it listens.
    pub(crate) async fn started(directory: TempDir, mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stderr.take().expect("it is piped"), log.clone());
        let (sender, first) = tokio::sync::oneshot::channel();
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = sender.send(lines.next().and_then(Result::ok));
            lines.for_each(drop);
        });
        let first = within("the router listens", first).await.ok().flatten().unwrap_or_default();
        let Some(address) = first.strip_prefix("listening on ").map(str::to_owned) else {
            panic!("the first line is {first:?}; the log: {}", log.lock().expect("no panic"))
        };
        let http = super::http_client();
        Self { child, address, log, directory, http }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A path in a directory that is there as long as the router.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The URL of a mount's Streamable HTTP.
    pub(crate) fn mcp(&self, mount: &str) -> String {
        self.url(&format!("/servers/{mount}/mcp"))
    }

    /// The URL of a mount's HTTP+SSE.
    pub(crate) fn sse(&self, mount: &str) -> String {
        self.url(&format!("/servers/{mount}/sse"))
    }

    /// GET: the status, and the body as JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = within(path, self.http.get(self.url(path)).send()).await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// `/status`.
    pub(crate) async fn status(&self) -> Value {
        self.get("/status").await.1
    }

    /// What `/status` says of a mount.
    pub(crate) async fn mount(&self, name: &str) -> Value {
        self.status().await["servers"][name].take()
    }

    /// Waits until `/status` says that of a mount, and returns what it says.
    pub(crate) async fn until(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = async || {
            last = self.mount(name).await;
            is(&last).then(|| last.clone())
        };
        eventually(&format!("{name} is {what}"), seen).await
    }

    /// Waits until the first handshake of a mount is over, its throw-away process gone, and `spares` are ready.
    pub(crate) async fn settled(&self, name: &str, spares: usize) -> Vec<u32> {
        let is = |mount: &Value| mount["state"] == "ready" && pids(mount).len() == spares;
        let mut seen = pids(&self.until(name, &format!("ready with {spares} spares"), is).await);
        // The throw-away process counts, too, until it has ended: the same ones must be there a while later.
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let again = pids(&self.until(name, &format!("ready with {spares} spares"), is).await);
            if again == seen {
                return seen;
            }
            seen = again;
        }
    }

    /// Everything that it wrote to stderr.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Waits until it has written this to stderr, and returns all that it wrote: what it writes before an answer may
    /// be read after it.
    pub(crate) async fn logs(&self, words: &str) -> String {
        let until = Instant::now() + super::PATIENCE;
        loop {
            let log = self.log();
            if log.contains(words) {
                return log;
            }
            assert!(Instant::now() < until, "{words:?} is not in the log: {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Closes its stdin, if that was piped.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        eventually("the router ends", async || self.child.try_wait().expect("it is our child")).await
    }
}

/// The process ids in a mount's part of `/status`.
pub(crate) fn pids(mount: &Value) -> Vec<u32> {
    let pids = mount["pids"].as_array().into_iter().flatten();
    pids.filter_map(|pid| u32::try_from(pid.as_u64()?).ok()).collect()
}

fn keep(mut from: impl Read + Send + 'static, to: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            to.lock().expect("no panic").push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    });
}

impl Drop for Router {
    #[expect(clippy::print_stderr, reason = "the router's log is what a failing story shows")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the router's log\n{}", self.log());
        }
        // The second signal ends it at once, and with it what it started.
        self.signal(Signal::TERM);
        self.signal(Signal::INT);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = process::descendants(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        left.into_iter().for_each(process::kill);
    }
}
