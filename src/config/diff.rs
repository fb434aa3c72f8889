//! What differs between two configurations: servers by name, and which of their keys, but never what stands there.

use std::collections::HashMap;

use serde::Serialize;

use super::{CommandSpec, Config, RemoteSpec, ServerSpec, Target};

/// What a new configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Servers that there were not.
    pub added: Vec<String>,
    /// Servers whose entry is another one.
    pub changed: Vec<Changed>,
    /// Servers that there are no more.
    pub removed: Vec<String>,
    /// Servers that are the same.
    pub kept: Vec<String>,
    /// Keys beside the servers that are used from now on.
    pub settings: Vec<&'static str>,
    /// Keys beside the servers that are used from the next start on.
    pub needs_restart: Vec<&'static str>,
    /// What is odd about the new configuration.
    pub warnings: Vec<String>,
}

/// A server whose entry is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// The keys of the entry that differ.
    pub keys: Vec<&'static str>,
}

/// How a server of the new configuration stands to the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Added,
    /// These keys are.
    Changed(Vec<&'static str>),
    /// It is the same.
    Kept,
}

impl Diff {
    /// What differs in `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut diff = Self { warnings: new.warnings.clone(), ..Self::default() };
        let before: HashMap<&str, &ServerSpec> = by_name(&old.servers);
        let default = |server: &ServerSpec| old.default_server.as_ref().filter(|old| old.name == server.name);
        let defaults = new.default_server.iter().map(|server| (server, default(server)));
        let named = new.servers.iter().map(|server| (server, before.get(server.name.as_str()).copied()));
        for (server, before) in defaults.chain(named) {
            let name = server.name.to_string();
            match fate(before, server, old, new) {
                Fate::Added => diff.added.push(name),
                Fate::Changed(keys) => diff.changed.push(Changed { name, keys }),
                Fate::Kept => diff.kept.push(name),
            }
        }
        let after = by_name(&new.servers);
        let default = new.default_server.as_ref().map(|server| &server.name);
        let defaults = old.default_server.iter().filter(|server| Some(&server.name) != default);
        let gone = old.servers.iter().filter(|server| !after.contains_key(server.name.as_str()));
        diff.removed = defaults.chain(gone).map(|server| server.name.to_string()).collect();
        if old.gateway != new.gateway {
            diff.settings.push("aggregate");
        }
        if old.auth != new.auth {
            diff.settings.push("auth");
        }
        let fixed = [
            ("host", old.listen.ip() != new.listen.ip()),
            ("port", old.listen.port() != new.listen.port()),
            ("tls", old.tls != new.tls),
            ("unixSocket", old.unix_socket != new.unix_socket),
            ("limits", old.limits != new.limits),
            ("allowOrigins", old.allow_origins != new.allow_origins),
            ("allowHosts", old.allow_hosts != new.allow_hosts),
            ("basePath", old.base_path != new.base_path),
            ("trustProxies", old.trust_proxies != new.trust_proxies),
            ("metrics", old.metrics != new.metrics),
            ("history", old.history != new.history),
            ("traffic", old.traffic != new.traffic),
            ("pinsFile", old.pins_file != new.pins_file),
            ("accessLog", old.access_log != new.access_log),
            ("traces", old.traces != new.traces),
        ];
        diff.needs_restart = fixed.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect();
        diff
    }

    /// Whether the same servers are served in the same way.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// How `server` stands to the one that had its name, if one had.
pub fn fate(before: Option<&ServerSpec>, server: &ServerSpec, old: &Config, new: &Config) -> Fate {
    let Some(before) = before else { return Fate::Added };
    let mut keys = keys(before, server);
    let idle = |server: &ServerSpec, config: &Config| server.pool.idle_timeout.unwrap_or(config.idle_timeout);
    if idle(before, old) != idle(server, new) && !keys.contains(&"pool.idleTimeout") {
        keys.push("pool.idleTimeout");
    }
    if keys.is_empty() { Fate::Kept } else { Fate::Changed(keys) }
}

/// What is served from now on: the servers of `new`, and of `running` what only a new start can change.
pub fn applied(running: &Config, new: Config) -> Config {
    let Config { servers, default_server, gateway, auth, idle_timeout, warnings, .. } = new;
    Config { servers, default_server, gateway, auth, idle_timeout, warnings, ..running.clone() }
}

fn by_name(servers: &[ServerSpec]) -> HashMap<&str, &ServerSpec> {
    servers.iter().map(|server| (server.name.as_str(), server)).collect()
}

/// The keys that differ.
fn keys(old: &ServerSpec, new: &ServerSpec) -> Vec<&'static str> {
    let mut keys = target_keys(&old.target, &new.target);
    let (pool, next) = (&old.pool, &new.pool);
    let others = [
        ("timeout", old.timeout != new.timeout),
        ("startTimeout", old.start_timeout != new.start_timeout),
        ("pool.mode", pool.mode != next.mode),
        ("pool.warm", pool.warm != next.warm),
        ("pool.max", pool.max != next.max),
        ("pool.idleTimeout", pool.idle_timeout != next.idle_timeout),
        ("pool.isolation", pool.isolation != next.isolation),
        ("era", old.era != new.era),
        ("restart.onCrash", old.restart.on_crash != new.restart.on_crash),
        ("restart.attempts", old.restart.attempts != new.restart.attempts),
        ("startup", old.startup != new.startup),
        ("envFromHeader", old.env_from_header != new.env_from_header),
        ("limits", old.limits != new.limits),
        ("tools", old.tools != new.tools),
    ];
    keys.extend(named(&others));
    if keys.is_empty() && old != new {
        // A key of which nothing is known here.
        keys.push("entry");
    }
    keys
}

fn target_keys(old: &Target, new: &Target) -> Vec<&'static str> {
    match (old, new) {
        (old, new) if old == new => Vec::new(),
        (Target::Stdio(old), Target::Stdio(new)) => command_keys(old, new),
        (Target::Remote(old), Target::Remote(new)) => remote_keys(old, new),
        (Target::Disabled, _) | (_, Target::Disabled) => vec!["enabled"],
        // Which key breaks it is said by its reason, in `/status`.
        (Target::Broken(_) | Target::Aggregate(_), _) | (_, Target::Broken(_) | Target::Aggregate(_)) => {
            vec!["entry"]
        }
        (Target::Stdio(_), Target::Remote(_)) | (Target::Remote(_), Target::Stdio(_)) => {
            vec!["command", "url"]
        }
    }
}

fn command_keys(old: &CommandSpec, new: &CommandSpec) -> Vec<&'static str> {
    let keys = [
        ("command", old.program != new.program),
        ("args", old.args != new.args),
        ("env", old.env != new.env),
        ("cwd", old.cwd != new.cwd),
        ("sandbox", old.sandbox != new.sandbox),
    ];
    or_variables(named(&keys).collect())
}

fn remote_keys(old: &RemoteSpec, new: &RemoteSpec) -> Vec<&'static str> {
    let keys = [
        ("url", old.url != new.url),
        ("headers", old.headers != new.headers),
        ("type", old.transport != new.transport),
        ("oauth", old.login != new.login),
        ("allowHttp", old.allow_plain != new.allow_plain),
    ];
    or_variables(named(&keys).collect())
}

/// The meaning is the same, but another part of it comes from a `${}`.
fn or_variables(keys: Vec<&'static str>) -> Vec<&'static str> {
    if keys.is_empty() { vec!["variables"] } else { keys }
}

fn named<'a>(keys: &'a [(&'static str, bool)]) -> impl Iterator<Item = &'static str> + 'a {
    keys.iter().filter_map(|(key, differs)| differs.then_some(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EraSetting, Limits};
    use std::time::Duration;

    fn server(name: &str, change: impl FnOnce(&mut CommandSpec)) -> ServerSpec {
        let mut command = CommandSpec::new("run");
        change(&mut command);
        ServerSpec::stdio(name.parse().unwrap(), command)
    }

    fn config(servers: Vec<ServerSpec>) -> Config {
        Config { servers, ..Config::default() }
    }

    /// The keys that are said to differ between two servers of the same name.
    fn between(old: ServerSpec, new: ServerSpec) -> Vec<&'static str> {
        let diff = Diff::between(&config(vec![old]), &config(vec![new]));
        diff.changed.into_iter().flat_map(|changed| changed.keys).collect()
    }

    #[test]
    fn servers_are_told_apart_by_name_whatever_their_order() {
        let plain = |name: &str| server(name, |_| {});
        let old = config(vec![plain("a"), plain("b"), plain("c")]);
        let changed = server("b", |command| command.args.push("s3cret".to_owned()));
        let new =
            Config { warnings: vec!["odd".to_owned()], ..config(vec![plain("d"), changed, plain("a")]) };
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.added, ["d"]);
        assert_eq!(diff.changed, [Changed { name: "b".to_owned(), keys: vec!["args"] }]);
        assert_eq!(diff.removed, ["c"]);
        assert_eq!(diff.kept, ["a"]);
        assert_eq!(diff.warnings, ["odd"]);
        let told = serde_json::to_string(&diff).unwrap();
        assert!(!told.contains("s3cret"), "{told}");
        assert!(Diff::between(&new, &new).is_empty());
    }

    #[test]
    fn the_keys_that_differ_are_named() {
        let plain = || server("a", |_| {});
        let with = |change: fn(&mut ServerSpec)| {
            let mut server = plain();
            change(&mut server);
            server
        };
        let remote = |url: &str| {
            let target = Target::Remote(RemoteSpec::new(url).unwrap());
            ServerSpec { target, ..plain() }
        };
        let mut headed = RemoteSpec::new("https://a.example/").unwrap();
        headed.set_header("X", "y".to_owned());
        let headed = ServerSpec { target: Target::Remote(headed), ..plain() };
        let table: Vec<(ServerSpec, ServerSpec, &[&str])> = vec![
            (plain(), plain(), &[]),
            (plain(), server("a", |command| command.program.push('x')), &["command"]),
            (plain(), server("a", |command| drop(command.env.insert("K".into(), "v".into()))), &["env"]),
            (plain(), server("a", |command| command.cwd = Some("/".into())), &["cwd"]),
            (plain(), server("a", |command| command.sandbox = Some(Box::default())), &["sandbox"]),
            (plain(), server("a", |command| command.secrets.push("run".into())), &["variables"]),
            (plain(), with(|server| server.timeout = Some(Duration::from_secs(1))), &["timeout"]),
            (plain(), with(|server| server.era = EraSetting::Legacy), &["era"]),
            (
                plain(),
                with(|server| (server.pool.warm, server.pool.max) = (0, 1)),
                &["pool.warm", "pool.max"],
            ),
            (plain(), with(|server| server.restart.attempts = 1), &["restart.attempts"]),
            (plain(), with(|server| server.tools.trust_hints = true), &["tools"]),
            (plain(), with(|server| server.target = Target::Disabled), &["enabled"]),
            (plain(), with(|server| server.target = Target::Broken("x".into())), &["entry"]),
            (plain(), remote("https://a.example/"), &["command", "url"]),
            (remote("https://a.example/"), remote("https://b.example/"), &["url"]),
            (remote("https://a.example/"), headed, &["headers"]),
        ];
        for (old, new, keys) in table {
            assert_eq!(between(old, new), keys);
        }
    }

    #[test]
    fn what_sessions_have_from_all_servers_counts_where_a_server_has_not_its_own() {
        let own = {
            let mut server = server("own", |_| {});
            server.pool.idle_timeout = Some(None);
            server
        };
        let old = config(vec![server("a", |_| {}), own]);
        let new = Config { idle_timeout: None, ..old.clone() };
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.changed, [Changed { name: "a".to_owned(), keys: vec!["pool.idleTimeout"] }]);
        assert_eq!(diff.kept, ["own"]);
    }

    #[test]
    fn what_only_a_new_start_can_change_is_named() {
        let old = config(vec![server("a", |_| {})]);
        let new = Config {
            listen: "127.0.0.1:1".parse().unwrap(),
            limits: Limits { body: 1, ..Limits::default() },
            base_path: "/x".to_owned(),
            ..old.clone()
        };
        let servers = vec![server("b", |_| {})];
        let served = applied(&old, Config { servers: servers.clone(), ..new.clone() });
        assert_eq!((served.listen, &served.limits, &served.servers), (old.listen, &old.limits, &servers));
        assert_eq!(Diff::between(&served, &new).needs_restart, ["port", "limits", "basePath"], "said again");
        assert_eq!(Diff::between(&old, &new).needs_restart, ["port", "limits", "basePath"]);
        assert!(Diff::between(&old, &new).is_empty());
    }
}
