//! Clients on the official SDKs, both transports, both eras, and servers that people use: through the real binary.
//!
//! The clients are the scripts in `tests/interop`; a scenario is a method or function of
//! `python_scenarios.py` or `typescript_scenarios.mjs`. They and the servers are installed on first use,
//! see `support/toolbox.rs`; where Python, Node or a registry is missing the tests say so and pass.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test says what it promises in its name")]
#![allow(clippy::print_stdout, reason = "what the clients print is what a failing story shows")]

#[path = "interop/aggregate.rs"]
mod aggregate;
#[path = "interop/client_mode.rs"]
mod client_mode;
#[path = "interop/eras.rs"]
mod eras;
#[path = "interop/guarded.rs"]
mod guarded;
#[path = "interop/litellm.rs"]
mod litellm;
#[path = "interop/remote.rs"]
mod remote;
#[path = "interop/router.rs"]
mod router;
#[path = "interop/rust.rs"]
mod rust;
#[path = "interop/stage.rs"]
mod stage;
#[path = "support/toolbox.rs"]
mod toolbox;

use stage::Client::{PythonV1, PythonV2, TypescriptV1, TypescriptV2};
use stage::Stage;

/// What a client and a server may do with each other, mounts `everything` and `odd-jobs`.
const FEATURES: &[&str] = &[
    "tools",
    "unicode",
    "concurrency",
    "resources",
    "subscription",
    "prompts",
    "completion",
    "logging",
    "progress",
    "cancellation",
    "sampling",
    "elicitation",
    "roots",
    "ping",
    "list_changed",
    "errors",
    "privacy",
];

/// What the official servers do for people, mounts `time`, `fetch` and `filesystem`.
const ERRANDS: &[&str] = &["time", "fetch", "filesystem", "big"];

/// What only the Streamable HTTP client of the TypeScript SDKs can show.
const SESSIONS: &[&str] = &["termination", "reconnection", "resumption", "takeover"];

#[tokio::test]
async fn the_python_sdk_1_uses_every_feature_over_streamable_http() {
    uses_every_feature(PythonV1, "http").await;
}

#[tokio::test]
async fn the_python_sdk_1_uses_every_feature_over_sse() {
    uses_every_feature(PythonV1, "sse").await;
}

#[tokio::test]
async fn the_python_sdk_2_uses_every_feature_over_streamable_http() {
    uses_every_feature(PythonV2, "http").await;
}

#[tokio::test]
async fn the_python_sdk_2_uses_every_feature_over_sse() {
    uses_every_feature(PythonV2, "sse").await;
}

#[tokio::test]
async fn the_typescript_sdk_1_uses_every_feature_over_streamable_http() {
    uses_every_feature(TypescriptV1, "http").await;
}

#[tokio::test]
async fn the_typescript_sdk_1_uses_every_feature_over_sse() {
    uses_every_feature(TypescriptV1, "sse").await;
}

#[tokio::test]
async fn the_typescript_sdk_2_uses_every_feature_over_streamable_http() {
    uses_every_feature(TypescriptV2, "http").await;
}

#[tokio::test]
async fn the_typescript_sdk_2_uses_every_feature_over_sse() {
    uses_every_feature(TypescriptV2, "sse").await;
}

async fn uses_every_feature(client: stage::Client, transport: &str) {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs"], &[]).await else { return };
    stage.play(client, transport, FEATURES).await;
    // The Python SDK 1.x takes no cancellation while it answers a question.
    if !matches!(client, PythonV1) {
        stage.play(client, transport, &["withdrawal"]).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn a_client_that_asks_for_the_newest_revision_first_falls_back_over_sse() {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs", "time"], &[]).await else { return };
    for client in [PythonV2, TypescriptV2] {
        stage.play(client, "sse-auto", &["tools", "sampling", "progress", "ping", "time"]).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn every_older_revision_is_spoken_over_both_transports() {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs"], &[]).await else { return };
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        for transport in ["http", "sse"] {
            let scenarios = ["tools", "logging", "progress", "cancellation", "sampling", "list_changed"];
            stage.play(PythonV1, &format!("{transport}@{revision}"), &scenarios).await;
        }
    }
    stage.close().await;
}

#[tokio::test]
async fn the_official_servers_run_errands_over_streamable_http() {
    let Some(stage) = Stage::mounting(&["time", "fetch", "filesystem"], &[]).await else { return };
    for client in [PythonV1, PythonV2, TypescriptV1, TypescriptV2] {
        stage.play(client, "http", ERRANDS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn the_official_servers_run_errands_over_sse() {
    let Some(stage) = Stage::mounting(&["time", "fetch", "filesystem"], &[]).await else { return };
    for client in [PythonV1, TypescriptV1, TypescriptV2] {
        stage.play(client, "sse", ERRANDS).await;
    }
    // The Python SDK 2.x refuses an event of more than 1 MiB, so nothing big.
    stage.play(PythonV2, "sse", &["time", "fetch", "filesystem"]).await;
    stage.close().await;
}

#[tokio::test]
async fn a_session_outlives_its_streams_and_ends_with_delete() {
    let Some(stage) = Stage::mounting(&["odd-jobs"], &[]).await else { return };
    for client in [TypescriptV1, TypescriptV2] {
        stage.play(client, "http", SESSIONS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn a_stateless_router_answers_every_sdk() {
    let Some(stage) = Stage::mounting(&["everything", "time"], &["--stateless"]).await else { return };
    for client in [PythonV1, PythonV2, TypescriptV1, TypescriptV2] {
        let scenarios = ["tools", "unicode", "concurrency", "resources", "prompts", "errors", "time"];
        stage.play(client, "http", &scenarios).await;
    }
    for client in [PythonV2, TypescriptV2] {
        stage.play(client, "http-auto", &["tools", "sampling", "subscription", "time"]).await;
    }
    stage.close().await;
}
