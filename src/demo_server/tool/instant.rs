//! The tools that answer at once.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::{BONUS, Effect, Failure, Run, Schema, Tool, ToolResult, arguments, structured, text};
use crate::demo_server::Demo;
use crate::demo_server::client::Level;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "echo",
        title: "Echo",
        description: "Says back what it is told. The quickest way to see that a connection works.",
        input: || Schema {
            properties: json!({ "text": { "type": "string", "description": "What to say back" } }),
            required: &["text"],
        },
        output: None,
        effect: Effect::None,
        run: Run::Instant(echo),
    },
    Tool {
        name: "add",
        title: "Add two numbers",
        description: "Adds two numbers. The sum comes as text and as structured content.",
        input: || Schema {
            properties: json!({
                "a": { "type": "number", "description": "The first number" },
                "b": { "type": "number", "description": "The second number" },
            }),
            required: &["a", "b"],
        },
        output: Some(|| single_number("sum", "a + b")),
        effect: Effect::None,
        run: Run::Instant(add),
    },
    Tool {
        name: "bump",
        title: "Bump the counter",
        description: "Changes the resource demo://counter; its subscribers are told.",
        input: || Schema {
            properties: json!({
                "by": { "type": "integer", "description": "How much to add; may be negative", "default": 1 },
            }),
            required: &[],
        },
        output: Some(|| single_number("value", "The counter after the change")),
        effect: Effect::Change,
        run: Run::Instant(bump),
    },
    Tool {
        name: "log",
        title: "Write a log message",
        description: "Sends a log message to the client, unless the client has asked for more important ones only \
                      (logging/setLevel; info until then).",
        input: || Schema {
            properties: json!({
                "level": {
                    "type": "string",
                    "description": "How much the message matters",
                    "enum": ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"],
                },
                "text": { "type": "string", "description": "The message" },
            }),
            required: &["level", "text"],
        },
        output: None,
        effect: Effect::None,
        run: Run::Instant(log),
    },
    Tool {
        name: "toggle",
        title: "Show or hide the bonus tool",
        description: "Shows the tool `bonus`, or hides it again; the client is told that the list has changed.",
        input: no_arguments,
        output: None,
        effect: Effect::Change,
        run: Run::Instant(toggle),
    },
    Tool {
        name: BONUS,
        title: "Bonus",
        description: "Is only there while `toggle` shows it.",
        input: no_arguments,
        output: None,
        effect: Effect::None,
        run: Run::Instant(bonus),
    },
    Tool {
        name: "crash",
        title: "Crash",
        description: "Ends the server process at once, without an answer: to see what becomes of the session.",
        input: || Schema {
            properties: json!({
                "code": {
                    "type": "integer",
                    "description": "The exit status",
                    "minimum": 0,
                    "maximum": 255,
                    "default": 1,
                },
            }),
            required: &[],
        },
        output: None,
        effect: Effect::Destruction,
        run: Run::Instant(crash),
    },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

fn echo(_: &Demo, given: Value) -> ToolResult {
    let Echo { text: said } = arguments(given)?;
    Ok(text(said))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    a: Number,
    b: Number,
}

fn add(_: &Demo, given: Value) -> ToolResult {
    let Add { a, b } = arguments(given)?;
    let sum = sum(&a, &b).ok_or_else(|| Failure::tool("the sum is too large for a number"))?;
    Ok(structured(sum.to_string(), json!({ "sum": sum })))
}

/// Exact for integers, as exact as a float for the rest.
fn sum(a: &Number, b: &Number) -> Option<Number> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Number::from_i128(i128::from(a) + i128::from(b)),
        _ => None,
    }
    .or_else(|| Number::from_f64(a.as_f64()? + b.as_f64()?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bump {
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

fn bump(demo: &Demo, given: Value) -> ToolResult {
    let Bump { by } = arguments(given)?;
    let value = demo.resources.bump(by, &demo.client);
    Ok(structured(value.to_string(), json!({ "value": value })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    level: Level,
    text: String,
}

fn log(demo: &Demo, given: Value) -> ToolResult {
    let Log { level, text: message } = arguments(given)?;
    let least = demo.client.level();
    if level < least {
        return Ok(text(format!("Held back: the client wants {} and above.", json!(least))));
    }
    let params = json!({ "level": level, "logger": "demo", "data": message });
    demo.client.notify("notifications/message", params);
    Ok(text("Sent."))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn toggle(demo: &Demo, given: Value) -> ToolResult {
    let Nothing {} = arguments(given)?;
    let shown = !demo.bonus.fetch_xor(true, Ordering::Relaxed);
    demo.client.notify("notifications/tools/list_changed", json!({}));
    Ok(text(if shown { "The tool `bonus` is there now." } else { "The tool `bonus` is hidden again." }))
}

fn bonus(_: &Demo, given: Value) -> ToolResult {
    let Nothing {} = arguments(given)?;
    Ok(text("You found it."))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Crash {
    #[serde(default = "failure")]
    code: u8,
}

fn failure() -> u8 {
    1
}

#[expect(
    clippy::disallowed_methods,
    reason = "ending the process without an answer is what this tool is for"
)]
fn crash(_: &Demo, given: Value) -> ToolResult {
    let Crash { code } = arguments(given)?;
    std::process::exit(i32::from(code))
}

fn no_arguments() -> Schema {
    Schema { properties: json!({}), required: &[] }
}

fn single_number(name: &str, description: &str) -> Value {
    json!({
        "type": "object",
        "properties": { name: { "type": "number", "description": description } },
        "required": [name],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_are_added_exactly(a: i32, b: i32) {
            let expected = Number::from(i64::from(a) + i64::from(b));
            prop_assert_eq!(sum(&Number::from(a), &Number::from(b)), Some(expected));
        }

        #[test]
        fn a_sum_is_a_number_or_refused(a in any::<f64>(), b: i64) {
            if let Some(a) = Number::from_f64(a) {
                let _ = sum(&a, &Number::from(b));
            }
        }
    }

    #[test]
    fn a_sum_beyond_every_number_is_refused() {
        let most = Number::from_f64(f64::MAX).unwrap();
        assert_eq!(sum(&most, &most), None);
    }
}
