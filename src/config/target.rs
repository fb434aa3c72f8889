//! What stands behind an entry: the keys `command`, `args`, `env`, `cwd`, `sandbox`, `url`, `headers`, `oauth`, `allowHttp` and
//! `type`.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Problem;
use super::file::Surroundings;
use super::json::{Json, JsonPath};
use super::node::{Expansion, Members, Node};
use super::{CommandSpec, InvalidUrl, RemoteSpec, RemoteTransport, Sandbox, Target, login, sandbox};

/// How the entry says that its server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stdio,
    Remote(RemoteTransport),
}

/// Reads those keys, whichever of them count in the end: a wrong type refuses the file in any case.
pub(super) fn read(
    members: &mut Members<'_>,
    path: &JsonPath,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Target, Problem> {
    let mut expansion = Expansion::new(surroundings.variables);
    let transport = transport(members, &mut expansion)?;
    let command = members.get("command");
    let program = command.as_ref().map(|node| expansion.text(node)).transpose()?;
    let args = members.get("args").map(|node| expansion.texts(&node)).transpose()?;
    let env = members.get("env").map(|node| map(&node, &mut expansion)).transpose()?.unwrap_or_default();
    let cwd = members.get("cwd").map(|node| expansion.text(&node)).transpose()?;
    let sandbox = sandbox::read(members, surroundings.directory, &mut expansion)?;
    let before = expansion.produced.len();
    let url = members.get("url").map(|node| expansion.text(&node)).transpose()?;
    let in_url = expansion.produced[before..].to_vec();
    let headers = members.get("headers").map(|node| map(&node, &mut expansion)).transpose()?;
    let login = members.get("oauth").map(|node| login::read(&node, &mut expansion, warnings)).transpose()?;
    let allow_http = members.get("allowHttp").map(|node| node.flag()).transpose()?.unwrap_or(false);

    if let Some(reason) = expansion.reason() {
        return Ok(Target::Broken(reason));
    }
    Ok(match (transport, program, url) {
        (Err(reason), ..) => Target::Broken(reason),
        (Ok(Some(Transport::Stdio) | None), Some(program), None)
        | (Ok(Some(Transport::Stdio)), Some(program), Some(_)) => {
            if let (Some(node), None) = (command, &args) {
                warnings.extend(whole_line(&node, &program, surroundings.is_file));
            }
            let cwd = cwd.filter(|cwd| !cwd.is_empty()).map(|cwd| surroundings.directory.join(cwd));
            stdio(CommandSpec {
                program,
                args: args.unwrap_or_default(),
                env,
                cwd,
                secrets: expansion.produced,
                sandbox: sandbox.map(Box::new),
            })
        }
        (Ok(transport @ (Some(Transport::Remote(_)) | None)), None, Some(url))
        | (Ok(transport @ Some(Transport::Remote(_))), Some(_), Some(url)) => {
            if sandbox.is_some() {
                return Ok(Target::Broken(
                    "`sandbox` is for a `command`: a remote server does not run here, so remove it"
                        .to_owned(),
                ));
            }
            let transport = match transport {
                Some(Transport::Remote(transport)) => transport,
                _ => RemoteTransport::Auto,
            };
            let login = match login.transpose() {
                Ok(login) => login.map(Box::new),
                Err(wrong) => return Ok(Target::Broken(wrong)),
            };
            match remote(&url, headers.unwrap_or_default()) {
                Ok(remote) => Target::Remote(RemoteSpec {
                    transport,
                    login,
                    allow_plain: allow_http,
                    hidden: remote.respells(&url, &in_url),
                    secrets: expansion.produced,
                    ..remote
                }),
                // The reason may repeat the beginning.
                Err(_) if !in_url.is_empty() => {
                    let reason = "what its variables hold makes no http:// or https:// URL of it";
                    Target::Broken(format!("{}: {reason}", path.key("url")))
                }
                Err(reason) => Target::Broken(format!("{}: {reason}", path.key("url"))),
            }
        }
        (Ok(Some(Transport::Stdio)), None, _) => {
            Target::Broken("a stdio server wants a `command`".to_owned())
        }
        (Ok(Some(Transport::Remote(_))), _, None) => {
            Target::Broken("a remote server wants a `url`".to_owned())
        }
        (Ok(None), Some(_), Some(_)) => Target::Broken(
            "the entry has both `command` and `url`; a `type` must say which counts".to_owned(),
        ),
        (Ok(None), None, None) => Target::Broken("the entry has neither `command` nor `url`".to_owned()),
    })
}

fn stdio(command: CommandSpec) -> Target {
    if command.program.trim().is_empty() {
        return Target::Broken("the command is empty".to_owned());
    }
    let words = command.args.iter().chain(command.env.iter().flat_map(|(name, value)| [name, value]));
    if words.chain([&command.program]).any(|word| word.contains('\0')) {
        return Target::Broken("the command holds a NUL character".to_owned());
    }
    if command.sandbox.is_some() && !Sandbox::IS_SUPPORTED {
        return Target::Broken(
            "`sandbox` works on Linux only: remove it to run the server without".to_owned(),
        );
    }
    Target::Stdio(command)
}

fn remote(url: &str, headers: BTreeMap<String, String>) -> Result<RemoteSpec, InvalidUrl> {
    let mut remote = RemoteSpec::new(url)?;
    for (name, value) in headers {
        remote.set_header(&name, value);
    }
    Ok(remote)
}

/// The transport that the entry names, in the outer result a wrong type, in the inner one a word that is
/// not known, which concerns this mount alone.
fn transport(
    members: &mut Members<'_>,
    expansion: &mut Expansion<'_>,
) -> Result<Result<Option<Transport>, String>, Problem> {
    let mut named: Option<(&str, Transport)> = None;
    for key in ["type", "transport", "transportType"] {
        let Some(node) = members.get(key) else { continue };
        let written = expansion.text(&node)?;
        let plain: String = written.chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
        let transport = match plain.to_ascii_lowercase().as_str() {
            "stdio" | "local" => Transport::Stdio,
            "http" | "streamablehttp" | "remote" => Transport::Remote(RemoteTransport::Auto),
            "sse" => Transport::Remote(RemoteTransport::SseFirst),
            _ => {
                return Ok(Err(format!(
                    "{}: not one of stdio, local, http, streamable-http, remote, sse",
                    node.path
                )));
            }
        };
        match named {
            Some((other, earlier)) if earlier != transport => {
                return Ok(Err(format!("`{other}` and `{key}` contradict each other")));
            }
            _ => named = Some((key, transport)),
        }
    }
    Ok(Ok(named.map(|(_, transport)| transport)))
}

/// An object whose values are strings.
fn map(node: &Node<'_>, expansion: &mut Expansion<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let members = node.members("an object of strings")?;
    let mut map = BTreeMap::new();
    for (key, value) in members.iter() {
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(Problem::Value {
                path: value.path,
                found: "a name that is empty or holds = or NUL".to_owned(),
                wanted: "a name".to_owned(),
            });
        }
        if matches!(value.json, Json::Number(_) | Json::Bool(_)) {
            return Err(value.wanted("a string: write it in quotes"));
        }
        map.insert(key.to_owned(), expansion.text(&value)?);
    }
    Ok(map)
}

/// A warning if `command` seems to hold a whole command line: it is one program's name, no shell splits it.
fn whole_line(node: &Node<'_>, program: &str, is_file: &dyn Fn(&Path) -> bool) -> Option<String> {
    if !program.trim().contains(char::is_whitespace) || is_file(Path::new(program)) {
        return None;
    }
    Some(format!(
        "{}: taken as the name of one program, spaces included, since no shell splits it; \
         if it is a command line, write its first word here and the others as `args`",
        node.path
    ))
}
