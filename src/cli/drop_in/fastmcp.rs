//! `mcp_proxy_server.py`, the script around `FastMCPProxy`: the server behind a URL, over stdio or HTTP.

use super::argparse::{self, Unknown};
use super::given::Flag;
use super::{Translation, refused};
use crate::cli::compat::{Refused, is_url};
use crate::config::ServerName;

const FLAGS: &[Flag] = &[
    Flag::one("name"),
    Flag::one("port"),
    Flag::one("transport"),
    Flag::one("transport-type"),
    Flag::switch("help"),
];

/// Where it listens if it is not told.
const PORT: &str = "8000";

/// Translates the words after the script's name.
pub(super) fn translate(words: &[String]) -> Result<Translation, Refused> {
    let given = argparse::read(words, FLAGS, Unknown::Refused)?;
    if given.has("help") {
        return Ok(Translation::only("--help"));
    }
    let ([url], []) = (&given.words[..], &given.left[..]) else {
        return Err(refused("one URL of a remote server is wanted"));
    };
    if !is_url(url) {
        return Err(refused("the server is named by an http:// or https:// URL"));
    }
    let mut to = Translation::default();
    if let Some(name) = given.value("name") {
        // There any text is a name; here it stands in `/status`.
        to.option("name", ServerName::derive(name).as_str());
    }
    match given.value("transport-type") {
        None => {}
        Some("sse") => to.option("transport-type", "sse"),
        Some("http") => to.option("transport-type", "streamablehttp"),
        Some(_) => return Err(refused("`--transport-type` is sse or http")),
    }
    match (given.value("transport"), given.value("port")) {
        (None | Some("stdio"), None) => {}
        (None | Some("stdio"), Some(_)) => to.warn("`--port` is ignored: the transport is stdio"),
        (Some("http" | "sse"), port) => {
            to.option("port", port.unwrap_or(PORT));
        }
        (Some(_), _) => return Err(refused("`--transport` is stdio, http or sse")),
    }
    given.pass_ours(&mut to);
    Ok(to.serve([url.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<Translation, String> {
        translate(&shlex::split(line).unwrap()).map_err(|refused| refused.message)
    }

    #[test]
    fn the_lines_of_its_help_and_each_option() {
        let cases = [
            ("http://localhost:8000/mcp", "-- http://localhost:8000/mcp"),
            ("http://h/mcp --transport http --port 8001", "--port=8001 -- http://h/mcp"),
            ("http://h/sse --transport sse --port 8002 --name My", "--name=My --port=8002 -- http://h/sse"),
            ("http://h/mcp --transport-type sse", "--transport-type=sse -- http://h/mcp"),
            ("http://h/mcp --transport-type http", "--transport-type=streamablehttp -- http://h/mcp"),
            ("http://h/mcp --name 'My SSE Proxy'", "--name=My-SSE-Proxy -- http://h/mcp"),
            ("--transport stdio http://h/mcp", "-- http://h/mcp"),
            ("--transport http http://h/mcp", "--port=8000 -- http://h/mcp"),
            (
                "http://h/mcp --transport http --host ::1 --allow-host a.example",
                "--port=8000 --host=::1 --allow-host=a.example -- http://h/mcp",
            ),
            ("http://nas/mcp --allow-http", "--allow-http -- http://nas/mcp"),
            ("--help", "--help"),
        ];
        for (line, words) in cases {
            assert_eq!(translated(line).map(|to| to.words), Ok(shlex::split(words).unwrap()), "{line}");
        }
        let ignored = translated("http://h/mcp --port 80").unwrap();
        assert_eq!(ignored.words, ["--", "http://h/mcp"]);
        assert_eq!(ignored.habits.warnings, ["`--port` is ignored: the transport is stdio"]);
    }

    #[test]
    fn what_it_refuses_is_refused() {
        for (line, message) in [
            ("", "one URL of a remote server is wanted"),
            ("http://a http://b", "one URL of a remote server is wanted"),
            ("http://a --port 1 http://b", "one URL of a remote server is wanted"),
            ("python server.py", "one URL of a remote server is wanted"),
            ("server.py", "the server is named by an http:// or https:// URL"),
            ("http://a --transport ws", "`--transport` is stdio, http or sse"),
            ("http://a --transport-type auto", "`--transport-type` is sse or http"),
            ("http://a --verbose", "unexpected option `--verbose`"),
        ] {
            assert_eq!(translated(line), Err(message.to_owned()), "{line}");
        }
    }
}
