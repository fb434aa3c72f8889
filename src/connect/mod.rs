//! Client mode: a mount served on two pipes, as a stdio server is.
//!
//! To the mount the program on the other end is a client like any other: a legacy one has a session with one stream for
//! everything, and each request of a modern one stands alone. Both may come over the same pipes. Nothing but messages is
//! ever written; two threads read and write, so that the pipes may be of any kind.

mod desk;
mod pipes;

use crate::mount::Mount;
use desk::Desk;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Calls in flight when the input ends have this long to finish.
const GRACE: Duration = Duration::from_secs(10);

/// Messages between the pipes and us.
const QUEUE: usize = 8;

/// What a line may be.
#[derive(Clone, Copy, Debug)]
pub struct LineLimits {
    /// Bytes.
    pub length: usize,
    /// Deepest nesting.
    pub depth: usize,
}

/// Serves `mount` to the program behind `input` and `output`, until the input ends, nobody reads the output any more, or
/// `stop`; calls in flight at the end of the input may finish. The mount goes on.
pub async fn connect(
    mount: Arc<Mount>,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    limits: LineLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let (found, mut lines) = mpsc::channel(QUEUE);
    let (out, waiting) = mpsc::channel(QUEUE);
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || pipes::read(input, limits.length, &found))?;
    let writer =
        std::thread::Builder::new().name("stdout".into()).spawn(move || pipes::write(output, waiting))?;
    let desk = Desk::new(mount, limits, out.clone());
    loop {
        let next = async {
            desk.catch_up().await;
            lines.recv().await
        };
        let line = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = desk.lost.cancelled() => break,
            () = out.closed() => break,
            line = next => line,
        };
        let Some(line) = line else { break };
        tokio::select! {
            () = stop.cancelled() => break,
            () = desk.take(line) => {}
        }
    }
    let nobody_reads = out.is_closed();
    drop(out);
    let lost = desk.lost.is_cancelled();
    desk.leave(!lost && !nobody_reads).await;
    drop(desk);
    // It ends once everything is written, or nobody reads; a reader that stands still is not waited for.
    let written = tokio::task::spawn_blocking(move || writer.join());
    let _ = tokio::time::timeout(GRACE, written).await;
    if lost {
        return Err(io::Error::other("the session with the server has ended: start this program again"));
    }
    Ok(())
}
