//! What `mcp-switchboard demo-server` promises to a client on its pipes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A call that is still running whenever the test looks.
const FOREVER: u64 = 3_600_000;

/// A demo server, and its client's end of the pipes.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Server {
    fn spawn() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
            .arg("demo-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                let message = serde_json::from_str(&line.unwrap()).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self { child, input, lines }
    }

    /// A server that has shaken hands with a client of these capabilities.
    fn greeted(capabilities: &Value) -> Self {
        Self::speaking("2025-11-25", capabilities)
    }

    fn speaking(version: &str, capabilities: &Value) -> Self {
        let mut server = Self::spawn();
        let params = json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "0" },
        });
        assert_eq!(server.request("initialize", &params)["result"]["protocolVersion"], version);
        server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        server
    }

    fn write(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn send(&mut self, message: &Value) {
        self.write(&message.to_string());
    }

    fn read(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// Sends a request, and reads the next line, which must be its answer.
    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params }));
        let answer = self.read();
        assert_eq!(answer["id"], method, "{answer}");
        answer
    }

    /// Begins a call; its answer is not waited for.
    fn begin(&mut self, id: u64, tool: &str, arguments: &Value) {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    /// The text that a tool answers with.
    fn say(&mut self, tool: &str, arguments: &Value) -> String {
        text(&self.call(tool, arguments)).to_owned()
    }

    fn cancel(&mut self, id: u64) {
        let params = json!({ "requestId": id });
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    }

    fn tools(&mut self) -> Vec<Value> {
        self.request("tools/list", &json!({}))["result"]["tools"].as_array().unwrap().clone()
    }

    fn counter(&mut self) -> Value {
        let read = self.request("resources/read", &json!({ "uri": "demo://counter" }));
        read["result"]["contents"][0]["text"].clone()
    }

    /// Waits until the process has closed its output without another line.
    fn has_ended(&mut self) {
        assert_eq!(self.lines.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn it_introduces_itself_and_every_tool_is_described() {
    let mut server = Server::spawn();
    let hello = server.request("initialize", &json!({ "protocolVersion": "2024-11-05", "capabilities": {} }));
    assert_eq!(hello["result"]["serverInfo"]["name"], "mcp-switchboard-demo");
    assert_eq!(hello["result"]["capabilities"]["resources"]["subscribe"], true);
    let tools = server.tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for expected in
        ["echo", "add", "sleep", "count", "ask", "sample", "crash", "roots", "log", "bump", "toggle"]
    {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    for tool in tools {
        assert!(!tool["description"].as_str().unwrap().is_empty(), "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
    }
}

#[test]
fn echo_and_add_answer() {
    let mut server = Server::greeted(&json!({}));
    assert_eq!(server.say("echo", &json!({ "text": "häl\n\"lo" })), "häl\n\"lo");
    let sum = server.call("add", &json!({ "a": 9_007_199_254_740_993_u64, "b": 2 }));
    assert_eq!(sum["result"]["structuredContent"]["sum"], 9_007_199_254_740_995_u64);
    assert_eq!(server.say("add", &json!({ "a": 0.5, "b": -2 })), "-1.5");
}

#[test]
fn a_long_text_comes_back_whole() {
    let mut server = Server::greeted(&json!({}));
    let long = "x".repeat(3 << 20);
    assert!(server.say("echo", &json!({ "text": long })) == long);
}

#[test]
fn a_sleeping_call_holds_nobody_up_and_can_be_cancelled() {
    let mut server = Server::greeted(&json!({}));
    server.begin(1, "sleep", &json!({ "ms": FOREVER }));
    server.begin(2, "sleep", &json!({ "ms": 1 }));
    let woken = server.read();
    assert_eq!((&woken["id"], text(&woken)), (&json!(2), "Slept 1 ms."));
    server.begin(
        1,
        "echo",
        &json!({ "text": "ids of running calls are taken only by other calls that run" }),
    );
    assert_eq!(server.read()["id"], 1);
    server.begin(1, "sleep", &json!({ "ms": 0 }));
    assert_eq!(server.read()["error"]["code"], -32600);
    server.cancel(1);
    // Its id is free again once the call has ended; nothing is ever said about the cancelled call.
    loop {
        server.begin(1, "sleep", &json!({ "ms": 0 }));
        let answer = server.read();
        assert_eq!(answer["id"], 1);
        if answer["error"].is_null() {
            assert_eq!(text(&answer), "Slept 0 ms.");
            break;
        }
    }
}

#[test]
fn counting_reports_every_number_in_order_to_those_who_gave_a_token() {
    let mut server = Server::greeted(&json!({}));
    server.begin(7, "count", &json!({ "to": 50, "intervalMs": 0 }));
    for number in 1..=50 {
        let note = server.read();
        assert_eq!(note["method"], "notifications/progress");
        assert_eq!(note["params"]["progressToken"], 7);
        assert_eq!((&note["params"]["progress"], &note["params"]["total"]), (&json!(number), &json!(50)));
    }
    assert_eq!(text(&server.read()), "Counted to 50.");
    assert_eq!(server.say("count", &json!({ "to": 3 })), "Counted to 3.");
}

#[test]
fn ask_returns_what_the_user_answered() {
    let mut server = Server::greeted(&json!({ "elicitation": {} }));
    let outcomes = [
        (json!({ "action": "accept", "content": { "answer": "Ada" } }), "The user answered: Ada"),
        (json!({ "action": "decline" }), "The user declined to answer."),
        (json!({ "action": "cancel" }), "The user closed the question without an answer."),
    ];
    for (number, (outcome, expected)) in (1..).zip(outcomes) {
        server.begin(number, "ask", &json!({ "question": "Who?" }));
        let question = server.read();
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "Who?");
        server.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": outcome }));
        assert_eq!(text(&server.read()), expected);
    }
}

#[test]
fn two_questions_at_once_get_their_own_answers() {
    let mut server = Server::greeted(&json!({ "sampling": {} }));
    server.begin(1, "sample", &json!({ "prompt": "one" }));
    let first = server.read();
    server.begin(2, "sample", &json!({ "prompt": "two" }));
    let second = server.read();
    for (asked, call) in [(&second, 2), (&first, 1)] {
        let said = asked["params"]["messages"][0]["content"]["text"].clone();
        let content = json!({ "type": "text", "text": said });
        let result = json!({ "role": "assistant", "model": "m", "content": content });
        server.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }));
        let answer = server.read();
        assert_eq!((&answer["id"], text(&answer)), (&json!(call), said.as_str().unwrap()));
    }
}

#[test]
fn a_question_is_withdrawn_when_its_call_is_cancelled() {
    let mut server = Server::greeted(&json!({ "elicitation": { "form": {} } }));
    server.begin(1, "ask", &json!({}));
    let question = server.read();
    server.cancel(1);
    let withdrawn = server.read();
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
}

#[test]
fn a_client_that_cannot_be_asked_is_told_so() {
    let mut server = Server::greeted(&json!({ "elicitation": { "url": {} } }));
    for (tool, arguments) in [("ask", json!({})), ("sample", json!({ "prompt": "x" })), ("roots", json!({}))]
    {
        let answer = server.call(tool, &arguments);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(text(&answer).contains("has not declared"), "{answer}");
    }
}

#[test]
fn a_refusal_of_the_client_is_the_tools_error() {
    let mut server = Server::greeted(&json!({ "roots": {} }));
    server.begin(1, "roots", &json!({}));
    let asked = server.read();
    assert_eq!(asked["method"], "roots/list");
    let error = json!({ "code": -32603, "message": "not today" });
    server.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error }));
    let answer = server.read();
    assert_eq!(answer["result"]["isError"], true);
    assert!(text(&answer).contains("not today"), "{answer}");
    server.begin(2, "roots", &json!({}));
    let asked = server.read();
    let roots = json!([{ "uri": "file:///a" }, { "uri": "file:///b", "name": "b" }]);
    server.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": roots } }));
    assert_eq!(text(&server.read()), "file:///a\nfile:///b");
}

#[test]
fn a_crash_ends_the_process_with_its_code_and_without_an_answer() {
    let mut server = Server::greeted(&json!({}));
    server.begin(1, "crash", &json!({ "code": 7 }));
    server.has_ended();
    assert_eq!(server.child.wait().unwrap().code(), Some(7));
}

#[test]
fn the_end_of_stdin_ends_the_process_whatever_is_running() {
    let mut server = Server::greeted(&json!({}));
    server.begin(1, "sleep", &json!({ "ms": FOREVER }));
    assert_eq!(server.say("echo", &json!({ "text": "here" })), "here");
    let closed = Instant::now();
    server.input.take();
    server.has_ended();
    assert!(server.child.wait().unwrap().success());
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
}

#[test]
fn a_subscriber_hears_of_every_change_until_it_unsubscribes() {
    let mut server = Server::greeted(&json!({}));
    assert_eq!(server.counter(), "0");
    assert_eq!(server.say("bump", &json!({})), "1");
    server.request("resources/subscribe", &json!({ "uri": "demo://counter" }));
    server.begin(1, "bump", &json!({ "by": 41 }));
    let note = server.read();
    assert_eq!(note["method"], "notifications/resources/updated");
    assert_eq!(note["params"], json!({ "uri": "demo://counter" }));
    assert_eq!(text(&server.read()), "42");
    assert_eq!(server.counter(), "42");
    server.request("resources/unsubscribe", &json!({ "uri": "demo://counter" }));
    assert_eq!(server.say("bump", &json!({ "by": -2 })), "40");
}

#[test]
fn the_template_is_read_and_what_is_no_resource_is_refused_by_name() {
    let mut server = Server::greeted(&json!({}));
    let read = server.request("resources/read", &json!({ "uri": "demo://square/-12" }));
    assert_eq!(read["result"]["contents"][0]["text"], "144");
    for method in ["resources/read", "resources/subscribe"] {
        let refused = server.request(method, &json!({ "uri": "demo://none" }));
        assert_eq!(refused["error"]["code"], -32002);
        assert_eq!(refused["error"]["data"]["uri"], "demo://none");
    }
}

#[test]
fn the_list_of_tools_changes_and_the_client_is_told() {
    let mut server = Server::greeted(&json!({}));
    let before = server.tools().len();
    assert_eq!(server.call("bonus", &json!({}))["error"]["code"], -32602);
    for expected in [before + 1, before] {
        server.begin(1, "toggle", &json!({}));
        assert_eq!(server.read()["method"], "notifications/tools/list_changed");
        assert_eq!(server.read()["id"], 1);
        assert_eq!(server.tools().len(), expected);
    }
}

#[test]
fn log_messages_below_the_level_are_held_back() {
    let mut server = Server::greeted(&json!({}));
    let debug = json!({ "level": "debug", "text": "hum" });
    assert!(server.say("log", &debug).starts_with("Held back"));
    server.request("logging/setLevel", &json!({ "level": "debug" }));
    server.begin(1, "log", &debug);
    let note = server.read();
    assert_eq!(note["method"], "notifications/message");
    assert_eq!(note["params"], json!({ "level": "debug", "logger": "demo", "data": "hum" }));
    assert_eq!(text(&server.read()), "Sent.");
    assert_eq!(server.request("logging/setLevel", &json!({ "level": "loud" }))["error"]["code"], -32602);
}

#[test]
fn the_prompt_is_filled_in_and_its_argument_completed() {
    let mut server = Server::greeted(&json!({}));
    let filled = server.request("prompts/get", &json!({ "name": "greet", "arguments": { "name": "Ada" } }));
    assert_eq!(filled["result"]["messages"][0]["content"]["text"], "Greet Ada warmly, in one sentence.");
    for bad in [json!({ "name": "greet" }), json!({ "name": "x", "arguments": { "name": "Ada" } })] {
        assert_eq!(server.request("prompts/get", &bad)["error"]["code"], -32602, "{bad}");
    }
    let greet = json!({ "type": "ref/prompt", "name": "greet" });
    let typed = json!({ "ref": greet, "argument": { "name": "name", "value": "a" } });
    let completed = server.request("completion/complete", &typed);
    assert_eq!(completed["result"]["completion"]["values"], json!(["Ada", "Alan"]));
    let unknown = json!({ "ref": greet, "argument": { "name": "age", "value": "" } });
    assert_eq!(server.request("completion/complete", &unknown)["error"]["code"], -32602);
}

#[test]
fn what_it_does_not_know_is_refused_and_it_goes_on() {
    let mut server = Server::speaking("2025-06-18", &json!({}));
    assert_eq!(server.request("server/discover", &json!({}))["error"]["code"], -32601);
    assert_eq!(server.call("nothing", &json!({}))["error"]["code"], -32602);
    for bad in [json!({}), json!({ "text": 1 }), json!({ "text": "a", "more": 1 }), json!("text")] {
        assert_eq!(server.call("echo", &bad)["error"]["code"], -32602, "{bad}");
    }
    assert_eq!(server.call("sleep", &json!({ "ms": FOREVER + 1 }))["error"]["code"], -32602);
    server.write("{not json");
    assert_eq!(server.read()["error"]["code"], -32700);
    server.write(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#);
    server.cancel(99);
    assert_eq!(server.request("ping", &json!({}))["result"], json!({}));
}

#[test]
fn since_2025_11_25_a_model_reads_what_is_wrong_with_its_arguments() {
    let mut server = Server::greeted(&json!({}));
    let answer = server.call("echo", &json!({ "txt": "a" }));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(text(&answer).contains("txt"), "{answer}");
}
