//! One server of somebody else's file, as our file describes it.

use std::path::Path;

use super::document::{Members, Value};
use super::program::{Program, below, is_comment};
use super::report::Report;
use super::secret;
use super::variables::Words;
use crate::config::{InvalidUrl, RemoteSpec};

/// Reads the members of one entry.
pub(super) struct Reader<'a> {
    pub(super) program: Program,
    pub(super) words: Words<'a>,
    /// Where relative paths begin.
    pub(super) base: &'a Path,
    /// The directory in which programs start if they say nothing.
    pub(super) project: Option<&'a Path>,
    pub(super) report: &'a mut Report,
    /// Reads a file that the entry names.
    pub(super) read: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
}

/// What an entry says, before it is put in order.
#[derive(Default)]
struct Found {
    kind: Option<&'static str>,
    command: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<String>,
    url: Option<String>,
    headers: Vec<(String, String)>,
    oauth: Option<Members>,
    timeout: Option<Value>,
    start_timeout: Option<Value>,
    allow_http: bool,
    disabled: bool,
    /// Keys that are ours, as they stand.
    ours: Members,
}

impl Reader<'_> {
    /// The entry as our file has it; nothing if there is no server that could be mounted, which is told.
    pub(super) fn entry(&mut self, place: &str, entry: &Value) -> Option<Members> {
        let Some(members) = entry.members() else {
            self.report.warn(place, &format!("{} is no server; left out", entry.kind()));
            return None;
        };
        let mut found = Found::default();
        for (key, value) in members.iter().filter(|(key, value)| *value != Value::Null && !is_comment(key)) {
            if !self.member(&below(place, key), key, value, &mut found) {
                return None;
            }
        }
        self.settle(place, found)
    }

    /// Takes one member; false if it leaves nothing to be mounted.
    fn member(&mut self, place: &str, key: &str, value: &Value, found: &mut Found) -> bool {
        match key {
            "name" | "description" | "displayName" => {}
            "command" => found.command = self.text(place, value),
            "args" => found.args = self.texts(place, value),
            "env" => found.env.splice(0..0, self.map(place, value)).for_each(drop),
            "envFile" => {
                if let Some(path) = self.text(place, value) {
                    let more = self.env_file(place, &path);
                    found.env.extend(more);
                }
            }
            "cwd" => found.cwd = self.text(place, value),
            "url" | "serverUrl" | "httpUrl" => found.url = self.text(place, value),
            "headers" => found.headers.extend(self.map(place, value)),
            "authorizationToken" => {
                let bearer = |token: String| format!("Bearer {}", token.trim_start_matches("Bearer "));
                let token = self.text(place, value).map(bearer);
                self.clear(place, "authorization", token.as_deref());
                found.headers.extend(token.map(|token| ("Authorization".to_owned(), token)));
            }
            "type" | "transport" | "transportType" => return self.kind(place, value, found),
            "disabled" | "enabled" => match value {
                Value::Flag(flag) => found.disabled |= *flag == (key == "disabled"),
                _ => self.report.warn(place, &format!("{}, not true or false; ignored", value.kind())),
            },
            "timeout" if self.program == Program::McProxy => found.start_timeout = self.seconds(place, value),
            "timeout" | "tool_timeout" => found.timeout = self.seconds(place, value),
            "startTimeout" => found.start_timeout = self.seconds(place, value),
            "oauth" | "auth" => found.oauth = self.oauth(place, value),
            "allowHttp" => found.allow_http = *value == Value::Flag(true),
            "pool" | "era" | "restart" => found.ours.push((key.to_owned(), value.clone())),
            _ => self.foreign(place, key),
        }
        true
    }

    /// A key that means nothing here: those that fence a server in are told more loudly.
    fn foreign(&mut self, place: &str, key: &str) {
        let plain = key.to_ascii_lowercase();
        let fences = ["sandbox", "tools", "allow", "approve", "trust", "limits", "tls"];
        if fences.iter().any(|word| plain.contains(word)) {
            let what = "not carried over: this protected something there, and does nothing here";
            self.report.warn(place, what);
        } else {
            self.report.warn(place, "means nothing here; left out");
        }
    }

    fn kind(&mut self, place: &str, value: &Value, found: &mut Found) -> bool {
        let word: String =
            value.text().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
        found.kind = match word.to_ascii_lowercase().as_str() {
            "stdio" | "local" => Some("stdio"),
            "http" | "streamablehttp" | "remote" => Some("http"),
            "sse" => Some("sse"),
            "ws" | "websocket" | "sdk" => {
                self.report.warn(place, "no transport of MCP that this router has; the server is left out");
                return false;
            }
            _ => {
                self.report.warn(place, "not one of stdio, http, sse; ignored");
                None
            }
        };
        true
    }

    /// Puts in order what was found, and decides what the entry leaves open.
    fn settle(&mut self, place: &str, mut found: Found) -> Option<Members> {
        let stdio = match (&found.command, &found.url, found.kind) {
            (Some(command), ..) if command.trim().is_empty() && found.url.is_none() => {
                self.report.warn(&below(place, "command"), "is empty; the server is left out");
                return None;
            }
            (Some(_), None, _) => true,
            (None, Some(_), _) => false,
            (Some(_), Some(_), kind) => {
                let stdio = kind.is_none_or(|kind| kind == "stdio");
                let counts = if stdio { "command" } else { "url" };
                self.report.warn(place, &format!("has both `command` and `url`; `{counts}` counts"));
                stdio
            }
            (None, None, _) => {
                self.report.warn(place, "has neither `command` nor `url`; left out");
                return None;
            }
        };
        let mut entry = Members::new();
        if stdio {
            self.local(place, &mut found, &mut entry);
        } else {
            self.remote(place, &mut found, &mut entry)?;
        }
        entry.extend(found.timeout.map(|value| ("timeout".to_owned(), value)));
        entry.extend(found.start_timeout.map(|value| ("startTimeout".to_owned(), value)));
        entry.append(&mut found.ours);
        if found.disabled {
            entry.push(("disabled".to_owned(), Value::Flag(true)));
        }
        Some(entry)
    }

    fn local(&mut self, place: &str, found: &mut Found, entry: &mut Members) {
        if found.kind.is_some_and(|kind| kind != "stdio") {
            self.report.warn(&below(place, "type"), "does not fit a `command`; ignored");
        }
        for number in secret::arguments(&found.args) {
            self.report.in_clear(&format!("{}[{number}]", below(place, "args")));
        }
        let text = |text: &mut Option<String>| text.take().map(Value::Text);
        entry.extend(text(&mut found.command).map(|command| ("command".to_owned(), command)));
        if !found.args.is_empty() {
            let args = found.args.drain(..).map(Value::Text).collect();
            entry.push(("args".to_owned(), Value::List(args)));
        }
        if !found.env.is_empty() {
            entry.push(("env".to_owned(), object(&mut found.env)));
        }
        let cwd = found.cwd.take().filter(|cwd| !cwd.is_empty());
        let cwd = match (cwd, self.project) {
            // What begins with a variable may be absolute.
            (Some(cwd), _) if cwd.starts_with("${") => Some(cwd),
            (Some(cwd), _) => Some(self.base.join(cwd).display().to_string()),
            (None, project) => project.map(|project| project.display().to_string().replace("${", "$${")),
        };
        entry.extend(cwd.map(|cwd| ("cwd".to_owned(), Value::Text(cwd))));
        for (key, is_there) in [("headers", !found.headers.is_empty()), ("oauth", found.oauth.is_some())] {
            if is_there {
                self.report.warn(&below(place, key), "means nothing to a command; left out");
            }
        }
    }

    fn remote(&mut self, place: &str, found: &mut Found, entry: &mut Members) -> Option<()> {
        let url = found.url.take()?;
        let at = below(place, "url");
        if secret::has_credentials(&url) {
            self.report.in_clear(&at);
        }
        let mut allow_http = found.allow_http;
        // What a variable will say is not known.
        if !url.contains("${") {
            match checked(&url) {
                Ok(is_plain) if is_plain && !allow_http => {
                    allow_http = true;
                    let what = "http:// to another machine sends everything in the clear; `allowHttp` allows it, as it was \
                                there. Use https:// if you can";
                    self.report.warn(&at, what);
                }
                Ok(_) => {}
                Err(refused) => {
                    self.report.warn(&at, &format!("{refused}; the server is left out"));
                    return None;
                }
            }
        }
        let kind = found.kind.filter(|kind| *kind != "stdio");
        entry.extend(kind.map(|kind| ("type".to_owned(), kind.into())));
        entry.push(("url".to_owned(), Value::Text(url)));
        if !found.headers.is_empty() {
            entry.push(("headers".to_owned(), object(&mut found.headers)));
        }
        entry.extend(found.oauth.take().map(|oauth| ("oauth".to_owned(), Value::Object(oauth))));
        if allow_http {
            entry.push(("allowHttp".to_owned(), Value::Flag(true)));
        }
        for (key, is_there) in
            [("args", !found.args.is_empty()), ("env", !found.env.is_empty()), ("cwd", found.cwd.is_some())]
        {
            if is_there {
                self.report.warn(&below(place, key), "means nothing to a URL; left out");
            }
        }
        Some(())
    }

    /// A login's keys: ours, Claude Code's and Cursor's.
    fn oauth(&mut self, place: &str, value: &Value) -> Option<Members> {
        let Some(members) = value.members() else {
            self.report.warn(place, &format!("{}, not an object; left out", value.kind()));
            return None;
        };
        let mut login = Members::new();
        for (key, value) in members {
            let at = below(place, key);
            let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
            let ours = match plain.to_ascii_lowercase().as_str() {
                "clientid" => "clientId",
                "clientsecret" => "clientSecret",
                "tokenurl" => "tokenUrl",
                "clientmetadataurl" => "clientMetadataUrl",
                "callbackport" if port(value) => {
                    login.push(("callbackPort".to_owned(), value.clone()));
                    continue;
                }
                "scopes" => {
                    let scopes = match value {
                        Value::Text(text) => text.split_whitespace().map(Value::from).collect(),
                        _ => self.texts(&at, value).into_iter().map(Value::Text).collect(),
                    };
                    login.push(("scopes".to_owned(), Value::List(scopes)));
                    continue;
                }
                _ => {
                    self.report.warn(&at, "means nothing here; left out");
                    continue;
                }
            };
            let text = self.text(&at, value);
            self.clear(&at, key, text.as_deref());
            login.extend(text.map(|text| (ours.to_owned(), Value::Text(text))));
        }
        Some(login)
    }
}

/// Whether a URL that may be called is one where everything is sent in the clear.
fn checked(url: &str) -> Result<bool, InvalidUrl> {
    let mut remote = RemoteSpec::new(url)?;
    let is_plain = remote.check() == Err(InvalidUrl::Plain);
    remote.allow_plain = true;
    remote.check().map(|()| is_plain)
}

fn port(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.as_u64().is_some_and(|port| (1..=65_535).contains(&port)))
}

/// Of a name that stands twice, the first value counts.
fn object(pairs: &mut Vec<(String, String)>) -> Value {
    let mut members = Members::with_capacity(pairs.len());
    for (name, value) in pairs.drain(..) {
        if members.iter().all(|(known, _)| *known != name) {
            members.push((name, Value::Text(value)));
        }
    }
    Value::Object(members)
}
