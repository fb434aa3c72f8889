//! A hundred servers of fifty tools each behind one endpoint: how soon it listens, how fast it lists what it knows, what it
//! holds, and what a call through it costs beside the same call at the server's own mount.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::call::{Call, ECHO};
use crate::contestant::{Contestant, Mounts, Place};
use crate::fleet::{Fleet, Tally, race_each};
use crate::lab::Lab;
use crate::session::{Era, Session};
use crate::sheet::{Line, MIB, Unit};

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let mounts = Mounts { count: MOUNTS, all_warm: true, tools: TOOLS, ..Mounts::default() };
    let router = lab.router(&mounts).await?;
    let start = Line::new(format!("start to listening, mounts: {MOUNTS}"), Unit::Millis).at_most(0.1, 0.1);
    lab.record(&start, router.started.as_secs_f64());
    router.settled(MOUNTS).await?;
    for era in ERAS {
        let mut client = router.visitor(&everything(), era, 0).await?;
        let first = known(&mut client).await?;
        lab.record(
            &Line::new(format!("first whole tools/list, {}", who(era)), Unit::Millis),
            first.as_secs_f64(),
        );
        lists(lab, &mut client, era).await?;
    }
    sleep(CALM).await;
    if let Some(resident) = router.resident() {
        let line = Line::new(format!("memory with {MOUNTS} x {TOOLS} tools listed"), Unit::Megabytes);
        lab.record(&line.at_most(40.0 * MIB, 40.0 * MIB), resident as f64);
    }
    for era in ERAS {
        for clients in [1, 16] {
            calls(lab, &router, era, clients).await?;
        }
    }
    router.stop().await
}

/// Asks until nothing is missing any more, and says what the last, whole answer took.
async fn known(client: &mut Session) -> Result<Duration> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (time, tools, _) = whole(client).await?;
        if tools == MOUNTS * TOOLS {
            return Ok(time);
        }
        ensure!(Instant::now() < deadline, "{tools} tools of {}", MOUNTS * TOOLS);
        sleep(CALM).await;
    }
}

/// All pages: what they took, their tools, and their number.
async fn whole(client: &mut Session) -> Result<(Duration, usize, usize)> {
    let (mut time, mut tools, mut pages, mut cursor) = (Duration::ZERO, 0, 0, None);
    loop {
        let (taken, page) = client.list(cursor.as_deref()).await?;
        time += taken;
        tools += page.tools;
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            return Ok((time, tools, pages));
        }
    }
}

async fn lists(lab: &mut Lab, client: &mut Session, era: Era) -> Result<()> {
    let (mut first, mut all) = (Tally::default(), Tally::default());
    for _ in 0..LISTS {
        let (time, page) = client.list(None).await?;
        ensure!(page.tools > TOOLS && page.next.is_some(), "a first page of {} tools", page.tools);
        first.latencies.push(time.as_nanos() as u64);
    }
    for _ in 0..LISTS / 5 {
        let (time, tools, _) = whole(client).await?;
        ensure!(tools == MOUNTS * TOOLS, "{tools} tools of {}", MOUNTS * TOOLS);
        all.latencies.push(time.as_nanos() as u64);
    }
    let p50 = |tally: &Tally| tally.quantile(0.50) / 1e9;
    let line = Line::new(format!("tools/list p50, first page, {}", who(era)), Unit::Millis);
    lab.record(&line.at_most(2e-3, 2e-3), p50(&first));
    lab.record(&Line::new(format!("tools/list p50, all pages, {}", who(era)), Unit::Millis), p50(&all));
    Ok(())
}

/// Here `limit` is the same call at the server's own mount.
async fn calls(lab: &mut Lab, router: &Contestant, era: Era, clients: usize) -> Result<()> {
    let own = Place { path: "/servers/echo/mcp".to_owned(), tool: ECHO.to_owned() };
    let all = everything();
    let mut through = Fleet::at(router, &all, era, clients).await?;
    let mut direct = Fleet::at(router, &own, era, clients).await?;
    let call = |place: &Place| Arc::new(Call::echo_as(&place.tool));
    let fleets = [(&mut through, call(&all)), (&mut direct, call(&own))];
    let [through, direct] = race_each(fleets, clients, lab.pace).await;
    let name = |what: &str| format!("{what} through the aggregate, {}: {clients}", who(era));
    lab.compare(&Line::new(name("calls/s"), Unit::PerSecond), &through, &direct, Tally::rate);
    let p50 = Line::new(name("p50 of a call"), Unit::Micros);
    lab.compare(&p50, &through, &direct, |tally| tally.quantile(0.50) / 1e9);
    Ok(())
}

/// The endpoint of all servers.
fn everything() -> Place {
    Place { path: "/mcp".to_owned(), tool: format!("echo__{ECHO}") }
}

fn who(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy clients",
        Era::Modern => "modern clients",
    }
}

const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];
const MOUNTS: usize = 100;
const TOOLS: usize = 50;
/// First pages that are asked for in a round.
const LISTS: usize = 60;
/// Until servers that have just started have said what they offer.
const PATIENCE: Duration = Duration::from_secs(20);
const CALM: Duration = Duration::from_millis(200);
