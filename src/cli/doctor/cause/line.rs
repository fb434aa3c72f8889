//! What a line that a server wrote tells of why it does not work.

use regex_lite::Regex;

use super::container::WITHOUT_TERMINAL;
use crate::cli::doctor::finding::Finding;

/// A kind of line: how it is recognised, what its cause is called, what is wrong, and what to do. `{}` is what the
/// first group of the expression has found.
type Sign = (&'static str, &'static str, &'static str, &'static str);

/// The more telling ones come first: a crash writes many lines.
const SIGNS: &[Sign] = &[
    (
        r"(?i)npm (?:err!|error).*'([^']+)' could not be found",
        "package-unknown",
        "the registry has no package {}",
        "correct the name of the package in `args`",
    ),
    (
        r"(?i)npm (?:err!|error).*(?:404 +'?([^' ]+)'? is not in|404 not found)|npm (?:err!|error) (?:code )?e404",
        "package-unknown",
        "the registry has no package {}",
        "correct the name of the package in `args`",
    ),
    (
        r"(?i)npm (?:err!|error).*no matching version found for (\S+[^\s.])|npm (?:err!|error) (?:code )?etarget",
        "package-unknown",
        "the registry has no such version of the package: {}",
        "correct the version in `args`, or leave it out",
    ),
    (
        r"(?i)package `([^`]+)` does not provide any executables|an executable named `[^`]+` is not provided by package `([^`]+)`",
        "package-unknown",
        "the package {} has no program of its name",
        "correct the name of the package in `args`; a program of another name is run by uvx --from PACKAGE PROGRAM",
    ),
    (
        r"(?i)(?:because|no versions? of) `?([\w.-]+)`?(?:==\S+)? (?:was not found|were found)|there is no version of ([\w.-]+(?:==[\w.]+)?)|no solution found when resolving",
        "package-unknown",
        "the registry has no package {} that fits",
        "correct the name or the version of the package in `args`",
    ),
    (
        r#"No module named ['"]?([\w.]+)"#,
        "module-missing",
        "Python has no module {}",
        "install what has it for the Python that `command` names (python3 -m pip install …), or name the Python of the environment that has it",
    ),
    (
        r"Cannot find (?:module|package) '(\.{0,2}/[^']*)'",
        "module-missing",
        "Node.js finds no file {}",
        "correct the path, or build the server first (often: npm install && npm run build)",
    ),
    (
        r"Cannot find (?:module|package) '([^']+)'",
        "module-missing",
        "Node.js finds no module {}",
        "install it in the directory of the server: npm install",
    ),
    (
        r"can't open file '([^']+)'",
        "file-missing",
        "Python finds no file {}",
        "write the whole path, or give the entry a `cwd`",
    ),
    (
        r"ENOENT: no such file or directory, \w+ '([^']+)'",
        "file-missing",
        "Node.js finds no file {}",
        "write the whole path, or give the entry a `cwd`",
    ),
    (
        r"env: ['‘`]?([^'’`:]+)['’`]?: No such file or directory",
        "interpreter-missing",
        "the script wants the interpreter {}, which is not in PATH",
        "install it, or name an interpreter as `command` and the file in `args`",
    ),
    (
        r"(?:^|: )([\w./@-]+): (?:command )?not found$",
        "command-not-found",
        "a script of the server finds no command {}",
        "install it, or put its directory into the PATH of the entry's `env`",
    ),
    (
        r"(?i)the following arguments are required: (\S.*)|missing required arguments?:? '?([\w-][^']*)|missing (?:option|argument|parameter) '([^']+)'|required option '([^']+)' not specified",
        "arguments",
        "the server wants an argument that it is not given: {}",
        "add {} to `args`; its last lines say what it takes",
    ),
    (
        r"KeyError: '([A-Z][A-Z0-9_]{2,})'",
        "variable-wanted",
        "the server wants the environment variable {}",
        "set it in the entry: `\"env\": { \"{}\": \"…\" }`; servers inherit little of the router's environment",
    ),
    (
        r"(?i)(?-i:\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b).*(?:required|missing|must be|not set|n't set|unset|not provided|not found|not defined|undefined|needed|empty|please set|configure)",
        "variable-wanted",
        "the server wants the environment variable {}",
        "set it in the entry: `\"env\": { \"{}\": \"…\" }`; servers inherit little of the router's environment",
    ),
    (
        r"(?i)(?:required|missing|set|provide|undefined|need|export|environment variable)s?\b.*?(?-i:\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b)",
        "variable-wanted",
        "the server wants the environment variable {}",
        "set it in the entry: `\"env\": { \"{}\": \"…\" }`; servers inherit little of the router's environment",
    ),
    (
        r"(?i)\b((?:api|access)[ _-]?(?:key|token)|token|credentials?)\b.{0,40}(?:required|missing|not set|not provided|not found|invalid)",
        "variable-wanted",
        "the server wants a secret ({})",
        "see its documentation for the variable, and set that in `env` of the entry; servers inherit little of the router's environment",
    ),
    (
        r"(?i)cannot connect to the docker daemon|is the docker daemon running|permission denied while trying to connect to the docker",
        "docker-daemon",
        "Docker cannot be asked",
        "start it, and let this user ask it (the group `docker`, or DOCKER_HOST in `env` of the entry)",
    ),
    (
        r"(?i)the input device is not a TTY",
        "container-with-terminal",
        "the container wants a terminal, and a server has none",
        WITHOUT_TERMINAL,
    ),
    (
        r"(?i)pull access denied for ([^\s,]+)|manifest for (\S+) not found|manifest unknown",
        "image-unknown",
        "there is no image {}",
        "correct its name, or log in where it is kept: docker login",
    ),
    (
        r"(?i)EADDRINUSE|address already in use",
        "port-taken",
        "the server wants to listen on a port that is taken",
        "let it speak on stdin and stdout (often: --transport stdio); or mount the URL of the one that runs already",
    ),
    (
        r"(?i)unsupported engine|EBADENGINE|requires? (?:a )?((?:node|python)[^,;]*)",
        "runtime-too-old",
        "the server wants another version of its runtime ({})",
        "install a newer one, and name it as `command`",
    ),
    (
        r"(?i)ENOTFOUND|EAI_AGAIN|getaddrinfo|name resolution|network is unreachable|dns error|failed to fetch|ECONNREFUSED|ETIMEDOUT",
        "network",
        "the server, or what installs it, cannot reach the network",
        "look at the connection; behind a proxy set HTTPS_PROXY",
    ),
    (
        r"(?i)EACCES|permission denied",
        "not-permitted",
        "the server may not do what it needs",
        "look at the permissions of what its last line names",
    ),
    (
        r"(?i)(unrecognized arguments|unknown (?:option|argument|command)|unexpected argument|invalid (?:option|choice)|no such option|required arguments were not provided)",
        "arguments",
        "the server does not take its arguments: {}",
        "correct `args`: its last lines say what it takes",
    ),
];

/// What a server says that waits for HTTP.
const OF_HTTP: &str = r"(?i)uvicorn running on|(?:listening|running|started|serving|server (?:is )?up|available)\b.{0,40}(?:https?://|\bport\b|0\.0\.0\.0|localhost:|127\.0\.0\.1)|running on https?://|transport ['\x22]?(?:sse|http|streamable-?http)|Starting .{0,60}https?://";

/// What lines tell; the first of the signs that is in any of them.
pub(super) fn sign(lines: &[String]) -> Option<Finding> {
    SIGNS.iter().find_map(|(expression, cause, what, advice)| {
        let expression = Regex::new(expression).ok()?;
        // The last one is why it has ended.
        let found = lines.iter().filter_map(|line| expression.captures(line)).last()?;
        let named = found.iter().skip(1).flatten().next().map(|group| group.as_str().trim());
        let quoted = named.map(|named| format!("`{named}`")).unwrap_or_default();
        let what = what.replace("({})", &named.map(|named| format!("({named})")).unwrap_or_default());
        let what = what.replace("{}", &quoted).replace("  ", " ");
        Some(Finding::error(
            cause,
            what.trim_end().trim_end_matches(':'),
            advice.replace("{}", named.unwrap_or("NAME")),
        ))
    })
}

/// What a server that has failed inside says of it, if lines tell that it has.
pub(super) fn of_a_crash(lines: &[String]) -> Option<&str> {
    let begins = Regex::new(r"^(?:Traceback \(most recent call last\)|thread '.*' (?:\(\d+\) )?panicked at|goroutine \d+ \[|panic: )").ok()?;
    let says = Regex::new(r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Group)\b|thread '.*panicked at|panic: |Uncaught )").ok()?;
    let begun = lines.iter().position(|line| begins.is_match(line.trim_start()));
    let said = lines[begun.unwrap_or(0)..].iter().rfind(|line| says.is_match(line));
    begun?;
    said.or(lines.last()).map(String::as_str)
}

/// A server that waits for HTTP, and where, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OfHttp {
    pub(super) url: Option<String>,
}

/// Whether lines tell that a server waits for HTTP.
pub(super) fn of_http(lines: &[String]) -> Option<OfHttp> {
    let expression = Regex::new(OF_HTTP).ok()?;
    if !lines.iter().any(|line| expression.is_match(line)) {
        return None;
    }
    let url = Regex::new(r"https?://[^\s,;'\x22()<>]+").ok()?;
    let named = lines.iter().filter_map(|line| url.find(line)).map(|found| found.as_str());
    let local = ["://127.", "://localhost", "://0.0.0.0", "://[::"];
    let here = named.filter(|url| local.iter().any(|start| url.contains(start))).last();
    let url = here.map(|url| url.trim_end_matches(['.', '/']).replace("0.0.0.0", "127.0.0.1"));
    Some(OfHttp { url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_real_programs_are_understood() {
        for (line, cause, says) in [
            ("/usr/bin/python3: No module named mcp_server_tiem", "module-missing", "`mcp_server_tiem`"),
            ("ModuleNotFoundError: No module named 'httpx'", "module-missing", "`httpx`"),
            ("Error: Cannot find module '/srv/dist/index.js'", "module-missing", "file `/srv/dist/index.js`"),
            (
                "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/x.js",
                "module-missing",
                "module `zod`",
            ),
            (
                "npm error 404  '@acme/no-such-server@*' is not in this registry.",
                "package-unknown",
                "`@acme/no-such-server@*`",
            ),
            ("npm ERR! code E404", "package-unknown", "has no package"),
            (
                "npm error 404  The requested resource '@acme/none@*' could not be found or you do not have permission",
                "package-unknown",
                "`@acme/none@*`",
            ),
            (
                "  ╰─▶ Because mcp-server-tiem was not found in the package registry and you require",
                "package-unknown",
                "`mcp-server-tiem`",
            ),
            (
                "npm error enoent Could not read package.json: Error: ENOENT: no such file or directory, open '/srv/package.json'",
                "file-missing",
                "`/srv/package.json`",
            ),
            ("env: ‘nodejs18’: No such file or directory", "interpreter-missing", "`nodejs18`"),
            ("env: 'python9': No such file or directory", "interpreter-missing", "`python9`"),
            ("sh: 1: tsx: not found", "command-not-found", "`tsx`"),
            ("run.sh: line 3: jq: command not found", "command-not-found", "`jq`"),
            (
                "python3: can't open file '/srv/server.py': [Errno 2] No such file or directory",
                "file-missing",
                "`/srv/server.py`",
            ),
            ("KeyError: 'ACME_TOKEN'", "variable-wanted", "`ACME_TOKEN`"),
            (
                "Error: GITHUB_PERSONAL_ACCESS_TOKEN not set",
                "variable-wanted",
                "`GITHUB_PERSONAL_ACCESS_TOKEN`",
            ),
            ("Please set SLACK_BOT_TOKEN and SLACK_TEAM_ID", "variable-wanted", "`SLACK_BOT_TOKEN`"),
            ("BRAVE_API_KEY environment variable is required", "variable-wanted", "`BRAVE_API_KEY`"),
            ("fatal: API key is missing", "variable-wanted", "(API key)"),
            ("OSError: [Errno 98] Address already in use", "port-taken", "a port that is taken"),
            (
                "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
                "docker-daemon",
                "Docker",
            ),
            ("argp.py: error: the following arguments are required: --db", "arguments", "`--db`"),
            ("Error: Missing option '--db' / '-d'.", "arguments", "`--db`"),
            ("error: required option '--db <path>' not specified", "arguments", "`--db <path>`"),
            ("Missing required argument: DB_PATH", "arguments", "`DB_PATH`"),
            (
                "npm error notarget No matching version found for @acme/server@99.0.0.",
                "package-unknown",
                "version of the package: `@acme/server@99.0.0`",
            ),
            ("npm error code ETARGET", "package-unknown", "no such version"),
            ("Package `six` does not provide any executables.", "package-unknown", "`six`"),
            (
                "  ╰─▶ Because there is no version of mcp-server-time==99.0 and you require",
                "package-unknown",
                "`mcp-server-time==99.0`",
            ),
            ("the input device is not a TTY", "container-with-terminal", "terminal"),
            ("server.py: error: unrecognized arguments: --stdoi", "arguments", "unrecognized arguments"),
            ("Error: connect ECONNREFUSED 127.0.0.1:5432", "network", "network"),
        ] {
            let found = sign(&[line.to_owned()]).unwrap_or_else(|| panic!("nothing is found in {line}"));
            assert_eq!(found.cause, cause, "{line}: {found:?}");
            assert!(found.what.contains(says), "{line}: {found:?}");
        }
        for line in ["INFO starting", "Traceback (most recent call last):", "loaded 3 MCP_TOOLS"] {
            assert_eq!(sign(&[line.to_owned()]), None, "{line}");
        }
    }

    #[test]
    fn a_crash_is_told_by_its_last_words() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let python =
            lines("ready\nTraceback (most recent call last):\n  File \"x\", line 1\nValueError: no way\nbye");
        assert_eq!(of_a_crash(&python), Some("ValueError: no way"));
        let rust = lines("thread 'main' panicked at src/main.rs:2:5:\nout of luck");
        assert_eq!(of_a_crash(&rust), Some("thread 'main' panicked at src/main.rs:2:5:"));
        assert_eq!(of_a_crash(&lines("ValueError: is logged, and dealt with")), None);
    }

    #[test]
    fn a_server_that_waits_for_http_says_where() {
        for (line, url) in [
            (
                "INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
                Some("http://127.0.0.1:8000"),
            ),
            (
                "Starting MCP server 'x' with transport 'http' on http://0.0.0.0:9000/mcp",
                Some("http://127.0.0.1:9000/mcp"),
            ),
            ("Server listening on port 3000", None),
            ("MCP server running at http://localhost:3001/sse.", Some("http://localhost:3001/sse")),
        ] {
            assert_eq!(of_http(&[line.to_owned()]), Some(OfHttp { url: url.map(str::to_owned) }), "{line}");
        }
        for line in ["Secure MCP Filesystem Server running on stdio", "see https://example.com for help"] {
            assert_eq!(of_http(&[line.to_owned()]), None, "{line}");
        }
    }
}
