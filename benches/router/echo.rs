//! A very fast stdio MCP server: what is measured is the way to it.
//!
//! It can be told to offer many tools, whose descriptions and schemas are of the size that those of real servers have.

use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Answers on stdout what it reads on stdin, until stdin ends; the first line is read after `delay`. It offers `tools` tools.
pub(crate) fn serve(delay: Duration, tools: usize) -> io::Result<()> {
    let tools = listed(tools);
    std::thread::sleep(delay);
    let mut input = BufReader::with_capacity(64 << 10, io::stdin().lock());
    let mut output = io::stdout().lock();
    let (mut line, mut reply) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reply.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Ok(message) = serde_json::from_slice::<Message<'_>>(&line) else { continue };
        let Some(id) = message.id else { continue };
        if message.params.name == "progress" {
            progress(&message.params, &mut output)?;
        }
        answer(&mut reply, id.get(), &message, &tools)?;
        // Ends with a line feed, so that it goes out in one write.
        output.write_all(&reply)?;
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: &'a str,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params<'a> {
    name: &'a str,
    #[serde(rename = "protocolVersion")]
    version: &'a str,
    arguments: Arguments<'a>,
    #[serde(rename = "_meta")]
    meta: Meta<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    size: usize,
    count: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

fn answer(out: &mut Vec<u8>, id: &str, message: &Message<'_>, tools: &str) -> io::Result<()> {
    let params = &message.params;
    match (message.method, params.name) {
        ("initialize", _) => writeln!(
            out,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bench-echo","version":"1"}}}}}}"#,
            params.version
        ),
        ("server/discover", _) => writeln!(
            out,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},"ttlMs":0,"cacheScope":"private"}}}}"#
        ),
        ("ping", _) => writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
        ("tools/list", _) => {
            writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{tools}]}}}}"#)
        }
        ("tools/call", "echo") => {
            text(out, id, params.arguments.text.map_or("\"\"", RawValue::get).as_bytes())
        }
        ("tools/call", "progress") => text(out, id, b"\"done\""),
        ("tools/call", "large") => {
            let mut large = vec![b'x'; params.arguments.size + 2];
            large[0] = b'"';
            large[params.arguments.size + 1] = b'"';
            text(out, id, &large)
        }
        _ => writeln!(
            out,
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"method not found"}}}}"#
        ),
    }
}

/// So many tools as they stand in a list. The first is the one that is called.
fn listed(count: usize) -> String {
    let tool = |number: usize| {
        let name = if number == 0 { "echo".to_owned() } else { format!("search_records_{number}") };
        format!(
            r#"{{"name":"{name}","title":"Search records ({number})","description":"Searches the records of a collection and returns those that fit, the newest first.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string","description":"What to look for"}},"limit":{{"type":"integer","minimum":1,"maximum":100,"default":20}}}},"required":["text"]}},"outputSchema":{{"type":"object"}}}}"#
        )
    };
    (0..count).map(tool).collect::<Vec<_>>().join(",")
}

fn text(out: &mut Vec<u8>, id: &str, json: &[u8]) -> io::Result<()> {
    write!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"#)?;
    out.extend_from_slice(json);
    writeln!(out, r#"}}],"isError":false}}}}"#)
}

/// Each notification is a write of its own, as every SDK flushes each line.
fn progress(params: &Params<'_>, output: &mut impl Write) -> io::Result<()> {
    let token = params.meta.token.map_or("0", RawValue::get);
    let total = params.arguments.count;
    let mut note = Vec::new();
    for step in 1..=total {
        note.clear();
        writeln!(
            note,
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{total}}}}}"#
        )?;
        output.write_all(&note)?;
    }
    Ok(())
}
