//! A running process that is measured: the router with a configuration, or the bare limit.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::ClientConfig;

use crate::call::ECHO;
use crate::certificate;
use crate::connection::{Address, Connection};
use crate::memory;
use crate::session::{Accept, Era, Session};

/// A server process of this benchmark's own.
pub(crate) struct Contestant {
    child: Child,
    address: Address,
    kind: Kind,
    guarded: bool,
    /// What it took from its start until it said where it listens.
    pub(crate) started: Duration,
    /// Reads what the process goes on to print: one line per mount.
    _stdout: JoinSet<()>,
    /// Holds the configuration.
    _directory: Option<TempDir>,
}

/// What a router is asked to mount, all of it the echo server.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the router's own")]
#[derive(Clone, Debug)]
pub(crate) struct Mounts {
    /// Mounts; the first is called `echo`.
    pub(crate) count: usize,
    /// `pool.warm` of the first, or of all if `all_warm`.
    pub(crate) warm: usize,
    /// The other mounts are warm like the first; otherwise they never start.
    pub(crate) all_warm: bool,
    /// Sessions that must fit.
    pub(crate) sessions: usize,
    /// What the server takes to start.
    pub(crate) delay: Duration,
    /// Tools that each server offers.
    pub(crate) tools: usize,
    /// Two more mounts, `legacy` and `modern`, of servers that are said to speak one era only.
    pub(crate) eras: bool,
    /// Whom it lets in, and how.
    pub(crate) door: Door,
    /// It measures its requests.
    pub(crate) metrics: bool,
    /// Calls are recorded.
    pub(crate) history: bool,
    /// Who is told of each call.
    pub(crate) told: Told,
}

/// Who is told of each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nobody but the counters.
    Nobody,
    /// An access log, in a file.
    AccessLog,
    /// A collector of traces at this URL, of all of them.
    Collector(String),
    /// Both.
    Both(String),
}

/// Whom a router lets in, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody.
    Open,
    /// Everybody, over TLS.
    Encrypted,
    /// Only who shows a key, by rules.
    Keyed,
    /// The same, within limits that are never reached.
    Limited,
}

/// Where the echo server is called.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The path of the endpoint.
    pub(crate) path: String,
    /// What its tool is called there.
    pub(crate) tool: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Router,
    Limit,
}

impl Default for Mounts {
    fn default() -> Self {
        Self {
            count: 1,
            warm: 1,
            all_warm: false,
            sessions: 64,
            delay: Duration::ZERO,
            tools: 0,
            eras: false,
            door: Door::Open,
            metrics: true,
            history: false,
            told: Told::Nobody,
        }
    }
}

impl Contestant {
    /// Starts the router and waits until it listens.
    pub(crate) async fn router(program: &Path, mounts: &Mounts, verbose: bool) -> Result<Self> {
        let directory = TempDir::new()?;
        let file = directory.path().join("servers.json");
        let mut written = mounts.file()?;
        written["metrics"] = json!(mounts.metrics);
        let tls =
            (mounts.door == Door::Encrypted).then(|| certificate::write(directory.path())).transpose()?;
        if tls.is_some() {
            written["tls"] = json!({ "cert": certificate::CERT, "key": certificate::KEY });
        }
        if mounts.history {
            written["history"] = json!({ "file": directory.path().join("history.db") });
        }
        std::fs::write(&file, written.to_string())?;
        let mut command = Command::new(program);
        command.args(["--port", "0", "--log-level", "error", "--named-server-config"]).arg(&file);
        let router = Self::start(command, Kind::Router, Some(directory), tls, verbose).await?;
        Ok(Self { guarded: mounts.door.wants_key(), ..router })
    }

    /// Starts the bare limit over so many children and waits until it listens.
    pub(crate) async fn limit(children: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--limit").arg(children.to_string());
        Self::start(command, Kind::Limit, None, None, true).await
    }

    async fn start(
        mut command: Command,
        kind: Kind,
        directory: Option<TempDir>,
        tls: Option<Arc<ClientConfig>>,
        verbose: bool,
    ) -> Result<Self> {
        let stderr = if verbose { Stdio::inherit() } else { Stdio::null() };
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start the {kind:?}"))?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let first = timeout(START, lines.next_line()).await.context("it prints nothing")??;
        let started = begun.elapsed();
        let first = first.with_context(|| format!("the {kind:?} ended at once"))?;
        let address = first.strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let address = address.and_then(|(_, address)| address.parse().ok());
        let mut stdout = JoinSet::new();
        stdout.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = address.with_context(|| format!("no address in {first:?}"))?;
        let address = Address { socket: address, tls };
        Ok(Self { child, address, kind, guarded: false, started, _stdout: stdout, _directory: directory })
    }

    /// Opens the session of this number: with a handshake at the router, without one at the limit.
    pub(crate) async fn session(&self, accept: Accept, number: usize) -> Result<Session> {
        let ids = number as u64;
        match (self.kind, accept) {
            (Kind::Router, _) => {
                let more =
                    if self.guarded { format!("authorization: Bearer {KEY}\r\n") } else { String::new() };
                Session::saying(&self.address, MOUNT, accept, ids, &more).await
            }
            (Kind::Limit, Accept::Both) => {
                Session::bare(&self.address, &format!("/json/{number}"), accept, ids).await
            }
            (Kind::Limit, Accept::EventStream) => {
                Session::bare(&self.address, &format!("/events/{number}"), accept, ids).await
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The URL of the first mount.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{MOUNT}", self.address)
    }

    /// Opens the session of this number on a mount, for a client of one era.
    pub(crate) async fn client(&self, mount: &str, era: Era, number: usize) -> Result<Session> {
        self.visitor(&Place { path: format!("/servers/{mount}/mcp"), tool: ECHO.to_owned() }, era, number)
            .await
    }

    /// Opens the session of this number somewhere, for a client of one era.
    pub(crate) async fn visitor(&self, place: &Place, era: Era, number: usize) -> Result<Session> {
        match era {
            Era::Legacy => Session::open(&self.address, &place.path, Accept::Both, number as u64).await,
            Era::Modern => Session::stateless(&self.address, place, number as u64).await,
        }
    }

    /// Waits until the router has left its start behind and keeps at least so many processes.
    pub(crate) async fn settled(&self, processes: usize) -> Result<()> {
        let deadline = Instant::now() + START;
        let mut seen = Value::Null;
        while Instant::now() < deadline {
            seen = self.status().await?;
            let servers = seen["servers"].as_object().context("no servers in /status")?;
            let ready = servers.values().all(|server| server["state"] != "starting");
            let running: usize =
                servers.values().filter_map(|server| Some(server["pids"].as_array()?.len())).sum();
            if ready && running >= processes {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("the router does not come to rest: {seen}")
    }

    /// Bytes of memory that the process holds now, if this system tells.
    pub(crate) fn resident(&self) -> Option<u64> {
        memory::resident(self.child.id()?)
    }

    /// Bytes of memory that the process held at most, if this system tells.
    pub(crate) fn peak(&self) -> Option<u64> {
        memory::peak(self.child.id()?)
    }

    /// Ends the process, in good order where there is one.
    pub(crate) async fn stop(mut self) -> Result<()> {
        #[cfg(unix)]
        if self.kind == Kind::Router {
            let id = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?));
            rustix::process::kill_process(id.context("it ended by itself")?, rustix::process::Signal::TERM)?;
            let status = timeout(STOP, self.child.wait()).await.context("it does not stop")??;
            if !status.success() {
                bail!("it stopped with {status}");
            }
        }
        Ok(self.child.kill().await?)
    }

    async fn status(&self) -> Result<Value> {
        let mut connection = Connection::open(&self.address).await?;
        let request =
            format!("GET /status HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n\r\n", self.address);
        let head = connection.request(request.as_bytes()).await?;
        let mut body = Vec::new();
        connection.body(head.framing, |piece| body.extend_from_slice(piece)).await?;
        serde_json::from_slice(&body).context("/status is not JSON")
    }
}

impl Door {
    fn wants_key(self) -> bool {
        matches!(self, Self::Keyed | Self::Limited)
    }
}

impl Mounts {
    fn file(&self) -> Result<Value> {
        let program: PathBuf = std::env::current_exe()?;
        let delay = self.delay.as_millis().to_string();
        let entry = |warm: usize| {
            json!({
                "command": program,
                "args": ["--echo-server", delay, "--tools", self.tools.to_string()],
                "pool": { "warm": warm, "max": self.sessions + self.warm + 8 },
            })
        };
        let others = if self.all_warm { self.warm } else { 0 };
        let mut servers = serde_json::Map::new();
        servers.insert("echo".to_owned(), entry(self.warm));
        servers.extend((1..self.count).map(|number| (format!("other-{number}"), entry(others))));
        for era in ["legacy", "modern"].into_iter().filter(|_| self.eras) {
            let mut one = entry(self.warm);
            one["era"] = json!(era);
            servers.insert(era.to_owned(), one);
        }
        let mut file = json!({ "limits": { "processes": 4096, "connections": 8192 } });
        if self.door.wants_key() {
            let plenty = json!({ "callsPerMinute": 1_000_000, "burst": 1_000_000, "concurrent": 100_000 });
            let tokens: Vec<Value> = (0..50)
                .map(|n| json!({ "name": format!("key-{n}"), "token": format!("{KEY}{n}") }))
                .collect();
            let own = json!([{ "name": "bench", "token": KEY, "groups": ["load"] }]);
            let tokens: Vec<Value> =
                tokens.into_iter().chain(own.as_array().into_iter().flatten().cloned()).collect();
            let mut rules = json!([
                { "who": ["group:load"], "servers": ["ech*"], "tools": { "allow": ["echo__*"] } },
                { "who": ["*"], "servers": ["other-*"], "tools": { "deny": ["*__drop_*"] } },
            ]);
            if self.door == Door::Limited {
                rules[0]["limits"] = plenty.clone();
                servers["echo"]["limits"] = plenty;
            }
            file["auth"] = json!({ "tokens": tokens, "rules": rules });
        }
        if matches!(self.told, Told::AccessLog | Told::Both(_)) {
            file["accessLog"] = json!("access.log");
        }
        if let Told::Collector(url) | Told::Both(url) = &self.told {
            file["traces"] = json!({ "endpoint": url });
        }
        file["mcpServers"] = servers.into();
        Ok(file)
    }
}

/// The path of the first mount.
const MOUNT: &str = "/servers/echo/mcp";
/// The key of whoever calls a guarded router.
const KEY: &str = "a-key-of-nobody-but-this-benchmark";
/// Longest time from the start of a process to its address, and from there to rest.
const START: Duration = Duration::from_secs(20);
/// Longest time from the signal to the exit.
const STOP: Duration = Duration::from_secs(20);
