//! Echo calls that are recorded in a file, beside the same calls that are not.
//!
//! Both sides are the router: what is compared is the record, so here `limit` is the way without that.

use anyhow::Result;

use crate::contestant::Mounts;
use crate::lab::Lab;

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    // What the same twice differs by, is what the machine makes of it.
    for (history, what) in [(false, "the same twice"), (true, "history")] {
        for sessions in [16, 64] {
            let mounts = Mounts { sessions, ..Mounts::default() };
            lab.beside(what, 0.92, &Mounts { history, ..mounts.clone() }, &mounts).await?;
        }
    }
    Ok(())
}
