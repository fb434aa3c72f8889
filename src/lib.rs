//! mcp-switchboard connects any MCP client to any MCP server.

pub mod config;
pub mod http;
pub mod peer;
pub mod protocol;
pub mod wire;
