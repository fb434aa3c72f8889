//! The life of a server process, told with real ones.
#![cfg(unix)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp_switchboard::config::{CommandSpec, ServerName};
use mcp_switchboard::peer::{Cause, Exit, Launch, Listener, Peer, SendError, SpawnError};
use mcp_switchboard::wire::line::Line;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Longest time that anything here may take on a busy machine.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn lines_go_in_and_come_out_in_order() {
    let (peer, mut heard) = listening("exec cat").await;
    for number in 0..100 {
        peer.send(number.to_string().into()).expect("the process reads");
    }
    for number in 0..100 {
        assert_eq!(heard.line().await, number.to_string());
    }
    peer.stop();
    assert_eq!(heard.exit().await, Exit { cause: Cause::Code(0), asked: true });
    within(peer.gone()).await;
    assert_eq!(peer.send("late".into()), Err(SendError::Closed));
}

#[tokio::test]
async fn what_was_said_before_anybody_listened_is_heard_even_from_a_dead_process() {
    let peer = spawn("echo early; exit 3").await;
    let exit = within(peer.exited()).await;
    assert_eq!(exit.to_string(), "exited with status 3");
    assert!(!exit.asked);
    within(peer.gone()).await;
    let mut heard = Heard::attach(&peer);
    assert_eq!(heard.line().await, "early");
    assert_eq!(heard.exit().await, exit);
}

#[tokio::test]
async fn a_killed_process_is_told_within_a_second() {
    let (peer, mut heard) = listening("echo up; exec sleep 1000").await;
    assert_eq!(heard.line().await, "up");
    let started = Instant::now();
    signal("KILL", peer.pid().unwrap());
    let exit = heard.exit().await;
    assert_eq!(exit.to_string(), "was killed by signal 9 (SIGKILL)");
    assert!(!exit.asked);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_open_does_not_hide_the_exit() {
    let (peer, mut heard) = listening("sleep 1000 & echo $!; exit 4").await;
    let grandchild = heard.pid().await;
    let started = Instant::now();
    assert_eq!(heard.exit().await, Exit { cause: Cause::Code(4), asked: false });
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(runs(grandchild), "what was left behind is given the ladder's time too");
    within(peer.gone()).await;
    assert!(!runs(grandchild));
}

#[tokio::test]
async fn closing_stdout_and_living_on_is_a_death_within_a_second() {
    let (peer, mut heard) = listening("echo last; exec >&-; sleep 1000 & wait").await;
    assert_eq!(heard.line().await, "last");
    let started = Instant::now();
    assert_eq!(heard.exit().await, Exit { cause: Cause::ClosedStdout, asked: false });
    assert!(started.elapsed() < Duration::from_millis(1500));
    assert_eq!(peer.send("late".into()), Err(SendError::Closed));
    peer.kill();
    within(peer.gone()).await;
    assert!(!runs(peer.pid().unwrap()));
}

#[tokio::test]
async fn the_ladder_ends_what_ignores_its_first_steps() {
    let (peer, mut heard) = listening("trap '' TERM; sleep 1000 & echo $!; while :; do wait; done").await;
    let grandchild = heard.pid().await;
    let started = Instant::now();
    peer.stop();
    assert_eq!(heard.exit().await, Exit { cause: Cause::Signal(9), asked: true });
    assert!(started.elapsed() >= Duration::from_secs(8), "{:?}", started.elapsed());
    within(peer.gone()).await;
    assert!(!runs(grandchild));
}

#[tokio::test]
async fn a_stopped_process_hears_the_request_to_end() {
    let (peer, mut heard) = listening("trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done").await;
    assert_eq!(heard.line().await, "up");
    signal("STOP", peer.pid().unwrap());
    peer.stop();
    assert_eq!(heard.exit().await, Exit { cause: Cause::Code(7), asked: true });
    within(peer.gone()).await;
}

#[tokio::test]
async fn a_second_word_ends_the_ladder_at_once() {
    let (peer, mut heard) = listening("trap '' TERM; echo up; while :; do sleep 0.1; done").await;
    assert_eq!(heard.line().await, "up");
    peer.stop();
    let started = Instant::now();
    peer.kill();
    assert_eq!(heard.exit().await, Exit { cause: Cause::Signal(9), asked: true });
    within(peer.gone()).await;
    // The ladder alone takes eight seconds; how busy the machine is must not count.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_process_and_ends_its_tasks() {
    let tracker = TaskTracker::new();
    let peer = launch(&shell("exec cat"), &tracker).await.expect("sh runs");
    let pid = peer.pid().unwrap();
    drop(peer);
    tracker.close();
    within(tracker.wait()).await;
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_process_that_does_not_read_fills_its_queue_and_then_gets_all_of_it() {
    let (peer, mut heard) = listening("echo up; exec cat").await;
    assert_eq!(heard.line().await, "up");
    signal("STOP", peer.pid().unwrap());
    let message = Bytes::from(vec![b'x'; 1 << 20]);
    let mut accepted = 0;
    while peer.send(message.clone()).is_ok() {
        accepted += 1;
        assert!(accepted < 10, "the queue is bounded");
    }
    assert_eq!(peer.send(message.clone()), Err(SendError::Full));
    signal("CONT", peer.pid().unwrap());
    within(peer.room(message.len())).await;
    peer.send(message.clone()).expect("there is room");
    for _ in 0..=accepted {
        assert_eq!(heard.line().await.len(), message.len());
    }
}

#[tokio::test]
async fn what_waits_is_written_before_stdin_is_closed() {
    let (peer, mut heard) = listening("echo up; exec cat").await;
    assert_eq!(heard.line().await, "up");
    signal("STOP", peer.pid().unwrap());
    for _ in 0..3 {
        peer.send(vec![b'x'; 100_000].into()).expect("there is room");
    }
    peer.stop();
    assert_eq!(peer.send("late".into()), Err(SendError::Closed));
    signal("CONT", peer.pid().unwrap());
    for _ in 0..3 {
        assert_eq!(heard.line().await.len(), 100_000);
    }
    assert_eq!(heard.exit().await, Exit { cause: Cause::Code(0), asked: true });
}

#[tokio::test]
async fn a_flood_on_stderr_blocks_nobody() {
    let flood = "head -c 1000000 /dev/zero >&2; i=0; while [ $i -lt 5000 ]; do echo noise >&2; i=$((i+1)); done; echo done";
    let (_peer, mut heard) = listening(flood).await;
    assert_eq!(heard.line().await, "done");
}

#[tokio::test]
async fn a_flood_on_stdout_leaves_the_runtime_to_others() {
    // One worker for all, as `#[tokio::test]` has it: if the reader did not yield, nothing here would go on.
    let counted = Arc::new(AtomicUsize::new(0));
    let peer = spawn("exec yes").await;
    peer.attach(Arc::new(Counting(Arc::clone(&counted))));
    while counted.load(Ordering::Relaxed) < 100_000 {
        tokio::task::yield_now().await;
    }
    peer.kill();
    within(peer.gone()).await;
}

#[tokio::test]
async fn only_the_safe_environment_is_inherited_and_the_marker_is_there() {
    let mut command = shell("env");
    command.env.insert("GIVEN".into(), "value with = and spaces".into());
    let peer = launch(&command, &TaskTracker::new()).await.expect("sh runs");
    let mut heard = Heard::attach(&peer);
    let mut names = Vec::new();
    while let Some(line) = heard.next().await {
        let (name, value) = line.split_once('=').expect("name and value");
        match name {
            "GIVEN" => assert_eq!(value, "value with = and spaces"),
            "MCP_SWITCHBOARD_SESSION" => assert!(value.starts_with("test-")),
            _ => {}
        }
        names.push(name.to_owned());
    }
    assert!(["GIVEN", "MCP_SWITCHBOARD_SESSION", "PATH"].iter().all(|name| names.iter().any(|n| n == name)));
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_what_to_do() {
    let refused = async |command: CommandSpec| {
        launch(&command, &TaskTracker::new())
            .await
            .map(|peer| peer.pid().unwrap())
            .expect_err("it cannot be started")
    };
    let error = refused(CommandSpec::new("no-such-program-anywhere")).await;
    assert!(matches!(error, SpawnError::NotInPath { .. }), "{error}");
    let error = refused(CommandSpec::new("/no/such/program")).await;
    assert_eq!(error.to_string(), "the program /no/such/program does not exist");
    let mut command = shell("true");
    command.cwd = Some("/no/such/directory".into());
    assert_eq!(refused(command).await.to_string(), "the directory /no/such/directory does not exist");
}

/// Counts lines.
struct Counting(Arc<AtomicUsize>);

impl Listener for Counting {
    fn line(&self, _: Line) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn exited(&self, _: &Exit) {}
}

/// What a listener heard, in order.
struct Heard(mpsc::Receiver<Event>);

enum Event {
    Line(String),
    Exit(Exit),
}

struct Telling(mpsc::Sender<Event>);

impl Listener for Telling {
    fn line(&self, line: Line) {
        let Line::Whole(line) = line else { panic!("no line here is too long") };
        let text = String::from_utf8(line.to_vec()).expect("text");
        self.0.try_send(Event::Line(text)).expect("the test listens");
    }

    fn exited(&self, exit: &Exit) {
        self.0.try_send(Event::Exit(*exit)).expect("told once, and the test listens");
    }
}

impl Heard {
    fn attach(peer: &Peer) -> Self {
        let (teller, heard) = mpsc::channel(1024);
        peer.attach(Arc::new(Telling(teller)));
        Self(heard)
    }

    /// The next line, or `None` for the exit.
    async fn next(&mut self) -> Option<String> {
        match within(self.0.recv()).await.expect("the reader lives") {
            Event::Line(line) => Some(line),
            Event::Exit(_) => None,
        }
    }

    async fn line(&mut self) -> String {
        self.next().await.expect("a line comes before the exit")
    }

    async fn pid(&mut self) -> u32 {
        self.line().await.parse().expect("a process id")
    }

    /// The exit, which is the next event and the last.
    async fn exit(&mut self) -> Exit {
        let Some(Event::Exit(exit)) = within(self.0.recv()).await else { panic!("the exit comes next") };
        assert!(within(self.0.recv()).await.is_none(), "the exit comes last");
        exit
    }
}

fn shell(script: &str) -> CommandSpec {
    let mut command = CommandSpec::new("sh");
    command.args = vec!["-c".into(), script.into()];
    command
}

async fn listening(script: &str) -> (Peer, Heard) {
    let peer = spawn(script).await;
    let heard = Heard::attach(&peer);
    (peer, heard)
}

async fn spawn(script: &str) -> Peer {
    launch(&shell(script), &TaskTracker::new()).await.expect("sh runs")
}

async fn launch(command: &CommandSpec, tracker: &TaskTracker) -> Result<Peer, SpawnError> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name: ServerName = "test".parse().expect("a name");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let launch = Launch {
        command,
        name: &name,
        marker: format!("test-{}-{count}", std::process::id()),
        sandbox_helper: None,
        credentials: Arc::default(),
        pass_environment: false,
        line_limit: 8 << 20,
        kept_lines: 1,
        tracker: tracker.clone(),
    };
    within(Peer::spawn(launch)).await
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.expect("it does not take that long")
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("sh runs");
    assert!(status.success());
}

/// Whether the process exists and has not ended.
fn runs(pid: u32) -> bool {
    let state =
        Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps runs").stdout;
    !state.is_empty() && state[0] != b'Z'
}
