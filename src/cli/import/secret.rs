//! What looks like a secret that stands in clear.

/// Words in the name of a variable, a header or an option whose value nobody else should read.
const NAMES: &[&str] = &[
    "apikey",
    "accesskey",
    "authkey",
    "privatekey",
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
    "cookie",
    "bearer",
    "webhook",
    "dsn",
    "databaseurl",
    "connectionstring",
];

/// Endings of such names that mean nothing inside another word.
const ENDINGS: &[&str] = &["key", "auth", "pat", "pwd", "pass"];

/// How the keys of well-known services begin.
const BEGINNINGS: &[&str] = &[
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "Bearer ",
    "Basic ",
];

/// Whether a value with this name is a secret that stands in clear.
pub(super) fn stands_in_clear(name: &str, value: &str) -> bool {
    let is_clear = !value.trim().is_empty() && !value.contains("${");
    is_clear && (is_secret_name(name) || begins_as_one(value))
}

/// The number of an argument that is a secret, or holds one: what follows `--token`, or stands behind its `=`.
pub(super) fn arguments(words: &[String]) -> Vec<usize> {
    let is_option = |word: &str| word.starts_with('-');
    let holds = |(number, word): (usize, &String)| {
        let found = match (word.split_once('='), number.checked_sub(1).map(|before| &words[before])) {
            (Some((name, value)), _) if is_option(name) || is_secret_name(name) => {
                stands_in_clear(name, value)
            }
            (None, Some(before)) if is_option(before) && !before.contains('=') && !is_option(word) => {
                stands_in_clear(before, word)
            }
            _ => stands_in_clear("", word),
        };
        (found || has_credentials(word)).then_some(number)
    };
    words.iter().enumerate().filter_map(holds).collect()
}

/// Whether a URL has a password, or a query with something secret.
pub(super) fn has_credentials(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let in_query = url.query_pairs().any(|(name, value)| stands_in_clear(&name, &value));
    url.has_host() && (in_query || url.password().is_some_and(|password| !password.contains("$%7B")))
}

fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let last = name.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
    NAMES.iter().any(|word| plain.contains(word))
        || ENDINGS.iter().any(|word| last.eq_ignore_ascii_case(word))
}

fn begins_as_one(value: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| value.starts_with(beginning) && value.len() > beginning.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_or_by_how_it_begins() {
        let secret = [
            ("API_KEY", "x"),
            ("apiKey", "x"),
            ("X-Auth-Token", "x"),
            ("Authorization", "Bearer abcdefgh"),
            ("DB_PASSWORD", "x"),
            ("DATABASE_URL", "postgres://h"),
            ("KEY", "1"),
            ("ANYTHING", "ghp_0123456789"),
        ];
        for (name, value) in secret {
            assert!(stands_in_clear(name, value), "{name}");
        }
        let plain = [
            ("API_KEY", "${API_KEY}"),
            ("API_KEY", ""),
            ("LOG_LEVEL", "info"),
            ("KEYBOARD", "us"),
            ("PATH", "/usr/bin"),
            ("MONKEY", "x"),
            ("Accept", "sk-"),
        ];
        for (name, value) in plain {
            assert!(!stands_in_clear(name, value), "{name} {value}");
        }
    }

    #[test]
    fn an_argument_is_one_behind_an_option_that_says_so() {
        let words = ["-y", "x", "--api-key", "abc", "--token=abc", "--verbose", "TOKEN=abc", "sk-0123456789"];
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        assert_eq!(arguments(&words), [3, 4, 6, 7]);
        let words = ["--key", "${KEY}", "--token", "--other", "https://h/x?b=1", "https://u:p@h/"];
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        assert_eq!(arguments(&words), [5]);
    }

    #[test]
    fn a_url_may_hold_one() {
        assert!(has_credentials("https://me:pw@h.example/mcp") && has_credentials("https://h/mcp?api_key=1"));
        assert!(!has_credentials("https://h/mcp?page=1") && !has_credentials("me:pw"));
    }
}
