//! The person at the terminal, while a call runs: hears of progress and log lines, and fills in forms.

use std::io::{self, BufRead, IsTerminal, Write};

use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::cli::tell;
use crate::shell::{Company, Form, harmless};
use crate::wire::meta::{find, find_string};

/// Whoever has called the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    can_be_asked: bool,
}

impl User {
    /// `busy`: stdin is for something else.
    pub(super) fn new(busy: bool) -> Self {
        Self { can_be_asked: !busy && io::stdin().is_terminal() && io::stderr().is_terminal() }
    }
}

impl Company for User {
    fn can_be_asked(&self) -> bool {
        self.can_be_asked
    }

    fn hear(&mut self, method: &str, params: &str) {
        match method {
            "notifications/progress" => tell(&progress(params)),
            "notifications/message" => tell(&log_line(params)),
            _ => {}
        }
    }

    fn asked<'a>(&'a mut self, params: &'a str) -> BoxFuture<'a, Value> {
        let form = Form::read(params).filter(|_| self.can_be_asked);
        Box::pin(async {
            let Some(form) = form else { return json!({ "action": "decline" }) };
            // A terminal is waited for where nobody else is kept waiting.
            let filled_in = tokio::task::spawn_blocking(move || fill_in(&form)).await;
            filled_in.ok().flatten().map_or_else(|| json!({ "action": "decline" }), Form::accepted)
        })
    }
}

/// Asks for each field, again while it makes no sense; nothing if the user ends the input.
fn fill_in(form: &Form) -> Option<Map<String, Value>> {
    let mut content = Map::new();
    tell(&harmless(&form.message));
    tell("(an empty line leaves out what is optional; Ctrl-D declines)");
    for field in &form.fields {
        loop {
            let mut stderr = io::stderr().lock();
            write!(stderr, "{}: ", harmless(&field.prompt()).replace('\n', " "))
                .and_then(|()| stderr.flush())
                .ok()?;
            drop(stderr);
            let mut line = String::new();
            if io::stdin().lock().read_line(&mut line).ok()? == 0 {
                tell("");
                return None;
            }
            match field.read(&line) {
                Ok(value) => {
                    content.extend(value.map(|value| (field.name.clone(), value)));
                    break;
                }
                Err(wrong) => tell(&harmless(&wrong)),
            }
        }
    }
    Some(content)
}

fn progress(params: &str) -> String {
    let so_far = find(params, &["progress"]).unwrap_or("?");
    let total = find(params, &["total"]).map(|total| format!("/{total}")).unwrap_or_default();
    let message = find_string(params, &["message"]).map(|message| format!(": {message}")).unwrap_or_default();
    harmless(&format!("progress {so_far}{total}{message}"))
}

fn log_line(params: &str) -> String {
    let level = find_string(params, &["level"]).unwrap_or_else(|| "log".to_owned());
    let logger = find_string(params, &["logger"]).map(|logger| format!(" ({logger})")).unwrap_or_default();
    let data = find_string(params, &["data"]);
    let data = data.unwrap_or_else(|| find(params, &["data"]).unwrap_or_default().to_owned());
    harmless(&format!("{level}{logger}: {data}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_log_lines_are_told_in_a_line() {
        assert_eq!(progress(r#"{"progress":1.50,"total":3,"message":"a"}"#), "progress 1.50/3: a");
        assert_eq!(progress(r#"{"progress":2}"#), "progress 2");
        assert_eq!(log_line(r#"{"level":"info","logger":"x","data":"a\u001b"}"#), "info (x): a\\u{1b}");
        assert_eq!(log_line(r#"{"level":"error","data":{"n": 1}}"#), r#"error: {"n": 1}"#);
    }
}
