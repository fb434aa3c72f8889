//! The bare limit: what a router on this HTTP stack can reach at best, because it does nothing that a router could leave out.
//!
//! `POST /json/<n>` writes the body to child n's stdin and answers with the line it writes back; a reader task per
//! child hands each line to the request that waits for it. `POST /events/<n>` answers with an event per line, up to the response.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use warp::http::Response;
use warp::{Filter, Reply};

/// Serves `children` echo servers on a free port of the loopback interface until it is killed.
pub(crate) async fn serve(children: usize) -> Result<()> {
    let program = std::env::current_exe()?;
    let readers = TaskTracker::new();
    let mut running = Vec::new();
    let mut pipes = Vec::new();
    for _ in 0..children {
        let (child, pipe, stdout) = spawn(&program)?;
        readers.spawn(read(pipe.clone(), stdout));
        running.push(child);
        pipes.push(pipe);
    }
    let socket = TcpSocket::new_v4()?;
    // Accepted sockets inherit it; without it an event stream takes 40 ms.
    socket.set_nodelay(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1024)?;
    announce(&format!("listening on http://{}", listener.local_addr()?))?;
    warp::serve(routes(pipes.into())).incoming(listener).run().await;
    Ok(())
}

/// One child as its requests see it.
struct Pipe {
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Mutex<VecDeque<Waiting>>,
}

/// A request that waits for what the child writes.
enum Waiting {
    /// For one line.
    Line(oneshot::Sender<Bytes>),
    /// For every line up to the response, which is marked.
    Lines(mpsc::Sender<(Bytes, bool)>),
}

fn routes(pipes: Arc<[Arc<Pipe>]>) -> impl Filter<Extract = (impl Reply,), Error = warp::Rejection> + Clone {
    let pipes = warp::any().map(move || pipes.clone());
    let json =
        warp::path!("json" / usize).and(warp::post()).and(warp::body::bytes()).and(pipes.clone()).then(
            async |child: usize, body: Bytes, pipes: Arc<[Arc<Pipe>]>| {
                let (sender, receiver) = oneshot::channel();
                pipes[child].write(&body, Waiting::Line(sender)).await;
                let line = receiver.await.unwrap_or_default();
                Response::builder().header("content-type", "application/json").body(line)
            },
        );
    let events = warp::path!("events" / usize).and(warp::post()).and(warp::body::bytes()).and(pipes).then(
        async |child: usize, body: Bytes, pipes: Arc<[Arc<Pipe>]>| {
            let (sender, receiver) = mpsc::channel(64);
            pipes[child].write(&body, Waiting::Lines(sender)).await;
            let lines = stream::unfold(Some(receiver), async |receiver| {
                let mut receiver = receiver?;
                let (line, last) = receiver.recv().await?;
                // Ends with the response itself, or the end of the body would be a wake-up and a write of its own.
                Some((Ok::<_, Infallible>(event(&line)), (!last).then_some(receiver)))
            });
            warp::reply::with_header(warp::reply::stream(lines), "content-type", "text/event-stream")
        },
    );
    json.or(events)
}

impl Pipe {
    async fn write(&self, body: &[u8], waiting: Waiting) {
        let mut line = Vec::with_capacity(body.len() + 1);
        line.extend_from_slice(body);
        line.push(b'\n');
        let mut stdin = self.stdin.lock().await;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(waiting);
        // If the child is gone, its reader ends and lets go of what waits.
        let _ = stdin.write_all(&line).await;
    }

    fn next(&self) -> Option<Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

async fn read(pipe: Arc<Pipe>, stdout: ChildStdout) {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    while let Some(line) = line(&mut stdout).await {
        match pipe.next() {
            None => {}
            Some(Waiting::Line(sender)) => drop(sender.send(line)),
            Some(Waiting::Lines(sender)) => {
                let mut next = Some(line);
                while let Some(line) = next.take() {
                    let last = line.starts_with(br#"{"jsonrpc":"2.0","id":"#);
                    if sender.send((line, last)).await.is_err() || last {
                        break;
                    }
                    next = self::line(&mut stdout).await;
                }
            }
        }
    }
    // Whoever still waits learns that nothing will come.
    while pipe.next().is_some() {}
}

async fn line(stdout: &mut BufReader<ChildStdout>) -> Option<Bytes> {
    let mut line = Vec::new();
    stdout.read_until(b'\n', &mut line).await.ok()?;
    (line.pop() == Some(b'\n')).then(|| line.into())
}

fn event(line: &Bytes) -> Bytes {
    let mut event = Vec::with_capacity(line.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(line);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn spawn(program: &Path) -> Result<(Child, Arc<Pipe>, ChildStdout)> {
    let mut child = Command::new(program)
        .arg("--echo-server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("failed to spawn the echo server")?;
    let stdin = child.stdin.take().context("no stdin")?;
    let stdout = child.stdout.take().context("no stdout")?;
    Ok((child, Arc::new(Pipe { stdin: stdin.into(), waiting: Mutex::default() }), stdout))
}

fn announce(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
