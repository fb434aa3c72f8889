//! A request as a span of OTLP: `opentelemetry.proto.trace.v1.Span`, and the attributes by which it is told.

use super::protobuf::{Writer, field_length, varint_length};
use crate::telemetry::{Ended, Outcome, Trace};
use std::borrow::Cow;
use std::time::SystemTime;

/// `SpanKind`: the answer to a request from outside.
const SERVER: u64 = 2;

/// `StatusCode`: it has failed.
const ERROR: u64 = 2;

/// Flags of W3C, and that it is known whether the parent is somebody else's span: it is, if there is one.
const SAMPLED: u32 = 0x1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Writes the span of a request that has ended.
pub(super) fn write(span: &mut Writer<'_>, call: &Ended<'_>, trace: &Trace) {
    span.bytes(1, &trace.id().to_be_bytes());
    span.bytes(2, &trace.span().to_be_bytes());
    if let Some(state) = trace.state() {
        span.text(3, state);
    }
    if let Some(parent) = trace.parent() {
        span.bytes(4, &parent.to_be_bytes());
    }
    match call.names.and_then(|names| names.tool.as_deref()) {
        // The conventions for MCP want it so: `{mcp.method.name} {target}`.
        Some(tool) => span.parts(5, &[call.method, " ", tool]),
        None => span.text(5, call.method),
    }
    span.number(6, SERVER);
    span.fixed64(7, nanoseconds(call.ended.checked_sub(call.took).unwrap_or(call.ended)));
    span.fixed64(8, nanoseconds(call.ended));
    let error = error_type(call.outcome);
    attributes(&mut Attributes { message: span, field: 9 }, call, error.as_deref());
    if error.is_some() {
        span.message(15, |status| status.number(3, ERROR));
    }
    let remote = if trace.parent().is_some() { IS_REMOTE } else { 0 };
    span.fixed32(16, SAMPLED | HAS_IS_REMOTE | remote);
}

/// What is told of a request, by the names that OpenTelemetry has for MCP; what it has none for is ours.
fn attributes(told: &mut Attributes<'_, '_>, call: &Ended<'_>, error: Option<&str>) {
    told.text("mcp.method.name", call.method);
    told.text("mcp_switchboard.server", call.server);
    told.text("mcp_switchboard.outcome", call.outcome.as_str());
    told.number("mcp_switchboard.bytes_in", call.received);
    told.number("mcp_switchboard.bytes_out", call.sent);
    if let Some(eras) = call.eras {
        told.text("mcp_switchboard.eras", eras.as_str());
    }
    if let Some(names) = call.names {
        told.text("mcp_switchboard.caller", &names.caller);
        told.text("mcp_switchboard.request_id", names.request.as_str());
        if let Some(tool) = &names.tool {
            told.text("gen_ai.operation.name", "execute_tool");
            told.text("gen_ai.tool.name", tool);
        }
        if let Some(session) = &names.session {
            // Its beginning alone: the whole would be a credential.
            told.text("mcp.session.id", session);
        }
        if let Some(revision) = names.revision {
            told.text("mcp.protocol.version", revision.as_str());
        }
    }
    if let Some(code) = call.outcome.code() {
        told.text("rpc.response.status_code", &code.to_string());
    }
    if let Some(error) = error {
        told.text("error.type", error);
    }
}

/// What kind of failure it is: the code of the error, or that the tool has failed.
fn error_type(outcome: Outcome) -> Option<Cow<'static, str>> {
    match outcome {
        Outcome::ToolError => Some("tool_error".into()),
        Outcome::ServerError(_) | Outcome::Refused(_) => outcome.code().map(|code| code.to_string().into()),
        Outcome::Ok | Outcome::Cancelled | Outcome::Abandoned => None,
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Attributes, each a `KeyValue` in this field of a message.
pub(super) struct Attributes<'a, 'b> {
    /// The message that has them.
    pub(super) message: &'a mut Writer<'b>,
    /// In which field.
    pub(super) field: u32,
}

impl Attributes<'_, '_> {
    /// Tells a string.
    #[expect(
        clippy::inline_always,
        reason = "what is known of the key is worked out by the compiler: there are a dozen in each span"
    )]
    #[inline(always)]
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.pair(key, field_length(value.len()));
        self.message.text(1, value);
    }

    fn number(&mut self, key: &str, value: usize) {
        self.pair(key, 1 + varint_length(value as u64));
        self.message.number(3, value as u64);
    }

    /// The beginning of a pair whose value is a field of so many bytes, which follows. Nothing is moved for it.
    #[inline]
    fn pair(&mut self, key: &str, length: usize) {
        self.message.head(self.field, field_length(key.len()) + field_length(length));
        self.message.text(1, key);
        self.message.head(2, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Share;
    use crate::wire::Code;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
    use prost::Message;
    use std::sync::Arc;
    use std::time::Duration;

    fn span(outcome: Outcome, params: &str) -> (Span, Trace) {
        let trace = Trace::of(params, None, Share::of(1.0));
        let took = Duration::from_micros(1500);
        let call = Ended {
            server: &Arc::from("files"),
            method: "tools/list",
            names: None,
            eras: None,
            outcome,
            ended: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
            took,
            received: 300,
            sent: usize::MAX,
        };
        let mut bytes = Vec::new();
        write(&mut Writer::new(&mut bytes), &call, &trace);
        (Span::decode(&bytes[..]).unwrap(), trace)
    }

    fn told(span: &Span, key: &str) -> Option<Value> {
        let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
        found.value.clone()?.value
    }

    #[test]
    fn others_read_what_is_written() {
        let (read, trace) = span(Outcome::Ok, "");
        assert_eq!(read.trace_id, trace.id().to_be_bytes());
        assert_eq!(read.span_id, trace.span().to_be_bytes());
        assert!(read.parent_span_id.is_empty() && read.trace_state.is_empty() && read.status.is_none());
        assert_eq!((read.name.as_str(), read.kind(), read.flags), ("tools/list", SpanKind::Server, 0x101));
        assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (6_998_500_000, 7_000_000_000));
        assert_eq!(told(&read, "mcp_switchboard.server"), Some(Value::StringValue("files".into())));
        assert_eq!(told(&read, "mcp_switchboard.bytes_in"), Some(Value::IntValue(300)));
        assert_eq!(told(&read, "error.type"), None);
    }

    #[test]
    fn a_failure_is_one_and_a_parent_is_somebody_elses() {
        let parent = r#"{"_meta":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=1"}}"#;
        let (read, _) = span(Outcome::Refused(Code::NotAllowed), parent);
        let code = Value::StringValue(Code::NotAllowed.number().to_string());
        assert_eq!(told(&read, "error.type"), Some(code.clone()));
        assert_eq!(told(&read, "rpc.response.status_code"), Some(code));
        assert_eq!(read.status.unwrap().code, 2);
        assert_eq!(read.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert_eq!((read.trace_state.as_str(), read.flags), ("a=1", 0x301));
        let (failed, _) = span(Outcome::ToolError, "");
        assert_eq!(told(&failed, "error.type"), Some(Value::StringValue("tool_error".into())));
        assert!(span(Outcome::Cancelled, "").0.status.is_none());
    }
}
