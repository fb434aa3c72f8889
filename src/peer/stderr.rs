//! What a process says aside, drained into the log so that it never blocks.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::ChildStderr;
use tokio::time::timeout;

use super::life::Life;
use super::stdout::read_with;
use super::transcript::Transcript;

/// How long the last words are read after the end of the ladder: somebody else may hold stderr open.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Reads stderr to its end, or until the process and all that was left of it are gone.
pub(super) async fn drain(mut pipe: ChildStderr, mut transcript: Transcript, life: Arc<Life>) {
    let ended_first = tokio::select! {
        biased;
        () = read(&mut pipe, &mut transcript) => true,
        () = life.gone.cancelled() => false,
    };
    if !ended_first {
        let _ = timeout(LAST_WORDS, read(&mut pipe, &mut transcript)).await;
    }
    transcript.finish();
    life.silent.cancel();
}

async fn read(pipe: &mut ChildStderr, transcript: &mut Transcript) {
    while let Ok(1..) = read_with(pipe, |bytes| transcript.feed(bytes)).await {
        // One read of a flood, then the others' turn.
        tokio::task::yield_now().await;
    }
}
