//! `--header` and `--oauth2Bearer`: headers of requests to a URL, or of answers about a command.

use http::{HeaderName, HeaderValue};

use crate::cli::drop_in::Translation;
use crate::cli::drop_in::given::Given;

/// The headers of requests to a URL.
pub(super) fn of_requests(given: &Given, to: &mut Translation) {
    for (name, value) in headers(given, to) {
        to.words.extend(["--headers".to_owned(), name, value]);
    }
    if let Some(token) = given.value("oauth2Bearer") {
        to.words.extend(["--headers".to_owned(), "Authorization".to_owned(), format!("Bearer {token}")]);
    }
}

/// The headers of answers about a command.
pub(super) fn of_answers(given: &Given, to: &mut Translation) {
    for (name, value) in headers(given, to) {
        if NEVER_SENT.contains(&name.to_ascii_lowercase().as_str()) {
            to.warn(format!("`--header {name}` is ignored: with `--stdio` it would go to every client"));
            continue;
        }
        match (HeaderName::try_from(&name), HeaderValue::try_from(&value)) {
            (Ok(name), Ok(value)) => {
                to.habits.aliases.headers.insert(name, value);
            }
            _ => to.warn(format!("`--header {name}` is ignored: it is no header")),
        }
    }
    if given.has("oauth2Bearer") {
        to.warn("`--oauth2Bearer` is ignored: with `--stdio` it would give the token to every client");
    }
}

/// Each `--header` as its name and value. What is none is not shown: it may be secret.
fn headers(given: &Given, to: &mut Translation) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for header in given.all("header") {
        let pair = header.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        match pair.filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => to.warn("a `--header` is ignored: it is not like \"NAME: VALUE\""),
        }
    }
    headers
}

/// Headers that would break a response, or give a secret to every client.
const NEVER_SENT: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];
