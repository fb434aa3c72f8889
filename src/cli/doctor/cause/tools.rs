//! Tools as clients take them: their names, and their schemas.

use serde_json::Value;

use super::Case;
use crate::aggregate::{LONGEST, SEPARATOR, fit, full};
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::trial::{Trial, Trouble};
use crate::config::Prefix;
use crate::mount::serves;
use crate::wire::meta::find_string;

/// Names that are shown of many.
const SHOWN: usize = 3;

pub(super) fn odd(case: &Case<'_>, trial: &Trial) -> Vec<Finding> {
    let mut findings = Vec::new();
    if trial.opened.is_some() {
        findings.extend(unlisted(case, trial));
    }
    let tools: Vec<Value> = trial.tools.iter().filter_map(|tool| serde_json::from_str(tool).ok()).collect();
    let named = |tool: &Value| tool["name"].as_str().map(str::to_owned);
    let nameless = tools.iter().filter(|tool| named(tool).is_none_or(|name| name.is_empty())).count();
    if nameless > 0 {
        let what = format!("{nameless} of its {} tools have no name", tools.len());
        findings.push(Finding::error("tool-name", what, "give every tool a name of its own"));
    }
    let served: Vec<(String, &Value)> = tools
        .iter()
        .filter_map(|tool| Some((named(tool)?, tool)))
        .filter(|(name, _)| serves(case.server, name))
        .collect();
    findings.extend(hidden(&tools, &served));
    findings.extend(names(case, &served));
    findings.extend(schemas(case, &served));
    findings
}

/// The handshake was well, and the list was not.
fn unlisted(case: &Case<'_>, trial: &Trial) -> Option<Finding> {
    let said = match trial.trouble.as_ref()? {
        Trouble::Refused { code, message } => format!("with the error {:?} ({code})", case.shown(message)),
        Trouble::Nonsense(why) => format!("with what is no list: {}", case.shown(why)),
        // What else may be is told as an end, or a silence.
        _ => return None,
    };
    let what = format!("the server answers `tools/list` {said}");
    Some(Finding::error("tools-unlisted", what, "its log should say why; clients see no tools"))
}

fn hidden(tools: &[Value], served: &[(String, &Value)]) -> Option<Finding> {
    (!tools.is_empty() && served.is_empty()).then(|| {
        let what = format!("none of its {} tools is served: `tools` of the entry hides them", tools.len());
        Finding::warning("tools-hidden", what, "correct the patterns under `tools.allow` and `tools.deny`")
    })
}

fn names(case: &Case<'_>, served: &[(String, &Value)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own: Vec<&str> = served.iter().map(|(name, _)| name.as_str()).collect();
    let long: Vec<&str> = own.iter().copied().filter(|name| name.chars().count() > LONGEST).collect();
    if !long.is_empty() {
        findings.push(Finding::warning(
            "tool-name",
            format!("longer than {LONGEST} characters: {}", list(case, &long)),
            "many models take no longer names: shorten them in the server",
        ));
    }
    let gateway = &case.config.gateway;
    let specs = gateway.root.iter().chain(gateway.views.iter().map(|(_, view)| view));
    let prefixed = specs.filter(|spec| spec.prefix == Prefix::Always).find_map(|spec| {
        let name = &case.server.name;
        let is_in = spec.servers.as_ref().is_none_or(|servers| servers.contains(name));
        let whole = |tool: &&str| {
            let whole = full(name, &spec.separator, tool);
            let is_renamed = spec.tools.rename.contains_key(&full(name, SEPARATOR, tool));
            (whole.chars().count() > LONGEST && !is_renamed && !long.contains(tool)).then_some(whole)
        };
        let too_long: Vec<String> = own.iter().filter_map(whole).collect();
        (is_in && !too_long.is_empty()).then_some(too_long)
    });
    if let Some(too_long) = prefixed.filter(|_| case.config.servers.contains(case.server)) {
        let first = case.shown(&fit(&too_long[0]));
        let shown: Vec<&str> = too_long.iter().map(String::as_str).collect();
        findings.push(Finding::warning(
            "tool-name",
            format!("with the server's name before it longer than {LONGEST} characters: {}", list(case, &shown)),
            format!(
                "all servers together show it shortened, as {first:?}: give the server a shorter name, or the tool \
                 another by `aggregate.tools.rename`"
            ),
        ));
    }
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let renamed = renamed(case);
    let odd: Vec<&str> = own.iter().copied().filter(|name| !plain(name) && !renamed(name)).collect();
    if let Some(first) = odd.first() {
        let key = case.shown(&full(&case.server.name, SEPARATOR, first));
        findings.push(Finding::warning(
            "tool-name",
            format!("characters that many models refuse: {}", list(case, &odd)),
            format!(
                "use letters, digits, `_` and `-` in the server; or, for all servers together, give another name by \
                 `aggregate.tools.rename` ({key:?}: \"…\")"
            ),
        ));
    }
    let twice: Vec<&str> = own
        .iter()
        .enumerate()
        .filter(|(at, name)| own[..*at].contains(name))
        .map(|(_, name)| *name)
        .collect();
    if !twice.is_empty() {
        let what = format!("listed more than once: {}", list(case, &twice));
        findings.push(Finding::warning("tool-name", what, "give every tool a name of its own"));
    }
    findings
}

/// Whether all endpoints for several servers that show a tool show it by a name that was given to it.
fn renamed<'a>(case: &'a Case<'_>) -> impl Fn(&str) -> bool + 'a {
    let gateway = &case.config.gateway;
    let specs = gateway.root.iter().chain(gateway.views.iter().map(|(_, view)| view));
    let name = &case.server.name;
    let showing: Vec<_> =
        specs.filter(|spec| spec.servers.as_ref().is_none_or(|servers| servers.contains(name))).collect();
    move |tool| {
        let key = full(name, SEPARATOR, tool);
        !showing.is_empty() && showing.iter().all(|spec| spec.tools.rename.contains_key(&key))
    }
}

/// What is wrong with schemas: each fault once, with the tools that have it.
fn schemas(case: &Case<'_>, served: &[(String, &Value)]) -> Vec<Finding> {
    let mut faults: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, tool) in served {
        let Some(fault) = fault(&tool["inputSchema"]) else { continue };
        match faults.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, names)) => names.push(name),
            None => faults.push((fault, vec![name])),
        }
    }
    let finding = |(fault, names): &(&str, Vec<&str>)| {
        let must = if fault.contains("`properties`") {
            "`properties` must be an object with a JSON Schema for each name"
        } else if fault.contains("`required`") {
            "`required` must be a list of names, as in `\"required\": [\"path\"]`"
        } else {
            "it must be a JSON Schema object with `\"type\": \"object\"`"
        };
        Finding::error(
            "tool-schema",
            format!("the `inputSchema` {fault}: {}", list(case, names)),
            format!("{must}: clients of the TypeScript SDK refuse the whole list"),
        )
    };
    faults.iter().map(finding).collect()
}

/// What is wrong with the schema of a tool's arguments.
///
/// 2025-11-25, schema: `inputSchema: { type: "object"; properties?: { [key: string]: object }; required?: string[] }`.
fn fault(schema: &Value) -> Option<&'static str> {
    let Value::Object(members) = schema else {
        return Some(if schema.is_null() { "is missing" } else { "is no object" });
    };
    match members.get("type") {
        None => return Some("has no `type`"),
        Some(kind) if kind != "object" => return Some("has another `type` than `object`"),
        Some(_) => {}
    }
    let is_schema = |schema: &Value| schema.is_object() || schema.is_boolean();
    match members.get("properties") {
        Some(Value::Object(properties)) if !properties.values().all(is_schema) => {
            return Some("has `properties` that are no schemas");
        }
        None | Some(Value::Object(_)) => {}
        Some(_) => return Some("has `properties` that are no object"),
    }
    match members.get("required") {
        None => None,
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => None,
        Some(_) => Some("has a `required` that is no list of names"),
    }
}

/// Names as they are shown: a few, and how many more.
fn list(case: &Case<'_>, names: &[&str]) -> String {
    let mut text: Vec<String> =
        names.iter().take(SHOWN).map(|name| format!("{:?}", case.shown(name))).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

/// The names of the tools of a list that are served.
pub(in crate::cli::doctor) fn served(case: &Case<'_>, trial: &Trial) -> Vec<String> {
    let names = trial.tools.iter().filter_map(|tool| find_string(tool, &["name"]));
    names.filter(|name| serves(case.server, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_of_arguments_is_one_of_an_object() {
        for (schema, why) in [
            (json!({ "type": "object" }), None),
            (json!({ "type": "object", "properties": { "a": {}, "b": true }, "required": ["a"] }), None),
            (json!({}), Some("has no `type`")),
            (Value::Null, Some("is missing")),
            (json!([]), Some("is no object")),
            (json!({ "type": "string" }), Some("has another `type` than `object`")),
            (json!({ "type": "object", "properties": [] }), Some("has `properties` that are no object")),
            (
                json!({ "type": "object", "properties": { "a": "string" } }),
                Some("has `properties` that are no schemas"),
            ),
            (
                json!({ "type": "object", "required": true }),
                Some("has a `required` that is no list of names"),
            ),
        ] {
            assert_eq!(fault(&schema), why, "{schema}");
        }
    }
}
