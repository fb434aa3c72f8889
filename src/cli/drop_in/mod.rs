//! Other tools whose command lines are understood: each is turned into one of the router's own.
//!
//! Which tool is meant is said by the name under which the program is called, or by `compat TOOL` as its first words.
//! A tool's module knows its options and defaults, and touches nothing: words in, a [`Translation`] out.

mod argparse;
mod fastmcp;
mod given;
mod mcproxy;
mod shell;
mod streamablehttp_proxy;
mod supergateway;
mod yargs;

use std::path::Path;

use clap::ValueEnum;
use clap::error::ErrorKind;

use super::compat::Refused;
use crate::config::Aliases;

/// A tool that the program can stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// A command over HTTP, or a URL over stdio.
    Supergateway,
    /// A command over Streamable HTTP.
    #[value(name = "mcp-streamablehttp-proxy")]
    StreamableHttpProxy,
    /// A URL over stdio or HTTP: the proxy script of fastmcp.
    #[value(name = "fastmcp-proxy", aliases = ["fastmcp", "fastmcp_proxy", "mcp_proxy_server", "mcp-proxy-server"])]
    Fastmcp,
    /// The servers of a file.
    #[value(name = "mcproxy")]
    Mcproxy,
}

/// A tool's command line as one of the router's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The words, as [`parse`](super::parse) takes them.
    pub words: Vec<String>,
    /// What no option of the router says.
    pub habits: Habits,
}

/// What a tool's users are used to, and no option of the router says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Where the tool listens, unless option, environment or file say something else.
    pub host: Option<String>,
    /// On which port, likewise.
    pub port: Option<u16>,
    /// Its paths.
    pub aliases: Aliases,
    /// The end of stdin ends the router, where a program holds its other end.
    pub ends_with_stdin: bool,
    /// What was given in vain, or is done differently.
    pub warnings: Vec<String>,
}

impl Tool {
    /// The tool that a program of this path stands in for.
    pub fn called(program: &str) -> Option<Self> {
        let name = Path::new(program).file_stem()?.to_str()?;
        Self::from_str(name, true).ok()
    }

    /// The tool by which the program must be called for this option, of which the router knows nothing.
    pub(super) fn of_option(name: &str) -> Option<Self> {
        supergateway::has(name).then_some(Self::Supergateway)
    }

    /// Its name, as `compat` takes it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Translates the words after the tool's name; `environment` has the variables that it reads.
    pub fn translate(
        self,
        words: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Translation, Refused> {
        match self {
            Self::Supergateway => supergateway::translate(words),
            Self::StreamableHttpProxy => streamablehttp_proxy::translate(words, environment),
            Self::Fastmcp => fastmcp::translate(words),
            Self::Mcproxy => mcproxy::translate(words),
        }
    }
}

impl Translation {
    /// The words of a command line that only asks what there is.
    fn only(option: &str) -> Self {
        Self { words: vec![option.to_owned()], habits: Habits::default() }
    }

    /// Adds an option with its value.
    fn option(&mut self, name: &str, value: &str) {
        self.words.push(format!("--{name}={value}"));
    }

    /// Adds a switch.
    fn switch(&mut self, name: &str) {
        self.words.push(format!("--{name}"));
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.habits.warnings.push(warning.into());
    }

    /// Adds what is to be served, which ends the options.
    fn serve(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.push("--".to_owned());
        self.words.extend(words);
        self
    }
}

/// A command line that cannot be translated.
fn refused(message: impl Into<String>) -> Refused {
    Refused { kind: ErrorKind::InvalidValue, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;
    use proptest::prelude::*;

    #[test]
    fn a_tool_is_known_by_the_name_of_the_program() {
        let cases = [
            ("/usr/local/bin/supergateway", Some(Tool::Supergateway)),
            ("supergateway.exe", Some(Tool::Supergateway)),
            ("./mcp-streamablehttp-proxy", Some(Tool::StreamableHttpProxy)),
            ("fastmcp-proxy", Some(Tool::Fastmcp)),
            ("/opt/mcp_proxy_server.py", Some(Tool::Fastmcp)),
            ("MCProxy", Some(Tool::Mcproxy)),
            ("mcproxy", Some(Tool::Mcproxy)),
            ("mcp-switchboard", None),
            ("mcp-proxy", None),
            ("", None),
            ("/", None),
        ];
        for (program, tool) in cases {
            assert_eq!(Tool::called(program), tool, "{program}");
        }
    }

    proptest! {
        #[test]
        fn what_is_served_is_what_was_translated(
            words in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![
                        "--", "-", "-x", "--stdio", "npx x", "--sse", "https://a", "--outputTransport", "streamableHttp", "--port",
                        "80", "--cors", "--header", "A: b", "--config", "--name", "--transport=http", "--timeout=1", "--help",
                    ]).prop_map(str::to_owned),
                    any::<String>(),
                ],
                0..8,
            )
        ) {
            for tool in Tool::value_variants() {
                let Ok(translation) = tool.translate(&words, &|_| None) else { continue };
                let Ok(arguments) = parse(&translation.words) else { continue };
                let served = arguments.command_or_url.into_iter().chain(arguments.args);
                let behind = translation.words.iter().position(|word| word == "--");
                let wanted = behind.map_or(&[][..], |dashes| &translation.words[dashes + 1..]);
                prop_assert_eq!(served.collect::<Vec<_>>(), wanted);
            }
        }
    }
}
