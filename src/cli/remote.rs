//! What the command line says of remote servers.

use super::arguments::{Arguments, Transport};
use crate::config::{LoginOptions, RemoteTransport, Target, Verify};
use crate::peer::remote::configured;
use url::Url;

/// The transport of the default server: which one it is, or which is tried first.
pub(super) fn transport(arguments: &Arguments) -> RemoteTransport {
    match (arguments.transport_type, arguments.transport) {
        (Some(Transport::Sse), _) => RemoteTransport::Sse,
        (Some(Transport::StreamableHttp), _) => RemoteTransport::StreamableHttp,
        (_, Some(Transport::Sse)) => RemoteTransport::SseFirst,
        _ => RemoteTransport::Auto,
    }
}

/// The headers in a file: `Name: value` on each line; empty lines and those that begin with # are passed over.
pub(super) fn headers<'a>(text: &'a str) -> Result<Vec<(&'a str, &'a str)>, String> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let written = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let header = |(number, line): (usize, &'a str)| match line.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim(), value.trim())),
        // What stands there may be secret.
        _ => Err(format!("line {number} is not `Name: value`")),
    };
    written.map(header).collect()
}

/// What basic authentication sends, if it is asked for.
pub(super) fn basic(arguments: &Arguments) -> Result<Option<String>, &'static str> {
    use base64::Engine as _;
    match (&arguments.username, &arguments.password) {
        _ if arguments.digest => Err("`--digest` is not supported: give a header by `-H`"),
        (None, None) => Ok(None),
        (Some(user), _) if user.contains(':') => Err("a `--username` has no colon"),
        (Some(user), Some(password)) => {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            Ok(Some(format!("Basic {pair}")))
        }
        _ => Err("`--username` and `--password` go together"),
    }
}

/// What the words say about logging in to the default server.
pub(super) fn login(arguments: &Arguments) -> Result<Option<LoginOptions>, String> {
    let Arguments { client_id, client_secret, token_url, .. } = arguments;
    if client_id.is_none() && client_secret.is_none() && token_url.is_none() {
        return Ok(None);
    }
    if client_id.is_none() || (token_url.is_some() && client_secret.is_none()) {
        return Err("`--client-id` goes before `--client-secret`, and both before `--token-url`".to_owned());
    }
    let token_url =
        token_url.as_ref().map(|text| Url::parse(text).map_err(|error| format!("`--token-url`: {error}")));
    Ok(Some(LoginOptions {
        client_id: client_id.clone(),
        client_secret: client_secret.clone(),
        token_url: token_url.transpose()?,
        ..LoginOptions::default()
    }))
}

/// Gives a remote server what concerns them all, and refuses one that must not be called.
/// `interactive`: there is a user who may be asked to log in.
pub(super) fn settle(target: &mut Target, arguments: &Arguments, interactive: bool) {
    let Target::Remote(remote) = target else { return };
    remote.allow_plain |= arguments.allow_http;
    remote.allow_link_local |= arguments.allow_link_local;
    remote.verify = verify(arguments);
    if remote.has_header("Authorization") {
        // Whoever says who asks needs no login.
        remote.login = None;
    } else {
        remote.login.get_or_insert_default();
    }
    if let Some(login) = &mut remote.login {
        login.interactive = interactive;
    }
    let headers = remote.headers.iter().find_map(|(name, value)| configured(name, value).err());
    let refused = remote.check().err().map(|error| error.to_string());
    if let Some(reason) = refused.or_else(|| headers.map(|error| error.to_string())) {
        *target = Target::Broken(reason);
    }
}

/// Which certificates are believed: 1, true, yes and on mean the system's, 0, false, no and off mean all, anything else is
/// a file of those to trust.
fn verify(arguments: &Arguments) -> Verify {
    if arguments.no_verify_ssl {
        return Verify::Off;
    }
    let Some(value) = &arguments.verify_ssl else { return Verify::System };
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Verify::System,
        "0" | "false" | "no" | "off" => Verify::Off,
        _ => Verify::Only(value.into()),
    }
}
