//! The prompt, and the completion of its argument.

use serde::Deserialize;
use serde_json::{Value, json};

use super::message::{Fault, Params};
use super::resource::SQUARE_TEMPLATE;

const GREET: &str = "greet";
const NAMES: [&str; 8] = ["Ada", "Alan", "Barbara", "Donald", "Edsger", "Grace", "Katherine", "Margaret"];
const NUMBERS: [&str; 5] = ["1", "2", "3", "12", "144"];

#[derive(Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    arguments: Option<Greeted>,
}

#[derive(Deserialize)]
struct Greeted {
    name: String,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(rename = "ref")]
    subject: Subject,
    argument: Typed,
}

/// What is being filled in.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Subject {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
struct Typed {
    name: String,
    value: String,
}

/// The answer to `prompts/list`.
pub(super) fn list() -> Value {
    json!({
        "prompts": [{
            "name": GREET,
            "title": "Greet somebody",
            "description": "Has the model greet somebody by name.",
            "arguments": [{ "name": "name", "description": "Whom to greet", "required": true }],
        }],
    })
}

/// The answer to `prompts/get`.
pub(super) fn fill(params: &Params) -> Result<Value, Fault> {
    let Wanted { name, arguments } = params.read()?;
    if name != GREET {
        return Err(Fault::invalid_params(format!("no prompt `{name}`")));
    }
    let Some(Greeted { name }) = arguments else {
        return Err(Fault::invalid_params("the prompt `greet` needs the argument `name`"));
    };
    let text = format!("Greet {name} warmly, in one sentence.");
    Ok(json!({
        "description": format!("A greeting for {name}"),
        "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
    }))
}

/// The answer to `completion/complete`.
pub(super) fn complete(params: &Params) -> Result<Value, Fault> {
    let Completion { subject, argument } = params.read()?;
    let known: &[&str] = match (subject, argument.name.as_str()) {
        (Subject::Prompt { name }, "name") if name == GREET => &NAMES,
        (Subject::Resource { uri }, "number") if uri == SQUARE_TEMPLATE => &NUMBERS,
        _ => return Err(Fault::invalid_params("no such argument to complete")),
    };
    let typed = argument.value.to_lowercase();
    let values: Vec<&str> =
        known.iter().copied().filter(|value| value.to_lowercase().starts_with(&typed)).collect();
    Ok(json!({ "completion": { "total": values.len(), "hasMore": false, "values": values } }))
}
