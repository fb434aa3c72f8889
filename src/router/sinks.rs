//! Who hears of requests beside the mounts: the access log, the collector of traces, and the history.

use super::StartError;
use crate::config::{AccessLogPlace, Config, HistorySpec};
use crate::telemetry::access_log::{AccessLog, Place};
use crate::telemetry::traces::{Destination, Traces};
use crate::telemetry::{Events, History, HistoryOptions, Observer, Share, Sink};
use std::sync::Arc;
use std::time::Duration;

/// What waits at the end may take this long.
const LAST_PATIENCE: Duration = Duration::from_millis(2500);

/// Who hears of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Sinks {
    access_log: Option<Arc<AccessLog>>,
    traces: Option<(Arc<Traces>, Share)>,
    history: Option<Arc<History>>,
}

impl Sinks {
    /// Those that are asked for.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        Ok(Self { access_log: access_log(config)?, traces: traces(config)?, history: history(config) })
    }

    /// Through whom they hear; nobody if nothing is measured, and nobody else listens.
    pub(super) fn observer(&self, metrics: bool) -> Option<Observer> {
        let access_log = self.access_log.iter().cloned().map(|log| log as Arc<dyn Sink>);
        let traces = self.traces.iter().map(|(traces, _)| traces.clone() as Arc<dyn Sink>);
        let history = self.history.iter().cloned().map(|history| history as Arc<dyn Sink>);
        let sinks: Vec<_> = access_log.chain(traces).chain(history).collect();
        let share = self.traces.as_ref().map(|(_, share)| *share);
        (metrics || !sinks.is_empty()).then(|| Observer::new(sinks).tracing(share))
    }

    /// From now on they write; what goes wrong is told in `events`.
    pub(super) fn start(&self, events: &Events) {
        if let Some(history) = &self.history {
            history.start(events.clone());
        }
    }

    /// Opens files again.
    pub(super) fn reopen(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Lets each write or send what waits. A disk, or a collector, that hangs does not keep us.
    pub(super) async fn close(&self) {
        if let Some(history) = &self.history {
            history.finish().await;
        }
        let traces = async {
            if let Some((traces, _)) = &self.traces {
                traces.finish().await;
            }
        };
        let log = async {
            if let Some(log) = self.access_log.clone() {
                let log = tokio::task::spawn_blocking(move || log.close());
                let _ = tokio::time::timeout(LAST_PATIENCE, log).await;
            }
        };
        futures::future::join(traces, log).await;
    }
}

fn access_log(config: &Config) -> Result<Option<Arc<AccessLog>>, StartError> {
    let Some(spec) = &config.access_log else { return Ok(None) };
    let place = match &spec.place {
        AccessLogPlace::Log => Place::Log,
        AccessLogPlace::File(path) => Place::File { path: path.clone(), json: spec.json },
    };
    let named = |source| StartError::AccessLog { path: spec.place.to_string(), source };
    AccessLog::open(place, spec.arguments).map(|log| Some(Arc::new(log))).map_err(named)
}

fn history(config: &Config) -> Option<Arc<History>> {
    let HistorySpec { file, keep, rows, arguments } = config.history.clone()?;
    Some(History::new(HistoryOptions { file, keep, rows, arguments }))
}

fn traces(config: &Config) -> Result<Option<(Arc<Traces>, Share)>, StartError> {
    let Some(spec) = &config.traces else { return Ok(None) };
    let destination = Destination {
        endpoint: spec.endpoint.clone(),
        headers: spec.headers.clone(),
        service: spec.service.clone(),
        resource: spec.resource.clone(),
    };
    let unsent = |reason| StartError::Traces { endpoint: spec.endpoint.clone(), reason };
    let traces = Traces::open(&destination).map_err(unsent)?;
    Ok(Some((Arc::new(traces), Share::of(spec.sample))))
}
