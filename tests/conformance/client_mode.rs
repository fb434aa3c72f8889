//! The suite's scenarios for clients: its servers are called by client mode, with an SDK's stdio client in front.
//!
//! What the client does is in `tests/interop/conformance_client.mjs`. The scenarios of authorization are not among them.

use std::path::Path;
use std::process::Stdio;

use futures::StreamExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::router::PATIENCE;
use crate::toolbox;

/// Scenarios, and the revision that each is run at.
const SCENARIOS: [(&str, &str); 13] = [
    ("initialize", LEGACY),
    ("tools_call", LEGACY),
    ("tools_call", MODERN),
    ("elicitation-sep1034-client-defaults", LEGACY),
    ("sse-retry", LEGACY),
    ("request-metadata", MODERN),
    ("sep-2322-client-request-state", MODERN),
    ("http-standard-headers", MODERN),
    ("http-custom-headers", MODERN),
    ("http-invalid-tool-headers", MODERN),
    ("json-schema-ref-no-deref", MODERN),
    ("json-schema-2020-12-preservation", LEGACY),
    ("json-schema-2020-12-preservation", MODERN),
];

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// More would only wait for each other.
const AT_ONCE: usize = 3;

#[tokio::test]
async fn client_mode_passes_the_scenarios_for_clients() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let tools = toolbox::node_packages("conformance", &recipe)
        .and_then(|packages| Ok((packages, toolbox::node_environment()?)));
    let Some((packages, sdk)) = toolbox::or_skip(tools) else { return };
    let modules = packages.join("node_modules");
    let script = sdk.join("scripts/conformance_client.mjs");
    let client = format!(
        "node --preserve-symlinks --preserve-symlinks-main {} {}",
        script.display(),
        env!("CARGO_BIN_EXE_mcp-switchboard")
    );
    let play = async |(scenario, revision): (&str, &str)| {
        let mut suite = Command::new(modules.join(".bin/node"));
        suite
            .arg(modules.join("conformance-0.2/dist/index.js"))
            .args(["client", "--scenario", scenario, "--spec-version", revision, "--command", &client])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = timeout(PATIENCE, suite.output()).await.expect("the suite ends in time");
        let ended = ended.expect("the suite starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{scenario} {revision}: {}\n{said}", ended.status);
        (!ended.status.success()).then(|| format!("{scenario} {revision}"))
    };
    let failed: Vec<_> = futures::stream::iter(SCENARIOS).map(play).buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:?}");
}
