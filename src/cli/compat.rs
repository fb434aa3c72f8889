//! What users of mcp-proxy type, turned into a command line that has one meaning only.
//!
//! Python's argparse and clap differ where options take several words or may be abbreviated, and where the
//! router's options end and those of the server begin. All of that is settled here, without I/O:
//! what comes out has every option written in full and every word of the server after `--`.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, ValueEnum};

use super::arguments::Level;
use super::drop_in::Tool;

/// The long options of mcp-proxy 0.13. An abbreviation that is unique among them keeps that meaning,
/// whatever options are added here.
const MCP_PROXY: &[&str] = &[
    "help",
    "version",
    "headers",
    "transport",
    "client-id",
    "client-secret",
    "token-url",
    "username",
    "password",
    "digest",
    "verify-ssl",
    "no-verify-ssl",
    "env",
    "cwd",
    "pass-environment",
    "no-pass-environment",
    "log-level",
    "debug",
    "no-debug",
    "named-server",
    "named-server-config",
    "port",
    "host",
    "stateless",
    "no-stateless",
    "sse-port",
    "sse-host",
    "allow-origin",
    "expose-header",
];

/// How the options of a server's command are kept apart from ours.
const AFTER_DASHES: &str =
    "the command and its own options go after `--`: mcp-switchboard [OPTIONS] -- COMMAND [ARGS]...";

/// Why a command line makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// What clap calls it.
    pub kind: ErrorKind,
    /// What to tell the user. It repeats names, never values: those may be secret.
    pub message: String,
}

/// How many words an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arity {
    None,
    Optional,
    One,
    Two,
    Origins,
}

/// Rewrites the words after the program's name for clap.
pub fn canonical(words: &[String], command: &Command) -> Result<Vec<String>, Refused> {
    let mut scan = Scan { words, next: 0, command, options: Vec::new(), server: Vec::new() };
    if words.first().is_some_and(|word| command.find_subcommand(word).is_some()) {
        return Ok(task(words));
    }
    scan.run()?;
    let Scan { mut options, server, .. } = scan;
    if !server.is_empty() {
        options.push("--".to_owned());
        options.extend(server);
    }
    Ok(options)
}

/// The words of a task; those behind the name of another tool are that tool's, whatever they look like.
fn task(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    if words[0] == "compat" && words.len() > 2 {
        words.insert(2, "--".to_owned());
    }
    words
}

struct Scan<'a> {
    words: &'a [String],
    next: usize,
    command: &'a Command,
    options: Vec<String>,
    server: Vec<String>,
}

/// What a word that begins with a dash is.
enum Dashed<'a> {
    Option { arg: &'a Arg, name: String, inline: Option<&'a str> },
    Plain,
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Result<(), Refused> {
        let mut interrupted = false;
        while let Some(word) = self.take() {
            if word == "--" {
                self.server.extend_from_slice(&self.words[self.next..]);
                return Ok(());
            }
            match self.classify(word)? {
                Dashed::Option { arg, name, inline } => {
                    interrupted = !self.server.is_empty();
                    self.option(arg, &name, inline)?;
                }
                // Whose argument this is cannot be told: mcp-proxy refuses it too.
                Dashed::Plain if interrupted => {
                    return Err(refused(
                        ErrorKind::UnknownArgument,
                        "the words of the command are interrupted by an option; if the option belongs to the \
                         command, write `--` before the command, else write it before the command",
                    ));
                }
                Dashed::Plain => self.server.push(word.to_owned()),
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).map(String::as_str)
    }

    fn classify(&self, word: &'a str) -> Result<Dashed<'a>, Refused> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, inline) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            return match self.resolve(name, inline)? {
                Some((arg, name)) => Ok(Dashed::Option { arg, name, inline }),
                None if word.contains(' ') => Ok(Dashed::Plain),
                None => Err(self.unknown(&format!("--{name}"))),
            };
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Ok(Dashed::Plain);
        };
        if word.contains(' ') || letters.parse::<f64>().is_ok() {
            return Ok(Dashed::Plain);
        }
        let mut each = letters.chars();
        let first = each.next().unwrap_or('-');
        match (self.short(first), each.next()) {
            (Some((arg, name)), None) => Ok(Dashed::Option { arg, name, inline: None }),
            (Some(_), Some(_)) => {
                let message = format!("`-{first}` is followed by its values as words of their own");
                Err(refused(ErrorKind::WrongNumberOfValues, &message))
            }
            (None, None) => Err(self.unknown(&format!("-{first}"))),
            (None, Some(_)) => Err(self.unknown(&format!("-{first}..."))),
        }
    }

    /// The option that `name` stands for, and its full name.
    fn resolve(&self, name: &str, inline: Option<&str>) -> Result<Option<(&'a Arg, String)>, Refused> {
        // In mcp-proxy `--log` abbreviates `--log-level`; by itself it is an option here.
        if name == "log" && inline.or(self.peek()).is_some_and(is_level) {
            return Ok(self.long("log-level").map(|arg| (arg, "log-level".to_owned())));
        }
        if let Some(arg) = self.long(name) {
            return Ok(Some((arg, name.to_owned())));
        }
        let meant: Vec<&str> = MCP_PROXY.iter().copied().filter(|long| long.starts_with(name)).collect();
        match meant[..] {
            [] => Ok(None),
            [long] => Ok(self.long(long).map(|arg| (arg, long.to_owned()))),
            _ => {
                let meant = meant.iter().map(|long| format!("--{long}")).collect::<Vec<_>>().join(", ");
                let message = format!("`--{name}` is short for several options: {meant}");
                Err(refused(ErrorKind::UnknownArgument, &message))
            }
        }
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
        })
    }

    fn short(&self, letter: char) -> Option<(&'a Arg, String)> {
        let arg = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
        Some((arg, arg.get_long()?.to_owned()))
    }

    fn option(&mut self, arg: &'a Arg, name: &str, inline: Option<&str>) -> Result<(), Refused> {
        match (arity(arg), inline) {
            // An inline value of an option that takes none is for clap to refuse.
            (Arity::None | Arity::Optional | Arity::One, Some(value)) => {
                self.options.push(format!("--{name}={value}"));
            }
            // The long form would only put empty lines between the options.
            (Arity::None, None) if name == "help" => self.options.push("-h".to_owned()),
            (Arity::None, None) => self.options.push(format!("--{name}")),
            (Arity::Optional, None) => {
                // mcp-proxy takes the URL that follows for the value; here it stays the URL.
                let value = self.peek().filter(|word| !is_url(word) && !self.is_option(word));
                self.next += usize::from(value.is_some());
                self.options.push(value.map_or(format!("--{name}"), |value| format!("--{name}={value}")));
            }
            (Arity::One, None) => {
                let value = self.value(name, "a value")?;
                self.options.push(format!("--{name}={value}"));
            }
            (Arity::Two, None) => {
                let (first, second) = (self.value(name, "two values")?, self.value(name, "two values")?);
                self.options.extend([format!("--{name}"), first.to_owned(), second.to_owned()]);
            }
            (Arity::Two, Some(_)) => {
                let message = format!("`--{name}` takes two values, each a word of its own");
                return Err(refused(ErrorKind::WrongNumberOfValues, &message));
            }
            (Arity::Origins, _) => self.origins(name, inline)?,
        }
        Ok(())
    }

    /// Takes the words that are origins: mcp-proxy goes on to take the command as well.
    fn origins(&mut self, name: &str, inline: Option<&str>) -> Result<(), Refused> {
        if let Some(origin) = inline {
            self.options.push(format!("--{name}={origin}"));
            return Ok(());
        }
        let before = self.next;
        while let Some(origin) = self.peek().filter(|word| is_origin(word)) {
            self.next += 1;
            self.options.push(format!("--{name}={origin}"));
        }
        if self.next > before {
            return Ok(());
        }
        let message =
            format!("`--{name}` wants an origin like https://app.example.com, or * in quotes, after it");
        Err(refused(ErrorKind::WrongNumberOfValues, &message))
    }

    fn value(&mut self, name: &str, wanted: &str) -> Result<&'a str, Refused> {
        match self.peek() {
            Some(word) if !self.is_option(word) => {
                self.next += 1;
                Ok(word)
            }
            _ => {
                let message = format!("`--{name}` wants {wanted} after it");
                Err(refused(ErrorKind::WrongNumberOfValues, &message))
            }
        }
    }

    /// Whether the word is an option of the router, and so cannot be a value.
    fn is_option(&self, word: &'a str) -> bool {
        word == "--" || matches!(self.classify(word), Ok(Dashed::Option { .. }))
    }

    fn unknown(&self, name: &str) -> Refused {
        let letters = name.trim_start_matches('-');
        let starts = |arg: &&Arg| arg.get_long().is_some_and(|long| long.starts_with(letters));
        let meant = self.command.get_arguments().find(starts).and_then(Arg::get_long);
        let way_out = match meant {
            Some(long) if self.server.is_empty() && name.starts_with("--") => format!("is `--{long}` meant?"),
            _ => match Tool::of_option(letters).filter(|_| self.server.is_empty()) {
                Some(tool) => format!("for the options of {0}: mcp-switchboard compat {0} ...", tool.name()),
                None => AFTER_DASHES.to_owned(),
            },
        };
        refused(ErrorKind::UnknownArgument, &format!("unexpected option `{name}`; {way_out}"))
    }
}

/// Whether a word is a URL, so that it names a remote server and not a command.
pub fn is_url(word: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| word.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn is_origin(word: &str) -> bool {
    word == "*" || word.contains("://")
}

fn is_level(word: &str) -> bool {
    Level::from_str(word, true).is_ok()
}

fn arity(arg: &Arg) -> Arity {
    let takes_values = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values = arg.get_num_args().unwrap_or_else(|| 1.into());
    match (takes_values, values.min_values(), values.max_values()) {
        (false, ..) => Arity::None,
        (true, 0, _) => Arity::Optional,
        (true, 2, 2) => Arity::Two,
        (true, _, 1) => Arity::One,
        (true, ..) => Arity::Origins,
    }
}

fn refused(kind: ErrorKind, message: &str) -> Refused {
    Refused { kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
