//! Echo calls across the eras, beside the same calls where client and server speak the same one.
//!
//! Both sides go through the router: what is compared is the translation, so here `limit` is the way without it.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::Mounts;
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Era::{Legacy, Modern};
use crate::sheet::{Line, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    for clients in [1, 16, 200] {
        let mounts = Mounts { sessions: 2 * clients, eras: true, ..Mounts::default() };
        let router = lab.router(&mounts).await?;
        // Modern clients share processes, so both sides have the same server to wait for.
        let mut bridged = Fleet::of(&router, "legacy", Modern, clients).await?;
        let mut straight = Fleet::of(&router, "modern", Modern, clients).await?;
        let [ours, reference] = race([&mut bridged, &mut straight], Call::echo(), clients, lab.pace).await;
        record(lab, "modern clients, legacy server", clients, &ours, &reference);
        // Each legacy client has a process of its own.
        if clients <= 16 {
            let mut bridged = Fleet::of(&router, "modern", Legacy, clients).await?;
            let mut straight = Fleet::of(&router, "legacy", Legacy, clients).await?;
            let [ours, reference] =
                race([&mut bridged, &mut straight], Call::echo(), clients, lab.pace).await;
            record(lab, "legacy clients, modern server", clients, &ours, &reference);
        }
        router.stop().await?;
    }
    Ok(())
}

fn record(lab: &mut Lab, who: &str, clients: usize, ours: &Tally, reference: &Tally) {
    let line = Line::new(format!("bridged calls/s, {who}: {clients}"), Unit::PerSecond)
        .part_of_reference(0.70, 0.90);
    lab.compare(&line, ours, reference, Tally::rate);
}
