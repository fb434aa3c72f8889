use clap::CommandFactory;
use proptest::prelude::*;

use super::super::arguments::Arguments;
use super::*;

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

fn rewritten(line: &str) -> Result<Vec<String>, Refused> {
    let mut command = Arguments::command();
    command.build();
    canonical(&words(line), &command)
}

fn means(line: &str, meaning: &str) {
    assert_eq!(rewritten(line).map_err(|refused| refused.message), Ok(words(meaning)), "{line}");
}

fn refusal(line: &str) -> String {
    rewritten(line).unwrap_err().message
}

#[test]
fn the_command_lines_of_mcp_proxys_documentation_mean_what_they_meant() {
    let cases = [
        ("--port 8080 uvx x", "--port=8080 -- uvx x"),
        ("uvx x --port 8080", "--port=8080 -- uvx x"),
        ("--port 8080 -- uvx x --flag", "--port=8080 -- uvx x --flag"),
        ("uvx x -- --flag", "-- uvx x --flag"),
        ("uvx x --port 80 -- --flag", "--port=80 -- uvx x --flag"),
        ("uvx x -- --port 80 -- y", "-- uvx x --port 80 -- y"),
        (
            "your-command --port 8080 -e KEY VALUE -e ANOTHER_KEY ANOTHER_VALUE",
            "--port=8080 --env KEY VALUE --env ANOTHER_KEY ANOTHER_VALUE -- your-command",
        ),
        ("your-command --port 8080 --allow-origin='*'", "--port=8080 --allow-origin='*' -- your-command"),
        (
            "--named-server fetch 'uvx mcp-server-fetch' --port 8080",
            "--named-server fetch 'uvx mcp-server-fetch' --port=8080",
        ),
        (
            "--headers Authorization 'Bearer T' http://localhost:8080/sse",
            "--headers Authorization 'Bearer T' -- http://localhost:8080/sse",
        ),
        (
            "--transport streamablehttp http://localhost:8080/mcp",
            "--transport=streamablehttp -- http://localhost:8080/mcp",
        ),
        ("", ""),
    ];
    for (line, meaning) in cases {
        means(line, meaning);
    }
}

#[test]
fn every_option_of_mcp_proxy_is_taken_in_both_forms() {
    for flag in MCP_PROXY.iter().filter(|long| {
        matches!(**long, "version" | "digest" | "debug" | "stateless" | "pass-environment")
            || long.starts_with("no-")
    }) {
        means(&format!("--{flag} x"), &format!("--{flag} -- x"));
    }
    for one in [
        "transport",
        "client-id",
        "client-secret",
        "token-url",
        "username",
        "password",
        "cwd",
        "log-level",
        "named-server-config",
        "port",
        "host",
        "sse-port",
        "sse-host",
        "expose-header",
        "config",
    ] {
        means(&format!("--{one} v x"), &format!("--{one}=v -- x"));
        means(&format!("--{one}=v x"), &format!("--{one}=v -- x"));
        means(&format!("--{one}= x"), &format!("--{one}= -- x"));
    }
    means("-H K V -e A 1 -h", "--headers K V --env A 1 -h");
    means("--help x", "-h -- x");
}

#[test]
fn an_abbreviation_keeps_the_meaning_that_it_has_in_mcp_proxy() {
    let cases = [
        ("--po 80", "--port=80"),
        ("--po=80", "--port=80"),
        ("--ho h", "--host=h"),
        ("--allow '*'", "--allow-origin='*'"),
        ("--st", "--stateless"),
        ("--no-st", "--no-stateless"),
        ("--pass-", "--pass-environment"),
        ("--named-server-c f", "--named-server-config=f"),
        ("--sse-p 1", "--sse-port=1"),
        ("--ex X", "--expose-header=X"),
        ("--en A 1", "--env A 1"),
        ("--cw d", "--cwd=d"),
        ("--vers", "--version"),
        ("--verif=no", "--verify-ssl=no"),
        ("--tr sse", "--transport=sse"),
        ("--lo debug", "--log-level=debug"),
        ("--log-lev debug", "--log-level=debug"),
        ("--de", "--debug"),
    ];
    for (line, meaning) in cases {
        means(line, meaning);
    }
    for ambiguous in ["--p 80", "--h", "--name-", "--named", "--sse", "--t", "--n", "--pass", "--ver"] {
        let refused = rewritten(ambiguous);
        if ambiguous != "--name-" {
            assert!(refused.unwrap_err().message.contains("is short for several options"), "{ambiguous}");
        }
    }
    assert_eq!(refusal("--sse 1"), "`--sse` is short for several options: --sse-port, --sse-host");
}

#[test]
fn a_name_in_full_is_never_an_abbreviation() {
    means("--name n x", "--name=n -- x");
    means("--named-server n c", "--named-server n c");
    means("--transport-type http x", "--transport-type=http -- x");
}

#[test]
fn log_alone_is_a_switch_and_before_a_level_it_is_the_level() {
    means("--log uvx x", "--log -- uvx x");
    means("--log --debug", "--log --debug");
    means("--log", "--log");
    means("--log DEBUG uvx x", "--log-level=DEBUG -- uvx x");
    means("--log=warning uvx", "--log-level=warning -- uvx");
}

#[test]
fn allow_origin_takes_origins_and_leaves_the_command() {
    let cases = [
        ("--allow-origin '*' uvx a", "--allow-origin='*' -- uvx a"),
        (
            "--allow-origin https://a https://b --port 80 uvx",
            "--allow-origin=https://a --allow-origin=https://b --port=80 -- uvx",
        ),
        ("--allow-origin https://a --allow-origin '*'", "--allow-origin=https://a --allow-origin='*'"),
        ("--allow-origin=https://a https://remote/mcp", "--allow-origin=https://a -- https://remote/mcp"),
        ("--allow-origin '*' -- uvx a", "--allow-origin='*' -- uvx a"),
    ];
    for (line, meaning) in cases {
        means(line, meaning);
    }
    let wanted = "`--allow-origin` wants an origin like https://app.example.com, or * in quotes, after it";
    assert_eq!(refusal("--allow-origin uvx a"), wanted);
    assert_eq!(refusal("uvx a --allow-origin"), wanted);
}

#[test]
fn verify_ssl_leaves_the_url() {
    let cases = [
        ("--verify-ssl http://x", "--verify-ssl -- http://x"),
        ("--verify-ssl no https://x", "--verify-ssl=no -- https://x"),
        ("--verify-ssl=/ca.pem http://x", "--verify-ssl=/ca.pem -- http://x"),
        ("--verify-ssl --debug http://x", "--verify-ssl --debug -- http://x"),
        ("http://x --verify-ssl", "--verify-ssl -- http://x"),
        ("--verify-ssl -- x", "--verify-ssl -- x"),
        ("--no-verify-ssl http://x", "--no-verify-ssl -- http://x"),
    ];
    for (line, meaning) in cases {
        means(line, meaning);
    }
}

#[test]
fn what_cannot_be_told_apart_is_refused_with_a_way_out() {
    let hint =
        "the command and its own options go after `--`: mcp-switchboard [OPTIONS] -- COMMAND [ARGS]...";
    assert_eq!(refusal("uvx x --unknown"), format!("unexpected option `--unknown`; {hint}"));
    assert_eq!(refusal("uvx x --api-key=s3cret"), format!("unexpected option `--api-key`; {hint}"));
    assert_eq!(refusal("npx -y x"), format!("unexpected option `-y`; {hint}"));
    assert_eq!(refusal("uvx -psecret"), format!("unexpected option `-p...`; {hint}"));
    for interrupted in ["uvx --port 8080 x", "cmd -e A 1 a b"] {
        assert!(
            refusal(interrupted).starts_with("the words of the command are interrupted"),
            "{interrupted}"
        );
    }
    assert_eq!(refusal("--reload"), "unexpected option `--reload`; is `--reload-interval` meant?");
    assert_eq!(
        refusal("--stdio 'uvx x' --port 80"),
        "unexpected option `--stdio`; for the options of supergateway: mcp-switchboard compat supergateway ..."
    );
    assert_eq!(refusal("x --stdio"), format!("unexpected option `--stdio`; {hint}"));
    assert_eq!(refusal("--port"), "`--port` wants a value after it");
    assert_eq!(refusal("--port --debug"), "`--port` wants a value after it");
    assert_eq!(refusal("--port -- x"), "`--port` wants a value after it");
    assert_eq!(refusal("-e A"), "`--env` wants two values after it");
    assert_eq!(refusal("-e A --port 80 uvx"), "`--env` wants two values after it");
    assert_eq!(refusal("--env=A 1"), "`--env` takes two values, each a word of its own");
    assert_eq!(refusal("-eA 1"), "`-e` is followed by its values as words of their own");
}

#[test]
fn a_word_with_a_dash_that_is_no_option_is_a_value() {
    means("-e KEY -value x", "--env KEY -value -- x");
    means("-e N -1 x", "--env N -1 -- x");
    means("--named-server a '-x y'", "--named-server a '-x y'");
    means("cmd - -1 '-a b' '--a b'", "-- cmd - -1 '-a b' '--a b'");
}

#[test]
fn tasks_are_tasks_only_as_the_first_word() {
    means("completions zsh", "completions zsh");
    means("demo-server", "demo-server");
    means("compat supergateway", "compat supergateway");
    means("compat mcproxy -- --log -h", "compat mcproxy -- -- --log -h");
    means("--port 80 demo-server", "--port=80 -- demo-server");
    means("-- demo-server", "-- demo-server");
}

proptest! {
    #[test]
    fn no_words_panic_and_what_was_rewritten_stays(
        words in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(vec![
                    "--", "-", "-e", "-H", "--port", "--po=1", "--allow-origin", "*", "https://a", "--verify-ssl", "--log", "info",
                    "--named-server", "uvx", "--debug", "--x", "-1", "completions",
                ]).prop_map(str::to_owned),
                any::<String>(),
            ],
            0..8,
        )
    ) {
        let mut command = Arguments::command();
        command.build();
        if let Ok(first) = canonical(&words, &command) {
            prop_assert_eq!(canonical(&first, &command), Ok(first));
        }
    }

    #[test]
    fn after_two_dashes_every_word_is_the_commands(words in proptest::collection::vec(any::<String>(), 1..6)) {
        let mut command = Arguments::command();
        command.build();
        let mut line = vec!["--".to_owned()];
        line.extend(words);
        prop_assert_eq!(canonical(&line, &command), Ok(line));
    }
}
