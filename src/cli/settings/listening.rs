//! Where is listened, and with what.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Outside, Unusable, unusable, variable};
use crate::cli::arguments::Arguments;
use crate::config::file::FileConfig;
use crate::config::{ClientAuth, TlsSpec, UnixSpec};

/// Where is listened.
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) unix: Option<UnixSpec>,
}

/// An address, a unix socket, or both. A host that is spelled `unix:PATH` is a socket alone.
pub(super) fn place(
    arguments: &Arguments,
    file: &FileConfig,
    outside: &Outside<'_>,
) -> Result<Place, Unusable> {
    let port = match arguments.port.or(arguments.sse_port) {
        Some(port) => Some(port),
        None => variable(outside, "MCP_PROXY_PORT", "a port from 0 to 65535", |text| text.parse().ok())?,
    };
    let port = port.or(file.port).or(arguments.habits.port).unwrap_or(0);
    let option = arguments.host.clone().or_else(|| arguments.sse_host.clone());
    let given = option.or_else(|| (outside.environment)("MCP_PROXY_HOST").filter(|host| !host.is_empty()));
    let in_file = given.is_none() && file.host.is_some();
    let host = given.or_else(|| file.host.clone()).or_else(|| arguments.habits.host.clone());
    let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
    let wrong =
        |message: String| if in_file { Unusable::File(message) } else { Unusable::Arguments(message) };
    let alone = host.strip_prefix("unix:").map(|path| PathBuf::from(path.strip_prefix("//").unwrap_or(path)));
    let beside = arguments.unix_socket.clone().or_else(|| file.unix_socket.clone());
    if alone.as_ref().is_some_and(|path| path.as_os_str().is_empty() || (in_file && path.is_relative())) {
        return Err(wrong(format!(
            "the host {host:?} names no socket: `unix:` wants a path from the root behind it"
        )));
    }
    let mode = arguments.unix_socket_mode.or(file.unix_socket_mode);
    let unix = match (&alone, beside) {
        (Some(alone), Some(beside)) if *alone != beside => {
            return Err(wrong(format!(
                "the host {host:?} is one unix socket, and {} another: name one of them",
                beside.display()
            )));
        }
        (Some(path), _) => Some(UnixSpec { path: path.clone(), mode: 0, is_alone: true }),
        (None, beside) => beside.map(|path| UnixSpec { path, mode: 0, is_alone: false }),
    };
    if unix.is_none() && mode.is_some() {
        return Err(wrong(
            "permissions are given for a unix socket, and there is none: name it by `--unix-socket`"
                .to_owned(),
        ));
    }
    if unix.is_some() && !cfg!(unix) {
        return Err(wrong("this system has no unix sockets that the router could listen on".to_owned()));
    }
    let unix = unix.map(|unix| UnixSpec { mode: mode.unwrap_or(UnixSpec::PRIVATE), ..unix });
    if alone.is_some() {
        return Ok(Place { address: (Ipv4Addr::LOCALHOST, port).into(), unix });
    }
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    let failed = |reason: &dyn Display| wrong(format!("the host {host:?} has no address: {reason}"));
    let addresses = (outside.resolve)(plain, port).map_err(|error| failed(&error))?;
    // Where a name has addresses of both kinds, every client knows how to reach the IPv4 one.
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let address = first.copied().ok_or_else(|| failed(&"none is known"))?;
    Ok(Place { address, unix })
}

/// What connections are encrypted with, if they are: each file as the words name it, else as the file does.
pub(super) fn tls(arguments: &Arguments, file: Option<TlsSpec>) -> Result<Option<TlsSpec>, Unusable> {
    let Arguments { tls_cert, tls_key, tls_client_ca, .. } = arguments;
    if tls_cert.is_none() && tls_key.is_none() && tls_client_ca.is_none() {
        return Ok(file);
    }
    let file = file.as_ref();
    let cert = tls_cert.clone().or_else(|| file.map(|file| file.cert.clone()));
    let key = tls_key.clone().or_else(|| file.map(|file| file.key.clone()));
    let (Some(cert), Some(key)) = (cert, key) else {
        return Err(unusable("`--tls-cert` and `--tls-key` go together, and `--tls-client-ca` wants both"));
    };
    let client_ca = tls_client_ca.clone().or_else(|| file.and_then(|file| file.client_ca.clone()));
    let client_auth = file.map_or(ClientAuth::Required, |file| file.client_auth);
    Ok(Some(TlsSpec { cert, key, client_ca, client_auth }))
}
