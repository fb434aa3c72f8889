//! Sessions that are opened on a new connection, make one call, and are closed; beside it a client that spawns the
//! server, makes one call, and waits for its exit.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::fleet::Tally;
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// With one worker, then with eight side by side.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    for workers in [1, 8] {
        let router = lab.router(&Mounts { sessions: 256, ..Mounts::default() }).await?;
        let (mut ours, mut direct) = (Tally::default(), Tally::default());
        for _ in 0..TURNS {
            let time = lab.pace.slice * lab.pace.turns / TURNS;
            work(workers, time, &mut ours, |number| Box::pin(through(&router, number))).await;
            // What the router does behind its last DELETE is not the other one's load.
            router.settled(0).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            work(workers, time, &mut direct, |_| Box::pin(spawned(lab))).await;
        }
        router.stop().await?;
        let line =
            Line::new(format!("sessions/s beside direct spawning, workers: {workers}"), Unit::PerSecond);
        lab.compare(&line.part_of_reference(0.80, 0.95), &ours, &direct, Tally::rate);
    }
    Ok(())
}

type Life<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Lives session after session in each worker, until the time is over.
async fn work<'a>(workers: usize, time: Duration, tally: &mut Tally, life: impl Fn(usize) -> Life<'a>) {
    let begun = Instant::now();
    let life = &life;
    let lives = join_all((0..workers).map(async |worker| {
        let mut latencies = Vec::new();
        while begun.elapsed() < time {
            let born = Instant::now();
            match life(worker).await {
                Ok(()) => latencies.push(born.elapsed().as_nanos() as u64),
                Err(error) => return (latencies, Some(format!("{error:#}"))),
            }
        }
        (latencies, None)
    }));
    for (latencies, error) in lives.await {
        tally.latencies.extend(latencies);
        tally.errors.extend(error);
    }
    tally.time += begun.elapsed();
}

async fn through(router: &Contestant, number: usize) -> Result<()> {
    let mut session = router.session(Accept::Both, number).await?;
    session.call(&Call::echo()).await?;
    session.close().await
}

async fn spawned(lab: &Lab) -> Result<()> {
    let mut session = lab.direct(Duration::ZERO).await?;
    session.call(&Call::echo()).await?;
    session.close().await
}

const TURNS: u32 = 2;
