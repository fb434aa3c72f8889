//! `limits` in the file.

use super::Limits;
use super::error::Problem;
use super::node::Node;

/// Reads the object. What it holds protects the router, so a key that is not known refuses the file.
pub(super) fn read(node: &Node<'_>) -> Result<Limits, Problem> {
    let mut members = node.members("an object of limits")?;
    let mut limits = Limits::default();
    // A head is read into one buffer, which the HTTP library wants no smaller than 8 KiB.
    let counts = [
        ("body", &mut limits.body, 1..=u32::MAX),
        ("line", &mut limits.line, 1..=u32::MAX),
        ("depth", &mut limits.depth, 1..=100_000),
        ("head", &mut limits.head, 8192..=16 << 20),
        ("headers", &mut limits.headers, 1..=10_000),
        ("connections", &mut limits.connections, 1..=1_000_000),
        ("connectionsPerClient", &mut limits.connections_per_client, 1..=1_000_000),
        ("processes", &mut limits.processes, 1..=1_000_000),
        ("sessions", &mut limits.sessions, 1..=1_000_000),
        ("streams", &mut limits.streams, 1..=1_000_000),
    ];
    for (key, limit, range) in counts {
        if let Some(node) = members.get(key) {
            *limit = node.count(range)?;
        }
    }
    let times = [
        ("headTimeout", &mut limits.head_timeout),
        ("bodyTimeout", &mut limits.body_timeout),
        ("idleConnection", &mut limits.idle_connection),
    ];
    for (key, limit) in times {
        if let Some(node) = members.get(key) {
            *limit = node.positive_seconds()?;
        }
    }
    members.refuse_unknown()?;
    Ok(limits)
}
