//! What `/status` says, for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::Status;
use crate::shell::on_one_line;

/// The mounts in a table, and below it why some do not work.
pub(super) fn table(Status { base, answer }: &Status) -> String {
    let mut text = String::new();
    let uptime = Duration::from_secs(answer["uptime_seconds"].as_u64().unwrap_or_default());
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "mcp-switchboard {} at {base}, up {}",
        word(&answer["version"]),
        humantime::format_duration(uptime)
    );
    if let Some(file) = answer["config"]["file"].as_str() {
        let source = &answer["config"];
        let reloads = source["reloads"].as_u64().unwrap_or_default();
        let times = if reloads == 1 { "once" } else { &format!("{reloads} times") };
        let again = if reloads == 0 { String::new() } else { format!(", reloaded {times}") };
        let _ =
            writeln!(text, "configuration {}, read {}{again}", on_one_line(file), word(&source["loaded_at"]));
        let keys: Vec<_> = source["needs_restart"].as_array().into_iter().flatten().map(word).collect();
        if !keys.is_empty() {
            let _ = writeln!(text, "  used after a restart: {}", keys.join(", "));
        }
        if let Some(error) = source["error"].as_str() {
            let _ = writeln!(text, "  not used as it is now: {}", on_one_line(error));
        }
    }
    let empty = serde_json::Map::new();
    let servers = answer["servers"].as_object().unwrap_or(&empty);
    let mut rows = vec![
        ["NAME", "STATE", "ERA", "PROCESSES", "SESSIONS", "IN FLIGHT", "ERRORS", "URL"].map(str::to_owned),
    ];
    rows.extend(servers.iter().map(|(name, mount)| row(name, mount, base)));
    text.push('\n');
    for row in &rows {
        let _ = writeln!(text, "{}", line(row, &rows));
    }
    let reasons = servers.iter().filter_map(|(name, mount)| Some((name, mount["error"].as_str()?)));
    for (at, (name, reason)) in reasons.enumerate() {
        let space = if at == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{space}{}: {}", on_one_line(name), on_one_line(reason));
    }
    text
}

/// Whether a mount has none of its old processes any more, and knows how it is.
pub(super) fn is_restarted(mount: &Value, old: &[u64]) -> bool {
    let pids = mount["pids"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let has_old = pids.into_iter().any(|pid| old.contains(&pid));
    !has_old && !matches!(mount["state"].as_str(), Some("starting" | "failing"))
}

/// What a restart has led to, and whether all is well.
pub(super) fn restarted(name: &str, mount: &Value, begun: &Value) -> (String, bool) {
    let state = word(&mount["state"]);
    let well = matches!(state.as_str(), "ready" | "idle");
    let reason =
        mount["error"].as_str().map(|reason| format!(": {}", on_one_line(reason))).unwrap_or_default();
    let pids = begun["pids"].as_array().map_or(0, Vec::len);
    let text = format!(
        "{name}: {} replaced, {} went on; it is {state}{reason}\n",
        count(pids as u64, "process", "processes"),
        count(begun["sessions"].as_u64().unwrap_or_default(), "session", "sessions"),
    );
    (text, well)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn row(name: &str, mount: &Value, base: &str) -> [String; 8] {
    let number = |key: &str| mount[key].as_u64().unwrap_or_default().to_string();
    let processes = mount["pids"].as_array().map_or(0, Vec::len).to_string();
    let path = mount["urls"][0].as_str().unwrap_or_default();
    [
        on_one_line(name),
        word(&mount["state"]),
        word(&mount["era"]),
        processes,
        number("sessions"),
        number("in_flight"),
        number("errors"),
        format!("{}{}", origin(base), on_one_line(path)),
    ]
}

/// Scheme and authority: a mount's path begins behind them.
fn origin(base: &str) -> &str {
    let authority = base.find("://").map_or(0, |at| at + 3);
    base[authority..].find('/').map_or(base, |at| &base[..authority + at])
}

fn line(row: &[String], rows: &[[String; 8]]) -> String {
    let mut text = String::new();
    for (column, cell) in row.iter().enumerate() {
        let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        // Numbers stand under each other at their end.
        let _ = match column {
            3..=6 => write!(text, "{cell:>width$}  "),
            _ => write!(text, "{cell:width$}  "),
        };
    }
    text.trim_end().to_owned()
}

/// A word of the answer; what is not known is a dash.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), on_one_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_a_row_for_each_mount_and_the_reasons_below_it() {
        let mount = |state: &str, error: Value, name: &str| {
            json!({
                "state": state, "error": error, "era": null, "pids": [1, 2], "sessions": 1, "in_flight": 0, "errors": 12,
                "urls": [format!("/tools/servers/{name}/mcp"), "x"],
            })
        };
        let answer = json!({
            "version": "1.2.3", "uptime_seconds": 61,
            "config": { "file": "/s.json", "loaded_at": "2026-01-01T00:00:00Z", "error": "line 1", "reloads": 2, "needs_restart": ["port"] },
            "servers": {
                "time": mount("ready", Value::Null, "time"),
                "bad": mount("failed", json!("no \u{1b}[31mprogram"), "bad"),
            },
        });
        let expected = "\
mcp-switchboard 1.2.3 at http://h:1/tools, up 1m 1s
configuration /s.json, read 2026-01-01T00:00:00Z, reloaded 2 times
  used after a restart: port
  not used as it is now: line 1

NAME  STATE   ERA  PROCESSES  SESSIONS  IN FLIGHT  ERRORS  URL
bad   failed  -            2         1          0      12  http://h:1/tools/servers/bad/mcp
time  ready   -            2         1          0      12  http://h:1/tools/servers/time/mcp

bad: no \\u{1b}[31mprogram
";
        assert_eq!(table(&Status { base: "http://h:1/tools".to_owned(), answer }), expected);
    }

    #[test]
    fn a_restart_is_over_when_no_old_process_is_left_and_the_state_is_known() {
        let mount = |state: &str, pids: &[u64]| json!({ "state": state, "pids": pids, "error": null });
        assert!(!is_restarted(&mount("ready", &[1, 3]), &[1, 2]));
        assert!(!is_restarted(&mount("starting", &[3]), &[1, 2]));
        assert!(is_restarted(&mount("ready", &[3]), &[1, 2]) && is_restarted(&mount("failed", &[]), &[]));
        let begun = json!({ "pids": [1], "sessions": 2 });
        let (text, well) = restarted("a", &mount("ready", &[3]), &begun);
        assert_eq!((text.as_str(), well), ("a: 1 process replaced, 2 sessions went on; it is ready\n", true));
        assert!(!restarted("a", &mount("failed", &[]), &begun).1);
    }
}
