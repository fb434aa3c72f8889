//! The official Rust SDK as a client of the demo server; it needs nothing installed.

use futures::future::join_all;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction, Implementation, ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData, RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::router::{PATIENCE, Router};

#[tokio::test]
async fn the_rust_sdk_uses_every_feature_of_the_demo_server_over_streamable_http() {
    let demo =
        json!({ "demo": { "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": ["demo-server"] } });
    let router = Router::serving(&demo, &[]).await;
    let (heard, mut news) = watch::channel(Heard::default());
    let transport = StreamableHttpClientTransport::from_uri(format!("{}/servers/demo/mcp", router.address));
    let client = Listener { heard }.serve(transport).await.expect("the session opens");

    assert!(names(&client).await.contains(&"echo".to_owned()));
    let echoes = (0..20).map(|number| {
        let text = format!("zürich {number}");
        call(&client, "echo", json!({ "text": text }))
    });
    let expected: Vec<String> = (0..20).map(|number| format!("zürich {number}")).collect();
    assert_eq!(join_all(echoes).await, expected);

    call(&client, "count", json!({ "to": 100 })).await;
    let counted: Vec<f64> = (1..=100).map(f64::from).collect();
    let all = timeout(PATIENCE, news.wait_for(|heard| heard.progress.len() >= 100)).await;
    assert_eq!(all.expect("every number is reported").expect("the client lives").progress, counted);

    assert_eq!(call(&client, "ask", json!({})).await, "The user answered: Ada");

    call(&client, "toggle", json!({})).await;
    let told = timeout(PATIENCE, news.wait_for(|heard| heard.tool_lists == 1)).await;
    told.expect("the change of the tools is told").expect("the client lives");
    assert!(names(&client).await.contains(&"bonus".to_owned()));

    client
        .call_tool(CallToolRequestParams::new("no such tool"))
        .await
        .expect_err("an unknown tool is an error");
    client.cancel().await.expect("the client ends");
    router.close().await;
}

/// A client that answers questions and notes what it hears.
struct Listener {
    heard: watch::Sender<Heard>,
}

#[derive(Default)]
struct Heard {
    progress: Vec<f64>,
    tool_lists: usize,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let capabilities: ClientCapabilities =
            serde_json::from_value(json!({ "elicitation": {} })).expect("capabilities are an object");
        ClientConfig::new(capabilities, Implementation::new("rust", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "answer": "Ada" })))
    }

    async fn on_progress(&self, report: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.heard.send_modify(|heard| heard.progress.push(report.progress));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.heard.send_modify(|heard| heard.tool_lists += 1);
    }
}

async fn names(client: &RunningService<RoleClient, Listener>) -> Vec<String> {
    let tools = client.list_all_tools().await.expect("the tools are listed");
    tools.into_iter().map(|tool| tool.name.into_owned()).collect()
}

/// The first text of the tool's answer.
async fn call(client: &RunningService<RoleClient, Listener>, tool: &'static str, arguments: Value) -> String {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let params = CallToolRequestParams::new(tool).with_arguments(arguments);
    let result = client.call_tool(params).await.expect("the tool answers");
    assert_ne!(result.is_error, Some(true), "{result:?}");
    result.content[0].as_text().expect("the answer is text").text.clone()
}
