//! A router that runs somewhere: where it is, and how it is called.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::settings::TOKEN as KEY;
use crate::config::RemoteSpec;
use crate::http::operator::TOKEN;

/// The environment variable that says where the router is.
pub(super) const URL: &str = "MCP_SWITCHBOARD_URL";

/// The environment variable that says whose certificates are believed there.
pub(super) const CA: &str = "MCP_SWITCHBOARD_CA";

/// The key that is shown to the router: an operator's token, else a caller's key.
pub(super) fn key() -> Option<String> {
    let set = |name| std::env::var(name).ok().map(|key: String| key.trim().to_owned());
    [TOKEN, KEY].into_iter().filter_map(set).find(|key| !key.is_empty())
}

/// What a router is said to have answered that does not know whoever asks.
pub(super) fn unknown(base: &str) -> String {
    format!("{base} does not know who asks: set {TOKEN} to its operators' token, or {KEY} to a key")
}

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

/// The unix socket that `unix:PATH` names.
fn socket(base: &str) -> Option<&Path> {
    base.strip_prefix("unix:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// What the paths of requests are put behind: of a unix socket any host, since it leads nowhere else.
pub(super) fn root(base: &str) -> &str {
    if socket(base).is_some() { "http://localhost" } else { base }
}

/// A client for what is at `base`, which believes the certificates of `authority`, else those that the system does.
///
/// # Errors
/// Why there can be none, for a person.
pub(super) fn client(base: &str, authority: Option<&Path>) -> Result<Client, String> {
    // Another part of the program may have installed it already: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder().timeout(PATIENCE);
    if RemoteSpec::new(base).is_ok_and(|remote| remote.is_loopback()) {
        // What is on this machine is not asked for through a proxy.
        client = client.no_proxy();
    }
    #[cfg(unix)]
    if let Some(socket) = socket(base) {
        client = client.unix_socket(socket);
    }
    if root(base).starts_with("http:") {
        // The system's certificates take their time to be read.
        client = client.tls_certs_only([]);
    } else if let Some(file) = authority {
        client = client.tls_certs_only(certificates(file)?);
    }
    client.build().map_err(told)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let unusable =
        |reason: &dyn Display| format!("the certificates in {} cannot be used: {reason}", file.display());
    let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
    if found.is_empty() { Err(unusable(&"there is none in PEM")) } else { Ok(found) }
}

/// What to do about a certificate that is not believed, if that is why nothing came.
pub(super) fn disbelief(error: &reqwest::Error) -> Option<String> {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let cause = causes.find(|cause| cause.to_string().contains("certificate"))?;
    Some(format!("{cause}: name by `--cacert`, or by {CA}, the file of the authority that vouches for it"))
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
        assert_eq!((socket("unix:/a"), socket("unix:///a")), (Some(Path::new("/a")), Some(Path::new("/a"))));
        assert_eq!((root("unix:/a"), root("https://a")), ("http://localhost", "https://a"));
    }
}
