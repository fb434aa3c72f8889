//! For operators: what is logged, shown and changed while the router runs.

use super::operator::{Operator, json_of};
use super::refusal::Refusal;
use serde_json::{Value, json};
use warp::reply::Response;

/// Bytes of a body that says what is to be logged.
pub(super) const LONGEST: usize = 4096;

/// `GET /admin/log`: what is logged.
pub(super) fn shown(operator: &Operator<'_>) -> Result<Response, Refusal> {
    Ok(said(&operator.levels()?.shown()))
}

/// `PUT /admin/log`: from now on this is logged, as `info,server=warn` says it, in text or as `{"filter": "..."}`.
pub(super) fn set(operator: &Operator<'_>, body: &[u8]) -> Result<Response, Refusal> {
    let levels = operator.levels()?;
    let text =
        std::str::from_utf8(body).map_err(|_| Refusal::invalid("the filter is not text in UTF-8"))?.trim();
    let object: Option<Value> = text.starts_with('{').then(|| serde_json::from_str(text).unwrap_or_default());
    let filter = match &object {
        Some(object) => object["filter"].as_str().ok_or(Refusal::invalid(
            "the body is to be text like `info,server=warn`, or {\"filter\": \"...\"}",
        ))?,
        None => text,
    };
    let filter = levels.set(filter).map_err(|wrong| {
        Refusal::invalid(format!(
            "the filter {filter:?} is not used: {wrong}; what is logged has not changed"
        ))
    })?;
    tracing::info!(by = operator.name(), filter, "what is logged was changed by an operator");
    Ok(said(&filter))
}

fn said(filter: &str) -> Response {
    json_of(&json!({ "filter": filter }))
}
