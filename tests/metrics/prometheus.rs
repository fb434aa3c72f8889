//! A real Prometheus reads the router, and what stands in `deploy/` asks for what there is.

use crate::scrape::Scrape;
use crate::support::mcp::Client;
use crate::support::router::{Router, demo, with};
use crate::support::{eventually, http_client};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

#[allow(dead_code, reason = "nothing is installed here")]
#[path = "../support/toolbox.rs"]
mod toolbox;

const KEY: &str = "key-of-prometheus-0123456789";

/// A file of `deploy/`.
fn deployed(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)).unwrap()
}

/// Every expression of the dashboard, as Grafana asks it for all servers.
fn expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&deployed("grafana/mcp-switchboard.json")).unwrap();
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    assert!(found.len() > 30, "{found:?}");
    let filled = |text: String| {
        let text = text.replace("$server", "[^/]+").replace("$instance", ".+").replace("$job", ".+");
        text.replace("$__rate_interval", "1m")
    };
    found.into_iter().map(filled).collect()
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("mcp_switchboard_")).map(str::to_owned).collect()
}

/// A program of Prometheus, where it is installed.
fn installed(name: &str) -> Option<PathBuf> {
    toolbox::or_skip(toolbox::program(name, "install Debian's package `prometheus`"))
}

/// A router of which every counter has something to count.
async fn busy() -> Router {
    let tokens = json!([{ "name": "prometheus", "token": KEY }]);
    let rules = json!([{ "who": ["prometheus"], "servers": ["*"], "admin": true }]);
    let broken = json!({ "command": "sh", "args": ["-c", "exit 3"] });
    let servers =
        json!({ "a": demo(), "aggregate": with(demo(), &json!({ "env": { "B": "1" } })), "broken": broken });
    let router =
        Router::start(json!({ "mcpServers": servers, "auth": { "tokens": tokens, "rules": rules } }), &[])
            .await;
    let at = |url: String| Client::at(url).with("authorization", &format!("Bearer {KEY}"));
    let client = at(router.mcp("a")).opened("2025-11-25", json!({})).await;
    for _ in 0..3 {
        assert_eq!(client.ask("echo", json!({ "text": "x" })).await, "x");
    }
    client.call(1, "crash", json!({})).await.outcome().await;
    let together = at(router.url("/mcp")).opened("2025-11-25", json!({})).await;
    assert_eq!(together.ask("aggregate__echo", json!({ "text": "x" })).await, "x");
    assert_eq!(Client::at(router.url("/status")).get().await.status, 401);
    router
}

async fn scrape(router: &Router) -> Scrape {
    Scrape::by(&Client::at(router.url("/metrics")).with("authorization", &format!("Bearer {KEY}"))).await
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let router = busy().await;
    let told = names(&scrape(&router).await.text);
    let mut asked = names(&deployed("prometheus/mcp-switchboard.rules.yml"));
    asked.extend(expressions().iter().flat_map(|expression| names(expression)));
    assert!(asked.len() > 20, "{asked:?}");
    // Nobody was turned away here.
    asked.remove("mcp_switchboard_connections_turned_away_total");
    let missing: Vec<_> = asked.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn promtool_has_nothing_to_complain_of() {
    let Some(promtool) = installed("promtool") else { return };
    let router = busy().await;
    let page = scrape(&router).await.text;
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn a_prometheus_server_reads_the_router_with_a_key_and_answers_what_grafana_asks() {
    let Some(program) = installed("prometheus") else { return };
    let router = busy().await;
    let prometheus = Prometheus::reading(&program, &router);
    let query = async |expression: &str| {
        let place = format!("{}/api/v1/query", prometheus.url);
        let asked = url::Url::parse_with_params(&place, [("query", expression)]).unwrap();
        let answer: Value = http_client().get(asked).send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].clone())
    };
    let value = async |expression: &str| {
        let result = query(expression).await?;
        result[0]["value"][1].as_str()?.parse::<f64>().ok()
    };
    let up = async || value("up").await.filter(|up| *up > 0.0);
    eventually("it has read the router", up).await;
    let calls = r#"sum(mcp_switchboard_requests_total{server="a", method="tools/call", outcome="ok"})"#;
    assert_eq!(value(calls).await, Some(3.0));
    let crashed = r#"mcp_switchboard_requests_total{server="a", outcome="server_exited"}"#;
    assert_eq!(value(crashed).await, Some(1.0));
    // The server of that name, and the whole.
    let called = |server: &str| {
        format!("mcp_switchboard_requests_total{{server=\"{server}\", method=\"tools/call\"}}")
    };
    assert_eq!(value(&called("aggregate")).await, Some(1.0));
    assert_eq!(value(&called("views/aggregate")).await, Some(1.0));
    for expression in expressions() {
        assert!(query(&expression).await.is_some(), "{expression}");
    }
    let rules: Value = http_client()
        .get(format!("{}/api/v1/rules", prometheus.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() >= 6 && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");
}

/// A Prometheus that reads a router five times a second. It ends with the story.
struct Prometheus {
    child: Child,
    url: String,
    _directory: TempDir,
}

impl Prometheus {
    fn reading(program: &Path, router: &Router) -> Self {
        let directory = TempDir::new().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("rules.yml"), deployed("prometheus/mcp-switchboard.rules.yml")).unwrap();
        let (target, rules) = (router.url("").replace("http://", ""), place("rules.yml"));
        let job = json!({
            "job_name": "mcp-switchboard",
            "authorization": { "credentials": KEY },
            "static_configs": [{ "targets": [target] }],
        });
        // YAML has JSON in it.
        let settings = json!({
            "global": { "scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms" },
            "rule_files": [rules],
            "scrape_configs": [job],
        });
        std::fs::write(place("prometheus.yml"), settings.to_string()).unwrap();
        // It does not say which port it took, if it is left to choose.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", place("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", place("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), url: format!("http://{free}"), _directory: directory }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
