//! The real binary, started and ended as its users do.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// A running router.
pub(crate) struct Router {
    child: Child,
    /// Where it listens: `http://HOST:PORT`.
    pub(crate) address: String,
    folder: TempDir,
    output: TaskTracker,
}

impl Router {
    /// Starts the router with the servers of `mounts`, an object as under `mcpServers`, and more `options`.
    pub(crate) async fn serving(mounts: &Value, options: &[&str]) -> Self {
        Self::configured(&json!({ "mcpServers": mounts }), options).await
    }

    /// Starts the router with this configuration file, and more `options`.
    pub(crate) async fn configured(file: &Value, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("servers.json");
        fs::write(&config, file.to_string()).expect("the folder is writable");
        let log = fs::File::create(folder.path().join(LOG)).expect("the folder is writable");
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
            .arg("--named-server-config")
            .arg(&config)
            .args(if options.contains(&"--port") { &[][..] } else { &["--port", "0"] })
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the router starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let output = TaskTracker::new();
        let mut router = Self { child, address: String::new(), folder, output };
        let first = timeout(PATIENCE, lines.next_line()).await.expect("the router listens in time");
        let first = first.expect("its stdout is text").unwrap_or_default();
        let address = first.strip_prefix("listening on ");
        router.address =
            address.unwrap_or_else(|| panic!("the first line is {first:?}; {}", router.log())).to_owned();
        // Read on, so that the router never writes into a closed pipe.
        router.output.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        router
    }

    /// Ends the router as a supervisor does: it must end well and leave no process behind.
    pub(crate) async fn close(mut self) {
        let id = self.child.id().expect("the router still runs");
        let processes = descendants(id);
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("the router can be signalled");
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the router ends in time");
        let status = status.expect("the router can be waited for");
        assert!(status.success(), "{status}; {}", self.log());
        let left: Vec<_> = processes.into_iter().filter(Process::lives).collect();
        assert!(left.is_empty(), "processes left behind: {left:?}; {}", self.log());
        self.output.close();
        self.output.wait().await;
    }

    /// The last lines that it logged, with a heading.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the end of the router's log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }
}

/// A process, told from a later one with the same id by the time it started at.
#[derive(Debug, PartialEq)]
struct Process {
    id: u32,
    parent: u32,
    started: String,
}

impl Process {
    /// The process `id` from `/proc`, unless it is gone or only waits for its parent to take note of its end.
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, started) = (*fields.first()?, fields.get(1)?.parse().ok()?, fields.get(19)?);
        (state != "Z").then(|| Self { id, parent, started: (*started).to_owned() })
    }

    fn lives(&self) -> bool {
        Self::read(self.id).is_some_and(|now| now.started == self.started)
    }
}

/// The children of the process `root`, and theirs; none where there is no `/proc`.
fn descendants(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut others: Vec<Process> =
        entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect();
    let mut found: Vec<Process> = Vec::new();
    loop {
        let is_known = |parent| parent == root || found.iter().any(|process| process.id == parent);
        let (mut more, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|process| is_known(process.parent));
        if more.is_empty() {
            return found;
        }
        found.append(&mut more);
        others = rest;
    }
}

const LOG: &str = "router.log";

/// How long anything may take before it counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
