//! Client mode beside a direct HTTP client of the same URL: what one more process on the way adds to a call.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::call::Call;
use crate::contestant::Mounts;
use crate::direct::Direct;
use crate::fleet::Tally;
use crate::lab::Lab;
use crate::memory;
use crate::session::Accept;
use crate::sheet::{Line, MIB, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let router = lab.router(&Mounts::default()).await?;
    let url = router.url();
    let mut bridge = Direct::open(&lab.router, &["--log-level", "error", &url]).await?;
    let mut direct = router.session(Accept::Both, 0).await?;
    let (mut bridged, mut straight) = (Tally::default(), Tally::default());
    let call = Call::echo();
    for turn in 0..=lab.pace.turns {
        let until = Instant::now() + lab.pace.slice;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        while Instant::now() < until {
            let begun = Instant::now();
            bridge.call(&call).await?;
            ours.push(begun.elapsed().as_nanos() as u64);
            theirs.push(direct.call(&call).await?.as_nanos() as u64);
        }
        // The first turn warms up.
        if turn > 0 {
            bridged.latencies.append(&mut ours);
            straight.latencies.append(&mut theirs);
        }
    }
    let p50 = |tally: &Tally| tally.quantile(0.50) / 1e9;
    let line = Line::new("p50 of a call through client mode, beside direct HTTP", Unit::Micros);
    lab.compare(&line, &bridged, &straight, p50);
    let added = Line::new("what client mode adds to it", Unit::Micros).at_most(200e-6, 200e-6);
    lab.record(&added, p50(&bridged) - p50(&straight));
    large(lab, &mut bridge).await?;
    bridge.close().await?;
    direct.close().await?;
    router.stop().await
}

/// The memory of a 10 MiB result on its way.
async fn large(lab: &mut Lab, bridge: &mut Direct) -> Result<()> {
    const SIZE: usize = 10 << 20;
    let Some(before) = bridge.pid().and_then(memory::peak) else { return Ok(()) };
    let begun = Instant::now();
    bridge.call(&Call::large(SIZE)).await?;
    ensure!(begun.elapsed() < Duration::from_secs(10), "a large result takes too long");
    let after = bridge.pid().and_then(memory::peak).unwrap_or(before);
    let line =
        Line::new("memory of a 10 MiB result in client mode, in messages", Unit::Times).at_most(4.0, 3.0);
    lab.record(&line, after.saturating_sub(before) as f64 / (10.0 * MIB));
    Ok(())
}
