//! Echo calls of 100 bytes, a process for each session, one call in flight each; beside it the bare limit.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// Answers are one JSON body each.
pub(super) async fn json(lab: &mut Lab) -> Result<()> {
    for sessions in [1, 16, 64, 256] {
        let (router, limit) = duel(lab, Accept::Both, sessions).await?;
        let line = Line::new(format!("calls/s, sessions: {sessions}"), Unit::PerSecond);
        // The contract asks nothing of 1 and 256 sessions but their latency and growth.
        let line = if matches!(sessions, 16 | 64) { line.part_of_reference(0.70, 0.90) } else { line };
        lab.compare(&line, &router, &limit, Tally::rate);
        if sessions == 1 {
            latency(lab, &router, &limit);
        }
    }
    Ok(())
}

/// Answers are event streams of one event each: the client accepts nothing else.
pub(super) async fn streams(lab: &mut Lab) -> Result<()> {
    for sessions in [16, 64] {
        let (router, limit) = duel(lab, Accept::EventStream, sessions).await?;
        let name = format!("calls/s as event streams, sessions: {sessions}");
        let line = Line::new(name, Unit::PerSecond).part_of_reference(0.70, 0.90);
        lab.compare(&line, &router, &limit, Tally::rate);
    }
    Ok(())
}

async fn duel(lab: &Lab, accept: Accept, sessions: usize) -> Result<(Tally, Tally)> {
    let router = lab.router(&Mounts { sessions, ..Mounts::default() }).await?;
    let limit = Contestant::limit(sessions).await?;
    let mut ours = Fleet::open(&router, accept, sessions).await?;
    let mut bare = Fleet::open(&limit, accept, sessions).await?;
    let [ours, bare] = race([&mut ours, &mut bare], Call::echo(), sessions, lab.pace).await;
    router.stop().await?;
    limit.stop().await?;
    Ok((ours, bare))
}

fn latency(lab: &mut Lab, router: &Tally, limit: &Tally) {
    let seconds = |part: f64| move |tally: &Tally| tally.quantile(part) / 1e9;
    let p50 = Line::new("latency p50, one session", Unit::Micros).times_reference(1.5, 1.2);
    lab.compare(&p50, router, limit, seconds(0.50));
    lab.compare(&Line::new("latency p99, one session", Unit::Micros), router, limit, seconds(0.99));
    let spread = Line::new("p99 over p50, one session", Unit::Times).at_most(3.0, 3.0);
    lab.compare(&spread, router, limit, |tally| tally.quantile(0.99) / tally.quantile(0.50));
    for (name, part) in [("added latency p50", 0.50), ("added latency p99", 0.99)] {
        let added = seconds(part)(router) - seconds(part)(limit);
        let line = Line::new(format!("{name}, one session"), Unit::Micros);
        lab.record(&line, added);
    }
}
