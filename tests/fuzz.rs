//! What nobody can upset: any bytes at all, given to what reads them first. Each target says what holds for all of them;
//! it is run on the inputs that are kept in `fuzz/corpus`, and then for some seconds on new ones.
//!
//! `FUZZ_SECONDS` is for how long (5), `FUZZ_SEED` where to begin (1), `FUZZ_TARGET` which one alone. For longer runs there
//! is cargo-fuzz: see `fuzz/README.md`.

#[path = "fuzz/corpus.rs"]
mod corpus;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/run.rs"]
mod run;
#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use targets::{ALL, Target};

/// The targets that are asked for.
fn chosen() -> Vec<Target> {
    let only = std::env::var("FUZZ_TARGET").ok();
    let chosen: Vec<Target> =
        ALL.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)).copied().collect();
    assert!(!chosen.is_empty(), "FUZZ_TARGET names none of the targets");
    chosen
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
    })
}

#[test]
fn what_is_kept_in_the_corpus_upsets_nobody() {
    let failures: Vec<String> = chosen().into_iter().flat_map(run::replay).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn nothing_new_upsets_anybody_for_some_seconds() {
    let time = Duration::from_secs(number("FUZZ_SECONDS", 5));
    let seed = number("FUZZ_SEED", 1);
    let runs = run::side_by_side(&chosen(), time, seed);
    for run in &runs {
        println!("{}: {} inputs", run.target, run.inputs);
        assert!(run.inputs > 0 || time.is_zero(), "{} has run", run.target);
    }
    let failures: Vec<&str> = runs.iter().filter_map(|run| run.failure.as_deref()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_target_is_one_of_cargo_fuzz_too_and_has_a_corpus_and_a_dictionary() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let expected: BTreeSet<String> = ALL.iter().map(|target| target.name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries =
            std::fs::read_dir(fuzz.join(folder)).unwrap_or_else(|error| panic!("fuzz/{folder}: {error}"));
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().with_extension("");
        entries.map(|entry| name(entry).file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    for folder in ["fuzz_targets", "corpus", "dictionaries"] {
        assert_eq!(names(folder), expected, "fuzz/{folder}");
    }
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in &expected {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no {name}");
        let inputs = corpus::read(name);
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        assert!(!corpus::dictionary(name).is_empty(), "fuzz/dictionaries/{name}.dict is empty");
    }
    let size: usize = expected.iter().flat_map(|name| corpus::read(name)).map(|(_, input)| input.len()).sum();
    assert!(size < 300 << 10, "the corpus has grown to {size} bytes: cargo fuzz cmin");
}
