//! For operators: the tools that are held back, and the approval that lets them go.

use super::operator::{Operator, json_of};
use super::refusal::Refusal;
use crate::mount::{Definition, HeldBack, Mount};
use crate::telemetry::EventKind;
use serde_json::{Value, json};
use std::sync::Arc;
use warp::reply::Response;

/// `GET /admin/servers/<name>/approve`: what is held back, with what each tool says now and what was approved.
pub(super) fn held_back(operator: &Operator<'_>, name: &str) -> Result<Response, Refusal> {
    let mount = pinned(operator, name)?;
    let tools: Vec<Value> = mount.held_back().iter().map(shown).collect();
    Ok(json_of(&json!({ "server": name, "held_back": tools })))
}

/// `POST /admin/servers/<name>/approve?tool=&sha256=`: approves what a tool says now, or without `tool` all that are held
/// back. `sha256`: what it is known to say; if it says something else by now, nothing is approved.
pub(super) async fn approve(operator: &Operator<'_>, name: &str, query: &str) -> Result<Response, Refusal> {
    let mount = pinned(operator, name)?;
    let (mut tool, mut digest) = (None, None);
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*key {
            "tool" => &mut tool,
            "sha256" => &mut digest,
            // Who means one tool must not approve them all by a word that is not understood.
            _ => {
                return Err(Refusal::invalid(format!(
                    "unknown parameter {key:?}: known are tool and sha256"
                )));
            }
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Refusal::invalid(format!("the parameter {key:?} stands twice")));
        }
    }
    if digest.is_some() && tool.is_none() {
        return Err(Refusal::invalid("`sha256` is that of one tool: name it by `tool`"));
    }
    let approved = mount.approve(tool.as_deref(), digest.as_deref()).await;
    let approved = approved.map_err(|reason| Refusal::Conflict(format!("{name}: {reason}")))?;
    if !approved.tools.is_empty() {
        mount.tell(EventKind::Approved, &format!("{:?}, by {}", approved.tools, operator.name()));
    }
    Ok(json_of(&json!({ "server": name, "approved": approved.tools, "unsaved": approved.unsaved })))
}

fn pinned(operator: &Operator<'_>, name: &str) -> Result<Arc<Mount>, Refusal> {
    let mount = operator.mount(name)?;
    if let Some(reason) = mount.unpinned() {
        return Err(Refusal::Conflict(reason));
    }
    if mount.is_pinned() {
        return Ok(mount);
    }
    let reason = format!("the tools of {name} are not pinned: set `tools.pin` in its entry");
    Err(Refusal::Conflict(reason))
}

fn shown(held: &HeldBack) -> Value {
    let said = |definition: &Definition| {
        let text: Option<Value> = definition.text().and_then(|text| serde_json::from_str(text).ok());
        json!({ "sha256": definition.digest(), "definition": text })
    };
    json!({ "tool": held.tool, "approved": held.approved.as_ref().map(said), "says": said(&held.says) })
}
