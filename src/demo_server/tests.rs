//! The server fed with lines, without a process.

use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};

use super::*;

struct Lines(Sender<Value>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = serde_json::from_slice(bytes)?;
        self.0.send(line).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every line that the server writes to this input, whose calls all end.
fn answers(input: &str) -> Vec<Value> {
    let (sender, lines) = channel();
    serve(input.as_bytes(), Lines(sender)).unwrap();
    lines.into_iter().collect()
}

fn hello(version: &str) -> String {
    let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": {} });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

#[test]
fn a_known_legacy_version_is_echoed_and_any_other_gets_the_newest() {
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let out = answers(&hello(asked));
        assert_eq!(out[0]["result"]["protocolVersion"], agreed, "{asked}");
    }
}

#[test]
fn a_batch_is_answered_by_one_array_when_its_last_call_has_ended() {
    let batch =
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sleep","arguments":{"ms":1}}},
        {"jsonrpc":"2.0","method":"notifications/initialized"},
        {"jsonrpc":"2.0","id":2,"method":"ping"},
        7]"#
        .replace('\n', " ");
    let out = answers(&format!("{}\n{batch}\n", hello("2025-03-26")));
    assert_eq!(out.len(), 2, "{out:?}");
    let mut ids: Vec<String> =
        out[1].as_array().unwrap().iter().map(|answer| answer["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "null"]);
}

#[test]
fn a_batch_of_notifications_is_not_answered_and_a_bad_one_once() {
    let quiet = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(answers(quiet), [] as [Value; 0]);
    assert_eq!(answers("[]")[0]["error"]["code"], -32600);
    assert_eq!(answers("[1,")[0]["error"]["code"], -32700);
    let out = answers(&format!("{}\n{quiet}", hello("2025-06-18")));
    assert_eq!(out[1]["error"]["code"], -32600);
    let out = answers(&format!("[{}]", hello("2025-03-26")));
    assert_eq!(out[0][0]["error"]["code"], -32600);
}

#[test]
fn a_list_has_one_page_and_every_other_cursor_is_unknown() {
    for list in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        let ask = |params: Value| {
            json!({ "jsonrpc": "2.0", "id": 1, "method": list, "params": params }).to_string()
        };
        assert!(answers(&ask(json!({})))[0]["result"].is_object(), "{list}");
        assert_eq!(answers(&ask(json!({ "cursor": "x" })))[0]["error"]["code"], -32602, "{list}");
    }
}

#[test]
fn bytes_that_are_not_text_are_refused_and_the_next_line_is_read() {
    let (sender, lines) = channel();
    let input = b"\xff\xfe\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    serve(&input[..], Lines(sender)).unwrap();
    let out: Vec<Value> = lines.into_iter().collect();
    assert_eq!(out[0]["error"]["code"], -32700);
    assert_eq!(out[1], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
}
