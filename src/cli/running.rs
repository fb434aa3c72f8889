//! A router that runs somewhere: where it is, and how it is called.

use std::time::Duration;

use reqwest::Client;

use crate::config::RemoteSpec;

/// The environment variable that says where the router is.
pub(super) const URL: &str = "MCP_SWITCHBOARD_URL";

/// An answer may take this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the words, else the environment, say that it is; else on this machine. No slash is at the end.
pub(super) fn base(given: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let set = |name: &str| environment(name).filter(|text| !text.trim().is_empty());
    let url = given.map(str::to_owned).or_else(|| set(URL)).unwrap_or_else(|| {
        let port = set("MCP_PROXY_PORT").filter(|port| port.trim() != "0");
        format!("http://127.0.0.1:{}", port.as_deref().map_or("8080", str::trim))
    });
    url.trim().trim_end_matches('/').to_owned()
}

/// A client for what is at `base`.
pub(super) fn client(base: &str) -> reqwest::Result<Client> {
    // Another part of the program may have installed it already: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder().timeout(PATIENCE);
    if RemoteSpec::new(base).is_ok_and(|remote| remote.is_loopback()) {
        // What is on this machine is not asked for through a proxy.
        client = client.no_proxy();
    }
    if base.starts_with("http:") {
        // The system's certificates take their time to be read.
        client = client.tls_certs_only([]);
    }
    client.build()
}

/// Why nothing came, down to the last cause; the URL may hold a secret.
pub(super) fn told(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_go_before_the_environment_and_that_before_this_machine() {
        let at = |given: Option<&str>, set: &[(&str, &str)]| {
            let lookup =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            base(given, &lookup)
        };
        let both = [(URL, "http://b:2/tools/"), ("MCP_PROXY_PORT", "9000")];
        assert_eq!(at(Some("https://a.example/x/"), &both), "https://a.example/x");
        assert_eq!(at(None, &both), "http://b:2/tools");
        assert_eq!(at(None, &both[1..]), "http://127.0.0.1:9000");
        assert_eq!(at(None, &[(URL, ""), ("MCP_PROXY_PORT", "0")]), "http://127.0.0.1:8080");
    }
}
