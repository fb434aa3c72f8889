//! The configuration: any text is one or is refused, and nothing that may be secret is repeated.

use super::choice::Choice;
use mcp_switchboard::config::file::{self, Surroundings};
use mcp_switchboard::config::{Config, Diff, RemoteSpec, ServerName, ServerSpec, Target, base_path, origin};
use serde_json::Value;
use std::path::Path;

/// What variables hold, and what is put into the places of the file where secrets stand. It is a word, a URL's scheme and
/// a host's name, so that no place takes it for broken at its first character.
const PLANTED: &str = "plantedsecret:plantedsecret@plantedsecret/plantedsecret";

/// What must be seen nowhere, in any case.
const SECRET: &str = "plantedsecret";

pub fn run(data: &[u8]) {
    let mut choice = Choice::of(data);
    let text = String::from_utf8_lossy(data);
    let planted =
        choice.among(&[PLANTED, SECRET, "https://plantedsecret@x.example/plantedsecret?plantedsecret"]);
    let is_plain = !text.to_ascii_lowercase().contains(SECRET);
    if is_plain {
        read(&text, planted);
    }
    if let Ok(mut json) = serde_json::from_str::<Value>(&text)
        && is_plain
    {
        plant(&mut json, planted, false);
        read(&json.to_string(), planted);
    }
    words(&text);
    dotenv(data);
}

fn read(text: &str, planted: &str) {
    // Names that begin with an N are not set.
    let variables = |name: &str| (!name.starts_with('N')).then(|| planted.to_owned());
    let surroundings =
        Surroundings { directory: Path::new("/etc/mcp"), variables: &variables, is_file: &|_| false };
    let config = match file::parse(text, &surroundings) {
        Ok(config) => config,
        Err(problem) => {
            silent(&problem.to_string());
            return silent(&format!("{problem:?}"));
        }
    };
    assert!(!config.servers.is_empty(), "a file without servers is refused");
    config.warnings.iter().for_each(|warning| silent(warning));
    for server in &config.servers {
        shown(server);
    }
    let again = file::parse(text, &surroundings).expect("it was one before");
    assert_eq!(again.servers, config.servers);
    let config = Config { servers: config.servers, gateway: config.gateway, ..Config::default() };
    let diff = Diff::between(&config, &config.clone());
    assert!(diff.added.is_empty() && diff.removed.is_empty() && diff.changed.is_empty(), "{diff:?}");
    let empty = Config::default();
    silent(&format!("{:?}", Diff::between(&empty, &config)));
}

fn shown(server: &ServerSpec) {
    server.name.as_str().parse::<ServerName>().expect("a name that is mounted is one");
    match &server.target {
        Target::Stdio(command) => {
            // The program itself is shown, unless a variable has produced it.
            silent(&format!("{command} {command:?}"));
        }
        Target::Remote(remote) => {
            silent(&format!("{remote:?}"));
            if let Err(wrong) = remote.check() {
                silent(&wrong.to_string());
            }
        }
        Target::Broken(reason) => silent(reason),
        Target::Aggregate(_) | Target::Disabled => {}
    }
}

fn silent(text: &str) {
    assert!(!text.to_ascii_lowercase().contains(SECRET), "it tells: {text}");
}

/// Puts the secret into every string below `env`, `headers` and `args`.
fn plant(json: &mut Value, planted: &str, secret: bool) {
    match json {
        Value::String(text) if secret => planted.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, planted, secret)),
        Value::Object(members) => {
            for (key, value) in members {
                plant(value, planted, secret || matches!(key.as_str(), "env" | "headers" | "args"));
            }
        }
        _ => {}
    }
}

/// The single values that are read from a text on their own.
fn words(text: &str) {
    ServerName::derive(text).as_str().parse::<ServerName>().expect("a derived name is a name");
    if let Ok(path) = base_path(text) {
        // It goes into an event and a URL.
        assert!(path.is_empty() || (path.starts_with('/') && !path.starts_with("//")), "{path}");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
        assert_eq!(base_path(&path).as_deref(), Ok(&*path));
    }
    if let Ok(origin_of) = origin(text) {
        assert_eq!(origin(&origin_of).as_deref(), Ok(&*origin_of));
    }
    if let Ok(remote) = RemoteSpec::new(text) {
        assert!(matches!(remote.url.scheme(), "http" | "https") && remote.url.username().is_empty());
        assert!(remote.url.password().is_none() && remote.url.fragment().is_none());
    }
}

/// A `.env` of any bytes beside a good file.
fn dotenv(data: &[u8]) {
    // It is read from the disk, which is slow.
    if !Choice::of(data).next().is_multiple_of(16) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("servers.json");
    std::fs::write(directory.path().join(".env"), [data, b"\nA=plantedsecret\nplantedsecret\n"].concat())
        .expect("a file");
    std::fs::write(&path, r#"{"mcpServers": {"a": {"command": "${A}", "args": ["${B:-x}"]}}}"#)
        .expect("a file");
    match file::load(&path, &|_| None) {
        Ok(config) => {
            config.warnings.iter().for_each(|warning| silent(warning));
            config.servers.iter().for_each(shown);
        }
        Err(error) => silent(&error.to_string()),
    }
}
