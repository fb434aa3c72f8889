//! The official SDKs before the aggregate: what a server can do with a client, it can do from behind it.

use rmcp::service::ClientLifecycleMode;

use crate::eras::OLD_SERVERS;
use crate::rust::{auto, calls_five_servers};
use crate::stage::Client::{PythonV1, PythonV2, TypescriptV1, TypescriptV2};
use crate::stage::{Client, Stage};
use crate::{ERRANDS, FEATURES};

#[tokio::test]
async fn the_python_sdks_use_every_feature_of_a_server_behind_the_aggregate() {
    uses_every_feature(&[(PythonV1, "http"), (PythonV1, "sse"), (PythonV2, "http")]).await;
}

#[tokio::test]
async fn the_typescript_sdks_use_every_feature_of_a_server_behind_the_aggregate() {
    uses_every_feature(&[(TypescriptV1, "http"), (TypescriptV1, "sse"), (TypescriptV2, "http")]).await;
}

#[tokio::test]
async fn modern_clients_use_every_feature_of_a_server_behind_the_aggregate() {
    let Some(stage) = Stage::viewing(&["everything", "odd-jobs"]).await else { return };
    for client in [PythonV2, TypescriptV2] {
        stage.play(client, "http-auto", OLD_SERVERS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn the_official_servers_run_errands_behind_the_aggregate() {
    let Some(stage) = Stage::viewing(&["time", "fetch", "filesystem"]).await else { return };
    for client in [PythonV1, PythonV2, TypescriptV1, TypescriptV2] {
        stage.play(client, "http", ERRANDS).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn five_real_servers_are_one_server_for_the_rust_sdk_in_either_era() {
    let servers = ["time", "fetch", "filesystem", "everything", "demo"];
    let Some(stage) = Stage::mounting(&servers, &[]).await else { return };
    let (address, page) = stage.addresses();
    for lifecycle in [ClientLifecycleMode::Initialize, auto()] {
        calls_five_servers(address, page, lifecycle).await;
    }
    stage.close().await;
}

async fn uses_every_feature(clients: &[(Client, &str)]) {
    let Some(stage) = Stage::viewing(&["everything", "odd-jobs"]).await else { return };
    // A session with a server begins with the first call: before that it asks nothing.
    let features: Vec<_> =
        FEATURES.iter().map(|feature| if *feature == "roots" { "asked_roots" } else { feature }).collect();
    for (client, transport) in clients {
        stage.play(*client, transport, &features).await;
    }
    stage.close().await;
}
