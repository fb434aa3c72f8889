//! The headers of a message, generated from its body.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::catalog::Catalog;
use crate::wire::headers::{self, METHOD, NAME, Name, PROTOCOL_VERSION};
use crate::wire::meta::{find, find_string};
use crate::wire::{Kind, Message, claim};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What an answer to a POST may be.
pub(super) const EITHER: &str = "application/json, text/event-stream";

/// What an answer to a GET is.
pub(super) const EVENTS: &str = "text/event-stream";

/// Headers that are made here, and that nobody may set for a server.
const OURS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a configured header cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// It is no name of a header.
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// Its value has a line break or another control character. The value may be secret.
    #[error("the value of the header {0:?} has a character that no header may have")]
    Value(String),
    /// It is made from each message.
    #[error("the header {0:?} is set by the router itself")]
    Ours(String),
}

/// Checks a header that is configured for a server.
pub fn configured(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    let header: HeaderName = name.parse().map_err(|_| InvalidHeader::Name(name.to_owned()))?;
    if OURS.contains(&header.as_str()) || header.as_str().starts_with("mcp-param-") {
        return Err(InvalidHeader::Ours(name.to_owned()));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| InvalidHeader::Value(name.to_owned()))?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// Whether a message is one of the modern era.
pub(super) fn is_modern(message: &Message) -> bool {
    matches!(message.kind(), Kind::Request | Kind::Notification) && claim::is_claimed(message.body())
}

/// What a modern message must repeat of its body.
///
/// 2026-07-28, Streamable HTTP: "the POST request MUST include the `MCP-Protocol-Version` header", "Mcp-Method", and
/// for some methods `Mcp-Name`; "Append a `Mcp-Param-{Name}: {Value}` header to the request" for an annotated parameter.
pub(super) fn of_modern(message: &Message, catalog: &Catalog) -> HeaderMap {
    let mut map = HeaderMap::new();
    let mut set = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            map.insert(name, value);
        }
    };
    let params = message.body();
    if let Some(version) = claim::claimed(params) {
        set(PROTOCOL_VERSION, &version);
    }
    set(METHOD, message.method());
    if let Name::Is(name) = headers::name_of(message.method(), params) {
        set(NAME, &headers::encode(&name));
    }
    if message.method() == "tools/call"
        && let Some(annotations) = find_string(params, &["name"]).and_then(|name| catalog.annotations(&name))
    {
        for (name, value) in annotations.headers(find(params, &["arguments"])) {
            set(&name, &value);
        }
    }
    map
}

/// Whether the body of an answer is an event stream; None if it is neither that nor JSON.
pub(super) fn is_events(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/event-stream" => Some(true),
        "application/json" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_a_message_cannot_be_configured() {
        assert!(configured("Authorization", "Bearer x").is_ok_and(|(_, value)| value.is_sensitive()));
        assert_eq!(configured("Mcp-Session-Id", "x"), Err(InvalidHeader::Ours("Mcp-Session-Id".into())));
        assert_eq!(configured("mcp-param-x", "x"), Err(InvalidHeader::Ours("mcp-param-x".into())));
        assert_eq!(configured("a b", "x"), Err(InvalidHeader::Name("a b".into())));
        let refused = configured("X-Key", "s3cret\r\nX: y").unwrap_err();
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
    }

    #[test]
    fn a_modern_message_repeats_its_body_in_headers() {
        let catalog = Catalog::default();
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"type":"object",
            "properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}}"#;
        catalog.learn(Message::own(list.replace('\n', " ")).unwrap(), |_, _| {});
        let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a","arguments":{"region":"é"},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let headers = of_modern(&Message::own(call.replace('\n', " ")).unwrap(), &catalog);
        let value = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        assert_eq!(value("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(value("mcp-method"), Some("tools/call"));
        assert_eq!(value("mcp-name"), Some("a"));
        assert_eq!(value("mcp-param-region"), Some("=?base64?w6k=?="));
    }
}
