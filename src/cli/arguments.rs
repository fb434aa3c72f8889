//! The command line as clap reads it, after [`compat`](super::compat) has made it unambiguous.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use super::client_config::ClientConfig;
use super::doctor::Doctor;
use super::drop_in::{Habits, Tool};
use super::history::History;
use super::import::Import;
use super::look::Servers;
use crate::config;

/// The options and words of the command line.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "mcp-switchboard",
    version,
    about = "Connects any MCP client to any MCP server: named stdio servers over Streamable HTTP and HTTP+SSE.",
    after_help = "Examples:\n  \
        mcp-switchboard --port 8080 --named-server time 'uvx mcp-server-time'\n  \
        mcp-switchboard --port 8080 --named-server-config servers.json\n  \
        mcp-switchboard --port 8080 -- uvx mcp-server-time --local-timezone UTC\n\n\
        A named server answers at /servers/NAME/mcp and /servers/NAME/sse, the COMMAND's at /mcp and /sse.",
    max_term_width = 110,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line, which may all be combined"
)]
pub struct Arguments {
    /// A word that stands for a task of its own, only as the first argument.
    #[command(subcommand)]
    pub task: Option<Task>,

    /// The default server: a command, or the URL of a remote server.
    pub command_or_url: Option<String>,
    /// Arguments of the command; those that begin with a dash go after `--`.
    pub args: Vec<String>,

    /// A server mounted at /servers/NAME; COMMAND is split as a shell splits words; repeatable.
    #[arg(long, num_args = 2, value_names = ["NAME", "COMMAND"], allow_hyphen_values = true, action = ArgAction::Append, help_heading = SERVERS)]
    pub named_server: Vec<String>,
    /// JSON file of named servers; `--named-server` is then ignored.
    #[arg(long, visible_alias = "config", value_name = "FILE", help_heading = SERVERS)]
    pub named_server_config: Option<PathBuf>,
    /// An environment variable of the default server; repeatable.
    #[arg(short, long, num_args = 2, value_names = ["KEY", "VALUE"], allow_hyphen_values = true, action = ArgAction::Append, help_heading = SERVERS)]
    pub env: Vec<String>,
    /// Working directory of the default server.
    #[arg(long, value_name = "DIR", help_heading = SERVERS)]
    pub cwd: Option<PathBuf>,
    /// Name of the default server in /status [default: default].
    #[arg(long, value_name = "NAME", help_heading = SERVERS)]
    pub name: Option<String>,
    /// Servers inherit the whole environment, not only its harmless part.
    #[arg(long, overrides_with = "no_pass_environment", help_heading = SERVERS)]
    pub pass_environment: bool,
    /// Servers inherit only the harmless part of the environment (the default).
    #[arg(long, overrides_with = "pass_environment", hide = true)]
    pub no_pass_environment: bool,

    /// Name or address to listen on [default: 127.0.0.1] [env: `MCP_PROXY_HOST`].
    #[arg(long, value_name = "HOST", help_heading = LISTENING)]
    pub host: Option<String>,
    /// Port to listen on; 0 takes a free one and prints it [default: 0] [env: `MCP_PROXY_PORT`].
    #[arg(long, value_name = "PORT", help_heading = LISTENING)]
    pub port: Option<u16>,
    /// Old spelling of `--host`.
    #[arg(long, value_name = "HOST", hide = true)]
    pub sse_host: Option<String>,
    /// Old spelling of `--port`.
    #[arg(long, value_name = "PORT", hide = true)]
    pub sse_port: Option<u16>,
    /// A unix socket to listen on, too; `--host unix:PATH` listens on nothing else.
    #[arg(long, value_name = "PATH", help_heading = LISTENING)]
    pub unix_socket: Option<PathBuf>,
    /// Who may connect to the unix socket, as chmod says it [default: 0600].
    #[arg(long, value_name = "MODE", value_parser = mode, help_heading = LISTENING)]
    pub unix_socket_mode: Option<u32>,
    /// Speak HTTPS with this certificate: PEM, with those that vouch for it behind it.
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate: PEM, not encrypted.
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    pub tls_key: Option<PathBuf>,
    /// Let in only clients with a certificate of one of these authorities.
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    pub tls_client_ca: Option<PathBuf>,
    /// Streamable HTTP needs no session: each request stands alone.
    #[arg(long, overrides_with = "no_stateless", help_heading = LISTENING)]
    pub stateless: bool,
    /// Streamable HTTP has sessions (the default).
    #[arg(long, overrides_with = "stateless", hide = true)]
    pub no_stateless: bool,
    /// A session idle that long ends; 0: never [default: 300] [env: `MCP_PROXY_TIMEOUT`].
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = LISTENING)]
    pub timeout: Option<f64>,
    /// Origins whose pages may use the router: URLs without a path, or *; repeatable.
    #[arg(long, value_name = "ORIGIN", value_parser = config::origin, num_args = 1.., action = ArgAction::Append, help_heading = LISTENING)]
    pub allow_origin: Vec<String>,
    /// Headers that pages of allowed origins may read, besides Mcp-Session-Id; repeatable.
    #[arg(long, value_name = "HEADER", action = ArgAction::Append, help_heading = LISTENING)]
    pub expose_header: Vec<String>,
    /// More host names under which the router may be addressed; repeatable, or separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',', action = ArgAction::Append, help_heading = LISTENING)]
    pub allow_host: Vec<String>,
    /// What a reverse proxy puts before our paths.
    #[arg(long, value_name = "PATH", value_parser = config::base_path, help_heading = LISTENING)]
    pub base_path: Option<String>,
    /// A proxy whose X-Forwarded-Prefix is believed: an address or a network; repeatable, or separated by commas.
    #[arg(long, value_name = "CIDR", value_parser = network, value_delimiter = ',', action = ArgAction::Append, help_heading = LISTENING)]
    pub trust_proxy: Vec<IpNet>,

    /// Which transport to try first towards a URL [default: auto].
    #[arg(long, value_name = "TRANSPORT", ignore_case = true, help_heading = REMOTE)]
    pub transport: Option<Transport>,
    /// The only transport to use towards a URL.
    #[arg(long, value_name = "TRANSPORT", ignore_case = true, help_heading = REMOTE)]
    pub transport_type: Option<Transport>,
    /// A header of requests to a URL; repeatable.
    #[arg(short = 'H', long, num_args = 2, value_names = ["KEY", "VALUE"], allow_hyphen_values = true, action = ArgAction::Append, help_heading = REMOTE)]
    pub headers: Vec<String>,
    /// A file of such headers, `Name: value` on each line; repeatable.
    #[arg(long, value_name = "FILE", action = ArgAction::Append, help_heading = REMOTE)]
    pub header_file: Vec<PathBuf>,
    /// Allow http:// to other machines, where everything is sent in the clear.
    #[arg(long, help_heading = REMOTE)]
    pub allow_http: bool,
    /// Allow servers at link-local and metadata addresses.
    #[arg(long, help_heading = REMOTE)]
    pub allow_link_local: bool,
    /// Client id for a token.
    #[arg(long, value_name = "ID", help_heading = REMOTE)]
    pub client_id: Option<String>,
    /// Client secret for a token.
    #[arg(long, value_name = "SECRET", help_heading = REMOTE)]
    pub client_secret: Option<String>,
    /// Where a token is had.
    #[arg(long, value_name = "URL", help_heading = REMOTE)]
    pub token_url: Option<String>,
    /// User of basic authentication.
    #[arg(long, value_name = "USER", help_heading = REMOTE)]
    pub username: Option<String>,
    /// Password of basic authentication.
    #[arg(long, value_name = "PASSWORD", help_heading = REMOTE)]
    pub password: Option<String>,
    /// Digest authentication; refused: it is not supported.
    #[arg(long, help_heading = REMOTE)]
    pub digest: bool,
    /// Whether certificates are checked: yes, no, or a file of the ones to trust.
    #[arg(long, value_name = "VALUE", num_args = 0..=1, default_missing_value = "yes", overrides_with = "no_verify_ssl", help_heading = REMOTE)]
    pub verify_ssl: Option<String>,
    /// Certificates are not checked.
    #[arg(long, overrides_with = "verify_ssl", help_heading = REMOTE)]
    pub no_verify_ssl: bool,

    /// Least severe log lines to write [default: info] [env: `MCP_PROXY_LOG_LEVEL`].
    #[arg(long, value_name = "LEVEL", ignore_case = true, help_heading = LOGGING)]
    pub log_level: Option<Level>,
    /// Everything that helps to find a fault; wins over `--log-level`.
    #[arg(long, overrides_with = "no_debug", help_heading = LOGGING)]
    pub debug: bool,
    /// Takes `--debug` back.
    #[arg(long, overrides_with = "debug", hide = true)]
    pub no_debug: bool,
    /// Lines for people, or JSON for machines.
    #[arg(long, value_name = "FORMAT", ignore_case = true, default_value = "text", help_heading = LOGGING)]
    pub log_format: Format,
    /// Log to the system's log instead of stderr.
    #[arg(long, help_heading = LOGGING)]
    pub syslog: bool,
    /// Write a line for each request to the end of FILE, or into the log with `-`.
    #[arg(long, value_name = "FILE", help_heading = LOGGING)]
    pub access_log: Option<PathBuf>,
    /// Send a span of each request to a collector of OpenTelemetry [env: `OTEL_EXPORTER_OTLP_ENDPOINT`].
    #[arg(long, help_heading = LOGGING)]
    pub traces: bool,
    /// Log to stderr, as is done anyway.
    #[arg(long, hide = true)]
    pub log: bool,

    /// Record who calls what, when, how long it takes and how it ends.
    #[arg(long, value_name = "FILE", help_heading = LOGGING)]
    pub history: Option<PathBuf>,
    /// Let operators look on at what clients and servers say to each other.
    #[arg(long, help_heading = LOGGING)]
    pub traffic: bool,
    /// Ask every caller for a key, and take these: lines of `NAME KEY [GROUP,...]`, where KEY may be `sha256:` and a digest
    /// [env: `MCP_SWITCHBOARD_TOKEN` holds a single key].
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    pub tokens_file: Option<PathBuf>,
    /// Do not follow changes of the configuration file.
    #[arg(long, help_heading = SERVERS)]
    pub no_reload: bool,
    /// How often to look for changes of the configuration file [default: 1].
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = SERVERS)]
    pub reload_interval: Option<f64>,
    /// Where what servers list is kept for the time when they do not run [env: `MCP_SWITCHBOARD_CACHE`].
    #[arg(long, value_name = "DIR", help_heading = SERVERS)]
    pub cache_dir: Option<PathBuf>,
    /// Measure nothing: `/metrics` is not there, and `latency` in `/status` is null.
    #[arg(long, help_heading = LISTENING)]
    pub no_metrics: bool,
    /// Read the configuration, print what would be mounted, and exit: 0 if all is well, else 1.
    #[arg(long, help_heading = SERVERS)]
    pub check: bool,

    /// What the users of the tool are used to as which the program was called.
    #[arg(skip)]
    pub habits: Habits,
}

/// A task of its own.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Take the options of another tool, and serve at its paths.
    Compat {
        /// The tool; a program of its name does the same without this word.
        tool: Tool,
        /// Its options and words.
        words: Vec<String>,
    },
    /// Be a small MCP server on stdin and stdout, to try the router with.
    DemoServer,
    /// Print what points a client at a running router.
    ClientConfig(ClientConfig),
    /// Make a configuration from that of Claude, Cursor, VS Code or `MCProxy`.
    Import(Import),
    /// Show what was called: by whom, when, how long it took, how it ended.
    History(History),
    /// Ask a running router whether it is well.
    Healthcheck {
        /// Where it is [default: this machine].
        url: Option<String>,
        /// The authorities whose certificates are believed, instead of the system's; on this machine any is, without [env: `MCP_SWITCHBOARD_CA`].
        #[arg(long, value_name = "FILE", env = "MCP_SWITCHBOARD_CA", hide_env = true)]
        cacert: Option<PathBuf>,
    },
    /// List the tools of servers, and what they want.
    Tools {
        /// One server: its name, or its URL.
        name: Option<String>,
        /// All that they list, as one JSON object.
        #[arg(long)]
        json: bool,
        /// Which servers may be meant.
        #[command(flatten)]
        servers: Servers,
    },
    /// Call a tool, and print its answer.
    #[command(override_usage = "mcp-switchboard call [OPTIONS] [NAME] <TOOL> [JSON] [-- <COMMAND>...]")]
    Call {
        /// The server's name or URL, unless there is only one; the tool; its arguments as a JSON object, `@FILE`, or `-` for stdin [default: {}].
        #[arg(value_names = ["NAME", "TOOL", "JSON"], num_args = 1..=3, required = true)]
        words: Vec<String>,
        /// The result as the server gave it.
        #[arg(long)]
        json: bool,
        /// Which servers may be meant.
        #[command(flatten)]
        servers: Servers,
    },
    /// Try every server of a configuration as clients would, name what is wrong, and say what to do.
    Doctor(Doctor),
    /// Show how the servers of a running router stand.
    Status {
        /// Where it is [default: this machine] [env: `MCP_SWITCHBOARD_URL`].
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The authorities whose certificates are believed, instead of the system's [env: `MCP_SWITCHBOARD_CA`].
        #[arg(long, value_name = "FILE", env = "MCP_SWITCHBOARD_CA", hide_env = true)]
        cacert: Option<PathBuf>,
        /// All that it says, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key for somebody: its line for `--tokens-file` goes to stdout, the key to stderr.
    Key {
        /// Whose it is.
        name: String,
        /// A group that its owner is in; repeatable.
        #[arg(long)]
        group: Vec<String>,
    },
    /// Show the tools of a server of a running router that are held back, and approve what they say of themselves.
    Approve {
        /// The server's name.
        name: String,
        /// These tools alone.
        tools: Vec<String>,
        /// Approve without asking.
        #[arg(short, long)]
        yes: bool,
        /// The authorities to believe, a PEM file [env: `MCP_SWITCHBOARD_CA`].
        #[arg(long, value_name = "FILE")]
        cacert: Option<PathBuf>,
        /// Where the router is [default: this machine] [env: `MCP_SWITCHBOARD_URL`].
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Show what a running router logs, or change it until its end.
    Log {
        /// A level for everything, and levels of single targets: `info,mcp_switchboard::http=debug,server=warning`.
        filter: Option<String>,
        /// Where it is [default: this machine] [env: `MCP_SWITCHBOARD_URL`].
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The authorities whose certificates are believed, instead of the system's [env: `MCP_SWITCHBOARD_CA`].
        #[arg(long, value_name = "FILE", env = "MCP_SWITCHBOARD_CA", hide_env = true)]
        cacert: Option<PathBuf>,
    },
    /// Replace the processes of a server of a running router; its sessions go on.
    Restart {
        /// The server's name.
        name: String,
        /// Where the router is [default: this machine] [env: `MCP_SWITCHBOARD_URL`].
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The authorities whose certificates are believed, instead of the system's [env: `MCP_SWITCHBOARD_CA`].
        #[arg(long, value_name = "FILE", env = "MCP_SWITCHBOARD_CA", hide_env = true)]
        cacert: Option<PathBuf>,
    },
}

/// A transport towards a remote server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// HTTP+SSE.
    Sse,
    /// Streamable HTTP.
    #[value(name = "streamablehttp", aliases = ["http", "streamable-http", "streamable_http"])]
    StreamableHttp,
    /// Whichever works.
    Auto,
    /// Be a stdio server for that URL.
    Stdio,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Everything.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator would tell a colleague.
    Info,
    /// What someone should look at.
    #[value(alias = "warn")]
    Warning,
    /// What is wrong.
    Error,
    /// As error: there is nothing above it here.
    Critical,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

const SERVERS: &str = "Servers";
const LISTENING: &str = "Listening";
const REMOTE: &str = "Remote servers";
const LOGGING: &str = "Logging";

/// Reads a number of seconds; as long a time as a clock may be asked to add.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds, from 0 to 1000000000".to_owned()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    config::mode(text).ok_or_else(|| "permissions in octal digits, like 0660".to_owned())
}

fn network(text: &str) -> Result<IpNet, String> {
    config::file::network(text).ok_or_else(|| "an address or a network like 10.0.0.0/8".to_owned())
}
