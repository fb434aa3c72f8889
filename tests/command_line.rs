//! The program from outside, where no router has to run: its texts, its exit statuses, its streams.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::process::{Command, Output};

/// Runs the program in an environment of its own, and waits for its end.
fn run(words: &[&str]) -> Output {
    run_with(words, &[])
}

fn run_with(words: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcp-switchboard"))
        .args(words)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("servers.json");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn the_version_is_the_programs_name_and_number() {
    let output = run(&["--version"]);
    assert_eq!(stdout(&output), "mcp-switchboard 0.1.0\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_help_is_asked_for_on_stdout_and_with_success() {
    let output = run(&["-h"]);
    assert_eq!(output.status.code(), Some(0));
    let usage = "Usage: mcp-switchboard [OPTIONS] [COMMAND_OR_URL] [ARGS]...";
    assert!(stdout(&output).contains(usage), "{output:?}");
}

#[test]
fn nothing_to_serve_is_the_help_on_stderr_and_status_2() {
    for words in [&[][..], &["--port", "8080"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).contains("Usage: mcp-switchboard"), "{output:?}");
        assert!(stderr(&output).contains("nothing to serve"), "{output:?}");
    }
}

#[test]
fn an_option_of_the_server_needs_two_dashes_before_the_command() {
    let output = run(&["uvx", "x", "--api-key=s3cret"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unexpected option `--api-key`"), "{output:?}");
    assert!(stderr(&output).contains("mcp-switchboard [OPTIONS] -- COMMAND [ARGS]..."), "{output:?}");
    assert!(!stderr(&output).contains("s3cret"), "{output:?}");
    assert_eq!(run(&["--check", "--", "uvx", "x", "--api-key=s3cret"]).status.code(), Some(0));
}

#[test]
fn bad_arguments_are_status_2() {
    let lines =
        [&["--port", "many", "x"][..], &["--host"], &["--sse", "1", "x"], &["--allow-origin", "uvx", "x"]];
    for words in lines {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert_eq!(stdout(&output), "");
    }
    let output = run_with(&["x"], &[("MCP_PROXY_PORT", "many")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("MCP_PROXY_PORT is \"many\""), "{output:?}");
}

#[test]
fn a_url_that_must_not_be_called_is_told_what_would_allow_it() {
    let message = "use https://, or allow it by `--allow-http`";
    let output = run(&["http://example.com/mcp?key=s3cret"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(message) && !stderr(&output).contains("s3cret"), "{output:?}");
    let output = run_with(&[], &[("SSE_URL", "http://169.254.169.254/sse")]);
    assert!(stderr(&output).contains(message), "{output:?}");
}

#[test]
fn a_check_prints_what_would_be_mounted_and_nothing_secret() {
    let (_directory, path) = file(
        r#"{"mcpServers": {
            "time": {"command": "uvx", "args": ["mcp-server-time", "${TOKEN}"], "env": {"KEY": "hidden"}, "color": 1},
            "off": {"command": "x", "disabled": true},
            "b c": {"command": "${PROGRAM}"}}}"#,
    );
    let environment = [("TOKEN", "s3cret"), ("PROGRAM", "/opt/s3cret")];
    let output =
        run_with(&["--check", "--port", "8080", "--config", &path, "--", "uvx", "s3cret"], &environment);
    let expected = [
        "would listen on http://127.0.0.1:8080",
        "default  stdio     /mcp  uvx (1 argument)",
        "time     stdio     /servers/time/mcp  uvx (2 arguments)",
        "off      disabled  /servers/off/mcp",
        "b-c      stdio     /servers/b-c/mcp  ***",
    ];
    assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), expected);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let warning = format!("warning: {path}: mcpServers.time.color: unknown key, ignored");
    assert!(stderr(&output).contains(&warning), "{output:?}");
    assert!(!stderr(&output).contains("s3cret"));
}

#[test]
fn a_check_fails_where_a_mount_is_broken() {
    let (_directory, path) =
        file(r#"{"servers": [{"name": "a", "command": "x", "args": ["${UNSET_HERE}"]}]}"#);
    let output = run(&["--check", "--config", &path]);
    assert_eq!(output.status.code(), Some(1));
    let line =
        "a          broken    /servers/a/mcp  servers[0].args[0]: the variable `UNSET_HERE` is set neither";
    assert!(stdout(&output).contains(line), "{output:?}");
    let output = run(&["--check", "--named-server", "a", ""]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("the command is empty"), "{output:?}");
}

#[test]
fn a_bad_file_is_status_1_with_its_name_and_the_place_inside() {
    let cases = [
        (
            r#"{"mcpServers": {"fetch": {"command": "uvx", "args": ["x", 1]}}}"#,
            "mcpServers.fetch.args[1]: found the number 1, wanted a string",
        ),
        (
            r#"{"mcpServers": {"a": {"command": "x"}}, "envFromHeader": {}}"#,
            "envFromHeader: `envFromHeader` is not supported by this version",
        ),
        ("{\n  \"mcpServers\": {,\n", "line 2, column 18: not JSON: key must be a string"),
    ];
    for (text, message) in cases {
        let (_directory, path) = file(text);
        for words in [&["--config", &path][..], &["--check", "--named-server-config", &path]] {
            let output = run(words);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert_eq!(stderr(&output), format!("error: {path}: {message}\n"));
            assert_eq!(stdout(&output), "");
        }
    }
    let output = run(&["--config", "/does/not/exist.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: /does/not/exist.json: cannot be read: "), "{output:?}");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).contains("named-server-config"), "{shell}");
    }
    assert_eq!(run(&["completions", "abacus"]).status.code(), Some(2));
    let output = run(&["--check", "--port", "1", "completions", "bash"]);
    assert!(
        stdout(&output).contains("completions (1 argument)"),
        "only the first word is a task: {output:?}"
    );
}
