//! Echo calls that are recorded in a file, beside the same calls that are not.
//!
//! Both sides are the router: what is compared is the record, so here `limit` is the way without that.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (history, what) in [(false, "the same twice"), (true, "history")] {
        for sessions in [16, 64] {
            let mounts = Mounts { sessions, ..Mounts::default() };
            let recorded = lab.router(&Mounts { history, ..mounts.clone() }).await?;
            let plain = lab.router(&mounts).await?;
            let mut ours = Fleet::open(&recorded, Accept::Both, sessions).await?;
            let mut reference = Fleet::open(&plain, Accept::Both, sessions).await?;
            let [ours, reference] = race([&mut ours, &mut reference], Call::echo(), sessions, lab.pace).await;
            let name = format!("{what}, calls/s, sessions: {sessions}");
            let line = Line::new(name, Unit::PerSecond).part_of_reference(0.92, 0.95);
            lab.compare(&line, &ours, &reference, Tally::rate);
            recorded.stop().await?;
            plain.stop().await?;
        }
    }
    Ok(())
}
