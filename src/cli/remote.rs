//! What the command line says of remote servers.

use super::arguments::{Arguments, Transport};
use crate::config::{RemoteTransport, Target, Verify};
use crate::peer::remote::configured;

/// The transport of the default server: which one it is, or which is tried first.
pub(super) fn transport(arguments: &Arguments) -> RemoteTransport {
    match (arguments.transport_type, arguments.transport) {
        (Some(Transport::Sse), _) => RemoteTransport::Sse,
        (Some(Transport::StreamableHttp), _) => RemoteTransport::StreamableHttp,
        (_, Some(Transport::Sse)) => RemoteTransport::SseFirst,
        _ => RemoteTransport::Auto,
    }
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

/// Gives a remote server what concerns them all, and refuses one that must not be called.
pub(super) fn settle(target: &mut Target, arguments: &Arguments) {
    let Target::Remote(remote) = target else { return };
    remote.allow_plain |= arguments.allow_http;
    remote.allow_link_local |= arguments.allow_link_local;
    remote.verify = verify(arguments);
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
