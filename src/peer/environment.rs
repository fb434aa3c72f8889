//! The environment of a process: little of ours, all of its configuration's, and the marker.

use std::ffi::{OsStr, OsString};

/// Names that every process inherits, beside those that begin with one of [`PREFIXES`].
const NAMES: &[&str] = &[
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "UV_CACHE_DIR",
    "UV_PYTHON",
    "UV_PYTHON_PREFERENCE",
    "UV_TOOL_DIR",
    "NPM_CONFIG_CACHE",
];

/// What no program runs without on Windows.
const WINDOWS_NAMES: &[&str] = &[
    "APPDATA",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
];

/// Beginnings of names that every process inherits.
const PREFIXES: &[&str] = &["LC_", "XDG_"];

/// Beginnings of names that are meant for the router: its options, and what systemd says of sockets that it has opened.
const OURS: &[&str] = &["MCP_PROXY_", "MCP_SWITCHBOARD_", "LISTEN_"];

/// What a process inherits: the safe part of our environment, or all of it but what is meant for the router alone.
pub(super) fn inherited(everything: bool) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(move |(name, _)| passes(name, everything))
}

fn passes(name: &OsStr, everything: bool) -> bool {
    let Some(name) = name.to_str() else { return everything };
    if name == "API_ACCESS_TOKEN" || OURS.iter().any(|prefix| name.starts_with(prefix)) {
        return false;
    }
    everything
        || NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || (cfg!(windows) && is_windows_name(name))
}

/// Names have no case on Windows.
fn is_windows_name(name: &str) -> bool {
    NAMES.iter().chain(WINDOWS_NAMES).any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_the_router_never_passes() {
        for name in [
            "API_ACCESS_TOKEN",
            "MCP_PROXY_PORT",
            "MCP_PROXY_ANYTHING",
            "MCP_SWITCHBOARD_SESSION",
            "MCP_SWITCHBOARD_ADMIN_TOKEN",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
        ] {
            assert!(!passes(OsStr::new(name), false), "{name}");
            assert!(!passes(OsStr::new(name), true), "{name}");
        }
    }

    #[test]
    fn only_the_safe_part_passes_unless_everything_is_wanted() {
        for name in ["PATH", "LC_ALL", "XDG_CACHE_HOME", "https_proxy"] {
            assert!(passes(OsStr::new(name), false), "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "path", "XDGX", "LANGUAGE", "LD_PRELOAD"] {
            assert!(!passes(OsStr::new(name), false), "{name}");
            assert!(passes(OsStr::new(name), true), "{name}");
        }
    }
}
