//! The suite's scenarios for clients: its servers are called by client mode, with an SDK's stdio client in front.
//!
//! What the client does is in `tests/interop/conformance_client.mjs`. Where a server wants a login, the user is a browser that
//! goes where it is sent, and the suite's authorization server lets everybody in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures::StreamExt;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::router::PATIENCE;
use crate::toolbox;

/// What has nothing to do with authorization, and the revision that each is run at.
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

/// All of authorization at the newest revision, and some of the older ones.
///
/// Not among them are the extensions, and `auth/2025-03-26-oauth-endpoint-fallback`: a server of 2025-03-26 that says nothing
/// about where to log in is not logged in to.
const LOGINS: [(&str, &str); 29] = [
    ("auth/2025-03-26-oauth-metadata-backcompat", "2025-03-26"),
    ("auth/metadata-default", LEGACY),
    ("auth/basic-cimd", LEGACY),
    ("auth/pre-registration", LEGACY),
    ("auth/metadata-default", MODERN),
    ("auth/metadata-var1", MODERN),
    ("auth/metadata-var2", MODERN),
    ("auth/metadata-var3", MODERN),
    ("auth/basic-cimd", MODERN),
    ("auth/scope-from-www-authenticate", MODERN),
    ("auth/scope-from-scopes-supported", MODERN),
    ("auth/scope-omitted-when-undefined", MODERN),
    ("auth/scope-step-up", MODERN),
    ("auth/scope-retry-limit", MODERN),
    ("auth/token-endpoint-auth-basic", MODERN),
    ("auth/token-endpoint-auth-post", MODERN),
    ("auth/token-endpoint-auth-none", MODERN),
    ("auth/pre-registration", MODERN),
    ("auth/resource-mismatch", MODERN),
    ("auth/offline-access-scope", MODERN),
    ("auth/offline-access-not-supported", MODERN),
    ("auth/authorization-server-migration", MODERN),
    ("auth/iss-supported", MODERN),
    ("auth/iss-not-advertised", MODERN),
    ("auth/iss-supported-missing", MODERN),
    ("auth/iss-wrong-issuer", MODERN),
    ("auth/iss-unexpected", MODERN),
    ("auth/iss-normalized", MODERN),
    ("auth/metadata-issuer-mismatch", MODERN),
];

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// More would only wait for each other.
const AT_ONCE: usize = 3;

#[tokio::test]
async fn client_mode_passes_the_scenarios_for_clients() {
    play(&SCENARIOS).await;
}

#[tokio::test]
async fn client_mode_passes_the_scenarios_of_authorization() {
    play(&LOGINS).await;
}

async fn play(scenarios: &[(&str, &str)]) {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let tools = toolbox::node_packages("conformance", &recipe)
        .and_then(|packages| Ok((packages, toolbox::node_environment()?)));
    let Some((packages, sdk)) = toolbox::or_skip(tools) else { return };
    let stage =
        Stage { modules: packages.join("node_modules"), script: sdk.join("scripts/conformance_client.mjs") };
    let played = futures::stream::iter(scenarios).map(|(scenario, revision)| stage.play(scenario, revision));
    let failed: Vec<_> = played.buffer_unordered(AT_ONCE).filter_map(async |failed| failed).collect().await;
    assert!(failed.is_empty(), "{failed:?}");
}

/// The suite, and what the client does.
struct Stage {
    modules: PathBuf,
    script: PathBuf,
}

impl Stage {
    /// Plays one scenario, and names it if it fails.
    async fn play(&self, scenario: &str, revision: &str) -> Option<String> {
        let home = home();
        let client = format!(
            "node --preserve-symlinks --preserve-symlinks-main {} {}",
            self.script.display(),
            env!("CARGO_BIN_EXE_mcp-switchboard")
        );
        let path = std::env::var("PATH").unwrap_or_default();
        let mut suite = Command::new(self.modules.join(".bin/node"));
        suite
            .arg(self.modules.join("conformance-0.2/dist/index.js"))
            .args(["client", "--scenario", scenario, "--spec-version", revision, "--command", &client])
            .env("PATH", format!("{}:{path}", home.path().display()))
            .env("DISPLAY", ":0")
            .env("XDG_STATE_HOME", home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = timeout(PATIENCE, suite.output()).await.expect("the suite ends in time");
        let ended = ended.expect("the suite starts");
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{scenario} {revision}: {}\n{said}", ended.status);
        // One that does not belong to the revision is skipped, which the suite calls a success.
        let passes = ended.status.success() && said.contains("Passed: ");
        (!passes).then(|| format!("{scenario} {revision}"))
    }
}

/// A home without any token, and with a browser.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    let browser = home.path().join("xdg-open");
    fs::write(&browser, "#!/usr/bin/env node\nfetch(process.argv[2]);\n").expect("the folder is writable");
    fs::set_permissions(&browser, Permissions::from_mode(0o755)).expect("it is ours");
    home
}
