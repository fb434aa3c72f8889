//! Results of 1 and 10 MiB; beside them the bare limit. And the memory that one such message takes.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::fleet::{Fleet, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, MIB, Unit};

/// Throughput with four sessions, peak memory with one.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    for (mib, size) in [(1.0, 1 << 20), (10.0, 10 << 20)] {
        throughput(lab, mib, size).await?;
        memory(lab, mib, size).await?;
    }
    Ok(())
}

async fn throughput(lab: &mut Lab, mib: f64, size: usize) -> Result<()> {
    let router = lab.router(&Mounts::default()).await?;
    let limit = Contestant::limit(SESSIONS).await?;
    let mut ours = Fleet::open(&router, Accept::Both, SESSIONS).await?;
    let mut bare = Fleet::open(&limit, Accept::Both, SESSIONS).await?;
    let [ours, bare] = race([&mut ours, &mut bare], Call::large(size), SESSIONS, lab.pace).await;
    router.stop().await?;
    limit.stop().await?;
    let line = Line::new(format!("results of {mib} MiB"), Unit::Throughput).part_of_reference(0.80, 0.95);
    lab.compare(&line, &ours, &bare, |tally| tally.rate() * mib * MIB);
    Ok(())
}

async fn memory(lab: &mut Lab, mib: f64, size: usize) -> Result<()> {
    let router = lab.router(&Mounts::default()).await?;
    let mut fleet = Fleet::open(&router, Accept::Both, 1).await?;
    fleet.call(&Call::echo()).await?;
    let before = router.resident();
    for _ in 0..5 {
        fleet.call(&Call::large(size)).await?;
    }
    if let (Some(before), Some(peak)) = (before, router.peak()) {
        let line = Line::new(format!("memory of a message of {mib} MiB, in messages"), Unit::Times)
            .at_most(3.0, 3.0);
        lab.record(&line, peak.saturating_sub(before) as f64 / size as f64);
    }
    router.stop().await
}

const SESSIONS: usize = 4;
