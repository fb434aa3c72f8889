//! Traces: a span for each request that is kept, sent to a collector by OTLP over HTTP.
//!
//! Spans go into a bounded queue; a thread sends them in batches. A collector that is away costs nothing but spans.

mod courier;

use super::{Ended, Outcome, Sink};
use courier::Courier;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Spans that wait to be sent; what comes beyond them is dropped.
const QUEUE: usize = 8192;

/// How long a span waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the collector may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long what waits at the end may take.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Where spans go, and whose they are.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The URL of the collector, down to the last part of its path.
    pub endpoint: String,
    /// Headers by which it knows us.
    pub headers: Vec<(String, String)>,
    /// What we are called there.
    pub service: String,
}

/// Sends a span for each request that is kept.
#[derive(Debug)]
pub struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Traces {
    /// Begins. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Why nothing can be sent there.
    pub fn open(destination: Destination) -> Result<Self, String> {
        let Destination { endpoint, headers, service } = destination;
        let courier = Courier::new(&endpoint, ANSWERS_WITHIN)?;
        let exporter = Otlp::builder()
            .with_http()
            .with_http_client(courier)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&endpoint)
            .with_timeout(ANSWERS_WITHIN)
            .with_headers(headers.into_iter().collect())
            .build()
            .map_err(|error| error.to_string())?;
        let queue =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(PATIENCE).build();
        let exporter = Told { exporter, endpoint, is_lost: AtomicBool::new(false) };
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder().with_service_name(service);
        processor.set_resource(&resource.with_attribute(KeyValue::new("service.version", version)).build());
        let scope = InstrumentationScope::builder("mcp-switchboard").with_version(version).build();
        Ok(Self { processor, scope })
    }

    /// Sends what waits, and waits for that, but not for long.
    pub fn close(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(LAST_PATIENCE) {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

impl Sink for Traces {
    fn wants_names(&self) -> bool {
        true
    }

    fn ended(&self, call: &Ended<'_>) {
        let Some(trace) = call.trace.filter(|trace| trace.is_sampled()) else { return };
        let end_time = SystemTime::now();
        let state = trace.state().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        let span_context = SpanContext::new(
            TraceId::from(trace.id()),
            SpanId::from(trace.span()),
            TraceFlags::SAMPLED,
            false,
            state,
        );
        let tool = call.names.and_then(|names| names.tool.as_deref());
        let error = error(call.outcome);
        self.processor.on_end(SpanData {
            span_context,
            parent_span_id: trace.parent().map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: trace.parent().is_some(),
            span_kind: SpanKind::Server,
            // The conventions for MCP want it so: `{mcp.method.name} {target}`.
            name: match tool {
                Some(tool) => format!("{} {tool}", call.method).into(),
                None => call.method.into(),
            },
            start_time: end_time.checked_sub(call.took).unwrap_or(end_time),
            end_time,
            attributes: attributes(call, error.as_deref()),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if error.is_some() { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// What is told of a request, by the names that OpenTelemetry has for MCP; what it has none for is ours.
fn attributes(call: &Ended<'_>, error: Option<&str>) -> Vec<KeyValue> {
    let mut told = Vec::with_capacity(16);
    told.push(KeyValue::new("mcp.method.name", call.method));
    told.push(KeyValue::new("mcp_switchboard.server", call.server.clone()));
    told.push(KeyValue::new("mcp_switchboard.outcome", call.outcome.as_str()));
    told.push(KeyValue::new("mcp_switchboard.bytes_in", number(call.received)));
    told.push(KeyValue::new("mcp_switchboard.bytes_out", number(call.sent)));
    if let Some(eras) = call.eras {
        told.push(KeyValue::new("mcp_switchboard.eras", eras.as_str()));
    }
    if let Some(names) = call.names {
        told.push(KeyValue::new("mcp_switchboard.caller", names.caller.clone()));
        told.push(KeyValue::new("mcp_switchboard.request_id", names.request.to_string()));
        if let Some(tool) = &names.tool {
            told.push(KeyValue::new("gen_ai.operation.name", "execute_tool"));
            told.push(KeyValue::new("gen_ai.tool.name", tool.to_string()));
        }
        if let Some(session) = &names.session {
            // Its beginning alone: the whole would be a credential.
            told.push(KeyValue::new("mcp.session.id", session.to_string()));
        }
        if let Some(revision) = names.revision {
            told.push(KeyValue::new("mcp.protocol.version", revision.as_str()));
        }
    }
    if let Some(code) = call.outcome.code() {
        told.push(KeyValue::new("rpc.response.status_code", code.to_string()));
    }
    told.extend(error.map(|error| KeyValue::new("error.type", error.to_owned())));
    told
}

/// What kind of failure it is: the code of the error, or that the tool has failed.
fn error(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::ToolError => Some("tool_error".to_owned()),
        Outcome::ServerError(_) | Outcome::Refused(_) => outcome.code().map(|code| code.to_string()),
        Outcome::Ok | Outcome::Cancelled | Outcome::Abandoned => None,
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Sends spans, and says when the collector is lost and when it is back, once each.
#[derive(Debug)]
struct Told {
    exporter: Otlp,
    endpoint: String,
    is_lost: AtomicBool,
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let was_lost = self.is_lost.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(()) if was_lost => {
                tracing::info!(endpoint = self.endpoint, "the collector takes traces again");
            }
            Err(error) if !was_lost => {
                tracing::warn!(endpoint = self.endpoint, %error, "traces are lost: the collector does not take them");
            }
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
