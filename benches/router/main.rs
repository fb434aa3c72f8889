//! Measures the router beside the bare limit, in one interleaved run on the loopback interface, and prints ratios.
//!
//! `cargo bench` runs all of it; `cargo bench -- --rounds 3 --only calls,start` a part; `cargo bench -- --help` says more.
//! A round takes every measure once. A figure is the median over the rounds, a ratio the median of the ratios inside
//! the rounds: on a machine with other work a single round proves nothing. Every answer is checked (its id, its size,
//! its order), and a line with wrong or missing answers is marked.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table on stdout is what this program is for"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times of a few minutes fit, and figures are rounded for people"
)]

mod call;
mod certificate;
mod connection;
mod contestant;
mod direct;
mod echo;
mod fleet;
mod lab;
mod limit;
mod measure;
mod memory;
mod session;
mod sheet;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tokio::time::timeout;

use crate::fleet::Pace;
use crate::lab::Lab;
use crate::measure::Measure;
use crate::sheet::Sheet;

/// Measures the router beside the bare limit on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --")]
struct Options {
    /// Rounds; fewer than five prove little
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measures to take, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = Measure::value_variants().to_vec())]
    only: Vec<Measure>,
    /// Milliseconds that one side calls before it is the other one's turn
    #[arg(long, default_value_t = 125)]
    slice: u64,
    /// Turns of each side in a round; an even number lets both begin equally often
    #[arg(long, default_value_t = 6)]
    turns: u32,
    /// Another binary of the router than the one built beside this benchmark
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_mcp-switchboard"))]
    router: PathBuf,
    /// Show what the router writes to stderr
    #[arg(long)]
    verbose: bool,
    /// What `cargo bench` adds and `cargo test` does not
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the stdio server that all contestants use; its first line is read after so many milliseconds
    #[arg(long, hide = true, value_name = "MILLISECONDS", num_args = 0..=1, default_missing_value = "0")]
    echo_server: Option<u64>,
    /// Tools that this server offers
    #[arg(long, hide = true, value_name = "COUNT", default_value_t = 0)]
    tools: usize,
    /// Be the bare limit over so many children
    #[arg(long, hide = true, value_name = "CHILDREN")]
    limit: Option<usize>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(delay) = options.echo_server {
        echo::serve(Duration::from_millis(delay), options.tools)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(children) = options.limit {
        tokio::runtime::Runtime::new()?.block_on(limit::serve(children))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !options.bench {
        println!("run by `cargo bench`, not as a test");
        return Ok(ExitCode::SUCCESS);
    }
    raise_descriptors();
    // One thread: a load generator that spreads over all cores takes them from what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(run(&options)))
}

async fn run(options: &Options) -> ExitCode {
    let pace = Pace { slice: Duration::from_millis(options.slice), turns: options.turns.max(1) };
    let mut lab =
        Lab { router: options.router.clone(), verbose: options.verbose, pace, sheet: Sheet::default() };
    let begun = Instant::now();
    let mut failures = 0;
    for round in 1..=options.rounds {
        for measure in &options.only {
            eprintln!("round {round} of {}: {measure}, {:.0?}", options.rounds, begun.elapsed());
            // A router that falls silent must not keep the table from being printed.
            let taken =
                timeout(PATIENCE, measure.take(&mut lab)).await.map_err(anyhow::Error::from).flatten();
            if let Err(error) = taken {
                eprintln!("{measure} failed: {error:#}");
                failures += 1;
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{}", lab.sheet);
    println!(
        "{cores} cores, {}-{}, rounds: {}, {} turns of {} ms a side in each; {:.0?}. Ratios compare within a round.",
        std::env::consts::OS,
        std::env::consts::ARCH,
        options.rounds,
        pace.turns,
        options.slice,
        begun.elapsed()
    );
    let errors = lab.sheet.errors();
    if errors + failures == 0 {
        return ExitCode::SUCCESS;
    }
    println!(
        "{errors} wrong or missing answers, {failures} measures not taken: these figures prove nothing."
    );
    ExitCode::FAILURE
}

/// Hundreds of sessions need more descriptors than many systems give at first; children inherit what is raised here.
fn raise_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Where it is refused, the measures with many sessions say so themselves.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Longest time that one measure may take in one round.
const PATIENCE: Duration = Duration::from_mins(3);
