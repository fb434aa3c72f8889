//! How yargs, which does not insist on anything, reads a command line.

use super::given::{Flag, Given, OURS, Takes};

/// Reads the words with the options in `flags`, whose names are in camelCase as yargs has them.
///
/// An option may be spelled `--inKebab` or `--in-kebab`, with its value behind `=` or as the next word. What is not
/// known is left, with its value.
pub(super) fn read(words: &[String], flags: &'static [Flag]) -> Given {
    let mut given = Given::default();
    let mut next = 0;
    while let Some(word) = words.get(next) {
        next += 1;
        if word == "--" {
            given.words.extend_from_slice(&words[next..]);
            break;
        }
        let Some(option) = word.strip_prefix("--").filter(|_| is_option(word)) else {
            let to = if is_option(word) { &mut given.left } else { &mut given.words };
            to.push(word.clone());
            continue;
        };
        let (name, inline) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let following = words[next..].iter().take_while(|word| !is_option(word));
        let Some((flag, negated)) = find(name, flags) else {
            given.left.push(format!("--{name}"));
            next += usize::from(inline.is_none() && words.get(next).is_some_and(|word| !is_option(word)));
            continue;
        };
        let own = if negated { Some("false") } else { inline };
        let taken: Vec<String> = match (flag.takes, own) {
            (Takes::Nothing, _) | (Takes::One | Takes::Truth, Some(_)) => Vec::new(),
            (Takes::All, _) if negated => Vec::new(),
            (Takes::All, _) => following.cloned().collect(),
            (Takes::One, None) => following.take(1).cloned().collect(),
            (Takes::Truth, None) => following.take(1).filter(|word| is_truth(word)).cloned().collect(),
        };
        next += taken.len();
        given.add(flag.name, own.map(str::to_owned).into_iter().chain(taken).collect());
    }
    given
}

/// The option of that name, and whether the name takes it back.
fn find(name: &str, flags: &'static [Flag]) -> Option<(&'static Flag, bool)> {
    let known = |name: &str| {
        let camel = camel(name);
        let flag = flags.iter().find(|flag| flag.name == camel);
        flag.or_else(|| OURS.iter().find(|flag| flag.name == name))
    };
    let negated = || {
        let flag = known(name.strip_prefix("no-")?)?;
        matches!(flag.takes, Takes::All | Takes::Truth).then_some((flag, true))
    };
    known(name).map(|flag| (flag, false)).or_else(negated)
}

fn is_truth(word: &str) -> bool {
    matches!(word, "true" | "false")
}

/// Whether a word begins an option: it has a dash, and is not a number.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::one("stdio"),
        Flag::one("ssePath"),
        Flag::one("sessionTimeout"),
        Flag { name: "cors", takes: Takes::All },
        Flag { name: "stateful", takes: Takes::Truth },
        Flag::switch("help"),
    ];

    fn given(line: &str) -> Given {
        read(&shlex::split(line).unwrap(), FLAGS)
    }

    fn values<'a>(given: &'a Given, name: &str) -> Vec<&'a str> {
        given.all(name).map(String::as_str).collect()
    }

    /// Every line was read by yargs 17, with these options and results.
    #[test]
    fn a_line_is_read_as_yargs_reads_it() {
        let ones = [
            ("--stdio x --cors", "stdio", Some("x")),
            ("--stdio='x y' --sse-path /a", "ssePath", Some("/a")),
            ("--stdio='x y' --ssePath=/a", "stdio", Some("x y")),
            ("--stdio a --stdio b", "stdio", Some("b")),
            ("--sessionTimeout -1", "sessionTimeout", Some("-1")),
            ("--stdio -x", "stdio", None),
            ("--stdio --cors", "stdio", None),
            ("--st x", "stdio", None),
            ("x --stdio y z -- --stdio w", "stdio", Some("y")),
        ];
        for (line, name, value) in ones {
            assert_eq!(given(line).value(name), value, "{line}");
        }
        let lists: [(&str, &[&str]); 7] = [
            ("--cors a b --stdio x", &["a", "b"]),
            ("--cors a --stdio x --cors b", &["a", "b"]),
            ("--cors=a b", &["a", "b"]),
            ("--cors", &[]),
            ("--cors --stdio x", &[]),
            ("--cors -x", &[]),
            ("--no-cors", &["false"]),
        ];
        for (line, list) in lists {
            assert_eq!(values(&given(line), "cors"), list, "{line}");
            assert!(given(line).has("cors"), "{line}");
        }
        let switches = [
            ("--stateful", true),
            ("--stateful false", false),
            ("--stateful=false", false),
            ("--stateful true --no-stateful", false),
            ("--stateful yes", true),
            ("--no-stateful", false),
            ("", false),
        ];
        for (line, on) in switches {
            assert_eq!(given(line).is_on("stateful"), on, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_with_its_value() {
        let given = given("--unknown v extra -p 80 --other=s3cret --help");
        assert_eq!(given.left, ["--unknown", "-p", "--other"]);
        assert_eq!(given.words, ["extra", "80"]);
        assert!(given.has("help"));
    }
}
