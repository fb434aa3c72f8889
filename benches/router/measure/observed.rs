//! Echo calls of which everything is counted and measured, beside the same calls with metrics switched off.
//!
//! Both sides are the router: what is compared is what is counted, so here `limit` is the way without that.

use anyhow::Result;

use crate::contestant::Mounts;
use crate::lab::Lab;

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (metrics, what) in [(false, "the same twice"), (true, "metrics")] {
        for sessions in [1, 16, 64] {
            let mounts = Mounts { sessions, metrics: false, ..Mounts::default() };
            lab.beside(what, 0.95, &Mounts { metrics, ..mounts.clone() }, &mounts).await?;
        }
    }
    Ok(())
}
