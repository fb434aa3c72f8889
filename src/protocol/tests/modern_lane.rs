//! Whatever clients of both eras and a modern server that keeps no rule do.

use super::crowd::{Crowd, Held};
use super::*;
use crate::wire::Era;
use crate::wire::claim::{LOG_LEVEL, SUBSCRIPTION_ID};
use proptest::prelude::*;

const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}"#;

proptest! {
    #[test]
    fn a_process_of_the_modern_era_keeps_its_clients_apart(
        events in proptest::collection::vec((0u8..24, 0usize..97, 0usize..7), 1..120),
    ) {
        let mut story = Story::modern_that_is(MODERN, Some(Duration::from_secs(3)));
        let old = [story.guest(Revision::V2025_11_25, ALL), story.guest(Revision::V2024_11_05, "{}")];
        let mut crowd = Crowd::new(story, Era::Modern);
        crowd.clients.extend(old.map(|client| (client, Era::Legacy)));
        for (kind, pick, how) in events {
            event(&mut crowd, kind, pick, how)?;
        }
        crowd.end()?;
    }
}

fn event(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    if crowd.down && !matches!(kind, 3 | 21 | 22) {
        return if kind.is_multiple_of(2) { crowd.greet(MODERN) } else { Ok(()) };
    }
    match kind {
        0..=3 => a_modern_client(crowd, kind, pick, how),
        4..=7 => a_legacy_client(crowd, pick, how),
        8 => answer(crowd, pick, how),
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
        _ => crowd.later(Duration::from_millis(250)),
    }
}

fn a_modern_client(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    let mark = crowd.story.clients + 1;
    let level = format!(r#""{LOG_LEVEL}":"debug""#);
    match kind {
        0 | 1 => {
            let method = ["tools/call", "prompts/get", "tools/list"][pick % 3];
            let meta = if how < 4 { &*level } else { "" };
            crowd.visit("me", method, mark, ("", meta), Some(mark))
        }
        2 => {
            let filter = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#;
            crowd.visit("me", "subscriptions/listen", mark, (filter, ""), Some(mark))
        }
        _ => match crowd.clients.keys().nth(pick % crowd.clients.len().max(1)).copied() {
            Some(client) => crowd.gone(client),
            None => Ok(()),
        },
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
        0 => match pick % 5 {
            0 => crowd.request(
                client,
                "initialize",
                r#""protocolVersion":"2025-11-25","capabilities":{"sampling":{}}"#,
            ),
            1 => crowd.request(client, "ping", ""),
            2 => crowd.request(client, "logging/setLevel", r#""level":"debug""#),
            3 => crowd.request(client, "subscriptions/listen", r#""notifications":{}"#),
            _ => crowd.request(client, "tools/list", ""),
        },
        1 => crowd.request(client, "resources/subscribe", &format!(r#""uri":"a:{}""#, pick % 3)),
        2 => crowd.request(client, "resources/unsubscribe", &format!(r#""uri":"a:{}""#, pick % 3)),
        3 => crowd.notify(client, &notification("initialized", "{}")),
        4 => crowd.notify(client, &notification("cancelled", r#"{"requestId":"1"}"#)),
        _ => crowd.request(client, ["tools/call", "prompts/get"][pick % 2], ""),
    }
}

/// A legacy client answers a question, one of its own or another's.
fn answer(crowd: &mut Crowd, pick: usize, how: usize) -> Held {
    if crowd.questions.is_empty() {
        return Ok(());
    }
    let at = pick % crowd.questions.len();
    let (client, id) = crowd.questions[at].clone();
    match how {
        0 => {
            let other = crowd.clients.iter().find(|(key, era)| **key != client && **era == Era::Legacy);
            let Some((other, _)) = other else { return Ok(()) };
            crowd.notify(*other, &result(&id, r#"{"action":"accept"}"#))
        }
        1 => crowd.notify(client, &error(&id, -32601, "{}")),
        _ => {
            crowd.questions.remove(at);
            crowd.notify(client, &result(&id, r#"{"action":"accept","roots":[],"content":{}}"#))
        }
    }
}

fn the_server(crowd: &mut Crowd, kind: u8, pick: usize, how: usize) -> Held {
    if crowd.work.is_empty() {
        return crowd.server(&request(&how.to_string(), "roots/list", "{}"));
    }
    let at = pick % crowd.work.len();
    let work = crowd.work[at].clone();
    if work.method == "subscriptions/listen" {
        return on_a_subscription(crowd, at, how);
    }
    let of = work.mark.map_or_else(String::new, |mark| format!("mark{mark}."));
    let lately = work.given_up.is_none_or(|given_up| crowd.story.now < given_up + CANCELLED_GRACE);
    match kind {
        9..=11 => {
            let body = match how {
                0 => format!(r#""error":{{"code":-32602,"message":"{of}"}}"#),
                1 => format!(
                    r#""error":{{"code":-32021,"message":"{of}","data":{{"requiredCapabilities":{{}}}}}}"#
                ),
                2 => format!(r#""result":{{"resultType":"task","x":"{of}"}}"#),
                3 => r#""result":{"resultType":"input_required","requestState":"x"}"#.to_owned(),
                4 => format!(r#""error":{{"code":-32022,"message":"{of}"}}"#),
                _ => format!(r#""result":{{"resultType":"complete","content":["{of}"],"ttlMs":1}}"#),
            };
            crowd.answered(at, &body)?;
            if how == 6 {
                return crowd.server(&result(&work.id, r#"{"resultType":"complete","again":1}"#));
            }
            Ok(())
        }
        12 => crowd.server(&result(&format!("{}", 1000 + pick), "{}")),
        13 => {
            let own = work.token.unwrap_or_else(|| "\"t\"".to_owned());
            let token = if how < 5 { &*own } else { "\"t0\"" };
            let params = format!(r#"{{"progressToken":{token},"progress":1,"message":"{of}"}}"#);
            crowd.server(&notification("progress", &params))
        }
        14 if lately && work.logs => {
            crowd.server(&notification("message", &format!(r#"{{"level":"error","data":"{of}"}}"#)))
        }
        14 if lately => crowd.server(&notification("vendor", &format!(r#"{{"of":"{of}"}}"#))),
        15..=17 => {
            let method = ["elicitation/create", "sampling/createMessage", "roots/list"];
            let asks = |n: usize| {
                format!(r#""k{n}":{{"method":"{}","params":{{"message":"{of}"}}}}"#, method[n % 3])
            };
            let asks: Vec<_> = (pick..=pick + how % 3).map(asks).collect();
            let asks = asks.join(",");
            let result = format!(
                r#""result":{{"resultType":"input_required","inputRequests":{{{asks}}},"requestState":"{of}"}}"#
            );
            crowd.answered(at, &result)
        }
        _ => crowd.server(&request(
            &how.to_string(),
            "elicitation/create",
            &format!(r#"{{"message":"{of}"}}"#),
        )),
    }
}

/// The server says something on a subscription, or ends it.
fn on_a_subscription(crowd: &mut Crowd, at: usize, how: usize) -> Held {
    let work = crowd.work[at].clone();
    let on = |method: &str, members: &str| {
        notification(method, &format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{}}}{members}}}"#, work.id))
    };
    match how {
        0 | 1 => {
            let asked = crate::wire::meta::find(&work.params, &["notifications"]).unwrap_or("{}");
            let honoured = if how == 0 { "{}" } else { asked };
            crowd.server(&on("subscriptions/acknowledged", &format!(r#","notifications":{honoured}"#)))
        }
        2 => crowd.server(&on("tools/list_changed", "")),
        3 => crowd.server(&on("resources/updated", r#","uri":"a:1""#)),
        4 => crowd.server(&on("vendor", "")),
        5 => crowd.answered(at, r#""result":{"resultType":"complete"}"#),
        _ => crowd.answered(at, r#""error":{"code":-32603,"message":"no"}"#),
    }
}
