//! Client mode between the SDKs' stdio clients and remote servers: a router's mounts, and servers of other makers.
//!
//! What plays before a router is a chain of two: client, stdio, the binary in client mode, HTTP, the router, stdio, server.

use crate::FEATURES;
use crate::eras::{FEATURES as ANY_ERA, OLD_SERVERS};
use crate::remote::Far;
use crate::stage::Client::{self, PythonV1, PythonV2, TypescriptV1, TypescriptV2};
use crate::stage::Posture::{self, Dual, Modern};
use crate::stage::Stage;
use crate::stage::Way::{Sse, Streamable};

#[tokio::test]
async fn the_python_sdk_1_uses_every_feature_by_client_mode() {
    uses_every_feature(PythonV1).await;
}

#[tokio::test]
async fn the_python_sdk_2_uses_every_feature_by_client_mode() {
    uses_every_feature(PythonV2).await;
}

#[tokio::test]
async fn the_typescript_sdk_1_uses_every_feature_by_client_mode() {
    uses_every_feature(TypescriptV1).await;
}

#[tokio::test]
async fn the_typescript_sdk_2_uses_every_feature_by_client_mode() {
    uses_every_feature(TypescriptV2).await;
}

async fn uses_every_feature(client: Client) {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs"], &[]).await else { return };
    for way in [Streamable, Sse] {
        stage.play_by_client_mode(client, "stdio", way, FEATURES).await;
        // The Python SDK 1.x takes no cancellation while it answers a question.
        if !matches!(client, PythonV1) {
            stage.play_by_client_mode(client, "stdio", way, &["withdrawal"]).await;
        }
    }
    stage.close().await;
}

#[tokio::test]
async fn modern_clients_use_every_feature_of_legacy_servers_by_client_mode() {
    let Some(stage) = Stage::mounting(&["everything", "odd-jobs"], &[]).await else { return };
    for client in [PythonV2, TypescriptV2] {
        stage.play_by_client_mode(client, "stdio-auto", Streamable, OLD_SERVERS).await;
        stage.play_by_client_mode(client, "stdio-pin", Streamable, &["tools", "elicitation"]).await;
        let scenarios = ["tools", "subscription", "progress", "sampling", "list_changed"];
        stage.play_by_client_mode(client, "stdio-auto", Sse, &scenarios).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn clients_of_both_eras_use_every_feature_of_a_server_of_the_modern_era_by_client_mode() {
    serves_both_eras(Modern, &[PythonV1, PythonV2, TypescriptV1, TypescriptV2]).await;
}

#[tokio::test]
async fn clients_of_both_eras_use_every_feature_of_a_server_of_both_eras_by_client_mode() {
    serves_both_eras(Dual, &[TypescriptV1]).await;
}

async fn serves_both_eras(posture: Posture, legacy: &[Client]) {
    let Some(stage) = Stage::standing_in(posture, &[]).await else { return };
    for client in legacy {
        stage.play_by_client_mode(*client, "stdio", Streamable, ANY_ERA).await;
    }
    let scenarios = ["tools", "subscription", "log_lines", "elicitation", "list_changed"];
    stage.play_by_client_mode(PythonV1, "stdio", Sse, &scenarios).await;
    for client in [PythonV2, TypescriptV2] {
        stage.play_by_client_mode(client, "stdio-auto", Streamable, ANY_ERA).await;
        stage.play_by_client_mode(client, "stdio-pin", Streamable, &["tools", "elicitation"]).await;
    }
    stage.close().await;
}

#[tokio::test]
async fn everything_over_streamable_http_is_called_by_its_url() {
    is_called_by_its_url(Far::Everything, &[EVERYTHING, &["logging", "roots"]].concat(), EVERYTHING).await;
}

#[tokio::test]
async fn everything_over_sse_is_called_by_its_url() {
    is_called_by_its_url(Far::EverythingSse, &[EVERYTHING, &["logging", "roots"]].concat(), EVERYTHING).await;
}

#[tokio::test]
async fn a_server_on_fastmcp_is_called_by_its_url() {
    // FastMCP sends `list_changed` without having announced it, which nobody can ask to hear in the modern era.
    is_called_by_its_url(
        Far::PythonV1,
        &[SCRIPTED, &["log_lines", "list_changed"]].concat(),
        &[SCRIPTED, &["log_lines"]].concat(),
    )
    .await;
}

#[tokio::test]
async fn a_server_on_the_python_sdk_2_is_called_by_its_url() {
    let modern = [SCRIPTED, &["log_lines", "list_changed", "subscription"]].concat();
    is_called_by_its_url(Far::PythonV2, &[SCRIPTED, &["list_changed"]].concat(), &modern).await;
}

#[tokio::test]
async fn a_server_of_the_modern_era_alone_is_called_by_its_url() {
    is_called_by_its_url(Far::TypescriptV2, ANY_ERA, ANY_ERA).await;
}

/// What the server everything can do, whatever its transport.
const EVERYTHING: &[&str] = &[
    "tools",
    "unicode",
    "concurrency",
    "resources",
    "subscription",
    "prompts",
    "completion",
    "sampling",
    "elicitation",
    "asked_roots",
    "errors",
];

/// What the servers written in Python can do.
const SCRIPTED: &[&str] = &[
    "tools",
    "unicode",
    "concurrency",
    "resources",
    "prompts",
    "completion",
    "progress",
    "sampling",
    "elicitation",
    "asked_roots",
    "cancellation",
];

/// Clients of both eras call a server by client mode, and by a router that mounts its URL.
async fn is_called_by_its_url(far: Far, legacy: &[&str], modern: &[&str]) {
    let Some(stage) = Stage::calling(far).await else { return };
    for client in [PythonV1, PythonV2, TypescriptV1, TypescriptV2] {
        stage.play_by_client_mode(client, "stdio", Streamable, legacy).await;
    }
    for client in [PythonV2, TypescriptV2] {
        stage.play_by_client_mode(client, "stdio-auto", Streamable, modern).await;
        stage.play(client, "http-auto", modern).await;
    }
    stage.play(PythonV1, "http", legacy).await;
    stage.play(TypescriptV1, "sse", legacy).await;
    stage.close().await;
}
