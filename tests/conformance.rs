//! The official conformance suites, run through the router against a server of ours in three postures.
//!
//! A server of both eras is passed through; one that speaks a single era is bridged for the suite of the other. The server
//! is `tests/conformance/fixture`, the suites are installed on first use, see `support/toolbox.rs`.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]
#![allow(clippy::print_stdout, reason = "what the suites found is what a failing story shows")]

#[path = "conformance/client_mode.rs"]
mod client_mode;
#[path = "interop/router.rs"]
mod router;
#[allow(dead_code, reason = "the interoperability tests use the rest")]
#[path = "support/toolbox.rs"]
mod toolbox;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use router::{PATIENCE, Router};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// A suite at a revision, and how many scenarios it has: fewer would mean that something was not run.
struct Suite {
    package: &'static str,
    revision: Option<&'static str>,
    scenarios: usize,
}

/// A scenario that fails, and why it must.
struct Expected {
    posture: &'static str,
    revision: &'static str,
    scenario: &'static str,
    check: &'static str,
    reason: &'static str,
}

const SUITES: [Suite; 3] = [
    Suite { package: "conformance-0.2", revision: Some("2025-11-25"), scenarios: 33 },
    Suite { package: "conformance-0.2", revision: Some("2026-07-28"), scenarios: 40 },
    // Every scenario that there is, at the revision that it belongs to.
    Suite { package: "conformance-0.1", revision: None, scenarios: 32 },
];

const EXPECTED: [Expected; 1] = [Expected {
    posture: "legacy",
    revision: "2026-07-28",
    scenario: "input-required-result-basic-elicitation",
    check: "sep-2322-elicitation-incomplete",
    reason: "it wants the key `user_name`; a legacy server's question has no key, so the router must choose one",
}];

#[tokio::test]
async fn a_server_of_both_eras_passes_the_suites_of_both() {
    passes("dual").await;
}

#[tokio::test]
async fn a_server_that_only_knows_initialize_passes_the_suite_of_the_stateless_revision() {
    passes("legacy").await;
}

#[tokio::test]
async fn a_server_that_only_knows_the_stateless_revision_passes_the_suites_of_initialize() {
    passes("modern").await;
}

#[tokio::test]
async fn a_server_of_both_eras_behind_two_routers_passes_the_suites_of_both() {
    passes_behind_two_routers("dual", &SUITES[..2]).await;
}

#[tokio::test]
async fn a_server_of_one_era_behind_two_routers_passes_the_suite_of_the_other() {
    passes_behind_two_routers("modern", &SUITES[..1]).await;
    passes_behind_two_routers("legacy", &SUITES[1..2]).await;
}

#[tokio::test]
async fn a_server_of_both_eras_behind_the_aggregate_passes_the_suites_of_both() {
    passes_behind_the_aggregate("dual", &SUITES).await;
}

#[tokio::test]
async fn a_server_of_one_era_behind_the_aggregate_passes_the_suite_of_the_other() {
    passes_behind_the_aggregate("modern", &SUITES[..1]).await;
    passes_behind_the_aggregate("legacy", &SUITES).await;
}

/// The suites call tools by the names that they know, so names do not say the server.
async fn passes_behind_the_aggregate(posture: &str, suites: &[Suite]) {
    let Some((packages, fixture)) = installed(posture) else { return };
    let file = json!({ "mcpServers": { posture: fixture }, "aggregate": { "prefix": "never" } });
    let router = Router::configured(&file, &[]).await;
    judge_at(&format!("{}/mcp", router.address), posture, &packages, suites, &router).await;
    router.close().await;
}

async fn passes(posture: &str) {
    let Some((packages, fixture)) = installed(posture) else { return };
    let router = Router::serving(&json!({ posture: fixture }), &[]).await;
    judge(posture, &packages, &SUITES, &router).await;
    router.close().await;
}

async fn passes_behind_two_routers(posture: &str, suites: &[Suite]) {
    let Some((packages, fixture)) = installed(posture) else { return };
    let far = Router::serving(&json!({ posture: fixture }), &[]).await;
    let url = format!("{}/servers/{posture}/mcp", far.address);
    let router = Router::serving(&json!({ posture: { "url": url } }), &[]).await;
    judge(posture, &packages, suites, &router).await;
    router.close().await;
    far.close().await;
}

/// The suites, and the server that they judge, in the words of the configuration file.
fn installed(posture: &str) -> Option<(PathBuf, Value)> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let tools =
        toolbox::node_packages("conformance", &recipe).and_then(|node| Ok((node, toolbox::python()?)));
    let (packages, python) = toolbox::or_skip(tools)?;
    let fixture = json!({ "command": python, "args": ["-m", "fixture", "--posture", posture], "cwd": recipe,
        "env": { "PYTHONDONTWRITEBYTECODE": "1" } });
    Some((packages, fixture))
}

/// Lets the suites judge the mount of `router` that is called as the posture is.
async fn judge(posture: &str, packages: &Path, suites: &[Suite], router: &Router) {
    let url = format!("{}/servers/{posture}/mcp", router.address);
    judge_at(&url, posture, packages, suites, router).await;
}

async fn judge_at(url: &str, posture: &str, packages: &Path, suites: &[Suite], router: &Router) {
    for suite in suites {
        let outcome = run(packages, suite, url).await;
        let expected: BTreeSet<&str> = expected(posture, suite).map(|expected| expected.scenario).collect();
        let failed: BTreeSet<&str> = outcome.failed.iter().map(String::as_str).collect();
        let name = format!("{posture} server, {} {}", suite.package, suite.revision.unwrap_or("all"));
        println!("{name}: {} of {} scenarios pass", outcome.passed, outcome.passed + failed.len());
        let told = || format!("{name}\n{}\n{}", outcome.details, router.log());
        assert_eq!(failed, expected, "what fails, and what is expected to; {}", told());
        assert_eq!(outcome.passed + failed.len(), suite.scenarios, "{}", told());
        for one in self::expected(posture, suite) {
            println!("  {} fails as expected: {}", one.scenario, one.reason);
            assert_eq!(outcome.checks, [one.check], "only what is named may fail; {}", told());
        }
    }
}

fn expected(posture: &str, suite: &Suite) -> impl Iterator<Item = &'static Expected> {
    EXPECTED.iter().filter(move |one| one.posture == posture && Some(one.revision) == suite.revision)
}

/// What a suite has found.
struct Outcome {
    passed: usize,
    /// Names of scenarios.
    failed: Vec<String>,
    /// Ids of the checks in them that failed.
    checks: Vec<String>,
    /// What the checks say, for a failing story.
    details: String,
}

async fn run(packages: &Path, suite: &Suite, url: &str) -> Outcome {
    let results = tempfile::tempdir().expect("a temporary folder");
    let modules = packages.join("node_modules");
    let mut command = Command::new(modules.join(".bin/node"));
    command
        .arg(modules.join(suite.package).join("dist/index.js"))
        .args(["server", "--suite", "all", "--url", url, "-o"])
        .arg(results.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(revision) = suite.revision {
        command.args(["--spec-version", revision, "--timeout", "40000"]);
    }
    let ended = timeout(PATIENCE * 4, command.output()).await.expect("the suite ends in time");
    let ended = ended.expect("the suite starts");
    let said =
        [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let scenarios = |mark: char| {
        let named = said.lines().filter_map(move |line| line.strip_prefix(mark)?.trim().split(':').next());
        named.map(str::to_owned).collect::<Vec<_>>()
    };
    let failures = failures(results.path());
    let show = |check: &Value| format!("{}: {} {}", check["id"], check["errorMessage"], check["details"]);
    let details = failures.iter().map(show).collect::<Vec<_>>().join("\n");
    let checks = failures.iter().filter_map(|check| check["id"].as_str().map(str::to_owned)).collect();
    let (passed, failed) = (scenarios('✓').len(), scenarios('✗'));
    assert!(passed + failed.len() > 0, "the suite found nothing to do: {said}");
    Outcome { passed, failed, checks, details }
}

/// The checks that failed, from the files that a suite writes for each scenario.
fn failures(results: &Path) -> Vec<Value> {
    let folders = fs::read_dir(results).into_iter().flatten().flatten();
    let files: Vec<PathBuf> = folders.map(|folder| folder.path().join("checks.json")).collect();
    let checks =
        files.iter().filter_map(|file| serde_json::from_slice::<Vec<Value>>(&fs::read(file).ok()?).ok());
    checks.flatten().filter(|check| check["status"] == "FAILURE").collect()
}
