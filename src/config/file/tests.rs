use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{
    CommandSpec, EraSetting, Isolation, OnCrash, Places, PoolMode, PoolSpec, RemoteSpec, RemoteTransport,
    RestartSpec, Sandbox, Startup, Target,
};

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret".to_owned()),
        "NESTED" => Some("${TOKEN}".to_owned()),
        "PORTAL" => Some("https://portal.example.com".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Result<FileConfig, Problem> {
    let surroundings = Surroundings {
        directory: Path::new("/etc/mcp"),
        variables: &environment,
        is_file: &|path| path == Path::new("/opt/my server"),
    };
    parse(text, &surroundings)
}

/// What `read` makes of a text as a part of a file in this directory, where one variable has a value; and its warnings.
pub(in crate::config) fn part<T>(
    text: &str,
    directory: &str,
    (name, value): (&str, &str),
    read: impl FnOnce(&Node<'_>, &Surroundings<'_>, &mut Vec<String>) -> Result<T, Problem>,
) -> Result<(T, Vec<String>), Problem> {
    let json = Json::parse(text).unwrap();
    let variables = |asked: &str| (asked == name).then(|| value.to_owned());
    let directory = Path::new(directory);
    let surroundings = Surroundings { directory, variables: &variables, is_file: &|_| false };
    let mut warnings = Vec::new();
    read(&Node::root(&json), &surroundings, &mut warnings).map(|read| (read, warnings))
}

fn refusal(text: &str) -> String {
    match read(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(problem) => problem.to_string(),
    }
}

fn entry(members: &str) -> String {
    format!(r#"{{"mcpServers": {{"a": {{{members}}}}}}}"#)
}

fn target(members: &str) -> Target {
    let mut config = read(&entry(members)).unwrap();
    assert_eq!(config.servers.len(), 1);
    config.servers.remove(0).target
}

fn command(members: &str) -> CommandSpec {
    match target(members) {
        Target::Stdio(command) => command,
        other => panic!("{other:?}"),
    }
}

fn broken(members: &str) -> String {
    match target(members) {
        Target::Broken(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn remote(members: &str) -> RemoteSpec {
    match target(members) {
        Target::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

fn warnings(members: &str) -> Vec<String> {
    read(&entry(members)).unwrap().warnings
}

#[test]
fn three_spellings_mean_the_same() {
    let spellings = [
        r#"{"mcpServers": {"b": {"command": "x"}, "a": {"command": "y"}}}"#,
        r#"{"servers": {"b": {"command": "x"}, "a": {"command": "y"}}}"#,
        r#"{"servers": [{"name": "b", "command": "x"}, {"command": "y", "name": "a"}]}"#,
    ];
    for text in spellings {
        let config = read(text).unwrap();
        let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["b", "a"], "in the order in which they are written: {text}");
        assert_eq!(config.warnings, [] as [&str; 0]);
        assert!(matches!(&config.servers[1].target, Target::Stdio(command) if command.program == "y"));
    }
}

#[test]
fn every_key_of_an_entry_counts() {
    let text = entry(
        r#""command": "uvx", "args": ["mcp-server-time", "--x"], "env": {"A": "1"}, "cwd": "work", "type": "STDIO",
           "enabled": true, "disabled": false, "timeout": 2.5, "startTimeout": 10,
           "pool": {"mode": "shared", "warm": 2, "max": 3, "idleTimeout": 0, "isolation": "request"},
           "era": "Legacy", "restart": {"onCrash": "end", "attempts": 5}, "startup": "eager", "lazy": false"#,
    );
    let config = read(&text).unwrap();
    assert_eq!(config.warnings, [] as [&str; 0]);
    let server = &config.servers[0];
    let Target::Stdio(command) = &server.target else { panic!("{server:?}") };
    assert_eq!(command.program, "uvx");
    assert_eq!(command.args, ["mcp-server-time", "--x"]);
    assert_eq!(command.env.get("A").map(String::as_str), Some("1"));
    assert_eq!(command.cwd.as_deref(), Some(Path::new("/etc/mcp/work")));
    assert_eq!(server.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(server.start_timeout, Duration::from_secs(10));
    assert_eq!(
        server.pool,
        PoolSpec {
            mode: PoolMode::Shared,
            warm: 2,
            max: 3,
            idle_timeout: Some(None),
            isolation: Isolation::Request
        }
    );
    assert_eq!(server.era, EraSetting::Legacy);
    assert_eq!(server.restart, RestartSpec { on_crash: OnCrash::End, attempts: 5 });
    assert_eq!(server.startup, Startup::Eager);
}

#[test]
fn every_key_of_the_top_level_counts() {
    let config = read(
        r#"{"mcpServers": {"a": {"command": "x"}}, "$schema": "x",
            "host": "0.0.0.0", "port": 8080, "allowOrigins": ["*", "${PORTAL}"], "allowHosts": ["MCP.example.com"],
            "basePath": "tools/", "trustProxies": ["10.0.0.0/8", "::1"],
             "limits": {"body": 1, "line": 2, "depth": 3, "head": 8192, "headers": 5, "connections": 6, "connectionsPerClient": 22, "processes": 7,
                       "sessions": 11, "streams": 12, "headTimeout": 0.5, "bodyTimeout": 9, "idleConnection": 10}}"#,
    )
    .unwrap();
    assert_eq!(config.warnings, [] as [&str; 0]);
    assert_eq!(config.host.as_deref(), Some("0.0.0.0"));
    assert_eq!(config.port, Some(8080));
    assert_eq!(config.allow_origins, ["*", "https://portal.example.com"]);
    assert_eq!(config.allow_hosts, ["mcp.example.com"]);
    assert_eq!(config.base_path.as_deref(), Some("/tools"));
    assert_eq!(config.trust_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(
        config.limits,
        Limits {
            body: 1,
            line: 2,
            depth: 3,
            head: 8192,
            headers: 5,
            connections: 6,
            connections_per_client: 22,
            processes: 7,
            sessions: 11,
            streams: 12,
            head_timeout: Duration::from_millis(500),
            body_timeout: Duration::from_secs(9),
            idle_connection: Duration::from_secs(10),
        }
    );
}

#[test]
fn a_remote_entry_is_read_in_every_spelling() {
    let spellings = ["http", "HTTP", "streamable-http", "streamable_http", "streamableHttp", "Remote", "sse"];
    for key in ["type", "transport", "transportType"] {
        for spelling in spellings {
            let members =
                format!(r#""url": "https://h/mcp", "headers": {{"X": "1"}}, "{key}": "{spelling}""#);
            let remote = remote(&members);
            let wanted = if spelling == "sse" { RemoteTransport::SseFirst } else { RemoteTransport::Auto };
            assert_eq!((remote.url.as_str(), remote.transport), ("https://h/mcp", wanted), "{members}");
            assert_eq!(remote.headers["X"], "1");
        }
    }
    let plain = remote(r#""url": "HTTP://h", "allowHttp": true"#);
    assert!(plain.allow_plain && plain.check().is_ok());
    assert!(remote(r#""url": "http://h""#).check().is_err());
    assert!(broken(r#""url": "ftp://h""#).starts_with("mcpServers.a.url: not an http:// or https:// URL"));
}

#[test]
fn what_only_one_mount_lacks_breaks_only_that_mount() {
    let cases = [
        ("", "the entry has neither `command` nor `url`"),
        (r#""command": null"#, "the entry has neither `command` nor `url`"),
        (r#""command": " ""#, "the command is empty"),
        (r#""command": "x", "args": ["a\u0000b"]"#, "the command holds a NUL character"),
        (
            r#""command": "x", "url": "http://h""#,
            "the entry has both `command` and `url`; a `type` must say which counts",
        ),
        (r#""command": "x", "type": "sse""#, "a remote server wants a `url`"),
        (r#""url": "http://h", "type": "stdio""#, "a stdio server wants a `command`"),
        (
            r#""command": "x", "type": "ws""#,
            "mcpServers.a.type: not one of stdio, local, http, streamable-http, remote, sse",
        ),
        (
            r#""command": "x", "type": "stdio", "transport": "http""#,
            "`type` and `transport` contradict each other",
        ),
        (
            r#""command": "x", "args": ["a", "${NONE}"], "env": {"K": "${input:key}"}"#,
            "mcpServers.a.args[1]: the variable `NONE` is set neither in the environment nor in .env, and has no default; \
             mcpServers.a.env.K: `${input:...}` is not supported; `${VAR}`, `${env:VAR}` and `${VAR:-default}` are",
        ),
    ];
    for (members, reason) in cases {
        assert_eq!(broken(members), reason, "{members}");
    }
}

#[test]
fn a_type_decides_between_command_and_url() {
    assert_eq!(command(r#""command": "x", "url": "http://h", "type": "local""#).program, "x");
    assert_eq!(remote(r#""command": "x", "url": "https://h", "type": "http""#).url.as_str(), "https://h/");
}

#[test]
fn either_switch_disables_a_server_even_a_broken_one() {
    for members in [
        r#""command": "x", "enabled": false"#,
        r#""command": "x", "disabled": true"#,
        r#""command": "x", "enabled": true, "disabled": true"#,
        r#""command": "${NONE}", "disabled": true"#,
    ] {
        assert!(matches!(target(members), Target::Disabled), "{members}");
    }
}

#[test]
fn variables_are_expanded_once_and_remembered_as_secrets() {
    let command = command(
        r#""command": "run-${TOKEN}", "args": ["--key=${env:TOKEN}", "${NESTED}", "$${TOKEN}"], "env": {"K": "${N:-d}"}"#,
    );
    assert_eq!(command.program, "run-s3cret");
    assert_eq!(command.args, ["--key=s3cret", "${TOKEN}", "${TOKEN}"]);
    assert_eq!(command.env["K"], "d");
    assert_eq!(command.secrets, ["s3cret", "s3cret", "${TOKEN}", "d"]);
    assert_eq!(command.to_string(), "run-*** (3 arguments)");
    assert_eq!(format!("{command:?}"), "CommandSpec(run-*** (3 arguments))");
}

#[test]
fn a_url_does_not_show_what_a_variable_has_put_into_it_in_any_spelling() {
    for (written, holds, shown) in [
        ("${U}", "https://host.example/mcp", "***"),
        ("${U}", "https://me:s3cret@host.example/s3cret", "https://***"),
        ("${U}", "https://Host.Example/s3cret", "https://***"),
        ("https://host.example/${U}/mcp", "a s3cret", "https://***"),
        ("https://host.example/${U}/mcp", "s3cret", "https://host.example/***/mcp"),
        ("https://me:${U}@host.example/mcp", "s3cret", "https://host.example/mcp"),
        ("https://host.example/mcp?key=${U}", "s3cret", "https://host.example/mcp?…"),
    ] {
        let text = entry(&format!(r#""url": "{written}""#));
        let variables = |name: &str| (name == "U").then(|| holds.to_owned());
        let surroundings =
            Surroundings { directory: Path::new("/etc/mcp"), variables: &variables, is_file: &|_| false };
        let target = parse(&text, &surroundings).unwrap().servers.remove(0).target;
        let Target::Remote(remote) = target else { panic!("{target:?}") };
        assert_eq!(remote.to_string(), shown, "{written} {holds}");
    }
    let reason = broken(r#""url": "${TOKEN}:x""#);
    assert!(
        reason.starts_with("mcpServers.a.url: what its variables hold") && !reason.contains("s3cret"),
        "{reason}"
    );
}

#[test]
fn a_word_among_several_may_come_from_a_variable() {
    let spec = |members: &str| read(&entry(members)).unwrap().servers.remove(0);
    let server = spec(
        r#""command": "x", "era": "${E:-LEGACY}", "pool": {"mode": "${M:-shared}", "isolation": "${I:-request}"}, "restart": {"onCrash": "${C:-end}"}"#,
    );
    assert_eq!((server.era, server.pool.mode), (EraSetting::Legacy, PoolMode::Shared));
    assert_eq!((server.pool.isolation, server.restart.on_crash), (Isolation::Request, OnCrash::End));
    let server = spec(r#""command": "x", "era": "${NONE}""#);
    let Target::Broken(reason) = server.target else { panic!("{server:?}") };
    assert!(reason.starts_with("mcpServers.a.era: the variable `NONE` is set neither"), "{reason}");
    let refused = refusal(&entry(r#""command": "x", "era": "${TOKEN}""#));
    assert!(refused.contains("mcpServers.a.era") && !refused.contains("s3cret"), "{refused}");
}

#[test]
fn an_absolute_directory_stays() {
    assert_eq!(command(r#""command": "x", "cwd": "/srv""#).cwd.as_deref(), Some(Path::new("/srv")));
    assert_eq!(command(r#""command": "x", "cwd": """#).cwd, None);
    assert_eq!(command(r#""command": "x", "cwd": null"#).cwd, None);
}

#[test]
fn an_unknown_key_is_a_warning_that_names_it() {
    assert_eq!(
        warnings(r#""command": "x", "autoApprove": [], "start_timeout": 3, "pool": {"size": 3}"#),
        [
            "mcpServers.a.pool.size: unknown key, ignored",
            "mcpServers.a.autoApprove: unknown key, ignored",
            "mcpServers.a.start_timeout: unknown key, ignored; is `startTimeout` meant?",
        ]
    );
    let config =
        read(r#"{"inputs": [], "servers": {"a": {"command": "x"}}, "aggregate": {"x": 1}}"#).unwrap();
    assert_eq!(config.warnings, ["aggregate.x: unknown key, ignored", "inputs: unknown key, ignored"]);
}

#[test]
fn what_each_user_brings_is_read_and_nothing_runs_without_a_user() {
    let config = read(&entry(
        r#""command": "x", "pool": {"warm": 3}, "envFromHeader": {"GITHUB_TOKEN": "X-GitHub-Token", "A": "x-a"}"#,
    ))
    .unwrap();
    let server = &config.servers[0];
    let variables: Vec<_> = server.env_from_header.variables().collect();
    assert_eq!(variables.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["A", "GITHUB_TOKEN"]);
    assert_eq!(variables[1].1, "x-github-token");
    assert!(server.is_personal() && server.is_lazy());
    assert_eq!((server.pool.warm, server.startup), (0, Startup::Lazy));
    assert_eq!(config.warnings, [""; 0]);
    let eager = read(&entry(r#""command": "x", "startup": "eager", "envFromHeader": {"A": "x-a"}"#)).unwrap();
    assert!(eager.warnings[0].contains("before its first user comes"), "{:?}", eager.warnings);
}

#[test]
fn what_cannot_keep_users_apart_refuses_the_file() {
    let inside = |value: &str| refusal(&entry(&format!(r#""command": "x", "envFromHeader": {value}"#)));
    let at = "mcpServers.a.envFromHeader";
    for (value, expected) in [
        ("null", "mcpServers.a.envFromHeader: found null, wanted a value"),
        ("{}", "mcpServers.a.envFromHeader: found no variable"),
        (r#"["X-A"]"#, "mcpServers.a.envFromHeader: found a list"),
        (r#"{"A": 1}"#, "mcpServers.a.envFromHeader.A: found the number 1, wanted the name of a header"),
        (r#"{"A": "X A"}"#, "mcpServers.a.envFromHeader.A: found a string, wanted the name of a header"),
        (r#"{"A": "${X}"}"#, "mcpServers.a.envFromHeader.A: found a string, wanted the name of a header"),
        (r#"{"A-B": "x-a"}"#, "mcpServers.a.envFromHeader.A-B: found a variable that is not made of letters"),
        (r#"{"": "x-a"}"#, "mcpServers.a.envFromHeader[\"\"]: found a variable that is not made of letters"),
    ] {
        let refusal = inside(value);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    for variable in
        ["PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "MCP_SWITCHBOARD_SESSION", "GIT_SSH_COMMAND"]
    {
        let refusal = inside(&format!(r#"{{"{variable}": "x-a"}}"#));
        assert!(refusal.starts_with(&format!("{at}.{variable}: found a variable ")), "{refusal}");
    }
    for header in
        ["Authorization", "Cookie", "Host", "Connection", "Mcp-Session-Id", "X-API-Key", "X-Forwarded-For"]
    {
        let refusal = inside(&format!(r#"{{"A": "{header}"}}"#));
        assert!(refusal.starts_with(&format!("{at}.A: found the header {header}, which ")), "{refusal}");
    }
    assert_eq!(
        refusal(&entry(r#""command": "x", "env_from_header": {"A": "x-a"}"#)),
        "mcpServers.a.env_from_header: found the key `env_from_header`, wanted it to be spelt `envFromHeader`"
    );
    let one = r#""command": "x", "envFromHeader": {"A": "x-a"}, "pool": {"mode": "shared", "max": 1}"#;
    assert!(refusal(&entry(one)).contains("one process for all"));
    let one = r#""command": "x", "envFromHeader": {"A": "x-a"}, "pool": {"max": 1}"#;
    assert!(refusal(&entry(one)).contains("one process for all"), "the second user would be turned away");
    let remote = r#""url": "https://host.example/mcp", "envFromHeader": {"A": "x-a"}"#;
    assert!(refusal(&entry(remote)).contains("entry with a `url`"));
}

#[test]
fn what_protects_refuses_the_file() {
    for key in ["tools", "sandbox", "envFromHeader", "env_from_header"] {
        let message = format!("`{key}` is not supported by this version");
        let top = format!(r#"{{"mcpServers": {{"a": {{"command": "x"}}}}, "{key}": null}}"#);
        assert_eq!(refusal(&top), format!("{key}: {message}"));
        if key.starts_with("env") || key == "sandbox" || key == "tools" {
            continue;
        }
        let inside = entry(&format!(r#""command": "x", "disabled": true, "{key}": {{}}"#));
        assert_eq!(refusal(&inside), format!("mcpServers.a.{key}: {message}"));
    }
    for (tools, expected) in [
        (r#""tools": {"denny": []}"#, "mcpServers.a.tools.denny: unknown key, which is not ignored here"),
        (r#""tools": null"#, "mcpServers.a.tools: found null, wanted a value"),
        (r#""TOOLS": {}"#, "mcpServers.a.TOOLS: found the key `TOOLS`, wanted it to be spelt `tools`"),
    ] {
        let refusal = refusal(&entry(&format!(r#""command": "x", "disabled": true, {tools}"#)));
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    for (auth, expected) in [
        (r#""AUTH": {}"#, "AUTH: found the key `AUTH`, wanted it to be spelt `auth`"),
        (r#""auth": null"#, "auth: found null, wanted a value"),
        (r#""auht": {}"#, "auht: found the key `auht`, wanted `auth`, if that is meant"),
        (r#""limit": {}"#, "limit: found the key `limit`, wanted `limits`, if that is meant"),
        (r#""auth": {"rules": null}"#, "auth.rules: found null, wanted a value"),
    ] {
        let refusal = refusal(&format!(r#"{{"mcpServers": {{"a": {{"command": "x"}}}}, {auth}}}"#));
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    for (key, meant) in [("sandbx", "sandbox"), ("tool", "tools"), ("envFromHeaders", "envFromHeader")] {
        let refusal = refusal(&entry(&format!(r#""command": "x", "{key}": {{}}"#)));
        assert_eq!(
            refusal,
            format!(
                "mcpServers.a.{key}: found the key `{key}`, wanted `{meant}`, if that is meant: what protects is not guessed"
            )
        );
    }
    let inside = entry(r#""command": "x", "auth": {}"#);
    assert_eq!(refusal(&inside), "mcpServers.a.auth: `auth` is not supported by this version");
    assert_eq!(
        refusal(r#"{"mcpServers": {"a": {"command": "x"}}, "aggregate": {"views": {"v": {"tool": {}}}}}"#),
        "aggregate.views.v.tool: unknown key, which is not ignored here; known are prefix, separator, pageSize, servers, \
         tools, prompts, resources"
    );
    assert_eq!(
        refusal(r#"{"mcpServers": {"a": {"command": "x"}}, "TLS": {}}"#),
        "TLS: found the key `TLS`, wanted it to be spelt `tls`"
    );
    assert_eq!(
        refusal(r#"{"mcpServers": {"a": {"command": "x", "tls": {}}}}"#),
        "mcpServers.a.tls: `tls` is not supported by this version"
    );
    let misspelt = refusal(r#"{"mcpServers": {"a": {"command": "x"}}, "limits": {"bodyy": 1}}"#);
    assert!(
        misspelt.starts_with("limits.bodyy: unknown key, which is not ignored here; known are body, "),
        "{misspelt}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_sandbox_takes_what_it_says() {
    let sandbox =
        |members: &str| command(&format!(r#""command": "x", {members}"#)).sandbox.map(|sandbox| *sandbox);
    assert_eq!(sandbox(r#""args": []"#), None);
    assert_eq!(sandbox(r#""sandbox": false"#), None);
    assert_eq!(sandbox(r#""sandbox": true"#), Some(Sandbox::default()));
    assert_eq!(sandbox(r#""sandbox": {}"#), Some(Sandbox::default()));
    let every = r#""sandbox": {"noNewPrivileges": true, "memory": "${SIZE:-512M}", "cpuSeconds": 60, "files": 64, "processes": 100,
        "fileSize": 1000, "filesystem": {"read": ["/srv", "data"], "write": ["${SPACE:-/tmp}"]}, "network": false}"#;
    let expected = Sandbox {
        no_new_privileges: true,
        memory: Some(512 << 20),
        cpu_seconds: Some(60),
        files: Some(64),
        processes: Some(100),
        file_size: Some(1000),
        filesystem: Some(Places {
            read: vec!["/srv".into(), "/etc/mcp/data".into()],
            write: vec!["/tmp".into()],
        }),
        network: false,
    };
    assert_eq!(sandbox(every), Some(expected));
    let unset =
        r#""command": "x", "sandbox": {"memory": "${NOWHERE}", "filesystem": {"read": ["${NOWHERE}"]}}"#;
    assert!(
        broken(unset).contains("sandbox.memory") && broken(unset).contains("NOWHERE"),
        "{}",
        broken(unset)
    );
    assert!(
        broken(r#""url": "https://a.example/", "sandbox": {}"#).starts_with("`sandbox` is for a `command`")
    );
    remote(r#""url": "https://a.example/", "sandbox": false"#);
}

#[test]
fn a_sandbox_that_is_not_understood_refuses_the_file() {
    let known = "unknown key, which is not ignored here; known are ";
    let table = [
        (r#""sandbox": {"memry": 1}"#, format!(".memry: {known}noNewPrivileges, memory, cpuSeconds, files, processes, fileSize, filesystem, network")),
        (r#""sandbox": {"filesystem": {"reed": []}}"#, format!(".filesystem.reed: {known}read, write")),
        (r#""sandbox": null"#, ": found null, wanted a value; leave the key out for none".to_owned()),
        (r#""sandbox": {"network": null}"#, ".network: found null, wanted a value; leave the key out for none".to_owned()),
        (r#""sandbox": "yes""#, ": found a string, wanted true, false or an object".to_owned()),
        (r#""sandbox": {"memory": 512}"#, ".memory: found the number 512, wanted a number of bytes from 1048576 on, or a text like \"512M\"".to_owned()),
        (r#""sandbox": {"memory": "much"}"#, ".memory: found a string, wanted a number of bytes from 1048576 on, or a text like \"512M\"".to_owned()),
        (r#""sandbox": {"fileSize": -1}"#, ".fileSize: found the number -1, wanted a number of bytes from 0 on, or a text like \"512M\"".to_owned()),
        (r#""sandbox": {"files": 3}"#, ".files: found the number 3, wanted a whole number from 16 to 1048576".to_owned()),
        (r#""sandbox": {"cpuSeconds": 0}"#, ".cpuSeconds: found the number 0, wanted a whole number from 1 to 4294967295".to_owned()),
        (r#""sandbox": {"processes": 1.5}"#, ".processes: found the number 1.5, wanted a whole number from 1 to 4194304".to_owned()),
        (r#""sandbox": {"noNewPrivileges": 1}"#, ".noNewPrivileges: found the number 1, wanted true or false".to_owned()),
        (r#""sandbox": {"filesystem": true}"#, ".filesystem: found true, wanted an object with `read` and `write`".to_owned()),
        (r#""sandbox": {"filesystem": {"read": [""]}}"#, ".filesystem.read[0]: found an empty path, or one with NUL, wanted a path".to_owned()),
        (r#""sandbox": {"filesystem": {"read": "/"}}"#, ".filesystem.read: found a string, wanted a list of paths".to_owned()),
        (
            r#""sandbox": {"noNewPrivileges": false, "filesystem": {}}"#,
            ": found `noNewPrivileges` false beside `filesystem`, which the kernel grants only without, wanted one of them".to_owned(),
        ),
    ];
    for (members, message) in table {
        // Disabled or remote: what it says is wrong in any case.
        for rest in
            [r#""command": "x""#, r#""command": "x", "disabled": true"#, r#""url": "https://a.example/""#]
        {
            assert_eq!(
                refusal(&entry(&format!("{rest}, {members}"))),
                format!("mcpServers.a.sandbox{message}")
            );
        }
    }
    for key in ["Sandbox", "SANDBOX", "sand_box"] {
        let members = format!(r#""command": "x", "{key}": true"#);
        let expected = format!("mcpServers.a.{key}: found the key `{key}`, wanted it to be spelt `sandbox`");
        assert_eq!(refusal(&entry(&members)), expected);
    }
    assert_eq!(
        refusal(r#"{"mcpServers": {"a": {"command": "x"}}, "sandbox": true}"#),
        "sandbox: `sandbox` is not supported by this version"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place_what_was_found_and_what_is_wanted() {
    let entries = [
        (r#""command": 1"#, "command: found the number 1, wanted a string"),
        (r#""command": "x", "args": "y""#, "args: found a string, wanted a list of strings"),
        (r#""command": "x", "args": ["y", 5]"#, "args[1]: found the number 5, wanted a string"),
        (r#""command": "x", "args": [null]"#, "args[0]: found null, wanted a string"),
        (r#""command": "x", "env": []"#, "env: found a list, wanted an object of strings"),
        (
            r#""command": "x", "env": {"P": 1}"#,
            "env.P: found the number 1, wanted a string: write it in quotes",
        ),
        (
            r#""command": "x", "env": {"A=B": "1"}"#,
            "env[\"A=B\"]: found a name that is empty or holds = or NUL, wanted a name",
        ),
        (r#""url": "http://h", "headers": "x""#, "headers: found a string, wanted an object of strings"),
        (r#""command": "x", "enabled": "yes""#, "enabled: found a string, wanted true or false"),
        (
            r#""command": "x", "timeout": -1"#,
            "timeout: found the number -1, wanted a number of seconds, 0 for no limit",
        ),
        (r#""command": "x", "timeout": 1e300"#, "timeout: found the number 1"),
        (
            r#""command": "x", "startTimeout": 0"#,
            "startTimeout: found the number 0, wanted a number of seconds above 0",
        ),
        (r#""command": "x", "pool": "shared""#, "pool: found a string, wanted an object"),
        (
            r#""command": "x", "pool": {"mode": "many"}"#,
            "pool.mode: found \"many\", wanted \"session\" or \"shared\"",
        ),
        (
            r#""command": "x", "pool": {"max": 0}"#,
            "pool.max: found the number 0, wanted a whole number from 1 to 100000",
        ),
        (
            r#""command": "x", "pool": {"warm": 1.5}"#,
            "pool.warm: found the number 1.5, wanted a whole number from 0 to 100000",
        ),
        (r#""command": "x", "era": true"#, "era: found true, wanted \"auto\" or \"legacy\" or \"modern\""),
        (
            r#""command": "x", "restart": {"onCrash": "x"}"#,
            "restart.onCrash: found \"x\", wanted \"restart\" or \"end\"",
        ),
    ];
    for (members, message) in entries {
        let refusal = refusal(&entry(members));
        assert!(refusal.starts_with(&format!("mcpServers.a.{message}")), "{members}: {refusal}");
    }
    let files = [
        ("[]", "top level: found a list, wanted an object with `mcpServers`"),
        ("{}", "top level: found no servers, wanted `mcpServers` with at least one"),
        (r#"{"mcpServers": {}}"#, "mcpServers: found no servers, wanted at least one"),
        (r#"{"servers": []}"#, "servers: found no servers, wanted at least one"),
        (r#"{"mcpServers": []}"#, "mcpServers: found a list, wanted an object of servers"),
        (
            r#"{"mcpServers": {"fetch": "uvx"}}"#,
            "mcpServers.fetch: found a string, wanted an object that describes a server",
        ),
        (r#"{"servers": [{"command": "x"}]}"#, "servers[0].name: found nothing, wanted the server's name"),
        (r#"{"servers": [{"name": 1}]}"#, "servers[0].name: found the number 1, wanted a string"),
        (
            r#"{"servers": {"a": {}}, "mcpServers": {"a": {}}}"#,
            "servers: found `servers` beside `mcpServers`, wanted one of them",
        ),
        (
            r#"{"mcpServers": {"a": {}, "a": {}}}"#,
            "mcpServers.a: found this key a second time, wanted each key once",
        ),
        (
            r#"{"servers": {"a": {}}, "port": 65536}"#,
            "port: found the number 65536, wanted a whole number from 0 to 65535",
        ),
        (
            r#"{"servers": {"a": {}}, "port": "80"}"#,
            "port: found a string, wanted a whole number from 0 to 65535",
        ),
        (r#"{"servers": {"a": {}}, "host": ""}"#, "host: found an empty string, wanted a name or an address"),
        (
            r#"{"servers": {"a": {}}, "host": "${NONE}"}"#,
            "host: the variable `NONE` is set neither in the environment nor in .env, and has no default",
        ),
        (
            r#"{"servers": {"a": {}}, "allowOrigins": "*"}"#,
            "allowOrigins: found a string, wanted a list of strings",
        ),
        (
            r#"{"servers": {"a": {}}, "allowOrigins": ["*", "x"]}"#,
            "allowOrigins[1]: found a string, wanted an origin like \"https://app.example.com\", or \"*\"",
        ),
        (
            r#"{"servers": {"a": {}}, "basePath": "//evil"}"#,
            "basePath: found a string, wanted a path like \"/mcp\"",
        ),
        (
            r#"{"servers": {"a": {}}, "trustProxies": ["x"]}"#,
            "trustProxies[0]: found a string, wanted an address or a network like \"10.0.0.0/8\"",
        ),
        (
            r#"{"servers": {"a": {}}, "limits": {"body": "4M"}}"#,
            "limits.body: found a string, wanted a whole number from 1 to 4294967295",
        ),
        (
            r#"{"servers": {"a": {}}, "limits": {"headTimeout": 0}}"#,
            "limits.headTimeout: found the number 0, wanted a number of seconds above 0",
        ),
    ];
    for (text, message) in files {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn a_name_that_cannot_stand_in_a_url_is_derived_with_a_warning() {
    let config = read(r#"{"mcpServers": {"b c": {"command": "x"}, "my__tool": {"command": "y"}}}"#).unwrap();
    let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["b-c", "my_tool"]);
    assert_eq!(
        config.warnings,
        [
            "mcpServers[\"b c\"]: the name \"b c\" cannot stand in a URL; mounted as `b-c`, at /servers/b-c/mcp",
            "mcpServers.my__tool: the name \"my__tool\" cannot stand in a URL; mounted as `my_tool`, at /servers/my_tool/mcp",
        ]
    );
}

#[test]
fn two_names_that_become_equal_refuse_the_file() {
    assert_eq!(
        refusal(r#"{"mcpServers": {"b c": {"command": "x"}, "b-c": {"command": "y"}}}"#),
        "mcpServers.b-c: \"b c\" and \"b-c\" would both be mounted as `b-c`; rename one"
    );
    assert_eq!(
        refusal(r#"{"servers": [{"name": "a"}, {"name": "a"}]}"#),
        "servers[1]: \"a\" and \"a\" would both be mounted as `a`; rename one"
    );
}

#[test]
fn a_command_line_in_command_stays_one_name_with_a_warning() {
    let text = r#""command": "uvx mcp-server-time --key s3cret""#;
    assert_eq!(command(text).program, "uvx mcp-server-time --key s3cret");
    let warnings = warnings(text);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("mcpServers.a.command: taken as the name of one program"),
        "{warnings:?}"
    );
    assert!(!warnings[0].contains("s3cret"));
    assert_eq!(self::warnings(r#""command": "/opt/my server""#), [] as [&str; 0]);
    assert_eq!(self::warnings(r#""command": "a b", "args": []"#), [] as [&str; 0]);
}

#[test]
fn times_that_look_like_milliseconds_and_more_spares_than_processes_are_warned_about() {
    assert_eq!(
        warnings(r#""command": "x", "timeout": 30000"#),
        ["mcpServers.a.timeout: 30000 seconds are more than 8 hours; milliseconds are not meant here"]
    );
    let config = read(&entry(r#""command": "x", "pool": {"warm": 5, "max": 2}"#)).unwrap();
    assert_eq!(config.warnings, ["mcpServers.a.pool.warm: 5 is more than `pool.max`, which is 2"]);
    assert_eq!(config.servers[0].pool.warm, 2);
    let singleton = read(&entry(r#""command": "x", "pool": {"mode": "shared", "max": 1}"#)).unwrap();
    assert!(singleton.servers[0].pool.is_singleton());
    assert_eq!(singleton.warnings, [] as [&str; 0]);
}

#[test]
fn no_secret_is_in_a_refusal() {
    for members in [
        r#""command": {"TOKEN": "s3cret"}"#,
        r#""command": "x", "args": "s3cret""#,
        r#""command": "x", "cwd": ["s3cret"]"#,
        r#""command": "x", "pool": {"mode": ["s3cret"]}"#,
    ] {
        assert!(!refusal(&entry(members)).contains("s3cret"), "{members}");
    }
}

#[test]
fn a_file_is_loaded_with_the_env_file_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("servers.json");
    let text = "\u{feff}{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [\"${TOKEN}\", \"${LOCAL}\"], \"cwd\": \"w\", \"x\": 1}}}";
    std::fs::write(&path, text).unwrap();
    std::fs::write(directory.path().join(".env"), "TOKEN=from-file\nLOCAL='of the file'\nnonsense\n")
        .unwrap();
    let config = load(&path, &environment).unwrap();
    let Target::Stdio(command) = &config.servers[0].target else { panic!("{config:?}") };
    assert_eq!(command.args, ["s3cret", "of the file"], "the environment wins over .env");
    assert_eq!(command.cwd, Some(directory.path().join("w")));
    let file = path.display();
    assert_eq!(
        config.warnings,
        [
            format!("{file}: .env: a line that is not NAME=value is ignored"),
            format!("{file}: mcpServers.a.x: unknown key, ignored"),
        ]
    );
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_files_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.json");
    let error = load(&path, &environment).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: cannot be read", path.display()));
    std::fs::write(&path, "{\n \"a\" }").unwrap();
    let error = load(&path, &environment).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: line 2, column 6: not JSON: expected `:`", path.display()));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "mcpServers",
            "servers",
            "name",
            "command",
            "args",
            "env",
            "cwd",
            "url",
            "headers",
            "type",
            "enabled",
            "timeout",
            "pool",
            "mode",
            "max",
            "warm",
            "era",
            "restart",
            "limits",
            "aggregate",
            "host",
            "port",
            "shared",
            "${A}",
            "",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_panics(value in json()) {
        let _ = read(&value.to_string());
        let _ = read(&serde_json::json!({ "mcpServers": { "a": value.clone() }, "limits": value }).to_string());
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = read(&text);
    }
}

#[test]
fn when_a_server_starts_is_said_by_the_entry_else_for_all() {
    let started = |top: &str, members: &str| {
        let config =
            read(&format!(r#"{{{top} "mcpServers": {{"a": {{"command": "x" {members}}}}}}}"#)).unwrap();
        let server = &config.servers[0];
        (server.startup, server.pool.warm, server.is_lazy(), config.warnings.len())
    };
    let (eager, normal, lazy) = (Startup::Eager, Startup::Normal, Startup::Lazy);
    let table = [
        ("", "", (normal, 1, false, 0)),
        ("", r#", "lazy": true"#, (lazy, 0, true, 0)),
        ("", r#", "lazy": true, "pool": {"max": 3, "warm": 0}"#, (lazy, 0, true, 0)),
        ("", r#", "startup": "Lazy", "lazy": true, "pool": {"warm": 2}"#, (lazy, 0, true, 1)),
        ("", r#", "pool": {"warm": 0}"#, (normal, 0, true, 0)),
        ("", r#", "pool": {"warm": 0}, "startup": "eager""#, (eager, 0, false, 0)),
        (r#""startup": "eager","#, "", (eager, 1, false, 0)),
        (r#""startup": "eager","#, r#", "lazy": true"#, (lazy, 0, true, 0)),
        (r#""startup": "lazy","#, "", (lazy, 0, true, 0)),
        (r#""startup": "lazy","#, r#", "lazy": false"#, (normal, 1, false, 0)),
        (r#""startup": "lazy","#, r#", "startup": "normal""#, (normal, 1, false, 0)),
    ];
    for (top, members, expected) in table {
        assert_eq!(started(top, members), expected, "{top} {members}");
    }
    let warned = warnings(r#""command": "x", "lazy": true, "pool": {"warm": 2}"#);
    assert_eq!(warned, ["mcpServers.a.pool.warm: ignored: a lazy server has no processes that stand ready"]);
    for (members, wanted) in [
        (
            r#""startup": "later""#,
            r#"mcpServers.a.startup: found "later", wanted "eager" or "normal" or "lazy""#,
        ),
        (
            r#""startup": 1"#,
            r#"mcpServers.a.startup: found the number 1, wanted "eager" or "normal" or "lazy""#,
        ),
        (r#""lazy": "yes""#, "mcpServers.a.lazy: found a string, wanted true or false"),
        (
            r#""lazy": true, "startup": "eager""#,
            "mcpServers.a.startup: found `startup` beside a `lazy` that contradicts it, wanted one of them",
        ),
    ] {
        assert_eq!(refusal(&entry(&format!(r#""command": "x", {members}"#))), wanted);
    }
    let refused = refusal(r#"{"startup": "soon", "mcpServers": {"a": {"command": "x"}}}"#);
    assert_eq!(refused, r#"startup: found "soon", wanted "eager" or "normal" or "lazy""#);
}
