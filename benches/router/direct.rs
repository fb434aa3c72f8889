//! A session without any router: the client spawns the server itself and speaks to it over its pipes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::call::{Answer, Call};

/// A server of one's own.
pub(crate) struct Direct {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Direct {
    /// Spawns the server and shakes hands.
    pub(crate) async fn open(program: &Path, args: &[impl AsRef<OsStr>]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to spawn the server")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut session = Self { child, stdin, stdout, line: Vec::new() };
        session.stdin.write_all(INITIALIZE).await?;
        session.read().await?;
        ensure!(memchr::memmem::find(&session.line, br#""protocolVersion":"#).is_some(), "no handshake");
        session.stdin.write_all(INITIALIZED).await?;
        Ok(session)
    }

    /// Makes one call and checks its answer.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<()> {
        let mut request = Vec::new();
        call.write(1, crate::session::Era::Legacy, &mut request);
        request.push(b'\n');
        self.stdin.write_all(&request).await?;
        let mut answer = Answer::new(call, 1);
        for _ in 0..=call.notes() {
            self.read().await?;
            answer.message(&self.line);
        }
        answer.check()
    }

    /// The server's process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Closes stdin and waits for the server to exit.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        ensure!(child.wait().await?.success(), "the server failed");
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        self.line.clear();
        ensure!(self.stdout.read_until(b'\n', &mut self.line).await? > 0, "the server ended early");
        Ok(())
    }
}

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}
"#;
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}
"#;
