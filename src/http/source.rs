//! Where the configuration comes from, as `/status` tells it.

use serde::Serialize;
use std::time::SystemTime;

/// The file that the configuration was read from, and how it is with it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its path.
    pub file: String,
    /// When that was read which is served now (RFC 3339).
    #[serde(serialize_with = "as_text")]
    pub loaded_at: SystemTime,
    /// Why it cannot be used as it is now; what was read before is served.
    pub error: Option<String>,
    /// How often it was read again and used.
    pub reloads: u64,
    /// Keys that differ from what is served, and are used from the next start on.
    pub needs_restart: Vec<&'static str>,
}

impl Source {
    /// A file that was read just now.
    pub fn new(file: String) -> Self {
        Self { file, loaded_at: SystemTime::now(), error: None, reloads: 0, needs_restart: Vec::new() }
    }
}

fn as_text<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_micros(*time))
}
