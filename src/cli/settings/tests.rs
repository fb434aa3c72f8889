use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::*;
use url::Url;

use crate::cli::drop_in::Habits;
use crate::cli::parse;
use crate::config::{ClientAuth, Limits, RemoteTransport, TlsSpec, Verify};

const NOWHERE: Outside<'static> =
    Outside { environment: &|_| None, resolve: &resolve, read: &read, is_terminal: false };

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "localhost" => Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        ]),
        "nowhere" => Ok(Vec::new()),
        _ => {
            let address: IpAddr = host.parse().map_err(|_| io::Error::other("unknown name"))?;
            Ok(vec![SocketAddr::new(address, port)])
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("headers") => Ok("# mine\n\nX-Key: s3cret\nX-Other : a:b \n".to_owned()),
        Some("broken") => Ok("s3cret".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn arguments(line: &str) -> Arguments {
    parse(&shlex::split(line).unwrap()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn settled(line: &str) -> Config {
    config(&arguments(line), None, &NOWHERE).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refusal(line: &str) -> String {
    match config(&arguments(line), None, &NOWHERE) {
        Err(Unusable::Arguments(message)) => message,
        other => panic!("{line}: {other:?}"),
    }
}

fn command(server: &ServerSpec) -> &CommandSpec {
    match &server.target {
        Target::Stdio(command) => command,
        other => panic!("{other:?}"),
    }
}

fn file() -> FileConfig {
    let server = ServerSpec::stdio("a".parse().unwrap(), CommandSpec::new("x"));
    FileConfig { servers: vec![server], ..FileConfig::default() }
}

#[test]
fn the_words_are_the_default_server() {
    let config = settled(
        "--port 8080 -e A 1 -e A 2 -e B -x --cwd /srv --name n --pass-environment --stateless -- uvx 'x y' --flag",
    );
    let server = config.default_server.unwrap();
    assert_eq!(server.name.as_str(), "n");
    let command = command(&server);
    assert_eq!(command.program, "uvx");
    assert_eq!(command.args, ["x y", "--flag"], "no shell splits these");
    assert_eq!(
        command.env,
        [("A", "2"), ("B", "-x")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    );
    assert_eq!(command.cwd, Some(PathBuf::from("/srv")));
    assert!(config.pass_environment && config.stateless);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn a_switch_and_its_opposite_follow_the_last_one() {
    let config = settled("--stateless --no-stateless --no-pass-environment --pass-environment x");
    assert!(!config.stateless && config.pass_environment);
    assert_eq!(level(&arguments("--debug --no-debug"), &NOWHERE), Ok(Level::Info));
    assert_eq!(level(&arguments("--no-debug --debug"), &NOWHERE), Ok(Level::Debug));
}

#[test]
fn named_servers_are_split_as_a_shell_splits() {
    let config = settled(r#"--named-server a "uvx 'x y' --flag" --named-server b '' --named-server c 'x "'"#);
    assert_eq!(command(&config.servers[0]).program, "uvx");
    assert_eq!(command(&config.servers[0]).args, ["x y", "--flag"]);
    let reasons: Vec<_> = config.servers[1..]
        .iter()
        .map(|server| match &server.target {
            Target::Broken(reason) => reason.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, ["the command is empty", "the command has a quote without its end"]);
}

#[test]
fn of_a_repeated_name_the_last_counts() {
    let config = settled("--named-server a x --named-server b y --named-server a z");
    let programs: Vec<_> = config.servers.iter().map(|server| command(server).program.as_str()).collect();
    assert_eq!(programs, ["z", "y"]);
    assert_eq!(config.warnings, ["`--named-server a` is given more than once: the last one counts"]);
}

#[test]
fn a_name_that_cannot_stand_in_a_url_is_derived() {
    let config = settled("--named-server 'b c' x");
    assert_eq!(config.servers[0].name.as_str(), "b-c");
    assert_eq!(
        config.warnings,
        ["--named-server: the name \"b c\" cannot stand in a URL; mounted as `b-c`, at /servers/b-c/mcp"]
    );
    assert_eq!(
        refusal("--named-server 'b c' x --named-server b-c y"),
        "\"b c\" and \"b-c\" would both be mounted as `b-c`; rename one"
    );
}

#[test]
fn a_file_is_the_only_source_of_named_servers() {
    let config = config(&arguments("--config f --named-server b y"), Some(file()), &NOWHERE).unwrap();
    assert_eq!(config.servers.len(), 1);
    assert_eq!(
        config.warnings,
        ["`--named-server` is ignored: the file is the only source of named servers"]
    );
}

#[test]
fn the_default_servers_name_is_taken_once() {
    let message = "a named server has the default server's name, `default`; give that another by `--name`";
    assert_eq!(refusal("--named-server default x y"), message);
    let refused = config(&arguments("--config f --name a y"), Some(file()), &NOWHERE).unwrap_err();
    assert!(matches!(refused, Unusable::File(_)), "{refused:?}");
    assert_eq!(settled("--named-server default x --name other y").servers.len(), 1);
}

#[test]
fn an_option_wins_over_the_environment_and_that_over_the_file() {
    let environment = |name: &str| match name {
        "MCP_PROXY_HOST" => Some("0.0.0.0".to_owned()),
        "MCP_PROXY_PORT" => Some("7".to_owned()),
        "MCP_PROXY_TIMEOUT" => Some("0.5".to_owned()),
        "MCP_PROXY_LOG_LEVEL" => Some("WARNING".to_owned()),
        _ => None,
    };
    let outside = Outside { environment: &environment, resolve: &resolve, read: &read, is_terminal: false };
    let nothing = |name: &str| environment(name).map(|_| String::new());
    let with = |line: &str, outside: &Outside<'_>| {
        let file = FileConfig { host: Some("10.0.0.1".to_owned()), port: Some(9), ..file() };
        config(&arguments(line), Some(file), outside).unwrap()
    };
    let listens = |line: &str, outside: &Outside<'_>| with(line, outside).listen.to_string();
    assert_eq!(listens("--config f --host ::1 --port 1", &outside), "[::1]:1");
    assert_eq!(listens("--config f --sse-host [::1] --sse-port 1", &outside), "[::1]:1");
    assert_eq!(listens("--config f --sse-port 1 --port 2", &outside), "0.0.0.0:2");
    assert_eq!(listens("--config f --port 0", &outside), "0.0.0.0:0");
    assert_eq!(listens("--config f", &outside), "0.0.0.0:7");
    assert_eq!(listens("--config f", &Outside { environment: &nothing, ..outside }), "10.0.0.1:9");
    assert_eq!(listens("--config f", &NOWHERE), "10.0.0.1:9");
    assert_eq!(settled("x").listen.to_string(), "127.0.0.1:0");

    let idle = |line: &str, outside: &Outside<'_>| with(line, outside).idle_timeout;
    assert_eq!(idle("--config f --timeout 0", &outside), None);
    assert_eq!(idle("--config f --timeout 1.5", &outside), Some(Duration::from_millis(1500)));
    assert_eq!(idle("--config f", &outside), Some(Duration::from_millis(500)));
    assert_eq!(idle("--config f", &NOWHERE), Some(Duration::from_mins(5)));

    assert_eq!(level(&arguments("--log-level eRRor"), &outside), Ok(Level::Error));
    assert_eq!(level(&arguments("--log-level error --debug"), &outside), Ok(Level::Debug));
    assert_eq!(level(&arguments(""), &outside), Ok(Level::Warning));
    assert_eq!(level(&arguments(""), &NOWHERE), Ok(Level::Info));
}

#[test]
fn every_level_of_mcp_proxy_is_known_in_any_case() {
    for (word, meant) in [
        ("DEBUG", Level::Debug),
        ("Info", Level::Info),
        ("WARNING", Level::Warning),
        ("warn", Level::Warning),
        ("error", Level::Error),
        ("CRITICAL", Level::Critical),
    ] {
        assert_eq!(arguments(&format!("--log-level {word}")).log_level, Some(meant));
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, wanted) in [
        ("MCP_PROXY_PORT", "a port from 0 to 65535"),
        ("MCP_PROXY_TIMEOUT", "a number of seconds"),
        ("MCP_PROXY_LOG_LEVEL", "a level like info"),
    ] {
        let environment = |asked: &str| (asked == name).then(|| "many".to_owned());
        let outside =
            Outside { environment: &environment, resolve: &resolve, read: &read, is_terminal: false };
        let arguments = arguments("x");
        let refused =
            config(&arguments, None, &outside).map(|_| ()).and(level(&arguments, &outside).map(|_| ()));
        assert_eq!(refused, Err(Unusable::Arguments(format!("{name} is \"many\", wanted {wanted}"))));
    }
}

#[test]
fn what_another_tools_users_are_used_to_is_only_the_default() {
    let habits = Habits {
        host: Some("0.0.0.0".to_owned()),
        port: Some(12010),
        warnings: vec!["told".to_owned()],
        ..Habits::default()
    };
    let listen = |line: &str, file: Option<FileConfig>, outside: &Outside<'_>| {
        let arguments = Arguments { habits: habits.clone(), ..arguments(line) };
        let config = config(&arguments, file, outside).unwrap();
        assert_eq!(config.warnings, ["told"]);
        config.listen.to_string()
    };
    let variables = |name: &str| match name {
        "MCP_PROXY_HOST" => Some("10.0.0.2".to_owned()),
        "MCP_PROXY_PORT" => Some("2".to_owned()),
        _ => None,
    };
    let set = Outside { environment: &variables, ..NOWHERE };
    let in_file = || Some(FileConfig { host: Some("10.0.0.1".to_owned()), port: Some(1), ..file() });
    assert_eq!(listen("x", None, &NOWHERE), "0.0.0.0:12010");
    assert_eq!(listen("x", in_file(), &NOWHERE), "10.0.0.1:1");
    assert_eq!(listen("x", in_file(), &set), "10.0.0.2:2");
    assert_eq!(listen("--host 10.0.0.3 --port 3 x", in_file(), &set), "10.0.0.3:3");
}

#[test]
fn a_host_is_resolved_and_ipv4_preferred() {
    assert_eq!(settled("--host localhost --port 5 x").listen.to_string(), "127.0.0.1:5");
    assert_eq!(refusal("--host nope x"), "the host \"nope\" has no address: unknown name");
    assert_eq!(refusal("--host nowhere x"), "the host \"nowhere\" has no address: none is known");
    let in_file = FileConfig { host: Some("nope".to_owned()), ..file() };
    let refused = config(&arguments("--config f"), Some(in_file), &NOWHERE).unwrap_err();
    assert!(matches!(refused, Unusable::File(_)), "{refused:?}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_listened_on_besides_or_alone() {
    let unix = |line: &str| settled(line).unix_socket.map(|unix| (unix.path, unix.mode, unix.is_alone));
    assert_eq!(unix("x"), None);
    assert_eq!(unix("--unix-socket a x"), Some(("a".into(), 0o600, false)));
    assert_eq!(unix("--unix-socket a --unix-socket-mode 0666 x"), Some(("a".into(), 0o666, false)));
    for host in ["unix:/a", "unix:///a"] {
        assert_eq!(unix(&format!("--host {host} x")), Some(("/a".into(), 0o600, true)));
    }
    assert_eq!(unix("--host unix:/a --unix-socket /a x"), Some(("/a".into(), 0o600, true)));
    assert!(refusal("--host unix: x").contains("names no socket"));
    assert!(refusal("--host unix:/a --unix-socket /b x").contains("name one of them"));
    assert!(refusal("--unix-socket-mode 0600 x").contains("there is none"));
    let written = FileConfig { host: Some("unix:here".to_owned()), ..file() };
    assert!(matches!(config(&arguments(""), Some(written), &NOWHERE), Err(Unusable::File(_))));
    let is_client_mode = |line: &str| is_client_mode(&arguments(line), &settled(line));
    assert!(is_client_mode("https://a.example/mcp"));
    assert!(!is_client_mode("--unix-socket a https://a.example/mcp"));
    assert!(!is_client_mode("--host unix:/a https://a.example/mcp"));
}

#[test]
fn each_file_of_tls_is_the_options_else_the_files() {
    let written = TlsSpec {
        cert: "c".into(),
        key: "k".into(),
        client_ca: Some("a".into()),
        client_auth: ClientAuth::Optional,
    };
    let tls = |line: &str, tls: Option<&TlsSpec>| {
        config(&arguments(line), Some(FileConfig { tls: tls.cloned(), ..file() }), &NOWHERE).unwrap().tls
    };
    assert_eq!(tls("", None), None);
    assert_eq!(tls("", Some(&written)), Some(written.clone()));
    let mixed = TlsSpec { cert: "d".into(), ..written.clone() };
    assert_eq!(tls("--tls-cert d", Some(&written)), Some(mixed));
    let own = tls("--tls-cert d --tls-key l --tls-client-ca b", None).unwrap();
    assert_eq!((own.client_ca, own.client_auth), (Some("b".into()), ClientAuth::Required));
    for line in ["--tls-cert d x", "--tls-key l x", "--tls-client-ca b x"] {
        assert!(refusal(line).contains("`--tls-cert` and `--tls-key` go together"), "{line}");
    }
}

#[test]
fn origins_accumulate_and_win_over_the_file() {
    let config = settled(
        "--allow-origin https://a https://B:1/ --allow-origin '*' --expose-header X --expose-header Y x",
    );
    assert_eq!(config.allow_origins, ["https://a", "https://b:1", "*"]);
    assert_eq!(config.expose_headers, ["X", "Y"]);
    let in_file = || FileConfig {
        allow_origins: vec!["https://f".to_owned()],
        allow_hosts: vec!["f".to_owned()],
        base_path: Some("/f".to_owned()),
        trust_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        limits: Limits { body: 1, ..Limits::default() },
        ..file()
    };
    let from_file = super::config(&arguments("--config f"), Some(in_file()), &NOWHERE).unwrap();
    assert_eq!(from_file.allow_origins, ["https://f"]);
    assert_eq!(from_file.allow_hosts, ["f"]);
    assert_eq!(from_file.base_path, "/f");
    assert_eq!(from_file.trust_proxies.len(), 1);
    assert_eq!(from_file.limits.body, 1);
    let line = "--config f --allow-origin https://o --allow-host o,p --allow-host q --base-path o/ --trust-proxy ::1";
    let from_options = super::config(&arguments(line), Some(in_file()), &NOWHERE).unwrap();
    assert_eq!(from_options.allow_origins, ["https://o"]);
    assert_eq!(from_options.allow_hosts, ["o", "p", "q"]);
    assert_eq!(from_options.base_path, "/o");
    assert_eq!(from_options.trust_proxies, ["::1/128".parse().unwrap()]);
}

#[test]
fn nothing_to_serve_is_no_configuration() {
    for line in ["", "--port 80", "-e A 1"] {
        let refused = config(&arguments(line), None, &NOWHERE).unwrap_err();
        assert_eq!(refused, Unusable::Nothing, "{line}");
    }
}

fn remote(server: &ServerSpec) -> &RemoteSpec {
    match &server.target {
        Target::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_url_is_a_remote_server() {
    let spec = |line: &str| remote(&settled(line).default_server.unwrap()).clone();
    let plain = spec("--name n https://h/mcp");
    assert_eq!((plain.url.as_str(), plain.transport), ("https://h/mcp", RemoteTransport::Auto));
    let headers = spec("-H A b -H a c --port 80 https://h/mcp").headers;
    assert_eq!(headers, [("a".to_owned(), "c".to_owned())].into());
    let headers = spec("--username me --password pa$s https://h/mcp").headers;
    assert_eq!(headers, [("Authorization".to_owned(), "Basic bWU6cGEkcw==".to_owned())].into());
    let headers = spec("--header-file headers -H x-key mine https://h").headers;
    let pairs = [("x-key", "mine"), ("X-Other", "a:b")];
    assert_eq!(headers, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let wrong = refusal("--header-file broken https://h");
    assert!(wrong.contains("broken: line 1") && !wrong.contains("s3cret"), "{wrong}");
    assert!(refusal("--header-file none https://h").contains("none"));
    assert!(refusal("--username me https://h/mcp").contains("go together"));
    assert!(refusal("--digest --username me --password x https://h/mcp").contains("--digest"));
    let cases = [
        ("--transport sse", RemoteTransport::SseFirst),
        ("--transport streamablehttp", RemoteTransport::Auto),
        ("--transport-type sse", RemoteTransport::Sse),
        ("--transport-type http", RemoteTransport::StreamableHttp),
        ("--transport auto", RemoteTransport::Auto),
    ];
    for (options, transport) in cases {
        assert_eq!(spec(&format!("{options} https://h/mcp")).transport, transport, "{options}");
    }
    assert_eq!(spec("--no-verify-ssl https://h").verify, Verify::Off);
    assert_eq!(spec("--verify-ssl no https://h").verify, Verify::Off);
    assert_eq!(spec("--verify-ssl ca.pem https://h").verify, Verify::Only("ca.pem".into()));
    let config = settled("--named-server a https://h/sse");
    assert_eq!(remote(&config.servers[0]).url.as_str(), "https://h/sse");
}

#[test]
fn a_login_is_offered_where_no_header_says_who_asks() {
    let login = |line: &str| remote(&settled(line).default_server.unwrap()).login.clone();
    assert!(login("https://h").is_some_and(|login| login.interactive), "client mode has a user");
    assert!(login("--port 80 https://h").is_some_and(|login| !login.interactive));
    assert_eq!(login("-H Authorization x https://h"), None);
    let credentials =
        login("--client-id me --client-secret s3cret --token-url https://a/token https://h").unwrap();
    assert_eq!(credentials.client_id.as_deref(), Some("me"));
    assert_eq!(credentials.token_url.as_ref().map(Url::as_str), Some("https://a/token"));
    assert!(!format!("{credentials:?}").contains("s3cret"));
    assert!(refusal("--client-secret x https://h").contains("--client-id"));
    assert!(refusal("--client-id me --token-url https://a https://h").contains("--client-secret"));
}

#[test]
fn a_url_that_must_not_be_called_is_refused() {
    assert!(refusal("http://h/mcp").contains("--allow-http"));
    assert!(refusal("http://169.254.169.254/mcp --allow-http").contains("--allow-link-local"));
    assert!(refusal("https://h/mcp word").contains("word"));
    assert!(refusal("-H Mcp-Session-Id x https://h").contains("set by the router itself"));
    settled("--allow-http --allow-link-local http://169.254.169.254/mcp");
    let config = settled("--named-server a http://h");
    assert!(matches!(&config.servers[0].target, Target::Broken(reason) if reason.contains("--allow-http")));
    assert!(matches!(
        &settled("--allow-http --named-server a http://h").servers[0].target,
        Target::Remote(_)
    ));
}

#[test]
fn a_url_alone_is_client_mode() {
    for (line, wanted) in [
        ("https://h/mcp", true),
        ("--transport stdio --port 80 https://h/mcp", true),
        ("--port 80 https://h/mcp", false),
        ("--sse-port 0 https://h/mcp", false),
        ("--named-server a x https://h/mcp", false),
        ("uvx x", false),
    ] {
        let arguments = arguments(line);
        let config = config(&arguments, None, &NOWHERE).unwrap();
        assert_eq!(is_client_mode(&arguments, &config), wanted, "{line}");
    }
}

#[test]
fn the_token_of_the_environment_goes_before_the_one_of_the_words() {
    let environment = |name: &str| (name == "API_ACCESS_TOKEN").then(|| "t0ken".to_owned());
    let outside = Outside { environment: &environment, resolve: &resolve, read: &read, is_terminal: false };
    let config = config(&arguments("-H authorization x https://h"), None, &outside).unwrap();
    let headers = &remote(config.default_server.as_ref().unwrap()).headers;
    assert_eq!(*headers, [("Authorization".to_owned(), "Bearer t0ken".to_owned())].into());
}

#[test]
fn sse_url_counts_only_when_nothing_else_is_given() {
    let environment = |name: &str| (name == "SSE_URL").then(|| "https://h/sse".to_owned());
    let outside = Outside { environment: &environment, resolve: &resolve, read: &read, is_terminal: false };
    let found = config(&arguments("--port 80"), None, &outside).unwrap();
    assert_eq!(remote(&found.default_server.unwrap()).url.as_str(), "https://h/sse");
    assert!(config(&arguments("uvx x"), None, &outside).is_ok());
    assert!(config(&arguments("--named-server a x"), None, &outside).is_ok());
    assert!(config(&arguments("--config f"), Some(file()), &outside).is_ok());
}

#[test]
fn what_is_given_in_vain_is_warned_about() {
    let config = settled(
        "--named-server a x -e A s3cret --cwd d --name n -H Authorization s3cret --password s3cret --digest",
    );
    assert_eq!(
        config.warnings,
        ["--headers", "--password", "--digest", "--env", "--cwd", "--name"]
            .map(|option| format!("`{option}` is ignored: there is nothing here that it concerns"))
    );
    assert_eq!(settled("'uvx x'").warnings.len(), 1);
}

#[test]
fn wrong_words_are_refused() {
    assert_eq!(refusal("-e A=1 2 x"), "`--env` wants KEY and VALUE as two words; a KEY has no =");
    assert_eq!(refusal("''"), "the command is empty");
    assert!(refusal("--name 'a b' x").starts_with("`--name`: a name is 1 to 64 of the characters"));
    for line in [
        "--port many x",
        "--port 65536 x",
        "--timeout -1 x",
        "--timeout NaN x",
        "--log-level loud x",
        "--transport pigeon x",
        "--allow-origin=x y",
        "--base-path //evil x",
        "--trust-proxy x y",
        "--debug=yes x",
        "--reload-interval soon x",
    ] {
        let error = parse(&shlex::split(line).unwrap()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn reloading_can_be_slowed_and_switched_off() {
    let interval = |line: &str| reload_interval(&arguments(line));
    assert_eq!(interval("--config f"), Some(Duration::from_secs(1)));
    assert_eq!(interval("--config f --reload-interval 0.5"), Some(Duration::from_millis(500)));
    assert_eq!(interval("--config f --no-reload"), None);
    assert_eq!(interval("x"), None);
}

#[test]
fn lists_are_kept_where_the_option_says_else_the_environment_else_the_system() {
    let place = |line: &str, set: &[(&str, &str)]| {
        let set: HashMap<_, _> = set.iter().copied().collect();
        let environment = |name: &str| set.get(name).map(|value| (*value).to_owned());
        let outside = Outside { environment: &environment, ..NOWHERE };
        config(&arguments(line), None, &outside).unwrap().cache_dir
    };
    let all = [("MCP_SWITCHBOARD_CACHE", "mine"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/me")];
    assert_eq!(place("--cache-dir here x", &all), Some(PathBuf::from("here")));
    assert_eq!(place("x", &all), Some(PathBuf::from("mine")));
    assert_eq!(place("x", &[]), None);
    if cfg!(unix) {
        assert_eq!(place("x", &all[1..]), Some(PathBuf::from("/xdg/mcp-switchboard")));
        let relative = [("MCP_SWITCHBOARD_CACHE", ""), ("XDG_CACHE_HOME", "xdg"), ("HOME", "/home/me")];
        assert_eq!(place("x", &relative), Some(PathBuf::from("/home/me/.cache/mcp-switchboard")));
    }
}

#[test]
fn a_key_that_protects_is_never_left_out_in_silence() {
    let read = |path: &Path| match path.to_str() {
        Some("keys") => Ok("alice key-of-alice\n".to_owned()),
        Some("broken") => Ok("alice\n".to_owned()),
        Some("empty") => Ok("# nobody yet\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let known = |line: &str, key: Option<&'static str>| {
        let environment =
            move |name: &str| key.filter(|_| name == "MCP_SWITCHBOARD_TOKEN").map(str::to_owned);
        let outside = Outside { environment: &environment, read: &read, ..NOWHERE };
        let config = config(&arguments(&format!("{line} -- x")), None, &outside)?;
        let names = |auth: AuthSpec| auth.tokens.into_iter().map(|token| token.name).collect::<Vec<_>>();
        Ok::<_, Unusable>(config.auth.map(names))
    };
    assert_eq!(known("", None), Ok(None));
    assert_eq!(known("--tokens-file keys", None), Ok(Some(vec!["alice".to_owned()])));
    let both = Ok(Some(vec!["alice".to_owned(), "token".to_owned()]));
    assert_eq!(known("--tokens-file keys", Some("another")), both);
    for (line, key, expected) in [
        ("", Some("  "), "MCP_SWITCHBOARD_TOKEN is set, and empty"),
        ("--tokens-file none", None, "--tokens-file: none: "),
        ("--tokens-file broken", None, "--tokens-file: broken: line 1: wanted NAME KEY"),
        ("--tokens-file empty", None, "--tokens-file: empty: there is no key in it"),
        ("--tokens-file keys", Some("key-of-alice"), "the same key stands for alice and for token"),
    ] {
        let refusal = known(line, key).unwrap_err().to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    let by_certificates = AuthSpec { certificates: true, ..AuthSpec::default() };
    let unseen = FileConfig { auth: Some(by_certificates), ..file() };
    let refusal = config(&arguments("--config f"), Some(unseen), &NOWHERE).unwrap_err().to_string();
    assert!(refusal.starts_with("`auth.certificates` without `tls.clientCa`"), "{refusal}");
    let nobody = FileConfig { auth: Some(AuthSpec::default()), ..file() };
    let refusal = config(&arguments("--config f"), Some(nobody), &NOWHERE).unwrap_err().to_string();
    assert!(refusal.starts_with("`auth` knows nobody"), "{refusal}");
}

#[test]
fn the_environment_says_where_traces_go_only_if_there_are_any() {
    let environment = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://c.example/otlp".to_owned()),
        "OTEL_TRACES_SAMPLER_ARG" => Some("0.5".to_owned()),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("service.name=tools,team=a%2Cb".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=Bearer%20x,x-y=z".to_owned()),
        _ => None,
    };
    let outside = Outside { environment: &environment, ..NOWHERE };
    let traces = |line: &str, outside| config(&arguments(line), None, outside).map(|config| config.traces);
    assert_eq!(traces("-- a", &outside), Ok(None));
    let asked = traces("--traces -- a", &outside).unwrap().unwrap();
    assert_eq!(asked.endpoint, "https://c.example/otlp/v1/traces");
    assert_eq!((asked.sample, asked.service.as_str()), (0.5, "tools"));
    assert_eq!(asked.headers[0], ("authorization".to_owned(), "Bearer x".to_owned()));
    let secret = |name: &str| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "s3cret".to_owned());
    let outside = Outside { environment: &secret, ..NOWHERE };
    let refused = traces("--traces -- a", &outside).unwrap_err();
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    assert_eq!(asked.resource[1], ("team".to_owned(), "a,b".to_owned()));
    let named = |name: &str| match name {
        "OTEL_SERVICE_NAME" => Some("named".to_owned()),
        other => environment(other),
    };
    let outside = Outside { environment: &named, ..NOWHERE };
    let asked = traces("--traces -- a", &outside).unwrap().unwrap();
    assert_eq!(asked.service, "named");
    assert_eq!(traces("--traces -- a", &NOWHERE), Ok(Some(TracesSpec::default())));
    let wrong = |name: &str| (name == "OTEL_TRACES_SAMPLER_ARG").then(|| "2".to_owned());
    let refused = traces("--traces -- a", &Outside { environment: &wrong, ..NOWHERE }).unwrap_err();
    assert_eq!(refused.to_string(), "OTEL_TRACES_SAMPLER_ARG is \"2\", wanted a number from 0 to 1");
}

#[test]
fn the_access_log_is_a_file_or_the_log_in_the_form_of_that() {
    let place = |line: &str| settled(line).access_log;
    assert_eq!(place("-- a"), None);
    assert_eq!(place("--access-log - -- a"), Some(AccessLogSpec::new(AccessLogPlace::Log)));
    let file = AccessLogPlace::File(PathBuf::from("x.log"));
    assert_eq!(
        place("--log-format json --access-log x.log -- a"),
        Some(AccessLogSpec { json: true, ..AccessLogSpec::new(file) })
    );
}
