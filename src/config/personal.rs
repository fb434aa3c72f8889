//! What each user brings himself: the key `envFromHeader`.

use std::collections::BTreeMap;

use http::HeaderName;

use super::error::Problem;
use super::node::Node;

/// Variables of a server's environment, and the headers in which each user sends their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFromHeader(BTreeMap<String, HeaderName>);

impl EnvFromHeader {
    /// Whether there are none, so that the server's processes are the same for everybody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each variable and its header, by variable.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &HeaderName)> {
        self.0.iter().map(|(variable, header)| (variable.as_str(), header))
    }

    /// The headers, in the order of the variables; one may come twice.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.values()
    }
}

/// Reads the object at `node`.
pub(super) fn read(node: &Node<'_>) -> Result<EnvFromHeader, Problem> {
    let wanted = "an object: variables, each with the name of a header";
    let mut variables = BTreeMap::new();
    for (variable, header) in node.members(wanted)?.iter() {
        let refuse = |found: String, wanted: &str| Problem::Value {
            path: header.path.clone(),
            found,
            wanted: wanted.to_owned(),
        };
        if !is_name(variable) {
            return Err(refuse(
                "a variable that is not made of letters, digits and _".to_owned(),
                "another name",
            ));
        }
        if let Some(why) = misuse(variable) {
            return Err(refuse(format!("a variable {why}"), "one that only holds a user's credentials"));
        }
        let written = header.text().map_err(|_| header.wanted("the name of a header"))?;
        let name: HeaderName = written.parse().map_err(|_| header.wanted("the name of a header"))?;
        if let Some(why) = occupied(&name) {
            return Err(refuse(
                format!("the header {written}, {why}"),
                "a header of your own, such as \"X-GitHub-Token\"",
            ));
        }
        variables.insert(variable.to_owned(), name);
    }
    if variables.is_empty() {
        // Whoever writes it believes that users are kept apart.
        return Err(Problem::Value {
            path: node.path.clone(),
            found: "no variable".to_owned(),
            wanted: wanted.to_owned(),
        });
    }
    Ok(EnvFromHeader(variables))
}

fn is_name(variable: &str) -> bool {
    let begins = variable.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    begins && variable.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Why a user must not say what is in a variable: by these, programs find or load other programs.
fn misuse(variable: &str) -> Option<&'static str> {
    const LOADING: [&str; 25] = [
        "PATH",
        "PATHEXT",
        "COMSPEC",
        "SHELL",
        "ENV",
        "BASH_ENV",
        "IFS",
        "HOME",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYLIB",
        "RUBYOPT",
        "CLASSPATH",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "EDITOR",
        "PAGER",
        "DOTNET_STARTUP_HOOKS",
        "TMPDIR",
    ];
    let upper = variable.to_ascii_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| upper.starts_with(prefix));
    if begins(&["MCP_SWITCHBOARD_", "MCP_PROXY_"]) || upper == "API_ACCESS_TOKEN" {
        return Some("that is the router's own");
    }
    let loads = LOADING.contains(&upper.as_str())
        || begins(&["LD_", "DYLD_", "BASH_FUNC_", "NPM_CONFIG_", "UV_", "PIP_", "GIT_"]);
    loads.then_some("by which programs are found or loaded")
}

/// Why a header cannot hold what is meant for a server.
fn occupied(header: &HeaderName) -> Option<&'static str> {
    const OWN: [&str; 4] = ["authorization", "x-api-key", "cookie", "proxy-authorization"];
    const HTTP: [&str; 25] = [
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-type",
        "content-encoding",
        "accept",
        "accept-encoding",
        "accept-language",
        "origin",
        "referer",
        "expect",
        "range",
        "set-cookie",
        "user-agent",
        "forwarded",
        "via",
        "x-real-ip",
        "last-event-id",
    ];
    let name = header.as_str();
    if OWN.contains(&name) {
        return Some("which says who asks the router, and never reaches a server");
    }
    if name.starts_with("mcp-") {
        return Some("which is the protocol's");
    }
    if name.starts_with("mcp-switchboard") || name.starts_with("x-mcp-switchboard") {
        return Some("which is the router's own");
    }
    let taken = HTTP.contains(&name)
        || ["x-forwarded-", "sec-", "access-control-"].iter().any(|prefix| name.starts_with(prefix));
    taken.then_some("which has a meaning of its own")
}
