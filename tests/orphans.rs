//! What escapes its process group is still ended with its session. Alone in its file: a subreaper waits for every
//! child that it did not start as a server.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::Duration;

use mcp_switchboard::config::{CommandSpec, ServerName};
use mcp_switchboard::peer::{Exit, Launch, Listener, Peer, orphans};
use mcp_switchboard::wire::line::Line;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest time that anything here may take on a busy machine.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_escapee_ends_with_its_session_and_a_stranger_does_not() {
    orphans::become_subreaper().expect("Linux has subreapers");
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    tracker.spawn(orphans::reap_until(stop.clone()));

    // Both leave the group and lose their parent; one has the marker of nobody's session.
    let script = "setsid sleep 1000 & setsid sleep 1001 & echo $! $(MCP_SWITCHBOARD_SESSION=other setsid sleep 1002 >/dev/null & echo $!); exec cat";
    let (peer, mut lines) = spawn("session", script, &tracker).await;
    let (other, _lines) = spawn("live", "setsid sleep 1003 & echo $!; exec cat", &tracker).await;
    let said = within(lines.recv()).await.expect("a line");
    let (escapee, stranger) = said.split_once(' ').expect("two process ids");
    assert!(runs(escapee) && runs(stranger));

    peer.stop();
    within(peer.gone()).await;
    assert!(!runs(escapee), "it carries the marker of a session that has ended");
    assert!(runs(stranger), "it carries another marker");

    // A stranger is waited for when it ends by itself: no zombie stays.
    let pid = rustix::process::Pid::from_raw(stranger.parse().expect("a number")).expect("not zero");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    within(async {
        while exists(stranger) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;

    other.stop();
    within(other.gone()).await;
    stop.cancel();
    drop((peer, other));
    tracker.close();
    within(tracker.wait()).await;
    assert_eq!(children(), "", "nothing is left, not even a zombie");
}

struct Lines(mpsc::Sender<String>);

impl Listener for Lines {
    fn line(&self, line: Line) {
        if let Line::Whole(line) = line {
            let _ = self.0.try_send(String::from_utf8_lossy(&line).into_owned());
        }
    }

    fn exited(&self, _: &Exit) {}
}

async fn spawn(marker: &str, script: &str, tracker: &TaskTracker) -> (Peer, mpsc::Receiver<String>) {
    let mut command = CommandSpec::new("sh");
    command.args = vec!["-c".into(), script.into()];
    let name: ServerName = "test".parse().expect("a name");
    let launch = Launch {
        command: &command,
        name: &name,
        marker: format!("orphans-{}-{marker}", std::process::id()),
        sandbox_helper: None,
        credentials: Arc::default(),
        pass_environment: false,
        line_limit: 1 << 20,
        kept_lines: 1,
        tracker: tracker.clone(),
    };
    let peer = Peer::spawn(launch).await.expect("sh runs");
    let (teller, lines) = mpsc::channel(16);
    peer.attach(Arc::new(Lines(teller)));
    (peer, lines)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.expect("it does not take that long")
}

fn exists(pid: &str) -> bool {
    std::fs::exists(format!("/proc/{pid}")).expect("/proc can be read")
}

/// Whether the process exists and has not ended.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The process ids of all children of this process.
fn children() -> String {
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc can be read");
    threads
        .map(|thread| {
            std::fs::read_to_string(thread.expect("a thread").path().join("children")).unwrap_or_default()
        })
        .collect()
}
