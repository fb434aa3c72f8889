//! `MCProxy`: the servers of a file, reachable from everywhere.

use super::argparse::{self, Unknown};
use super::given::Flag;
use super::{Translation, refused};
use crate::cli::compat::Refused;

const FLAGS: &[Flag] = &[
    Flag::switch("log"),
    Flag::one("port"),
    Flag::one("config"),
    Flag::one("host"),
    Flag::switch("no-reload"),
    Flag::one("reload-interval"),
    Flag::switch("stdio"),
    Flag::switch("validate-connections"),
    Flag::switch("help"),
];

/// Where it listens if it is not told. The router warns that everybody can reach this.
const HOST: &str = "0.0.0.0";
const PORT: u16 = 12010;

/// The file that it reads if it is not told.
const FILE: &str = "mcproxy.json";

/// Translates the words after the tool's name.
pub(super) fn translate(words: &[String]) -> Result<Translation, Refused> {
    let given = argparse::read(words, FLAGS, Unknown::Refused)?;
    if given.has("help") {
        return Ok(Translation::only("--help"));
    }
    if !given.words.is_empty() {
        return Err(refused("MCProxy takes no words but options; servers stand in the file of `--config`"));
    }
    let mut to = Translation::default();
    to.habits.host = Some(HOST.to_owned());
    to.habits.port = Some(PORT);
    to.option("named-server-config", given.value("config").unwrap_or(FILE));
    for option in ["host", "port", "reload-interval"] {
        given.pass(option, option, &mut to);
    }
    if given.has("stdio") {
        to.option("transport", "stdio");
    }
    for switch in ["no-reload", "log"].into_iter().filter(|switch| given.has(switch)) {
        to.switch(switch);
    }
    if given.has("validate-connections") {
        to.warn("`--validate-connections` is ignored: `/status` tells of every server how it stands");
    }
    given.pass_ours_but("host", &mut to);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<Translation, String> {
        translate(&shlex::split(line).unwrap()).map_err(|refused| refused.message)
    }

    #[test]
    fn each_option_has_its_place() {
        let cases = [
            ("", "--named-server-config=mcproxy.json"),
            ("--log --config servers.json", "--named-server-config=servers.json --log"),
            (
                "--port 8080 --host 127.0.0.1",
                "--named-server-config=mcproxy.json --host=127.0.0.1 --port=8080",
            ),
            ("--stdio", "--named-server-config=mcproxy.json --transport=stdio"),
            ("--no-reload", "--named-server-config=mcproxy.json --no-reload"),
            ("--reload-interval 5", "--named-server-config=mcproxy.json --reload-interval=5"),
            ("--conf=a.json --check", "--named-server-config=a.json --check"),
            ("-h", "--help"),
        ];
        for (line, words) in cases {
            assert_eq!(translated(line).map(|to| to.words), Ok(shlex::split(words).unwrap()), "{line}");
        }
        let habits = translated("--validate-connections").unwrap().habits;
        assert_eq!((habits.host.as_deref(), habits.port), (Some("0.0.0.0"), Some(12010)));
        assert_eq!(habits.warnings.len(), 1);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert!(translated("uvx x").unwrap_err().contains("takes no words"));
        assert_eq!(translated("--syslog"), Err("unexpected option `--syslog`".to_owned()));
    }
}
