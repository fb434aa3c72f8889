//! What a call costs among many idle sessions and among many mounts, over what it costs alone: two routers in turn.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::{Fleet, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Reading, Unit};

/// The median latency of one calling session.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let alone = Mounts::default();
    let crowded = Mounts { sessions: SESSIONS, ..Mounts::default() };
    grow(lab, &format!("sessions: 1 to {SESSIONS}"), &alone, &crowded, SESSIONS).await?;
    let mounts = Mounts { count: MOUNTS, ..Mounts::default() };
    grow(lab, &format!("mounts: 1 to {MOUNTS}"), &alone, &mounts, 1).await
}

async fn grow(lab: &mut Lab, name: &str, small: &Mounts, big: &Mounts, sessions: usize) -> Result<()> {
    let (small, big) = (lab.router(small).await?, lab.router(big).await?);
    let mut alone = Fleet::open(&small, Accept::Both, 1).await?;
    let mut crowd = Fleet::open(&big, Accept::Both, sessions).await?;
    alone.listen().await?;
    crowd.listen().await?;
    let [alone, crowd] = race([&mut alone, &mut crowd], Call::echo(), 1, lab.pace).await;
    small.stop().await?;
    big.stop().await?;
    let growth = crowd.quantile(0.50) / alone.quantile(0.50) - 1.0;
    let line = Line::new(format!("growth of a call's cost, {name}"), Unit::Growth).at_most(0.15, 0.05);
    let errors = crowd.errors.len() + alone.errors.len();
    alone.complain(&line.name);
    crowd.complain(&line.name);
    lab.sheet.record(&line, Reading { router: growth, reference: None, errors });
    Ok(())
}

/// The second router's sessions, all but one of them idle.
const SESSIONS: usize = 500;
/// The second router's mounts, all but one of them never started.
const MOUNTS: usize = 1000;
