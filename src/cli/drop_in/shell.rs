//! A command line that was written for a shell.
//!
//! Most need none: they are split into words as a shell does, and the server is then the router's own child. One in which
//! a shell would do more than split is left to a shell.

/// Words that only a shell knows.
const BUILT_IN: &[&str] = &[
    ".", "source", "exec", "eval", "export", "set", "unset", "cd", "ulimit", "umask", "command", "trap",
    "if", "for", "while", "until", "case", "{", "!",
];

/// What joins, redirects or expands, wherever it stands outside quotes.
const OPERATORS: &str = "|&;<>()*?[\n";

/// The words to spawn for a line that was written for a shell; `None` if a quote has no end, or there is nothing.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    // There is no telling a path of Windows from an escape.
    if cfg!(windows) {
        let line = line.trim();
        return (!line.is_empty()).then(|| ["cmd", "/d", "/s", "/c", line].map(str::to_owned).into());
    }
    let words = shlex::split(line)?;
    let first = words.first()?;
    if needs_shell(line) || BUILT_IN.contains(&first.as_str()) {
        return Some(["sh", "-c", line].map(str::to_owned).into());
    }
    Some(words)
}

/// Whether a shell would do something else than split the line into words.
fn needs_shell(line: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    let mut begins_word = true;
    for letter in line.trim().chars() {
        let plain = !std::mem::take(&mut escaped);
        match (quote, letter) {
            (_, _) if !plain => {}
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (_, '$' | '`') if quote != Some('\'') => return true,
            (None, letter) if OPERATORS.contains(letter) => return true,
            (None, '~' | '#') if begins_word => return true,
            _ => {}
        }
        begins_word = quote.is_none() && plain && letter.is_whitespace();
    }
    let first = line.split_whitespace().next().unwrap_or_default();
    first.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// Whether this can be a variable, so that `name=value` before a command sets it.
fn is_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && text.chars().all(plain)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_simple_command_is_split_and_no_shell_is_run() {
        let cases: [(&str, &[&str]); 7] = [
            ("npx -y @scope/server /tmp", &["npx", "-y", "@scope/server", "/tmp"]),
            ("  uvx 'a b' \"c d\"  ", &["uvx", "a b", "c d"]),
            (r"a b\ c \$HOME", &["a", "b c", "$HOME"]),
            ("a '$HOME' 'x|y' '*'", &["a", "$HOME", "x|y", "*"]),
            (r#"a "x|y;z" "\$x""#, &["a", "x|y;z", "$x"]),
            ("a --key=value a#b a~b", &["a", "--key=value", "a#b", "a~b"]),
            ("docker run -i --rm -e KEY=value x", &["docker", "run", "-i", "--rm", "-e", "KEY=value", "x"]),
        ];
        for (line, split) in cases {
            assert_eq!(words(line).unwrap(), split, "{line}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_left_to_one() {
        for line in [
            "a | b",
            "cd /srv && a",
            "a; b",
            "a $HOME",
            "a \"$HOME\"",
            "a `b`",
            "a $(b)",
            "a > log",
            "a 2>&1",
            "a < in",
            "(a)",
            "a *.json",
            "a ~/x",
            "KEY=value a b",
            "exec a",
            ". ./env",
            "a # note",
            "a\nb",
        ] {
            assert_eq!(words(line).unwrap(), ["sh", "-c", line], "{line}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in ["", "  ", "a 'b", "a \"b"] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let _ = words(&line);
        }

        #[test]
        fn quoted_words_stay_what_they_were(split in proptest::collection::vec("[ -~]{1,8}", 1..5)) {
            prop_assume!(!BUILT_IN.contains(&split[0].as_str()));
            let line = shlex::try_join(split.iter().map(String::as_str)).unwrap();
            prop_assume!(!needs_shell(&line));
            prop_assert_eq!(words(&line), Some(split));
        }
    }
}
