//! The house as it is drawn: a folder uses only folders to its left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From left to right; modules in one row do not know each other.
const ROWS: [&[&str]; 14] = [
    &["wire"],
    &["protocol"],
    &["access"],
    &["telemetry"],
    &["oauth"],
    &["peer"],
    &["session"],
    &["mount"],
    &["aggregate"],
    &["auth"],
    &["http"],
    &["router", "connect", "shell"],
    &["cli"],
    &["main", "lib"],
];

/// Programs of their own that live in the same binary, and what each of them may use.
const BESIDE: [(&str, &[&str]); 2] = [("demo_server", &["wire"]), ("healthcheck", &[])];

/// From this row on the configuration may be used.
const CONFIGURED: &str = "mount";

/// What the peer may use of it before: what to spawn or to call, and what its name is. All are plain values.
const PEER_MAY: [&str; 9] = [
    "config::CommandSpec",
    "config::LoginOptions",
    "config::Places",
    "config::RemoteSpec",
    "config::RemoteTransport",
    "config::Sandbox",
    "config::ServerName",
    "config::Verify",
    "config::is_off_limits",
];

/// What logins may use of it: what no server may name as an address.
const OAUTH_MAY: &str = "config::is_off_limits";

/// What the configuration may use.
const CONFIG_MAY: &str = "wire::revision";

#[test]
fn a_folder_uses_only_folders_to_its_left() {
    let mut wrong = Vec::new();
    for (module, files) in modules() {
        for file in files {
            for used in uses(&code(&file)) {
                if !may(&module, &used) {
                    wrong.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_folders_do_no_input_or_output_and_have_no_clock() {
    const IMPURE: [&str; 8] = [
        "tokio",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime",
    ];
    let modules = modules();
    for module in ["wire", "protocol"] {
        // Tests may make up a time to begin with.
        let is_code = |file: &&PathBuf| file.file_name() != Some("tests.rs".as_ref());
        for file in modules[module].iter().filter(is_code) {
            let code = code(file);
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for word in IMPURE {
                assert!(!code.contains(word), "{} has {word}", file.display());
            }
        }
    }
}

#[test]
fn the_rules_tell_right_from_wrong() {
    let right = [
        ("session", "peer::Peer"),
        ("http", "config::Config"),
        ("mount", "config::PoolMode"),
        ("peer", "config::CommandSpec"),
        ("oauth", "config::is_off_limits"),
        ("config", "wire::revision::Revision"),
        ("demo_server", "wire::line"),
        ("wire", "wire::Message"),
    ];
    let wrong = [
        ("peer", "session::Session"),
        ("session", "config::Config"),
        ("peer", "config::Config"),
        ("oauth", "config::RemoteSpec"),
        ("oauth", "peer::Peer"),
        ("config", "wire::Message"),
        ("config", "mount::Mount"),
        ("router", "connect::run"),
        ("demo_server", "peer::Peer"),
        ("mount", "demo_server::run"),
        ("wire", "config::Limits"),
    ];
    for (module, used) in right {
        assert!(may(module, used), "{module} {used}");
    }
    for (module, used) in wrong {
        assert!(!may(module, used), "{module} {used}");
    }
    let code = "use crate::{a::{b, c}, d};\nlet x = crate::e::f::g(crate::h);";
    assert_eq!(uses(code), ["a::b", "a::c", "d", "e::f::g", "h"]);
}

/// Whether a module may use a path of the crate.
fn may(module: &str, used: &str) -> bool {
    let first = used.split("::").next().unwrap_or_default();
    if first == module {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(name, _)| *name == module) {
        return allowed.contains(&first);
    }
    if module == "config" {
        return used.starts_with(CONFIG_MAY);
    }
    let row = |name: &str| ROWS.iter().position(|row| row.contains(&name));
    let Some(here) = row(module) else { return false };
    match first {
        "config" => {
            Some(here) >= row(CONFIGURED)
                || (module == "peer" && PEER_MAY.contains(&used))
                || (module == "oauth" && used == OAUTH_MAY)
        }
        // Only the command line starts another program.
        other if BESIDE.iter().any(|(name, _)| *name == other) => Some(here) >= row("cli"),
        other => row(other).is_some_and(|there| there < here),
    }
}

/// The files of each module of the crate.
fn modules() -> BTreeMap<String, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&root).expect("it is in src").with_extension("");
            let module = below.iter().next().expect("a name").to_str().expect("a readable name").to_owned();
            modules.entry(module).or_default().push(path);
        }
    }
    assert!(modules.len() > 8, "{modules:?}");
    modules
}

/// The text of a file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// The paths of this crate that the code names.
fn uses(code: &str) -> Vec<String> {
    let starts = ["crate::", "mcp_switchboard::"];
    let mut paths = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            // `$crate` and the like are other words; what begins a string is the name of a log target.
            let before = code[..at].chars().next_back();
            if before.is_none_or(|before| !before.is_alphanumeric() && !['_', '"'].contains(&before)) {
                expand(&code[at + start.len()..], "", &mut paths);
            }
        }
    }
    paths
}

/// Reads a path at the beginning of `text`, a group of paths in braces too; returns what follows.
fn expand<'a>(mut text: &'a str, prefix: &str, paths: &mut Vec<String>) -> &'a str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '*';
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    text = &text[end..];
    let Some(mut rest) = text.strip_prefix('{') else {
        paths.push(path);
        return text;
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let left = expand(rest, &path, paths);
        // Such as ` as name`: nothing of a path.
        rest = left.find([',', '}']).map_or("", |at| &left[at..]);
        if rest.is_empty() {
            return rest;
        }
    }
}
