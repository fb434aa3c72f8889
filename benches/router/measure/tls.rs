//! What TLS costs: calls over it beside calls in the clear, each client with one connection that stays open.
//!
//! The load generator encrypts and decrypts as much as the router does, on the cores that they share.

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Door, Mounts};
use crate::fleet::{Fleet, Tally, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// Calls per second and latency.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    for sessions in [1, 16] {
        let mounts = Mounts { sessions, ..Mounts::default() };
        let plain = lab.router(&mounts).await?;
        let encrypted = lab.router(&Mounts { door: Door::Encrypted, ..mounts }).await?;
        let mut in_the_clear = Fleet::open(&plain, Accept::Both, sessions).await?;
        let mut over_tls = Fleet::open(&encrypted, Accept::Both, sessions).await?;
        let fleets = [&mut over_tls, &mut in_the_clear];
        let [over_tls, in_the_clear] = race(fleets, Call::echo(), sessions, lab.pace).await;
        plain.stop().await?;
        encrypted.stop().await?;
        let line =
            Line::new(format!("calls/s over TLS, beside the clear, sessions: {sessions}"), Unit::PerSecond);
        lab.compare(&line, &over_tls, &in_the_clear, Tally::rate);
        if sessions == 1 {
            let line = Line::new("latency p50 over TLS, beside the clear", Unit::Micros);
            lab.compare(&line, &over_tls, &in_the_clear, |tally| tally.quantile(0.50) / 1e9);
        }
    }
    Ok(())
}
