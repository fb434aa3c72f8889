//! Whether clients reach the router itself: the port, and the names by which it may be addressed.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri, Version};

use crate::cli::doctor::finding::Finding;
use crate::config::Config;
use crate::http::guard::GuardPolicy;

/// Who has the port that the router is to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) enum Taken {
    /// Nobody, or it is not known.
    No,
    /// A router.
    ByARouter,
    /// Something else.
    ByAnother,
    /// The operating system does not give it; why.
    Refused(String),
}

/// What keeps clients from the router. `names`: what this machine is called.
pub(in crate::cli::doctor) fn at_the_door(config: &Config, taken: &Taken, names: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let place = config.listen;
    match taken {
        Taken::No => {}
        Taken::ByARouter => findings.push(Finding::warning(
            "port-taken",
            format!("a mcp-switchboard listens on {place} already"),
            "if it is the one that you mean, all is well; a second one needs another `--port`",
        )),
        Taken::ByAnother => findings.push(Finding::error(
            "port-taken",
            format!("another program listens on {place}: the router would not start"),
            "end that program, or give another `--port`",
        )),
        Taken::Refused(reason) => findings.push(Finding::error(
            "port-refused",
            format!("nothing may listen on {place}: {reason}"),
            "ports below 1024 are for root; an address must be one of this machine's",
        )),
    }
    findings.extend(refused_hosts(config, names));
    findings
}

fn refused_hosts(config: &Config, names: &[String]) -> Option<Finding> {
    let is_local = config.listen.ip().is_loopback();
    let is_alone = config.unix_socket.as_ref().is_some_and(|unix| unix.is_alone);
    if is_alone || (is_local && config.allow_hosts.is_empty()) {
        return None;
    }
    let guard = GuardPolicy::new(&config.allow_hosts, &config.allow_origins, is_local);
    let port = config.listen.port();
    let refused: Vec<&str> =
        names.iter().filter(|name| is_refused(&guard, name, port)).map(String::as_str).collect();
    let first = refused.first()?;
    let shown: Vec<String> = refused.iter().map(|name| format!("`{name}`")).collect();
    let options: Vec<String> = refused.iter().map(|name| format!("--allow-host {name}")).collect();
    Some(Finding::warning(
        "host-refused",
        format!(
            "a client that calls the router by the name of this machine ({}) is refused with 403",
            shown.join(", ")
        ),
        format!(
            "allow the names that clients use: {}, or in the file `\"allowHosts\": [\"{first}\"]`",
            options.join(" ")
        ),
    ))
}

fn is_refused(guard: &GuardPolicy, name: &str, port: u16) -> bool {
    let authority = if port == 0 { name.to_owned() } else { format!("{name}:{port}") };
    let Ok(value) = HeaderValue::from_str(&authority) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value);
    guard.check(Version::HTTP_11, &Uri::from_static("/mcp"), &headers).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_machine_are_asked_for_where_others_can_connect() {
        let names = ["box", "box.example.com", "www.example.com"].map(str::to_owned);
        let found = |listen: &str, hosts: &[&str]| {
            let allow_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let config = Config { listen: listen.parse().unwrap(), allow_hosts, ..Config::default() };
            at_the_door(&config, &Taken::No, &names).first().map(|finding| finding.advice.clone())
        };
        assert_eq!(found("127.0.0.1:80", &[]), None);
        // A name of one word passes: no page of a stranger can have it.
        let both = "allow the names that clients use: --allow-host box.example.com --allow-host www.example.com, or in the \
                    file `\"allowHosts\": [\"box.example.com\"]`";
        assert_eq!(found("0.0.0.0:80", &[]).as_deref(), Some(both));
        assert!(
            found("[::]:0", &["box.example.com"])
                .is_some_and(|advice| advice.contains("-host www.example.com,"))
        );
        assert!(found("127.0.0.1:80", &["other.example"]).is_some());
        assert_eq!(found("0.0.0.0:80", &["box.example.com", "www.example.com:80"]), None);
    }

    #[test]
    fn a_port_that_a_stranger_has_is_an_error_and_one_of_a_router_is_not() {
        let config = Config::default();
        let found = |taken| at_the_door(&config, &taken, &[]);
        assert!(found(Taken::No).is_empty());
        assert!(found(Taken::ByAnother)[0].is_error());
        assert!(!found(Taken::ByARouter)[0].is_error());
    }
}
