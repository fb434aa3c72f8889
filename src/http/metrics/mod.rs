//! `/metrics`: what is counted and measured, as Prometheus reads it. Everything is read where it is counted, when it is asked for.

mod page;
mod process;
mod servers;

use super::front::Front;
use super::refusal::Refusal;
use crate::access::Caller;
use crate::mount::Table;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use page::Page;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use warp::reply::Response;

use super::ledger::Ledger;

/// What the name of every metric begins with.
const PREFIX: &str = "mcp_switchboard";

/// `/metrics`, for who administers the router; where no keys are asked for, for whoever reaches it.
pub(super) fn metrics(front: &Front, caller: &Caller) -> Result<Response, Refusal> {
    if front.auth.load().is_some() && !caller.grant().administers() {
        return Err(Refusal::Forbidden("`/metrics`".to_owned()));
    }
    if !front.metrics {
        return Err(Refusal::SwitchedOff(
            "metrics are off: start without `--no-metrics`, and without `\"metrics\": false` in the configuration file",
        ));
    }
    let text = encoded(Scrape::of(front)).unwrap_or_default();
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus_text::CONTENT_TYPE));
    Ok(response)
}

fn encoded(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(process::Process));
    let own = registry.sub_registry_with_prefix(PREFIX);
    own.register_collector(Box::new(scrape));
    let mut text = String::new();
    // Writing to a string cannot fail.
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Where everything is read.
#[derive(Debug)]
struct Scrape {
    table: Arc<Table>,
    ledger: Arc<Ledger>,
    born: SystemTime,
    connections: usize,
    processes: usize,
    lost_lines: Option<u64>,
}

impl Scrape {
    fn of(front: &Front) -> Self {
        Self {
            table: front.table.load_full(),
            ledger: front.ledger.clone(),
            born: front.born,
            connections: front.limits.connections,
            processes: front.limits.processes,
            lost_lines: front.lost_lines(),
        }
    }

    fn edge(&self, page: &mut Page<'_>) -> fmt::Result {
        let ledger = &self.ledger;
        page.counters(
            "http_responses",
            "Responses over HTTP by the class of their status",
            ledger.responses().map(|(class, count)| ([("class", class)], count)),
        )?;
        let refusals = ledger.refusals();
        let unknown = refusals.iter().find(|(kind, _)| *kind == Refusal::UNAUTHORIZED);
        page.counter(
            "auth_failures",
            "Requests that were answered 401, because nobody is known to ask",
            unknown.map_or(0, |(_, count)| *count),
        )?;
        page.counters(
            "http_refusals",
            "Requests that were refused before they came to a server, or by its limits, by kind",
            refusals.into_iter().map(|(kind, count)| ([("kind", kind)], count)),
        )?;
        page.gauge("connections_open", "Connections that are open", ledger.connections())?;
        page.gauge("connections_limit", "Connections that may be open", self.connections)?;
        page.counters(
            "connections_turned_away",
            "Connections that were not let in, by the limit that they were over",
            ledger.all_turned_away().into_iter().map(|(limit, count)| ([("limit", limit)], count)),
        )
    }

    fn router(&self, page: &mut Page<'_>) -> fmt::Result {
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ];
        page.gauges("build_info", "Which router this is; always 1", [(build, 1)])?;
        let born = self.born.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.seconds("start_time_seconds", "When the router was started, in seconds since 1970", born)?;
        page.gauge("processes_limit", "Processes that all servers together may have", self.processes)?;
        match self.lost_lines {
            Some(lost) => {
                let help =
                    "Lines of the log that were dropped, because they could not be written fast enough";
                page.counter("log_lines_dropped", help, lost)
            }
            None => Ok(()),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(encoder);
        self.router(page)?;
        self.edge(page)?;
        servers::write(page, &self.table)
    }
}
