//! Running targets, and telling what made one panic.

use crate::corpus;
use crate::mutate::Source;
use crate::targets::Target;
use crate::targets::choice::Choice;
use std::cell::RefCell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

/// The oracle is recursive, and goes as deep as the scanner may.
const STACK: usize = 64 << 20;

/// A failing input is made smaller for this long.
const SHRINKING: Duration = Duration::from_secs(10);

/// What came of a run.
pub(crate) struct Run {
    pub(crate) target: &'static str,
    pub(crate) inputs: u64,
    pub(crate) failure: Option<String>,
}

/// Runs a target on the inputs that are kept of it; what fails is told.
pub(crate) fn replay(target: Target) -> Vec<String> {
    let failures = move || {
        let told = |(path, input): (PathBuf, Vec<u8>)| {
            panics(target, &input).map(|message| format!("{}: {message}", path.display()))
        };
        corpus::read(target.name).into_iter().filter_map(told).collect()
    };
    thread(target, failures).join().expect("panics are caught")
}

/// Runs each target on new inputs, all of them for the same time.
pub(crate) fn side_by_side(targets: &[Target], time: Duration, seed: u64) -> Vec<Run> {
    let until = Instant::now() + time;
    let lanes = targets.iter().flat_map(|target| (0..target.lanes).map(move |lane| (*target, lane)));
    let start = |(target, lane)| thread(target, move || fuzz(target, until, seed, lane));
    let threads: Vec<_> = lanes.map(start).collect();
    let mut runs: Vec<Run> = Vec::with_capacity(targets.len());
    for thread in threads {
        let run = thread.join().expect("panics are caught");
        match runs.last_mut().filter(|last| last.target == run.target) {
            Some(last) => {
                last.inputs += run.inputs;
                last.failure = last.failure.take().or(run.failure);
            }
            None => runs.push(run),
        }
    }
    runs
}

fn fuzz(target: Target, until: Instant, seed: u64, lane: u64) -> Run {
    let known = corpus::read(target.name).into_iter().map(|(_, input)| input).collect();
    // Not the same inputs for all of them.
    let begin = Choice::of(target.name.as_bytes()).next() ^ Choice::seeded(lane).next() ^ seed;
    let mut source = Source::new(begin, known, corpus::dictionary(target.name));
    let mut run = Run { target: target.name, inputs: 0, failure: None };
    while Instant::now() < until {
        let input = source.next();
        run.inputs += 1;
        if let Some(message) = panics(target, &input) {
            run.failure = Some(tell(target, &input, &message, run.inputs, seed));
            break;
        }
    }
    run
}

/// The failure with an input that can be kept: in a file, and as text.
fn tell(target: Target, input: &[u8], message: &str, count: u64, seed: u64) -> String {
    let small = shrink(target, input);
    let message = panics(target, &small).unwrap_or_else(|| message.to_owned());
    let name = format!("{}-{:016x}", target.name, Choice::of(&small).next());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let kept = match std::fs::write(&path, &small) {
        Ok(()) => format!("cp {} fuzz/corpus/{}/", path.display(), target.name),
        Err(error) => format!("it cannot be written to {}: {error}", path.display()),
    };
    let mut text = format!("{}: {message}\n", target.name);
    let _ = writeln!(text, "  with the input b\"{}\",", small.escape_ascii());
    let _ = writeln!(text, "  which came as number {count} with FUZZ_SEED={seed}. To keep it:\n  {kept}");
    text
}

/// A smaller input with which it still panics.
fn shrink(target: Target, input: &[u8]) -> Vec<u8> {
    let until = Instant::now() + SHRINKING;
    let mut small = input.to_vec();
    let mut step = small.len();
    while step > 0 && Instant::now() < until {
        let mut at = 0;
        while at < small.len() && Instant::now() < until {
            let end = (at + step).min(small.len());
            let without = [&small[..at], &small[end..]].concat();
            if panics(target, &without).is_some() {
                small = without;
            } else {
                at = end;
            }
        }
        step /= 2;
    }
    small
}

thread_local! {
    /// What the last panic of this thread said, if it is one that runs a target.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a target says if it panics.
fn panics(target: Target, input: &[u8]) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_some_and(|name| name.starts_with(THREAD)) {
                SAID.set(Some(panic.to_string()));
            } else {
                other(panic);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).err().map(|_| SAID.take().unwrap_or_default())
}

const THREAD: &str = "fuzz ";

fn thread<T: Send + 'static>(
    target: Target,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let thread = std::thread::Builder::new().name(format!("{THREAD}{}", target.name)).stack_size(STACK);
    thread.spawn(run).expect("a thread can be had")
}
