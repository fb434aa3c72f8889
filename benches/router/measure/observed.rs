//! Echo calls of which everything is counted and measured, beside the same calls with metrics switched off.
//!
//! Both sides are the router: what is compared is what is counted, so here `limit` is the way without that.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (metrics, what) in [(false, "the same twice"), (true, "metrics")] {
        for sessions in [1, 16, 64] {
            let mounts = Mounts { sessions, metrics: false, ..Mounts::default() };
            let observed = lab.router(&Mounts { metrics, ..mounts.clone() }).await?;
            let silent = lab.router(&mounts).await?;
            let mut ours = Fleet::open(&observed, Accept::Both, sessions).await?;
            let mut reference = Fleet::open(&silent, Accept::Both, sessions).await?;
            let [ours, reference] = race([&mut ours, &mut reference], Call::echo(), sessions, lab.pace).await;
            let name = format!("{what}, calls/s, sessions: {sessions}");
            let line = Line::new(name, Unit::PerSecond).part_of_reference(0.95, 0.98);
            lab.compare(&line, &ours, &reference, Tally::rate);
            observed.stop().await?;
            silent.stop().await?;
        }
    }
    Ok(())
}
