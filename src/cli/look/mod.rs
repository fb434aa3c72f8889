//! A look at servers from the shell: `tools` and `call`.
//!
//! The servers are mounted in this process, where nothing listens; those of a running router as what they are from here,
//! remote ones. So whatever can be mounted can be looked at.

pub(super) mod choice;
mod page;
mod served;
mod servers;
mod user;
mod words;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use console::Term;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::compat::is_url;
use super::{failed, print, tell};
use crate::mount::{Mount, State};
use crate::shell::{Content, Conversation, Failure, Tool, harmless};
use choice::{Choice, misused, run, unknown};
pub(super) use page::Paper;
use page::{Look, page};
use user::User;
use words::Words;

pub use servers::Servers;

/// Lists the tools of all servers, or of one.
pub(super) fn tools(servers: &Servers, name: Option<&str>, json: bool) -> ExitCode {
    let task = "tools";
    let url = name.filter(|name| is_url(name));
    run(task, servers, url, async |choice| {
        let chosen = match name.filter(|_| url.is_none()) {
            Some(name) => match choice.find(Some(name)) {
                Ok(mount) => vec![mount],
                Err(wrong) => return misused(task, &wrong),
            },
            None => choice.mounts.iter().collect(),
        };
        let looking = join_all(chosen.into_iter().map(|mount| look(&choice, mount)));
        let looks = tokio::select! {
            looks = looking => looks,
            () = choice.stop.cancelled() => return ExitCode::FAILURE,
        };
        let text = if json { page::json(&looks) } else { page(&looks, paper()) };
        print(text.as_bytes());
        if looks.iter().all(Look::is_well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

/// Calls a tool and prints what it answers.
pub(super) fn call(servers: &Servers, words: &[String], json: bool) -> ExitCode {
    let task = "call";
    let Some(words) = Words::read(words) else {
        return misused(task, "`call` wants NAME TOOL JSON; NAME and JSON may be left out");
    };
    // Before anything is started.
    let arguments = match words.object() {
        Ok(arguments) => arguments,
        Err(wrong) => return misused(task, &wrong),
    };
    let url = words.name.as_deref().filter(|name| is_url(name));
    run(task, servers, url, async |choice| {
        let mount = match choice.find(words.name.as_deref().filter(|_| url.is_none())) {
            Ok(mount) => mount,
            Err(wrong) => return misused(task, &wrong),
        };
        let mut user = User::new(words.take_stdin());
        let opening = Conversation::open(mount, &mut user);
        let opened = tokio::select! {
            opened = opening => opened,
            () = choice.stop.cancelled() => return failed(&"cancelled"),
        };
        let mut conversation = match opened {
            Ok(conversation) => conversation,
            Err(failure) => return failed(&told(&failure)),
        };
        let answered = tokio::select! {
            answered = conversation.call(&words.tool, &arguments, choice.level, &mut user) => Some(answered),
            () = choice.stop.cancelled() => None,
        };
        let Some(answered) = answered else {
            conversation.cancel().await;
            return failed(&"cancelled");
        };
        show(answered, &mut conversation, &words.tool, json, &choice.stop).await
    })
}

/// Prints what a call has led to.
async fn show(
    answered: Result<Box<str>, Failure>,
    conversation: &mut Conversation,
    tool: &str,
    json: bool,
    stop: &CancellationToken,
) -> ExitCode {
    let content = answered.as_deref().map(Content::read);
    let well = content.as_ref().is_ok_and(|content| !content.is_error);
    match (&answered, &content) {
        (Ok(result), _) if json => print(format!("{result}\n").as_bytes()),
        (_, Ok(content)) if content.is_error => {
            let text =
                if content.text.is_empty() { "the tool has failed, and says nothing" } else { &content.text };
            tell(&harmless(text));
        }
        (_, Ok(content)) if io::stdout().is_terminal() => {
            print(format!("{}\n", harmless(&content.text)).as_bytes());
        }
        (_, Ok(content)) => print(format!("{}\n", content.text).as_bytes()),
        (_, Err(failure)) => tell(&format!("error: {}", told(failure))),
    }
    if well {
        return ExitCode::SUCCESS;
    }
    // So they answer to a tool that they do not have, too; what they do have is asked only now. An error of the router's own
    // is about something else.
    let own = matches!(answered, Err(Failure::Refused { code: -31_099..=-31_000, .. } | Failure::Ended));
    if own {
        return ExitCode::FAILURE;
    }
    let listed = tokio::select! {
        tools = conversation.tools() => tools.ok(),
        () = stop.cancelled() => None,
    };
    if let Some(tools) = listed {
        let names: Vec<String> =
            tools.iter().filter_map(|tool| Tool::read(tool)).map(|tool| tool.name).collect();
        if !names.iter().any(|name| name == tool) {
            tell(&unknown("tool", tool, names.iter().map(String::as_str)));
        }
    }
    ExitCode::FAILURE
}

async fn look(choice: &Choice, mount: &Arc<Mount>) -> Look {
    let name = mount.name().to_string();
    let served = choice.states.get(&name);
    if mount.is_disabled() || served.is_some_and(|state| state == State::Disabled.as_str()) {
        let state = State::Disabled.as_str().to_owned();
        return Look { name, state, opened: None, greeting: None, tools: None };
    }
    let mut opened = None;
    let tools = async {
        let mut conversation = Conversation::open(mount, &mut ()).await?;
        opened = Some(conversation.opened().into());
        conversation.tools().await
    };
    let tools = tools.await.map_err(|failure| told(&failure));
    let state = match (served, &tools) {
        (Some(state), _) => state.clone(),
        (None, Ok(_)) => State::Ready.as_str().to_owned(),
        (None, Err(_)) => State::Failed.as_str().to_owned(),
    };
    Look { name, state, opened, greeting: mount.greeting(), tools: Some(tools) }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Refused { code, message } => format!("{} ({code})", harmless(message)),
        failure => failure.to_string(),
    }
}

pub(super) fn paper() -> Paper {
    let term = Term::stdout();
    if !term.is_term() {
        return Paper { width: None, styled: false };
    }
    let width = term.size_checked().map(|(_, columns)| usize::from(columns));
    Paper { width, styled: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) }
}
