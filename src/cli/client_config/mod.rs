//! `mcp-switchboard client-config`: what to write into a client's configuration so that it finds a running router.

mod block;
mod router;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use block::{Entry, Shape};
use router::Router;

use super::places::Places;
use crate::config::ServerName;

/// The name of the one entry for all servers together.
const ALL: &str = "mcp-switchboard";

/// What the words after `client-config` say.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientConfig {
    /// Whose configuration.
    pub client: Client,
    /// The router's address [default: this machine, port 8080 or `MCP_PROXY_PORT`] [env: `MCP_SWITCHBOARD_URL`].
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// One server, by the name at which it is mounted.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["view", "all"])]
    pub server: Option<ServerName>,
    /// One view of all servers together.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub view: Option<ServerName>,
    /// An entry for each server that the running router has.
    #[arg(long)]
    pub all: bool,
}

/// A client whose configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Client {
    /// Claude Desktop, which starts local programs.
    Claude,
    /// Claude Code.
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// VS Code.
    #[value(name = "vscode")]
    VsCode,
    /// LiteLLM's proxy.
    #[value(name = "litellm")]
    LiteLlm,
    /// A tool of `OpenAI`'s Responses API.
    #[value(name = "openai")]
    OpenAi,
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Address(String),
    #[error("{0}")]
    Router(String),
}

/// Prints the block on stdout, and on stderr where it belongs.
pub(super) fn run(words: &ClientConfig) -> ExitCode {
    match block(words) {
        Ok((text, notes)) => {
            for note in notes {
                super::tell(&note);
            }
            // What follows on the terminal is the block; a file or a pipe gets it alone.
            if std::io::stdout().is_terminal() {
                super::tell("");
            }
            super::print(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Refused::Address(reason)) => super::misused(&reason),
        Err(Refused::Router(reason)) => super::failed(&reason),
    }
}

/// The block, and what to know about it.
fn block(words: &ClientConfig) -> Result<(String, Vec<String>), Refused> {
    let environment = |name: &str| std::env::var(name).ok();
    let router = Router::at(words.url.as_deref(), &environment).map_err(Refused::Address)?;
    let entries = match (&words.server, &words.view, words.all) {
        (Some(name), ..) => vec![Entry::new(name.as_str(), router.server(name.as_str()))],
        (_, Some(name), _) => vec![Entry::new(name.as_str(), router.view(name.as_str()))],
        (.., true) => router.mounts().map_err(Refused::Router)?,
        _ => vec![Entry::new(ALL, router.everything())],
    };
    let mut notes = vec![belongs(words.client)];
    notes.extend(router.caution(words.client));
    let shape = Shape { client: words.client, is_list: words.all, router: &router };
    let text = shape.text(&entries).map_err(Refused::Router)?;
    Ok((text, notes))
}

/// Where the block belongs.
fn belongs(client: Client) -> String {
    let places = Places::of_this_user();
    let at = |file: fn(&Places) -> std::path::PathBuf, name: &str| {
        places.as_ref().map_or_else(|_| name.to_owned(), |places| file(places).display().to_string())
    };
    match client {
        Client::Claude => format!(
            "Claude Desktop: into {}, beside the servers that are there; then start it again. It starts only local programs: \
             this one, in client mode",
            at(Places::claude_desktop, "claude_desktop_config.json")
        ),
        Client::ClaudeCode => format!(
            "Claude Code: into {} for this project, or {} for all of them",
            at(Places::claude_code_project, ".mcp.json"),
            at(Places::claude_code, "~/.claude.json")
        ),
        Client::Cursor => format!(
            "Cursor: into {}, or {} for this project",
            at(Places::cursor, "~/.cursor/mcp.json"),
            at(Places::cursor_project, ".cursor/mcp.json")
        ),
        Client::VsCode => format!(
            "VS Code: into {} for this workspace, or {} for all of them",
            at(Places::vscode_project, ".vscode/mcp.json"),
            at(Places::vscode, "mcp.json of the user profile")
        ),
        Client::LiteLlm => "LiteLLM: into the file of its `--config`. `allow_all_keys: true` under a server lets each of its keys use it"
            .to_owned(),
        Client::OpenAi => {
            "OpenAI: into the list `tools` of a request to the Responses API. With `require_approval` \
                           \"always\" each call waits for a yes; \"never\" lets the model call what it likes"
                .to_owned()
        }
    }
}
