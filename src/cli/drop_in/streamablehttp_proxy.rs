//! mcp-streamablehttp-proxy 0.2, of `PyPI`: one command over Streamable HTTP.

use super::argparse::{self, Unknown};
use super::given::Flag;
use super::{Translation, refused};
use crate::cli::compat::Refused;

const FLAGS: &[Flag] = &[
    Flag::one("host"),
    Flag::one("port"),
    Flag::one("timeout"),
    Flag::one("log-level"),
    Flag::switch("help"),
];

/// Where it listens if neither option nor environment say it.
const PORT: u16 = 3000;

/// Translates the words after the tool's name.
pub(super) fn translate(
    words: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Translation, Refused> {
    let given = argparse::read(words, FLAGS, Unknown::Left)?;
    if given.has("help") {
        return Ok(Translation::only("--help"));
    }
    let Some((program, row)) = given.words.split_first() else {
        return Err(refused("mcp-streamablehttp-proxy wants the command of a server"));
    };
    let mut to = Translation::default();
    // Its children get all that it has.
    to.switch("pass-environment");
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    if let Some(host) = given.value("host").map(str::to_owned).or_else(|| variable("MCP_BIND_HOST")) {
        to.option("host", &host);
    }
    match (given.value("port"), variable("MCP_PORT")) {
        (Some(port), _) => to.option("port", port),
        (None, Some(port)) if port.trim().parse::<u16>().is_ok() => to.option("port", port.trim()),
        (None, Some(port)) => {
            return Err(refused(format!("MCP_PORT is {port:?}, wanted a port from 0 to 65535")));
        }
        (None, None) => to.habits.port = Some(PORT),
    }
    given.pass("timeout", "timeout", &mut to);
    given.pass("log-level", "log-level", &mut to);
    // The router's own `--host` is the tool's, and has been passed on.
    given.pass_ours_but("host", &mut to);
    if variable("LOG_FILE").is_some() {
        to.warn("LOG_FILE is ignored: the log goes to stderr");
    }
    if !row.is_empty() && !given.left.is_empty() {
        to.warn(
            "options of the command stand right behind its first word now, where mcp-streamablehttp-proxy puts them; \
             `--` before the command leaves it as it is",
        );
    }
    // What its parser does not know goes behind the first word, so that `python -m module` works.
    let command = [program].into_iter().chain(&given.left).chain(row);
    Ok(to.serve(command.cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str, environment: &[(&str, &str)]) -> Result<Translation, String> {
        let look_up = |name: &str| {
            environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        translate(&shlex::split(line).unwrap(), &look_up).map_err(|refused| refused.message)
    }

    fn means(line: &str, environment: &[(&str, &str)], words: &str) -> Translation {
        let translation = translated(line, environment).unwrap_or_else(|message| panic!("{line}: {message}"));
        assert_eq!(translation.words, shlex::split(words).unwrap(), "{line}");
        translation
    }

    #[test]
    fn each_option_and_variable_has_its_place() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 8] = [
            ("python -m mod", &[], "--pass-environment -- python -m mod"),
            ("--port 8080 python -m mod", &[], "--pass-environment --port=8080 -- python -m mod"),
            ("--timeout 600 x", &[], "--pass-environment --timeout=600 -- x"),
            ("--log-level debug x", &[], "--pass-environment --log-level=debug -- x"),
            ("--host 0.0.0.0 x", &[], "--pass-environment --host=0.0.0.0 -- x"),
            (
                "x",
                &[("MCP_BIND_HOST", "::1"), ("MCP_PORT", "80")],
                "--pass-environment --host=::1 --port=80 -- x",
            ),
            (
                "--po 81 --ho ::2 x",
                &[("MCP_BIND_HOST", "::1")],
                "--pass-environment --host=::2 --port=81 -- x",
            ),
            (
                "--allow-host a.example x --cwd /",
                &[],
                "--pass-environment --allow-host=a.example -- x --cwd /",
            ),
        ];
        for (line, environment, words) in cases {
            let translation = means(line, environment, words);
            assert!(translation.habits.warnings.is_empty(), "{translation:?}");
        }
        assert_eq!(means("x", &[], "--pass-environment -- x").habits.port, Some(3000));
        assert_eq!(means("x", &[("MCP_PORT", "1")], "--pass-environment --port=1 -- x").habits.port, None);
        assert_eq!(means("-h", &[], "--help"), Translation::only("--help"));
    }

    /// Every line was given to the tool, on Python 3.11, and this is the command that it ran.
    #[test]
    fn the_command_is_put_together_as_by_the_tool() {
        let cases = [
            ("cmd sub --x v", "cmd --x v sub"),
            ("cmd --x v y --z", "cmd --x v y --z"),
            ("--po 80 python -m mod --port 81", "python -m mod"),
            ("-m python mod", "python -m mod"),
            ("-- cmd --x v", "cmd --x v"),
            ("cmd -- --x v", "cmd --x v"),
            ("cmd a -- --x v", "cmd a --x v"),
            ("cmd --timeout=5 -x 1", "cmd -x 1"),
            ("npx -y @scope/x /tmp", "npx -y @scope/x /tmp"),
            ("cmd -1 --x=3", "cmd --x=3 -1"),
        ];
        for (line, command) in cases {
            let words = translated(line, &[]).unwrap().words;
            let behind = words.iter().position(|word| word == "--").unwrap() + 1;
            assert_eq!(words[behind..], shlex::split(command).unwrap(), "{line}");
        }
    }

    #[test]
    fn what_is_done_differently_is_told() {
        let moved = translated("cmd sub --x v", &[]).unwrap();
        assert!(moved.habits.warnings[0].contains("right behind its first word"), "{moved:?}");
        let logged = translated("cmd", &[("LOG_FILE", "/tmp/log")]).unwrap();
        assert_eq!(logged.habits.warnings, ["LOG_FILE is ignored: the log goes to stderr"]);
        assert!(translated("--port 80", &[]).unwrap_err().contains("wants the command"));
        assert!(translated("x", &[("MCP_PORT", "many")]).unwrap_err().contains("MCP_PORT is \"many\""));
    }
}
