//! The tasks that talk to a running router: `status`, `restart`, `approve` and `log`.

mod change;
mod report;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::running::{self, URL};
use super::{failed, print};
use crate::config::ServerName;
use crate::shell::on_one_line;

/// New processes are waited for this long.
const RESTARTED_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked whether they are there.
const LOOK: Duration = Duration::from_millis(100);

/// Why a router could not be asked, or has refused.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("{0}: not a URL like http://127.0.0.1:8080, nor a unix socket like unix:/run/router.sock")]
    Url(String),
    #[error("nobody listens at {base}: start the router there, or say by `--url` or {URL} where it is")]
    Nobody { base: String },
    #[error("no answer from {base}: {reason}")]
    Silent { base: String, reason: String },
    #[error("what answers at {base} is no mcp-switchboard")]
    Stranger { base: String },
    #[error("{0}")]
    Refused(String),
}

/// Shows how the mounts of a running router stand.
pub(super) fn status(url: Option<&str>, authority: Option<&Path>, json: bool) -> ExitCode {
    finish(async {
        let status = Router::find(url, authority)?.status().await?;
        let text = if json { format!("{:#}\n", status.answer) } else { report::table(&status) };
        Ok((text, true))
    })
}

/// Replaces the processes of a server of a running router, and waits until new ones are there.
pub(super) fn restart(name: &str, url: Option<&str>, authority: Option<&Path>) -> ExitCode {
    finish(async {
        let name: ServerName =
            name.parse().map_err(|error| Unanswered::Refused(format!("{name}: {error}")))?;
        let router = Router::find(url, authority)?;
        let begun = router.ask(Method::POST, &format!("/admin/servers/{name}/restart")).await?;
        let old: Vec<u64> =
            begun["pids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let until = Instant::now() + RESTARTED_WITHIN;
        loop {
            let status = router.status().await?;
            let mount = &status.answer["servers"][name.as_str()];
            if report::is_restarted(mount, &old) || Instant::now() >= until {
                return Ok(report::restarted(name.as_str(), mount, &begun));
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// Shows what a running router logs, or changes it.
pub(super) fn log(filter: Option<&str>, url: Option<&str>, authority: Option<&Path>) -> ExitCode {
    finish(async {
        let router = Router::find(url, authority)?;
        let answer = match filter {
            None => router.ask(Method::GET, "/admin/log").await?,
            Some(filter) => router.say(Method::PUT, "/admin/log", filter.to_owned()).await?,
        };
        let filter = answer["filter"].as_str().ok_or(Unanswered::Stranger { base: router.base })?;
        Ok((format!("{}\n", on_one_line(filter)), true))
    })
}

/// Shows the tools of a server that are held back, or these of them, and approves what they say if a person does.
pub(super) fn approve(
    name: &str,
    tools: &[String],
    yes: bool,
    url: Option<&str>,
    authority: Option<&Path>,
) -> ExitCode {
    finish(async {
        let name: ServerName =
            name.parse().map_err(|error| Unanswered::Refused(format!("{name}: {error}")))?;
        let router = Router::find(url, authority)?;
        let path = format!("/admin/servers/{name}/approve");
        let found = router.ask(Method::GET, &path).await?;
        let held: Vec<&Value> = found["held_back"].as_array().into_iter().flatten().collect();
        let is_held = |tool: &&String| held.iter().any(|held| held["tool"] == tool.as_str());
        if let Some(tool) = tools.iter().find(|tool| !is_held(tool)) {
            let reason = format!("{name}: the tool {} is not held back", on_one_line(tool));
            return Err(Unanswered::Refused(reason));
        }
        let is_meant =
            |held: &&&Value| tools.is_empty() || tools.iter().any(|tool| held["tool"] == tool.as_str());
        let meant: Vec<&Value> = held.iter().filter(is_meant).copied().collect();
        if meant.is_empty() {
            return Ok((format!("{name}: no tool is held back\n"), true));
        }
        for held in &meant {
            print(change::shown(held).as_bytes());
        }
        if !yes && !is_wanted(name.as_str(), meant.len())? {
            return Ok((format!("{name}: nothing was approved\n"), false));
        }
        let (mut text, mut well) = (String::new(), true);
        for held in meant {
            let tool = held["tool"].as_str().unwrap_or_default();
            let digest = held["says"]["sha256"].as_str().unwrap_or_default();
            // What was shown is approved, and nothing that it may say by now.
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("tool", tool)
                .append_pair("sha256", digest)
                .finish();
            let (line, is_well) = match router.ask(Method::POST, &format!("{path}?{query}")).await {
                Ok(answer) => change::approved(name.as_str(), tool, &answer),
                Err(Unanswered::Refused(reason)) => (format!("not approved: {reason}\n"), false),
                Err(other) => return Err(other),
            };
            text.push_str(&line);
            well &= is_well;
        }
        Ok((text, well))
    })
}

/// Asks the person at the terminal.
fn is_wanted(name: &str, count: usize) -> Result<bool, Unanswered> {
    if !io::stdin().is_terminal() {
        let reason = "nobody is there to be asked: look at what is shown, and say `--yes` to approve it";
        return Err(Unanswered::Refused(reason.to_owned()));
    }
    let what = if count == 1 { "this tool".to_owned() } else { format!("these {count} tools") };
    let mut stderr = io::stderr();
    // A closed stderr leaves nobody to ask, and what is not answered is not approved.
    let _ = write!(stderr, "approve what {what} of {name} says? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Prints what a task has found out; whether all is well is the exit status.
fn finish(task: impl Future<Output = Result<(String, bool), Unanswered>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(task),
        Err(error) => return failed(&error),
    };
    match outcome {
        Ok((text, well)) => {
            print(text.as_bytes());
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error @ Unanswered::Url(_)) => {
            failed(&error);
            ExitCode::from(2)
        }
        Err(error) => failed(&error),
    }
}

/// A router that runs somewhere.
struct Router {
    http: Client,
    base: String,
}

/// What a router says of itself, and where it was asked.
struct Status {
    base: String,
    answer: Value,
}

impl Router {
    /// Where the words, else the environment, say that it is; else on this machine.
    fn find(url: Option<&str>, authority: Option<&Path>) -> Result<Self, Unanswered> {
        let base = checked(running::base(url, &|name| std::env::var(name).ok()))?;
        let unmade = |reason| Unanswered::Silent { base: base.clone(), reason };
        let http = running::client(&base, authority).map_err(unmade)?;
        Ok(Self { http, base })
    }

    async fn status(&self) -> Result<Status, Unanswered> {
        let answer = self.ask(Method::GET, "/status").await?;
        if answer["servers"].is_object() {
            return Ok(Status { base: self.base.clone(), answer });
        }
        Err(Unanswered::Stranger { base: self.base.clone() })
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Value, Unanswered> {
        self.say(method, path, String::new()).await
    }

    async fn say(&self, method: Method, path: &str, body: String) -> Result<Value, Unanswered> {
        let mut request = self.http.request(method, format!("{}{path}", running::root(&self.base)));
        if !body.is_empty() {
            request = request.body(body);
        }
        if let Some(token) = running::key() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| {
            if let Some(reason) = running::disbelief(&error) {
                Unanswered::Silent { base: self.base.clone(), reason }
            } else if error.is_connect() {
                Unanswered::Nobody { base: self.base.clone() }
            } else {
                silent(&self.base, error)
            }
        })?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| silent(&self.base, error))?;
        let value: Option<Value> = serde_json::from_str(&text).ok();
        let reason = value.as_ref().and_then(|value| value["error"]["message"].as_str());
        match (status, &value, reason) {
            (StatusCode::OK, Some(value), _) => Ok(value.clone()),
            (StatusCode::UNAUTHORIZED, ..) => Err(Unanswered::Refused(running::unknown(&self.base))),
            (_, _, Some(reason)) => Err(Unanswered::Refused(on_one_line(reason))),
            (StatusCode::OK, None, _) => Err(Unanswered::Stranger { base: self.base.clone() }),
            _ => Err(Unanswered::Silent { base: self.base.clone(), reason: format!("status {status}") }),
        }
    }
}

fn silent(base: &str, error: reqwest::Error) -> Unanswered {
    Unanswered::Silent { base: base.to_owned(), reason: running::told(error) }
}

/// The URL of a router, or its unix socket, with nothing in it that is none of its business.
fn checked(base: String) -> Result<String, Unanswered> {
    if cfg!(unix) && base.strip_prefix("unix:").is_some_and(|path| !path.is_empty()) {
        return Ok(base);
    }
    let Ok(parsed) = Url::parse(&base) else { return Err(Unanswered::Url(base)) };
    let plain = matches!(parsed.scheme(), "http" | "https") && parsed.has_host() && parsed.query().is_none();
    if !plain || !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Unanswered::Url(base));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_of_a_router_is_refused() {
        assert_eq!(checked("https://a.example/x".to_owned()).ok().as_deref(), Some("https://a.example/x"));
        for wrong in ["unix:", "localhost:8080", "8080", "ftp://a", "http://", "http://u:p@a/", "http://a/?x"]
        {
            assert!(checked(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
