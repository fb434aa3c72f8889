//! Calls that report progress 500 times each, all of it in order on the request's own stream; beside it the bare limit.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// Events per second that arrived, with four sessions.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let router = lab.router(&Mounts::default()).await?;
    let limit = Contestant::limit(SESSIONS).await?;
    // The router may answer in either kind; notes before the result make it a stream.
    let mut ours = Fleet::open(&router, Accept::Both, SESSIONS).await?;
    let mut bare = Fleet::open(&limit, Accept::EventStream, SESSIONS).await?;
    let [ours, bare] = race([&mut ours, &mut bare], Call::progress(NOTES), SESSIONS, lab.pace).await;
    router.stop().await?;
    limit.stop().await?;
    let line = Line::new("progress events/s, all in order", Unit::PerSecond).at_least(150e3, 300e3);
    lab.compare(&line, &ours, &bare, |tally: &Tally| tally.rate() * NOTES as f64);
    Ok(())
}

const SESSIONS: usize = 4;
const NOTES: u64 = 500;
