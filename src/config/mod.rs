//! What the router is asked to serve: servers, addresses and limits, checked once and valid from then on.
//!
//! [`Config`] comes from the command line and, where one is named, from a [`file`](mod@file).

mod access_log;
mod aggregate;
mod aliases;
mod auth;
mod base_path;
pub mod diff;
mod dotenv;
mod entry;
mod error;
mod expand;
pub mod file;
mod history;
mod json;
mod keys;
mod limits;
mod login;
mod mask;
mod name;
mod node;
mod origin;
mod personal;
mod quota;
mod remote;
mod resource_server;
mod rules;
mod sandbox;
mod target;
mod tls;
mod tools;
mod traces;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use access_log::{AccessLogPlace, AccessLogSpec};
pub use aggregate::{AggregateSpec, Gateway, Prefix, Rules};
pub use aliases::Aliases;
pub use auth::AuthSpec;
pub use base_path::{InvalidBasePath, base_path};
pub use diff::Diff;
pub use error::{ConfigError, Problem};
pub use history::HistorySpec;
pub use keys::{TokenSpec, digest, hexadecimal};
pub use login::LoginOptions;
pub use name::{InvalidName, ServerName};
pub use origin::{InvalidOrigin, origin, origin_pattern};
pub use personal::EnvFromHeader;
pub use quota::{MountLimits, PaceSpec, PrincipalLimits, QuotaSpec};
pub use remote::{InvalidUrl, RemoteSpec, RemoteTransport, Verify, is_off_limits};
pub use resource_server::{ResourceServerSpec, SigningAlgorithm};
pub use rules::{RuleSpec, Who, patterns};
pub use sandbox::{Places, Sandbox};
pub use tls::{ClientAuth, TlsSpec, UnixSpec, mode};
pub use tools::{Pin, ToolsSpec};
pub use traces::TracesSpec;

/// Everything that a router is built from.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Config {
    /// The address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// With what certificate, if connections are encrypted.
    pub tls: Option<TlsSpec>,
    /// A unix socket to listen on, too or only.
    pub unix_socket: Option<UnixSpec>,
    /// The named servers, in the order in which they were given.
    pub servers: Vec<ServerSpec>,
    /// The server behind `/mcp`, `/sse` and `/messages`, if the command line gave one.
    pub default_server: Option<ServerSpec>,
    /// What is served of all of them together.
    pub gateway: Gateway,
    /// Who may call, and what; `None`: everybody, and everything.
    pub auth: Option<AuthSpec>,
    /// Children inherit the router's whole environment, not only the safe part of it.
    pub pass_environment: bool,
    /// Streamable HTTP needs no session: each request stands alone.
    pub stateless: bool,
    /// Requests are measured.
    pub metrics: bool,
    /// Whether operators may look on at what clients and servers say to each other.
    pub traffic: bool,
    /// Where calls are recorded, if they are.
    pub history: Option<HistorySpec>,
    /// Where a line is written for each request; `None`: nowhere.
    pub access_log: Option<AccessLogSpec>,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<TracesSpec>,
    /// A session without request and without stream ends after this; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Origins that may read answers (CORS) and pass the guard, each as [`origin()`] reads it; `*` among them allows all.
    pub allow_origins: Vec<String>,
    /// Headers of an answer that scripts of an allowed origin may read, besides `Mcp-Session-Id`.
    pub expose_headers: Vec<String>,
    /// Host names that pass the guard besides the ones that always do.
    pub allow_hosts: Vec<String>,
    /// What a reverse proxy puts before our paths: empty, or `/prefix` without a slash at its end.
    pub base_path: String,
    /// Proxies whose `X-Forwarded-Prefix` is believed.
    pub trust_proxies: Vec<ipnet::IpNet>,
    /// What the default server's paths are called besides.
    pub aliases: Aliases,
    /// Where what servers list is kept for the time when they do not run; `None`: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// The program that applies a [`Sandbox`] to itself and becomes the command: `mcp-switchboard`. Without it, commands with
    /// a sandbox are not run.
    pub sandbox_helper: Option<PathBuf>,
    /// Where it is noted what the tools of servers say of themselves; `None`: nowhere.
    pub pins_file: Option<PathBuf>,
    /// How much of everything.
    pub limits: Limits,
    /// What was odd but not wrong; told once at the start.
    pub warnings: Vec<String>,
}

/// One server that the router mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// Where it is mounted: `/servers/<name>`.
    pub name: ServerName,
    /// What it is, or why it cannot be had.
    pub target: Target,
    /// Longest time that a request may take; progress restarts the clock. `None`: no limit.
    pub timeout: Option<Duration>,
    /// Longest silence between the first message written to a process and its first answer.
    pub start_timeout: Duration,
    /// How processes are kept and shared.
    pub pool: PoolSpec,
    /// What the server speaks, where finding out should not be trusted.
    pub era: EraSetting,
    /// What becomes of a session whose process dies.
    pub restart: RestartSpec,
    /// When it is started.
    pub startup: Startup,
    /// What each user brings for a process of his own; nothing is started without a user then.
    pub env_from_header: EnvFromHeader,
    /// How much of it all its callers together may have.
    pub limits: MountLimits,
    /// Which of its tools are served.
    pub tools: ToolsSpec,
}

/// What stands behind a mount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A command that speaks MCP over its standard streams.
    Stdio(CommandSpec),
    /// A URL that speaks MCP over HTTP.
    Remote(RemoteSpec),
    /// Other mounts of this router, behind one endpoint.
    Aggregate(Box<AggregateSpec>),
    /// Switched off in the file: its paths answer 404.
    Disabled,
    /// The entry cannot work, for the reason given: its paths answer 503. The reason holds no secret.
    Broken(String),
}

/// A command to spawn, without a shell.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CommandSpec {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables beside the inherited ones; values may be secret.
    pub env: BTreeMap<String, String>,
    /// The working directory; the router's own if none.
    pub cwd: Option<PathBuf>,
    /// Strings that must never be shown: what a `${}` produced.
    pub secrets: Vec<String>,
    /// What its processes may not do.
    pub sandbox: Option<Box<Sandbox>>,
}

/// How a mount keeps and shares its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Whether legacy clients share processes.
    pub mode: PoolMode,
    /// Processes kept ready, not yet spoken to.
    pub warm: usize,
    /// Most processes, spares and probes included.
    pub max: usize,
    /// Overrides [`Config::idle_timeout`] for this mount: `None` says nothing, `Some(None)` says never.
    pub idle_timeout: Option<Option<Duration>>,
    /// Which modern or stateless clients may share a process.
    pub isolation: Isolation,
}

/// Whether legacy clients share processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// Every legacy client has its own process.
    Session,
    /// Clients share processes.
    Shared,
}

/// Which clients without a session may share a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All of them.
    Shared,
    /// Those of one principal.
    Principal,
    /// None: a process for each request.
    Request,
}

/// The configured era of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraSetting {
    /// Found out.
    Auto,
    /// It speaks a legacy revision.
    Legacy,
    /// It speaks 2026-07-28.
    Modern,
}

/// When a server is started for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Startup {
    /// With the router, which is ready only once it has answered a handshake.
    Eager,
    /// With the router, which does not wait for its answer.
    #[default]
    Normal,
    /// When somebody wants something of it.
    Lazy,
}

/// What becomes of a session whose process dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartSpec {
    /// Go on with a new process, or end.
    pub on_crash: OnCrash,
    /// Failed starts before the mount is `failed`; deaths within ten seconds before a session ends.
    pub attempts: u32,
}

/// Whether a session survives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCrash {
    /// The session goes on with a new process.
    Restart,
    /// The session ends: its next request gets 404.
    End,
}

/// How much of everything; each has its key under `limits` in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a line that a server writes.
    pub line: usize,
    /// Nesting of a message, the outermost container counting as 1.
    pub depth: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections from one address, unless it is this machine's or a trusted proxy's.
    pub connections_per_client: usize,
    /// Running processes, over all mounts.
    pub processes: usize,
    /// Sessions of clients, over all mounts.
    pub sessions: usize,
    /// Streams that are open for as long as their clients like, over all mounts.
    pub streams: usize,
    /// From connecting to the end of the first head.
    pub head_timeout: Duration,
    /// From the head to the end of the body.
    pub body_timeout: Duration,
    /// A connection without a request.
    pub idle_connection: Duration,
}

impl Config {
    /// The files that were read for it, beside the one that it is written in: they may change as that one may.
    pub fn files(&self) -> Vec<PathBuf> {
        self.auth.iter().flat_map(|auth| auth.files.clone()).collect()
    }
}

impl ServerSpec {
    /// A stdio server with every setting at its default.
    pub fn stdio(name: ServerName, command: CommandSpec) -> Self {
        Self::new(name, Target::Stdio(command))
    }

    /// A mount of `target` with every setting at its default.
    pub fn new(name: ServerName, target: Target) -> Self {
        let mut pool = PoolSpec::default();
        if matches!(target, Target::Remote(_)) {
            pool.max = PoolSpec::MOST_CONNECTIONS;
        }
        Self {
            name,
            target,
            timeout: None,
            start_timeout: Duration::from_mins(1),
            pool,
            era: EraSetting::Auto,
            restart: RestartSpec::default(),
            startup: Startup::default(),
            env_from_header: EnvFromHeader::default(),
            limits: MountLimits::default(),
            tools: ToolsSpec::default(),
        }
    }

    /// Whether nothing of it is started, and nothing said to it, before somebody wants something of it.
    pub fn is_lazy(&self) -> bool {
        self.is_personal() || (self.pool.warm == 0 && self.startup != Startup::Eager)
    }

    /// Whether each of its processes is one user's, who brings what it works with.
    pub fn is_personal(&self) -> bool {
        !self.env_from_header.is_empty()
    }
}

impl PoolSpec {
    /// Most sessions with a remote server, unless the file says otherwise: they cost it little, and us less.
    pub const MOST_CONNECTIONS: usize = 1024;

    /// Exactly one process, ever: for servers that may run only once.
    pub fn is_singleton(&self) -> bool {
        self.mode == PoolMode::Shared && self.max == 1
    }
}

impl CommandSpec {
    /// A command without arguments, environment or directory of its own.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            secrets: Vec::new(),
            sandbox: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tls: None,
            unix_socket: None,
            servers: Vec::new(),
            default_server: None,
            gateway: Gateway::default(),
            auth: None,
            pass_environment: false,
            stateless: false,
            metrics: true,
            traffic: false,
            history: None,
            access_log: None,
            traces: None,
            idle_timeout: Some(Duration::from_mins(5)),
            allow_origins: Vec::new(),
            expose_headers: Vec::new(),
            allow_hosts: Vec::new(),
            base_path: String::new(),
            trust_proxies: Vec::new(),
            aliases: Aliases::default(),
            cache_dir: None,
            sandbox_helper: None,
            pins_file: None,
            limits: Limits::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for PoolSpec {
    fn default() -> Self {
        Self {
            mode: PoolMode::Session,
            warm: 1,
            max: 64,
            idle_timeout: None,
            isolation: Isolation::Principal,
        }
    }
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self { on_crash: OnCrash::Restart, attempts: 3 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            line: 64 << 20,
            depth: 128,
            head: 64 << 10,
            headers: 64,
            connections: 4096,
            connections_per_client: 1024,
            processes: 256,
            sessions: 10_000,
            streams: 10_000,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            idle_connection: Duration::from_secs(75),
        }
    }
}

/// A command is shown as its program and the number of its arguments: they may hold secrets. So may the
/// program, if a `${}` produced a part of it: that part is hidden.
impl fmt::Display for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = mask::masked(&self.program, &self.secrets);
        match self.args.len() {
            0 => f.write_str(&program),
            1 => write!(f, "{program} (1 argument)"),
            n => write!(f, "{program} ({n} arguments)"),
        }
    }
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandSpec({self})")
    }
}
