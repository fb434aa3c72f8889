//! LiteLLM's own proxy as a client, the way compose.yaml has it: over both transports, from its own environment.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::router::{PATIENCE, Router};
use crate::toolbox;

#[tokio::test]
async fn litellm_lists_and_calls_the_tools_over_sse_and_streamable_http() {
    let Some(python) = toolbox::or_skip(toolbox::python_environment("litellm")) else { return };
    let demo =
        json!({ "demo": { "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": ["demo-server"] } });
    let router = Router::serving(&demo, &[]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/litellm_client.py");
    let mut client = Command::new(python.join("bin/python"));
    client
        .arg(script)
        .args(["sse", "mcp"].map(|last| format!("{}/servers/demo/{last}", router.address)))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = timeout(PATIENCE * 8, client.output()).await.expect("LiteLLM ends in time");
    let ended = ended.expect("the client starts");
    let said =
        [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    assert!(ended.status.success(), "LiteLLM failed; {}", router.log());
    for transport in ["ok sse", "ok http"] {
        assert!(said.lines().any(|line| line == transport), "{transport} is missing");
    }
    router.close().await;
}
