//! A tool: what a client is told about it, and what it does.
//!
//! The two stand together in one table, so that no tool is listed that cannot be called.

mod instant;
mod lasting;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Demo;
use super::call::Call;
use super::client::Destination;
use super::message::{Fault, Id, Params};
use crate::wire::revision::Revision;

/// A tool of the demo server.
struct Tool {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    input: fn() -> Schema,
    output: Option<fn() -> Value>,
    /// Whether calling it changes anything.
    effect: Effect,
    run: Run,
}

/// What a tool's call leaves behind: the hints that clients show before they call.
#[derive(Clone, Copy)]
enum Effect {
    None,
    Change,
    Destruction,
}

/// How a tool runs.
#[derive(Clone, Copy)]
enum Run {
    /// On the reader's thread: it must not wait for anything.
    Instant(fn(&Demo, Value) -> ToolResult),
    /// On a thread of its own.
    Lasting(fn(&Call, Value) -> ToolResult),
}

/// The arguments of a tool: JSON Schemas by name, and which of them must be given.
struct Schema {
    properties: Value,
    required: &'static [&'static str],
}

/// What comes out of a tool.
pub(super) type ToolResult = Result<Value, Failure>;

/// Why a tool has no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// It ran, and failed: something that a model should read.
    Tool(String),
    /// Its arguments do not fit its schema.
    Arguments(String),
    /// Nobody wants the result any more.
    Cancelled,
}

/// The params of `tools/call`.
#[derive(Deserialize)]
struct CallParams {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
    #[serde(rename = "_meta", default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    progress_token: Option<Box<RawValue>>,
}

/// The tool that `toggle` shows and hides.
const BONUS: &str = "bonus";

/// The answer to `tools/list`.
pub(super) fn list(demo: &Demo) -> Value {
    let tools: Vec<Value> = visible(demo).map(Tool::describe).collect();
    json!({ "tools": tools })
}

/// Answers `tools/call`, now or when the call has ended.
pub(super) fn call(demo: &Arc<Demo>, id: &Id, params: &Params, to: Destination) {
    let (tool, params) = match find(demo, params) {
        Ok(found) => found,
        Err(fault) => return to.answer(Some(id), Err(fault)),
    };
    let arguments = params.arguments.unwrap_or_else(|| json!({}));
    match tool.run {
        Run::Instant(run) => {
            let outcome = Failure::settle(run(demo, arguments), demo.client.revision());
            if let Some(outcome) = outcome {
                to.answer(Some(id), outcome);
            }
        }
        Run::Lasting(run) => {
            Call::start(demo, id, params.meta.progress_token, to, move |call| run(call, arguments));
        }
    }
}

fn find(demo: &Demo, params: &Params) -> Result<(&'static Tool, CallParams), Fault> {
    let params: CallParams = params.read()?;
    let tool = visible(demo)
        .find(|tool| tool.name == params.name)
        .ok_or_else(|| Fault::invalid_params(format!("no tool `{}`", params.name)))?;
    if params.arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return Err(Fault::invalid_params("`arguments` is not an object"));
    }
    Ok((tool, params))
}

fn visible(demo: &Demo) -> impl Iterator<Item = &'static Tool> {
    let bonus = demo.bonus.load(Ordering::Relaxed);
    instant::TOOLS.iter().chain(lasting::TOOLS).filter(move |tool| bonus || tool.name != BONUS)
}

impl Tool {
    fn describe(&self) -> Value {
        let Schema { properties, required } = (self.input)();
        let mut input = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            input["required"] = json!(required);
        }
        let mut tool = json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": input,
            "annotations": self.effect.annotations(),
        });
        if let Some(output) = self.output {
            tool["outputSchema"] = output();
        }
        tool
    }
}

impl Effect {
    fn annotations(self) -> Value {
        match self {
            Self::None => json!({ "readOnlyHint": true, "openWorldHint": false }),
            Self::Change => {
                json!({ "readOnlyHint": false, "destructiveHint": false, "openWorldHint": false })
            }
            Self::Destruction => {
                json!({ "readOnlyHint": false, "destructiveHint": true, "openWorldHint": false })
            }
        }
    }
}

impl Failure {
    pub(super) fn tool(why: impl Into<String>) -> Self {
        Self::Tool(why.into())
    }

    /// What the client gets; nothing for a cancelled call.
    pub(super) fn settle(outcome: ToolResult, revision: Revision) -> Option<Result<Value, Fault>> {
        match outcome {
            Ok(result) => Some(Ok(result)),
            Err(Self::Tool(why)) => Some(Ok(error(&why))),
            // 2025-11-25, changelog: "input validation errors should be returned as Tool Execution Errors rather
            // than Protocol Errors to enable model self-correction"; the revisions before have it the other way.
            Err(Self::Arguments(why)) if revision >= Revision::V2025_11_25 => Some(Ok(error(&why))),
            Err(Self::Arguments(why)) => Some(Err(Fault::invalid_params(why))),
            Err(Self::Cancelled) => None,
        }
    }
}

/// A tool's arguments as `T`.
fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, Failure> {
    serde_json::from_value(arguments).map_err(|error| Failure::Arguments(format!("bad arguments: {error}")))
}

/// A result of one text.
fn text(text: impl Into<String>) -> Value {
    json!({ "content": [{ "type": "text", "text": text.into() }] })
}

/// A result for programs, and as text for clients that know only text.
fn structured(plain: impl Into<String>, value: Value) -> Value {
    let mut result = text(plain);
    result["structuredContent"] = value;
    result
}

fn error(why: &str) -> Value {
    let mut result = text(why);
    result["isError"] = json!(true);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_name_of_its_own_and_asks_for_what_it_describes() {
        let mut names: Vec<&str> =
            instant::TOOLS.iter().chain(lasting::TOOLS).map(|tool| tool.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for tool in instant::TOOLS.iter().chain(lasting::TOOLS) {
            let Schema { properties, required } = (tool.input)();
            for name in required {
                assert!(properties[name]["description"].is_string(), "{}: {name}", tool.name);
            }
        }
    }

    #[test]
    fn bad_arguments_are_for_the_model_since_2025_11_25_and_for_the_program_before() {
        let bad = || Err(Failure::Arguments("no".to_owned()));
        let newest = Failure::settle(bad(), Revision::V2025_11_25).unwrap().unwrap();
        assert_eq!(newest["isError"], true);
        let fault = Failure::settle(bad(), Revision::V2025_06_18).unwrap().unwrap_err();
        assert_eq!(fault.code, -32602);
    }
}
