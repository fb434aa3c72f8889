//! What every measure has at hand: the programs, the pace, the sheet.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::call::Call;
use crate::contestant::{Contestant, Mounts};
use crate::direct::Direct;
use crate::fleet::{Fleet, Pace, Tally, race};
use crate::session::Accept;
use crate::sheet::{Line, Reading, Sheet, Unit};

/// The laboratory.
pub(crate) struct Lab {
    /// The router's binary.
    pub(crate) router: PathBuf,
    /// Shows what the router writes to stderr.
    pub(crate) verbose: bool,
    /// How long fleets call.
    pub(crate) pace: Pace,
    /// Where readings go.
    pub(crate) sheet: Sheet,
}

impl Lab {
    /// Starts the router.
    pub(crate) async fn router(&self, mounts: &Mounts) -> Result<Contestant> {
        Contestant::router(&self.router, mounts, self.verbose).await
    }

    /// Spawns the echo server as a client would that needs no router.
    pub(crate) async fn direct(&self, delay: std::time::Duration) -> Result<Direct> {
        let args: [OsString; 2] = ["--echo-server".into(), delay.as_millis().to_string().into()];
        Direct::open(&std::env::current_exe()?, &args).await
    }

    /// Echo calls of a router with these mounts beside those of another with those: calls per second, in turns.
    pub(crate) async fn beside(
        &mut self,
        what: &str,
        floor: f64,
        ours: &Mounts,
        reference: &Mounts,
    ) -> Result<()> {
        let sessions = ours.sessions;
        let (our_router, other_router) = (self.router(ours).await?, self.router(reference).await?);
        let mut ours = Fleet::open(&our_router, Accept::Both, sessions).await?;
        let mut reference = Fleet::open(&other_router, Accept::Both, sessions).await?;
        let [ours, reference] = race([&mut ours, &mut reference], Call::echo(), sessions, self.pace).await;
        let line = Line::new(format!("{what}, calls/s, sessions: {sessions}"), Unit::PerSecond)
            .part_of_reference(floor, floor + 0.03);
        self.compare(&line, &ours, &reference, Tally::rate);
        our_router.stop().await?;
        other_router.stop().await
    }

    /// Records a figure that was taken of two tallies.
    pub(crate) fn compare(
        &mut self,
        line: &Line,
        router: &Tally,
        reference: &Tally,
        figure: impl Fn(&Tally) -> f64,
    ) {
        router.complain(&line.name);
        reference.complain(&line.name);
        let errors = router.errors.len() + reference.errors.len();
        self.sheet
            .record(line, Reading { router: figure(router), reference: Some(figure(reference)), errors });
    }

    /// Records a figure of the router alone.
    pub(crate) fn record(&mut self, line: &Line, router: f64) {
        self.sheet.record(line, Reading { router, reference: None, errors: 0 });
    }
}
