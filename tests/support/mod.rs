//! What the stories share: the binary under test, a client for it, and a look at processes.

#![allow(dead_code, reason = "no story uses everything")]
#![allow(clippy::print_stderr, reason = "the router's log is shown beside the story that failed")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values, and stories pass them as they are")]

pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod issuer;
pub(crate) mod mcp;
pub(crate) mod modern;
pub(crate) mod process;
pub(crate) mod puppet;
pub(crate) mod raw;
pub(crate) mod router;
pub(crate) mod site;

use std::time::{Duration, Instant};

/// Longer than anything may take; only a failing story waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client that goes straight to where it is sent.
pub(crate) fn http_client() -> reqwest::Client {
    // One is wanted even where nothing is encrypted; the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The system's certificates take their time to be read, and a story may have a hundred clients.
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client")
}

/// Waits for something that nobody announces: looks again and again until it is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("it took too long: {what}"))
}
