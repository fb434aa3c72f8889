//! Echo calls of who shows a key, by rules and within limits, beside the same calls where everybody may everything.
//!
//! Both sides are the router: what is compared is what is asked and counted, so here `limit` is the way without that.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Door, Mounts};
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (door, what, floor) in [
        (Door::Open, "the same twice", 0.95),
        (Door::Keyed, "keys and rules", 0.95),
        (Door::Limited, "limits, too", 0.90),
    ] {
        for sessions in [16, 64] {
            let mounts = Mounts { sessions, ..Mounts::default() };
            let guarded = lab.router(&Mounts { door, ..mounts.clone() }).await?;
            let open = lab.router(&mounts).await?;
            let mut ours = Fleet::open(&guarded, Accept::Both, sessions).await?;
            let mut reference = Fleet::open(&open, Accept::Both, sessions).await?;
            let [ours, reference] = race([&mut ours, &mut reference], Call::echo(), sessions, lab.pace).await;
            let name = format!("{what}, calls/s, sessions: {sessions}");
            let line = Line::new(name, Unit::PerSecond).part_of_reference(floor, floor + 0.03);
            lab.compare(&line, &ours, &reference, Tally::rate);
            guarded.stop().await?;
            open.stop().await?;
        }
    }
    Ok(())
}
