//! A look at where the router is to listen, and at what this machine is called.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use super::cause::{Taken, at_the_door};
use super::finding::Finding;
use crate::cli::running;
use crate::config::Config;
use crate::http::tls;

/// Whoever has the port has this long to say that he is a router.
const PATIENCE: Duration = Duration::from_secs(2);

/// What keeps clients from the router that the configuration makes.
pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let is_alone = config.unix_socket.as_ref().is_some_and(|unix| unix.is_alone);
    let taken = if is_alone || config.listen.port() == 0 { Taken::No } else { taken(config).await };
    let mut findings = match config.tls.as_ref().map(tls::check) {
        None => Vec::new(),
        Some(Ok(warnings)) => {
            warnings.into_iter().map(|warning| Finding::warning("tls", warning, "")).collect()
        }
        Some(Err(error)) => vec![Finding::error("tls", error.to_string(), "")],
    };
    let mut names = names();
    // Whoever asked for a certificate calls the router so.
    names.extend(config.tls.iter().flat_map(tls::names));
    names.sort_unstable();
    names.dedup();
    findings.extend(at_the_door(config, &taken, &names));
    findings
}

async fn taken(config: &Config) -> Taken {
    match TcpListener::bind(config.listen) {
        Ok(_) => Taken::No,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if is_a_router(config).await {
                Taken::ByARouter
            } else {
                Taken::ByAnother
            }
        }
        Err(error) => Taken::Refused(error.to_string()),
    }
}

async fn is_a_router(config: &Config) -> bool {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let base = format!("{scheme}://{address}");
    let Ok(client) = running::client(&base, None) else { return false };
    let asked = async {
        let answer = client.get(format!("{base}/health")).send().await.ok()?;
        serde_json::from_slice::<Value>(&answer.bytes().await.ok()?).ok()
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten().unwrap_or_default();
    answer["active_sessions"].is_u64()
}

/// What this machine is called by others, as far as it knows: by the kernel, by what has set its environment, and, in
/// full, by the file of hosts.
fn names() -> Vec<String> {
    let set = ["HOSTNAME", "COMPUTERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut names: Vec<String> = std::iter::once(node()).chain(set).collect();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    names.extend(in_full(&hosts, &names));
    let plain = names.iter().map(|name| name.trim().trim_end_matches('.').to_ascii_lowercase());
    plain.filter(|name| !name.is_empty() && name != "(none)" && !name.starts_with("localhost")).collect()
}

/// The names that stand in the file of hosts beside one of these.
fn in_full(hosts: &str, names: &[String]) -> Vec<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let hosts = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let ours = hosts.filter(|line| line.iter().any(|word| names.iter().any(|name| name == word)));
    ours.flatten().map(str::to_owned).collect()
}

#[cfg(unix)]
fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn node() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_full_stands_in_the_file_of_hosts() {
        let hosts =
            "127.0.0.1 localhost\n10.0.0.7\tbox.corp.example box # ours\n10.0.0.8 other.example other\n";
        let names = ["box".to_owned()];
        assert_eq!(in_full(hosts, &names), ["box.corp.example", "box"]);
        assert!(in_full(hosts, &["nobody".to_owned()]).is_empty());
    }
}
