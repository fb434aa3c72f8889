//! `--check`: what would be mounted.

use std::fmt::Write as _;

use crate::config::{Config, ServerSpec, Target};

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// What to tell: a line for the address, then one for each mount.
    pub text: String,
    /// Whether every mount can be had.
    pub sound: bool,
}

/// Reports on a configuration without starting anything. Nothing of it is secret.
pub fn report(config: &Config) -> Report {
    let mut report = Report { text: String::new(), sound: true };
    let listen = config.listen;
    let free = if listen.port() == 0 { " (a free port)" } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(report.text, "would listen on http://{listen}{free}");
    let width = config.servers.iter().chain(&config.default_server).map(|server| server.name.as_str().len());
    let width = width.max().unwrap_or(0);
    let named = config.servers.iter().map(|server| (server, format!("/servers/{}/mcp", server.name)));
    let default = config.default_server.iter().map(|server| (server, "/mcp".to_owned()));
    for (server, path) in default.chain(named) {
        let (state, detail) = describe(server);
        report.sound &= state != "broken";
        let name = server.name.as_str();
        let line = format!("{name:width$}  {state:8}  {}{path}  {detail}", config.base_path);
        let _ = writeln!(report.text, "{}", line.trim_end());
    }
    report
}

fn describe(server: &ServerSpec) -> (&'static str, String) {
    match &server.target {
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
        config.servers.push(server("b", Target::Broken("the command is empty".to_owned())));
        let report = report(&config);
        assert!(!report.sound);
        assert!(report.text.ends_with("b          broken    /tools/servers/b/mcp  the command is empty\n"));
    }
}
