//! The puppet: a server that says what a story tells it to say. What it understands stands in `puppet.py`.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::router::Router;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/puppet.py");

/// The entry that mounts one.
pub(crate) fn puppet() -> Value {
    json!({ "command": python(), "args": ["-S", "-E", SCRIPT] })
}

/// The entry that mounts one that follows orders before it reads anything.
pub(crate) fn puppet_told(orders: &Value) -> Value {
    json!({ "command": python(), "args": ["-S", "-E", SCRIPT, orders.to_string()] })
}

/// A router with a puppet, mounted as `puppet`.
pub(crate) async fn router_of_puppet() -> Router {
    Router::mounting(json!({ "puppet": puppet() })).await
}

/// The interpreter itself: what is found as `python3` may be a script that looks for it on every start.
pub(crate) fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = ["-c", "import sys; print(sys.executable)"];
        let output = std::process::Command::new("python3").args(asked).output().expect("python3 runs");
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}
