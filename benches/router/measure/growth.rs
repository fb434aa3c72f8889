//! What a call costs among many idle sessions and among many mounts, over what it costs alone: two routers in turn.
//! Beside the sessions, how much dearer the bare limit's calls get among as many children: that is the machine's part.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Reading, Unit};

/// The median latency of one calling session.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    sessions(lab).await?;
    mounts(lab).await
}

async fn sessions(lab: &mut Lab) -> Result<()> {
    let small = lab.router(&Mounts::default()).await?;
    let big = lab.router(&Mounts { sessions: SESSIONS, ..Mounts::default() }).await?;
    let (bare_small, bare_big) = (Contestant::limit(1).await?, Contestant::limit(SESSIONS).await?);
    let mut alone = Fleet::open(&small, Accept::Both, 1).await?;
    let mut crowd = Fleet::open(&big, Accept::Both, SESSIONS).await?;
    alone.listen().await?;
    crowd.listen().await?;
    let mut bare_alone = Fleet::open(&bare_small, Accept::Both, 1).await?;
    let mut bare_crowd = Fleet::open(&bare_big, Accept::Both, SESSIONS).await?;
    let fleets = [&mut alone, &mut crowd, &mut bare_alone, &mut bare_crowd];
    let [alone, crowd, bare_alone, bare_crowd] = race(fleets, Call::echo(), 1, lab.pace).await;
    for contestant in [small, big, bare_small, bare_big] {
        contestant.stop().await?;
    }
    let reference = Some(growth(&bare_alone, &bare_crowd));
    record(
        lab,
        &format!("sessions: 1 to {SESSIONS}"),
        growth(&alone, &crowd),
        reference,
        &[alone, crowd, bare_alone, bare_crowd],
    );
    Ok(())
}

async fn mounts(lab: &mut Lab) -> Result<()> {
    let small = lab.router(&Mounts::default()).await?;
    let big = lab.router(&Mounts { count: MOUNTS, ..Mounts::default() }).await?;
    let mut alone = Fleet::open(&small, Accept::Both, 1).await?;
    let mut crowd = Fleet::open(&big, Accept::Both, 1).await?;
    let [alone, crowd] = race([&mut alone, &mut crowd], Call::echo(), 1, lab.pace).await;
    small.stop().await?;
    big.stop().await?;
    record(lab, &format!("mounts: 1 to {MOUNTS}"), growth(&alone, &crowd), None, &[alone, crowd]);
    Ok(())
}

fn growth(alone: &Tally, crowd: &Tally) -> f64 {
    crowd.quantile(0.50) / alone.quantile(0.50) - 1.0
}

fn record(lab: &mut Lab, name: &str, router: f64, reference: Option<f64>, tallies: &[Tally]) {
    let line = Line::new(format!("growth of a call's cost, {name}"), Unit::Growth).at_most(0.15, 0.05);
    for tally in tallies {
        tally.complain(&line.name);
    }
    let errors = tallies.iter().map(|tally| tally.errors.len()).sum();
    lab.sheet.record(&line, Reading { router, reference, errors });
}

/// The second router's sessions, all but one of them idle.
const SESSIONS: usize = 500;
/// The second router's mounts, all but one of them never started.
const MOUNTS: usize = 1000;
