//! The router inside other applications: as a filter in a warp server, and as a tower service in an axum server.
//!
//! `cargo run --example embed -- uvx mcp-server-time` serves that server at `/servers/example/mcp` of two addresses,
//! both of which answer `/hello` by themselves. One router, one pool of processes, is behind them.

use std::future::IntoFuture;
use std::io;

use anyhow::{Context, Result};
use mcp_switchboard::config::{CommandSpec, Config, ServerSpec};
use mcp_switchboard::router::Router;
use tokio::net::{TcpListener, TcpSocket};
use warp::Filter;

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut command = CommandSpec::new(words.next().context("usage: embed COMMAND [ARGS]...")?);
    command.args = words.collect();
    let servers = vec![ServerSpec::stdio("example".parse()?, command)];
    let router = Router::build(Config { servers, ..Config::default() }, true);

    let in_warp = listen(8081)?;
    let hello = warp::path!("hello").map(|| "hello from warp\n");
    let warp_server = warp::serve(hello.or(router.filter())).incoming(in_warp).run();

    let in_axum = listen(8082)?;
    let hello = axum::routing::get(async || "hello from axum\n");
    let axum_app = axum::Router::new().route("/hello", hello).fallback_service(router.service());
    let axum_server = axum::serve(in_axum, axum_app).into_future();

    tokio::select! {
        () = warp_server => {}
        ended = axum_server => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    // Whoever embeds the router stops it: only then have all its processes ended.
    router.stop().await;
    Ok(())
}

/// Neither warp nor axum sets `TCP_NODELAY`, without which an event waits 40 ms for its packet. On Linux a connection
/// inherits it from the listening socket.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(1024)
}
