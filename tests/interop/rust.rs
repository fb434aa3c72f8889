//! The official Rust SDK as a client of either era. Before the demo server it needs nothing installed.

use futures::future::join_all;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction, Implementation, ProgressNotificationParam, ProtocolVersion, ServerNotification,
    SubscriptionFilter,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, RequestContext, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData, RoleClient};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::router::{PATIENCE, Router};
use crate::stage::{Posture, two_eras};
use crate::toolbox;

#[tokio::test]
async fn the_rust_sdk_uses_every_feature_of_the_demo_server_over_streamable_http() {
    uses_every_feature(&demo(), &DEMO, ClientLifecycleMode::Initialize).await;
}

#[tokio::test]
async fn the_rust_sdk_in_the_modern_era_uses_every_feature_of_the_demo_server() {
    uses_every_feature(&demo(), &DEMO, auto()).await;
}

#[tokio::test]
async fn the_rust_sdk_in_either_era_uses_every_feature_of_a_server_of_either() {
    let Some(node) = toolbox::or_skip(toolbox::node_environment()) else { return };
    for posture in [Posture::Legacy, Posture::Dual, Posture::Modern] {
        for lifecycle in [ClientLifecycleMode::Initialize, auto()] {
            uses_every_feature(&two_eras(&node, posture), &TWO_ERAS, lifecycle).await;
        }
    }
}

async fn uses_every_feature(server: &Value, words: &Words, lifecycle: ClientLifecycleMode) {
    let router = Router::serving(&json!({ "server": server }), &[]).await;
    // The SDK's HTTP client wants one even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (heard, mut news) = watch::channel(Heard::default());
    let transport = StreamableHttpClientTransport::from_uri(format!("{}/servers/server/mcp", router.address));
    let is_modern = lifecycle != ClientLifecycleMode::Initialize;
    let client = Listener { heard }.serve_with_lifecycle(transport, lifecycle).await.expect("it opens");
    let agreed = client.peer_info().expect("the server is known").protocol_version.clone();
    assert_eq!(agreed == ProtocolVersion::V_2026_07_28, is_modern, "{agreed}");

    let (echo, text) = words.echo;
    assert!(names(&client).await.contains(&echo.to_owned()));
    let echoes = (0..20).map(|number| call(&client, echo, json!({ text: format!("zürich {number}") })));
    for (number, answer) in join_all(echoes).await.into_iter().enumerate() {
        assert!(answer.ends_with(&format!("zürich {number}")), "{answer}");
    }

    call(&client, "count", json!({ "to": 100 })).await;
    let counted: Vec<f64> = (1..=100).map(f64::from).collect();
    let all = timeout(PATIENCE, news.wait_for(|heard| heard.progress.len() >= 100)).await;
    assert_eq!(all.expect("every number is reported").expect("the client lives").progress, counted);

    let answer = call(&client, words.ask, json!({})).await;
    assert!(answer.contains("Ada"), "{answer}");

    let (change, name) = words.change;
    let arguments = if words.named { json!({ "name": name }) } else { json!({}) };
    if is_modern {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut changes = client.listen(filter).await.expect("the subscription is acknowledged");
        call(&client, change, arguments).await;
        let told = timeout(PATIENCE, changes.next()).await.expect("the change of the tools is told");
        let told = told.expect("the subscription lives");
        assert!(matches!(told, Some(ServerNotification::ToolListChangedNotification(_))), "{told:?}");
    } else {
        call(&client, change, arguments).await;
        let told = timeout(PATIENCE, news.wait_for(|heard| heard.tool_lists == 1)).await;
        told.expect("the change of the tools is told").expect("the client lives");
    }
    assert!(names(&client).await.contains(&name.to_owned()));

    let unknown = client.call_tool(CallToolRequestParams::new("no such tool")).await;
    unknown.expect_err("an unknown tool is an error");
    client.cancel().await.expect("the client ends");
    router.close().await;
}

/// Calls five real servers that are served together at `address`; `page` is there to be fetched.
pub(crate) async fn calls_five_servers(address: &str, page: &str, lifecycle: ClientLifecycleMode) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (heard, _news) = watch::channel(Heard::default());
    let transport = StreamableHttpClientTransport::from_uri(format!("{address}/mcp"));
    let client = Listener { heard }.serve_with_lifecycle(transport, lifecycle).await.expect("it opens");
    let all = async {
        loop {
            let names = names(&client).await;
            let has = |server: &str| names.iter().any(|name| name.starts_with(&format!("{server}__")));
            if ["time", "fetch", "filesystem", "everything", "demo"].into_iter().all(has) {
                return;
            }
            // A list that waits for nobody any more comes without those that are slow.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("the tools of all servers are listed");
    let time = call(&client, "time__get_current_time", json!({ "timezone": "Europe/Berlin" })).await;
    assert!(time.contains("Europe/Berlin"), "{time}");
    let fetched = call(&client, "fetch__fetch", json!({ "url": page })).await;
    assert!(fetched.contains("connects everyone"), "{fetched}");
    let files = call(&client, "filesystem__list_allowed_directories", json!({})).await;
    assert!(files.contains("Allowed directories"), "{files}");
    assert!(call(&client, "everything__echo", json!({ "message": "hi" })).await.ends_with("hi"));
    for tool in ["everything__trigger-elicitation-request", "demo__ask"] {
        let asked = call(&client, tool, json!({})).await;
        assert!(!asked.is_empty(), "{tool}");
    }
    let prompts = client.list_all_prompts().await.expect("the prompts are listed");
    let prompts: Vec<_> = prompts.iter().map(|prompt| prompt.name.clone()).collect();
    for prompt in ["fetch__fetch", "everything__simple-prompt", "demo__greet"] {
        assert!(prompts.iter().any(|name| name == prompt), "{prompts:?}");
    }
    client.cancel().await.expect("the client ends");
}

/// How a server calls its tools.
struct Words {
    /// The tool, and its argument.
    echo: (&'static str, &'static str),
    /// A tool that asks for a name.
    ask: &'static str,
    /// A tool that adds one, and that one's name.
    change: (&'static str, &'static str),
    /// Whether that must be told the name.
    named: bool,
}

const DEMO: Words = Words { echo: ("echo", "text"), ask: "ask", change: ("toggle", "bonus"), named: false };

const TWO_ERAS: Words = Words {
    echo: ("echo", "message"),
    ask: "trigger-elicitation-request",
    change: ("grow", "bonus"),
    named: true,
};

fn demo() -> Value {
    json!({ "command": env!("CARGO_BIN_EXE_mcp-switchboard"), "args": ["demo-server"] })
}

/// The modern era where the server speaks it.
pub(crate) fn auto() -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    ClientLifecycleMode::Auto { preferred_versions, legacy_version: None }
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
        let content = json!({ "answer": "Ada", "name": "Ada" });
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content))
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
