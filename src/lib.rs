//! mcp-switchboard connects any MCP client to any MCP server.
#![forbid(unsafe_code)]

pub mod access;
pub mod aggregate;
pub mod auth;
pub mod cli;
pub mod config;
pub mod connect;
pub mod demo_server;
pub mod healthcheck;
pub mod http;
pub mod mount;
pub mod oauth;
pub mod peer;
pub mod protocol;
pub mod router;
pub mod session;
pub mod shell;
pub mod telemetry;
pub mod wire;
