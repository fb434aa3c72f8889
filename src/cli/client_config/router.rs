//! The running router: its address, and what it says of its mounts.

use std::path::PathBuf;

use serde_json::Value;
use url::{Host, Url};

use super::Client;
use super::block::Entry;
use crate::cli::running;
use crate::config::{InvalidUrl, RemoteSpec};

/// The address of a router, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Router {
    url: Url,
    /// It is reached by http on another machine.
    pub(super) is_in_the_clear: bool,
}

impl Router {
    /// The router at that address, else at the one that the environment names, else on this machine.
    pub(super) fn at(
        given: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let text = running::base(given, environment);
        let told = |invalid: InvalidUrl| format!("the router's address: {invalid}");
        let mut remote = RemoteSpec::new(&text).map_err(told)?;
        let is_in_the_clear = remote.check() == Err(InvalidUrl::Plain);
        remote.allow_plain = true;
        remote.check().map_err(told)?;
        if !remote.headers.is_empty() || remote.url.query().is_some() {
            return Err("the router's address: no user, password or query is wanted".to_owned());
        }
        Ok(Self { url: remote.url, is_in_the_clear })
    }

    /// One server's endpoint.
    pub(super) fn server(&self, name: &str) -> String {
        self.path(&format!("/servers/{name}/mcp"))
    }

    /// One view's endpoint.
    pub(super) fn view(&self, name: &str) -> String {
        self.path(&format!("/views/{name}/mcp"))
    }

    /// The endpoint of all servers, or of the default one.
    pub(super) fn everything(&self) -> String {
        self.path("/mcp")
    }

    /// What to know about this address for that client.
    pub(super) fn caution(&self, client: Client) -> Option<String> {
        let is_near = match self.url.host() {
            Some(Host::Domain(name)) => name.ends_with("localhost") || !name.contains('.'),
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
            None => true,
        };
        match client {
            Client::OpenAi if is_near => Some(format!(
                "warning: OpenAI calls {} from outside, and cannot reach it: name by `--url` an https:// address that it can",
                self.url
            )),
            Client::OpenAi if self.url.scheme() == "http" => {
                Some("warning: everything is sent in the clear: use https://".to_owned())
            }
            _ if self.is_in_the_clear => Some(
                "warning: http:// to another machine sends everything in the clear: use https:// if you can"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// The mounts of the running router that are not switched off.
    pub(super) fn mounts(&self) -> Result<Vec<Entry>, String> {
        let place = self.path("/status");
        let silent =
            |error: &dyn std::fmt::Display| format!("no router says at {place} what it has: {error}");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| silent(&e))?;
        let status = runtime.block_on(ask(&place)).map_err(|error| silent(&error))?;
        self.entries(&status).ok_or_else(|| silent(&"it is no status of this program"))
    }

    fn entries(&self, status: &Value) -> Option<Vec<Entry>> {
        let servers = status.get("servers")?.as_object()?;
        let enabled = servers.iter().filter(|(_, server)| server["state"] != "disabled");
        let entry = |(name, server): (&String, &Value)| {
            let named = format!("/servers/{name}/mcp");
            let is_named = server["urls"]
                .as_array()
                .is_some_and(|urls| urls.iter().filter_map(Value::as_str).any(|url| url.ends_with(&named)));
            // The default server is at the root.
            Entry::new(name, if is_named { self.server(name) } else { self.everything() })
        };
        Some(enabled.map(entry).collect())
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }
}

async fn ask(url: &str) -> Result<Value, String> {
    let authority = std::env::var_os(running::CA).map(PathBuf::from);
    let client = running::client(url, authority.as_deref())?;
    let answer = client.get(url).send().await.map_err(running::told)?;
    if !answer.status().is_success() {
        return Err(format!("status {}", answer.status()));
    }
    let body = answer.bytes().await.map_err(running::told)?;
    serde_json::from_slice(&body).map_err(|_| "the answer is not JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(given: Option<&str>, environment: &[(&str, &str)]) -> Result<Router, String> {
        let lookup = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Router::at(given, &lookup)
    }

    #[test]
    fn the_address_is_the_options_else_the_environments_else_this_machine() {
        let environment = [("MCP_SWITCHBOARD_URL", "https://env.example/tools/")];
        let everything = |router: Result<Router, String>| router.unwrap().everything();
        assert_eq!(everything(at(Some("http://localhost:1"), &environment)), "http://localhost:1/mcp");
        assert_eq!(everything(at(None, &environment)), "https://env.example/tools/mcp");
        for wrong in
            ["localhost:8080", "ftp://h", "http://169.254.1.1", "https://u:s3cret@h", "https://h/?k=s3cret"]
        {
            let refused = at(Some(wrong), &[]).unwrap_err();
            assert!(
                refused.starts_with("the router's address: ") && !refused.contains("s3cret"),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_mounts_are_those_that_are_on_and_the_default_server_is_at_the_root() {
        let status = json!({ "servers": {
            "a": { "state": "ready", "urls": ["/base/servers/a/mcp", "/base/servers/a/sse"] },
            "default": { "state": "failed", "urls": ["/mcp", "/sse"] },
            "off": { "state": "disabled", "urls": [] },
        } });
        let router = at(Some("https://h.example"), &[]).unwrap();
        let expected = [
            Entry::new("a", "https://h.example/servers/a/mcp".to_owned()),
            Entry::new("default", "https://h.example/mcp".to_owned()),
        ];
        assert_eq!(router.entries(&status).unwrap(), expected);
        assert_eq!(router.entries(&json!([])), None);
    }

    #[test]
    fn who_calls_from_outside_is_told_that_it_cannot() {
        for near in ["http://localhost:8080", "http://127.0.0.1", "http://10.0.0.1", "https://router"] {
            let caution = at(Some(near), &[]).unwrap().caution(Client::OpenAi).unwrap();
            assert!(caution.contains("cannot reach it"), "{caution}");
        }
        assert_eq!(at(Some("https://mcp.example.com"), &[]).unwrap().caution(Client::OpenAi), None);
        assert_eq!(at(Some("http://localhost"), &[]).unwrap().caution(Client::Cursor), None);
        assert!(at(Some("http://router:8080"), &[]).unwrap().caution(Client::Claude).is_some());
    }
}
