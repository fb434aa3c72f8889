//! What is true now: `/status` and the health of the process and of each mount.

use super::entrance::sees;
use super::front::Front;
use super::refusal::Refusal;
use super::reply;
use crate::access::Caller;
use crate::mount::{Mount, State};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use warp::reply::{Reply, Response};

/// Mounts that are still starting after this no longer hold readiness back.
const READY_AT_LAST: Duration = Duration::from_secs(30);

/// `/status`: the three keys that older tools have, and the truth about every mount that the caller may use.
pub(super) fn status(front: &Front, caller: &Caller) -> Response {
    let table = front.table.load();
    let administers = front.auth.load().is_none() || caller.grant().administers();
    let mut instances = Map::new();
    let mut servers = Map::new();
    let sees = |mount: &&Arc<Mount>| sees(caller, mount);
    let views = || table.views().filter(sees);
    // Who may use no server is not told of all of them together.
    let aggregate = || table.aggregate().filter(|_| administers || !caller.grant().is_empty());
    let mut sse: usize = aggregate().into_iter().chain(views()).map(|mount| mount.clients().1).sum();
    let views: Map<String, Value> =
        views().map(|view| (view.name().to_string(), value(&view.status(urls(front, view))))).collect();
    for mount in table.all().filter(sees) {
        let name = mount.name().to_string();
        sse += mount.clients().1;
        instances.insert(name.clone(), mount.state().as_str().into());
        servers.insert(name, value(&mount.status(urls(front, mount))));
    }
    body(
        StatusCode::OK,
        &json!({
            "api_last_activity": humantime::format_rfc3339_micros(front.last_activity()).to_string(),
            "active_sse_connections": sse,
            "server_instances": instances,
            "version": env!("CARGO_PKG_VERSION"),
            "config": front.source.load().as_deref().filter(|_| administers),
            "uptime_seconds": front.started.elapsed().as_secs(),
            "servers": servers,
            "aggregate": aggregate().map(|mount| value(&mount.status(urls(front, mount)))),
            "views": views,
        }),
    )
}

/// `/health`: the process lives, in the shape that older tools document.
pub(super) fn health(front: &Front) -> Response {
    let table = front.table.load();
    let sessions: usize = table.served().map(|mount| mount.clients().0).sum();
    let command = table.default_mount().or(table.all().next()).map(|mount| mount.command());
    let (status, word) = if front.is_closing() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    } else {
        (StatusCode::OK, "healthy")
    };
    // Whoever asks this need not be known, and is not told more than that.
    let open = front.auth.load().is_none();
    let command = command.flatten().filter(|_| open);
    body(status, &json!({ "status": word, "active_sessions": sessions, "server_command": command }))
}

/// `/healthz`: the process lives.
pub(super) fn healthz() -> Response {
    body(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `ok`, and nothing else: what supergateway says where it is told to.
pub(super) fn alive() -> Response {
    "ok".into_response()
}

/// `/readyz`: every enabled mount has left `starting`, and each eager one has answered, or had time enough; not while ending, nor when all have failed.
pub(super) fn readyz(front: &Front) -> Response {
    let table = front.table.load();
    let states: Vec<(String, State)> = table
        .all()
        .map(|mount| (mount.name().to_string(), mount.state()))
        .filter(|(_, s)| *s != State::Disabled)
        .collect();
    let is_young = front.started.elapsed() < READY_AT_LAST;
    let waiting: Vec<String> = table
        .all()
        .filter(|mount| is_young && mount.is_waited_for())
        .map(|mount| mount.name().to_string())
        .collect();
    let failed = !states.is_empty() && states.iter().all(|(_, state)| *state == State::Failed);
    let why = if front.is_closing() {
        Some("shutting down")
    } else if failed {
        Some("every server has failed")
    } else if !waiting.is_empty() {
        Some("starting")
    } else {
        None
    };
    let open = front.auth.load().is_none();
    let waiting: Vec<String> = waiting.into_iter().filter(|_| open).collect();
    let states = states.into_iter().filter(|_| open);
    let servers: Map<String, Value> = states.map(|(name, state)| (name, state.as_str().into())).collect();
    let code = if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    body(code, &json!({ "status": why.unwrap_or("ready"), "waiting_for": waiting, "servers": servers }))
}

/// `/servers/<name>/health`: that mount's part of `/status`; 200 if a client can be served.
pub(super) fn mount_health(front: &Front, name: &str, caller: &Caller) -> Result<Response, Refusal> {
    let table = front.table.load();
    let mount = table.find(name).ok_or_else(|| super::unserved::not_found(None))?;
    if !sees(caller, mount) {
        return Err(Refusal::Forbidden(format!("the server {name}")));
    }
    let status = match mount.state() {
        State::Ready | State::Idle => StatusCode::OK,
        State::Starting | State::Failing | State::Failed | State::Disabled => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(body(status, &value(&mount.status(urls(front, mount)))))
}

/// The paths at which a mount is served.
pub(super) fn urls(front: &Front, mount: &Mount) -> Vec<String> {
    let table = front.table.load();
    let is_root = table.root().is_some_and(|root| std::ptr::eq(&raw const **root, mount));
    let base = &front.base_path;
    if is_root {
        return front.default_paths().map(|path| format!("{base}{path}")).into();
    }
    let folder = if mount.is_aggregate() { "views" } else { "servers" };
    ["mcp", "sse"].map(|last| format!("{base}/{folder}/{}/{last}", mount.name())).into()
}

fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn body(status: StatusCode, value: &Value) -> Response {
    let mut response = reply::json(value.to_string().into());
    *response.status_mut() = status;
    response
}
