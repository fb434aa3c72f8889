//! What was called, by whom, when, how long it took and how it ended: from the file in which a router records it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};

use super::{deliver, failed, misused, told};
use crate::config::file;
use crate::shell::on_one_line;
use crate::telemetry::{Filter, Reader, Record, Summary};

/// Calls that are shown where nobody says how many.
const LAST: u64 = 50;

/// Which history, which calls of it, and how they are shown.
#[derive(Clone, Debug, Args)]
pub struct History {
    /// The history, as `--history` of the router has named it.
    #[arg(id = "history", long, value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The router's configuration file, which names its history.
    #[arg(long, visible_alias = "named-server-config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only calls of this server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only calls of this tool.
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only calls by this caller.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Only calls that ended so: `ok`, `tool_error`, `error`, `cancelled`, `abandoned`, or why the router refused it.
    #[arg(long, value_name = "WORD")]
    outcome: Option<String>,
    /// Only calls since then: a time like 2026-11-28T04:00:00Z, a day like 2026-11-28, or how long ago, like 90m.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
    /// Only calls that took so many milliseconds or longer.
    #[arg(long, value_name = "MS")]
    slow: Option<u64>,
    /// Only the last so many [default: 50; with `--summary`, `--since`, `--json` and `--csv` all].
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// What they amount to, for each server and tool.
    #[arg(long)]
    summary: bool,
    /// A JSON object on each line.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values, with a head.
    #[arg(long)]
    csv: bool,
}

/// Shows it: 0, or 1 if it cannot be read.
pub(super) fn run(words: &History) -> ExitCode {
    let file = match (&words.file, &words.config) {
        (Some(file), _) => file.clone(),
        (None, Some(config)) => match named_by(config) {
            Ok(file) => file,
            Err(why) => return failed(&why),
        },
        (None, None) => {
            return misused(
                "which history? name it by --history FILE, or by --config FILE the router's configuration",
            );
        }
    };
    match Reader::open(&file).and_then(|reader| show(words, &reader)) {
        Ok(text) => match deliver(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(wrong) => failed(&wrong),
        },
        Err(error) => failed(&reasons(&error)),
    }
}

/// The history that a configuration file names.
fn named_by(config: &Path) -> Result<PathBuf, String> {
    let meaning = file::load(config, &|name| std::env::var(name).ok()).map_err(told)?;
    let history = meaning.history.map(|history| history.file);
    history.ok_or_else(|| {
        format!("{}: it has no `history`; name the file by --history, if the router did so", config.display())
    })
}

fn show(words: &History, reader: &Reader) -> Result<String, crate::telemetry::HistoryUnusable> {
    let is_all = words.summary || words.json || words.csv || words.since.is_some();
    let filter = Filter {
        server: words.server.clone(),
        tool: words.tool.clone(),
        caller: words.caller.clone(),
        outcome: words.outcome.clone(),
        since: words.since,
        slow: words.slow.map(Duration::from_millis),
        last: words.last.or_else(|| (!is_all).then_some(LAST)),
    };
    let (names, rows): (Vec<&str>, Vec<Vec<Value>>) = if words.summary {
        (SHARES.to_vec(), reader.summary(&filter)?.iter().map(of_summary).collect())
    } else {
        (RECORDS.to_vec(), reader.calls(&filter)?.iter().map(of_record).collect())
    };
    Ok(if words.json {
        as_json(&names, &rows)
    } else if words.csv {
        as_csv(&names, &rows)
    } else if rows.is_empty() {
        "no such call was recorded\n".to_owned()
    } else {
        as_table(&names, &rows)
    })
}

const RECORDS: [&str; 13] = [
    "at",
    "server",
    "method",
    "tool",
    "caller",
    "session",
    "eras",
    "outcome",
    "code",
    "ms",
    "received",
    "sent",
    "arguments",
];

const SHARES: [&str; 7] = ["server", "what", "calls", "errors", "errors_percent", "p50_ms", "p95_ms"];

fn of_record(record: &Record) -> Vec<Value> {
    vec![
        json!(humantime::format_rfc3339_micros(record.at).to_string()),
        json!(record.server),
        json!(record.method),
        json!(record.tool),
        json!(record.caller),
        json!(record.session),
        json!(record.eras),
        json!(record.outcome),
        json!(record.code),
        json!(ms(record.took)),
        json!(record.received),
        json!(record.sent),
        json!(record.arguments),
    ]
}

fn of_summary(share: &Summary) -> Vec<Value> {
    let percent = share.errors * 1000 / share.calls.max(1);
    vec![
        json!(share.server),
        json!(share.what),
        json!(share.calls),
        json!(share.errors),
        json!(f64::from(u32::try_from(percent).unwrap_or(u32::MAX)) / 10.0),
        json!(ms(share.median)),
        json!(ms(share.p95)),
    ]
}

fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1000.0
}

fn as_json(names: &[&str], rows: &[Vec<Value>]) -> String {
    let mut text = String::new();
    for row in rows {
        let members = names.iter().map(|name| (*name).to_owned()).zip(row.iter().cloned());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", Value::Object(members.collect()));
    }
    text
}

/// As RFC 4180 has it.
fn as_csv(names: &[&str], rows: &[Vec<Value>]) -> String {
    let cell = |value: &Value| {
        let text = plain(value);
        // What a spreadsheet would take for a formula is somebody's name for a tool.
        let text = if text.starts_with(['=', '+', '@']) { format!("'{text}") } else { text };
        let is_plain = !text.contains([',', '"', '\n', '\r']);
        if is_plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
    };
    let mut text = names.join(",") + "\r\n";
    for row in rows {
        text.push_str(&row.iter().map(cell).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text
}

/// In columns; those that are empty in every row are left out.
fn as_table(names: &[&str], rows: &[Vec<Value>]) -> String {
    let is_number = |column: usize| rows.iter().any(|row| row[column].is_number());
    let columns: Vec<usize> =
        (0..names.len()).filter(|column| rows.iter().any(|row| !row[*column].is_null())).collect();
    let head = columns.iter().map(|column| names[*column].to_uppercase()).collect();
    let line = |row: &Vec<Value>| columns.iter().map(|column| on_one_line(&plain(&row[*column]))).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    let width =
        |at: usize| lines.iter().map(|line| console::measure_text_width(&line[at])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().enumerate().map(|(at, cell)| {
            let space = " ".repeat(widths[at] - console::measure_text_width(cell));
            if is_number(columns[at]) { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time, the beginning of a day, or how long ago it was.
fn since(text: &str) -> Result<SystemTime, String> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    let time = |text: &str| humantime::parse_rfc3339_weak(text).ok();
    ago.or_else(|| time(text)).or_else(|| time(&format!("{text}T00:00:00Z"))).ok_or_else(|| {
        "wanted a time like 2026-11-28T04:00:00Z, a day like 2026-11-28, or how long ago, like 90m or 2d"
            .to_owned()
    })
}

/// An error with its causes, up to one that is told already: what lies below that is its code, in other words.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let said = cause.to_string();
        if text.contains(&said) {
            break;
        }
        let _ = write!(text, ": {said}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shown_in_columns_as_csv_and_as_json() {
        let names = ["server", "tool", "ms"];
        let rows =
            vec![vec![json!("a"), json!(null), json!(1.5)], vec![json!("long"), json!(null), json!(120.0)]];
        assert_eq!(as_table(&names, &rows), "SERVER     MS\na         1.5\nlong    120.0\n");
        let rows = vec![vec![json!("a,\"b\""), json!("=1+1"), json!(0.0)]];
        assert_eq!(as_csv(&names, &rows), "server,tool,ms\r\n\"a,\"\"b\"\"\",'=1+1,0.0\r\n");
        assert_eq!(as_json(&names, &rows), "{\"ms\":0.0,\"server\":\"a,\\\"b\\\"\",\"tool\":\"=1+1\"}\n");
        assert!(as_table(&names, &[vec![json!("a\u{1b}[31m"), json!(""), json!(1)]]).contains("\\u{1b}"));
    }

    #[test]
    fn a_time_is_given_or_how_long_ago_it_was() {
        assert!(since("1h").unwrap() < SystemTime::now());
        assert_eq!(since("1970-01-01T00:00:10Z").unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(10));
        assert_eq!(since("1970-01-02").unwrap(), SystemTime::UNIX_EPOCH + Duration::from_hours(24));
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn a_cause_is_said_once() {
        use rusqlite::ffi;
        let locked = ffi::Error { code: rusqlite::ErrorCode::DatabaseBusy, extended_code: ffi::SQLITE_BUSY };
        let said = rusqlite::Error::SqliteFailure(locked, Some("database is locked".to_owned()));
        let error = crate::telemetry::HistoryUnusable::from(said);
        assert_eq!(reasons(&error), "the history cannot be used: database is locked");
    }
}
