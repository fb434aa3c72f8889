//! The servers of a router that runs somewhere.

use reqwest::StatusCode;
use serde_json::Value;

use crate::cli::running::{self, URL};
use crate::config::{RemoteSpec, Verify};
use crate::shell::on_one_line;

/// A server as a router serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) name: String,
    /// How it stands, as the router says.
    pub(super) state: String,
    pub(super) url: String,
}

/// Asks a router what it serves. `spec`: how it is called, which says what is sent beside.
///
/// # Errors
/// Why it cannot be asked, for a person.
pub(super) async fn servers(base: &str, spec: &RemoteSpec) -> Result<Vec<Served>, String> {
    let authority = match &spec.verify {
        Verify::Only(file) => Some(file.as_path()),
        Verify::System | Verify::Off => None,
    };
    let client = running::client(base, authority)?;
    let mut request = client.get(format!("{base}/status"));
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    let silent = |error: reqwest::Error| {
        if let Some(disbelief) = running::disbelief(&error) {
            return format!("no router is believed to be at {base}: {disbelief}");
        }
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
        None if status == StatusCode::UNAUTHORIZED && shows_key(spec) => Err(format!(
            "{base} does not take the key that it is shown: look whether it is right, and still holds"
        )),
        None if status == StatusCode::UNAUTHORIZED => Err(format!(
            "{base} asks callers who they are: show a key by `-H Authorization \"Bearer KEY\"`, or `-H X-API-Key KEY`"
        )),
        // What has a reason in the words of a router is one.
        None if let Some(reason) = value["error"]["message"].as_str() => {
            Err(format!("{base} refuses to be asked: {}", on_one_line(reason)))
        }
        None => Err(format!("what answers at {base} is no mcp-switchboard (status {})", status.as_u16())),
    }
}

fn shows_key(spec: &RemoteSpec) -> bool {
    let is_key = |name: &String| ["authorization", "x-api-key"].contains(&name.to_ascii_lowercase().as_str());
    spec.headers.keys().any(is_key)
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
    fn a_server_is_found_behind_a_proxy_too() {
        let at = |path: &str| served("http://h/tools", "a", &json!({ "state": "idle", "urls": [path] })).url;
        for path in ["/servers/a/mcp", "/tools/servers/a/mcp"] {
            assert_eq!(at(path), "http://h/tools/servers/a/mcp");
        }
        assert_eq!(at("/mcp"), "http://h/tools/mcp");
        assert_eq!(at("/"), "http://h/tools/");
    }
}
