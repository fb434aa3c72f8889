//! Other names for what is served at the root, for clients that know it by these from another tool.

use http::HeaderMap;

/// Where the default server is served besides `/mcp`, `/sse` and `/messages`, and how its answers show that.
///
/// Paths are as [`base_path`](super::base_path()) reads them; one that is also a path of the router's own hides that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    /// Streamable HTTP.
    pub mcp: Option<String>,
    /// HTTP+SSE: the stream.
    pub sse: Option<String>,
    /// HTTP+SSE: the messages. The `endpoint` event then names this path, and spells its parameter `sessionId`.
    pub messages: Option<String>,
    /// Where the process says that it lives, with the body `ok`.
    pub health: Vec<String>,
    /// Headers that answers get, unless they have them already.
    pub headers: HeaderMap,
}
