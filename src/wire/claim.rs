//! What a modern request says of itself: the protocol's own keys in its `_meta`.
//!
//! 2026-07-28, basic/index, "Per-request protocol fields": "A request missing any required field is malformed; the server
//! MUST reject it with JSON-RPC error code `-32602` (Invalid params)."

use super::meta::find;
use super::object::Object;
use super::revision::{Era, Revision};
use super::{Code, RpcError};
use memchr::memmem;
use serde_json::{Map, Value};

/// The key of the revision that a request speaks.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The key of who the client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The key of what the client can be asked.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The key of the log level that a request wants.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The key of the subscription that a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The key of the request that a notification of a server in this program belongs to; it never leaves the program.
pub const RELATED_REQUEST: &str = "mcp-switchboard/relatedRequest";
/// The key of who the server is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What a modern request says of itself, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What the client can be asked.
    pub capabilities: Map<String, Value>,
    /// The same as raw JSON.
    pub capabilities_raw: Box<str>,
    /// The raw log level, if it wants log lines.
    pub log_level: Option<Box<str>>,
}

/// Whether params claim a revision, however malformed; such a request is a modern one.
pub fn is_claimed(params: &str) -> bool {
    // Most legacy requests say nothing of it, and then nothing is parsed. The end of the key is searched for: some
    // serializers escape the slash before it.
    (memmem::find(params.as_bytes(), b"protocolVersion\"").is_some() || has_escaped_ascii(params))
        && find(params, &["_meta", PROTOCOL_VERSION]).is_some()
}

/// Whether a letter, a digit or a sign of ASCII is written as an escape, which nobody has to do: `\u0041`.
fn has_escaped_ascii(params: &str) -> bool {
    let params = params.as_bytes();
    memmem::find_iter(params, b"\\u00").any(|at| matches!(params.get(at + 4), Some(b'2'..=b'7')))
}

/// The revision that params claim, as it is written; what is no string is shown as JSON.
pub fn claimed(params: &str) -> Option<String> {
    let raw = find(params, &["_meta", PROTOCOL_VERSION])?;
    Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
}

impl Claim {
    /// Reads the params of a modern request.
    ///
    /// # Errors
    /// What the client is told: -32022 for a revision that is not of the modern era, -32602 for what is missing.
    pub fn read(params: &str) -> Result<Self, RpcError> {
        let meta = find(params, &["_meta"]).and_then(Object::read);
        let version = meta.as_ref().and_then(|meta| meta.get(PROTOCOL_VERSION));
        let (Some(meta), Some(version)) = (&meta, version) else { return Err(missing(PROTOCOL_VERSION)) };
        let version: String = serde_json::from_str(version).map_err(|_| {
            RpcError::new(Code::InvalidParams, format!("_meta[{PROTOCOL_VERSION:?}] must be a string"))
        })?;
        if version.parse().map(Revision::era) != Ok(Era::Modern) {
            return Err(RpcError::unsupported_version(&version));
        }
        let raw = meta.get(CLIENT_CAPABILITIES).ok_or_else(|| missing(CLIENT_CAPABILITIES))?;
        let capabilities = serde_json::from_str(raw).map_err(|_| not_object(CLIENT_CAPABILITIES))?;
        if meta.get(CLIENT_INFO).is_some_and(|info| !info.starts_with('{')) {
            return Err(not_object(CLIENT_INFO));
        }
        let log_level = meta.get(LOG_LEVEL).map(Into::into);
        Ok(Self { capabilities, capabilities_raw: raw.into(), log_level })
    }
}

fn missing(key: &str) -> RpcError {
    let message = format!("a request of 2026-07-28 needs params._meta[{key:?}]");
    RpcError::new(Code::InvalidParams, message).with("missing", vec![key])
}

fn not_object(key: &str) -> RpcError {
    RpcError::new(Code::InvalidParams, format!("params._meta[{key:?}] must be an object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(meta: &Value) -> Result<Claim, i64> {
        Claim::read(&json!({ "_meta": meta }).to_string()).map_err(|error| error.code.number())
    }

    #[test]
    fn a_whole_claim_is_read() {
        let claim = read(&json!({
            PROTOCOL_VERSION: "2026-07-28",
            CLIENT_INFO: { "name": "c", "version": "1" },
            CLIENT_CAPABILITIES: { "roots": {} },
            LOG_LEVEL: "info",
        }));
        let claim = claim.unwrap();
        assert_eq!(&*claim.capabilities_raw, r#"{"roots":{}}"#);
        assert!(claim.capabilities.contains_key("roots"));
        assert_eq!(claim.log_level.as_deref(), Some("\"info\""));
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let capabilities = json!({});
        for (meta, code) in [
            (json!({}), -32602),
            (json!({ CLIENT_CAPABILITIES: capabilities }), -32602),
            (json!({ PROTOCOL_VERSION: 1, CLIENT_CAPABILITIES: capabilities }), -32602),
            (json!({ PROTOCOL_VERSION: "2026-07-28" }), -32602),
            (json!({ PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: [] }), -32602),
            (json!({ PROTOCOL_VERSION: "2025-11-25", CLIENT_CAPABILITIES: capabilities }), -32022),
            (json!({ PROTOCOL_VERSION: "1900-01-01", CLIENT_CAPABILITIES: capabilities }), -32022),
        ] {
            assert_eq!(read(&meta), Err(code), "{meta}");
        }
        assert_eq!(Claim::read("").map_err(|error| error.code.number()), Err(-32602));
    }

    #[test]
    fn a_claim_is_seen_however_it_is_written() {
        assert!(is_claimed(r#"{"_meta":{"io.modelcontextprotocol\/protocolVersion":7}}"#));
        assert!(is_claimed(r#"{"_meta":{"io.modelcontextprotocol/protocolVersio\u006e":7}}"#));
        assert!(is_claimed(r#"{"\ud800":0,"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#));
        assert!(!is_claimed(r#"{"protocolVersion":"2025-11-25"}"#));
        assert!(!is_claimed(r#"{"arguments":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#));
        assert_eq!(
            claimed(r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#).as_deref(),
            Some("7")
        );
    }
}
