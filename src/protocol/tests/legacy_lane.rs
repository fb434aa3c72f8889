//! Whatever clients of both eras and a legacy server that keeps no rule do.

use super::crowd::{Crowd, Held};
use super::*;
use crate::wire::Era;
use crate::wire::claim::LOG_LEVEL;
use proptest::prelude::*;

const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}"#;

proptest! {
    /// Modern clients one of which may be asked at a time, as the mount lets them in.
    #[test]
    fn a_process_that_may_ask_keeps_its_clients_apart(
        events in proptest::collection::vec((0u8..24, 0usize..97, 0usize..7), 1..120),
    ) {
        let story = Story::legacy_within(ALL, Some(Duration::from_secs(3)));
        let mut crowd = Crowd::new(story, Era::Legacy);
        for (kind, pick, how) in events {
            event(&mut crowd, kind, pick, how)?;
        }
        crowd.end()?;
    }

    /// A singleton: clients of both eras, any number at once, and none can be asked.
    #[test]
    fn a_process_of_clients_of_both_eras_keeps_them_apart(
        events in proptest::collection::vec((0u8..24, 0usize..97, 0usize..7), 1..120),
    ) {
        let mut story = Story::legacy_within("{}", Some(Duration::from_secs(3)));
        let old = [story.guest(Revision::V2025_11_25, "{}"), story.guest(Revision::V2024_11_05, "{}")];
        let mut crowd = Crowd::new(story, Era::Legacy);
        crowd.clients.extend(old.map(|client| (client, Era::Legacy)));
        for (kind, pick, how) in events {
            event(&mut crowd, kind, pick, how)?;
        }
        crowd.end()?;
    }
}

fn event(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    if crowd.down && !matches!(kind, 4 | 21 | 22) {
        return if kind.is_multiple_of(2) { crowd.greet(LEGACY) } else { Ok(()) };
    }
    match kind {
        0..=4 => a_modern_client(crowd, kind, pick, how),
        5 | 6 => come_back(crowd, pick, how),
        7 | 8 => a_legacy_client(crowd, pick, how),
        9..=18 => the_server(crowd, kind, pick, how),
        19 => crowd.crash(),
        20 if how == 0 => crowd.step(Input::Drain),
        20 if how < 3 => {
            crowd.full = !crowd.full;
            Ok(())
        }
        20 => crowd.unreadable(pick),
        21 => crowd.later(Duration::from_millis([35, 200, 400, 700, 1000, 3000, 60_000][how])),
        22 if how == 0 => crowd.later(Duration::from_mins(10)),
        _ => crowd.later(Duration::from_millis(40)),
    }
}

fn a_modern_client(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    let principal = ["me", "you"][pick % 2];
    let mark = crowd.story.clients + 1;
    let level = format!(r#""{LOG_LEVEL}":"{}""#, ["debug", "error"][pick % 2]);
    let meta = if how < 4 { &*level } else { "" };
    match kind {
        0 | 1 => {
            let method = ["tools/call", "prompts/get", "resources/read"][pick % 3];
            let bridge = &crowd.story.bridge;
            if bridge.is_interacting() || bridge.is_spoiled() {
                return Ok(());
            }
            crowd.visit(principal, method, mark, ("", meta), Some(mark))
        }
        2 => {
            let method = ["tools/list", "resources/list", "server/discover", "ping"][pick % 4];
            crowd.visit(principal, method, mark, ("", meta), Some(mark))
        }
        3 => {
            let filter = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#;
            crowd.visit(principal, "subscriptions/listen", mark, (filter, ""), Some(mark))
        }
        _ => match crowd.clients.keys().nth(pick % crowd.clients.len().max(1)).copied() {
            Some(client) => crowd.gone(client),
            None => Ok(()),
        },
    }
}

/// To its own call, or to another's.
fn come_back(crowd: &mut Crowd, pick: usize, how: usize) -> Held {
    if crowd.parked.is_empty() {
        return Ok(());
    }
    let newest = crowd.parked.len() - 1;
    let parked = crowd.parked[newest - pick % (newest + 1).min(3)].clone();
    let answers = parked.asks.iter().enumerate().filter(|(n, _)| how != 5 || n % 2 == 0);
    let answers = answers.map(|(_, (key, method))| match &**method {
        "roots/list" => format!(r#""{key}":{{"roots":[]}}"#),
        "sampling/createMessage" => format!(r#""{key}":{{"content":{{}}}}"#),
        _ => format!(r#""{key}":{{"action":"accept"}}"#),
    });
    let answers = answers.collect::<Vec<_>>().join(",");
    let members = format!(r#""requestState":"{}","inputResponses":{{{answers}}}"#, parked.state);
    let other = if parked.principal == "me" { "you" } else { "me" };
    match how {
        // Another's call, whose params it knows; its own call with another's state.
        0 => crowd.visit(other, &parked.method, parked.mark, (&members, ""), None),
        1 => {
            let mark = crowd.story.clients + 1;
            crowd.visit(&parked.principal, &parked.method, mark, (&members, ""), Some(mark))
        }
        _ => crowd.visit(&parked.principal, &parked.method, parked.mark, (&members, ""), Some(parked.mark)),
    }
}

fn a_legacy_client(crowd: &mut Crowd, pick: usize, how: usize) -> Held {
    let old: Vec<_> =
        crowd.clients.iter().filter(|(_, era)| **era == Era::Legacy).map(|(key, _)| *key).collect();
    if old.is_empty() {
        return Ok(());
    }
    let client = old[pick % old.len()];
    match how {
        0 => crowd.request(client, "tools/list", ""),
        1 => crowd.request(client, "resources/subscribe", r#""uri":"a:1""#),
        2 => crowd.request(client, "logging/setLevel", r#""level":"debug""#),
        3 => crowd.notify(client, &notification("cancelled", r#"{"requestId":"1"}"#)),
        4 => crowd.notify(client, &result(&pick.to_string(), "{}")),
        _ => crowd.request(client, "tools/call", ""),
    }
}

fn the_server(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    if crowd.work.is_empty() {
        return crowd.server(&request(&how.to_string(), "roots/list", "{}"));
    }
    let at = pick % crowd.work.len();
    let work = crowd.work[at].clone();
    let of = work.mark.map_or_else(String::new, |mark| format!("mark{mark}."));
    let lately = work.given_up.is_none_or(|given_up| crowd.story.now < given_up + CANCELLED_GRACE);
    match kind {
        9..=11 => {
            let body = match how {
                0 => format!(r#""error":{{"code":-32602,"message":"{of}"}}"#),
                1 => {
                    let url = format!(r#"{{"mode":"url","url":"https://{of}"}}"#);
                    format!(r#""error":{{"code":-32042,"message":"{of}","data":{{"elicitations":[{url}]}}}}"#)
                }
                2 => r#""result":null"#.to_owned(),
                _ => format!(r#""result":{{"content":["{of}"],"x":1}}"#),
            };
            crowd.answered(at, &body)?;
            if how == 6 {
                return crowd.server(&result(&work.id, r#"{"again":1}"#));
            }
            Ok(())
        }
        12 => crowd.server(&result(&format!("{}", 1000 + pick), "{}")),
        13 => {
            let own = work.token.unwrap_or_else(|| "\"t\"".to_owned());
            let token = if how < 5 { &*own } else { "\"t0\"" };
            let params = format!(r#"{{"progressToken":{token},"progress":1,"message":"{of}"}}"#);
            // Under a token that is not the server's nothing may pass.
            crowd.server(&notification("progress", &params))
        }
        14 if lately && work.mark.is_some() => {
            let level = ["debug", "error"][how % 2];
            crowd.server(&notification("message", &format!(r#"{{"level":"{level}","data":"{of}"}}"#)))
        }
        14 if lately => crowd.server(&notification("vendor", "{}")),
        15 | 16 if crate::protocol::may_ask(&work.method) => {
            let method = ["elicitation/create", "sampling/createMessage", "roots/list"][how % 3];
            let params = format!(r#"{{"message":"{of}"}}"#);
            crowd.server(&request(&how.to_string(), method, &params))
        }
        17 => crowd.server(&notification("cancelled", &format!(r#"{{"requestId":{how}}}"#))),
        _ => match how {
            0 => crowd.server(&notification("tools/list_changed", "{}")),
            1 | 2 => crowd.server(&notification("resources/updated", r#"{"uri":"a:1"}"#)),
            3 => crowd.server(&request("\"p\"", "ping", "{}")),
            _ if crowd.work.len() == 1 => {
                crowd.work.clear();
                crowd.server(&error("null", -32603, "{}"))
            }
            _ => Ok(()),
        },
    }
}
