//! `mcp-switchboard import`: a configuration of ours, made from what another program knows.

mod document;
mod entry;
mod program;
mod report;
mod secret;
mod values;
mod variables;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Members, Value};
use entry::Reader;
use program::{Program, Source};
use report::Report;
use variables::Words;

use super::places::Places;
use crate::config::{ServerName, Target, file};

/// What the words after `import` say.
#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    /// claude, cursor, vscode, mcproxy, or a file of one of them.
    #[arg(value_name = "PROGRAM_OR_PATH")]
    pub from: String,
    /// Write to a file instead of stdout; one that exists is not touched.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file of `--output`.
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// Prints the configuration, or writes it; warnings go to stderr.
pub(super) fn run(import: &Import) -> ExitCode {
    let mut report = Report::default();
    let text = configuration(&import.from, &mut report);
    for warning in &report.warnings {
        super::tell(&format!("warning: {warning}"));
    }
    match text.and_then(|text| hand_over(import, &text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => super::failed(&reason),
    }
}

fn hand_over(import: &Import, text: &str) -> Result<(), String> {
    let Some(path) = &import.output else {
        super::print(text.as_bytes());
        return Ok(());
    };
    write(path, text, import.force).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} exists; `--force` replaces it", path.display()),
        _ => format!("{}: cannot be written: {error}", path.display()),
    })
}

/// The text of the configuration.
fn configuration(from: &str, report: &mut Report) -> Result<String, String> {
    let places = Places::of_this_user()?;
    let files = match Program::sources(from, &places) {
        Some(sources) => read_existing(sources)?,
        None => vec![read_named(from, &places)?],
    };
    let servers = collect(&files, &places, report);
    if servers.is_empty() {
        let names: Vec<_> = files.iter().map(|(source, _)| source.path.display().to_string()).collect();
        return Err(format!("no server to be mounted in {}", names.join(", ")));
    }
    let whole = Value::Object(vec![("mcpServers".to_owned(), Value::Object(servers))]);
    let text = serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())?;
    report.warnings.extend(doubts(&text)?);
    Ok(format!("{text}\n"))
}

/// The files that there are, each with what it holds.
fn read_existing(sources: Vec<Source>) -> Result<Vec<(Source, Value)>, String> {
    let looked: Vec<_> = sources.iter().map(|source| source.path.display().to_string()).collect();
    let mut files = Vec::new();
    for source in sources {
        match fs::read(&source.path) {
            Ok(text) => {
                let value = parse(&source.path, text)?;
                super::tell(&format!("reading {}", source.path.display()));
                files.push((source, value));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: cannot be read: {error}", source.path.display())),
        }
    }
    if files.is_empty() {
        return Err(format!("there is no file at {}; name one by its path", looked.join(", ")));
    }
    Ok(files)
}

fn read_named(path: &str, places: &Places) -> Result<(Source, Value), String> {
    let shown = |error: io::Error| format!("{path}: cannot be read: {error}");
    let text = fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no file {path}, and no program of that name: claude, cursor, vscode, mcproxy")
        }
        _ => shown(error),
    })?;
    let path = std::path::absolute(path).map_err(shown)?;
    let value = parse(&path, text)?;
    let program = Program::of(&path, &value);
    let project = program.project_of(&path, &places.home);
    Ok((Source { path, program, project }, value))
}

fn parse(path: &Path, text: Vec<u8>) -> Result<Value, String> {
    let text = String::from_utf8(text).map_err(|_| format!("{}: not text in UTF-8", path.display()))?;
    let value = document::read(&text).map_err(|reason| format!("{}: {reason}", path.display()))?;
    if value.members().is_none() {
        return Err(format!("{}: {}, not an object with servers", path.display(), value.kind()));
    }
    Ok(value)
}

/// The servers of all files, each under the name at which it is mounted.
fn collect(files: &[(Source, Value)], places: &Places, report: &mut Report) -> Members {
    let mut found: Vec<(String, PathBuf, Members)> = Vec::new();
    let mut off = HashSet::new();
    let groups = files.iter().flat_map(|(source, file)| {
        report.about(&source.path);
        for key in source.program.ignored(file) {
            report.warn(key, "means nothing here; left out");
        }
        let groups = source.program.groups(file, source, &places.project);
        groups.into_iter().map(move |group| (source, file, group))
    });
    let mut groups: Vec<_> = groups.collect();
    // What Claude Code keeps for a user in one project goes before what the project shares.
    groups.sort_by_key(|(_, _, group)| group.place.starts_with("projects["));
    for (source, file, group) in groups {
        report.about(&source.path);
        off.extend(group.disabled.iter().cloned());
        let inputs = Program::inputs(file);
        let folder = source.path.parent().unwrap_or(Path::new(""));
        let workspace = group.project.as_deref().unwrap_or(&places.project);
        let base = if source.program == Program::VsCode { workspace } else { folder };
        let base = group.project.as_deref().unwrap_or(base);
        let reading = source.program.reading();
        if group.servers.is_empty() && file.get(&group.place).is_some_and(|group| group.members().is_none()) {
            report.warn(&group.place, "holds no servers");
        }
        for (name, place, entry) in &group.servers {
            let words = Words { reading, workspace, home: &places.home, inputs: &inputs };
            let read = |path: &Path| fs::read(path);
            let project = group.project.as_deref();
            let mut reader =
                Reader { program: source.program, words, base, project, report: &mut *report, read: &read };
            let Some(entry) = reader.entry(place, entry) else { continue };
            if let Some(at) = found.iter().position(|(known, ..)| known == name) {
                let (_, earlier, _) = found.remove(at);
                report.warn(
                    place,
                    &format!("counts in place of the server of that name in {}", earlier.display()),
                );
            }
            found.push((name.clone(), source.path.clone(), entry));
        }
    }
    let mut servers = Members::with_capacity(found.len());
    for (written, path, mut entry) in found {
        report.about(&path);
        let name = mount_name(&written, &servers, report);
        if off.contains(&written) && entry.iter().all(|(key, _)| key != "disabled") {
            entry.push(("disabled".to_owned(), Value::Flag(true)));
        }
        servers.push((name, Value::Object(entry)));
    }
    servers
}

/// The name at which a server is mounted: its own, or the nearest that can be and is free.
fn mount_name(written: &str, taken: &Members, report: &mut Report) -> String {
    let name = ServerName::derive(written);
    let is_free = |name: &str| taken.iter().all(|(known, _)| known != name);
    let mut free = name.to_string();
    for number in 2.. {
        if is_free(&free) {
            break;
        }
        let end = format!("-{number}");
        let start = &name.as_str()[..name.as_str().len().min(64 - end.len())];
        free = format!("{start}{end}");
    }
    if free != written {
        report.warn(
            &format!("{written:?}"),
            &format!("a name that cannot stand in a URL, or is taken; here it is `{free}`"),
        );
    }
    free
}

/// What our own reader says of the result.
fn doubts(text: &str) -> Result<Vec<String>, String> {
    let variables = |name: &str| std::env::var(name).ok();
    let directory = PathBuf::new();
    let is_file = |path: &Path| path.is_file();
    let surroundings = file::Surroundings { directory: &directory, variables: &variables, is_file: &is_file };
    let read = file::parse(text, &surroundings)
        .map_err(|problem| format!("the result could not be served: {problem}"))?;
    let unset = |reason: &str| reason.contains("is set neither in the environment");
    let broken = read.servers.iter().filter_map(|server| match &server.target {
        Target::Broken(reason) if !unset(reason) => {
            Some(format!("`{}` cannot be mounted: {reason}", server.name))
        }
        _ => None,
    });
    Ok(read.warnings.iter().cloned().chain(broken).map(|doubt| format!("in the result: {doubt}")).collect())
}

/// Writes a file that only its owner can read: it may hold secrets.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: &[&str] = &[
        "command",
        "args",
        "env",
        "envFile",
        "cwd",
        "url",
        "serverUrl",
        "headers",
        "authorizationToken",
        "type",
        "transport",
        "disabled",
        "enabled",
        "timeout",
        "tool_timeout",
        "startTimeout",
        "oauth",
        "auth",
        "allowHttp",
        "sandbox",
        "tools",
        "limits",
        "tls",
        "_comment",
        "name",
        "odd",
    ];
    const TEXTS: &[&str] = &[
        "",
        "x",
        "a b",
        "${A}",
        "${",
        "$${X}",
        "${input:x-y}",
        "${env:A b}",
        "http://h.example/",
        "https://h/x",
        "stdio",
        "ws",
        "http://[",
        "/dev/null",
        "{}",
    ];
    const PROGRAMS: &[Program] = &[
        Program::ClaudeDesktop,
        Program::ClaudeCode,
        Program::Cursor,
        Program::VsCode,
        Program::McProxy,
        Program::Another,
    ];

    fn value() -> impl Strategy<Value = Value> {
        let text = || prop::sample::select(TEXTS).prop_map(Value::from);
        let number = prop::sample::select(vec!["-1", "0", "0.5", "8000", "1e300", "70000"]);
        let plain = prop_oneof![
            4 => text(),
            1 => any::<bool>().prop_map(Value::Flag),
            1 => number.prop_map(|digits| Value::Number(digits.parse().unwrap())),
            1 => Just(Value::Null),
        ];
        let inner = ["A", "clientId", "callbackPort", "scopes", "tokenUrl", "=", ""];
        plain.prop_recursive(2, 8, 4, move |deeper| {
            let key = prop::sample::select(inner.to_vec()).prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(deeper.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map(key, deeper, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_an_entry_holds_the_result_is_taken_by_our_own_reader(
            program in prop::sample::select(PROGRAMS),
            entries in prop::collection::vec(prop::collection::btree_map(prop::sample::select(KEYS), value(), 0..6), 1..4),
            names in prop::collection::vec("[a_. -]{0,3}", 4),
            least in prop::sample::select(vec!["command", "url"]),
        ) {
            let owned = |mut entry: std::collections::BTreeMap<&str, Value>| {
                entry.entry(least).or_insert_with(|| "https://h/x".into());
                Value::Object(entry.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            };
            // A name may stand twice: the last one counts.
            let servers = names.into_iter().zip(entries.into_iter().map(owned)).collect();
            let key = if program == Program::VsCode { "servers" } else { "mcpServers" };
            let file = Value::Object(vec![(key.to_owned(), Value::Object(servers))]);
            let source = Source { path: "/nowhere/mcp.json".into(), program, project: None };
            let places = Places { home: "/h".into(), settings: "/h/s".into(), project: "/p".into() };
            let mut report = Report::default();
            let servers = collect(&[(source, file)], &places, &mut report);
            if servers.is_empty() {
                return Ok(());
            }
            let text = serde_json::to_string(&Value::Object(vec![("mcpServers".to_owned(), Value::Object(servers))])).unwrap();
            let doubts = doubts(&text);
            prop_assert!(doubts.is_ok(), "{text}: {doubts:?}");
        }
    }
}
