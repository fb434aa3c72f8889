//! Echo calls of who shows a key, by rules and within limits, beside the same calls where everybody may everything.
//!
//! Both sides are the router: what is compared is what is asked and counted, so here `limit` is the way without that.

use anyhow::Result;

use crate::contestant::{Door, Mounts};
use crate::lab::Lab;

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (door, what, floor) in [
        (Door::Open, "the same twice", 0.95),
        (Door::Keyed, "keys and rules", 0.95),
        (Door::Limited, "limits, too", 0.90),
    ] {
        for sessions in [16, 64] {
            let mounts = Mounts { sessions, ..Mounts::default() };
            lab.beside(what, floor, &Mounts { door, ..mounts.clone() }, &mounts).await?;
        }
    }
    Ok(())
}
