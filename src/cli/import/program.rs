//! Whose file it is, and where in it the servers stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::{Members, Value};
use super::variables::{Input, Reading};
use crate::cli::places::Places;

/// A program whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    ClaudeDesktop,
    ClaudeCode,
    Cursor,
    VsCode,
    McProxy,
    /// One that writes `mcpServers`, whichever it is.
    Another,
}

/// A file to be read, if it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) program: Program,
    /// The project that it belongs to, where programs of its servers start.
    pub(super) project: Option<PathBuf>,
}

/// The servers in one place of a file.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The path inside the file.
    pub(super) place: String,
    /// Each with its name, and the path to it.
    pub(super) servers: Vec<(String, String, &'a Value)>,
    pub(super) project: Option<PathBuf>,
    /// Names that this user has switched off.
    pub(super) disabled: Vec<String>,
}

impl Program {
    /// The program of this name and its files, the ones that count more last.
    pub(super) fn sources(name: &str, places: &Places) -> Option<Vec<Source>> {
        let user = |path, program| Source { path, program, project: None };
        let of_project = |path, program| Source { path, program, project: Some(places.project.clone()) };
        let mut sources = match name {
            "claude" => vec![
                user(places.claude_desktop(), Self::ClaudeDesktop),
                user(places.claude_code(), Self::ClaudeCode),
                of_project(places.claude_code_project(), Self::ClaudeCode),
            ],
            "cursor" => {
                vec![user(places.cursor(), Self::Cursor), of_project(places.cursor_project(), Self::Cursor)]
            }
            "vscode" => {
                vec![user(places.vscode(), Self::VsCode), of_project(places.vscode_project(), Self::VsCode)]
            }
            "mcproxy" => vec![user(places.mcproxy(), Self::McProxy)],
            _ => return None,
        };
        // In the home directory the user's file and the project's are the same.
        sources.dedup_by(|second, first| second.path == first.path);
        Some(sources)
    }

    /// Whose file this is, by what it holds; where that is the same for several, by how it is called.
    pub(super) fn of(path: &Path, file: &Value) -> Self {
        let ends = |end: &str| path.ends_with(end);
        let has = |key: &str| file.get(key).is_some();
        match file.get("servers") {
            Some(Value::List(_)) => return Self::McProxy,
            Some(_) if ["namespaces", "manifests", "groups"].iter().any(|key| has(key)) => {
                return Self::McProxy;
            }
            Some(Value::Object(_)) if !has("mcpServers") => return Self::VsCode,
            _ => {}
        }
        if has("mcp") || has("inputs") {
            Self::VsCode
        } else if has("projects") || ends(".mcp.json") || ends(".claude.json") {
            Self::ClaudeCode
        } else if ends("claude_desktop_config.json") {
            Self::ClaudeDesktop
        } else if ends(".cursor/mcp.json") {
            Self::Cursor
        } else {
            Self::Another
        }
    }

    /// The project of a file that was named by its path: the folder of `.mcp.json`, or the one above `.vscode` and `.cursor`.
    pub(super) fn project_of(self, path: &Path, home: &Path) -> Option<PathBuf> {
        let folder = path.parent()?;
        let project = match self {
            Self::ClaudeCode if path.ends_with(".mcp.json") => Some(folder.to_owned()),
            Self::VsCode if folder.ends_with(".vscode") => folder.parent().map(Path::to_owned),
            Self::Cursor => folder.parent().map(Path::to_owned),
            _ => None,
        };
        // What lies in the home directory is the user's, for every project.
        project.filter(|project| project != home)
    }

    /// How it reads `${}`.
    pub(super) fn reading(self) -> Reading {
        match self {
            Self::ClaudeDesktop => Reading::Literally,
            Self::ClaudeCode | Self::McProxy => Reading::AsShell,
            Self::Cursor | Self::VsCode => Reading::AsEditor,
            Self::Another => Reading::AsAny,
        }
    }

    /// The servers of a file, the groups that count more last; `project` is the current directory.
    pub(super) fn groups<'a>(self, file: &'a Value, source: &Source, current: &Path) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        let keys = match self {
            Self::VsCode => &["servers", "mcpServers"][..],
            Self::McProxy => &["servers", "mcpServers"],
            _ => &["mcpServers"],
        };
        let mut add = |place: &str, servers: &'a Value, project: Option<PathBuf>, disabled: Vec<String>| {
            let servers = named(place, servers);
            groups.push(Group { place: place.to_owned(), servers, project, disabled });
        };
        for key in keys {
            if let Some(servers) = file.get(key) {
                add(key, servers, source.project.clone(), Vec::new());
            }
        }
        // Settings of VS Code, where servers stood before they had a file.
        if let Some(servers) = file.get("mcp").and_then(|mcp| mcp.get("servers")) {
            add("mcp.servers", servers, source.project.clone(), Vec::new());
        }
        if self == Self::ClaudeCode
            && let Some((project, settings)) = project(file, current)
        {
            let place = format!("projects[{project:?}].mcpServers");
            let nothing = const { &Value::Null };
            let servers = settings.get("mcpServers").unwrap_or(nothing);
            add(&place, servers, Some(project.into()), switched_off(settings));
        }
        groups
    }

    /// What the file says of the inputs that its editor asks for.
    pub(super) fn inputs(file: &Value) -> BTreeMap<String, Input> {
        let list = file.get("inputs").or_else(|| file.get("mcp")?.get("inputs"));
        let Some(Value::List(inputs)) = list else { return BTreeMap::new() };
        let read = |input: &Value| {
            let text = |key: &str| input.get(key).and_then(Value::text).map(str::to_owned);
            Some((text("id")?, Input { description: text("description"), default: text("default") }))
        };
        inputs.iter().filter_map(read).collect()
    }

    /// The keys beside the servers that are not looked at; none where the file is about more than servers.
    pub(super) fn ignored(self, file: &Value) -> Vec<&str> {
        let known: &[&str] = match self {
            Self::ClaudeDesktop | Self::ClaudeCode => return Vec::new(),
            Self::VsCode if file.get("mcp").is_some() => return Vec::new(),
            Self::VsCode => &["servers", "mcpServers", "inputs", "$schema"],
            Self::McProxy => &["servers", "mcpServers", "$schema"],
            Self::Cursor | Self::Another => &["mcpServers", "$schema"],
        };
        let keys = file.members().into_iter().flatten().map(|(key, _)| key.as_str());
        keys.filter(|key| !known.contains(key) && !is_comment(key)).collect()
    }
}

/// Whether a key only says something to people: `_comment`, `//`.
pub(super) fn is_comment(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("//")
}

/// The path to a member: plain names are written as they are.
pub(super) fn below(place: &str, key: &str) -> String {
    let plain = key.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$'));
    if plain && !key.is_empty() { format!("{place}.{key}") } else { format!("{place}[{key:?}]") }
}

/// The servers of an object, or of a list in which each has its name inside.
fn named<'a>(place: &str, servers: &'a Value) -> Vec<(String, String, &'a Value)> {
    match servers {
        Value::Object(members) => {
            let of_object = |(name, entry): &'a (String, Value)| (name.clone(), below(place, name), entry);
            members.iter().filter(|(name, _)| !is_comment(name)).map(of_object).collect()
        }
        Value::List(items) => {
            let of_list = |(index, entry): (usize, &'a Value)| {
                let name = entry.get("name").and_then(Value::text).unwrap_or("server");
                (name.to_owned(), format!("{place}[{index}]"), entry)
            };
            items.iter().enumerate().map(of_list).collect()
        }
        _ => Vec::new(),
    }
}

/// What Claude Code knows of the project that the directory is in.
fn project<'a>(file: &'a Value, directory: &Path) -> Option<(&'a str, &'a Value)> {
    let projects: &Members = file.get("projects")?.members()?;
    directory.ancestors().find_map(|folder| {
        let of_folder = |(path, _): &&(String, Value)| Path::new(path) == folder;
        projects.iter().find(of_folder).map(|(path, settings)| (path.as_str(), settings))
    })
}

/// The servers that the user has switched off in a project.
fn switched_off(settings: &Value) -> Vec<String> {
    let lists = ["disabledMcpServers", "disabledMcpjsonServers"].map(|key| settings.get(key));
    let mut names = Vec::new();
    for list in lists.into_iter().flatten() {
        if let Value::List(items) = list {
            names.extend(items.iter().filter_map(Value::text).map(str::to_owned));
        }
    }
    names
}
