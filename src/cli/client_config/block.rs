//! The block itself, in the form that each client reads.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Client;
use super::router::Router;

/// One endpoint under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    name: String,
    url: String,
}

/// What the form of a block depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) client: Client,
    /// There may be several entries, or none.
    pub(super) is_list: bool,
    pub(super) router: &'a Router,
}

impl Entry {
    pub(super) fn new(name: &str, url: String) -> Self {
        Self { name: name.to_owned(), url }
    }
}

impl Shape<'_> {
    /// The text of the block.
    pub(super) fn text(&self, entries: &[Entry]) -> Result<String, String> {
        let value = match self.client {
            Client::Claude => {
                let program = program()?;
                json!({ "mcpServers": by_name(entries, |entry| self.bridge(&program, &entry.url)) })
            }
            Client::ClaudeCode => {
                json!({ "mcpServers": by_name(entries, |entry| json!({ "type": "http", "url": entry.url })) })
            }
            Client::Cursor => json!({ "mcpServers": by_name(entries, |entry| json!({ "url": entry.url })) }),
            Client::VsCode => {
                json!({ "servers": by_name(entries, |entry| json!({ "type": "http", "url": entry.url })) })
            }
            Client::LiteLlm => return Ok(yaml(entries)),
            Client::OpenAi => {
                let tools: Vec<Value> =
                    relabelled(entries, label).map(|(label, url)| tool(&label, url)).collect();
                if self.is_list { tools.into() } else { tools.into_iter().next().unwrap_or_default() }
            }
        };
        let text = serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?;
        Ok(format!("{text}\n"))
    }

    /// This program as a stdio server for a URL.
    fn bridge(&self, program: &str, url: &str) -> Value {
        let mut args = vec![url];
        if self.router.is_in_the_clear {
            args.insert(0, "--allow-http");
        }
        json!({ "command": program, "args": args })
    }
}

/// The path of this program: who starts it may have another PATH.
fn program() -> Result<String, String> {
    let path = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| "the path of this program is not text in UTF-8".to_owned())
}

fn by_name(entries: &[Entry], value: impl Fn(&Entry) -> Value) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.name.clone(), value(entry))).collect()
}

/// The URLs under names that fit where they go; two that would become one are told apart by a number.
fn relabelled(entries: &[Entry], fitting: fn(&str) -> String) -> impl Iterator<Item = (String, &str)> {
    let mut taken = HashSet::new();
    entries.iter().map(move |entry| {
        let name = fitting(&entry.name);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| taken.insert(name.clone())).unwrap_or(name);
        (free, entry.url.as_str())
    })
}

/// A label of the Responses API begins with a letter and has no dot.
fn label(name: &str) -> String {
    let label = name.replace('.', "_");
    if label.starts_with(|first: char| first.is_ascii_alphabetic()) { label } else { format!("mcp_{label}") }
}

fn tool(label: &str, url: &str) -> Value {
    // What the API takes if nothing is said; written out, so that whoever changes it does so with open eyes.
    json!({ "type": "mcp", "server_label": label, "server_url": url, "require_approval": "always" })
}

/// LiteLLM puts the name before the names of tools, where a dash must not be.
fn yaml(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "mcp_servers: {}\n".to_owned();
    }
    let mut text = "mcp_servers:\n".to_owned();
    for (name, url) in relabelled(entries, |name| name.replace(['-', '.'], "_")) {
        // Quoted as JSON is, which YAML reads, too: a name of digits would be a number. Writing to a string cannot fail.
        let (name, url) = (Value::from(name), Value::from(url));
        let _ = writeln!(text, "  {name}:\n    url: {url}\n    transport: http");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(client: Client, is_list: bool, entries: &[Entry]) -> String {
        let router = Router::at(Some("https://h.example"), &|_| None).unwrap();
        Shape { client, is_list, router: &router }.text(entries).unwrap()
    }

    fn entry(name: &str) -> Entry {
        Entry::new(name, format!("https://h.example/servers/{name}/mcp"))
    }

    #[test]
    fn names_fit_where_they_go() {
        let entries = [entry("my-server.1"), entry("2nd")];
        let tools: Value = serde_json::from_str(&text(Client::OpenAi, true, &entries)).unwrap();
        assert_eq!(
            (&tools[0]["server_label"], &tools[1]["server_label"]),
            (&json!("my-server_1"), &json!("mcp_2nd"))
        );
        let expected = "mcp_servers:\n  \"my_server_1\":\n    url: \"https://h.example/servers/my-server.1/mcp\"\n    transport: http\n";
        assert_eq!(text(Client::LiteLlm, false, &entries[..1]), expected);
    }

    #[test]
    fn two_names_that_become_one_are_told_apart() {
        let entries = [entry("a-b"), entry("a_b"), entry("a.b")];
        let block = text(Client::LiteLlm, true, &entries);
        let names: Vec<_> = block.lines().filter(|line| line.ends_with(':')).map(str::trim).collect();
        assert_eq!(names, ["mcp_servers:", "\"a_b\":", "\"a_b_2\":", "\"a_b_3\":"]);
    }

    #[test]
    fn a_router_without_servers_gives_a_block_without_entries() {
        assert_eq!(text(Client::LiteLlm, true, &[]), "mcp_servers: {}\n");
        assert_eq!(text(Client::OpenAi, true, &[]), "[]\n");
        assert_eq!(text(Client::Cursor, true, &[]), "{\n  \"mcpServers\": {}\n}\n");
    }
}
