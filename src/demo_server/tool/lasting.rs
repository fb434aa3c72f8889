//! The tools that take their time, or wait for the client.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, Failure, Run, Schema, Tool, ToolResult, arguments, structured, text};
use crate::demo_server::call::Call;
use crate::demo_server::client::Ability;

/// Longest sleep, in milliseconds: an hour.
const LONGEST: u64 = 3_600_000;

/// Highest number that `count` counts to.
const HIGHEST: u64 = 1_000_000;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "sleep",
        title: "Sleep",
        description: "Answers after a while. Other calls go on meanwhile, and it can be cancelled.",
        input: || Schema {
            properties: json!({
                "ms": {
                    "type": "integer",
                    "description": "How long, in milliseconds",
                    "minimum": 0,
                    "maximum": LONGEST,
                },
            }),
            required: &["ms"],
        },
        output: None,
        effect: Effect::None,
        run: Run::Lasting(sleep),
    },
    Tool {
        name: "count",
        title: "Count",
        description: "Counts from 1. Each number is a progress notification if the request has a progress token.",
        input: || Schema {
            properties: json!({
                "to": { "type": "integer", "description": "The last number", "minimum": 0, "maximum": HIGHEST },
                "intervalMs": {
                    "type": "integer",
                    "description": "Milliseconds before each number",
                    "minimum": 0,
                    "maximum": LONGEST,
                    "default": 0,
                },
            }),
            required: &["to"],
        },
        output: None,
        effect: Effect::None,
        run: Run::Lasting(count),
    },
    Tool {
        name: "ask",
        title: "Ask the user",
        description: "Asks the user a question through the client (elicitation) and returns the answer.",
        input: || Schema {
            properties: json!({
                "question": { "type": "string", "description": "What to ask", "default": DEFAULT_QUESTION },
            }),
            required: &[],
        },
        output: None,
        effect: Effect::None,
        run: Run::Lasting(ask),
    },
    Tool {
        name: "sample",
        title: "Ask the client's model",
        description: "Has the client's model complete a prompt (sampling) and returns what it said.",
        input: || Schema {
            properties: json!({
                "prompt": { "type": "string", "description": "What to send to the model" },
                "maxTokens": {
                    "type": "integer",
                    "description": "The longest completion, in tokens",
                    "minimum": 1,
                    "default": 100,
                },
            }),
            required: &["prompt"],
        },
        output: None,
        effect: Effect::None,
        run: Run::Lasting(sample),
    },
    Tool {
        name: "roots",
        title: "List the client's roots",
        description: "Asks the client which directories it has opened for servers (roots) and lists them.",
        input: || Schema { properties: json!({}), required: &[] },
        output: None,
        effect: Effect::None,
        run: Run::Lasting(roots),
    },
];

const DEFAULT_QUESTION: &str = "What shall I call you?";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sleep {
    ms: u64,
}

fn sleep(call: &Call, given: Value) -> ToolResult {
    let Sleep { ms } = arguments(given)?;
    within("ms", ms, LONGEST)?;
    call.pause(Duration::from_millis(ms))?;
    Ok(text(format!("Slept {ms} ms.")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Count {
    to: u64,
    #[serde(default)]
    interval_ms: u64,
}

fn count(call: &Call, given: Value) -> ToolResult {
    let Count { to, interval_ms } = arguments(given)?;
    within("to", to, HIGHEST)?;
    within("intervalMs", interval_ms, LONGEST)?;
    for number in 1..=to {
        call.pause(Duration::from_millis(interval_ms))?;
        call.report(number, to);
    }
    Ok(text(format!("Counted to {to}.")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    question: Option<String>,
}

fn ask(call: &Call, given: Value) -> ToolResult {
    let Ask { question } = arguments(given)?;
    need(call, Ability::Elicitation, "elicitation")?;
    let params = json!({
        "message": question.as_deref().unwrap_or(DEFAULT_QUESTION),
        "requestedSchema": {
            "type": "object",
            "properties": {
                "answer": { "type": "string", "title": "Answer", "description": "Your answer, in your own words" },
            },
            "required": ["answer"],
        },
    });
    let given = call.ask("elicitation/create", params)?;
    match given["action"].as_str() {
        Some("accept") => match given["content"]["answer"].as_str() {
            Some(answer) => Ok(text(format!("The user answered: {answer}"))),
            None => Err(Failure::tool("the user's form came back without an `answer`")),
        },
        Some("decline") => Ok(text("The user declined to answer.")),
        Some("cancel") => Ok(text("The user closed the question without an answer.")),
        _ => Err(Failure::tool("the client's answer has no known `action`")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sample {
    prompt: String,
    #[serde(default)]
    max_tokens: Option<u32>,
}

fn sample(call: &Call, given: Value) -> ToolResult {
    let Sample { prompt, max_tokens } = arguments(given)?;
    need(call, Ability::Sampling, "sampling")?;
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
        "maxTokens": max_tokens.unwrap_or(100),
    });
    let given = call.ask("sampling/createMessage", params)?;
    // Since 2025-11-25 the content may be a list.
    let content = given["content"].as_array().and_then(|parts| parts.first()).unwrap_or(&given["content"]);
    match content["text"].as_str() {
        Some(said) => Ok(text(said)),
        None => Err(Failure::tool("the client's model answered without text")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roots {}

fn roots(call: &Call, given: Value) -> ToolResult {
    let Roots {} = arguments(given)?;
    need(call, Ability::Roots, "roots")?;
    let given = call.ask("roots/list", json!({}))?;
    let listed =
        given["roots"].as_array().ok_or_else(|| Failure::tool("the client's answer has no `roots`"))?;
    let lines: Vec<&str> = listed.iter().filter_map(|root| root["uri"].as_str()).collect();
    let plain = if lines.is_empty() { "The client has no roots.".to_owned() } else { lines.join("\n") };
    Ok(structured(plain, json!({ "roots": listed })))
}

fn need(call: &Call, ability: Ability, name: &str) -> Result<(), Failure> {
    if call.demo.client.can(ability) {
        return Ok(());
    }
    Err(Failure::tool(format!("this client has not declared the capability `{name}`")))
}

fn within(name: &str, value: u64, most: u64) -> Result<(), Failure> {
    if value <= most {
        return Ok(());
    }
    Err(Failure::Arguments(format!("bad arguments: `{name}` is {value}, and at most {most} is allowed")))
}
