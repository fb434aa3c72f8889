//! Clients of both eras before servers of both: which was asked for, and that it makes no difference.
//!
//! With `-auto` and `-pin` the scripts hold that 2026-07-28 is what was agreed on, else that it is not.

use futures::future::join_all;

use crate::ERRANDS;
use crate::SESSIONS;
use crate::stage::Client::{self, PythonV1, PythonV2, TypescriptV1, TypescriptV2};
use crate::stage::Posture::{self, Dual, Legacy, Modern};
use crate::stage::Stage;

/// What clients and servers of any era may do with each other.
pub(crate) const FEATURES: &[&str] = &[
    "discretion",
    "tools",
    "unicode",
    "concurrency",
    "resources",
    "subscription",
    "prompts",
    "completion",
    "log_lines",
    "progress",
    "sampling",
    "elicitation",
    "asked_roots",
    "list_changed",
    "errors",
    "cancellation",
];

/// What modern clients do with servers that only speak the legacy era; these write no log lines within a call.
pub(crate) const OLD_SERVERS: &[&str] = &[
    "tools",
    "unicode",
    "concurrency",
    "resources",
    "subscription",
    "prompts",
    "completion",
    "progress",
    "sampling",
    "elicitation",
    "asked_roots",
    "list_changed",
    "errors",
    "late_answer",
    "cancellation",
];

#[tokio::test]
async fn modern_clients_use_every_feature_of_legacy_servers() {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs"], &[]).await else { return };
    for client in [PythonV2, TypescriptV2] {
        stage.play(client, "http-auto", OLD_SERVERS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn modern_clients_run_errands_with_the_official_servers_of_either_era() {
    let Some(stage) = Stage::mounting(&["time", "fetch", "filesystem"], &[]).await else { return };
    for client in [PythonV2, TypescriptV2] {
        stage.play(client, "http-auto", ERRANDS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn modern_clients_use_every_feature_of_a_server_of_the_legacy_era() {
    serves_modern_clients(Legacy).await;
}

#[tokio::test]
async fn modern_clients_use_every_feature_of_a_server_of_both_eras() {
    serves_modern_clients(Dual).await;
}

#[tokio::test]
async fn modern_clients_use_every_feature_of_a_server_of_the_modern_era() {
    serves_modern_clients(Modern).await;
}

async fn serves_modern_clients(posture: Posture) {
    for client in [PythonV2, TypescriptV2] {
        // A call that was given up costs a legacy server its process, and what the process knew: that scenario is the last.
        let Some(stage) = Stage::standing_in(posture, &[]).await else { return };
        stage.play(client, "http-pin", &["tools", "elicitation", "list_changed"]).await;
        stage.play(client, "http-auto", FEATURES).await;
        stage.close().await;
    }
}

#[tokio::test]
async fn legacy_clients_use_every_feature_of_a_server_of_the_modern_era_over_streamable_http() {
    serves_legacy_clients(Modern, "http", &[PythonV1, PythonV2, TypescriptV1, TypescriptV2]).await;
}

#[tokio::test]
async fn legacy_clients_use_every_feature_of_a_server_of_the_modern_era_over_sse() {
    serves_legacy_clients(Modern, "sse", &[PythonV1, PythonV2, TypescriptV1, TypescriptV2]).await;
}

#[tokio::test]
async fn legacy_clients_use_every_feature_of_a_server_of_both_eras() {
    serves_legacy_clients(Dual, "http", &[PythonV1, TypescriptV2]).await;
}

async fn serves_legacy_clients(posture: Posture, transport: &str, clients: &[Client]) {
    let Some(stage) = Stage::standing_in(posture, &[]).await else { return };
    for client in clients {
        stage.play(*client, transport, FEATURES).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn every_older_revision_is_spoken_before_a_server_of_the_modern_era() {
    let Some(stage) = Stage::standing_in(Modern, &[]).await else { return };
    for transport in ["sse@2024-11-05", "http@2025-03-26", "http@2025-06-18"] {
        let scenarios = ["tools", "log_lines", "progress", "cancellation", "sampling", "list_changed"];
        stage.play(PythonV1, transport, &scenarios).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn a_session_before_a_server_of_the_modern_era_outlives_its_streams_and_ends_with_delete() {
    let Some(stage) = Stage::standing_in(Modern, &[]).await else { return };
    stage.play(TypescriptV2, "http", SESSIONS).await;
    stage.close().await;
}

#[tokio::test]
async fn a_crowd_of_clients_of_both_eras_shares_a_server_of_the_modern_era() {
    const CROWD: &[(Client, &str)] = &[
        (PythonV1, "http"),
        (PythonV2, "sse"),
        (PythonV2, "http-auto"),
        (TypescriptV1, "sse"),
        (TypescriptV2, "http"),
        (TypescriptV2, "http-auto"),
    ];
    // Without log lines: in a process that does several things at once nobody can tell what they are about.
    let scenarios =
        ["discretion", "concurrency", "progress", "sampling", "elicitation", "cancellation", "errors"];
    let Some(stage) = Stage::standing_in(Modern, &[]).await else { return };
    join_all(CROWD.iter().map(|(client, transport)| stage.play(*client, transport, &scenarios))).await;
    stage.close().await;
}
