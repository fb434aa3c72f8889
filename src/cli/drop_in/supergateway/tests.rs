use super::*;

fn translated(line: &str) -> Result<Translation, String> {
    translate(&shlex::split(line).unwrap()).map_err(|refused| refused.message)
}

fn means(line: &str, words: &str) -> Translation {
    let translation = translated(line).unwrap_or_else(|message| panic!("{line}: {message}"));
    assert_eq!(translation.words, shlex::split(words).unwrap(), "{line}");
    translation
}

/// What a line means, of which nothing is told.
fn plainly(line: &str, words: &str) -> Translation {
    let translation = means(line, words);
    assert!(translation.habits.warnings.is_empty(), "{line}: {translation:?}");
    translation
}

#[test]
fn a_command_is_served_over_http() {
    let cases = [
        ("--stdio 'npx -y x /'", "--pass-environment -- npx -y x /"),
        ("--stdio='npx -y x /'", "--pass-environment -- npx -y x /"),
        ("--stdio x --outputTransport sse", "--pass-environment -- x"),
        ("--stdio x --output-transport sse", "--pass-environment -- x"),
        ("--stdio x --port 80", "--pass-environment --port=80 -- x"),
        ("--stdio x --port=80 --host ::1", "--pass-environment --port=80 --host=::1 -- x"),
        ("--stdio x --outputTransport streamableHttp", "--pass-environment --stateless -- x"),
        (
            "--stdio x --outputTransport=streamableHttp --stateful false",
            "--pass-environment --stateless -- x",
        ),
        ("--stdio x --outputTransport streamableHttp --stateful", "--pass-environment --timeout=1800 -- x"),
        (
            "--stdio x --outputTransport streamableHttp --stateful --sessionTimeout 1500",
            "--pass-environment --timeout=1.5 -- x",
        ),
        ("--stdio x --logLevel debug", "--log-level=debug --pass-environment -- x"),
        ("--stdio x --logLevel info", "--log-level=info --pass-environment -- x"),
        ("--stdio x --log-level none", "--log-level=critical --pass-environment -- x"),
        ("--stdio x --cors", "--pass-environment --allow-origin=* -- x"),
        ("--stdio x --cors https://a '*'", "--pass-environment --allow-origin=* -- x"),
        (
            "--cors https://a.example http://b:1 --stdio x",
            "--pass-environment --allow-origin=https://a.example --allow-origin=http://b:1 -- x",
        ),
        ("--stdio x --no-cors", "--pass-environment -- x"),
        (r"--stdio x --cors '/\.a\.example$/'", r"--pass-environment '--allow-origin=/\.a\.example$/' -- x"),
        (
            "--stdio x --allow-host a.example --check",
            "--pass-environment --allow-host=a.example --check -- x",
        ),
        ("--help", "--help"),
        ("--stdio x --version", "--version"),
    ];
    for (line, words) in cases {
        plainly(line, words);
    }
    assert_eq!(plainly("--stdio x", "--pass-environment -- x").habits.port, Some(8000));
    assert_eq!(plainly("--stdio x --port 0", "--pass-environment --port=0 -- x").habits.port, None);
    assert_eq!(plainly("--stdio x", "--pass-environment -- x").habits.host, None, "never the wildcard");
    assert!(plainly("--stdio x", "--pass-environment -- x").habits.ends_with_stdin);
    assert!(!plainly("--sse https://a", "--transport-type=sse -- https://a").habits.ends_with_stdin);
}

#[test]
fn a_command_that_needs_a_shell_gets_one() {
    if cfg!(unix) {
        plainly("--stdio 'cd /srv && x'", "--pass-environment -- sh -c 'cd /srv && x'");
        plainly("--stdio 'KEY=$TOKEN x'", "--pass-environment -- sh -c 'KEY=$TOKEN x'");
        assert!(translated("--stdio \"x 'y\"").unwrap_err().contains("quote without its end"));
    }
}

#[test]
fn a_url_is_served_over_stdio_or_over_http() {
    let cases = [
        ("--sse https://a/sse", "--transport-type=sse -- https://a/sse"),
        ("--streamableHttp https://a/mcp", "--transport-type=streamablehttp -- https://a/mcp"),
        ("--streamable-http=https://a/mcp", "--transport-type=streamablehttp -- https://a/mcp"),
        ("--sse https://a --outputTransport stdio --port 9000", "--transport-type=sse -- https://a"),
        (
            "--sse https://a --header 'X-User: 1: 2' 'X-B:2' --oauth2Bearer t0ken",
            "--transport-type=sse --headers X-User '1: 2' --headers X-B 2 --headers Authorization 'Bearer t0ken' -- https://a",
        ),
        ("--sse http://nas --allow-http", "--transport-type=sse --allow-http -- http://nas"),
        ("--sse https://a --logLevel none", "--log-level=critical --transport-type=sse -- https://a"),
        (
            "--sse https://a --outputTransport streamableHttp",
            "--transport-type=sse --port=8000 --stateless -- https://a",
        ),
        (
            "--streamableHttp https://a --outputTransport sse --port 9000",
            "--transport-type=streamablehttp --port=9000 -- https://a",
        ),
    ];
    for (line, words) in cases {
        plainly(line, words);
    }
}

#[test]
fn each_path_has_its_place() {
    let aliases = |line: &str| translated(&format!("--stdio x {line}")).unwrap().habits.aliases;
    let plain = aliases("");
    assert_eq!((plain.mcp, plain.sse, plain.messages.as_deref()), (None, None, Some("/message")));
    let named =
        aliases("--ssePath /events --messagePath /say/ --healthEndpoint /up /ready --healthEndpoint=/");
    assert_eq!(named.sse.as_deref(), Some("/events"));
    assert_eq!(named.messages.as_deref(), Some("/say"));
    assert_eq!(named.health, ["/up", "/ready", ""]);
    let streamable =
        aliases("--outputTransport streamableHttp --streamableHttpPath /a/b --healthEndpoint /up");
    assert_eq!((streamable.mcp.as_deref(), streamable.messages), (Some("/a/b"), None));
    assert_eq!(streamable.health, ["/up"]);
    let own = aliases("--outputTransport streamableHttp --streamableHttpPath /mcp");
    assert_eq!(own.mcp, None);
    for wrong in ["--ssePath '/a b'", "--messagePath //evil", "--healthEndpoint '/a?b'"] {
        assert!(translated(&format!("--stdio x {wrong}")).unwrap_err().contains("wants a path"), "{wrong}");
    }
}

#[test]
fn the_base_url_is_where_clients_come_from() {
    let cases = [
        ("https://mcp.example.com:8443", "--allow-host=mcp.example.com"),
        ("http://localhost:8000/", "--allow-host=localhost"),
        ("https://mcp.example.com/gate/", "--allow-host=mcp.example.com --base-path=/gate"),
        ("/gate", "--base-path=/gate"),
    ];
    for (url, options) in cases {
        plainly(&format!("--stdio x --baseUrl {url}"), &format!("--pass-environment {options} -- x"));
    }
    for url in ["https://a\nevent: x", "https://a/b//c", "https://a/\"b"] {
        let line = ["--stdio", "x", "--baseUrl", url].map(str::to_owned);
        assert!(translate(&line).unwrap_err().message.contains("`--baseUrl` wants a URL"), "{url}");
    }
}

#[test]
fn the_headers_of_a_command_are_those_of_its_answers() {
    let translation = means(
        "--stdio x --header 'X-A: 1' --header 'x-a: 2' 'Authorization: s3cret' s3cret --oauth2Bearer s3cret",
        "--pass-environment -- x",
    );
    let headers = &translation.habits.aliases.headers;
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!(headers["x-a"], "2");
    let warnings = translation.habits.warnings.join("\n");
    assert!(warnings.contains("`--header Authorization` is ignored"), "{warnings}");
    assert!(warnings.contains("`--oauth2Bearer` is ignored"), "{warnings}");
    assert!(!warnings.contains("s3cret"), "{warnings}");
}

#[test]
fn what_is_ignored_is_told_without_its_value() {
    let cases = [
        ("--unknown s3cret", "`--unknown` is ignored, as supergateway does: it has no such option"),
        ("extra words", "2 of the words belong to no option and are ignored; a command goes in quotes"),
        ("--stateful", "`--stateful` is ignored: there is nothing here that it concerns"),
        ("--sessionTimeout 1", "`--sessionTimeout` is ignored: there is nothing here that it concerns"),
        (
            "--protocolVersion 2024-11-05",
            "`--protocolVersion` is ignored: there is nothing here that it concerns",
        ),
        ("--header ': s3cret'", "a `--header` is ignored: it is not like \"NAME: VALUE\""),
        ("--header 'Authorization s3cret'", "a `--header` is ignored: it is not like \"NAME: VALUE\""),
    ];
    for (more, warning) in cases {
        let translation = translated(&format!("--stdio x {more}")).unwrap();
        assert_eq!(translation.habits.warnings, [warning], "{more}");
    }
    for origin in ["a.example", "/(/"] {
        let warnings = translated(&format!("--stdio x --cors '{origin}'")).unwrap().habits.warnings;
        assert!(
            warnings[0].starts_with(&format!("`--cors {origin}` is ignored: an origin is")),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let cases = [
        ("", "one of `--stdio`, `--sse` and `--streamableHttp` is wanted"),
        ("--stdio", "one of `--stdio`, `--sse` and `--streamableHttp` is wanted"),
        ("--stdio x --sse https://a", "only one of `--stdio`, `--sse` and `--streamableHttp` may be given"),
        ("--sse a.example", "`--sse` wants an http:// or https:// URL"),
        (
            "--stdio x --outputTransport stdio",
            "`--outputTransport stdio`: the server of `--stdio` speaks that by itself",
        ),
        (
            "--stdio x --outputTransport ws",
            "`--outputTransport ws`: WebSockets are no transport of MCP, and not served here; take sse or streamableHttp",
        ),
        (
            "--stdio x --outputTransport tcp",
            "`--outputTransport` is sse or streamableHttp, or stdio with a URL",
        ),
        ("--stdio x --logLevel loud", "`--logLevel` is debug, info or none"),
        (
            "--stdio x --outputTransport streamableHttp --stateful --sessionTimeout 0",
            "`--sessionTimeout` wants a positive number of milliseconds",
        ),
        (
            "--stdio x --outputTransport streamableHttp --stateful --sessionTimeout -1",
            "`--sessionTimeout` wants a positive number of milliseconds",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(translated(line), Err(message.to_owned()), "{line}");
    }
}
