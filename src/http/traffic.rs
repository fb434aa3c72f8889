//! For operators: what clients and servers say to each other, as they say it.

use super::feed;
use super::front::Front;
use super::operator::Operator;
use super::refusal::Refusal;
use super::reply;
use crate::access::Caller;
use crate::telemetry::Said;
use crate::wire::Kind;
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use warp::reply::Response;

/// Who is looked on at: all, unless something is said.
#[derive(Default)]
struct Whom {
    server: Option<String>,
    session: Option<String>,
}

/// `GET /admin/traffic?server=&session=`: an event stream, which ends with the router or with the caller's rights.
pub(super) fn traffic(
    front: &Front,
    _: &Operator<'_>,
    caller: &Caller,
    query: &str,
    head: bool,
) -> Result<Response, Refusal> {
    let hint = "nobody may look on at what is said: start the router with --traffic, or set `\"traffic\": true` in its file";
    let traffic = front.traffic.as_ref().ok_or_else(|| Refusal::Conflict(hint.into()))?;
    let whom = Whom::read(query)?;
    if head {
        return Ok(reply::events_head());
    }
    let (coming, watching) = traffic.watch().unzip();
    // What passes through one that serves several may hold the secrets of each of them.
    let table = front.table.clone();
    let line = move |said: &Arc<Said>| {
        // As long as somebody listens.
        let _ = &watching;
        let is_of_many = said.server.starts_with("views/");
        let concealed = |text: &str| {
            let table = table.load();
            let mounts = table.all_and_retired().filter(|_| is_of_many);
            mounts.fold(None, |text_so_far: Option<String>, mount| {
                Some(mount.conceal(text_so_far.as_deref().unwrap_or(text)))
            })
        };
        whom.are(said).then(|| line(said, concealed))
    };
    Ok(feed::stream(&[], coming, line, reply::while_known(caller)))
}

impl Whom {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut whom = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*key {
                "server" => &mut whom.server,
                "session" => &mut whom.session,
                _ => {
                    return Err(Refusal::invalid(format!(
                        "unknown parameter {key:?}: known are server and session"
                    )));
                }
            };
            *place = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        Ok(whom)
    }

    fn are(&self, said: &Said) -> bool {
        self.server.as_deref().is_none_or(|server| server == &*said.server)
            // Who has the whole id may show it, too.
            && self.session.as_deref().is_none_or(|session| session.starts_with(&*said.session))
    }
}

fn line(said: &Said, more: impl Fn(&str) -> Option<String>) -> Bytes {
    let (message, cut) = said.shown(more);
    let kind = match said.kind {
        Kind::Request => "request",
        Kind::Notification => "notification",
        Kind::Result | Kind::Error => "response",
    };
    let line = json!({
        "at": humantime::format_rfc3339_micros(said.at).to_string(),
        "server": &*said.server,
        "session": &*said.session,
        "from": said.from.as_str(),
        "kind": kind,
        "method": said.method.as_deref(),
        "bytes": said.bytes,
        "message": message,
        "cut": cut,
    });
    line.to_string().into()
}
