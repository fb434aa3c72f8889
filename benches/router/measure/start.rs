//! The first result of a new session with a server that takes half a second to start; beside it spawning directly.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::Tally;
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// From connecting to the result, with processes kept warm.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let router = lab.router(&Mounts { warm: SESSIONS, delay: DELAY, ..Mounts::default() }).await?;
    router.settled(SESSIONS).await?;
    // The youngest spare may have been spawned a moment ago.
    tokio::time::sleep(DELAY + DELAY / 5).await;
    let (mut ours, mut direct) = (Tally::default(), Tally::default());
    let mut open = Vec::new();
    for number in 0..SESSIONS {
        let begun = Instant::now();
        let mut session = router.session(Accept::Both, number).await?;
        session.call(&Call::echo()).await?;
        ours.latencies.push(begun.elapsed().as_nanos() as u64);
        open.push(session);
    }
    router.stop().await?;
    let begun = Instant::now();
    let mut session = lab.direct(DELAY).await?;
    session.call(&Call::echo()).await?;
    direct.latencies.push(begun.elapsed().as_nanos() as u64);
    session.close().await?;
    let line = Line::new("first result beside direct spawning, server takes 500 ms to start", Unit::Millis)
        .at_most(2e-3, 1e-3);
    lab.compare(&line, &ours, &direct, |tally| tally.quantile(0.50) / 1e9);
    Ok(())
}

const DELAY: Duration = Duration::from_millis(500);
/// As many as there are spares, so that none has to wait for a start.
const SESSIONS: usize = 6;
