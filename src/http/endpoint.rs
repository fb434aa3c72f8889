//! The URL space: which path means what.

use crate::auth::oauth::WELL_KNOWN;
use crate::config::Aliases;

/// What a path means. Names are as they stand in the path; whether they exist is asked elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// Streamable HTTP.
    Mcp(Place<'a>),
    /// HTTP+SSE: the stream, and the one-shot POST.
    Sse(Place<'a>),
    /// HTTP+SSE: the messages.
    Messages(Place<'a>),
    /// The health of one mount.
    MountHealth(&'a str),
    /// Everything about all mounts.
    Status,
    /// What is counted and measured.
    Metrics,
    /// The same for people: a page without any data, which asks for it. No path means it: it is what a browser gets for [`Self::Status`].
    Page,
    /// The health of the process, in the shape that older tools have.
    Health,
    /// The process lives.
    Healthz,
    /// The process can serve.
    Readyz,
    /// The process lives, in a word of plain text.
    Alive,
    /// Who issues access tokens for what stands at this path, which begins with a slash unless it is empty.
    Resource(&'a str),
    /// For operators: the configuration is read again.
    Reload,
    /// For operators: what has happened lately, and what happens.
    Events,
    /// For operators: what clients and servers say to each other.
    Traffic,
    /// For operators: what is logged.
    Log,
    /// For operators: the processes of one mount are replaced.
    Restart(&'a str),
    /// For operators: the tools of one mount that are held back, and what lets them go.
    Approve(&'a str),
}

/// Whose paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/mcp` and the like: of the default server, or of all servers together.
    Root,
    /// `/views/<name>/mcp` and the like: of some servers together.
    View(&'a str),
    /// `/servers/<name>/mcp` and the like: of a named mount.
    Named(&'a str),
}

impl<'a> Endpoint<'a> {
    /// Reads a path without its first slash; one more slash at the end changes nothing. No percent-encoding is
    /// resolved: no path of ours has any.
    pub fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        // WELL_KNOWN begins with the slash that a path has lost here.
        if let Some(resource) = path.strip_prefix(&WELL_KNOWN[1..]) {
            return (resource.is_empty() || resource.starts_with('/')).then_some(Self::Resource(resource));
        }
        let (place, last) = match path.strip_prefix("servers/") {
            Some(rest) => {
                let (name, last) = rest.split_once('/')?;
                if last == "health" {
                    return Some(Self::MountHealth(name));
                }
                (Place::Named(name), last)
            }
            None => match path.strip_prefix("views/") {
                Some(rest) => {
                    let (name, last) = rest.split_once('/')?;
                    (Place::View(name), last)
                }
                None => (Place::Root, path),
            },
        };
        if let Some(rest) = path.strip_prefix("admin/servers/") {
            let (name, task) = rest.split_once('/')?;
            return match task {
                "restart" => Some(Self::Restart(name)),
                "approve" => Some(Self::Approve(name)),
                _ => None,
            };
        }
        match (place, last) {
            (place, "mcp") => Some(Self::Mcp(place)),
            (place, "sse") => Some(Self::Sse(place)),
            (place, "messages") => Some(Self::Messages(place)),
            (Place::Root, "status") => Some(Self::Status),
            (Place::Root, "metrics") => Some(Self::Metrics),
            (Place::Root, "health") => Some(Self::Health),
            (Place::Root, "healthz") => Some(Self::Healthz),
            (Place::Root, "readyz") => Some(Self::Readyz),
            (Place::Root, "admin/reload") => Some(Self::Reload),
            (Place::Root, "admin/events") => Some(Self::Events),
            (Place::Root, "admin/traffic") => Some(Self::Traffic),
            (Place::Root, "admin/log") => Some(Self::Log),
            _ => None,
        }
    }

    /// Reads a path that is another name of one at the root, with or without a slash at its end.
    pub fn aliased(path: &str, aliases: &Aliases) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let is = |alias: &String| alias.strip_prefix('/').unwrap_or(alias) == path;
        let names = [
            (&aliases.mcp, Self::Mcp(Place::Root)),
            (&aliases.sse, Self::Sse(Place::Root)),
            (&aliases.messages, Self::Messages(Place::Root)),
        ];
        let found = names.into_iter().find(|(alias, _)| alias.as_ref().is_some_and(is));
        found.map(|(_, endpoint)| endpoint).or(aliases.health.iter().any(is).then_some(Self::Alive))
    }

    /// The methods that are served, as `Allow` lists them.
    pub fn allow(self, stateless: bool) -> &'static str {
        match self {
            Self::Mcp(_) if stateless => "POST, OPTIONS",
            Self::Mcp(_) => "GET, HEAD, POST, DELETE, OPTIONS",
            Self::Sse(_) | Self::Approve(_) => "GET, HEAD, POST, OPTIONS",
            Self::Log => "GET, HEAD, PUT, POST, OPTIONS",
            Self::Messages(_) | Self::Reload | Self::Restart(_) => "POST, OPTIONS",
            Self::MountHealth(_)
            | Self::Events
            | Self::Traffic
            | Self::Resource(_)
            | Self::Status
            | Self::Metrics
            | Self::Page
            | Self::Health
            | Self::Healthz
            | Self::Readyz
            | Self::Alive => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_with_and_without_a_slash_at_its_end() {
        let table = [
            ("mcp", Some(Endpoint::Mcp(Place::Root))),
            ("servers/a/mcp", Some(Endpoint::Mcp(Place::Named("a")))),
            ("servers/a/sse", Some(Endpoint::Sse(Place::Named("a")))),
            ("servers/a/messages", Some(Endpoint::Messages(Place::Named("a")))),
            ("views/a/mcp", Some(Endpoint::Mcp(Place::View("a")))),
            ("views/a/messages", Some(Endpoint::Messages(Place::View("a")))),
            ("views/a/health", None),
            ("views/a", None),
            ("admin/reload", Some(Endpoint::Reload)),
            ("admin/events", Some(Endpoint::Events)),
            ("admin/traffic", Some(Endpoint::Traffic)),
            ("admin/log", Some(Endpoint::Log)),
            ("servers/a/admin/log", None),
            ("admin/servers/a/restart", Some(Endpoint::Restart("a"))),
            ("admin/servers/a/approve", Some(Endpoint::Approve("a"))),
            ("admin/servers/a/b/restart", None),
            ("admin/servers/a", None),
            ("admin", None),
            ("servers/a/health", Some(Endpoint::MountHealth("a"))),
            ("status", Some(Endpoint::Status)),
            ("metrics", Some(Endpoint::Metrics)),
            ("servers/a/metrics", None),
            ("healthz", Some(Endpoint::Healthz)),
            ("", None),
            ("servers", None),
            ("servers/a", None),
            ("servers/a/mcp/x", None),
            ("servers/a/status", None),
            ("servers//mcp", Some(Endpoint::Mcp(Place::Named("")))),
            ("/mcp", None),
        ];
        for (path, meaning) in table {
            assert_eq!(Endpoint::parse(path), meaning, "{path}");
            if !path.is_empty() {
                assert_eq!(Endpoint::parse(&format!("{path}/")), meaning, "{path}/");
            }
        }
    }

    #[test]
    fn another_name_of_a_root_path_means_the_same() {
        let aliases = Aliases {
            mcp: Some(String::new()),
            sse: Some("/events/all".to_owned()),
            messages: Some("/message".to_owned()),
            health: vec!["/healthz".to_owned(), "/up".to_owned()],
            ..Aliases::default()
        };
        let table = [
            ("", Some(Endpoint::Mcp(Place::Root))),
            ("events/all", Some(Endpoint::Sse(Place::Root))),
            ("message/", Some(Endpoint::Messages(Place::Root))),
            ("healthz", Some(Endpoint::Alive)),
            ("up/", Some(Endpoint::Alive)),
            ("events", None),
            ("mcp", None),
            ("servers/a/message", None),
        ];
        for (path, meaning) in table {
            assert_eq!(Endpoint::aliased(path, &aliases), meaning, "{path}");
            assert_eq!(Endpoint::aliased(path, &Aliases::default()), None, "{path}");
        }
    }
}
