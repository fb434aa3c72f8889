//! The configuration file: servers under `mcpServers` or `servers`, and beside them what concerns them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ipnet::IpNet;

use super::dotenv::Dotenv;
use super::error::{ConfigError, Problem};
use super::expand::Variables;
use super::json::{Json, JsonPath};
use super::node::{Expansion, Members, Node};
use super::{
    AccessLogSpec, AuthSpec, Gateway, HistorySpec, Limits, ServerName, ServerSpec, Startup, TlsSpec,
    TracesSpec, access_log, aggregate, auth, base_path, entry, history, limits, origin, tls, traces,
};

/// Keys of the top level that protect something and that this version does not have.
const PROTECTING: &[&str] = &["tools", "sandbox", "envFromHeader"];

/// What a file says; `None` and empty lists where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct FileConfig {
    /// The servers, in the order in which they are written; at least one.
    pub servers: Vec<ServerSpec>,
    /// What is served of all of them together.
    pub gateway: Gateway,
    /// Who may call, and what; none: everybody, and everything.
    pub auth: Option<AuthSpec>,
    /// The name or address to listen on.
    pub host: Option<String>,
    /// The port to listen on; 0 takes a free one.
    pub port: Option<u16>,
    /// As [`Config::tls`](super::Config::tls).
    pub tls: Option<TlsSpec>,
    /// The path of a unix socket to listen on besides.
    pub unix_socket: Option<PathBuf>,
    /// The permissions of that socket.
    pub unix_socket_mode: Option<u32>,
    /// As [`Config::allow_origins`](super::Config::allow_origins).
    pub allow_origins: Vec<String>,
    /// As [`Config::allow_hosts`](super::Config::allow_hosts).
    pub allow_hosts: Vec<String>,
    /// As [`Config::base_path`](super::Config::base_path).
    pub base_path: Option<String>,
    /// As [`Config::trust_proxies`](super::Config::trust_proxies).
    pub trust_proxies: Vec<IpNet>,
    /// As [`Config::metrics`](super::Config::metrics).
    pub metrics: Option<bool>,
    /// The access log; `None`: there is none. Whether a file's lines are JSON is not said here.
    pub access_log: Option<AccessLogSpec>,
    /// As [`Config::traces`](super::Config::traces).
    pub traces: Option<TracesSpec>,
    /// As [`Config::pins_file`](super::Config::pins_file).
    pub pins_file: Option<PathBuf>,
    /// As [`Config::history`](super::Config::history).
    pub history: Option<HistorySpec>,
    /// As [`Config::traffic`](super::Config::traffic).
    pub traffic: bool,
    /// Every limit, where the file says nothing the default.
    pub limits: Limits,
    /// What was odd but not wrong, each with its place.
    pub warnings: Vec<String>,
}

/// What the meaning of a file depends on beside its text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The file's directory: relative working directories begin there.
    pub directory: &'a Path,
    /// The value of a variable for `${}`.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// Whether there is a file of that path.
    pub is_file: &'a dyn Fn(&Path) -> bool,
}

/// What stands in a configuration file and in the `.env` beside it.
#[derive(Clone)]
pub struct Written {
    path: PathBuf,
    text: Vec<u8>,
    dotenv: Dotenv,
    /// When the file was last written to, where that is known.
    at: Option<SystemTime>,
}

/// Reads the file at `path`, and the `.env` beside it if there is one, as they are now.
pub fn read(path: &Path) -> Result<Written, ConfigError> {
    let unreadable = |source| ConfigError::Read { file: path.to_owned(), source };
    // Asked first: what is written in between makes it younger than the text.
    let at = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let text = std::fs::read(path).map_err(unreadable)?;
    let dotenv = Dotenv::read(&directory_of(path).map_err(unreadable)?);
    Ok(Written { path: path.to_owned(), text, dotenv, at })
}

/// Reads the file at `path`, with variables from `environment` and, where it has none, from the `.env`
/// beside the file.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<FileConfig, ConfigError> {
    read(path)?.meaning(environment)
}

impl Written {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the same stands there.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.text, &self.dotenv) == (&other.text, &other.dotenv)
    }

    /// Whether nobody has written to the file in between, not even the same.
    pub fn is_untouched(&self, other: &Self) -> bool {
        self.says_the_same(other) && self.at == other.at
    }

    /// Whether there is a `.env` that can be read.
    pub fn has_dotenv(&self) -> bool {
        self.dotenv.is_there()
    }

    /// What it says, with variables from `environment` and, where it has none, from the `.env`.
    pub fn meaning(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<FileConfig, ConfigError> {
        let path = &self.path;
        let unreadable = |source| ConfigError::Read { file: path.clone(), source };
        let text = std::str::from_utf8(&self.text)
            .map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
        let directory = directory_of(path).map_err(unreadable)?;
        let set = self.dotenv.variables();
        let variables = |name: &str| environment(name).or_else(|| set.variables.get(name).cloned());
        let surroundings =
            Surroundings { directory: &directory, variables: &variables, is_file: &|path| path.is_file() };
        let mut config = parse(text, &surroundings)
            .map_err(|problem| ConfigError::Invalid { file: path.clone(), problem })?;
        config.pins_file.get_or_insert_with(|| beside(path));
        config.warnings.splice(0..0, set.warning.map(str::to_owned));
        for warning in &mut config.warnings {
            *warning = format!("{}: {warning}", path.display());
        }
        Ok(config)
    }
}

/// What stands in them may be secret.
impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Written({})", self.path.display())
    }
}

/// Reads the text of a file. It touches no disk but through `surroundings`.
///
/// # Errors
///
/// A problem in what concerns all servers, or in the shape of one of them, refuses the whole file; one
/// that concerns what a single server needs makes that server [`Target::Broken`](super::Target::Broken).
pub fn parse(text: &str, surroundings: &Surroundings<'_>) -> Result<FileConfig, Problem> {
    let json = Json::parse(text)?;
    let root = Node::root(&json);
    let mut members = root.members("an object with `mcpServers`")?;
    members.refuse(PROTECTING)?;
    members.get("$schema");
    let mut config = FileConfig::default();
    let startup = members.get("startup").map(|node| node.word(entry::STARTUP)).transpose()?;
    config.servers =
        servers(&root, &mut members, startup.unwrap_or_default(), surroundings, &mut config.warnings)?;
    settings(&mut members, surroundings.variables, &mut config)?;
    listeners(&mut members, surroundings, &mut config)?;
    if let Some(node) = members.get("history") {
        let Surroundings { directory, variables, .. } = *surroundings;
        config.history = Some(history::read(&node, variables, directory, &mut config.warnings)?);
    }
    if let Some(node) = members.get("limits") {
        config.limits = limits::read(&node)?;
    }
    if let Some(node) = members.get("aggregate") {
        let names: Vec<ServerName> = config.servers.iter().map(|server| server.name.clone()).collect();
        config.gateway = aggregate::read(&node, &names, &mut config.warnings)?;
    }
    if let Some(node) = members.get("accessLog") {
        config.access_log = access_log::read(&node, surroundings, &mut config.warnings)?;
    }
    if let Some(node) = members.get("traces") {
        config.traces = traces::read(&node, surroundings, &mut config.warnings)?;
    }
    if let Some(node) = members.protecting("pinsFile")? {
        let mut expansion = Expansion::new(surroundings.variables);
        let wanted = "the path of a file";
        config.pins_file = Some(checked(&node, &mut expansion, wanted, |path| {
            (!path.is_empty()).then(|| surroundings.directory.join(path))
        })?);
    }
    if let Some(node) = members.protecting("auth")? {
        config.auth = Some(auth::read(&node, surroundings, &mut config.warnings)?);
    }
    members.refuse_near(&["auth", "tls", "limits", "aggregate", "allowHosts", "allowOrigins"])?;
    config.warnings.extend(members.unknown());
    Ok(config)
}

/// What concerns all servers alike.
fn settings(
    members: &mut Members<'_>,
    variables: Variables<'_>,
    config: &mut FileConfig,
) -> Result<(), Problem> {
    config.metrics = members.get("metrics").map(|node| node.flag()).transpose()?;
    let mut expansion = Expansion::new(variables);
    if let Some(node) = members.get("host") {
        config.host = Some(checked(&node, &mut expansion, "a name or an address", |host| {
            (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| host.to_owned())
        })?);
    }
    if let Some(node) = members.get("port") {
        config.port = u16::try_from(node.count(0..=u32::from(u16::MAX))?).ok();
    }
    if let Some(node) = members.get("allowOrigins") {
        let wanted = "an origin like \"https://app.example.com\", or \"*\"";
        config.allow_origins = list(&node, &mut expansion, wanted, |text| origin(text).ok())?;
    }
    if let Some(node) = members.get("allowHosts") {
        let plain = |text: &str| !text.is_empty() && !text.contains(['/', ' ', '*', '@']);
        let wanted = "a host name like \"mcp.example.com\"";
        config.allow_hosts =
            list(&node, &mut expansion, wanted, |text| plain(text).then(|| text.to_ascii_lowercase()))?;
    }
    if let Some(node) = members.get("traffic") {
        config.traffic = node.flag()?;
    }
    if let Some(node) = members.get("basePath") {
        let wanted = "a path like \"/mcp\"";
        config.base_path = Some(checked(&node, &mut expansion, wanted, |text| base_path(text).ok())?);
    }
    if let Some(node) = members.get("trustProxies") {
        let wanted = "an address or a network like \"10.0.0.0/8\"";
        config.trust_proxies = list(&node, &mut expansion, wanted, network)?;
    }
    Ok(())
}

/// Where is listened besides, and with what.
fn listeners(
    members: &mut Members<'_>,
    surroundings: &Surroundings<'_>,
    config: &mut FileConfig,
) -> Result<(), Problem> {
    let Surroundings { directory, variables, .. } = *surroundings;
    if let Some(node) = members.protecting("tls")? {
        config.tls = Some(tls::read(&node, variables, directory)?);
    }
    if let Some(node) = members.get("unixSocket") {
        config.unix_socket = Some(tls::path(&node, variables, directory)?);
    }
    if let Some(node) = members.get("unixSocketMode") {
        let wanted = "permissions in octal digits, like \"0660\"";
        config.unix_socket_mode = Some(checked(&node, &mut Expansion::new(variables), wanted, tls::mode)?);
    }
    Ok(())
}

/// Reads a network, or an address, which is a network of one.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

pub(super) fn checked<T>(
    node: &Node<'_>,
    expansion: &mut Expansion<'_>,
    wanted: &str,
    check: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Problem> {
    let text = expansion.whole(node)?;
    check(&text).ok_or_else(|| node.wanted(wanted))
}

pub(super) fn list<T>(
    node: &Node<'_>,
    expansion: &mut Expansion<'_>,
    wanted: &str,
    check: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    node.items("a list of strings")?.map(|item| checked(&item, expansion, wanted, &check)).collect()
}

/// The servers, in whichever of the three spellings.
fn servers(
    root: &Node<'_>,
    members: &mut Members<'_>,
    startup: Startup,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<ServerSpec>, Problem> {
    let node = match (members.get("mcpServers"), members.get("servers")) {
        (Some(node), None) | (None, Some(node)) => node,
        (Some(_), Some(node)) => {
            let found = "`servers` beside `mcpServers`".to_owned();
            return Err(Problem::Value { path: node.path, found, wanted: "one of them".to_owned() });
        }
        (None, None) => {
            let (path, found) = (root.path.clone(), "no servers".to_owned());
            return Err(Problem::Value { path, found, wanted: "`mcpServers` with at least one".to_owned() });
        }
    };
    let entries = entries(&node)?;
    if entries.is_empty() {
        let (path, found) = (node.path, "no servers".to_owned());
        return Err(Problem::Value { path, found, wanted: "at least one".to_owned() });
    }
    let mut taken: HashMap<ServerName, &str> = HashMap::with_capacity(entries.len());
    let mut servers = Vec::with_capacity(entries.len());
    for (written, node) in entries {
        let name = mount_name(written, &node.path, &taken)?;
        if name.as_str() != written {
            warnings.push(renamed(&node.path, written, &name));
        }
        servers.push(entry::read(name.clone(), &node, startup, surroundings, warnings)?);
        taken.insert(name, written);
    }
    Ok(servers)
}

fn entries<'a>(node: &Node<'a>) -> Result<Vec<(&'a str, Node<'a>)>, Problem> {
    let wanted = "an object of servers";
    if node.path != JsonPath::default().key("servers") || !matches!(node.json, Json::List(_)) {
        return Ok(node.members(wanted)?.iter().collect());
    }
    let named = |item: Node<'a>| {
        let mut members = item.members("an object that describes a server")?;
        let name = members.get("name").ok_or_else(|| Problem::Value {
            path: item.path.key("name"),
            found: "nothing".to_owned(),
            wanted: "the server's name".to_owned(),
        })?;
        Ok((name.text()?, item))
    };
    node.items(wanted)?.map(named).collect()
}

fn mount_name(
    written: &str,
    path: &JsonPath,
    taken: &HashMap<ServerName, &str>,
) -> Result<ServerName, Problem> {
    let name = ServerName::derive(written);
    match taken.get(&name) {
        None => Ok(name),
        Some(first) => Err(Problem::SameName {
            path: path.clone(),
            first: (*first).to_owned(),
            second: written.to_owned(),
            name: name.to_string(),
        }),
    }
}

/// The warning that a server's name is not the one that was written.
pub(crate) fn renamed(place: &dyn std::fmt::Display, written: &str, name: &ServerName) -> String {
    format!(
        "{place}: the name {written:?} cannot stand in a URL; mounted as `{name}`, at /servers/{name}/mcp"
    )
}

/// Where pins are noted unless the file says otherwise: beside it.
fn beside(path: &Path) -> PathBuf {
    // A working directory that is changed later must not change it.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).with_extension("pins.json")
}

fn directory_of(path: &Path) -> std::io::Result<PathBuf> {
    Ok(std::path::absolute(path)?.parent().map_or_else(PathBuf::new, Path::to_owned))
}

#[cfg(test)]
pub(super) mod tests;
