//! How Python's argparse reads a command line.

use super::given::{Flag, Given, OURS, Takes};
use super::refused;
use crate::cli::compat::Refused;

/// What becomes of options that the tool does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They refuse the command line; the router's own are taken anywhere.
    Refused,
    /// They are left, as `parse_known_args` leaves them: with all words that come after the first row of words. The
    /// router's own are taken before that row, since behind it they may be meant for the command.
    Left,
}

/// Reads the words with the options in `flags`, which may be abbreviated.
pub(super) fn read(words: &[String], flags: &'static [Flag], unknown: Unknown) -> Result<Given, Refused> {
    let mut given = Given::default();
    let mut next = 0;
    // Only the first row of words belongs to the tool's positional arguments.
    let mut row_is_over = false;
    while let Some(word) = words.get(next) {
        next += 1;
        if word == "--" {
            let to = if row_is_over { &mut given.left } else { &mut given.words };
            to.extend_from_slice(&words[next..]);
            break;
        }
        if !is_option(word) {
            let to = if row_is_over { &mut given.left } else { &mut given.words };
            to.push(word.clone());
            continue;
        }
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        let ours = unknown == Unknown::Refused || given.words.is_empty();
        row_is_over |= !given.words.is_empty();
        match find(name, flags, ours)? {
            Some(flag) => {
                let value = match (flag.takes, inline) {
                    (Takes::Nothing, None) => None,
                    (Takes::Nothing, Some(_)) => return Err(refused(format!("`{name}` takes no value"))),
                    (_, Some(value)) => Some(value.to_owned()),
                    (_, None) => {
                        let value = words.get(next).filter(|word| !is_option(word));
                        let value =
                            value.ok_or_else(|| refused(format!("`{name}` wants a value after it")))?;
                        next += 1;
                        Some(value.clone())
                    }
                };
                given.add(flag.name, value.into_iter().collect());
            }
            None if unknown == Unknown::Left => given.left.push(word.clone()),
            None => return Err(refused(format!("unexpected option `{name}`"))),
        }
    }
    Ok(given)
}

/// The option of that name, or the only one that begins so.
fn find(name: &str, flags: &'static [Flag], ours: bool) -> Result<Option<&'static Flag>, Refused> {
    let Some(long) = name.strip_prefix("--") else {
        return Ok(flags.iter().find(|flag| name == "-h" && flag.name == "help"));
    };
    if let Some(flag) = flags.iter().find(|flag| flag.name == long) {
        return Ok(Some(flag));
    }
    if let Some(flag) = OURS.iter().find(|flag| ours && flag.name == long) {
        return Ok(Some(flag));
    }
    let mut meant = flags.iter().filter(|flag| flag.name.starts_with(long));
    match (meant.next(), meant.next()) {
        (Some(_), Some(_)) => Err(refused(format!("`{name}` is short for several options"))),
        (flag, _) => Ok(flag),
    }
}

/// Whether a word begins an option: it has a dash, no space, and is not a number.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && !word.contains(' ') && word.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[Flag::one("host"), Flag::one("port"), Flag::switch("help"), Flag::switch("log")];

    fn given(line: &str, unknown: Unknown) -> Result<Given, String> {
        read(&shlex::split(line).unwrap(), FLAGS, unknown).map_err(|refused| refused.message)
    }

    #[test]
    fn options_are_taken_in_both_forms_and_abbreviated() {
        for line in ["--port 80 x", "x --port=80", "--po 80 x", "--p=80 -- x"] {
            let given = given(line, Unknown::Refused).unwrap();
            assert_eq!(
                (given.value("port"), &given.words[..]),
                (Some("80"), &["x".to_owned()][..]),
                "{line}"
            );
        }
        assert!(given("-h", Unknown::Refused).unwrap().has("help"));
        assert!(given("--lo", Unknown::Refused).unwrap().is_on("log"));
        assert_eq!(given("--port -1", Unknown::Refused).unwrap().value("port"), Some("-1"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            ("--h", "`--h` is short for several options"),
            ("--port", "`--port` wants a value after it"),
            ("--port --log", "`--port` wants a value after it"),
            ("--log=x", "`--log` takes no value"),
            ("--api-key=s3cret", "unexpected option `--api-key`"),
            ("-x", "unexpected option `-x`"),
        ];
        for (line, message) in cases {
            assert_eq!(given(line, Unknown::Refused).map(drop), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_routers_own_options_are_known_but_not_abbreviated() {
        let strict = given("x --allow-host a.example --check", Unknown::Refused).unwrap();
        assert_eq!(strict.value("allow-host"), Some("a.example"));
        assert!(strict.is_on("check"));
        assert!(given("--allow-h x", Unknown::Refused).is_err());
        let lenient = given("--check x --check --allow-host y", Unknown::Left).unwrap();
        assert!(lenient.is_on("check"));
        assert_eq!(lenient.left, ["--check", "--allow-host", "y"]);
    }
}
