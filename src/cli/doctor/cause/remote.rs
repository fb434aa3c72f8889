//! Why a remote server cannot be reached, or refuses.

use super::line::sign as sign_of;
use super::{Case, start};
use crate::cli::doctor::finding::Finding;
use crate::config::{RemoteSpec, Target};

/// What is told of a connection, the cause, what to do about it. The text is what the router itself says of the end of a
/// connection, and of the libraries that it connects with.
const SIGNS: &[(&[&str], &str, &str)] = &[
    (
        &["answered 401"],
        "login-wanted",
        "log in once, as the user of the router and in a terminal: mcp-switchboard tools URL (it opens a browser, and the \
         token is kept); or give a token by `headers` in the file, by `-H Authorization 'Bearer …'` or by API_ACCESS_TOKEN",
    ),
    (
        &["--allow-host"],
        "host-refused",
        "do so where that router runs, or write the URL with a name that it allows (localhost, or its address)",
    ),
    (
        &["answered 403"],
        "forbidden",
        "the server knows who asks and refuses, or refuses this machine: look at the token's rights, and whether the server wants another Host",
    ),
    (
        &["answered 404", "answered 405", "answered 400", "answered 501"],
        "wrong-path",
        "look at the path: servers are often at /mcp (Streamable HTTP) or /sse (HTTP+SSE)",
    ),
    (
        &["certificate"],
        "certificate",
        "if the authority is your own, name its file: --verify-ssl FILE, or SSL_CERT_FILE; else renew or correct the certificate",
    ),
    (
        &["Connection refused", "refused by"],
        "connection-refused",
        "nothing listens there: start the server, and look at host and port",
    ),
    (
        &["dns error", "lookup", "resolve"],
        "host-unknown",
        "look at the name of the host; in a container, at that of the service",
    ),
    (
        &["timed out", "deadline"],
        "unreachable",
        "nothing comes back from there: look at the firewall, and whether a proxy is wanted (HTTPS_PROXY)",
    ),
    (
        &["InvalidContentType", "corrupt message", "wrong version number"],
        "not-https",
        "the other side does not speak TLS: write http:// (to another machine with `allowHttp`), or the right port",
    ),
    (
        &["not one of MCP", "JSON or an event stream"],
        "not-mcp",
        "what answers there is a web page or another service: look at the URL, often it ends in /mcp or /sse",
    ),
    (&["answered 5"], "server-error", "the server itself fails: look at its log, or try again later"),
];

pub(super) fn lost(case: &Case<'_>, reason: &str) -> Finding {
    // Whom to ask for a token is said below, in other words.
    let reason = case.shown(reason.split(": it wants a token").next().unwrap_or(reason));
    let what = match &case.server.target {
        Target::Remote(remote) => format!("{} does not work: {reason}", case.shown(&remote.to_string())),
        _ => reason.clone(),
    };
    let sign = SIGNS.iter().find(|(signs, ..)| signs.iter().any(|sign| reason.contains(sign)));
    if let Some(found) = of_a_router(&reason) {
        return Finding { what: format!("{what}; {}", found.what), ..found };
    }
    let Some((_, kind, advice)) = sign else {
        return Finding::error("unreachable", what, "look at the URL, and at the way to it");
    };
    if *kind == "login-wanted"
        && let Some(hint) = shows_token(case)
    {
        return Finding::error(
            "token-refused",
            format!("{what}: the token that it is given is refused"),
            format!(
                "it may be wrong, have expired, or be for another server: get a new one, and write it where this one stands \
                 (`headers` of the entry, `-H` or API_ACCESS_TOKEN){hint}"
            ),
        );
    }
    let advice = match case.elsewhere {
        Some(url) => answers_at(url),
        None => (*advice).to_owned(),
    };
    Finding::error(kind, what, advice)
}

/// Whether a header says already who asks, and what is odd about it.
fn shows_token(case: &Case<'_>) -> Option<&'static str> {
    let Target::Remote(remote) = &case.server.target else { return None };
    let is_one = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["authorization", "key", "token", "secret"].iter().any(|word| name.contains(word))
    };
    let (name, value) = remote.headers.iter().find(|(name, _)| is_one(name))?;
    let is_bare = name.eq_ignore_ascii_case("authorization") && !value.trim().contains(' ');
    Some(if is_bare { "; before a token `Authorization` usually wants the word `Bearer`" } else { "" })
}

/// What a router says of a server of its own that it cannot start.
fn of_a_router(reason: &str) -> Option<Finding> {
    let (_, why) = reason.split_once("cannot be started: ")?;
    let there = "on the machine of that router";
    let spawn = [
        ("was not found in", "command-not-found"),
        ("the directory ", "no-directory"),
        ("the program ", "command-not-found"),
        ("is not an executable file", "not-executable"),
        ("cannot be run", "not-executable"),
        ("sandbox", "sandbox"),
    ];
    let sign = spawn.into_iter().find(|(sign, _)| why.contains(sign));
    match sign {
        Some(("was not found in", cause)) => {
            let program = why.split('"').nth(1).unwrap_or_default();
            let (cause, advice) = match start::runner(program) {
                Some(advice) => ("runner-missing", format!("{there}, {advice}")),
                None => (cause, format!("correct `command` of its entry, or install it {there}")),
            };
            Some(Finding::error(cause, format!("`{program}` is not in the PATH of that router"), advice))
        }
        Some((_, cause)) => Some(Finding::error(
            cause,
            "its entry is wrong",
            format!("correct it, or put right what it names {there}"),
        )),
        None => sign_of(&[why.to_owned()]),
    }
}

/// The server has answered with an error where another path of its host does not.
pub(super) fn refused(case: &Case<'_>, url: &url::Url, message: &str) -> Finding {
    let what = format!("the URL leads to no server: it answers {:?}", case.shown(message));
    Finding::error("wrong-path", what, answers_at(url))
}

fn answers_at(url: &url::Url) -> String {
    format!("a server of MCP answers at {}: write that URL", shown(url))
}

/// Without the query, which may hold a key.
fn shown(url: &url::Url) -> String {
    RemoteSpec::new(url.as_str()).map_or_else(|_| "another path".to_owned(), |remote| remote.to_string())
}

/// Whether a server may be at another path of the same host.
pub(in crate::cli::doctor) fn may_be_elsewhere(reason: &str) -> bool {
    ["answered 404", "answered 405", "answered 400", "answered 501", "not one of MCP"]
        .iter()
        .any(|sign| reason.contains(sign))
}
