//! From the command line, the environment and the file to one configuration: option, environment, file, default.

mod listening;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::arguments::{Arguments, Format, Level, Transport};
use super::compat::is_url;
use super::remote;
use crate::config::file::{FileConfig, renamed};
use crate::config::{
    AccessLogPlace, AccessLogSpec, AuthSpec, CommandSpec, Config, HistorySpec, RemoteSpec,
    ResourceServerSpec, ServerName, ServerSpec, Target, TracesSpec,
};

/// What the meaning of a command line depends on beside its words.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The addresses of a host.
    pub resolve: &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
    /// The text of a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// A person reads what is logged.
    pub is_terminal: bool,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The command line, or the environment in its place, makes no sense.
    #[error("{0}")]
    Arguments(String),
    /// The file does not go together with the rest.
    #[error("{0}")]
    File(String),
    /// Neither a command nor a named server.
    #[error("nothing to serve")]
    Nothing,
}

/// The configuration that `arguments` ask for, beside the file that they name, if they do.
pub fn config(
    arguments: &Arguments,
    file: Option<FileConfig>,
    outside: &Outside<'_>,
) -> Result<Config, Unusable> {
    let mut warnings = arguments.habits.warnings.clone();
    let named_file = file.is_some();
    let mut file = file.unwrap_or_default();
    warnings.append(&mut file.warnings);

    let mut default_server = default_server(arguments, outside, named_file, &mut warnings)?;
    let mut servers = if named_file {
        if !arguments.named_server.is_empty() {
            warnings
                .push("`--named-server` is ignored: the file is the only source of named servers".to_owned());
        }
        std::mem::take(&mut file.servers)
    } else {
        named_servers(&arguments.named_server, &mut warnings)?
    };
    if servers.is_empty() && default_server.is_none() {
        return Err(Unusable::Nothing);
    }
    let interactive = outside.is_terminal || (servers.is_empty() && is_stdio(arguments));
    for server in servers.iter_mut().chain(&mut default_server) {
        remote::settle(&mut server.target, arguments, interactive);
    }
    if let Some(Target::Broken(reason)) = default_server.as_ref().map(|server| &server.target) {
        return Err(unusable(reason.clone()));
    }
    refuse_the_default_name_twice(default_server.as_ref(), &servers, named_file)?;
    warnings.extend(
        ignored(arguments, &servers, default_server.as_ref())
            .map(|option| format!("`{option}` is ignored: there is nothing here that it concerns")),
    );

    let tls = listening::tls(arguments, file.tls.take())?;
    let auth = auth(arguments, file.auth.take(), outside)?;
    let vouched_for = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if auth.as_ref().is_some_and(|auth| auth.certificates) && !vouched_for {
        let what = "`auth.certificates` without `tls.clientCa`, so that nobody could show a certificate";
        return Err(Unusable::File(format!("{what}: name the authority that vouches for clients")));
    }
    warnings.extend(auth.iter().flat_map(AuthSpec::strangers));
    let place = listening::place(arguments, &file, outside)?;
    Ok(Config {
        listen: place.address,
        tls,
        unix_socket: place.unix,
        servers,
        default_server,
        pass_environment: arguments.pass_environment,
        stateless: arguments.stateless,
        metrics: !arguments.no_metrics && file.metrics.unwrap_or(true),
        traffic: arguments.traffic || file.traffic,
        history: history(arguments, file.history),
        access_log: access_log(arguments, file.access_log.take()),
        traces: traces(arguments, file.traces.take(), outside)?,
        idle_timeout: idle_timeout(arguments, outside)?,
        allow_origins: first(&arguments.allow_origin, file.allow_origins),
        expose_headers: arguments.expose_header.clone(),
        allow_hosts: allow_hosts(arguments, file.allow_hosts, auth.as_ref()),
        base_path: arguments.base_path.clone().or(file.base_path).unwrap_or_default(),
        trust_proxies: first(&arguments.trust_proxy, file.trust_proxies),
        aliases: arguments.habits.aliases.clone(),
        gateway: file.gateway,
        auth,
        cache_dir: cache_dir(arguments, outside),
        sandbox_helper: sandbox_helper(),
        pins_file: file.pins_file,
        limits: file.limits,
        warnings,
    })
}

/// This program again, whatever has become of its file since: what is there now may be another version, or nothing.
fn sandbox_helper() -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| PathBuf::from("/proc/self/exe"))
}

/// Whether stdin and stdout are served: by a URL alone, with no port and no server beside it; or, where that is asked for,
/// by a URL whatever is beside it, or by all servers together.
pub fn is_client_mode(arguments: &Arguments, config: &Config) -> bool {
    match config.default_server.as_ref().map(|server| &server.target) {
        Some(Target::Remote(_)) => {
            is_stdio(arguments) && (config.servers.is_empty() || wants_stdio(arguments))
        }
        Some(_) => false,
        None => wants_stdio(arguments) && config.gateway.root.is_some(),
    }
}

fn is_stdio(arguments: &Arguments) -> bool {
    let has_socket = arguments.unix_socket.is_some()
        || arguments.host.as_deref().is_some_and(|host| host.starts_with("unix:"));
    wants_stdio(arguments) || (arguments.port.or(arguments.sse_port).is_none() && !has_socket)
}

fn wants_stdio(arguments: &Arguments) -> bool {
    [arguments.transport, arguments.transport_type].contains(&Some(Transport::Stdio))
}

/// The least severe level that is logged: `--debug`, `--log-level`, the environment, `info`.
pub fn level(arguments: &Arguments, outside: &Outside<'_>) -> Result<Level, Unusable> {
    if arguments.debug {
        return Ok(Level::Debug);
    }
    let from_environment = || {
        variable(outside, "MCP_PROXY_LOG_LEVEL", "a level like info", |text| Level::from_str(text, true).ok())
    };
    let level = arguments.log_level.map_or_else(from_environment, |level| Ok(Some(level)))?;
    Ok(level.unwrap_or(Level::Info))
}

/// How often files are looked at for changes; `None`: never.
pub fn look_interval(arguments: &Arguments) -> Option<Duration> {
    let interval = Duration::from_secs_f64(arguments.reload_interval.unwrap_or(1.0));
    (!arguments.no_reload && !interval.is_zero()).then_some(interval)
}

/// How often the configuration file is looked at for changes; `None`: never.
pub fn reload_interval(arguments: &Arguments) -> Option<Duration> {
    look_interval(arguments).filter(|_| arguments.named_server_config.is_some())
}

fn default_server(
    arguments: &Arguments,
    outside: &Outside<'_>,
    named_file: bool,
    warnings: &mut Vec<String>,
) -> Result<Option<ServerSpec>, Unusable> {
    let nothing_else = arguments.named_server.is_empty() && !named_file;
    let Some(program) = arguments.command_or_url.clone() else {
        // What was set for another tool must not choose what this one does.
        return match (outside.environment)("SSE_URL").filter(|url| nothing_else && !url.is_empty()) {
            Some(url) if is_url(&url) => default_remote(&url, arguments, outside)
                .map(Some)
                .map_err(|error| unusable(format!("SSE_URL: {error}"))),
            Some(_) => Err(unusable("SSE_URL: not an http:// or https:// URL")),
            None => Ok(None),
        };
    };
    if is_url(&program) {
        if let Some(word) = arguments.args.first() {
            return Err(unusable(format!("unexpected word {word:?} behind the URL")));
        }
        return default_remote(&program, arguments, outside).map(Some);
    }
    if program.trim().is_empty() {
        return Err(unusable("the command is empty"));
    }
    let name = default_name(arguments)?;
    if arguments.args.is_empty()
        && program.trim().contains(char::is_whitespace)
        && !Path::new(&program).is_file()
    {
        warnings.push(
            "the command is one word with spaces in it, and no shell splits it: leave the quotes out, \
             with `--` before it"
                .to_owned(),
        );
    }
    let mut command = CommandSpec::new(program);
    command.args.clone_from(&arguments.args);
    command.cwd = arguments.cwd.clone().filter(|cwd| !cwd.as_os_str().is_empty());
    for (key, value) in pairs(&arguments.env) {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            return Err(unusable("`--env` wants KEY and VALUE as two words; a KEY has no ="));
        }
        command.env.insert(key.to_owned(), value.to_owned());
    }
    Ok(Some(ServerSpec::stdio(name, command)))
}

/// The default server at a URL, with what is said of it: the transport, headers, the token of the environment.
fn default_remote(url: &str, arguments: &Arguments, outside: &Outside<'_>) -> Result<ServerSpec, Unusable> {
    let mut remote = RemoteSpec::new(url).map_err(|invalid| unusable(invalid.to_string()))?;
    remote.transport = remote::transport(arguments);
    for path in &arguments.header_file {
        let text = (outside.read)(path);
        let text = text.map_err(|error| unusable(format!("`--header-file` {}: {error}", path.display())))?;
        for (name, value) in remote::headers(&text)
            .map_err(|wrong| unusable(format!("`--header-file` {}: {wrong}", path.display())))?
        {
            remote.set_header(name, value.to_owned());
        }
    }
    for (name, value) in pairs(&arguments.headers) {
        remote.set_header(name, value.to_owned());
    }
    remote.login = remote::login(arguments).map_err(unusable)?.map(Box::new);
    if let Some(basic) = remote::basic(arguments).map_err(unusable)? {
        remote.set_header("Authorization", basic);
    }
    if let Some(token) = (outside.environment)("API_ACCESS_TOKEN").filter(|token| !token.trim().is_empty()) {
        remote.set_header("Authorization", format!("Bearer {}", token.trim()));
    }
    Ok(ServerSpec::new(default_name(arguments)?, Target::Remote(remote)))
}

fn default_name(arguments: &Arguments) -> Result<ServerName, Unusable> {
    let name = arguments.name.as_deref().unwrap_or("default");
    name.parse().map_err(|invalid| unusable(format!("`--name`: {invalid}")))
}

/// The named servers of the command line, in the order in which their names came first.
fn named_servers(words: &[String], warnings: &mut Vec<String>) -> Result<Vec<ServerSpec>, Unusable> {
    let mut written: Vec<&str> = Vec::new();
    let mut servers: Vec<ServerSpec> = Vec::new();
    let mut places: HashMap<ServerName, usize> = HashMap::new();
    for (name, line) in pairs(words) {
        let mount = ServerName::derive(name);
        let server = ServerSpec::new(mount.clone(), split(line));
        if let Some(&place) = places.get(&mount) {
            if written[place] != name {
                return Err(unusable(format!(
                    "{:?} and {name:?} would both be mounted as `{mount}`; rename one",
                    written[place]
                )));
            }
            warnings.push(format!("`--named-server {mount}` is given more than once: the last one counts"));
            servers[place] = server;
            continue;
        }
        if mount.as_str() != name {
            warnings.push(renamed(&"--named-server", name, &mount));
        }
        places.insert(mount, servers.len());
        written.push(name);
        servers.push(server);
    }
    Ok(servers)
}

/// Splits a command as a shell splits words; no shell is run.
fn split(line: &str) -> Target {
    let Some(mut words) = shlex::split(line) else {
        return Target::Broken("the command has a quote without its end".to_owned());
    };
    if words.is_empty() || words[0].trim().is_empty() {
        return Target::Broken("the command is empty".to_owned());
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Target::Broken("the command holds a NUL character".to_owned());
    }
    if is_url(&words[0]) {
        return match (RemoteSpec::new(&words[0]), words.get(1)) {
            (Ok(_), Some(word)) => Target::Broken(format!("unexpected word {word:?} behind the URL")),
            (Ok(remote), None) => Target::Remote(remote),
            (Err(invalid), _) => Target::Broken(invalid.to_string()),
        };
    }
    let args = words.split_off(1);
    Target::Stdio(CommandSpec { args, ..CommandSpec::new(words.swap_remove(0)) })
}

fn refuse_the_default_name_twice(
    default: Option<&ServerSpec>,
    servers: &[ServerSpec],
    named_file: bool,
) -> Result<(), Unusable> {
    let Some(name) = default.map(|server| &server.name) else { return Ok(()) };
    if !servers.iter().any(|server| server.name == *name) {
        return Ok(());
    }
    let message =
        format!("a named server has the default server's name, `{name}`; give that another by `--name`");
    Err(if named_file { Unusable::File(message) } else { Unusable::Arguments(message) })
}

fn idle_timeout(arguments: &Arguments, outside: &Outside<'_>) -> Result<Option<Duration>, Unusable> {
    let seconds = match arguments.timeout {
        Some(seconds) => Some(seconds),
        None => variable(outside, "MCP_PROXY_TIMEOUT", "a number of seconds", |text| {
            super::arguments::seconds(text).ok()
        })?,
    };
    let seconds = seconds.unwrap_or(300.0);
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

/// Where calls are recorded: where the option says, else where the file does.
fn history(arguments: &Arguments, file: Option<HistorySpec>) -> Option<HistorySpec> {
    match (arguments.history.clone(), file) {
        (Some(path), Some(file)) => Some(HistorySpec { file: path, ..file }),
        (Some(path), None) => Some(HistorySpec::new(path)),
        (None, file) => file,
    }
}

/// The access log, if there is one; it has the form of the other log. What is in it is said in the file alone.
fn access_log(arguments: &Arguments, file: Option<AccessLogSpec>) -> Option<AccessLogSpec> {
    let with_arguments = file.as_ref().is_some_and(|file| file.arguments);
    let named = arguments.access_log.clone().map(AccessLogPlace::named);
    let place = named.or(file.map(|file| file.place))?;
    Some(AccessLogSpec { place, json: arguments.log_format == Format::Json, arguments: with_arguments })
}

/// Where traces go, if that is asked for. Only then the environment is looked at, where whoever starts the router may have what
/// is meant for others.
fn traces(
    arguments: &Arguments,
    file: Option<TracesSpec>,
    outside: &Outside<'_>,
) -> Result<Option<TracesSpec>, Unusable> {
    let Some(mut spec) = file.or_else(|| arguments.traces.then(TracesSpec::default)) else { return Ok(None) };
    let endpoint = variable(
        outside,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "a URL like http://localhost:4318",
        TracesSpec::endpoint,
    )?;
    spec.endpoint = endpoint.unwrap_or(spec.endpoint);
    if let Some(text) = (outside.environment)("OTEL_EXPORTER_OTLP_HEADERS") {
        // They are not repeated: they may be secret.
        let wanted = "OTEL_EXPORTER_OTLP_HEADERS has no headers like \"name=value,name=value\"";
        let given = TracesSpec::headers(&text).ok_or_else(|| unusable(wanted.to_owned()))?;
        let is_given = |name: &str| given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        spec.headers.retain(|(name, _)| !is_given(name));
        spec.headers.extend(given);
    }
    let sample = variable(outside, "OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", TracesSpec::share)?;
    spec.sample = sample.unwrap_or(spec.sample);
    let wanted = "attributes like \"deployment.environment=production,team=tools\"";
    let resource = variable(outside, "OTEL_RESOURCE_ATTRIBUTES", wanted, TracesSpec::pairs)?;
    spec.resource = resource.unwrap_or(spec.resource);
    let of_resource =
        spec.resource.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.clone());
    let service = (outside.environment)("OTEL_SERVICE_NAME").or(of_resource);
    spec.service = service.filter(|name| !name.trim().is_empty()).unwrap_or(spec.service);
    Ok(Some(spec))
}

/// The names that the router answers to; the one that access tokens are for is among them.
fn allow_hosts(arguments: &Arguments, file: Vec<String>, auth: Option<&AuthSpec>) -> Vec<String> {
    let mut hosts = first(&arguments.allow_host, file);
    hosts.extend(auth.and_then(|auth| auth.oauth.as_ref()).and_then(ResourceServerSpec::host));
    hosts
}

/// Who may call: whom the file knows, and those whose keys are in `--tokens-file` and in the environment.
fn auth(
    arguments: &Arguments,
    file: Option<AuthSpec>,
    outside: &Outside<'_>,
) -> Result<Option<AuthSpec>, Unusable> {
    let mut auth = file;
    if let Some(path) = &arguments.tokens_file {
        let text = (outside.read)(path)
            .map_err(|error| unusable(format!("--tokens-file: {}: {error}", path.display())))?;
        let spec = auth.get_or_insert_default();
        spec.add_lines(&text)
            .map_err(|reason| unusable(format!("--tokens-file: {}: {reason}", path.display())))?;
        spec.files.push(path.clone());
        if spec.tokens.is_empty() {
            return Err(unusable(format!("--tokens-file: {}: there is no key in it", path.display())));
        }
    }
    if let Some(token) = (outside.environment)(TOKEN) {
        let token = token.trim();
        if token.is_empty() {
            // Whoever sets it wants to be protected.
            return Err(unusable(format!("{TOKEN} is set, and empty: set it to a key, or not at all")));
        }
        auth.get_or_insert_default().tokens.extend(AuthSpec::of_token("token", token).tokens);
    }
    if let Some((one, other)) = auth.as_ref().and_then(AuthSpec::doubled) {
        return Err(unusable(format!(
            "the same key stands for {one} and for {other}: give each a key of its own"
        )));
    }
    if auth.as_ref().is_some_and(|auth| !auth.lets_in_somebody()) {
        let ways = "give `tokens`, `tokensFile`, `oauth` or `certificates`, --tokens-file, or a key in";
        return Err(Unusable::File(format!(
            "`auth` knows nobody, so that nobody could call anything: {ways} {TOKEN}"
        )));
    }
    Ok(auth)
}

/// The environment variable that holds a key; no server's process inherits it.
pub(super) const TOKEN: &str = "MCP_SWITCHBOARD_TOKEN";

/// Where lists are kept: `--cache-dir`, the environment, the place that the system has for such things.
fn cache_dir(arguments: &Arguments, outside: &Outside<'_>) -> Option<PathBuf> {
    let variable =
        |name| (outside.environment)(name).filter(|path: &String| !path.is_empty()).map(PathBuf::from);
    // "All paths set in these environment variables must be absolute", says the XDG Base Directory Specification.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let given = arguments.cache_dir.clone().or_else(|| variable("MCP_SWITCHBOARD_CACHE"));
    given.or_else(|| {
        let system = if cfg!(windows) { absolute("LOCALAPPDATA") } else { absolute("XDG_CACHE_HOME") };
        let system = system.or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(system.join("mcp-switchboard"))
    })
}

/// A variable of the environment that stands for an option; an empty one counts as not set.
fn variable<T>(
    outside: &Outside<'_>,
    name: &str,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Unusable> {
    let Some(text) = (outside.environment)(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    read(text.trim()).map(Some).ok_or_else(|| unusable(format!("{name} is {text:?}, wanted {wanted}")))
}

/// Options that were given in vain: what concerns another kind of server than there is.
fn ignored(
    arguments: &Arguments,
    servers: &[ServerSpec],
    default: Option<&ServerSpec>,
) -> impl Iterator<Item = &'static str> {
    let is_remote = |server: &ServerSpec| matches!(server.target, Target::Remote(_));
    let default_is = |remote: bool| default.is_some_and(|server| is_remote(server) == remote);
    let any_remote = servers.iter().chain(default).any(is_remote);
    // On stdin and stdout all servers can be served together.
    let together = default.is_none() && wants_stdio(arguments);
    let of_the_default = [
        ("--headers", !arguments.headers.is_empty()),
        ("--header-file", !arguments.header_file.is_empty()),
        ("--transport", arguments.transport.is_some() && !together),
        ("--transport-type", arguments.transport_type.is_some() && !together),
        ("--client-id", arguments.client_id.is_some()),
        ("--client-secret", arguments.client_secret.is_some()),
        ("--token-url", arguments.token_url.is_some()),
        ("--username", arguments.username.is_some()),
        ("--password", arguments.password.is_some()),
        ("--digest", arguments.digest),
    ];
    let of_all = [
        ("--verify-ssl", arguments.verify_ssl.is_some()),
        ("--no-verify-ssl", arguments.no_verify_ssl),
        ("--allow-http", arguments.allow_http),
        ("--allow-link-local", arguments.allow_link_local),
    ];
    let local = [("--env", !arguments.env.is_empty()), ("--cwd", arguments.cwd.is_some())];
    let name = [("--name", default.is_none() && arguments.name.is_some())];
    let of_the_default = of_the_default.map(|(option, given)| (option, given && !default_is(true)));
    let of_all = of_all.map(|(option, given)| (option, given && !any_remote));
    let local = local.map(|(option, given)| (option, given && !default_is(false)));
    let all = of_the_default.into_iter().chain(of_all).chain(local).chain(name);
    all.filter(|(_, given)| *given).map(|(option, _)| option)
}

fn pairs(words: &[String]) -> impl Iterator<Item = (&str, &str)> {
    words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str()))
}

fn first<T: Clone>(options: &[T], file: Vec<T>) -> Vec<T> {
    if options.is_empty() { file } else { options.to_vec() }
}

fn unusable(message: impl Into<String>) -> Unusable {
    Unusable::Arguments(message.into())
}

#[cfg(test)]
mod tests;
