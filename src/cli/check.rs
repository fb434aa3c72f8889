//! `--check`: what would be mounted.

use std::fmt::Write as _;

use crate::config::{AggregateSpec, Config, Gateway, ServerSpec, Target};
use crate::http::tls;

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// What to tell: a line for the address, then one for each mount.
    pub text: String,
    /// Whether every mount can be had.
    pub sound: bool,
}

/// Reports on a configuration without starting anything; only the files of its certificate are read. Nothing of it is
/// secret.
pub fn report(config: &Config) -> Report {
    let mut report = Report { text: String::new(), sound: true };
    listening(config, &mut report);
    if let Some(auth) = &config.auth {
        let (keys, rules) = (auth.tokens.len(), auth.rules.len());
        let certificates = if auth.certificates { ", client certificates" } else { "" };
        let tokens = auth.oauth.as_ref().map(|oauth| format!(", access tokens of {}", oauth.issuer));
        let tokens = tokens.unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            report.text,
            "callers are known by: keys ({keys}){tokens}{certificates}; rules: {rules}"
        );
    }
    let is_free = config.default_server.is_none() && !config.servers.is_empty();
    let whole = config.gateway.root.as_ref().filter(|_| is_free);
    let whole = whole.map(|all| (Gateway::ROOT, "together", "/mcp".to_owned(), all));
    let views = config.gateway.views.iter();
    let views = views.map(|(name, view)| (name.as_str(), "view", format!("/views/{name}/mcp"), view));
    let together: Vec<_> = whole.into_iter().chain(views).collect();
    let every = config.servers.iter().chain(&config.default_server).map(|server| server.name.as_str());
    let width = every.chain(together.iter().map(|(name, ..)| *name)).map(str::len).max().unwrap_or(0);
    let named = config.servers.iter().map(|server| (server, format!("/servers/{}/mcp", server.name)));
    let default = config.default_server.iter().map(|server| (server, "/mcp".to_owned()));
    for (server, path) in default.chain(named) {
        let (state, detail) = describe(server);
        report.sound &= state != "broken";
        let name = server.name.as_str();
        let line = format!("{name:width$}  {state:8}  {}{path}  {detail}", config.base_path);
        let _ = writeln!(report.text, "{}", line.trim_end());
    }
    for (name, kind, path, spec) in together {
        let count = members(config, spec);
        let servers = if count == 1 { "server" } else { "servers" };
        let _ =
            writeln!(report.text, "{name:width$}  {kind:8}  {}{path}  {count} {servers}", config.base_path);
    }
    report
}

/// Where it would listen, and whether the certificate can be used.
fn listening(config: &Config, report: &mut Report) {
    let listen = config.listen;
    let free = if listen.port() == 0 { " (a free port)" } else { "" };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let unix = config.unix_socket.as_ref();
    // Writing to a string cannot fail.
    if unix.is_none_or(|unix| !unix.is_alone) {
        let _ = writeln!(report.text, "would listen on {scheme}://{listen}{free}");
    }
    if let Some(unix) = unix {
        let _ = writeln!(report.text, "would listen on unix:{}, {:04o}", unix.path.display(), unix.mode);
    }
    match config.tls.as_ref().map(tls::check) {
        None => {}
        Some(Ok(warnings)) => {
            for warning in warnings {
                let _ = writeln!(report.text, "warning: {warning}");
            }
        }
        Some(Err(error)) => {
            report.sound = false;
            let _ = writeln!(report.text, "tls: {error}");
        }
    }
}

/// How many servers stand behind an endpoint.
fn members(config: &Config, spec: &AggregateSpec) -> usize {
    let is_on = |server: &&ServerSpec| !matches!(server.target, Target::Disabled);
    let shown = |server: &&ServerSpec| spec.servers.as_ref().is_none_or(|names| names.contains(&server.name));
    config.servers.iter().filter(is_on).filter(shown).count()
}

fn describe(server: &ServerSpec) -> (&'static str, String) {
    match &server.target {
        Target::Stdio(command) if command.sandbox.is_some() => ("stdio", format!("{command}, sandboxed")),
        Target::Stdio(command) => ("stdio", command.to_string()),
        Target::Remote(remote) => ("remote", remote.to_string()),
        Target::Aggregate(_) => ("aggregate", String::new()),
        Target::Disabled => ("disabled", String::new()),
        Target::Broken(reason) => ("broken", reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandSpec;

    #[test]
    fn a_report_names_every_mount_and_no_secret() {
        let mut command = CommandSpec::new("run-s3cret");
        command.args = vec!["--token=s3cret".to_owned()];
        command.secrets = vec!["s3cret".to_owned()];
        let server = |name: &str, target| ServerSpec::new(name.parse().unwrap(), target);
        let mut config = Config {
            servers: vec![server("a", Target::Stdio(command.clone())), server("long-name", Target::Disabled)],
            default_server: Some(server("default", Target::Stdio(command))),
            base_path: "/tools".to_owned(),
            ..Config::default()
        };
        let expected = "\
would listen on http://127.0.0.1:0 (a free port)
default    stdio     /tools/mcp  run-*** (1 argument)
a          stdio     /tools/servers/a/mcp  run-*** (1 argument)
long-name  disabled  /tools/servers/long-name/mcp
";
        assert_eq!(report(&config), Report { text: expected.to_owned(), sound: true });
        config.default_server = None;
        config.gateway.views.push(("some".parse().unwrap(), AggregateSpec::default()));
        let together = report(&config).text;
        assert!(
            together.ends_with(
                "aggregate  together  /tools/mcp  1 server\nsome       view      /tools/views/some/mcp  1 server\n"
            ),
            "{together}"
        );
        config.gateway = Gateway { root: None, views: Vec::new() };
        config.servers.push(server("b", Target::Broken("the command is empty".to_owned())));
        let report = report(&config);
        assert!(!report.sound);
        assert!(report.text.ends_with("b          broken    /tools/servers/b/mcp  the command is empty\n"));
    }
}
