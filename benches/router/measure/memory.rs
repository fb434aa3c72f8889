//! The router's own memory: at rest, and what an idle session with its GET stream adds.

use std::time::Duration;

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::Fleet;
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// Resident memory, of the router's process alone.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    rest(lab).await?;
    sessions(lab).await
}

async fn rest(lab: &mut Lab) -> Result<()> {
    let router = lab.router(&Mounts { count: 10, all_warm: true, ..Mounts::default() }).await?;
    router.settled(10).await?;
    tokio::time::sleep(CALM).await;
    if let Some(resident) = router.resident() {
        let line = Line::new("memory at rest, mounts: 10", Unit::Megabytes).at_most(16e6, 10e6);
        lab.record(&line, resident as f64);
    }
    router.stop().await
}

async fn sessions(lab: &mut Lab) -> Result<()> {
    let router = lab.router(&Mounts { sessions: SESSIONS + 1, ..Mounts::default() }).await?;
    let mut first = Fleet::open(&router, Accept::Both, 1).await?;
    first.call(&Call::echo()).await?;
    tokio::time::sleep(CALM).await;
    let before = router.resident();
    let mut idle = Fleet::open(&router, Accept::Both, SESSIONS).await?;
    idle.listen().await?;
    tokio::time::sleep(CALM).await;
    if let (Some(before), Some(after)) = (before, router.resident()) {
        let line =
            Line::new("memory of an idle session with its stream", Unit::Kilobytes).at_most(40e3, 20e3);
        lab.record(&line, after.saturating_sub(before) as f64 / SESSIONS as f64);
    }
    router.stop().await
}

const SESSIONS: usize = 200;
/// Until what was freed at the end of a start is free.
const CALM: Duration = Duration::from_millis(200);
