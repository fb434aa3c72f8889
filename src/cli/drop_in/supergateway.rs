//! supergateway 4.0, of npm: one server per process, `--stdio COMMAND` over HTTP or a URL over stdio.

mod headers;

use http::uri::Uri;

use super::given::{Flag, Given, Takes};
use super::{Translation, refused, shell, yargs};
use crate::cli::compat::{Refused, is_url};
use crate::config;

const FLAGS: &[Flag] = &[
    Flag::one("stdio"),
    Flag::one("sse"),
    Flag::one("streamableHttp"),
    Flag::one("outputTransport"),
    Flag::one("port"),
    Flag::one("baseUrl"),
    Flag::one("ssePath"),
    Flag::one("messagePath"),
    Flag::one("streamableHttpPath"),
    Flag::one("logLevel"),
    Flag { name: "cors", takes: Takes::All },
    Flag { name: "healthEndpoint", takes: Takes::All },
    Flag { name: "header", takes: Takes::All },
    Flag::one("oauth2Bearer"),
    Flag { name: "stateful", takes: Takes::Truth },
    Flag::one("sessionTimeout"),
    Flag::one("protocolVersion"),
    Flag::switch("help"),
    Flag::switch("version"),
];

/// Where it listens if it is not told.
const PORT: u16 = 8000;

/// How long a stateful session may be idle, in milliseconds.
const SESSION_TIMEOUT: f64 = 1_800_000.0;

/// What is served.
#[derive(Clone, Copy, Debug)]
enum Input<'a> {
    Command(&'a str),
    Url { url: &'a str, transport: &'static str },
}

/// How it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Stdio,
    Sse,
    Stateless,
    Stateful,
}

/// Translates the words after the tool's name.
pub(super) fn translate(words: &[String]) -> Result<Translation, Refused> {
    let given = yargs::read(words, FLAGS);
    if let Some(option) = ["help", "version"].into_iter().find(|option| given.has(option)) {
        return Ok(Translation::only(&format!("--{option}")));
    }
    let input = input(&given)?;
    let output = output(&given, input)?;
    let mut to = Translation::default();
    told_of_what_is_left(&given, &mut to);
    log_level(&given, &mut to)?;
    match input {
        Input::Command(_) => {
            // Its children get all that it has.
            to.switch("pass-environment");
            headers::of_answers(&given, &mut to);
        }
        Input::Url { transport, .. } => {
            to.option("transport-type", transport);
            headers::of_requests(&given, &mut to);
        }
    }
    if output != Output::Stdio {
        listen(&given, input, output, &mut to)?;
    }
    given.pass_ours(&mut to);
    match input {
        Input::Command(line) => {
            let words = shell::words(line);
            let words = words.ok_or_else(|| refused("`--stdio`: the command has a quote without its end"))?;
            Ok(to.serve(words))
        }
        Input::Url { url, .. } => Ok(to.serve([url.to_owned()])),
    }
}

/// Whether it has an option of that name.
pub(super) fn has(name: &str) -> bool {
    FLAGS.iter().any(|flag| flag.name == name)
}

fn input(given: &Given) -> Result<Input<'_>, Refused> {
    let url = |option: &str, transport| match given.value(option) {
        Some(url) if !is_url(url.trim()) => {
            Err(refused(format!("`--{option}` wants an http:// or https:// URL")))
        }
        url => Ok(url.map(|url| Input::Url { url: url.trim(), transport })),
    };
    let command = given.value("stdio").filter(|line| !line.trim().is_empty()).map(Input::Command);
    let inputs = [command, url("sse", "sse")?, url("streamableHttp", "streamablehttp")?];
    let mut inputs = inputs.into_iter().flatten();
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        (None, _) => Err(refused("one of `--stdio`, `--sse` and `--streamableHttp` is wanted")),
        (Some(_), Some(_)) => {
            Err(refused("only one of `--stdio`, `--sse` and `--streamableHttp` may be given"))
        }
    }
}

fn output(given: &Given, input: Input<'_>) -> Result<Output, Refused> {
    let stateful = given.is_on("stateful");
    match (given.value("outputTransport"), input) {
        (Some("sse"), _) | (None, Input::Command(_)) => Ok(Output::Sse),
        (Some("streamableHttp"), _) if stateful => Ok(Output::Stateful),
        (Some("streamableHttp"), _) => Ok(Output::Stateless),
        (Some("stdio") | None, Input::Url { .. }) => Ok(Output::Stdio),
        (Some("stdio"), Input::Command(_)) => {
            Err(refused("`--outputTransport stdio`: the server of `--stdio` speaks that by itself"))
        }
        (Some("ws"), _) => Err(refused(
            "`--outputTransport ws`: WebSockets are no transport of MCP, and not served here; take sse or streamableHttp",
        )),
        (Some(_), _) => Err(refused("`--outputTransport` is sse or streamableHttp, or stdio with a URL")),
    }
}

/// What concerns a server that is reached over HTTP.
fn listen(given: &Given, input: Input<'_>, output: Output, to: &mut Translation) -> Result<(), Refused> {
    to.habits.ends_with_stdin = true;
    match (given.value("port"), input) {
        (Some(port), _) => to.option("port", port),
        // Without a port a URL would be served on stdin and stdout.
        (None, Input::Url { .. }) => to.option("port", &PORT.to_string()),
        (None, Input::Command(_)) => to.habits.port = Some(PORT),
    }
    match output {
        Output::Stateless => to.switch("stateless"),
        Output::Stateful => to.option("timeout", &idle_seconds(given)?),
        Output::Sse | Output::Stdio => {}
    }
    origins(given, to);
    paths(given, output, to)?;
    let in_vain = [
        ("stateful", output == Output::Sse && given.is_on("stateful")),
        ("sessionTimeout", output != Output::Stateful && given.has("sessionTimeout")),
        ("protocolVersion", given.has("protocolVersion")),
    ];
    for (option, _) in in_vain.iter().filter(|(_, in_vain)| *in_vain) {
        to.warn(format!("`--{option}` is ignored: there is nothing here that it concerns"));
    }
    Ok(())
}

fn idle_seconds(given: &Given) -> Result<String, Refused> {
    let milliseconds = match given.value("sessionTimeout") {
        Some(text) => text.parse().ok().filter(|milliseconds: &f64| *milliseconds > 0.0),
        None => Some(SESSION_TIMEOUT),
    };
    let milliseconds =
        milliseconds.ok_or_else(|| refused("`--sessionTimeout` wants a positive number of milliseconds"))?;
    Ok((milliseconds / 1000.0).to_string())
}

/// `--cors` alone, or with `*`, is every origin.
fn origins(given: &Given, to: &mut Translation) {
    let origins: Vec<&String> = given.all("cors").collect();
    if !given.has("cors") || origins.last().is_some_and(|origin| *origin == "false") {
        return;
    }
    if origins.is_empty() || origins.iter().any(|origin| *origin == "*") {
        return to.option("allow-origin", "*");
    }
    for origin in origins {
        match config::origin(origin) {
            Ok(origin) => to.option("allow-origin", &origin),
            Err(invalid) => to.warn(format!("`--cors {origin}` is ignored: {invalid}")),
        }
    }
}

fn paths(given: &Given, output: Output, to: &mut Translation) -> Result<(), Refused> {
    let path = |option: &str, text: &str| {
        config::base_path(text).map_err(|_| refused(format!("`--{option}` wants a path like /mcp")))
    };
    let alias = |option, own| match given.value(option) {
        Some(text) if text != own => path(option, text).map(Some),
        _ => Ok(None),
    };
    let aliases = &mut to.habits.aliases;
    if output == Output::Sse {
        aliases.sse = alias("ssePath", "/sse")?;
        aliases.messages = Some(path("messagePath", given.value("messagePath").unwrap_or("/message"))?);
    } else {
        aliases.mcp = alias("streamableHttpPath", "/mcp")?;
    }
    base_url(given, to)?;
    for endpoint in given.all("healthEndpoint").filter(|endpoint| *endpoint != "false") {
        to.habits.aliases.health.push(path("healthEndpoint", endpoint)?);
    }
    Ok(())
}

/// Where clients find the gateway: they come under that name, and what a proxy takes off stands before our paths. The event
/// has never held more of the URL than its path.
fn base_url(given: &Given, to: &mut Translation) -> Result<(), Refused> {
    let Some(url) = given.value("baseUrl") else { return Ok(()) };
    let wrong = || refused("`--baseUrl` wants a URL like https://mcp.example.com");
    let parsed: Uri = url.parse().map_err(|_| wrong())?;
    let path = config::base_path(parsed.path().trim_end_matches('/')).map_err(|_| wrong())?;
    if let Some(host) = parsed.host().filter(|_| is_url(url)) {
        to.option("allow-host", host);
    }
    if !path.is_empty() {
        to.option("base-path", &path);
    }
    Ok(())
}

fn log_level(given: &Given, to: &mut Translation) -> Result<(), Refused> {
    match given.value("logLevel") {
        None => {}
        Some(level @ ("debug" | "info")) => to.option("log-level", level),
        // There is no silence here: what is wrong is always said.
        Some("none") => to.option("log-level", "critical"),
        Some(_) => return Err(refused("`--logLevel` is debug, info or none")),
    }
    Ok(())
}

fn told_of_what_is_left(given: &Given, to: &mut Translation) {
    for option in &given.left {
        to.warn(format!("`{option}` is ignored, as supergateway does: it has no such option"));
    }
    if !given.words.is_empty() {
        let count = given.words.len();
        to.warn(format!(
            "{count} of the words belong to no option and are ignored; a command goes in quotes"
        ));
    }
}

#[cfg(test)]
mod tests;
