//! What is counted of each server.

use super::page::Page;
use crate::mount::{Figures, State, Table};
use crate::telemetry::{Durations, Tally};
use std::fmt;

/// Writes the numbers of every mount in the table.
pub(super) fn write(page: &mut Page<'_>, table: &Table) -> fmt::Result {
    let servers: Vec<_> = table.served().filter_map(|mount| mount.figures()).collect();
    now(page, &servers)?;
    requests(page, &servers)?;
    processes(page, &servers)?;
    messages(page, &servers)
}

fn now(page: &mut Page<'_>, servers: &[Figures<'_>]) -> fmt::Result {
    let states = servers.iter().flat_map(|server| {
        let labels = |state: State| [("server", server.server), ("state", state.as_str())];
        State::ALL.into_iter().map(move |state| (labels(state), usize::from(state == server.state)))
    });
    page.gauges("server_state", "How a server stands: 1 for its state, 0 for all others", states)?;
    let running = || servers.iter().filter(|server| server.runs);
    page.gauges(
        "requests_in_flight",
        "Requests of clients that are not answered yet",
        running().map(|server| ([("server", server.server)], server.in_flight)),
    )?;
    page.gauges(
        "sessions",
        "Clients with a session",
        running().map(|server| ([("server", server.server)], server.sessions)),
    )
}

fn requests(page: &mut Page<'_>, servers: &[Figures<'_>]) -> fmt::Result {
    let ended = servers.iter().flat_map(|server| {
        server.tally.measured.ended.counts().map(|(method, outcome, count)| {
            ([("server", server.server), ("method", method.as_str()), ("outcome", outcome)], count)
        })
    });
    page.counters("requests", "Requests of clients that have ended, by how they ended", ended)?;
    histograms(
        page,
        servers,
        "request_duration_seconds",
        "How long requests took, but for subscriptions, which last as long as their client likes",
        |tally| &tally.measured.took,
    )?;
    let waits = running(servers).flat_map(|server| {
        let measured = &server.tally.measured;
        let both = [("process", &measured.waited_for_process), ("turn", &measured.waited_for_turn)];
        both.map(|(what, waited)| ([("server", server.server), ("for", what)], waited))
    });
    page.histograms(
        "request_wait_seconds",
        "How long requests waited before they were passed on: for a process that serves them, and then for their turn",
        waits,
    )?;
    let bridged = running(servers).flat_map(|server| {
        let measured = &server.tally.measured;
        let both = [
            ("legacy", "modern", measured.legacy_to_modern.count()),
            ("modern", "legacy", measured.modern_to_legacy.count()),
        ];
        both.map(|(client, to, count)| {
            ([("server", server.server), ("client_era", client), ("server_era", to)], count)
        })
    });
    page.counters(
        "bridged_requests",
        "Requests that have ended of clients that speak another era than the server",
        bridged,
    )?;
    counters(page, servers, "request_bytes", "Bytes of requests that have ended", |tally| {
        tally.measured.received.count()
    })?;
    counters(page, servers, "response_bytes", "Bytes of their answers", |tally| tally.measured.sent.count())
}

fn processes(page: &mut Page<'_>, servers: &[Figures<'_>]) -> fmt::Result {
    let counted = || servers.iter().filter_map(|server| Some((server.server, server.processes?)));
    page.gauges(
        "processes",
        "Processes that run: kept ready for a client, or working for some",
        counted().flat_map(|(server, processes)| {
            let each = [("spare", processes.spare), ("working", processes.working)];
            each.map(|(state, count)| ([("server", server), ("state", state)], count))
        }),
    )?;
    page.gauges(
        "processes_max",
        "Processes that a server may have (`pool.max`)",
        counted().map(|(server, processes)| ([("server", server)], processes.max)),
    )?;
    histograms(
        page,
        servers,
        "spawn_seconds",
        "From the first word to a process until its handshake was done; one that was not kept ready starts meanwhile",
        |tally| &tally.openings,
    )?;
    counters(page, servers, "restarts", "Processes that were replaced in sessions that went on", |tally| {
        tally.restarts.count()
    })?;
    let exits = servers.iter().flat_map(|server| {
        let counts = server.tally.exits.counts().into_iter();
        counts.map(|(cause, count)| ([("server", server.server), ("cause", cause)], count))
    });
    page.counters(
        "exits",
        "Processes, and connections to remote servers, that have ended, by cause; `stopped`: by the router",
        exits,
    )
}

fn messages(page: &mut Page<'_>, servers: &[Figures<'_>]) -> fmt::Result {
    let dropped = "Notifications and answers that reached nobody";
    counters(page, servers, "dropped_notifications", dropped, |tally| tally.dropped.count())?;
    let skipped = "Lines of servers that were no messages";
    counters(page, servers, "skipped_lines", skipped, |tally| tally.skipped_lines.count())?;
    let resumed = "Event streams that a client has come back to";
    counters(page, servers, "stream_resumptions", resumed, |tally| tally.resumptions.count())
}

fn counters(
    page: &mut Page<'_>,
    servers: &[Figures<'_>],
    name: &str,
    help: &str,
    count: impl Fn(&Tally) -> u64,
) -> fmt::Result {
    let samples = running(servers).map(|server| ([("server", server.server)], count(server.tally)));
    page.counters(name, help, samples)
}

fn histograms(
    page: &mut Page<'_>,
    servers: &[Figures<'_>],
    name: &str,
    help: &str,
    durations: impl Fn(&Tally) -> &Durations,
) -> fmt::Result {
    let samples = running(servers).map(|server| ([("server", server.server)], durations(server.tally)));
    page.histograms(name, help, samples)
}

/// Those that may be asked: what cannot is told by its state, and needs no series of zeros.
fn running<'s, 'm>(servers: &'s [Figures<'m>]) -> impl Iterator<Item = &'s Figures<'m>> {
    servers.iter().filter(|server| server.runs)
}
