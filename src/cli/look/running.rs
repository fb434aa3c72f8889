//! The servers of a router that runs somewhere.

use std::time::Duration;

use serde_json::Value;

use crate::config::RemoteSpec;

/// The environment variable that says where the router is.
const URL: &str = "MCP_SWITCHBOARD_URL";

/// An answer may take this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server as a router serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) name: String,
    /// How it stands, as the router says.
    pub(super) state: String,
    pub(super) url: String,
}

/// Where the router is that is meant.
pub(super) fn base(option: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let set = |name: &str| environment(name).filter(|text| !text.is_empty());
    let url = option.map(str::to_owned).or_else(|| set(URL)).unwrap_or_else(|| {
        let port = set("MCP_PROXY_PORT").unwrap_or_else(|| "8080".to_owned());
        format!("http://127.0.0.1:{port}")
    });
    url.trim_end_matches('/').to_owned()
}

/// Asks a router what it serves. `spec`: how it is called, which says what is sent beside.
///
/// # Errors
/// Why it cannot be asked, for a person.
pub(super) async fn servers(base: &str, spec: &RemoteSpec) -> Result<Vec<Served>, String> {
    // The first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder().timeout(PATIENCE);
    if spec.is_loopback() {
        client = client.no_proxy();
    }
    if spec.url.scheme() == "http" {
        // The system's certificates take their time to be read.
        client = client.tls_certs_only([]);
    }
    let client = client.build().map_err(|error| format!("no connection can be set up: {error}"))?;
    let mut request = client.get(format!("{base}/status"));
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    let silent = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        format!(
            "no router answers at {base}{cause}; say by `--router` or {URL} where it runs, or give servers by \
             `--named-server-config`, `--named-server`, or a COMMAND after `--`"
        )
    };
    let answer = request.send().await.map_err(silent)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(silent)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    match value["servers"].as_object().filter(|_| status.is_success()) {
        Some(servers) => Ok(servers.iter().map(|(name, server)| served(base, name, server)).collect()),
        None => Err(format!("what answers at {base} is no mcp-switchboard (status {})", status.as_u16())),
    }
}

/// Behind a reverse proxy a path may begin with what is in `base` already, or with what that takes off: a name is enough.
fn served(base: &str, name: &str, server: &Value) -> Served {
    let path = server["urls"][0].as_str().unwrap_or_default();
    let named = format!("/servers/{name}/mcp");
    let path = if path.ends_with(&named) || path.is_empty() {
        named
    } else {
        // The default server's, whatever it is called there.
        format!("/{}", path.rsplit('/').next().unwrap_or("mcp"))
    };
    let state = server["state"].as_str().unwrap_or("unknown").to_owned();
    Served { name: name.to_owned(), state, url: format!("{base}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_router_is_where_the_option_says_else_the_environment_else_on_this_machine() {
        let set = |name: &str| (name == URL).then(|| "http://b:2/x/".to_owned());
        assert_eq!(base(Some("http://a:1"), &set), "http://a:1");
        assert_eq!(base(None, &set), "http://b:2/x");
        assert_eq!(base(None, &|_| None), "http://127.0.0.1:8080");
        assert_eq!(base(None, &|name| (name == "MCP_PROXY_PORT").then(|| "9".into())), "http://127.0.0.1:9");
    }

    #[test]
    fn a_server_is_found_behind_a_proxy_too() {
        let at = |path: &str| served("http://h/tools", "a", &json!({ "state": "idle", "urls": [path] })).url;
        for path in ["/servers/a/mcp", "/tools/servers/a/mcp"] {
            assert_eq!(at(path), "http://h/tools/servers/a/mcp");
        }
        assert_eq!(at("/mcp"), "http://h/tools/mcp");
        assert_eq!(at("/"), "http://h/tools/");
    }
}
