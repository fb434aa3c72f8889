//! `import`: what other programs know becomes a configuration that can be served.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A user with a home and a project.
struct User {
    directory: TempDir,
}

impl User {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for folder in ["home", "project"] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        Self { directory }
    }

    /// The real path: the current directory is told so, whatever links lead there.
    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(below)
    }

    fn has(&self, below: &str, text: &str) -> &Self {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
            .args(words)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home/.config"))
            .envs(environment.iter().copied())
            .current_dir(self.path("project"))
            .output()
            .unwrap()
    }

    /// What is printed, and what is said beside it.
    fn imports(&self, from: &str) -> (Value, String) {
        let output = self.run(&["import", from], &[]);
        let said = stderr(&output).to_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        (printed["mcpServers"].clone(), said)
    }

    /// That `--check` takes what is printed, with these variables, and says nothing.
    fn checks(&self, from: &str, environment: &[(&str, &str)]) {
        let file = self.path("checked.json");
        let output = self.run(&["import", from, "--force", "--output", file.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stdout.is_empty());
        let output = self.run(&["--check", "--config", file.to_str().unwrap()], environment);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{output:?}");
    }
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn all_of(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn vs_codes_inputs_become_variables_and_its_words_paths() {
    let user = User::new();
    user.has(
        "project/.vscode/mcp.json",
        r#"{
            // What is asked for.
            "inputs": [
                { "type": "promptString", "id": "api-key", "description": "The key of the service", "password": true },
                { "type": "pickString", "id": "region", "default": "eu", "options": ["eu", "us"] },
            ],
            "servers": {
                "own": {
                    "type": "stdio", "command": "${workspaceFolder}/run", "args": ["--region", "${input:region}", 7],
                    "env": { "KEY": "${input:api-key}", "LEVEL": 3, "GONE": null, "OF_SHELL": "${HOME}" },
                    "envFile": "${workspaceFolder}/.env.local",
                    "dev": { "watch": "**" }, "sandboxEnabled": true,
                },
                "git hub": { "type": "http", "url": "https://host.example/mcp", "headers": { "Authorization": "Bearer s3cret" } },
                "lan": { "type": "sse", "url": "http://host.example/sse", "oauth": { "clientId": "me" } },
                "socket": { "type": "http", "url": "unix:///run/x" }, /* no URL of HTTP */
            },
        }"#,
    );
    user.has("project/.env.local", "TOKEN=t0psecret\n");
    let (servers, said) = user.imports("vscode");
    let project = user.path("project");
    let expected = json!({
        "own": {
            "command": project.join("run"),
            "args": ["--region", "${REGION:-eu}", "7"],
            "env": { "KEY": "${API_KEY}", "LEVEL": "3", "OF_SHELL": "$${HOME}", "TOKEN": "${TOKEN}" },
            "cwd": project,
        },
        "git-hub": { "type": "http", "url": "https://host.example/mcp", "headers": { "Authorization": "Bearer s3cret" } },
        "lan": { "type": "sse", "url": "http://host.example/sse", "oauth": { "clientId": "me" }, "allowHttp": true },
    });
    assert_eq!(servers, expected);
    all_of(
        &said,
        &[
            "servers.own.env.KEY: `${input:api-key}` is `${API_KEY}` here: set it (The key of the service)",
            "servers.own.envFile: TOKEN is set in",
            "servers.own.dev: means nothing here",
            "servers.own.sandboxEnabled: not carried over: this protected something",
            "servers.own.env.GONE: sets nothing",
            "servers[\"git hub\"].headers.Authorization: a secret, it seems, that stands in clear",
            "\"git hub\": a name that cannot stand in a URL, or is taken; here it is `git-hub`",
            "servers.lan.url: http:// to another machine",
            "servers.socket.url: not an http:// or https:// URL",
        ],
    );
    assert!(!said.contains("s3cret") && !said.contains("t0psecret"), "{said}");
    user.checks("vscode", &[("API_KEY", "k"), ("TOKEN", "t")]);
}

#[test]
fn a_variable_that_is_not_set_is_named_by_the_check() {
    let user = User::new();
    user.has("project/.vscode/mcp.json", r#"{"servers": {"a": {"command": "x", "args": ["${input:key}"]}}}"#);
    let output = user.run(&["import", "vscode", "--output", "ours.json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = user.run(&["--check", "--config", "ours.json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("the variable `KEY` is set neither"),
        "{output:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn claudes_three_files_are_one_and_the_nearest_server_counts() {
    let user = User::new();
    let project = user.path("project");
    user.has(
        "home/.config/Claude/claude_desktop_config.json",
        r#"{"globalShortcut": "", "mcpServers": {
            "files": { "command": "npx", "args": ["-y", "server", "${HOME}"] },
            "both": { "command": "desktop" }}}"#,
    );
    let of_user = json!({
        "numStartups": 5,
        "mcpServers": { "both": { "type": "stdio", "command": "user", "args": [], "env": {} } },
        "projects": {
            project.to_str().unwrap(): {
                "mcpServers": { "local": { "type": "sse", "url": "https://host.example/sse", "headers": { "X-Key": "${KEY:-none}" } } },
                "disabledMcpjsonServers": ["off"],
            },
            "/elsewhere": { "mcpServers": { "not-here": { "command": "x" } } },
        },
    });
    user.has("home/.claude.json", &of_user.to_string());
    user.has(
        "project/.mcp.json",
        r#"{"mcpServers": {
            "off": { "command": "x" },
            "local": { "command": "shared" },
            "docs": { "type": "http", "url": "https://host.example/mcp", "timeout": 90000, "headersHelper": "/x",
                      "oauth": { "clientId": "me", "callbackPort": 8000, "scopes": "a b" } },
            "socket": { "type": "ws", "url": "wss://host.example" }}}"#,
    );
    let (servers, said) = user.imports("claude");
    let expected = json!({
        "files": { "command": "npx", "args": ["-y", "server", "$${HOME}"] },
        "both": { "command": "user" },
        "off": { "command": "x", "cwd": project, "disabled": true },
        "docs": { "type": "http", "url": "https://host.example/mcp", "timeout": 90,
                  "oauth": { "clientId": "me", "callbackPort": 8000, "scopes": ["a", "b"] } },
        "local": { "type": "sse", "url": "https://host.example/sse", "headers": { "X-Key": "${KEY:-none}" } },
    });
    assert_eq!(servers, expected);
    all_of(
        &said,
        &[
            "mcpServers.both: counts in place of the server of that name in",
            "mcpServers.local: counts in place of",
            "mcpServers.docs.headersHelper: means nothing here",
            "mcpServers.socket.type: no transport of MCP",
        ],
    );
    assert!(!said.contains("globalShortcut") && !said.contains("numStartups"), "{said}");
    user.checks("claude", &[]);
}

#[test]
fn cursors_files_are_read_with_their_words() {
    let user = User::new();
    user.has(
        "home/.cursor/mcp.json",
        r#"{"mcpServers": { "a": { "command": "${userHome}/a", "env": { "KEY": "${env:SOME_KEY}" }, "timeout": 30 } }}"#,
    );
    user.has(
        "project/.cursor/mcp.json",
        r#"{"mcpServers": { "b": { "url": "https://host.example/mcp?api_key=s3cret",
            "auth": { "CLIENT_ID": "me", "CLIENT_SECRET": "${env:SOME_SECRET}", "scopes": ["x"] } } }}"#,
    );
    let (servers, said) = user.imports("cursor");
    let expected = json!({
        "a": { "command": user.path("home/a"), "env": { "KEY": "${SOME_KEY}" }, "timeout": 30 },
        "b": { "url": "https://host.example/mcp?api_key=s3cret",
               "oauth": { "clientId": "me", "clientSecret": "${SOME_SECRET}", "scopes": ["x"] } },
    });
    assert_eq!(servers, expected);
    all_of(&said, &["mcpServers.b.url: a secret, it seems"]);
    assert!(!said.contains("s3cret"), "{said}");
    user.checks("cursor", &[("SOME_KEY", "k"), ("SOME_SECRET", "s")]);
}

#[test]
fn a_file_in_the_home_directory_is_the_users_and_no_projects() {
    let user = User::new();
    user.has(
        "home/.cursor/mcp.json",
        r#"{"mcpServers": { "a": { "command": "x", "cwd": "sub" }, "b": { "command": "y" } }}"#,
    );
    let file = user.path("home/.cursor/mcp.json");
    let expected =
        json!({ "a": { "command": "x", "cwd": user.path("home/.cursor/sub") }, "b": { "command": "y" } });
    assert_eq!(user.imports(file.to_str().unwrap()).0, expected);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"));
    command
        .args(["import", "cursor"])
        .env_clear()
        .env("HOME", user.path("home"))
        .current_dir(user.path("home"));
    let output = command.output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["mcpServers"], expected);
    assert_eq!(stderr(&output), format!("reading {}\n", file.display()));
}

#[test]
fn mcproxys_times_keep_their_meaning_and_its_namespaces_are_named() {
    let user = User::new();
    user.has(
        "project/mcproxy.json",
        r#"{
            "servers": [
                { "name": "think_tool", "command": "npx", "args": ["-y", "x"], "env": { "K": "${K}" }, "timeout": 60, "enabled": true },
                { "name": "think__tool", "command": "y", "tool_timeout": 600, "tool_timeouts": { "slow": 900 }, "enabled": false },
                { "name": "web", "type": "http", "url": "http://localhost:1/mcp", "env": { "PATH": "/bin" } }
            ],
            "namespaces": { "thinking": { "servers": ["think_tool"] } },
            "sandbox": { "timeout_secs": 30 }
        }"#,
    );
    let (servers, said) = user.imports("mcproxy");
    let expected = json!({
        "think_tool": { "command": "npx", "args": ["-y", "x"], "env": { "K": "${K}" }, "startTimeout": 60 },
        "think_tool-2": { "command": "y", "timeout": 600, "disabled": true },
        "web": { "type": "http", "url": "http://localhost:1/mcp" },
    });
    assert_eq!(servers, expected);
    all_of(
        &said,
        &[
            "mcproxy.json: namespaces: means nothing here",
            "mcproxy.json: sandbox: means nothing here",
            "servers[1].tool_timeouts: ",
            "servers[2].env: means nothing to a URL",
            "\"think__tool\": a name that cannot stand in a URL, or is taken; here it is `think_tool-2`",
        ],
    );
    user.checks("mcproxy", &[("K", "k")]);
}

#[test]
fn a_file_is_told_by_what_it_holds() {
    let cases = [
        (
            r#"{"servers": [{"name": "a", "command": "x", "timeout": 5}]}"#,
            json!({ "command": "x", "startTimeout": 5 }),
        ),
        (r#"{"servers": {"a": {"command": "${userHome}"}}}"#, json!({ "command": "HOME" })),
        (
            r#"{"mcp": {"servers": {"a": {"command": "${env:X}"}}}, "editor.x": 1}"#,
            json!({ "command": "${X}" }),
        ),
        (r#"{"mcpServers": {"a": {"command": "${X}${env:Y}"}}}"#, json!({ "command": "${X}${Y}" })),
        (
            r#"{"mcpServers": {"a": {"serverUrl": "https://h.example/", "timeout": 5000}}}"#,
            json!({ "url": "https://h.example/", "timeout": 5 }),
        ),
        (
            r#"{"mcpServers": {"a": {"command": "x", "pool": {"max": 1}}}}"#,
            json!({ "command": "x", "pool": { "max": 1 } }),
        ),
        (
            r#"{"mcpServers": {"a": {"command": "x", "timeout": 1500}}, "projects": {}}"#,
            json!({ "command": "x", "timeout": 1.5 }),
        ),
    ];
    let user = User::new();
    for (text, expected) in cases {
        user.has("project/some.json", text);
        let (servers, _) = user.imports("some.json");
        let home = user.path("home").to_str().unwrap().to_owned();
        let expected = expected.to_string().replace("HOME", &home);
        assert_eq!(servers, json!({ "a": serde_json::from_str::<Value>(&expected).unwrap() }), "{text}");
    }
}

#[test]
fn what_cannot_be_imported_says_why_with_status_1() {
    let user = User::new();
    user.has("project/broken.json", "{\"mcpServers\": {\"a\": s3cret}}");
    user.has("project/empty.json", "{\"mcpServers\": {\"a\": {\"disabled\": true}}}");
    user.has("project/list.json", "[]");
    user.has("project/wrong.json", r#"{"mcpServers": {"a": {"command": "x", "pool": {"max": "many"}}}}"#);
    let cases = [
        ("claude", "there is no file at"),
        ("nowhere", "there is no file nowhere, and no program of that name"),
        ("broken.json", "broken.json: line 1, column 22: not JSON"),
        ("empty.json", "no server to be mounted in"),
        ("list.json", "a list, not an object with servers"),
        ("wrong.json", "the result could not be served: mcpServers.a.pool.max: found a string"),
        (".", "cannot be read"),
    ];
    for (from, message) in cases {
        let output = user.run(&["import", from], &[]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{from}: {output:?}");
        all_of(stderr(&output), &[message]);
        assert!(!stderr(&output).contains("s3cret"), "{output:?}");
    }
    assert_eq!(user.run(&["import"], &[]).status.code(), Some(2));
    assert_eq!(user.run(&["import", "claude", "--force"], &[]).status.code(), Some(2));
}

#[test]
fn a_file_that_exists_is_replaced_only_by_force_and_the_new_one_is_the_owners() {
    let user = User::new();
    user.has("project/mcp.json", r#"{"mcpServers": {"a": {"command": "x"}}}"#)
        .has("project/ours.json", "mine");
    let output = user.run(&["import", "mcp.json", "--output", "ours.json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    all_of(stderr(&output), &["ours.json exists; `--force` replaces it"]);
    assert_eq!(fs::read_to_string(user.path("project/ours.json")).unwrap(), "mine");
    assert_eq!(user.run(&["import", "mcp.json", "-o", "ours.json", "--force"], &[]).status.code(), Some(0));
    assert!(fs::read_to_string(user.path("project/ours.json")).unwrap().contains("mcpServers"));
    assert_eq!(user.run(&["import", "mcp.json", "-o", "new.json"], &[]).status.code(), Some(0));
    assert_eq!(mode(&user.path("project/new.json")), 0o600);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
