//! Which servers are meant: those of a file or of the words, which this process starts itself, or those of a running router.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::arguments::{Arguments, Level, Transport};
use crate::config::{Config, Startup};

/// The options of `tools` and `call`.
#[derive(Clone, Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line, which may all be combined"
)]
pub struct Servers {
    /// JSON file of named servers.
    #[arg(long, visible_alias = "config", value_name = "FILE", conflicts_with = "router")]
    pub named_server_config: Option<PathBuf>,
    /// A named server; COMMAND is split as a shell splits words; repeatable.
    #[arg(long, num_args = 2, value_names = ["NAME", "COMMAND"], allow_hyphen_values = true, action = ArgAction::Append, conflicts_with = "router")]
    pub named_server: Vec<String>,
    /// The running router whose servers are meant, where none are given [default: this machine] [env: `MCP_SWITCHBOARD_URL`].
    #[arg(long, value_name = "URL")]
    pub router: Option<String>,
    /// Of a router or URL: the authorities whose certificates are believed, instead of the system's [env: `MCP_SWITCHBOARD_CA`].
    #[arg(long, value_name = "FILE", env = "MCP_SWITCHBOARD_CA", hide_env = true)]
    pub cacert: Option<PathBuf>,
    /// An environment variable of the COMMAND; repeatable.
    #[arg(short, long, num_args = 2, value_names = ["KEY", "VALUE"], allow_hyphen_values = true, action = ArgAction::Append)]
    pub env: Vec<String>,
    /// Working directory of the COMMAND.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Servers inherit the whole environment, not only its harmless part.
    #[arg(long)]
    pub pass_environment: bool,
    /// A header of requests to a URL; repeatable.
    #[arg(short = 'H', long, num_args = 2, value_names = ["KEY", "VALUE"], allow_hyphen_values = true, action = ArgAction::Append)]
    pub headers: Vec<String>,
    /// A file of such headers, `Name: value` on each line; repeatable.
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub header_file: Vec<PathBuf>,
    /// Which transport to try first towards a URL [default: auto].
    #[arg(long, value_name = "TRANSPORT", ignore_case = true)]
    pub transport: Option<Transport>,
    /// Allow http:// to other machines, where everything is sent in the clear.
    #[arg(long)]
    pub allow_http: bool,
    /// Allow servers at link-local and metadata addresses.
    #[arg(long)]
    pub allow_link_local: bool,
    /// Least severe log lines to write to stderr [default: error, for servers on other machines warning].
    #[arg(long, value_name = "LEVEL", ignore_case = true)]
    pub log_level: Option<Level>,
    /// Everything that helps to find a fault.
    #[arg(long)]
    pub debug: bool,
    /// The command of the one server that is meant, after `--`.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "router")]
    pub command: Vec<String>,
}

impl Servers {
    /// Whether any are given, so that no running router is asked.
    pub(in crate::cli) fn are_given(&self) -> bool {
        self.named_server_config.is_some() || !self.named_server.is_empty() || !self.command.is_empty()
    }

    /// The command line that would serve them; `url`: the one that stands in place of a name.
    pub(in crate::cli) fn arguments(&self, url: Option<&str>) -> Arguments {
        let mut command = self.command.iter().cloned();
        Arguments {
            command_or_url: url.map(str::to_owned).or_else(|| command.next()),
            args: command.collect(),
            named_server: self.named_server.clone(),
            named_server_config: self.named_server_config.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            pass_environment: self.pass_environment,
            headers: self.headers.clone(),
            header_file: self.header_file.clone(),
            transport: self.transport,
            allow_http: self.allow_http,
            allow_link_local: self.allow_link_local,
            verify_ssl: self
                .cacert
                .as_ref()
                .filter(|_| !self.are_given())
                .map(|file| file.to_string_lossy().into_owned()),
            log_level: self.log_level,
            debug: self.debug,
            ..Arguments::default()
        }
    }

    /// How much is logged. What a login wants of the user is said in a warning; of a process, its error says enough.
    pub(super) fn level(&self, elsewhere: bool) -> Level {
        match self.log_level {
            _ if self.debug => Level::Debug,
            Some(level) => level,
            None if elsewhere => Level::Warning,
            None => Level::Error,
        }
    }
}

/// Starts nothing but what is asked: this process looks at a server once, and goes.
pub(super) fn lazily(config: &mut Config) {
    for server in config.servers.iter_mut().chain(&mut config.default_server) {
        server.pool.warm = 0;
        server.startup = Startup::Lazy;
    }
}
